"""Let records in: one gate for our own and for strangers' (spec/04, "Accepting and relaying").

Two phases, so that the costly step between them, the verification of signatures, may run in a pool:

    prepare    read, skip what is known, check what needs no history; gives out what to verify
    complete   take the verdicts, check against the view, store; all of it in one transaction

Between the two other records may have been stored; `complete` looks again at whatever could have
changed, and nothing is verified twice or verified that is known.

What is live is a function of the records alone, never of the order in which they came:

- a record counts when the live identity records say so, and the current one of a series is the
  greatest (rev, at, id) that counts;
- when an identity record comes, goes or changes, all live records that rest on it are judged again,
  and those that do not count any more leave;
- a record that left for that reason, or was superseded by one that did, is taken in again whenever
  somebody still has it: having been known is no reason to refuse it.

Each level of identity rests only on the ones before it (profiles, admissions, memberships,
mandates, the rest, what rests on those), and within a level of equal judgement the greatest wins.
So nodes that exchange what they hold become equal level by level.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NamedTuple

from maillon.node import bounds
from maillon.node.engine.pending import PendingPool, Waiting, record_token
from maillon.node.engine.refusals import Refusals
from maillon.node.engine.view import INDEXED_KINDS, Change, IdentityView, missing_token
from maillon.node.events import Effect, Gone, Penalise, Stored
from maillon.node.ports import SignatureItem, Store
from maillon.protocol.envelope import Header, Signed, Valid, decode_record, record_id
from maillon.protocol.errors import (
    BadSignature,
    Expired,
    FromFuture,
    MaillonError,
    QuotaExceeded,
    RemoteError,
    Superseded,
)
from maillon.protocol.reconcile import ItemSet
from maillon.protocol.records import WITHDRAWAL, priority
from maillon.protocol.resting import BASES
from maillon.protocol.validation import (
    check_context,
    check_structure,
    mark_checked,
    signature_item,
)

LOCAL: Final = b""
"""In place of a peer's key: our own people's records."""


class Origin(Enum):
    """How records came."""

    LOCAL = "local"
    GOSSIP = "gossip"
    SYNC = "sync"


@dataclass(slots=True)
class Prepared:
    """Records whose signatures are to be verified: `items` in, one verdict each back."""

    peer: bytes
    origin: Origin
    records: int
    items: list[SignatureItem] = field(default_factory=list[SignatureItem])
    signed: list[Signed] = field(default_factory=list[Signed])
    sizes: list[int] = field(default_factory=list[int])
    # Known before any check: live ones with the bytes that came, and others that need nothing.
    duplicates: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    ids: list[bytes] = field(default_factory=list[bytes])
    pending: list[bytes] = field(default_factory=list[bytes])
    stale: list[bytes] = field(default_factory=list[bytes])
    refused: list[tuple[bytes | None, MaillonError]] = field(
        default_factory=list[tuple[bytes | None, MaillonError]]
    )
    proven: int = 0
    generation: int = 0

    def only(self, places: Sequence[int]) -> Prepared:
        """Return the same with only some of what is to be verified."""
        return replace(
            self,
            items=[self.items[place] for place in places],
            signed=[self.signed[place] for place in places],
            sizes=[self.sizes[place] for place in places],
        )


class Taken(NamedTuple):
    """A record that became live: where it came from, and whether gossip brought it."""

    valid: Valid
    peer: bytes
    gossip: bool


@dataclass(slots=True)
class Outcome:
    """What became of a batch: of its own records, and of others that had waited for them."""

    records: int
    stored: list[Taken] = field(default_factory=list[Taken])
    pending: list[bytes] = field(default_factory=list[bytes])
    duplicates: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    stale: list[bytes] = field(default_factory=list[bytes])
    refused: list[tuple[bytes | None, MaillonError]] = field(
        default_factory=list[tuple[bytes | None, MaillonError]]
    )
    gone: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    ids: list[bytes] = field(default_factory=list[bytes])
    """Ids of all records that could be read, whatever became of them."""
    proven: int = 0
    """Records that no honest node sends."""
    identity_changed: bool = False
    effects: list[Effect] = field(default_factory=list[Effect])


class Ingest:
    """Hold what the gate needs: store, view, live items, what waits, what was refused."""

    def __init__(
        self,
        store: Store,
        view: IdentityView,
        fed: bytes,
        pending: PendingPool,
        *,
        records_live_max: int = bounds.RECORDS_LIVE_MAX,
    ) -> None:
        self.store = store
        self.view = view
        self.fed = fed
        self.items = ItemSet()
        self.pending = pending
        self.refusals = Refusals()
        self.counters: dict[str, int] = {}
        self.records_live_max = records_live_max
        self.full = False
        # Moves with every change of what is stored: `complete` looks twice only if it moved.
        self._generation = 0
        self._broken = False

    # --- Start ----------------------------------------------------------------------------------

    def load(self) -> None:
        """Fill the view and the item set from the store."""
        self.view.clear()
        for valid in self.store.by_kinds(sorted(INDEXED_KINDS)):
            self.view.put(valid)
        self.items = ItemSet(self.store.iterate_live())
        self._broken = False
        self._generation += 1

    # --- First phase ----------------------------------------------------------------------------

    def prepare(
        self, peer: bytes, records: Sequence[bytes], now: float, origin: Origin
    ) -> Prepared:
        """Read encoded records and pick those whose signature is worth verifying."""
        self._repair()
        prepared = Prepared(peer, origin, len(records), generation=self._generation)
        seen: set[bytes] = set()
        known, fed, now_s = self.store.known, self.fed, int(now)
        # Mostly nothing waits and nothing was refused lately: two questions less for each record.
        asked = bool(self.pending or self.refusals)
        claimed = [_claimed_id(data) for data in records]
        self.store.expect([id for id in claimed if id is not None])
        for data, id in zip(records, claimed, strict=True):
            try:
                if id is None:
                    id = record_id(data)  # says what is wrong
                if id in seen:
                    self._count("duplicate")
                    continue
                seen.add(id)
                prepared.ids.append(id)
                if (known(id) or asked) and self._skip(prepared, id, data, now):
                    continue
                signed = decode_record(data)
                check_structure(signed, fed=fed, now=now_s)
            except MaillonError as fault:
                self._refuse_bytes(prepared, id, fault, now)
                continue
            prepared.signed.append(signed)
            prepared.items.append(signature_item(signed))
            prepared.sizes.append(len(data))
        return prepared

    def _skip(self, prepared: Prepared, id: bytes, data: bytes, now: float) -> bool:
        """Say whether the record needs no check, and note why."""
        if self.store.known(id):
            if self.store.live(id):
                self._count("duplicate")
                prepared.duplicates.append((id, data))
                return True
            header = self.store.header(id)
            if header is not None and self._outranked(header, id):
                self._count("superseded")
                prepared.stale.append(id)
                return True
        elif id in self.pending and prepared.origin is not Origin.LOCAL:
            self._count("duplicate")
            prepared.pending.append(id)
            return True
        code = self.refusals.code(prepared.peer, id, now)
        if code is not None and prepared.origin is not Origin.LOCAL:
            self._count("refused_again")
            prepared.refused.append((id, _Again(code)))
            return True
        return False

    def _outranked(self, header: Header, id: bytes) -> bool:
        """Say whether a known record that left the live set is behind its series' current one."""
        author = self.view.author_of(header, id)
        if author is None:
            return False
        head = self.store.head(author, header.series)
        return head is not None and (head.rev, head.at, head.id) > (header.rev, header.at, id)

    def _refuse_bytes(
        self, prepared: Prepared, id: bytes | None, fault: MaillonError, now: float
    ) -> None:
        self._count(fault.code)
        prepared.refused.append((id, fault))
        if id is not None:
            self.refusals.by_sender(prepared.peer, id, fault.code, now)
        if _proves(fault):
            prepared.proven += 1

    # --- Second phase ---------------------------------------------------------------------------

    def complete(self, prepared: Prepared, results: Sequence[bool], now: float) -> Outcome:
        """Store what counts. Either all of it is committed, or an exception undoes all of it.

        `results` has one verdict for each of `prepared.items`, in their order.
        """
        self._repair()
        outcome = Outcome(
            prepared.records,
            pending=prepared.pending,
            duplicates=prepared.duplicates,
            stale=prepared.stale,
            refused=prepared.refused,
            ids=prepared.ids,
            proven=prepared.proven,
        )
        self.counters["signatures_checked"] = (
            self.counters.get("signatures_checked", 0) + len(prepared.items)
        )
        moved = prepared.generation != self._generation
        work: list[tuple[int, Waiting]] = []
        gossip = prepared.origin is Origin.GOSSIP
        for signed, good, size in zip(prepared.signed, results, prepared.sizes, strict=True):
            if not good:
                self._count(BadSignature.code)
                self.refusals.by_sender(prepared.peer, signed.id, BadSignature.code, now)
                outcome.refused.append((signed.id, BadSignature(key=signed.header.by)))
                outcome.proven += 1
                continue
            if moved and self.store.live(signed.id):
                self._count("duplicate")
                assert signed.payload_bytes is not None
                outcome.duplicates.append((signed.id, signed.encode()))
                continue
            waiting = Waiting(mark_checked(signed), prepared.peer, b"", now, gossip, size)
            work.append((priority(signed.header.kind), waiting))
        # What others rest on first, or a batch would wait for itself. The sort is stable.
        work.sort(key=_place)
        if work:
            with self._transaction():
                for _, waiting in work:
                    changes = self._admit(waiting, now, outcome, prepared.origin)
                    if changes:
                        self._settle(changes, now, outcome)
        self._outward(prepared.peer, prepared.origin, outcome)
        return outcome

    def expire(self, now: float, limit: int) -> Outcome:
        """Forget at most `limit` records whose time is up, and judge again what rested on them."""
        self._repair()
        outcome = Outcome(0)
        with self._transaction():
            forgotten = self.store.forget_expired(int(now), limit)
            changes: list[Change] = []
            for at, id in forgotten:
                self.items.discard(at, id)
                outcome.gone.append(("expired", id))
                changes += self.view.replace(id, None)
            if forgotten:
                self._generation += 1
                if changes:
                    self._settle(changes, now, outcome)
        self._outward(LOCAL, Origin.LOCAL, outcome)
        return outcome

    def transfers_certain(self, ids: Sequence[bytes], now: float) -> Outcome:
        """Judge what waited for transfers that the ledger knows now."""
        self._repair()
        outcome = Outcome(0)
        tokens = tuple(record_token(id) for id in ids)
        with self._transaction():
            self._settle([Change(tokens=tokens)], now, outcome)
        self._outward(LOCAL, Origin.LOCAL, outcome)
        return outcome

    def wants(self, peer: bytes, id: bytes, now: float) -> bool:
        """Say whether a record of this id would be looked at if this peer sent it."""
        if self.store.known(id):
            if self.store.live(id):
                return False
            header = self.store.header(id)
            if header is not None and self._outranked(header, id):
                return False
        elif id in self.pending:
            return False
        return self.refusals.code(peer, id, now) is None

    # --- One record -----------------------------------------------------------------------------

    def _admit(
        self, waiting: Waiting, now: float, outcome: Outcome, origin: Origin
    ) -> list[Change]:
        """Judge one checked record against the view; return what its storing changed there."""
        signed = waiting.checked.signed
        try:
            valid = check_context(waiting.checked, self.view, int(now))
            return self._place(valid, waiting, outcome)
        except Superseded:
            self._count(Superseded.code)
            outcome.stale.append(signed.id)
        except RemoteError as fault:
            self._count(fault.code)
            if fault.pending and origin is not Origin.LOCAL:
                self._wait(waiting, fault, outcome)
            else:
                if not isinstance(fault, QuotaExceeded):
                    self.refusals.by_view(signed.id, fault.code, now)
                outcome.refused.append((signed.id, fault))
        return []

    def _wait(self, waiting: Waiting, fault: RemoteError, outcome: Outcome) -> None:
        token = missing_token(fault, waiting.checked.signed.header)
        self.pending.add(
            Waiting(
                waiting.checked, waiting.peer, token, waiting.since, waiting.gossip, waiting.size
            )
        )
        outcome.pending.append(waiting.checked.signed.id)

    def _place(self, valid: Valid, waiting: Waiting, outcome: Outcome) -> list[Change]:
        """Make a valid record the current one of its series, unless a greater one is.

        Raises: Superseded, QuotaExceeded.
        """
        signed = valid.signed
        header = signed.header
        head = self.store.head(valid.author, header.series)
        old: bytes | None = None
        if head is not None:
            if (head.rev, head.at, head.id) >= (header.rev, header.at, signed.id):
                raise Superseded(current=head.id)
            reason = "withdrawn" if header.kind == WITHDRAWAL else "superseded"
            old = head.id
            self._take_out(old, head.at, reason, outcome)
        elif len(self.items) >= self.records_live_max:
            # The order of arrival decides what is inside: nodes that are full differ. Better than
            # a full disk; `status` says so, and the operator decides.
            self.full = True
            raise QuotaExceeded("The store is full.")
        self.store.put(valid)
        if self.pending:
            self.pending.discard(signed.id)
        self.items.add(header.at, signed.id)
        self._generation += 1
        outcome.stored.append(Taken(valid, waiting.peer, waiting.gossip))
        changes: list[Change] = []
        if old is not None or header.kind in INDEXED_KINDS:
            changes = self.view.replace(old, valid)
        if header.kind in BASES and self.pending.waits_for(token := record_token(signed.id)):
            changes.append(Change(tokens=(token,)))
        return changes

    def _take_out(self, id: bytes, at: int, reason: str, outcome: Outcome) -> None:
        self.store.retire(id, reason=reason)
        self.items.discard(at, id)
        self._generation += 1
        outcome.gone.append((reason, id))

    def _retire(self, id: bytes, at: int, outcome: Outcome) -> list[Change]:
        """Take a record out that does not count any more, with nothing in its place."""
        self._take_out(id, at, "revoked", outcome)
        return self.view.replace(id, None)

    # --- What one record means for others -------------------------------------------------------

    def _settle(self, changes: Iterable[Change], now: float, outcome: Outcome) -> None:
        """Judge again what rests on changed identity, until nothing changes any more.

        It ends: a change touches only what rests on it, and identity rests on itself in four steps.
        """
        queue = deque(changes)
        outcome.identity_changed = True
        self.refusals.view_changed()
        while queue:
            change = queue.popleft()
            for id, header in self._resting_on(change):
                queue.extend(self._judge_again(id, header, now, outcome))
            for token in change.tokens:
                for waiting in self.pending.wake(token):
                    queue.extend(self._admit(waiting, now, outcome, Origin.SYNC))

    def _resting_on(self, change: Change) -> list[tuple[bytes, Header]]:
        found: dict[bytes, Header] = {}
        for coop, key in change.keys:
            found.update(
                (id, header)
                for id, header in self.store.signed_by(key)
                # A move rests on the membership of its key in another coop than its own.
                if header.coop == coop or header.kind == "move"
            )
        for thing in change.things:
            found.update(self.store.under_mandate(thing))
        for id in change.referred:
            found.update(self.store.referring(id))
        for id in change.records:
            header = self.store.header(id)
            if header is not None:
                found[id] = header
        # Identity first: what rests on a record that goes is then judged once.
        return sorted(found.items(), key=_kind_place)

    def _judge_again(
        self, id: bytes, header: Header, now: float, outcome: Outcome
    ) -> list[Change]:
        if not self.store.live(id):
            return []
        signed = self.store.get(id)
        assert signed is not None, "a live record is stored"
        checked = mark_checked(signed)
        try:
            valid = check_context(checked, self.view, int(now))
        except Expired:
            return []  # it is forgotten in its turn
        except RemoteError as fault:
            self._count("dropped_" + fault.code)
            return self._retire(id, header.at, outcome)
        head = self.store.head(valid.author, header.series)
        if head is None or head.id != id:
            # The same key now speaks for another author: the record moves to that author's series.
            changes = self._retire(id, header.at, outcome)
            waiting = Waiting(checked, LOCAL, b"", now, False, len(signed.encode()))
            return changes + self._admit(waiting, now, outcome, Origin.SYNC)
        return []

    # --- Around it ------------------------------------------------------------------------------

    def _outward(self, peer: bytes, origin: Origin, outcome: Outcome) -> None:
        """Say what others should know of it."""
        if outcome.stored:
            source = None if origin is Origin.LOCAL else peer
            ids = tuple(taken.valid.signed.id for taken in outcome.stored)
            outcome.effects.append(Stored(ids, source))
            self._count("stored", len(ids))
        by_reason: dict[str, list[bytes]] = {}
        for reason, id in outcome.gone:
            by_reason.setdefault(reason, []).append(id)
        for reason, gone in by_reason.items():
            outcome.effects.append(Gone(tuple(gone), reason))
            self._count("gone_" + reason, len(gone))
        if outcome.proven and origin is not Origin.LOCAL:
            code = next(fault.code for _, fault in outcome.refused if _proves(fault))
            points = min(outcome.proven * bounds.POINTS_PROVEN, bounds.POINTS_PER_CALL_MAX)
            outcome.effects.append(Penalise(peer, points, code))

    def _transaction(self) -> _Transaction:
        return _Transaction(self)

    def _repair(self) -> None:
        """Fill view and items anew after a transaction was undone beneath them."""
        if self._broken:
            self.load()

    def mark_broken(self) -> None:
        """Note that the store undid what the memory had followed."""
        self._broken = True

    def count_refusal(self, code: str) -> None:
        """Count what was refused before it came to the gate."""
        self._count(code)

    def _count(self, code: str, by: int = 1) -> None:
        self.counters[code] = self.counters.get(code, 0) + by


