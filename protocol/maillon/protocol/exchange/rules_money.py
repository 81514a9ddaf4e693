"""Judge what is reserved, paid, evaluated and guaranteed (spec/08, "Steps")."""

from __future__ import annotations

from maillon.protocol.exchange.gates import No
from maillon.protocol.exchange.rules_change import after_agreement
from maillon.protocol.exchange.state import PayState, State
from maillon.protocol.exchange.steps import Step, content


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
    arranged = state.arranged

    def rival(other: int) -> bool:
        candidate = arranged.steps[other]
        return (
            candidate.kind == "payment"
            and candidate.payload is not None
            and candidate.payload.get("transfer") == order
            and candidate.author == step.author
            and arranged.sees(arranged.past[other], state.agreement)
        )

    if any(other.order == order for other in state.payments):
        raise No("decided")
    if arranged.beaten(place, rival):
        raise No("rival")
    fixed = state.fixed[-1].step
    if fixed is not None and not arranged.sees(known, fixed):
        raise No("unknown_step")
    if payload["unit"] != terms.get("unit"):
        raise No("unit")
    fact = state.transfer(order)
    amount = int(payload["amount"])
    if fact is not None:
        theirs = _receivers(state, step.author)
        if (
            fact.unit != payload["unit"]
            or fact.ref not in state.refs_known()
            or fact.payee not in theirs
            or fact.payer not in _givers(state, step.author)
        ):
            raise No("transfer")
        amount = fact.amount
    state.payments.append(PayState(step.id, state.time, order, "transfer", amount, step.author))


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
