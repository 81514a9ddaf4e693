// Paper cheques, codes, approvals and tickets (spec/08-persons).

import { decode, encode, refuse } from './encoding.mjs'
import { prefix, sha256, verify } from './signatures.mjs'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const TYPED = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

const toBits = (data) => [...data].map((byte) => byte.toString(2).padStart(8, '0')).join('')
const fromBits = (bits) => Buffer.from((bits.match(/.{8}/g) ?? []).map((part) => parseInt(part, 2)))
const letters = (bits, alphabet) => bits.match(/.{1,5}/g)
  .map((part) => alphabet[parseInt(part.padEnd(5, '0'), 2)]).join('')

const checksum = (scheme, data) => sha256(Buffer.from(scheme), data).subarray(0, 4)
const asText = (scheme, data) => scheme + letters(toBits(Buffer.concat([data, checksum(scheme, data)])), BASE32)

function fromText(scheme, text) {
  const packed = text.replace(/\s/g, '').toUpperCase()
  if (!packed.startsWith(scheme)) refuse('text_damaged')
  const rest = packed.slice(scheme.length)
  if (![...rest].every((letter) => BASE32.includes(letter))) refuse('text_damaged')
  const all = fromBits([...rest].map((letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join(''))
  const data = all.subarray(0, -4)
  if (all.length < 4 || asText(scheme, data) !== packed) refuse('text_damaged')
  return data
}

const sized = (part, size) => part instanceof Uint8Array && part.length === size
const within = (part, low, high) => Number.isSafeInteger(part) && low <= part && part <= high

function versioned(data, most, parts) {
  const value = decode(data, most)
  if (!Array.isArray(value) || value.length === 0) refuse('malformed')
  if (Number.isSafeInteger(value[0]) && value[0] !== 1) refuse('version_unsupported')
  if (value.length !== parts || value[0] !== 1) refuse('malformed')
  return value.slice(1)
}

// Cheques

export const voucher = (fed, coop, account, book, number, secret) => {
  const data = encode([1, fed, coop, account, book, number, secret])
  const id = sha256(prefix('voucher'), encode([1, fed, coop, account, book, number]))
  return { data, id, ref: sha256(prefix('voucher-ref'), id), text: asText('MAILLON:V1:', data) }
}

export function readVoucher(text) {
  const parts = versioned(fromText('MAILLON:V1:', text), 160, 7)
  const sizes = [32, 32, 16, 16, null, 16]
  if (!sizes.every((size, i) => size === null || sized(parts[i], size))) refuse('malformed')
  if (!within(parts[4], 1, 2 ** 31 - 1)) refuse('malformed')
  return parts
}

function grouped(bits) {
  return letters(bits, TYPED).match(/.{5}/g).join('-')
}

function typed(text, count) {
  const packed = text.replace(/[ -]/g, '').toUpperCase()
    .replace(/[IL]/g, '1').replace(/O/g, '0').replace(/U/g, 'V')
  if (packed.length !== count || ![...packed].every((letter) => TYPED.includes(letter))) refuse('text_damaged')
  return [...packed].map((letter) => TYPED.indexOf(letter).toString(2).padStart(5, '0')).join('')
}

export function codeOf(number, secret) {
  const eight = Buffer.alloc(8)
  eight.writeBigUInt64BE(BigInt(number))
  return grouped(toBits(secret) + toBits(sha256(prefix('voucher-code'), eight, secret)).slice(0, 22))
}

export function secretOf(number, text) {
  const bits = typed(text, 30)
  if (!within(number, 1, 2 ** 31 - 1)) refuse('text_damaged')
  const secret = fromBits(bits.slice(0, 128))
  if (typed(codeOf(number, secret), 30) !== bits) refuse('text_damaged')
  return secret
}

/** The record that a deposit's frame brings. */
export function readAsk(frame) {
  const value = decode(frame, 65536)
  if (!Array.isArray(value) || value.length !== 2 || value[0] !== 1) refuse('malformed', 'voucher_ask')
  if (!(value[1] instanceof Uint8Array)) refuse('malformed', 'voucher_ask')
  return value[1]
}

export function readAnswer(frame) {
  const value = decode(frame, 8192)
  if (!Array.isArray(value) || value.length !== 7 || value[0] !== 2) refuse('malformed')
  const [, status, code, sentence, facts, ref, transfer] = value
  if (![status, code, sentence].every((part) => typeof part === 'string')) refuse('malformed')
  if (!['waiting', 'placed', 'certified', 'refused'].includes(status)) refuse('malformed')
  if (!(facts instanceof Map)) refuse('malformed')
  for (const part of [ref, transfer]) if (!sized(part, 0) && !sized(part, 32)) refuse('malformed')
}

// Own keys and moving

export function claim(name, secret, { fed, coop, key, sealing }, signature) {
  const both = Buffer.concat([name, secret])
  const code = grouped(toBits(both) + toBits(sha256(prefix('claim-code'), both)).slice(0, 12))
  const hash = sha256(prefix('claim'), both)
  const body = encode([1, fed, coop, hash, key, sealing])
  verify(key, Buffer.concat([Buffer.from(prefix('claim')), body]), signature)
  return { code, hash, body }
}

export function approval({ fed, coop, person, key, sealing }, until, by, signature) {
  const body = encode([1, fed, coop, person, key, sealing, until])
  verify(by, Buffer.concat([Buffer.from(prefix('device')), body]), signature)
  return body
}

export function readTicket(text) {
  const pack = decode(fromText('MAILLON:M1:', text), 2048)
  if (!Array.isArray(pack) || pack.length !== 2) refuse('malformed')
  const frame = decode(pack[0], 512)
  if (!Array.isArray(frame) || frame.length !== 2 || !(frame[0] instanceof Uint8Array)) refuse('malformed')
  const parts = versioned(frame[0], 512, 8)
  const sizes = [32, 49, 32, 32, 32]
  if (!sizes.every((size, i) => sized(parts[i], size)) || !sized(frame[1], 64)) refuse('malformed')
  if (!parts.slice(5).every((time) => within(time, 0, Number.MAX_SAFE_INTEGER))) refuse('malformed')
  verify(parts[3], Buffer.concat([Buffer.from(prefix('ticket')), frame[0]]), frame[1])
  return pack[0]
}

export const splitRef = (transfer, member) => sha256(prefix('split-ref'), transfer, member)
export const debtRef = (old, now, unit) => sha256(prefix('move-debt'), old, now, Buffer.from([unit]))
