// The charter: its state, its entries, its chain (spec/06-charter).

import { Refused, decode, encode, refuse } from './encoding.mjs'
import { tables } from './registry.mjs'
import { checkKey, coopId, prefix, sha256, verify } from './signatures.mjs'

const ZERO = Buffer.from([0])
const ONE = Buffer.from([1])
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const same = (one, other) => Buffer.compare(one, other) === 0
const isBin = (value) => value instanceof Uint8Array

// --- Trees (RFC 6962) ---

export function treeRoot(leaves) {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return leaves[0]
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return sha256(ONE, treeRoot(leaves.slice(0, split)), treeRoot(leaves.slice(split)))
}

// --- Entries ---

const UNITS = 16
const WITNESSES = 64
const COOPS = 300
const EVER = 600
const MOST = 2 ** 53 - 1
const RULES = { approvals: [1, 300], recovery_s: [0, 31_622_400], accounts_max: [1, 1_000_000] }

const bin = (...sizes) => (value) => {
  if (!isBin(value)) refuse('schema', 'type')
  if (!sizes.includes(value.length)) refuse('schema', 'size')
}
const int = (least, most) => (value) => {
  if (typeof value !== 'number') refuse('schema', 'type')
  if (value < least || value > most) refuse('schema', 'range')
}
const oneOf = (...words) => (value) => {
  if (typeof value !== 'string') refuse('schema', 'type')
  if (!words.includes(value)) refuse('schema', 'one_of')
}
const typed = (find) => (value) => {
  const { type } = find(tables.get('founding-document').fields)
  if (!type.is(value)) refuse('schema', 'type')
  type.check(value, '')
}
const rows = (least, most, ...columns) => (value) => {
  if (!Array.isArray(value)) refuse('schema', 'type')
  if (value.length > most) refuse('schema', 'too_many')
  if (value.length < least) refuse('schema', 'too_few')
  let last = null
  for (const row of value) {
    if (!Array.isArray(row)) refuse('schema', 'type')
    if (row.length !== columns.length) refuse('schema', 'parts')
    columns.forEach((check, i) => check(row[i]))
    const [first] = row
    const above = last === null || (isBin(first) ? Buffer.compare(last, first) < 0 : last < first)
    if (!above) refuse('schema', 'order')
    last = first
  }
}

const id = bin(32)
const maybe = bin(0, 32)
const name = typed((fields) => fields.get('name'))
const heads = rows(1, EVER, id, int(0, MOST), id)
const limits = rows(0, UNITS, int(0, UNITS - 1), int(0, MOST))

const ENTRIES = {
  1: ['admit', id, id, id, maybe, name, limits, int(0, 1_000_000)],
  2: ['remove', id, id],
  3: ['key', id, oneOf('writer', 'witness'), maybe],
  4: ['limit', id, int(0, UNITS - 1), int(0, MOST)],
  5: ['trustee', id, maybe],
  6: ['quorum', int(1, WITNESSES)],
  7: ['unit', typed((fields) => fields.get('units').below.fields.get('code')), oneOf('hours', 'credit', 'count'),
    int(0, 6), name],
  8: ['retire', int(1, MOST), id, heads],
  9: ['clear', id, id],
  10: ['rule', oneOf(...Object.keys(RULES)), int(0, MOST)],
  11: ['refound', heads, rows(1, COOPS, id, maybe, maybe), int(1, WITNESSES)],
}

const twice = (keys) => new Set(keys.map(hex)).size !== keys.length

export function readEntry(bytes) {
  const value = decode(bytes, 96_256)
  if (!Array.isArray(value) || typeof value[0] !== 'number' || !ENTRIES[value[0]]) refuse('malformed')
  const [kind, ...checks] = ENTRIES[value[0]]
  const parts = value.slice(1)
  if (parts.length !== checks.length) refuse('malformed')
  checks.forEach((check, i) => check(parts[i]))
  let keys = []
  if (kind === 'admit') keys = parts.slice(0, 4).filter((key) => key.length)
  if (kind === 'key') keys = [parts[2]]
  if (kind === 'refound') keys = parts[1].flatMap((row) => row.slice(1))
  if (kind === 'admit' && twice(keys)) refuse('schema', 'key_twice')
  if (kind === 'rule' && (parts[1] < RULES[parts[0]][0] || parts[1] > RULES[parts[0]][1])) refuse('schema', 'range')
  keys.filter((key) => key.length).forEach(checkKey)
  return { kind, parts }
}

