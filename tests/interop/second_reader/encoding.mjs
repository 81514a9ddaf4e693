// Canonical values (spec/01): decoding, encoding, and text in the normal form of Unicode 14.0.
// A value is a boolean, a number, a string, a Buffer, an array or a Map.

export class Refused extends Error {
  constructor(code, rule = null, field = null) {
    super(`${code} ${rule ?? ''} ${field ?? ''}`)
    Object.assign(this, { code, rule, field })
  }
}

export const refuse = (code, rule, field) => {
  throw new Refused(code, rule, field)
}

const DEPTH = 8
const STRING = 8192
const ITEMS = 1024
const FIELDS = 64
const BIN = 262144
const KEY = /^[a-z][a-z0-9_]{0,31}$/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

let unassigned = null // a class of the code points that cut a text

export function cutAt(ranges) {
  const escape = (point) => `\\u{${point.toString(16)}}`
  const parts = ranges.map(([first, last]) => `${escape(first)}-${escape(last)}`)
  unassigned = new RegExp(`[${parts.join('')}]`, 'u')
}

export function inNormalForm(text) {
  if (text.normalize('NFC') === text) return true
  return text.split(unassigned).every((piece) => piece.normalize('NFC') === piece)
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes
    this.at = 0
  }

  take(count) {
    if (this.bytes.length - this.at < count) refuse('malformed', 'truncated')
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  byte() {
    return this.take(1)[0]
  }

  unsigned(width) {
    let sum = 0n
    for (const byte of this.take(width)) sum = (sum << 8n) | BigInt(byte)
    return sum
  }

  length(width, least, most, form, limit) {
    const length = Number(this.unsigned(width))
    if (length > most) refuse('too_large', limit)
    if (length < least) refuse('not_canonical', form)
    return length
  }

  value(depth = 0) {
    const first = this.byte()
    if (first <= 0x7f) return first
    if (first <= 0x8f) return this.map(first & 15, depth)
    if (first <= 0x9f) return this.array(first & 15, depth)
    if (first <= 0xbf) return this.text(first & 31)
    if (first >= 0xe0) return first - 256
    switch (first) {
      case 0xc0: return refuse('malformed', 'nil')
      case 0xc1: return refuse('malformed', 'reserved_byte')
      case 0xc2: return false
      case 0xc3: return true
      case 0xc4: return this.bin(1, 0)
      case 0xc5: return this.bin(2, 256)
      case 0xc6: return this.bin(4, 65536)
      case 0xca: case 0xcb: return refuse('malformed', 'float')
      case 0xcc: return this.positive(1, 128n)
      case 0xcd: return this.positive(2, 1n << 8n)
      case 0xce: return this.positive(4, 1n << 16n)
      case 0xcf: return this.positive(8, 1n << 32n)
      case 0xd0: return this.negative(1, -33n)
      case 0xd1: return this.negative(2, -129n)
      case 0xd2: return this.negative(4, -32769n)
      case 0xd3: return this.negative(8, -2147483649n)
      case 0xd9: return this.text(this.length(1, 32, STRING, 'string_form', 'string_length'))
      case 0xda: return this.text(this.length(2, 256, STRING, 'string_form', 'string_length'))
      case 0xdb: return this.length(4, Infinity, STRING, 'string_form', 'string_length')
      case 0xdc: return this.array(this.length(2, 16, ITEMS, 'array_form', 'array_length'), depth)
      case 0xdd: return this.length(4, Infinity, ITEMS, 'array_form', 'array_length')
      case 0xde: return this.map(this.length(2, 16, FIELDS, 'map_form', 'map_length'), depth)
      case 0xdf: return this.length(4, Infinity, FIELDS, 'map_form', 'map_length')
      default: return refuse('malformed', 'ext')
    }
  }

  positive(width, least) {
    const number = this.unsigned(width)
    if (number > BigInt(Number.MAX_SAFE_INTEGER)) refuse('malformed', 'int_range')
    if (number < least) refuse('not_canonical', 'int_form')
    return Number(number)
  }

  negative(width, most) {
    const number = BigInt.asIntN(8 * width, this.unsigned(width))
    const size = number < 0n ? -number : number
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) refuse('malformed', 'int_range')
    if (number > most) refuse('not_canonical', 'int_form')
    return Number(number)
  }

  text(length) {
    const bytes = this.take(length)
    let text
    try {
      text = utf8.decode(bytes)
    } catch {
      refuse('malformed', 'utf8')
    }
    if (!inNormalForm(text)) refuse('not_canonical', 'nfc')
    return text
  }

  bin(width, least) {
    return Buffer.from(this.take(this.length(width, least, BIN, 'bin_form', 'bin_length')))
  }

  array(count, depth) {
    if (depth >= DEPTH) refuse('too_large', 'depth')
    const items = []
    for (let i = 0; i < count; i++) items.push(this.value(depth + 1))
    return items
  }

  map(count, depth) {
    if (depth >= DEPTH) refuse('too_large', 'depth')
    const fields = new Map()
    let last = ''
    for (let i = 0; i < count; i++) {
      const first = this.bytes[this.at]
      if (first === undefined) refuse('malformed', 'truncated')
      if (!((first >= 0xa0 && first <= 0xbf) || (first >= 0xd9 && first <= 0xdb))) {
        refuse('malformed', 'key_type')
      }
      const key = this.value(depth + 1)
      if (!KEY.test(key)) refuse('malformed', 'key_form')
      if (key < last) refuse('not_canonical', 'key_order')
      if (key === last) refuse('malformed', 'key_duplicate')
      fields.set(key, this.value(depth + 1))
      last = key
    }
    return fields
  }
}

