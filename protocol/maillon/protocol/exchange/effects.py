"""Change the state: what an acceptance, an answer, a mediation or silence brings (spec/08)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maillon.protocol.exchange.order import ALL
from maillon.protocol.exchange.state import ChangeState, Fixed, SlotState, State, TaskState


def fix(
    state: State,
    amount: int,
    full: int,
    at: int,
    how: str,
    step: bytes | None,
    *,
    known: int = ALL,
    whole: bool = False,
) -> None:
    """Make an amount due for the work that is done, and close what it covers."""
    terms = state.terms
    assert terms is not None  # there is an agreement
    done = [slot for slot in state.open_slots() if slot.minutes(known) is not None]
    accept_until = max([slot.out_at for slot in done], default=at) + int(terms["accept_within_s"])
    for slot in done if state.recurring else state.slots.values():
        if slot.status in ("out", "in"):
            slot.status = "accepted"
        elif slot.status == "planned":
            slot.status = "cancelled"
    for task in state.tasks.values():
        task.fixed = task.fixed or task.to is None
    state.fixed.append(
        Fixed(amount, full, at, how, step, accept_until, state.payer, whole, amount < full)
    )
    if state.first_fixed_at is None and full > 0:
        # Kept for good: a dispute dates the fixed amount anew, the evaluation it must not.
        state.first_fixed_at = at
    state.dissent = None
    if not state.recurring:
        for change in list(state.changes.values()):
            if change.kind == "appointment":
                del state.changes[change.id]


def in_dispute(state: State) -> int:
    """Return the most that a mediation can make due."""
    dispute = state.dispute
    assert dispute is not None
    return state.expected() if dispute.fixed is None else state.fixed[dispute.fixed].full


def resolve(state: State, amount: int, at: int, how: str, step: bytes | None) -> None:
    """End a dispute with an amount."""
    dispute = state.dispute
    assert dispute is not None
    full = in_dispute(state)
    state.dispute = None
    if dispute.step is not None:
        state.changes.pop(dispute.step, None)
    if dispute.fixed is None:
        fix(state, amount, full, at, how, step)
        return
    entry = state.fixed[dispute.fixed]
    entry.amount, entry.at, entry.step = amount, at, step
    entry.how = "fee_settled" if entry.how == "fee" else how
    entry.part, entry.whole = how == "accepted" and amount < full, False


def carry_out(state: State, id: bytes, yes: bool, at: int) -> None:
    """Give a proposal its answer."""
    change = state.changes.pop(id)
    match change.kind:
        case "appointment" if yes:
            _appoint(state, change.payload)
        case "amendment" if yes:
            _add(state, change)
        case "handover":
            handover = state.handovers[id]
            handover.status = "consented" if yes else "gone"
            handover.consented_at = at
        case "complaint" if yes:
            resolve(state, change.payload["proposes"], at, "settled", id)
        case "cancellation" if yes:
            for entry in state.fixed:
                if entry.step == id:
                    entry.amount, entry.how = change.payload["fee"], "fee_settled"
        case _:
            pass


def _appoint(state: State, payload: Mapping[str, Any]) -> None:
    for named in payload.get("cancels", ()):
        slot = state.slots.get(named)
        if slot is not None and slot.status == "planned":
            slot.status = "cancelled"
    for proposed in payload.get("slots", ()):
        slot = state.slots.get(proposed["slot"])
        if slot is not None and slot.status not in ("planned", "cancelled"):
            # Work on it began meanwhile: it is where it is.
            continue
        state.slots[proposed["slot"]] = SlotState(
            proposed["slot"], proposed["start"], proposed["end"], proposed.get("place", "")
        )


def _add(state: State, change: ChangeState) -> None:
    adds = change.payload["adds"]
    task = TaskState(
        change.id, adds.get("text", ""), int(adds.get("amount", 0)), int(adds.get("minutes", 0))
    )
    state.tasks[change.id] = task
    covered = state.fixed[-1] if state.fixed and not state.recurring else None
    if covered is None:
        _appoint(state, {"slots": adds.get("when", ())})
        return
    # Both signed the task in ignorance of what made the amount due.
    task.fixed = True
    covered.full += task.amount
    if covered.whole:
        covered.amount += task.amount


def closed_by_clock(state: State, slot: SlotState, at: int) -> None:
    """Take work for ended, and for as long as was planned."""
    planned = (state.terms or {}).get("minutes")
    minutes = int(planned) if planned is not None else max(0, slot.end - slot.start) // 60
    slot.status, slot.out_at = "out", at
    slot.outs = (*slot.outs, (-1, at, minutes))
