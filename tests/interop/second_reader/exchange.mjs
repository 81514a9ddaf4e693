// Exchanges (spec/08-exchange): a transcript in, its state out.

import { Refused, decode, refuse } from './encoding.mjs'
import { prefix, sha256 } from './signatures.mjs'

const DAY = 86400
const hex = (bytes) => Buffer.from(bytes).toString('hex')
const ALL = -1n // the eyes of whoever has seen everything

/** Decoded maps as plain objects, binary as hexadecimal text: ids compare and key maps so. */
export function plain(value) {
  if (value instanceof Uint8Array) return hex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [key, plain(one)]))
  return value
}

export const refOf = (salt, agreement) =>
  hex(sha256(prefix('exchange-ref'), Buffer.from(salt, 'hex'), Buffer.from(agreement, 'hex')))

const OUTSIDERS = new Set(['bundle_decision', 'funding'])

// --- The order ---------------------------------------------------------------------------------------

class Transcript {
  constructor(given) {
    const steps = new Map(given.map((step) => [step.id, step]))
    const openings = [...steps.values()].filter((step) => step.kind === 'opening')
    if (openings.length !== 1 || !openings[0].payload) refuse('step', 'opening')
    this.opening = openings[0]
    this.said = this.opening.payload
    this.id = this.opening.id
    if (![this.said.requester, this.said.provider].includes(this.opening.author)) refuse('step', 'opening')
    const mine = new Map()
    this.foreign = []
    for (const step of steps.values()) (this.isMine(step) ? mine.set(step.id, step) : this.foreign.push(step))
    this.arrange(mine)
    this.providers = new Set([this.said.provider])
    for (const { kind, payload, author } of this.steps) {
      if (kind === 'handover' && payload && this.providers.has(author)) this.providers.add(payload.to)
    }
    this.providers.delete(this.said.requester)
    this.lost = this.equivocations()
  }

  isMine(step) {
    if (step === this.opening || step.payload === null) return true
    if (!(step.kind in GATES)) return false
    if (step.kind === 'bundle_decision') return step.payload.exchanges.includes(this.id)
    return step.payload.exchange === this.id
  }

  arrange(mine) {
    const before = new Map()
    for (const step of mine.values()) {
      let refs = step.refs
      if (OUTSIDERS.has(step.kind)) {
        refs = refs.filter((ref) => mine.has(ref))
        if (step.payload?.outcome === 'commit') refs.push(step.payload.agreements[step.payload.exchanges.indexOf(this.id)])
      }
      before.set(step.id, [...new Set(refs)])
    }
    const told = new Map()
    let grew = true
    while (grew) {
      grew = false
      for (const [id, refs] of before) {
        const step = mine.get(id)
        if (told.has(id) || !refs.every((ref) => told.has(ref))) continue
        if (refs.length === 0) {
          if (step === this.opening) told.set(id, { time: step.at, depth: 0 })
          else if (OUTSIDERS.has(step.kind)) told.set(id, { time: Math.max(step.at, this.opening.at), depth: 1 })
          else continue
        } else {
          told.set(id, {
            time: Math.max(step.at, ...refs.map((ref) => told.get(ref).time)),
            depth: 1 + Math.max(...refs.map((ref) => told.get(ref).depth)),
          })
        }
        grew = true
      }
    }
    const places = [...told].map(([id, { time, depth }]) => ({ id, time, depth }))
    places.sort((a, b) => a.time - b.time || a.depth - b.depth || (a.id < b.id ? -1 : 1))
    this.steps = places.map(({ id }) => mine.get(id))
    this.time = places.map(({ time }) => time)
    this.depth = places.map(({ depth }) => depth)
    this.place = new Map(places.map(({ id }, place) => [id, place]))
    this.seen = []
    for (const { id } of places) {
      this.seen.push(before.get(id).reduce((mask, ref) => mask | this.seen[this.place.get(ref)] | (1n << BigInt(this.place.get(ref))), 0n))
    }
    const referred = this.seen.reduce((mask, one) => mask | one, 0n)
    this.heads = this.steps.filter((_, place) => !(referred >> BigInt(place) & 1n)).map(({ id }) => id)
    const waits = [...mine.keys()].filter((id) => !told.has(id))
    this.waiting = [...new Set(waits.flatMap((id) => before.get(id)).filter((ref) => !mine.has(ref)))].sort()
  }

  sees(eyes, id) {
    const place = this.place.get(id)
    return place !== undefined && (eyes >> BigInt(place) & 1n) === 1n
  }

  has(place, other) {
    return (this.seen[place] >> BigInt(other) & 1n) === 1n
  }

  crossing(place) {
    if (place >= this.steps.length) return []
    return this.steps.map((_, other) => other).filter((other) => other !== place && !this.has(place, other) && !this.has(other, place))
  }

  /** The steps that cross one and did not give way. */
  aside(place) {
    return this.crossing(place).filter((other) => !this.lost.has(other))
  }

  side(author) {
    if (this.providers.has(author)) return 'provider'
    return author === this.said.requester ? 'requester' : 'neither'
  }

  rank(place) {
    const side = this.side(this.steps[place].author)
    const heard = this.steps.filter(({ author }, later) => {
      const theirs = this.side(author)
      return this.has(later, place) && theirs !== side && theirs !== 'neither'
    })
    return { heard: heard.length, time: this.time[place], depth: this.depth[place], id: this.steps[place].id }
  }

  better(one, other) {
    const [a, b] = [this.rank(one), this.rank(other)]
    return (b.heard - a.heard || a.time - b.time || a.depth - b.depth || (a.id < b.id ? -1 : 1)) < 0
  }

  beaten(place, isRival) {
    return this.aside(place).some((other) => isRival(this.steps[other], other) && this.better(other, place))
  }

  equivocations() {
    const lost = new Set()
    const keys = Map.groupBy(this.steps.keys(), (place) => this.steps[place].by)
    for (const places of keys.values()) {
      const own = places.filter((place) => !OUTSIDERS.has(this.steps[place].kind))
      own.sort((a, b) => (this.better(a, b) ? -1 : 1))
      const kept = []
      for (const place of own) {
        const crossing = this.crossing(place)
        if (kept.some((other) => crossing.includes(other))) lost.add(place)
        else kept.push(place)
      }
    }
    return lost
  }

