"""When records were first seen here, to measure how fast they spread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from maillon.node import bounds


class Arrivals:
    """A ring of (record id, milliseconds); each entry has a number that only grows."""

    def __init__(self, limit: int = bounds.ARRIVALS_MAX) -> None:
        self._ring: deque[tuple[bytes, int]] = deque(maxlen=limit)
        self._count = 0

    def note(self, ids: Iterable[bytes], at_ms: int) -> None:
        """Note that records were first seen at a time."""
        for id in ids:
            self._ring.append((id, at_ms))
            self._count += 1

    def since(self, number: int, limit: int) -> tuple[list[tuple[bytes, int]], int, int]:
        """Return the entries from a number on, the number to go on with, and how many were lost.

        A first request with 0 begins at the oldest entry that is still there.
        """
        oldest = self._count - len(self._ring)
        start = max(number, oldest)
        missed = max(0, oldest - number) if number else 0
        first = start - oldest
        found = [self._ring[i] for i in range(first, min(len(self._ring), first + limit))]
        return found, start + len(found), missed
