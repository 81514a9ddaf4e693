"""The node's one reading of the clock; everything that decides takes the time as an argument."""

from __future__ import annotations

import time


def now() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())  # noqa: TID251 - the one place


def now_ms() -> int:
    """Return the time in Unix milliseconds, to measure how fast records spread."""
    return time.time_ns() // 1_000_000
