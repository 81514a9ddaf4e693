"""What the node does for those who sign in: accept, tell, draft, hand over letters."""

from __future__ import annotations

from typing import Protocol

from maillon.node.api import access_shapes as shapes
from maillon.node.api import shapes as record_shapes
from maillon.node.api.auth import Access
from maillon.node.api.caller import Caller
from maillon.node.api.events import Events
from maillon.node.api.gate import Site
from maillon.node.api.passkeys import Passkeys


class AccessService(Protocol):
    """The way in of a node."""

    @property
    def access(self) -> Access:
        """Return who knows sessions and tokens."""
        ...

    @property
    def passkeys(self) -> Passkeys:
        """Return who knows passkeys."""
        ...

    @property
    def events(self) -> Events:
        """Return the broadcaster."""
        ...

    @property
    def site(self) -> Site | None:
        """Return under which names the node is reached over TCP; None when it is not."""
        ...

    def draft(self, request: shapes.DraftRequest, caller: Caller) -> shapes.DraftOut:
        """Draft a record for a device to sign."""
        ...

    def submit(
        self, request: shapes.SignedRecordRequest, caller: Caller
    ) -> record_shapes.Published:
        """Take in a record that a device signed."""
        ...

    def owner(self, record: str) -> bytes | None:
        """Return the author of a record that they signed themselves; None of any other.

        `record` is the beginning of its id. Raises: NotFound, Ambiguous.
        """
        ...

    def letters(self, sealing: bytes, after: int, limit: int, caller: Caller) -> shapes.Letters:
        """Return letters that wait for a sealing key of the caller's."""
        ...

    def taken(self, request: shapes.TakenRequest, caller: Caller) -> shapes.Taken:
        """Forget letters that a device has."""
        ...
