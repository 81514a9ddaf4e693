// The tables of spec/registry.md, read as they are written, and what they say about a value.

import { readFileSync } from 'node:fs'

import { refuse } from './encoding.mjs'

const RULES = {
  key_twice: (m) => twice(keysOf(m)),
  revoked_status: (m) => (m.get('status') === 'revoked') !== m.has('revoked'),
  verified_whole: (m) => m.get('verification') === 'approved' !== m.has('verified_by'),
  order: (m) => m.get('start') >= m.get('end'),
  kinds_delegable: (m) => m.get('kinds').some((kind) => KINDS.get(kind)?.mandate === 'no'),
  revoked_whole: (m) => !m.has('revoked') && (m.has('until_at') || m.has('keep')),
  own_parent: (m) => m.get('parent') === m.get('code'),
  kind_withdrawable: (m) => m.get('kind') === 'withdrawal',
  place_form: (m) => {
    if (!m.has('cell')) return !['lat', 'lon', 'public'].every((key) => m.has(key))
    const public_ = ['lat', 'lon', 'public', 'name', 'address', 'postcode']
    return public_.some((key) => m.has(key))
  },
  cell_form: (m) => m.has('cell') && !isCell(m.get('cell')),
  point_whole: (m) => m.has('lat') !== m.has('lon'),
  rrule_anchor: (m) => m.has('rrule') && !(m.has('dtstart') && m.has('tz')),
  amount_belongs: (m) => {
    const both = m.has('amount') && m.has('unit')
    return { amount: !both, auction: m.has('amount') && !both }[m.get('kind')] ?? m.has('amount')
  },
  tariffs_whole: (m) => {
    const tariffs = m.get('tariffs') ?? []
    if (twice(tariffs.map((one) => one.get('audience')))) return true
    return tariffs.some((one) => one.get('reciprocity').get('kind') === 'auction')
  },
  auction_priced: (m) => {
    const price = m.get('reciprocity')
    return m.has('auction') && !(price.get('kind') === 'auction' && price.has('unit'))
  },
  reveal_when: (m) => {
    if (m.has('reveal_until') !== (m.get('form') === 'sealed')) return true
    return m.has('reveal_until') && m.get('reveal_until') <= m.get('closes')
  },
  reachable: (m) => !m.has('phone') && !m.has('place'),
  return_whole: (m) => {
    const price = m.has('amount') || m.has('per_hour')
    if (m.get('kind') === 'amount') return !m.has('unit') || !price
    return price || (m.has('unit') && m.get('kind') !== 'count_only')
  },
  outside_words: (m) => m.has('outside') && m.get('kind') !== 'outside',
  hold_amount: (m) => m.get('settle') === 'hold' && !(m.get('kind') === 'amount' && m.has('amount')),
  fee_unit: (m) => m.has('cancel_fee') && m.get('kind') !== 'amount',
  mediator_named: (m) => {
    const silence = m.get('silence')
    return !m.has('mediator') && ['accept', 'pay'].some((key) => silence.get(key) === 'mediated')
  },
  split_whole: (m) => m.has('split') && sharesBroken(m.get('split'), true),
  parties: (m) => same(m.get('requester'), m.get('provider')),
  appointment_whole: (m) => {
    const slots = (m.get('slots') ?? []).map((slot) => slot.get('slot'))
    const named = [...slots, ...(m.get('cancels') ?? [])]
    return named.length === 0 || twice(named)
  },
  part_reason: (m) => {
    if (m.has('part') !== m.has('reason')) return true
    return m.has('part') && !m.has('amount') && !m.has('minutes')
  },
  payment_whole: (m) => {
    if (m.has('transfer')) return m.has('how') || !m.has('amount') || !m.has('unit')
    return !m.has('how')
  },
  decision_whole: (m) =>
    m.get('outcome') === 'commit' && (m.get('agreements') ?? []).length !== m.get('exchanges').length,
  two_providers: (m) => {
    const [first, ...others] = m.get('parts').map((part) => part.get('provider'))
    return others.every((other) => same(first, other))
  },
  key_new: (m) => same(m.get('old_key'), m.get('new_key')),
  bid_form: (m) => m.has('amount') === m.has('commit'),
  busy_order: (m) => m.get('busy').some(([from], i, all) => i > 0 && all[i - 1][1] >= from),
  members_whole: (m) => sharesBroken(m.get('members'), m.get('split') === 'shares'),
  signatures: (m) => m.get('rule').get('signatures') > m.get('members').length,
  keys_apart: (m) => twice(m.get('coops').flatMap(keysOf)),
  quorum_reachable: (m) => m.get('admission_quorum') > m.get('coops').length,
  codes_apart: (m) => ['units', 'criteria'].some((key) => twice(m.get(key).map((one) => one.get('code')))),
  ledger_whole: (m) => {
    const terms = termsOf(m)
    if (!terms) return false
    const there = ['quorum', 'approvals', 'recovery_s', 'accounts_max'].every((key) => terms.has(key))
    return !there || !m.get('coops').every((coop) => coop.has('writer'))
  },
  ledger_quorum: (m) => {
    const terms = termsOf(m)
    if (!terms) return false
    const witnesses = m.get('coops').filter((coop) => coop.has('witness')).length
    const quorum = terms.get('quorum')
    return witnesses > 64 || quorum > witnesses || 2 * quorum <= witnesses
  },
  ledger_approvals: (m) => termsOf(m)?.get('approvals') > m.get('coops').length,
  ledger_limits: (m) => {
    const limits = termsOf(m)?.get('limits') ?? []
    const units = m.get('units')
    const places = limits.map((one) => one.get('unit'))
    return twice(places) || places.some((place) => (units[place]?.get('kind') ?? 'count') === 'count')
  },
}