// --- The state ---

const because = (reason) => refuse('charter', reason)
const NONE = Buffer.alloc(0)

export function foundingState(bytes) {
  const document = decode(bytes, 131_072)
  const terms = document.get('ledger')
  if (!terms) refuse('no_ledger')
  const given = (terms.get('limits') ?? []).map((one) => [one.get('unit'), one.get('limit')])
  const own = given.sort(([one], [other]) => one - other)
  return {
    height: 0,
    coops: document.get('coops').map((coop) => ({
      id: coopId(coop.get('root')),
      root: coop.get('root'),
      node: coop.get('node_key'),
      writer: coop.get('writer'),
      witness: coop.get('witness') ?? NONE,
      name: coop.get('name'),
      limits: own,
      accounts: 1_000_000,
      entered: 0,
      trustee: NONE,
      left: false,
    })),
    units: document.get('units').map((unit) => ['code', 'kind', 'decimals', 'label'].map((key) => unit.get(key))),
    quorum: terms.get('quorum'),
    approvals: terms.get('approvals'),
    recovery_s: terms.get('recovery_s'),
    accounts_max: terms.get('accounts_max'),
    retired_below: 0,
    retired_heads: [],
    refounded: 0,
    cleared: [],
    spent: [],
  }
}

export function encodeState(state) {
  const { coops, ...rest } = state
  const rowsOf = coops.map((c) => [c.root, c.node, c.writer, c.witness, c.name, c.limits, c.accounts, c.entered,
    c.trustee, c.left])
  return encode(new Map(Object.entries({ v: 1, coops: rowsOf, ...rest })))
}

export const stateRoot = (state) => sha256(ZERO, encodeState(state))
const members = (state) => state.coops.filter((coop) => !coop.left)
export const witnesses = (state) => members(state).map((coop) => coop.witness).filter((key) => key.length)
const find = (state, coop) => state.coops.find((one) => same(one.id, coop))

export function writers(state, chain) {
  const coop = find(state, chain)
  if (!coop) return []
  const trustee = coop.trustee.length ? find(state, coop.trustee) : null
  const keys = [coop.left ? NONE : coop.writer, trustee && !trustee.left ? trustee.writer : NONE]
  return keys.filter((key) => key.length).map(hex).sort()
}

export function nextState(before, entries) {
  if (!entries.length) because('empty')
  if (entries.length > 1 && entries.some(({ kind }) => kind === 'refound')) because('refound_alone')
  const state = structuredClone(before)
  for (const coop of state.coops) {
    for (const key of ['id', 'root', 'node', 'writer', 'witness', 'trustee']) coop[key] = Buffer.from(coop[key])
  }
  state.height += 1
  for (const { kind, parts } of entries) APPLY[kind](state, before, ...parts)
  state.cleared = state.cleared.slice(-1000)
  state.spent = state.spent.slice(-1000)
  checkWhole(state)
  return state
}

const live = (state, coop) => {
  const found = find(state, coop)
  return found && !found.left ? found : because('coop_unknown')
}
const keysOf = (coop) => [coop.root, coop.node, coop.writer, coop.witness].filter((key) => key.length)
const checkNew = (state, key) => {
  if (state.coops.flatMap(keysOf).some((one) => same(one, key))) because('key_in_use')
  if (state.spent.some((one) => same(one, key))) because('key_spent')
}
const spend = (state, key) => key.length && state.spent.push(key)
const checkUnit = (state, unit) => {
  if (unit >= state.units.length) because('unit_unknown')
  if (state.units[unit][1] === 'count') because('unit_count')
}
const checkTrustee = (state, coop, trustee) => {
  if (same(coop, trustee)) because('trustee_itself')
  if (!find(state, trustee)) because('trustee_unknown')
}
const checkHeads = (state, list) => {
  const wanted = state.coops.map((coop) => hex(coop.id)).sort()
  if (wanted.join() !== list.map(([chain]) => hex(chain)).join()) because('heads')
  for (const [chain, h, block] of list) {
    const pinned = state.retired_heads.find(([one]) => same(one, chain))
    if (pinned && (h < pinned[1] || (h === pinned[1] && !same(block, pinned[2])))) because('heads')
  }
}