  /** Whether an agreement is good. */
  good(place) {
    const step = this.steps[place]
    if (step.kind !== 'agreement' || !step.payload || this.lost.has(place) || step.author !== this.said.requester) return false
    const at = this.place.get(step.payload.quote)
    if (at === undefined || !this.has(place, at)) return false
    const quote = this.steps[at]
    if (quote.kind !== 'quote' || !quote.payload || this.lost.has(at) || quote.author !== this.said.provider) return false
    if (this.time[place] > quote.payload.valid_until) return false
    return !this.steps.some(({ kind, payload }, other) => {
      if (other <= at || !payload || !this.has(place, other)) return false
      if (kind === 'cancellation') return true
      if (kind === 'quote_withdrawal') return payload.quote === quote.id
      return kind === 'decline' && (payload.quote === undefined || payload.quote === quote.id)
    })
  }

  takesOver(place) {
    const step = this.steps[place]
    if (step.kind !== 'handover_acceptance' || !step.payload || this.lost.has(place)) return false
    const named = step.payload.handover
    if (!this.sees(this.seen[place], named)) return false
    const { kind, payload } = this.steps[this.place.get(named)]
    if (kind !== 'handover' || !payload || 'task' in payload || payload.to !== step.author) return false
    return this.steps.some((answer, other) => answer.kind === 'consent' && answer.payload && this.has(place, other)
      && answer.author === this.said.requester && answer.payload.to === named && answer.payload.yes)
  }
}

// --- The state ---------------------------------------------------------------------------------------

const no = (reason) => { throw new Void(reason) }
class Void extends Error {}

class State {
  constructor(transcript, transfers, counted) {
    Object.assign(this, {
      t: transcript, transfers, counted, thanks: [], time: 0, requester: transcript.said.requester, provider: transcript.said.provider,
      first: transcript.said.provider, quotes: new Map(), agreement: null, agreedQuote: null, terms: null, waits: false,
      decided: false, slots: new Map(), changes: new Map(), tasks: new Map(), handovers: new Map(), fixed: [], dispute: null,
      dissent: null, ended: null, firstFixed: null, payments: [], hold: null, evaluations: new Set(), claims: new Map(), void: [],
    })
    this.payer = transcript.said.payer ?? this.requester
  }

  get mediator() { return this.terms?.mediator }
  get recurring() { return this.terms?.recurrence !== undefined }
  get byTime() { return this.terms?.per_hour !== undefined }
  get last() { return this.fixed.at(-1) }
  some(status) { return [...this.slots.values()].filter((slot) => slot.status === status) }

  phase() {
    if (this.agreement === null || this.waits) {
      if (this.ended) return this.ended
      const statuses = [...this.quotes.values()].map(({ status }) => status)
      if (this.waits || statuses.includes('open')) return 'quoted'
      return statuses.includes('expired') ? 'expired' : statuses.includes('declined') ? 'declined' : 'opened'
    }
    if (this.dispute) return 'disputed'
    if (this.ended) return this.ended
    if (this.some('in').length) return 'under_way'
    if ([...this.handovers.values()].some(({ status, task }) => status === 'consented' && !task)) return 'handed_over'
    const planned = this.some('planned').length > 0
    if (this.some('out').length) return planned && !this.recurring ? 'under_way' : 'done'
    if (planned && (this.recurring || !this.last)) return 'scheduled'
    if (!this.last) return 'agreed'
    const paid = this.terms.kind === 'outside' ? this.saidOutside() : this.flows().paid === this.owed()
    if (!paid) return ['mediated', 'settled', 'fee_settled'].includes(this.last.how) ? 'settled' : 'accepted'
    return this.released() ? 'evaluated' : 'paid'
  }

  // Amounts

  measure(slot, eyes = ALL) {
    const visible = (at) => at === 'clock' || (eyes >> BigInt(at) & 1n) === 1n
    const began = slot.ins.filter(({ at }) => visible(at)).map(({ time }) => time)
    const found = slot.outs.filter(({ at }) => visible(at)).map(({ time, minutes }) =>
      minutes ?? (began.length ? Math.max(0, Math.floor((time - Math.max(...began)) / 60)) : 0))
    return found.length ? Math.min(...found) : null
  }

  price(sessions, minutes) {
    const { kind, unit, per_hour: hour, amount } = this.terms
    if (kind === 'count_only') return unit === undefined ? 0 : sessions
    if (kind !== 'amount') return 0
    if (hour === undefined) return sessions * amount
    const m = minutes ?? sessions * (this.terms.minutes ?? 0)
    const price = Math.floor((m * hour + 30) / 60)
    return amount === undefined ? price : Math.min(price, sessions * amount)
  }

  expected(eyes = ALL, minutes = null) {
    if (!this.terms || this.ended || (this.last && !this.recurring)) return 0
    const measures = this.some('out').map((slot) => this.measure(slot, eyes)).filter((one) => one !== null)
    if (this.recurring && !measures.length) return 0
    const m = minutes ?? (measures.length ? measures.reduce((a, b) => a + b) : null)
    const tasks = [...this.tasks.values()].filter(({ to, fixed }) => !to && !fixed)
    return this.price(this.recurring ? measures.length : 1, m) + tasks.reduce((sum, { amount }) => sum + amount, 0)
  }

  owed() {
    return this.fixed.reduce((sum, { amount, payer }) => sum + (payer === this.provider ? -amount : amount), 0)
  }

  flows() {
    let [paid, announced, begun] = [0, 0, 0]
    for (const { transfer, amount, author, moved } of this.payments) {
      if (!transfer) continue
      const sign = this.t.providers.has(author) ? -1 : 1
      const fact = this.transfers.get(transfer)
      if (fact?.status === 'void') continue
      if (fact && !(moved && sign < 0)) begun += sign * fact.amount
      if (fact?.status === 'certified') paid += sign * fact.amount
      else announced += sign * (fact ? fact.amount : amount)
    }
    return { paid, announced, begun }
  }

