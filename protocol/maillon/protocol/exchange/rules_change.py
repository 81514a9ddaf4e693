"""Judge what changes an agreement with consent: appointments, tasks, another provider (spec/08)."""

from __future__ import annotations

from maillon.protocol.exchange.effects import carry_out
from maillon.protocol.exchange.gates import No
from maillon.protocol.exchange.rules_open import takes_over
from maillon.protocol.exchange.state import ChangeState, HandoverState, State
from maillon.protocol.exchange.steps import Step, content


def after_agreement(state: State, known: int) -> None:
    """Refuse a step whose author had not seen the agreement it rests on."""
    if not state.arranged.sees(known, state.agreement):
        raise No("unknown_step")


def _propose(state: State, step: Step) -> None:
    state.changes[step.id] = ChangeState(
        step.id, step.kind, step.author, state.time, content(step)
    )


def appointment(state: State, step: Step, place: int, known: int) -> None:
    """Propose slots, moved slots and slots that fall away."""
    after_agreement(state, known)
    for named in content(step).get("cancels", ()):
        slot = state.slots.get(named)
        if slot is None or slot.status != "planned":
            raise No("slot")
    for proposed in content(step).get("slots", ()):
        slot = state.slots.get(proposed["slot"])
        if slot is not None and slot.status not in ("planned", "cancelled"):
            raise No("slot")
    _propose(state, step)


def amendment(state: State, step: Step, place: int, known: int) -> None:
    """Propose a task besides those agreed."""
    after_agreement(state, known)
    adds = content(step)["adds"]
    if adds.get("amount") and (state.terms or {}).get("kind") != "amount":
        raise No("amount")
    _propose(state, step)


def consent(state: State, step: Step, place: int, known: int) -> None:
    """Answer a proposal of the other party."""
    payload = content(step)
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


def handover(state: State, step: Step, place: int, known: int) -> None:
    """Propose that another provider does it, or one task of it."""
    after_agreement(state, known)
    payload = content(step)
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
    named = state.handovers.get(content(step)["handover"])
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

    def rival(other: int) -> bool:
        return takes_over(arranged, other) or begins(state, other, named.by)

    if arranged.beaten(place, rival):
        raise No("rival")
    named.status = "done"
    state.provider = step.author
    for change in list(state.changes.values()):
        if change.by == named.by:
            del state.changes[change.id]
    for entry in state.handovers.values():
        if entry.status in ("proposed", "consented") and entry.by == named.by:
            entry.status = "gone"


def begins(state: State, place: int, provider: bytes) -> bool:
    """Tell whether a step is a provider's check-in, by what its author had seen."""
    arranged = state.arranged
    step = arranged.steps[place]
    return (
        step.kind == "check_in"
        and step.payload is not None
        and step.author == provider
        and arranged.sees(arranged.past[place], state.agreement)
    )
