// A witness, by the text of spec/06-ledger alone: messages in, answers out.

import { Book } from './accounts.mjs'
import { witnesses, writers } from './charter.mjs'
import { Refused, decode, encode, refuse } from './encoding.mjs'
import * as ledger from './ledger.mjs'
import { prefix, publicKey, sha256, sign } from './signatures.mjs'

const NONE = Buffer.alloc(0)
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const same = (one, other) => Buffer.compare(one, other) === 0
const NO_TERM = [0, Buffer.alloc(16), Buffer.alloc(32)]
const LEAST = [1, Buffer.alloc(16), Buffer.alloc(32)]
const [JUMP, LEASE, AHEAD] = [2 ** 24, 60, 300]
const PENDING = ['need_blocks', 'charter_unknown']
const valid = (check) => {
  try {
    check()
    return true
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return false
  }
}

/** What leaves a rule in the middle: the answers. */
class Answer {
  constructor(...messages) {
    this.messages = messages
  }
}

export class Witness {
  constructor(fed, founding, seed) {
    Object.assign(this, { fed, seed, key: publicKey(seed), book: new Book(fed, founding) })
    this.kept = new Map()
    this.bodies = new Map()
    this.stood = new Map()
    this.confirmed = new Map()
    this.proofs = []
    this.stopped = false
    this.restart()
  }

  /** Forget what is not on a disk. */
  restart() {
    this.lease = null
  }

  handle(message, now) {
    const [type] = message
    const rule = {
      1: 'prepare', 4: 'open', 5: 'propose', 7: 'lock', 9: 'final', 12: 'get', 13: 'blocks', 14: 'heads', 16: 'confirm', 22: 'fraud',
    }[type]
    try {
      if (!rule) refuse('unexpected_message')
      if (this.stopped && [1, 4, 5, 7, 16].includes(type)) this.silent(message)
      return this[rule](message, now)
    } catch (error) {
      if (error instanceof Answer) return error.messages
      if (!(error instanceof Refused)) throw error
      return [[23, error.code, '']]
    }
  }

  // --- What it keeps ---

  row(chain) {
    const name = hex(chain)
    if (!this.kept.has(name)) this.kept.set(name, { promised: NO_TERM, prepare: null, opened: null, vote: null, lock: null, counter: 0 })
    return this.kept.get(name)
  }

  ofCharter(chain) {
    return same(chain, this.fed)
  }

  head(chain) {
    if (!this.ofCharter(chain)) return this.book.chain(chain)
    const { state, hashes } = this.book.charter
    return { h: state.height, hash: hashes.at(-1), hashes, adopted: state.height }
  }

  get charter() {
    return this.book.charters.at(-1)
  }

  committee(chain) {
    const c = this.head(chain).adopted
    const state = this.book.charterAt(c)
    return { c, keys: witnesses(state), quorum: state.quorum }
  }

  need(chain, from = this.head(chain).h + 1) {
    throw new Answer([11, chain, from])
  }

  /** What stands at head + 1; above it, blocks are lost. */
  live(chain, found) {
    const h = this.head(chain).h + 1
    if (found && found.h > h) this.need(chain)
    return found && found.h === h ? found : null
  }

  certificateOf(chain) {
    return this.head(chain).h ? this.stood.get(hex(chain)).at(-1)[2] : NONE
  }

  // --- Answers ---

  signed(purpose, body) {
    return sign(this.seed, Buffer.concat([Buffer.from(prefix(purpose)), this.fed, encode(body)]))
  }

  refusal(chain, t, h, reason, evidence = NONE) {
    const hash = evidence.length ? sha256(evidence) : NONE
    return [3, chain, t, h, reason, hash, this.key, this.signed('refuse', [chain, t, h, reason, hash]), evidence]
  }

  refuse(chain, t, reason, evidence) {
    throw new Answer(this.refusal(chain, t, this.head(chain).h, reason, evidence))
  }

  invalid(chain, t, error) {
    this.refuse(chain, t, 'invalid', encode([error.code, new Map()]))
  }

  byPromised(chain, t, reason) {
    const { promised, prepare } = this.row(chain)
    this.refuse(chain, t, reason, prepare ? encode([1, chain, promised, prepare, []]) : NONE)
  }

  silent([type, chain, t]) {
    if (type === 1) throw new Answer(this.refusal(chain, t, 0, 'counter'))
    refuse('witness_stopped')
  }

  // --- What several rules ask ---

