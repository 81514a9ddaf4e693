"""The index's rows of payments are those that its records would encode."""

from __future__ import annotations

import pytest

from maillon.ledger.entries import Intra, Out
from maillon.ledger.orders import PayAction, sign_order
from maillon.ledger.steps import Write
from maillon.node.ledger.index import CERTIFIED, Line, Place, TransferRow, number
from maillon.node.ledger.payrows import Payments
from maillon.protocol.encoding import encode
from maillon.protocol.keys import SigningKey

KEY = SigningKey.from_seed(b"payer".ljust(32))
FED, CHAIN, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))
PAYER, PAYEE = (bytes([n]) * 16 for n in (4, 5))


@pytest.mark.parametrize("to_coop", [CHAIN, OTHER], ids=["inside", "to another coop"])
def test_two_payments_give_the_rows_that_records_would_encode(to_coop: bytes) -> None:
    held = {PAYER: 50, PAYEE: -7}
    asked: list[bytes] = []

    def balance(coop: bytes, account: bytes, unit: int) -> int:
        assert (coop, unit) == (CHAIN, 3)
        asked.append(account)
        return held[account]

    payments = Payments(CHAIN, 9, 1_700_000_000, balance, CERTIFIED)
    wanted: list[Write] = []
    for index, (amount, category) in enumerate(((40, "garden"), (30, ""))):
        action = PayAction(to_coop, PAYEE, 3, amount, bytes(32), category)
        order = sign_order(KEY, FED, PAYER, index + 1, CHAIN, 1_700_000_100, action)
        entry = Intra(order) if to_coop == CHAIN else Out(order, index + 1)
        id = order.id(FED)
        payments.add(index, entry, id)
        place = Place(CHAIN, 9, index, 1_700_000_000)
        at = number(9) + number(index, 2)
        row = TransferRow(
            id, place, entry.KIND, PAYER, to_coop, PAYEE, 3, amount, bytes(32), category, CERTIFIED
        )
        wanted += [Write("transfer", id, row.encode()), Write("recent", CHAIN + at, id)]
        held[PAYER] -= amount
        sides = [(PAYER, to_coop, PAYEE, -amount)]
        if to_coop == CHAIN:
            held[PAYEE] += amount
            sides.append((PAYEE, CHAIN, PAYER, amount))
        for k, (account, coop, other, moved) in enumerate(sides):
            line = Line(
                place, "pay", coop, other, 3, moved, 0, held[account], id, bytes(32), category
            )
            wanted.append(Write("line", CHAIN + account + at + number(k, 1), line.encode()))
    touched = [PAYER, PAYEE] if to_coop == CHAIN else [PAYER]
    for account in touched:
        wanted.append(Write("balance", CHAIN + account + number(3, 1), encode(held[account])))
    assert payments.taken() == wanted
    assert asked == touched, "a balance is read once a block"
    assert payments.taken() == []
