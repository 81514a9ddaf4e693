"""Decide with whom to reconcile, and when.

On a new connection the node with the lower key starts; the other starts later unless it was served
meanwhile: a session makes both sides equal, so one is enough. Then a round at intervals, each with
the connected peer that was not talked to for longest, so that every peer has its turn and one that
withholds records only delays them. A sign of loss asks for a session soon. Failures back off.

All times come from the caller and may jump either way: a time in the future beyond what could have
been set is brought back.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from maillon.node import bounds


@dataclass(slots=True)
class PeerState:
    """What is known of one connected peer's sessions."""

    since: float
    soon_at: float | None = None
    last_at: float | None = None
    last_ok: bool = False
    last_received: int = 0
    last_sent: int = 0
    sessions: int = 0
    failures: int = 0
    outgoing: bool = False
    incoming: bool = False


class Peers:
    """Keep the connected peers' turns; hand out who is due."""

    def __init__(
        self,
        own: bytes,
        rng: Random,
        *,
        interval_s: float = bounds.SYNC_INTERVAL_S,
        outgoing_max: int = bounds.SYNC_OUTGOING_MAX,
        incoming_max: int = bounds.SYNC_INCOMING_MAX,
    ) -> None:
        self._own = own
        self._rng = rng
        self._interval_s = interval_s
        self._outgoing_max = outgoing_max
        self._incoming_max = incoming_max
        self._states: dict[bytes, PeerState] = {}
        self._round_at: float | None = None

    def __contains__(self, peer: object) -> bool:
        return peer in self._states

    def __len__(self) -> int:
        return len(self._states)

    def states(self) -> dict[bytes, PeerState]:
        """Return the connected peers in the order of their keys."""
        return dict(sorted(self._states.items()))

    def connected(self, peer: bytes, now: float) -> None:
        """Give a new connection its first session, at once or as the second of the two."""
        if peer in self._states:
            return
        wait = 0.0 if self._own < peer else self._jittered(bounds.SYNC_SECOND_S)
        self._states[peer] = PeerState(since=now, soon_at=now + wait)

    def disconnected(self, peer: bytes) -> None:
        """Forget a peer's turn. A session that still runs ends by itself."""
        self._states.pop(peer, None)

    def soon(self, peer: bytes, now: float) -> None:
        """Ask for a session with this peer soon: something was lost on its way here."""
        state = self._states.get(peer)
        if state is None or state.failures:
            return
        at = now + self._jittered(bounds.SYNC_SOON_S)
        if state.soon_at is None or at < state.soon_at:
            state.soon_at = at

    def due(self, now: float) -> list[bytes]:
        """Return the peers to start a session with now, oldest wish first."""
        running = sum(state.outgoing for state in self._states.values())
        room = self._outgoing_max - running
        chosen: list[bytes] = []
        wishes: list[tuple[float, bytes]] = []
        for peer, state in self._states.items():
            if state.soon_at is None or state.outgoing or state.incoming:
                continue
            # No wait is longer than the longest: the clock was set back.
            if state.soon_at - now > bounds.SYNC_RETRY_MAX_S * (1 + bounds.SYNC_JITTER):
                state.soon_at = now
            if state.soon_at <= now:
                wishes.append((state.soon_at, peer))
        for _, peer in sorted(wishes)[: max(room, 0)]:
            chosen.append(peer)
        if self._round_at is None or self._round_at - now > self._interval_s * 2:
            self._round_at = now + self._jittered(self._interval_s)
        elif self._round_at <= now:
            self._round_at = now + self._jittered(self._interval_s)
            if len(chosen) < room:
                turn = self._whose_turn(chosen, now)
                if turn is not None:
                    chosen.append(turn)
        for peer in chosen:
            # The wish rests until the runner reports; if no stream can be opened it comes again.
            self._states[peer].soon_at = now + self._jittered(bounds.SYNC_SECOND_S)
        return chosen

    def next_at(self, now: float) -> float | None:
        """Return when `due` could next name somebody."""
        if not self._states:
            return None
        times = [now + self._interval_s if self._round_at is None else self._round_at]
        times += [
            state.soon_at
            for state in self._states.values()
            if state.soon_at is not None and not state.outgoing and not state.incoming
        ]
        return max(now, min(times))

    def may_start(self, peer: bytes) -> bool:
        """Say whether a session may be opened with this peer now."""
        state = self._states.get(peer)
        running = sum(other.outgoing for other in self._states.values())
        return state is not None and not state.outgoing and running < self._outgoing_max

    def may_answer(self, peer: bytes) -> bool:
        """Say whether a session of this peer may be answered now."""
        state = self._states.get(peer)
        running = sum(other.incoming for other in self._states.values())
        return (state is None or not state.incoming) and running < self._incoming_max

    def started(self, peer: bytes, now: float, *, outgoing: bool) -> None:
        """Note a running session. A peer may open one before its connection is reported."""
        state = self._states.setdefault(peer, PeerState(since=now))
        if outgoing:
            state.outgoing = True
        else:
            state.incoming = True

    def ended(
        self,
        peer: bytes,
        now: float,
        *,
        outgoing: bool,
        ok: bool,
        more: bool,
        received: int,
        sent: int,
    ) -> None:
        """Note the end of a session. `more`: it stopped at a bound and there is more to bring."""
        state = self._states.get(peer)
        if state is None:
            return
        if outgoing:
            state.outgoing = False
        else:
            state.incoming = False
        state.sessions += 1
        state.last_at = now
        state.last_ok = ok
        state.last_received = received
        state.last_sent = sent
        if ok:
            state.failures = 0
            state.soon_at = now if more and outgoing else None
        elif outgoing:
            state.failures += 1
            doubled = bounds.SYNC_RETRY_S * 2 ** min(state.failures - 1, 16)
            wait = min(doubled, bounds.SYNC_RETRY_MAX_S)
            state.soon_at = now + self._jittered(wait)
        else:
            # Their session failed; ours may not. A wish of ours stands, or a turn comes.
            state.soon_at = now + self._jittered(bounds.SYNC_SECOND_S)

    def _whose_turn(self, chosen: list[bytes], now: float) -> bytes | None:
        """Return the peer whose last session is longest ago, never first of all; ties by key."""
        resting = [
            (state.last_at if state.last_at is not None and state.last_at <= now else -1.0, peer)
            for peer, state in self._states.items()
            if peer not in chosen
            and not state.outgoing
            and not state.incoming
            and not (state.failures and state.soon_at is not None and state.soon_at > now)
        ]
        return min(resting)[1] if resting else None

    def _jittered(self, seconds: float) -> float:
        share = bounds.SYNC_JITTER
        return seconds * self._rng.uniform(1 - share, 1 + share)
