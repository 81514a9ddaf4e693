"""Judge the steps up to the agreement, and what takes it back (spec/08, "Steps")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from maillon.protocol.exchange.gates import No
from maillon.protocol.exchange.order import Arranged
from maillon.protocol.exchange.state import ChangeState, Fixed, QuoteState, SlotState, State
from maillon.protocol.exchange.steps import Step


def _payload(step: Step) -> Mapping[str, Any]:
    assert step.payload is not None  # `fold` voids steps without it
    return step.payload


def message(state: State, step: Step, place: int, known: int) -> None:
    """Words change nothing."""


def quote(state: State, step: Step, place: int, known: int) -> None:
    """Add terms that the requester may agree to."""
    payload = _payload(step)
    state.quotes[step.id] = QuoteState(
        step.id, step.at, step.author, payload["terms"], payload["valid_until"],
        payload.get("reserved", False),
    )  # fmt: skip


def _quote(state: State, step: Step, known: int) -> QuoteState:
    named = state.quotes.get(_payload(step)["quote"])
    if named is None or not state.arranged.sees(known, named.id):
        raise No("unknown_step")
    return named


def eligible_agreement(arranged: Arranged, place: int) -> bool:
    """Tell whether an agreement is good by what its author had seen, whatever else arrives."""
    step = arranged.steps[place]
    opening = cast("Mapping[str, Any]", arranged.opening.payload)
    if step.kind != "agreement" or step.payload is None or place in arranged.lost:
        return False
    if step.author != opening["requester"]:
        return False
    known = arranged.past[place]
    quoted = arranged.place.get(step.payload["quote"])
    if quoted is None or not known >> quoted & 1:
        return False
    source = arranged.steps[quoted]
    if source.kind != "quote" or source.payload is None or quoted in arranged.lost:
        return False
    if source.author != opening["provider"]:
        return False
    if arranged.time[place] > source.payload["valid_until"]:
        return False
    return not any(
        known >> other & 1 and _takes_back(arranged.steps[other], source.id)
        for other in range(quoted + 1, place)
    )


def _takes_back(step: Step, quoted: bytes) -> bool:
    if step.payload is None:
        return False
    if step.kind in ("quote_withdrawal", "decline"):
        return step.payload.get("quote", quoted) == quoted
    return step.kind == "cancellation"


def _agreed_elsewhere(arranged: Arranged, place: int, quoted: bytes | None) -> bool:
    """Tell whether an agreement stands that had not seen the step at `place`, and so outranks it."""
    return any(
        not arranged.past[other] >> place & 1
        and not (place < len(arranged.steps) and arranged.past[place] >> other & 1)
        and eligible_agreement(arranged, other)
        and quoted in (None, cast("Mapping[str, Any]", arranged.steps[other].payload)["quote"])
        for other in range(len(arranged.steps))
        if other != place
    )


def quote_withdrawal(state: State, step: Step, place: int, known: int) -> None:
    """Take a quote back, unless it was agreed to meanwhile."""
    named = _quote(state, step, known)
    if named.reserved:
        raise No("reserved")
    if _is_signed(state, place) and _agreed_elsewhere(state.arranged, place, named.id):
        raise No("outranked")
    if named.status != "open":
        raise No("decided")
    named.status = "withdrawn"


def _is_signed(state: State, place: int) -> bool:
    # A step that is about to be signed has seen everything: nothing is concurrent with it.
    return place < len(state.arranged.steps)


def decline(state: State, step: Step, place: int, known: int) -> None:
    """Refuse a quote, or end the exchange before an agreement."""
    payload = _payload(step)
    if "quote" in payload:
        named = _quote(state, step, known)
        if _is_signed(state, place) and _agreed_elsewhere(state.arranged, place, named.id):
            raise No("outranked")
        if named.status != "open":
            raise No("decided")
        named.status = "declined"
        return
    if _is_signed(state, place) and _agreed_elsewhere(state.arranged, place, None):
        raise No("outranked")
    state.ended, state.ended_by, state.ended_at = "declined", step.author, state.time


def agreement(state: State, step: Step, place: int, known: int) -> None:
    """Bind both: the requester to the quote, the provider to what was quoted."""
    arranged, payload = state.arranged, _payload(step)
    named = _quote(state, step, known)
    if state.time > named.valid_until:
        raise No("late")
    if named.status != "open" or named.by != state.provider:
        raise No("decided")
    if arranged.beaten(place, lambda other: eligible_agreement(arranged, other)):
        raise No("rival")
    named.status = "agreed"
    state.agreement, state.agreement_payload = step.id, payload
    state.agreed_at, state.terms = state.time, named.terms
    state.waits_for_bundle = "bundle" in state.opening and state.bundle_decided != "commit"
    if state.bundle_decided == "abort":
        _aborted(state)
    if "hold" in payload:
        state.hold = (payload["hold"], int(named.terms.get("amount", 0)), named.terms.get("unit", ""))
    if "contact" in payload:
        state.contacts[step.author] = payload["contact"]
    for slot in named.terms.get("when", ()):
        state.slots[slot["slot"]] = SlotState(
            slot["slot"], slot["start"], slot["end"], slot.get("place", "")
        )


def _aborted(state: State) -> None:
    state.waits_for_bundle = False
    state.ended, state.ended_at = "cancelled", state.time


def bundle_decision(state: State, step: Step, place: int, known: int) -> None:
    """Make a bundle's part count, or free everybody."""
    payload, arranged = _payload(step), state.arranged
    if payload["bundle"] != state.opening["bundle"] or step.signer_role != "node":
        raise No("role")
    if payload["outcome"] == "abort":
        commits = [
            other
            for other in arranged.steps
            if other.kind == "bundle_decision"
            and other.payload is not None
            and other.payload["outcome"] == "commit"
            and other.author == step.author
            and other.payload["bundle"] == payload["bundle"]
        ]
        if commits:
            raise No("outranked")
        state.bundle_decided = "abort"
        if state.agreement is not None:
            _aborted(state)
        elif not state.ended:
            state.ended, state.ended_by, state.ended_at = "cancelled", step.author, state.time
        return
    places = [at for at, id in enumerate(payload["exchanges"]) if id == arranged.exchange]
    if state.agreement is None or payload["agreements"][places[0]] != state.agreement:
        raise No("unknown_step")
    if state.time > state.quotes[_agreed_quote(state)].valid_until:
        raise No("late")
    state.bundle_decided = "commit"
    state.waits_for_bundle = False


