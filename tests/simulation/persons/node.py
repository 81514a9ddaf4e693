"""One coop's node with the affairs of its people: real desks over files that may die."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import trio

from maillon.ledger.build import EntryWish
from maillon.ledger.entries import Open
from maillon.ledger.limits import BALANCE_MAX
from maillon.node.engine.exchange import ExchangeCore, Setup, notes
from maillon.node.engine.exchange.ports import Ask, Effect, ExchangeStore
from maillon.node.engine.exchange.projecting import binding
from maillon.node.engine.view import IdentityView
from maillon.node.exchange.ledger import NodeLedger
from maillon.node.persons.desk import PersonsDesk
from maillon.node.persons.host import Holding
from maillon.node.persons.settings import PersonsSettings, Retention
from maillon.node.persons.storage import PersonsDisk
from maillon.node.ports import Store
from maillon.node.run.register import Register
from maillon.protocol.envelope import Draft, Signed
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import Founding
from maillon.protocol.keys import SealingKey, SigningKey
from simulation.persons.bank import Bank, BankMachine, BankRunner, RangedDisk
from support.dying import Died
from support.engines import Rig
from support.exchangenet import CoopNode, HeldKeys, PublicRecords
from support.ledgernet import MemoryStream, Unreachable, stream_pair
from support.rounds import stream
from support.world import Member

if TYPE_CHECKING:
    from simulation.persons.world import PersonsNet

LIMIT = 600
"""What a member may owe, in minutes and in hundredths."""


class DyingDisk(PersonsDisk):
    """persons.db of a process that ends at a chosen commit, before it counts or right after."""

    left: int | None = None
    after = False
    dead = False

    def run(self, statement: str, *values: object) -> int:
        if self.dead:
            raise Died
        commits = statement == "COMMIT" or not (
            self._db.in_transaction or statement.startswith(("BEGIN", "ROLLBACK"))
        )
        if commits and not self.after:
            self._count()
        changed = super().run(statement, *values)
        if commits and self.after:
            self._count()
        return changed

    def rows(self, statement: str, *values: object) -> list[Mapping[str, Any]]:
        if self.dead:
            raise Died
        return super().rows(statement, *values)

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.left = None
                raise Died


class RegisterKeys(HeldKeys):
    """The keys of a node, and of those whose keys its register holds."""

    def __init__(self, node: SigningKey, register: Callable[[], Register]) -> None:
        super().__init__(node)
        self._register = register

    def held(self, public: bytes) -> SigningKey | None:
        if public == self.node.public:
            return self.node
        try:
            return self._register().held_key(public)
        except MaillonError:
            return None

    def holds(self, public: bytes) -> bool:
        return self.held(public) is not None


class Home:
    """What a node has on its disks: files, and the queue of what was asked of its chain."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queue = RangedDisk()
        path.mkdir(parents=True, exist_ok=True)

    def backup(self, to: Path) -> Home:
        """Copy everything as it stands."""
        shutil.copytree(self.path, to)
        made = Home(to)
        made.queue = self.queue.copy()
        return made


