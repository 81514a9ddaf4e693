// Reads one JSON line: { encode: [typed values], decode: [hexadecimal] }, and answers with what @msgpack/msgpack
// makes of them. A typed value says its type, because JSON has one kind of number and no binary values:
//   { i: number } { s: string } { b: hexadecimal } { t: bool } { a: [typed] } { m: [[key, typed]] }
import { createInterface } from 'node:readline'
import { decode, encode } from '@msgpack/msgpack'

const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (data) => Buffer.from(data).toString('hex')

function untyped(value) {
  const [[type, inner]] = Object.entries(value)
  if (type === 'b') return bytes(inner)
  if (type === 'a') return inner.map(untyped)
  if (type === 'm') return Object.fromEntries(inner.map(([key, item]) => [key, untyped(item)]))
  return inner
}

function typed(value) {
  if (typeof value === 'number') return { i: value }
  if (typeof value === 'string') return { s: value }
  if (typeof value === 'boolean') return { t: value }
  if (value instanceof Uint8Array) return { b: hex(value) }
  if (Array.isArray(value)) return { a: value.map(typed) }
  return { m: Object.entries(value).map(([key, item]) => [key, typed(item)]) }
}

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line)
  const answer = {
    encode: question.encode.map((value) => hex(encode(untyped(value), { sortKeys: true }))),
    decode: question.decode.map((data) => typed(decode(bytes(data)))),
    nfc: question.nfc.map((text) => text.normalize('NFC')),
    unicode: process.versions.unicode,
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
