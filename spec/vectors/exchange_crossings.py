"""Play steps that cross, and steps that do not count, for the vectors of spec/08-exchange."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from exchange_endings import FEE, NO, SAID, WEEKLY, Script
from maillon.protocol.exchange import TransferFact
from support.transcripts import (
    DAY,
    HOUR,
    LATER_SLOT,
    MEDIATOR,
    OTHER,
    PROVIDER,
    REQUESTER,
    SLOT,
    START,
    STRANGER,
    Play,
    slot,
)


def withdrawal_kept_back(kind: type[Play]) -> Play:
    play = kind()
    quote = play.quoted()
    play.do("agreement", REQUESTER, quote=quote.id)
    back: dict[str, Any] = {"refs": [quote], "at": quote.at}
    play.add("quote_withdrawal", PROVIDER, device=1, quote=quote.id, **back)
    play.add("cancellation", PROVIDER, device=2, **back)
    play.add("decline", REQUESTER, device=1, **back)
    return play


def two_agreements(kind: type[Play]) -> Play:
    play = kind()
    cheap, dear = play.quoted(per_hour=30), play.quoted(per_hour=90)
    play.add("agreement", REQUESTER, refs=[dear], quote=cheap.id)
    told = play.add("agreement", REQUESTER, device=1, refs=[dear], quote=dear.id)
    play.add("message", PROVIDER, refs=[told], text="Fine.", lang="en")
    return play


def one_key_two_steps(kind: type[Play]) -> Play:
    play = kind()
    quote = play.quoted()
    play.add("agreement", REQUESTER, refs=[quote], quote=quote.id)
    told = play.add("decline", REQUESTER, refs=[quote], quote=quote.id)
    play.add("message", PROVIDER, refs=[told], text="A pity.", lang="en")
    return play


def cancelled_while_working(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed()
    play.worked()
    play.add(
        "cancellation", REQUESTER, device=1, refs=[agreement], at=agreement.at, reason="No"
    )
    return play


def came_though_cancelled(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed()
    play.do("cancellation", REQUESTER)
    start = slot()["start"]
    play.until(start)
    play.add("check_in", PROVIDER, refs=[agreement], at=start - 2 * DAY, slot=SLOT, time=start)
    came = play.add("check_in", PROVIDER, device=1, refs=[agreement], slot=SLOT, time=start)
    play.add("check_out", PROVIDER, device=1, refs=[came], time=start + HOUR, minutes=60)
    return play


def two_measures(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    out = play.worked(minutes=90)
    [came] = [step for step in play.steps if step.kind == "check_in"]
    play.add("check_out", REQUESTER, refs=[came], slot=SLOT, time=out.at, minutes=70)
    play.add("acceptance", REQUESTER, device=1, refs=[out])
    play.add("acceptance", REQUESTER, device=2, refs=[out], amount=50, part=True, reason="R")
    return play


def complaint_crosses_acceptance(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    out = play.worked()
    play.add("acceptance", REQUESTER, refs=[out])
    play.add("complaint", REQUESTER, device=1, refs=[out], at=out.at + 7 * DAY, **NO)
    play.add("complaint", PROVIDER, device=1, refs=[out], at=out.at + 8 * DAY, **NO)
    return play


def handover_crosses_check_in(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER)
    play.do("consent", REQUESTER, to=given.id, yes=True)
    taken = play.do("handover_acceptance", OTHER, handover=given.id)
    start = slot()["start"]
    play.add(
        "check_in", PROVIDER, device=1, refs=[agreement], at=start - HOUR, slot=SLOT, time=start
    )
    play.add("cancellation", PROVIDER, device=2, refs=[agreement], at=agreement.at)
    play.until(start)
    play.add("check_in", OTHER, refs=[taken], slot=SLOT, time=start)
    return play


def strangers(kind: type[Play]) -> Play:
    play, other = kind(), kind(title="Another")
    quote = play.quoted()
    play.add("agreement", STRANGER, refs=[quote], quote=quote.id)
    play.add("agreement", REQUESTER, exchange=other.opening.id, quote=quote.id)
    play.add("acceptance", REQUESTER, refs=[quote])
    play.add("mediation", MEDIATOR, refs=[quote], amount=0, **SAID)
    return play


def money_for_something_else(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    paid = play.paid(20)
    assert paid.payload is not None
    play.add(
        "payment", REQUESTER, device=1, transfer=paid.payload["transfer"], amount=20, unit="heure"
    )
    good = next(iter(play.transfers.values()))
    for place, wrong in enumerate(
        (replace(good, ref=bytes(32)), replace(good, payee=STRANGER), replace(good, status="void"))
    ):
        order = bytes([0x80 + place]) * 32
        play.transfers[order] = replace(wrong, amount=10)
        play.add("payment", REQUESTER, transfer=order, amount=10, unit="heure")
    play.add("payment", REQUESTER, transfer=b"\x90" * 32, amount=10, unit="grain")
    play.add("payment", REQUESTER, transfer=b"\x91" * 32, amount=10, unit="heure")
    return play


def provider_had_not_known(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(**FEE)
    play.until(START + 5 * DAY // 2)
    play.do("cancellation", PROVIDER)
    return play


def prices_by_time(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(per_hour=50, amount=95, when=[slot(), slot(LATER_SLOT, day=4)])
    play.worked(minutes=33)
    play.worked(minutes=60, slot=LATER_SLOT)
    play.do("appointment", PROVIDER, slots=[slot(b"\x53" * 16, day=6)])
    play.do("consent", REQUESTER, to=play.steps[-1].id, yes=True)
    play.worked(minutes=100, slot=b"\x53" * 16)
    return play


def one_of_two_sessions_began(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed(when=[slot(), slot(LATER_SLOT, day=10)], recurrence=WEEKLY)
    play.do("cancellation", REQUESTER)
    start = slot()["start"]
    play.until(start)
    came = play.add("check_in", PROVIDER, refs=[agreement], slot=SLOT, time=start)
    play.add("check_out", PROVIDER, refs=[came], time=start + HOUR)
    return play


def taken_over_though_begun(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER)
    consent = play.do("consent", REQUESTER, to=given.id, yes=True)
    start = slot()["start"]
    play.until(start)
    taken = play.add("handover_acceptance", OTHER, refs=[consent], handover=given.id)
    play.add("check_in", PROVIDER, device=1, refs=[agreement], slot=SLOT, time=start)
    play.add("message", REQUESTER, device=1, refs=[play.steps[-1]], text="Hello.", lang="en")
    play.add("check_in", OTHER, refs=[taken], slot=SLOT, time=start)
    return play


def taken_over_though_a_check_in_is_older(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER)
    consent = play.do("consent", REQUESTER, to=given.id, yes=True)
    start = slot()["start"]
    play.until(start)
    taken = play.add("handover_acceptance", OTHER, refs=[consent], handover=given.id)
    play.add("message", REQUESTER, refs=[taken], text="Welcome.", lang="en")
    play.add(
        "check_in", PROVIDER, device=1, refs=[agreement], at=start - HOUR, slot=SLOT, time=start
    )
    return play


def what_is_not_so_before_the_agreement(kind: type[Play]) -> Play:
    play = kind()
    unseen = play.quoted(reserved=True, valid_until=START + DAY)
    play.add("agreement", REQUESTER, device=1, refs=[play.opening], quote=unseen.id)
    play.add("quote_withdrawal", PROVIDER, quote=unseen.id)
    other = play.quoted()
    play.add("quote_withdrawal", PROVIDER, quote=unseen.id)
    play.do("decline", REQUESTER, quote=other.id)
    play.add("decline", REQUESTER, quote=other.id)
    play.add("cancellation", PROVIDER)
    third = play.quoted()
    play.until(START + DAY)
    play.wait(1)
    play.add("agreement", REQUESTER, quote=unseen.id)
    play.do("agreement", REQUESTER, quote=third.id)
    play.add("contact", PROVIDER, device=1, refs=[third], contact={"name": "P"})
    play.add("agreement", REQUESTER, quote=third.id)
    return play


def what_is_not_so_at_work(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed(
        kind="free", unit=None, per_hour=None, when=[slot(), slot(LATER_SLOT, day=4)]
    )
    play.add("check_in", PROVIDER, slot=SLOT, time=play.at)
    play.until(slot()["start"])
    play.add("check_in", PROVIDER, time=play.at)
    play.add("check_in", PROVIDER, slot=b"\x54" * 16, time=play.at)
    play.do("check_in", PROVIDER, slot=SLOT, time=play.at)
    play.add("appointment", REQUESTER, cancels=[SLOT])
    play.add("amendment", PROVIDER, adds={"text": "More", "amount": 5})
    play.add("handover", PROVIDER, to=OTHER, task=agreement.id)
    play.add("consent", REQUESTER, to=agreement.id, yes=True)
    play.do("check_out", PROVIDER, time=play.at, last=True)
    play.add("check_out", PROVIDER, slot=SLOT, time=play.at)
    play.do("appointment", PROVIDER, slots=[slot(b"\x55" * 16, day=8)])
    play.add("consent", PROVIDER, device=1, to=play.steps[-1].id, yes=True)
    play.add("acceptance", REQUESTER, amount=1, part=True, reason="R")
    play.do("acceptance", REQUESTER)
    play.add("payment", REQUESTER, how="outside")
    play.do("payment", REQUESTER, how="gift")
    play.add("payment", REQUESTER, how="gift")
    play.add("evaluation", REQUESTER, attestation=b"\x01" * 32)
    play.add("complaint", PROVIDER, **NO)
    play.until(play.at + 15 * DAY)
    play.add("complaint", REQUESTER, **NO)
    return play


def answered_by_two_devices(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    moved = play.do("appointment", PROVIDER, slots=[slot(day=5)])
    play.add("consent", REQUESTER, refs=[moved], to=moved.id, yes=False)
    told = play.add("consent", REQUESTER, device=1, refs=[moved], to=moved.id, yes=True)
    play.add("message", PROVIDER, refs=[told], text="Fine.", lang="en")
    play.until(slot(day=5)["start"])
    play.worked()
    complaint = play.do("complaint", REQUESTER, **NO, proposes=99)
    play.add("mediation", MEDIATOR, refs=[complaint], amount=61, **SAID)
    for device, amount in ((1, 20), (2, 40)):
        play.add(
            "mediation", MEDIATOR, device=device, refs=[complaint], amount=amount, **SAID
        )
    heard = play.steps[-1]
    play.add("message", PROVIDER, refs=[heard], text="Well.", lang="en")
    return play


def evaluated_too_late(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(guarantee_days=2)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid()
    play.do("evaluation", REQUESTER, attestation=b"\x01" * 32)
    play.add("evaluation", REQUESTER, attestation=b"\x03" * 32)
    claim = play.do("guarantee_claim", REQUESTER, text="It leaks.", lang="en")
    play.do("guarantee_closed", MEDIATOR, claim=claim.id)
    play.until(play.at + 31 * DAY)
    play.add("evaluation", PROVIDER, attestation=b"\x02" * 32)
    play.add("guarantee_claim", REQUESTER, text="Again.", lang="en")
    return play


def erased_and_missing(kind: type[Play]) -> Play:
    play = kind()
    quote = play.quoted()
    message = play.do("message", PROVIDER, text="Private.", lang="en")
    place = play.steps.index(message)
    play.steps[place] = replace(message, payload=None)
    lost = play.do("message", REQUESTER, text="Lost.", lang="en")
    play.add("agreement", REQUESTER, refs=[lost], quote=quote.id)
    play.steps.remove(lost)
    return play


def _moved(play: Play, order: bytes, amount: int, by: bytes, **given: Any) -> None:
    """Let the ledger certify a transfer by somebody, and them name it."""
    ref = play.state().payment_ref
    assert ref is not None
    payee = PROVIDER if by == REQUESTER else REQUESTER
    play.transfers[order] = TransferFact(by, payee, "heure", amount, "certified", ref)
    play.add("payment", by, transfer=order, amount=amount, unit="heure", **given)


def paid_back_though_the_amount_was_raised(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(mediator=MEDIATOR)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid()
    complaint = play.do("complaint", REQUESTER, **NO)
    less = play.do("acceptance", REQUESTER, amount=40, part=True, reason="Less.")
    all_of_it: dict[str, Any] = {"amount": 60, **SAID}
    play.add("mediation", MEDIATOR, refs=[complaint], at=complaint.at, **all_of_it)
    _moved(play, b"\xa0" * 32, 20, PROVIDER, refs=[less])
    return play


def paid_though_the_acceptance_gave_way(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(mediator=MEDIATOR)
    out = play.worked()
    play.do("acceptance", REQUESTER)
    _moved(play, b"\xa0" * 32, 60, REQUESTER)
    play.add("complaint", PROVIDER, refs=[out], at=out.at, **NO)
    play.do("mediation", MEDIATOR, amount=45, **SAID)
    _moved(play, b"\xa1" * 32, 15, PROVIDER)
    return play


def paid_beforehand_and_side_by_side(kind: type[Play]) -> Play:
    play = kind()
    agreement = play.agreed(silence={"pay": "mediated"})
    for place in range(2):
        _moved(play, bytes([0xA0 + place]) * 32, 40, REQUESTER, refs=[agreement])
    _moved(play, b"\xa2" * 32, 5, STRANGER)
    play.worked()
    play.do("acceptance", REQUESTER)
    _moved(play, b"\xa3" * 32, 60, PROVIDER)
    return play


def paid_under_the_other_agreement(kind: type[Play]) -> Play:
    play = kind()
    quote = play.quoted()
    first = play.add("agreement", REQUESTER, refs=[quote], quote=quote.id)
    _moved(play, b"\xa0" * 32, 60, REQUESTER, refs=[first])
    second = play.add("agreement", REQUESTER, device=1, refs=[quote], quote=quote.id)
    play.add("message", PROVIDER, refs=[second], text="Fine.", lang="en")
    return play


CROSSINGS: Final[dict[str, Script]] = {
    script.__name__.replace("_", " "): script
    for script in (
        withdrawal_kept_back,
        two_agreements,
        one_key_two_steps,
        cancelled_while_working,
        came_though_cancelled,
        two_measures,
        complaint_crosses_acceptance,
        handover_crosses_check_in,
        strangers,
        money_for_something_else,
        provider_had_not_known,
        prices_by_time,
        one_of_two_sessions_began,
        taken_over_though_begun,
        taken_over_though_a_check_in_is_older,
        what_is_not_so_before_the_agreement,
        what_is_not_so_at_work,
        answered_by_two_devices,
        evaluated_too_late,
        erased_and_missing,
        paid_back_though_the_amount_was_raised,
        paid_though_the_acceptance_gave_way,
        paid_beforehand_and_side_by_side,
        paid_under_the_other_agreement,
    )
}
"""Each crossing by its name in words."""
