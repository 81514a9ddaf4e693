"""Run the exchanges of a node: letters in and out, orders to the ledger, deadlines, publishing."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import trio

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.core import ExchangeCore
from maillon.node.engine.exchange.notes import OrderNote
from maillon.node.engine.exchange.ports import Ask, Effect, Fault, Happened, Post, Release
from maillon.node.engine.exchange.settling import STALE
from maillon.node.exchange.ports import Host
from maillon.node.post.ports import Sending
from maillon.protocol.errors import LocalError, MaillonError, RemoteError
from maillon.protocol.letters import Item

log = logging.getLogger("maillon.exchange")

TICK_S_MAX: Final = 5.0
"""Longest pause between two looks at the deadlines: the clock may have been set meanwhile."""
AGAIN_S: Final = 30.0
"""After this what is known to be unfinished is tried again: letters, orders, publications."""
LEDGER_S_MIN: Final = 0.02
"""Shortest pause between two comparisons with the ledger, which runs far more often."""
LEDGER_S_MAX: Final = 1.0
OUT_SLICE: Final = 64
"""Letters handed to the post in one commit of its own."""
HANDED_MAX: Final = 256
HANDED_S: Final = 0.5
"""So many letters, or so long, until it is noted that the post has them."""
WAIT_S_MAX: Final = 120.0


class Accounts(Protocol):
    """What carries orders out."""

    async def carry_out(self, note: OrderNote, wait_s: float) -> tuple[str, str, str]: ...


class ExchangeRunner:
    """The exchanges of a running node. `next_run` waits until the ledger has looked again."""

    def __init__(
        self,
        core: ExchangeCore,
        host: Host,
        accounts: Accounts,
        reader_of: Callable[[bytes], bytes | None],
        next_run: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.core = core
        self._host = host
        self._accounts = accounts
        self._reader_of = reader_of
        self._next_run = next_run
        self._wake = trio.Event()
        self._looked = trio.Event()
        self._asks: dict[bytes, None] = {}
        self._asked = trio.Event()
        self._busy: set[bytes] = set()
        self._lines: dict[bytes, deque[bytes]] = {}
        """Orders of one account, the lowest number first: one that is overtaken is refused."""
        self._handed: dict[bytes, None] = {}
        self.letters_refused = 0

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled."""
        self.do(self.core.identity_changed(self._host.time()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick_loop)
            nursery.start_soon(self._ask_loop, nursery)
            nursery.start_soon(self._ledger_loop)
            nursery.start_soon(self._again_loop)
            nursery.start_soon(self._handed_loop)

    async def _tick_loop(self) -> None:
        while True:
            self._wake = trio.Event()
            now = self._host.time()
            wait = TICK_S_MAX
            try:
                effects = self.core.tick(now)
                self.do(effects)
                due = self.core.next_wake()
                if due is not None:
                    wait = min(wait, max(0.0, due - now))
                if effects:
                    wait = 0.0
            except MaillonError as fault:
                self._host.fault("exchanges", str(fault))
            # At least a breath: others have their turn even when something is always due.
            await trio.sleep(0.002)
            with trio.move_on_after(wait):
                await self._wake.wait()

    async def _ledger_loop(self) -> None:
        while True:
            with trio.move_on_after(LEDGER_S_MAX):
                if self._next_run is None:
                    await trio.sleep(LEDGER_S_MAX)
                else:
                    await self._next_run()
            await trio.sleep(LEDGER_S_MIN)
            self.look()

    def look(self) -> None:
        """Compare what is under way with the ledger."""
        store = self.core.store
        spaces = (notes.ORDER_OPEN, notes.REFERS_OPEN, notes.FUNDING_OPEN, notes.LOOK)
        try:
            if any(store.notes(space, limit=1) for space in spaces):
                now = self._host.time()
                self.do(self.core.look_at_ledger(now))
                self.do(self.core.look_at_fundings(now))
        except MaillonError as fault:
            self._host.fault("exchanges", str(fault))
        looked, self._looked = self._looked, trio.Event()
        looked.set()

    async def _again_loop(self) -> None:
        while True:
            try:
                self.do(self.core.resume(self._host.time()))
            except MaillonError as fault:
                self._host.fault("exchanges", str(fault))
            await trio.sleep(AGAIN_S)

    async def _handed_loop(self) -> None:
        while True:
            await trio.sleep(HANDED_S)
            try:
                self._note_handed()
            except MaillonError as fault:
                self._host.fault("exchanges", str(fault))

    async def _ask_loop(self, nursery: trio.Nursery) -> None:
        while True:
            asks, self._asks = list(self._asks), {}
            for order in asks:
                if order not in self._busy:
                    self._busy.add(order)
                    self._stand_in_line(order, nursery)
            if not self._asks:
                self._asked = trio.Event()
                await self._asked.wait()

    def _stand_in_line(self, order: bytes, nursery: trio.Nursery) -> None:
        """Have an order carried out after those of its account that were signed before."""
        note = self.core.store.note(notes.ORDER, order)
        found = None if note is None else notes.order_note(note)
        account = order if found is None or not found.number else found.payer
        line = self._lines.get(account)
        if line is not None:
            line.append(order)
            return
        self._lines[account] = deque((order,))
        nursery.start_soon(self._in_line, account)

    async def _in_line(self, account: bytes) -> None:
        line = self._lines[account]
        while line:
            await self._carry_out(line.popleft())
        del self._lines[account]

    async def _carry_out(self, order: bytes) -> None:
        try:
            note = self.core.store.note(notes.ORDER, order)
            if note is None:
                return
            found = notes.order_note(note)
            status, reason, detail = await self._accounts.carry_out(found, 0.0)
            after = self.core.store.note(notes.ORDER, order)
            # Something may have become of it while it was handed over.
            if after is not None and notes.order_note(after).status in ("ordered", "waiting"):
                self.core.ordered(order, status, reason, detail)
            if status == "refused" and reason != STALE:  # which is signed anew
                self._host.happened(None, "refused", {"exchange": found.exchange, "code": reason})
        except MaillonError as fault:
            self._host.fault("exchanges", str(fault))
        finally:
            self._busy.discard(order)

    # --- effects --------------------------------------------------------------------------------

    def do(self, effects: Sequence[Effect]) -> None:
        """Do what the core wants done."""
        for effect in effects:
            match effect:
                case Post():
                    self._post()
                case Ask(order):
                    self._asks[order] = None
                    self._asked.set()
                case Release(attestation):
                    self._publish(attestation)
                case Happened(exchange, what, kind, phase, authors):
                    facts = {"exchange": exchange, "kind": kind, "phase": phase}
                    for author in authors:
                        self._host.happened(author, what, facts)
                    if not authors:
                        self._host.happened(None, what, facts)
                case Fault(exchange, what):
                    log.warning("exchange %s: %s", exchange.hex()[:16], what)
                    self._host.fault("exchange", what)
        if effects:
            self._wake.set()

    def _post(self) -> None:
        """Hand the outbox to the post office; what is not taken in stays, and is tried again.

        That it has a letter is noted a moment later, several in one commit: a node that is killed
        before hands them over again under the same tickets, which does nothing.
        """
        while True:
            limit = OUT_SLICE + len(self._handed)
            found = [
                notes.out_letter(note)
                for note in self.core.store.notes(notes.OUT, limit=limit)
                if note.key not in self._handed
            ]
            if not found:
                return
            sending = [
                Sending(
                    letter.to_coop, letter.to_key, letter.exchange, letter.items, letter.until,
                    letter.owner, letter.ticket,
                )
                for letter in found
            ]  # fmt: skip
            try:
                self._host.send(sending)
            except LocalError as fault:
                self._host.fault("letters", str(fault))
                return
            self._handed.update(dict.fromkeys(letter.ticket for letter in found))
            if len(self._handed) >= HANDED_MAX:
                self._note_handed()

    def _note_handed(self) -> None:
        if self._handed:
            handed, self._handed = list(self._handed), {}
            self.core.posted(handed)

    def _publish(self, attestation: bytes) -> None:
        note = self.core.store.note(notes.KEPT, attestation)
        if note is None:
            self.core.published(attestation)
            return
        kept = notes.kept_attestation(note)
        try:
            self._host.submit(kept.record)
        except MaillonError as fault:
            self._host.fault("evaluation", str(fault))
            if not isinstance(fault, RemoteError) or fault.pending:
                # It stays, and is tried again: the transfer may not be known here yet.
                return
        self.core.published(attestation)
        self._host.happened(
            kept.author, "evaluation_published", {"exchange": kept.exchange, "id": attestation}
        )

    # --- letters: implements post.ports.Desk ----------------------------------------------------

    def letter_opened(self, to_key: bytes, from_coop: bytes, items: Sequence[Item]) -> None:
        """Take in what a letter holds, durably."""
        reader = self._reader_of(to_key) or b""
        refused, effects = self.core.receive(items, from_coop, reader, self._host.time())
        for fault in refused:
            self.letters_refused += 1
            log.info("something in a letter is not taken in: %s", fault.code)
        self.do(effects)

    def letter_ended(self, id: bytes, ticket: bytes, to_key: bytes, code: str) -> None:
        """Be told that a letter of ours was given up, and why."""
        self.do(self.core.letter_ended(ticket, code, self._host.time()))

    def identity_changed(self) -> None:
        """Be told that keys, mandates or coops changed."""
        self.do(self.core.identity_changed(self._host.time()))

    # --- waiting --------------------------------------------------------------------------------

    async def settled(self, exchange: bytes, wait_s: float) -> None:
        """Wait until nothing that an exchange ordered is under way any more, at most so long."""
        with trio.move_on_after(min(wait_s, WAIT_S_MAX)):
            while any(
                order.status in ("ordered", "waiting")
                for order in notes.orders_of(self.core.store, exchange)
            ):
                await self._looked.wait()