  // Whether an acknowledgement is open to the requester.
  thanksOpen() {
    if (![this.requester, this.provider, this.first].includes(this.payer) && !this.ended && this.last && this.terms.unit !== undefined) {
      return !this.thanks.some(({ transfer, provider: thanked }) =>
        thanked === this.provider && this.transfers.get(transfer)?.status !== 'void')
    }
    return false
  }

  saidOutside() { return this.payments.some(({ transfer }) => !transfer) }
  covered() { return this.terms.kind === 'outside' ? this.saidOutside() : this.flows().begun >= this.owed() }

  evaluateUntil() {
    if (!this.terms || this.ended) return null
    const pair = [this.requester, this.provider]
    const times = []
    let funded = Infinity
    for (const { transfer, moved, time, author } of this.payments) {
      const fact = transfer && this.transfers.get(transfer)
      if (!fact || fact.status !== 'certified' || fact.amount <= 0) continue
      const back = this.t.providers.has(author)
      if (moved && (back || this.firstFixed === null)) continue
      const when = moved ? Math.max(time, this.firstFixed) : time
      if (fact.payer !== fact.payee && pair.includes(fact.payer) && pair.includes(fact.payee)) times.push(when)
      else if (fact.payer === this.payer && !back) funded = Math.min(funded, when)
    }
    for (const { transfer, time, provider: thanked } of this.thanks) {
      const certified = this.transfers.get(transfer)?.status === 'certified'
      if (certified && thanked === this.provider && funded < Infinity) times.push(Math.max(time, funded))
    }
    return times.length ? Math.min(...times) + this.terms.evaluate_within_s : null
  }

  released() {
    const until = this.evaluateUntil()
    if (until === null) return false
    return (this.evaluations.has(this.requester) && this.evaluations.has(this.provider)) || this.time > until
  }

  guaranteedUntil() {
    const from = this.fixed.filter(({ how }) => how !== 'fee').map(({ time }) => time)
    return this.terms?.guarantee_days && from.length ? Math.max(...from) + this.terms.guarantee_days * DAY : null
  }

  inDispute() { return this.dispute.fixed ? this.dispute.fixed.full : this.expected() }

  fix(amount, full, time, how, step, { eyes = ALL, whole = false } = {}) {
    const done = this.some('out').filter((slot) => this.measure(slot, eyes) !== null)
    const until = (done.length ? Math.max(...done.map(({ ended }) => ended)) : time) + this.terms.accept_within_s
    for (const slot of this.recurring ? done : this.slots.values()) {
      if (['in', 'out'].includes(slot.status)) slot.status = 'accepted'
      else if (slot.status === 'planned') slot.status = 'cancelled'
    }
    for (const task of this.tasks.values()) if (!task.to) task.fixed = true
    this.fixed.push({ amount, full, time, how, step, until, payer: this.payer, whole, part: amount < full })
    if (full > 0) this.firstFixed ??= time
    this.dissent = null
    if (!this.recurring) for (const [id, { kind }] of this.changes) if (kind === 'appointment') this.changes.delete(id)
  }

  resolve(amount, time, how, step) {
    const { fixed, step: opened } = this.dispute
    const full = this.inDispute()
    this.dispute = null
    this.changes.delete(opened)
    if (!fixed) return this.fix(amount, full, time, how, step)
    const ways = { how: fixed.how === 'fee' ? 'fee_settled' : how, part: how === 'accepted' && amount < full, whole: false }
    Object.assign(fixed, { amount, time, step }, ways)
  }

  appoint({ slots = [], cancels = [] }) {
    for (const id of cancels) if (this.slots.get(id)?.status === 'planned') this.slots.get(id).status = 'cancelled'
    for (const { slot: id, start, end } of slots) {
      const known = this.slots.get(id)
      if (known && !['planned', 'cancelled'].includes(known.status)) continue
      this.slots.set(id, newSlot(id, start, end))
    }
  }

  answer(id, yes, time) {
    const { kind, payload } = this.changes.get(id)
    this.changes.delete(id)
    if (kind === 'handover') Object.assign(this.handovers.get(id), { status: yes ? 'consented' : 'gone', time })
    if (!yes) return
    if (kind === 'appointment') this.appoint(payload)
    if (kind === 'complaint') this.resolve(payload.proposes, time, 'settled', id)
    if (kind === 'cancellation') Object.assign(this.fixed.find(({ step }) => step === id), { amount: payload.fee, how: 'fee_settled' })
    if (kind === 'amendment') {
      const { amount = 0, when = [] } = payload.adds
      const late = this.last && !this.recurring
      this.tasks.set(id, { id, amount, to: null, fixed: Boolean(late) })
      if (!late) return this.appoint({ slots: when })
      this.last.full += amount
      if (this.last.whole) this.last.amount += amount
    }
  }

  endByClock(slot, at) {
    const minutes = this.terms.minutes ?? Math.floor(Math.max(0, slot.end - slot.start) / 60)
    slot.status = 'out'
    slot.ended = at
    slot.outs.push({ at: 'clock', time: at, minutes })
  }

  // Deadlines

  deadlines() {
    const found = []
    const add = (what, at, outcome) => found.push({ what, at, outcome })
    if (!this.terms || this.waits) {
      if (this.ended) return found
      for (const { status, until } of this.quotes.values()) {
        if (this.waits && status === 'agreed') add('bundle', until + 604800, 'cancelled')
        else if (status === 'open') add('quote', until, 'expired')
      }
      return sorted(found)
    }
    const { silence, ...terms } = this.terms
    for (const { kind, time } of this.changes.values()) {
      const never = ['handover', 'complaint', 'cancellation'].includes(kind)
      add('consent', time + terms.consent_within_s, never ? 'refused' : silence.consent)
    }
    for (const { status, time } of this.handovers.values()) {
      if (status === 'consented') add('handover', time + terms.consent_within_s, 'stays')
    }
    if (this.dispute) {
      add('mediate', this.dispute.time + terms.mediate_within_s, silence.mediate)
      return sorted(found)
    }
    if (!this.ended && (!this.last || this.recurring)) this.workDeadlines(add)
    if (this.last) this.moneyDeadlines(add)
    return sorted(found)
  }

