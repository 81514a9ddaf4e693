"""Compare the quick replay of ordinary payments with the rules: on every changed byte, and on every
reason to refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from maillon.ledger.block import Placed
from maillon.ledger.context import Context
from maillon.ledger.entries import Close, Entry, Intra, Recover, decode_entry
from maillon.ledger.fastblock import Paid, replay
from maillon.ledger.limits import AMOUNT_MAX, SEQ_GAP_MAX
from maillon.ledger.orders import Order, PayAction
from maillon.ledger.rules import apply_entry
from maillon.ledger.signing import Check
from maillon.ledger.state import ChainState
from maillon.protocol.errors import MaillonError
from support.accounts import CREDIT, HOURS, Accounts


class Outcome(NamedTuple):
    """What an entry led to: rows, signatures to verify, payments added up."""

    rows: tuple[bytes, ...]
    root: bytes
    checks: list[Check]
    paid: Paid


class Stage:
    """Coop 0 with Ana (a hold on her account), Bob, Eve (closed) and Dan (about to recover); Cleo
    is at coop 1."""

    def __init__(self) -> None:
        self.world = world = Accounts()
        world.place(0, world.opening("ana", units=(HOURS, CREDIT)), world.opening("bob", most=60))
        world.place(0, world.opening("eve"), world.opening("dan"))
        world.place(0, Close(world.people["eve"].account))
        world.place(0, Recover(world.people["dan"].account, world.people["eve"].key.public))
        world.opened("cleo", 1)
        world.place(0, world.sign("ana", world.reservation("bob", 20)))
        chain = world.coop(0)
        self.charter = world.book.charter.state(0)
        self.rows = list(world.book.state(chain).rows())
        self.chain = chain

    def state(self) -> ChainState:
        return ChainState.from_rows(self.chain, self.rows)

    def context(self) -> Context:
        return Context(self.world.fed, self.chain, self.charter, self.world.time, {})

    def quick(self, data: bytes) -> Outcome | None:
        """Return what the quick way made of an entry; None when it left it to the rules."""
        entry = Intra(self.world.pay("ana", "bob", 1))
        state, context, paid = self.state(), self.context(), Paid()
        before = tuple(row.row for row in state.rows())
        left: list[bytes] = []

        def carry_out(index: int, data: bytes) -> Entry:
            assert index == 0
            left.append(data)
            return entry

        [other] = replay([Placed(bytes(32), data)], state, context, paid, carry_out)
        after = tuple(row.row for row in state.rows())
        if left:
            assert other is entry and left == [data]
            assert after == before and not context.checks and not context.places and not paid
            return None
        assert other is None and context.places == [0]
        return Outcome(after, state.root(), context.checks, paid)

    def slow(self, data: bytes) -> Outcome | None:
        """Return what the rules make of an entry; None when they refuse it."""
        state, context = self.state(), self.context()
        fork = state.fork()
        try:
            entry = decode_entry(data)
            apply_entry(fork, entry, context)
        except MaillonError:
            return None
        state.absorb(fork)
        rows = tuple(row.row for row in state.rows())
        paid = Paid()
        if isinstance(entry, Intra):
            action = entry.order.action
            assert isinstance(action, PayAction)
            paid[action.unit, action.category] = (1, action.amount)
        return Outcome(rows, state.root(), context.checks, paid)

    def agrees(self, data: bytes) -> bool:
        """Whatever is carried out quickly the rules carry out as well, to the same end."""
        found = self.quick(data)
        if found is not None:
            assert found == self.slow(data)
        return found is not None


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage()


def entry(order: Order) -> bytes:
    return Intra(order).encode()


def test_an_ordinary_payment_is_carried_out_quickly_as_by_the_rules(stage: Stage) -> None:
    world = stage.world
    for category in ("", "jardin", "garde-enfants"):
        order = world.sign("bob", world.payment("ana", 30, category=category))
        assert stage.agrees(entry(order))
    # Of an account with a hold as well, up to what the hold leaves; and of a receiver's room what
    # is reserved for it.
    assert stage.agrees(entry(world.pay("ana", "bob", 40)))


def test_no_changed_byte_is_carried_out_otherwise_than_by_the_rules(stage: Stage) -> None:
    world = stage.world
    data = entry(world.sign("bob", world.payment("ana", 30, category="jardin")))
    quick = 0
    for place in range(len(data)):
        for value in {0, 1, 2, 0x7F, 0x80, 0xC2, 0xCC, 0xFF, data[place] ^ 1, data[place] + 1}:
            quick += stage.agrees(data[:place] + bytes([value & 0xFF]) + data[place + 1 :])
    for length in range(len(data)):
        assert not stage.agrees(data[:length])
    assert not stage.agrees(data + b"\0")
    # At least every changed signature: whether it is good is found out later.
    assert quick >= 64


REFUSED: dict[str, Callable[[Accounts], Order]] = {
    "beyond the limit": lambda w: w.pay("bob", "ana", 101),
    "beyond what a hold leaves": lambda w: w.pay("ana", "bob", 81),
    "beyond the receiver's room": lambda w: w.pay("ana", "bob", 41),
    "a number used before": lambda w: w.sign("ana", w.payment("bob", 1), seq=1),
    "a number far ahead": lambda w: w.sign("bob", w.payment("ana", 1), seq=SEQ_GAP_MAX + 1),
    "too late": lambda w: w.sign("bob", w.payment("ana", 1), until=w.time - 1),
    "another's key": lambda w: w.sign("bob", w.payment("ana", 1), key=w.people["ana"].key),
    "a unit of only one of them": lambda w: w.sign("ana", w.payment("bob", 1, unit=CREDIT)),
    "another coop": lambda w: w.pay("bob", "cleo", 1),
    "another chain's account": lambda w: w.pay("cleo", "ana", 1),
    "from a closed account": lambda w: w.pay("eve", "bob", 1),
    "to a closed account": lambda w: w.pay("bob", "eve", 1),
    "oneself": lambda w: w.pay("bob", "bob", 1),
    "the greatest amount": lambda w: w.pay("bob", "ana", AMOUNT_MAX),
    "a mandate that is none": lambda w: w.sign("bob", w.payment("ana", 1), mandate=bytes(16)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_payment_that_the_rules_refuse_is_left_to_them(stage: Stage, why: str) -> None:
    data = entry(REFUSED[why](stage.world))
    assert stage.slow(data) is None
    assert stage.quick(data) is None


def test_an_account_about_to_recover_is_left_to_the_rules(stage: Stage) -> None:
    data = entry(stage.world.pay("dan", "bob", 1))
    assert stage.slow(data) is not None
    assert stage.quick(data) is None
