"""Say in words who an exchange waits for: a third-party payer, the next one to act, a time."""

from __future__ import annotations

from typing import Final, Protocol

from maillon.node.api import exchange_shapes as shapes
from maillon.node.engine.exchange.paying import acknowledging_unit, funded, funding_wanted
from maillon.node.engine.exchange.projecting import waiting_for
from maillon.node.i18n import _
from maillon.protocol.exchange import Exchange
from maillon.protocol.limits import CHECK_IN_EARLY_S

ID_CHARACTERS: Final = 8


class Names(Protocol):
    """What shows people and amounts."""

    def party(self, author: bytes) -> shapes.Party: ...

    def money(self, amount: int, unit: str) -> shapes.Money: ...

    def counting(self) -> tuple[str, ...]: ...


def who(names: Names, author: bytes) -> str:
    """Return how people call an author: by name where it is known here, else by id and coop."""
    party = names.party(author)
    if not party.person:
        return party.name or party.coop[:ID_CHARACTERS]
    return party.name or _("{id} of {coop}").format(
        id=party.person[:ID_CHARACTERS], coop=party.coop_name or party.coop[:ID_CHARACTERS]
    )


def payer_notice(names: Names, state: Exchange) -> str:
    """Return the sentence that an exchange waits for a third-party payer, or nothing."""
    asked = funding_wanted(state)
    if not asked:
        return ""
    unit = (state.terms or {}).get("unit", "")
    amount = names.money(sum(amount for _payee, amount in asked), unit).text
    declined = any(
        found.author == state.payer and not found.amount for found in state.fundings[-1:]
    )
    if declined:
        told = _("{payer} does not pay {amount}.").format(
            payer=who(names, state.payer), amount=amount
        )
    else:
        told = _("{payer} was asked for {amount} and has not said yes.").format(
            payer=who(names, state.payer), amount=amount
        )
    if state.due.amount:
        return f"{told} " + _("{requester} can pay it instead.").format(
            requester=who(names, state.requester)
        )
    return told


def acknowledgement_notice(names: Names, state: Exchange) -> str:
    """Return the sentence that says why what a third party paid is not evaluated, or nothing."""
    if not funded(state) or not state.may_acknowledge or state.evaluate_until is not None:
        return ""
    if acknowledging_unit(state, names.counting()) is None:
        return _(
            "{payer} paid, and the two evaluate each other on a transfer between them: the"
            " federation has no unit that only counts, in which there could be one."
        ).format(payer=who(names, state.payer))
    return _(
        "{payer} paid: before the two evaluate each other, {requester} acknowledges it with a"
        " transfer that only counts."
    ).format(payer=who(names, state.payer), requester=who(names, state.requester))


def next_ones(names: Names, state: Exchange) -> str:
    """Return the names of those whom everybody waits for now, or nothing."""
    by_role = {
        "requester": state.requester,
        "provider": state.provider,
        "payer": state.payer,
        "mediator": state.mediator,
        "successor": None if state.handover is None else state.handover.to,
    }
    found = [by_role.get(role) for role in waiting_for(state)]
    return ", ".join(who(names, author) for author in dict.fromkeys(found) if author is not None)


def check_in_from(state: Exchange) -> int | None:
    """Return from when the next appointment can be checked in to, None when that is now."""
    planned = [slot.start for slot in state.slots if slot.status == "agreed" and slot.slot]
    if not planned:
        return None
    first = min(planned) - CHECK_IN_EARLY_S
    return first if state.now < first else None


def is_settled_gift(state: Exchange) -> bool:
    """Tell whether nothing is owed, as a gift or free of charge: approval has closed it."""
    kind = None if state.terms is None else state.terms["kind"]
    return kind in ("gift", "free") and state.phase in ("paid", "evaluated")
