// Peer ids, pubsub messages, frames and batches (spec/04).

import { decode, refuse } from './encoding.mjs'
import { sha256, verify } from './signatures.mjs'

const LETTERS = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const PEER = Buffer.from('002408011220', 'hex')
const BATCH = 65536
const FRAME = 262144

export const peerBytes = (key) => Buffer.concat([PEER, key])

export function base58(bytes) {
  let number = BigInt(`0x0${bytes.toString('hex')}`)
  let text = ''
  for (; number > 0n; number /= 58n) text = LETTERS[number % 58n] + text
  return '1'.repeat(bytes.findIndex((byte) => byte !== 0)) + text
}

export const topicOf = (fed) => `maillon/1/${fed.toString('hex').slice(0, 32)}/records`
export const messageId = (data) => sha256(data).subarray(0, 20)

/** The fields of a protobuf message that have wire type 2: number and bytes. The others are passed over. */
function* fieldsOf(bytes) {
  let at = 0
  const unreadable = () => refuse('rpc_unreadable')
  const varint = () => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) unreadable()
      const byte = bytes[at++]
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return Number(value)
    }
    return unreadable()
  }
  while (at < bytes.length) {
    const tag = varint()
    const wire = tag & 7
    const number = Math.floor(tag / 8)
    if (number === 0) unreadable()
    if (wire === 0) varint()
    else if (wire === 2) {
      const length = varint()
      if (at + length > bytes.length) unreadable()
      yield { number, content: bytes.subarray(at, at + length) }
      at += length
    } else if (wire === 1 || wire === 5) {
      at += wire === 1 ? 8 : 4
      if (at > bytes.length) unreadable()
    } else unreadable()
  }
}

function lengthOf(content) {
  const digits = []
  let rest = content.length
  for (; rest > 127; rest >>= 7) digits.push((rest & 127) | 128)
  return Buffer.from([...digits, rest])
}

/** Read a pubsub message of the topic; its content's id and its sender's key. */
export function readMessage(bytes, topic) {
  const fields = [...fieldsOf(bytes)]
  const all = (number) => fields.filter((field) => field.number === number).map((field) => field.content)
  const last = (number) => all(number).at(-1) ?? Buffer.alloc(0)
  const topics = all(4)
  if (topics.length !== 1 || topics[0]?.toString() !== topic) refuse('topic')
  const data = last(2)
  if (data.length > BATCH) refuse('message_too_large')
  const from = last(1)
  if (from.length !== 38 || !from.subarray(0, 6).equals(PEER)) refuse('message_signature')
  const seqno = last(3)
  if (seqno.length > 8) refuse('message_signature')
  const body = [from, data, seqno, topics[0]].flatMap((content, i) => [
    Buffer.from([(i + 1) * 8 + 2]), lengthOf(content), content,
  ])
  try {
    verify(from.subarray(6), Buffer.concat([Buffer.from('libp2p-pubsub:'), ...body]), last(5))
  } catch {
    refuse('message_signature')
  }
  return { id: messageId(data), key: from.subarray(6), data }
}

/** The frames of a stream that ends behind these bytes, and the code of what ends it early. */
export function readFrames(bytes) {
  const frames = []
  let at = 0
  while (at < bytes.length) {
    if (bytes.length - at < 4) return { frames, code: 'frame_truncated' }
    const length = bytes.readUInt32BE(at)
    if (length > FRAME) return { frames, code: 'frame_too_large' }
    if (bytes.length - at - 4 < length) return { frames, code: 'frame_truncated' }
    frames.push(bytes.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return { frames, code: null }
}

export function readBatch(bytes) {
  const value = decode(bytes, BATCH)
  if (!Array.isArray(value) || value.length === 0) refuse('malformed', 'batch')
  const [version, records] = value
  if (typeof version !== 'number') refuse('malformed', 'batch')
  if (version !== 1) refuse('version_unsupported')
  if (value.length !== 2 || !Array.isArray(records) || records.length === 0) refuse('malformed', 'batch')
  for (const record of records) {
    if (!(record instanceof Uint8Array) || record.length === 0) refuse('malformed', 'batch')
    if (record.length > 18432) refuse('too_large', 'record_length')
  }
  return records
}
