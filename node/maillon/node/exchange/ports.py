"""What the exchanges of a node need of the node around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from maillon.node.engine.exchange.ports import Directory
from maillon.node.ledger.host import Names
from maillon.node.post.ports import Sending
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.founding import Founding
from maillon.protocol.keys import SigningKey


class Standing(Protocol):
    """How far a payment is for which several sign."""

    @property
    def needed(self) -> int: ...

    @property
    def members(self) -> tuple[bytes, ...]: ...

    @property
    def approvals(self) -> tuple[bytes, ...]: ...

    @property
    def order(self) -> bytes: ...


class Host(Protocol):
    """The node."""

    @property
    def coop(self) -> bytes: ...

    @property
    def founding(self) -> Founding: ...

    @property
    def node_key(self) -> SigningKey: ...

    @property
    def register(self) -> Names: ...

    @property
    def directory(self) -> Directory: ...

    def time(self) -> int:
        """Return the time in Unix seconds."""
        ...

    def random(self, size: int, /) -> bytes: ...

    def coop_name(self, coop: bytes) -> str: ...

    def node_of(self, coop: bytes) -> bytes | None:
        """Return the key of the node that a coop announces now, or None."""
        ...

    def joint(self, payer: bytes, request: bytes) -> Standing | None:
        """Return who signs together for a payer here, and for a request; None when one alone."""
        ...

    # public records

    def live(self, id: bytes) -> Signed | None:
        """Return a live record."""
        ...

    def find_record(self, prefix: str) -> Signed:
        """Return the record whose id begins so. Raises: NotFound, Ambiguous."""
        ...

    def author_of(self, record: Signed) -> bytes | None:
        """Return whose record it is, None when it does not count now."""
        ...

    def by_kinds(self, kinds: Sequence[str]) -> Iterator[Valid]: ...

    def referring(self, id: bytes) -> list[Signed]:
        """Return the live records that refer to one."""
        ...

    def submit(self, record: bytes) -> None:
        """Take in and gossip a record signed by somebody here. Raises: Refused."""
        ...

    def publish(
        self,
        kind: str,
        fields: Mapping[str, Any],
        key: SigningKey,
        *,
        as_: bytes = b"",
        refs: Sequence[bytes] = (),
        days: int | None = None,
    ) -> Signed:
        """Draft, sign and publish a public record. Raises: Refused, FieldError."""
        ...

    def find_mandate(self, prefix: str) -> bytes:
        """Return the thing of the mandate whose id begins so. Raises: NotFound, Ambiguous."""
        ...

    # the world

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        """Seal and keep letters, durably. Raises: PostFull."""
        ...

    def happened(self, author: bytes | None, kind: str, facts: Mapping[str, Any]) -> None:
        """Tell an event of the topic `exchange` to whom it concerns."""
        ...

    def fault(self, where: str, what: str) -> None:
        """Note what went wrong, for people to read."""
        ...
