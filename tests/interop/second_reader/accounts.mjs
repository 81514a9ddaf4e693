// What blocks do to accounts (spec/06-accounts). A state is its list of rows, as they are encoded.

import { Chain, witnesses } from './charter.mjs'
import { Refused, decode, encode, refuse } from './encoding.mjs'
import * as ledger from './ledger.mjs'
import { sha256 } from './signatures.mjs'

const ZERO = Buffer.from([0])
const COMMONS = Buffer.alloc(16)
const MOST = 2 ** 53 - 1
const CREDIT = 2 ** 52
const AMOUNT = 10 ** 12
const GAP = 2 ** 20
const [HOLDS, MANDATES, KEYS] = [64, 16, 8]

const isBin = (value) => value instanceof Uint8Array
const same = (one, other) => Buffer.compare(one, other) === 0
const copy = (value) => (Array.isArray(value) ? value.map(copy) : value)
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0)
const byFirst = (one, other) => (isBin(one[0]) ? Buffer.compare(one[0], other[0]) : one[0] - other[0])

// Places in the row of an account, a position, a hold, a mandate.
const [ID, , OPEN, KEY, SEQ, POSITIONS, HELD, PENDING, GIVEN] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
const [H_UNIT, H_AMOUNT, H_COOP, H_ACCOUNT, H_PAYEE, H_ARBITER, H_LOCK, H_EXPIRY, H_SIGNER] = [1, 2, 3, 4, 5, 6, 7, 8, 11]

export const genesisRows = () => [[0, COMMONS, 3, 1, [], 0, [], [], [], []], [2, [], 0]]
const leafOf = (row) => (isBin(row) ? row : sha256(ZERO, encode(row)))
export const rootOf = (rows) => ledger.treeRoot(rows.map(leafOf))

/** One block's attempt on a copy of the rows: `rows` are what it leads to, `signed` is still to be verified. */
class Attempt {
  constructor(federation, header, charter, rows, facts) {
    Object.assign(this, { federation, chain: header.chain, time: header.time, charter, facts })
    this.rows = copy(rows)
    this.signed = []
    this.index = 0
    this.coop = charter.coops.find((coop) => same(coop.id, this.chain))
    if (!this.coop) refuse('bad_block', 'coop')
  }

  // --- What stands ---

  row(account) {
    return this.rows.find((row) => !isBin(row) && row[0] === 0 && same(row[ID], account))
  }

  open(account) {
    const row = this.row(account) ?? refuse('account_unknown')
    return row[OPEN] ? row : refuse('account_closed')
  }

  channel(coop, make = false) {
    const known = this.rows.find((row) => !isBin(row) && row[0] === 1 && same(row[1], coop))
    if (known) return known
    const fresh = [1, coop, 0, 0]
    if (make) this.rows.push(fresh)
    return fresh
  }

  held(row, unit) {
    return sum(row[HELD].filter((hold) => hold[H_UNIT] === unit).map((hold) => hold[H_AMOUNT]))
  }

  expected(row, unit) {
    const holds = this.rows.filter((one) => !isBin(one) && one[0] === 0).flatMap((one) => one[HELD])
    const mine = (hold) => same(hold[H_COOP], this.chain) && same(hold[H_ACCOUNT], row[ID])
    return sum(holds.filter((hold) => mine(hold) && (unit === null || hold[H_UNIT] === unit)).map((hold) => hold[H_AMOUNT]))
  }

  totals(unit) {
    return this.rows[1][1].find((one) => one[0] === unit) ?? [unit, 0, 0]
  }

  add(unit, trade, held) {
    const found = this.totals(unit)
    const rest = this.rows[1][1].filter((one) => one[0] !== unit)
    const made = [unit, found[1] + trade, found[2] + held]
    this.rows[1][1] = [...rest, made].filter((one) => one[1] || one[2]).sort(byFirst)
  }

  keys(row) {
    return row[PENDING].filter(([, from]) => from <= this.time).reduce(
      (keys, [key]) => (keys.some((one) => same(one, key)) ? keys : [...keys, key].slice(-KEYS)), row[KEY])
  }