  workDeadlines(add) {
    const { silence, begin_within_s: begin, accept_within_s: accept } = this.terms
    const [working, planned, done] = ['in', 'planned', 'out'].map((status) => this.some(status))
    for (const slot of working) {
      add('check_out', Math.max(slot.end, ...slot.ins.map(({ time }) => time)) + begin, 'done')
    }
    if (working.length) return
    if (planned.length) {
      add('begin', Math.max(...planned.map(({ end }) => end)) + begin, done.length || this.last ? 'dropped' : silence.begin)
    }
    if (done.length && (this.recurring || !planned.length)) {
      add('accept', Math.max(...done.map(({ ended }) => ended)) + accept, this.dissent ? 'mediated' : silence.accept)
    }
  }

  moneyDeadlines(add) {
    const { how, time, full } = this.last
    const { silence, ...terms } = this.terms
    const bySide = ['accepted', 'silence'].includes(how)
    const complain = time + terms.complain_within_s
    if ((bySide || how === 'fee') && full > 0 && this.time <= complain) add('complain', complain, 'final')
    if (this.owed() && !this.covered()) add('pay', time + terms.pay_within_s, bySide ? silence.pay : 'overdue')
    const evaluate = this.evaluateUntil()
    if (evaluate !== null && !this.released()) add('evaluate', evaluate, 'released')
  }

  goOn(now) {
    for (;;) {
      const passed = this.deadlines().filter(({ what, at, outcome }) => at < now
        && !['complain', 'evaluate'].includes(what) && !(what === 'pay' && outcome === 'overdue'))
      if (!passed.length) break
      this.time = Math.max(this.time, passed[0].at + 1)
      this.pass(passed[0])
    }
    this.time = Math.max(this.time, now)
  }

  pass({ what, at, outcome }) {
    const happens = {
      quote: () => { for (const one of this.quotes.values()) if (one.status === 'open' && one.until <= at) one.status = 'expired' },
      bundle: () => { this.waits = false; this.ended = 'cancelled' },
      consent: () => {
        for (const [id, { kind, time }] of [...this.changes]) {
          if (!this.changes.has(id) || time + this.terms.consent_within_s > at) continue
          const never = ['handover', 'complaint', 'cancellation'].includes(kind)
          this.answer(id, !never && this.terms.silence.consent === 'consented', at)
        }
      },
      handover: () => { for (const one of this.handovers.values()) if (one.status === 'consented') one.status = 'gone' },
      mediate: () => {
        const whole = this.inDispute()
        this.resolve({ nothing: 0, half: Math.ceil(whole / 2), full: whole }[outcome], at, 'mediated', null)
      },
      check_out: () => { for (const slot of this.some('in')) this.endByClock(slot, at) },
      begin: () => {
        const planned = this.some('planned').sort((a, b) => a.end - b.end || (a.id < b.id ? -1 : 1))
        for (const slot of planned) slot.status = 'cancelled'
        if (outcome === 'cancelled') { this.ended = 'cancelled'; this.changes.clear() }
        if (outcome === 'done') this.endByClock(planned.at(-1), at)
      },
      accept: () => {
        const full = this.expected()
        if (outcome === 'accepted') this.fix(full, full, at, 'silence', null, { whole: true })
        else this.dispute = { step: this.dissent, time: at, by: null, fixed: null }
      },
      pay: () => { this.dispute = { step: null, time: at, by: null, fixed: this.last } },
    }
    happens[what]()
  }

  // Judging

  take(step, place) {
    const { t } = this
    if (step.kind === 'opening') return
    if (t.lost.has(place)) no('equivocation')
    if (!step.payload) no('erased')
    const why = gate(this, step.kind, step.author)
    if (why && !(why === 'phase' && this.crossed(step, place))) no(why)
    const eyes = place < t.steps.length ? t.seen[place] : ALL
    const thanks = step.kind === 'payment' && isThanks(this, step)
    if (step.kind === 'payment' && !thanks && step.author === this.requester && nothingDue(this, step.author)) no('nothing_due')
    if (NEEDS_AGREEMENT.has(step.kind) && !t.sees(eyes, this.agreement)) no('unknown_step')
    if (thanks) return thank(this, step, place)
    RULES[step.kind](this, step, place, eyes, step.payload)
  }

  crossed({ kind }, place) {
    if ((this.last && !this.recurring) || this.dispute || !this.t.aside(place).length) return false
    if (kind === 'check_in' || kind === 'check_out') return !this.ended
    const begun = [...this.some('in'), ...this.some('out')]
    return kind === 'cancellation' && begun.length > 0
      && begun.every(({ ins }) => ins.every(({ at }) => at !== 'clock' && !this.t.has(place, at)))
  }
}

const newSlot = (id, start, end) => ({ id, start, end, status: 'planned', ins: [], outs: [], ended: 0 })
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0)
const sorted = (list) => list.sort((a, b) => a.at - b.at || compare(a.what, b.what) || compare(a.outcome, b.outcome))

// --- Gates -------------------------------------------------------------------------------------------

const BEFORE = ['opened', 'quoted', 'declined', 'expired']
const WORK = ['agreed', 'scheduled', 'handed_over', 'under_way', 'done']
const NEEDS_AGREEMENT = new Set(['contact', 'appointment', 'check_in', 'check_out', 'acceptance', 'complaint', 'payment', 'hold',
  'handover', 'amendment', 'guarantee_claim'])

const requester = (s) => [s.requester]
const provider = (s) => [s.provider]
const either = (s) => [s.requester, s.provider]

