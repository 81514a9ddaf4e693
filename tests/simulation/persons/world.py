"""Coops whose people pay by cheque, found groups and move, while they deal with each other.

The desks, the engines, the cores of exchanges and the rules of the accounts are the real ones.
Simulated are the time, the network, the post, the agreement of witnesses (see `bank`), and what
breaks: processes that end at a commit or at any other moment, streams that break before the answer,
coops that are away, records that overtake each other, and nodes that are put back from a backup.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing

from maillon.protocol.errors import MaillonError
from simulation.exchange.checkers import need
from simulation.exchange.world import SETTLE_S, WatchedNet
from simulation.exchange.world import World as ExchangeWorld
from simulation.persons.bank import Bank
from simulation.persons.checkers import PersonsCheckers
from simulation.persons.clock import LiveClockwork, deterministic
from simulation.persons.node import PersonsNode
from simulation.persons.people import People
from simulation.persons.plan import Plan
from support.charters import LedgerFederation
from support.dying import Died
from support.exchangenet import CoopNode
from support.ledgernet import MemoryStream, Unreachable, stream_pair
from support.world import Coop, Member, World

logging.getLogger("maillon").setLevel(logging.CRITICAL)


class PersonsNet(WatchedNet):
    """Nodes with persons' affairs; what they publish travels, and may be overtaken."""

    life: PersonsWorld
    home: Path

    @property
    def clock(self) -> LiveClockwork:
        return self.life.clock

    def __post_init__(self) -> None:
        """Make no node yet: they need the world around them."""
        self.federation = LedgerFederation(self.coops, seed=self.seed)
        self.world = World(self.coops, seed=self.seed)
        self.world.coops = [
            Coop(coop.name, coop.root, coop.node, True) for coop in self.federation.coops
        ]
        self.world.founding = self.federation.founding
        self.bank = Bank(self.federation)
        self.now = self.world.now
        self.streams: list[tuple[set[int], MemoryStream, MemoryStream]] = []

    def begin(self, life: PersonsWorld, home: Path) -> None:
        """Make the nodes."""
        self.life = life
        for place in range(self.coops):
            store = self.stores(place)
            assert store is not None
            self.nodes.append(PersonsNode(self, place, store, home / f"{place}"))
        for node in self.nodes:
            self.publish(self.world.profile(node.coop, sealing=node.sealing.public))

    def at(self, place: int) -> PersonsNode:
        """Return a node."""
        node = self.nodes[place]
        assert isinstance(node, PersonsNode)
        return node

    def member(self, place: int, name: str, *, held: bool = True, **fields: Any) -> Member:
        made = self.world.make_member(place, name)
        self.at(place).enrol(made)
        self.publish(self.world.membership(made, custody="node", **fields))
        return made

    def spawn(self, place: int, what: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Let a node do something that may take time."""
        self.life.spawn(place, what, *arguments)

    def spread(self, source: PersonsNode, record: bytes) -> None:
        """Let a record travel to all other nodes."""
        self.life.spread(source.place, record)

    @staticmethod
    def reader(node: CoopNode, key: bytes) -> bytes:
        """Return whose sealing key it is, or was."""
        if key == node.sealing.public:
            return node.coop.author
        assert isinstance(node, PersonsNode)
        for person in node.host.register.people():
            for row in node.host.register.keys_of(person.id):
                if row.sealing == key:
                    return b"p" + node.coop.id + person.id
        return b""

    async def connect(self, node: PersonsNode, peer: bytes) -> MemoryStream:
        """Open a stream to another node, which may break before the answer comes."""
        life, rng = self.life, self.life.rng
        place = next(n for n, other in enumerate(self.nodes) if other.coop.node.public == peer)
        await trio.sleep(rng.choice((0.1, 0.1, 5.0)))
        if {place, node.place} & (life.away | life.down):
            raise Unreachable("not connected")
        ours, theirs = stream_pair(node.coop.node.public, peer)
        self.streams.append(({place, node.place}, ours, theirs))
        self.spawn(place, self.at(place).host.persons.serve, theirs)
        if not life.healed and rng.random() < life.plan.lost:
            life.count("streams that broke")
            self.clock.after(rng.choice((1, 20_000)), ours.drop)
            self.clock.after(rng.choice((1, 20_000)), theirs.drop)
        return ours

    def silence(self, place: int) -> None:
        """Break all streams of a node."""
        for places, ours, theirs in self.streams:
            if place in places:
                ours.drop()
                theirs.drop()
        self.streams = [stream for stream in self.streams if place not in stream[0]]


class PersonsWorld(ExchangeWorld):
    """One run."""

    plan: Plan
    net: PersonsNet
    clock: LiveClockwork
    checkers: PersonsCheckers

    def __init__(self, seed: int, *, plan: Plan, keep_trace: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="maillon-")
        self._seed = seed
        self._scopes: dict[int, dict[trio.CancelScope, None]] = {}
        self._nursery: trio.Nursery | None = None
        self._fault: BaseException | None = None
        self._busy: set[tuple[int, bool]] = set()
        self._backups = 0
        super().__init__(seed, plan=plan, keep_trace=keep_trace)
        self.people = self.checkers.people = People(self)

    def _make_net(self, seed: int) -> PersonsNet:
        return PersonsNet(self.plan.coops, seed=f"simulated persons {seed}", stores=self._store)

    def _make_clock(self, seed: int, keep_trace: bool) -> LiveClockwork:
        clock = LiveClockwork(f"persons {seed}", self.net.now, keep_trace=keep_trace)
        self.clock = clock
        self.net.begin(self, Path(self._folder.name))
        return clock

    def _make_checkers(self) -> PersonsCheckers:
        return PersonsCheckers(self.net, self.members)

    # --- a run ----------------------------------------------------------------------------------

    def run(self) -> dict[str, int]:
        """Run to the end. Raises: Broken, and whatever a desk raises that it must not."""
        deterministic(f"persons {self._seed}")
        clock = trio.testing.MockClock(autojump_threshold=0)
        try:
            trio.run(self._main, clock=clock)
            if self._fault is not None:
                raise self._fault
            return self._end()
        finally:
            for place in range(len(self.net.nodes)):
                self.net.at(place).host.shut()
            self._folder.cleanup()

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                self._begin()
                await self.clock.live_until(self.clock.now_ms + self.plan.active_s * 1_000)
                self._heal()
                await self.clock.live_until(self.clock.now_ms + SETTLE_S * 1_000)
            except Exception as fault:
                self._fault = self._fault or fault
            self._nursery = None
            nursery.cancel_scope.cancel()

    def _begin(self) -> None:
        super()._begin()
        for place in range(self.plan.coops):
            self.clock.after(self.rng.randrange(600_000), self._work, place, True)
            self.clock.after(self.rng.randrange(600_000), self._work, place, False)
            self.clock.after(self.rng.randrange(3_600_000), self._catch_up, place)
        for _ in range(self.plan.kills):
            self.clock.after(self._moment(), self._killed, self.rng.randrange(self.plan.coops))
        self.people.begin()

    def _heal(self) -> None:
        super()._heal()
        for place in range(self.plan.coops):
            self.net.at(place).host.disk.left = None
        self.people.heal()

    def _end(self) -> dict[str, int]:
        for place in range(self.plan.coops):
            self.net.now = self.clock.now_ms // 1_000
            need(place not in self.down, "all nodes run in the end", place=place)
        return super()._end()

    # --- tasks ----------------------------------------------------------------------------------

    def spawn(self, place: int, what: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Let a node do something that takes time, until it is done or the process ends."""
        if self._nursery is not None and place not in self.down:
            self._nursery.start_soon(self._task, place, what, arguments)

    async def _task(
        self, place: int, what: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]
    ) -> None:
        scope = trio.CancelScope()
        self._scopes.setdefault(place, {})[scope] = None
        try:
            with scope:
                await what(*arguments)
        except Died:
            if place not in self.down:
                self._died(place)
        except MaillonError as fault:
            self.clock.note("refused", place, fault.code)
        except BaseException as fault:
            if not isinstance(fault, trio.Cancelled):
                self._fault = self._fault or fault
                if self._nursery is not None:
                    self._nursery.cancel_scope.cancel()
                return
            raise
        finally:
            self._scopes[place].pop(scope, None)
        self._send_off()

    def _died(self, place: int) -> None:
        super()._died(place)
        self.net.at(place).host.disk.dead = True
        for scope in list(self._scopes.get(place, ())):
            scope.cancel()
        self.net.silence(place)
        self._busy -= {(place, True), (place, False)}

    def _killed(self, place: int) -> None:
        if place not in self.down and not self.healed:
            self._died(place)

    def _boot(self, place: int) -> None:
        if place in self.down:
            host = self.net.at(place).host
            host.shut()
            host.open()
        super()._boot(place)
        if place not in self.down:
            self._catches_up(place)

    def _dies_at_commit(self, place: int, commits: int, after: bool) -> None:
        if self.healed:
            return
        if self.rng.random() < 0.3:
            super()._dies_at_commit(place, commits, after)
        else:
            disk = self.net.at(place).host.disk
            disk.left, disk.after = commits, after

    def _backed_up(self, place: int) -> None:
        if place in self.down:
            return
        self._backups += 1
        home = self.net.at(place).host.home
        kept = home.backup(Path(self._folder.name) / f"backup {self._backups}")
        self.people.backed_up(place)
        super()._backed_up(place)
        self._kept_home = kept

    def _put_back(self, place: int, kept: Any, since_ms: int) -> None:
        if self.healed or place in self.down:
            return
        host = self.net.at(place).host
        host.disk.dead = True
        for scope in list(self._scopes.get(place, ())):
            scope.cancel()
        self.net.silence(place)
        self._busy -= {(place, True), (place, False)}
        host.shut()
        host.home = self._kept_home
        host.open()
        super()._put_back(place, kept, since_ms)
        self._catches_up(place)

    # --- what goes on by itself -----------------------------------------------------------------

    def _work(self, place: int, own: bool) -> None:
        pauses = (600,) if self.healed else (5, 60, 600, 3_600)
        self.clock.after(self.rng.choice(pauses) * 1_000, self._work, place, own)
        if (place, own) not in self._busy and place not in self.down:
            self._busy.add((place, own))
            self.spawn(place, self._works, place, own)

    async def _works(self, place: int, own: bool) -> None:
        desk = self.net.at(place).host.persons
        jobs = desk.own_jobs() if own else desk.far_jobs()
        for job in jobs:
            await job()
        self._busy.discard((place, own))
        self.checkers.worked(place)

    def _settle(self) -> None:
        wait = self.rng.choice((2, 60, 3_600)) if not self.healed else 60
        self.clock.after(wait * 1_000, self._settle)
        moved = 0
        for place in range(self.plan.coops):
            if place not in self.down and place not in self.away:
                moved += self.net.at(place).host.bank_runner.step()
        if moved:
            self.checkers.moved()
            for place in range(self.plan.coops):
                self.clock.after(self.rng.randrange(60_000), self._sees_ledger, place)

    # --- records --------------------------------------------------------------------------------

    def spread(self, source: int, record: bytes) -> None:
        """Let a record travel: each node hears of it at another time, or from another node."""
        for place in range(self.plan.coops):
            if place != source:
                self.clock.after(self._way(), self._hears, source, place, record)

    def _hears(self, source: int, place: int, record: bytes) -> None:
        if {source, place} & self.away or place in self.down:
            return  # it is found when the nodes compare what they have
        self._take_records(place, [record])

    def _take_records(self, place: int, records: list[bytes]) -> None:
        node = self.net.at(place)

        def take() -> None:
            for record in records:
                node.hear(record)
            node.do(node.core.identity_changed(self.net.now))

        self.guarded(place, take)

    def _catch_up(self, place: int) -> None:
        self.clock.after(3_600_000, self._catch_up, place)
        self._catches_up(place)

    def _catches_up(self, place: int) -> None:
        if place in self.down or place in self.away:
            return
        here = self.net.at(place).rig.store
        for other in range(self.plan.coops):
            if other == place or other in self.away or other in self.down:
                continue
            there = self.net.at(other).rig.store
            ids = [id for _, id in there.iterate_live() if not here.live(id)]
            if ids:
                self._take_records(place, list(there.encoded(ids)))

    # --- people ---------------------------------------------------------------------------------

    def _opens(self, who: Member, asks: Member, gives: Member, **fields: Any) -> None:
        try:
            super()._opens(who, asks, gives, **fields)
        except MaillonError as fault:
            # Whoever has moved is refused at the coop they left, with the same key.
            need(fault.code == "membership_revoked", "people can deal with each other",
                 code=fault.code)  # fmt: skip
            self.count("refused: an opening by who has left")

    def _place(self, member: Member) -> int:
        return next(n for n, node in enumerate(self.net.nodes) if node.coop.id == member.coop.id)

    def arrived(self, old: Member, place: int, person: bytes) -> None:
        """Let somebody who moved be somebody of the new coop from now on."""
        coop = self.net.world.coops[place]
        made = Member(coop, f"{old.name} moved", person, old.key, old.sealing)  # type: ignore[arg-type]
        self.members.append(made)
        self.net.at(place).keys.sealing[old.sealing.public] = old.sealing


__all__ = ["PersonsWorld"]
