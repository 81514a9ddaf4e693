"""An order is read the short way as the long one reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from maillon.ledger.fastpay import read_order
from maillon.ledger.orders import Order, PayAction, decode_order, sign_order
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SigningKey


@pytest.mark.parametrize("category", ["", "garden"])
def test_an_order_with_any_byte_changed_is_read_as_the_slow_way_reads_it(category: str) -> None:
    action = PayAction(b"\3" * 32, b"\5" * 16, 0, 90, bytes(32), category)
    key = SigningKey.from_seed(b"payer".ljust(32))
    order = sign_order(key, b"\1" * 32, b"\4" * 16, 1, b"\2" * 32, 1_767_229_200, action)
    data = order.encode()
    assert read_order(data) == order and read_order(data).action == action
    for place in range(len(data)):
        for change in (1, 0x80):
            other = bytearray(data)
            other[place] ^= change
            assert _read(read_order, bytes(other)) == _read(decode_order, bytes(other)), place
    for cut in (data + b"\0", data[:-1], b""):
        assert _read(read_order, cut) == _read(decode_order, cut)


def _read(reader: Callable[[bytes], Order], data: bytes) -> object:
    try:
        order = reader(data)
    except MaillonError as error:
        return error.code, error.facts
    return order, order.account, order.seq, order.chain, order.until, order.action
