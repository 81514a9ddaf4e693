// Letters (spec/08-letters): read, opened with what a browser has (WebCrypto), framed, and received.

import { createHash } from 'node:crypto'

import { Refused, decode, encode, refuse } from './encoding.mjs'

const { subtle } = globalThis.crypto

const LETTER = 61760
const HEADER = 256
const PLAIN = 61440
const STEP = 512
const RECORD = 18432
const LIFE = 90 * 86400
const WINDOW = 64
const FRAME = 262144

const sha256 = (...parts) => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
const isBin = (value, length) => value instanceof Uint8Array && (length === undefined || value.length === length)
const isCount = (value) => typeof value === 'number' && value >= 0
const bad = (rule) => refuse('malformed', rule)

export const threadOf = (exchange, key, era) =>
  sha256('maillon/1/thread\0', exchange, key, era).subarray(0, 16)

// --- reading ------------------------------------------------------------------------------------

function parts(bytes) {
  const pair = decode(bytes, LETTER)
  if (!Array.isArray(pair) || pair.length !== 2 || !isBin(pair[0]) || !isBin(pair[1])) bad('letter')
  return { head: pair[0], sealed: pair[1], id: sha256('maillon/1/letter\0', pair[0], pair[1]) }
}

export function readLetter(bytes) {
  const { head, sealed, id } = parts(bytes)
  const header = decode(head, HEADER)
  if (!Array.isArray(header) || typeof header[0] !== 'number') bad('letter_header')
  if (header[0] !== 1) refuse('version_unsupported')
  const [, fed, from, to, key, thread, n, at, until, size] = header
  const formed = header.length === 10 && [fed, from, to, key].every((one) => isBin(one, 32)) &&
    isBin(thread, 16) && [n, at, until, size].every(isCount)
  if (!formed) bad('letter_header')
  if (until <= at || until - at > LIFE) refuse('lifetime')
  const plain = sealed.length - 48
  if (size !== sealed.length || plain <= 0 || plain > PLAIN || plain % STEP) bad('letter_size')
  return { id, head, sealed, fed, from, to, key, thread, n, at, until }
}

// --- HPKE (RFC 9180, base mode), on what WebCrypto has --------------------------------------------

const two = (number) => Buffer.from([number >> 8, number & 255])
const KEM = Buffer.concat([Buffer.from('KEM'), two(0x0020)])
const HPKE = Buffer.concat([Buffer.from('HPKE'), two(0x0020), two(0x0001), two(0x0002)])
const NONE = Buffer.alloc(0)

async function hmac(key, data) {
  const made = await subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return Buffer.from(await subtle.sign('HMAC', made, data))
}
const extract = (suite, salt, label, key) =>
  hmac(salt.length ? salt : Buffer.alloc(32), Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(label), key]))
async function expand(suite, secret, label, info, length) {
  const labelled = [two(length), Buffer.from('HPKE-v1'), suite, Buffer.from(label), info, Buffer.from([1])]
  return (await hmac(secret, Buffer.concat(labelled))).subarray(0, length)
}

const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')

async function open({ head, sealed }, secret) {
  const own = await subtle.importKey('pkcs8', Buffer.concat([PKCS8, secret]), { name: 'X25519' }, true, ['deriveBits'])
  const jwk = await subtle.exportKey('jwk', own)
  const publicKey = Buffer.from(jwk.x, 'base64url')
  const enc = sealed.subarray(0, 32)
  const theirs = await subtle.importKey('raw', enc, { name: 'X25519' }, false, [])
  const shared = Buffer.from(await subtle.deriveBits({ name: 'X25519', public: theirs }, own, 256))
  if (shared.every((byte) => byte === 0)) throw new Error('no secret')
  const prk = await extract(KEM, NONE, 'eae_prk', shared)
  const dh = await expand(KEM, prk, 'shared_secret', Buffer.concat([enc, publicKey]), 32)
  const info = Buffer.concat([Buffer.from('maillon/1/letter\0'), head])
  const context = Buffer.concat([
    Buffer.from([0]), await extract(HPKE, NONE, 'psk_id_hash', NONE), await extract(HPKE, NONE, 'info_hash', info),
  ])
  const base = await extract(HPKE, dh, 'secret', NONE)
  const raw = await expand(HPKE, base, 'key', context, 32)
  const iv = await expand(HPKE, base, 'base_nonce', context, 12)
  const key = await subtle.importKey('raw', raw, { name: 'AES-GCM' }, false, ['decrypt'])
  return Buffer.from(await subtle.decrypt({ name: 'AES-GCM', iv }, key, sealed.subarray(32)))
}

