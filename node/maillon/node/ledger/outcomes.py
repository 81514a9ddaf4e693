"""Ask something of this coop's chain, and tell what became of it: there, and at the other coop."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from maillon.ledger.entries import Entry, Settle
from maillon.ledger.orders import COMMONS, HoldAction, Order
from maillon.node.api import ledger_shapes as shapes
from maillon.node.ledger import bounds
from maillon.node.ledger.arrivals import sentence_of
from maillon.node.ledger.happenings import Ended
from maillon.node.ledger.host import Host
from maillon.node.ledger.index import HELD, RETURNED, TransferRow
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.ledger.showing import Showing
from maillon.node.ledger.telling import Telling
from maillon.protocol.errors import MaillonError


class Outcomes:
    """Ask, wait, and tell."""

    def __init__(self, host: Host, runner: LedgerRunner, showing: Showing) -> None:
        self._host = host
        self._runner = runner
        self._showing = showing
        self._times: dict[int, tuple[str, int]] = {}
        """Hash and time of blocks, while one call is answered."""

    async def wish(self, wish: Order | Entry, wait_s: float) -> shapes.Placed:
        """Ask an order, or a payment of the commons; tell what became of it by then."""
        if isinstance(wish, Order):
            return await self.order(wish, wait_s)
        return await self.entry(wish, wait_s, account=COMMONS)

    async def order(self, order: Order, wait_s: float) -> shapes.Placed:
        """Ask an order."""
        id, ended = await self._runner.ask(order, wait_s)
        return self._ordered(order, id, ended)

    async def orders(self, orders: Sequence[Order], wait_s: float) -> list[shapes.Placed]:
        """Ask several orders; what is wrong with one is told of that one."""
        told = await self._runner.ask_many(orders, wait_s)
        return [
            self.refused(order, found)
            if isinstance(found, MaillonError)
            else self._ordered(order, *found)
            for order, found in zip(orders, told, strict=True)
        ]

    def refused(self, order: Order, fault: MaillonError) -> shapes.Placed:
        """Tell that an order was not taken in."""
        ended = Ended(order.id(self._runner.machine.fed), fault)
        return self._placed(ended.id, ended, order.account)

    def _ordered(self, order: Order, id: bytes, ended: Ended | None) -> shapes.Placed:
        placed = self._placed(id, ended, order.account)
        if placed.status == "certified" and isinstance(order.action, HoldAction):
            placed.status = "held"
        return placed

    async def entry(
        self, entry: Entry, wait_s: float, *, account: bytes, shown: bytes = b""
    ) -> shapes.Placed:
        """Ask an entry about an account; `shown` is the id to tell instead of its own."""
        id, ended = await self._runner.ask(entry, wait_s)
        placed = self._placed(id, ended, account)
        if shown:
            placed.id = shown.hex()
        elif isinstance(entry, Settle) and placed.status == "certified":
            settled = self._runner.machine.index.settled(self._host.coop, entry.ref)
            placed.id = (settled or id).hex()
        return placed

    def _placed(self, id: bytes, ended: Ended | None, account: bytes) -> shapes.Placed:
        showing = self._showing
        machine = self._runner.machine
        if ended is not None and ended.fault is not None:
            facts = showing.facts(ended.fault.facts)
            return shapes.Placed(
                id.hex(),
                "refused",
                account.hex(),
                reason=ended.fault.code,
                detail=str(ended.fault),
                facts=facts,
            )
        if ended is not None:
            # A call's orders stand in a block or two; one that is not the head has to be read.
            if ended.h not in self._times:
                header = machine.book.header_at(self._host.coop, ended.h)
                self._times[ended.h] = (header.hash.hex(), header.time)
            block = shapes.BlockRef(
                self._host.coop.hex(), ended.h, *self._times[ended.h], ended.index
            )
            return shapes.Placed(id.hex(), "certified", account.hex(), block)
        item = machine.queue.get(id)
        if item is not None and item.state == "refused":
            return shapes.Placed(
                id.hex(),
                "refused",
                account.hex(),
                reason=item.reason,
                detail=item.detail,
                facts=showing.facts(item.facts),
            )
        reason, detail = Telling(self._host, self._runner, showing).why_waiting()
        return shapes.Placed(
            id.hex(),
            "waiting" if item is None else item.state,
            account.hex(),
            reason=reason,
            detail=detail,
        )

    def certain(self, id: bytes) -> TransferRow | None:
        """Return the certified transfer that was asked under an id."""
        index = self._runner.machine.index
        settled = index.settled_as(self._host.coop, id)
        return index.transfer(id if settled is None else settled)

    async def again(self, id: bytes, wait_s: float) -> shapes.Placed:
        """Tell what became of something that was asked before."""
        machine = self._runner.machine
        item = machine.queue.get(id)
        row = self.certain(id)
        if item is not None:
            placed = await self.wish(item.wish, wait_s)
        else:
            assert row is not None
            placed = shapes.Placed(
                row.id.hex(),
                "held" if row.status == HELD else "certified",
                row.account.hex(),
                self._showing.block(row.place),
            )
        placed.repeated = True
        return placed

    async def arrives(self, placed: shapes.Placed, wait: bool, wait_s: float) -> shapes.Placed:
        """Add what the other coop did with a certified transfer; wait for it when asked to."""
        if placed.status != "certified":
            return placed
        id = bytes.fromhex(placed.id)
        row = self._runner.machine.index.transfer(id)
        if row is None or not self._showing.arrival(row):
            return placed
        with trio.move_on_after(min(wait_s, bounds.ARRIVAL_S_MAX) if wait else 0):
            while _under_way(row):
                await self._runner.next_run()
                row = self._runner.machine.index.transfer(id) or row
        placed.arrival = self._showing.arrival(row)
        if row.why:
            placed.reason, placed.detail = row.why, sentence_of(row.why)
            placed.facts = self._showing.facts(row.facts)
        return placed


def _under_way(row: TransferRow) -> bool:
    """Tell whether the other coop, or the payer's own after a return, has not had its turn."""
    return row.arrived is None or (row.status == RETURNED and row.back is None)