def _agreed_quote(state: State) -> bytes:
    assert state.agreement_payload is not None
    named: bytes = state.agreement_payload["quote"]
    return named


def contact(state: State, step: Step, place: int, known: int) -> None:
    """Say how to be found, after the agreement."""
    if not state.arranged.sees(known, state.agreement):
        raise No("unknown_step")
    state.contacts[step.author] = _payload(step)["contact"]


def cancellation(state: State, step: Step, place: int, known: int) -> None:
    """End the exchange before an agreement, or take an agreement back."""
    arranged = state.arranged
    if state.agreement is None or not arranged.sees(known, state.agreement):
        if state.agreement is not None or (
            _is_signed(state, place) and _agreed_elsewhere(arranged, place, None)
        ):
            raise No("outranked")
        state.ended, state.ended_by, state.ended_at = "cancelled", step.author, state.time
        return
    begun = _begun_meanwhile(state, place)
    fee = _fee(state, step, place)
    for slot in state.slots.values():
        if slot.status == "planned" and slot.id not in begun:
            slot.status = "cancelled"
    state.stopped = True
    if begun:
        # Who says that work began and who says that it was called off cannot both go unheard.
        state.dissent = step.id
        return
    if any(slot.status in ("in", "out") for slot in state.slots.values()) or state.fixed:
        return
    state.ended, state.ended_by, state.ended_at = "cancelled", step.author, state.time
    state.changes.clear()
    if fee:
        entry = Fixed(fee, state.time, "fee", step.id, state.time)
        entry.payer, entry.payee = step.author, state.other(step.author)
        state.fixed.append(entry)
    offered = _payload(step).get("fee")
    if offered is not None and offered < fee:

        state.changes[step.id] = ChangeState(
            step.id, "cancellation", step.author, state.time, _payload(step)
        )


def _begun_meanwhile(state: State, place: int) -> set[bytes]:
    """Return the slots on which somebody checked in without having seen the step at `place`."""
    arranged = state.arranged
    if place >= len(arranged.steps):
        return set()
    begun: set[bytes] = set()
    for other, step in enumerate(arranged.steps):
        if (
            step.kind == "check_in"
            and step.payload is not None
            and other not in arranged.lost
            and arranged.concurrent(place, other)
            and arranged.sees(arranged.past[other], state.agreement)
            and step.author in (state.requester, state.provider)
        ):
            named = step.payload.get("slot")
            slot = state.slots.get(named) if named is not None else None
            if named is None:
                begun.update(slot.id for slot in state.slots.values())
                begun.add(b"")
            elif slot is not None and not too_early(arranged.time[other], slot):
                begun.add(named)
    return begun


CHECK_IN_EARLY_S = 86_400


def too_early(time: int, slot: SlotState) -> bool:
    """Tell whether a check-in is longer before its slot than people come early."""
    return time < slot.start - CHECK_IN_EARLY_S


def _fee(state: State, step: Step, place: int) -> int:
    """Return what the one who cancels owes by the terms."""
    terms = state.terms
    assert terms is not None
    planned = [slot.start for slot in state.slots.values() if slot.status == "planned"]
    fee = int(terms.get("cancel_fee", 0))
    if not planned or not fee:
        return 0
    if state.time <= min(planned) - int(terms["cancel_free_before_s"]):
        return 0
    return fee if knew(state, step.author, state.agreement, place) else 0


def knew(state: State, author: bytes, id: bytes | None, place: int) -> bool:
    """Tell whether an earlier step of an author refers to a step, or is it."""
    arranged = state.arranged
    target = arranged.place.get(id or b"")
    if target is None:
        return False
    return any(
        step.author == author and (at == target or arranged.past[at] >> target & 1)
        for at, step in enumerate(arranged.steps[:place])
    )


