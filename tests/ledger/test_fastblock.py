"""Compare the quick replay of ordinary payments with the rules: on every changed byte, and on every
reason to refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from maillon.ledger.audit.chain import ChainAudit, result_of
from maillon.ledger.block import Placed
from maillon.ledger.context import Context
from maillon.ledger.entries import Close, Entry, Intra, Out, Recover, decode_entry
from maillon.ledger.fastblock import Tally, replay
from maillon.ledger.limits import AMOUNT_MAX, SEQ_GAP_MAX
from maillon.ledger.orders import Order, PayAction
from maillon.ledger.rules import apply_entry
from maillon.ledger.signing import Check, inline_verify
from maillon.ledger.state import ChainState
from maillon.protocol.errors import MaillonError
from support.accounts import CREDIT, HOURS, Accounts
from support.ledger_corpus import Plan, make_corpus
from support.tampering import Export


class Outcome(NamedTuple):
    """What an entry led to: rows, signatures to verify, payments added up."""

    rows: tuple[bytes, ...]
    root: bytes
    checks: list[Check]
    tally: Tally


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
        state, context, tally = self.state(), self.context(), Tally()
        before = tuple(row.row for row in state.rows())
        left: list[bytes] = []

        def carry_out(index: int, data: bytes) -> Entry:
            assert index == 0
            left.append(data)
            return entry

        [other] = replay([Placed(bytes(32), data)], state, context, tally, carry_out)
        after = tuple(row.row for row in state.rows())
        if left:
            assert other is entry and left == [data]
            assert (
                after == before and not context.checks and not context.places and tally == Tally()
            )
            return None
        assert other is None and context.places == [0]
        return Outcome(after, state.root(), context.checks, tally)

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
        tally = Tally()
        if isinstance(entry, Intra | Out):
            action = entry.order.action
            assert isinstance(action, PayAction)
            tally.paid[action.unit, action.category] = (1, action.amount)
            if isinstance(entry, Out):
                tally.sent[0] = (action.to_coop, action.unit, action.amount)
        return Outcome(rows, state.root(), context.checks, tally)

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


def test_a_payment_to_another_coop_is_carried_out_quickly_as_by_the_rules(stage: Stage) -> None:
    world = stage.world
    assert stage.agrees(Out(world.pay("ana", "cleo", 30), 1).encode())
    assert stage.agrees(Out(world.pay("bob", "cleo", 30), 1).encode())


@pytest.mark.parametrize("n", [2, 200, 70_000])
def test_a_payment_out_of_turn_is_left_to_the_rules(stage: Stage, n: int) -> None:
    data = Out(stage.world.pay("bob", "cleo", 30), n).encode()
    assert stage.slow(data) is None
    assert stage.quick(data) is None


@pytest.mark.parametrize("to", ["ana", "cleo"])
def test_no_changed_byte_is_carried_out_otherwise_than_by_the_rules(stage: Stage, to: str) -> None:
    world = stage.world
    order = world.sign("bob", world.payment(to, 30, category="jardin"))
    data = entry(order) if to == "ana" else Out(order, 1).encode()
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


def test_a_coop_at_its_limit_leaves_a_payment_to_another_to_the_rules(stage: Stage) -> None:
    limit = stage.context().limit(HOURS)
    rich = stage.state()
    account = rich.edit(stage.world.people["bob"].account)
    account.positions[HOURS] = account.positions[HOURS]._replace(balance=limit + 10)
    rows, stage.rows = stage.rows, list(rich.rows())
    try:
        assert stage.agrees(Out(stage.world.pay("bob", "cleo", limit), 1).encode())
        data = Out(stage.world.pay("bob", "cleo", limit + 1), 1).encode()
        assert stage.slow(data) is None
        assert stage.quick(data) is None
    finally:
        stage.rows = rows


@pytest.mark.parametrize("seed", [1, 2])
def test_a_quick_audit_of_a_chain_leads_to_the_same_as_a_slow_one(
    tmp_path: Path, seed: int
) -> None:
    make_corpus(tmp_path / "export", Plan(600, variety=0.3, seed=seed, epochs=True))
    export = Export(tmp_path / "export", tmp_path / "copy")
    charters = export.charters()
    for coop in charters.latest.coops:
        quick = ChainAudit(coop, charters, inline_verify, quick=True)
        slow = ChainAudit(coop, charters, inline_verify)
        for data in export.blocks(coop):
            assert quick.feed(data) and slow.feed(data)
            assert quick.state.root() == slow.state.root()
        quick.finish()
        slow.finish()
        assert list(quick.state.rows()) == list(slow.state.rows())
        one, other = result_of(quick), result_of(slow)
        assert one.statistics.transfers > 100
        assert one == other
