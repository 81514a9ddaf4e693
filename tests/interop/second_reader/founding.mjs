// Founding documents, cards and invitations (spec/02, "Federation").

import { Refused, decode, refuse } from './encoding.mjs'
import { tables } from './registry.mjs'
import { checkKey, coopId, prefix, sha256, verify } from './signatures.mjs'

const signed = (purpose, body) => Buffer.concat([Buffer.from(prefix(purpose)), body])

const otherVersion = (v) => typeof v === 'number' && v !== 1

export function readDocument(bytes) {
  const document = decode(bytes, 131072)
  if (document instanceof Map && otherVersion(document.get('v'))) refuse('version_unsupported')
  tables.get('founding-document').check(document)
  const coops = document.get('coops')
  for (const coop of coops) {
    for (const key of ['root', 'node_key', 'writer', 'witness']) {
      if (coop.has(key)) checkKey(coop.get(key))
    }
  }
  return {
    fed: sha256(prefix('federation'), bytes),
    coops: coops.map((coop) => coopId(coop.get('root'))),
    roots: coops.map((coop) => coop.get('root')),
    quorum: document.get('admission_quorum'),
  }
}

export function readFile(bytes) {
  const file = decode(bytes, 150888)
  const shape = Array.isArray(file) && file.length === 2 && file[0] instanceof Uint8Array &&
    Array.isArray(file[1]) && file[1].every((one) => one instanceof Uint8Array)
  if (!shape) refuse('malformed')
  const founding = readDocument(file[0])
  const signatures = file[1]
  if (signatures.length !== founding.roots.length) refuse('malformed')
  for (const [i, signature] of signatures.entries()) {
    if (![0, 64].includes(signature.length)) refuse('malformed')
    if (signature.length) verify(founding.roots[i], signed('founding', file[0]), signature)
  }
  if (signatures.some((one) => one.length === 0)) refuse('not_founded')
  return founding
}

const WHITE = /[\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g

/** What a person pasted, when it is whole and can be used; there is one answer for all else. */
function pasted(read) {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return refuse('text_damaged', error.code)
  }
}

function unwrap(scheme, text) {
  const whole = text.replace(WHITE, '')
  if (!whole.startsWith(scheme)) refuse('text_damaged')
  const letters = whole.slice(scheme.length)
  const bytes = Buffer.from(letters, 'base64url')
  if (bytes.toString('base64url') !== letters || bytes.length < 4) refuse('text_damaged')
  const content = bytes.subarray(0, -4)
  if (!sha256(scheme, content).subarray(0, 4).equals(bytes.subarray(-4))) refuse('text_damaged')
  return content
}

export const readCard = (text) => pasted(() => cardOf(unwrap('maillon-card:', text)))

function cardOf(bytes) {
  const card = decode(bytes, 4096)
  const shape = Array.isArray(card) && card.length === 2 && card.every((one) => one instanceof Uint8Array)
  if (!shape) refuse('malformed')
  const body = decode(card[0], 4096)
  tables.get('card').check(body)
  for (const key of ['node_key', 'writer', 'witness']) {
    if (body.has(key)) checkKey(body.get(key))
  }
  verify(body.get('root'), signed('card', card[0]), card[1])
  return { root: body.get('root'), coop: coopId(body.get('root')) }
}

export function readInvitation(text, now) {
  const invitation = pasted(() => invitationOf(unwrap('maillon-invite:', text)))
  if (invitation.expires < now) refuse('local')
  return invitation
}

function invitationOf(bytes) {
  const parts = decode(bytes, 4096)
  if (!Array.isArray(parts) || parts.length !== 6) refuse('malformed')
  const [v, fed, nodeKey, addresses, token, expires] = parts
  const isBin = (value, size) => value instanceof Uint8Array && value.length === size
  const shape = isBin(fed, 32) && isBin(nodeKey, 32) && isBin(token, 16) && Array.isArray(addresses) &&
    typeof expires === 'number' && expires >= 0
  if (v !== 1) refuse(typeof v === 'number' ? 'version_unsupported' : 'malformed')
  if (!shape) refuse('malformed')
  if (addresses.length) tables.get('card').fields.get('addresses').type.check(addresses, 'addresses')
  checkKey(nodeKey)
  return { fed, nodeKey, addresses, token, expires }
}
