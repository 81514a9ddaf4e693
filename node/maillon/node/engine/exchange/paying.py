"""Decide what an exchange asks of the ledger: reserve, pay, confirm, give back (spec/08).

A pure function of the state, of what was ordered before, and of what the ledger says. Each node
acts for its own people only: the payer's reserves and pays, the payee's gives back. From the
account of a third-party payer nothing is ordered here: it has signed no step that binds it. What
leaves that account is signed in the act of its consent (`funding`), and only confirmed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from maillon.node.engine.exchange.addressing import coop_of, is_person
from maillon.node.engine.exchange.bounds import HOLD_MARGIN_S, HOLD_S_MAX
from maillon.node.engine.exchange.notes import OrderNote
from maillon.node.engine.exchange.ports import Directory, Transfer, Wanted
from maillon.protocol.exchange import Exchange
from maillon.protocol.splitting import shares

RESERVING: tuple[str, ...] = ("agreed", "scheduled", "under_way", "done")
"""Phases in which an amount is reserved: nothing is due yet."""

OVER: tuple[str, ...] = ("paid", "evaluated", "cancelled", "declined", "expired")
"""Phases in which nothing that is reserved will be asked for any more."""

PAID: frozenset[str] = frozenset({"certified", "posted"})

UNDER_WAY: frozenset[str] = frozenset({"ordered", "waiting", "certified", "held"})

MONTH_S = 30 * 86_400

Here = Callable[[bytes], bool]


def wanted(
    state: Exchange,
    orders: Sequence[OrderNote],
    known: Sequence[Transfer],
    *,
    here: Here,
    own_coop: bytes,
    directory: Directory,
    now: int,
    counting: Sequence[str] = (),
) -> list[Wanted]:
    """Return what is to be ordered now by this node, in order.

    `orders` are those of this exchange that were ordered here, `known` all transfers and
    reservations that its steps or orders name, or that carry its `ref`, as the ledger has them;
    `counting` the units of the federation that only count.
    """
    if state.agreement is None or state.reserved or state.terms is None:
        return []
    found: list[Wanted] = []
    if here(state.payer) and state.payer == state.requester:
        found += _reserve(state, orders, known, directory, now)
    if state.due.amount > 0:
        if third_party_owes(state):
            if coop_of(state.requester) == own_coop:
                # The third party has left it to the requester's coop to say when.
                found += _confirm(state, orders, known)
        elif here(state.due.payer):
            found += _pay(state, orders, known)
    if state.mediator is not None and state.mediated and here(state.mediator):
        found += _confirm(state, orders, known)
    if here(state.requester):
        found += acknowledged(state, orders, known, counting)
    found += _give_back(state, orders, known, here)
    return list(dict.fromkeys(found))


def funded(state: Exchange) -> bool:
    """Tell whether a third party has paid something for the exchange, for certain."""
    return state.payer not in (state.requester, state.provider) and any(
        payment.payer == state.payer and payment.status == "certified" and payment.amount > 0
        for payment in state.payments
    )


def acknowledging_unit(state: Exchange, counting: Sequence[str]) -> str | None:
    """Return the unit in which what a third party pays is acknowledged, None when there is none."""
    agreed = (state.terms or {}).get("unit")
    return next((unit for unit in counting if unit != agreed), None)


def acknowledged(
    state: Exchange,
    orders: Sequence[OrderNote],
    known: Sequence[Transfer],
    counting: Sequence[str],
) -> list[Wanted]:
    """Return the order with which the requester acknowledges what a third party has paid.

    It pays nothing: the two evaluate each other on it (spec/08, "Acknowledgement").
    """
    unit = acknowledging_unit(state, counting)
    if unit is None or state.payment_ref is None or state.reserved:
        return []
    if not state.may_acknowledge or not funded(state) or state.evaluate_until is not None:
        return []
    going = any(
        (order.what, order.unit, order.payee) == ("pay", unit, state.provider)
        and order.status in UNDER_WAY
        for order in orders
    )
    there = any(
        (found.unit, found.payer, found.payee, found.ref)
        == (unit, state.requester, state.provider, state.payment_ref)
        and found.status in ("waiting", *PAID)
        for found in known
    )
    if going or there:
        return []
    return [Wanted("pay", state.requester, state.provider, unit, 1, state.payment_ref)]


def third_party_owes(state: Exchange) -> bool:
    """Tell whether what is due is to come from somebody who has signed no step of the exchange."""
    return state.due.amount > 0 and state.due.payer not in (state.requester, state.provider)


def funding_wanted(state: Exchange) -> list[tuple[bytes, int]]:
    """Return what a third-party payer would have to reserve or pay now, by who gets it."""
    terms = state.terms
    if state.payer == state.requester or state.agreement is None or state.reserved or not terms:
        return []
    if third_party_owes(state):
        hold = state.hold
        if hold is not None and hold.status == "held" and hold.amount == state.due.amount:
            return []
        return [(payee, amount) for payee, amount in payees(state) if amount > 0]
    amount = int(terms.get("amount", 0))
    # The account of a coop can reserve nothing: it is asked when something is due.
    reserves = terms["settle"] == "hold" and is_person(state.payer)
    if amount and reserves and state.phase in RESERVING and state.hold is None:
        return [(state.provider, amount)]
    return []


def instead(
    state: Exchange, orders: Sequence[OrderNote], known: Sequence[Transfer]
) -> list[Wanted]:
    """Return what the requester would order to pay herself what a third party has not funded.

    Nothing while a reservation of the third party's would pay exactly that, or it is on its way.
    """
    ref = state.payment_ref
    if state.reserved or ref is None or not third_party_owes(state):
        return []
    found: list[Wanted] = []
    for payee, amount in payees(state):
        rest = amount - on_its_way(state, orders, known, payee)
        if rest > 0 and _usable(state, known, payee, rest) is None:
            found.append(Wanted("pay", state.requester, payee, state.due.unit, rest, ref))
    return found


def told_by(state: Exchange) -> set[bytes]:
    """Return the transfers that a step which counts names."""
    found = {payment.transfer for payment in state.payments if payment.transfer is not None}
    return found | {entry.transfer for entry in state.acknowledgements}


def untold(state: Exchange, known: Sequence[Transfer]) -> list[Transfer]:
    """Return what was paid for an exchange, for certain, and no step has told yet."""
    told = told_by(state)
    return [
        transfer
        for transfer in known
        if transfer.status in PAID
        and transfer.id not in told
        and (transfer.unit == state.due.unit or state.may_acknowledge)
        and transfer.ref == state.payment_ref
        and transfer.payer in (state.payer, state.requester, state.provider)
    ]


def hold_expiry(state: Exchange, now: int) -> int:
    """Return until when an amount stays reserved: past the last deadline before it is paid."""
    terms = state.terms
    assert terms is not None
    last = max((slot.end for slot in state.slots), default=now + MONTH_S)
    within = ("begin_within_s", "accept_within_s", "complain_within_s", "mediate_within_s")
    until = max(last, now) + sum(int(terms[name]) for name in within) + HOLD_MARGIN_S
    return min(until, now + HOLD_S_MAX)


def arbiter_of(state: Exchange, directory: Directory) -> bytes:
    """Return the node key that may confirm a reservation besides the payer, or b"".

    That of the mediator; with a third-party payer, which does not know when the service was given,
    that of the requester's coop.
    """
    coop = None
    if state.payer != state.requester:
        coop = coop_of(state.requester)
    elif state.mediator is not None:
        coop = coop_of(state.mediator)
    info = None if coop is None else directory.coop(coop)
    return b"" if info is None or info.node_key is None else info.node_key


def _under_way(orders: Sequence[OrderNote], what: str, order: bytes = b"") -> bool:
    """Tell whether the same was ordered here, and may still be done or was."""
    return any(
        one.what == what and one.order == order and one.status in UNDER_WAY for one in orders
    )


def _reserve(
    state: Exchange,
    orders: Sequence[OrderNote],
    known: Sequence[Transfer],
    directory: Directory,
    now: int,
) -> Iterator[Wanted]:
    terms = state.terms
    assert terms is not None and state.payment_ref is not None
    amount = terms.get("amount", 0)
    if terms["settle"] != "hold" or not amount or state.phase not in RESERVING:
        return
    if any(
        order.what == "hold" and order.status in UNDER_WAY and order.payee == state.provider
        for order in orders
    ):
        return
    if any(
        hold.status in ("waiting", "held", *PAID)
        and hold.payee == state.provider
        and hold.ref == state.payment_ref
        for hold in known
    ):
        return
    yield Wanted(
        "hold",
        state.payer,
        state.provider,
        terms["unit"],
        amount,
        state.payment_ref,
        expiry=hold_expiry(state, now),
        arbiter=arbiter_of(state, directory),
    )


def on_its_way(
    state: Exchange, orders: Sequence[OrderNote], known: Sequence[Transfer], payee: bytes
) -> int:
    """Return what goes to a payee and no step has told yet: paid, waiting, or only ordered.

    Whoever ordered it: under one `ref` nobody pays twice.
    """
    told = {payment.transfer for payment in state.payments}
    ids: dict[bytes, int] = {}
    for transfer in known:
        going = transfer.status in PAID or (transfer.status == "waiting" and not transfer.expiry)
        mine = transfer.payee == payee and transfer.unit == state.due.unit
        if going and mine and transfer.ref == state.payment_ref:
            ids[transfer.id] = transfer.amount
    for order in orders:
        going = order.what in ("pay", "confirm") and order.status in UNDER_WAY
        mine = order.payee == payee and order.unit == state.due.unit
        if going and mine and not order.step:
            ids.setdefault(order.transfer, order.amount)
    return sum(amount for id, amount in ids.items() if id not in told)


def _usable(
    state: Exchange, known: Sequence[Transfer], payee: bytes, amount: int
) -> Transfer | None:
    """Return a reservation that pays exactly what is due to somebody, or None."""
    due = state.due
    if state.announced:
        return None
    for hold in known:
        if (
            hold.status == "held"
            and (hold.payer, hold.payee, hold.unit) == (due.payer, payee, due.unit)
            and hold.amount == amount
            and hold.ref == state.payment_ref
        ):
            return hold
    return None


def _confirm(
    state: Exchange, orders: Sequence[OrderNote], known: Sequence[Transfer]
) -> Iterator[Wanted]:
    for payee, amount in payees(state):
        hold = _usable(state, known, payee, amount)
        if (
            hold is not None
            and not _under_way(orders, "confirm", hold.id)
            and not on_its_way(state, orders, known, payee)
        ):
            yield Wanted(
                "confirm", hold.payer, hold.payee, hold.unit, hold.amount, hold.ref, order=hold.id
            )


def _pay(
    state: Exchange, orders: Sequence[OrderNote], known: Sequence[Transfer]
) -> Iterator[Wanted]:
    due = state.due
    assert state.payment_ref is not None
    parts = payees(state)
    if len(parts) == 1 and _usable(state, known, *parts[0]) is not None:
        yield from _confirm(state, orders, known)
        return
    for payee, amount in parts:
        rest = amount - on_its_way(state, orders, known, payee)
        if rest > 0:
            yield Wanted("pay", due.payer, payee, due.unit, rest, state.payment_ref)


def payees(state: Exchange) -> list[tuple[bytes, int]]:
    """Return who gets how much of what is due: the provider, or those whom the terms name."""
    due = state.due
    split = (state.terms or {}).get("split")
    if due.payer == state.provider and state.payer != state.requester:
        return list(_back(state))
    if not split or due.payee != state.provider:
        coming = state.announced if due.payee == state.provider else -state.announced
        return [(due.payee, due.amount - coming)]
    # What was paid already counts for who got it, so that a part left over goes to who lacks it.
    got: dict[bytes, int] = {}
    for payment in state.payments:
        if payment.status != "void":
            got[payment.payee] = got.get(payment.payee, 0) + payment.amount
    whole = shares(state.owed, [(entry["author"], entry["share"]) for entry in split])
    return [(author, amount - got.get(author, 0)) for author, amount in whole]


def _back(state: Exchange) -> Iterator[tuple[bytes, int]]:
    """Yield who gets what back of the two who may have paid: nobody more than they gave."""
    rest = state.due.amount + state.announced
    for author in (state.requester, state.payer):
        given = sum(
            payment.amount * ((payment.payer == author) - (payment.payee == author))
            for payment in state.payments
            if payment.status == "certified"
        )
        part = min(rest, max(0, given))
        if part > 0:
            yield author, part
            rest -= part


def _give_back(
    state: Exchange, orders: Sequence[OrderNote], known: Sequence[Transfer], here: Here
) -> Iterator[Wanted]:
    for hold in known:
        if hold.status != "held" or not here(hold.payee) or hold.ref != state.payment_ref:
            continue
        over = state.phase in OVER and state.due.amount <= 0
        if not over and hold.payee == state.provider:
            continue
        if _under_way(orders, "release", hold.id):
            continue
        yield Wanted(
            "release", hold.payer, hold.payee, hold.unit, hold.amount, hold.ref, order=hold.id
        )
