"""Decide whom to let in and whom to show the door: limits, scores and blocks of one node's peers.

Pure bookkeeping (spec/04, "Peers, limits and scores"): every method takes the time in seconds, so
that the rules are tested without a network. The guards ask before they do anything for a peer.

Two things are known of a connection. Before the handshake its network address, after it its key.
Limits before the handshake are by address (a /64 counts as one for IPv6), limits after it by key.
A key costs nothing to make, an admitted key does: so strangers share one small allowance.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from maillon.node import bounds


@dataclass(slots=True)
class Bucket:
    """Count allowance that refills steadily: `rate` a second up to `burst`."""

    rate: float
    burst: float
    level: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    def take(self, amount: float, now: float) -> float:
        """Take `amount` and return the seconds to wait before going on; 0.0 while in credit.

        The level may go below zero: what a peer has already sent is counted in full.
        """
        self.level = min(self.burst, self.level + max(0.0, now - self.at) * self.rate) - amount
        self.at = now
        return 0.0 if self.level >= 0.0 else -self.level / self.rate

    def allow(self, amount: float, now: float) -> bool:
        """Take `amount` when there is enough, else take nothing and say no."""
        self.level = min(self.burst, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now
        if self.level < amount:
            return False
        self.level -= amount
        return True


@dataclass(slots=True)
class Standing:
    """What is held against one key, and what it has used."""

    points: float = 0.0
    at: float = 0.0
    blocked_until: float = 0.0
    blocks: int = 0
    last_code: str = ""
    gossip_bytes: Bucket = field(
        default_factory=lambda: Bucket(bounds.GOSSIP_BYTES_RATE, bounds.GOSSIP_BYTES_BURST)
    )
    gossip_messages: Bucket = field(
        default_factory=lambda: Bucket(bounds.GOSSIP_MESSAGES_RATE, bounds.GOSSIP_MESSAGES_BURST)
    )
    stream_opens: Bucket = field(
        default_factory=lambda: Bucket(bounds.STREAM_OPENS_RATE, bounds.STREAM_OPENS_BURST)
    )
    streams: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class Ward:
    """Keep the standing of peers and answer the guards' questions.

    `admitted` tells whether a key belongs to the federation; it must be cheap. `on_block(key)` is
    called when a peer falls below its bound: the driver then closes its connections.
    """

    def __init__(
        self,
        admitted: Callable[[bytes], bool],
        on_block: Callable[[bytes], None] = lambda key: None,
    ) -> None:
        self._admitted = admitted
        self._on_block = on_block
        # Oldest first. Forgetting the oldest standing forgives it; blocked ones are kept longest.
        self._standings: OrderedDict[bytes, Standing] = OrderedDict()
        self._by_address: dict[str, int] = {}
        self._handshakes: dict[str, int] = {}
        self._openings: OrderedDict[str, Bucket] = OrderedDict()
        self.connections = 0
        self.handshakes = 0
        self.strangers: set[bytes] = set()
        self.counters: dict[str, int] = {}

    # --- counting -------------------------------------------------------------------------------

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter. Names come from our own code only, so their number is bounded."""
        self.counters[name] = self.counters.get(name, 0) + amount

    # --- before the handshake -------------------------------------------------------------------

    def admit_address(self, address: str, now: float) -> str | None:
        """Reserve a place for an inbound connection; return None, or why not (a counter)."""
        place = address_group(address)
        bucket = self._openings.get(place)
        if bucket is None:
            bucket = self._openings[place] = Bucket(
                bounds.CONNECTION_OPENS_RATE, bounds.CONNECTION_OPENS_BURST
            )
            while len(self._openings) > bounds.ADDRESSES_REMEMBERED_MAX:
                self._openings.popitem(last=False)
        self._openings.move_to_end(place)
        if not bucket.allow(1.0, now):
            return "refused_address_rate"
        if self._by_address.get(place, 0) >= bounds.CONNECTIONS_PER_ADDRESS_MAX:
            return "refused_address_connections"
        if self.connections >= bounds.CONNECTIONS_MAX:
            return "refused_connections"
        if self.handshakes >= bounds.HANDSHAKES_MAX:
            return "refused_handshakes"
        if self._handshakes.get(place, 0) >= bounds.HANDSHAKES_PER_ADDRESS_MAX:
            return "refused_address_handshakes"
        self._by_address[place] = self._by_address.get(place, 0) + 1
        self._handshakes[place] = self._handshakes.get(place, 0) + 1
        self.connections += 1
        self.handshakes += 1
        return None

    def handshake_over(self, address: str) -> None:
        """Give back the handshake part of a place reserved by `admit_address`."""
        self.handshakes -= 1
        _less(self._handshakes, address_group(address))

    def connection_over(self, address: str) -> None:
        """Give back the connection part of a place reserved by `admit_address`."""
        self.connections -= 1
        _less(self._by_address, address_group(address))

    # --- after the handshake --------------------------------------------------------------------

    def admitted(self, key: bytes) -> bool:
        """Tell whether the key belongs to the federation; a fault in the answer means no."""
        try:
            return bool(self._admitted(key))
        except Exception:
            self.count("admit_faults")
            return False

    def admit_key(self, key: bytes, now: float, *, inbound: bool) -> str | None:
        """Judge a proven key; return None to go on, or the counter that says why not."""
        if self.blocked(key, now):
            return "refused_blocked"
        if self.admitted(key):
            return None
        if not inbound:
            return None  # we chose to dial it (an invitation leads to a node we do not know yet)
        if key not in self.strangers and len(self.strangers) >= bounds.STRANGERS_MAX:
            return "refused_strangers"
        self.strangers.add(key)
        return None

    def stranger_gone(self, key: bytes) -> None:
        """Give back a stranger's place."""
        self.strangers.discard(key)

    # --- standings ------------------------------------------------------------------------------

    def standing(self, key: bytes) -> Standing:
        """Return the standing of a key, made when it is new."""
        found = self._standings.get(key)
        if found is None:
            found = self._standings[key] = Standing()
            if len(self._standings) > bounds.STANDINGS_MAX:
                self._forget_one()
        return found

    def _forget_one(self) -> None:
        # A flood of fresh keys must not wash out the blocks of known bad ones: first goes the
        # oldest that holds nothing, and only when all hold something the very oldest.
        for key, standing in self._standings.items():
            if standing.points < 1.0 and not standing.blocked_until and not standing.streams:
                del self._standings[key]
                return
        self._standings.popitem(last=False)

    def score(self, key: bytes, now: float) -> float:
        """Return the points held against a key, after decay; 0.0 is a clean record."""
        standing = self._standings.get(key)
        return 0.0 if standing is None else _decayed(standing, now)

    def penalise(self, key: bytes, points: float, code: str, now: float) -> bool:
        """Hold `points` against a key; return True when that blocked it.

        Points halve every SCORE_HALF_LIFE_S. At SCORE_BLOCK the peer is disconnected and blocked
        for BLOCK_S, twice as long each further time up to BLOCK_S_MAX.
        """
        self.count(f"penalty_{code}")
        if not math.isfinite(points) or points <= 0.0:
            return False
        standing = self.standing(key)
        standing.points = _decayed(standing, now) + points
        standing.at = now
        standing.last_code = code
        if standing.points < bounds.SCORE_BLOCK or now < standing.blocked_until:
            return False
        standing.blocks += 1
        standing.points = bounds.SCORE_BLOCK / 2  # one more offence of weight after release counts
        span = min(bounds.BLOCK_S_MAX, bounds.BLOCK_S * 2 ** min(standing.blocks - 1, 16))
        self.block(key, span, now)
        return True

    def block(self, key: bytes, seconds: float, now: float) -> None:
        """Refuse a key for a while and have its connections closed."""
        standing = self.standing(key)
        standing.blocked_until = max(standing.blocked_until, now + seconds)
        self.count("blocked")
        self._on_block(key)

    def blocked(self, key: bytes, now: float) -> bool:
        """Tell whether a key is blocked now."""
        standing = self._standings.get(key)
        if standing is None or not standing.blocked_until:
            return False
        if now >= standing.blocked_until:
            standing.blocked_until = 0.0
            return False
        return True


def address_group(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((found, 64), strict=False).network_address)
    return str(found)


def _decayed(standing: Standing, now: float) -> float:
    share: float = 0.5 ** (max(0.0, now - standing.at) / bounds.SCORE_HALF_LIFE_S)
    return standing.points * share


def _less(table: dict[str, int], key: str) -> None:
    left = table.get(key, 0) - 1
    if left > 0:
        table[key] = left
    else:
        table.pop(key, None)
