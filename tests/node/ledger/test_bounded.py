"""What waits, and what is kept of it, is bounded; and nobody looks without need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from maillon.ledger import catchup
from maillon.ledger.charter_entries import SetRule
from maillon.ledger.errors import OverLimit
from maillon.ledger.messages import AskHeads, Blocks, ProposalHint
from maillon.ledger.orders import Order, PayAction, sign_order
from maillon.ledger.signing import inline_verify
from maillon.ledger.steps import NeedsBlocks
from maillon.node.ledger import bounds
from maillon.node.ledger.happenings import Event, FromGuest, FromPeer, Setup
from maillon.node.ledger.machine import Machine
from maillon.node.ledger.queue import REFUSED, OrderQueue
from maillon.node.ledger.signatures import CachedVerify
from maillon.node.ledger.staging import StagedDisk
from maillon.node.store.ledgerdisk import SqliteDisk
from maillon.protocol.keys import SigningKey
from support.charters import LedgerFederation
from support.ledgernet import LedgerNet, agreed, ledger_net, until
from support.rounds import stream

DEVICE = SigningKey.from_seed(b"device".ljust(32))
NOW = 1_800_000_000


def order(seq: int) -> Order:
    action = PayAction(bytes(32), bytes(16), 0, 1, bytes(32), "")
    return sign_order(DEVICE, bytes(32), b"a" * 16, seq, bytes(32), NOW + 3_600, action)


def test_of_what_was_refused_the_latest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "REFUSED_KEPT_MAX", 3)
    disk = SqliteDisk(tmp_path)
    staged = StagedDisk(disk)
    queue = OrderQueue(staged)
    ids = [bytes([n]) * 32 for n in range(6)]
    for n, id in enumerate(ids):
        queue.add(id, order(n + 1), NOW)
    assert len(queue) == 6
    # Not in the order of asking: what counts is when it was refused.
    for at, place in enumerate((5, 0, 4, 1)):
        assert queue.refused(ids[place], OverLimit(), NOW + at)
    assert len(queue) == 2 and queue.get(ids[5]) is None
    staged.flush()
    again = OrderQueue(StagedDisk(disk))
    assert len(again) == 2
    assert again.refused(ids[2], OverLimit(), NOW + 9)
    kept = {item.id for item in again if item.state == REFUSED}
    assert kept == {ids[4], ids[1], ids[2]} and len(again) == 1
    # Who asks for a refused one again has it wait, and not stand twice.
    again.add(ids[4], order(9), NOW + 10)
    assert len(again) == 2 and again.counts() == {"waiting": 2, "placed": 0, "refused": 2}
    disk.close()


def machine_of(disk: SqliteDisk, *, writes: bool) -> Machine:
    federation = LedgerFederation(n=2)
    coop = federation.coops[0]
    setup = Setup(
        founding=federation.founding,
        coop=coop.id,
        writer=coop.writer if writes else None,
        witness=coop.witness,
        verify=inline_verify,
        random=stream("bounded"),
    )
    return Machine(setup, disk, NOW)


def test_a_node_without_a_chain_to_write_sleeps_until_something_comes(tmp_path: Path) -> None:
    disk = SqliteDisk(tmp_path)
    machine = machine_of(disk, writes=False)
    machine.run(NOW)
    assert machine.next_wake(NOW) is None
    machine.put(FromPeer(b"p" * 32, Blocks(machine.fed, ())))
    assert machine.next_wake(NOW) == NOW
    disk.close()


def test_what_is_asked_again_and_again_waits_for_the_writer_once(tmp_path: Path) -> None:
    disk = SqliteDisk(tmp_path)
    machine = machine_of(disk, writes=True)
    machine.run(NOW)
    id = machine.ask(order(1), NOW)
    for _ in range(100):
        assert machine.ask(order(1), NOW) == id
        machine.submit(id, NOW)
    assert list(machine.backlog) == [id]
    disk.close()


def test_what_is_known_of_a_proposal_is_not_carried_further(tmp_path: Path) -> None:
    disk = SqliteDisk(tmp_path)
    machine = machine_of(disk, writes=True)
    machine.run(NOW)
    gathered = machine.changes.propose([SetRule("accounts_max", 77)], "fewer accounts")
    hint = ProposalHint(gathered.proposal.encode(), gathered.approvals)
    assert len(machine.changes.news) == 1
    # Not even while its news wait to leave with the next run.
    assert not machine.told(hint, b"p" * 32, NOW)
    disk.close()


def test_only_so_many_signatures_are_remembered_one_s_own_included() -> None:
    known = CachedVerify(inline_verify, limit=3)
    # Never verified: what answers that they are good is the memory of them.
    checks = [(DEVICE.public, bytes([n]), bytes(64)) for n in range(5)]
    for check in checks:
        known.add(check)
    assert known(checks) == [False, False, True, True, True]


@pytest.fixture
async def four(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 4) as net:
        yield net


async def test_blocks_are_fetched_to_the_end_while_much_else_waits(
    four: LedgerNet, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "ANSWER_BYTES", 1)  # a block an answer
    monkeypatch.setattr(bounds, "BATCH_MAX", 4)
    a, b, _, d = four.nodes
    await agreed(four.nodes)
    four.cut(d)
    for name in ("Ana", "Bo", "Cy", "Dan"):
        await a.member(name)
    await agreed([a, b])
    machine = d.runner.machine
    put = machine.put

    class Stranger:
        peer = b"s" * 32

    def behind_others(event: Event) -> int:
        if isinstance(event, FromPeer) and isinstance(event.message, Blocks):
            for _ in range(2 * bounds.BATCH_MAX):
                put(FromGuest(Stranger(), AskHeads(())))
        return put(event)

    machine.put = behind_others  # type: ignore[method-assign]
    # Only the fetch can bring it up to date: whose blocks they are cannot reach it, and with whom
    # it compares it compares once.
    monkeypatch.setattr(bounds, "COMPARE_S", 10_000.0)
    four.apart.discard(frozenset((b.wire.own, d.wire.own)))
    d.runner.connected(b.wire.own)
    await until(lambda: d.heads() == b.heads(), "d has all of a's blocks", 60)


async def test_a_fault_of_ours_in_what_others_tell_or_ask_loads_the_ledger_again(
    four: LedgerNet, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, *_ = four.nodes
    await agreed(four.nodes)
    machine = a.runner.machine
    before = a.heads()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    hint = ProposalHint(b"x", ())
    monkeypatch.setattr(machine.changes, "take", broken)
    assert machine.told(hint, b.wire.own, a.time()) is False
    assert machine.reloads == 1 and "a bug" in machine.faults[-1]
    monkeypatch.setattr(machine.witness, "handle", broken)
    assert machine.local(AskHeads(()), a.time()) is None
    assert machine.reloads == 2
    # It was made anew, and goes on.
    await a.member("Ana")
    await agreed(four.nodes)
    assert a.heads() != before


async def test_who_is_asked_for_blocks_that_nobody_is_known_to_have_changes_each_time(
    four: LedgerNet, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, *_ = four.nodes
    await agreed(four.nodes)
    asked: list[bytes] = []

    async def silent(peer: bytes, chain: bytes) -> None:
        asked.append(peer)

    runner: Any = a.runner
    monkeypatch.setattr(runner, "_fetch_from", silent)
    for n in range(6):
        runner._fetch(NeedsBlocks(bytes([n]) * 32, 1))
    await until(lambda: len(asked) == 6, "all were asked for")
    assert {asked.count(peer) for peer in set(asked)} == {2} and len(set(asked)) == 3
