// Two other implementations of Negentropy v1 behind one line of JSON in, one line of JSON out:
//   reference    the protocol author's own, as @welshman/net carries it; plays both roles
//   nostr-tools  written separately; a client only: it never lists ids for the other side
import { createInterface } from 'node:readline'
import * as reference from '@welshman/net/dist/net/src/negentropy.js'
import { nip77 } from 'nostr-tools'

// The carried copy looks for SHA-256 where a browser has it, or else where an old CommonJS had it.
globalThis.window ??= globalThis

const implementations = { reference, 'nostr-tools': nip77 }
let peer
let which

async function answer({ op, implementation, items, frame, message }) {
  if (op === 'new') {
    which = implementation
    const { Negentropy, NegentropyStorageVector } = implementations[which]
    const storage = new NegentropyStorageVector()
    for (const [timestamp, id] of items) storage.insert(timestamp, id)
    storage.seal()
    peer = new Negentropy(storage, frame)
    return {}
  }
  if (op === 'initiate') return { message: await peer.initiate() }
  if (op !== 'reconcile') throw new Error(`unknown: ${op}`)
  if (which === 'reference') {
    const [reply, have, need] = await peer.reconcile(message)
    return { message: reply, have, need }
  }
  const have = []
  const need = []
  const reply = peer.reconcile(message, (id) => have.push(id), (id) => need.push(id))
  return { message: reply, have, need }
}

for await (const line of createInterface({ input: process.stdin })) {
  let result
  try {
    result = await answer(JSON.parse(line))
  } catch (error) {
    result = { error: String(error) }
  }
  process.stdout.write(JSON.stringify(result) + '\n')
}