export async function openLetter(letter, secret) {
  let plain
  try {
    plain = await open(letter, secret)
  } catch {
    refuse('cannot_open')
  }
  const whole = decode(plain, PLAIN)
  if (!Array.isArray(whole) || typeof whole[0] !== 'number') bad('plaintext')
  if (whole[0] !== 1) refuse('version_unsupported')
  const [, items, padding] = whole
  if (whole.length !== 3 || !Array.isArray(items) || !isBin(padding)) bad('plaintext')
  if (padding.some((byte) => byte !== 0)) bad('padding')
  if (items.length < 1 || items.length > 64) bad('plaintext')
  return items.map(item).filter((one) => one !== null)
}

function item(row) {
  if (!Array.isArray(row) || row.length < 2 || typeof row[0] !== 'number') bad('item')
  const [type, data, release] = row
  if (type < 1 || type > 4) return null
  const known = row.length === (type === 3 ? 3 : 2) && isBin(data) && data.length > 0
  if (!known || (type !== 4 && data.length > RECORD) || (type === 3 && !isCount(release))) bad('item')
  return { type, data, ...(type === 3 && { release }) }
}

// --- frames -------------------------------------------------------------------------------------

const isRange = (row) => Array.isArray(row) && row.length === 3 && isBin(row[0], 16) &&
  isCount(row[1]) && isCount(row[2]) && row[1] <= row[2]
const areRanges = (rows) => Array.isArray(rows) && rows.length <= 256 && rows.every(isRange)
const isOutcome = (row) => Array.isArray(row) && row.length === 2 && isBin(row[0], 32) &&
  typeof row[1] === 'string' && row[1].length >= 1 && [...row[1]].length <= 32

const FORMS = {
  1: [['letters', (value) => Array.isArray(value) && value.length <= 64 &&
    value.every((one) => isBin(one) && one.length >= 1 && one.length <= LETTER)], ['gone', areRanges]],
  2: [['outcomes', (value) => Array.isArray(value) && value.length <= 64 && value.every(isOutcome)],
    ['wants', areRanges], ['noted', areRanges]],
  3: [['since', isCount], ['wants', areRanges]],
  4: [['count', isCount]],
}

export function readLetterFrame(bytes) {
  const value = decode(bytes, FRAME)
  if (!Array.isArray(value) || typeof value[0] !== 'number') bad('letter_frame')
  const form = FORMS[value[0]]
  if (!form || value.length !== form.length + 1) bad('letter_frame')
  const frame = {}
  for (const [i, [name, fits]] of form.entries()) {
    if (!fits(value[i + 1])) bad('letter_frame')
    frame[name] = value[i + 1]
  }
  return frame
}

// --- the receiver -------------------------------------------------------------------------------

const hex = (bytes) => Buffer.from(bytes).toString('hex')

/** A receiver with room for everything: `fed`, its coop `to`, the `coops` that belong, and `keys`. */
export class Receiver {
  constructor({ fed, to, coops, keys }) {
    Object.assign(this, { fed: hex(fed), to: hex(to), coops: coops.map(hex), keys: keys.map(hex) })
    this.ids = new Set()
    this.threads = new Map()
    this.ready = []
  }

