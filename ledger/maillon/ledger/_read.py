"""Take values out of decoded arrays, strictly: the one place where shapes are refused.

What a peer sent is decoded to plain values first (`maillon.protocol.encoding`); these functions
narrow them. A shape that is wrong raises Malformed with the rule that the specification names.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

from maillon.ledger.errors import BadAmount
from maillon.ledger.limits import AMOUNT_MAX, BALANCE_MAX, HASH_BYTES, HEIGHT_MAX
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable, Value
from maillon.protocol.errors import Malformed, TooLarge
from maillon.protocol.limits import INT_MAX


def refuse(rule: str, **facts: Any) -> NoReturn:
    """Raise Malformed with the rule."""
    raise Malformed(f"The bytes cannot be read: {rule}.", rule=rule, **facts)


def array(data: bytes, bytes_max: int, rule: str) -> list[Any]:
    """Decode bytes that are one array. Raises: Malformed and its kinds."""
    value = encoding.decode(data, bytes_max=bytes_max)
    if type(value) is not list:
        refuse(rule)
    return value


def items(value: Value, rule: str, low: int, high: int) -> list[Any]:
    """Return an array of `low` to `high` items."""
    if type(value) is not list:
        refuse(rule)
    if len(value) < low or (len(value) > high and high == low):
        refuse(rule)
    if len(value) > high:
        raise TooLarge(rule=rule, got=len(value), limit=high)
    return value


def fixed(value: object, size: int, rule: str) -> bytes:
    """Return exactly `size` bytes."""
    if type(value) is not bytes or len(value) != size:
        refuse(rule)
    return value


def optional(value: object, size: int, rule: str) -> bytes:
    """Return exactly `size` bytes, or none at all."""
    if type(value) is not bytes or (value and len(value) != size):
        refuse(rule)
    return value


def bounded(value: object, bytes_max: int, rule: str, low: int = 0) -> bytes:
    """Return `low` to `bytes_max` bytes."""
    if type(value) is not bytes or len(value) < low:
        refuse(rule)
    if len(value) > bytes_max:
        raise TooLarge(rule=rule, got=len(value), limit=bytes_max)
    return value


def number(value: object, rule: str, low: int = 0, high: int = INT_MAX) -> int:
    """Return an integer in [low, high]; a boolean is none."""
    if type(value) is not int or not low <= value <= high:
        refuse(rule)
    return value


def exactly(parts: list[Any], count: int) -> list[Any]:
    """Return the parts of a message that has exactly so many."""
    if len(parts) != count:
        refuse("message_parts")
    return parts


def chain(value: object) -> bytes:
    """Return the id of a chain."""
    return fixed(value, HASH_BYTES, "chain")


def height(value: object, low: int = 1) -> int:
    """Return the height of a block, at least `low`."""
    return number(value, "height", low, HEIGHT_MAX)


# The same for every version of Unicode, unlike str.isprintable: readers have to agree.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CODE: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")


def code(value: object, bytes_max: int, rule: str) -> str:
    """Return a code: `[a-z0-9]`, with `_` and `-` inside; not empty."""
    if type(value) is not str or not _CODE.fullmatch(value):
        refuse(rule)
    if len(value) > bytes_max:
        raise TooLarge(rule=rule, got=len(value), limit=bytes_max)
    return value


def text(value: object, bytes_max: int, rule: str) -> str:
    """Return a text of at most `bytes_max` bytes of UTF-8, without control characters."""
    if type(value) is not str:
        refuse(rule)
    if len(value.encode()) > bytes_max:
        raise TooLarge(rule=rule, got=len(value.encode()), limit=bytes_max)
    if _CONTROL.search(value):
        refuse(rule)
    return value


def amount(value: object, rule: str = "amount_type") -> int:
    """Return an amount to transfer. Raises: BadAmount out of 1..AMOUNT_MAX."""
    if type(value) is not int:
        refuse(rule)
    if not 1 <= value <= AMOUNT_MAX:
        raise BadAmount(got=value, lowest=1, highest=AMOUNT_MAX)
    return value


def allowance(value: object, rule: str = "amount_type") -> int:
    """Return a limit or maximum. Raises: BadAmount out of 0..BALANCE_MAX."""
    if type(value) is not int:
        refuse(rule)
    if not 0 <= value <= BALANCE_MAX:
        raise BadAmount(got=value, lowest=0, highest=BALANCE_MAX)
    return value


def hashes(value: Value, high: int, rule: str) -> tuple[bytes, ...]:
    """Return a tuple of at most `high` hashes of 32 bytes."""
    found = items(value, rule, 0, high)
    for hash_ in found:
        if type(hash_) is not bytes or len(hash_) != 32:
            refuse(rule)
    return tuple(found)


def encode(value: Encodable, bytes_max: int) -> bytes:
    """Encode what our own code made. Raises: EncodingError beyond `bytes_max`."""
    return encoding.encode(value, bytes_max=bytes_max)


__all__ = [
    "Value",
    "allowance",
    "amount",
    "array",
    "bounded",
    "code",
    "encode",
    "fixed",
    "hashes",
    "items",
    "number",
    "optional",
    "refuse",
    "text",
]