  writer(chain, t) {
    const state = this.charter
    const known = this.ofCharter(chain) || state.coops.some((coop) => same(coop.id, chain))
    const reason = !known ? 'unknown_chain' : this.mayWrite(state, chain, t[2]) ? '' : 'unauthorised'
    if (reason) throw new Answer(this.refusal(chain, t, state.height, reason))
  }

  mayWrite(state, chain, key) {
    if (!this.ofCharter(chain)) return writers(state, chain).includes(hex(key))
    return state.coops.some((coop) => !coop.left && coop.writer.length && same(coop.writer, key))
  }

  notBelow(chain, t) {
    if (ledger.compareTerms(t, this.row(chain).promised) < 0) this.byPromised(chain, t, 'term')
  }

  amnesia(message, chain, echo) {
    if (!echo.length) return
    const [c, of, h, t, block, counter, signature] = echo
    if (!same(of, chain) || counter <= this.row(chain).counter) return
    const body = encode([c, of, h, t, block, counter])
    if (!valid(() => ledger.signed(this.fed, 'vote', this.key, body, signature))) return
    this.stopped = true
    this.silent(message)
  }

  decided(chain, h) {
    const head = this.head(chain)
    if (h > head.h + 1) this.need(chain)
    if (h <= head.h) throw new Answer(h === head.h ? [9, this.certificateOf(chain)] : [10, chain, head.h, head.hash])
  }

  // --- The rules ---

  prepare(message, now) {
    const [, chain, t, signature, echo] = message
    const row = this.row(chain)
    this.amnesia(message, chain, echo)
    this.writer(chain, t)
    ledger.checkMessage(this.fed, message)
    this.notBelow(chain, t)
    this.live(chain, row.vote)
    if (ledger.compareTerms(t, row.promised) !== 0) {
      if (t[0] - row.promised[0] > JUMP) this.refuse(chain, t, 'quota')
      if (this.ofCharter(chain) && !this.leased(t[2], now)) this.byPromised(chain, t, 'lease')
    }
    const lock = this.live(chain, row.lock)
    Object.assign(row, { promised: t, prepare: signature })
    const { h, hash } = this.head(chain)
    const at = lock ? [lock.h, lock.term, lock.block] : []
    const promise = this.signed('promise', [chain, t, [h, hash], at])
    const body = lock ? encode(this.bodies.get(hex(lock.block))) : NONE
    return [[2, chain, t, [h, hash], at, this.key, promise, this.certificateOf(chain), lock ? lock.bytes : NONE, body]]
  }

  leased(key, now) {
    const { hash } = this.head(this.fed)
    if (!this.lease || !same(this.lease.hash, hash)) this.lease = { hash, holder: null, since: 0, late: [] }
    const { lease } = this
    const rank = (one) => (lease.late.includes(hex(one)) ? 'late ' : 'early ') + hex(sha256(hash, one))
    if (lease.holder && !(now >= lease.since && now < lease.since + LEASE)) {
      lease.late.push(hex(lease.holder))
      lease.holder = null
    }
    if (lease.holder && same(lease.holder, key)) return true
    if (lease.holder && rank(key) > rank(lease.holder)) return false
    return Object.assign(lease, { holder: key, since: now })
  }

  open([, chain, t, frames]) {
    const row = this.row(chain)
    this.writer(chain, t)
    this.notBelow(chain, t)
    const head = this.head(chain)
    const listed = frames.map((frame) => ledger.readMessage(frame))
    const start = 1 + Math.max(...listed.map(([, , , [h]]) => h))
    if (start > head.h + 1) this.need(chain)
    const c = start === head.h + 1 ? head.adopted : ledger.readHeader(this.stood.get(hex(chain))[start - 1][0]).c
    const state = this.book.charterAt(c)
    const committee = { keys: witnesses(state), quorum: state.quorum }
    if (row.opened && row.opened.c === c && ledger.compareTerms(row.opened.t, t) === 0) return []
    const counting = new Map()
    const told = new Map()
    for (const promise of listed) {
      const [, , , , at, w, , , votes] = promise
      const name = hex(encode(at))
      if (votes.length && !told.has(name)) told.set(name, votes)
      if (counting.has(hex(w)) || !committee.keys.some((key) => same(key, w))) continue
      counting.set(hex(w), this.counts(promise, chain, t, { start, c, committee }, told.get(name) ?? NONE) ? promise : null)
    }
    const good = [...counting.values()].filter(Boolean)
    if (good.length < committee.quorum) this.refuse(chain, t, 'not_opened')
    const locks = good.map((promise) => promise[4]).filter((at) => at.length && at[0] === start)
    locks.sort((one, other) => ledger.compareTerms(other[1], one[1]))
    row.opened = { c, t, start, keep: locks[0]?.[2] ?? null }
    if (ledger.compareTerms(t, row.promised) !== 0) Object.assign(row, { promised: t, prepare: null })
    return []
  }