function sharesBroken(shares, somethingShared) {
  if (twice(shares.map((one) => one.get('author')))) return true
  return somethingShared && shares.every((one) => one.get('share') === 0)
}

const keysOf = (coop) => ['root', 'node_key', 'writer', 'witness'].filter((key) => coop.has(key)).map((key) => coop.get(key))

/** The terms of the ledger, unless they are a later version's: those have fields beyond the tables'. */
function termsOf(document) {
  const terms = document.get('ledger')
  if (!terms) return undefined
  const table = tables.get('founding-document').fields.get('ledger').below
  const within = (map, fields) => [...map.keys()].every((key) => fields.has(key))
  const limits = terms.get('limits') ?? []
  const known = within(terms, table.fields) &&
    limits.every((one) => within(one, table.fields.get('limits').below.fields))
  return known ? terms : undefined
}

function isCell(text) {
  const cell = BigInt(`0x${text}`)
  const resolution = Number((cell >> 52n) & 15n)
  if (cell >> 59n !== 1n || resolution < 5 || resolution > 7) return false
  if (((cell >> 45n) & 127n) > 121n) return false
  for (let digit = 1; digit <= 15; digit++) {
    const is7 = ((cell >> BigInt(3 * (15 - digit))) & 7n) === 7n
    if (is7 !== digit > resolution) return false
  }
  return true
}

const same = (one, other) => {
  if (one instanceof Map) {
    return other instanceof Map && one.size === other.size &&
      [...one].every(([key, value]) => other.has(key) && same(value, other.get(key)))
  }
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length &&
      one.every((value, i) => same(value, other[i]))
  }
  return one instanceof Uint8Array ? other instanceof Uint8Array && Buffer.compare(one, other) === 0 : one === other
}

const twice = (items) => items.some((item, i) => items.slice(0, i).some((one) => same(one, item)))

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/
const SPACE = '[\\u0020\\u00a0\\u1680\\u2000-\\u200a\\u202f\\u205f\\u3000]'
const OUTER = new RegExp(`^${SPACE}|${SPACE}$`)