  mature(row) {
    row[KEY] = this.keys(row)
    row[PENDING] = row[PENDING].filter(([, from]) => from > this.time)
  }

  check(purpose, key, body, signature) {
    this.signed.push({ index: this.index, purpose, key, body, signature })
  }

  // --- Orders, debits, credits ---

  order(order) {
    if (!same(order.chain, this.chain)) refuse('wrong_account')
    const row = this.open(order.account)
    if (order.seq <= row[SEQ]) refuse('stale_sequence')
    if (order.seq - row[SEQ] > GAP) refuse('sequence_gap')
    if (this.time > order.until) refuse('order_expired')
    if (order.mandate.length) {
      const mandate = this.mandate(row, order.mandate) ?? refuse('mandate_unknown')
      if (!same(mandate[1], order.key)) refuse('not_authorised')
      if (!(mandate[4] <= this.time && this.time < mandate[5])) refuse('order_mandate_expired')
    } else if (!this.keys(row).some((key) => same(key, order.key))) refuse('not_authorised')
    return row
  }

  mandate(row, name) {
    return row[GIVEN].find((mandate) => same(mandate[0], name))
  }

  /** What the mandate of an order has used with this amount: [period, used], or null without a mandate. */
  used(row, order, unit, amount) {
    if (!order.mandate.length) return null
    const [, , allowed, period, start, , last, used] = this.mandate(row, order.mandate)
    const most = allowed.find(([one]) => one === unit) ?? refuse('order_mandate_scope')
    const now = Math.floor((this.time - start) / period)
    const before = now === last ? used : []
    const spent = (before.find(([one]) => one === unit)?.[1] ?? 0) + amount
    if (spent > most[1]) refuse('mandate_exhausted')
    return [now, [...before.filter(([one]) => one !== unit), [unit, spent]].sort(byFirst)]
  }

  done(row, order, used) {
    row[SEQ] = order.seq
    if (used) [this.mandate(row, order.mandate)[6], this.mandate(row, order.mandate)[7]] = used
    this.mature(row)
    this.check('order', order.key, order.body, order.signature)
  }

  counted(unit, amount) {
    if (unit >= this.charter.units.length) refuse('unit_unknown')
    const only = this.charter.units[unit][1] === 'count'
    if (amount < 1 || amount > (only ? 1 : AMOUNT)) refuse('amount')
    return only
  }

  kept(unit) {
    if (unit >= this.charter.units.length) refuse('unit_unknown')
    if (this.charter.units[unit][1] === 'count') refuse('wrong_unit')
  }

  position(row, unit) {
    return row[POSITIONS].find((one) => one[0] === unit)
  }

  payable(row, unit, amount) {
    const [, balance, limit] = this.position(row, unit) ?? refuse('wrong_unit')
    if (balance - this.held(row, unit) - amount < -limit) refuse('over_limit')
  }

  leaves(unit, amount) {
    const [, trade, held] = this.totals(unit)
    const limit = this.coop.left ? 0 : this.coop.limits.find(([one]) => one === unit)?.[1] ?? 0
    if (trade - held - amount < -limit) refuse('coop_limit')
  }

  receivable(row, unit, amount) {
    const [, balance, , most] = this.position(row, unit) ?? refuse('wrong_unit')
    if (balance + this.expected(row, unit) + amount > Math.min(most, CREDIT)) refuse('over_maximum')
  }

  destination(coop) {
    const found = this.charter.coops.find((one) => same(one.id, coop))
    if (!found || found.left) refuse('ledger_coop_unknown')
  }

  next(coop, n) {
    if (n !== this.channel(coop)[2] + 1) refuse('channel_gap')
  }

  move(row, unit, amount) {
    this.position(row, unit)[1] += amount
  }

  send(row, unit, amount, coop, n) {
    if (this.charter.units[unit][1] !== 'count') {
      this.move(row, unit, -amount)
      this.add(unit, -amount, 0)
    }
    this.channel(coop, true)[2] = n
  }

