"""All chains of a federation, certified at once: the rules of the accounts without the witnesses.

What stands in is the agreement of witnesses on a block, which has simulators of its own. Blocks,
rules, balances, the queue of a node and what it reads of the chains are the real ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import trio

from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish, OrderWish, Wish, arrivals, build_block
from maillon.ledger.check import Checked
from maillon.ledger.entries import Entry, carried, entry_leaf
from maillon.ledger.orders import Order
from maillon.ledger.signing import inline_verify
from maillon.ledger.sources import as_wished
from maillon.node.ledger.expiry import Expiry
from maillon.node.ledger.happenings import Ended
from maillon.node.ledger.index import Index
from maillon.node.ledger.queue import OrderQueue
from maillon.node.ledger.reading import Reading, require_readable, wish_id
from maillon.node.ledger.staging import StagedDisk
from support.charters import LedgerFederation, MemoryDisk


class RangedDisk(MemoryDisk):
    """A disk of dictionaries that gives ranges too."""

    def scan_between(
        self, space: str, low: bytes, high: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        rows = self.spaces.get(space, {})
        keys = (key for key in rows if low <= key and (high is None or key < high))
        return iter([(key, rows[key]) for key in sorted(keys, reverse=reverse)])

    def copy(self) -> RangedDisk:
        """Return a copy, as a backup has it."""
        made = RangedDisk()
        made.spaces = {space: dict(rows) for space, rows in self.spaces.items()}
        return made


class Bank:
    """The chains, as every node that looks sees them."""

    def __init__(self, federation: LedgerFederation) -> None:
        self.federation = federation
        self.disk = RangedDisk()
        self.book = Book(federation.founding, self.disk, inline_verify)
        self.index = Index(federation.fed, self.disk)
        self.reading = Reading(self.book, self.index)
        self._rng = random.Random(f"{federation.seed} salts")

    def place(self, coop: bytes, wishes: list[Wish], now: int) -> list[tuple[bytes, Ended]]:
        """Certify the next block of a coop; return what became of what was asked, by id."""
        built = build_block(
            self.book, coop, wishes, time=now, adopt=0, salt=self._rng.randbytes
        )
        fed = self.federation.fed
        ended = [
            (wish.id(fed), Ended(wish.id(fed), error))
            for wish, error in built.refused
            if isinstance(wish, OrderWish | EntryWish)
        ]
        if built.block is not None:
            checked = self.book.check(built.block)
            assert isinstance(checked, Checked)
            certificate = self.federation.certify(built.block)
            self.disk.commit(self.book.apply(checked, certificate))
            for read in self.reading.new_blocks(coop):
                ended += [(id, Ended(id, None, read.h, at)) for id, at in read.ids]
        return ended

    def units_sum(self, unit: int) -> int:
        """Return the sum of all balances and of what is under way; it is 0."""
        total = 0
        for chain in self.book.chains():
            for account in self.book.state(chain).accounts():
                position = account.positions.get(unit)
                total += position.balance if position else 0
            for wish in arrivals(self.book, chain):
                leaf = entry_leaf(wish.salt, wish.entry)
                message = carried(wish.entry, leaf, 8, self.federation.fed)
                total += message.amount if message.unit == unit else 0
        return total


def _never_frozen(chain: bytes) -> None:
    """Say that nobody cheated on a chain."""


class BankMachine:
    """What a node's machine shows to who asks it: the chains, and the queue of this node."""

    def __init__(self, bank: Bank, coop: bytes, disk: RangedDisk) -> None:
        self.fed = bank.federation.fed
        self.book, self.index, self.reading = bank.book, bank.index, bank.reading
        self.disk = StagedDisk(disk)
        self.queue = OrderQueue(self.disk)
        self.expiry = Expiry(bank.book, coop)
        # Who waits is told that the writer stopped: nothing more is known of witnesses here.
        self.writers = {coop: SimpleNamespace(status=SimpleNamespace(phase="stopped"))}
        self.witness = SimpleNamespace(frauds=SimpleNamespace(frozen=_never_frozen))
        # Nothing is kept of what was signed here: no signature is checked a second time.
        self.setup = SimpleNamespace(signed=None)


@dataclass
class BankRunner:
    """What a node's runner does for who asks something of its chain."""

    bank: Bank
    coop: bytes
    machine: BankMachine
    clock: Any
    waiting: dict[bytes, list[trio.Event]] = field(default_factory=dict[bytes, list[trio.Event]])
    ended: dict[bytes, Ended] = field(default_factory=dict[bytes, Ended])

    def __post_init__(self) -> None:
        # What was certified while this node was away, or before it was put back, waits no more.
        for item in self.machine.queue.waiting():
            if self.bank.index.transfer(item.id) is not None:
                self.machine.queue.certified(item.id)

    async def ask(self, wish: Order | Entry, wait_s: float) -> tuple[bytes, Ended | None]:
        """Ask something of this coop's chain; it is durable when this returns."""
        machine, now = self.machine, self.clock.now_ms // 1_000
        id = wish_id(wish, machine.fed)
        self.ended.pop(id, None)
        if not isinstance(wish, Order):
            require_readable(wish)
            machine.queue.add(id, as_wished(wish), now)
        else:
            known = machine.index.transfer(id)
            if known is not None:
                return id, Ended(id, None, known.place.h, known.place.index)
            machine.queue.add(id, wish, now)
        machine.disk.flush()
        woken = trio.Event()
        self.waiting.setdefault(id, []).append(woken)
        try:
            with trio.move_on_after(wait_s):
                await woken.wait()
        finally:
            self.waiting[id].remove(woken)
        return id, self.ended.get(id)

    async def ask_peer(self, peer: bytes, message: object) -> None:
        """Ask another coop's node: it does not answer here."""
        await trio.lowlevel.checkpoint()

    def step(self) -> int:
        """Let the next block of this coop be certified; return how much became certain."""
        now, machine = self.clock.now_ms // 1_000, self.machine
        wishes: list[Wish] = [*arrivals(self.bank.book, self.coop), *machine.expiry.wishes(now)]
        for item in machine.queue.waiting():
            order = isinstance(item.wish, Order)
            wishes.append(OrderWish(item.wish) if order else EntryWish(item.wish))  # type: ignore[arg-type]
        if not wishes:
            return 0
        done = self.bank.place(self.coop, wishes, now)
        for id, ended in done:
            if ended.fault is None:
                machine.queue.certified(id)
            else:
                machine.queue.refused(id, ended.fault, now)
            self.ended[id] = ended
            for woken in self.waiting.get(id, ()):
                woken.set()
        machine.disk.flush(everything=True)
        return len(done)
