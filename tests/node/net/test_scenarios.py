"""The stories of `support.scenarios`, told to engines over real libp2p hosts on loopback."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
import trio

from maillon.node.engine import Engine, Session
from maillon.node.events import (
    Effect,
    NetworkEvent,
    PeerConnected,
    PeerDisconnected,
    Penalise,
    Publish,
    StartSync,
)
from maillon.node.net import Libp2pNetwork, NetSettings
from maillon.node.ports import FrameStream
from maillon.node.run import sync
from maillon.node.store.memory import MemoryStore
from maillon.node.verify import Pool
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import MaillonError
from maillon.protocol.gossip import topic
from support.scenarios import SCENARIOS, Scenario
from support.world import World

WAIT_S = 60.0
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


class Carried:
    """One engine with a host of its own; its network can be taken away and given back."""

    def __init__(self, world: World, place: int, nursery: trio.Nursery) -> None:
        self.coop = world.coops[place]
        self.key = self.coop.node.public
        self._fed = world.founding.fed
        self._nursery = nursery
        self._pool = Pool(0)
        self.store = MemoryStore()
        self.engine = Engine(
            self.store, world.founding, node_key=self.key, rng=Random(place)
        )
        self.engine.start(time.time())
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()
        self.network = self._new_network()

    def _new_network(self) -> Libp2pNetwork:
        network = Libp2pNetwork(
            NetSettings(topic=topic(self._fed), listen=(LOOPBACK,)),
            self.coop.node.secret_bytes(),
            self._judge,
            self._event,
            self.engine.admitted,
            rng=Random(1),
        )
        network.set_handler(sync.PROTOCOL, self._answer)
        return network

    async def up(self) -> None:
        """Start the host and wait until it listens."""
        self.network = self._new_network()
        self._scope, self._stopped = trio.CancelScope(), trio.Event()

        async def hold(*, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
            try:
                with self._scope:
                    await self.network.run(task_status=task_status)
            finally:
                self._stopped.set()

        await self._nursery.start(hold)

    async def down(self) -> None:
        """End the host: nobody reaches this node, and it reaches nobody."""
        self._scope.cancel()
        await self._stopped.wait()
        for peer in list(self.network.connected_keys()):
            self.run(self.engine.disconnected(peer, time.time()))

    async def ticks(self) -> None:
        """Let the engine do what is due, as the runner's timer does."""
        while True:
            self.run(self.engine.tick(time.time()))
            await trio.sleep(min(0.1, max(0.01, self.engine.next_wake(time.time()) - time.time())))

    def submit(self, signed: Signed) -> None:
        """Take in a record of this node's own people."""
        self.run(self.engine.submit(signed.encode(), time.time(), self._pool.verify_now))

    def run(self, effects: Sequence[Effect]) -> None:
        """Do what the engine wants. Addresses in the records are nobody's here and not dialled."""
        for effect in effects:
            match effect:
                case Publish(data):
                    self._nursery.start_soon(self.network.publish, data)
                case Penalise(peer, points, code):
                    self.network.penalise(peer, points, code)
                case StartSync(peer):
                    self._nursery.start_soon(self._start, peer)
                case _:
                    pass
        self.network.admission_changed()

    def _judge(self, peer: bytes, data: bytes) -> bool:
        verdict = self.engine.gossip(peer, data, time.time(), self._pool.verify_now)
        self.run(verdict.effects)
        return verdict.relay

    def _event(self, event: NetworkEvent) -> None:
        match event:
            case PeerConnected(peer):
                self.run(self.engine.connected(peer, time.time()))
            case PeerDisconnected(peer):
                self.run(self.engine.disconnected(peer, time.time()))
            case _:
                pass

    async def _start(self, peer: bytes) -> None:
        try:
            stream = await self.network.open_stream(peer, sync.PROTOCOL)
        except MaillonError:
            return
        session = self.engine.open_sync(peer, time.time())
        if session is None:
            await stream.close()
        else:
            await self._carry(session, stream)

    async def _answer(self, stream: FrameStream) -> None:
        session = self.engine.accept_sync(stream.peer, time.time())
        if session is None:
            await stream.reset()
        else:
            await self._carry(session, stream)

    async def _carry(self, session: Session, stream: FrameStream) -> None:
        try:
            await sync.run_session(session, stream, time.time, self._pool.begin, self.run)
        except MaillonError:
            await stream.reset()
        else:
            await stream.close()


class Real:
    """Three nodes with real hosts; waiting lets real time pass."""

    def __init__(self, name: str, nursery: trio.Nursery) -> None:
        self.world = World(3, seed=name, now=int(time.time()))
        self.nodes = [Carried(self.world, place, nursery) for place in range(3)]

    async def start(self) -> None:
        # Only who is known to belong is let in, so each knows older profiles than the story's.
        world = self.world
        profiles = [world.profile(coop, at=world.now - 21 * 86_400) for coop in world.coops]
        for node in self.nodes:
            for profile in profiles:
                node.submit(profile)
            await node.up()
        self._acquaint()

    def _acquaint(self) -> None:
        for node in self.nodes:
            for other in self.nodes:
                addresses = other.network.addresses()
                if other is not node and addresses:
                    node.network.dial(other.key, addresses)

    async def submit(self, node: int, signed: Signed) -> None:
        self.nodes[node].submit(signed)

    async def cut(self, node: int) -> None:
        await self.nodes[node].down()

    async def join(self, node: int) -> None:
        await self.nodes[node].up()
        self._acquaint()

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        with trio.move_on_after(WAIT_S):
            while not holds():
                await trio.sleep(0.05)
            return
        pytest.fail(f"not in {WAIT_S} seconds: {what}")

    def live(self, node: int) -> frozenset[bytes]:
        return frozenset(id for _at, id in self.nodes[node].store.iterate_live())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_the_story_ends_well_over_libp2p(scenario: Scenario) -> None:
    async with trio.open_nursery() as nursery:
        real = Real(scenario.__name__, nursery)
        await real.start()
        for node in real.nodes:
            nursery.start_soon(node.ticks)
        await scenario(real)
        for node in real.nodes:
            await node.down()
        nursery.cancel_scope.cancel()
