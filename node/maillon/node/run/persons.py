"""Put the parts about persons together with the rest of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from maillon.node import bounds, clock
from maillon.node.persons import traces
from maillon.node.persons.desk import PersonsDesk
from maillon.node.persons.host import Fundings, Holding
from maillon.node.run.accounts import LedgerHost
from maillon.protocol.voucherframes import PROTOCOL

if TYPE_CHECKING:
    from maillon.node.engine.view import IdentityView
    from maillon.node.ledger.runner import LedgerRunner
    from maillon.node.persons.settings import PersonsSettings, Retention
    from maillon.node.ports import FrameStream, Store
    from maillon.node.run.node import Node
    from maillon.protocol.envelope import Draft, Signed
    from maillon.protocol.keys import SigningKey


class AccessHolding:
    """What access.db holds about persons: sessions, tokens, passkeys."""

    def __init__(self, node: Node) -> None:
        self._store = node.interface.store

    def erase_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> int:
        return self._store.forget(author)

    def export_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> object:
        store = self._store
        return {
            "tokens": [asdict(token) for token in store.tokens(author, "", bounds.API_ROWS_MAX)],
            "sessions": [asdict(session) for session in store.sessions(author, clock.now())],
            "passkeys": [asdict(passkey) for passkey in store.passkeys(author)],
        }

    def forget_before(self, at: int, what: str, /) -> int:
        # What has ended goes by itself, every few minutes.
        return 0

    def scrub(self) -> object:
        self._store.scrub()
        return None


class PersonsHostOf(LedgerHost):
    """Implements persons.host.PersonsHost for a running node."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.added: dict[str, Holding] = {}

    @property
    def node_key(self) -> SigningKey:
        return self._node.node_key

    @property
    def directory(self) -> Path:
        return self._node.home.path

    @property
    def view(self) -> IdentityView:
        return self._node.engine.view

    @property
    def store(self) -> Store:
        return self._node.store

    @property
    def runner(self) -> LedgerRunner | None:
        return self._node.ledger.runner

    @property
    def persons_settings(self) -> PersonsSettings:
        return self._node.config.persons

    @property
    def retention_settings(self) -> Retention:
        return self._node.config.retention

    @property
    def holdings(self) -> Mapping[str, Holding]:
        return self.added

    def bound(self, author: bytes) -> int:
        return self._node.exchanges.bound(author)

    @property
    def fundings(self) -> Fundings | None:
        return self._node.exchanges.fundings if self._node.ledger.runner is not None else None

    def author(self, draft: Draft, key: SigningKey) -> Signed:
        return self._node.author(draft, key)

    def submit(self, record: bytes) -> None:
        self._node.submit(record)

    def sign_out(self, author: bytes) -> None:
        self._node.interface.store.end_all(author, clock.now())

    def scrub_ledger(self) -> None:
        if self._node.ledger.disk is not None:
            traces.scrub(self._node.ledger.disk)

    def scrub_store(self) -> None:
        self._node.store.scrub()

    async def open_stream(self, peer: bytes, protocol: str) -> FrameStream:
        return await self._node.network.open_stream(peer, protocol)


class Persons:
    """The affairs of persons on a running node."""

    def __init__(self, node: Node) -> None:
        self._host = PersonsHostOf(node)
        self._host.added["access"] = AccessHolding(node)
        self.desk = PersonsDesk(self._host)

    def hold(self, name: str, holding: Holding) -> None:
        """Let exports, erasures and retention take in another file, by its name."""
        self._host.added[name] = holding
        acts = getattr(holding, "acts_of", None)
        if acts is not None:
            self.desk.acting.elsewhere.append(acts)

    async def run(self) -> None:
        """Run until cancelled."""
        await self.desk.run()

    async def serve(self, stream: FrameStream) -> None:
        """Answer a stream of PROTOCOL."""
        await self.desk.serve(stream)

    def close(self) -> None:
        """Close persons.db."""
        self.desk.close()


__all__ = ["PROTOCOL", "Persons"]
