"""Judge the steps up to the agreement, and what takes it back (spec/08, "Steps")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from maillon.protocol.exchange.gates import No
from maillon.protocol.exchange.order import Arranged
from maillon.protocol.exchange.state import (
    WALK_IN,
    ChangeState,
    Fixed,
    QuoteState,
    SlotState,
    State,
)
from maillon.protocol.exchange.steps import Step, content
from maillon.protocol.limits import CHECK_IN_EARLY_S


def message(state: State, step: Step, place: int, known: int) -> None:
    """Words change nothing."""


def quote(state: State, step: Step, place: int, known: int) -> None:
    """Add terms that the requester may agree to."""
    payload = content(step)
    state.quotes[step.id] = QuoteState(
        step.id, step.at, step.author, payload["terms"], payload["valid_until"],
        payload.get("reserved", False),
    )  # fmt: skip


def _quote(state: State, step: Step, known: int) -> QuoteState:
    named = state.quotes.get(content(step)["quote"])
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
        return bool(step.payload.get("quote", quoted) == quoted)
    return step.kind == "cancellation"


def _agreed_aside(state: State, place: int, quoted: bytes | None) -> bool:
    """Tell whether an agreement stands whose author had not seen the step at `place`, nor it that.

    `quoted` narrows it to agreements to one quote.
    """
    arranged = state.arranged
    return any(
        eligible_agreement(arranged, other)
        and quoted in (None, content(arranged.steps[other])["quote"])
        for other in arranged.aside(place)
    )


def quote_withdrawal(state: State, step: Step, place: int, known: int) -> None:
    """Take a quote back, unless it was agreed to meanwhile."""
    named = _quote(state, step, known)
    if named.reserved:
        raise No("reserved")
    if _agreed_aside(state, place, named.id):
        raise No("outranked")
    if named.status != "open":
        raise No("decided")
    named.status = "withdrawn"


def decline(state: State, step: Step, place: int, known: int) -> None:
    """Refuse a quote, or end the exchange before an agreement."""
    payload = content(step)
    if "quote" in payload:
        named = _quote(state, step, known)
        if _agreed_aside(state, place, named.id):
            raise No("outranked")
        if named.status != "open":
            raise No("decided")
        named.status = "declined"
        return
    if _agreed_aside(state, place, None):
        raise No("outranked")
    state.ended, state.ended_by = "declined", step.author


def agreement(state: State, step: Step, place: int, known: int) -> None:
    """Bind both: the requester to the quote, the provider to what was quoted."""
    arranged, payload = state.arranged, content(step)
    named = _quote(state, step, known)
    if state.time > named.valid_until:
        raise No("late")
    if named.status != "open":
        raise No("decided")
    if arranged.beaten(place, lambda other: eligible_agreement(arranged, other)):
        raise No("rival")
    named.status = "agreed"
    state.agreement, state.agreement_payload = step.id, payload
    state.agreed_at, state.terms = state.time, named.terms
    state.waits_for_bundle = "bundle" in state.opening
    if "hold" in payload:
        terms = named.terms
        state.hold = (payload["hold"], int(terms.get("amount", 0)), terms.get("unit", ""))
    if "contact" in payload:
        state.contacts[step.author] = payload["contact"]
    for slot in named.terms.get("when", ()):
        state.slots[slot["slot"]] = SlotState(
            slot["slot"], slot["start"], slot["end"], slot.get("place", "")
        )


def bundle_decision(state: State, step: Step, place: int, known: int) -> None:
    """Make a bundle's part count, or free everybody."""
    payload, arranged = content(step), state.arranged
    if payload["bundle"] != state.opening["bundle"] or step.signer_role != "node":
        raise No("role")
    if payload["outcome"] == "commit":
        if state.agreement is None or _committed(state, step) != state.agreement:
            raise No("unknown_step")
        if not _commits(state, step, state.time):
            raise No("late")
        state.bundle_decided, state.waits_for_bundle = "commit", False
        return
    if any(
        other.author == step.author and _commits(state, other, arranged.time[at])
        for at, other in enumerate(arranged.steps)
    ):
        raise No("outranked")
    state.bundle_decided, state.waits_for_bundle = "abort", False
    if not state.ended:
        state.ended, state.ended_by = "cancelled", step.author