const TYPES = [
  [/^(\d+)(?: or (\d+))? bytes$/, (found) => {
    const sizes = found.slice(1).filter(Boolean).map(Number)
    return {
      is: (value) => value instanceof Uint8Array,
      check: (value, field) => sizes.includes(value.length) || refuse('schema', 'size', field),
    }
  }],
  [/^text, (\d+) to (\d+) characters(, lines)?$/, ([, least, most, lines]) => ({
    is: (value) => typeof value === 'string',
    check: (value, field) => {
      const length = [...value].length
      if (length < least) refuse('schema', 'too_short', field)
      if (length > most) refuse('schema', 'too_long', field)
      if (CONTROL.test(lines ? value.replaceAll('\n', '') : value)) refuse('schema', 'control_character', field)
      if (OUTER.test(value) || value.startsWith('\n') || value.endsWith('\n')) refuse('schema', 'outer_space', field)
    },
  })],
  [/^[^`:]+ `([^`]+)`(?:, at most (\d+) characters)?$/, ([, expression, most]) => {
    if (expression === 'true') return null
    const whole = new RegExp(`^(?:${expression})$`, 'u')
    return {
      is: (value) => typeof value === 'string',
      check: (value, field) => {
        if ([...value].length > Number(most)) refuse('schema', 'too_long', field)
        if (!whole.test(value)) refuse('schema', 'form', field)
      },
    }
  }],
  [/^integer (-?\d+) to (-?\d+)$/, ([, least, most]) => ({
    is: (value) => typeof value === 'number',
    check: (value, field) => (value >= Number(least) && value <= Number(most)) || refuse('schema', 'range', field),
  })],
  [/^boolean$/, () => ({ is: (value) => typeof value === 'boolean', check: () => {} })],
  [/^`true`$/, () => ({
    is: (value) => typeof value === 'boolean',
    check: (value, field) => value || refuse('schema', 'one_of', field),
  })],
  [/^one of (.+)$/, ([, list]) => {
    const options = words(list)
    return {
      is: (value) => typeof value === 'string',
      check: (value, field) => options.includes(value) || refuse('schema', 'one_of', field),
    }
  }],
  [/^array of two, the first below the second: (.+)$/, ([, inner]) => {
    const item = type(inner)
    return {
      is: Array.isArray,
      check: (value, field) => {
        if (value.length < 2) refuse('schema', 'too_few', field)
        if (value.length > 2) refuse('schema', 'too_many', field)
        for (const one of value) {
          if (!item.is(one)) refuse('schema', 'type', field)
          item.check(one, field)
        }
        if (value[0] >= value[1]) refuse('schema', 'order', field)
      },
    }
  }],
  [/^array of (\d+) to (\d+) (distinct )?(?:items: )?(.+)$/, ([, least, most, distinct, inner], below) => {
    const item = type(inner, below)
    return {
      is: Array.isArray,
      check: (value, field) => {
        if (value.length < least) refuse('schema', 'too_few', field)
        if (value.length > most) refuse('schema', 'too_many', field)
        for (const [i, one] of value.entries()) {
          if (!item.is(one)) refuse('schema', 'type', `${field}[${i}]`)
          item.check(one, `${field}[${i}]`)
        }
        if (distinct && twice(value)) refuse('schema', 'twice', field)
      },
    }
  }],
  [/^map of (\d+) to (\d+) entries(?: with keys out of ([^:]+))?: (.+)$/, ([, least, most, list, inner]) => {
    const keys = list && words(list)
    const options = inner.split('; or ').map((one) => type(one))
    return {
      is: (value) => value instanceof Map,
      check: (value, field) => {
        if (value.size < least) refuse('schema', 'too_few', field)
        if (value.size > most) refuse('schema', 'too_many', field)
        for (const [key, one] of value) {
          if (keys && !keys.includes(key)) refuse('schema', 'one_of', `${field}.${key}`)
          const option = options.find((each) => each.is(one)) ?? refuse('schema', 'type', `${field}.${key}`)
          option.check(one, `${field}.${key}`)
        }
      },
    }
  }],
  [/^map$/, (_, below) => ({
    is: (value) => value instanceof Map,
    check: (value, field) => below.check(value, field),
  })],
  [/^\[[a-z ]+\]\(#([a-z-]+)\)$/, ([, name]) => ({
    is: (value) => value instanceof Map,
    check: (value, field) => tables.get(name).check(value, field),
  })],
]

const words = (list) => [...list.matchAll(/`([^`]+)`/g)].map(([, word]) => word)

function type(text, below) {
  for (const [form, make] of TYPES) {
    const found = form.exec(text)
    const made = found && make(found, below)
    if (made) return made
  }
  throw new Error(`the registry has a type that this reader does not know: ${text}`)
}

class Table {
  fields = new Map()
  rules = []
  closed = false // no unknown fields
  bare = false // unknown fields of its inner maps are refused

  /** Add a row; its name may lead into maps further down, as in `a[].b`. */
  row(name, text, required) {
    const [, outer, rest] = /^([a-z0-9_]+)(?:\[\])?(?:\.(.+))?$/.exec(name)
    if (rest) return this.fields.get(outer).below.row(rest, text, required)
    const below = /(^|: )map$/.test(text) ? new Table() : null
    this.fields.set(outer, { type: type(text, below), below, required })
  }

  check(map, field = '') {
    if (!(map instanceof Map)) refuse('schema', 'type', field)
    const inside = (key) => (field ? `${field}.${key}` : key)
    for (const [key, one] of this.fields) {
      if (one.required && !map.has(key)) refuse('schema', 'required', inside(key))
    }
    for (const [key, one] of this.fields) {
      if (!map.has(key)) continue
      if (!one.type.is(map.get(key))) refuse('schema', 'type', inside(key))
      one.type.check(map.get(key), inside(key))
    }
    const unknown = [...map.keys()].filter((key) => !this.fields.has(key))
    if (this.closed && unknown.length) refuse('schema', 'unknown_field', inside(unknown[0]))
    if (unknown.length > 32) refuse('schema', 'too_many_unknown', field)
    for (const rule of this.rules) if (RULES[rule](map)) refuse('schema', rule, field)
  }
}

const cells = (line) => line.replaceAll('\\|', '\0').split('|').slice(1, -1)
  .map((cell) => cell.trim().replaceAll('\0', '|'))

export const tables = new Map()
export const KINDS = new Map()

export function load(path) {
  let table = null
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const title = /^##+ (.+)$/.exec(line)
    if (title) {
      table = new Table()
      tables.set(title[1].toLowerCase().replaceAll(' ', '-'), table)
    }
    const kind = /^\| \[`(\w+)`\]/.exec(line)
    if (kind) {
      const [, , days, signers, mandate, tag, series, travels] = cells(line)
      const letters = travels === 'in letters'
      KINDS.set(kind[1], { life: 86400 * parseInt(days), signers, mandate, tag, series, letters, once: false })
    }
    if (/^- `rev` is 0: /.test(line)) KINDS.get([...tables.keys()].at(-1)).once = true
    const row = /^\| `([a-z0-9_.\[\]]+)` \|/.exec(line)
    const rule = /^- `(\w+)`: /.exec(line)
    if (row && cells(line).length === 4) table.row(row[1], cells(line)[1], cells(line)[2] === 'yes')
    else if (rule) table.rules.push(rule[1])
    if (/^No other field may stand/.test(line)) table.closed = true
  }
  for (const name of ['coops', 'units', 'criteria']) {
    tables.get('founding-document').fields.get(name).below.closed = true
  }
}
