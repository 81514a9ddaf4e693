"""Reserve the parts of a bundle in two steps, all of them or none (spec/08, "Bundles").

First every provider quotes with `reserved`, which it cannot take back, and the requester agrees to
each. Then the node of the requester's coop, the coordinator, decides once for all parts. It writes
the decision durably before it tells anybody, and answers the same whenever it is asked; so any node
may die between the steps. A party that holds the decision hands it on to one that does not.

These are the decisions alone: what to write and whether to wait. Who keeps and sends is the node's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maillon.protocol.errors import LocalError
from maillon.protocol.exchange.steps import Step
from maillon.protocol.exchange.view import Exchange, Quote
from maillon.protocol.limits import BUNDLE_GRACE_S

__all__ = ["Decision", "decide", "decision_in", "in_doubt", "may_release", "reserved_until"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One word for all parts of a bundle: `outcome` is "commit" or "abort".

    `exchanges` are the ids of the parts' openings, `agreements` those of their agreements in the
    same order, empty for an abort.
    """

    bundle: bytes
    exchanges: tuple[bytes, ...]
    agreements: tuple[bytes, ...]
    outcome: str

    def payload(self) -> dict[str, Any]:
        """Return the fields of the step `bundle_decision`, without its salt."""
        fields: dict[str, Any] = {
            "bundle": self.bundle,
            "exchanges": list(self.exchanges),
            "outcome": self.outcome,
        }
        if self.agreements:
            fields["agreements"] = list(self.agreements)
        return fields

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> Decision:
        """Read the fields of a step `bundle_decision`."""
        return cls(
            payload["bundle"],
            tuple(payload["exchanges"]),
            tuple(payload.get("agreements", ())),
            payload["outcome"],
        )


def _quote(part: Exchange) -> Quote | None:
    """Return the reserved quote that was agreed to, or else one that is open."""
    agreed = part.agreement
    if agreed is not None:
        return next((quote for quote in part.quotes if quote.id == agreed.quote), None)
    return next((quote for quote in part.quotes if quote.reserved and quote.status == "open"), None)


def reserved_until(parts: Iterable[Exchange]) -> int | None:
    """Return the last second in which all parts can be committed, or None when one is not reserved.

    A part counts as reserved from its provider's quote on.
    """
    latest: list[int] = []
    for part in parts:
        quote = _quote(part)
        if quote is None or not quote.reserved:
            return None
        latest.append(quote.valid_until)
    return min(latest, default=None)


def decide(
    parts: Sequence[Exchange],
    providers: Sequence[bytes],
    now: int,
    until: int,
    written: Decision | None = None,
) -> Decision | None:
    """Return what the coordinator writes now, or None while it waits.

    `parts` are the exchanges of one bundle as they are at `now`, `providers` those of the bundle's
    parts; `until` is when it gives up at the latest. What was `written` before is the answer for
    ever. Commit: every provider's part is agreed to by the requester under a reserved quote that is
    still valid. Abort: a part ended, or time is up.

    Raises: LocalError when the parts are not of one bundle and one requester.
    """
    if written is not None:
        return written
    if not parts:
        return None
    bundle = parts[0].bundle
    if bundle is None or any(
        (part.bundle, part.requester) != (bundle, parts[0].requester) for part in parts
    ):
        raise LocalError("These exchanges are not the parts of one bundle for one requester.")
    exchanges = tuple(part.id for part in parts)
    by_provider = {part.provider: part for part in parts}
    whole = set(by_provider) == set(providers) and len(parts) == len(providers)
    ready = [part for part in parts if _ready(part, now)]
    if whole and len(ready) == len(parts):
        agreements = tuple(part.agreement.id for part in ready if part.agreement is not None)
        return Decision(bundle, exchanges, agreements, "commit")
    ended = any(part.phase in ("cancelled", "declined", "expired") for part in parts)
    reserved = reserved_until(part for part in parts if part.agreement is not None)
    if ended or now > until or (reserved is not None and now > reserved):
        return Decision(bundle, exchanges, (), "abort")
    return None


def _ready(part: Exchange, now: int) -> bool:
    quote = _quote(part)
    return (
        part.reserved and quote is not None and quote.reserved and now <= quote.valid_until
    )


def in_doubt(part: Exchange) -> bool:
    """Tell whether a part waits for the decision: its provider asks the coordinator and the others.

    Between the agreement and the decision a provider must neither do the work nor give the time
    away.
    """
    return part.reserved


def may_release(part: Exchange, now: int) -> bool:
    """Tell whether a provider may give the reserved time to somebody else.

    That is after an abort, after the quote expired without an agreement, or so long after the last
    moment for a decision that one made in time would have arrived.
    """
    if part.phase in ("cancelled", "declined", "expired"):
        return True
    quote = _quote(part)
    if quote is None:
        return part.agreement is None
    if part.reserved:
        return now > quote.valid_until + BUNDLE_GRACE_S
    return part.agreement is None and now > quote.valid_until


def decision_in(steps: Iterable[Step], coordinator: bytes, bundle: bytes) -> Step | None:
    """Return the decision that a party holds and hands on to whoever asks, or None.

    `coordinator` is the author of the requester's coop. A commitment goes before an abort, as in
    the fold; the least id among several of one outcome, so that everybody hands on the same.
    """
    found = [
        step
        for step in steps
        if step.kind == "bundle_decision"
        and step.author == coordinator
        and step.payload is not None
        and step.payload["bundle"] == bundle
    ]
    if not found:
        return None
    return min(
        found,
        key=lambda step: ((step.payload or {}).get("outcome") != "commit", step.id),
    )
