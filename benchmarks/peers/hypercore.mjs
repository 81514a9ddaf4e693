// A hypercore in a process of its own, driven by JSON lines: one side of a replication.
//   tools/node benchmarks/peers/hypercore.mjs
// {"do":"fill","dir","count","size"} -> {key, port}        append entries and serve them over TCP
// {"do":"fetch","dir","key","port","count"} -> {wall, cpu}  download all of them into an empty core
// {"do":"cpu"} -> seconds of CPU so far
import { createServer, connect } from 'node:net'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import Hypercore from 'hypercore'

const cpu = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function join(core, socket, initiator) {
  const stream = core.replicate(initiator, { keepAlive: false })
  stream.on('error', () => {})
  socket.on('error', () => {})
  socket.pipe(stream).pipe(socket)
  return stream
}

const commands = {
  cpu: async () => cpu(),
  async fill({ dir, count, size }) {
    const core = new Hypercore(dir)
    await core.ready()
    // One append an entry would be one signature and one commit each; the sender's writing is not
    // what is measured, so it may be quick.
    for (let done = 0; done < count; done += 256) {
      const entries = []
      for (let n = done; n < Math.min(count, done + 256); n++) entries.push(randomBytes(size))
      await core.append(entries)
    }
    const server = createServer((socket) => join(core, socket, false))
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { key: core.key.toString('hex'), port: server.address().port, length: core.length }
  },
  async fetch({ dir, key, port, count }) {
    const core = new Hypercore(dir, Buffer.from(key, 'hex'))
    await core.ready()
    const [start, spent] = [performance.now(), cpu()]
    const socket = connect(port, '127.0.0.1')
    join(core, socket, true)
    await core.update({ wait: true })
    await core.download({ start: 0, end: count }).done()
    const answer = { wall: (performance.now() - start) / 1e3, cpu: cpu() - spent }
    answer.count = core.contiguousLength
    socket.destroy()
    await core.close()
    return answer
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...facts } = JSON.parse(line)
  try {
    console.log(JSON.stringify({ ok: await commands[name](facts) }))
  } catch (error) {
    console.log(JSON.stringify({ fault: String(error && error.stack) }))
  }
}
process.exit(0)
