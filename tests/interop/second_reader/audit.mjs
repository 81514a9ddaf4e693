// Exports, checkpoints, proofs and audits (spec/07).

import { Book } from './accounts.mjs'
import { witnesses } from './charter.mjs'
import { Refused, decode, refuse } from './encoding.mjs'
import { readFile } from './founding.mjs'
import * as ledger from './ledger.mjs'
import { sha256, verify } from './signatures.mjs'

const ZERO = Buffer.from([0])
const same = (one, other) => Buffer.compare(one, other) === 0
const hex = (data) => Buffer.from(data).toString('hex')
const isBin = (value, size) => value instanceof Uint8Array && (size === undefined || value.length === size)
const history = (hashes) => ledger.treeRoot(hashes.map((one) => sha256(ZERO, one)))

// --- The container ---

const damaged = (rule) => refuse('export_damaged', rule)
const PATH = /^(?:founding\.bin|charter\.blocks|evidence\.bin|chains\/[0-9a-f]{64}\.blocks|heads\/[0-9a-f]{64}\.heads|checkpoints\/[0-9a-f]{64}\.note)$/
const whole = (value, most) => typeof value === 'number' && value >= 0 && value <= most

export function readManifest(bytes) {
  const map = decode(bytes, 262_144)
  if (!(map instanceof Map)) damaged('manifest')
  const [kind, v, fed, at, by, files] = ['kind', 'v', 'fed', 'at', 'by', 'files'].map((name) => map.get(name))
  if (kind !== 'maillon-ledger') damaged('kind')
  if (v !== 1) damaged('version')
  if (!isBin(fed, 32)) damaged('fed')
  if (!whole(at, Number.MAX_SAFE_INTEGER)) damaged('at')
  if (by !== undefined && !isBin(by, 32)) damaged('by')
  if (!Array.isArray(files) || files.length > 1_000) damaged('files')
  const found = new Map()
  let last = ''
  for (const entry of files) {
    if (!Array.isArray(entry) || entry.length !== 4) damaged('file_entry')
    const [path, size, frames, digest] = entry
    if (typeof path !== 'string' || !PATH.test(path)) damaged('file_entry')
    if (!whole(size, 2 ** 40) || !whole(frames, 2 ** 32) || !isBin(digest, 32)) damaged('file_entry')
    if (found.has(path)) damaged('file_twice')
    if (path < last) damaged('file_order')
    last = path
    found.set(path, { size, frames, digest })
  }
  if (!found.has('founding.bin')) damaged('founding_missing')
  return { fed, at, by, files: found }
}