export function decode(bytes, most) {
  if (bytes.length > most) refuse('too_large', 'total_length')
  if (bytes.length === 0) refuse('malformed', 'empty')
  const reader = new Reader(bytes)
  const value = reader.value()
  if (reader.at !== bytes.length) refuse('malformed', 'trailing_bytes')
  return value
}

function head(length, forms) {
  for (const [most, first, width] of forms) {
    if (length > most) continue
    if (width === 0) return Buffer.from([first + length])
    const bytes = Buffer.alloc(1 + width, first)
    bytes.writeUIntBE(length, 1, width)
    return bytes
  }
  throw new RangeError('too long')
}

const WIDTHS = [[0xff, 1], [0xffff, 2], [0xffffffff, 4]]

function integer(number) {
  if (number >= -32 && number <= 127) return Buffer.from([number & 255])
  for (const [i, [most, width]] of WIDTHS.entries()) {
    const bytes = Buffer.alloc(1 + width)
    bytes[0] = (number < 0 ? 0xd0 : 0xcc) + i
    if (number >= 0 && number <= most) bytes.writeUIntBE(number, 1, width)
    else if (number < 0 && number >= -(most + 1) / 2) bytes.writeIntBE(number, 1, width)
    else continue
    return bytes
  }
  const bytes = Buffer.alloc(9)
  bytes[0] = number < 0 ? 0xd3 : 0xcf
  bytes.writeBigInt64BE(BigInt(number), 1)
  return bytes
}

export function encode(value) {
  if (typeof value === 'boolean') return Buffer.from([value ? 0xc3 : 0xc2])
  if (typeof value === 'number') return integer(value)
  if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    return Buffer.concat([head(bytes.length, [[31, 0xa0, 0], [255, 0xd9, 1], [STRING, 0xda, 2]]), bytes])
  }
  if (value instanceof Uint8Array) {
    return Buffer.concat([head(value.length, [[255, 0xc4, 1], [65535, 0xc5, 2], [BIN, 0xc6, 4]]), value])
  }
  if (Array.isArray(value)) {
    return Buffer.concat([head(value.length, [[15, 0x90, 0], [ITEMS, 0xdc, 2]]), ...value.map(encode)])
  }
  const keys = [...value.keys()].sort()
  const parts = keys.flatMap((key) => [encode(key), encode(value.get(key))])
  return Buffer.concat([head(value.size, [[15, 0x80, 0], [FIELDS, 0xde, 2]]), ...parts])
}