// Of each kind: who, and why not now (true stands for `phase`).
const GATES = {
  message: [(s) => [s.requester, s.provider, s.first, s.mediator, ...(s.t.said.participants ?? []), ...[...s.handovers.values()].map(({ to }) => to)], () => false],
  quote: [provider, (s, phase) => !BEFORE.includes(phase) || s.ended || s.waits],
  quote_withdrawal: [provider, (s, phase) => phase !== 'quoted' || s.waits
    || ([...s.quotes.values()].every(({ status, reserved }) => status !== 'open' || reserved) && 'reserved')],
  decline: [requester, (s, phase) => !BEFORE.includes(phase) || s.ended || s.waits],
  agreement: [requester, (s, phase) => phase !== 'quoted' || s.waits],
  bundle_decision: [(s) => (s.t.said.bundle ? [`63${s.requester.slice(2, 66)}`] : []), (s) => s.decided],
  contact: [either, (s, phase) => s.agreement === null || [...BEFORE, 'cancelled'].includes(phase)],
  appointment: [either, (s, phase) => !WORK.includes(phase)],
  consent: [either, (s, phase, who) => ![...s.changes.values()].some(({ by }) => by !== who)],
  check_in: [either, (s, phase) => !WORK.includes(phase)
    || !(s.some('planned').length || [...s.slots.values()].every(({ status }) => status === 'cancelled'))],
  check_out: [either, (s) => !s.some('in').length],
  acceptance: [requester, (s, phase) => {
    if (s.dispute) return s.dispute.fixed?.how === 'fee'
    if (!WORK.includes(phase)) return true
    return s.recurring ? !s.some('out').length : s.byTime && phase !== 'done'
  }],
  complaint: [either, (s, phase) => {
    if (s.dispute) return true
    if (['under_way', 'done'].includes(phase)) return false
    return !['scheduled', 'accepted', 'paid', 'evaluated', 'cancelled'].includes(phase)
      || !['accepted', 'silence', 'fee'].includes(s.last?.how)
  }],
  mediation: [(s) => [s.mediator], (s) => !s.dispute],
  payment: [(s) => {
    const { paid, announced } = s.flows()
    return [s.requester, s.payer, ...(s.owed() - paid - announced < 0 ? [s.provider] : [])]
  }, (s, phase, who) => {
    if (s.agreement === null || s.waits) return true
    const { paid, announced } = s.flows()
    const left = s.owed() - paid - announced
    if (!s.last && !(s.ended && left < 0 && who === s.provider)) return true
    return !(who === s.requester && s.thanksOpen()) && nothingDue(s, who)
  }],
  hold: [(s) => [s.requester, s.payer], (s, phase) => ![...WORK, 'disputed'].includes(phase)],
  cancellation: [either, (s, phase, who) => {
    if (s.ended) return true
    if (BEFORE.includes(phase)) {
      const bound = who === s.provider && [...s.quotes.values()].some(({ status, reserved }) => status === 'open' && reserved)
      return (s.waits || bound) && 'reserved'
    }
    if (['agreed', 'scheduled', 'handed_over'].includes(phase)) return false
    return !(['under_way', 'done'].includes(phase) && s.some('planned').length)
  }],
  handover: [provider, (s, phase) => !(['agreed', 'scheduled'].includes(phase) || (phase === 'under_way' && s.tasks.size))],
  handover_acceptance: [(s) => [...s.handovers.values()].map(({ to }) => to),
    (s, phase, who) => s.ended || ![...s.handovers.values()].some(({ to, status }) => to === who && status === 'consented')],
  amendment: [either, (s, phase) => !WORK.includes(phase)],
  evaluation: [either, (s, phase, who) => {
    const until = s.evaluateUntil()
    if (until === null) return true
    return s.evaluations.has(who) ? 'decided' : s.time > until && 'late'
  }],
  guarantee_claim: [requester, (s) => {
    const until = s.guaranteedUntil()
    return until === null || s.ended ? true : s.time > until && 'late'
  }],
  guarantee_closed: [(s) => [s.requester, s.mediator], (s) => ![...s.claims.values()].includes(false)],
  funding: [(s) => [s.t.said.payer], () => false],
}

function nothingDue(s, who) {
  const { paid, announced } = s.flows()
  const left = s.owed() - paid - announced
  if (s.terms.kind !== 'amount' && s.owed() === 0) return s.saidOutside() && 'nothing_due'
  return !(left > 0 || (left < 0 && who === s.provider)) && 'nothing_due'
}

function gate(state, kind, author) {
  const [who, whyNot] = GATES[kind]
  if (!who(state).includes(author)) return 'role'
  const why = whyNot(state, state.phase(), author)
  return why ? (typeof why === 'string' && why !== 'cancelled' && why !== 'declined' ? why : 'phase') : null
}

// --- Rules -------------------------------------------------------------------------------------------

function quoteOf(s, payload, eyes) {
  const quote = s.quotes.get(payload.quote)
  return quote && s.t.sees(eyes, payload.quote) ? quote : no('unknown_step')
}

const agreedAside = (s, place, quote) => s.t.aside(place).some((other) =>
  s.t.good(other) && (quote === undefined || s.t.steps[other].payload.quote === quote))

/** The step waits for the other side's consent. */
const propose = (s, { id, kind, author, payload }) => s.changes.set(id, { kind, by: author, time: s.time, payload })

function slotOf(s, named, status) {
  if (named !== undefined) return s.slots.get(named) ?? no('slot')
  const found = s.some(status)
  if (found.length > 1) no('slot')
  return found[0] ?? s.slots.get('') ?? newSlot('', 0, 0)
}

const early = (time, slot) => time < slot.start - DAY

function committed({ t }, { payload }) {
  return payload.agreements[payload.exchanges.indexOf(t.id)]
}

function commits(s, step, time) {
  const { kind, payload } = step
  if (kind !== 'bundle_decision' || payload?.outcome !== 'commit' || payload.bundle !== s.t.said.bundle) return false
  const place = s.t.place.get(committed(s, step))
  if (place === undefined || !s.t.good(place)) return false
  const quote = s.t.steps[s.t.place.get(s.t.steps[place].payload.quote)]
  return time <= quote.payload.valid_until
}

