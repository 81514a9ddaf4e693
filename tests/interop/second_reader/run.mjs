// Hold this reader against every vector of spec/vectors; write what was run and what differs, as JSON.
//
//     node run.mjs ../../../spec

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

import * as accounts from './accounts.mjs'
import * as audits from './audit.mjs'
import * as charter from './charter.mjs'
import * as community from './community.mjs'
import { Refused, cutAt, decode, encode } from './encoding.mjs'
import * as exchange from './exchange.mjs'
import { readCard, readDocument, readFile, readInvitation } from './founding.mjs'
import { readJoining } from './joining.mjs'
import * as ledger from './ledger.mjs'
import * as letters from './letters.mjs'
import { checkLogin, loginBody } from './login.mjs'
import * as persons from './persons.mjs'
import * as reconcile from './reconcile.mjs'
import { checkAlone, checkPayload, readRecord } from './records.mjs'
import { KINDS, load as loadRegistry } from './registry.mjs'
import { derive, fromWords, openKeyFile, setList, toWords } from './secrets.mjs'
import { coopId, prefix, publicKey, sha256, sign, tagOf, verify } from './signatures.mjs'
import * as transport from './transport.mjs'
import { judge, liveSet } from './view.mjs'
import { Witness } from './witness.mjs'

const spec = process.argv[2]
const vectorsOf = (name) => JSON.parse(readFileSync(join(spec, 'vectors', name), 'utf8'))
const bytes = (text) => Buffer.from(text, 'hex')
const hex = (data) => data.toString('hex')

/** A value as the vectors show it. */
function shown(value) {
  if (value instanceof Uint8Array) return { $bin: hex(Buffer.from(value)) }
  if (Array.isArray(value)) return value.map(shown)
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [key, shown(one)]))
  return value
}

function fromShown(value) {
  if (Array.isArray(value)) return value.map(fromShown)
  if (value === null || typeof value !== 'object') return value
  if ('$bin' in value) return bytes(value.$bin)
  return new Map(Object.entries(value).map(([key, one]) => [key, fromShown(one)]))
}

/** What a step answers: `expect`, the rule and field when refused, and the result otherwise. */
function outcome(step) {
  try {
    return { expect: 'ok', ...step() }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { expect: error.code, rule: error.rule, field: error.field }
  }
}

/** The bytes of a vector, written out where they repeat. */
function written({ bytes: whole, start, repeat, times, end }) {
  return whole === undefined ? bytes(start + repeat.repeat(times) + end) : bytes(whole)
}

const report = []

/** Run the vectors of a list; `step` gives the result fields that a vector of `ok` has to have. */
function run(file, list, vectors, step) {
  const differing = []
  const otherRules = []
  for (const [i, vector] of vectors.entries()) {
    const name = vector.name ?? String(i)
    let got
    try {
      got = 'expect' in vector ? outcome(() => step(vector)) : step(vector)
    } catch (error) {
      differing.push({ name, got: String(error.stack) })
      continue
    }
    const keys = Object.keys(got).filter((key) => !['rule', 'field'].includes(key))
    const wanted = Object.fromEntries(keys.map((key) => [key, vector[key]]))
    const given = Object.fromEntries(keys.map((key) => [key, got[key]]))
    if (!isDeepStrictEqual(given, wanted)) differing.push({ name, wanted, got })
    else if ((vector.rule && got.rule !== vector.rule) || (vector.field ?? got.field) !== got.field) {
      otherRules.push({ name, wanted: [vector.rule, vector.field], got: [got.rule, got.field] })
    }
  }
  report.push({ file, list, count: vectors.length, differing, otherRules })
}

/** What a step answers, a refusal with its reason where the specification gives one. */
function reasoned(step) {
  try {
    return step()
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { expect: error.code, ...(error.rule && { reason: error.rule }) }
  }
}