  place(row, position) {
    row[POSITIONS] = [...row[POSITIONS].filter((one) => one[0] !== position[0]), position].sort(byFirst)
  }

  // --- Entries, by kind; `parts` is the entry as it is encoded ---

  1([, account, kind, key, positions]) {
    if (this.row(account)) refuse('account_exists')
    const cap = this.coop.left ? 0 : Math.min(this.coop.accounts, this.charter.accounts_max)
    if (this.rows[1][2] >= cap) refuse('accounts_full')
    for (const [unit] of positions) this.kept(unit)
    const made = positions.map(([unit, limit, most]) => [unit, 0, limit, most])
    this.rows.push([0, account, kind, 1, [key], 0, made, [], [], []])
    this.rows[1][2] += 1
  }

  2([, account]) {
    if (same(account, COMMONS)) refuse('wrong_account')
    const row = this.open(account)
    const waits = row[PENDING].some(([, from]) => from > this.time)
    const busy = row[POSITIONS].some((one) => one[1]) || row[HELD].length || this.expected(row, null) || waits
    if (busy) refuse('account_in_use')
    this.mature(row)
    row[OPEN] = 0
    row[GIVEN] = []
    this.rows[1][2] -= 1
  }

  3([, account, unit, limit, most]) {
    const row = this.open(account)
    this.kept(unit)
    this.place(row, [unit, this.position(row, unit)?.[1] ?? 0, limit, most])
  }

  4([, account, key]) {
    if (same(account, COMMONS)) refuse('wrong_account')
    const row = this.open(account)
    if (this.keys(row).some((one) => same(one, key))) refuse('key_change')
    this.mature(row)
    row[PENDING] = [[key, this.time + this.charter.recovery_s]]
  }

  5(_, { order }) {
    const row = this.order(order)
    const [kind, ...action] = order.action
    if (kind === 3) {
      const [name, key, limits, period, start, end] = action
      for (const [unit] of limits) if (unit >= this.charter.units.length) refuse('unit_unknown')
      const kept = row[GIVEN].filter((mandate) => mandate[5] > this.time)
      if (kept.some((mandate) => same(mandate[0], name))) refuse('key_change')
      if (kept.length >= MANDATES) refuse('too_many')
      row[GIVEN] = [...kept, [name, key, limits, period, start, end, 0, []]].sort(byFirst)
    } else if (kind === 4) {
      if (!this.mandate(row, action[0])) refuse('mandate_unknown')
      row[GIVEN] = row[GIVEN].filter((mandate) => !same(mandate[0], action[0]))
    } else this.changeKeys(row, ...action)
    this.done(row, order, null)
  }

  changeKeys(row, add, drop) {
    let keys = this.keys(row)
    if (!add.length && !drop.length) {
      if (!row[PENDING].some(([, from]) => from > this.time)) refuse('key_change')
      row[PENDING] = []
      return
    }
    const has = (key) => keys.some((one) => same(one, key))
    if (drop.length) {
      if (!has(drop)) refuse('key_change')
      keys = keys.filter((key) => !same(key, drop))
    }
    if (add.length) {
      if (has(add)) refuse('key_change')
      keys = [...keys, add]
    }
    if (!keys.length) refuse('key_change')
    if (keys.length > KEYS) refuse('too_many')
    this.mature(row)
    row[KEY] = keys
  }

  6(_, { order }) {
    const row = this.order(order)
    const { to_coop: coop, to_account: account, unit, amount } = order.moved
    if (!same(coop, this.chain) || same(account, order.account)) refuse('wrong_account')
    const payee = this.open(account)
    const only = this.counted(unit, amount)
    const used = this.used(row, order, unit, amount)
    if (!only) {
      this.payable(row, unit, amount)
      this.receivable(payee, unit, amount)
      this.move(row, unit, -amount)
      this.move(payee, unit, amount)
    }
    this.done(row, order, used)
  }

  7(_, { order, n }) {
    const row = this.order(order)
    const { to_coop: coop, unit, amount } = order.moved
    if (same(coop, this.chain)) refuse('wrong_account')
    this.destination(coop)
    const only = this.counted(unit, amount)
    const used = this.used(row, order, unit, amount)
    if (!only) {
      this.payable(row, unit, amount)
      this.leaves(unit, amount)
    }
    this.next(coop, n)
    this.send(row, unit, amount, coop, n)
    this.done(row, order, used)
  }

