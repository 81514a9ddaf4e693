// Recovery words, the keys they give, and key files (spec/02).

import { argon2Sync, createDecipheriv, hkdfSync } from 'node:crypto'

import { decode, encode, refuse } from './encoding.mjs'
import { X25519, privateKey, publicKey, publicOf, sha256 } from './signatures.mjs'

const LISTS = {
  fr: 'ebc3959ab7801a1df6bac4fa7d970652f1df76b683cd2f4003c941c63d517e59',
  en: '2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda',
}
const lists = {}

/** Take a list of words, when it is the one that the specification names by its hash. */
export function setList(lang, words) {
  const file = words.map((word) => `${word.normalize('NFD')}\n`).join('')
  if (sha256(file).toString('hex') !== LISTS[lang]) throw new Error(`another list than the specification's: ${lang}`)
  lists[lang] = { words: words.map((word) => word.normalize('NFC')), plain: words.map(plain) }
}

const plain = (text) => text.normalize('NFKD').toLowerCase().replace(/[^a-z]/g, '')
const bitsOf = (bytes) => [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')

export function derive(entropy) {
  const make = (info) => Buffer.from(hkdfSync('sha256', entropy, '', info, 32))
  const seed = make('maillon/1/sign')
  const sealing = make('maillon/1/seal')
  return { seed, signing: publicKey(seed), sealing, sealingPublic: publicOf(privateKey(sealing, X25519)) }
}

export function toWords(entropy, lang) {
  const bits = bitsOf(entropy) + bitsOf(sha256(entropy)).slice(0, entropy.length / 4)
  return bits.match(/.{11}/g).map((group) => lists[lang].words[parseInt(group, 2)]).join(' ')
}

const refuseWords = (place = null) => refuse('recovery_words', null, place)

function place(word, { plain: words }) {
  const exact = words.indexOf(word)
  return exact >= 0 || word.length < 4 ? exact : words.findIndex((one) => one.startsWith(word))
}

function readIn(typed, list) {
  const places = typed.map((word) => place(word, list))
  const bad = places.indexOf(-1)
  if (bad >= 0) return { bad: bad + 1, missing: places.filter((at) => at < 0).length }
  const bits = places.map((at) => at.toString(2).padStart(11, '0')).join('')
  const size = typed.length === 12 ? 16 : 32
  const entropy = Buffer.from(bits.slice(0, size * 8).match(/.{8}/g).map((byte) => parseInt(byte, 2)))
  if (bits.slice(size * 8) !== bitsOf(sha256(entropy)).slice(0, size / 4)) return {}
  return { entropy }
}

export function fromWords(text, lang) {
  if ([...text].length > 4096) refuseWords()
  const flat = text.normalize('NFKD').toLowerCase().replace(/[\p{M}\p{Cf}]/gu, '')
  const typed = flat.split(/[^a-z]+/).filter(Boolean)
  if (typed.length !== 12 && typed.length !== 24) refuseWords()
  const found = (lang ? [lang] : ['fr', 'en']).map((one) => readIn(typed, lists[one]))
  const read = found.filter((one) => one.entropy)
  if (read.length === 1 || (read.length === 2 && read[0].entropy.equals(read[1].entropy))) return read[0].entropy
  if (read.length === 2 || found.some((one) => !one.bad)) return refuseWords()
  // French comes first and wins when as many are missing in both.
  return refuseWords(found.reduce((best, one) => (one.missing < best.missing ? one : best)).bad)
}

const damaged = (rule) => refuse('damaged_key_file', rule)
const FIELDS = ['check', 'kind', 'lanes', 'memory_kib', 'nonce', 'passes', 'salt', 'sealed', 'v']
const within = (value, least, most) => typeof value === 'number' && value >= least && value <= most
const sized = (value, least, most) => value instanceof Uint8Array && within(value.length, least, most)

function without(map, ...keys) {
  return encode(new Map([...map].filter(([key]) => !keys.includes(key))))
}

export function openKeyFile(bytes, password) {
  const message = Buffer.from(password.replace(/\p{Zs}/gu, ' ').normalize('NFC'))
  if (!within(message.length, 1, 1024)) refuse('local')
  let map
  try {
    map = decode(bytes, 1024)
  } catch (error) {
    damaged(error.rule)
  }
  if (!(map instanceof Map) || map.get('kind') !== 'maillon_key') damaged('kind')
  if (map.get('v') !== 1) damaged('version')
  if ([...map.keys()].join() !== FIELDS.join()) damaged('fields')
  const check = map.get('check')
  if (!sized(check, 8, 8) || !sha256(without(map, 'check')).subarray(0, 8).equals(check)) damaged('check')
  const costs = [['memory_kib', 19456, 1048576], ['passes', 1, 16], ['lanes', 1, 16]]
  if (!costs.every(([key, least, most]) => within(map.get(key), least, most))) damaged('cost')
  if (!sized(map.get('salt'), 16, 16)) damaged('salt')
  if (!sized(map.get('nonce'), 12, 12)) damaged('nonce')
  const sealed = map.get('sealed')
  if (!sized(sealed, 17, 272)) damaged('sealed')
  const key = argon2Sync('argon2id', {
    message,
    nonce: map.get('salt'),
    parallelism: map.get('lanes'),
    tagLength: 32,
    memory: map.get('memory_kib'),
    passes: map.get('passes'),
  })
  const opener = createDecipheriv('chacha20-poly1305', key, map.get('nonce'), { authTagLength: 16 })
  opener.setAAD(without(map, 'check', 'sealed'), { plaintextLength: sealed.length - 16 })
  opener.setAuthTag(sealed.subarray(-16))
  try {
    return Buffer.concat([opener.update(sealed.subarray(0, -16)), opener.final()])
  } catch {
    return refuse('wrong_password')
  }
}
