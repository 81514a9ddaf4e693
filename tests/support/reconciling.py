"""Let two sets reconcile in one process and count what crosses the line."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from maillon.protocol.limits import RECONCILE_MESSAGE_BYTES
from maillon.protocol.reconcile import Initiator, ItemSet, Range, Responder

Item = tuple[int, bytes]


@dataclass
class Outcome:
    """What the initiator learned, in ids, and what it took."""

    have: list[bytes] = field(default_factory=list[bytes])
    need: list[bytes] = field(default_factory=list[bytes])
    have_ranges: list[Range] = field(default_factory=list[Range])
    need_ranges: list[Range] = field(default_factory=list[Range])
    rounds: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    complete: bool = False
    open_ranges_max: int = 0
    messages: list[bytes] = field(default_factory=list[bytes])

    def session_bytes(self) -> int:
        """Count the messages and the range requests that replace ids (spec/05, "Session")."""
        asked = sum(
            len(r.lower.prefix) + len(r.upper.prefix) + 17 for r in self.need_ranges
        )
        return self.bytes_up + self.bytes_down + asked


def reconcile(
    ours: ItemSet,
    theirs: ItemSet,
    frame: int = RECONCILE_MESSAGE_BYTES,
    *,
    ranges: bool = False,
    between: Callable[[int], None] = lambda _round: None,
    keep: bool = False,
) -> Outcome:
    """Run a reconciliation to its end; `between` is called after each round."""
    initiator = Initiator(ours, frame, ranges=ranges)
    responder = Responder(theirs, frame, ranges=ranges)
    outcome = Outcome()
    message: bytes | None = initiator.initiate()
    while message is not None:
        assert len(message) <= frame
        reply = responder.reply(message)
        assert len(reply) <= frame
        outcome.rounds += 1
        outcome.bytes_up += len(message)
        outcome.bytes_down += len(reply)
        if keep:
            outcome.messages += [message, reply]
        between(outcome.rounds)
        step = initiator.reconcile(reply)
        outcome.have += step.have
        outcome.need += step.need
        outcome.have_ranges += step.have_ranges
        outcome.need_ranges += step.need_ranges
        message = step.reply
        outcome.open_ranges_max = max(outcome.open_ranges_max, initiator.open_ranges)
        outcome.complete = step.complete
    return outcome


def walk(range_: Range, items: ItemSet, limit: int = 1_000) -> list[bytes]:
    """Collect the ids of a range page by page, as a session sends them."""
    found: list[bytes] = []
    rest: Range | None = range_
    while rest is not None:
        page, rest = rest.page(items, limit)
        found.extend(id_ for _, id_ in page)
    return found


def timeline(count: int, rng: random.Random, *, apart_s: float = 50.0) -> list[Item]:
    """Make that many items in the order of time, as far apart on average as told."""
    at = 1_700_000_000.0
    items: list[Item] = []
    for _ in range(count):
        at += rng.expovariate(1 / apart_s) if apart_s else 0.0
        items.append((int(at), rng.randbytes(32)))
    return sorted(items)