  counts(promise, chain, t, { start, c, committee }, told) {
    const [, of, term, [h, hash], at, , , , votes] = promise
    if (!same(of, chain) || ledger.compareTerms(term, t) !== 0) return false
    if (!valid(() => ledger.checkMessage(this.fed, promise))) return false
    if (!same(this.head(chain).hashes[h], hash)) return false
    if (!at.length || at[0] < start) return true
    return at[0] === start && valid(() => {
      const found = ledger.readVotes(votes.length ? votes : told)
      const right = found.c === c && same(found.chain, chain) && found.h === at[0] && same(found.block, at[2])
      if (!right || ledger.compareTerms(found.term, at[1]) !== 0) refuse('certificate')
      ledger.checkCertificate(this.fed, committee, found)
    })
  }

  propose(message, now) {
    const [, chain, t, h, block, signature, echo] = message
    const row = this.row(chain)
    this.amnesia(message, chain, echo)
    this.writer(chain, t)
    this.decided(chain, h)
    const header = ledger.readHeader(block[0])
    const vote = this.live(chain, row.vote)
    const again = vote && ledger.compareTerms(vote.t, t) === 0
    if (again && same(vote.hash, header.hash)) return [this.vote(chain, row)]
    ledger.checkMessage(this.fed, message)
    if (again) {
      const two = [[vote.hash, vote.signature], [header.hash, signature]].sort((one, other) => Buffer.compare(one[0], other[0]))
      const proof = encode([1, chain, t, h, ...two.flat()])
      this.proofs.push({ chain, proof })
      this.refuse(chain, t, 'voted', proof)
    }
    this.notBelow(chain, t)
    const { c, keys } = this.committee(chain)
    if (!keys.some((key) => same(key, this.key))) this.refuse(chain, t, 'not_witness')
    const { opened } = row
    if (!opened || opened.c !== c || ledger.compareTerms(opened.t, t) !== 0) this.refuse(chain, t, 'not_opened')
    if (h < opened.start) this.refuse(chain, t, 'height')
    const must = h === opened.start && opened.keep !== null
    if (must && !same(opened.keep, header.hash)) this.refuse(chain, t, 'locked')
    const voids = this.judged(chain, t, block)
    if (!must) this.refuseFresh(chain, t, header, voids, now)
    const before = row.voids?.h === h ? row.voids.holds : []
    Object.assign(row, {
      vote: { c, h, t, hash: header.hash, signature },
      counter: row.counter + 1,
      voids: { h, holds: [...before, ...voids.map(([hold]) => hex(hold))] },
      lock: row.lock && row.lock.h === h ? row.lock : null,
    })
    this.bodies.set(hex(header.hash), block)
    return [this.vote(chain, row)]
  }

  /** The holds that a valid block voids, each with its release. */
  judged(chain, t, [headerBytes, bodyBytes]) {
    try {
      this.book.check({ headerBytes, bodyBytes })
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      if (error.code === 'charter_unknown') this.need(this.fed)
      if (PENDING.includes(error.code)) this.need(chain)
      this.invalid(chain, t, error)
    }
    const entries = decode(bodyBytes, 131_072)[0].map(([, data]) => decode(data, 4_096))
    return entries.filter(([kind]) => kind === 12).map(([, , hold, release]) => [hold, release])
  }

  refuseFresh(chain, t, header, voids, now) {
    if (this.proofs.some((one) => same(one.chain, chain))) this.refuse(chain, t, 'frozen')
    if (header.time > now + AHEAD) this.refuse(chain, t, 'time')
    if (header.c2 < this.charter.height - 1) this.refuse(chain, t, 'charter_old')
    const confirmed = voids.some(([hold, release]) => !release.length && this.confirmed.has(hex(hold)))
    if (confirmed) this.refuse(chain, t, 'confirmed_hold')
  }

  vote(chain, { vote: { c, h, t, hash }, counter }) {
    return [6, c, chain, h, t, hash, counter, this.key, this.signed('vote', [c, chain, h, t, hash, counter])]
  }

