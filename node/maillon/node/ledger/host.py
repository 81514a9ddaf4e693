"""What the ledger of a node needs of the node around it: names, keys held for people, a clock."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from maillon.protocol.founding import Founding
from maillon.protocol.keys import SealingKey, SigningKey


class PersonRow(Protocol):
    """Somebody of the private register."""

    @property
    def id(self) -> bytes: ...

    @property
    def name(self) -> str: ...


class KeyRow(Protocol):
    """A key of somebody; `held` tells whether the node has the secret."""

    @property
    def public(self) -> bytes: ...

    @property
    def held(self) -> bool: ...


class Names(Protocol):
    """The private register."""

    def batch(self) -> AbstractContextManager[None]: ...

    def person(self, id: bytes, /) -> PersonRow | None: ...

    def find_person(self, prefix: str, /) -> PersonRow: ...

    def people(self) -> Sequence[PersonRow]: ...

    def name_of(self, person: bytes, /) -> str: ...

    def add_person(self, id: bytes, name: str, note: str, now: int) -> None: ...

    def add_key(
        self,
        person: bytes,
        public: bytes,
        sealing: bytes,
        custody: str,
        now: int,
        secrets: tuple[SigningKey, SealingKey] | None = None,
    ) -> None: ...

    def keys_of(self, person: bytes, /) -> Sequence[KeyRow]: ...

    def held_key(self, public: bytes, /) -> SigningKey: ...

    def add_memo(self, ref: bytes, salt: bytes, text: str, now: int) -> None: ...

    def memo(self, ref: bytes, /) -> str: ...


class Host(Protocol):
    """The node."""

    @property
    def coop(self) -> bytes:
        """Return the id of this node's coop."""
        ...

    @property
    def founding(self) -> Founding: ...

    @property
    def register(self) -> Names: ...

    def coop_name(self, coop: bytes) -> str:
        """Return a coop's name as its profile has it."""
        ...

    def node_of(self, coop: bytes) -> bytes | None:
        """Return the key of the node that a coop announces now, or None."""
        ...

    def member_key(self, person: bytes) -> bytes | None:
        """Return the key of a member whom the coop vouches for, one that is held here if any."""
        ...

    def time(self) -> int:
        """Return the time in Unix seconds."""
        ...

    def random(self, size: int, /) -> bytes: ...

    def transfers_certain(self, ids: Sequence[bytes]) -> None:
        """Be told of transfers that became certain: what waited for them may count now."""
        ...
