"""Simulated time that events and trio's tasks share: both run in one order, out of one seed."""

from __future__ import annotations

import heapq
from typing import Any

import trio
import trio._core._run as scheduling  # pyright: ignore[reportPrivateImportUsage]

from simulation.ledger.net import EVENTS_MAX, Clockwork, Endless


def deterministic(seed: str) -> None:
    """Let trio draw from a seed which of the tasks that could run goes first."""
    # As Hypothesis does for its own tests of trio programs: there is no public name for it.
    setattr(scheduling, "_ALLOW_DETERMINISTIC_SCHEDULING", True)  # noqa: B010
    scheduling._r.seed(seed)  # pyright: ignore[reportPrivateUsage]


class LiveClockwork(Clockwork):
    """A clockwork whose events happen between the steps of tasks that wait, sleep and time out."""

    _live = False
    _woken: trio.Event | None = None
    _at_ms = 0

    @property
    def now_ms(self) -> int:
        """Return the time in milliseconds: what trio says while tasks run."""
        if not self._live:
            return self._at_ms
        return self._start_ms + round(trio.current_time() * 1_000)

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        self._at_ms = value

    def after(self, ms: int, event: Any, *arguments: Any) -> None:
        """Schedule an event."""
        super().after(ms, event, *arguments)
        if self._woken is not None:
            self._woken.set()

    async def live_until(self, end_ms: int) -> None:
        """Let time pass, for tasks as for events. trio's clock has to begin at 0 and to jump."""
        self._live = True
        try:
            while True:
                self._woken = trio.Event()
                due = self._heap[0][0] if self._heap else end_ms
                if min(due, end_ms) > self.now_ms:
                    with trio.move_on_at((min(due, end_ms) - self._start_ms) / 1_000):
                        await self._woken.wait()
                    continue
                if due > end_ms or not self._heap:
                    return
                _at, _count, event, arguments = heapq.heappop(self._heap)
                self.events += 1
                if self.events > EVENTS_MAX:
                    raise Endless(f"more than {EVENTS_MAX} events")
                event(*arguments)
                await trio.lowlevel.checkpoint()
        finally:
            self._at_ms = self.now_ms
            self._live = False