def _commits(state: State, step: Step, time: int) -> bool:
    """Tell whether a step commits, in time, an agreement that is good by what was seen."""
    if step.kind != "bundle_decision" or step.payload is None:
        return False
    payload, arranged = step.payload, state.arranged
    if payload["outcome"] != "commit" or payload["bundle"] != state.opening["bundle"]:
        return False
    named = payload["agreements"][payload["exchanges"].index(arranged.exchange)]
    at = arranged.place.get(named)
    if at is None or not eligible_agreement(arranged, at):
        return False
    quoted = arranged.steps[arranged.place[content(arranged.steps[at])["quote"]]]
    return bool(time <= content(quoted)["valid_until"])


def _committed(state: State, step: Step) -> bytes:
    """Return the agreement of this exchange that a step commits."""
    payload = content(step)
    named: bytes = payload["agreements"][payload["exchanges"].index(state.arranged.exchange)]
    return named


def contact(state: State, step: Step, place: int, known: int) -> None:
    """Say how to be found, after the agreement."""
    if not state.arranged.sees(known, state.agreement):
        raise No("unknown_step")
    state.contacts[step.author] = content(step)["contact"]


def cancellation(state: State, step: Step, place: int, known: int) -> None:
    """End the exchange before an agreement, or take an agreement back."""
    arranged = state.arranged
    if state.agreement is None or not arranged.sees(known, state.agreement):
        if state.agreement is not None or _agreed_aside(state, place, None):
            raise No("outranked")
        state.ended, state.ended_by = "cancelled", step.author
        return
    if step.author == state.provider and any(
        takes_over(arranged, other) for other in arranged.aside(place)
    ):
        raise No("outranked")
    begun = _begun_aside(state, place)
    fee = _fee(state, step, place)
    for slot in state.slots.values():
        if slot.status == "planned" and slot.id not in begun:
            slot.status = "cancelled"
    if begun:
        # Who says that work began and who says that it was called off cannot both go unheard.
        state.dissent = step.id
        return
    if any(slot.status in ("in", "out") for slot in state.slots.values()) or state.fixed:
        return
    state.ended, state.ended_by = "cancelled", step.author
    state.changes.clear()
    for handover in state.handovers.values():
        if handover.status in ("proposed", "consented"):
            handover.status = "gone"
    most = int((state.terms or {}).get("cancel_fee", 0))
    if not most:
        return
    state.fixed.append(Fixed(fee, most, state.time, "fee", step.id, state.time, step.author))
    offered = content(step).get("fee")
    if offered is not None and offered < fee:
        state.changes[step.id] = ChangeState(
            step.id, "cancellation", step.author, state.time, content(step)
        )


def takes_over(arranged: Arranged, place: int) -> bool:
    """Tell whether a step takes the whole service over, by what its author had seen.

    That is the handover, and the requester's consent to it.
    """
    step, known = arranged.steps[place], arranged.past[place]
    if step.kind != "handover_acceptance" or step.payload is None or place in arranged.lost:
        return False
    named = step.payload["handover"]
    at = arranged.place.get(named)
    if at is None or not known >> at & 1:
        return False
    proposed = arranged.steps[at]
    if proposed.kind != "handover" or proposed.payload is None or "task" in proposed.payload:
        return False
    requester = content(arranged.opening)["requester"]
    return proposed.payload["to"] == step.author and any(
        known >> other & 1
        and answer.kind == "consent"
        and answer.author == requester
        and answer.payload is not None
        and answer.payload["to"] == named
        and answer.payload["yes"]
        for other, answer in enumerate(arranged.steps[:place])
    )


def _begun_aside(state: State, place: int) -> set[bytes]:
    """Return the slots on which a party checked in without having seen the step at `place`."""
    arranged = state.arranged
    begun: set[bytes] = set()
    for other in arranged.aside(place):
        step = arranged.steps[other]
        if (
            step.kind != "check_in"
            or step.payload is None
            or not _works(state, other)
            or not arranged.sees(arranged.past[other], state.agreement)
        ):
            continue
        named = step.payload.get("slot")
        slot = state.slots.get(WALK_IN if named is None else named)
        if named is None:
            begun.update((WALK_IN, *state.slots))
        elif slot is not None and not too_early(arranged.time[other], slot):
            begun.add(named)
    return begun


def _works(state: State, place: int) -> bool:
    """Tell whether the author of a step is the requester, or a provider by what they had seen."""
    arranged = state.arranged
    author, known = arranged.steps[place].author, arranged.past[place]
    return author in (state.requester, state.provider) or any(
        known >> other & 1 and step.author == author and takes_over(arranged, other)
        for other, step in enumerate(arranged.steps[:place])
    )


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


