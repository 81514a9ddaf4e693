"""Say what a writer proposes next (spec/06-ledger.md, P3): a coop's wishes, or an adoption alone.

A writer knows how a block is certified; a source knows what stands in it. A wish stays in the queue
until a block of its height is certified: a block that was dropped may still come back as K, so that
nothing built on it is reported before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

from maillon.ledger import bounds
from maillon.ledger.block import Block, Placed
from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish, InWish, OrderWish, Wish, arrivals, build_block
from maillon.ledger.charter import CheckedCharter
from maillon.ledger.check import Checked
from maillon.ledger.entries import Entry, Post, Settle, Void, decode_entry
from maillon.ledger.errors import HoldOpen, LedgerError
from maillon.ledger.limits import ENTRIES_MAX
from maillon.ledger.orders import Order
from maillon.ledger.steps import Notice, OrderPlaced, OrderRefused
from maillon.protocol.errors import LocalError, MaillonError

Salt = Callable[[int], bytes]
"""Return so many fresh random bytes."""


class QueueFull(LocalError):
    """More wishes wait for the writer's next blocks than it keeps."""

    code = "queue_full"
    sentence = "Too much waits for the next blocks; ask again later."


class Unplaceable(LedgerError):
    """So many witnesses find an entry invalid that no block with it is ever certified.

    Facts: entry_code, what they say of it.
    """

    code = "unplaceable"
    sentence = "The witnesses do not accept this entry."


@dataclass(frozen=True, slots=True)
class Blame:
    """What a refusal as invalid names: an entry's `index`, None for the block; the error's code."""

    index: int | None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fresh block, and what it leads to."""

    block: Block
    checked: Checked | CheckedCharter = field(repr=False)


class Source(Protocol):
    """What a writer asks for something to propose."""

    def due(self, now: int) -> bool:
        """Tell whether there is something to propose."""
        ...

    def wake(self, now: int) -> int | None:
        """Return when there may be, without anything else happening; None for never."""
        ...

    def build(self, now: int) -> tuple[Candidate | None, list[Notice]]:
        """Return the next block after the book's head, or None, and what to tell."""
        ...

    def refused(
        self, block: Block, reasons: Sequence[str], blamed: Sequence[Blame]
    ) -> list[Notice]:
        """Take note that a block will find no quorum: for which reasons, and who blames what."""
        ...

    def decided(self, block: Block) -> list[Notice]:
        """Take note of the certified block of a height, whoever built it."""
        ...


@dataclass(slots=True)
class _Built:
    placed: tuple[bytes, ...]
    refused: tuple[tuple[bytes, MaillonError], ...]


