// Records among others: who may sign (spec/02), what they rest on and the live set (spec/03).

import { Refused, refuse } from './encoding.mjs'
import { RESTS, named } from './community.mjs'
import { subjectKind } from './records.mjs'
import { KINDS } from './registry.mjs'
import { coopId, tagOf, thingId } from './signatures.mjs'

const has = (list, item) => list.some((one) => one.equals(item))
const hex = (bytes) => bytes.toString('hex')
const ended = (record) => record.kind === 'withdrawal'
const stepKind = subjectKind

/** What a node knows: the current records, each with its author, and the known transfers. */
export class View {
  constructor(founding, transfers = []) {
    this.founding = founding
    this.transfers = transfers
    this.current = new Map()
  }

  * of(kind) {
    for (const record of this.current.values()) if (record.kind === kind) yield record
  }

  find(kind, test) {
    for (const record of this.of(kind)) if (test(record)) return record
    return null
  }

  isFounding(coop) {
    return has(this.founding.coops, coop)
  }

  belongs(coop) {
    if (this.isFounding(coop)) return true
    const by = new Set()
    for (const record of this.of('admission')) {
      if (coopId(record.payload.get('root')).equals(coop) && this.isFounding(record.coop)) by.add(hex(record.coop))
    }
    return by.size >= this.founding.quorum
  }

  profile(coop) {
    return this.find('coop_profile', (record) => record.coop.equals(coop))
  }

  membership(coop, key) {
    return this.find('membership', (record) => record.coop.equals(coop) && record.payload.get('key').equals(key))
  }

  /** The live record of this id, whatever it is. */
  live(id) {
    for (const record of this.current.values()) if (record.id.equals(id)) return record
    return null
  }

  /** Add a record that counts; the greatest of its author and series stays. */
  put(record) {
    const thing = hex(thingId(record.author, record.series))
    const other = this.current.get(thing)
    if (!other || greater(record, other)) this.current.set(thing, record)
  }

  drop(record) {
    this.current.delete(hex(thingId(record.author, record.series)))
  }
}

function greater(one, other) {
  if (one.rev !== other.rev) return one.rev > other.rev
  if (one.at !== other.at) return one.at > other.at
  return Buffer.compare(one.id, other.id) > 0
}

const kept = (record, map, untilAt) =>
  map?.has('keep') ? has(map.get('keep'), record.id) : record.at <= untilAt

const coopAuthor = (coop) => Buffer.concat([Buffer.from('c'), coop])

/** Lines 2 to 10 of "Who may sign": the signer and, but for a mandate, the author. */
function signerOf(record, view) {
  const { coop, by } = record
  if (record.series.subarray(0, 2).equals(tagOf('coop_profile'))) {
    if (!coopId(by).equals(coop)) refuse('not_allowed')
    return { signer: 'root', author: coopAuthor(coop), whole: true }
  }
  const profile = view.profile(coop) ?? refuse('coop_unknown')
  const previous = profile.payload.get('previous') ?? []
  const old = previous.find((one) => one.get('key').equals(by))
  let signer = null
  if (coopId(by).equals(coop)) signer = 'root'
  else if (profile.payload.get('node_key').equals(by)) signer = 'node'
  else if (old) {
    if (!kept(record, old, old.get('until_at'))) refuse('membership_revoked')
    signer = 'node'
  }
  if (signer) {
    if (record.until > profile.until) refuse('membership_expired')
    return { signer, author: coopAuthor(coop) }
  }
  const membership = view.membership(coop, by) ?? refuse('membership_missing')
  const map = membership.payload
  const contest = record.kind === 'contest'
  if (map.get('status') === 'revoked' && !contest) {
    const revoked = map.get('revoked')
    if (!kept(record, revoked, revoked.get('until_at'))) refuse('membership_revoked')
  }
  if (map.get('status') === 'suspended' && !contest) {
    const before = record.at < (map.get('status_since') ?? membership.at)
    if (!before && !ended(record)) refuse('membership_revoked')
  }
  if (record.until > membership.until) refuse('membership_expired')
  return { signer: 'member', author: Buffer.concat([Buffer.from('p'), coop, map.get('person')]) }
}

const maySign = (kind, signer) =>
  kind === 'withdrawal' || (KINDS.get(kind)?.signers ?? 'member, node').split(' of ')[0].split(', ').includes(signer)

function covers(mandate, record) {
  const kinds = mandate.payload.get('kinds')
  const forbidden = mandate.payload.get('forbidden') ?? []
  if (!ended(record)) return kinds.includes(record.kind) && !forbidden.includes(record.kind)
  const ofSeries = (kind) => record.series.subarray(0, 2).equals(tagOf(kind))
  return kinds.some(ofSeries) && !forbidden.some(ofSeries) && !forbidden.includes('withdrawal')
}

/** Line 18: whether the key that gave the mandate had ended before the record was made. */
function giverEnded(mandate, record, view) {
  const profile = view.profile(mandate.coop)
  const old = (profile?.payload.get('previous') ?? []).find((one) => one.get('key').equals(mandate.by))
  if (old) return record.at > old.get('until_at')
  const membership = view.membership(mandate.coop, mandate.by)
  if (!membership) return false
  const map = membership.payload
  if (map.get('status') === 'revoked') return record.at > map.get('revoked').get('until_at')
  if (map.get('status') !== 'suspended' || ended(record)) return false
  return record.at >= (map.get('status_since') ?? membership.at)
}