  message([, source, block, index, salt, data, path], entry) {
    const header = this.facts.find((one) => same(one.chain, source) && same(one.hash, block)) ?? refuse('evidence')
    const leaf = ledger.leafOf(salt, data)
    ledger.checkInclusion(leaf, index, header.count, path, header.entries)
    const message = ledger.messageOf(this.federation, ledger.readEntry(entry.bytes), leaf) ?? refuse('evidence')
    if (!same(message.to_coop, this.chain)) refuse('evidence')
    const expected = this.channel(source)[3] + 1
    if (message.n < expected) refuse('already_consumed')
    if (message.n > expected) refuse('channel_gap')
    return message
  }

  creditable({ returned, to_account: account, unit, amount }) {
    if (returned) return
    const row = this.open(account)
    if (!this.counted(unit, amount)) this.receivable(row, unit, amount)
  }

  8(parts, entry) {
    const message = this.message(parts, entry)
    this.creditable(message)
    const { returned, to_account: account, unit, amount, n } = message
    this.channel(parts[1], true)[3] = n
    if (this.charter.units[unit][1] === 'count') return
    let row = this.row(account)
    if (returned && !row?.[OPEN]) row = this.row(COMMONS)
    if (returned && !this.position(row, unit)) this.place(row, [unit, 0, 0, MOST])
    this.move(row, unit, amount)
    this.add(unit, amount, 0)
  }

  9(parts, entry) {
    const message = this.message(parts, entry)
    let back = false
    try {
      this.creditable(message)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      back = true
    }
    if (!back) refuse('wrong_account')
    this.next(parts[1], entry.n)
    const channel = this.channel(parts[1], true)
    ;[channel[2], channel[3]] = [entry.n, message.n]
  }

  10(_, { order }) {
    const row = this.order(order)
    const { to_coop: coop, to_account: account, unit, amount } = order.moved
    const [, , , , , ref, category, expiry, payee, arbiter, lock] = order.action
    const here = same(coop, this.chain)
    if (here && same(account, order.account)) refuse('wrong_account')
    const other = here ? this.open(account) : this.destination(coop)
    if (this.counted(unit, amount)) refuse('wrong_unit')
    if (expiry <= this.time) refuse('order_expired')
    const used = this.used(row, order, unit, amount)
    if (row[HELD].length >= HOLDS) refuse('too_many')
    this.payable(row, unit, amount)
    if (here) this.receivable(other, unit, amount)
    else {
      this.leaves(unit, amount)
      this.add(unit, 0, amount)
    }
    const name = ledger.orderId(this.federation, order.body)
    const hold = [name, unit, amount, coop, account, payee, arbiter, lock, expiry, ref, category, order.key]
    row[HELD] = [...row[HELD], hold].sort(byFirst)
    this.done(row, order, used)
  }

  hold(account, name) {
    const row = this.open(account)
    return [row, row[HELD].find((hold) => same(hold[0], name)) ?? refuse('hold_unknown')]
  }

  end(row, hold) {
    row[HELD] = row[HELD].filter((one) => one !== hold)
    if (!same(hold[H_COOP], this.chain)) this.add(hold[H_UNIT], 0, -hold[H_AMOUNT])
  }

  11([, account, name, said, n, body]) {
    const [row, hold] = this.hold(account, name)
    const keys = [...this.keys(row), hold[H_SIGNER], hold[H_ARBITER]]
    const good = said[0] === 1 ? keys.some((key) => same(key, said[1])) : same(sha256(said[1]), hold[H_LOCK])
    if (!good) refuse('confirmation')
    const coop = hold[H_COOP]
    const here = same(coop, this.chain)
    if (here && n) refuse('channel_gap')
    if (!here) {
      this.destination(coop)
      this.next(coop, n)
      if (!same(ledger.orderId(this.federation, body), name)) refuse('evidence')
    }
    if (said[0] === 1) this.check('confirm', said[1], encode([this.chain, name]), said[2])
    this.end(row, hold)
    if (!here) return this.send(row, hold[H_UNIT], hold[H_AMOUNT], coop, n)
    this.move(row, hold[H_UNIT], -hold[H_AMOUNT])
    this.move(this.row(hold[H_ACCOUNT]), hold[H_UNIT], hold[H_AMOUNT])
  }

