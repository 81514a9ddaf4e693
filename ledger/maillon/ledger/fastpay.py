"""Read payments, of which chains mostly consist, in a third of the time (no part of the format).

`entries.decode_entry` says what is wrong with an entry; this only says what a payment is when
nothing is. Whenever a byte is not where an ordinary payment has it the answer is None, and the
other one decides: a mistake here that refuses costs time, and the tests compare the two on bytes
changed at every place so that none accepts.

An ordinary payment has a body of less than 256 bytes and no mandate, so it has one layout:

    92 06 94  c4 n body  c4 20 key  c4 00  c4 40 signature          intra
    93 07 94  c4 n body  c4 20 key  c4 00  c4 40 signature  number   out
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.ledger import _read as read
from maillon.ledger.entries import (
    ChannelMessage,
    Entry,
    Hold,
    In,
    Intra,
    Member,
    Out,
    Return,
    decode_entry,
    message_of,
)
from maillon.ledger.limits import (
    AMOUNT_MAX,
    CATEGORY_BYTES_MAX,
    CHANNEL_MAX,
    ENTRIES_MAX,
    ENTRY_BYTES_MAX,
    ENTRY_PATH_MAX,
    SEQ_MAX,
    UNITS_MAX,
)
from maillon.ledger.orders import Order, PayAction, decode_order
from maillon.protocol.errors import MaillonError
from maillon.protocol.limits import INT_MAX

_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_pack = cast(
    "Callable[[Any], bytes]",
    msgpack.Packer(use_bin_type=True, strict_types=True).pack,  # pyright: ignore[reportUnknownMemberType]
)

_INTRA: Final = b"\x92\x06\x94\xc4"
_OUT: Final = b"\x93\x07\x94\xc4"
_IN: Final = b"\x97\x08\xc4\x20"
_ORDER: Final = _INTRA[2:]
_ORDER_BYTES_MIN: Final = 110
_KEY: Final = b"\xc4\x20"
_SIGNATURE: Final = b"\xc4\x00\xc4\x40"


def _slots(record: type, *names: str) -> tuple[Callable[[Any, Any], None], ...]:
    """Return what fills the slots of a frozen record one by one, past checks that are made here."""
    return tuple(vars(record)[name].__set__ for name in names)


_new = object.__new__
_to_coop, _to_account, _unit, _amount, _ref, _category = _slots(
    PayAction, "to_coop", "to_account", "unit", "amount", "ref", "category"
)
_body, _key, _mandate, _signature = _slots(Order, "body", "key", "mandate", "signature")
_account, _seq, _chain, _until, _action = _slots(
    Order, "account", "seq", "chain", "until", "action"
)
# The slot is that of the class which all entries with an order share.
[_of_entry] = _slots(Intra.__mro__[1], "order")


def read_entry(data: bytes) -> Entry:
    """Read an entry, a payment the short way. Raises: what `decode_entry` raises."""
    head = data[:4]
    if head == _INTRA or head == _OUT:
        found = payment(data)
        if found is not None:
            return found
    elif head == _IN:
        arrived = _arrival(data)
        if arrived is not None:
            return arrived
    return decode_entry(data)


def read_order(data: bytes) -> Order:
    """Read an order, a payment's the short way. Raises: what `decode_order` raises."""
    if data[:2] == _ORDER and len(data) >= _ORDER_BYTES_MIN:
        end = 3 + data[2]
        key_end = end + 34
        if (
            len(data) == key_end + 68
            and data[end : end + 2] == _KEY
            and data[key_end : key_end + 4] == _SIGNATURE
        ):
            found = _order(data[3:end], data[end + 2 : key_end], data[key_end + 4 :])
            if found is not None:
                return found
    return decode_order(data)


def message(entry: In | Return, leaf: bytes, fed: bytes) -> ChannelMessage:
    """Return the message that an entry with this carried leaf takes, a payment's the short way.

    Raises: what `carried` raises.
    """
    if entry.data[:4] == _OUT:
        found = payment(entry.data)
        made = None if found is None else message_of(found, leaf, fed)
        if made is not None:
            return made
    return entry.carried(fed)


