"""Keep records that may become valid when another arrives, within bounds.

What waits here has the right form and a true signature; only the word of a coop, a membership, a
mandate or a referred-to record is missing. Each record is filed under the one token it waits for,
so that the arrival of an identity record touches only what waited for it.

Bounds: in all and for each peer that sent them, by number and by bytes. A full share evicts the
oldest of that same peer; a full pool evicts the oldest of whoever holds most. So a stranger with
endless keys pushes out its own records and nobody else's. Nothing is lost by eviction: the record
is still live elsewhere, and reconciliation brings it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maillon.node import bounds
from maillon.protocol.envelope import Checked


def coop_token(coop: bytes) -> bytes:
    """Name the wait for a coop to be admitted or to show its profile."""
    return b"c" + coop


def key_token(coop: bytes, key: bytes) -> bytes:
    """Name the wait for a coop to vouch for a key."""
    return b"k" + coop + key


def thing_token(thing: bytes) -> bytes:
    """Name the wait for a mandate (or any thing named through its revisions)."""
    return b"t" + thing


def record_token(id: bytes) -> bytes:
    """Name the wait for one record that is referred to."""
    return b"r" + id


@dataclass(slots=True)
class Waiting:
    """One record on its way in: who sent it, since when, whether by gossip; what it waits for.

    Not frozen, because one is made for every record and a frozen one costs a microsecond more.
    """

    checked: Checked
    peer: bytes
    token: bytes
    since: float
    gossip: bool
    size: int


class PendingPool:
    """Hold checked records by id, by sender and by what they wait for."""

    def __init__(
        self,
        *,
        records_max: int = bounds.PENDING_RECORDS_MAX,
        bytes_max: int = bounds.PENDING_BYTES_MAX,
        peer_records_max: int = bounds.PENDING_PEER_RECORDS_MAX,
        peer_bytes_max: int = bounds.PENDING_PEER_BYTES_MAX,
        lifetime_s: float = bounds.PENDING_LIFETIME_S,
    ) -> None:
        self.records_max = records_max
        self.bytes_max = bytes_max
        self.peer_records_max = peer_records_max
        self.peer_bytes_max = peer_bytes_max
        self.lifetime_s = lifetime_s
        # Insertion order is age, in the pool and in each peer's share.
        self._all: dict[bytes, Waiting] = {}
        self._by_peer: dict[bytes, dict[bytes, None]] = {}
        self._peer_bytes: dict[bytes, int] = {}
        self._by_token: dict[bytes, dict[bytes, None]] = {}
        self._bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, id: object) -> bool:
        return id in self._all

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._all)

    @property
    def bytes_held(self) -> int:
        """Return the bytes of all waiting records."""
        return self._bytes

    def held_for(self, peer: bytes) -> int:
        """Return how many records wait on a peer's word."""
        return len(self._by_peer.get(peer, ()))

    def add(self, waiting: Waiting) -> None:
        """File a record, evicting the oldest of the same peer, or of the largest holder."""
        id = waiting.checked.signed.id
        if id in self._all:
            self.discard(id)
        peer = waiting.peer
        while self._by_peer.get(peer) and (
            len(self._by_peer[peer]) >= self.peer_records_max
            or self._peer_bytes[peer] + waiting.size > self.peer_bytes_max
        ):
            self._evict_oldest_of(peer)
        while self._all and (
            len(self._all) >= self.records_max or self._bytes + waiting.size > self.bytes_max
        ):
            # The first among equals in order of arrival: no hash order decides anything.
            self._evict_oldest_of(max(self._by_peer, key=lambda held: len(self._by_peer[held])))
        self._all[id] = waiting
        self._by_peer.setdefault(peer, {})[id] = None
        self._peer_bytes[peer] = self._peer_bytes.get(peer, 0) + waiting.size
        self._by_token.setdefault(waiting.token, {})[id] = None
        self._bytes += waiting.size

    def discard(self, id: bytes) -> Waiting | None:
        """Take one record out; return it if it was there."""
        waiting = self._all.pop(id, None)
        if waiting is None:
            return None
        self._bytes -= waiting.size
        held = self._by_peer[waiting.peer]
        del held[id]
        self._peer_bytes[waiting.peer] -= waiting.size
        if not held:
            del self._by_peer[waiting.peer]
            del self._peer_bytes[waiting.peer]
        same = self._by_token[waiting.token]
        del same[id]
        if not same:
            del self._by_token[waiting.token]
        return waiting

    def wake(self, token: bytes) -> list[Waiting]:
        """Take out and return all that waited for this, oldest first."""
        ids = self._by_token.get(token)
        if not ids:
            return []
        return [waiting for id in list(ids) if (waiting := self.discard(id)) is not None]

    def waits_for(self, token: bytes) -> bool:
        """Tell whether anything waits for this."""
        return token in self._by_token

    def expire(self, now: float) -> int:
        """Let go of what waited too long; return how many. A clock set back lets go of nothing."""
        gone = 0
        while self._all:
            oldest = next(iter(self._all.values()))
            if now - oldest.since < self.lifetime_s:
                break
            self.discard(oldest.checked.signed.id)
            gone += 1
        return gone

    def _evict_oldest_of(self, peer: bytes) -> None:
        self.discard(next(iter(self._by_peer[peer])))
        self.evicted += 1
