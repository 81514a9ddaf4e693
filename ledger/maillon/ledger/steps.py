"""What a state machine of the ledger asks of the world around it (spec/06-ledger.md, "Steps").

A witness or a writer changes its memory at once and returns a `Step`: what to write, what to send,
what to tell. The caller commits the writes of a step (or of several) in one transaction, and only
then lets anything leave. A commit that fails ends the process: what is in memory is then ahead of
what is on disk, and the next start reads the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from maillon.ledger.errors import LedgerError
from maillon.ledger.fraud import FraudProof
from maillon.ledger.messages import Message
from maillon.ledger.quorum import Certificate


class Write(NamedTuple):
    """Put a value under a key of a space; None deletes it."""

    space: str
    key: bytes
    value: bytes | None


class Disk(Protocol):
    """Where writes go: synchronous, and durable when `commit` returns."""

    def commit(self, writes: Sequence[Write]) -> None:
        """Write all of them, or, when it raises, none that counts."""
        ...

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return a value, or None."""
        ...

    def scan(self, space: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Return keys that begin with `prefix` and their values, by key."""
        ...


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to a witness by its key; to b"": an answer to whoever asked."""

    to: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Certified:
    """A block is final."""

    chain: bytes
    h: int
    block: bytes
    certificate: Certificate | bytes


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    """A wish is in the certified block at height `h`; `index` is its place there."""

    id: bytes
    h: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """A wish cannot be placed."""

    id: bytes
    error: LedgerError


@dataclass(frozen=True, slots=True)
class AnotherInstance:
    """P5: another process holds this writer's key; `evidence` is its PREPARE's bytes."""

    chain: bytes
    evidence: bytes


@dataclass(frozen=True, slots=True)
class Fraud:
    """Somebody is convicted."""

    proof: FraudProof


@dataclass(frozen=True, slots=True)
class Stuck:
    """A chain does not come forward, since `since` (Unix seconds)."""

    chain: bytes
    reason: str
    since: int


@dataclass(frozen=True, slots=True)
class NeedsBlocks:
    """Blocks of a chain are missing from `from_h` on; `from_whom` (a witness or b"") has them."""

    chain: bytes
    from_h: int
    from_whom: bytes = b""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A chain is governed by charter `c` from its next block on."""

    chain: bytes
    c: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """W8: this witness has lost votes it gave, and says nothing more under its key."""

    reason: str


Notice = (
    Certified
    | OrderPlaced
    | OrderRefused
    | AnotherInstance
    | Fraud
    | Stuck
    | NeedsBlocks
    | Adopted
    | Stopped
)


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from one event: writes, to be committed first; then sends; then notices."""

    writes: tuple[Write, ...] = ()
    sends: tuple[Send, ...] = ()
    notices: tuple[Notice, ...] = ()

    def __add__(self, other: Step) -> Step:
        """Return both, one after the other, for one commit."""
        return Step(
            self.writes + other.writes,
            self.sends + other.sends,
            self.notices + other.notices,
        )

    def __bool__(self) -> bool:
        return bool(self.writes or self.sends or self.notices)
