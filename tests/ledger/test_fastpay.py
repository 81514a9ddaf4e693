"""Compare the short way of reading payments with the strict one, byte by byte."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types
import pytest

from maillon.ledger.entries import Entry, Intra, Out, decode_entry
from maillon.ledger.fastpay import payment, read_entry, write_entry
from maillon.ledger.orders import NO_REF, Order, PayAction, order_body
from maillon.protocol import encoding
from maillon.protocol.errors import MaillonError

# Packs what has no canonical encoding as well.
pack = cast(
    "Callable[[Any], bytes]",
    msgpack.packb,  # pyright: ignore[reportUnknownMemberType]
)

RNG = random.Random("fast payments")


def made(category: str = "", amount: int = 30, seq: int = 5, mandate: bytes = b"") -> Order:
    action = PayAction(RNG.randbytes(32), RNG.randbytes(16), 0, amount, NO_REF, category)
    body = order_body(RNG.randbytes(16), seq, RNG.randbytes(32), 1_767_225_600, action)
    return Order(body, RNG.randbytes(32), mandate, RNG.randbytes(64))


def strict(data: bytes) -> Entry | None:
    try:
        return decode_entry(data)
    except MaillonError:
        return None


def agrees(data: bytes) -> None:
    """Whatever the short way reads, the strict one reads as the same."""
    found = payment(data)
    if found is not None:
        assert found == strict(data)
        assert found.encode() == data
        other = decode_entry(data)
        assert isinstance(other, Intra | Out)
        for name in ("account", "seq", "chain", "until", "action"):
            assert getattr(found.order, name) == getattr(other.order, name)


ORDINARY = [
    Intra(made()),
    Intra(made("jardin", 10**12, 2**53 - 1)),
    Out(made(), 1),
    Out(made("garde-enfants"), 200),
    Out(made(), 70_000),
]


@pytest.mark.parametrize("entry", ORDINARY)
def test_an_ordinary_payment_is_read_the_short_way(entry: Intra | Out) -> None:
    data = entry.encode()
    assert payment(data) == entry == read_entry(data)
    assert write_entry(entry) == data
    agrees(data)


@pytest.mark.parametrize("entry", ORDINARY)
def test_no_changed_byte_is_read_otherwise_than_the_strict_way(entry: Intra | Out) -> None:
    data = entry.encode()
    read = 0
    for place in range(len(data)):
        for value in {0, 1, 0x7F, 0x80, 0xC2, 0xC3, 0xCC, 0xFF, data[place] ^ 1, data[place] + 1}:
            changed = data[:place] + bytes([value & 0xFF]) + data[place + 1 :]
            agrees(changed)
            read += payment(changed) is not None
    for length in range(len(data)):
        agrees(data[:length])
    agrees(data + b"\0")
    # Keys, ids and signatures are any bytes: most changes leave a payment.
    assert read > len(data)


def values() -> Iterator[Any]:
    yield from (True, False, 0, -1, 10**12 + 1, 2**53, "x", b"", [], {}, b"\0" * 16, b"\0" * 32)


def test_no_value_of_another_kind_passes_anywhere_in_the_body() -> None:
    order = made()
    body = encoding.decode(order.body, bytes_max=400)
    assert isinstance(body, list) and isinstance(body[4], list)
    for value in values():
        for place in range(5):
            _try(order, [*body[:place], value, *body[place + 1 :]])
        for place in range(7):
            action = [*body[4][:place], value, *body[4][place + 1 :]]
            _try(order, [*body[:4], action])
    _try(order, [*body, 1])
    _try(order, [*body[:4], body[4][:-1]])


def _try(order: Order, body: Any) -> None:
    agrees(pack([6, [pack(body), order.key, b"", order.signature]]))


@pytest.mark.parametrize("category", ["Jardin", "a b", "é", "-x", "x" * 65])
def test_a_category_that_is_no_code_is_left_to_the_strict_way(category: str) -> None:
    order = made("jardin")
    body = encoding.decode(order.body, bytes_max=400)
    assert isinstance(body, list) and isinstance(body[4], list)
    _try(order, [*body[:4], [*body[4][:6], category]])


def test_a_payment_under_a_mandate_is_left_to_the_strict_way() -> None:
    data = Intra(made(mandate=b"m" * 16)).encode()
    assert payment(data) is None
    assert read_entry(data) == decode_entry(data)