const FILES = {
  'unicode14-unassigned.json'(file, all) {
    run(file, 'nfc', all.nfc, ({ bytes: data }) => void decode(bytes(data), 262144))
  },

  'encoding.json'(file, all) {
    run(file, 'vectors', all.vectors, ({ bytes: data, value }) => {
      const read = decode(bytes(data), all.bytes_max)
      const written = value === undefined ? null : hex(encode(fromShown(value)))
      return { value: shown(read), bytes: written ?? hex(encode(read)) }
    })
  },

  'keys.json'(file, all) {
    run(file, 'signing', all.signing, ({ seed, purpose, body }) => {
      const message = Buffer.concat([Buffer.from(prefix(purpose)), bytes(body)])
      const signature = sign(bytes(seed), message)
      verify(publicKey(bytes(seed)), message, signature)
      return { public: hex(publicKey(bytes(seed))), message: hex(message), signature: hex(signature) }
    })
    run(file, 'coops', all.coops, ({ root }) => ({ coop: hex(coopId(bytes(root))) }))
  },

  'login.json'(file, all) {
    run(file, 'vectors', all.vectors, ({ fed, coop, host, nonce, expires, key, signature }) => {
      const body = loginBody(bytes(fed), bytes(coop), host, bytes(nonce), expires)
      checkLogin(body, bytes(key), bytes(signature))
      return { body: hex(body) }
    })
  },

  'verification.json'(file, all) {
    run(file, 'vectors', all.vectors, (vector) => {
      verify(bytes(vector.public), bytes(vector.message), bytes(vector.signature))
    })
  },

  'words.json'(file, all) {
    run(file, 'derivation', all.derivation, (vector) => {
      const entropy = bytes(vector.entropy)
      const { seed, signing, sealing, sealingPublic } = derive(entropy)
      const same = [['fr', vector.fr], ['en', vector.en]].every(([lang, text]) => fromWords(text, lang).equals(entropy))
      return {
        entropy: same ? vector.entropy : 'read otherwise',
        fr: toWords(entropy, 'fr'),
        en: toWords(entropy, 'en'),
        signing_seed: hex(seed),
        signing_public: hex(signing),
        sealing_secret: hex(sealing),
        sealing_public: hex(sealingPublic),
      }
    })
    const typed = all.typed.map(({ position, ...vector }) => ({ ...vector, field: position }))
    run(file, 'typed', typed, ({ text, lang }) => ({ entropy: hex(fromWords(text, lang)) }))
  },

  'keyfile.json'(file, all) {
    run(file, 'vectors', all.vectors, ({ bytes: data, password }) => ({
      secret: hex(openKeyFile(bytes(data), password)),
    }))
  },

  'founding.json'(file, all) {
    run(file, 'files', all.files, ({ file: data }) => {
      const { fed, coops } = readFile(bytes(data))
      return { fed: hex(fed), coops: coops.map(hex) }
    })
    run(file, 'texts', all.texts, ({ text }) => {
      if (!text.startsWith('maillon-invite:')) return { root: hex(readCard(text).root) }
      return { fed: hex(readInvitation(text, all.now).fed) }
    })
  },

  'charter.json'(file, all) {
    const fed = bytes(all.fed)
    const first = charter.foundingState(bytes(all.founding))
    run(file, 'founding', [{ name: 'charter 0', ...all }], () => ({
      state: hex(charter.encodeState(first)),
      root: hex(charter.stateRoot(first)),
      coops: first.coops.map((coop) => hex(coop.id)),
    }))
    run(file, 'proposal', [{ name: 'the proposal', ...all.proposal }], (vector) => {
      const { base, entries, title, hash } = charter.readProposal(bytes(vector.bytes))
      return { base, entries: entries.map(hex), title, hash: hex(hash) }
    })
    run(file, 'entries', all.entries, ({ entry }) => ({ kind: charter.readEntry(bytes(entry)).kind }))
    run(file, 'changes', all.changes, ({ before, entries }) => reasoned(() => {
      const read = (list) => list.map((entry) => charter.readEntry(bytes(entry)))
      const made = charter.nextState(before.reduce((state, list) => charter.nextState(state, read(list)), first), read(entries))
      return {
        state: hex(charter.encodeState(made)),
        root: hex(charter.stateRoot(made)),
        witnesses: charter.witnesses(made).map(hex),
        writers: Object.fromEntries(made.coops.map((coop) => [hex(coop.id), charter.writers(made, coop.id)])),
      }
    }))
    run(file, 'approvals', all.approvals, ({ proposal, coop, signature }) =>
      void charter.checkApproval(first, fed, bytes(proposal), bytes(coop), bytes(signature)))
    run(file, 'blocks', all.blocks, ({ after, block }) => reasoned(() => {
      const chain = new charter.Chain(fed, bytes(all.founding))
      for (const one of after) chain.take(bytes(one))
      return { hash: hex(chain.take(bytes(block))) }
    }))
    run(file, 'quorums', all.quorums, ({ witnesses, quorum }) => charter.bears(witnesses, quorum))
  },

  'exchange.json'(file, all) {
    const runs = all.cases.flatMap(({ name, steps, transfers, after, arrival }) => {
      const read = steps.map(({ record, author, role }) => {
        const found = readRecord(bytes(record))
        if (found.payload) checkAlone(found, bytes(all.fed), found.at, true)
        const { id, kind, by, at, refs, payload } = found
        return { id: hex(id), kind, by: hex(by), author: all.people[author], role, at, refs: refs.map(hex), payload: exchange.plain(payload) }
      })
      const known = new Map(transfers.map(({ order, payer, payee, ...fact }) =>
        [order, { ...fact, payer: all.people[payer], payee: all.people[payee] }]))
      const last = after.at(-1)
      const each = after.map((state) => ({ ...state, name: `${name}, ${state.count} at ${state.now}`, given: read.slice(0, state.count), known }))
      return [...each, { ...last, name: `${name}, as it arrived`, given: arrival.map((place) => read[place]), known }]
    })
    run(file, 'cases', runs, ({ given, known, now, next }) =>
      exchange.told(exchange.fold(given, known, now, all.counted), Object.keys(next), all.people))
    run(file, 'questions', all.questions, ({ bytes: data }) => ({ question: exchange.readQuestion(bytes(data)) }))
    const stepsOf = (wanted) => all.cases.find(({ name }) => name === wanted).steps.map(({ record }) => {
      const { id, refs } = readRecord(bytes(record))
      return { id: hex(id), refs: refs.map(hex) }
    })
    run(file, 'missing', all.missing, ({ case: wanted, heads }) => ({ sends: exchange.lacking(heads, stepsOf(wanted)) }))
  },

  'ledger-accounts.json'(file, all) {
    const founding = bytes(all.founding)
    const book = new accounts.Book(sha256(prefix('federation'), founding), founding)
    const encoded = (rows) => rows.map((row) => hex(encode(row)))
    const rows = accounts.genesisRows()
    run(file, 'genesis', [{ name: 'genesis', ...all.genesis }], () => ({ rows: encoded(rows), state_root: hex(accounts.rootOf(rows)) }))
    const steps = [book.fork()]
    run(file, 'history', all.history, ({ block }) => {
      const found = book.take(bytes(block))
      steps.push(book.fork())
      return found ? { rows: encoded(found), state_root: hex(accounts.rootOf(found)) } : {}
    })
    // The step never throws: a refusal is its result, with the facts that the vector names.
    const tried = (list, step) => run(file, list, all[list], (vector) => {
      const { index, ...found } = accounts.judged(() => step(vector))
      return 'index' in vector ? { ...found, index } : found
    })
    tried('vectors', ({ after, header, body }) => {
      const before = steps[after]
      const { header: read, rows: made } = before.check({ headerBytes: bytes(header), bodyBytes: bytes(body) })
      const old = before.chain(read.chain).rows
      const changed = made.map((row, slot) => [slot, hex(encode(row))])
      return { changed: changed.filter(([slot, row]) => !old[slot] || hex(encode(old[slot])) !== row) }
    })
    tried('erased', ({ after, block }) => ({ state_root: hex(accounts.rootOf(steps[after].fork().take(bytes(block)))) }))
  },

  'ledger-orders.json'(file, all) {
    const fed = bytes(all.fed)
    run(file, 'vectors', all.vectors, (vector) => {
      const { body, account, seq, chain, until, action } = ledger.readOrder(written(vector))
      return { id: hex(ledger.orderId(fed, body)), account: hex(account), seq, chain: hex(chain), until, action: shown(action) }
    })
    run(file, 'signatures', all.signatures, (vector) => void ledger.checkOrder(fed, ledger.readOrder(written(vector))))
  },

  'ledger-entries.json'(file, all) {
    run(file, 'vectors', all.vectors, (vector) => {
      const data = written(vector)
      const entry = ledger.readEntry(data)
      const leaf = ledger.leafOf(bytes(all.salt), data)
      const message = ledger.messageOf(bytes(all.fed), entry, leaf)
      const plain = message && Object.fromEntries(Object.entries(message).map(([key, one]) => [key, one.length ? hex(one) : one]))
      return { kind: entry.kind, leaf: hex(leaf), ...(message ? { message: plain } : {}) }
    })
  },

  'ledger-blocks.json'(file, all) {
    const fed = bytes(all.fed)
    const committee = { keys: all.witnesses.map(bytes), quorum: 3 }
    run(file, 'genesis', [{ name: 'genesis', ...all.genesis }], ({ chain }) => ({ hash: hex(ledger.genesis(fed, bytes(chain))) }))
    run(file, 'headers', all.headers, (vector) => {
      const { hash, h, chain, time } = ledger.readHeader(written(vector))
      return { hash: hex(hash), h, chain: hex(chain), time }
    })
    run(file, 'bodies', all.bodies, (vector) => {
      const { root, size, erased } = ledger.readBlockBody(written(vector), vector.charter ?? false)
      return { root: hex(root), size, erased }
    })
    run(file, 'blocks', all.blocks, (vector) => {
      const block = ledger.readBlock(written(vector))
      ledger.checkBlock(block)
      return { hash: hex(block.header.hash), delta: block.delta.map(([slot, leaf]) => [slot, hex(leaf)]) }
    })
    run(file, 'evidence', all.evidence, (vector) => {
      const evidence = ledger.readEvidence(written(vector))
      ledger.checkEvidence(fed, committee, evidence)
      return { hash: hex(evidence.header.hash), carrier: evidence.carrier.h }
    })
  },

  'ledger-merkle.json'(file, all) {
    const zero = Buffer.from([0])
    run(file, 'roots', all.roots, ({ leaves }) => ({
      root: hex(ledger.treeRoot(leaves.map((leaf) => sha256(zero, bytes(leaf))))),
    }))
    run(file, 'inclusion', all.inclusion, ({ leaf, index, size, path, root }) =>
      void ledger.checkInclusion(bytes(leaf), index, size, path.map(bytes), bytes(root)))
    run(file, 'consistency', all.consistency, ({ old_size: old, size, path, old_root: before, root }) =>
      void ledger.checkConsistency(old, size, path.map(bytes), bytes(before), bytes(root)))
  },

  'ledger-certificates.json'(file, all) {
    const fed = bytes(all.fed)
    const committee = { keys: all.witnesses.map(bytes), quorum: all.quorum }
    run(file, 'quorums', all.quorums, ({ n }) => ({ f: ledger.faults(n), quorum: ledger.usualQuorum(n) }))
    run(file, 'committees', all.committees, ({ n, quorum }) => ledger.committee(n, quorum))
    const terms = all.terms.map((term) => ledger.termOf(decode(bytes(term), 100)))
    run(file, 'terms', terms.slice(1).map((term, i) => ({ name: `term ${i}`, order: -1 })), ({ name }) => {
      const i = Number(name.slice(5))
      return { order: ledger.compareTerms(terms[i], terms[i + 1]) }
    })
    run(file, 'certificates', all.certificates, (vector) => {
      const found = ledger.readCertificate(written(vector))
      ledger.checkCertificate(fed, committee, found)
      return { hash: hex(found.block), signers: found.signatures.length }
    })
    run(file, 'votes', all.votes, (vector) => {
      const found = ledger.readVotes(written(vector))
      ledger.checkCertificate(fed, committee, found)
      return { hash: hex(found.block), counters: found.counters }
    })
  },

  'ledger-messages.json'(file, all) {
    run(file, 'vectors', all.vectors, (vector) => ({ type: ledger.readMessage(written(vector))[0] }))
    run(file, 'signed', all.signed, (vector) =>
      void ledger.checkMessage(bytes(all.fed), ledger.readMessage(written(vector))))
    run(file, 'hints', all.hints, (vector) => ({ kinds: ledger.readHints(written(vector)) }))
  },

  'ledger-fraud.json'(file, all) {
    run(file, 'vectors', all.vectors, (vector) => {
      const { accused, chain, h, hash } = ledger.readFraud(written(vector), bytes(all.fed))
      return { accused: hex(accused), chain: hex(chain), h, hash: hex(hash) }
    })
  },

  'ledger-rules.json'(file, all) {
    const founding = bytes(all.founding)
    const names = { 4: 'OPEN', 14: 'HEADS?', 22: 'FRAUD', 23: 'ERROR' }
    const types = ['PREPARE', 'PROMISE', 'REFUSE', 'OPEN', 'PROPOSE', 'VOTE', 'LOCK', 'COMMIT', 'FINAL', 'DONE', 'NEED', 'GET',
      'BLOCKS', 'HEADS?', 'HEADS', 'CONFIRM', 'ACK', 'PROPOSAL', 'OK', 'ORDER', 'RECEIPT', 'FRAUD', 'ERROR']
    const told = (message) => {
      const [type, , , , reason] = message
      const name = names[type] ?? types[type - 1]
      if (type === 23) return { message: name, code: message[1] }
      if (type !== 3) return { message: name, bytes: hex(encode(message)) }
      if (reason === 'invalid') return { message: name, reason, code: decode(message[8], 2_048)[0] }
      return { message: name, reason, bytes: hex(encode(message)) }
    }
    run(file, 'scripts', all.scripts, ({ steps }) => {
      const witness = new Witness(bytes(all.fed), founding, bytes(all.witness_seeds[0]))
      return { steps: steps.map((step) => {
        if (step.restart) witness.restart()
        const message = ledger.readMessage(bytes(step.bytes))
        return { ...step, answers: witness.handle(message, step.now).map(told) }
      }) }
    })
  },

  'records.json'(file, all) {
    run(file, 'vectors', all.vectors, ({ record: data, header, step }) => {
      const record = checkAlone(readRecord(bytes(data)), bytes(all.fed), all.now, step)
      if (!header) return {}
      const parts = {}
      for (const key of Object.keys(header)) {
        const part = record[key]
        parts[key] = Array.isArray(part) ? part.map(hex) : part instanceof Uint8Array ? hex(part) : part
      }
      return { id: hex(record.id), header: parts }
    })
  },

  'records-schema.json'(file, all) {
    run(file, 'vectors', all.vectors, ({ kind, payload }) => checkPayload(kind, decode(bytes(payload), 16384)))
  },

  'records-context.json'(file, all) {
    const founding = readDocument(bytes(all.founding))
    const transfers = all.transfers.map((one) => ({
      id: bytes(one.id), payer: bytes(one.payer), payee: bytes(one.payee),
    }))
    const records = new Map()
    for (const [name, data] of Object.entries(all.records)) {
      const record = readRecord(bytes(data))
      // One that has expired since passed when it had not.
      const step = KINDS.get(record.kind)?.letters ?? false
      records.set(name, { ...checkAlone(record, founding.fed, Math.min(all.now, record.until), step), name })
    }
    const live = (names) => liveSet(names.map((name) => records.get(name)), founding, transfers, all.now)
    run(file, 'records', [...records.keys()].map((name) => ({ name })), ({ name }) => {
      const data = bytes(all.records[name])
      return { name: hex(readRecord(data).id) === hex(records.get(name).id) ? name : 'another record' }
    })
    run(file, 'cases', all.cases, ({ given, record }) => ({ author: hex(judge(records.get(record), live(given))) }))
    const sets = all.sets.map((set) => ({ ...set, live: [...set.live].sort() }))
    run(file, 'sets', sets, (set) => {
      const orders = [set.records, [...set.records].reverse(), [...set.records].sort()]
      const found = orders.map((names) => [...live(names).current.values()].map((one) => one.name).sort())
      const same = found.every((names) => isDeepStrictEqual(names, found[0]))
      return { live: same ? found[0] : found }
    })
  },

  'community.json'(file, all) {
    const record = (data) => data && readRecord(bytes(data))
    const owned = ({ record: data, author }) => ({ ...record(data), author: bytes(author) })
    const members = (list) => list.map(({ author, share }) => ({ author: bytes(author), share }))
    run(file, 'commitments', all.commitments, ({ demand, amount, nonce }) => (
      { commit: hex(community.commitment(bytes(demand), amount, bytes(nonce))) }))
    run(file, 'lots', all.lots, ({ secret, bid }) => (
      { lot: hex(sha256(bytes(secret))), draw: hex(community.draw(bytes(secret), bytes(bid))) }))
    run(file, 'auctions', all.auctions, ({ demand, close, bids, reveals, award }) =>
      community.whoWon(record(demand), record(close), bids.map(record), reveals.map(record), record(award)))
    run(file, 'splits', all.splits, ({ amount, members: list }) => (
      { units: community.split(amount, members(list)) }))
    run(file, 'groups', all.groups, ({ amount, members: list, split, performer }) => (
      { units: community.splitGroup(amount, members(list), split, performer && bytes(performer)) }))
    run(file, 'consents', all.consents, ({ whole, parts }) => (
      { waiting_for: community.waitingFor(owned(whole), parts.map(owned)) }))
    run(file, 'signatures', all.signatures, ({ organisation, approvals }) => (
      { approved: community.approved(record(organisation), approvals.map(bytes)) }))
    run(file, 'moves', all.moves, ({ moves, authors }) => {
      const live = moves.map(record)
      return { authors: authors.map(({ author }) => ({
        author, present: community.today(bytes(author), live), past: community.before(bytes(author), live),
      })) }
    })
    run(file, 'vouchings', all.vouchings, ({ vouching, contests, now }) => (
      { stands: community.stands(record(vouching), contests.map(record), now) }))
    run(file, 'statuses', all.statuses, ({ terms, status, units }) => community.checkStatus(terms, status, units))
    run(file, 'tariffs', all.tariffs, ({ offer, audiences }) => ({ asked: community.askedOf(offer, audiences) }))
    run(file, 'calendars', all.calendars, ({ freebusy, start, end }) => (
      { free: community.isFree(freebusy, start, end) }))
    run(file, 'relay_requests', all.relay_requests, ({ request, brought_by: from }) => {
      community.checkRelayRequest(record(request), bytes(from))
      return { id: hex(record(request).id) }
    })
    run(file, 'relay_answers', all.relay_answers, ({ request, asked, letters: brought }) =>
      community.relayAnswers(record(request), bytes(asked), brought.map(({ answer, brought_by: from, at }) => (
        { answer: record(answer), from: bytes(from), at }))))
  },

  'gossip.json'(file, all) {
    run(file, 'topic', [all.topic], ({ fed }) => ({ topic: transport.topicOf(bytes(fed)) }))
    run(file, 'vectors', all.vectors, ({ bytes: data }) => ({ records: transport.readBatch(bytes(data)).map(hex) }))
  },

  'transport.json'(file, all) {
    run(file, 'nodes', all.nodes, ({ key }) => {
      const name = transport.peerBytes(bytes(key))
      return { bytes: hex(name), peer_id: transport.base58(name) }
    })
    run(file, 'messages', all.messages, ({ bytes: data, start, repeat, times, end }) => ({
      id: hex(transport.readMessage(bytes(data ?? start + repeat.repeat(times) + end), all.topic).id),
    }))
    run(file, 'frames', all.frames, ({ bytes: data }) => {
      const { frames, code } = transport.readFrames(bytes(data))
      return { expect: code ?? 'ok', frames: frames.map(hex) }
    })
  },

  'export.json'(file, all) {
    run(file, 'manifests', all.manifests, ({ bytes: data }) => ({
      files: [...audits.readManifest(bytes(data)).files.keys()].sort(),
    }))
    run(file, 'streams', all.streams, ({ bytes: data }) => {
      const { frames, rule, offset } = audits.cut(bytes(data))
      return rule ? { expect: 'export_damaged', rule, offset } : { frames: frames.map(hex) }
    })
    run(file, 'heads', all.heads, ({ bytes: data }) => {
      const [header, certificate] = audits.readHead(bytes(data))
      return { header: hex(header), certificate: hex(certificate) }
    })
  },

  'checkpoints.json'(file, all) {
    const keys = all.witnesses.map(({ key }) => bytes(key))
    const named = [{ name: 'the log', ...all.log, type: 1, line: all.origin }]
    for (const { key, name, vkey } of all.witnesses) named.push({ name, key, vkey, type: 4, line: name })
    run(file, 'keys', named, ({ key, line, type }) => ({ key, vkey: audits.vkey(line, type, bytes(key)) }))
    run(file, 'names', all.witnesses, ({ key }) => {
      const name = audits.witnessName(bytes(key))
      return { name, key_id: hex(audits.keyId(name, 4, bytes(key))) }
    })
    run(file, 'cosigned', [{ name: 'cosigned', ...all.cosigned }], ({ text, at }) => ({ bytes: hex(audits.cosigned(text, at)) }))
    const trusted = { logs: [bytes(all.log.key)], keys, quorum: all.quorum }
    run(file, 'notes', all.notes, ({ note }) =>
      void audits.openCheckpoint(audits.readNote(bytes(note)), audits.originOf(bytes(all.fed), bytes(all.chain)), trusted))
    run(file, 'consistency', [{ name: 'grown', expect: 'ok', ...all.consistency }], ({ blocks, old, new: now, path }) => {
      const leaves = blocks.map((block) => sha256(Buffer.from([0]), bytes(block)))
      ledger.checkConsistency(old.size, now.size, path.map(bytes), bytes(old.root), bytes(now.root))
      return { new: { size: leaves.length, root: hex(ledger.treeRoot(leaves)) } }
    })
    const { fed, committee, quorum, writer, cases } = all.proofs
    run(file, 'proofs', cases, ({ bytes: data }) =>
      void audits.checkProof(audits.readProof(bytes(data)), bytes(fed), { keys: committee.map(bytes), quorum }, bytes(writer)))
  },

  'audits.json'(file, all) {
    const cases = all.cases.map(({ expect, ...vector }) => ({ ...vector, found: expect }))
    run(file, 'cases', cases, (vector) => {
      const shown = Object.entries({ ...all.exports[vector.export], ...vector.files })
      const files = new Map(shown.filter(([, data]) => data !== null).map(([path, data]) => [path, bytes(data)]))
      return { found: audits.audit(files) }
    })
  },

  'persons.json'(file, all) {
    const parts = (vector, ...names) => names.map((name) => bytes(vector[name]))
    const raw = (vector, ...names) => Object.fromEntries(names.map((name) => [name, bytes(vector[name])]))
    run(file, 'vouchers', all.vouchers, (vector) => {
      const [fed, coop, account, book, secret] = parts(vector, 'fed', 'coop', 'account', 'book', 'secret')
      const { data, id, ref, text } = persons.voucher(fed, coop, account, book, vector.number, secret)
      const code = persons.codeOf(vector.number, secret)
      return { bytes: hex(data), id: hex(id), ref: hex(ref), text, code }
    })
    run(file, 'texts', all.texts, ({ text }) => void persons.readVoucher(text))
    run(file, 'codes', all.codes, ({ number, code }) => ({ secret: hex(persons.secretOf(number, code)) }))
    run(file, 'claims', all.claims, (vector) => {
      const [name, secret, signature] = parts(vector, 'code_name', 'secret', 'signature')
      const { code, hash, body } = persons.claim(
        name, secret, raw(vector, 'fed', 'coop', 'key', 'sealing'), signature)
      return { code, hash: hex(hash), body: hex(body) }
    })
    run(file, 'devices', all.devices, (vector) => {
      const [by, signature] = parts(vector, 'by', 'signature')
      const said = raw(vector, 'fed', 'coop', 'person', 'key', 'sealing')
      return { body: hex(persons.approval(said, vector.until, by, signature)) }
    })
    run(file, 'tickets', all.tickets, ({ text }) => ({ ticket: hex(persons.readTicket(text)) }))
    run(file, 'asks', all.asks, ({ frame }) => ({ record: hex(Buffer.from(persons.readAsk(bytes(frame)))) }))
    run(file, 'answers', all.answers, ({ frame }) => void persons.readAnswer(bytes(frame)))
    const { split, debt } = all.refs
    run(file, 'split', [split], (one) => ({ ref: hex(persons.splitRef(...parts(one, 'transfer', 'member'))) }))
    run(file, 'debt', [debt], (one) => ({ ref: hex(persons.debtRef(...parts(one, 'old', 'new'), one.unit)) }))
  },

  async 'letters.json'(file, all) {
    run(file, 'threads', all.threads, ({ exchange, to_key: key, era }) => (
      { thread: hex(letters.threadOf(bytes(exchange), bytes(key), bytes(era))) }))
    // WebCrypto answers later; each answer is kept until its vector is looked at.
    const answers = new Map(await Promise.all(all.letters.map(async ({ name, bytes: data, key }) => {
      try {
        const letter = letters.readLetter(bytes(data))
        const items = await letters.openLetter(letter, bytes(key))
        const { id, thread, n, at, until } = letter
        const shownItems = items.map(({ data: one, ...rest }) => ({ ...rest, data: hex(one) }))
        return [name, () => ({ id: hex(id), thread: hex(thread), n, at, until, items: shownItems })]
      } catch (error) {
        return [name, () => { throw error }]
      }
    })))
    run(file, 'letters', all.letters, ({ name }) => answers.get(name)())
    const plain = (value) => {
      if (value instanceof Uint8Array) return hex(value)
      return Array.isArray(value) ? value.map(plain) : value
    }
    run(file, 'frames', all.frames, ({ bytes: data }) => Object.fromEntries(
      Object.entries(letters.readLetterFrame(bytes(data))).map(([name, value]) => [name, plain(value)])))
    const { fed, to_coop: to, coops, keys } = all.receiver
    run(file, 'office', all.office, ({ steps }) => {
      const receiver = new letters.Receiver(
        { fed: bytes(fed), to: bytes(to), coops: coops.map(bytes), keys: keys.map(bytes) })
      return { steps: steps.map((step) => {
        const ack = hex(receiver.put(bytes(step.put), bytes(step.from), step.now))
        return { ...step, ack, ready: receiver.ready }
      }) }
    })
  },

  'joining.json'(file, all) {
    run(file, 'vectors', all.vectors, ({ bytes: data, allowed }) => ({ type: readJoining(bytes(data), allowed).type }))
  },

  'reconciliation.json'(file, all) {
    const bound = (one) => (one === reconcile.INFINITY ? null : [inJson(one.time), hex(one.prefix)])
    run(file, 'varints', all.varints, ({ value }) => ({ bytes: hex(reconcile.varint(BigInt(value))) }))
    run(file, 'fingerprints', all.fingerprints, ({ ids }) => ({
      fingerprint: hex(reconcile.fingerprint(ids.map((id) => ({ prefix: bytes(id) })))),
    }))
    run(file, 'bounds', all.bounds, ({ before, after }) => {
      const [first, second] = [before, after].map((item) => reconcile.sorted([item])[0])
      return { bound: bound(reconcile.boundBetween(first, second)) }
    })
    run(file, 'messages', all.messages, (vector) => {
      const data = bytes(vector.bytes ?? vector.start + vector.repeat.repeat(vector.times))
      return {
        ranges: reconcile.readMessage(data).map(({ upper, fingerprint, ids }) => ({
          upper: bound(upper),
          mode: ids ? 'id_list' : fingerprint ? 'fingerprint' : 'skip',
          ...(fingerprint && { fingerprint: hex(fingerprint) }),
          ...(ids && { ids: ids.map(hex) }),
        })),
      }
    })
    run(file, 'sessions', all.sessions, session)
    run(file, 'range_requests', all.range_requests, ({ frame }) => ({
      range: reconcile.readWantRange(bytes(frame)).map(bound),
    }))
  },
}

