// A js-libp2p node told what to do by JSON lines, as support/netnode.py is in Python.
// node libp2p_peer.mjs '{"seed": "<hex>", "topic": "…"}'
import { createHash } from 'node:crypto'
import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const config = JSON.parse(process.argv[2])
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const hex = (bytes) => Buffer.from(bytes).toString('hex')

// spec/04: the id of a message is the first 20 bytes of the SHA-256 of its data.
const messageId = (message) =>
  new Uint8Array(createHash('sha256').update(message.data).digest()).subarray(0, 20)

const node = await createLibp2p({
  privateKey: await generateKeyPairFromSeed('Ed25519', Buffer.from(config.seed, 'hex')),
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub({
      globalSignaturePolicy: 'StrictSign',
      msgIdFn: messageId,
      allowPublishToZeroTopicPeers: true,
      fallbackToFloodsub: false,
      doPX: false
    })
  }
})

const got = new Map()
node.services.pubsub.addEventListener('message', (event) => {
  const name = hex(event.detail.data)
  got.set(name, (got.get(name) ?? 0) + 1)
})
node.services.pubsub.subscribe(config.topic)

// Frames: a 4-byte big-endian length and that many bytes.
const framed = (body) => {
  const frame = Buffer.alloc(4 + body.length)
  frame.writeUInt32BE(body.length)
  frame.set(body, 4)
  return new Uint8Array(frame)
}

async function * frames (stream) {
  let held = Buffer.alloc(0)
  for await (const chunk of stream) {
    held = Buffer.concat([held, Buffer.from(chunk.subarray())])
    while (held.length >= 4 && held.length >= 4 + held.readUInt32BE()) {
      const length = held.readUInt32BE()
      yield held.subarray(4, 4 + length)
      held = held.subarray(4 + length)
    }
  }
}

async function send (stream, bytes) {
  for (let at = 0; at < bytes.length; at += 65536) {
    if (!stream.send(bytes.subarray(at, at + 65536))) await stream.onDrain()
  }
}

await node.handle('/test/echo', async (stream) => {
  for await (const frame of frames(stream)) await send(stream, framed(frame))
  await stream.close()
})

const until = async (condition, seconds) => {
  const end = Date.now() + seconds * 1000
  while (!condition() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
  return condition()
}

const commands = {
  dial: async ({ address }) => { await node.dial(multiaddr(address)) },
  mesh: async ({ seconds = 15 }) =>
    await until(() => node.services.pubsub.getMeshPeers(config.topic).length > 0, seconds),
  publish: async ({ data }) => {
    for (const item of data) {
      await node.services.pubsub.publish(config.topic, Buffer.from(item, 'hex'))
    }
  },
  got: async ({ data, seconds = 15 }) => {
    await until(() => data.every((item) => got.has(item)), seconds)
    return data.map((item) => got.get(item) ?? 0)
  },
  talk: async ({ address, sizes }) => {
    const stream = await node.dialProtocol(multiaddr(address), '/test/echo')
    const answers = frames(stream)
    const back = []
    for (const size of sizes) {
      await send(stream, framed(new Uint8Array(size)))
      back.push((await answers.next()).value.length)
    }
    await stream.close()
    return back
  },
  ping: async ({ address }) => await node.services.ping.ping(multiaddr(address)),
  protocols: async ({ peer }) => {
    const find = () => node.getPeers().find((id) => id.toString() === peer)
    await until(() => find() !== undefined, 5)
    for (let turn = 0; turn < 100; turn++) {
      const found = (await node.peerStore.get(find())).protocols
      if (found.length > 0) return found
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return []
  },
  raw: async ({ address, bytes }) => {
    const stream = await node.dialProtocol(multiaddr(address), '/meshsub/1.1.0')
    stream.send(Buffer.from(bytes, 'hex'))
  }
}

say({ ready: node.getMultiaddrs().map(String), peer: node.peerId.toString() })
createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { id, do: name, ...rest } = JSON.parse(line)
    try {
      say({ id, ok: (await commands[name](rest)) ?? null })
    } catch (error) {
      say({ id, error: String(error?.stack ?? error), code: 'fault' })
    }
  })
  .on('close', async () => { await node.stop(); process.exit(0) })
