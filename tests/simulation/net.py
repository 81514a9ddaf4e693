"""Simulated time, links, gossip and streams: everything between engines, out of one seed.

Time is a heap of events; ties are broken by the order of scheduling, so a run is a pure function of
its seed. Gossip messages are lost, doubled, delayed and overtaken; streams keep their order, as TCP
does, and break in the middle. Partitions cut links; flaps cut them for moments.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from maillon.node.engine import Session

if TYPE_CHECKING:
    from simulation.node import SimNode

SEEN_S = 300.0


class Clockwork:
    """Run scheduled events in order, and keep a digest of what happened."""

    def __init__(self, seed: str, start: float, *, keep_trace: bool = False) -> None:
        self.rng = Random(seed)
        self.now = start
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._digest = hashlib.sha256()
        self.trace: list[str] | None = [] if keep_trace else None

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Schedule an event."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + max(0.0, seconds), self._count, event))

    def run_until(self, end: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= end:
            at, _, event = heapq.heappop(self._heap)
            self.now = max(self.now, at)
            event()
        self.now = max(self.now, end)

    def note(self, *words: object) -> None:
        """Write into the trace what happened."""
        line = f"{self.now:.3f} " + " ".join(
            word[:4].hex() if isinstance(word, bytes) else str(word) for word in words
        )
        self._digest.update(line.encode() + b"\n")
        if self.trace is not None:
            self.trace.append(line)

    def digest(self) -> str:
        """Return the digest of all notes so far."""
        return self._digest.hexdigest()


@dataclass(slots=True)
class Weather:
    """How bad the network is."""

    loss: float = 0.0
    double: float = 0.0
    latency_s: float = 0.05
    stream_break: float = 0.0


@dataclass(slots=True)
class End:
    """One side of a stream."""

    node: SimNode
    session: Session
    epoch: int
    inbox: list[tuple[bytes, bool]] = field(default_factory=list[tuple[bytes, bool]])
    verifying: int = 0
    verified_at: float = 0.0
    heard: float = 0.0


class Stream:
    """Two sessions and the ordered frames between them."""

    def __init__(self, net: Net, one: SimNode, session: Session, other: SimNode) -> None:
        self._net = net
        self.open = True
        self.one = End(one, session, one.epoch, heard=net.clock.now)
        self.two: End | None = None
        self._other = other
        self._arrival = {True: 0.0, False: 0.0}
        rng = net.clock.rng
        breaks = rng.random() < net.weather.stream_break
        self._frames_left = rng.randint(1, 8) if breaks else None
        session.start(one.clock())
        net.clock.after(net.delay(), self._accept)
        self._watch(self.one)
        self._pump(self.one)

    def _accept(self) -> None:
        if not self.open:
            return
        node = self._other
        session = None
        if node.up and self._net.linked(self.one.node, node):
            session = node.accept(self.one.node.key.public)
        if session is None:
            self.break_off("refused")
            return
        self.two = End(node, session, node.epoch, heard=self._net.clock.now)
        session.start(node.clock())
        self._watch(self.two)
        self._pump(self.two)
        for frame, lie in self.one.inbox:
            self._receive_at(self.two, frame, lie)
        self.one.inbox = []

    def _watch(self, end: End) -> None:
        def look() -> None:
            if not self.open or end.session.over:
                return
            silent = self._net.clock.now - end.heard
            if silent >= end.session.silence_s_max:
                self.break_off("silent")
            else:
                self._net.clock.after(end.session.silence_s_max - silent, look)

        self._net.clock.after(end.session.silence_s_max, look)

    def _alive(self, end: End) -> bool:
        return self.open and end.node.up and end.node.epoch == end.epoch

    def _pump(self, end: End) -> None:
        """Send a few frames, then let others have their turn."""
        if not self._alive(end):
            return
        for _ in range(4):
            frame = end.node.pull(end.session)
            if not self._alive(end):
                return
            if frame is None:
                if end.session.over:
                    self._net.clock.after(2.0, self._hang_up)
                return
            for sent, lie in end.node.lies_about(frame, self._peer(end)):
                self._transmit(end, sent, lie)
        self._net.clock.after(0.002, lambda: self._pump(end))

    def _peer(self, end: End) -> SimNode:
        return self._other if end is self.one else self.one.node

    def _transmit(self, end: End, frame: bytes, lie: bool) -> None:
        if self._frames_left is not None:
            self._frames_left -= 1
            if self._frames_left < 0:
                self.break_off("broken")
                return
        forth = end is self.one
        at = max(self._arrival[forth], self._net.clock.now + self._net.delay())
        self._arrival[forth] = at
        self._net.clock.after(at - self._net.clock.now, lambda: self._arrive(forth, frame, lie))

    def _arrive(self, forth: bool, frame: bytes, lie: bool) -> None:
        if not self.open:
            return
        if not self._net.linked(self.one.node, self._other):
            self.break_off("cut")
            return
        if forth and self.two is None:
            self.one.inbox.append((frame, lie))  # it arrived before the stream was accepted
            return
        end = self.two if forth else self.one
        assert end is not None
        self._receive_at(end, frame, lie)

    def _receive_at(self, end: End, frame: bytes, lie: bool) -> None:
        if not self._alive(end):
            return
        end.heard = self._net.clock.now
        end.inbox.append((frame, lie))
        self._work(end)

    def _work(self, end: End) -> None:
        """Hand over what has come: records ahead of their verification, all else after it."""
        while self._alive(end) and end.inbox:
            frame, lie = end.inbox[0]
            if end.verifying and not end.session.takes(frame):
                return
            end.inbox.pop(0)
            prepared = end.node.receive(end.session, frame, lie)
            if not self._alive(end):
                return
            if prepared is None:
                self._pump(end)
                continue
            # Signatures are verified elsewhere while the engine goes on; verdicts keep their order.
            end.verifying += 1
            took = self._net.clock.rng.choice((0.0, 0.01, 0.2))
            end.verified_at = max(end.verified_at, self._net.clock.now + took)
            wait = end.verified_at - self._net.clock.now
            self._net.clock.after(wait, partial(self._verified, end))

    def _verified(self, end: End) -> None:
        if not self._alive(end):
            return
        end.verifying -= 1
        end.node.verified(end.session)
        self._pump(end)
        self._work(end)

    def _hang_up(self) -> None:
        self.break_off("closed")

    def break_off(self, why: str) -> None:
        """End the stream for both sides."""
        if not self.open:
            return
        self.open = False
        for end in (self.one, self.two):
            if end is not None and end.node.up and end.node.epoch == end.epoch:
                end.node.closed(end.session, why)
        self._net.streams.pop(id(self), None)


class Net:
    """Who reaches whom, and what gets through."""

    def __init__(self, clock: Clockwork) -> None:
        self.clock = clock
        self.weather = Weather()
        self.nodes: list[SimNode] = []
        self.island: dict[str, int] = {}
        self.pairs: set[frozenset[str]] = set()
        self.flapped: dict[frozenset[str], float] = {}
        self.streams: dict[int, Stream] = {}
        self.by_key: dict[bytes, SimNode] = {}

    def delay(self) -> float:
        """Draw how long a message is on its way."""
        return self.clock.rng.expovariate(1.0) * self.weather.latency_s + 0.001

    def reachable(self, one: SimNode, other: SimNode) -> bool:
        """Say whether two running nodes could talk, as far as the cables go."""
        pair = frozenset((one.name, other.name))
        return (
            one.up
            and other.up
            and pair in self.pairs
            and self.island.get(one.name, 0) == self.island.get(other.name, 0)
            and self.flapped.get(pair, 0.0) <= self.clock.now
        )

    def linked(self, one: SimNode, other: SimNode) -> bool:
        """Say whether two nodes are connected: reachable, and each takes the other for a member."""
        return (
            self.reachable(one, other)
            and one.admits(other.key.public)
            and other.admits(one.key.public)
        )

    def refresh(self) -> None:
        """Tell each node whom it is connected to now."""
        for one in self.nodes:
            if one.up:
                one.see(
                    [
                        other.key.public
                        for other in self.nodes
                        if other is not one and self.linked(one, other)
                    ]
                )
        for one in self.nodes:
            for other in self.nodes:
                if one is not other and self.reachable(one, other):
                    self._introduce(one, other)

    def _introduce(self, one: SimNode, other: SimNode) -> None:
        """Let a node that dials another, which takes it for a stranger, say who it is."""
        if not one.admits(other.key.public) or other.admits(one.key.public):
            return
        said = one.introduce()
        key, epoch = one.key.public, other.epoch

        def arrive() -> None:
            if said is not None and other.up and other.epoch == epoch:
                other.introduced(key, said)

        self.clock.after(self.delay(), arrive)

    def keep_trying(self) -> None:
        """Look again every half minute, as nodes dial those they are not connected to."""
        self.refresh()
        self.clock.after(30.0, self.keep_trying)

    def gossip(self, sender: SimNode, data: bytes, *, lie: bool = False, skip: bytes = b"") -> None:
        """Send a message to all connected peers; each copy has its own fate."""
        rng = self.clock.rng
        for other in self.nodes:
            if other is sender or other.key.public == skip or not self.linked(sender, other):
                continue
            copies = 1 + (rng.random() < self.weather.double)
            for _ in range(copies):
                if rng.random() < self.weather.loss:
                    continue
                epoch = other.epoch

                def arrive(
                    other: SimNode = other, epoch: int = epoch, key: bytes = sender.key.public
                ) -> None:
                    sender_now = self.by_key.get(key)
                    if other.up and other.epoch == epoch and sender_now is not None:
                        if self.linked(sender_now, other):
                            other.hear(key, data, lie)

                self.clock.after(self.delay(), arrive)

    def open_stream(self, one: SimNode, peer: bytes) -> None:
        """Open a session's stream if the peer can be reached."""
        other = self.by_key.get(peer)
        if other is None or not self.linked(one, other):
            return
        session = one.open(peer)
        if session is None:
            return
        stream = Stream(self, one, session, other)
        self.streams[id(stream)] = stream
        if not stream.open:
            self.streams.pop(id(stream), None)

    def drop_streams_of(self, node: SimNode) -> None:
        """Break all streams of a node that goes down."""
        for stream in list(self.streams.values()):
            if node is stream.one.node or (stream.two is not None and stream.two.node is node):
                stream.break_off("down")
