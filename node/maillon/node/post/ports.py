"""What the post of a node needs of the node around it, and what it offers to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maillon.node.ports import FrameStream
from maillon.protocol.keys import SealingKey
from maillon.protocol.letters import Item


@dataclass(frozen=True, slots=True)
class Sending:
    """A letter to be sent; `ticket` (at most 64 bytes) makes sending it again do nothing."""

    to_coop: bytes
    to_key: bytes
    exchange: bytes
    items: tuple[Item, ...]
    until: int
    owner: bytes
    ticket: bytes = b""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that somebody's device may fetch; `serial` is the cursor to go on after."""

    serial: int
    id: bytes
    from_coop: bytes
    thread: bytes
    n: int
    until: int
    received_at: int
    letter: bytes


class Desk(Protocol):
    """Who reads letters to keys held here, and hears of what could not be delivered.

    Both may be called again with the same letter: after a crash, nobody knows whether it was read.
    What they raise leaves the letter where it is, to be handed in again.
    """

    def letter_opened(self, to_key: bytes, from_coop: bytes, items: Sequence[Item]) -> None:
        """Take in what a letter holds, durably."""
        ...

    def letter_ended(self, id: bytes, ticket: bytes, to_key: bytes, code: str) -> None:
        """Be told that a letter of ours was given up, and why."""
        ...


class Host(Protocol):
    """The node."""

    @property
    def coop(self) -> bytes: ...

    @property
    def fed(self) -> bytes: ...

    def time(self) -> int:
        """Return the time in Unix seconds."""
        ...

    def random(self, size: int, /) -> bytes: ...

    def node_of(self, coop: bytes) -> bytes | None:
        """Return the key of the node that a coop announces now, or None."""
        ...

    def coop_of(self, node: bytes) -> bytes | None:
        """Return the coop that announces this node's key now, or None."""
        ...

    def belongs(self, coop: bytes) -> bool:
        """Tell whether a coop is in the federation."""
        ...

    def addressee(self, key: bytes) -> bool:
        """Tell whether a sealing key is that of a member whom this coop vouches for, or its own."""
        ...

    def held_sealing(self, key: bytes) -> SealingKey | None:
        """Return the secret of a sealing key that the node holds for somebody, or None."""
        ...

    def letters_waiting(self, key: bytes) -> None:
        """Be told that letters for a key not held here may be fetched."""
        ...

    def fault(self, where: str, what: str) -> None:
        """Note what went wrong, for people to read."""
        ...


class Streams(Protocol):
    """What is needed of the network."""

    async def open_stream(self, peer: bytes, protocol: str) -> FrameStream: ...

    def penalise(self, peer: bytes, points: float, code: str) -> None: ...

    def connected_keys(self) -> list[bytes]: ...
