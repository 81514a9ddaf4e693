"""Say who may take which step in which phase, before its content is read (spec/08, "Steps")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from maillon.protocol.exchange.state import State

BEFORE: Final = frozenset({"opened", "quoted", "declined", "expired"})
BOUND: Final = frozenset(
    {"agreed", "scheduled", "under_way", "done", "accepted", "disputed", "settled", "paid",
     "evaluated", "handed_over"}
)  # fmt: skip
AHEAD: Final = frozenset({"agreed", "scheduled", "handed_over"})
WORKING: Final = AHEAD | {"under_way", "done"}
FIXED: Final = frozenset({"accepted", "settled", "paid", "evaluated"})

Gate = Callable[[State, bytes, str], str | None]
"""Takes state, author and phase; returns why not, or None."""


class No(Exception):
    """A step does not count; the argument is the reason's code."""

    @property
    def reason(self) -> str:
        """Return the code."""
        return str(self.args[0])


def _requester(state: State, author: bytes) -> bool:
    return author == state.requester


def _provider(state: State, author: bytes) -> bool:
    return author == state.provider


def _either(state: State, author: bytes) -> bool:
    return author in (state.requester, state.provider)


def _gate(who: Callable[[State, bytes], bool], phases: frozenset[str]) -> Gate:
    def gate(state: State, author: bytes, phase: str) -> str | None:
        if not who(state, author):
            return "role"
        return None if phase in phases else "phase"

    return gate


def _message(state: State, author: bytes, phase: str) -> str | None:
    parties = {state.requester, state.provider, state.first_provider, state.mediator}
    parties.update(state.opening.get("participants", ()))
    parties.update(entry.to for entry in state.handovers.values())
    return None if author in parties else "role"


def _quote(state: State, author: bytes, phase: str) -> str | None:
    if not _provider(state, author):
        return "role"
    return "phase" if phase not in BEFORE or state.ended or state.waits_for_bundle else None


def _withdrawal(state: State, author: bytes, phase: str) -> str | None:
    if not _provider(state, author):
        return "role"
    if phase != "quoted" or state.waits_for_bundle:
        return "phase"
    open_quotes = [quote for quote in state.quotes.values() if quote.status == "open"]
    return "reserved" if all(quote.reserved for quote in open_quotes) else None


def _decline(state: State, author: bytes, phase: str) -> str | None:
    if not _requester(state, author):
        return "role"
    return "phase" if phase not in BEFORE or state.ended or state.waits_for_bundle else None


def _agreement(state: State, author: bytes, phase: str) -> str | None:
    if not _requester(state, author):
        return "role"
    return "phase" if phase != "quoted" or state.waits_for_bundle else None


def _decision(state: State, author: bytes, phase: str) -> str | None:
    if author != b"c" + state.requester[1:33] or "bundle" not in state.opening:
        return "role"
    return "phase" if state.bundle_decided else None


def _consent(state: State, author: bytes, phase: str) -> str | None:
    if not _either(state, author):
        return "role"
    others = [change for change in state.changes.values() if change.by != author]
    return None if others else "phase"


def _handover(state: State, author: bytes, phase: str) -> str | None:
    if not _provider(state, author):
        return "role"
    if phase in ("agreed", "scheduled"):
        return None
    return None if phase == "under_way" and state.tasks else "phase"


def _taking_over(state: State, author: bytes, phase: str) -> str | None:
    offered = [entry for entry in state.handovers.values() if entry.to == author]
    if not offered:
        return "role"
    consented = any(entry.status == "consented" for entry in offered)
    return None if consented and not state.ended else "phase"


def _check_in(state: State, author: bytes, phase: str) -> str | None:
    if not _either(state, author):
        return "role"
    if phase not in WORKING:
        return "phase"
    statuses = {slot.status for slot in state.slots.values()} - {"cancelled"}
    return None if "planned" in statuses or not statuses else "phase"


def _check_out(state: State, author: bytes, phase: str) -> str | None:
    if not _either(state, author):
        return "role"
    return None if any(slot.status == "in" for slot in state.slots.values()) else "phase"


def _acceptance(state: State, author: bytes, phase: str) -> str | None:
    if not _requester(state, author):
        return "role"
    dispute = state.dispute
    if dispute is not None:
        return "phase" if dispute.kind == "fee" else None
    if phase not in WORKING:
        return "phase"
    if state.recurring:
        return None if any(True for _ in state.open_slots()) else "phase"
    return "phase" if state.by_time and phase != "done" else None


