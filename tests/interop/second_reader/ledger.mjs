// The formats of the ledger: orders, entries, blocks, certificates, messages, proofs (spec/06-blocks).

import { decode, encode, refuse } from './encoding.mjs'
import { checkKey, prefix, sha256, verify } from './signatures.mjs'

const ZERO = Buffer.from([0])
const ONE = Buffer.from([1])
const FRAME = 262_144
const BODY = 131_072
const MOST = 2 ** 53 - 1

const isBin = (value) => value instanceof Uint8Array
const same = (one, other) => isBin(one) && isBin(other) && Buffer.compare(one, other) === 0
const bad = (rule) => refuse('malformed', rule)

// --- Shapes ---

/** An array of `least` to `most` items; too many of a list are too large, too many of a fixed number are not. */
function list(value, rule, least, most) {
  if (!Array.isArray(value) || value.length < least) bad(rule)
  if (value.length > most) least === most ? bad(rule) : refuse('too_large', rule)
  return value
}

const arrayOf = (bytes, most, rule) => {
  const value = decode(bytes, most)
  return Array.isArray(value) ? value : bad(rule)
}

const fixed = (value, size, rule) => (isBin(value) && value.length === size ? value : bad(rule))
const maybe = (value, size, rule) => (isBin(value) && value.length === 0 ? value : fixed(value, size, rule))

function bin(value, rule, least, most) {
  if (!isBin(value) || value.length < least) bad(rule)
  if (value.length > most) refuse('too_large', rule)
  return value
}

function int(value, rule, least = 0, most = MOST) {
  if (typeof value !== 'number' || value < least || value > most) bad(rule)
  return value
}

function quantity(value, least, most) {
  if (typeof value !== 'number') bad('amount_type')
  if (value < least || value > most) refuse('amount')
  return value
}

function goodKey(value, rule) {
  checkKey(fixed(value, 32, rule))
  return value
}