const RULES = {
  message() {},

  quote(s, { id, author }, place, eyes, { terms, valid_until: until, reserved = false }) {
    s.quotes.set(id, { id, by: author, terms, until, reserved, status: 'open' })
  },

  quote_withdrawal(s, step, place, eyes, payload) {
    const quote = quoteOf(s, payload, eyes)
    if (quote.reserved) no('reserved')
    if (agreedAside(s, place, quote.id)) no('outranked')
    if (quote.status !== 'open') no('decided')
    quote.status = 'withdrawn'
  },

  decline(s, step, place, eyes, payload) {
    if (payload.quote === undefined) {
      if (agreedAside(s, place)) no('outranked')
      s.ended = 'declined'
      return
    }
    const quote = quoteOf(s, payload, eyes)
    if (agreedAside(s, place, quote.id)) no('outranked')
    if (quote.status !== 'open') no('decided')
    quote.status = 'declined'
  },

  agreement(s, { id }, place, eyes, payload) {
    const quote = quoteOf(s, payload, eyes)
    if (s.time > quote.until) no('late')
    if (quote.status !== 'open') no('decided')
    if (s.t.beaten(place, (_, other) => s.t.good(other))) no('rival')
    quote.status = 'agreed'
    Object.assign(s, { agreement: id, agreedQuote: quote.id, terms: quote.terms, waits: s.t.said.bundle !== undefined })
    for (const { slot, start, end } of quote.terms.when ?? []) s.slots.set(slot, newSlot(slot, start, end))
    if (payload.hold) s.hold = payload.hold
  },

  bundle_decision(s, step, place, eyes, payload) {
    if (payload.bundle !== s.t.said.bundle || step.role !== 'node') no('role')
    if (payload.outcome === 'commit') {
      if (s.agreement === null || committed(s, step) !== s.agreement) no('unknown_step')
      if (!commits(s, step, s.time)) no('late')
    } else {
      if (s.t.steps.some((other, at) => other.author === step.author && commits(s, other, s.t.time[at]))) no('outranked')
      s.ended ??= 'cancelled'
    }
    s.decided = true
    s.waits = false
  },

  contact() {},

  appointment(s, step, place, eyes, { slots = [], cancels = [] }) {
    if (!cancels.every((id) => s.slots.get(id)?.status === 'planned')) no('slot')
    if (!slots.every(({ slot }) => ['planned', 'cancelled'].includes(s.slots.get(slot)?.status ?? 'planned'))) no('slot')
    propose(s, step)
  },

  amendment(s, step, place, eyes, { adds }) {
    if (adds.amount > 0 && s.terms.kind !== 'amount') no('amount')
    propose(s, step)
  },

  consent(s, step, place, eyes, { to, yes }) {
    const change = s.changes.get(to)
    if (!change || !s.t.sees(eyes, to)) no(s.t.sees(eyes, to) ? 'decided' : 'unknown_step')
    if (change.by === step.author) no('role')
    const rival = ({ kind, author, payload }, other) =>
      kind === 'consent' && author === step.author && payload?.to === to && s.t.sees(s.t.seen[other], to)
    if (s.t.beaten(place, rival)) no('rival')
    s.answer(to, yes, s.time)
    if (change.kind === 'handover') s.handovers.get(to).consent = step.id
  },

  handover(s, step, place, eyes, { to, task }) {
    if (task !== undefined) {
      const found = s.tasks.get(task)
      if (!found || found.to || found.fixed) no('unknown_step')
    } else if (s.some('in').length || s.some('out').length) no('phase')
    if (either(s).includes(to)) no('role')
    s.handovers.set(step.id, { id: step.id, by: step.author, to, task, status: 'proposed' })
    propose(s, step)
  },

  handover_acceptance(s, { author }, place, eyes, { handover }) {
    const named = s.handovers.get(handover)
    if (!named || !s.t.sees(eyes, handover)) no('unknown_step')
    if (named.to !== author) no('role')
    if (named.status !== 'consented') no('decided')
    if (!s.t.sees(eyes, named.consent)) no('unknown_step')
    if (named.task !== undefined) {
      const task = s.tasks.get(named.task)
      if (task.to || task.fixed) no('decided')
      task.to = author
      named.status = 'done'
      return
    }
    if (s.provider !== named.by) no('decided')
    const rival = (step, other) => s.t.takesOver(other)
      || (step.kind === 'check_in' && step.payload && step.author === named.by && s.t.sees(s.t.seen[other], s.agreement))
    if (s.t.beaten(place, rival)) no('rival')
    named.status = 'done'
    s.provider = author
    for (const [id, { by }] of s.changes) if (by === named.by) s.changes.delete(id)
    for (const one of s.handovers.values()) {
      if (one.by === named.by && ['proposed', 'consented'].includes(one.status)) one.status = 'gone'
    }
  },

  check_in(s, { author }, place, eyes, { slot: named, time }) {
    const slot = slotOf(s, named, 'planned')
    if (['out', 'accepted'].includes(slot.status)) no('decided')
    if (slot.id !== '' && early(s.time, slot)) no('early')
    if (slot.status === 'in' && slot.ins.some(({ at }) => eyes >> BigInt(at) & 1n)) no('decided')
    if (slot.status === 'cancelled' && !s.t.aside(place).length) no('slot')
    const byProvider = author === s.provider
    if (byProvider && s.t.beaten(place, (_, other) => s.t.takesOver(other))) no('rival')
    s.slots.set(slot.id, slot)
    slot.status = 'in'
    slot.ins.push({ at: place, time })
    if (!byProvider) return
    for (const one of s.handovers.values()) {
      if (one.task !== undefined || !['proposed', 'consented'].includes(one.status)) continue
      one.status = 'gone'
      s.changes.delete(one.id)
    }
  },

  check_out(s, step, place, eyes, { slot: named, time, minutes = null, last }) {
    const slot = slotOf(s, named, 'in')
    if (slot.status === 'out') {
      if (slot.outs.some(({ at }) => at === 'clock' || eyes >> BigInt(at) & 1n)) no('decided')
    } else if (slot.status !== 'in') no('slot')
    else Object.assign(slot, { status: 'out', ended: s.time })
    slot.outs.push({ at: place, time, minutes })
    if (last) for (const one of s.some('planned')) one.status = 'cancelled'
  },

  acceptance(s, step, place, eyes, { amount: said, minutes = null }) {
    const rival = ({ kind, author }, other) =>
      kind === 'acceptance' && author === step.author && s.t.sees(s.t.seen[other], s.agreement)
    if (s.t.beaten(place, rival)) no('rival')
    if (s.dispute?.step && !s.t.sees(eyes, s.dispute.step)) no('outranked')
    const out = s.some('out')
    const unseen = out.filter((slot) => s.measure(slot, eyes) === null)
    if (unseen.length && (s.recurring ? unseen.length === out.length : s.byTime)) no('unknown_step')
    const fixed = s.dispute?.fixed
    const limit = fixed ? s.inDispute() : s.expected(eyes, minutes)
    const full = fixed ? limit : Math.max(limit, s.expected(eyes))
    const amount = said ?? limit
    if (amount > full) no('amount')
    if (s.dispute) s.resolve(amount, s.time, 'accepted', step.id)
    else s.fix(amount, full, s.time, 'accepted', step.id, { eyes, whole: said === undefined && minutes === null })
  },

  complaint(s, step, place, eyes, { proposes }) {
    const fixed = s.last && !s.some('out').length ? s.last : null
    if (fixed) inTime(s, fixed, step, place, eyes)
    s.dispute = { step: step.id, time: s.time, by: step.author, fixed }
    if (proposes !== undefined && proposes <= s.inDispute()) propose(s, step)
  },

  mediation(s, step, place, eyes, { amount }) {
    if (s.dispute.step && !s.t.sees(eyes, s.dispute.step)) no('unknown_step')
    if (s.t.beaten(place, ({ kind, author }) => kind === 'mediation' && author === step.author)) no('rival')
    if (amount > s.inDispute()) no('amount')
    s.resolve(amount, s.time, 'mediated', step.id)
  },

  hold(s, step, place, eyes, { order, unit, replaces }) {
    if (unit !== s.terms.unit) no('unit')
    if (s.hold !== null && replaces !== s.hold) no('decided')
    s.hold = order
  },

  payment(s, step, place, eyes, { transfer, how, amount, unit }) {
    const { author } = step
    if (transfer === undefined) {
      if (how !== s.terms.kind && !(how === 'gift' && s.terms.kind === 'free')) no('kind')
      if (author !== s.requester) no('role')
      s.payments.push({ transfer: null, amount: 0, author, time: s.time })
      return
    }
    if (isNamed(s, transfer)) no('decided')
    if (namedBetter(s, author, transfer, place)) no('rival')
    if (s.last?.step && !s.t.sees(eyes, s.last.step)) no('unknown_step')
    if (unit !== s.terms.unit) no('unit')
    const fact = s.transfers.get(transfer)
    if (fact) {
      if (fact.unit !== unit || !rightTransfer(s, author, fact)) no('transfer')
    }
    const { paid, announced } = s.flows()
    const more = author === s.provider && (fact?.amount ?? amount) > paid + announced - s.owed()
    s.payments.push({ transfer, amount, author, time: s.time, moved: more })
  },

  cancellation(s, step, place, eyes, { fee: offered }) {
    if (s.agreement === null || !s.t.sees(eyes, s.agreement)) {
      if (s.agreement !== null || agreedAside(s, place)) no('outranked')
      s.ended = 'cancelled'
      return
    }
    if (step.author === s.provider && s.t.aside(place).some((other) => s.t.takesOver(other))) no('outranked')
    const began = beganAside(s, place)
    const starts = s.some('planned').map(({ start }) => start)
    for (const slot of s.some('planned')) if (!began(slot)) slot.status = 'cancelled'
    if (began.any) {
      s.dissent = step.id
      return
    }
    if (s.some('in').length || s.some('out').length || s.last) return
    s.ended = 'cancelled'
    s.changes.clear()
    for (const one of s.handovers.values()) if (['proposed', 'consented'].includes(one.status)) one.status = 'gone'
    const most = s.terms.cancel_fee ?? 0
    if (most === 0) return
    const knew = s.t.steps.some(({ id, author }, at) =>
      at < place && author === step.author && (id === s.agreement || s.t.sees(s.t.seen[at], s.agreement)))
    const free = !starts.length || s.time <= Math.min(...starts) - s.terms.cancel_free_before_s || !knew
    const fee = free ? 0 : most
    s.fixed.push({ amount: fee, full: most, time: s.time, how: 'fee', step: step.id, until: s.time, payer: step.author })
    if (offered !== undefined && offered < fee) propose(s, step)
  },

  evaluation(s, { author }) { s.evaluations.add(author) },
  guarantee_claim(s, { id }) { s.claims.set(id, false) },
  guarantee_closed(s, step, place, eyes, { claim }) {
    if (!s.claims.has(claim) || !s.t.sees(eyes, claim)) no('unknown_step')
    if (s.claims.get(claim)) no('decided')
    s.claims.set(claim, true)
  },
  funding() {},
}

