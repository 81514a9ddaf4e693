"""Let time pass: every deadline has an outcome that the agreement names (spec/08, "Deadlines")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from maillon.protocol.exchange.effects import carry_out, closed_by_clock, fix, in_dispute, resolve
from maillon.protocol.exchange.state import Dispute, State
from maillon.protocol.exchange.view import Deadline
from maillon.protocol.limits import BUNDLE_GRACE_S

NEVER_BY_SILENCE: Final = frozenset({"handover", "complaint", "cancellation"})
"""Changes to which silence is never consent, whatever the terms say: they take something from
somebody who may not have read them."""


def deadlines(state: State) -> list[Deadline]:
    """Return what is waited for now, the next first."""
    found = [*_that_change(state), *_that_tell(state)]
    return sorted(found, key=lambda entry: (entry.at, entry.what, entry.outcome))


def _that_change(state: State) -> Iterator[Deadline]:
    """Yield the deadlines that change the state when they pass."""
    terms = state.terms
    if terms is None or state.waits_for_bundle:
        yield from _of_offers(state)
        return
    silence = terms["silence"]
    for change in state.changes.values():
        outcome = "refused" if change.kind in NEVER_BY_SILENCE else silence["consent"]
        yield Deadline("consent", change.at + terms["consent_within_s"], outcome)
    for entry in state.handovers.values():
        if entry.status == "consented":
            yield Deadline("handover", entry.consented_at + terms["consent_within_s"], "stays")
    if state.dispute is not None:
        yield Deadline("mediate", state.dispute.at + terms["mediate_within_s"], silence["mediate"])
        return
    if not state.ended and not (state.fixed and not state.recurring):
        yield from _of_work(state)
    if silence["pay"] == "mediated":
        yield from _of_payment(state)


def _of_offers(state: State) -> Iterator[Deadline]:
    if state.ended:
        return
    for quote in state.quotes.values():
        if state.waits_for_bundle and quote.status == "agreed":
            # Long after everybody should have heard: nobody stays reserved for ever.
            yield Deadline("bundle", quote.valid_until + BUNDLE_GRACE_S, "cancelled")
        elif quote.status == "open":
            yield Deadline("quote", quote.valid_until, "expired")


def _of_work(state: State) -> Iterator[Deadline]:
    terms = state.terms
    assert terms is not None  # there is an agreement
    silence = terms["silence"]
    planned: list[int] = []
    done: list[int] = []
    working = False
    for slot in state.slots.values():
        if slot.status == "in":
            working = True
            began = slot.began() or 0
            yield Deadline("check_out", max(slot.end, began) + terms["begin_within_s"], "done")
        elif slot.status == "planned":
            planned.append(slot.end)
        elif slot.status == "out":
            done.append(slot.out_at)
    if working:
        return
    if planned:
        outcome = "dropped" if done or state.fixed else silence["begin"]
        yield Deadline("begin", max(planned) + terms["begin_within_s"], outcome)
    if done and (not planned or state.recurring):
        outcome = "mediated" if state.dissent is not None else silence["accept"]
        yield Deadline("accept", max(done) + terms["accept_within_s"], outcome)


def _of_payment(state: State) -> Iterator[Deadline]:
    terms = state.terms
    assert terms is not None  # there is an agreement
    if not state.fixed or not state.owed or state.covered():
        return
    entry = state.fixed[-1]
    outcome = terms["silence"]["pay"] if entry.how in ("accepted", "silence") else "overdue"
    yield Deadline("pay", entry.at + terms["pay_within_s"], outcome)


def _that_tell(state: State) -> Iterator[Deadline]:
    """Yield the deadlines that only say until when something is possible."""
    terms = state.terms
    if terms is None or state.waits_for_bundle or state.dispute is not None or not state.fixed:
        return
    entry = state.fixed[-1]
    until = entry.at + terms["complain_within_s"]
    if entry.how in ("accepted", "silence", "fee") and state.time <= until and entry.full:
        yield Deadline("complain", until, "final")
    if terms["silence"]["pay"] != "mediated":
        yield from _of_payment(state)
    evaluate = state.evaluate_until()
    if evaluate is not None and not state.released():
        yield Deadline("evaluate", evaluate, "released")


def advance(state: State, now: int) -> None:
    """Let all deadlines that pass before `now` have their outcome, the earliest first."""
    while True:
        passed = [
            entry
            for entry in _that_change(state)
            # One that leads to mediation has no more to change once there was one.
            if entry.at < now and (entry.what, entry.outcome) != ("pay", "overdue")
        ]
        if not passed:
            break
        entry = min(passed, key=lambda one: (one.at, one.what, one.outcome))
        state.time = max(state.time, entry.at + 1)
        _fire(state, entry)
    state.time = max(state.time, now)


def _fire(state: State, entry: Deadline) -> None:
    match entry.what:
        case "quote":
            for quote in state.quotes.values():
                if quote.status == "open" and quote.valid_until <= entry.at:
                    quote.status = "expired"
        case "bundle":
            state.waits_for_bundle = False
            state.ended = "cancelled"
        case "consent":
            _unanswered(state, entry)
        case "handover":
            for handover in state.handovers.values():
                if handover.status == "consented":
                    handover.status = "gone"
        case "mediate":
            whole = in_dispute(state)
            amount = {"nothing": 0, "half": (whole + 1) // 2, "full": whole}[entry.outcome]
            resolve(state, amount, entry.at, "mediated", None)
        case "check_out":
            for slot in state.slots.values():
                if slot.status == "in":
                    closed_by_clock(state, slot, entry.at)
        case "begin":
            _unbegun(state, entry)
        case "accept" if entry.outcome == "accepted":
            full = state.expected()
            fix(state, full, full, entry.at, "silence", None, whole=True)
        case "accept":
            state.dispute = Dispute(state.dissent, entry.at, None, "silence", None)
        case _:
            state.dispute = Dispute(None, entry.at, None, "payment", len(state.fixed) - 1)


def _unanswered(state: State, entry: Deadline) -> None:
    terms = state.terms
    assert terms is not None  # there is an agreement
    for change in list(state.changes.values()):
        if change.id in state.changes and change.at + terms["consent_within_s"] <= entry.at:
            yes = terms["silence"]["consent"] == "consented"
            carry_out(state, change.id, yes and change.kind not in NEVER_BY_SILENCE, entry.at)


def _unbegun(state: State, entry: Deadline) -> None:
    latest = max(
        (slot for slot in state.slots.values() if slot.status == "planned"),
        key=lambda slot: (slot.end, slot.id),
    )
    for slot in state.slots.values():
        if slot.status == "planned":
            slot.status = "cancelled"
    if entry.outcome == "cancelled":
        state.ended = "cancelled"
        state.changes.clear()
    elif entry.outcome == "done":
        closed_by_clock(state, latest, entry.at)
