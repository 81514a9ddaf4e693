// The public key of an X25519 secret (RFC 7748, section 5), for browsers that have none of their
// own. It is computed once, when a key is made, and not in constant time.

const P = 2n ** 255n - 19n;
const A24 = 121665n;
const mod = (value) => ((value % P) + P) % P;

function power(base, exponent) {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = (b * b) % P)
    if (e & 1n) result = (result * b) % P;
  return result;
}

export function publicOf(secret) {
  const bytes = Uint8Array.from(secret);
  bytes[0] &= 248;
  bytes[31] = (bytes[31] & 127) | 64;
  let scalar = 0n;
  for (let at = 31; at >= 0; at -= 1) scalar = (scalar << 8n) | BigInt(bytes[at]);
  let [x2, z2, x3, z3, swap] = [1n, 0n, 9n, 1n, 0n];
  for (let t = 254n; t >= 0n; t -= 1n) {
    const bit = (scalar >> t) & 1n;
    if (swap !== bit) [x2, x3, z2, z3] = [x3, x2, z3, z2];
    swap = bit;
    const a = mod(x2 + z2);
    const b = mod(x2 - z2);
    const aa = mod(a * a);
    const bb = mod(b * b);
    const e = mod(aa - bb);
    const da = mod(mod(x3 - z3) * a);
    const cb = mod(mod(x3 + z3) * b);
    x3 = mod((da + cb) ** 2n);
    z3 = mod(9n * mod((da - cb) ** 2n));
    x2 = mod(aa * bb);
    z2 = mod(e * mod(aa + A24 * e));
  }
  if (swap) [x2, z2] = [x3, z3];
  let value = mod(x2 * power(z2, P - 2n));
  return Uint8Array.from({ length: 32 }, () => {
    const byte = Number(value & 255n);
    value >>= 8n;
    return byte;
  });
}