  thread(coop, thread) {
    const name = `${hex(coop)} ${hex(thread)}`
    if (!this.threads.has(name)) this.threads.set(name, { next: 0, numbers: new Map(), name: thread })
    return this.threads.get(name)
  }

  /** Answer a PUT of a coop's node; `ready` then holds the ids of what can be had since. */
  put(bytes, coop, now) {
    const { letters, gone } = readLetterFrame(bytes)
    this.ready = []
    const touched = new Map()
    const noted = []
    for (const [name, first, last] of gone) {
      const thread = this.thread(coop, name)
      touched.set(hex(name), [thread, touched.get(hex(name))?.[1] ?? -1])
      const end = this.giveUp(thread, first, last)
      if (end !== null) noted.push([name, first, end])
    }
    const outcomes = letters.map((data) => {
      const { id } = parts(data)
      let letter
      try {
        letter = readLetter(data)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        return [id, error.code === 'version_unsupported' ? error.code : 'malformed']
      }
      const outcome = this.take(letter, coop, now)
      if (['stored', 'gap'].includes(outcome)) {
        const name = hex(letter.thread)
        touched.set(name, [this.thread(coop, letter.thread), Math.max(letter.n, touched.get(name)?.[1] ?? -1)])
      }
      return [id, outcome]
    })
    const wants = [...touched.values()].flatMap(([thread, highest]) => this.holes(thread, highest))
    return encode([2, outcomes, wants, noted])
  }

  take(letter, coop, now) {
    const id = hex(letter.id)
    if (hex(letter.from) !== hex(coop) || !this.coops.includes(hex(coop))) return 'stranger'
    if (hex(letter.fed) !== this.fed) return 'wrong_federation'
    if (this.ids.has(id)) return 'known'
    if (letter.until <= now) return 'expired'
    if (letter.until > now + LIFE + 300) return 'from_future'
    if (hex(letter.to) !== this.to || !this.keys.includes(hex(letter.key))) return 'unknown_addressee'
    const thread = this.thread(coop, letter.thread)
    const there = thread.numbers.get(letter.n)
    if (there !== undefined) return there.gone ? 'expired' : 'reused'
    if (letter.n >= thread.next + WINDOW) return 'gap'
    this.ids.add(id)
    const late = letter.n < thread.next
    thread.numbers.set(letter.n, { id, had: late })
    if (late) this.ready.push(id)
    else this.advance(thread)
    return 'stored'
  }

  advance(thread) {
    for (let row; (row = thread.numbers.get(thread.next)) !== undefined; thread.next++) this.have(row)
  }

  have(row) {
    if (!row.gone && !row.had) this.ready.push(row.id)
    row.had = true
  }

  giveUp(thread, first, last) {
    const end = first > thread.next ? Math.min(last, thread.next + WINDOW - 1) : last
    if (first > end) return null
    for (let n = Math.max(first, end - WINDOW + 1); n <= end; n++) {
      if (!thread.numbers.has(n)) thread.numbers.set(n, { gone: true })
    }
    if (first <= thread.next && thread.next <= end) {
      const here = [...thread.numbers].filter(([n, row]) => n >= thread.next && n <= end && !row.gone)
      for (const [, row] of here.sort(([a], [b]) => a - b)) this.have(row)
      thread.next = end + 1
    }
    this.advance(thread)
    return end
  }

  /** The numbers missing before those that wait, and before one that was too far ahead. */
  holes(thread, highest) {
    const waiting = [...thread.numbers].filter(([n, row]) => n >= thread.next && !row.gone && !row.had)
    const last = Math.max(highest, ...waiting.map(([n]) => n))
    const found = []
    for (let n = thread.next; n < last; n++) {
      const beyond = waiting.every(([other]) => other < n)
      if (thread.numbers.has(n) && !beyond) continue
      const before = found.at(-1)
      if (before && before[2] === n - 1) before[2] = n
      else found.push([thread.name, n, n])
    }
    return found
  }
}
