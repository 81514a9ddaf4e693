"""What becomes of a transfer at the other coop, what is undone once, and what is asked twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from maillon.ledger.errors import AccountClosed, OverMaximum, WrongUnit
from maillon.ledger.tool.auditing import audit_export
from maillon.node.api import ledger_shapes as shapes
from maillon.node.api.ledger_service import StatementOptions, TransferOptions
from maillon.node.ledger import bounds
from maillon.node.ledger.asking import AskingError
from maillon.node.ledger.desk import Desk
from maillon.node.ledger.repeats import KeyUsed, Repeats
from maillon.node.ledger.reversing import AlreadyReversed
from maillon.protocol.founding import FoundingFile
from support.ledgernet import LedgerNet, LedgerTestNode, agreed, ledger_net, until


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 4) as made:
        yield made


async def at_most(node: LedgerTestNode, account: str, maximum: int) -> None:
    placed = await node.desk.limit(
        account, shapes.LimitRequest(limit=600, unit="heure", max=maximum, wait_s=60)
    )
    assert placed.status == "certified"


def given(node: LedgerTestNode) -> list[str]:
    return [row.id for row in node.desk.transfers(TransferOptions()).transfers]


# --- arrivals -------------------------------------------------------------------------------------


async def test_who_waits_for_the_arrival_is_told_of_it(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo, eve = await a.member("Ana"), await b.member("Bo"), await a.member("Eve")
    await agreed(net.nodes)
    left = await a.pay(ana, bo, 20)
    assert (left.status, left.arrival) == ("certified", "on_its_way")
    there = await a.pay(ana, bo, 30, arrival=True)
    assert (there.status, there.arrival) == ("certified", "arrived")
    assert b.balance(bo) == 50
    here = await a.pay(ana, eve, 10, arrival=True)
    assert (here.status, here.arrival) == ("certified", "")


async def test_an_arrival_is_not_waited_for_when_the_other_coop_is_away(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    net.cut(b)
    start = trio.current_time()
    left = await a.pay(ana, bo, 20, arrival=True, wait_s=100)
    assert (left.status, left.arrival) == ("certified", "on_its_way")
    assert trio.current_time() - start < 2 * bounds.ARRIVAL_S_MAX


async def test_what_another_coop_would_send_back_is_refused_at_once(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo, eve = await a.member("Ana"), await b.member("Bo"), await b.member("Eve")
    await at_most(b, bo, 50)
    assert (await b.desk.close(eve, shapes.CloseRequest(wait_s=60))).status == "certified"
    await agreed(net.nodes)
    before = a.heads()
    with pytest.raises(OverMaximum) as full:
        await a.pay(ana, bo, 51)
    assert full.value.facts["room"] == 50 and full.value.facts["max_text"] == "50 min"
    assert full.value.facts["receiver"] is True
    with pytest.raises(AccountClosed):
        await a.pay(ana, eve, 1)
    with pytest.raises(WrongUnit):
        request = shapes.TransferRequest(to=bo, amount=1, unit="sel", from_=ana)
        await a.desk.transfer(request)
    assert a.heads() == before and given(a) == []
    assert (await a.pay(ana, bo, 50, arrival=True)).arrival == "arrived"


async def test_what_comes_back_says_why(net: LedgerNet, autojump_clock: object) -> None:
    a, b, *_ = net.nodes
    ana, bo, eve = await a.member("Ana"), await b.member("Bo"), await b.member("Eve")
    await agreed(net.nodes)
    # What closes and fills up while a is away is not known there when it gives.
    net.cut(a)
    waits = [await a.pay(ana, to, 25, wait_s=0) for to in (bo, eve)]
    assert [placed.status for placed in waits] == ["waiting", "waiting"]
    await at_most(b, eve, 24)
    assert (await b.desk.close(bo, shapes.CloseRequest(wait_s=60))).status == "certified"
    net.heal()
    await until(lambda: a.balance(ana) == 0 and b.balance(eve) == 0, "all is as before")
    shown: list[shapes.TransferProof] = []

    def told() -> bool:
        shown[:] = [a.desk.show_transfer(placed.id) for placed in waits]
        return all(proof.transfer.back is not None for proof in shown)

    await until(told, "both came back")
    closed, full = (proof.transfer for proof in shown)
    assert (closed.status, closed.arrival, closed.reason) == (
        "returned", "returned", "account_closed")  # fmt: skip
    assert (full.status, full.arrival, full.reason) == ("returned", "returned", "over_maximum")
    assert full.facts["max_text"] == "24 min" and full.facts["room"] == 24
    for proof in shown:
        assert not any("took it" in sentence for sentence in proof.explanation)
        assert sum("sent it back" in sentence for sentence in proof.explanation) == 1
    page = a.desk.statement(ana, StatementOptions())
    assert sorted(line.kind for line in page.lines) == ["pay", "pay", "return", "return"]
    # Every node reads the same out of the chains, also one that was not asked.
    await agreed(net.nodes)
    for node in net.nodes:
        rows = [node.runner.machine.index.transfer(bytes.fromhex(p.id)) for p in waits]
        assert [row.why for row in rows if row] == ["account_closed", "over_maximum"]


async def test_who_waits_is_told_that_it_came_back(net: LedgerNet, autojump_clock: object) -> None:
    a, b, c, _d = net.nodes
    ana, bo, cara = await a.member("Ana"), await b.member("Bo"), await c.member("Cara")
    await at_most(b, bo, 50)
    await agreed(net.nodes)
    told: dict[str, shapes.Placed] = {}

    async def give(node: LedgerTestNode, who: str) -> None:
        told[who] = await node.pay(who, bo, 40, arrival=True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give, a, ana)
        nursery.start_soon(give, c, cara)
    assert {placed.status for placed in told.values()} == {"certified"}
    assert sorted(placed.arrival for placed in told.values()) == ["arrived", "returned"]
    (back,) = [placed for placed in told.values() if placed.arrival == "returned"]
    assert back.reason == "over_maximum" and back.facts["room_text"] == "10 min"
    assert b.balance(bo) == 40 and a.balance(ana) + c.balance(cara) == -40


async def test_an_audit_counts_what_moved_and_not_what_came_back(
    net: LedgerNet, autojump_clock: object, tmp_path: Path
) -> None:
    a, b, c, _d = net.nodes
    ana, bo, cara = await a.member("Ana"), await b.member("Bo"), await c.member("Cara")
    await at_most(b, bo, 50)
    await agreed(net.nodes)
    async with trio.open_nursery() as nursery:
        for node, who in ((a, ana), (c, cara)):
            nursery.start_soon(partial(node.pay, who, bo, 40, arrival=True, category="food"))
    await until(lambda: a.balance(ana) + c.balance(cara) == -40, "one of them came back")
    await agreed(net.nodes)
    folder = tmp_path / "export"
    signed = FoundingFile.unsigned(a.founding)
    for node in net.nodes:
        signed = signed.sign(node.keys.root)
    desk = Desk(a, a.runner, signed.encode)
    await desk.export(shapes.ExportRequest(directory=str(folder)))
    report = audit_export(folder, jobs=1)
    assert report.counts()["transfers"] == 1
    assert report.categories() == {(0, "food"): (1, 40)}
    assert [tally for tally in report.months().values() if tally[0]] == [(1, 40)]


# --- undoing --------------------------------------------------------------------------------------


async def test_a_transfer_is_undone_once_unless_again_is_said(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    paid = await a.pay(ana, bo, 90, arrival=True)
    back = await b.desk.reverse(paid.id, shapes.ReverseRequest(wait_s=60, arrival=True))
    assert back.arrival == "arrived" and (a.balance(ana), b.balance(bo)) == (0, 0)
    with pytest.raises(AlreadyReversed) as refused:
        await b.desk.reverse(paid.id, shapes.ReverseRequest(wait_s=60))
    assert refused.value.facts["first"].hex() == back.id and back.id[:16] in str(refused.value)
    assert (a.balance(ana), b.balance(bo)) == (0, 0) and len(given(b)) == 2
    more = shapes.ReverseRequest(again=True, amount=30, wait_s=60, arrival=True)
    assert (await b.desk.reverse(paid.id, more)).status == "certified"
    assert (a.balance(ana), b.balance(bo)) == (30, -30)


async def test_no_more_is_undone_than_was_given(net: LedgerNet, autojump_clock: object) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    paid = await a.pay(ana, bo, 2)
    for again in (False, True):
        with pytest.raises(AskingError):
            await a.desk.reverse(paid.id, shapes.ReverseRequest(amount=60, again=again))
    assert (a.balance(ana), a.balance(bo), len(given(a))) == (-2, 2, 1)
    part = await a.desk.reverse(paid.id, shapes.ReverseRequest(amount=1, wait_s=60))
    assert part.status == "certified" and a.balance(bo) == 1


async def test_a_reversal_that_waits_counts_as_one(net: LedgerNet, autojump_clock: object) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    paid = await a.pay(ana, bo, 90)
    net.cut(a)
    waits = await a.desk.reverse(paid.id, shapes.ReverseRequest(wait_s=0))
    assert waits.status == "waiting"
    with pytest.raises(AlreadyReversed):
        await a.desk.reverse(paid.id, shapes.ReverseRequest(wait_s=0))
    net.heal()
    await until(lambda: a.balance(ana) == 0, "it is undone")
    await trio.sleep(60)
    assert (a.balance(ana), a.balance(bo)) == (0, 0)


async def test_what_came_back_or_was_never_given_is_not_undone(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    hold = shapes.HoldTerms(expiry=net.time() + 3_600)
    held = await a.pay(ana, bo, 10, hold=hold)
    await agreed(net.nodes)
    with pytest.raises(AskingError):
        await b.desk.reverse(held.id, shapes.ReverseRequest())
    await a.desk.confirm(held.id, shapes.ConfirmRequest(wait_s=60, arrival=True))
    assert b.balance(bo) == 10
    back = await b.desk.reverse(held.id, shapes.ReverseRequest(wait_s=60, arrival=True))
    assert (back.arrival, a.balance(ana), b.balance(bo)) == ("arrived", 0, 0)
    with pytest.raises(AlreadyReversed):
        await b.desk.reverse(held.id, shapes.ReverseRequest())


# --- asking twice ---------------------------------------------------------------------------------


async def test_what_is_asked_twice_under_a_key_is_given_once(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    first = await a.pay(ana, bo, 20, key="facture-2026-031", arrival=True)
    second = await a.pay(ana, bo, 20, key="facture-2026-031", arrival=True)
    assert (first.repeated, second.repeated) == (False, True)
    assert (second.id, second.status, second.arrival) == (first.id, "certified", "arrived")
    assert second.block == first.block
    with pytest.raises(KeyUsed):
        await a.pay(ana, bo, 21, key="facture-2026-031")
    await agreed(net.nodes)
    assert (a.balance(ana), b.balance(bo), len(given(a))) == (-20, 20, 1)
    await a.pay(ana, bo, 20, key="facture-2026-032")
    assert a.balance(ana) == -40


async def test_a_key_is_known_after_a_power_cut_whether_it_waits_or_is_done(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(net.nodes)
    net.cut(a)
    first = await a.pay(ana, bo, 20, key="k", wait_s=0)
    again = await a.pay(ana, bo, 20, key="k", wait_s=0)
    assert first.status == "waiting" and (again.id, again.repeated) == (first.id, True)
    a.stop()
    await trio.sleep(1)
    await net.restart(a)
    after = await a.pay(ana, bo, 20, key="k", wait_s=0)
    assert (after.id, after.repeated) == (first.id, True)
    net.heal()
    await until(lambda: b.balance(bo) == 20, "it went through")
    a.stop()
    await trio.sleep(1)
    await net.restart(a)
    done = await a.pay(ana, bo, 20, key="k")
    assert (done.id, done.status, done.repeated) == (first.id, "certified", True)
    await trio.sleep(60)
    assert (a.balance(ana), b.balance(bo)) == (-20, 20)


async def test_the_commons_gives_once_under_a_key_too(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = net.nodes
    commons, bo = "00" * 16, await b.member("Bo")
    await a.member("Ana")
    await agreed(net.nodes)
    await a.desk.limit(commons, shapes.LimitRequest(limit=100, unit="heure", wait_s=60))
    first = await a.pay(commons, bo, 7, key="k", arrival=True)
    second = await a.pay(commons, bo, 7, key="k", arrival=True)
    assert (second.id, second.repeated, second.arrival) == (first.id, True, "arrived")
    await trio.sleep(60)
    assert b.balance(bo) == 7


async def test_what_was_refused_may_be_asked_again_under_its_key(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    ana, bo = await a.member("Ana", limit=10), await a.member("Bo")
    refused = await a.pay(ana, bo, 20, key="k")
    assert (refused.status, refused.reason) == ("refused", "over_limit")
    await a.desk.limit(ana, shapes.LimitRequest(limit=100, unit="heure", wait_s=60))
    done = await a.pay(ana, bo, 20, key="k")
    assert (done.status, done.repeated) == ("certified", False)
    assert (await a.pay(ana, bo, 20, key="k")).id == done.id
    assert a.balance(bo) == 20


async def test_keys_are_forgotten_after_their_time_and_not_before(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = net.nodes
    repeats = Repeats(a.runner.machine.disk)
    start = 1_000_000
    for n in range(10):
        repeats.remember(f"k{n}", [n], bytes([n]) * 32, start + n)
    repeats.remember("k3", [3], b"\x99" * 32, start + 50)
    later = start + bounds.KEYS_KEPT_S + 5
    repeats.remember("new", ["x"], bytes(32), later)
    assert [repeats.known(f"k{n}", [n]) is None for n in range(10)] == [
        True, True, True, False, True, False, False, False, False, False]  # fmt: skip
    assert repeats.known("k3", [3]) == b"\x99" * 32
