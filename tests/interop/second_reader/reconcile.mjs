// Reconciliation (spec/05): messages, ranges, and the two roles. Times are BigInts.

import { decode, refuse } from './encoding.mjs'
import { sha256 } from './signatures.mjs'

const LAST = 2n ** 64n - 1n
const NOTHING = Buffer.from('7f9c9e31ac8256ca2f258583df262dbc', 'hex')
const FEW = 3
const PIECES = 8
const EMPTY = Buffer.alloc(0)

export const INFINITY = { time: LAST, prefix: EMPTY }
export const START = { time: 0n, prefix: EMPTY }

const padded = (prefix) => Buffer.concat([prefix], 32)

function trimmed(prefix) {
  let end = prefix.length
  while (end && prefix[end - 1] === 0) end--
  return prefix.subarray(0, end)
}

export function compare(one, other) {
  if (one.time !== other.time) return one.time < other.time ? -1 : 1
  return Buffer.compare(padded(one.prefix), padded(other.prefix))
}

/** Items as points, in their order. */
export const sorted = (pairs) =>
  pairs.map(([at, id]) => ({ time: BigInt(at), prefix: Buffer.from(id, 'hex') })).sort(compare)

export const within = (items, lower, upper) =>
  items.filter((item) => compare(item, lower) >= 0 && compare(item, upper) < 0)

export function varint(number) {
  const digits = [Number(number & 127n)]
  for (let rest = number >> 7n; rest; rest >>= 7n) digits.unshift(Number(rest & 127n) | 128)
  return Buffer.from(digits)
}

export function fingerprint(items) {
  let sum = 0n
  for (const { prefix } of items) sum += BigInt(`0x${Buffer.from(prefix).reverse().toString('hex')}`)
  const bytes = Buffer.from((sum & (2n ** 256n - 1n)).toString(16).padStart(64, '0'), 'hex').reverse()
  return sha256(bytes, varint(BigInt(items.length))).subarray(0, 16)
}

export function boundBetween(before, after) {
  if (before.time !== after.time) return { time: after.time, prefix: EMPTY }
  const at = after.prefix.findIndex((byte, i) => byte !== before.prefix[i])
  return { time: after.time, prefix: after.prefix.subarray(0, at + 1) }
}

class Parser {
  constructor(bytes) {
    this.bytes = bytes
    this.at = 0
  }

  take(count) {
    if (this.bytes.length - this.at < count) refuse('malformed', 'truncated')
    this.at += Number(count)
    return this.bytes.subarray(this.at - Number(count), this.at)
  }

  varint() {
    let number = 0n
    for (let first = true; ; first = false) {
      const byte = this.take(1)[0]
      if (first && byte === 0x80) refuse('malformed', 'varint_minimal')
      number = (number << 7n) | BigInt(byte & 127)
      if (number > LAST) refuse('malformed', 'varint_range')
      if (byte < 128) return number
    }
  }

  bound(last) {
    const delta = this.varint()
    const length = this.varint()
    if (length > 32n || (delta === 0n && length)) refuse('malformed', 'bound_prefix')
    const prefix = trimmed(this.take(length))
    const bound = delta === 0n ? INFINITY : { time: last.time + delta - 1n, prefix }
    if (delta && last === INFINITY) refuse('malformed', 'backward_range')
    if (delta && bound.time >= LAST) refuse('malformed', 'bound_timestamp')
    if (compare(bound, last) < 0) refuse('malformed', 'backward_range')
    return bound
  }
}

/** The ranges of a message: each with its bounds and, unless it is skipped, a fingerprint or ids. */
export function readMessage(bytes) {
  if (bytes.length > 262144) refuse('too_large', 'message_bytes')
  if (bytes.length === 0) refuse('malformed', 'message_empty')
  if (bytes[0] < 0x60 || bytes[0] > 0x6f) refuse('malformed', 'version_byte')
  if (bytes[0] !== 0x61) refuse('version_unsupported')
  const parser = new Parser(bytes)
  parser.take(1)
  const ranges = []
  for (let lower = START; parser.at < bytes.length;) {
    if (ranges.length === 16384) refuse('too_large', 'ranges')
    const upper = parser.bound(lower)
    const mode = parser.varint()
    const range = { lower, upper }
    if (mode === 1n) range.fingerprint = parser.take(16)
    else if (mode === 2n) {
      const count = parser.varint()
      const ids = parser.take(32n * count)
      range.ids = Array.from({ length: Number(count) }, (_, i) => ids.subarray(32 * i, 32 * i + 32))
    } else if (mode !== 0n) refuse('malformed', 'mode')
    ranges.push(range)
    lower = upper
  }
  return ranges
}

