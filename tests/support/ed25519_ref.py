"""Compute on the curve of Ed25519 plainly, to build signatures that no library would make.

Written from RFC 8032, section 5.1. Slow, not constant-time, for tests and vectors only.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)


class Point(NamedTuple):
    """A point in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z."""

    x: int
    y: int
    z: int
    t: int


IDENTITY = Point(0, 1, 1, 0)


def add(p: Point, q: Point) -> Point:
    a = (p.y - p.x) * (q.y - q.x) % P
    b = (p.y + p.x) * (q.y + q.x) % P
    c = 2 * p.t * q.t * D % P
    d = 2 * p.z * q.z % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return Point(e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, p: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, p)
        p = add(p, p)
        scalar >>= 1
    return result


def negate(p: Point) -> Point:
    return Point(-p.x % P, p.y, p.z, -p.t % P)


def same(p: Point, q: Point) -> bool:
    return (p.x * q.z - q.x * p.z) % P == 0 and (p.y * q.z - q.y * p.z) % P == 0


def encode(p: Point) -> bytes:
    inverse = pow(p.z, -1, P)
    x, y = p.x * inverse % P, p.y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(encoded: bytes) -> Point | None:
    """Return the point, reading y modulo p and a set sign of zero as zero (the lenient way)."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_MINUS_1 % P
    if x * x % P != square:
        return None
    if x & 1 != sign and x != 0:
        x = P - x
    return Point(x, y, 1, x * y % P)


def _base() -> Point:
    point = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    return point


BASE = _base()


def torsion() -> list[Point]:
    """Return the eight points whose order divides 8: the multiples of one of order 8, from 0."""
    y = 2
    while True:
        point = decode(y.to_bytes(32, "little"))
        y += 1
        if point is None:
            continue
        generator = multiply(L, point)
        if not same(multiply(4, generator), IDENTITY):
            return [multiply(i, generator) for i in range(8)]


def challenge(r: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % L


def expand(seed: bytes) -> tuple[int, bytes]:
    """Return the secret scalar and the prefix for nonces."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, digest[32:]


def cofactorless(public: bytes, message: bytes, signature: bytes) -> bool:
    """Apply R = [S]B - [k]A, compared as bytes. No check of encodings, S taken modulo L."""
    a = decode(public)
    if a is None:
        return False
    s = int.from_bytes(signature[32:], "little")
    k = challenge(signature[:32], public, message)
    return encode(add(multiply(s, BASE), negate(multiply(k, a)))) == signature[:32]


def cofactored(public: bytes, message: bytes, signature: bytes) -> bool:
    """Apply [8][S]B = [8]R + [8][k]A. No check of encodings."""
    a, r = decode(public), decode(signature[:32])
    if a is None or r is None:
        return False
    s = int.from_bytes(signature[32:], "little")
    k = challenge(signature[:32], public, message)
    return same(multiply(8 * s, BASE), multiply(8, add(r, multiply(k, a))))
