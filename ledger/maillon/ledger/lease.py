"""Keep the charter's chain for one opener at a time (spec/06-charter.md, E1).

Any coop may open a term on the charter's chain, so two that open in turns could outbid each other
for ever, or hold half of the witnesses each. So all witnesses prefer the same one: openers are
ranked by a hash that each head draws anew, a lease protects against those of lower rank, and who
let a lease run out comes last until the head changes. Leases decide who goes first and nothing
else: a witness that restarts has forgotten them, and no harm is done.
"""

from __future__ import annotations

import hashlib


class Leases:
    """Who may open a term on the charter's chain, on one witness's clock."""

    def __init__(self, lease_s: int) -> None:
        self._lease_s = lease_s
        self._head = b""
        self._holder = b""
        self._since = 0
        # As many as coops at most: the keys are those of writers.
        self._late: set[bytes] = set()

    def take(self, head: bytes, key: bytes, now: int) -> bool:
        """Give the chain to an opener, or return False while one of higher rank has it.

        `head` is the hash of the chain's head, `now` Unix seconds.
        """
        if head != self._head:
            self._head, self._holder = head, b""
            self._late.clear()
        if self._holder and not 0 <= now - self._since < self._lease_s:
            self._late.add(self._holder)
            self._holder = b""
        if self._holder == key:
            return True
        if self._holder and self._rank(key) > self._rank(self._holder):
            return False
        self._holder, self._since = key, now
        return True

    def _rank(self, key: bytes) -> tuple[bool, bytes]:
        return key in self._late, hashlib.sha256(self._head + key).digest()
