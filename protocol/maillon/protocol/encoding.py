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
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

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

__all__ = ["Encodable", "Value", "decode", "encode", "nfc", "pack"]

Value = bool | int | str | bytes | list["Value"] | dict[str, "Value"]
"""What reading returns."""

Encodable = bool | int | str | bytes | Sequence["Encodable"] | Mapping[str, "Encodable"]
"""What writing accepts: lists or tuples, dicts with keys in any order."""

# msgpack ships no types: it is given them here.
_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
# One packer for all: its buffer is kept between calls, which saves an allocation each time. It
# holds the interpreter's lock throughout a call and calls nothing of ours, so threads may share it.
_pack = cast(
    "Callable[[Any], bytes]",
    msgpack.Packer(use_bin_type=True, strict_types=True).pack,  # pyright: ignore[reportUnknownMemberType]
)
_pack_known = cast(
    "Callable[[Any], bytes]",
    msgpack.Packer(use_bin_type=True).pack,  # pyright: ignore[reportUnknownMemberType]
)

_KEY_FORM: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")

# Keys found to be of the right form: the same few dozen come in every record, and one set
# comparison a map is six times as fast as one regular expression a key. A memory of a pure answer:
# it changes no result. At most about 400 KiB.
_SEEN_KEYS_MAX: Final = 4_096
_seen_keys: set[str] = set()


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
        value: Any = _unpack(
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
    # The walk comes first: it leaves only types that the packer knows.
    if _plain((value,), 0) and _pack(value) == data:
        return cast(Value, value)
    return _strict.decode(data)


def _plain(items: Any, depth: int) -> bool:
    # This runs for every value of every record: no casts, no helper calls on the way.
    for item in items:
        kind = type(item)  # pyright: ignore[reportUnknownVariableType]  # of Any, on purpose
        if kind is str:
            if not item.isascii() and not is_nfc(item):
                return False
        elif kind is int:
            if not -INT_MAX <= item <= INT_MAX:
                return False
        elif kind is list:
            if depth == DEPTH_MAX or not _plain(item, depth + 1):
                return False
        elif kind is dict:
            if depth == DEPTH_MAX:
                return False
            keys = list(item)
            if keys and not _keys_plain(keys):
                return False
            if not _plain(item.values(), depth + 1):
                return False
        elif kind is not bytes and kind is not bool:
            return False
    return True


def _keys_plain(keys: list[Any]) -> bool:
    if not _seen_keys.issuperset(keys):
        for key in keys:
            # msgpack lets binary keys through.
            if type(key) is not str or not _KEY_FORM.fullmatch(key):
                return False
        _remember(keys)
    return sorted(keys) == keys


def _remember(keys: Iterable[str]) -> None:
    # Forgetting all of them at the bound keeps a stranger who sends ever new keys from filling the
    # memory, and from shutting out for good the keys that everybody uses.
    if len(_seen_keys) > _SEEN_KEYS_MAX:
        _seen_keys.clear()
    _seen_keys.update(keys)


def encode(value: Encodable, *, bytes_max: int = FRAME_BYTES_MAX) -> bytes:
    """Return the canonical encoding, with map keys put in order.

    Text is refused, not changed, when it is not in NFC: pass what people type through `nfc` first.

    Raises: EncodingError, whose `rule` says what has no encoding.
    """
    try:
        data = _pack(_ordered(value, 0))
    except TypeError:
        # A map key of a subclass of str passes for a known key; the packer tells them apart.
        raise EncodingError("A map key is not a plain string.", rule="key_type") from None
    if len(data) > bytes_max:
        raise EncodingError(
            "The value is too long.", rule="total_length", got=len(data), limit=bytes_max
        )
    return data


def pack(value: Sequence[Encodable]) -> bytes:
    """Return the encoding of an array without maps whose parts were bounded when they were read.

    It takes a tenth of the time of `encode`, because nothing is looked at again: only for what came
    out of `decode`, or is a number of our own.
    """
    return _pack_known(value)


def _ordered(value: Any, depth: int) -> Any:
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # of Any, on purpose
    if kind is str:
        if value.isascii() and len(value) <= STRING_BYTES_MAX:
            return value
        return _text(value)
    if kind is int:
        if not -INT_MAX <= value <= INT_MAX:
            raise EncodingError("An integer is out of range.", rule="int_range")
        return value
    if kind is bytes:
        if len(value) > BIN_BYTES_MAX:
            raise EncodingError("A binary value is too long.", rule="bin_length")
        return value
    if kind is bool:
        return value
    if kind is dict:
        return _ordered_map(value, depth + 1)
    if kind is list or kind is tuple:
        if depth == DEPTH_MAX:
            raise EncodingError("The value is nested too deep.", rule="depth")
        if len(value) > ARRAY_ITEMS_MAX:
            raise EncodingError("An array is too long.", rule="array_length")
        made: list[Any] = []
        for item in value:
            # Most parts are bytes and numbers: what they must keep is asked here, without a call.
            part = type(item)  # pyright: ignore[reportUnknownVariableType]
            if not (
                (part is bytes and len(item) <= BIN_BYTES_MAX)
                or (part is int and -INT_MAX <= item <= INT_MAX)
            ):
                item = _ordered(item, depth + 1)
            made.append(item)
        return made
    if value is None:
        raise EncodingError("An absent field is left out, not nil.", rule="nil")
    if kind is float:
        raise EncodingError("There are no floating-point numbers.", rule="float")
    raise EncodingError(f"Values of type {kind.__name__} have no encoding.", rule="type")


def _ordered_map(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    if depth > DEPTH_MAX:
        raise EncodingError("The value is nested too deep.", rule="depth")
    if len(value) > MAP_ITEMS_MAX:
        raise EncodingError("A map has too many fields.", rule="map_length")
    if not _seen_keys.issuperset(value):
        for key in value:
            if type(key) is not str:
                raise EncodingError("A map key is not a string.", rule="key_type")
            if not _KEY_FORM.fullmatch(key):
                raise EncodingError(f"The map key {key[:40]!r} has another form.", rule="key_form")
        _remember(value)
    return {key: _ordered(value[key], depth) for key in sorted(value)}


def _text(text: str) -> str:
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        raise EncodingError("A text contains half a surrogate pair.", rule="utf8") from None
    if length > STRING_BYTES_MAX:
        raise EncodingError("A text is too long.", rule="string_length")
    if not is_nfc(text):
        raise EncodingError("A text is not in NFC.", rule="nfc", hint="Pass it through nfc().")
    return text