class _Transaction:
    """The store's batch; when it is undone, the memory that went along is filled anew."""

    __slots__ = ("_batch", "_ingest")

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._batch = ingest.store.batch()

    def __enter__(self) -> None:
        self._batch.__enter__()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool | None:
        try:
            handled = self._batch.__exit__(kind, *rest)  # type: ignore[arg-type]  # passed through
        except BaseException:
            self._ingest.mark_broken()
            raise
        if kind is not None:
            self._ingest.mark_broken()
        return handled


class _Again(RemoteError):
    """The record was refused a moment ago; `first` says for what."""

    sentence = "The record was refused a moment ago."
    excusable = True

    def __init__(self, first: str) -> None:
        super().__init__(first=first)


def _claimed_id(data: bytes) -> bytes | None:
    try:
        return record_id(data)
    except MaillonError:
        return None


def _proves(fault: MaillonError) -> bool:
    """Say whether no honest node sends such bytes. A time ahead of ours proves nothing: whose clock
    is wrong is not known, and a node just after a start without a battery is years behind."""
    return not fault.excusable and not isinstance(fault, FromFuture)


def _place(work: tuple[int, Waiting]) -> int:
    return work[0]


def _kind_place(item: tuple[bytes, Header]) -> tuple[int, int, bytes]:
    id, header = item
    return (priority(header.kind), header.at, id)
