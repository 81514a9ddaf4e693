"""One engine over a store in memory, in a small world, and two of them with a wire between."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from maillon.node.engine import Engine, Session
from maillon.node.engine.core import Settings
from maillon.node.events import Effect, Publish
from maillon.node.ports import SignatureItem
from maillon.node.store.memory import MemoryStore
from maillon.protocol.envelope import Signed, decode_record
from maillon.protocol.gossip import decode_batch, encode_batches
from maillon.protocol.keys import signature_ok
from support.world import World

E = TypeVar("E")


class Counting:
    """Verify for real, and count."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, items: Sequence[SignatureItem]) -> list[bool]:
        self.count += len(items)
        return [signature_ok(*item) for item in items]


class Rig:
    """An engine that speaks for one coop of a world."""

    def __init__(
        self,
        world: World,
        coop: int = 0,
        *,
        settings: Settings | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        self.world = world
        self.coop = world.coops[coop]
        self.store = MemoryStore() if store is None else store
        self.verify = Counting()
        self.now = float(world.now)
        self.key = self.coop.node.public
        self.engine = Engine(
            self.store,
            world.founding,
            node_key=self.key,
            rng=Random(f"{world.seed} {coop}"),
            settings=settings,
        )
        self.effects: list[Effect] = self.engine.start(self.now)

    def submit(self, *records: Signed) -> list[Effect]:
        """Take in records of our own people, one by one; all have to pass."""
        effects: list[Effect] = []
        for signed in records:
            effects += self.engine.submit(signed.encode(), self.now, self.verify)
        return effects

    def hear(self, *records: Signed | bytes, peer: bytes = b"p" * 32) -> tuple[bool, list[Effect]]:
        """Take one gossip message."""
        encoded = [r if isinstance(r, bytes) else r.encode() for r in records]
        verdict = self.engine.gossip(peer, encode_batches(encoded)[0], self.now, self.verify)
        return verdict.relay, verdict.effects

    def live(self, signed: Signed) -> bool:
        """Say whether a record is live here."""
        return self.store.live(signed.id)

    def snapshot(self) -> tuple[object, ...]:
        """Return all that a refusal must not change."""
        ids = list(self.store.iterate_live())
        return (ids, list(self.engine.items), [self.store.get(id) for _, id in ids])

    def consistent(self) -> bool:
        """Say whether the item set is in step with the store."""
        return list(self.engine.items) == list(self.store.iterate_live())


def founded(coops: int = 3, seed: str = "engine") -> World:
    """Return a world to put rigs into."""
    return World(coops, seed=seed)


def published(effects: Sequence[Effect]) -> list[Signed]:
    """Return the records that are gossiped."""
    return [
        decode_record(record)
        for effect in effects
        if isinstance(effect, Publish)
        for record in decode_batch(effect.data)
    ]


def of_type(effects: Sequence[Effect], kind: type[E]) -> list[E]:
    """Return the effects of one type."""
    return [effect for effect in effects if isinstance(effect, kind)]


class Wire:
    """Run one session between two rigs, frame by frame."""

    def __init__(self, one: Rig, other: Rig) -> None:
        first = one.engine.open_sync(other.key, one.now)
        second = other.engine.accept_sync(one.key, other.now)
        assert first is not None and second is not None
        self.sides: list[tuple[Rig, Session]] = [(one, first), (other, second)]
        self.frames = 0
        self.bytes = 0
        self.effects: list[list[Effect]] = [[], []]

    def run(self, frames_max: int = 100_000) -> None:
        """Let both talk until neither has anything to say."""
        for rig, session in self.sides:
            session.start(rig.now)
        while self.frames < frames_max:
            moved = False
            for place in (0, 1):
                rig, session = self.sides[place]
                while (frame := session.pull(rig.now)) is not None:
                    moved = True
                    self.frames += 1
                    self.bytes += len(frame)
                    self.deliver(1 - place, frame)
            if not moved:
                return

    def deliver(self, place: int, frame: bytes) -> None:
        """Hand one frame to a side."""
        rig, session = self.sides[place]
        prepared = session.receive(frame, rig.now)
        if prepared is not None:
            session.verified(rig.verify(prepared.items), rig.now)
        self.effects[place] += session.take_effects()


def connect(one: Rig, other: Rig) -> None:
    """Tell two rigs of each other."""
    one.engine.connected(other.key, one.now)
    other.engine.connected(one.key, other.now)
