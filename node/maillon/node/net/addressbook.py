"""Remember which nodes to keep connected to, where they were found, and when to try again.

Pure bookkeeping; the driver dials. Two sources are kept apart: addresses a node announces in its
signed profile, and hints (a local network's answer, what another node reports). Hints never push
out what was announced, so a lying informant costs dials and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from maillon.node import bounds
from maillon.node.net.errors import BadAddress
from maillon.node.net.identity import Address, parse_address


@dataclass(slots=True)
class Entry:
    """One node to keep connected to."""

    key: bytes
    announced: tuple[Address, ...] = ()
    hints: list[Address] = field(default_factory=list[Address])
    good: Address | None = None  # where it was last reached
    failures: int = 0
    next_try: float = 0.0
    dialling: bool = False
    last_error: str = ""

    def candidates(self) -> list[Address]:
        """Return the addresses to try: the one that worked last, announced ones, hints."""
        found = ([self.good] if self.good is not None else []) + [*self.announced, *self.hints]
        return list(dict.fromkeys(found))[: bounds.ADDRESSES_PER_PEER_MAX]


class AddressBook:
    """The nodes to be dialled, at most PEERS_KEPT_MAX."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.entries: dict[bytes, Entry] = {}

    def keep(self, key: bytes, addresses: Sequence[str], now: float) -> list[str]:
        """Add a node or replace its announced addresses; return those that could not be used."""
        entry = self.entries.get(key)
        if entry is None:
            if len(self.entries) >= bounds.PEERS_KEPT_MAX:
                return list(addresses)
            entry = self.entries[key] = Entry(key, next_try=now)
        good, bad = _readable(key, addresses[: bounds.ADDRESSES_PER_PEER_MAX])
        if tuple(good) != entry.announced:
            # A changed announcement is news: try it now, whatever failed before.
            entry.announced = tuple(good)
            entry.failures = 0
            entry.next_try = now
            if entry.good is not None and entry.good not in good and good:
                entry.good = None
        return bad

    def hint(self, key: bytes, addresses: Sequence[str], now: float) -> bool:
        """Add addresses somebody else reported for a node we keep; return whether any was new."""
        entry = self.entries.get(key)
        if entry is None:
            return False
        good, _ = _readable(key, addresses[: bounds.ADDRESSES_PER_PEER_MAX])
        known = set(entry.candidates())
        fresh = [address for address in good if address not in known]
        if not fresh:
            return False
        entry.hints = (fresh + entry.hints)[: bounds.ADDRESSES_PER_PEER_MAX // 2]
        entry.next_try = min(entry.next_try, now)
        return True

    def forget(self, key: bytes) -> None:
        """Stop keeping a node connected."""
        self.entries.pop(key, None)

    def due(self, now: float, connected: set[bytes], room: int) -> list[Entry]:
        """Return up to `room` nodes to dial now, shuffled: no node is everybody's first."""
        ready = [
            entry
            for entry in self.entries.values()
            if entry.next_try <= now
            and not entry.dialling
            and entry.key not in connected
            and entry.candidates()
        ]
        self._rng.shuffle(ready)
        return ready[: max(0, room)]

    def reached(self, key: bytes, address: Address | None) -> None:
        """Note that a node is connected."""
        entry = self.entries.get(key)
        if entry is not None:
            entry.failures = 0
            entry.last_error = ""
            if address is not None:
                entry.good = address

    def failed(self, key: bytes, fault: str, now: float) -> None:
        """Note a failed dial and when to try again: doubling pauses with a quarter of jitter."""
        entry = self.entries.get(key)
        if entry is not None:
            entry.failures += 1
            entry.last_error = fault
            entry.next_try = now + self.pause(entry.failures)

    def lost(self, key: bytes, now: float) -> None:
        """Note that a connection ended: try again soon, and not all at the same moment."""
        entry = self.entries.get(key)
        if entry is not None:
            entry.next_try = now + self.pause(1)

    def pause(self, failures: int) -> float:
        """Return the pause after so many failures in a row, in seconds."""
        pause = min(bounds.REDIAL_S_MAX, bounds.REDIAL_S_MIN * 2.0 ** min(failures - 1, 16))
        return pause * self._rng.uniform(0.75, 1.25)


def _readable(key: bytes, addresses: Sequence[str]) -> tuple[list[Address], list[str]]:
    good: list[Address] = []
    bad: list[str] = []
    for text in addresses:
        try:
            address = parse_address(text)
        except BadAddress:
            bad.append(text)
            continue
        if address.peer not in (b"", key) or address.is_unspecified or not address.port:
            bad.append(text)
            continue
        good.append(address)
    return good, bad