function code(value, rule, most) {
  if (typeof value !== 'string' || !/^[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?$/.test(value) || value.endsWith('\n')) bad(rule)
  if (value.length > most) refuse('too_large', rule)
  return value
}

const unit = (value) => int(value, 'unit', 0, 15)
const pay = (value) => quantity(value, 1, 10 ** 12)
const limit = (value) => quantity(value, 0, MOST)
const id = (value, rule) => fixed(value, 32, rule)
const account = (value, rule = 'account') => fixed(value, 16, rule)
const hashes = (value, rule, most) => list(value, rule, 0, most).map((one) => id(one, rule))

/** Rows of so many parts, whose first ascends. */
function ascending(value, rule, least, most, parts, read) {
  let last = null
  return list(value, rule, least, most).map((row) => {
    const found = read(list(row, rule, ...parts))
    const above = last === null || (isBin(last) ? Buffer.compare(last, row[0]) < 0 : last < row[0])
    if (!above) bad(rule)
    last = row[0]
    return found
  })
}

// --- Signatures and trees ---

/** Verify what is signed for a purpose in a federation. */
export const signed = (fed, purpose, key, body, signature) =>
  verify(key, Buffer.concat([Buffer.from(prefix(purpose)), fed, body]), signature)

export function treeRoot(leaves) {
  if (leaves.length === 0) return sha256()
  let level = leaves
  while (level.length > 1) {
    const above = []
    for (let i = 0; i < level.length; i += 2) {
      above.push(i + 1 < level.length ? sha256(ONE, level[i], level[i + 1]) : level[i])
    }
    level = above
  }
  return level[0]
}

const untrue = (rule) => refuse('evidence', rule)
// Numbers of leaves go up to 2^53: no bitwise operators, which cut to 32 bits.
const half = (number) => Math.floor(number / 2)
const odd = (number) => number % 2 === 1

export function checkInclusion(leaf, index, size, path, root) {
  if (!(index >= 0 && index < size)) untrue('path_index')
  if (path.length > 53) untrue('path_length')
  let [here, last, found] = [index, size - 1, leaf]
  for (const hash of path) {
    if (last === 0) untrue('path_length')
    if (odd(here) || here === last) {
      found = sha256(ONE, hash, found)
      while (!odd(here) && here !== 0) [here, last] = [half(here), half(last)]
    } else found = sha256(ONE, found, hash)
    ;[here, last] = [half(here), half(last)]
  }
  if (last !== 0) untrue('path_length')
  if (!same(found, root)) untrue('path_root')
}

export function checkConsistency(old, size, path, oldRoot, root) {
  if (!(old >= 0 && old <= size)) untrue('path_index')
  if (old === 0 || old === size) {
    if (path.length) untrue('path_length')
    if (!same(oldRoot, old === 0 ? sha256() : root)) untrue('path_root')
    return
  }
  const nodes = Number.isInteger(Math.log2(old)) ? [oldRoot, ...path] : [...path]
  if (nodes.length === 0) untrue('path_length')
  let [here, last] = [old - 1, size - 1]
  while (odd(here)) [here, last] = [half(here), half(last)]
  let [before, after] = [nodes[0], nodes[0]]
  for (const hash of nodes.slice(1)) {
    if (last === 0) untrue('path_length')
    if (odd(here) || here === last) {
      ;[before, after] = [sha256(ONE, hash, before), sha256(ONE, hash, after)]
      while (!odd(here) && here !== 0) [here, last] = [half(here), half(last)]
    } else after = sha256(ONE, after, hash)
    ;[here, last] = [half(here), half(last)]
  }
  if (last !== 0) untrue('path_length')
  if (!same(before, oldRoot) || !same(after, root)) untrue('path_root')
}

// --- Orders ---

function payment([, toCoop, toAccount, number, amount, ref, category]) {
  id(toCoop, 'to_coop')
  account(toAccount, 'to_account')
  unit(number)
  pay(amount)
  id(ref, 'ref')
  if (category !== '') code(category, 'category', 64)
  return { to_coop: toCoop, to_account: toAccount, unit: number, amount }
}

const ACTIONS = {
  1: [7, payment],
  2: [11, (parts) => {
    const found = payment(parts)
    int(parts[7], 'expiry')
    goodKey(parts[8], 'payee_key')
    if (parts[9]?.length !== 0) goodKey(parts[9], 'arbiter')
    maybe(parts[10], 32, 'hashlock')
    return found
  }],
  3: [7, ([, mandate, key, limits, period, start, end]) => {
    fixed(mandate, 16, 'mandate')
    goodKey(key, 'mandate_key')
    ascending(limits, 'mandate_limits', 1, 16, [2, 2], (row) => {
      int(row[0], 'mandate_limits', 0, 15)
      pay(row[1])
    })
    int(period, 'mandate_period', 3_600, 31_622_400)
    int(start, 'mandate_start')
    int(end, 'mandate_end', start + 1)
  }],
  4: [2, ([, mandate]) => fixed(mandate, 16, 'mandate')],
  5: [3, ([, add, drop]) => {
    if (same(add, drop) && add.length) bad('keys')
    if (add?.length !== 0) goodKey(add, 'keys')
    maybe(drop, 32, 'keys')
  }],
}

function readBody(bytes) {
  const [payer, seq, chain, until, action] = list(arrayOf(bytes, 512, 'order_body'), 'order_body', 5, 5)
  account(payer, 'order_account')
  int(seq, 'order_seq', 1)
  id(chain, 'order_chain')
  int(until, 'order_until')
  const [kind] = list(action, 'action', 2, 11)
  if (typeof kind !== 'number' || action.length !== ACTIONS[kind]?.[0]) bad('action')
  return { account: payer, seq, chain, until, action, kind, moved: ACTIONS[kind][1](action) }
}

function orderOf(value) {
  const [body, key, mandate, signature] = list(value, 'order', 4, 4)
  bin(body, 'order_body', 0, 512)
  fixed(key, 32, 'order_key')
  maybe(mandate, 16, 'order_mandate')
  fixed(signature, 64, 'order_signature')
  const order = { body, key, mandate, signature, ...readBody(body) }
  if (mandate.length && order.kind > 2) bad('order_mandate')
  return order
}

export const readOrder = (bytes) => orderOf(arrayOf(bytes, 672, 'order'))
export const orderId = (fed, body) => sha256(prefix('order'), fed, body)
export const checkOrder = (fed, order) => signed(fed, 'order', order.key, order.body, order.signature)

// --- Entries ---

export const leafOf = (salt, bytes) => sha256(ZERO, salt, bytes)

function confirmation(value) {
  const [kind, ...rest] = list(value, 'confirmation', 2, 3)
  if (kind === 1 && rest.length === 2) {
    goodKey(rest[0], 'confirmation')
    fixed(rest[1], 64, 'confirmation')
  } else if (kind === 2 && rest.length === 1) fixed(rest[0], 32, 'confirmation')
  else bad('confirmation')
}

const orderWith = (value, ...kinds) => {
  const order = orderOf(value)
  return kinds.includes(order.kind) ? order : bad('entry_action')
}
const positions = (value) => ascending(value, 'positions', 0, 16, [3, 3], (row) => {
  unit(row[0])
  limit(row[1])
  limit(row[2])
})
const onChannel = (value, least) => int(value, 'channel_number', least)

/** What kinds 8 and 9 share; `kinds` are those that they may carry. */
function foreign([, source, block, index, salt, bytes, path], kinds) {
  id(source, 'source')
  id(block, 'block_hash')
  int(index, 'entry_index', 0, 255)
  fixed(salt, 32, 'salt')
  bin(bytes, 'carried', 0, 4_096)
  // An array of at most 15 items has a header of one byte; then comes the kind.
  if (!(bytes.length > 1 && bytes[0] >> 4 === 9 && kinds.includes(bytes[1]))) bad('carried')
  hashes(path, 'entry_path', 8)
  return { source, salt, bytes }
}

const ENTRIES = {
  1: [5, ([, who, kind, key, rows]) => {
    account(who)
    int(kind, 'account_kind', 0, 2)
    goodKey(key, 'account_key')
    positions(rows)
  }],
  2: [2, ([, who]) => account(who)],
  3: [5, ([, who, number, least, most]) => [account(who), unit(number), limit(least), limit(most)]],
  4: [3, ([, who, key]) => [account(who), goodKey(key, 'account_key')]],
  5: [2, ([, order]) => ({ order: orderWith(order, 3, 4, 5) })],
  6: [2, ([, order]) => ({ order: orderWith(order, 1) })],
  7: [3, ([, order, n]) => ({ order: orderWith(order, 1), n: onChannel(n, 1) })],
  8: [7, (parts) => foreign(parts, [7, 9, 11, 13])],
  9: [8, (parts) => ({ ...foreign(parts, [7, 11, 13]), n: onChannel(parts[7], 1) })],
  10: [2, ([, order]) => ({ order: orderWith(order, 2) })],
  11: [6, ([, who, hold, said, n, body]) => {
    account(who)
    id(hold, 'hold')
    confirmation(said)
    onChannel(n, 0)
    bin(body, 'order_body', 0, 512)
    if ((n === 0) !== (body.length === 0)) bad('order_body')
    return { account: who, hold, n, body }
  }],
  12: [4, ([, who, hold, release]) => {
    account(who)
    id(hold, 'hold')
    if (list(release, 'release', 0, 2).length === 1) bad('release')
    if (release.length) [fixed(release[0], 32, 'release'), fixed(release[1], 64, 'release')]
  }],
  13: [8, ([, who, number, amount, toCoop, toAccount, ref, n]) => {
    if (!same(who, Buffer.alloc(16))) bad('account')
    unit(number)
    pay(amount)
    id(toCoop, 'to_coop')
    account(toAccount, 'to_account')
    id(ref, 'ref')
    onChannel(n, 0)
    return { account: who, unit: number, amount, to_coop: toCoop, to_account: toAccount, n }
  }],
}

export function readEntry(bytes) {
  const parts = arrayOf(bytes, 4_096, 'entry')
  const form = typeof parts[0] === 'number' ? ENTRIES[parts[0]] : null
  if (!form) bad('entry_kind')
  if (parts.length !== form[0]) bad('entry_parts')
  return { kind: parts[0], ...form[1](parts) }
}

/** The message that an entry sends over a channel, or null. */
export function messageOf(fed, entry, leaf) {
  const ordered = (order, n, name) => ({
    ...order.moved, n, from_account: order.account, id: name, returned: false,
  })
  if (entry.kind === 7) return ordered(entry.order, entry.n, orderId(fed, entry.order.body))
  if (entry.kind === 11 && entry.n) {
    const order = readBody(entry.body)
    const fits = order.kind === 2 && same(order.account, entry.account) && same(orderId(fed, entry.body), entry.hold)
    return fits ? ordered(order, entry.n, entry.hold) : untrue('posted_order')
  }
  if (entry.kind === 13 && entry.n) {
    const { to_coop, to_account, unit: number, amount, n } = entry
    return { to_coop, to_account, unit: number, amount, n, from_account: entry.account, id: leaf, returned: false }
  }
  if (entry.kind === 9) {
    const first = messageOf(fed, readEntry(entry.bytes), leafOf(entry.salt, entry.bytes)) ?? untrue('carried')
    const { from_account, to_account } = first
    return { ...first, to_coop: entry.source, n: entry.n, from_account: to_account, to_account: from_account, returned: true }
  }
  return null
}

// --- Blocks ---

const HEADER = ['fed', 'chain', 'height', 'prev', 'charter', 'charter', 'time', 'entries', 'count', 'state', 'history', 'size']

export function readHeader(bytes) {
  const parts = arrayOf(bytes, 256, 'header')
  if (typeof parts[0] !== 'number') bad('header')
  if (parts[0] !== 1) refuse('version_unsupported')
  if (parts.length !== 13) bad('header')
  const bounds = { height: [1, MOST], count: [0, 256], size: [1, BODY] }
  HEADER.forEach((name, i) => {
    const part = parts[i + 1]
    if ([0, 1, 3, 7, 9, 10].includes(i)) id(part, `header_${name}`)
    else int(part, `header_${name}`, ...(bounds[name] ?? []))
  })
  const [, fed, chain, h, , c, c2, time, entries, count, , history, size] = parts
  if (c2 < c) bad('header_charter')
  return { bytes, fed, chain, h, c, c2, time, entries, count, history, size, hash: sha256(prefix('block'), bytes) }
}

export const genesis = (fed, chain) => sha256(prefix('genesis'), fed, chain)

function evidenceOf(value) {
  const [header, carrier, proof, path] = list(value, 'evidence', 4, 4)
  return {
    header: readHeader(bin(header, 'evidence', 0, 256)),
    carrier: readHeader(bin(carrier, 'evidence', 0, 256)),
    certificate: readCertificate(bin(proof, 'evidence', 0, 4_608)),
    path: hashes(path, 'evidence_path', 53),
  }
}

export const readEvidence = (bytes) => evidenceOf(arrayOf(bytes, BODY, 'evidence'))

export function checkEvidence(fed, committee, { header, carrier, certificate, path }) {
  if (![header, carrier].every((one) => same(one.fed, fed))) untrue('federation')
  if (path.length) {
    if (!same(header.chain, carrier.chain) || header.h >= carrier.h) untrue('carrier')
    checkInclusion(sha256(ZERO, header.hash), header.h, carrier.h, path, carrier.history)
  } else if (!same(header.bytes, carrier.bytes)) untrue('carrier')
  const { c, chain, h, block } = certificate
  if (!(same(block, carrier.hash) && same(chain, carrier.chain) && h === carrier.h && c === carrier.c)) untrue('certificate')
  checkCertificate(fed, committee, certificate)
}

const approvals = (value, rule) => ascending(value, rule, 0, 300, [2, 2], (row) => {
  id(row[0], rule)
  fixed(row[1], 64, rule)
})

export function readBlockBody(bytes, ofCharter) {
  const [entries, proofs] = list(arrayOf(bytes, BODY, 'body'), 'body', 2, 2)
  const leaves = list(entries, 'body_entries', 0, 256).map((entry) => {
    if (isBin(entry)) return fixed(entry, 32, 'body_entry')
    const [salt, data] = list(entry, 'body_entry', 2, 2)
    fixed(salt, 32, 'body_salt')
    return leafOf(salt, bin(data, 'body_entry', 1, BODY))
  })
  if (ofCharter) approvals(proofs, 'body_approvals')
  else list(proofs, 'body_evidence', 0, 256).forEach(evidenceOf)
  const left = entries.filter(Array.isArray)
  return { root: treeRoot(leaves), count: leaves.length, erased: leaves.length - left.length, size: encode(left).length }
}

function blockOf(value) {
  const [headerBytes, bodyBytes, proof, delta] = list(value, 'block', 2, 4)
  if (value.length === 3) bad('block')
  const header = readHeader(bin(headerBytes, 'block', 0, 256))
  const body = readBlockBody(bin(bodyBytes, 'block', 0, BODY), same(header.chain, header.fed))
  if (value.length === 2) return { header, body, proof: null, delta: [] }
  bin(proof, 'block', 0, 32_768)
  const rows = ascending(delta, 'delta', 0, 1_024, [2, 3], ([slot, row, ...leaf]) => {
    int(slot, 'delta', 0, 2 ** 32 - 1)
    bin(row, 'delta', 0, 32_768)
    if ((row.length === 0) !== (leaf.length === 1)) bad('delta')
    return [slot, row.length ? sha256(ZERO, row) : fixed(leaf[0], 32, 'delta')]
  })
  return { header, body, proof, delta: rows }
}

export const readBlock = (bytes) => blockOf(arrayOf(bytes, 261_120, 'block'))

export function checkBlock({ header, body }) {
  if (body.count !== header.count) refuse('bad_block', 'count')
  if (!body.erased && body.size !== header.size) refuse('bad_block', 'size')
  if (!same(body.root, header.entries)) refuse('bad_block', 'entries_root')
}

// --- Terms, committees, certificates ---

export const faults = (n) => Math.floor((n - 1) / 3)
export const usualQuorum = (n) => Math.ceil((n + faults(n) + 1) / 2)

export function committee(n, q) {
  if (!(n >= 1 && n <= 64 && n < 2 * q && q <= n)) refuse('committee')
  return { liars: 2 * q - n - 1, silent: n - q }
}

export function termOf(value) {
  const [counter, nonce, key] = list(value, 'term', 3, 3)
  int(counter, 'term', 1)
  fixed(nonce, 16, 'term')
  fixed(key, 32, 'term')
  return value
}

export const compareTerms = ([a, b, c], [x, y, z]) => Math.sign(a - x) || Buffer.compare(b, y) || Buffer.compare(c, z)

function quorumOf(parts, rule) {
  const [c, chain, h, term, block, bitmap, signatures] = parts
  int(c, rule)
  id(chain, rule)
  int(h, rule, 1)
  termOf(term)
  id(block, rule)
  bin(bitmap, rule, 1, 8)
  list(signatures, rule, 1, 64).forEach((signature) => fixed(signature, 64, rule))
  return { c, chain, h, term, block, bitmap, signatures }
}

export const readCertificate = (bytes) =>
  quorumOf(list(arrayOf(bytes, 4_608, 'certificate'), 'certificate', 7, 7), 'certificate')

export function readVotes(bytes) {
  const parts = list(arrayOf(bytes, 5_184, 'vote_qc'), 'vote_qc', 8, 8)
  const found = quorumOf(parts, 'vote_qc')
  const many = found.signatures.length
  return { ...found, counters: list(parts[7], 'vote_qc', many, many).map((one) => int(one, 'vote_qc', 1)) }
}

/** Judge a certificate, or votes (which have counters), by a committee { keys, quorum }. */
export function checkCertificate(fed, { keys, quorum }, found) {
  const { c, chain, h, term, block, bitmap, signatures, counters } = found
  const n = keys.length
  const wrong = (rule) => refuse('certificate', rule)
  if (bitmap.length !== Math.ceil(n / 8)) wrong('bitmap_length')
  const places = [...Array(bitmap.length * 8).keys()].filter((i) => (bitmap[i >> 3] >> (i & 7)) & 1)
  if (places.some((place) => place >= n)) wrong('bitmap_spare')
  if (places.length !== signatures.length) wrong('bitmap_count')
  if (places.length < quorum) refuse('no_quorum')
  const said = [c, chain, h, term, block]
  places.forEach((place, i) => {
    try {
      if (counters) signed(fed, 'vote', keys[place], encode([...said, counters[i]]), signatures[i])
      else signed(fed, 'commit', keys[place], encode(said), signatures[i])
    } catch {
      wrong('signature')
    }
  })
}

// --- Messages ---

const REASONS = ['term', 'lease', 'frozen', 'unauthorised', 'not_witness', 'not_opened', 'height', 'locked', 'voted',
  'invalid', 'time', 'charter_old', 'confirmed_hold', 'quota', 'unknown_chain', 'counter']
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

const at = (value, least = 1) => int(value, 'height', least)
const chainOf = (value) => id(value, 'chain')
const signature = (value) => fixed(value, 64, 'signature')
const witness = (value) => goodKey(value, 'witness')
const blockHash = (value) => id(value, 'block_hash')
const charter = (value) => int(value, 'charter')

function echo(value) {
  if (list(value, 'echo', 0, 7).length === 0) return
  const [c, chain, h, term, block, counter, sig] = list(value, 'echo', 7, 7)
  int(c, 'echo')
  id(chain, 'echo')
  int(h, 'echo', 1)
  termOf(term)
  id(block, 'echo')
  int(counter, 'echo', 1)
  fixed(sig, 64, 'echo')
}

function promise([, chain, term, head, lock, w, sig, proof, votes, block]) {
  chainOf(chain)
  termOf(term)
  const [h, hash] = list(head, 'head', 2, 2)
  at(h, 0)
  blockHash(hash)
  if (list(lock, 'lock', 0, 3).length !== 0) {
    list(lock, 'lock', 3, 3)
    at(lock[0])
    termOf(lock[1])
    blockHash(lock[2])
  }
  witness(w)
  signature(sig)
  bin(proof, 'certificate', 0, 4_608)
  bin(votes, 'vote_qc', 0, 5_184)
  bin(block, 'block', 0, 261_120)
  if (lock.length === 0 && (votes.length || block.length)) bad('lock')
  if (h === 0 && proof.length) bad('certificate')
}

function promiseIn(value) {
  const parts = arrayOf(bin(value, 'message', 0, FRAME), FRAME, 'message')
  if (parts[0] !== 2) bad('message_type')
  if (parts.length !== 10) bad('message_parts')
  promise(parts)
}

const headIn = ([header, proof]) => {
  const found = readHeader(bin(header, 'heads', 0, 256))
  bin(proof, 'heads', 1, 32_768)
  return found.chain
}

function headsIn(value) {
  const chains = list(value, 'heads', 0, 601).map((row) => headIn(list(row, 'heads', 2, 2)))
  if (chains.some((chain, i) => i && Buffer.compare(chains[i - 1], chain) >= 0)) bad('heads')
}

function confirm([, chain, hold, said]) {
  chainOf(chain)
  id(hold, 'hold')
  confirmation(said)
}

const proposal = (bytes, coops) => [bin(bytes, 'proposal', 1, 98_304), approvals(coops, 'approvals')]

// Type: the number of parts, what reads them, and for what is signed: purpose, who, the body's parts and the signature.
const MESSAGES = {
  1: [5, ([, chain, term, sig, said]) => [chainOf(chain), termOf(term), signature(sig), echo(said)],
    ([, chain, term, sig]) => ['prepare', term[2], [chain, term], sig]],
  2: [10, promise, ([, chain, term, head, lock, w, sig]) => ['promise', w, [chain, term, head, lock], sig]],
  3: [9, ([, chain, term, h, reason, hash, w, sig, evidence]) => {
    chainOf(chain)
    termOf(term)
    at(h, 0)
    if (!REASONS.includes(reason)) bad('reason')
    witness(w)
    signature(sig)
    bin(evidence, 'evidence', 0, 2_048)
    if (!same(hash, evidence.length ? sha256(evidence) : evidence)) bad('evidence_hash')
  }, ([, chain, term, h, reason, hash, w, sig]) => ['refuse', w, [chain, term, h, reason, hash], sig]],
  4: [4, ([, chain, term, promises]) => {
    chainOf(chain)
    termOf(term)
    list(promises, 'promises', 1, 64).forEach(promiseIn)
  }],
  5: [7, ([, chain, term, h, block, sig, said]) => {
    chainOf(chain)
    termOf(term)
    at(h)
    const { header } = blockOf(list(block, 'block', 2, 2))
    signature(sig)
    echo(said)
    if (!same(header.chain, chain) || header.h !== h) bad('block')
  }, ([, chain, term, h, block, sig]) => ['propose', term[2], [chain, term, h, readHeader(block[0]).hash], sig]],
  6: [9, ([, c, chain, h, term, block, counter, w, sig]) => {
    charter(c)
    chainOf(chain)
    at(h)
    termOf(term)
    blockHash(block)
    int(counter, 'counter', 1)
    witness(w)
    signature(sig)
  }, ([, c, chain, h, term, block, counter, w, sig]) => ['vote', w, [c, chain, h, term, block, counter], sig]],
  7: [2, ([, votes]) => readVotes(bin(votes, 'vote_qc', 0, 5_184))],
  8: [8, ([, c, chain, h, term, block, w, sig]) => {
    charter(c)
    chainOf(chain)
    at(h)
    termOf(term)
    blockHash(block)
    witness(w)
    signature(sig)
  }, ([, c, chain, h, term, block, w, sig]) => ['commit', w, [c, chain, h, term, block], sig]],
  9: [2, ([, proof]) => readCertificate(bin(proof, 'certificate', 0, 4_608))],
  10: [4, ([, chain, h, block]) => [chainOf(chain), at(h), blockHash(block)]],
  11: [3, ([, chain, from]) => [chainOf(chain), at(from)]],
  12: [4, ([, chain, from, to]) => [chainOf(chain), at(from), at(to, from)]],
  13: [3, ([, chain, blocks]) => {
    const found = list(blocks, 'blocks', 0, 256).map((block) => blockOf(list(block, 'block', 4, 4)).header)
    chainOf(chain)
    if (found.some((one, i) => !same(one.chain, chain) || one.h !== found[0].h + i)) bad('blocks')
  }],
  14: [2, ([, heads]) => ascending(heads, 'heads', 0, 601, [2, 2], (row) => [chainOf(row[0]), at(row[1], 0)])],
  15: [2, ([, heads]) => headsIn(heads)],
  16: [4, confirm],
  17: [7, ([, chain, hold, hash, c, w, sig]) => {
    chainOf(chain)
    id(hold, 'hold')
    id(hash, 'confirmation')
    charter(c)
    witness(w)
    signature(sig)
  }, ([, chain, hold, hash, c, w, sig]) => ['ack', w, [chain, hold, hash, c], sig]],
  18: [3, ([, bytes, coops]) => proposal(bytes, coops)],
  19: [1, () => null],
  20: [2, ([, order]) => readOrder(bin(order, 'order', 0, 672))],
  21: [4, ([, order, status, facts]) => {
    if (!(facts instanceof Map) || encode(facts).length > 2_048) bad('facts')
    id(order, 'order_id')
    code(status, 'status', 32)
  }],
  22: [2, ([, proof]) => bin(proof, 'fraud', 1, 1_024)],
  23: [3, ([, name, text]) => {
    code(name, 'code', 64)
    if (typeof text !== 'string' || CONTROL.test(text)) bad('text')
    if (Buffer.byteLength(text) > 500) refuse('too_large', 'text')
  }],
  24: [4, ([, chain, hold, release]) => {
    chainOf(chain)
    id(hold, 'hold')
    list(release, 'release', 2, 2)
    fixed(release[0], 32, 'release')
    fixed(release[1], 64, 'release')
  }],
}

export function readMessage(bytes) {
  const parts = arrayOf(bytes, FRAME, 'message')
  const form = typeof parts[0] === 'number' ? MESSAGES[parts[0]] : null
  if (!form) bad('message_type')
  if (parts.length !== form[0]) bad('message_parts')
  form[1](parts)
  return parts
}

export function checkMessage(fed, parts) {
  const [purpose, key, body, sig] = MESSAGES[parts[0]][2](parts)
  signed(fed, purpose, key, encode(body), sig)
}

export function readHints(bytes) {
  const [version, hints, ...rest] = arrayOf(bytes, 65_536, 'hints')
  if (typeof version !== 'number') bad('hints')
  if (version !== 2) refuse('version_unsupported')
  if (hints === undefined || rest.length) bad('hints')
  return list(hints, 'hints', 1, 64).map((hint) => {
    const [kind] = list(hint, 'hint', 2, 4)
    const many = { 1: 3, 2: 2, 3: 4, 4: 3 }[kind]
    if (typeof kind !== 'number' || hint.length !== many) bad('hint')
    if (kind === 1) headIn(hint.slice(1))
    if (kind === 2) bin(hint[1], 'fraud', 1, 1_024)
    if (kind === 3) confirm(hint)
    if (kind === 4) proposal(hint[1], hint[2])
    return kind
  })
}

// --- Fraud ---

export function readFraud(bytes, fed) {
  const parts = arrayOf(bytes, 1_024, 'fraud')
  const none = (rule) => refuse('fraud_proof', rule)
  const inOrder = (a, b) => {
    if (same(a, b)) none('same_block')
    if (Buffer.compare(a, b) > 0) bad('fraud_order')
  }
  let found
  let said
  if (parts[0] === 1 && parts.length === 8) {
    const [, chain, term, h, a, sigA, b, sigB] = parts
    id(chain, 'fraud_chain')
    termOf(term)
    int(h, 'fraud_height', 1)
    for (const hash of [a, b]) id(hash, 'fraud_block')
    for (const sig of [sigA, sigB]) fixed(sig, 64, 'fraud_signature')
    inOrder(a, b)
    found = { accused: term[2], chain, h }
    said = [[a, sigA], [b, sigB]].map(([hash, sig]) => ['propose', term[2], [chain, term, h, hash], sig])
  } else if (parts[0] === 2 && parts.length === 4) {
    const frames = parts.slice(2).map((frame) => {
      const inner = arrayOf(bin(frame, 'fraud_frame', 0, 1_024), 1_024, 'fraud_frame')
      return [6, 8].includes(inner[0]) ? readMessage(frame) : bad('fraud_frame')
    })
    const [one, other] = frames
    if (one[0] !== other[0]) none('not_same_kind')
    const place = ([type, , chain, h, term, , ...rest]) => encode([rest[type === 6 ? 1 : 0], chain, h, term])
    if (!same(place(one), place(other))) none('not_same_place')
    inOrder(one[5], other[5])
    const key = one[one[0] === 6 ? 7 : 6]
    if (!same(parts[1], key)) none('not_same_place')
    found = { accused: key, chain: one[2], h: one[3] }
    said = frames.map((frame) => MESSAGES[frame[0]][2](frame))
  } else bad('fraud')
  for (const [purpose, key, body, sig] of said) {
    try {
      signed(fed, purpose, key, encode(body), sig)
    } catch {
      none('signature')
    }
  }
  return { ...found, hash: sha256(prefix('fraud'), bytes) }
}
