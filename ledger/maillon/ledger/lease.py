"""Keep the charter's chain for one opener at a time (spec/06-ledger.md, E1).

Any coop may open a term on the charter's chain, so two that open in turns could outbid each other
for ever. A witness therefore follows one of them for a while, on its own clock. Leases decide who
goes first and nothing else: a witness that restarts has forgotten its lease, and no harm is done.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Lease:
    key: bytes
    since: int
    waiting: bytes = b""


class Leases:
    """Who may open a term on each chain that is leased, on one witness's clock."""

    def __init__(self, lease_s: int) -> None:
        self._lease_s = lease_s
        self._leases: dict[bytes, _Lease] = {}

    def take(self, chain: bytes, key: bytes, now: int) -> bool:
        """Give the chain to an opener, or return False while another one has it.

        Who has it keeps it for `lease_s` from its first PREPARE on, however often it asks; then
        whoever was refused meanwhile goes first, for as long again.
        """
        lease = self._leases.get(chain)
        if lease is None or not 0 <= now - lease.since < 2 * self._lease_s:
            self._leases[chain] = _Lease(key, now)
            return True
        running = now - lease.since < self._lease_s
        if lease.key == key:
            if running or not lease.waiting:
                if not running:
                    lease.since = now
                return True
            return False
        if running:
            lease.waiting = lease.waiting or key
            return False
        if lease.waiting in (b"", key):
            self._leases[chain] = _Lease(key, now)
            return True
        return False

    def end(self, chain: bytes) -> None:
        """Give the chain back: what its opener wanted is decided."""
        self._leases.pop(chain, None)
