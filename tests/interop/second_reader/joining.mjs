// The frames of joining (spec/10).

import { decode, refuse } from './encoding.mjs'

const FRAME = 262144
const RECORD = 18432
const CARD = 4096
const FILE = 150888

const isBin = (value, least, most) => value instanceof Uint8Array && value.length >= least && value.length <= most
const isCount = (value) => typeof value === 'number' && value >= 0
const isText = (value, most) => typeof value === 'string' && [...value].length <= most

const FORMS = {
  0: ([version, token, card]) => typeof version === 'number' && isBin(token, 16, 16) && isBin(card, 0, CARD),
  1: ([file, missing, names]) => isBin(file, 0, FILE) && isCount(missing) &&
    Array.isArray(names) && names.length <= 300 && names.every((name) => isText(name, 200)),
  2: ([records]) => Array.isArray(records) && records.every((record) => isBin(record, 1, RECORD)),
  3: ([count]) => isCount(count),
  9: ([code, text]) => isText(code, Infinity) && isText(text, Infinity),
}

/**
 * Read a frame where those types are expected; a refusal may stand in place of what an inviter says.
 * What is said of the version is left to whoever answers.
 */
export function readJoining(bytes, allowed) {
  const value = decode(bytes, FRAME)
  if (!Array.isArray(value) || typeof value[0] !== 'number') refuse('malformed')
  const [type, ...parts] = value
  const refusal = type === 9 && !allowed.includes(0)
  if (!refusal && !allowed.includes(type)) refuse('malformed')
  if (!FORMS[type](parts)) refuse('malformed')
  if (refusal) refuse('join_refused', parts[0])
  return { type, parts }
}
