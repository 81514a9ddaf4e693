"""Nodes with records and accounts in one process, and what they do for persons.

What runs is the nodes' own code; what stands in is the network and the clock, as in `ledgernet`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import trio

from maillon.node.api.caller import THE_OPERATOR, Caller
from maillon.node.engine import Engine
from maillon.node.engine.view import IdentityView
from maillon.node.events import Effect, Publish
from maillon.node.ledger.desk import Desk
from maillon.node.persons import traces
from maillon.node.persons.desk import PersonsDesk
from maillon.node.persons.host import Holding
from maillon.node.persons.ruled import RuledDesk, status_of
from maillon.node.persons.settings import PersonsSettings, Retention
from maillon.node.store.ledgerdisk import SqliteDisk
from maillon.node.store.sqlite import SqliteStore
from maillon.protocol.envelope import Draft, Signed, decode_record, draft
from maillon.protocol.gossip import decode_batch
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.records import DAY_S, build
from maillon.protocol.view import person_author
from support.charters import LedgerCoop
from support.engines import Counting
from support.ledgernet import LedgerNet, LedgerTestNode, MemoryStream, Unreachable, stream_pair
from support.world import NOW

OPERATOR = THE_OPERATOR
PROFILE_DAYS = 1_000


class PersonsTestNode(LedgerTestNode):
    """One coop's node: implements persons.host.PersonsHost."""

    def __init__(self, net: LedgerNet, coop: LedgerCoop, home: Path, *, clone: str = "") -> None:
        self.verify = Counting()
        self.binding: dict[bytes, int] = {}
        """By author: exchanges agreed to that are not over, on disk like all that is signed."""
        super().__init__(net, coop, home, clone=clone)

    def load(self) -> None:
        super().load()
        self.store = SqliteStore(self.home / "node.db")
        self.engine = Engine(
            self.store,
            self.founding,
            node_key=self.keys.node.public,
            rng=Random(f"{self.name} {self.net.federation.seed}"),
        )
        self.engine.start(float(self.time()))
        self.engine.view.transfers = lambda id: None
        self.settings = PersonsSettings()
        self.retention = Retention()
        self.others: dict[str, Holding] = {}
        self.signed_out: list[bytes] = []
        self.desk: Desk = RuledDesk(
            self,
            self.runner,
            lambda: b"",
            partial(status_of, self.engine.view, self.store),
            self.settings.forbidden,
        )
        self.persons = PersonsDesk(self)

    # PersonsHost

    @property
    def node_key(self) -> SigningKey:
        return self.keys.node

    @property
    def directory(self) -> Path:
        return self.home

    @property
    def view(self) -> IdentityView:
        return self.engine.view

    @property
    def persons_settings(self) -> PersonsSettings:
        return self.settings

    @property
    def retention_settings(self) -> Retention:
        return self.retention

    @property
    def fundings(self) -> None:
        """No exchanges here, so none asks a group for anything."""
        return None

    def bound(self, author: bytes) -> int:
        return self.binding.get(author, 0)

    def author(self, draft: Draft, key: SigningKey) -> Signed:
        signed, effects = self.engine.author(draft, key, float(self.time()), self.verify)
        self.spread(effects)
        return signed

    def submit(self, record: bytes) -> None:
        self.spread(self.engine.submit(record, float(self.time()), self.verify))

    def spread(self, effects: Sequence[Effect]) -> None:
        """Give what is published to whoever is connected now."""
        effects = [*effects, *self.engine.tick(float(self.time()) + 10)]
        for effect in effects:
            if not isinstance(effect, Publish):
                continue
            for key in self.wire.connected_keys():
                other = self.net.by_node[key]
                assert isinstance(other, PersonsTestNode)
                other.hear(decode_batch(effect.data))

    def hear(self, records: Sequence[bytes]) -> None:
        """Take records in, what is known already too."""
        now = float(self.time())
        prepared = self.engine.prepare_sync(self.keys.node.public, records, now)
        self.engine.complete(prepared, self.verify(prepared.items), now)

    def catch_up(self) -> None:
        """Get all live records of every node that can be reached."""
        for key in self.wire.connected_keys():
            other = self.net.by_node[key]
            assert isinstance(other, PersonsTestNode)
            ids = [id for _, id in other.store.iterate_live()]
            self.hear(other.store.encoded(ids))

    @property
    def holdings(self) -> Mapping[str, Holding]:
        return self.others

    def sign_out(self, author: bytes) -> None:
        self.signed_out.append(author)

    def scrub_ledger(self) -> None:
        assert isinstance(self.disk, SqliteDisk)
        traces.scrub(self.disk)

    def scrub_store(self) -> None:
        self.store.scrub()

    async def open_stream(self, peer: bytes, protocol: str) -> MemoryStream:
        node = self.net.by_node.get(peer)
        if node is None or peer not in self.wire.connected_keys():
            raise Unreachable("not connected")
        assert isinstance(node, PersonsTestNode)
        ours, theirs = stream_pair(self.wire.own, peer)
        self.net.streams.append((frozenset((self.wire.own, peer)), ours, theirs))
        assert self.net.nursery is not None
        self.net.nursery.start_soon(node.persons.serve, theirs)
        await trio.lowlevel.checkpoint()
        return ours

    async def run(self) -> None:
        self.gone = gone = trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve_persons, nursery.cancel_scope)
                await super().run()
                nursery.cancel_scope.cancel()
        finally:
            gone.set()

    async def _serve_persons(self, scope: trio.CancelScope) -> None:
        while not self.running:
            await trio.lowlevel.checkpoint()
        await self.persons.run()

    async def ended(self) -> None:
        """Wait until a node that was stopped has come to rest."""
        await self.gone.wait()

    def shut(self) -> None:
        """Close the files, as the end of the process does."""
        self.persons.close()
        self.store.close()

    # What tests ask

    def profile(self) -> Signed:
        """Make the coop's profile."""
        fields: dict[str, Any] = {
            "name": self.name,
            "node_key": self.keys.node.public,
            "addresses": ["/ip4/192.0.2.1/tcp/4001"],
            "languages": ["fr"],
            "lang": "fr",
        }
        at = NOW - DAY_S
        made = draft(
            "coop_profile",
            build("coop_profile", salt=self.random(16), **fields),
            fed=self.founding.fed,
            coop=self.coop,
            by=self.keys.root.public,
            at=at,
            until=at + PROFILE_DAYS * DAY_S,
            series=self.random(16),
        )
        return self.author(made, self.keys.root)

    def person(self, name: str, **more: Any) -> bytes:
        """Register somebody whose key the node holds, and vouch for it; return the person."""
        person = self.random(16)
        key = SigningKey.from_seed(self.random(32))
        sealing = SealingKey.from_seed(self.random(32))
        custody = more.pop("custody", "node")
        with self.register.batch():
            self.register.add_person(person, name, "", self.time())
            secrets = (key, sealing) if custody == "node" else None
            self.register.add_key(
                person, key.public, sealing.public, custody, self.time(), secrets
            )
        self.vouch(person, key.public, sealing.public, custody=custody, **more)
        return person

    def vouch(self, person: bytes, key: bytes, sealing: bytes, **more: Any) -> Signed:
        """Publish a membership."""
        fields = {
            "person": person,
            "key": key,
            "sealing": sealing,
            "roles": ["member"],
            "status": "active",
            "custody": "node",
            **more,
        }
        at = self.time()
        made = draft(
            "membership",
            build("membership", salt=self.random(16), **fields),
            fed=self.founding.fed,
            coop=self.coop,
            by=self.keys.node.public,
            at=at,
            until=at + 700 * DAY_S,
            series=self.random(16),
        )
        return self.author(made, self.keys.node)

    async def holder(self, name: str, limit: int = 600, **more: Any) -> str:
        """Register somebody with an account; return `coop:account`."""
        from maillon.node.api import ledger_shapes as shapes

        person = self.person(name, **more)
        placed = await self.desk.open_account(
            shapes.AccountRequest(
                person=person.hex(),
                key=self.register.keys_of(person)[0].public.hex(),
                positions=[
                    shapes.PositionRequest("heure", limit),
                    shapes.PositionRequest("sel", limit),
                ],
                wait_s=60,
            )
        )
        assert placed.status == "certified", placed
        return f"{self.coop.hex()}:{person.hex()}"

    def author_of(self, account: str) -> bytes:
        """Return the author of `coop:account`."""
        coop, _, person = account.partition(":")
        return person_author(bytes.fromhex(coop), bytes.fromhex(person))

    def caller(self, account: str, *scopes: str) -> Caller:
        """Return somebody signed in for an account."""
        found = frozenset(scopes or ("read", "exchange", "pay", "publish"))
        return Caller("member", self.author_of(account), None, found)


