"""Make the next block of a chain of what people and other coops wish (spec/06-accounts.md).

Everything that is valid is placed, in the order given; what can never be is refused, with the facts
that say what is possible instead; what does not fit, or waits for something, is left for later. The
same wishes, time and salts make the same block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from maillon.ledger.block import Block, Body, Evidence, Header, Placed, entries_size
from maillon.ledger.book import Book
from maillon.ledger.check import Checked
from maillon.ledger.context import Context
from maillon.ledger.entries import (
    Entry,
    Hold,
    In,
    Intra,
    Member,
    Out,
    Post,
    Return,
    Settle,
)
from maillon.ledger.errors import (
    BadEvidence,
    ChannelGap,
    CharterUnknown,
    CoopUnknown,
    LedgerError,
    UnitUnknown,
)
from maillon.ledger.fastpay import write_entry
from maillon.ledger.limits import BODY_BYTES_MAX, ENTRIES_MAX, ENTRY_SALT_BYTES
from maillon.ledger.orders import HoldAction, Order, PayAction
from maillon.ledger.rules import apply_entry
from maillon.ledger.rules_arrivals import creditable
from maillon.ledger.signing import Check
from maillon.ledger.state import ChainState
from maillon.protocol.errors import BadSignature, EncodingError, MaillonError

ARRIVALS_MAX: Final = ENTRIES_MAX
"""Messages of other coops gathered for one block: at most one an entry."""

# The array of two, and the headers of two lists at their longest.
_FRAME_BYTES: Final = 7


@dataclass(frozen=True, slots=True)
class OrderWish:
    """A person's order; which kind of entry carries it out follows from it."""

    order: Order

    def id(self, fed: bytes) -> bytes:
        """Return the order's id."""
        return self.order.id(fed)


@dataclass(frozen=True, slots=True)
class EntryWish:
    """An entry that the coop itself decides. The channel's number in it is filled in."""

    entry: Entry

    def id(self, fed: bytes) -> bytes:
        """Return SHA-256 of the entry as it was wished."""
        return hashlib.sha256(self.entry.encode()).digest()


@dataclass(frozen=True, slots=True)
class InWish:
    """A message of another coop, with its proof. It is credited, or else sent back."""

    evidence: Evidence
    index: int
    salt: bytes
    entry: bytes
    path: tuple[bytes, ...]

    def id(self, fed: bytes) -> bytes:
        """Return SHA-256 of the source's block and the entry's place in it."""
        place = self.index.to_bytes(2, "big")
        return hashlib.sha256(self.evidence.header.hash + place).digest()


Wish = OrderWish | EntryWish | InWish


@dataclass(frozen=True, slots=True)
class Built:
    """What became of wishes. `placed` are wishes in the order of their entries.

    `block` is None when there is nothing to say: no entry, and no charter to adopt. `checked` is
    the block with the state it leads to, valid as far as the wishes' signatures were verified.
    """

    block: Block | None
    placed: tuple[Wish, ...] = ()
    refused: tuple[tuple[Wish, MaillonError], ...] = ()
    left: tuple[Wish, ...] = ()
    checked: Checked | None = field(default=None, repr=False)


def build_block(
    book: Book,
    chain: bytes,
    wishes: Sequence[Wish],
    *,
    time: int,
    adopt: int,
    salt: Callable[[int], bytes],
    entries_max: int = ENTRIES_MAX,
    body_bytes_max: int = BODY_BYTES_MAX,
) -> Built:
    """Make the next block of a chain.

    `time` in Unix seconds; the block's is not before the last one's. `adopt` is the charter height
    to adopt, at least the governing one. `salt(n)` returns n fresh random bytes.
    Raises: ChainUnknown, CharterUnknown, CoopUnknown.
    """
    return _Builder(book, chain, time, adopt, entries_max, body_bytes_max).build(wishes, salt)