const namedBetter = (s, author, transfer, place) => s.t.beaten(place, ({ kind, author: by, payload }, other) =>
  kind === 'payment' && by === author && payload?.transfer === transfer && s.t.sees(s.t.seen[other], s.agreement))

/** Whether a transfer is for this exchange, from the author's side to the other one. */
const isNamed = (s, transfer) => [...s.payments, ...s.thanks].some((one) => one.transfer === transfer)

/** Whether a payment is the requester's acknowledgement of what a third party pays. */
function isThanks(s, { author, payload: { transfer, unit } }) {
  return transfer !== undefined && author === s.requester && ![s.requester, s.provider, s.first].includes(s.payer)
    && s.terms?.unit !== undefined && unit !== s.terms.unit && s.counted.includes(unit)
}

function thank(s, { author, payload: { transfer, amount, unit } }, place) {
  if (s.ended) no('phase')
  if (isNamed(s, transfer) || !s.thanksOpen()) no('decided')
  if (namedBetter(s, author, transfer, place)) no('rival')
  if (amount !== 1) no('amount')
  const fact = s.transfers.get(transfer)
  if (fact) {
    const right = fact.payer === s.requester && fact.payee === s.provider && fact.unit === unit && fact.amount === 1
    if (!right || !rightTransfer(s, author, fact)) no('transfer')
  }
  s.thanks.push({ transfer, time: s.time, provider: s.provider })
}

