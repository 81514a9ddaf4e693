"""A coop that is away, or has left: its trustee's node ends what was on its way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from maillon.ledger import bounds
from maillon.node.api import charter_shapes
from support.ledgernet import LedgerNet, LedgerTestNode, agreed, ledger_net, until


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 4) as made:
        yield made


async def change(*nodes: LedgerTestNode, **entry: Any) -> None:
    """Propose at the first node, approve at the others, wait until all have the charter."""
    first, *others = nodes
    wanted = first.runner.machine.book.charter.height + 1
    made = await first.desk.propose(charter_shapes.ProposalRequest([entry]))
    for node in others:
        await until(lambda node=node: node.desk.proposals().proposals, "it is known")  # type: ignore[misc]  # bound at once
        await node.desk.approve(made.proposal)
        if first.runner.machine.book.charter.height >= wanted:
            break
        if len(node.desk.proposals().proposals[0].approvals) >= made.needed:
            break
    await until(
        lambda: all(n.runner.machine.book.charter.height >= wanted for n in nodes), "it is in force"
    )


async def test_a_trustee_takes_what_waits_for_a_coop_that_is_away(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, d = net.nodes
    ana, dora = await a.member("Ana"), await d.member("Dora")
    await agreed(net.nodes)
    d.stop()
    await change(a, b, c, entry="trustee", coop=d.coop.hex(), trustee=c.coop.hex())
    left = await a.pay(ana, dora, 5)
    assert (left.status, left.arrival) == ("certified", "on_its_way")
    # The coop itself has the first word.
    await trio.sleep(bounds.TRUSTEE_WAITS_S - 20)
    assert a.desk.show_transfer(left.id).transfer.arrival == "on_its_way"
    await until(lambda: a.balance(dora) == 5, "the trustee took it")
    assert a.desk.show_transfer(left.id).transfer.arrival == "arrived"
    written = a.heads()[d.coop]
    await trio.sleep(600)
    assert a.heads()[d.coop] == written, "and then writes nothing more"
    # The coop comes back and goes on where the trustee stopped.
    await net.restart(d)
    await agreed(net.nodes)
    assert (await d.pay(dora, ana, 2, arrival=True)).arrival == "arrived"
    assert [node.balance(dora) for node in net.nodes] == [3] * 4


async def test_what_was_on_its_way_to_a_coop_that_left_ends_at_once(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, d = net.nodes
    ana, dora = await a.member("Ana"), await d.member("Dora")
    await agreed(net.nodes)
    d.stop()
    left = await a.pay(ana, dora, 5)
    assert left.status == "certified"
    await change(a, b, c, entry="remove", coop=d.coop.hex(), trustee=c.coop.hex())
    await until(lambda: a.balance(dora) == 5, "it was taken", 30)
    assert a.desk.show_transfer(left.id).transfer.arrival == "arrived"
    await agreed([a, b, c])


async def test_nothing_is_kept_for_a_coop_that_has_left(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, d = net.nodes
    ana, dora = await a.member("Ana"), await d.member("Dora")
    await agreed(net.nodes)
    await change(a, b, c, entry="remove", coop=d.coop.hex(), trustee=c.coop.hex())
    await agreed(net.nodes)
    await until(lambda: d.runner.machine.changes.has_left(), "its chain knows it")
    gone = await d.pay(dora, ana, 5, wait_s=10)
    assert (gone.status, gone.reason) == ("refused", "coop_left")
    assert d.runner.machine.queue.waiting() == []
    refused = await a.pay(ana, dora, 5)
    assert (refused.status, refused.reason) == ("refused", "ledger_coop_unknown")


async def test_what_waited_when_its_coop_left_is_refused(
    net: LedgerNet, autojump_clock: object
) -> None:
    a, b, c, d = net.nodes
    ana, dora = await a.member("Ana"), await d.member("Dora")
    await agreed(net.nodes)
    net.cut(d)
    waits = await d.pay(dora, ana, 5, wait_s=1)
    assert waits.status == "waiting"
    await change(a, b, c, entry="remove", coop=d.coop.hex(), trustee=c.coop.hex())
    net.heal()
    await until(
        lambda: d.desk.show_transfer(waits.id).transfer.reason == "coop_left", "it is refused"
    )
    await trio.sleep(60)
    assert [node.balance(dora) for node in (a, b, c)] == [0] * 3