/** Cut a file into frames; return those before it breaks, and how it breaks. */
export function cut(data) {
  const frames = []
  for (let at = 0; at < data.length; ) {
    if (data.length - at < 4) return { frames, rule: 'cut', offset: at }
    const length = data.readUInt32BE(at)
    if (length > 262_144) return { frames, rule: 'frame_length', offset: at }
    if (at + 4 + length > data.length) return { frames, rule: 'cut', offset: at }
    frames.push(data.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return { frames, rule: null }
}

export function readHead(bytes) {
  const value = decode(bytes, 262_144)
  if (!Array.isArray(value) || value.length !== 2 || !value.every((one) => isBin(one))) damaged('head')
  return value
}

// --- Checkpoints ---

const noNote = (rule) => refuse('note', rule)
const untrusted = (rule) => refuse('note_untrusted', rule)

export const originOf = (fed, chain) => `maillon-ledger/${hex(fed)}/${hex(chain)}`
export const witnessName = (key) => `maillon-witness/${hex(key)}`
export const keyId = (name, type, key) => sha256(`${name}\n`, Buffer.from([type]), key).subarray(0, 4)
export const vkey = (name, type, key) =>
  `${name}+${hex(keyId(name, type, key))}+${Buffer.concat([Buffer.from([type]), key]).toString('base64')}`
export const cosigned = (text, at) => Buffer.from(`cosignature/v1\ntime ${at}\n${text}`)

function base64(text) {
  const data = Buffer.from(text, 'base64')
  return data.toString('base64') === text ? data : noNote('base64')
}

export function readNote(bytes) {
  if (bytes.length > 65_536) noNote('length')
  let all
  try {
    all = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    noNote('utf8')
  }
  if (/[\u0000-\u0009\u000b-\u001f]/.test(all)) noNote('control')
  const end = all.lastIndexOf('\n\n')
  if (end <= 0 || !all.endsWith('\n') || all.length < end + 3) noNote('parts')
  const lines = all.slice(end + 2, -1).split('\n')
  if (lines.length > 320) noNote('signatures')
  const signatures = lines.map((line) => {
    const [, name, coded] = /^\u2014 ([^\s+]+) (.*)$/u.exec(line) ?? noNote('signature_line')
    const data = base64(coded)
    if (data.length <= 4) noNote('signature_line')
    return { name, id: data.subarray(0, 4), signature: data.subarray(4) }
  })
  return { text: all.slice(0, end + 1), signatures }
}

/** Open a note as the checkpoint of an origin, signed by one of `logs` and `quorum` of `keys`. */
export function openCheckpoint(note, origin, { logs, keys, quorum }) {
  const lines = note.text.split('\n')
  if (lines.length !== 4 || lines[3] !== '') noNote('checkpoint_lines')
  if (lines[0] === '') noNote('origin')
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(lines[1]) || Number(lines[1]) > Number.MAX_SAFE_INTEGER) noNote('tree_size')
  const root = base64(lines[2])
  if (root.length !== 32) noNote('root_hash')
  if (lines[0] !== origin) untrusted('origin')
  const by = (name, type, key) =>
    note.signatures.find((one) => one.name === name && same(one.id, keyId(name, type, key)))
  const holds = (key, message, signature) => {
    try {
      verify(key, message, signature)
    } catch (error) {
      if (error instanceof Refused) untrusted('signature')
      throw error
    }
  }
  let written = 0
  for (const key of logs) {
    const line = by(origin, 1, key)
    if (!line) continue
    holds(key, Buffer.from(note.text), line.signature)
    written += 1
  }
  let seen = 0
  for (const key of keys) {
    const line = by(witnessName(key), 4, key)
    if (!line) continue
    if (line.signature.length !== 72) untrusted('signature')
    const at = line.signature.readBigUInt64BE(0)
    if (at > BigInt(Number.MAX_SAFE_INTEGER)) untrusted('timestamp')
    holds(key, cosigned(note.text, at), line.signature.subarray(8))
    seen += 1
  }
  if (!written) untrusted('log')
  if (seen < quorum) untrusted('quorum')
  return { size: Number(lines[1]), root }
}

// --- Proofs ---

export function readProof(bytes) {
  const value = decode(bytes, 262_144)
  const form = [[1, 256], [0, 255], [32, 32], [1, 4_096], 8, [0, 4_608], [0, 65_536], 53]
  const fits = (part, bound) => {
    if (typeof bound === 'number') return Array.isArray(part) && part.length <= bound && part.every((one) => isBin(one, 32))
    return isBin(part) && part.length >= bound[0] && part.length <= bound[1]
  }
  const good = Array.isArray(value) && value.length === 9 && value[0] === 1 && whole(value[2], 255) &&
    form.every((bound, i) => i === 1 || fits(value[i + 1], bound))
  if (!good) refuse('malformed', 'proof')
  const [, headerBytes, index, salt, entry, path, certificate, note, way] = value
  if ((certificate.length === 0) === (note.length === 0) || (way.length && !note.length)) refuse('malformed', 'proof')
  return { header: ledger.readHeader(headerBytes), index, salt, entry, path, certificate, note, way }
}

export function checkProof(proof, fed, committee, writer) {
  const { header, index, salt, entry, path, certificate, note, way } = proof
  ledger.checkInclusion(ledger.leafOf(salt, entry), index, header.count, path, header.entries)
  if (note.length) {
    const trusted = { logs: [writer], ...committee }
    const { size, root } = openCheckpoint(readNote(note), originOf(header.fed, header.chain), trusted)
    ledger.checkInclusion(sha256(ZERO, header.hash), header.h, size, way, root)
    return
  }
  const found = ledger.readCertificate(certificate)
  if (!certifies(found, header)) refuse('certificate', 'block')
  ledger.checkCertificate(fed, committee, found)
}

const certifies = (found, header) =>
  found.c === header.c && found.h === header.h && same(found.chain, header.chain) && same(found.block, header.hash)

// --- The audit ---

const ERRORS = new Set(`file_missing file_changed file_damaged chain_absent block_unreadable block_missing block_order
block_invalid block_entry block_signature block_uncertified block_forged block_few block_retired block_void pin_missing
charter_ahead charter_invalid history_changed message_unknown message_other not_closed sum_not_zero trade_differs fork
head_hidden checkpoint_differs`.split(/\s+/))

const committeeOf = (state) => ({ keys: witnesses(state), quorum: state.quorum })

/** Why a block is not taken: the code of the finding and the entry. */
function explain(error) {
  const { code, rule, more } = error
  if (code === 'not_certified') return ['block_uncertified', -1]
  if (code === 'no_quorum') return ['block_few', -1]
  if (code === 'certificate') return ['block_forged', -1]
  if (code === 'need_blocks') return ['block_missing', -1]
  if (code === 'charter_unknown') return ['charter_ahead', -1]
  if (code !== 'bad_block') return ['block_invalid', -1]
  if (['height', 'prev', 'chain'].includes(rule)) return ['block_order', -1]
  if (more?.entry_code === 'bad_signature') return ['block_signature', rule === 'evidence' ? -1 : more.index]
  if (rule === 'entry' || rule === 'evidence') return ['block_entry', more.index]
  return ['block_invalid', -1]
}

const replays = new Map() // the same bytes of a chain under the same charter lead to the same

/** Replay one chain; return what it leads to, and the first thing that is wrong with it. */
function replay(base, chain, frames) {
  const book = base.fork()
  const states = base.charters
  const latest = states.at(-1)
  const made = { chain, out: new Map(), taken: new Map(), wrong: null }
  for (const data of frames) {
    const head = book.chain(chain)
    const height = head.h + 1
    let block
    try {
      block = ledger.readBlock(data)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      made.wrong = ['block_unreadable', height, -1]
      break
    }
    const { header } = block
    try {
      if (!same(header.chain, chain)) refuse('bad_block', 'chain')
      const [headerBytes, bodyBytes, proof, delta] = decode(data, 262_144)
      const { rows } = book.check({ headerBytes, bodyBytes, delta, certified: true })
      if (!proof.length) refuse('not_certified')
      const certificate = ledger.readCertificate(proof)
      if (!certifies(certificate, header)) refuse('certificate', 'block')
      ledger.checkCertificate(base.federation, committeeOf(states[header.c]), certificate)
      if (header.c < latest.retired_below) {
        const pinned = latest.retired_heads.find(([one]) => same(one, chain))
        const may = pinned && (header.h < pinned[1] || (header.h === pinned[1] && same(header.hash, pinned[2])))
        if (!may) {
          made.wrong = ['block_retired', header.h, -1]
          break
        }
      }
      book.chains.set(hex(chain), {
        h: header.h, hash: header.hash, time: header.time, adopted: header.c2, hashes: [...head.hashes, header.hash], rows,
      })
      for (const [index, [salt, bytes]] of decode(bodyBytes, 131_072)[0].entries()) note(made, base.federation, header, index, salt, bytes)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      const [code, entry] = explain(error)
      made.wrong = [code, height, entry]
      break
    }
  }
  return { ...made, head: book.chain(chain) }
}

function note(made, fed, header, index, salt, bytes) {
  const entry = ledger.readEntry(bytes)
  const put = (map, coop, one) => map.set(hex(coop), [...(map.get(hex(coop)) ?? []), one])
  if (entry.kind === 8 || entry.kind === 9) {
    const [, source, block, place] = decode(bytes, 4_096)
    put(made.taken, source, { ref: `${hex(block)} ${place}`, h: header.h })
  }
  const message = ledger.messageOf(fed, entry, ledger.leafOf(salt, bytes))
  if (message) {
    const { unit, amount } = message
    put(made.out, message.to_coop, { ref: `${hex(header.hash)} ${index}`, unit, amount, h: header.h })
  }
}

/** Audit an export { path: bytes }. */
export function audit(files) {
  const found = []
  const tell = (code, chain = '', height = -1, entry = -1) => found.push([code, chain && hex(chain), height, entry])
  const manifest = readManifest(files.get('manifest'))
  const part = (path) => files.get(path)?.subarray(0, manifest.files.get(path)?.size ?? 0) ?? Buffer.alloc(0)
  const isShort = (path) => part(path).length < manifest.files.get(path).size
  const isOther = (path) => !same(sha256(part(path)), manifest.files.get(path).digest)
  /** What the bytes of a listed file suffer from; `broken` when its frames could not be cut. */
  const ailment = (path, broken) => {
    if (!files.has(path)) return 'file_missing'
    if (broken || isShort(path)) return 'file_damaged'
    return isOther(path) ? 'file_changed' : null
  }
  /** The frames of a listed file as far as they can be read; what is amiss is told. */
  const framesOf = (path) => {
    const { frames, rule } = cut(part(path))
    const ail = ailment(path, rule)
    if (ail) tell(ail)
    return frames
  }
  const fileBytes = part('founding.bin')
  readFile(fileBytes)
  const base = new Book(manifest.fed, decode(fileBytes, 150_888)[0])
  const CHARTER = 'charter.blocks'
  const charters = cut(part(CHARTER))
  let broke = false
  for (const [k, data] of charters.frames.entries()) {
    try {
      base.take(data)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      tell('charter_invalid', manifest.fed, k + 1)
      broke = true
      break
    }
  }
  if (manifest.files.has(CHARTER) && !broke && ailment(CHARTER, charters.rule)) tell(ailment(CHARTER, charters.rule))
  const latest = base.charters.at(-1)
  if ([...files.keys()].some((path) => path !== 'manifest' && !manifest.files.has(path))) tell('file_unlisted')
  const results = new Map()
  for (const { id } of latest.coops) {
    const path = `chains/${hex(id)}.blocks`
    if (!manifest.files.has(path)) {
      tell('chain_absent', id)
      continue
    }
    const { frames, rule } = cut(part(path))
    const key = hex(sha256(id, part(path), part(CHARTER), fileBytes))
    if (!replays.has(key)) replays.set(key, replay(base, id, frames))
    const result = replays.get(key)
    if (result.wrong) tell(result.wrong[0], id, ...result.wrong.slice(1))
    else {
      const ail = ailment(path, rule)
      if (ail) tell(ail, id, ail === 'file_changed' ? -1 : result.head.h + 1)
    }
    const cutShort = found.length > 0 && found.some(([code, one]) => one === hex(id) && ERRORS.has(code))
    results.set(hex(id), { ...result, id, cutShort })
    if (result.head.time > manifest.at + 300) tell('time_ahead', id, result.head.h)
  }
  pins(base, results, tell)
  channels(results, tell)
  if (ailment('founding.bin')) tell(ailment('founding.bin'))
  nodes(base, manifest, framesOf, results, tell)
  if (manifest.files.has('evidence.bin')) framesOf('evidence.bin')
  checkpoints(base, manifest, part, ailment, results, tell)
  const sums = totals(latest, results)
  const judged = !found.some(([code]) => ERRORS.has(code)) && results.size === latest.coops.length
  if (judged) sums.forEach((sum) => sum && tell('sum_not_zero'))
  return { verdict: found.some(([code]) => ERRORS.has(code)) ? 'wrong' : 'fine', judged, sums, findings: found.sort(order) }
}

const order = (a, b) => {
  const i = a.findIndex((part, at) => part !== b[at])
  return i < 0 ? 0 : a[i] < b[i] ? -1 : 1
}

function pins(base, results, tell) {
  const told = new Set()
  for (const state of base.charters) {
    for (const [chain, h, hash] of state.retired_heads) {
      const result = results.get(hex(chain))
      if (!result || result.cutShort) continue
      const { head } = result
      if (head.h >= h && same(head.hashes[h], hash)) continue
      const [code, at] = head.h < h ? ['pin_missing', head.h] : ['block_retired', h]
      if (told.has(`${hex(chain)} ${at}`)) continue
      told.add(`${hex(chain)} ${at}`)
      tell(code, chain, at)
    }
  }
}

function channels(results, tell) {
  for (const { id, taken } of results.values()) {
    for (const [source, messages] of taken) {
      const sender = results.get(source)
      const sent = sender?.out.get(hex(id)) ?? []
      const other = messages.findIndex((one, i) => i < sent.length && one.ref !== sent[i].ref)
      if (other >= 0) tell('message_other', id, messages[other].h)
      else if (messages.length > sent.length) {
        tell(!sender || sender.cutShort ? 'not_closed' : 'message_unknown', id, messages[sent.length].h)
      }
    }
  }
}

function nodes(base, manifest, framesOf, results, tell) {
  for (const path of manifest.files.keys()) {
    if (!path.startsWith('heads/')) continue
    const exporter = manifest.by !== undefined && path === `heads/${hex(manifest.by)}.heads`
    for (const data of framesOf(path)) {
      let header
      let certificate
      try {
        const [headerBytes, proof] = readHead(data)
        header = ledger.readHeader(headerBytes)
        certificate = ledger.readCertificate(proof)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        tell('head_unreadable')
        continue
      }
      try {
        if (!same(header.fed, base.federation) || !certifies(certificate, header)) refuse('certificate')
        ledger.checkCertificate(base.federation, committeeOf(base.charterAt(header.c)), certificate)
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        tell('head_forged', header.chain, header.h)
        continue
      }
      const result = results.get(hex(header.chain))
      if (!result || (header.h > result.head.h && result.cutShort)) continue
      if (header.h > result.head.h && exporter) tell('head_hidden', header.chain, result.head.h + 1)
      else if (header.h > result.head.h) tell('head_ahead', header.chain, header.h)
      else if (!same(result.head.hashes[header.h], header.hash)) tell('fork', header.chain, header.h)
    }
  }
}

function checkpoints(base, manifest, part, ailment, results, tell) {
  const latest = base.charters.at(-1)
  for (const path of manifest.files.keys()) {
    const [, name] = /^checkpoints\/(.*)\.note$/.exec(path) ?? []
    const result = results.get(name)
    if (!result) continue
    const ail = ailment(path)
    if (ail) tell(ail)
    if (ail === 'file_missing' || ail === 'file_damaged') continue
    const logs = new Map()
    for (const state of base.charters) {
      const coop = state.coops.find((one) => same(one.id, result.id))
      if (coop?.writer.length) logs.set(hex(coop.writer), coop.writer)
    }
    const { head, cutShort } = result
    const opened = (trust) =>
      openCheckpoint(readNote(part(path)), originOf(base.federation, result.id), { logs: [...logs.values()], ...trust })
    try {
      const { size, root } = opened(committeeOf(latest))
      if (size > head.h + 1 && cutShort) continue
      if (size > head.h + 1 || !same(history(head.hashes.slice(0, size)), root)) tell('checkpoint_differs', result.id, size - 1)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      if (error.rule === 'quorum') {
        const { size, root } = opened({ ...committeeOf(latest), quorum: 0 })
        if (size > head.h + 1 && cutShort) continue
        if (size <= head.h + 1 && same(history(head.hashes.slice(0, size)), root)) {
          tell('checkpoint_few', result.id, size - 1)
          continue
        }
      }
      tell(error.code === 'note_untrusted' ? 'checkpoint_untrusted' : 'checkpoint_unreadable', result.id)
    }
  }
}

/** All balances and all that is on its way, by unit. */
function totals(charter, results) {
  const sums = charter.units.map(() => 0)
  for (const { id, head, out } of results.values()) {
    for (const row of head.rows) {
      if (row[0] === 0) for (const [unit, balance] of row[6]) sums[unit] += balance
    }
    for (const [target, messages] of out) {
      const taken = results.get(target)?.taken.get(hex(id))?.length ?? 0
      for (const { unit, amount } of messages.slice(taken)) {
        const kind = charter.units[unit].kind ?? charter.units[unit][1]
        if (kind !== 'count') sums[unit] += amount
      }
    }
  }
  return sums
}

