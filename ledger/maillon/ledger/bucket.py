"""Count what one coop asks of a witness against a rate (spec/06-ledger.md, "Bounds").

A token bucket keeps no queue: what is over the rate is refused, and the refusal says so. Checking a
block costs a witness about as much as its entries have signatures, so tokens are counted in
signature checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """Hold the tokens of one key: `burst` at most, `rate` more each second."""

    rate: int
    burst: int
    level: int = field(init=False)
    at: int | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.level = self.burst

    def take(self, tokens: int, now: int) -> bool:
        """Take so many tokens, or none and return False when fewer are left."""
        if self.at is not None:
            # A clock set back fills nothing and costs nothing.
            self.level = min(self.burst, self.level + max(0, now - self.at) * self.rate)
        self.at = now
        if tokens > self.level:
            return False
        self.level -= tokens
        return True
