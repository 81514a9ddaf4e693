"""Judge the steps of the work itself: that it was done, accepted, or not (spec/08, "Steps")."""

from __future__ import annotations

from maillon.protocol.exchange.effects import fix, in_dispute, resolve
from maillon.protocol.exchange.gates import No
from maillon.protocol.exchange.rules_change import after_agreement
from maillon.protocol.exchange.rules_open import takes_over, too_early
from maillon.protocol.exchange.state import WALK_IN, ChangeState, Dispute, SlotState, State
from maillon.protocol.exchange.steps import Step, content


def _slot(state: State, named: bytes | None, status: str) -> SlotState:
    """Return the slot a step names, or the only one it can mean."""
    if named is not None:
        slot = state.slots.get(named)
        if slot is None or named == WALK_IN:
            raise No("slot")
        return slot
    found = [slot for slot in state.slots.values() if slot.status == status]
    if len(found) > 1:
        raise No("slot")
    return found[0] if found else state.slots.get(WALK_IN, SlotState(WALK_IN, 0, 0, ""))


def check_in(state: State, step: Step, place: int, known: int) -> None:
    """Say that work begins."""
    after_agreement(state, known)
    payload, arranged = content(step), state.arranged
    slot = _slot(state, payload.get("slot"), "planned")
    if slot.status in ("out", "accepted"):
        raise No("decided")
    if slot.id != WALK_IN and too_early(state.time, slot):
        raise No("early")
    if slot.status == "in" and any(known >> earlier & 1 for earlier, _ in slot.ins):
        raise No("decided")
    # What was called off stays so, unless who begins on it had not seen that.
    if slot.status == "cancelled" and not arranged.aside(place):
        raise No("slot")
    provider = step.author == state.provider
    if provider and arranged.beaten(place, lambda other: takes_over(arranged, other)):
        raise No("rival")
    slot.status = "in"
    slot.ins = (*slot.ins, (place, payload["time"]))
    state.slots[slot.id] = slot
    if provider:
        for entry in state.handovers.values():
            if entry.task is None and entry.status in ("proposed", "consented"):
                entry.status = "gone"
                state.changes.pop(entry.id, None)


def check_out(state: State, step: Step, place: int, known: int) -> None:
    """Say that work ended, and how long it took."""
    after_agreement(state, known)
    payload = content(step)
    slot = _slot(state, payload.get("slot"), "in")
    if slot.status == "out":
        # The other party's own measure, or another device's: the lesser one counts.
        if any(earlier < 0 or known >> earlier & 1 for earlier, _, _ in slot.outs):
            raise No("decided")
    elif slot.status != "in":
        raise No("slot")
    else:
        slot.status, slot.out_at = "out", state.time
    slot.outs = (*slot.outs, (place, payload["time"], payload.get("minutes")))
    if payload.get("last"):
        for other in state.slots.values():
            if other.status == "planned":
                other.status = "cancelled"


def acceptance(state: State, step: Step, place: int, known: int) -> None:
    """Fix what is due: all of it, or the part that the requester accepts."""
    after_agreement(state, known)
    payload, arranged = content(step), state.arranged

    def rival(other: int) -> bool:
        candidate = arranged.steps[other]
        return (
            candidate.kind == "acceptance"
            and candidate.author == step.author
            and arranged.sees(arranged.past[other], state.agreement)
        )

    if arranged.beaten(place, rival):
        raise No("rival")
    dispute = state.dispute
    if dispute is not None and dispute.step is not None:
        if not arranged.sees(known, dispute.step):
            # It accepted what nobody had complained of yet; the complaint is still to be answered.
            raise No("outranked")
    measures = [slot.minutes(known) for slot in state.open_slots()]
    if None in measures and (set(measures) == {None} if state.recurring else state.by_time):
        raise No("unknown_step")
    minutes = payload.get("minutes")
    if dispute is not None and dispute.fixed is not None:
        full = limit = in_dispute(state)
    else:
        full = state.expected(known)
        limit = full if minutes is None else state.expected(known, minutes)
        full = max(full, limit)
    amount = int(payload.get("amount", limit))
    if amount > full:
        raise No("amount")
    if dispute is not None:
        resolve(state, amount, state.time, "accepted", step.id)
        return
    whole = "amount" not in payload and minutes is None
    fix(state, amount, full, state.time, "accepted", step.id, known=known, whole=whole)


def complaint(state: State, step: Step, place: int, known: int) -> None:
    """Say that one is not content: silence is no acceptance then."""
    after_agreement(state, known)
    payload = content(step)
    at: int | None = None
    if state.fixed and not any(True for _ in state.open_slots()):
        at = len(state.fixed) - 1
        _in_time(state, step, place, known)
    kind = "fee" if at is not None and state.fixed[at].how == "fee" else "complaint"
    state.dispute = Dispute(step.id, state.time, step.author, kind, at)
    if "proposes" in payload and payload["proposes"] <= in_dispute(state):
        state.changes[step.id] = ChangeState(
            step.id, "complaint", step.author, state.time, payload
        )


def _in_time(state: State, step: Step, place: int, known: int) -> None:
    """Refuse a complaint of what is fixed already, when it comes too late or from the wrong side.

    What silence fixed is final some time after it; what the other side fixed alone, some time after
    one knew of it, or else whoever dates a step back and keeps it could make it final unread.
    """
    terms, entry, arranged = state.terms, state.fixed[-1], state.arranged
    assert terms is not None  # there is an agreement
    within = int(terms["complain_within_s"])
    requester = step.author == state.requester
    if entry.how == "fee":
        if step.author == entry.payer:
            raise No("role")
    elif requester:
        seen = entry.step is None or arranged.sees(known, entry.step)
        if state.time > (entry.at + within if seen else entry.accept_until):
            raise No("late")
        return
    elif not entry.part:
        # All was accepted: what is left to complain of is that it is not paid.
        unpaid = entry.at + int(terms["pay_within_s"])
        if not unpaid < state.time <= unpaid + within:
            raise No("late" if state.time > unpaid else "nothing_due")
        return
    heard = [
        arranged.time[at]
        for at, earlier in enumerate(arranged.steps[:place])
        if earlier.author == step.author and arranged.sees(arranged.past[at], entry.step)
    ]
    if heard and state.time > min(heard) + within:
        raise No("late")


def mediation(state: State, step: Step, place: int, known: int) -> None:
    """Say what is due: the last word, within what is in dispute."""
    payload, arranged, dispute = content(step), state.arranged, state.dispute
    assert dispute is not None  # the gate asks for a dispute
    if dispute.step is not None and not arranged.sees(known, dispute.step):
        raise No("unknown_step")

    def rival(other: int) -> bool:
        candidate = arranged.steps[other]
        return candidate.kind == "mediation" and candidate.author == step.author

    if arranged.beaten(place, rival):
        raise No("rival")
    if payload["amount"] > in_dispute(state):
        raise No("amount")
    resolve(state, payload["amount"], state.time, "mediated", step.id)
