// Hashes, ids, signatures and the rule by which they count (spec/02).

import { createHash, createPrivateKey, createPublicKey, sign as signWith } from 'node:crypto'

import { BASE, L, P, add, decodePoint, encodePoint, little, multiply, negate } from './curve.mjs'
import { refuse } from './encoding.mjs'

const SMALL = new Set()

for (const half of [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]) {
  const high = Buffer.from(half, 'hex')
  high[31] |= 0x80
  SMALL.add(half).add(high.toString('hex'))
}

const belowP = (bytes) => (little(bytes) & (2n ** 255n - 1n)) < P

export const hash = (name, ...parts) => {
  const sum = createHash(name)
  for (const part of parts) sum.update(part)
  return sum.digest()
}

export const sha256 = (...parts) => hash('sha256', ...parts)
export const prefix = (purpose) => `maillon/1/${purpose}\0`
export const coopId = (root) => sha256(prefix('coop'), root)
export const thingId = (author, series) => sha256(prefix('thing'), author, series)
export const tagOf = (kind) => sha256(prefix('series'), kind).subarray(0, 2)

export function derivedSeries(kind, subject) {
  const rest = sha256(prefix('series'), kind, '\0', subject)
  return Buffer.concat([tagOf(kind), rest.subarray(0, 14)])
}

export function checkKey(key) {
  if (key.length !== 32) refuse('bad_key', 'length')
  if (SMALL.has(key.toString('hex'))) refuse('bad_key', 'small_order_a')
  if (!belowP(key)) refuse('bad_key', 'canonical_a')
}

export function verify(key, message, signature) {
  checkKey(key)
  if (signature.length !== 64) refuse('bad_signature', 'length')
  const r = signature.subarray(0, 32)
  if (SMALL.has(r.toString('hex'))) refuse('bad_signature', 'small_order_r')
  if (!belowP(r)) refuse('bad_signature', 'canonical_r')
  const s = little(signature.subarray(32))
  if (s >= L) refuse('bad_signature', 's_range')
  const k = little(hash('sha512', r, key, message)) % L
  const a = decodePoint(key) ?? refuse('bad_signature', 'equation')
  const found = add(multiply(BASE, s), multiply(negate(a), k))
  if (!r.equals(encodePoint(found))) refuse('bad_signature', 'equation')
}

/** A secret or seed as a key object of the kind that the last byte of its object identifier names. */
export function privateKey(secret, last) {
  const start = Buffer.from('302e020100300506032b650004220420', 'hex')
  start[11] = last
  return createPrivateKey({ key: Buffer.concat([start, secret]), format: 'der', type: 'pkcs8' })
}

const ED25519 = 0x70
export const X25519 = 0x6e

export const publicOf = (key) => createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
export const publicKey = (seed) => publicOf(privateKey(seed, ED25519))
export const sign = (seed, message) => signWith(null, message, privateKey(seed, ED25519))
