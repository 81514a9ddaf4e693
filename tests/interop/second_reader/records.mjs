// Records by themselves (spec/03): reading, and "Validation", "Alone".

import { decode, refuse } from './encoding.mjs'
import { KINDS, tables } from './registry.mjs'
import { coopId, derivedSeries, prefix, sha256, tagOf, verify } from './signatures.mjs'

const KIND = /^[a-z][a-z0-9_]{0,31}$/
const UNKNOWN_LIFE = 400 * 86400
const SKEW = 300

const isInt = (value, most) => typeof value === 'number' && value >= 0 && value <= most
const isBin = (value, ...sizes) => value instanceof Uint8Array && sizes.includes(value.length)

/** The parts of a record's frame: each binary, in its shortest form. */
function frame(bytes) {
  if (bytes.length > 18432) refuse('too_large', 'record_length')
  const count = bytes[0] - 0x90
  if (bytes.length === 0 || (count !== 2 && count !== 3)) refuse('malformed', 'record_parts')
  const parts = []
  let at = 1
  for (let i = 0; i < count; i++) {
    if (at >= bytes.length) refuse('malformed', 'truncated')
    const width = { 0xc4: 1, 0xc5: 2, 0xc6: 4 }[bytes[at]] ?? refuse('malformed', 'record_parts')
    if (at + 1 + width > bytes.length) refuse('malformed', 'truncated')
    const length = bytes.readUIntBE(at + 1, width)
    if (length < { 1: 0, 2: 256, 4: 65536 }[width]) refuse('not_canonical', 'bin_shortest')
    if (i === 0 && length > 1024) refuse('too_large', 'header_length')
    if (i === 2 && length > 16384) refuse('too_large', 'payload_length')
    at += 1 + width
    if (at + length > bytes.length) refuse('malformed', 'truncated')
    parts.push(bytes.subarray(at, at + length))
    at += length
  }
  if (at !== bytes.length) refuse('malformed', 'trailing_bytes')
  if (parts[1].length !== 64) refuse('malformed', 'signature_length')
  return parts
}

function readHeader(bytes) {
  const parts = decode(bytes, 1024)
  if (Array.isArray(parts) && typeof parts[0] === 'number' && parts[0] !== 1) refuse('version_unsupported')
  if (!Array.isArray(parts) || parts.length !== 13) refuse('malformed', 'header_parts')
  const [v, kind, fed, coop, by, at, until, series, rev, body, size, as, refs] = parts
  if (v !== 1) refuse('malformed', 'header_version')
  if (typeof kind !== 'string' || !KIND.test(kind)) refuse('malformed', 'header_kind')
  const fits = [fed, coop, by, body].every((part) => isBin(part, 32)) && isBin(series, 16) && isBin(as, 0, 32)
  if (!fits) refuse('malformed', 'header_bytes_form')
  const limits = [[at, 2 ** 53 - 1], [until, 2 ** 53 - 1], [rev, 2 ** 31 - 1], [size, 16384]]
  if (!limits.every(([part, most]) => isInt(part, most))) refuse('malformed', 'header_int_range')
  if (!Array.isArray(refs)) refuse('malformed', 'header_refs')
  if (refs.length > 16) refuse('too_large', 'header_refs')
  if (!refs.every((ref) => isBin(ref, 32))) refuse('malformed', 'header_refs')
  if (new Set(refs.map((ref) => ref.toString('hex'))).size !== refs.length) refuse('malformed', 'header_refs_twice')
  return { kind, fed, coop, by, at, until, series, rev, body, size, as, refs }
}

export function readRecord(bytes) {
  const [headerBytes, signature, payloadBytes] = frame(bytes)
  const header = readHeader(headerBytes)
  const record = { ...header, header: headerBytes, signature, id: sha256(headerBytes), payload: null }
  if (payloadBytes === undefined) return record
  if (payloadBytes.length !== header.size) refuse('body_mismatch', 'size')
  if (!sha256(payloadBytes).equals(header.body)) refuse('body_mismatch', 'hash')
  record.payload = decode(payloadBytes, 16384)
  if (!(record.payload instanceof Map)) refuse('malformed', 'payload_map')
  return record
}

export function checkPayload(kind, payload) {
  if (KINDS.has(kind)) return tables.get(kind).check(payload)
  if (!(payload instanceof Map)) refuse('schema', 'type', '')
  if (!payload.has('salt')) refuse('schema', 'required', 'salt')
  if (!(payload.get('salt') instanceof Uint8Array)) refuse('schema', 'type', 'salt')
  if (payload.get('salt').length !== 16) refuse('schema', 'size', 'salt')
}

