"""What signing in needs of the node: the people it knows, and where it keeps what it gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from maillon.node.engine.access import Kept, Passkey, Session, Token


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of this coop whose membership counts now.

    `author` has 49 bytes; `keys` are those that count; `name` is of the private register.
    """

    author: bytes
    name: str
    roles: frozenset[str]
    keys: frozenset[bytes]


class Directory(Protocol):
    """The people of the coop, as they are now."""

    def by_key(self, key: bytes) -> Person | None:
        """Return whose key this is, when it counts."""
        ...

    def awaited(self, key: bytes) -> int | None:
        """Return from when on a key counts that the coop vouches for, in place of a lost one."""
        ...

    def by_author(self, author: bytes) -> Person | None:
        """Return a person who has a key that counts."""
        ...

    def find(self, person: str) -> Person:
        """Return a person by id or its beginning. Raises: MaillonError when there is none."""
        ...

    def mandated(self, author: bytes) -> frozenset[bytes]:
        """Return the authors that let this person act for them now."""
        ...


class AccessStore(Protocol):
    """What store.accessdisk.AccessDisk does."""

    def add_token(self, hash: bytes, token: Token) -> None: ...

    def token(self, hash: bytes) -> Token | None: ...

    def token_by_id(self, id: str) -> Token | None: ...

    def tokens(self, author: bytes | None, after: str, limit: int) -> list[Token]: ...

    def count_tokens(self, author: bytes, now: int) -> int: ...

    def used_token(self, id: str, now: int) -> None: ...

    def revoke_token(self, id: str, now: int) -> None: ...

    def add_session(self, hash: bytes, session: Session) -> None: ...

    def session(self, hash: bytes) -> Session | None: ...

    def session_by_id(self, id: str) -> Session | None: ...

    def sessions(self, author: bytes, now: int) -> list[Session]: ...

    def used_session(self, id: str, now: int, idle_until: int) -> None: ...

    def end_session(self, id: str) -> None: ...

    def add_passkey(self, passkey: Passkey) -> bool: ...

    def passkey(self, id: bytes) -> Passkey | None: ...

    def passkeys(self, author: bytes) -> list[Passkey]: ...

    def used_passkey(self, id: bytes, count: int, now: int) -> None: ...

    def remove_passkey(self, id: bytes) -> None: ...

    def end_all(self, author: bytes, now: int) -> int: ...

    def kept(self, caller: bytes, key: bytes) -> Kept | None: ...

    def count_kept(self, caller: bytes | None = None) -> int: ...

    def begin(self, caller: bytes, key: bytes, request: bytes, now: int) -> None: ...

    def done(self, caller: bytes, key: bytes, kept: Kept) -> None: ...

    def undone(self, caller: bytes, key: bytes) -> None: ...
