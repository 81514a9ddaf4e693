"""Decide which neighbours get a message at once and which are only told of it (spec/04).

A mesh sends a message over each of its links, although a tree of them would do: with five links a
node, four copies of five are of no use. The tree is learned from what happens anyhow. A neighbour
that sends us what we sent it has it from elsewhere: from then on we announce to it. One that asks
for what we announced relies on us: from then on we send again. So a broken branch costs the first
message after it half a second, and no message.

Pure: no clock, no network. Peers are any hashable value.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from maillon.node import bounds

_AGAIN = round(1.0 / bounds.GOSSIP_ASK_S)
_GIVE_UP = round(bounds.GOSSIP_WAYS_BEATS / bounds.GOSSIP_ASK_S)

Peer = TypeVar("Peer", bound=Hashable)


@dataclass(slots=True)
class _Message(Generic[Peer]):
    """What is known about the way of one message."""

    beat: int
    holders: set[Peer] = field(default_factory=set[Peer])  # sent or announced it to us
    sent: set[Peer] = field(default_factory=set[Peer])


@dataclass(slots=True)
class _Missing(Generic[Peer]):
    """A message that was announced and has not come; in rounds of ASK_S."""

    ask_at: int
    until: int
    holders: list[Peer] = field(default_factory=list[Peer])  # announced it, not asked yet


class Links(Generic[Peer]):
    """The neighbours of one topic, and what each of them is known to have."""

    def __init__(self) -> None:
        self.lazy: set[Peer] = set()
        self._messages: OrderedDict[bytes, _Message[Peer]] = OrderedDict()
        self._announce: dict[Peer, dict[bytes, None]] = {}
        self._missing: dict[bytes, _Missing[Peer]] = {}
        self._round = 0
        self._beat = 0

    def _message(self, mid: bytes) -> _Message[Peer]:
        known = self._messages.get(mid)
        if known is None:
            known = self._messages[mid] = _Message(self._beat)
            while len(self._messages) > bounds.GOSSIP_WAYS_MAX:
                self._messages.popitem(last=False)
        return known

    def send(self, mid: bytes, peer: Peer) -> bool:
        """Tell whether a neighbour is to be sent a message now; if not, it may be announced."""
        known = self._message(mid)
        if peer in known.holders or peer in known.sent:
            return False
        if peer in self.lazy:
            waiting = self._announce.setdefault(peer, {})
            if len(waiting) < bounds.GOSSIP_CONTROL_IDS_MAX:
                waiting[mid] = None
            return False
        known.sent.add(peer)
        return True

    def came(self, mid: bytes, peer: Peer, *, neighbour: bool) -> None:
        """Note that a peer sent a message, the first time or again."""
        # What waits to be announced to it still is: it has to learn that sending was of no use.
        self._holds(mid, peer, neighbour)

    def announced(self, mid: bytes, peer: Peer, *, neighbour: bool) -> None:
        """Note that a peer announced a message that is here."""
        self._holds(mid, peer, neighbour)
        waiting = self._announce.get(peer)
        if waiting is not None:
            waiting.pop(mid, None)

    def _holds(self, mid: bytes, peer: Peer, neighbour: bool) -> None:
        known = self._message(mid)
        known.holders.add(peer)
        if neighbour and peer in known.sent:
            self.lazy.add(peer)

    def missing(self, mid: bytes, peer: Peer) -> None:
        """Note that a peer announced a message that is not here."""
        self._message(mid).holders.add(peer)
        lack = self._missing.get(mid)
        if lack is None:
            lack = self._missing[mid] = _Missing(self._round + 2, self._round + _GIVE_UP)
            while len(self._missing) > bounds.GOSSIP_WAYS_MAX:
                del self._missing[next(iter(self._missing))]
        if peer not in lack.holders and len(lack.holders) < bounds.GOSSIP_IWANT_SENDS_MAX:
            lack.holders.append(peer)

    def arrived(self, mid: bytes) -> None:
        """Note that a message is here: nobody is asked for it any more."""
        self._missing.pop(mid, None)

    @property
    def lacking(self) -> bool:
        """Tell whether something announced has not come."""
        return bool(self._missing)

    def asks(self) -> dict[Peer, list[bytes]]:
        """Return whom to ask for what; called each ASK_S while something is lacking.

        An announcement may overtake the message on a longer way, so the first call or two after it
        ask nobody. A peer that does not send what it is asked for has a second for it.
        """
        self._round += 1
        asked: dict[Peer, list[bytes]] = {}
        for mid, lack in list(self._missing.items()):
            if lack.ask_at > self._round:
                continue
            if lack.holders:
                mids = asked.setdefault(lack.holders.pop(0), [])
                if len(mids) < bounds.GOSSIP_CONTROL_IDS_MAX:
                    mids.append(mid)
                lack.ask_at = self._round + _AGAIN
            elif lack.until <= self._round:
                del self._missing[mid]
        return asked

    def wanted(self, peer: Peer) -> None:
        """Note that a peer asked for a message: it relies on us."""
        self.lazy.discard(peer)

    def has(self, mid: bytes, peer: Peer) -> bool:
        """Tell whether a peer is known to have a message, or was sent it."""
        known = self._messages.get(mid)
        return known is not None and (peer in known.holders or peer in known.sent)

    @property
    def waiting(self) -> bool:
        """Tell whether there is something to announce."""
        return any(self._announce.values())

    def announcements(self) -> dict[Peer, list[bytes]]:
        """Take what is to be announced, by neighbour."""
        taken = {peer: list(mids) for peer, mids in self._announce.items() if mids}
        self._announce.clear()
        return taken

    def beat(self) -> None:
        """Begin another heartbeat; forget messages of GOSSIP_WAYS_BEATS ago."""
        self._beat += 1
        while self._messages:
            mid, known = next(iter(self._messages.items()))
            if self._beat - known.beat <= bounds.GOSSIP_WAYS_BEATS:
                break
            del self._messages[mid]

    def forget(self, peer: Peer) -> None:
        """Forget a peer that is gone."""
        self.lazy.discard(peer)
        self._announce.pop(peer, None)
        for known in self._messages.values():
            known.holders.discard(peer)
            known.sent.discard(peer)
        for lack in self._missing.values():
            if peer in lack.holders:
                lack.holders.remove(peer)
