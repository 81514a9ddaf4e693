// Bytes, hexadecimal text, and the canonical encoding (spec/01) of what this browser signs.

export const hex = (bytes) =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text) {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new Error("not hexadecimal");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export const utf8 = (text) => new TextEncoder().encode(text);

export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

function head(short, codes, length) {
  // codes: for one, two and four bytes of length; null where the form does not exist.
  if (short !== null && length <= short[1]) return Uint8Array.of(short[0] | length);
  if (codes[0] !== null && length <= 0xff) return Uint8Array.of(codes[0], length);
  if (length <= 0xffff) return Uint8Array.of(codes[1], length >> 8, length & 0xff);
  throw new Error("too long to be signed here");
}

function integer(value) {
  if (!Number.isSafeInteger(value) || value < 0) throw new Error("not an integer that is signed");
  if (value < 0x80) return Uint8Array.of(value);
  const size = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
  const bytes = new Uint8Array(1 + (1 << size));
  bytes[0] = 0xcc + size;
  let rest = BigInt(value);
  for (let at = bytes.length - 1; at > 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** Encode an array of integers from 0, texts and bytes, as maillon.protocol.encoding does. */
export function encoded(values) {
  const parts = values.map((value) => {
    if (typeof value === "number") return integer(value);
    if (value instanceof Uint8Array)
      return joined(head(null, [0xc4, 0xc5], value.length), value);
    const text = utf8(value.normalize("NFC"));
    return joined(head([0xa0, 31], [0xd9, 0xda], text.length), text);
  });
  return joined(head([0x90, 15], [null, 0xdc], values.length), ...parts);
}

/** Read canonical bytes: maps, arrays, texts, bytes, integers and booleans. */
export function decoded(bytes) {
  let at = 0;
  const take = (count) => {
    if (at + count > bytes.length) throw new Error("the bytes end too early");
    at += count;
    return bytes.subarray(at - count, at);
  };
  const number = (size) => {
    let value = 0n;
    for (const byte of take(size)) value = (value << 8n) | BigInt(byte);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  };
  const text = (size) => new TextDecoder("utf-8", { fatal: true }).decode(take(size));
  const list = (size, depth) => Array.from({ length: size }, () => one(depth + 1));
  const map = (size, depth) => {
    const found = {};
    for (let left = size; left > 0; left -= 1) {
      const name = one(depth + 1);
      if (typeof name !== "string" || Object.hasOwn(found, name)) throw new Error("a bad map");
      Object.defineProperty(found, name, { value: one(depth + 1), enumerable: true });
    }
    return found;
  };
  const one = (depth) => {
    if (depth > 16) throw new Error("too deep");
    const first = number(1);
    if (first < 0x80) return first;
    if (first < 0x90) return map(first & 15, depth);
    if (first < 0xa0) return list(first & 15, depth);
    if (first < 0xc0) return text(first & 31);
    if (first >= 0xe0) return first - 256;
    switch (first) {
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return take(number(1));
      case 0xc5: return take(number(2));
      case 0xcc: return number(1);
      case 0xcd: return number(2);
      case 0xce: return number(4);
      case 0xcf: return number(8);
      case 0xd0: return Number(BigInt.asIntN(8, BigInt(number(1))));
      case 0xd1: return Number(BigInt.asIntN(16, BigInt(number(2))));
      case 0xd2: return Number(BigInt.asIntN(32, BigInt(number(4))));
      case 0xd3: return Number(BigInt.asIntN(64, BigInt(number(8))));
      case 0xd9: return text(number(1));
      case 0xda: return text(number(2));
      case 0xdc: return list(number(2), depth);
      case 0xde: return map(number(2), depth);
      default: throw new Error("bytes of no known form");
    }
  };
  const value = one(0);
  if (at !== bytes.length) throw new Error("there is more after the end");
  return value;
}