export function writeMessage(ranges) {
  const parts = [Buffer.from([0x61])]
  let last = START
  const put = ({ upper, fingerprint: print, ids }) => {
    parts.push(upper === INFINITY ? varint(0n) : varint(1n + upper.time - last.time))
    parts.push(varint(BigInt(upper.prefix.length)), upper.prefix)
    if (print) parts.push(varint(1n), print)
    else if (ids) parts.push(varint(2n), varint(BigInt(ids.length)), ...ids)
    else parts.push(varint(0n))
    last = upper
  }
  let from = START
  for (const range of ranges) {
    if (compare(range.lower, from) > 0) put({ upper: range.lower })
    put(range)
    from = range.upper
  }
  return Buffer.concat(parts)
}

/** Cut a range into smaller ones of about as many items, each with its fingerprint. */
function cut(items, lower, upper) {
  const pieces = Math.min(PIECES, items.length)
  const starts = Array.from({ length: pieces }, (_, i) => Math.floor((i * items.length) / pieces))
  const bounds = starts.map((at, i) => (i === 0 ? lower : boundBetween(items[at - 1], items[at])))
  return starts.map((at, i) => ({
    lower: bounds[i],
    upper: bounds[i + 1] ?? upper,
    fingerprint: fingerprint(items.slice(at, starts[i + 1])),
  }))
}

const listed = (items, lower, upper) => ({ lower, upper, ids: items.map((item) => item.prefix) })

export function respond(items, bytes, useRanges) {
  const answers = []
  for (const { lower, upper, fingerprint: asked, ids } of readMessage(bytes)) {
    const own = within(items, lower, upper)
    if (ids) answers.push(listed(own, lower, upper))
    if (!asked || asked.equals(fingerprint(own))) continue
    if (own.length <= FEW || (asked.equals(NOTHING) && !useRanges)) answers.push(listed(own, lower, upper))
    else if (asked.equals(NOTHING)) answers.push({ lower, upper, fingerprint: fingerprint(own) })
    else answers.push(...cut(own, lower, upper))
  }
  return writeMessage(answers)
}

/** What the initiator learns: ids had and needed, needed ranges, and the ranges to ask about next. */
export class Initiator {
  have = new Set()
  need = new Set()
  needRanges = []

  constructor(items, useRanges) {
    this.items = items
    this.useRanges = useRanges
  }

  open() {
    if (this.items.length === 0) return writeMessage([listed([], START, INFINITY)])
    return writeMessage(cut(this.items, START, INFINITY))
  }

  /** The next message, or null when nothing is left to ask. */
  take(bytes) {
    const next = []
    for (const { lower, upper, fingerprint: theirs, ids } of readMessage(bytes)) {
      const own = within(this.items, lower, upper)
      if (ids) this.#compare(own, ids)
      if (!theirs || theirs.equals(fingerprint(own))) continue
      if (theirs.equals(NOTHING)) this.#compare(own, [])
      else if (own.length === 0 && this.useRanges) this.needRanges.push([lower, upper])
      else if (own.length === 0) next.push(listed([], lower, upper))
      else next.push(...cut(own, lower, upper))
    }
    return next.length ? writeMessage(next) : null
  }

  #compare(own, ids) {
    const theirs = new Set(ids.map((id) => id.toString('hex')))
    const mine = new Set(own.map((item) => item.prefix.toString('hex')))
    for (const id of theirs) if (!mine.has(id)) this.need.add(id)
    for (const id of mine) if (!theirs.has(id)) this.have.add(id)
  }
}

export function readWantRange(bytes) {
  const frame = decode(bytes, 262144)
  const [type, loAt, loPrefix, hiAt, hiPrefix] = Array.isArray(frame) ? frame : []
  if (type !== 3) refuse('malformed', 'frame')
  if (frame.length !== 5) refuse('malformed', 'range_fields')
  const bounds = [[loAt, loPrefix], [hiAt, hiPrefix]].map(([at, prefix]) => {
    if (typeof at !== 'number' || !(prefix instanceof Uint8Array)) refuse('malformed', 'range_fields')
    if (at < 0) refuse('malformed', 'bound_timestamp')
    if (prefix.length > 32) refuse('malformed', 'bound_prefix')
    if (at !== Number.MAX_SAFE_INTEGER) return { time: BigInt(at), prefix: trimmed(prefix) }
    if (prefix.length) refuse('malformed', 'bound_prefix')
    return INFINITY
  })
  if (compare(bounds[0], bounds[1]) >= 0) refuse('malformed', 'backward_range')
  return bounds
}