function underMandate(record, view) {
  const mandate = view.find('mandate', (one) => thingId(one.author, one.series).equals(record.as)) ??
    refuse('mandate_missing')
  const map = mandate.payload
  if (!map.get('delegate_key').equals(record.by)) refuse('mandate_scope')
  if (!map.get('delegate_coop').equals(record.coop)) refuse('mandate_scope')
  if (!covers(mandate, record)) refuse('mandate_scope')
  if (record.at < map.get('start') || record.at > map.get('end')) refuse('mandate_expired')
  if (map.has('revoked') && !kept(record, map, map.get('until_at') ?? mandate.at)) refuse('mandate_revoked')
  if (record.until > mandate.until) refuse('mandate_expired')
  if (giverEnded(mandate, record, view)) refuse('mandate_revoked')
  const principal = mandate.author[0] === 'p'.charCodeAt(0) ? 'member' : 'node'
  if (!maySign(subjectKind(record), principal)) refuse('not_allowed')
  return mandate.author
}

const BY_KIND = {
  admission(record, _, view) {
    if (!view.isFounding(record.coop)) refuse('not_allowed')
  },
  membership(record, _, view) {
    const other = view.membership(record.coop, record.payload.get('key'))
    if (other && Buffer.compare(other.payload.get('person'), record.payload.get('person')) < 0) refuse('ref_invalid')
  },
  attestation(record, author, view) {
    const transfer = view.transfers.find((one) => one.id.equals(record.payload.get('transfer'))) ??
      refuse('ref_missing')
    const parties = [transfer.payer, transfer.payee]
    const i = parties.findIndex((party) => party.equals(author))
    if (i < 0 || !parties[1 - i].equals(record.payload.get('subject'))) refuse('ref_invalid')
  },
  reply(record, author, view) {
    const about = view.find('attestation', (one) => one.id.equals(record.refs[0])) ?? refuse('ref_missing')
    if (!about.payload.get('subject').equals(author)) refuse('ref_invalid')
  },
  bundle(record, author) {
    named(record).some((one) => one.equals(author)) || refuse('ref_invalid', 'party')
  },
  organisation(record, author) {
    named(record).some((one) => one.equals(author)) || refuse('ref_invalid', 'party')
  },
  move(record, author, view) {
    const [from, to] = ['from', 'to'].map((key) => record.payload.get(key))
    if (!from.equals(author)) refuse('ref_invalid', 'party')
    const there = view.membership(to.subarray(1, 33), record.by) ?? refuse('membership_missing')
    if (!there.payload.get('person').equals(to.subarray(33))) refuse('ref_invalid', 'to')
    if (record.until > there.until) refuse('membership_expired')
  },
}
for (const [kind, [base, check]] of Object.entries(RESTS)) {
  BY_KIND[kind] = (record, author, view) => {
    const on = view.live(record.refs[0]) ?? refuse('ref_missing')
    if (on.kind !== base) refuse('ref_invalid', 'kind')
    check(record, author, on, view)
  }
}

/** The author of a record that counts in the view; refuses one that does not. */
export function judge(record, view) {
  if (!view.belongs(record.coop)) refuse('coop_unknown')
  const found = signerOf(record, view)
  let author = found.author
  if (!found.whole) {
    if (record.as.length) author = underMandate(record, view)
    else if (!maySign(subjectKind(record), found.signer)) refuse('not_allowed')
  }
  BY_KIND[record.kind]?.(record, author, view)
  return author
}

const EARLY = ['coop_profile', 'admission', 'membership', 'mandate']

const STEPS = [
  (record, view) => stepKind(record) === 'coop_profile' && view.isFounding(record.coop),
  (record) => stepKind(record) === 'admission',
  (record, view) => stepKind(record) === 'coop_profile' && !view.isFounding(record.coop),
  (record) => stepKind(record) === 'membership',
  (record) => stepKind(record) === 'mandate',
  (record) => !EARLY.includes(stepKind(record)) && !(stepKind(record) in RESTS) && stepKind(record) !== 'reply',
  (record) => stepKind(record) === 'reply' || (stepKind(record) in RESTS && stepKind(record) !== 'bid_reveal'),
  (record) => stepKind(record) === 'bid_reveal',
]

/** The live set of the records: a view whose current records they are (spec/03, "Convergence"). */
export function liveSet(records, founding, transfers, now) {
  const view = new View(founding, transfers)
  for (const belongs of STEPS) {
    const passed = []
    for (const record of records) {
      if (record.until < now || KINDS.get(record.kind)?.letters || !belongs(record, view)) continue
      try {
        passed.push({ ...record, author: judge(record, view) })
      } catch (error) {
        if (!(error instanceof Refused)) throw error
      }
    }
    for (const record of passed) view.put(record)
    leastPersons(view)
  }
  return view
}

function leastPersons(view) {
  const least = new Map()
  const nameOf = (record) => hex(record.coop) + hex(record.payload.get('key'))
  const person = (record) => hex(record.payload.get('person'))
  for (const record of view.of('membership')) {
    const other = least.get(nameOf(record))
    if (!other || person(record) < other) least.set(nameOf(record), person(record))
  }
  for (const record of [...view.of('membership')]) {
    if (person(record) > least.get(nameOf(record))) view.drop(record)
  }
}
