"""What leaves before a commit, what may wait for one, and many orders at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from maillon.ledger.messages import Message, decode_message
from maillon.ledger.orders import COMMONS, Order, PayAction, sign_order
from maillon.ledger.rounds import Final, Lock, Opening, Prepare, Propose, Vote
from maillon.node.api import ledger_shapes as shapes
from maillon.node.store.ledgerdisk import SqliteDisk
from maillon.protocol.keys import SigningKey
from support.ledgernet import LedgerNet, LedgerTestNode, agreed, ledger_net, until

DEVICE = SigningKey.from_seed(b"device".ljust(32))


@pytest.fixture
async def four(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 4) as net:
        yield net


async def device_account(node: LedgerTestNode, limit: int) -> bytes:
    placed = await node.desk.open_account(
        shapes.AccountRequest(
            kind="organisation",
            name="a device",
            key=DEVICE.public.hex(),
            positions=[shapes.PositionRequest("heure", limit)],
            wait_s=60,
        )
    )
    assert placed.status == "certified", placed
    return bytes.fromhex(placed.account)


def cheque(node: LedgerTestNode, account: bytes, to: str, seq: int, amount: int) -> Order:
    payee = bytes.fromhex(to.partition(":")[2])
    action = PayAction(node.coop, payee, 0, amount, bytes(32), "")
    fed = node.runner.machine.fed
    return sign_order(DEVICE, fed, account, seq, node.coop, node.time() + 3_600, action)


def written(node: LedgerTestNode, id: str) -> bytes | None:
    """Return the row of an order on the disk itself."""
    assert isinstance(node.disk, SqliteDisk)
    return node.disk.get("order", bytes.fromhex(id))


async def test_a_pile_of_orders_goes_into_one_block_and_each_has_its_own_outcome(
    four: LedgerNet, autojump_clock: object
) -> None:
    a = four.nodes[0]
    payee = await a.member("Bo")
    payer = await device_account(a, 100)
    orders = [cheque(a, payer, payee, seq, 1).encode() for seq in range(1, 51)]
    orders[20] = orders[20][:-1] + bytes((orders[20][-1] ^ 1,))
    orders.append(cheque(a, payer, payee, 60, 500).encode())
    told = await a.desk.signed_many(
        shapes.SignedRequest(orders=[order.hex() for order in orders], wait_s=60)
    )
    outcomes = [(placed.status, placed.reason) for placed in told.transfers]
    assert outcomes.pop(20) == ("refused", "bad_signature")
    assert outcomes.pop() == ("refused", "over_limit")
    assert outcomes == [("certified", "")] * 49
    assert len({p.block.h for p in told.transfers if p.block is not None}) == 1
    assert a.balance(payee) == 49


async def test_what_the_writer_asks_leaves_before_the_commit_and_what_is_final_after_it(
    four: LedgerNet, autojump_clock: object
) -> None:
    a = four.nodes[0]
    payer, payee = await a.member("Ana"), await a.member("Bo")
    machine, disk = a.runner.machine, a.disk
    assert isinstance(disk, SqliteDisk)
    early: list[tuple[type[object], int]] = []
    late: list[type[object]] = []
    decide, commit = machine.decide, machine.commit

    def deciding(now: int) -> list[tuple[bytes, bytes]]:
        frames = decide(now)
        early.extend((type(decode_message(frame)), disk.commits) for _, frame in frames)
        return frames

    def committing() -> object:
        before = disk.commits
        out = commit()
        late.extend(type(decode_message(frame)) for _, frame in out.sends)
        early.append((type(None), disk.commits - before))
        return out

    machine.decide, machine.commit = deciding, committing  # type: ignore[method-assign,assignment]
    assert (await a.pay(payer, payee, 5)).status == "certified"
    kinds = {kind for kind, _ in early}
    assert {Propose, Lock} <= kinds and not kinds & {Final}
    assert Final in late and not {Propose, Lock, Prepare, Opening} & set(late)


async def test_a_lock_that_shows_a_vote_of_the_same_run_waits_for_its_commit(
    four: LedgerNet, autojump_clock: object
) -> None:
    a = four.nodes[0]
    payer, payee = await a.member("Ana"), await a.member("Bo")
    machine = a.runner.machine
    locks: list[tuple[bytes, Lock]] = []
    votes: list[Vote] = []
    speech = machine.speech
    may_leave, spoken = speech.may_leave_early, speech.said

    def asked(to: bytes, message: Message) -> bool:
        if isinstance(message, Lock):
            locks.append((to, message))
        return may_leave(to, message)

    def noted(message: Message, *, outside: bool) -> None:
        if isinstance(message, Vote):
            votes.append(message)
        spoken(message, outside=outside)

    speech.may_leave_early, speech.said = asked, noted  # type: ignore[method-assign]
    assert (await a.pay(payer, payee, 5)).status == "certified"
    assert machine.commit().sends == [] and may_leave(*locks[0])
    spoken(votes[0], outside=False)
    assert not may_leave(*locks[0]), "a vote that a power cut may undo must not be shown"
    machine.commit()
    assert may_leave(*locks[0])


async def test_what_the_commons_gives_is_on_the_disk_before_it_is_proposed(
    four: LedgerNet, autojump_clock: object
) -> None:
    a = four.nodes[0]
    payee = await a.member("Bo")
    commons = COMMONS.hex()
    await a.desk.limit(commons, shapes.LimitRequest(limit=600, unit="heure", wait_s=60))
    machine, disk = a.runner.machine, a.disk
    assert isinstance(disk, SqliteDisk)
    decide = machine.decide
    kept: list[bool] = []

    def deciding(now: int) -> list[tuple[bytes, bytes]]:
        frames = decide(now)
        if any(isinstance(decode_message(frame), Propose) for _, frame in frames):
            kept.append(next(iter(disk.scan("order")), None) is not None)
        return frames

    machine.decide = deciding  # type: ignore[method-assign]
    assert (await a.pay(commons, payee, 5)).status == "certified"
    assert all(kept), "a proposal left before the row by which a repetition is told"


async def test_an_order_that_waits_is_on_the_disk_before_its_giver_is_told_so(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = four.nodes
    payer, payee = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    four.cut(a)
    placed = await a.pay(payer, payee, 5, wait_s=0)
    assert placed.status == "waiting" and written(a, placed.id) is not None
    placed = await a.pay(payer, payee, 6, wait_s=2)
    assert placed.status == "waiting" and written(a, placed.id) is not None
    four.heal()
    await until(lambda: b.balance(payee) == 11, "both arrived")
    await until(lambda: written(a, placed.id) is None, "what is certified is in no queue")


async def test_a_lone_coop_commits_once_for_a_transfer_and_its_votes_a_moment_later(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with ledger_net(tmp_path, 1) as net:
        (a,) = net.nodes
        payer, payee = await a.member("Ana"), await a.member("Bo")
        await trio.sleep(2)
        assert isinstance(a.disk, SqliteDisk)
        before, votes = a.disk.commits, a.disk.get("vote", a.coop)
        assert (await a.pay(payer, payee, 5)).status == "certified"
        assert a.disk.commits == before + 1 and a.disk.get("vote", a.coop) == votes
        await trio.sleep(2)
        assert a.disk.get("vote", a.coop) != votes, "a lost head would be noticed by its vote"
