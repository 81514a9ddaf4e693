// What rests on another record, and what live records mean together (spec/08-community).

import { encode, refuse } from './encoding.mjs'
import { prefix, sha256, thingId } from './signatures.mjs'

const hex = (bytes) => bytes.toString('hex')
const has = (list, item) => list.some((one) => one.equals(item))
const require = (holds, rule) => holds || refuse('ref_invalid', rule)

/** Whom a bundle or a micro-organisation names, each once. */
export function named(whole) {
  const [list, field] = whole.kind === 'bundle' ? ['parts', 'provider'] : ['members', 'author']
  const found = []
  for (const one of whole.payload.get(list)) if (!has(found, one.get(field))) found.push(one.get(field))
  return found
}

export const commitment = (demand, amount, nonce) => sha256(prefix('bid'), nonce, encode([demand, amount]))
export const draw = (secret, bid) => sha256(prefix('lot'), secret, bid)

const sameThing = (record, field, on) =>
  require(record.payload.get(field).equals(thingId(on.author, on.series)), 'thing')

const auctionOf = (demand) => demand.payload.get('auction') ?? refuse('ref_invalid', 'auction')
const withinLimit = (demand, amount) =>
  require(!(amount > demand.payload.get('reciprocity').get('amount')), 'limit')
const lastOf = (auction) => auction.get('reveal_until') ?? auction.get('closes')

function closing(record, author, demand, after) {
  const auction = auctionOf(demand)
  sameThing(record, 'demand', demand)
  require(author.equals(demand.author), 'party')
  require(record.at > after(auction), 'early')
  return auction
}

const consent = (field) => (record, author, whole) => {
  sameThing(record, field, whole)
  require(has(named(whole), author), 'party')
}

/** The kind that each kind rests on, and what is looked at then. */
export const RESTS = {
  cosignature: ['demand', (record, author, demand) => {
    sameThing(record, 'demand', demand)
    require(!author.equals(demand.author), 'own')
  }],
  bid: ['demand', (record, author, demand) => {
    const auction = auctionOf(demand)
    sameThing(record, 'demand', demand)
    require(!author.equals(demand.author), 'own')
    require(record.at <= auction.get('closes'), 'closed')
    const sealed = auction.get('form') === 'sealed'
    require(record.payload.has(sealed ? 'commit' : 'amount'), 'form')
    if (!sealed) withinLimit(demand, record.payload.get('amount'))
  }],
  auction_close: ['demand', (record, author, demand) => {
    closing(record, author, demand, (auction) => auction.get('closes'))
  }],
  award: ['demand', (record, author, demand) => {
    const auction = closing(record, author, demand, lastOf)
    require(sha256(record.payload.get('secret')).equals(auction.get('lot')), 'lot')
  }],
  bid_reveal: ['bid', (record, author, bid, view) => {
    const map = record.payload
    require(author.equals(bid.author), 'party')
    require(bid.payload.has('commit'), 'form')
    const opened = commitment(bid.payload.get('demand'), map.get('amount'), map.get('nonce'))
    require(opened.equals(bid.payload.get('commit')), 'commit')
    const demand = view.live(bid.refs[0]) ?? refuse('ref_missing')
    const auction = auctionOf(demand)
    require(record.at > auction.get('closes'), 'early')
    require(record.at <= auction.get('reveal_until'), 'closed')
    withinLimit(demand, map.get('amount'))
  }],
  bundle_part: ['bundle', consent('bundle')],
  organisation_part: ['organisation', consent('organisation')],
  contest: ['vouching', (record, author, vouching, view) => {
    const person = Buffer.concat([Buffer.from('p'), vouching.coop, vouching.payload.get('person')])
    require(author.equals(person), 'party')
    require(record.at <= vouching.payload.get('contest_until'), 'closed')
    if (record.by.equals(vouching.payload.get('old_key'))) return
    const member = view.membership(record.coop, record.by)
    const map = member?.payload
    const ended = map?.get('status') === 'revoked' ||
      (map?.get('status') === 'suspended' && record.at >= (map.get('status_since') ?? member.at))
    if (ended) refuse('membership_revoked')
  }],
}

/** "Who won"; the arguments are live records, `close` and `award` possibly null. */
export function whoWon(demand, close, bids, reveals, award) {
  const auction = demand.payload.get('auction')
  const B = bids.filter((bid) => bid.refs[0].equals(demand.id))
  const inOrder = (ids) => [...ids].sort(Buffer.compare)
  const listed = close ? close.payload.get('bids') : inOrder(B.map((bid) => bid.id))
  const find = (list, id) => list.find((one) => one.id.equals(id))
  const missing = listed.filter((id) => !find(B, id))
  const omitted = inOrder(B.map((bid) => bid.id).filter((id) => !has(listed, id)))
  const there = listed.map((id) => find(B, id)).filter(Boolean)
  const unopened = []
  const part = []
  if (auction.get('form') === 'open') {
    for (const bid of there) part.push({ id: bid.id, amount: bid.payload.get('amount') })
  } else {
    const R = reveals.filter((reveal) => find(B, reveal.refs[0]))
    const counted = award && (award.payload.get('reveals') ?? [])
    if (counted) missing.push(...counted.filter((id) => !find(R, id)))
    for (const bid of there) {
      const reveal = R.find((one) => one.refs[0].equals(bid.id))
      if (reveal && (!counted || has(counted, reveal.id))) {
        part.push({ id: bid.id, amount: reveal.payload.get('amount') })
        continue
      }
      unopened.push(bid.id)
      if (reveal) omitted.push(reveal.id)
    }
  }
  const place = (bid) => (award ? draw(award.payload.get('secret'), bid.id) : bid.id)
  part.sort((one, other) => one.amount - other.amount || Buffer.compare(place(one), place(other)))
  const tied = part.filter((bid) => bid.amount === part[0].amount).length
  const decided = close && (award || (auction.get('form') === 'open' && tied === 1))
  const winner = (decided && part[0]) || null
  let right = null
  if (award && close) {
    const said = award.payload.get('winner')
    if (!said || !has(missing, said)) right = said && winner ? said.equals(winner.id) : !said && !winner
  }
  return {
    winner: winner && hex(winner.id),
    amount: winner && winner.amount,
    ranking: part.map((bid) => hex(bid.id)),
    tied,
    missing: missing.map(hex),
    unopened: unopened.map(hex),
    omitted: omitted.map(hex),
    award_right: right,
  }
}