const APPLY = {
  admit(state, before, root, node, writer, witness, called, own, accounts) {
    const coop = coopId(root)
    if (find(state, coop)) because('coop_known')
    if (members(state).length >= COOPS || state.coops.length >= EVER) because('coops_full')
    for (const key of [root, node, writer, witness]) if (key.length) checkNew(state, key)
    for (const [unit] of own) checkUnit(state, unit)
    state.coops.push({ id: coop, root, node, writer, witness, name: called, limits: own, accounts,
      entered: state.height, trustee: NONE, left: false })
  },
  remove(state, before, coop, trustee) {
    const found = live(state, coop)
    checkTrustee(state, coop, trustee)
    spend(state, found.writer)
    spend(state, found.witness)
    Object.assign(found, { left: true, trustee, writer: NONE, witness: NONE })
  },
  key(state, before, coop, role, key) {
    const found = live(state, coop)
    if (same(found[role], key)) because(key.length ? 'key_same' : 'key_missing')
    if (key.length) checkNew(state, key)
    spend(state, found[role])
    found[role] = key
  },
  limit(state, before, coop, unit, limit) {
    const found = live(state, coop)
    checkUnit(state, unit)
    const others = found.limits.filter(([one]) => one !== unit)
    found.limits = [...others, [unit, limit]].sort(([one], [other]) => one - other)
  },
  trustee(state, before, coop, trustee) {
    const found = find(state, coop) ?? because('coop_unknown')
    if (same(found.trustee, trustee)) because('trustee_same')
    if (trustee.length) checkTrustee(state, coop, trustee)
    found.trustee = trustee
  },
  quorum(state, before, quorum) {
    state.quorum = quorum
  },
  unit(state, before, ...unit) {
    if (state.units.some(([code]) => code === unit[0])) because('unit_known')
    if (state.units.length >= UNITS) because('units_full')
    state.units.push(unit)
  },
  retire(state, before, below, root, list) {
    if (!(state.retired_below < below && below <= before.height)) because('epoch')
    checkHeads(state, list)
    if (!same(treeRoot(list.map((head) => sha256(ZERO, encode(head)))), root)) because('heads_root')
    state.retired_below = below
    state.retired_heads = list
  },
  clear(state, before, chain, fraud) {
    if (!find(state, chain)) because('chain_unknown')
    if (state.cleared.some(([one, proof]) => same(one, chain) && same(proof, fraud))) because('cleared')
    const now = writers(state, chain)
    if (writers(before, chain).every((key) => now.includes(key))) because('writer_stays')
    state.cleared.push([chain, fraud])
  },
  rule(state, before, rule, value) {
    if (state[rule] === value) because('rule_same')
    state[rule] = value
  },
  refound(state, before, list, named, quorum) {
    checkHeads(state, list)
    for (const [coop] of named) live(state, coop)
    for (const coop of members(state)) {
      const [, writer, witness] = named.find(([one]) => same(one, coop.id)) ?? [null, coop.writer, NONE]
      for (const [role, key] of [['writer', writer], ['witness', witness]]) {
        if (key.length && !same(coop[role], key)) checkNew(state, key)
      }
      for (const key of [coop.writer, coop.witness]) {
        if (key.length && !same(key, writer) && !same(key, witness)) spend(state, key)
      }
      Object.assign(coop, { writer, witness })
    }
    Object.assign(state, { quorum, refounded: state.height, retired_below: state.height, retired_heads: list })
  },
}

function checkWhole(state) {
  const n = witnesses(state).length
  if (n === 0) because('last_witness')
  if (n > WITNESSES) because('witnesses_full')
  if (state.quorum > n) because('quorum_unreachable')
  if (2 * state.quorum <= n) because('quorum_unsafe')
  if (state.approvals > members(state).length) because('approvals_unreachable')
  for (const coop of state.coops) {
    if (coop.trustee.length) {
      const trustee = find(state, coop.trustee)
      if (trustee.left || !trustee.writer.length) because('trustee_unknown')
    }
    if (!writers(state, coop.id).length) because('no_writer')
  }
}

// --- Proposals and approvals ---

export function readProposal(bytes) {
  const value = decode(bytes, 98_304)
  if (!Array.isArray(value) || value.length !== 3) refuse('malformed')
  const [base, entries, title] = value
  entries.forEach(readEntry)
  return { base, entries, title, hash: proposalHash(base, entries) }
}

const proposalHash = (base, entries) => sha256(prefix('proposal'), encode([base, entries]))
const counts = (key, message, signature) => {
  try {
    verify(key, message, signature)
    return true
  } catch (error) {
    if (error instanceof Refused) return false
    throw error
  }
}

