"""Decide everything a node decides about shared records; do nothing outside the store.

The engine takes events and the time, writes to the store it was given, and returns effects. It
reads no clock and draws no randomness of its own: a whole federation replays from one seed.

`now` is Unix seconds everywhere, an int or a float: fractions matter to the coalescing of gossip
only. It may jump either way; nothing here raises or waits for ever because of it.

After any exception from the store (a full disk) the engine may be used again: the transaction was
undone, and the memory that goes along is filled anew on the next call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from maillon.node import bounds
from maillon.node.engine.ingest import LOCAL, Ingest, Origin, Outcome, Prepared
from maillon.node.engine.outbox import Outbox
from maillon.node.engine.peers import Peers
from maillon.node.engine.pending import PendingPool, record_token
from maillon.node.engine.sync import Session, SyncInitiator, SyncResponder
from maillon.node.engine.view import IdentityView
from maillon.node.events import (
    DropPeer,
    Effect,
    KeepConnected,
    Penalise,
    Publish,
    StartSync,
)
from maillon.node.ports import BatchVerify, Store
from maillon.protocol.envelope import Draft, Signed, record_id, sign
from maillon.protocol.errors import LocalError, MaillonError, QuotaExceeded, Superseded
from maillon.protocol.founding import Founding
from maillon.protocol.gossip import decode_batch, encode_batches
from maillon.protocol.keys import SigningKey
from maillon.protocol.reconcile import ItemSet
from maillon.protocol.records import WITHDRAWAL, priority
from maillon.protocol.view import CoopInfo


class Refused(LocalError):
    """A record of our own does not pass the gate; `code` is the registry's, as for a stranger's."""

    def __init__(self, fault: MaillonError) -> None:
        super().__init__(fault.message, hint=_HINTS.get(fault.code), **fault.facts)
        self.code = fault.code  # type: ignore[misc]  # the registry's code of this very refusal


_HINTS = {
    "coop_unknown": "The coop's profile is not known here yet.",
    "membership_missing": "The coop has to vouch for this key first.",
    "lifetime": "The record may not outlive what vouches for its author.",
    "quota": "Wait, or withdraw what is no longer needed.",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator, or a simulation of small machines, may set differently."""

    sync_interval_s: float = bounds.SYNC_INTERVAL_S
    records_live_max: int = bounds.RECORDS_LIVE_MAX
    pending_records_max: int = bounds.PENDING_RECORDS_MAX
    pending_peer_records_max: int = bounds.PENDING_PEER_RECORDS_MAX


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a gossip message: relay it or not, and the effects of having read it."""

    relay: bool
    effects: list[Effect]


@dataclass(slots=True)
class _Bucket:
    """Count what a peer gossips against a rate."""

    level: float = 0.0
    at: float = 0.0

    def take(self, amount: int, now: float, rate: float, burst: float) -> bool:
        # A clock set back drains nothing and costs nothing.
        self.level = max(0.0, self.level - max(0.0, now - self.at) * rate)
        self.at = now
        if self.level + amount > burst:
            return False
        self.level += amount
        return True


@dataclass(slots=True)
class _Window:
    """The records one key authored through this node within the window."""

    times: list[float] = field(default_factory=list[float])

    def count(self, now: float) -> int:
        self.times = [at for at in self.times if 0 <= now - at < bounds.AUTHOR_KEY_WINDOW_S]
        return len(self.times)


class Engine:
    """Hold one node's part in a federation. See /docs of the methods for the order of calls.

    `node_key` is this node's public key, `rng` decides jitter only. `start` comes first.
    """

    def __init__(
        self,
        store: Store,
        founding: Founding,
        *,
        node_key: bytes,
        rng: Random,
        settings: Settings | None = None,
    ) -> None:
        settings = settings or Settings()
        self._store = store
        self._founding = founding
        self._node_key = node_key
        self._view = IdentityView(founding, store)
        self._ingest = Ingest(
            store,
            self._view,
            founding.fed,
            PendingPool(
                records_max=settings.pending_records_max,
                peer_records_max=settings.pending_peer_records_max,
            ),
            records_live_max=settings.records_live_max,
        )
        self._outbox = Outbox()
        self._peers = Peers(node_key, rng, interval_s=settings.sync_interval_s)
        self._sessions: list[Session] = []
        self._kept: dict[bytes, tuple[str, ...]] = {}
        self._buckets: dict[bytes, _Bucket] = {}
        self._authored: dict[bytes, _Window] = {}
        self._expire_at = 0.0
        self._gossip_accepted = 0
        self._gossip_refused = 0
        self._gossip_sent = 0

    # --- Life -----------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Fill the memory from the store; return whom to keep connected. Call once, first."""
        self._ingest.load()
        self._expire_at = now
        return self._connections()

    def tick(self, now: float) -> list[Effect]:
        """Do what is due: messages that waited, records whose time is up, sessions to start.

        Call at `next_wake`, or more often; each call does a bounded amount of work.
        """
        effects = self._flush(now)
        if now >= self._expire_at or self._expire_at - now > bounds.EXPIRE_INTERVAL_S * 2:
            self._expire_at = now + bounds.EXPIRE_INTERVAL_S
            self._ingest.pending.expire(now)
            outcome = self._ingest.expire(now, bounds.EXPIRE_SLICE)
            effects += self._after(outcome, now)
            if len(outcome.gone) >= bounds.EXPIRE_SLICE:
                self._expire_at = now
        effects += [StartSync(peer) for peer in self._peers.due(now)]
        return effects

    def next_wake(self, now: float) -> float:
        """Return when `tick` should be called next, at the latest; never before `now`."""
        times = [self._expire_at, self._outbox.due(now), self._peers.next_at(now)]
        return max(now, min(time for time in times if time is not None))

    # --- Network --------------------------------------------------------------------------------

    def connected(self, peer: bytes, now: float) -> list[Effect]:
        """Note a connection to a node of the federation; a session follows by `tick`."""
        self._peers.connected(peer, now)
        return []

    def disconnected(self, peer: bytes, now: float) -> list[Effect]:
        """Note that the connection is gone."""
        self._peers.disconnected(peer)
        self._buckets.pop(peer, None)
        return []

    def admitted(self, node_key: bytes) -> bool:
        """Say whether a key is the current node key of a coop of the federation. Cheap."""
        return node_key == self._node_key or node_key in self._kept

    def gossip(self, peer: bytes, data: bytes, now: float, verify: BatchVerify) -> Verdict:
        """Judge a gossip message before it is relayed.

        It is relayed as it is only when every record in it is live here now, byte for byte. Of any
        other message the records that count are stored, and gossiped anew in messages of our own.
        """
        try:
            records = decode_batch(data)
        except MaillonError as fault:
            self._gossip_refused += 1
            self._ingest.count_refusal(fault.code)
            return Verdict(False, [Penalise(peer, bounds.POINTS_PROVEN, fault.code)])
        bucket = self._buckets.setdefault(peer, _Bucket(at=now))
        if peer != self._node_key and not bucket.take(
            len(records), now, bounds.GOSSIP_RECORDS_RATE, bounds.GOSSIP_RECORDS_BURST
        ):
            # Nothing is lost by not reading it: the sender still has it when we reconcile.
            self._gossip_refused += 1
            self._ingest.count_refusal("quota")
            self._peers.soon(peer, now)
            return Verdict(False, [])
        prepared = self._ingest.prepare(peer, records, now, Origin.GOSSIP)
        outcome = self._ingest.complete(prepared, verify(prepared.items), now)
        own = set(outcome.ids)
        relay = (
            not outcome.refused
            and not outcome.pending
            and not outcome.stale
            and len(own) == len(records)
            and self._live_bytes(outcome)
        )
        for taken in outcome.stored:
            # What the message itself carries goes out with it; what waited for it does not.
            if not relay or taken.valid.signed.id not in own:
                self._publish(taken.peer, taken.valid.signed)
        if outcome.pending:
            self._peers.soon(peer, now)
        if relay:
            self._gossip_accepted += 1
        else:
            self._gossip_refused += 1
        return Verdict(relay, self._after(outcome, now, published=True))

    def introduction(self) -> bytes | None:
        """Return a batch that says who this node is: its coop's profile and admissions.

        A node that was away while this one's key was replaced takes it for a stranger and would
        never hear of the new key: so it is told on each new connection, before anything else. None
        without a profile of our own.
        """
        own = next((info.coop for info in self._view.coops() if self._speaks(info)), None)
        if own is None:
            return None
        batches = encode_batches(self._store.encoded(self._view.introducing(own)))
        return batches[0] if batches else None

    def introduced(
        self, peer: bytes, data: bytes, now: float, verify: BatchVerify
    ) -> list[Effect]:
        """Read what a node, a stranger perhaps, says of itself; only profiles and admissions count.

        They pass the same gate as all else: a stranger without a root key's signature stays one.
        """
        try:
            records = decode_batch(data)
        except MaillonError as fault:
            self._ingest.count_refusal(fault.code)
            return [Penalise(peer, bounds.POINTS_PROVEN, fault.code)]
        prepared = self._ingest.prepare(
            peer, records[: bounds.INTRODUCTION_RECORDS_MAX], now, Origin.SYNC
        )
        prepared = prepared.only(
            [
                place
                for place, signed in enumerate(prepared.signed)
                if signed.header.kind in ("coop_profile", "admission")
            ]
        )
        outcome = self._ingest.complete(prepared, verify(prepared.items), now)
        return self._after(outcome, now)

    def _speaks(self, info: CoopInfo) -> bool:
        return info.admitted and info.node_key == self._node_key

    def open_sync(self, peer: bytes, now: float) -> SyncInitiator | None:
        """Return a session to drive with a peer, or None when one runs already."""
        if not self._peers.may_start(peer):
            return None
        self._peers.started(peer, now, outgoing=True)
        session = SyncInitiator(self, peer, self._ended)
        self._sessions.append(session)
        return session

    def accept_sync(self, peer: bytes, now: float) -> SyncResponder | None:
        """Return a session to answer a peer with, or None when it may have none now."""
        if not self._peers.may_answer(peer) or not self.admitted(peer):
            return None
        self._peers.started(peer, now, outgoing=False)
        session = SyncResponder(self, peer, self._ended)
        self._sessions.append(session)
        return session

    # --- Our own records ------------------------------------------------------------------------

    def author(
        self, draft: Draft, key: SigningKey, now: float, verify: BatchVerify
    ) -> tuple[Signed, list[Effect]]:
        """Sign a draft and take it in by the same gate as a stranger's.

        Raises: Refused (a LocalError with the registry's code); nothing has changed then.
        """
        signed = sign(draft, key)
        return signed, self.submit(signed.encode(), now, verify)

    def submit(self, record: bytes, now: float, verify: BatchVerify) -> list[Effect]:
        """Take in a record that one of our people signed on a device of their own.

        Raises: Refused; nothing has changed then.
        """
        refused, effects = self.submit_many([record], now, verify)
        if refused[0] is not None:
            raise refused[0]
        return effects

    def submit_many(
        self, records: Sequence[bytes], now: float, verify: BatchVerify
    ) -> tuple[list[Refused | None], list[Effect]]:
        """Take in many records of our own in one transaction, with one call to `verify`.

        Returns, for each record in order, None when it is live now (or was already) and else why
        it was refused; a refused record changes nothing and hinders no other.
        """
        prepared = self._ingest.prepare(LOCAL, records, now, Origin.LOCAL)
        faults: dict[bytes | None, Refused] = {}
        unread: list[Refused] = []
        for id, fault in prepared.refused:
            if id is None:
                unread.append(Refused(fault))
            else:
                faults[id] = Refused(fault)
        told = len(prepared.refused)
        kept: list[int] = []
        for place, signed in enumerate(prepared.signed):
            try:
                self._take_share(signed, now)
                kept.append(place)
            except Refused as fault:
                faults[signed.id] = fault
        if len(kept) < len(prepared.signed):
            prepared = prepared.only(kept)
        outcome = self._ingest.complete(prepared, verify(prepared.items), now)
        faults.update((id, Refused(fault)) for id, fault in outcome.refused[told:])
        faults.update((id, Refused(Superseded())) for id in outcome.stale)
        results = [self._fault_of(record, faults, unread) for record in records]
        return results, self._after(outcome, now)

    def transfers_certain(self, ids: Sequence[bytes], now: float) -> list[Effect]:
        """Be told of transfers that are certified now: what waited for them may count."""
        waiting = [id for id in ids if self._ingest.pending.waits_for(record_token(id))]
        if not waiting:
            return []
        return self._after(self._ingest.transfers_certain(waiting, now), now)

    def _fault_of(
        self, record: bytes, faults: dict[bytes | None, Refused], unread: list[Refused]
    ) -> Refused | None:
        try:
            return faults.get(record_id(record))
        except MaillonError:
            return unread.pop(0)

    def _take_share(self, signed: Signed, now: float) -> None:
        """Hold our own people to a share. Raises: Refused.

        Only here: whether a stranger's record counts may not depend on what came before it.
        """
        header = signed.header
        if priority(header.kind) < priority("category") or header.kind == WITHDRAWAL:
            return
        if header.by != self._node_key:
            if len(self._authored) > bounds.AUTHOR_KEYS_MAX:
                self._authored = {
                    key: window for key, window in self._authored.items() if window.count(now)
                }
            window = self._authored.setdefault(header.by, _Window())
            if window.count(now) >= bounds.AUTHOR_KEY_RECORDS_MAX:
                raise Refused(QuotaExceeded("This key has published very much in the last hour."))
            window.times.append(now)
        if len(self._ingest.items) >= bounds.AUTHOR_LIVE_MAX:
            raise Refused(QuotaExceeded("The node's store is nearly full."))

    # --- What is known --------------------------------------------------------------------------

    @property
    def view(self) -> IdentityView:
        """Return the identity index, to read."""
        return self._view

    @property
    def founding(self) -> Founding:
        """Return the federation's founding document."""
        return self._founding

    def levels(self) -> dict[str, int]:
        """Return how full the queues are: cheap, for watching their bounds."""
        states = self._peers.states().values()
        return {
            "live": len(self._ingest.items),
            "pending": len(self._ingest.pending),
            "pending_bytes": self._ingest.pending.bytes_held,
            "refusals": len(self._ingest.refusals),
            "outbox": len(self._outbox),
            "outbox_bytes": self._outbox.bytes_held,
            "sessions": len(self._sessions),
            "sessions_outgoing": sum(state.outgoing for state in states),
            "sessions_incoming": sum(state.incoming for state in states),
        }

    def status(self, now: float) -> dict[str, object]:
        """Return counters and levels for `status` and the metrics."""
        ingest = self._ingest
        counters = ingest.counters
        told = {"stored", "signatures_checked", "duplicate", "superseded"}
        return {
            "live": len(ingest.items),
            # Equal on two nodes that hold the same live set, and only there (spec/05).
            "fingerprint": ingest.items.range_fingerprint(0, len(ingest.items)),
            "live_by_kind": self._store.count_live(),
            "pending": len(ingest.pending),
            "pending_bytes": ingest.pending.bytes_held,
            "pending_evicted": ingest.pending.evicted,
            "stored": counters.get("stored", 0),
            "signatures_checked": counters.get("signatures_checked", 0),
            "duplicates_skipped": counters.get("duplicate", 0) + counters.get("superseded", 0),
            "refused": {
                code: count
                for code, count in sorted(counters.items())
                if code not in told and not code.startswith(("gone_", "dropped_"))
            },
            "dropped": {
                code.removeprefix("dropped_"): count
                for code, count in sorted(counters.items())
                if code.startswith("dropped_")
            },
            "gone": {
                code.removeprefix("gone_"): count
                for code, count in sorted(counters.items())
                if code.startswith("gone_")
            },
            "store_full": ingest.full,
            "gossip": {
                "accepted": self._gossip_accepted,
                "refused": self._gossip_refused,
                "sent": self._gossip_sent,
                "queued": len(self._outbox),
                "dropped": self._outbox.dropped,
            },
            "coops_admitted": len(self._view.admitted_nodes()),
            "sync": {
                peer.hex(): {
                    "since": state.since,
                    "last_at": state.last_at,
                    "last_ok": state.last_ok,
                    "sessions": state.sessions,
                    "failures": state.failures,
                    "received": state.last_received,
                    "sent": state.last_sent,
                    "running": state.outgoing or state.incoming,
                }
                for peer, state in self._peers.states().items()
            },
        }

    # --- For sessions (SyncHost) ----------------------------------------------------------------

    @property
    def fed(self) -> bytes:
        """Return the federation's id."""
        return self._founding.fed

    @property
    def items(self) -> ItemSet:
        """Return the live items, in step with the store."""
        return self._ingest.items

    def prepare_sync(self, peer: bytes, records: Sequence[bytes], now: float) -> Prepared:
        """Take records of a session."""
        return self._ingest.prepare(peer, records, now, Origin.SYNC)

    def complete(self, prepared: Prepared, results: Sequence[bool], now: float) -> Outcome:
        """Judge them once their signatures were verified."""
        outcome = self._ingest.complete(prepared, results, now)
        outcome.effects = self._after(outcome, now)
        return outcome

    def wants(self, peer: bytes, id: bytes, now: float) -> bool:
        """Say whether a record with this id would be of use if the peer sent it."""
        return self._ingest.wants(peer, id, now)

    def withheld(self, peer: bytes, id: bytes, now: float) -> None:
        """Note that a peer named an id and did not deliver it."""
        self._ingest.refusals.by_sender(peer, id, "withheld", now)

    def identity_items(self) -> list[tuple[int, bytes]]:
        """Return (at, id) of the live identity records, in the order of sending."""
        return self._view.items()

    def encoded(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return the encoded live records among `ids`, in the order of sending."""
        return self._store.encoded(ids)

    def encoded_page(self, page: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes, bytes]]:
        """Return records that follow one another in the live set as (at, id, encoded)."""
        if not page:
            return []
        at, id = page[-1]
        # The least that comes behind the last of them, as the end of a range is left out.
        return self._store.encoded_range(page[0], (at, id + b"\0"), len(page))

    # --- Around it ------------------------------------------------------------------------------

    def _live_bytes(self, outcome: Outcome) -> bool:
        """Say whether what came as known is, byte for byte, what is live here.

        An id covers the header alone: a copy with a spoilt signature has the id of the true record,
        and is skipped as known; it must not be relayed in our name.
        """
        if not outcome.duplicates:
            return True
        ours = set(self._store.encoded([id for id, _ in outcome.duplicates]))
        return all(data in ours for _, data in outcome.duplicates)

    def _after(self, outcome: Outcome, now: float, *, published: bool = False) -> list[Effect]:
        """Gossip what is to be gossiped, and follow what identity records say about nodes."""
        if not published:
            for taken in outcome.stored:
                # What a session brings the others learn by their own sessions; a federation that
                # heals after a cut must not gossip all of its records.
                if taken.gossip or taken.peer == LOCAL:
                    self._publish(taken.peer, taken.valid.signed)
        effects = outcome.effects
        if outcome.identity_changed:
            effects += self._connections()
        return effects + self._flush(now)

    def _publish(self, source: bytes, signed: Signed) -> None:
        self._outbox.push(source, signed.encode())

    def _flush(self, now: float) -> list[Effect]:
        batches = self._outbox.flush(now)
        self._gossip_sent += len(batches)
        return [Publish(batch) for batch in batches]

    def _connections(self) -> list[Effect]:
        """Compare the federation's node keys and addresses with what the runner was told."""
        nodes = self._view.admitted_nodes()
        nodes.pop(self._node_key, None)
        effects: list[Effect] = [DropPeer(peer) for peer in self._kept if peer not in nodes]
        effects += [
            KeepConnected(peer, addresses)
            for peer, addresses in nodes.items()
            if self._kept.get(peer) != addresses
        ]
        self._kept = nodes
        return effects

    def _ended(self, session: Session, now: float) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
        self._peers.ended(
            session.peer,
            now,
            outgoing=session.outgoing,
            ok=session.ok,
            more=session.more,
            received=session.received,
            sent=session.sent,
        )

