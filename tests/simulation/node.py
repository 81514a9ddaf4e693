"""A machine in the simulation: a disk, a clock that is a little wrong, an engine while it is up."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TypeVar

from maillon.node.engine import Engine, Prepared, Refused, Session
from maillon.node.engine.core import Settings
from maillon.node.events import (
    DropPeer,
    Effect,
    Gone,
    KeepConnected,
    Penalise,
    Publish,
    StartSync,
    Stored,
)
from maillon.node.ports import SignatureItem
from maillon.protocol.founding import Founding
from maillon.protocol.keys import SigningKey, signature_ok
from simulation.check import Checker
from simulation.disk import PowerCut, SimDisk
from simulation.net import SEEN_S, Net

T = TypeVar("T")

# Sized so that the bounds bite in a federation of toys.
SETTINGS = Settings(pending_records_max=12, pending_peer_records_max=6)


class Verifier:
    """Verify signatures for real, each only once for all machines of a run."""

    def __init__(self) -> None:
        self._verdicts: dict[SignatureItem, bool] = {}

    def __call__(self, items: Sequence[SignatureItem]) -> list[bool]:
        return [self._one(item) for item in items]

    def _one(self, item: SignatureItem) -> bool:
        verdict = self._verdicts.get(item)
        if verdict is None:
            verdict = self._verdicts[item] = signature_ok(*item)
        return verdict


class SimNode:
    """One node; `liar` ones run the same engine and tell what they like."""

    liar = False

    def __init__(
        self,
        name: str,
        key: SigningKey,
        founding: Founding,
        net: Net,
        checker: Checker,
        verifier: Verifier,
        skew_s: float,
    ) -> None:
        self.name = name
        self.key = key
        self.founding = founding
        self.net = net
        self.checker = checker
        self.verifier = verifier
        self.skew_s = skew_s
        self.disk = SimDisk()
        self.up = False
        self.epoch = 0
        self.crashes = 0
        self.told: list[Penalise] = []
        self._engine: Engine | None = None
        self._peers: list[bytes] = []
        self._seen: dict[bytes, float] = {}
        self._prepared: dict[int, deque[tuple[Prepared, bool]]] = {}
        self._wake: float | None = None
        checker.watch(self)

    def clock(self) -> float:
        """Return this machine's idea of the time."""
        return self.net.clock.now + self.skew_s

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "the machine is up"
        return self._engine

    # --- Life -----------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start with what the disk holds."""
        self.epoch += 1
        self.up = True
        self._peers = []
        self._seen = {}
        self._prepared = {}
        self._wake = None
        rng = Random(f"{self.name} {self.epoch} {self.net.clock.rng.random()}")
        self._engine = Engine(
            self.disk, self.founding, node_key=self.key.public, rng=rng, settings=SETTINGS
        )
        self.net.by_key[self.key.public] = self
        self.net.clock.note("boot", self.name)
        self._do(lambda engine: self._run(engine.start(self.clock())))
        self.net.refresh()

    def down(self) -> None:
        """Lose power: all that is not on the disk is gone."""
        if not self.up:
            return
        self.net.clock.note("down", self.name)
        self.up = False
        self._engine = None
        self.epoch += 1
        self.net.drop_streams_of(self)
        self.net.refresh()

    def crash(self) -> None:
        """Lose power in the middle of a write, and come back after a while."""
        self.crashes += 1
        self.down()
        self.net.clock.after(self.net.clock.rng.uniform(1, 60), self.boot_again)

    def boot_again(self) -> None:
        """Come back, if nothing else brought the machine back before."""
        if not self.up:
            self.boot()

    def _do(self, act: Callable[[Engine], T]) -> T | None:
        """Call the engine; a power cut inside is this machine's, all else is a bug."""
        if not self.up:
            return None
        try:
            result = act(self.engine)
        except PowerCut:
            self.crash()
            return None
        self.checker.bounds(self)
        self._schedule()
        return result

    def _schedule(self) -> None:
        if not self.up:
            return
        wake = self.engine.next_wake(self.clock()) - self.skew_s
        if self._wake is not None and self._wake <= wake and self._wake > self.net.clock.now:
            return
        self._wake = max(wake, self.net.clock.now + 0.01)
        epoch, due = self.epoch, self._wake

        def tick() -> None:
            if self.up and self.epoch == epoch and self._wake == due:
                self._wake = None
                self._do(lambda engine: self._run(engine.tick(self.clock())))

        self.net.clock.after(due - self.net.clock.now, tick)

    # --- Effects --------------------------------------------------------------------------------

    def _run(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish(data):
                    self._publish(data)
                case Penalise(peer, points, code):
                    self.told.append(effect)
                    self.net.clock.note("penalise", self.name, peer, points, code)
                    self.checker.penalised(self, effect)
                case StartSync(peer):
                    self.net.open_stream(self, peer)
                case KeepConnected() | DropPeer():
                    self.net.clock.after(0.0, self.net.refresh)
                case Stored(ids, source):
                    self.net.clock.note("stored", self.name, len(ids), ids[0], source or b"")
                case Gone(ids, reason):
                    self.net.clock.note("gone", self.name, len(ids), ids[0], reason)

    def _publish(self, data: bytes) -> None:
        self._seen[_digest(data)] = self.net.clock.now
        self.checker.published(self, data)
        self.net.gossip(self, data)

    # --- Network --------------------------------------------------------------------------------

    def admits(self, key: bytes) -> bool:
        """Say whether this node takes a key for a node of the federation."""
        return self.up and self.engine.admitted(key)

    def see(self, peers: list[bytes]) -> None:
        """Take the list of nodes that are connected now."""
        before, self._peers = self._peers, peers
        for peer in before:
            if peer not in peers:
                self._do(partial(self._meet, peer, False))
        for peer in peers:
            if peer not in before:
                self._do(partial(self._meet, peer, True))

    def _meet(self, peer: bytes, there: bool, engine: Engine) -> None:
        tell = engine.connected if there else engine.disconnected
        self._run(tell(peer, self.clock()))

    def hear(self, peer: bytes, data: bytes, lie: bool) -> None:
        """Take a gossip message, and pass it on if the engine says so."""
        now = self.net.clock.now
        digest = _digest(data)
        if now - self._seen.get(digest, -SEEN_S) < SEEN_S:
            return
        self._seen[digest] = now

        def judge(engine: Engine) -> None:
            told = len(self.told)
            verdict = engine.gossip(peer, data, self.clock(), self.verifier)
            self.net.clock.note("gossip", self.name, peer, digest, verdict.relay)
            self._run(verdict.effects)
            self.checker.judged(self, data, verdict.relay, lie, len(self.told) > told)
            if verdict.relay:
                self.net.gossip(self, data, skip=peer)

        self._do(judge)

    def introduce(self) -> bytes | None:
        """Say who this node is."""
        return self._do(lambda engine: engine.introduction())

    def introduced(self, peer: bytes, said: bytes) -> None:
        """Hear who another node is."""
        self._do(
            lambda engine: self._run(engine.introduced(peer, said, self.clock(), self.verifier))
        )

    # --- Sessions -------------------------------------------------------------------------------

    def open(self, peer: bytes) -> Session | None:
        """Open a session as its initiator."""
        return self._do(lambda engine: engine.open_sync(peer, self.clock()))

    def accept(self, peer: bytes) -> Session | None:
        """Open a session as its responder."""
        return self._do(lambda engine: engine.accept_sync(peer, self.clock()))

    def pull(self, session: Session) -> bytes | None:
        """Take the next frame to send."""
        return self._do(lambda _: session.pull(self.clock()))

    def receive(self, session: Session, frame: bytes, lie: bool) -> Prepared | None:
        """Hand a frame to a session; return what is to be verified."""

        def take(_: Engine) -> Prepared | None:
            told, over = len(self.told), session.over or session.closing
            prepared = session.receive(frame, self.clock())
            self._run(session.take_effects())
            if prepared is None:
                if lie and not over:
                    self.checker.lied_to(self, session.peer, len(self.told) > told, "frame")
            else:
                self._prepared.setdefault(id(session), deque()).append((prepared, lie))
            return prepared

        return self._do(take)

    def verified(self, session: Session) -> None:
        """Verify what `receive` gave out, and go on."""
        waiting = self._prepared.get(id(session))
        if not waiting:
            return
        prepared, lie = waiting.popleft()
        if not waiting:
            del self._prepared[id(session)]

        def judge(_: Engine) -> None:
            if not session.unverified:
                return  # it broke off meanwhile
            told = len(self.told)
            session.verified(self.verifier(prepared.items), self.clock())
            self._run(session.take_effects())
            if lie:
                self.checker.lied_to(self, session.peer, len(self.told) > told, "records")

        self._do(judge)

    def closed(self, session: Session, why: str) -> None:
        """Note that a stream is gone."""

        def end(_: Engine) -> None:
            self._prepared.pop(id(session), None)
            session.closed(self.clock(), why)
            self._run(session.take_effects())
            self.net.clock.note("session", self.name, session.peer, session.ok, session.stored)

        self._do(end)

    def lies_about(self, frame: bytes, to: SimNode) -> list[tuple[bytes, bool]]:
        """Return what is sent in place of a frame; an honest node sends the frame."""
        return [(frame, False)]

    # --- People ---------------------------------------------------------------------------------

    def submit(self, record: bytes) -> Refused | None:
        """Take in a record of one of our people; return why not."""

        def take(engine: Engine) -> Refused | None:
            try:
                self._run(engine.submit(record, self.clock(), self.verifier))
            except Refused as fault:
                self.net.clock.note("refused", self.name, fault.code)
                return fault
            return None

        return self._do(take)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