async def restart(net: LedgerNet, node: PersonsTestNode) -> None:
    """Start a node that was stopped, from what its files have."""
    await node.ended()
    node.shut()
    await net.restart(node)


@contextlib.asynccontextmanager
async def persons_net(
    directory: Path, n: int = 3, *, seed: str = "persons"
) -> AsyncGenerator[tuple[LedgerNet, list[PersonsTestNode]]]:
    """Give n running nodes of one federation, all connected, whose coops have profiles."""
    from support.charters import LedgerFederation

    net = LedgerNet(LedgerFederation(n=n, seed=seed))
    net.begun = trio.current_time()
    nodes: list[PersonsTestNode] = []
    try:
        async with trio.open_nursery() as nursery:
            net.nursery = nursery
            for place, coop in enumerate(net.federation.coops):
                node = PersonsTestNode(net, coop, directory / f"{place}")
                net.nodes.append(node)
                net.by_node[coop.node.public] = node
                nodes.append(node)
            for node in nodes:
                await net.start(node)
            for node in nodes:
                node.profile()
            yield net, nodes
            nursery.cancel_scope.cancel()
    finally:
        for node in nodes:
            node.shut()
            node.register.close()
            with contextlib.suppress(AttributeError):
                node.disk.close()  # type: ignore[attr-defined]


__all__ = ["NOW", "OPERATOR", "PersonsTestNode", "decode_record", "persons_net", "restart"]
