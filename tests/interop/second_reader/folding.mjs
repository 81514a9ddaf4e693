// Fold transcripts given as JSON lines on the standard input, and write what they come to.
//
//     {"steps": [...], "transfers": {...}, "now": 0, "names": [...], "people": {...}}

import { createInterface } from 'node:readline'

import * as exchange from './exchange.mjs'

for await (const line of createInterface({ input: process.stdin })) {
  const { steps, transfers, now, names, people } = JSON.parse(line)
  const state = exchange.fold(steps, new Map(Object.entries(transfers)), now)
  process.stdout.write(`${JSON.stringify(exchange.told(state, names, people))}\n`)
}
