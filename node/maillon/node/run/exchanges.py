"""Put the exchanges of a node together with the rest of it: names, keys, records, ledger, post."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from maillon.ledger.units import UnitTable
from maillon.node.engine.exchange.core import ExchangeCore, Setup
from maillon.node.exchange.desk import ExchangeDesk
from maillon.node.exchange.joint import JointFundings
from maillon.node.exchange.ledger import NodeLedger, NoLedgerHere
from maillon.node.exchange.runner import ExchangeRunner
from maillon.node.exchange.traces import Traces
from maillon.node.run.accounts import LedgerHost
from maillon.node.run.authoring import Signer
from maillon.node.run.register import RegisterError
from maillon.node.store.exchangedisk import ExchangeDisk
from maillon.protocol.bundles import named, waiting_for
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.errors import RemoteError
from maillon.protocol.keys import SigningKey
from maillon.protocol.view import coop_author

if TYPE_CHECKING:
    from maillon.node.engine.view import IdentityView
    from maillon.node.exchange.ports import Standing
    from maillon.node.post.ports import Sending
    from maillon.node.run.node import Node

IDENTITY = frozenset({"coop_profile", "admission", "membership", "mandate", "withdrawal"})


class NodeKeys:
    """Implements engine.exchange.ports.Keys for a running node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def node(self) -> SigningKey:
        return self._node.node_key

    def held(self, public: bytes) -> SigningKey | None:
        if public == self._node.node_key.public:
            return self._node.node_key
        try:
            return self._node.register.held_key(public)
        except RegisterError:
            return None

    def holds(self, public: bytes) -> bool:
        return self.held(public) is not None


class NodeRecords:
    """Implements engine.exchange.ports.Records for a running node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def record(self, id: bytes) -> Signed | None:
        store = self._node.store
        return store.get(id) if store.live(id) else None

    def parts(self, bundle: bytes) -> list[bytes] | None:
        for whole in self._node.store.by_kinds(("bundle",)):
            if whole.thing == bundle:
                parts = self._node.store.by_kinds(("bundle_part",))
                return None if waiting_for(whole, parts) else list(named(whole))
        return None

    def publish(self, record: bytes) -> None:
        try:
            self._node.submit(record)
        except RemoteError as fault:
            if not fault.benign:
                raise


class ExchangeHost(LedgerHost):
    """Implements exchange.ports.Host for a running node."""

    @property
    def node_key(self) -> SigningKey:
        return self._node.node_key

    @property
    def directory(self) -> IdentityView:
        return self._node.engine.view

    def joint(self, payer: bytes, request: bytes) -> Standing | None:
        if payer[1:33] != self._node.coop:
            return None
        return self._node.persons.desk.teams.standing(payer[33:], request)

    def live(self, id: bytes) -> Signed | None:
        return NodeRecords(self._node).record(id)

    def find_record(self, prefix: str) -> Signed:
        return self._node.catalogue.get(self._node.catalogue.find(prefix))

    def author_of(self, record: Signed) -> bytes | None:
        return self._node.engine.view.author_of(record.header, record.id)

    def by_kinds(self, kinds: Sequence[str]) -> Iterator[Valid]:
        return self._node.store.by_kinds(kinds)

    def referring(self, id: bytes) -> list[Signed]:
        store = self._node.store
        found = [store.get(other) for other, _header in store.referring(id)]
        return [record for record in found if record is not None]

    def submit(self, record: bytes) -> None:
        NodeRecords(self._node).publish(record)

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
        node = self._node
        made = node.authoring.new_draft(kind, fields, Signer(key, as_), days=days, refs=refs)
        return node.author(made, key)

    def find_mandate(self, prefix: str) -> bytes:
        return self._node.people.find_mandate(prefix)

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        return self._node.post.send(letters)

    def happened(self, author: bytes | None, kind: str, facts: Mapping[str, Any]) -> None:
        self._node.events.publish("exchange", author, kind, facts)
        if facts.get("kind") == "opening":
            self._node.matching.opened(facts["exchange"])

    def fault(self, where: str, what: str) -> None:
        self._node.faults.note(where, what)


class Exchanges:
    """The exchanges of a node. `erase_person` and its like are for the affairs of persons."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._disk = ExchangeDisk(node.home.exchanges)
        host = ExchangeHost(node)
        keys = NodeKeys(node)
        ledger = node.ledger.runner
        accounts = NoLedgerHere() if ledger is None else NodeLedger(host, ledger, keys, host)
        setup = Setup(
            node.founding.fed,
            node.coop,
            self._disk,
            node.engine.view,
            accounts,
            keys,
            NodeRecords(node),
            os.urandom,
        )
        self.core = ExchangeCore(setup)
        self.runner = ExchangeRunner(
            self.core,
            host,
            accounts,
            self._reader_of,
            None if ledger is None else ledger.next_run,
        )
        self.desk = ExchangeDesk(host, self.runner, self._units)
        self.fundings = JointFundings(self.core, host, self.runner)
        self._traces = Traces(self.core, self._disk.scrub)

    def _units(self) -> UnitTable | None:
        runner = self._node.ledger.runner
        return None if runner is None else UnitTable(runner.machine.book.charter.latest.units)

    def _reader_of(self, sealing: bytes) -> bytes | None:
        """Return whose sealing key it is, of those whose letters the node opens."""
        member = self._node.post.addressees.member(sealing)
        return coop_author(self._node.coop) if member is None else member.author

    async def run(self) -> None:
        """Run until cancelled."""
        await self.runner.run()

    def noticed(self, ids: Sequence[bytes]) -> None:
        """Be told of public records that came: some say who may sign, or what a bundle is."""
        store = self._node.store
        for id in ids:
            header = store.header(id)
            if header is not None and header.kind in IDENTITY:
                with self._node.faults.contained("exchanges"):
                    self.runner.identity_changed()
                return

    def metrics(self) -> dict[str, float]:
        """Return gauges by name."""
        counts = self.core.store.counts()
        return {
            **{f"phase_{phase}": float(n) for phase, n in counts.items()},
            "database_bytes": float(self._disk.bytes_used()),
            "letters_refused": float(self.runner.letters_refused),
        }

    def close(self) -> None:
        """Close the database."""
        self._disk.close()

    # --- the affairs of persons -----------------------------------------------------------------

    def erase_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> int:
        """Erase what is kept of somebody; return how many rows went."""
        return self._traces.erase_person(author, keys, sealing)

    def export_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> object:
        """Return all that is kept of somebody."""
        return self._traces.export_person(author, keys, sealing)

    def forget_before(self, at: int, what: str = "exchanges", /) -> int:
        """Delete exchanges that were finished before a time; return how many."""
        return self._traces.forget_before(at)

    def scrub(self) -> object:
        """Leave no byte of what was erased in any file."""
        return self._traces.scrub()

    def bound(self, author: bytes) -> int:
        """Return how many exchanges somebody has agreed to that are not over."""
        return self._traces.bound(author)

    def acts_of(self, author: bytes) -> list[dict[str, Any]]:
        """Return the steps that somebody took for a person, under a mandate."""
        return self._traces.acts_of(author)


__all__ = ["ExchangeHost", "Exchanges"]
