"""Read and write the messages of Negentropy Protocol v1 (spec/05, "Messages").

A message is the version byte and a list of adjacent ranges that begins at the least bound. A range
has an upper bound, a mode and a payload; what follows the last one is skipped. Nothing here knows
what the ranges are for.

Everything read comes from a stranger: a message is parsed to its end, and refused as a whole,
before anything of it is acted upon; the work is linear in its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from maillon.protocol.errors import Malformed, TooLarge, WrongVersion
from maillon.protocol.limits import FRAME_BYTES_MAX, RECONCILE_RANGES_MAX

from .itemset import (
    FINGERPRINT_BYTES,
    ID_BYTES,
    INFINITY,
    MIN_BOUND,
    TIMESTAMP_INFINITY,
    Bound,
    encode_varint,
)

PROTOCOL_VERSION: Final = 0x61
"""Version 1; version n is 0x60 + n, up to 0x6f."""

SKIP: Final = 0
FINGERPRINT: Final = 1
ID_LIST: Final = 2

_VARINT_BYTES_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class WireRange:
    """One range of a message: [lower, upper) with a fingerprint, or a list of ids, or neither."""

    lower: Bound
    upper: Bound
    mode: int
    fingerprint: bytes = b""
    ids: tuple[bytes, ...] = ()


def parse_message(data: bytes, *, bytes_max: int = FRAME_BYTES_MAX) -> list[WireRange]:
    """Read a whole message; the ranges ascend and do not overlap.

    Raises: WrongVersion (fact `version`) for versions 0 and 2 to 15; TooLarge; Malformed.
    """
    if len(data) > bytes_max:
        raise TooLarge("The message is too long.", rule="message_bytes", length=len(data))
    if not data:
        raise Malformed("The message is empty.", rule="message_empty")
    version = data[0]
    if version != PROTOCOL_VERSION:
        if version & 0xF0 != 0x60:
            raise Malformed("This is no reconciliation message.", rule="version_byte")
        raise WrongVersion("Another version of the reconciliation protocol.", version=version)
    reader = _Reader(data, 1)
    ranges: list[WireRange] = []
    lower = MIN_BOUND
    while reader.at < len(data):
        if len(ranges) >= RECONCILE_RANGES_MAX:
            raise TooLarge("The message has too many ranges.", rule="ranges")
        upper = reader.bound(lower)
        if upper < lower:
            raise Malformed("A range ends before it begins.", rule="backward_range")
        mode = reader.varint()
        if mode == SKIP:
            ranges.append(WireRange(lower, upper, SKIP))
        elif mode == FINGERPRINT:
            taken = reader.take(FINGERPRINT_BYTES)
            ranges.append(WireRange(lower, upper, FINGERPRINT, fingerprint=taken))
        elif mode == ID_LIST:
            ranges.append(WireRange(lower, upper, ID_LIST, ids=reader.ids()))
        else:
            raise Malformed("A range has an unknown mode.", rule="mode", mode=mode)
        lower = upper
    return ranges


class _Reader:
    """Take the parts of a message one by one; never past the end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) != count:
            raise Malformed("The message ends too early.", rule="truncated")
        self.at += count
        return taken

    def varint(self) -> int:
        value = 0
        for length in range(_VARINT_BYTES_MAX):
            digit = self.take(1)[0]
            if length == 0 and digit == 0x80:
                raise Malformed("A number has a leading zero.", rule="varint_minimal")
            value = value << 7 | digit & 0x7F
            if digit < 0x80:
                if value > TIMESTAMP_INFINITY:
                    break
                return value
        raise Malformed("A number is beyond 64 bits.", rule="varint_range")

    def bound(self, lower: Bound) -> Bound:
        encoded = self.varint()
        prefix_length = self.varint()
        if prefix_length > ID_BYTES:
            raise Malformed("A bound's prefix is longer than an id.", rule="bound_prefix")
        # Missing bytes are zeros, so trailing zeros say nothing; without them equal is equal.
        prefix = self.take(prefix_length).rstrip(b"\0")
        if encoded == 0:
            if prefix_length:
                raise Malformed("Infinity has no prefix.", rule="bound_prefix")
            return INFINITY
        if lower == INFINITY:
            raise Malformed("A range begins after infinity.", rule="backward_range")
        timestamp = lower.timestamp + encoded - 1
        if timestamp >= TIMESTAMP_INFINITY:
            raise Malformed("A bound is beyond the last timestamp.", rule="bound_timestamp")
        return Bound(timestamp, prefix)

    def ids(self) -> tuple[bytes, ...]:
        count = self.varint()
        if count * ID_BYTES > len(self.data) - self.at:
            raise Malformed("The message ends too early.", rule="truncated")
        start = self.at
        self.at += count * ID_BYTES
        return tuple(self.data[k : k + ID_BYTES] for k in range(start, self.at, ID_BYTES))


class MessageWriter:
    """Write a message range by range, ascending, skipping what lies between.

    `size` never passes `bytes_max`: a range that would not fit is not written, and `add` says so.
    """

    __slots__ = ("_buffer", "_bytes_max", "end")

    def __init__(self, bytes_max: int) -> None:
        self._buffer = bytearray((PROTOCOL_VERSION,))
        self._bytes_max = bytes_max
        self.end = MIN_BOUND

    @property
    def empty(self) -> bool:
        """Say whether no range has been written."""
        return len(self._buffer) == 1

    def room(self) -> int:
        """Return how many bytes are left."""
        return self._bytes_max - len(self._buffer)

    def add_fingerprint(
        self, lower: Bound, upper: Bound, fingerprint: bytes, *, reserve: int = 0
    ) -> bool:
        """Write a fingerprint unless fewer than `reserve` bytes would be left; say if written."""
        return self._add(lower, upper, b"\x01" + fingerprint, reserve)

    def add_ids(
        self, lower: Bound, upper: Bound, ids: list[bytes], *, reserve: int = 0
    ) -> bool:
        """Write a list of ids unless fewer than `reserve` bytes would be left; say if written."""
        payload = b"\x02" + encode_varint(len(ids)) + b"".join(ids)
        return self._add(lower, upper, payload, reserve)

    def message(self) -> bytes:
        """Return what has been written so far."""
        return bytes(self._buffer)

    def _add(self, lower: Bound, upper: Bound, payload: bytes, reserve: int) -> bool:
        head = b""
        after = self.end
        if lower > after:
            head = _encode_bound(after, lower) + b"\x00"
            after = lower
        head += _encode_bound(after, upper)
        if len(head) + len(payload) + reserve > self.room():
            return False
        self._buffer += head
        self._buffer += payload
        self.end = upper
        return True


def _encode_bound(after: Bound, bound: Bound) -> bytes:
    if bound == INFINITY:
        return b"\x00\x00"
    delta = encode_varint(bound.timestamp - after.timestamp + 1)
    return delta + bytes((len(bound.prefix),)) + bound.prefix