/** Minor units in the order of the members; the products need more than a double holds. */
export function split(amount, members) {
  const sum = members.reduce((all, { share }) => all + BigInt(share), 0n)
  const parts = members.map(({ author, share }, at) => {
    const product = BigInt(amount) * BigInt(share)
    return { at, author, units: product / sum, rest: product % sum }
  })
  let left = BigInt(amount) - parts.reduce((all, { units }) => all + units, 0n)
  const first = (one, other) =>
    (one.rest === other.rest ? Buffer.compare(one.author, other.author) : one.rest > other.rest ? -1 : 1)
  for (const part of [...parts].sort(first)) if (left-- > 0n) part.units += 1n
  return parts.map(({ units }) => Number(units))
}

export function splitGroup(amount, members, rule, performer) {
  const shared = members.map(({ author, share }) => ({
    author,
    share: { shares: share, equal: 1, performer: performer?.equals(author) ? 1 : 0 }[rule],
  }))
  const units = split(amount, shared)
  return shared.map(({ author }, i) => ({ author: hex(author), units: units[i] })).filter((one) => one.units > 0)
}

/** Whose consent to a whole is missing; every record has its author beside it. */
export function waitingFor(whole, parts) {
  const kind = `${whole.kind}_part`
  const given = parts.filter((part) => part.kind === kind && part.refs[0].equals(whole.id))
  const yes = [whole.author, ...given.map((part) => part.author)]
  return named(whole).filter((author) => !has(yes, author)).map(hex)
}

export function approved(organisation, approvals) {
  const yes = named(organisation).filter((member) => has(approvals, member))
  return yes.length >= organisation.payload.get('rule').get('signatures')
}

const step = (moves, author) => moves.find((move) => move.payload.get('from').equals(author))

export function today(author, moves) {
  const met = []
  for (let move = step(moves, author); move; move = step(moves, author)) {
    met.push(move)
    author = move.payload.get('to')
    const back = met.findIndex((one) => one.payload.get('from').equals(author))
    if (back < 0) continue
    const later = (one, other) => one.at - other.at || Buffer.compare(one.id, other.id)
    return hex(met.slice(back).sort(later).at(-1).payload.get('to'))
  }
  return hex(author)
}

export function before(author, moves) {
  const found = []
  const reach = (target) => {
    for (const move of moves) {
      const from = move.payload.get('from')
      if (!move.payload.get('to').equals(target) || from.equals(author) || has(found, from)) continue
      found.push(from)
      reach(from)
    }
  }
  reach(author)
  return found.map(hex).sort()
}

export function stands(vouching, contests, now) {
  if (contests.some((contest) => contest.refs[0].equals(vouching.id))) return false
  return now > vouching.payload.get('contest_until') ? true : null
}

export function checkStatus(terms, status, units) {
  const priced = ['amount', 'auction'].includes(terms.kind)
  const gives = priced ? (units[terms.unit] ?? 'credit') : terms.kind
  if (status === 'volunteer' && ['credit', 'outside'].includes(gives)) refuse('not_allowed', 'status')
}

export const askedOf = (offer, audiences) =>
  (offer.tariffs ?? []).find((one) => audiences.includes(one.audience))?.reciprocity ?? offer.reciprocity

export function isFree({ busy, until }, start, end) {
  if (end > until) return null
  return start <= end && !busy.some(([first, last]) => first <= end && start <= last)
}

// --- Relays --------------------------------------------------------------------------------------------

const ownLetter = (record, from) => {
  if (!record.coop.equals(from)) refuse('not_allowed', 'relay')
}

/** A request that the node of the coop `from` brought. */
export function checkRelayRequest(request, from) {
  ownLetter(request, from)
  const deadline = request.payload.get('deadline')
  if (deadline <= request.at || deadline > request.until) refuse('not_allowed', 'deadline')
}

/** What becomes of each answer to a request, whether it is taken, and whether in time. */
export function relayAnswers(request, asked, letters) {
  let first = null
  const outcomes = letters.map(({ answer, from, at }) => {
    if (!answer.coop.equals(from)) return 'relay'
    if (!from.equals(asked) || !answer.payload.get('request').equals(request.id)) return 'request'
    if (!answer.payload.get('demand').equals(request.payload.get('demand'))) return 'demand'
    if (first) return 'later'
    first = { taken: answer.payload.get('taken'), at }
    return 'counts'
  })
  return {
    outcomes,
    taken: first && first.taken,
    in_time: first && first.at <= request.payload.get('deadline') + 120,
  }
}
