"""What the parts about persons need of the node around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from maillon.node.engine.exchange.notes import FundingNote
from maillon.node.engine.view import IdentityView
from maillon.node.ledger.host import Host
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.persons.settings import PersonsSettings, Retention
from maillon.node.ports import FrameStream, Store
from maillon.protocol.envelope import Draft, Signed
from maillon.protocol.keys import SealingKey, SigningKey


class PersonRow(Protocol):
    """Somebody of the private register."""

    @property
    def id(self) -> bytes: ...

    @property
    def name(self) -> str: ...

    @property
    def note(self) -> str: ...

    @property
    def created(self) -> int: ...


class KeyRow(Protocol):
    """A key of somebody; `held` tells whether the node has the secret."""

    @property
    def public(self) -> bytes: ...

    @property
    def person(self) -> bytes: ...

    @property
    def sealing(self) -> bytes: ...

    @property
    def custody(self) -> str: ...

    @property
    def held(self) -> bool: ...


class Register(Protocol):
    """The private register: names, keys, what transfers were for."""

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

    def held_secrets(self, public: bytes, /) -> bytes: ...

    def drop_secret(self, public: bytes, /) -> bool: ...

    def add_memo(self, ref: bytes, salt: bytes, text: str, now: int) -> None: ...

    def memo(self, ref: bytes, /) -> str: ...

    def forget_memos(self, refs: Sequence[bytes], /) -> int: ...

    def forget_memos_before(self, at: int, /) -> int: ...

    def forget_invitations_before(self, at: int, /) -> int: ...

    def forget_person(self, person: bytes, /) -> int: ...

    def seal(self, plain: bytes, context: bytes, /) -> bytes: ...

    def unseal(self, sealed: bytes, context: bytes, /) -> bytes: ...

    def scrub(self) -> None: ...


class Fundings(Protocol):
    """What exchanges ask of third-party payers here (spec/08-exchange, "A third party pays")."""

    def asked(self, author: bytes, /) -> Sequence[FundingNote]:
        """Return what a payer is asked, or was and is on its way."""
        ...

    def request(self, id: bytes, /) -> FundingNote | None:
        """Return one request."""
        ...

    def refusal(self, note: FundingNote, /) -> tuple[str, str]:
        """Return why the last order for a request was refused: code and words, or nothing."""
        ...

    async def fund(self, request: bytes, key: SigningKey, wait_s: float) -> None:
        """Order what was asked with the key of a group's account, once enough have approved.

        Raises: NotAllowed when it is not asked any more; what refuses the order.
        """
        ...


class PersonsHost(Host, Protocol):
    """The node. `runner` is None in a federation without accounts."""

    @property
    def register(self) -> Register: ...

    @property
    def node_key(self) -> SigningKey: ...

    @property
    def directory(self) -> Path:
        """Return the home of the node, where persons.db lies."""
        ...

    @property
    def view(self) -> IdentityView: ...

    @property
    def store(self) -> Store: ...

    @property
    def runner(self) -> LedgerRunner | None: ...

    @property
    def persons_settings(self) -> PersonsSettings: ...

    @property
    def retention_settings(self) -> Retention: ...

    @property
    def holdings(self) -> Mapping[str, Holding]:
        """Return the other files that hold something about persons: exchanges, letters, access."""
        ...

    def bound(self, author: bytes, /) -> int:
        """Return how many exchanges a person has agreed to that are not over."""
        ...

    @property
    def fundings(self) -> Fundings | None:
        """Return what exchanges ask of accounts here, None where none are kept."""
        ...

    def author(self, draft: Draft, key: SigningKey) -> Signed:
        """Sign and take in a record of ours. Raises: Refused."""
        ...

    def submit(self, record: bytes) -> None:
        """Take in a record signed elsewhere. Raises: Refused."""
        ...

    def sign_out(self, author: bytes) -> None:
        """End every session and token of a person: a key of theirs was lost, or they left."""
        ...

    def scrub_ledger(self) -> None:
        """Rewrite the files of the ledger and cut their logs."""
        ...

    def scrub_store(self) -> None:
        """Cut what was erased out of the files of the records."""
        ...

    async def open_stream(self, peer: bytes, protocol: str) -> FrameStream: ...


class Holding(Protocol):
    """Another file of the node that holds something about persons.

    `author` is the person (49 bytes), `keys` their public keys, `sealing` their sealing keys.
    """

    def erase_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> int:
        """Erase what is kept about a person; return how many rows it was."""
        ...

    def export_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> object:
        """Return what is kept about a person, as JSON can carry it, bytes as hexadecimal text."""
        ...

    def forget_before(self, at: int, what: str, /) -> int:
        """Remove what ended before a time (Unix seconds); return how many rows it was.

        `what` is the name of the setting, for a file that keeps several things.
        """
        ...

    def scrub(self) -> object:
        """Cut what was erased out of the file, its free pages and its log."""
        ...
