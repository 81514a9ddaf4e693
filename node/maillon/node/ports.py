"""The seams between the engine and the world: a store for the engine, a network for the node.

The engine decides and never does I/O of its own. It reads and writes history through `Store`, which
is synchronous on purpose: a decision and what it changes are one step, so a whole federation of
engines replays identically from a seed. Two stores implement it (SQLite for a node, a mapping for
the simulator) and pass the same tests; two networks do `Network` (libp2p and the simulated one).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from maillon.node.events import NetworkEvent
from maillon.protocol.envelope import Header, Signed, Valid

# (public key, signed message, signature)
SignatureItem = tuple[bytes, bytes, bytes]
BatchVerify = Callable[[Sequence[SignatureItem]], list[bool]]


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The current record of one (author, series): its order key and whether it is a withdrawal."""

    id: bytes
    rev: int
    at: int
    until: int
    kind: str


class Store(Protocol):
    """Durable records of one node. Every method is synchronous; writes are grouped by `batch`."""

    def batch(self) -> AbstractContextManager[None]:
        """Open a transaction: leaving it commits, an exception undoes all. Nests as one."""
        ...

    def expect(self, ids: Sequence[bytes]) -> None:
        """Be told that `known` is about to be asked for each of these: one question serves all."""
        ...

    def known(self, id: bytes) -> bool:
        """Tell whether the record was stored here, live or retired, and is not yet forgotten."""
        ...

    def live(self, id: bytes) -> bool:
        """Tell whether the record is in the live set."""
        ...

    def head(self, author: bytes, series: bytes) -> StoredHead | None:
        """Return the current record of a series, withdrawals included, or None."""
        ...

    def put(self, valid: Valid) -> None:
        """Insert a record as the current one of its series, live and indexed for search."""
        ...

    def retire(self, id: bytes, *, reason: str) -> None:
        """Take a record out of the live set; erase its payload and index, keep its header.

        `reason` is one of "superseded", "withdrawn", "revoked", "erased".
        """
        ...

    def forget_expired(self, now: int, limit: int) -> list[tuple[int, bytes]]:
        """Delete at most `limit` records whose `until` is before `now`, headers too.

        Return (at, id) of those that were live.
        """
        ...

    def header(self, id: bytes) -> Header | None:
        """Return the header of any known record."""
        ...

    def get(self, id: bytes) -> Signed | None:
        """Return a known record, header-only when its payload was erased."""
        ...

    def encoded(self, ids: Sequence[bytes]) -> list[bytes]:
        """Return the live records among `ids` encoded, by (kind priority, at, id)."""
        ...

    def encoded_range(
        self, low: tuple[int, bytes], high: tuple[int, bytes], limit: int
    ) -> list[tuple[int, bytes, bytes]]:
        """Return up to `limit` live records from low to before high, as (at, id, encoded)."""
        ...

    def iterate_live(self) -> Iterator[tuple[int, bytes]]:
        """Yield (at, id) of every live record, ascending."""
        ...

    def by_kinds(self, kinds: Iterable[str]) -> Iterator[Valid]:
        """Yield the live records of some kinds, by (at, id): the engine refills its view so."""
        ...

    def signed_by(self, key: bytes) -> list[tuple[bytes, Header]]:
        """Return (id, header) of every live record whose header names `key` as signer."""
        ...

    def under_mandate(self, mandate: bytes) -> list[tuple[bytes, Header]]:
        """Return (id, header) of every live record signed under a mandate."""
        ...

    def referring(self, id: bytes) -> list[tuple[bytes, Header]]:
        """Return (id, header) of every live record whose refs contain `id`."""
        ...

    def count_live(self) -> dict[str, int]:
        """Return the number of live records by kind."""
        ...


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A federation node as the network sees it now."""

    key: bytes
    addresses: tuple[str, ...]
    connected: bool
    score: float
    bytes_in: int
    bytes_out: int
    since: int
    last_error: str


class FrameStream(Protocol):
    """A stream of frames of at most FRAME_BYTES_MAX to one peer; every wait is bounded."""

    @property
    def peer(self) -> bytes:
        """Return the remote node's Ed25519 public key (32 bytes)."""
        ...

    async def send(self, frame: bytes) -> None: ...

    async def receive(self) -> bytes | None:
        """Return the next frame, or None when the peer has closed its side."""
        ...

    async def close(self) -> None: ...

    async def reset(self) -> None: ...


StreamHandler = Callable[[FrameStream], Awaitable[None]]
# Called before a message is relayed: True relays it. Synchronous and cheap.
GossipValidator = Callable[[bytes, bytes], bool]
NetworkEventHandler = Callable[[NetworkEvent], None]


class Network(Protocol):
    """What the node's runner needs from a transport."""

    async def publish(self, data: bytes) -> None:
        """Gossip one batch message (at most BATCH_BYTES_MAX bytes) to the federation."""
        ...

    async def open_stream(self, peer: bytes, protocol: str) -> FrameStream: ...

    def set_handler(
        self, protocol: str, handler: StreamHandler, *, strangers: bool = False
    ) -> None: ...

    def dial(self, peer: bytes, addresses: Sequence[str]) -> None:
        """Add a peer to be kept connected, with what is known of its addresses; returns at once."""
        ...

    def forget(self, peer: bytes) -> None: ...

    def peers(self) -> list[PeerInfo]: ...

    def penalise(self, peer: bytes, points: float, code: str) -> None: ...

    def addresses(self) -> list[str]: ...

    def metrics(self) -> dict[str, int | float | str]: ...
