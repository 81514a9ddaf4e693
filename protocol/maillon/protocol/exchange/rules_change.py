"""Judge what changes an agreement with consent: appointments, tasks, another provider (spec/08)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maillon.protocol.exchange.clock import resolve
from maillon.protocol.exchange.gates import No
from maillon.protocol.exchange.state import (
    ChangeState,
    HandoverState,
    SlotState,
    State,
    TaskState,
)
from maillon.protocol.exchange.steps import Step


def _payload(step: Step) -> Mapping[str, Any]:
    assert step.payload is not None  # `fold` voids steps without it
    return step.payload


def after_agreement(state: State, known: int) -> None:
    """Refuse a step whose author had not seen the agreement it rests on."""
    if not state.arranged.sees(known, state.agreement):
        raise No("unknown_step")


def _propose(state: State, step: Step) -> None:
    state.changes[step.id] = ChangeState(
        step.id, step.kind, step.author, state.time, _payload(step)
    )


def appointment(state: State, step: Step, place: int, known: int) -> None:
    """Propose slots, moved slots and slots that fall away."""
    after_agreement(state, known)
    for named in _payload(step).get("cancels", ()):
        slot = state.slots.get(named)
        if slot is None or slot.status != "planned":
            raise No("slot")
    for proposed in _payload(step).get("slots", ()):
        slot = state.slots.get(proposed["slot"])
        if slot is not None and slot.status not in ("planned", "cancelled"):
            raise No("slot")
    _propose(state, step)


def amendment(state: State, step: Step, place: int, known: int) -> None:
    """Propose a task besides those agreed."""
    after_agreement(state, known)
    adds = _payload(step)["adds"]
    if adds.get("amount") and (state.terms or {}).get("kind") != "amount":
        raise No("amount")
    _propose(state, step)


def consent(state: State, step: Step, place: int, known: int) -> None:
    """Answer a proposal of the other party."""
    payload = _payload(step)
    change = state.changes.get(payload["to"])
    if change is None or not state.arranged.sees(known, change.id):
        raise No("decided" if state.arranged.sees(known, payload["to"]) else "unknown_step")
    if change.by == step.author:
        raise No("role")
    arranged = state.arranged

    def rival(other: int) -> bool:
        candidate = arranged.steps[other]
        return (
            candidate.kind == "consent"
            and candidate.author == step.author
            and candidate.payload is not None
            and candidate.payload["to"] == change.id
            and arranged.sees(arranged.past[other], change.id)
        )

    if arranged.beaten(place, rival):
        raise No("rival")
    carry_out(state, change.id, payload["yes"], state.time)
    if change.kind == "handover":
        state.handovers[change.id].consent = step.id


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
        case "complaint" if yes:
            if state.dispute is not None and state.dispute.step == id:
                resolve(state, change.payload["proposes"], at, "settled", id)
        case "cancellation" if yes:
            for entry in state.fixed:
                if entry.step == id:
                    entry.amount = change.payload["fee"]
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
    _appoint(state, {"slots": adds.get("when", ())})
    covered = state.fixed[-1] if state.fixed else None
    if covered is not None and covered.whole and not state.recurring:
        # Both signed the task in ignorance of the acceptance, which accepted all there was.
        covered.amount += task.amount
        task.fixed = True


def handover(state: State, step: Step, place: int, known: int) -> None:
    """Propose that another provider does it, or one task of it."""
    after_agreement(state, known)
    payload = _payload(step)
    task = payload.get("task")
    if task is not None:
        found = state.tasks.get(task)
        if found is None or found.to is not None or found.fixed:
            raise No("unknown_step")
    elif any(slot.status in ("in", "out") for slot in state.slots.values()):
        raise No("phase")
    if payload["to"] in (state.requester, state.provider):
        raise No("role")
    state.handovers[step.id] = HandoverState(
        step.id, step.author, payload["to"], task, state.time
    )
    _propose(state, step)


def handover_acceptance(state: State, step: Step, place: int, known: int) -> None:
    """Take a service over, or one task of it, on the terms agreed."""
    arranged = state.arranged
    named = state.handovers.get(_payload(step)["handover"])
    if named is None or not arranged.sees(known, named.id):
        raise No("unknown_step")
    if named.to != step.author:
        raise No("role")
    if named.status != "consented":
        raise No("decided")
    if not arranged.sees(known, named.consent):
        raise No("unknown_step")
    if named.task is not None:
        task = state.tasks[named.task]
        if task.to is not None or task.fixed:
            raise No("decided")
        task.to, named.status = step.author, "done"
        return
    if state.provider != named.by:
        raise No("decided")
    if arranged.beaten(place, lambda other: _takes_over(state, other)):
        raise No("rival")
    named.status = "done"
    state.provider = step.author
    for change in list(state.changes.values()):
        if change.by == named.by:
            del state.changes[change.id]
    for entry in state.handovers.values():
        if entry.status in ("proposed", "consented") and entry.by == named.by:
            entry.status = "gone"


def _takes_over(state: State, place: int) -> bool:
    arranged = state.arranged
    step = arranged.steps[place]
    if step.kind != "handover_acceptance" or step.payload is None:
        return False
    named = state.handovers.get(step.payload["handover"])
    return (
        named is not None
        and named.task is None
        and named.to == step.author
        and arranged.sees(arranged.past[place], named.id)
    )
