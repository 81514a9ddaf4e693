"""Read canonical bytes one by one and name the rule that is broken (spec/01).

This is the specification as code: slow, without msgpack, and right by definition. `encoding` comes
here when its fast path found something amiss; the tests hold the two against each other.

Rules are tried in the order in which a reader from front to back meets them. A length beyond its
limit is refused before it is known whether that many bytes follow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn

from maillon.protocol._unicode import is_nfc
from maillon.protocol.errors import Malformed, NotCanonical, TooLarge
from maillon.protocol.limits import (
    ARRAY_ITEMS_MAX,
    BIN_BYTES_MAX,
    DEPTH_MAX,
    INT_MAX,
    MAP_ITEMS_MAX,
    STRING_BYTES_MAX,
)

if TYPE_CHECKING:
    from maillon.protocol.encoding import Value

_KEY_FORM: Final = re.compile(rb"[a-z][a-z0-9_]{0,31}")


def decode(data: bytes) -> Value:
    """Read one value that fills `data`. Raises: Malformed, NotCanonical, TooLarge."""
    if not data:
        raise Malformed("There are no bytes.", rule="empty")
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        raise Malformed("Bytes follow the value.", rule="trailing_bytes", at=reader.at)
    return value


class _Reader:
    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise Malformed("The bytes end too early.", rule="truncated", at=len(self.data))
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def value(self, depth: int) -> Value:
        start = self.at
        first = self.take(1)[0]
        if first <= 0x7F:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first in (0xC2, 0xC3):
            return first == 0xC3
        if first in _UNSIGNED or first in _SIGNED:
            return self.integer(first, start)
        if first in _BIN:
            return self.binary(first, start)
        if 0xA0 <= first <= 0xBF or first in _STR:
            return self.text(first, start)
        if 0x90 <= first <= 0x9F or first in _ARRAY:
            return self.array(first, start, depth + 1)
        if 0x80 <= first <= 0x8F or first in _MAP:
            return self.map(first, start, depth + 1)
        _refuse_type(first, start)

    def integer(self, first: int, start: int) -> int:
        if first in _UNSIGNED:
            width = _UNSIGNED[first]
            number = self.number(width)
            shortest = number > _UNSIGNED_BEFORE[width]
        else:
            width = _SIGNED[first]
            number = int.from_bytes(self.take(width), "big", signed=True)
            # A number from zero up has an unsigned form, so the signed one is never the right one.
            shortest = number < _SIGNED_BEFORE[width]
        if not -INT_MAX <= number <= INT_MAX:
            raise Malformed("An integer is out of range.", rule="int_range", at=start)
        if not shortest:
            raise NotCanonical("An integer has a shorter form.", rule="int_form", at=start)
        return number

    def length(self, width: int, limit: int, before: int, what: str, start: int) -> int:
        length = self.number(width)
        if length > limit:
            raise TooLarge(
                "A length is beyond its limit.",
                rule=f"{what}_length",
                at=start,
                got=length,
                limit=limit,
            )
        if length <= before:
            raise NotCanonical("A length has a shorter form.", rule=f"{what}_form", at=start)
        return length

    def binary(self, first: int, start: int) -> bytes:
        width, before = _BIN[first]
        return self.take(self.length(width, BIN_BYTES_MAX, before, "bin", start))

    def raw_text(self, first: int, start: int) -> bytes:
        if first <= 0xBF:
            return self.take(first & 0x1F)
        width, before = _STR[first]
        return self.take(self.length(width, STRING_BYTES_MAX, before, "string", start))

    def text(self, first: int, start: int) -> str:
        raw = self.raw_text(first, start)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise Malformed("A text is not UTF-8.", rule="utf8", at=start) from None
        if not is_nfc(text):
            raise NotCanonical("A text is not in NFC.", rule="nfc", at=start)
        return text

    def array(self, first: int, start: int, depth: int) -> Value:
        _check_depth(depth, start)
        if first <= 0x9F:
            count = first & 0x0F
        else:
            width, before = _ARRAY[first]
            count = self.length(width, ARRAY_ITEMS_MAX, before, "array", start)
        return [self.value(depth) for _ in range(count)]

    def map(self, first: int, start: int, depth: int) -> Value:
        _check_depth(depth, start)
        if first <= 0x8F:
            count = first & 0x0F
        else:
            width, before = _MAP[first]
            count = self.length(width, MAP_ITEMS_MAX, before, "map", start)
        fields: dict[str, Value] = {}
        previous = b""
        for _ in range(count):
            key = self.key(previous)
            fields[key.decode("ascii")] = self.value(depth)
            previous = key
        return fields

    def key(self, previous: bytes) -> bytes:
        start = self.at
        first = self.take(1)[0]
        if not (0xA0 <= first <= 0xBF or first in _STR):
            raise Malformed("A map key is not a string.", rule="key_type", at=start)
        key = self.raw_text(first, start)
        if not _KEY_FORM.fullmatch(key):
            raise Malformed("A map key has another form.", rule="key_form", at=start)
        if key == previous:
            raise Malformed("A map key comes twice.", rule="key_duplicate", at=start)
        if key < previous:
            raise NotCanonical("The map keys are not in order.", rule="key_order", at=start)
        return key


# Byte → width in bytes; and the greatest value (the least, for negative ones) that a shorter form
# can hold. A signed form of one byte begins where the negative fixint ends, at -33.
_UNSIGNED: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_UNSIGNED_BEFORE: Final = {1: 0x7F, 2: 0xFF, 4: 0xFFFF, 8: 0xFFFF_FFFF}
_SIGNED: Final = {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIGNED_BEFORE: Final = {1: -0x20, 2: -0x80, 4: -0x8000, 8: -0x8000_0000}

# Byte → width of the length, and the greatest length that a shorter form can hold.
_STR: Final = {0xD9: (1, 31), 0xDA: (2, 0xFF), 0xDB: (4, 0xFFFF)}
_BIN: Final = {0xC4: (1, -1), 0xC5: (2, 0xFF), 0xC6: (4, 0xFFFF)}
_ARRAY: Final = {0xDC: (2, 15), 0xDD: (4, 0xFFFF)}
_MAP: Final = {0xDE: (2, 15), 0xDF: (4, 0xFFFF)}


def _check_depth(depth: int, start: int) -> None:
    if depth > DEPTH_MAX:
        raise TooLarge("The value is nested too deep.", rule="depth", at=start, limit=DEPTH_MAX)


def _refuse_type(first: int, start: int) -> NoReturn:
    if first == 0xC0:
        raise Malformed("There is no nil; an absent field is left out.", rule="nil", at=start)
    if first in (0xCA, 0xCB):
        raise Malformed("There are no floating-point numbers.", rule="float", at=start)
    if first == 0xC1:
        raise Malformed("The byte c1 means nothing.", rule="reserved_byte", at=start)
    raise Malformed("There are no extension types.", rule="ext", at=start)