function rightTransfer(s, author, { ref, payer, payee }) {
  const back = author === s.provider
  const [to, from] = [[s.provider, ...(s.terms.split ?? []).map((one) => one.author)], [s.requester, s.payer]]
  const refs = s.t.steps.filter(({ kind, payload }) => kind === 'agreement' && payload).map(({ id, payload }) => refOf(payload.salt, id))
  return refs.includes(ref) && (back ? from : to).includes(payee) && (back ? [s.provider] : from).includes(payer)
}

// Why a payment is void, unless the ledger moved its money all the same.
const UNLESS_MOVED = ['role', 'phase', 'nothing_due', 'unknown_step', 'unit', 'equivocation']

/** Count what the ledger certified, though the step that names it was not possible. */
function moved(s, step, place, reason) {
  const { kind, author, payload } = step
  if (kind !== 'payment' || !UNLESS_MOVED.includes(reason) || s.agreement === null || !payload?.transfer) return false
  const { transfer } = payload
  const fact = s.transfers.get(transfer)
  if (fact?.status !== 'certified' || fact.unit !== s.terms.unit || ![...either(s), s.payer].includes(author)) return false
  if (!rightTransfer(s, author, fact) || isNamed(s, transfer)) return false
  if (namedBetter(s, author, transfer, place)) return false
  s.payments.push({ transfer, amount: fact.amount, author, time: s.time, moved: true })
  return true
}

function inTime(s, fixed, { author }, place, eyes) {
  const { complain_within_s: within, pay_within_s: pay } = s.terms
  if (fixed.how === 'fee') {
    if (author === fixed.payer) no('role')
  } else if (author === s.requester) {
    const known = !fixed.step || s.t.sees(eyes, fixed.step)
    if (s.time > (known ? fixed.time + within : fixed.until)) no('late')
    return
  } else if (!fixed.part) {
    if (s.time <= fixed.time + pay) no('nothing_due')
    if (s.time > fixed.time + pay + within) no('late')
    return
  }
  const heard = s.t.time.filter((_, at) => at < place && s.t.steps[at].author === author && s.t.sees(s.t.seen[at], fixed.step))
  if (heard.length && s.time > Math.min(...heard) + within) no('late')
}

/** Whether somebody began on a slot without having seen the step at a place; `any`: on any at all. */
function beganAside(s, place) {
  const named = new Set()
  let anywhere = false
  for (const other of s.t.aside(place)) {
    const { kind, payload, author } = s.t.steps[other]
    if (kind !== 'check_in' || !payload || !s.t.sees(s.t.seen[other], s.agreement)) continue
    const works = either(s).includes(author)
      || s.t.steps.some((one, at) => one.author === author && s.t.has(other, at) && s.t.takesOver(at))
    if (!works) continue
    if (payload.slot === undefined) anywhere = true
    else if (s.slots.has(payload.slot) && !early(s.t.time[other], s.slots.get(payload.slot))) named.add(payload.slot)
  }
  return Object.assign((slot) => anywhere || named.has(slot.id), { any: anywhere || named.size > 0 })
}

// --- Folding -----------------------------------------------------------------------------------------

/** Fold steps ({id, kind, by, author, role, at, refs, payload}, ids as text) at a time. */
export function fold(steps, transfers, now, counted = []) {
  const t = new Transcript(steps)
  const state = new State(t, transfers, counted)
  for (const [place, step] of t.steps.entries()) {
    state.goOn(t.time[place])
    try {
      state.take(step, place)
      if (step.kind !== 'agreement') continue
      state.void = state.void.filter(([id, reason]) => !moved(state, t.steps[t.place.get(id)], t.place.get(id), reason))
    } catch (error) {
      if (!(error instanceof Void)) throw error
      if (!moved(state, step, place, error.message)) state.void.push([step.id, error.message])
    }
  }
  for (const step of t.foreign) state.void.push([step.id, 'exchange'])
  state.goOn(now)
  return state
}

/** What the vectors say of a state. */
export function told(state, names, people) {
  const nameOf = (author) => Object.keys(people).find((name) => people[name] === author)
  const unit = state.terms?.unit ?? ''
  const paid = state.flows().paid
  const left = state.owed() - paid
  const payer = state.last?.how.startsWith('fee') ? state.requester : state.payer
  const [from, to] = left >= 0 ? [payer, state.provider] : [state.provider, payer]
  return {
    phase: state.phase(),
    provider: nameOf(state.provider),
    due: [Math.abs(left), unit, nameOf(from), nameOf(to)],
    owed: state.owed(),
    paid,
    expected: state.expected(),
    void: state.void.sort(([a], [b]) => compare(a, b)),
    waiting: state.t.waiting,
    heads: state.t.heads,
    deadlines: state.deadlines().map(({ what, at, outcome }) => [what, at, outcome]),
    next: Object.fromEntries(names.map((name) => [name, Object.keys(GATES).filter((kind) => gate(state, kind, people[name]) === null)])),
    released: state.released(),
  }
}

// --- Asking for what is missing ----------------------------------------------------------------------

const isId = (value) => value instanceof Uint8Array && value.length === 32

/** What the content of an item of type 4 asks: the exchange and the heads, or null for nothing. */
export function readQuestion(bytes) {
  if (bytes.length > 4096) return null
  let parts
  try {
    parts = decode(bytes, 4096)
  } catch (error) {
    if (error instanceof Refused) return null
    throw error
  }
  if (!Array.isArray(parts) || parts.length !== 3) return null
  const [word, exchange, heads] = parts
  if (word !== 'missing' || !isId(exchange) || !Array.isArray(heads) || !heads.every(isId)) return null
  return { exchange: hex(exchange), heads: heads.map(hex) }
}

/** The ids of the steps (`id`, `refs` in hexadecimal) that are no head and that no head comes after. */
export function lacking(heads, steps) {
  const before = new Map(steps.map(({ id, refs }) => [id, refs]))
  const had = new Set()
  const mark = (id) => {
    if (!before.has(id) || had.has(id)) return
    had.add(id)
    before.get(id).forEach(mark)
  }
  heads.forEach(mark)
  return steps.map(({ id }) => id).filter((id) => !had.has(id))
}