class _Builder:
    def __init__(
        self, book: Book, chain: bytes, time: int, adopt: int, entries_max: int, body_bytes_max: int
    ) -> None:
        self.book = book
        self.chain = chain
        self.head = book.head(chain)
        self.c = book.governing(chain)
        self.c2 = max(self.c, adopt)
        book.charter_state(self.c2)
        self.charter = book.charter_state(self.c)
        self.time = max(time, self.head.time)
        self.entries_max = min(entries_max, ENTRIES_MAX)
        self.bytes_max = min(body_bytes_max, BODY_BYTES_MAX)
        self.state: ChainState = book.state(chain).fork()
        self.facts: dict[tuple[bytes, bytes], Header] = {}
        self.context = Context(book.fed, chain, self.charter, self.time, self.facts)
        self.entries: list[Entry] = []
        self.data: list[bytes] = []
        self.evidence: list[Evidence] = []
        self.bytes = _FRAME_BYTES
        self.placed: list[Wish] = []
        self.refused: list[tuple[Wish, MaillonError]] = []
        self.left: list[Wish] = []

    def build(self, wishes: Sequence[Wish], salt: Callable[[int], bytes]) -> Built:
        good = self._signed(wishes)
        for place, wish in enumerate(good):
            if len(self.entries) == self.entries_max:
                self.left += good[place:]
                break
            try:
                if not self._place(wish):
                    # What comes later may depend on it: an account's orders keep their order.
                    self.left += good[place:]
                    break
            except (ChannelGap, CharterUnknown):
                self.left.append(wish)
            except MaillonError as error:
                if self._named_later(error):
                    self.left.append(wish)
                else:
                    self.refused.append((wish, error))
            else:
                self.placed.append(wish)
        block: Block | None = None
        checked: Checked | None = None
        if self.entries or self.c2 > self.c:
            block = self._block(salt)
            checked = Checked(block, self.state, self.head.after(block.header), tuple(self.entries))
        return Built(block, tuple(self.placed), tuple(self.refused), tuple(self.left), checked)

    def _named_later(self, error: MaillonError) -> bool:
        """Tell whether a charter that this chain has yet to adopt names what was not found."""
        latest = self.book.charter.latest
        if latest.height <= self.c:
            return False
        if isinstance(error, CoopUnknown):
            found = latest.coops.get(error.facts["coop"])
            return found is not None and not found.removed
        return isinstance(error, UnitUnknown) and error.facts["unit"] in range(len(latest.units))

    def _signed(self, wishes: Sequence[Wish]) -> list[Wish]:
        """Return the wishes whose signatures are valid, all verified in one call."""
        checks: list[Check] = []
        spans: list[tuple[Wish, int, int]] = []
        proven: set[bytes] = set()
        for wish in wishes:
            start = len(checks)
            try:
                checks += self._checks(wish, proven)
            except CharterUnknown:
                self.left.append(wish)
            except MaillonError as error:
                self.refused.append((wish, error))
            else:
                spans.append((wish, start, len(checks)))
        results = self.book.verify(checks) if checks else []
        good: list[Wish] = []
        bad: set[bytes] = set()
        for wish, start, end in spans:
            if isinstance(wish, InWish):
                # Several messages share one block's evidence: it is verified with the first.
                name = wish.evidence.header.hash
                if not all(results[start:end]):
                    bad.add(name)
                if name in bad:
                    self.refused.append((wish, BadEvidence(rule="certificate")))
                    continue
            elif not all(results[start:end]):
                key = checks[start][0]
                self.refused.append((wish, BadSignature(key=key)))
                continue
            good.append(wish)
        return good

    def _checks(self, wish: Wish, proven: set[bytes]) -> list[Check]:
        fed = self.book.fed
        if isinstance(wish, OrderWish):
            return [wish.order.check(fed)]
        if isinstance(wish, InWish):
            evidence = wish.evidence
            if evidence.header.hash in proven:
                return []
            carrier = evidence.carrier
            if not self.charter.counts(carrier.chain, carrier.c, carrier.h, carrier.hash):
                raise BadEvidence(rule="retired", c=carrier.c)
            committee = self.book.charter_state(carrier.c).committee()
            checks = evidence.items(committee, fed)
            proven.add(evidence.header.hash)
            return checks
        entry = wish.entry
        order = getattr(entry, "order", None)
        if isinstance(order, Order):
            return [order.check(fed)]
        if isinstance(entry, In | Return):
            raise BadEvidence(rule="missing")
        given = getattr(entry, "confirmation", None) or getattr(entry, "release", None)
        check = getattr(given, "check", None)
        hold = getattr(entry, "hold", b"")
        return [] if check is None else [check(fed, self.chain, hold)]

    def _place(self, wish: Wish) -> bool:
        """Place a wish, or return False when it does not fit. Raises: why it cannot be."""
        evidence: Evidence | None = None
        if isinstance(wish, InWish):
            key = (wish.evidence.header.chain, wish.evidence.header.hash)
            if key not in self.facts:
                if key[0] == self.chain or key[0] not in self.charter.coops:
                    raise BadEvidence(rule="chain")
                evidence = wish.evidence
                self.facts[key] = evidence.header
            try:
                return self._add(self._arrival(wish), evidence)
            except MaillonError:
                if evidence is not None:
                    del self.facts[key]
                raise
        entry = self._ordered(wish.order) if isinstance(wish, OrderWish) else wish.entry
        return self._add(self._numbered(entry), None)

    def _add(self, entry: Entry, evidence: Evidence | None) -> bool:
        try:
            data = write_entry(entry)
        except EncodingError as error:
            raise LedgerError(error.message) from error
        size = entries_size([len(data)])
        if evidence is not None:
            size += len(evidence.encode())
        if self.bytes + size > self.bytes_max:
            if evidence is not None:
                del self.facts[(evidence.header.chain, evidence.header.hash)]
            return False
        apply_entry(self.state, entry, self.context)
        self.bytes += size
        self.entries.append(entry)
        self.data.append(data)
        if evidence is not None:
            self.evidence.append(evidence)
        return True

    def _ordered(self, order: Order) -> Entry:
        action = order.action
        if isinstance(action, PayAction):
            if action.to_coop == self.chain:
                return Intra(order)
            return Out(order, self._next(action.to_coop))
        return Hold(order) if isinstance(action, HoldAction) else Member(order)

    def _next(self, coop: bytes) -> int:
        return self.state.channel(coop).sent + 1

    def _numbered(self, entry: Entry) -> Entry:
        """Fill in what depends on the place of an entry: the channel's number, a hold's order."""
        if isinstance(entry, Out):
            return replace(entry, n=self._next_of(entry.order))
        if isinstance(entry, Settle):
            here = entry.to_coop == self.chain
            return replace(entry, n=0 if here else self._next(entry.to_coop))
        if isinstance(entry, Post):
            found = self.state.hold(entry.hold)
            if found is None or found[1].to_coop == self.chain:
                return replace(entry, n=0, order_body=b"")
            held = found[1]
            body = entry.order_body or self._body(entry.hold)
            return replace(entry, n=self._next(held.to_coop), order_body=body)
        return entry

    def _next_of(self, order: Order) -> int:
        action = order.action
        return self._next(action.to_coop) if isinstance(action, PayAction) else 1

    def _body(self, hold: bytes) -> bytes:
        for entry in self.entries:
            if isinstance(entry, Hold) and entry.order.id(self.book.fed) == hold:
                return entry.order.body
        return self.book.hold_body(self.chain, hold) or b""

    def _arrival(self, wish: InWish) -> Entry:
        header = wish.evidence.header
        place = (header.chain, header.hash, wish.index, wish.salt, wish.entry, wish.path)
        entry = In(*place)
        try:
            creditable(self.state, entry.carried(self.book.fed), self.context)
        except LedgerError as error:
            if isinstance(error, BadEvidence):
                raise
            return Return(*place, self._next(header.chain))
        return entry

    def _block(self, salt: Callable[[int], bytes]) -> Block:
        placed = tuple(Placed(salt(ENTRY_SALT_BYTES), data) for data in self.data)
        body = Body(placed, tuple(self.evidence))
        header = Header(
            self.book.fed,
            self.chain,
            self.head.h + 1,
            self.head.hash,
            self.c,
            self.c2,
            self.time,
            body.root(),
            len(placed),
            self.state.root(),
            self.head.history.root(),
            entries_size([len(data) for data in self.data]),
        )
        return Block(header, body)


def arrivals(book: Book, chain: bytes, limit: int = ARRIVALS_MAX) -> Iterator[InWish]:
    """Yield the messages of other coops that the next block of a chain may consume, in order.

    As far as their blocks are known here; at most `limit`. Those that were erased before they were
    consumed cannot be given.
    """
    state = book.state(chain)
    c = book.governing(chain)
    given = 0
    for source in book.chains():
        if source == chain:
            continue
        n = state.channel(source).received + 1
        proof: Evidence | None = None
        block: Block | None = None
        while given < limit:
            place = book.sent_at(source, chain, n)
            if place is None:
                break
            h, index = place
            if block is None or block.h != h:
                block = book.block(source, h)
                proof = book.evidence(source, h, c)
            entry = block.body.entries[index]
            if not isinstance(entry, Placed) or proof is None:
                break
            yield InWish(proof, index, entry.salt, entry.data, tuple(block.body.path(index)))
            given += 1
            n += 1


__all__ = ["Built", "EntryWish", "InWish", "OrderWish", "Wish", "arrivals", "build_block"]