export function checkApproval(state, fed, proposal, coop, signature) {
  const found = find(state, coop)
  if (!found || found.left) because('coop_unknown')
  const message = Buffer.concat([Buffer.from(prefix('approve')), fed, proposal])
  const keys = [found.writer, found.root].filter((key) => key.length)
  if (!keys.some((key) => counts(key, message, signature))) refuse('bad_signature')
}

// --- The chain ---

const bad = (reason) => refuse('bad_block', reason)

export class Chain {
  constructor(fed, founding) {
    this.fed = fed
    this.state = foundingState(founding)
    this.hashes = [sha256(prefix('genesis'), fed, fed)]
    this.time = 0
  }

  /** Take over a certified next block, and return its hash. */
  take(bytes) {
    const [headerBytes, bodyBytes, certificate] = decode(bytes, 262_144)
    const [, fed, chain, h, prev, c, c2, time, entriesRoot, count, root, history, size] = decode(headerBytes, 320)
    const [placed, approvals] = decode(bodyBytes, 131_072)
    const k = this.state.height + 1
    if (!same(fed, this.fed) || !same(chain, this.fed)) bad('chain')
    if (h > k) refuse('need_blocks')
    if (h < k) bad('height')
    if (!same(prev, this.hashes.at(-1))) bad('prev')
    if (c !== k - 1 || c2 !== k) bad('charter')
    if (time < this.time) bad('time')
    if (!same(history, treeRoot(this.hashes.map((one) => sha256(ZERO, one))))) bad('history_root')
    if (placed.length !== count) bad('count')
    const whole = placed.every(Array.isArray)
    if (whole && encode(placed).length !== size) bad('size')
    const leaves = placed.map((one) => (Array.isArray(one) ? sha256(ZERO, ...one) : one))
    if (!same(treeRoot(leaves), entriesRoot)) bad('entries_root')
    if (!whole) bad('erased')
    const entries = placed.map(([, entry]) => entry)
    const read = entries.map(readEntry)
    const made = nextState(this.state, read)
    if (!same(stateRoot(made), root)) bad('state_root')
    const again = read[0].kind === 'refound'
    if (again && approvals.length) bad('approvals')
    if (!again) {
      if (approvals.length < this.state.approvals) refuse('not_approved')
      const proposal = proposalHash(k - 1, entries)
      for (const [coop, signature] of approvals) checkApproval(this.state, this.fed, proposal, coop, signature)
    }
    const hash = sha256(prefix('block'), headerBytes)
    if (!certificate.length) refuse('not_certified')
    if (again) this.refounded(certificate, h, hash)
    else this.certified(certificate, c, h, hash)
    Object.assign(this, { state: made, time })
    this.hashes.push(hash)
    return hash
  }

  certified(bytes, c, h, hash) {
    const [ofCharter, chain, height, term, block, bitmap, signatures] = decode(bytes, 20_480)
    if (ofCharter !== c || !same(chain, this.fed) || height !== h || !same(block, hash)) refuse('certificate')
    const keys = witnesses(this.state).filter((_, i) => (bitmap[i >> 3] >> (i & 7)) & 1)
    if (keys.length !== signatures.length) refuse('certificate')
    if (keys.length < this.state.quorum) refuse('no_quorum')
    const body = encode([c, chain, h, term, block])
    const message = Buffer.concat([Buffer.from(prefix('commit')), this.fed, body])
    if (!keys.every((key, i) => counts(key, message, signatures[i]))) refuse('certificate')
  }

  refounded(bytes, h, hash) {
    const given = decode(bytes, 40_960)
    const coops = members(this.state)
    const found = given.map(([coop]) => coops.find((one) => same(one.id, coop)) ?? refuse('certificate'))
    if (3 * given.length < 2 * coops.length) refuse('not_approved')
    const message = Buffer.concat([Buffer.from(prefix('refound')), this.fed, encode([h, hash])])
    if (!found.every((coop, i) => counts(coop.root, message, given[i][1]))) refuse('certificate')
  }
}

/** What q of n witnesses bear. */
export const bears = (n, q) => ({
  possible: q <= n && 2 * q > n,
  liars: Math.max(2 * q - n - 1, 0),
  silent: Math.max(n - q, 0),
  usual: q === Math.ceil((n + Math.floor((n - 1) / 3) + 1) / 2),
})