  lock([, bytes]) {
    const votes = ledger.readVotes(bytes)
    const { chain, h, term, block } = votes
    const row = this.row(chain)
    this.decided(chain, h)
    this.live(chain, row.vote)
    const lock = this.live(chain, row.lock)
    const again = lock && ledger.compareTerms(lock.term, term) === 0
    if (again && same(lock.block, block)) return [this.commit(lock)]
    this.notBelow(chain, term)
    const { c, keys, quorum } = this.committee(chain)
    if (!keys.some((key) => same(key, this.key))) this.refuse(chain, term, 'not_witness')
    if (votes.c !== c) this.refuse(chain, term, 'not_opened')
    if (!this.bodies.has(hex(block))) this.need(chain, h)
    ledger.checkCertificate(this.fed, { keys, quorum }, votes)
    if (again) this.refuse(chain, term, 'voted')
    row.lock = { ...votes, bytes }
    if (ledger.compareTerms(term, row.promised) !== 0) Object.assign(row, { promised: term, prepare: null })
    return [this.commit(row.lock)]
  }

  commit({ c, chain, h, term, block }) {
    return [8, c, chain, h, term, block, this.key, this.signed('commit', [c, chain, h, term, block])]
  }

  final([, bytes]) {
    const { chain, h, block } = ledger.readCertificate(bytes)
    const head = this.head(chain)
    if (h <= head.h) return [[10, chain, head.h, head.hash]]
    if (h > head.h + 1) this.need(chain)
    const body = this.bodies.get(hex(block))
    if (!body) this.need(chain)
    this.take(chain, [...body, bytes, []])
    return [[10, chain, h, block]]
  }

  take(chain, block) {
    this.book.take(encode(block))
    const name = hex(chain)
    this.stood.set(name, [...(this.stood.get(name) ?? []), block])
  }

  // --- Dependencies ---

  get([, chain, from, to]) {
    return [[13, chain, (this.stood.get(hex(chain)) ?? []).slice(from - 1, to)]]
  }

  blocks([, chain, blocks]) {
    for (const block of blocks) {
      const { h } = ledger.readHeader(block[0])
      if (h <= this.head(chain).h) continue
      try {
        this.take(chain, block)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        if (error.code === 'charter_unknown') this.need(this.fed)
        if (error.code === 'need_blocks') this.need(chain)
        throw error
      }
    }
    return []
  }

  heads([, named]) {
    const told = new Map(named.map(([chain, h]) => [hex(chain), h]))
    const chains = [...this.stood.keys()].sort().filter((name) => this.stood.get(name).length > (told.get(name) ?? 0))
    return [[15, chains.map((name) => this.stood.get(name).at(-1)).map(([header, , certificate]) => [header, certificate])]]
  }

  // --- Confirmations, misbehaviour ---

  confirm([, chain, hold, word], now) {
    const row = this.row(chain)
    const head = this.head(chain)
    const { c, keys } = this.committee(chain)
    if (!keys.some((key) => same(key, this.key))) this.refuse(chain, LEAST, 'not_witness')
    this.live(chain, row.vote)
    const voted = row.voids?.h === head.h + 1 && row.voids.holds.includes(hex(hold))
    if (voted) this.refuse(chain, LEAST, 'voted')
    try {
      this.good(chain, head.rows, hold, word, now)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.invalid(chain, LEAST, error)
    }
    this.confirmed.set(hex(hold), word)
    const hash = sha256(encode(word))
    return [[17, chain, hold, hash, c, this.key, this.signed('ack', [chain, hold, hash, c])]]
  }

  good(chain, rows, hold, [kind, key, signature], now) {
    const payer = rows.find((row) => row[0] === 0 && row[7].some(([id]) => same(id, hold))) ?? refuse('hold_unknown')
    const found = payer[7].find(([id]) => same(id, hold))
    if (kind === 2) return same(sha256(key), found[7]) || refuse('confirmation')
    const matured = payer[8].filter(([, from]) => from <= now).map(([pending]) => pending)
    const may = [...payer[4], ...matured, found[6], found[11]]
    const good = may.some((one) => same(one, key))
      && valid(() => ledger.signed(this.fed, 'confirm', key, encode([chain, hold]), signature))
    return good || refuse('confirmation')
  }

  fraud([, proof]) {
    const { accused, chain } = ledger.readFraud(proof, this.fed)
    if (!this.mayWrite(this.charter, chain, accused)) refuse('fraud_proof')
    this.proofs.push({ chain, proof })
    return [[19]]
  }
}
