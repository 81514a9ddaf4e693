// Signing in with a key (spec/09).

import { encode, refuse } from './encoding.mjs'
import { prefix, verify } from './signatures.mjs'

const NAME = /^[a-z0-9.-]+(:[0-9]{1,5})?$/
const NUMBER = /^\[[0-9a-f:.]+\](:[0-9]{1,5})?$/

/** The bytes that are signed; a client signs none of another form. */
export function loginBody(fed, coop, host, nonce, expires) {
  if (fed.length !== 32 || coop.length !== 32 || nonce.length !== 48) refuse('login')
  if (host.length > 261 || !(NAME.test(host) || NUMBER.test(host))) refuse('login')
  if (!Number.isSafeInteger(expires) || expires < 0) refuse('login')
  return encode([1, fed, coop, host, nonce, expires])
}

export function checkLogin(body, key, signature) {
  verify(key, Buffer.concat([Buffer.from(prefix('login')), body]), signature)
}
