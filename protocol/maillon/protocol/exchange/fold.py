"""Fold a transcript into the state of its exchange, and judge the next step (spec/08).

The state is a pure function of the set of steps, of what the ledger certified, and of the time: the
two parties, their nodes and a mediator compute the same one, in whatever order the steps arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from maillon.protocol.errors import LocalError, StepRefused
from maillon.protocol.exchange import rules_change, rules_money, rules_open, rules_work
from maillon.protocol.exchange.clock import advance
from maillon.protocol.exchange.gates import GATES, No
from maillon.protocol.exchange.order import ALL, arrange
from maillon.protocol.exchange.show import shown
from maillon.protocol.exchange.state import State
from maillon.protocol.exchange.steps import NO_FACTS, Facts, Step
from maillon.protocol.exchange.view import Exchange, Possible
from maillon.protocol.limits import STEP_REFS_MAX, TRANSCRIPT_STEPS_MAX

Rule = Callable[[State, Step, int, int], None]

RULES: Final[dict[str, Rule]] = {
    "message": rules_open.message,
    "quote": rules_open.quote,
    "quote_withdrawal": rules_open.quote_withdrawal,
    "decline": rules_open.decline,
    "agreement": rules_open.agreement,
    "bundle_decision": rules_open.bundle_decision,
    "contact": rules_open.contact,
    "cancellation": rules_open.cancellation,
    "appointment": rules_change.appointment,
    "consent": rules_change.consent,
    "amendment": rules_change.amendment,
    "handover": rules_change.handover,
    "handover_acceptance": rules_change.handover_acceptance,
    "check_in": rules_work.check_in,
    "check_out": rules_work.check_out,
    "acceptance": rules_work.acceptance,
    "complaint": rules_work.complaint,
    "mediation": rules_work.mediation,
    "hold": rules_money.hold,
    "payment": rules_money.payment,
    "funding": rules_money.funding,
    "evaluation": rules_money.evaluation,
    "guarantee_claim": rules_money.guarantee_claim,
    "guarantee_closed": rules_money.guarantee_closed,
}

MONEY_ANYWAY: Final = frozenset(
    {"role", "phase", "nothing_due", "unknown_step", "unit", "equivocation"}
)
"""Why a payment is void unless the ledger certified its transfer: all that depends on what crossed
it, and none of what the transfer itself is."""


def fold(steps: Iterable[Step], facts: Facts = NO_FACTS, now: int = 0) -> Exchange:
    """Return the state of an exchange at a time.

    The steps may come in any order and more than once. A step that does not fit is void, with a
    reason, and stays in the transcript; one whose references are not there yet waits.

    Raises: LocalError when there is not exactly one opening with its content, or when it is not by
    one of the two that it names.
    """
    arranged = arrange(steps)
    opening = arranged.opening
    payload = opening.payload
    assert payload is not None  # `arrange` refuses an opening without it
    if opening.author not in (payload["requester"], payload["provider"]):
        raise LocalError(
            "An exchange is opened by one of the two that it names.", author=opening.author
        )
    state = State(
        arranged, facts, payload["requester"], payload["provider"], payload["provider"]
    )
    for place, step in enumerate(arranged.steps):
        advance(state, arranged.time[place])
        reason = _unless_moved(state, step, place, _taken(state, step, place))
        if reason is not None:
            state.void.append((step.id, step.kind, reason))
        elif step.kind == "agreement":
            _moved_before(state)
    state.void.extend((step.id, step.kind, "exchange") for step in arranged.foreign)
    return exchange_at(state, now)


def _unless_moved(state: State, step: Step, place: int, reason: str | None) -> str | None:
    """Return why a step is void, or None for a payment whose money moved all the same."""
    anyway = step.kind == "payment" and reason in MONEY_ANYWAY
    return None if anyway and rules_money.moved(state, step, place) else reason


def _moved_before(state: State) -> None:
    """Count the money that moved under an agreement which gave way to this, later one."""
    arranged = state.arranged
    for entry in list(state.void):
        place = arranged.place[entry[0]]
        if _unless_moved(state, arranged.steps[place], place, entry[2]) is None:
            state.void.remove(entry)


def _taken(state: State, step: Step, place: int) -> str | None:
    if step.kind == "opening":
        return None
    if place in state.arranged.lost:
        return "equivocation"
    if step.payload is None:
        return "erased"
    return _judged(state, step, place, state.arranged.past[place])


def _judged(state: State, step: Step, place: int, known: int) -> str | None:
    gate, rule = GATES.get(step.kind), RULES.get(step.kind)
    if gate is None or rule is None:
        return "exchange"
    reason = gate(state, step.author, state.phase())
    if reason == "phase" and _crossed(state, step, place):
        reason = None
    if reason is not None:
        return reason
    try:
        rule(state, step, place, known)
    except No as no:
        return no.reason
    return None


def _crossed(state: State, step: Step, place: int) -> bool:
    """Tell whether a step crossed the one that made it impossible, and is judged all the same.

    A cancellation that crossed the check-ins of all that it would have called off ends nothing, and
    is heard as dissent; a check-in or check-out that crossed another one adds a second measure.
    """
    if state.fixed and not state.recurring or not state.arranged.aside(place):
        return False
    if step.kind in ("check_in", "check_out"):
        return state.dispute is None and not state.ended
    if step.kind != "cancellation" or state.dispute is not None:
        return False
    known = state.arranged.past[place]
    begun = [slot for slot in state.slots.values() if slot.status in ("in", "out")]
    return bool(begun) and all(
        earlier >= 0 and not known >> earlier & 1 for slot in begun for earlier, _ in slot.ins
    )


def exchange_at(state: State, now: int) -> Exchange:
    """Return what a folded transcript comes to at a time."""
    copy = state.copy()
    advance(copy, now)
    return shown(copy, now, state)


def possible(state: State, author: bytes, now: int) -> Possible:
    """Return what an author may do at a time, and for the other kinds why not."""
    copy = state.copy()
    advance(copy, now)
    phase = copy.phase()
    why_not = {kind: gate(copy, author, phase) for kind, gate in GATES.items()}
    kinds = tuple(kind for kind, reason in why_not.items() if reason is None)
    return Possible(
        kinds, {kind: reason for kind, reason in why_not.items() if reason is not None}
    )


def check_next(
    exchange: Exchange,
    kind: str,
    payload: Mapping[str, Any],
    author: bytes,
    now: int,
    *,
    signer_role: str = "member",
    by: bytes = b"",
) -> None:
    """Judge a step before it is signed, by the rules it will be judged by afterwards.

    Raises: StepRefused with `phase`, `kind`, `reason` and `possible`.
    """
    state = exchange.folded.copy()
    advance(state, now)
    step = Step(
        b"", kind, by, author, signer_role, now, exchange.heads[-STEP_REFS_MAX:], payload
    )
    phase = state.phase()
    place = len(state.arranged.steps)
    reason = _unless_moved(state, step, place, _judged(state, step, place, ALL))
    if kind == "opening":
        reason = "phase"
    if len(exchange.order) >= TRANSCRIPT_STEPS_MAX:
        reason = "full"
    if reason is not None:
        raise StepRefused(
            f"A {kind} is not possible now ({reason}): the exchange is {phase}.",
            phase=phase,
            kind=kind,
            reason=reason,
            possible=possible(exchange.folded, author, now).kinds,
        )
