"""Turn values into their one canonical encoding and back (spec/01).

A strict subset of MessagePack: map, array, str, bin, int and bool. Every value has exactly one
encoding, and a reader refuses any other bytes, so that hashing and signing bytes is hashing and
signing values.

Reading takes two paths. The fast one lets msgpack's C code unpack and pack again and compares: any
long form, wrong order or repeated key makes the bytes differ. What the comparison cannot see (nil,
floats, ranges, depth, NFC, key form) a short walk looks at. When anything is amiss, and only then,
`_strict` reads byte by byte and names the rule that is broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.protocol import _strict
from maillon.protocol._unicode import is_nfc, nfc
from maillon.protocol.errors import EncodingError, TooLarge
from maillon.protocol.limits import (
    ARRAY_ITEMS_MAX,
    BIN_BYTES_MAX,
    DEPTH_MAX,
    FRAME_BYTES_MAX,
    INT_MAX,
    MAP_ITEMS_MAX,
    STRING_BYTES_MAX,
)

__all__ = ["Encodable", "Value", "decode", "encode", "nfc"]

Value = bool | int | str | bytes | list["Value"] | dict[str, "Value"]
"""What reading returns."""

Encodable = bool | int | str | bytes | Sequence["Encodable"] | Mapping[str, "Encodable"]
"""What writing accepts: lists or tuples, dicts with keys in any order."""

_unpack = msgpack.unpackb
# One packer for all: its buffer is kept between calls, which saves an allocation each time. It
# holds the interpreter's lock throughout a call and calls nothing of ours, so threads may share it.
_pack = msgpack.Packer(use_bin_type=True, strict_types=True).pack

# The keys of one map, each followed by a newline, matched at once: one call into the regular
# expression engine a map instead of one a key.
_KEYS_FORM: Final = re.compile(r"(?:[a-z][a-z0-9_]{0,31}\n)*")
_KEY_FORM: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


def decode(data: bytes, *, bytes_max: int) -> Value:
    """Read one value of at most `bytes_max` bytes; nothing may follow it.

    Raises: TooLarge beyond a limit, NotCanonical when the same value has another encoding,
    Malformed otherwise; each says in `rule` which rule of spec/01 is broken.
    """
    if len(data) > bytes_max:
        raise TooLarge(rule="total_length", got=len(data), limit=bytes_max)
    try:
        # A length is checked against its limit before anything is allocated for it. msgpack nests
        # up to 1,024 containers before it gives up, each with up to 1,024 slots set aside: at most
        # 8 MiB for a moment, from the worst 3 KiB.
        value = _unpack(
            data,
            max_str_len=STRING_BYTES_MAX,
            max_bin_len=BIN_BYTES_MAX,
            max_array_len=ARRAY_ITEMS_MAX,
            max_map_len=MAP_ITEMS_MAX,
            max_ext_len=0,
        )
    # msgpack's own errors are ValueErrors, as is UnicodeDecodeError; a timestamp out of range
    # raises ValueError or OverflowError.
    except (ValueError, OverflowError):
        return _strict.decode(data)
    if _plain(value) and _pack(value) == data:
        return cast(Value, value)
    return _strict.decode(data)


def _plain(value: object) -> bool:
    kind = type(value)
    if kind is list or kind is dict:
        return _container_plain(cast("list[object] | dict[object, object]", value), 1)
    if kind is str:
        text = cast(str, value)
        return text.isascii() or is_nfc(text)
    if kind is int:
        return -INT_MAX <= cast(int, value) <= INT_MAX
    return kind is bytes or kind is bool


def _container_plain(value: list[object] | dict[object, object], depth: int) -> bool:
    if depth > DEPTH_MAX:
        return False
    if type(value) is dict:
        keys = list(value)
        try:
            if sorted(cast("list[str]", keys)) != keys:
                return False
            # A key with a newline in it would be read as two here; but no newline survives a
            # comparison of how many there are.
            joined = "\n".join(cast("list[str]", keys)) + "\n"
        except TypeError:
            return False
        if keys and (not _KEYS_FORM.fullmatch(joined) or joined.count("\n") != len(keys)):
            return False
        items = cast("list[object]", list(value.values()))
    else:
        items = cast("list[object]", value)
    for item in items:
        kind = type(item)
        if kind is str:
            if not cast(str, item).isascii() and not is_nfc(cast(str, item)):
                return False
        elif kind is int:
            if not -INT_MAX <= cast(int, item) <= INT_MAX:
                return False
        elif kind is list or kind is dict:
            if not _container_plain(cast("list[object]", item), depth + 1):
                return False
        elif kind is not bytes and kind is not bool:
            return False
    return True


def encode(value: Encodable, *, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """Return the canonical encoding, with map keys put in order.

    Text is refused, not changed, when it is not in NFC: pass what people type through `nfc` first.

    Raises: EncodingError, whose `rule` says what has no encoding.
    """
    data = cast(bytes, _pack(_ordered(value, 0)))
    if len(data) > bytes_max:
        raise EncodingError(
            "The value is too long.", rule="total_length", got=len(data), limit=bytes_max
        )
    return data


def _ordered(value: object, depth: int) -> object:
    kind = type(value)
    if kind is str:
        return _text(cast(str, value))
    if kind is int:
        if not -INT_MAX <= cast(int, value) <= INT_MAX:
            raise EncodingError("An integer is out of range.", rule="int_range")
        return value
    if kind is bytes:
        if len(cast(bytes, value)) > BIN_BYTES_MAX:
            raise EncodingError("A binary value is too long.", rule="bin_length")
        return value
    if kind is bool:
        return value
    if kind is dict:
        return _ordered_map(cast("dict[object, object]", value), depth + 1)
    if kind is list or kind is tuple:
        items = cast("Sequence[object]", value)
        if depth >= DEPTH_MAX:
            raise EncodingError("The value is nested too deep.", rule="depth")
        if len(items) > ARRAY_ITEMS_MAX:
            raise EncodingError("An array is too long.", rule="array_length")
        return [_ordered(item, depth + 1) for item in items]
    if value is None:
        raise EncodingError("An absent field is left out, not nil.", rule="nil")
    if kind is float:
        raise EncodingError("There are no floating-point numbers.", rule="float")
    raise EncodingError(f"Values of type {kind.__name__} have no encoding.", rule="type")


def _ordered_map(value: dict[object, object], depth: int) -> dict[str, object]:
    if depth > DEPTH_MAX:
        raise EncodingError("The value is nested too deep.", rule="depth")
    if len(value) > MAP_ITEMS_MAX:
        raise EncodingError("A map has too many fields.", rule="map_length")
    for key in value:
        if type(key) is not str:
            raise EncodingError("A map key is not a string.", rule="key_type")
        if not _KEY_FORM.fullmatch(key):
            raise EncodingError(f"The map key {key[:40]!r} has another form.", rule="key_form")
    fields = cast("dict[str, object]", value)
    return {key: _ordered(fields[key], depth) for key in sorted(fields)}


def _text(value: str) -> str:
    try:
        length = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise EncodingError("A text contains half a surrogate pair.", rule="utf8") from None
    if length > STRING_BYTES_MAX:
        raise EncodingError("A text is too long.", rule="string_length")
    if length != len(value) and not is_nfc(value):
        raise EncodingError("A text is not in NFC.", rule="nfc", hint="Pass it through nfc().")
    return value