  12([, account, name, release]) {
    const [row, hold] = this.hold(account, name)
    if (!release.length && this.time < hold[H_EXPIRY]) refuse('hold_open')
    if (release.length) {
      if (!same(release[0], hold[H_PAYEE])) refuse('confirmation')
      this.check('release', release[0], encode([this.chain, name]), release[1])
    }
    this.end(row, hold)
  }

  13([, , unit, amount, coop, account, , n]) {
    const here = same(coop, this.chain)
    if (here && same(account, COMMONS)) refuse('wrong_account')
    const row = this.open(COMMONS)
    if (here) {
      const payee = this.open(account)
      if (n) refuse('channel_gap')
      if (this.counted(unit, amount)) return
      this.payable(row, unit, amount)
      this.receivable(payee, unit, amount)
      this.move(row, unit, -amount)
      this.move(payee, unit, amount)
      return
    }
    this.destination(coop)
    if (!this.counted(unit, amount)) {
      this.payable(row, unit, amount)
      this.leaves(unit, amount)
    }
    this.next(coop, n)
    this.send(row, unit, amount, coop, n)
  }

  apply(data) {
    const entry = ledger.readEntry(data)
    this[entry.kind](decode(data, 4_096), entry)
    return entry
  }
}

const bad = (reason, more = {}) => {
  throw Object.assign(new Refused('bad_block', reason), { more })
}

/** All chains of a federation, each with its head and rows. */
export class Book {
  constructor(federation, founding) {
    this.federation = federation
    this.charter = new Chain(federation, founding)
    this.charters = [this.charter.state]
    this.chains = new Map()
  }

  chain(id) {
    const name = Buffer.from(id).toString('hex')
    const coop = this.charters.at(-1).coops.find((one) => same(one.id, id)) ?? refuse('chain_unknown')
    if (!this.chains.has(name)) {
      const start = ledger.genesis(this.federation, id)
      const [h, time] = [0, 0]
      this.chains.set(name, { h, hash: start, time, adopted: coop.entered, hashes: [start], rows: genesisRows() })
    }
    return this.chains.get(name)
  }

  charterAt(height) {
    return this.charters[height] ?? refuse('charter_unknown')
  }

  evidence(block, charter) {
    const found = []
    for (const [index, bytes] of block.proofs.entries()) {
      try {
        const proof = ledger.readEvidence(encode(bytes))
        const { header, carrier } = proof
        const known = charter.coops.some((coop) => same(coop.id, header.chain))
        const before = found.some((one) => same(one.chain, header.chain) && same(one.hash, header.hash))
        if (before || !known || same(header.chain, block.header.chain)) refuse('evidence', 'chain')
        const state = this.charterAt(carrier.c)
        const pinned = charter.retired_heads.find(([chain]) => same(chain, carrier.chain))
        const live = carrier.c >= charter.retired_below
        if (!live && !(pinned && pinned[1] === carrier.h && same(pinned[2], carrier.hash))) refuse('evidence', 'retired')
        ledger.checkEvidence(this.federation, { keys: witnesses(state), quorum: state.quorum }, proof)
        found.push(header)
      } catch (error) {
        if (!(error instanceof Refused) || ['need_blocks', 'charter_unknown'].includes(error.code)) throw error
        // A signature in a certificate is named as what it is; otherwise the code stands.
        const code = error.code === 'certificate' && error.rule === 'signature' ? 'bad_signature' : error.code
        bad('evidence', { index, entry_code: code })
      }
    }
    return found
  }

