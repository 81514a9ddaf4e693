"""Simulated time and the network between machines, out of one random number generator.

Time is a heap of events in milliseconds; ties are broken by the order of scheduling, so a run is a
pure function of its seed. Messages are lost, doubled, delayed and overtaken; links are cut in both
directions or in one.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

EVENTS_MAX = 400_000
"""Far above what any plan needs: a run that gets here does not end."""


class Endless(AssertionError):
    """The run goes on without end: something keeps sending."""


class Clockwork:
    """Run scheduled events in order, and keep a digest of what happened."""

    def __init__(self, seed: str, start_s: int, *, keep_trace: bool = False) -> None:
        self.rng = Random(seed)
        self.now_ms = start_s * 1_000
        self._start_ms = self.now_ms
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.events = 0
        self._digest = hashlib.sha256()
        self.trace: list[str] | None = [] if keep_trace else None

    def after(self, ms: int, event: Callable[..., None], *arguments: Any) -> None:
        """Schedule an event."""
        self._count += 1
        at = self.now_ms + (ms if ms > 0 else 0)
        heapq.heappush(self._heap, (at, self._count, event, arguments))

    def run_until(self, end_ms: int, done: Callable[[], bool] | None = None) -> None:
        """Let time pass, until `done` says enough."""
        while self._heap and self._heap[0][0] <= end_ms:
            at, _, event, arguments = heapq.heappop(self._heap)
            self.now_ms = at
            self.events += 1
            if self.events > EVENTS_MAX:
                raise Endless(f"more than {EVENTS_MAX} events")
            event(*arguments)
            if done is not None and done():
                return
        if done is None:
            self.now_ms = max(self.now_ms, end_ms)

    def note(self, *words: object) -> None:
        """Write into the digest, and into the trace when it is kept, what happened."""
        line = " ".join(
            word[:4].hex() if isinstance(word, bytes) else str(word) for word in words
        )
        self._digest.update(f"{self.now_ms} {line}\n".encode())
        if self.trace is not None:
            self.trace.append(f"{(self.now_ms - self._start_ms) / 1_000:9.3f} {line}")

    def digest(self) -> str:
        """Return the digest of all notes so far."""
        return self._digest.hexdigest()


@dataclass(slots=True)
class Weather:
    """How bad the network is."""

    loss: float = 0.0
    double: float = 0.0
    latency_ms: int = 40
    slow: float = 0.0
    """Share of messages that take a hundred times as long: these are overtaken."""


@dataclass(slots=True)
class Net:
    """What gets from one machine to another, and when. Machines are known by their number."""

    clock: Clockwork
    weather: Weather = field(default_factory=Weather)
    island: dict[int, int] = field(default_factory=dict[int, int])
    deaf: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """Pairs (from, to) that nothing passes, in this direction only."""
    sent: int = 0
    lost: int = 0
    doubled: int = 0
    cut: int = 0

    def linked(self, one: int, other: int) -> bool:
        """Say whether a message could pass now."""
        return (
            self.island.get(one, 0) == self.island.get(other, 0) and (one, other) not in self.deaf
        )

    def carry(
        self, one: int, other: int, arrive: Callable[..., None], *arguments: Any
    ) -> None:
        """Let a message travel; `arrive` is called for each copy that gets there."""
        self.sent += 1
        rng, weather = self.clock.rng, self.weather
        if one == other:
            self.clock.after(1, arrive, *arguments)
            return
        if not self.linked(one, other):
            self.cut += 1
            return
        copies = 1
        if weather.loss and rng.random() < weather.loss:
            self.lost += 1
            return
        if weather.double and rng.random() < weather.double:
            self.doubled += 1
            copies = 2
        for _ in range(copies):
            delay = 1 + int(rng.expovariate(1.0) * weather.latency_ms)
            if weather.slow and rng.random() < weather.slow:
                delay *= 100
            self.clock.after(delay, arrive, *arguments)
