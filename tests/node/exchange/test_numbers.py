"""The orders that exchanges give for one account: one after the other, each carried out once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import trio

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.notes import OrderNote
from maillon.node.engine.exchange.ports import Effect
from maillon.node.engine.exchange.writing import Signer
from maillon.node.exchange.runner import ExchangeRunner
from maillon.protocol.envelope import sign
from support.exchangedesk import DeskHost
from support.exchangenet import CoopNode, Net
from support.world import Member


def quoted(net: Net, count: int) -> tuple[Member, list[tuple[bytes, bytes]]]:
    """Have several people elsewhere quote an hour each that is reserved; return who asks."""
    asks = net.member(0, "asks")
    found = [net.quoted(asks, net.member(1, f"gives {place}")) for place in range(count)]
    return asks, found


def agree(node: CoopNode, asks: Member, quotes: Sequence[tuple[bytes, bytes]]) -> list[Effect]:
    """Agree to several quotes in one go, as when a bundle is committed."""
    signer = Signer(asks.key.public, asks.coop.id)
    steps = [
        sign(
            node.core.draft("agreement", {"quote": quote}, signer, exchange, node.net.now)[0],
            asks.key,
        )
        for exchange, quote in quotes
    ]
    return node.core.take_all(steps, node.net.now)[1]


def orders(node: CoopNode, quotes: Sequence[tuple[bytes, bytes]]) -> list[OrderNote]:
    return [order for id, _ in quotes for order in notes.orders_of(node.store, id)]


def held(net: Net) -> int:
    return sum(transfer.status == "held" for transfer in net.chains.transfers.values())


def test_orders_signed_in_one_go_have_increasing_numbers_and_all_count() -> None:
    net = Net()
    asks, quotes = quoted(net, 3)
    node = net.nodes[0]
    node.do(agree(node, asks, quotes))
    net.run()
    assert sorted(order.number for order in orders(node, quotes)) == [1, 2, 3]
    assert [order.status for order in orders(node, quotes)] == ["held"] * 3
    assert held(net) == 3


def test_after_a_restart_numbers_go_on_above_what_was_signed_and_not_placed() -> None:
    net = Net()
    asks, quotes = quoted(net, 3)
    node = net.nodes[0]
    agree(node, asks, quotes[:2])  # and the node dies before anything is handed over
    core = node.restarted()
    effects = agree(node, asks, quotes[2:])
    node.do([*core.resume(net.now), *effects])
    net.run()
    assert sorted(order.number for order in orders(node, quotes)) == [1, 2, 3]
    assert held(net) == 3


def test_an_order_whose_number_was_taken_is_signed_anew_at_once_and_paid_once() -> None:
    net = Net()
    asks, quotes = quoted(net, 1)
    node = net.nodes[0]
    node.do(agree(node, asks, quotes))
    net.chains.last[asks.author] = 5  # they paid with their device meanwhile
    net.run()
    lapsed, second = sorted(orders(node, quotes), key=lambda order: order.number)
    assert (lapsed.status, lapsed.reason, lapsed.number) == ("dead", "stale_sequence", 1)
    assert (second.status, second.number) == ("held", 6)
    assert held(net) == 1
    # The old one, handed over again, changes nothing.
    net.chains.place(lapsed.data)
    net.run()
    assert held(net) == 1 and len(orders(node, quotes)) == 2


def test_nothing_is_signed_anew_until_the_chain_shows_that_the_number_was_taken() -> None:
    net = Net()
    asks, quotes = quoted(net, 1)
    node = net.nodes[0]
    net.chains.unread = True
    node.do(agree(node, asks, quotes))
    net.chains.last[asks.author] = 5
    net.run()
    net.wait(2 * bounds.RETRY_S)
    node.act(asks, "message", quotes[0][0], text="Well?", lang="en")
    net.run()
    (order,) = orders(node, quotes)
    assert (order.status, order.reason) == ("waiting", "stale_sequence") and held(net) == 0
    net.chains.unread = False
    net.run()
    assert [order.status for order in orders(node, quotes)] == ["dead", "held"]
    assert held(net) == 1


def test_what_is_always_too_late_is_not_signed_without_end() -> None:
    net = Net()
    asks, quotes = quoted(net, 1)
    node = net.nodes[0]
    node.do(agree(node, asks, quotes))

    def overtaken(times: int) -> None:
        for _ in range(times):
            net.chains.last[asks.author] = net.chains.last.get(asks.author, 0) + 10
            net.chains.settle()
            node.do(node.core.look_at_ledger(net.now))

    overtaken(bounds.STALE_TRIES_MAX * 2)
    assert [order.status for order in orders(node, quotes)] == ["dead"] * bounds.STALE_TRIES_MAX
    assert not net.chains.waiting and held(net) == 0
    # Later it is tried again, and goes through once nobody is faster.
    net.wait(bounds.RETRY_S + 1)
    node.act(asks, "message", quotes[0][0], text="Now.", lang="en")
    net.run()
    assert held(net) == 1


class Slow:
    """Accounts that note the order in which they are asked, and let others go on meanwhile."""

    def __init__(self, wanted: int) -> None:
        self.begun: list[int] = []
        self.under_way = 0
        self.done = trio.Event()
        self._wanted = wanted

    async def carry_out(self, note: OrderNote, wait_s: float) -> tuple[str, str, str]:
        assert not self.under_way, "two orders of one account at the same time"
        self.under_way += 1
        self.begun.append(note.number)
        await trio.lowlevel.checkpoint()
        self.under_way -= 1
        if len(self.begun) == self._wanted:
            self.done.set()
        return "waiting", "", ""


async def test_orders_of_one_account_are_handed_over_in_the_order_of_their_numbers() -> None:
    net = Net()
    asks, quotes = quoted(net, 6)
    node = net.nodes[0]
    agree(node, asks, quotes[:3])
    accounts = Slow(6)
    runner = ExchangeRunner(
        node.core, cast(Any, DeskHost(node)), accounts, lambda key: net.reader(node, key)
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner.run)
        runner.do(node.core.resume(net.now))
        runner.do(agree(node, asks, quotes[3:]))
        await accounts.done.wait()
        nursery.cancel_scope.cancel()
    assert accounts.begun == [1, 2, 3, 4, 5, 6]