  /** Judge a next block { headerBytes, bodyBytes, delta, certified }; return the rows that it leads to. */
  check({ headerBytes, bodyBytes, delta = [], certified = false }) {
    const header = ledger.readHeader(headerBytes)
    const [prev, state] = [decode(headerBytes, 256)[4], decode(headerBytes, 256)[10]]
    const head = this.chain(header.chain)
    if (!same(header.fed, this.federation)) bad('chain')
    if (header.h > head.h + 1) refuse('need_blocks')
    if (header.h <= head.h) bad('height')
    if (!same(prev, head.hash)) bad('prev')
    if (header.c !== head.adopted) bad('charter')
    if (header.time < head.time) bad('time')
    if (!same(header.history, ledger.treeRoot(head.hashes.map((one) => sha256(ZERO, one))))) bad('history_root')
    const charter = this.charterAt(header.c)
    this.charterAt(header.c2)
    const body = ledger.readBlockBody(bodyBytes, false)
    try {
      ledger.checkBlock({ header, body })
    } catch (error) {
      bad(error.rule)
    }
    const [placed, proofs] = decode(bodyBytes, 131_072)
    if (body.erased && !certified) bad('erased')
    if (delta.length && !body.erased) bad('delta')
    const facts = this.evidence({ header, proofs }, charter)
    const attempt = new Attempt(this.federation, header, charter, head.rows, facts)
    if (body.erased) this.replace(attempt.rows, delta)
    else this.apply(attempt, placed, facts)
    for (const { index, purpose, key, body: text, signature } of attempt.signed) {
      try {
        ledger.signed(this.federation, purpose, key, text, signature)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        bad('entry', { index, entry_code: 'bad_signature' })
      }
    }
    if (!same(rootOf(attempt.rows), state)) bad('state_root')
    return { header, rows: attempt.rows }
  }

  apply(attempt, placed, facts) {
    const used = new Set()
    for (const [index, [, data]] of placed.entries()) {
      attempt.index = index
      try {
        const entry = attempt.apply(data)
        if (entry.kind === 8 || entry.kind === 9) used.add(decode(data, 4_096)[2].toString('hex'))
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        bad('entry', { index, entry_code: error.code })
      }
    }
    if (used.size !== facts.length) bad('evidence_unused')
  }

  replace(rows, delta) {
    let last = -1
    for (const [slot, row, leaf] of delta) {
      if (slot <= last || slot > rows.length || (leaf && slot < 2)) bad('delta')
      last = slot
      try {
        rows[slot] = leaf ?? decode(row, 32_768)
      } catch (error) {
        bad('delta')
      }
    }
  }

  /** Take a certified block over. */
  take(bytes) {
    const [headerBytes, bodyBytes, proof, delta] = decode(bytes, 261_120)
    const { chain } = ledger.readHeader(headerBytes)
    if (same(chain, this.federation)) {
      this.charter.take(bytes)
      this.charters.push(this.charter.state)
      return null
    }
    const { header, rows } = this.check({ headerBytes, bodyBytes, delta, certified: true })
    const certificate = ledger.readCertificate(proof)
    const { c, h, block } = certificate
    if (!(same(certificate.chain, chain) && c === header.c && h === header.h && same(block, header.hash))) refuse('certificate')
    const state = this.charterAt(c)
    ledger.checkCertificate(this.federation, { keys: witnesses(state), quorum: state.quorum }, certificate)
    const head = this.chain(chain)
    const hashes = [...head.hashes, header.hash]
    this.chains.set(Buffer.from(chain).toString('hex'), {
      h: header.h, hash: header.hash, time: header.time, adopted: header.c2, hashes, rows,
    })
    return rows
  }

  /** Another book that begins here. */
  fork() {
    const made = Object.create(Book.prototype)
    const { federation, charter, charters, chains } = this
    return Object.assign(made, { federation, charter, charters: [...charters], chains: new Map(chains) })
  }
}

/** Run a step; say what it answers, with the facts that the vectors name. */
export function judged(step) {
  try {
    return { expect: 'ok', ...step() }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    const reason = error.code === 'bad_block' ? { reason: error.rule } : {}
    return { expect: error.code, ...reason, ...error.more }
  }
}
