"""Play exchanges that a third party pays and their acknowledgements, for vectors of spec/08."""

from __future__ import annotations

from typing import Any, Final

from exchange_endings import BUNDLE, WEEKLY, Script
from support.transcripts import (
    COORDINATOR,
    DAY,
    LATER_SLOT,
    OTHER,
    PAYER,
    PROVIDER,
    REQUESTER,
    Play,
    slot,
)


def _accepted(kind: type[Play], **given: Any) -> Play:
    play = kind(payer=PAYER)
    play.agreed(**given)
    play.worked()
    play.do("acceptance", REQUESTER)
    return play


def _named(play: Play, order: bytes, amount: int = 1, unit: str = "savoir", **given: Any) -> None:
    """Let the requester name a transfer, whether or not that is possible."""
    author = given.pop("author", REQUESTER)
    play.add("payment", author, transfer=order, amount=amount, unit=unit, **given)


def funded_and_acknowledged(kind: type[Play]) -> Play:
    play = _accepted(kind)
    play.paid(payer=PAYER)
    play.acknowledged()
    play.do("evaluation", REQUESTER, attestation=b"\x01" * 32)
    play.do("evaluation", PROVIDER, attestation=b"\x02" * 32)
    return play


def acknowledged_before_it_was_paid(kind: type[Play]) -> Play:
    play = _accepted(kind)
    play.acknowledged()
    play.add("evaluation", REQUESTER, attestation=b"\x01" * 32)
    play.wait(3 * DAY)
    play.paid(payer=PAYER)
    play.do("evaluation", PROVIDER, attestation=b"\x02" * 32)
    return play


def acknowledged_while_it_was_paid(kind: type[Play]) -> Play:
    play = _accepted(kind)
    heads = play.steps[-1:]
    order, funded = play.thanked(), b"\x91" * 32
    state = play.state()
    play.paid(payer=PAYER)
    play.steps.pop()
    (play.transfers[funded],) = [
        fact for named, fact in play.transfers.items() if named != order
    ]
    play.transfers = {name: play.transfers[name] for name in (order, funded)}
    # Two keys of hers, neither of which has seen what the other said.
    _named(play, order, refs=heads, device=1)
    _named(play, funded, state.due.amount, "heure", refs=heads)
    play.do("evaluation", PROVIDER, attestation=b"\x02" * 32)
    return play


def acknowledged_twice(kind: type[Play]) -> Play:
    play = _accepted(kind)
    heads = play.steps[-1:]
    one, two = play.thanked(), play.thanked(unit="service")
    _named(play, one, refs=heads)
    _named(play, two, unit="service", refs=heads, device=1)
    play.paid(payer=PAYER)
    _named(play, two, unit="service")
    _named(play, one)
    return play


def acknowledged_wrongly(kind: type[Play]) -> Play:
    play = _accepted(kind)
    _named(play, play.thanked(2), 2)
    _named(play, play.thanked(2), 1)
    _named(play, play.thanked(ref=b"\x0e" * 32))
    _named(play, play.thanked(payee=OTHER))
    _named(play, play.thanked(payer=PROVIDER))
    _named(play, play.thanked(unit="service"))
    _named(play, play.thanked(unit="graine"), unit="graine")
    _named(play, play.thanked(payer=PROVIDER), author=PROVIDER)
    play.paid(payer=PAYER)
    _named(play, play.thanked(unit="graine"), unit="graine")
    _named(play, play.thanked(), author=PAYER)
    return play


def an_acknowledgement_that_was_sent_back(kind: type[Play]) -> Play:
    play = _accepted(kind)
    play.paid(payer=PAYER)
    _named(play, play.thanked(status="void"))
    play.acknowledged()
    return play


def an_acknowledgement_not_known_yet(kind: type[Play]) -> Play:
    play = _accepted(kind)
    play.paid(payer=PAYER)
    _named(play, b"\x92" * 32)
    _named(play, play.thanked())
    return play


def nothing_to_acknowledge(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    _named(play, play.thanked())
    play.paid()
    _named(play, play.thanked())
    return play


def acknowledged_too_early(kind: type[Play]) -> Play:
    play = kind(payer=PAYER)
    play.agreed()
    _named(play, play.thanked())
    play.worked()
    _named(play, play.thanked())
    play.do("acceptance", REQUESTER)
    return play


def the_requester_pays_instead(kind: type[Play]) -> Play:
    play = _accepted(kind)
    play.paid()
    play.wait(DAY)
    play.acknowledged()
    return play


def what_is_counted_is_funded(kind: type[Play]) -> Play:
    play = kind(payer=PAYER)
    play.agreed(kind="count_only", unit="savoir", per_hour=None)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid(payer=PAYER)
    # In the agreed unit it would be a payment that nobody asked for.
    _named(play, play.thanked())
    play.acknowledged(unit="service")
    return play


def a_funded_gift(kind: type[Play]) -> Play:
    play = kind(payer=PAYER)
    play.agreed(kind="gift", unit=None, per_hour=None)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.do("payment", REQUESTER, how="gift")
    _named(play, play.thanked())
    return play


def acknowledged_to_both_providers(kind: type[Play]) -> Play:
    play = kind(payer=PAYER)
    play.agreed(recurrence=dict(WEEKLY), when=[slot(), slot(LATER_SLOT, 10)])
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid(payer=PAYER)
    play.acknowledged()
    handover = play.do("handover", PROVIDER, to=OTHER, text="ill", lang="en")
    play.do("consent", REQUESTER, to=handover.id, yes=True)
    play.do("handover_acceptance", OTHER, handover=handover.id)
    play.acknowledged()
    play.do("evaluation", OTHER, attestation=b"\x02" * 32)
    return play


def acknowledged_in_a_bundle(kind: type[Play]) -> Play:
    play = kind(bundle=BUNDLE, payer=PAYER)
    quote = play.quoted(reserved=True)
    agreement = play.do("agreement", REQUESTER, quote=quote.id)
    _named(play, play.thanked())
    play.do(
        "bundle_decision", COORDINATOR, refs=[agreement], bundle=BUNDLE, outcome="commit",
        exchanges=[play.opening.id, b"\x0c" * 32], agreements=[agreement.id, b"\x0d" * 32],
    )  # fmt: skip
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid(payer=PAYER)
    play.acknowledged()
    return play


FUNDED: Final[dict[str, Script]] = {
    script.__name__.replace("_", " "): script
    for script in (
        funded_and_acknowledged,
        acknowledged_before_it_was_paid,
        acknowledged_while_it_was_paid,
        acknowledged_twice,
        acknowledged_wrongly,
        an_acknowledgement_that_was_sent_back,
        an_acknowledgement_not_known_yet,
        nothing_to_acknowledge,
        acknowledged_too_early,
        the_requester_pays_instead,
        what_is_counted_is_funded,
        a_funded_gift,
        acknowledged_to_both_providers,
        acknowledged_in_a_bundle,
    )
}
"""Each script by its name in words."""
