"""Show the state as others read it: frozen, sorted, with nothing left to compute (spec/08)."""

from __future__ import annotations

from maillon.protocol.exchange.clock import deadlines
from maillon.protocol.exchange.state import State
from maillon.protocol.exchange.view import (
    Acknowledgement,
    Agreement,
    Change,
    Due,
    Evaluation,
    Exchange,
    Funding,
    Guarantee,
    Handover,
    Hold,
    Payment,
    Quote,
    Slot,
    Task,
    Void,
)

_SLOT_STATUS = {
    "planned": "agreed",
    "in": "under_way",
    "out": "done",
    "accepted": "accepted",
    "cancelled": "cancelled",
}


def shown(state: State, now: int, folded: State) -> Exchange:
    """Return the state as a frozen value; `folded` is what it was before the clock went on."""
    opening = state.opening
    origin = opening.get("origin")
    phase = state.phase()
    paid, announced = state.flows()
    owed = state.owed
    return Exchange(
        id=state.arranged.exchange,
        now=now,
        phase=phase,
        title=opening["title"],
        lang=opening["lang"],
        requester=state.requester,
        provider=state.provider,
        first_provider=state.first_provider,
        payer=state.payer,
        mediator=state.mediator,
        participants=tuple(opening.get("participants", ())),
        origin=None if origin is None else (origin["exchange"], origin["step"]),
        about=opening.get("about"),
        bundle=opening.get("bundle"),
        opened_at=state.arranged.opening.at,
        quotes=tuple(
            Quote(
                quote.id, quote.at, quote.by, quote.terms, quote.valid_until, quote.reserved,
                quote.status,
            )
            for quote in state.quotes.values()
        ),
        agreement=_agreement(state),
        reserved=state.waits_for_bundle,
        payment_ref=(
            None
            if state.agreement is None or not state.refs_known()
            else state.refs[state.agreement]
        ),
        terms=state.terms,
        slots=_slots(state),
        changes=tuple(
            Change(change.id, change.kind, change.by, change.at)
            for change in state.changes.values()
        ),
        tasks=tuple(
            Task(
                task.id, task.text, task.amount, task.minutes,
                "agreed" if task.to is None else "handed_over", task.to,
            )
            for task in state.tasks.values()
        ),
        expected=state.expected(),
        owed=owed,
        paid=paid,
        announced=announced,
        due=_due(state, owed - paid),
        hold=_hold(state),
        payments=_payments(state),
        acknowledgements=_acknowledgements(state),
        may_acknowledge=(
            state.agreement is not None
            and not state.waits_for_bundle
            and state.may_acknowledge()
        ),
        deadlines=tuple(deadlines(state)),
        complaint=None if state.dispute is None else state.dispute.step,
        mediated=any(entry.how == "mediated" for entry in state.fixed),
        handover=next(
            (
                Handover(entry.id, entry.by, entry.to, entry.task, entry.status)
                for entry in state.handovers.values()
                if entry.status in ("proposed", "consented")
            ),
            None,
        ),
        handovers=tuple(
            Handover(entry.id, entry.by, entry.to, entry.task, entry.status)
            for entry in state.handovers.values()
        ),
        evaluations=tuple(
            Evaluation(author, *entry) for author, entry in sorted(state.evaluations.items())
        ),
        released=state.released(),
        evaluate_until=state.evaluate_until(),
        evaluators=_evaluators(state),
        guarantees=tuple(
            Guarantee(claim, at, closed) for claim, (at, closed) in state.claims.items()
        ),
        guaranteed_until=state.guaranteed_until(),
        contacts=dict(state.contacts),
        fundings=tuple(
            Funding(id, author, said["amount"], said["unit"], said.get("order"))
            for id, author, said in state.fundings
        ),
        ended_by=state.ended_by,
        void=tuple(sorted((Void(*entry) for entry in state.void), key=lambda entry: entry.id)),
        waiting=state.arranged.waiting,
        heads=state.arranged.heads,
        order=tuple(step.id for step in state.arranged.steps),
        folded=folded,
    )  # fmt: skip


def _agreement(state: State) -> Agreement | None:
    if state.agreement is None or state.agreement_payload is None:
        return None
    payload = state.agreement_payload
    return Agreement(state.agreement, payload["quote"], state.agreed_at, payload.get("hold"))


def _slots(state: State) -> tuple[Slot, ...]:
    found = [
        Slot(
            slot.id, slot.start, slot.end, slot.text, _SLOT_STATUS[slot.status], slot.began(),
            max((time for _, time, _ in slot.outs), default=None), slot.minutes(),
        )
        for slot in state.slots.values()
    ]  # fmt: skip
    for change in state.changes.values():
        if change.kind == "appointment":
            found += [
                Slot(
                    slot["slot"], slot["start"], slot["end"], slot.get("place", ""), "proposed",
                    None, None, None,
                )
                for slot in change.payload.get("slots", ())
            ]  # fmt: skip
    return tuple(sorted(found, key=lambda slot: (slot.start, slot.slot, slot.status)))


def _due(state: State, amount: int) -> Due:
    unit = (state.terms or {}).get("unit", "")
    requester, provider = state.payer, state.provider
    if state.fixed and state.fixed[-1].how.startswith("fee"):
        # A third party pays for services, not for what was called off.
        requester = state.requester
    if amount >= 0:
        return Due(amount, unit, requester, provider)
    return Due(-amount, unit, provider, requester)


def _hold(state: State) -> Hold | None:
    if state.hold is None:
        return None
    order, amount, unit = state.hold
    fact = state.transfer(order)
    return Hold(order, amount, unit, "announced" if fact is None else fact.status)


def _payments(state: State) -> tuple[Payment, ...]:
    found: list[Payment] = []
    for payment in state.payments:
        fact = state.fact(payment)
        status = "certified" if payment.order is None else "announced"
        payer, payee = payment.author, state.other(payment.author)
        if fact is not None:
            payer, payee = fact.payer, fact.payee
            status = fact.status if fact.status in ("certified", "void") else "announced"
        found.append(
            Payment(
                payment.step, payment.order, payment.how, payment.amount, payer, payee, status
            )
        )
    return tuple(found)


def _acknowledgements(state: State) -> tuple[Acknowledgement, ...]:
    found: list[Acknowledgement] = []
    for entry in state.acknowledged:
        fact = state.transfer(entry.order)
        status = "announced"
        if fact is not None and fact.status in ("certified", "void"):
            status = fact.status
        found.append(
            Acknowledgement(
                entry.step, entry.order, entry.unit, state.requester, entry.provider, status
            )
        )
    return tuple(found)


def _evaluators(state: State) -> tuple[bytes, ...]:
    until = state.evaluate_until()
    if until is None or state.time > until:
        return ()
    return tuple(
        author
        for author in (state.requester, state.provider)
        if author not in state.evaluations
    )