const WITH_HEADER = {
  coop_profile(record, map) {
    if (!coopId(record.by).equals(record.coop)) refuse('not_allowed')
    const previous = map.get('previous') ?? []
    const keys = [record.by, map.get('node_key'), ...previous.map((one) => one.get('key'))]
    if (new Set(keys.map((key) => key.toString('hex'))).size !== keys.length) refuse('schema', 'key_twice')
    if (previous.some((one) => one.get('until_at') > record.at)) refuse('schema', 'until_at')
  },
  membership(record, map) {
    if (map.get('revoked')?.get('until_at') > record.at) refuse('schema', 'until_at')
    if (map.get('status_since') > record.at) refuse('schema', 'since_at')
    if (map.get('key').equals(record.by)) refuse('schema', 'key_twice')
  },
  mandate(record, map) {
    if (map.get('end') > record.until) refuse('schema', 'end_until')
    if (map.get('until_at') > record.at) refuse('schema', 'until_at')
    if (map.get('delegate_key').equals(record.by)) refuse('schema', 'key_twice')
  },
  attestation(record, map) {
    if (!record.refs[0]?.equals(map.get('transfer'))) refuse('schema', 'first_ref')
  },
  reply(record) {
    if (record.refs.length === 0) refuse('schema', 'first_ref')
  },
  demand(record, map) {
    const auction = map.get('auction')
    if (!auction) return
    const last = auction.get('reveal_until') ?? auction.get('closes')
    if (auction.get('closes') <= record.at || last >= record.until) refuse('schema', 'auction_times')
  },
  freebusy(record, map) {
    if (map.get('until') <= record.at || map.get('until') > record.until) refuse('schema', 'busy_until')
  },
  move(record, map) {
    const coopOf = (author) => author.subarray(1, 33)
    if (!coopOf(map.get('from')).equals(record.coop)) refuse('schema', 'from_coop')
    if (coopOf(map.get('to')).equals(record.coop)) refuse('schema', 'to_coop')
  },
  vouching(record, map) {
    const last = map.get('contest_until')
    if (last < record.at + 7 * 86400 || last >= record.until) refuse('schema', 'contest_until')
  },
  quote(record, map) {
    steps(1, 8)(record)
    const last = map.get('valid_until')
    if (last <= record.at || last > record.until) refuse('schema', 'valid_until')
  },
}

function steps(least, most) {
  return ({ refs }) => (refs.length >= least && refs.length <= most) || refuse('schema', 'step_refs')
}

const oneRef = ({ refs }) => refs.length === 1 || refuse('schema', 'first_ref')
const onlyRef = (field) => ({ refs }, map) =>
  (refs.length === 1 && refs[0].equals(map.get(field))) || refuse('schema', 'first_ref')

for (const kind of ['bundle_part', 'organisation_part', 'cosignature', 'bid', 'auction_close', 'award']) {
  WITH_HEADER[kind] = oneRef
}
WITH_HEADER.bid_reveal = onlyRef('bid')
WITH_HEADER.contest = onlyRef('vouching')
for (const kind of ['opening', 'funding_request', 'group_approval', 'voucher_deposit', 'relay_request', 'relay_ack']) {
  WITH_HEADER[kind] = steps(0, 0)
}
for (const kind of ['funding', 'bundle_decision']) WITH_HEADER[kind] = steps(0, 8)

/** What the header of a record has to be for its payload; a step's has the ids of steps before it. */
function checkHeader(record) {
  const letters = KINDS.get(record.kind)?.letters
  const rule = WITH_HEADER[record.kind] ?? (letters ? steps(1, 8) : null)
  rule?.(record, record.payload)
}

const SUBJECTS = {
  coop_profile: (record) => record.coop,
  admission: (_, map) => coopId(map.get('root')),
  membership: (_, map) => Buffer.concat([map.get('person'), map.get('key')]),
  category: (_, map) => map.get('code'),
  attestation: (_, map) => map.get('transfer'),
  reply: (record) => record.refs[0],
  move: (_, map) => map.get('from'),
  vouching: (_, map) => Buffer.concat([map.get('person'), map.get('new_key')]),
  relay: () => Buffer.alloc(0),
  freebusy: () => Buffer.alloc(0),
  cosignature: (_, map) => map.get('demand'),
  bundle_part: (_, map) => map.get('bundle'),
  organisation_part: (_, map) => map.get('organisation'),
  auction_close: (_, map) => map.get('demand'),
  award: (_, map) => map.get('demand'),
  contest: (_, map) => map.get('vouching'),
  bid_reveal: (_, map) => map.get('bid'),
}

const startsWith = (series, tag) => series.subarray(0, 2).equals(tag)

/** The known kind whose tag a series has. */
export const kindOfSeries = (series) => [...KINDS.keys()].find((kind) => startsWith(series, tagOf(kind)))

function checkSeries(record) {
  const { kind, series, payload } = record
  if (kind === 'withdrawal') {
    if (!startsWith(series, tagOf(payload.get('kind')))) refuse('schema', 'series_kind', 'kind')
    return
  }
  if (!startsWith(series, tagOf(kind))) refuse('schema', 'series_kind', 'series')
  if (!KINDS.has(kind) && kindOfSeries(series)) refuse('schema', 'series_kind', 'series')
  const subject = SUBJECTS[kind]
  if (subject && !series.equals(derivedSeries(kind, subject(record, payload)))) {
    refuse('schema', 'series_derived', 'series')
  }
}

/** The kind that a record is about: its own, or that of the tag of what it ends, whatever it is called. */
export const subjectKind = (record) =>
  record.kind === 'withdrawal' ? (kindOfSeries(record.series) ?? record.payload.get('kind')) : record.kind

/** `step` says that the record came in a letter. */
export function checkAlone(record, fed, now, step = false) {
  const known = KINDS.get(record.kind)
  if (!record.fed.equals(fed)) refuse('wrong_federation')
  if ((known?.letters ?? false) !== step) refuse('not_allowed', step ? 'public' : 'private')
  if (record.kind === 'withdrawal' && KINDS.get(kindOfSeries(record.series))?.letters) refuse('not_allowed', 'private')
  if (record.at > now + SKEW) refuse('from_future')
  if (record.until < now) refuse('expired')
  const life = known?.life ?? UNKNOWN_LIFE
  if (record.at >= record.until || record.until > record.at + life) refuse('lifetime')
  if (record.payload === null) refuse('body_mismatch', 'absent')
  checkPayload(record.kind, record.payload)
  checkHeader(record)
  checkSeries(record)
  if ((known?.once && record.rev !== 0) || (record.kind === 'withdrawal' && record.rev < 1)) refuse('schema', 'rev')
  if (record.as.length && KINDS.get(subjectKind(record))?.mandate === 'no') refuse('not_allowed')
  verify(record.by, Buffer.concat([Buffer.from(prefix('record')), record.header]), record.signature)
  return record
}
