// An ssb-db2 with epidemic broadcast trees in a process of its own: one side of a replication.
//   tools/node benchmarks/peers/ssb.mjs
// {"do":"fill","dir","count","size"} -> {feed, address}         publish messages and serve them
// {"do":"fetch","dir","feed","address","count"} -> {wall, cpu}   fetch all of them into an empty log
// {"do":"cpu"} -> seconds of CPU so far
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'

// The libraries warn of each other's age thousands of times, which would be measured as well.
process.noDeprecation = true
const require = createRequire(import.meta.url)
const SecretStack = require('secret-stack')
const caps = require('ssb-caps')
const ssbKeys = require('ssb-keys')

const cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function open(dir) {
  return SecretStack({ appKey: caps.shs })
    .use(require('ssb-db2/core'))
    .use(require('ssb-classic'))
    .use(require('ssb-db2/compat/ebt'))
    .use(require('ssb-ebt'))
    .call(null, {
      path: dir,
      caps,
      keys: ssbKeys.loadOrCreateSync(join(dir, 'secret')),
      connections: {
        incoming: { net: [{ scope: 'device', transform: 'shs', port: 0, host: '127.0.0.1' }] },
        outgoing: { net: [{ transform: 'shs' }] }
      },
      ebt: { logging: false }
    })
}

const commands = {
  cpu: async () => cpu(),
  async fill({ dir, count, size }) {
    const sbot = open(dir)
    const create = promisify(sbot.db.create)
    // A message of this format has about 340 bytes besides its text: previous, author, hash,
    // signature and names. The text makes it as long as the other side's records.
    const text = Math.max(1, size - 340)
    let last
    for (let n = 0; n < count; n++) {
      last = await create({
        keys: sbot.config.keys,
        feedFormat: 'classic',
        content: { type: 'post', text: randomBytes(text).toString('base64').slice(0, text) }
      })
    }
    const bytes = Buffer.byteLength(JSON.stringify(last.value))
    await promisify(sbot.db.onDrain)()
    sbot.ebt.request(sbot.id, true)
    return { feed: sbot.id, address: sbot.getAddress('device'), bytes }
  },
  async fetch({ dir, feed, address, count }) {
    const sbot = open(dir)
    sbot.ebt.request(feed, true)
    let got = 0
    const all = new Promise((resolve) => {
      sbot.db.onMsgAdded(() => {
        if (++got === count) resolve()
      })
    })
    const [start, spent] = [performance.now(), cpu()]
    await promisify(sbot.connect)(address)
    await all
    const answer = { wall: (performance.now() - start) / 1e3, cpu: cpu() - spent, count: got }
    await promisify(sbot.close)(true)
    return answer
  }
}

// The libraries print now and then; what is answered must stand alone.
const say = console.log
console.log = console.error
for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...facts } = JSON.parse(line)
  try {
    say(JSON.stringify({ ok: await commands[name](facts) }))
  } catch (error) {
    say(JSON.stringify({ fault: String(error && error.stack) }))
  }
}
process.exit(0)