class CoopSource:
    """Orders, entries and arrivals of one coop, bounded; and the newest charter, to be adopted.

    Everything that waits goes into the next block at once: while one block is under way, the next
    one gathers.
    """

    def __init__(
        self,
        book: Book,
        chain: bytes,
        salt: Salt,
        *,
        wishes_max: int = bounds.WISHES_MAX,
        entries_max: int = ENTRIES_MAX,
    ) -> None:
        self._book = book
        self._chain = chain
        self._salt = salt
        self._wishes_max = wishes_max
        self._entries_max = entries_max
        self._queue: OrderedDict[bytes, Wish] = OrderedDict()
        self._candidates: OrderedDict[bytes, _Built] = OrderedDict()
        self._heads = -1
        self._arrivals = False
        self._tried = 0
        self._failures = 0
        self._stalled_until: int | None = None
        self._limit = entries_max
        self._shunned: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._queue)

    def __contains__(self, wish: object) -> bool:
        return wish in self._queue

    def add(self, wish: Wish) -> bytes:
        """Queue a wish and return its id; one that waits already is queued once.

        Of entries that the builder completes, the id is that of `as_wished`. Raises: QueueFull.
        """
        if isinstance(wish, EntryWish):
            wish = EntryWish(as_wished(wish.entry))
        name = wish.id(self._book.fed)
        if name not in self._queue:
            if len(self._queue) >= self._wishes_max:
                raise QueueFull(waiting=len(self._queue))
            self._queue[name] = wish
        self._stalled_until = None
        return name

    def due(self, now: int) -> bool:
        """Tell whether something waits, arrived, or a newer charter is known."""
        if self._stalled(now):
            return False
        return bool(self._queue) or self._behind() or self._anything_arrived()

    def wake(self, now: int) -> int | None:
        """Return when what could not be placed is tried again."""
        return self._stalled_until

    def _stalled(self, now: int) -> bool:
        """Tell whether it is too early to try again what could not be placed."""
        self._anything_arrived()
        if self._stalled_until is None:
            return False
        if self._tried <= now < self._stalled_until:
            return True
        # What could not be placed then may be now, without any other block having come.
        self._stalled_until, self._heads = None, -1
        return False

    def _behind(self) -> bool:
        return self._book.governing(self._chain) < self._book.charter.height

    def _anything_arrived(self) -> bool:
        # Only a block of another coop can bring something: their heights together tell of one.
        heads = sum(self._book.head(chain).h for chain in self._book.chains())
        if heads != self._heads:
            self._heads = heads
            fed, first = self._book.fed, len(self._shunned) + 1
            self._arrivals = any(
                wish.id(fed) not in self._shunned
                for wish in arrivals(self._book, self._chain, first)
            )
            if self._arrivals and self._stalled_until is not None:
                # Something else than what has waited: the long wait is not for it.
                self._stalled_until = min(self._stalled_until, self._tried + bounds.REBUILD_S)
        return self._arrivals

    def build(self, now: int) -> tuple[Candidate | None, list[Notice]]:
        """Place what fits; what can never be is reported once a block of this height stands."""
        wishes: list[Wish] = []
        fed = self._book.fed
        if self._anything_arrived():
            # Half a block at most, so that neither members nor other coops wait for ever.
            limit = self._limit // 2 if self._queue else self._limit
            arrived = arrivals(self._book, self._chain, max(1, limit))
            wishes += [wish for wish in arrived if wish.id(fed) not in self._shunned]
        wishes += islice(self._queue.values(), 2 * self._limit)
        built = build_block(
            self._book,
            self._chain,
            wishes,
            time=now,
            adopt=self._book.charter.height,
            salt=self._salt,
            entries_max=self._limit,
        )
        refused = tuple((wish.id(fed), error) for wish, error in built.refused)
        if built.block is None or built.checked is None:
            self._arrivals = False
            # Nobody waits for an answer when the queue is empty: ever more rarely then.
            self._failures = 0 if self._queue else min(self._failures + 1, 16)
            wait = bounds.REBUILD_S << max(0, self._failures - 1)
            self._tried, self._stalled_until = now, now + min(wait, bounds.REBUILD_S_MAX)
            return None, self._report((), refused, 0)
        self._failures = 0
        while len(self._candidates) >= bounds.CANDIDATES_MAX:
            self._candidates.popitem(last=False)
        placed = tuple(wish.id(fed) for wish in built.placed)
        self._candidates[built.block.hash] = _Built(placed, refused)
        return Candidate(built.block, built.checked), []

    def refused(
        self, block: Block, reasons: Sequence[str], blamed: Sequence[Blame]
    ) -> list[Notice]:
        """Drop what witnesses will not have; the rest is built again."""
        notices: list[Notice] = []
        if "confirmed_hold" in reasons:
            notices += self._drop_voids()
        if blamed:
            notices += self._isolate(block, blamed)
        return notices

    def _isolate(self, block: Block, blamed: Sequence[Blame]) -> list[Notice]:
        """Find the wish for which a block is invalid, so that it stops the chain no longer.

        When all blame one entry it is that one; otherwise smaller blocks find it.
        """
        built = self._candidates.get(block.hash)
        if built is None or not built.placed:
            return []
        self._candidates.pop(block.hash)
        places = {blame.index for blame in blamed}
        index = places.pop() if len(places) == 1 else None
        if len(built.placed) == 1:
            index = 0
        if index is None or index >= len(built.placed):
            self._limit = max(1, len(built.placed) // 2)
            return []
        name = built.placed[index]
        if name not in self._queue and len(self._shunned) < self._wishes_max:
            # An arrival: what comes after it on its channel waits with it.
            self._shunned.add(name)
        return self._report((), [(name, Unplaceable(entry_code=blamed[0].code))], 0)

    def _drop_voids(self) -> list[Notice]:
        """Drop voids of holds that witnesses hold a confirmation of."""
        gone = [
            (name, HoldOpen(hold=wish.entry.hold, confirmed=True))
            for name, wish in self._queue.items()
            if isinstance(wish, EntryWish)
            and isinstance(wish.entry, Void)
            and wish.entry.release is None
        ]
        return self._report((), gone, 0)

    def decided(self, block: Block) -> list[Notice]:
        """Report what became of the wishes that were in the block, and keep the others."""
        self._heads = -1
        self._stalled_until = None
        self._limit = min(2 * self._limit, self._entries_max)
        built = self._candidates.get(block.hash)
        self._candidates.clear()
        if built is not None:
            return self._report(built.placed, built.refused, block.h)
        if not self._queue:
            return []
        # Another process of this coop, or its trustee, built it.
        notices: list[Notice] = []
        for index, placed in enumerate(block.body.entries):
            name = self._wished(placed.data) if isinstance(placed, Placed) else b""
            if name and self._queue.pop(name, None) is not None:
                notices.append(OrderPlaced(name, block.h, index))
        return notices

    def _wished(self, data: bytes) -> bytes:
        """Return the id that an entry had as a wish.

        What the builder fills in is taken out again: a payment of the commons that stands must not
        be made a second time because its number differs from the one that waits.
        """
        entry = as_wished(decode_entry(data))
        order = getattr(entry, "order", None)
        if isinstance(order, Order):
            return OrderWish(order).id(self._book.fed)
        return EntryWish(entry).id(self._book.fed)

    def _report(
        self,
        placed: Sequence[bytes],
        refused: Sequence[tuple[bytes, MaillonError]],
        h: int,
    ) -> list[Notice]:
        notices: list[Notice] = []
        for index, name in enumerate(placed):
            if self._queue.pop(name, None) is not None:
                notices.append(OrderPlaced(name, h, index))
        for name, error in refused:
            if self._queue.pop(name, None) is not None:
                notices.append(OrderRefused(name, _as_ledger_error(error)))
        return notices


def as_wished(entry: Entry) -> Entry:
    """Return an entry without what the builder fills in: a channel's number, a hold's order."""
    if isinstance(entry, Settle):
        return replace(entry, n=1)
    if isinstance(entry, Post):
        return replace(entry, n=0, order_body=b"")
    return entry


def _as_ledger_error(error: MaillonError) -> LedgerError:
    if isinstance(error, LedgerError):
        return error
    # A signature that is not valid is an error of the protocol below; its code is kept.
    made = LedgerError(error.message, **error.facts)
    made.code = error.code  # type: ignore[misc]  # the registry's code of this very refusal
    return made


class AdoptionSource(CoopSource):
    """What a trustee proposes for an absent coop (E3): the newest charter, and what arrived.

    Nobody's orders are here: a block of it is empty, or takes and sends back what other coops sent.
    """

    def due(self, now: int) -> bool:
        """Tell whether a newer charter is known, or something has waited for the coop itself."""
        if self._stalled(now):
            return False
        since = self._waits_since()
        return self._behind() or (since is not None and since <= now)

    def wake(self, now: int) -> int | None:
        """Return when what arrived has waited long enough, or is tried again."""
        return self._waits_since() if self._stalled_until is None else self._stalled_until

    def _waits_since(self) -> int | None:
        """Return from when on the trustee may take what waits, None when nothing does.

        A coop that is there takes it itself within a second or two; two writers at once would only
        get into each other's way. One that has left has nobody else.
        """
        if not self._anything_arrived():
            return None
        first = next(arrivals(self._book, self._chain, 1), None)
        if first is None:
            return None
        coop = self._book.charter.latest.coops.get(self._chain)
        alone = coop is not None and coop.removed
        return first.evidence.header.time + (0 if alone else bounds.TRUSTEE_WAITS_S)


__all__ = [
    "AdoptionSource",
    "Blame",
    "Candidate",
    "CoopSource",
    "EntryWish",
    "InWish",
    "OrderWish",
    "QueueFull",
    "Salt",
    "Source",
    "Unplaceable",
    "Wish",
    "as_wished",
]
