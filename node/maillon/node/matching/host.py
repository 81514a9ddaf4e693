"""What matching needs of the node around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from maillon.node.api import shapes
from maillon.node.api.service import SearchOptions
from maillon.node.engine.view import IdentityView
from maillon.node.ledger.host import PersonRow
from maillon.node.ports import Store
from maillon.node.post.ports import Sending
from maillon.node.search.query import Query
from maillon.node.search.vocabulary import Vocabulary
from maillon.protocol.envelope import Signed
from maillon.protocol.founding import Founding
from maillon.protocol.keys import SigningKey


class Register(Protocol):
    """The private register, as far as matching needs it."""

    def find_person(self, prefix: str, /) -> PersonRow: ...

    def seal(self, plain: bytes, context: bytes, /) -> bytes: ...

    def unseal(self, sealed: bytes, context: bytes, /) -> bytes: ...


class Host(Protocol):
    """The node."""

    @property
    def coop(self) -> bytes: ...

    @property
    def founding(self) -> Founding: ...

    @property
    def register(self) -> Register: ...

    @property
    def node_key(self) -> SigningKey: ...

    @property
    def home(self) -> Path:
        """Return the directory of the node, where matching.db lies."""
        ...

    @property
    def records(self) -> Path:
        """Return the database of records."""
        ...

    @property
    def view(self) -> IdentityView: ...

    @property
    def store(self) -> Store: ...

    @property
    def language(self) -> str:
        """Return the language that labels are shown in: the coop's first."""
        ...

    def time(self) -> int:
        """Return the time in Unix seconds."""
        ...

    def random(self, size: int, /) -> bytes: ...

    def coop_name(self, coop: bytes) -> str: ...

    def vocabulary(self) -> tuple[Vocabulary, int]:
        """Return what words and categories mean now, and a number that changes when they do."""
        ...

    def unindexed(self) -> bool:
        """Tell whether records wait to be indexed."""
        ...

    def index(self) -> None:
        """Index what waits."""
        ...

    def query(self, options: SearchOptions) -> Query:
        """Read what is looked for. Raises: SearchError, NoSuchCoop, AmbiguousCoop."""
        ...

    def search(self, options: SearchOptions) -> shapes.Hits:
        """Search. Raises: SearchError, StoreError."""
        ...

    def find_record(self, prefix: str) -> Signed:
        """Return the record whose id begins so. Raises: NotFound, Ambiguous."""
        ...

    def author_of(self, record: Signed) -> bytes | None:
        """Return whose record it is, None when it does not count now."""
        ...

    def fields_of(self, kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the payload of a draft, checked as if it were published. Raises: FieldError."""
        ...

    def dealings(self, author: bytes) -> Mapping[bytes, int]:
        """Return with whom a person here had exchanges that came to their end, and how many."""
        ...

    def guarantees(self, author: bytes) -> int:
        """Return how many guarantees are open on an author's exchanges here."""
        ...

    # the world

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        """Seal and keep letters, durably. Raises: PostFull."""
        ...

    def happened(self, author: bytes | None, kind: str, facts: Mapping[str, Any]) -> None:
        """Tell an event of the topic `match` to whom it concerns."""
        ...

    def fault(self, where: str, what: str) -> None:
        """Note what went wrong, for people to read."""
        ...