class SimHost:
    """Implements persons.host.PersonsHost, and what the exchanges' accounts need of a node."""

    def __init__(self, node: PersonsNode, bank: Bank, home: Home) -> None:
        self.node = node
        self.bank = bank
        self.home = home
        self.random = stream(f"{node.net.seed} {node.coop.name}")
        self.coop: bytes = node.coop.id
        self.settings, self.retention = PersonsSettings(), Retention()
        self.others: dict[str, Holding] = {}
        self.open()

    def open(self) -> None:
        """Open what is on the disks, as the start of a process does."""
        secret = SealingKey.from_seed(self.node.coop.root.secret_bytes())
        self.register = Register(self.home.path / "private.db", secret)
        self.disk = DyingDisk(self.home.path)
        for database in (cast("Any", self.register)._db, cast("Any", self.disk)._db):
            # Processes end here, machines do not: the system keeps what was written.
            database.execute("PRAGMA synchronous = OFF")
        machine = BankMachine(self.bank, self.coop, self.home.queue)
        self.bank_runner = BankRunner(self.bank, self.coop, machine, self.node.net.clock)
        self.persons = PersonsDesk(self, self.disk)

    def shut(self) -> None:
        """Close the files, as the end of the process does."""
        self.disk.dead = True
        self.disk.close()
        self.register.close()

    # what the desks ask

    @property
    def founding(self) -> Founding:
        return self.node.net.world.founding

    @property
    def node_key(self) -> SigningKey:
        return self.node.coop.node

    @property
    def directory(self) -> Path:
        return self.home.path

    @property
    def view(self) -> IdentityView:
        return self.node.rig.engine.view

    @property
    def store(self) -> Store:
        return self.node.rig.store

    @property
    def runner(self) -> Any:
        return self.bank_runner

    @property
    def persons_settings(self) -> PersonsSettings:
        return self.settings

    @property
    def retention_settings(self) -> Retention:
        return self.retention

    @property
    def holdings(self) -> Mapping[str, Holding]:
        return self.others

    @property
    def fundings(self) -> None:
        """No exchanges here, so none asks a group for anything."""
        return None

    def bound(self, author: bytes) -> int:
        return binding(self.node.store, author)

    def coop_name(self, coop: bytes) -> str:
        return next((c.name for c in self.node.net.world.coops if c.id == coop), coop.hex()[:8])

    def node_of(self, coop: bytes) -> bytes | None:
        return next((c.node.public for c in self.node.net.world.coops if c.id == coop), None)

    def member_key(self, person: bytes) -> bytes | None:
        return next((row.public for row in self.register.keys_of(person) if row.held), None)

    def time(self) -> int:
        return self.node.net.clock.now_ms // 1_000

    def transfers_certain(self, ids: Sequence[bytes]) -> None:
        pass

    def sign_out(self, author: bytes) -> None:
        pass

    def scrub_ledger(self) -> None:
        pass

    def scrub_store(self) -> None:
        pass

    def author(self, draft: Draft, key: SigningKey) -> Signed:
        rig = self.node.rig
        rig.now = float(self.time())
        signed, _ = rig.engine.author(draft, key, rig.now, rig.verify)
        self.node.net.spread(self.node, signed.encode())
        return signed

    def submit(self, record: bytes) -> None:
        rig = self.node.rig
        rig.now = float(self.time())
        rig.engine.submit(record, rig.now, rig.verify)
        self.node.net.spread(self.node, record)

    async def open_stream(self, peer: bytes, protocol: str) -> MemoryStream:
        return await self.node.net.connect(self.node, peer)


class PersonsNode(CoopNode):
    """A node with engine, exchanges, accounts and persons' affairs."""

    net: PersonsNet

    def __init__(self, net: PersonsNet, place: int, store: ExchangeStore, home: Path) -> None:
        self.net = net
        self.place = place
        self.coop = net.world.coops[place]
        self.rig = Rig(net.world, place)
        self.records = PublicRecords(self.rig)
        self.sealing = SealingKey.from_seed(net.world.derive(f"coop sealing {place}", 32))
        self.store = store
        self.happened, self.faults, self.released = [], [], []
        self.host = SimHost(self, net.bank, Home(home))
        self.keys = RegisterKeys(self.coop.node, lambda: self.host.register)
        self.keys.sealing[self.sealing.public] = self.sealing
        self.core = self.restarted()

    def restarted(self) -> ExchangeCore:
        host = cast("Any", self.host)
        self.ledger = NodeLedger(host, host.runner, self.keys, host)
        self.core = ExchangeCore(
            Setup(
                self.net.world.founding.fed, self.coop.id, self.store, self.rig.engine.view,
                self.ledger, self.keys, self.records, self.net.world.fresh,
            )
        )  # fmt: skip
        return self.core

    def do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                self.net.spawn(self.place, self._carry_out, effect.order)
            else:
                super().do((effect,))

    async def _carry_out(self, order: bytes) -> None:
        note = self.store.note(notes.ORDER, order)
        if note is None:
            return
        status, reason, detail = await self.ledger.carry_out(notes.order_note(note), 0.0)
        after = self.store.note(notes.ORDER, order)
        if after is not None and notes.order_note(after).status in ("ordered", "waiting"):
            self.core.ordered(order, status, reason, detail)

    def hear(self, record: bytes) -> None:
        """Take in a record that another node published, known or not."""
        rig = self.rig
        rig.now = float(self.net.clock.now_ms // 1_000)
        prepared = rig.engine.prepare_sync(self.coop.node.public, [record], rig.now)
        rig.engine.complete(prepared, rig.verify(prepared.items), rig.now)

    def enrol(self, member: Member) -> None:
        """Register somebody whose key the node holds, and open their account."""
        register, now = self.host.register, self.host.time()
        with register.batch():
            register.add_person(member.person, member.name, "", now)
            keys = (member.key, member.sealing)
            register.add_key(
                member.person, member.key.public, member.sealing.public, "node", now, keys
            )
        self.keys.sealing[member.sealing.public] = member.sealing
        positions = tuple((unit, LIMIT, BALANCE_MAX) for unit in (0, 1))
        opening = Open(member.person, 0, member.key.public, positions)
        self.net.bank.place(self.coop.id, [EntryWish(opening)], now)


__all__ = ["Home", "PersonsNode", "SimHost", "Unreachable", "stream_pair", "trio"]
