"""Bound how often one caller or address may ask: buckets that fill with time.

A bucket of B tokens that fills with R a second lets B requests through at once and R a second
thereafter (the token bucket of RFC 2697 without its second colour).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import ClassVar

from maillon.node.api.bounds import RATES_KEPT_MAX
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError


class TooMany(LocalError):
    """Somebody asks more often than the bounds allow. Fact: `retry_after` in seconds."""

    code: ClassVar[str] = "rate"


class Rates:
    """One bucket a name. Those not used longest are forgotten first: theirs is full again by then.

    With more than RATES_KEPT_MAX names in use at once a new one costs somebody's bucket, never
    memory; the bound of all together still holds.
    """

    def __init__(self, per_s: float, burst: float, *, kept_max: int = RATES_KEPT_MAX) -> None:
        self._per_s = per_s
        self._burst = burst
        self._kept_max = kept_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, now: float, cost: float = 1.0) -> None:
        """Take from a bucket. `now` is in seconds of any steady clock. Raises: TooMany."""
        left = self.left(name, now)
        if left < cost:
            wait = max(1, math.ceil((cost - left) / self._per_s))
            raise TooMany(
                _("Too many requests; try again in {n} seconds.").format(n=wait), retry_after=wait
            )
        self._buckets[name] = (left - cost, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._kept_max:
            self._buckets.popitem(last=False)

    def give(self, name: str, now: float, cost: float = 1.0) -> None:
        """Put back what was taken for something that turned out well."""
        if name in self._buckets:
            self._buckets[name] = (min(self._burst, self.left(name, now) + cost), now)

    def left(self, name: str, now: float) -> float:
        """Return what a bucket holds."""
        kept = self._buckets.get(name)
        if kept is None:
            return self._burst
        level, at = kept
        return min(self._burst, level + max(0.0, now - at) * self._per_s)
