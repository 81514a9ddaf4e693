"""Nodes in one process certify transfers; what can fail on the way fails and comes right again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from maillon.node.api.ledger_shapes import LimitRequest
from support.ledgernet import LedgerNet, agreed, ledger_net, until


@pytest.fixture
async def four(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 4) as net:
        yield net


async def test_a_transfer_between_coops_is_certified_and_arrives_by_itself(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = four.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    placed = await a.pay(ana, bo, 90)
    assert placed.status == "certified" and placed.block is not None
    await until(lambda: b.balance(bo) == 90, "it arrived")
    await agreed(four.nodes)
    assert [node.balance(ana) for node in four.nodes] == [-90] * 4
    assert bytes.fromhex(placed.id) in b.certain


async def test_a_transfer_that_is_too_large_is_refused_with_what_is_possible(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, *_ = four.nodes
    ana, eve = await a.member("Ana", limit=60), await a.member("Eve")
    before = a.heads()
    placed = await a.pay(ana, eve, 61)
    assert (placed.status, placed.reason) == ("refused", "over_limit")
    assert placed.facts["available"] == 60 and placed.facts["available_text"] == "1h00"
    assert a.heads() == before and a.balance(ana) == 0
    assert a.desk.show_transfer(placed.id).transfer.status == "refused"


async def test_what_was_not_waited_for_is_under_way_while_the_witnesses_are_there(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = four.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    placed = await a.pay(ana, bo, 30, wait_s=0)
    assert placed.status in ("waiting", "placed") and placed.reason == "under_way"
    await until(lambda: b.balance(bo) == 30, "it arrived")


async def test_an_order_waits_for_the_network_and_goes_through_later(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = four.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    four.cut(a)
    placed = await a.pay(ana, bo, 30, wait_s=5)
    assert (placed.status, placed.reason) == ("waiting", "no_quorum")
    assert a.balance(ana) == 0
    four.heal()
    await until(lambda: b.balance(bo) == 30, "it arrived after all")
    assert a.desk.show_transfer(placed.id).transfer.status == "certified"
    await trio.sleep(120)
    assert b.balance(bo) == 30, "once"


async def test_one_silent_witness_of_four_holds_nobody_up(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, d = four.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    d.stop()
    for _ in range(3):
        assert (await a.pay(ana, bo, 10, wait_s=1)).status == "certified"
    await until(lambda: b.balance(bo) == 30, "all arrived")
    await four.restart(d)
    await agreed([a, b, c, d])
    assert d.balance(bo) == 30


async def test_two_silent_witnesses_of_four_stop_everything_and_lose_nothing(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, d = four.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    c.stop()
    d.stop()
    placed = await a.pay(ana, bo, 40, wait_s=30)
    assert placed.status == "waiting"
    assert a.desk.status().writer.state == "stuck"
    await four.restart(c)
    await until(lambda: b.balance(bo) == 40, "three are enough again")


async def test_what_was_given_survives_a_power_cut_of_the_giver(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = four.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    four.cut(a)
    ids = [(await a.pay(ana, bo, 10 + i, wait_s=0)).id for i in range(3)]
    a.stop()
    four.heal()
    await trio.sleep(1)
    await four.restart(a)
    await until(lambda: b.balance(bo) == 33, "all three went through")
    assert [a.desk.show_transfer(id).transfer.status for id in ids] == ["certified"] * 3
    await trio.sleep(60)
    assert (a.balance(ana), b.balance(bo)) == (-33, 33)


async def test_everybody_stops_at_once_and_goes_on(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = four.nodes
    ana, bo = await a.member("Ana"), await b.member("Bo")
    await agreed(four.nodes)
    await a.pay(ana, bo, 20)
    for node in four.nodes:
        node.stop()
    await trio.sleep(1)
    for node in four.nodes:
        await four.restart(node)
    placed = await a.pay(ana, bo, 5)
    assert placed.status == "certified"
    await until(lambda: b.balance(bo) == 25, "both arrived")
    await agreed(four.nodes)


async def test_a_commons_payment_is_made_once_whatever_restarts(
    four: LedgerNet, autojump_clock: object
) -> None:
    a, b, *_ = four.nodes
    bo = await b.member("Bo")
    await a.member("Ana")
    await agreed(four.nodes)
    four.cut(a)
    state = a.runner.machine.book.state(a.coop)
    assert state.account(bytes(16)) is not None
    await a.desk.limit("00" * 16, a_limit())
    placed = await a.pay("00" * 16, bo, 7, wait_s=1)
    assert placed.status == "waiting"
    a.stop()
    four.heal()
    await four.restart(a)
    await until(lambda: b.balance(bo) == 7, "it arrived")
    await trio.sleep(120)
    assert b.balance(bo) == 7
    assert a.desk.show_transfer(placed.id).transfer.status == "certified"


def a_limit() -> LimitRequest:
    return LimitRequest(limit=100, unit="heure", wait_s=1)
