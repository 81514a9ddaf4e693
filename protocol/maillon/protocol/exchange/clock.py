"""Let time pass: every deadline has an outcome that the agreement names (spec/08, "Deadlines")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from maillon.protocol.exchange.state import Dispute, Fixed, SlotState, State
from maillon.protocol.exchange.view import Deadline

NEVER_BY_SILENCE: Final = frozenset({"handover", "complaint", "cancellation"})
"""Changes to which silence is never consent, whatever the terms say: they take something from
somebody who may not have read them."""


def deadlines(state: State) -> list[Deadline]:
    """Return what is waited for now, the next first."""
    return sorted(_deadlines(state), key=lambda entry: (entry.at, entry.what))


def _deadlines(state: State) -> Iterator[Deadline]:
    if state.ended and state.dispute is None:
        return
    if state.agreement is None or state.waits_for_bundle:
        if state.waits_for_bundle:
            assert state.agreement is not None
            quote = state.quotes[_quote(state)]
            yield Deadline("bundle", quote.valid_until, "abort")
        for quote in state.quotes.values():
            if quote.status == "open":
                yield Deadline("quote", quote.valid_until, "expired")
        return
    terms = state.terms
    assert terms is not None  # an agreement has terms
    silence = terms["silence"]
    for change in state.changes.values():
        outcome = "refused" if change.kind in NEVER_BY_SILENCE else silence["consent"]
        yield Deadline("consent", change.at + terms["consent_within_s"], outcome)
    if state.dispute is not None:
        yield Deadline("mediate", state.dispute.at + terms["mediate_within_s"], silence["mediate"])
        return
    yield from _of_work(state)
    yield from _of_money(state)


def _quote(state: State) -> bytes:
    assert state.agreement_payload is not None
    named: bytes = state.agreement_payload["quote"]
    return named


def _of_work(state: State) -> Iterator[Deadline]:
    terms = state.terms
    assert terms is not None
    silence = terms["silence"]
    statuses = {slot.status for slot in state.slots.values()}
    if state.fixed and not state.recurring:
        return
    for slot in state.slots.values():
        if slot.status == "in":
            began = slot.began() or 0
            yield Deadline("check_out", max(slot.end, began) + terms["begin_within_s"], "done")
    planned = [slot for slot in state.slots.values() if slot.status == "planned"]
    if planned and "in" not in statuses:
        last = max(slot.end for slot in planned)
        outcome = silence["begin"] if "out" not in statuses and not state.fixed else "dropped"
        yield Deadline("begin", last + terms["begin_within_s"], outcome)
    done = [slot.out_at for slot in state.open_slots()]
    if done and "in" not in statuses and (not planned or state.recurring or state.last):
        outcome = "mediated" if state.dissent is not None else silence["accept"]
        if outcome == "mediated" and state.mediator is None:
            outcome = "accepted"
        yield Deadline("accept", max(done) + terms["accept_within_s"], outcome)


def _of_money(state: State) -> Iterator[Deadline]:
    terms = state.terms
    assert terms is not None
    if not state.fixed:
        return
    entry = state.fixed[-1]
    if entry.how in ("accepted", "silence"):
        until = entry.at + terms["complain_within_s"]
        if state.time <= until:
            yield Deadline("complain", until, "final")
    if state.owed > 0 and not state.covered():
        until = entry.at + terms["pay_within_s"]
        if state.time <= until or terms["silence"]["pay"] == "overdue":
            yield Deadline("pay", until, terms["silence"]["pay"])
    until = state.evaluate_until()
    if until is not None and not state.released():
        yield Deadline("evaluate", until, "released")


def advance(state: State, now: int) -> None:
    """Let all deadlines that pass before `now` have their outcome, the earliest first."""
    while True:
        # A deadline that leaves the state as it was (a payment overdue) is past when it is over.
        passed = [
            entry for entry in deadlines(state) if entry.at < now and _changes(state, entry)
        ]
        if not passed:
            break
        state.time = max(state.time, passed[0].at + 1)
        _fire(state, passed[0])
    state.time = max(state.time, now)


def _changes(state: State, entry: Deadline) -> bool:
    match entry.what:
        case "complain" | "evaluate" | "bundle":
            return False
        case "pay":
            return entry.outcome == "mediated" and not _was_mediated(state)
        case _:
            return True


def _was_mediated(state: State) -> bool:
    return state.mediated or state.mediator is None


def _fire(state: State, entry: Deadline) -> None:
    match entry.what:
        case "quote":
            for quote in state.quotes.values():
                if quote.status == "open" and quote.valid_until <= entry.at:
                    quote.status = "expired"
        case "consent":
            _unanswered(state, entry)
        case "mediate":
            _unmediated(state, entry)
        case "check_out":
            for slot in state.slots.values():
                if slot.status == "in":
                    _closed_by_clock(state, slot, entry.at)
        case "begin":
            _unbegun(state, entry)
        case "accept" if entry.outcome == "accepted":
            fix(state, state.expected(), entry.at, "silence", None, whole=True)
        case "accept":
            state.dispute = Dispute(state.dissent, entry.at, None, "silence", None)
        case _:
            state.dispute = Dispute(None, entry.at, None, "payment", len(state.fixed) - 1)


def _unanswered(state: State, entry: Deadline) -> None:
    from maillon.protocol.exchange.rules_change import carry_out

    terms = state.terms
    assert terms is not None
    for change in list(state.changes.values()):
        if change.at + terms["consent_within_s"] <= entry.at:
            yes = entry.outcome == "consented" and change.kind not in NEVER_BY_SILENCE
            carry_out(state, change.id, yes, entry.at)


def _unmediated(state: State, entry: Deadline) -> None:
    dispute = state.dispute
    assert dispute is not None
    whole = in_dispute(state)
    amount = {"nothing": 0, "half": (whole + 1) // 2, "full": whole}[entry.outcome]
    resolve(state, amount, entry.at, "mediated", None)


def _unbegun(state: State, entry: Deadline) -> None:
    for slot in state.slots.values():
        if slot.status == "planned":
            slot.status = "cancelled"
    if entry.outcome == "cancelled":
        state.ended, state.ended_at = "cancelled", entry.at
    elif entry.outcome == "done":
        latest = max(state.slots.values(), key=lambda slot: (slot.end, slot.id))
        _closed_by_clock(state, latest, entry.at)


def _closed_by_clock(state: State, slot: SlotState, at: int) -> None:
    planned = (state.terms or {}).get("minutes")
    minutes = int(planned) if planned is not None else max(0, slot.end - slot.start) // 60
    slot.status, slot.out_at = "out", at
    slot.outs = (*slot.outs, (-1, at, minutes))


def in_dispute(state: State) -> int:
    """Return the most that a mediation can make due."""
    dispute = state.dispute
    assert dispute is not None
    if dispute.fixed is None:
        return state.expected()
    entry = state.fixed[dispute.fixed]
    return max(entry.amount, state.expected() if entry.part else 0)


def resolve(state: State, amount: int, at: int, how: str, step: bytes | None) -> None:
    """End a dispute with an amount."""
    dispute = state.dispute
    assert dispute is not None
    state.dispute = None
    state.mediated = state.mediated or how == "mediated"
    if dispute.fixed is None:
        fix(state, amount, at, how, step, whole=True)
        return
    entry = state.fixed[dispute.fixed]
    entry.amount, entry.at, entry.step = amount, at, step
    if entry.how != "fee":
        entry.how = how
    entry.part = False


def fix(
    state: State,
    amount: int,
    at: int,
    how: str,
    step: bytes | None,
    *,
    known: int = -1,
    whole: bool = False,
    part: bool = False,
) -> None:
    """Make an amount due for the work that is done, and close what it covers."""
    terms = state.terms
    assert terms is not None
    done = [slot for slot in state.open_slots() if slot.minutes(known) is not None]
    accept_until = max([slot.out_at for slot in done], default=at) + int(terms["accept_within_s"])
    for slot in state.slots.values() if not state.recurring else done:
        if slot.status in ("out", "in"):
            slot.status = "accepted"
        elif slot.status == "planned":
            slot.status = "cancelled"
    for task in state.tasks.values():
        if task.to is None:
            task.fixed = True
    slots = tuple(slot.id for slot in done)
    entry = Fixed(amount, at, how, step, accept_until, slots, whole, part)
    entry.payer, entry.payee = state.payer, state.provider
    state.fixed.append(entry)
    if not state.recurring:
        for change in list(state.changes.values()):
            if change.kind in ("appointment", "amendment", "handover"):
                del state.changes[change.id]
