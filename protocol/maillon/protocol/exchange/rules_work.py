"""Judge the steps of the work itself: that it was done, accepted, or not (spec/08, "Steps")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maillon.protocol.exchange.clock import fix, in_dispute, resolve
from maillon.protocol.exchange.gates import No
from maillon.protocol.exchange.rules_change import after_agreement
from maillon.protocol.exchange.rules_open import knew, too_early
from maillon.protocol.exchange.state import (
    WALK_IN,
    ChangeState,
    Dispute,
    SlotState,
    State,
)
from maillon.protocol.exchange.steps import Step


def _payload(step: Step) -> Mapping[str, Any]:
    assert step.payload is not None  # `fold` voids steps without it
    return step.payload


def _slot(state: State, named: bytes | None, statuses: tuple[str, ...]) -> SlotState:
    if named is not None:
        slot = state.slots.get(named)
        if slot is None:
            raise No("slot")
        return slot
    found = [slot for slot in state.slots.values() if slot.status in statuses]
    if len(found) > 1:
        raise No("slot")
    return found[0] if found else SlotState(WALK_IN, 0, 0, "")


def check_in(state: State, step: Step, place: int, known: int) -> None:
    """Say that work begins."""
    after_agreement(state, known)
    payload = _payload(step)
    slot = _slot(state, payload.get("slot"), ("planned",))
    if slot.id == WALK_IN and WALK_IN in state.slots:
        slot = state.slots[WALK_IN]
    if slot.status in ("out", "accepted"):
        raise No("decided")
    if slot.id != WALK_IN and too_early(state.time, slot):
        raise No("early")
    if slot.status == "in" and not _concurrent_with(state, slot, place, known):
        raise No("decided")
    # A slot that was called off stays so, unless who begins on it had not seen that.
    if slot.status == "cancelled" and place >= len(state.arranged.steps):
        raise No("slot")
    slot.status = "in"
    slot.ins = (*slot.ins, (place, payload["time"]))
    state.slots[slot.id] = slot
    for entry in state.handovers.values():
        if entry.task is None and entry.status in ("proposed", "consented"):
            entry.status = "gone"
            state.changes.pop(entry.id, None)


def _concurrent_with(state: State, slot: SlotState, place: int, known: int) -> bool:
    return all(not known >> earlier & 1 for earlier, _ in slot.ins)


def check_out(state: State, step: Step, place: int, known: int) -> None:
    """Say that work ended, and how long it took."""
    after_agreement(state, known)
    payload = _payload(step)
    slot = _slot(state, payload.get("slot"), ("in",))
    if slot.status == "out":
        # The other party's own measure, or another device's: the lesser one counts.
        if all(not known >> earlier & 1 for earlier, _, _ in slot.outs if earlier >= 0):
            slot.outs = (*slot.outs, (place, payload["time"], payload.get("minutes")))
            return
        raise No("decided")
    if slot.status != "in":
        raise No("slot")
    slot.status, slot.out_at = "out", state.time
    slot.outs = (*slot.outs, (place, payload["time"], payload.get("minutes")))
    if payload.get("last"):
        state.last = True
        if not state.recurring:
            for other in state.slots.values():
                if other.status == "planned":
                    other.status = "cancelled"


def acceptance(state: State, step: Step, place: int, known: int) -> None:
    """Fix what is due: all of it, or the part that the requester accepts."""
    after_agreement(state, known)
    payload, arranged = _payload(step), state.arranged

    def rival(other: int) -> bool:
        candidate = arranged.steps[other]
        return (
            candidate.kind == "acceptance"
            and candidate.author == step.author
            and arranged.sees(arranged.past[other], state.agreement)
        )

    if not state.recurring and arranged.beaten(place, rival):
        raise No("rival")
    if state.dispute is not None and not arranged.sees(known, state.dispute.step):
        # It accepted what nobody had complained of yet; the complaint is still to be answered.
        raise No("outranked")
    full = state.expected(known, payload.get("minutes"))
    if state.dispute is not None and state.dispute.fixed is not None:
        full = max(full, in_dispute(state))
    amount = int(payload.get("amount", full))
    if amount > full:
        raise No("amount")
    part = bool(payload.get("part")) and amount < max(full, state.expected(known))
    if state.dispute is not None:
        resolve(state, amount, state.time, "accepted", step.id)
        state.fixed[-1].part = part
        return
    fix(
        state, amount, state.time, "accepted", step.id,
        known=known, whole="amount" not in payload and not part, part=part,
    )  # fmt: skip


def complaint(state: State, step: Step, place: int, known: int) -> None:
    """Say that one is not content: silence is no acceptance then."""
    after_agreement(state, known)
    payload = _payload(step)
    at: int | None = None
    if state.fixed and not any(True for _ in state.open_slots()):
        at = len(state.fixed) - 1
        _in_time(state, step, place, known)
    state.dispute = Dispute(step.id, state.time, step.author, "complaint", at)
    if at is not None and state.fixed[at].how == "fee":
        state.dispute.kind = "cancellation"
    if "proposes" in payload and payload["proposes"] <= in_dispute(state):
        state.changes[step.id] = ChangeState(
            step.id, "complaint", step.author, state.time, payload
        )


def _in_time(state: State, step: Step, place: int, known: int) -> None:
    terms, entry = state.terms, state.fixed[-1]
    assert terms is not None
    if entry.how in ("mediated", "settled"):
        raise No("decided")
    within = int(terms["complain_within_s"])
    if entry.step is None or step.author == state.requester and entry.how == "accepted":
        seen = entry.step is None or state.arranged.sees(known, entry.step)
        if state.time > (entry.at + within if seen else entry.accept_until):
            raise No("late")
        return
    if entry.how == "accepted" and not entry.part:
        # All was accepted: what is left to complain of is that it is not paid.
        unpaid_at = entry.at + int(terms["pay_within_s"])
        if not unpaid_at < state.time <= unpaid_at + within:
            raise No("late" if state.time > unpaid_at else "nothing_due")
        return
    # What the other side fixed alone is final only some time after one knew of it.
    arranged = state.arranged
    heard = [
        arranged.time[at]
        for at, earlier in enumerate(arranged.steps[:place])
        if earlier.author == step.author and arranged.sees(arranged.past[at], entry.step)
    ]
    if heard and state.time > min(heard) + within:
        raise No("late")
    if step.author == entry.payer and knew(state, step.author, entry.step, place):
        raise No("role")


def mediation(state: State, step: Step, place: int, known: int) -> None:
    """Say what is due: the last word, within what is in dispute."""
    payload, arranged = _payload(step), state.arranged
    assert state.dispute is not None  # the gate asks for a dispute
    opened = state.dispute.step
    if opened is not None and not arranged.sees(known, opened):
        raise No("unknown_step")

    def rival(other: int) -> bool:
        candidate = arranged.steps[other]
        return candidate.kind == "mediation" and candidate.author == step.author

    if arranged.beaten(place, rival):
        raise No("rival")
    if payload["amount"] > in_dispute(state):
        raise No("amount")
    if opened is not None:
        state.changes.pop(opened, None)
    resolve(state, payload["amount"], state.time, "mediated", step.id)
