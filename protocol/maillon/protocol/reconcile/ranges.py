"""Name a stretch of the record space, to be asked for or handed over whole (spec/05, "Ranges").

The wire format of the reconciliation itself can only list ids, 32 bytes each. When one side holds
nothing between two bounds there is nothing to compare: a session of ours asks for the whole range
(`WANT_RANGE`) or sends all it has there, and no id crosses the line.
"""

from __future__ import annotations

from typing import NamedTuple

from maillon.protocol.errors import Malformed
from maillon.protocol.limits import INT_MAX

from .itemset import ID_BYTES, INFINITY, MIN_BOUND, Bound, ItemSet


class Range(NamedTuple):
    """Everything from `lower` up to, not including, `upper`; never empty."""

    lower: Bound
    upper: Bound

    def fields(self) -> list[int | bytes]:
        """Return [lo_at, lo_id_prefix, hi_at, hi_id_prefix] as a session frame carries them.

        Frames keep integers below 2^53, so infinity is written as 2^53 - 1 with an empty prefix.
        """
        lower, upper = self
        return [
            min(lower.timestamp, INT_MAX),
            lower.prefix,
            min(upper.timestamp, INT_MAX),
            upper.prefix,
        ]

    @classmethod
    def from_fields(cls, fields: list[object]) -> Range:
        """Read what `fields` wrote. Raises: Malformed, for anything else a peer may send."""
        if len(fields) != 4:
            raise Malformed("A range has four fields.", rule="range_fields")
        lower = _bound(fields[0], fields[1])
        upper = _bound(fields[2], fields[3])
        if not lower < upper:
            raise Malformed("A range ends before it begins.", rule="backward_range")
        return cls(lower, upper)

    def page(self, items: ItemSet, limit: int) -> tuple[list[tuple[int, bytes]], Range | None]:
        """Return the first items of the range, `limit` (1 or more) at most, and the rest of it.

        The rest is None when no item is left. It begins after the last item of the page, so it
        holds whatever has been added or removed when it is read.
        """
        found = items.page(self.lower, self.upper, limit + 1)
        if len(found) <= limit:
            return found, None
        timestamp, id_ = found[limit]
        return found[:limit], Range(Bound(timestamp, id_.rstrip(b"\0")), self.upper)


EVERYTHING = Range(MIN_BOUND, INFINITY)
"""The whole space."""


def _bound(timestamp: object, prefix: object) -> Bound:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        raise Malformed("A bound's time is an integer.", rule="range_fields")
    if not isinstance(prefix, bytes) or len(prefix) > ID_BYTES:
        raise Malformed("A bound's prefix is 0 to 32 bytes.", rule="bound_prefix")
    if not 0 <= timestamp <= INT_MAX:
        raise Malformed("A bound's time is out of range.", rule="bound_timestamp")
    if timestamp == INT_MAX:
        if prefix:
            raise Malformed("Infinity has no prefix.", rule="bound_prefix")
        return INFINITY
    return Bound(timestamp, prefix.rstrip(b"\0"))
