// The curve of Ed25519 in plain integers: enough to check a signature, and too slow for anything else.
// Points are extended coordinates [X, Y, Z, T] with x = X/Z, y = Y/Z, T = XY/Z.

export const P = 2n ** 255n - 19n
export const L = 2n ** 252n + 27742317777372353535851937790883648493n

const mod = (number) => {
  const rest = number % P
  return rest < 0n ? rest + P : rest
}

function power(base, exponent) {
  let result = 1n
  for (; exponent; exponent >>= 1n) {
    if (exponent & 1n) result = mod(result * base)
    base = mod(base * base)
  }
  return result
}

const inverse = (number) => power(number, P - 2n)
const D = mod(-121665n * inverse(121666n))
const ROOT_OF_MINUS_1 = power(2n, (P - 1n) / 4n)
const ZERO = [0n, 1n, 1n, 0n]

export const little = (bytes) => BigInt(`0x0${Buffer.from(bytes).reverse().toString('hex')}`)

/** The point of 32 bytes (RFC 8032, 5.1.3), or null when they are none. */
export function decodePoint(bytes) {
  const number = little(bytes)
  const sign = number >> 255n
  const y = number & (2n ** 255n - 1n)
  const square = mod((y * y - 1n) * inverse(mod(D * y * y + 1n)))
  let x = power(square, (P + 3n) / 8n)
  if (mod(x * x) !== square) x = mod(x * ROOT_OF_MINUS_1)
  if (mod(x * x) !== square || y >= P || (x === 0n && sign)) return null
  if ((x & 1n) !== sign) x = P - x
  return [x, y, 1n, mod(x * y)]
}

export function encodePoint([x, y, z]) {
  const scale = inverse(z)
  const number = mod(y * scale) | ((mod(x * scale) & 1n) << 255n)
  return Buffer.from(number.toString(16).padStart(64, '0'), 'hex').reverse()
}

export function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2))
  const b = mod((y1 + x1) * (y2 + x2))
  const c = mod(2n * D * t1 * t2)
  const d = mod(2n * z1 * z2)
  const [e, f, g, h] = [b - a, d - c, d + c, b + a]
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)]
}

export const negate = ([x, y, z, t]) => [mod(-x), y, z, mod(-t)]

export function multiply(point, times) {
  let sum = ZERO
  for (; times; times >>= 1n) {
    if (times & 1n) sum = add(sum, point)
    point = add(point, point)
  }
  return sum
}

export const BASE = decodePoint(Buffer.from(`58${'66'.repeat(31)}`, 'hex'))
