"""What comes into the machine of a node's ledger, and what may leave it after a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from maillon.ledger.messages import Blocks, Heads, Hint, Message
from maillon.ledger.signing import Check, Signer, Verify
from maillon.ledger.steps import NeedsBlocks
from maillon.protocol.errors import MaillonError, RemoteError
from maillon.protocol.founding import Founding

# What no honest node sends, whatever it knows: codes of a witness's answer that count against it.
PROVEN = frozenset(("bad_signature", "malformed", "not_canonical", "too_large", "bad_key"))


class Untrue(RemoteError):
    """What was gossiped is not so, or not any more."""

    code = "untrue"
    excusable = True
    sentence = "What was told is not so."


class Asker(Protocol):
    """Somebody who sent a message and waits for an answer: a stream, or a test."""

    @property
    def peer(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class FromGuest:
    """A message on a stream that another node opened."""

    asker: Asker
    message: Message


@dataclass(frozen=True, slots=True)
class FromWitness:
    """What a witness answered."""

    witness: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class FromPeer:
    """What a peer answered to a question about chains: blocks or heads."""

    peer: bytes
    message: Blocks | Heads


Event = FromGuest | FromWitness | FromPeer


@dataclass(frozen=True, slots=True)
class Ended:
    """Something that was asked is certain (`h`, `index`), or refused."""

    id: bytes
    fault: MaillonError | None = None
    h: int = 0
    index: int = 0


@dataclass(slots=True)
class Out:
    """What may leave after a run."""

    sends: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    """(witness, frame)."""
    answers: list[tuple[Asker, bytes]] = field(default_factory=list[tuple[Asker, bytes]])
    handled: list[Asker] = field(default_factory=list[Asker])
    """Whose messages were looked at, once for each."""
    hints: list[Hint] = field(default_factory=list[Hint])
    needs: list[NeedsBlocks] = field(default_factory=list[NeedsBlocks])
    ended: list[Ended] = field(default_factory=list[Ended])
    certain: list[bytes] = field(default_factory=list[bytes])
    """Ids of transfers that stand on a certified block now, of any chain."""
    blocks: int = 0
    arrivals: bool = False
    """Whether a patient machine wants to `look` a little later."""
    offences: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])
    """(peer, code) of who broke a rule."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the machines are made of. `nonce` and `salt` draw random bytes."""

    founding: Founding
    coop: bytes
    writer: Signer | None
    witness: Signer
    verify: Verify
    random: Callable[[int], bytes]
    signed: Callable[[Check], None] | None = None
    """Told of each signature that this node's witness makes: it need not be verified again."""
