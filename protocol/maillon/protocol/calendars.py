"""Read shared calendars that say free or busy and nothing else (spec/08-community)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def free(freebusy: Mapping[str, Any], start: int, end: int) -> bool | None:
    """Tell whether who published this payload is free from `start` to `end` (Unix seconds).

    Both ends of a busy time count as taken. None: it says nothing of that time, because it reaches
    beyond `until`. A window that ends before it starts is never free.
    """
    if end > freebusy["until"]:
        return None
    return start <= end and all(last < start or end < first for first, last in freebusy["busy"])


def joined(times: list[tuple[int, int]]) -> list[list[int]]:
    """Return times as a `busy` field has them: in order, and what overlaps or touches as one.

    Times that end before they start, or when they start, are left out: they take no time.
    """
    found: list[list[int]] = []
    for start, end in sorted(times):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1][1] = max(found[-1][1], end)
        else:
            found.append([start, end])
    return found