const inJson = (time) => (time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : String(time))

/** Read a session as its initiator, check each message against its sender's set, and hold one of our own. */
function session(vector) {
  const mine = reconcile.sorted(vector.initiator)
  const theirs = reconcile.sorted(vector.responder)
  const names = (items) => items.map((item) => hex(item.prefix))
  const inRanges = (items, ranges) => ranges.flatMap(([lower, upper]) => names(reconcile.within(items, lower, upper)))
  const point = (one) => (one === null ? reconcile.INFINITY : { time: BigInt(one[0]), prefix: bytes(one[1]) })
  const all = (ids, items, ranges) => [...new Set([...ids, ...inRanges(items, ranges)])].sort()
  const wanted = {
    have: all(vector.have, mine, vector.have_ranges.map((range) => range.map(point))),
    need: all(vector.need, theirs, vector.need_ranges.map((range) => range.map(point))),
  }
  const found = (initiator) => ({
    have: all(initiator.have, mine, []),
    need: all(initiator.need, theirs, initiator.needRanges),
  })
  for (const [i, message] of vector.messages.entries()) {
    const own = i % 2 ? theirs : mine
    for (const { lower, upper, fingerprint, ids } of reconcile.readMessage(bytes(message))) {
      const held = reconcile.within(own, lower, upper)
      if (fingerprint && !fingerprint.equals(reconcile.fingerprint(held))) throw new Error(`message ${i}: fingerprint`)
      if (ids && !isDeepStrictEqual(ids.map(hex), names(held))) throw new Error(`message ${i}: ids`)
    }
  }
  const reader = new reconcile.Initiator(mine, vector.ranges)
  for (let i = 1; i < vector.messages.length; i += 2) reader.take(bytes(vector.messages[i]))
  if (!isDeepStrictEqual(found(reader), wanted)) throw new Error('read from the messages otherwise')
  const speaker = new reconcile.Initiator(mine, vector.ranges)
  let rounds = 0
  for (let next = speaker.open(); next; next = speaker.take(reconcile.respond(theirs, next, vector.ranges))) {
    if (++rounds > 100) throw new Error('a session without end')
  }
  if (!isDeepStrictEqual(found(speaker), wanted)) throw new Error('a session of our own differs')
  return { name: vector.name }
}

loadRegistry(join(spec, 'registry.md'))
cutAt(vectorsOf('unicode14-unassigned.json').ranges)
for (const [lang, name] of [['fr', 'french'], ['en', 'english']]) {
  const { wordlist } = await import(`@scure/bip39/wordlists/${name}.js`)
  setList(lang, wordlist)
}

const tags = [...KINDS].map(([kind, { tag }]) => ({ name: kind, tag: tag.replaceAll('`', '') }))
run('registry.md', 'tags', tags, ({ name }) => ({ tag: hex(tagOf(name)) }))

const names = readdirSync(join(spec, 'vectors')).filter((name) => name.endsWith('.json')).sort()
for (const name of names) {
  const step = FILES[name] ?? ((file) => run(file, null, [{ name: 'no step reads this file' }], () => ({ name: null })))
  await step(name, vectorsOf(name))
}
process.stdout.write(`${JSON.stringify(report)}\n`)