def _complaint(state: State, author: bytes, phase: str) -> str | None:
    if not _either(state, author):
        return "role"
    if state.dispute is not None:
        return "phase"
    if phase in ("under_way", "done"):
        return None
    if phase not in ("scheduled", "accepted", "paid", "evaluated", "cancelled"):
        return "phase"
    decided = not state.fixed or state.fixed[-1].how in ("mediated", "settled", "fee_settled")
    return "phase" if decided else None


def _mediation(state: State, author: bytes, phase: str) -> str | None:
    if author != state.mediator:
        return "role"
    return None if state.dispute is not None else "phase"


def _payment(state: State, author: bytes, phase: str) -> str | None:
    owed = state.owed - sum(state.flows())
    back = author == state.provider and owed < 0
    if author not in (state.requester, state.payer) and not back:
        return "role"
    if state.agreement is None or state.waits_for_bundle:
        return "phase"
    if not state.fixed and not (back and state.ended):
        return "phase"
    if author == state.requester and state.may_acknowledge():
        # Whether it is one is in the step: the rule asks for anything else what is due.
        return None
    return nothing_due(state, author)


def nothing_due(state: State, author: bytes) -> str | None:
    """Return why there is nothing that an author could pay now, or None."""
    owed = state.owed - sum(state.flows())
    back = author == state.provider and owed < 0
    outside = state.terms is not None and state.terms["kind"] != "amount"
    if outside and state.owed == 0:
        return "nothing_due" if state.settled_outside() else None
    return None if owed > 0 or back else "nothing_due"


def _hold(state: State, author: bytes, phase: str) -> str | None:
    if author not in (state.requester, state.payer):
        return "role"
    return None if phase in WORKING | {"disputed"} else "phase"


def _cancellation(state: State, author: bytes, phase: str) -> str | None:
    if not _either(state, author):
        return "role"
    if state.ended:
        return "phase"
    if phase in BEFORE:
        # A reserved quote binds its provider until the decision, an agreement to it its requester.
        if state.waits_for_bundle:
            return "reserved"
        held = any(quote.reserved and quote.status == "open" for quote in state.quotes.values())
        return "reserved" if held and author == state.provider else None
    if phase in AHEAD:
        return None
    planned = any(slot.status == "planned" for slot in state.slots.values())
    return None if phase in ("under_way", "done") and planned else "phase"


def _evaluation(state: State, author: bytes, phase: str) -> str | None:
    if not _either(state, author):
        return "role"
    until = state.evaluate_until()
    if until is None:
        return "phase"
    if author in state.evaluations:
        return "decided"
    return "late" if state.time > until else None


def _claim(state: State, author: bytes, phase: str) -> str | None:
    if not _requester(state, author):
        return "role"
    until = state.guaranteed_until()
    if until is None or state.ended:
        return "phase"
    return "late" if state.time > until else None


def _closed(state: State, author: bytes, phase: str) -> str | None:
    if author not in (state.requester, state.mediator):
        return "role"
    return None if any(closed is None for _, closed in state.claims.values()) else "phase"


def _funding(state: State, author: bytes, phase: str) -> str | None:
    return None if author == state.opening.get("payer") else "role"


GATES: Final[dict[str, Gate]] = {
    "message": _message,
    "quote": _quote,
    "quote_withdrawal": _withdrawal,
    "decline": _decline,
    "agreement": _agreement,
    "bundle_decision": _decision,
    "contact": _gate(_either, BOUND),
    "appointment": _gate(_either, AHEAD | {"under_way", "done"}),
    "consent": _consent,
    "check_in": _check_in,
    "check_out": _check_out,
    "acceptance": _acceptance,
    "complaint": _complaint,
    "mediation": _mediation,
    "payment": _payment,
    "hold": _hold,
    "cancellation": _cancellation,
    "handover": _handover,
    "handover_acceptance": _taking_over,
    "amendment": _gate(_either, WORKING),
    "evaluation": _evaluation,
    "guarantee_claim": _claim,
    "guarantee_closed": _closed,
    "funding": _funding,
}
"""By kind, who may take a step when; `opening` is always the first and only once."""