def _arrival(data: bytes) -> In | None:
    """Return an `in` that takes a payment, or None for anything else."""
    if len(data) > ENTRY_BYTES_MAX:
        return None
    try:
        parts: list[Any] = _unpack(data)
        _, source, block, index, salt, carried, found = parts
        path: list[Any] = found
        if not (
            _pack(parts) == data
            and type(source) is type(block) is type(salt) is type(carried) is bytes
            and len(source) == len(block) == len(salt) == 32
            and type(index) is int
            and 0 <= index < ENTRIES_MAX
            and carried[:4] == _OUT
            and type(path) is list
            and len(path) <= ENTRY_PATH_MAX
        ):
            return None
    except (ValueError, OverflowError, TypeError):
        return None
    for hash_ in path:
        if type(hash_) is not bytes or len(hash_) != 32:
            return None
    return In(source, block, index, salt, carried, tuple(path))


def write_entry(entry: Entry) -> bytes:
    """Write an entry, one that carries an order the short way. Raises: EncodingError.

    The parts of an order were bounded when it was read, and are bytes and numbers only.
    """
    if isinstance(entry, Intra | Out | Hold | Member):
        return _pack(entry.array())
    return entry.encode()


def payment(data: bytes) -> Intra | Out | None:
    """Return an ordinary payment, or None for anything else."""
    if len(data) < 112:
        return None
    end = 5 + data[4]
    key_end = end + 34
    after = key_end + 68
    if data[end : end + 2] != _KEY or data[key_end : key_end + 4] != _SIGNATURE:
        return None
    body = data[5:end]
    order = _order(body, data[end + 2 : key_end], data[key_end + 4 : after])
    if order is None:
        return None
    if data[1] == 6:
        if len(data) != after or data[:4] != _INTRA:
            return None
        intra = _new(Intra)
        _of_entry(intra, order)
        return intra
    n = _number(data[after:])
    return Out(order, n) if n and data[:4] == _OUT else None


def _number(data: bytes) -> int:
    try:
        n = _unpack(data)
    except (ValueError, OverflowError):
        return 0
    return n if type(n) is int and 1 <= n <= CHANNEL_MAX and _pack(n) == data else 0


def _order(body: bytes, key: bytes, signature: bytes) -> Order | None:
    if len(signature) != 64:
        return None
    try:
        parts = _unpack(body)
        if _pack(parts) != body or len(parts) != 5:
            return None
        account, seq, chain, until, action = parts
        kind, to_coop, to_account, unit, amount, ref, category = action
    except (ValueError, OverflowError, TypeError):
        # Not msgpack, no array, or of another length: msgpack's errors are ValueErrors.
        return None
    if not (
        type(parts) is type(action) is list
        and type(kind) is type(seq) is type(until) is type(unit) is type(amount) is int
        and type(account) is type(chain) is type(to_coop) is type(to_account) is type(ref) is bytes
        and kind == 1
        and 1 <= seq <= SEQ_MAX
        and 0 <= until <= INT_MAX
        and 0 <= unit < UNITS_MAX
        and 1 <= amount <= AMOUNT_MAX
        and len(account) == len(to_account) == 16
        and len(chain) == len(to_coop) == len(ref) == 32
        and type(category) is str
    ):
        return None
    if category:
        try:
            read.code(category, CATEGORY_BYTES_MAX, "category")
        except MaillonError:
            return None
    pay = _new(PayAction)
    _to_coop(pay, to_coop)
    _to_account(pay, to_account)
    _unit(pay, unit)
    _amount(pay, amount)
    _ref(pay, ref)
    _category(pay, category)
    order = _new(Order)
    _body(order, body)
    _key(order, key)
    _mandate(order, b"")
    _signature(order, signature)
    _account(order, account)
    _seq(order, seq)
    _chain(order, chain)
    _until(order, until)
    _action(order, pay)
    return order
