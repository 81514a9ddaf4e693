"""Judge what is reserved, paid, evaluated and guaranteed (spec/08, "Steps")."""

from __future__ import annotations

from typing import Final

from maillon.protocol.exchange.gates import No, nothing_due
from maillon.protocol.exchange.rules_change import after_agreement
from maillon.protocol.exchange.state import Acknowledged, PayState, State
from maillon.protocol.exchange.steps import Step, TransferFact, content

ACKNOWLEDGED: Final = 1
"""What an acknowledgement transfers, in minor units of a unit that only counts."""


def hold(state: State, step: Step, place: int, known: int) -> None:
    """Name the order that reserves the amount."""
    payload = content(step)
    after_agreement(state, known)
    terms = state.terms or {}
    if payload["unit"] != terms.get("unit"):
        raise No("unit")
    if state.hold is not None and payload.get("replaces") != state.hold[0]:
        raise No("decided")
    state.hold = (payload["order"], payload["amount"], payload["unit"])


def payment(state: State, step: Step, place: int, known: int) -> None:
    """Name the transfer that pays, or say how it was settled without one."""
    payload = content(step)
    if _acknowledges(state, step):
        after_agreement(state, known)
        _acknowledgement(state, step, place)
        return
    if step.author == state.requester and state.may_acknowledge():
        # The gate let it pass for an acknowledgement, which this is not.
        reason = nothing_due(state, step.author)
        if reason is not None:
            raise No(reason)
    after_agreement(state, known)
    terms = state.terms or {}
    if "transfer" not in payload:
        how = payload["how"]
        if how != terms.get("kind") and not (how == "gift" and terms.get("kind") == "free"):
            raise No("kind")
        if step.author != state.requester:
            raise No("role")
        state.payments.append(PayState(step.id, state.time, None, how, 0, step.author))
        return
    order = payload["transfer"]
    if _is_named(state, order):
        raise No("decided")
    if _named_better(state, step, place):
        raise No("rival")
    fixed = state.fixed[-1].step if state.fixed else None
    if fixed is not None and not state.arranged.sees(known, fixed):
        raise No("unknown_step")
    if payload["unit"] != terms.get("unit"):
        raise No("unit")
    fact = state.transfer(order)
    amount = int(payload["amount"])
    if fact is not None:
        if fact.unit != payload["unit"] or not _right(state, step.author, fact):
            raise No("transfer")
        amount = fact.amount
    # More than there is to give back was not asked for either.
    unasked = step.author == state.provider and amount > sum(state.flows()) - state.owed
    state.payments.append(
        PayState(step.id, state.time, order, "transfer", amount, step.author, moved=unasked)
    )


def _acknowledges(state: State, step: Step) -> bool:
    """Tell whether a payment is an acknowledgement of what a third party pays."""
    payload, agreed = content(step), (state.terms or {}).get("unit")
    return (
        "transfer" in payload
        and step.author == state.requester
        and state.third_party
        and agreed is not None
        and payload["unit"] != agreed
        and state.facts.counts(payload["unit"])
    )


def _acknowledgement(state: State, step: Step, place: int) -> None:
    """Take the transfer on which the two evaluate each other; it pays nothing."""
    payload = content(step)
    order = payload["transfer"]
    if state.ended:
        raise No("phase")
    if _is_named(state, order) or not state.may_acknowledge():
        raise No("decided")
    if _named_better(state, step, place):
        raise No("rival")
    if payload["amount"] != ACKNOWLEDGED:
        raise No("amount")
    fact = state.transfer(order)
    said = (state.requester, state.provider, payload["unit"], ACKNOWLEDGED)
    if fact is not None and (
        (fact.payer, fact.payee, fact.unit, fact.amount) != said
        or fact.ref not in state.refs_known()
    ):
        raise No("transfer")
    state.acknowledged.append(
        Acknowledged(step.id, state.time, order, payload["unit"], state.provider)
    )


def _is_named(state: State, order: bytes) -> bool:
    """Tell whether a step that counts names a transfer already."""
    return any(other.order == order for other in state.payments) or any(
        other.order == order for other in state.acknowledged
    )


def moved(state: State, step: Step, place: int) -> bool:
    """Count money that the ledger moved, though the step that names it was not possible.

    Whatever crossed the step: what is certified for this exchange between its two sides is a fact.
    Return whether it counts.
    """
    if state.agreement is None or step.payload is None or "transfer" not in step.payload:
        return False
    order = step.payload["transfer"]
    fact = state.transfer(order)
    if (
        fact is None
        or fact.status != "certified"
        or step.author not in (state.requester, state.payer, state.provider)
        or fact.unit != (state.terms or {}).get("unit")
        or not _right(state, step.author, fact)
        or _is_named(state, order)
        or _named_better(state, step, place)
    ):
        return False
    state.payments.append(
        PayState(step.id, state.time, order, "transfer", fact.amount, step.author, moved=True)
    )
    return True


def _named_better(state: State, step: Step, place: int) -> bool:
    """Tell whether a rival that names the same transfer counts rather than this step."""
    arranged = state.arranged
    order = content(step)["transfer"]

    def rival(other: int) -> bool:
        candidate = arranged.steps[other]
        return (
            candidate.kind == "payment"
            and candidate.payload is not None
            and candidate.payload.get("transfer") == order
            and candidate.author == step.author
            and arranged.sees(arranged.past[other], state.agreement)
        )

    return arranged.beaten(place, rival)


def _right(state: State, author: bytes, fact: TransferFact) -> bool:
    """Tell whether a transfer is for this exchange, from the author's side to the other one."""
    return (
        fact.ref in state.refs_known()
        and fact.payee in _receivers(state, author)
        and fact.payer in _givers(state, author)
    )


def _givers(state: State, author: bytes) -> set[bytes]:
    if author == state.provider:
        return {state.provider}
    return {state.requester, state.payer}


def _receivers(state: State, author: bytes) -> set[bytes]:
    if author == state.provider:
        return {state.requester, state.payer}
    shares = (state.terms or {}).get("split", ())
    return {state.provider, *(share["author"] for share in shares)}


def funding(state: State, step: Step, place: int, known: int) -> None:
    """A third party says that it pays."""
    state.fundings.append((step.id, step.author, content(step)))


def evaluation(state: State, step: Step, place: int, known: int) -> None:
    """Commit to an attestation that nobody reads yet."""
    until = state.evaluate_until()
    if until is not None and state.time > until:
        raise No("late")
    state.evaluations[step.author] = (step.id, content(step)["attestation"], state.time)


def guarantee_claim(state: State, step: Step, place: int, known: int) -> None:
    """Ask for the guarantee; it stays visible until it is closed."""
    after_agreement(state, known)
    state.claims[step.id] = (state.time, None)


def guarantee_closed(state: State, step: Step, place: int, known: int) -> None:
    """Close a claim under the guarantee."""
    named = content(step)["claim"]
    if named not in state.claims or not state.arranged.sees(known, named):
        raise No("unknown_step")
    at, closed = state.claims[named]
    if closed is not None:
        raise No("decided")
    state.claims[named] = (at, step.id)
