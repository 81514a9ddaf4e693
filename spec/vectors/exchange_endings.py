"""Play each ending of an exchange, for the vectors of spec/08-exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from support.transcripts import (
    COORDINATOR,
    DAY,
    HOUR,
    LATER_SLOT,
    MEDIATOR,
    OTHER,
    PAYER,
    PROVIDER,
    REQUESTER,
    SLOT,
    START,
    THIRD,
    Play,
    slot,
)

Script = Callable[[type[Play]], Play]

FIXED: Final[dict[str, Any]] = {"per_hour": None, "amount": 90}
FEE: Final[dict[str, Any]] = {"cancel_fee": 30, "cancel_free_before_s": DAY}
WEEKLY: Final = {
    "rrule": "FREQ=WEEKLY", "dtstart": START, "tz": "Europe/Paris", "duration_s": HOUR,
}  # fmt: skip
BUNDLE: Final = b"\x0b" * 32
NO: Final[dict[str, Any]] = {"text": "It was not done.", "lang": "en"}
SAID: Final[dict[str, Any]] = {"text": "Half of it.", "lang": "en", "closes": True}


def accepted_and_paid(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(guarantee_days=30)
    play.do("contact", PROVIDER, contact={"name": "P"})
    play.worked(minutes=65)
    play.do("acceptance", REQUESTER)
    play.paid()
    play.do("evaluation", REQUESTER, attestation=b"\x01" * 32)
    play.do("evaluation", PROVIDER, attestation=b"\x02" * 32)
    claim = play.do("guarantee_claim", REQUESTER, text="It leaks.", lang="en")
    play.do("guarantee_closed", REQUESTER, claim=claim.id)
    return play


def held_and_split(kind: type[Play]) -> Play:
    play = kind()
    shares = [{"author": PROVIDER, "share": 1}, {"author": OTHER, "share": 2}]
    quote = play.quoted(**FIXED, split=shares)
    play.do("agreement", REQUESTER, quote=quote.id, hold=b"\x71" * 32)
    play.do(
        "hold", REQUESTER, order=b"\x72" * 32, amount=90, unit="heure", replaces=b"\x71" * 32
    )
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid(30)
    play.paid(60, payee=OTHER)
    return play


def silence_accepts(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(silence={"accept": "accepted"})
    play.worked(minutes=50)
    return play


def silence_is_mediated(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(silence={"accept": "mediated", "mediate": "half"})
    play.worked(minutes=51)
    return play


def accepted_in_part(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER, part=True, minutes=40, reason="late", lang="en")
    play.do("complaint", PROVIDER, **NO)
    play.do("mediation", MEDIATOR, amount=50, **SAID)
    play.paid()
    return play


def complaint_mediated(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid()
    play.do("complaint", REQUESTER, **NO)
    play.do("mediation", MEDIATOR, amount=30, **SAID)
    play.paid(30, payer=PROVIDER)
    return play


def complaint_settled(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    play.worked()
    complaint = play.do("complaint", REQUESTER, **NO, proposes=20)
    play.do("consent", PROVIDER, to=complaint.id, yes=True)
    return play


def cancelled_free(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(**FEE)
    play.do("cancellation", PROVIDER, reason="ill", lang="en")
    return play


def cancelled_late(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(**FEE)
    play.until(START + 5 * DAY // 2)
    cancelled = play.do("cancellation", REQUESTER, fee=10)
    play.do("consent", PROVIDER, to=cancelled.id, yes=True)
    play.paid()
    return play


def cancelled_late_by_the_provider(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(**FEE)
    play.do("message", PROVIDER, text="See you.", lang="en")
    play.until(START + 5 * DAY // 2)
    play.do("cancellation", PROVIDER)
    play.do("complaint", REQUESTER, **NO)
    play.do("mediation", MEDIATOR, amount=15, **SAID)
    play.paid(payer=PROVIDER)
    return play


def nobody_came(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(silence={"begin": "cancelled"})
    return play


def nobody_checked_in_or_paid(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(silence={"begin": "done", "pay": "mediated", "mediate": "full"})
    return play


def left_without_check_out(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(minutes=None)
    play.until(slot()["start"])
    play.do("check_in", REQUESTER, time=play.at)
    return play


def handed_over(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER, text="I am ill.", lang="en")
    play.do("consent", REQUESTER, to=given.id, yes=True)
    play.do("handover_acceptance", OTHER, handover=given.id)
    play.worked(provider=OTHER)
    play.do("acceptance", REQUESTER)
    play.paid()
    return play


def handover_unanswered(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(when=[slot(day=30)])
    refused = play.do("handover", PROVIDER, to=OTHER)
    play.do("consent", REQUESTER, to=refused.id, yes=False)
    given = play.do("handover", PROVIDER, to=THIRD)
    play.do("consent", REQUESTER, to=given.id, yes=True)
    return play


def task_handed_over(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(**FIXED)
    task = play.do("amendment", PROVIDER, adds={"text": "A tap", "amount": 25})
    play.do("consent", REQUESTER, to=task.id, yes=True)
    play.until(slot()["start"])
    play.do("check_in", PROVIDER, slot=SLOT, time=play.at)
    given = play.do("handover", PROVIDER, to=OTHER, task=task.id)
    play.do("consent", REQUESTER, to=given.id, yes=True)
    play.do("handover_acceptance", OTHER, handover=given.id)
    play.do("check_out", PROVIDER, time=play.at + HOUR, last=True)
    play.do("acceptance", REQUESTER)
    return play


def spawned(kind: type[Play]) -> Play:
    origin = {"exchange": b"\x0e" * 32, "step": b"\x0f" * 32}
    play = kind(provider=OTHER, by=OTHER, origin=origin, about=b"\x0a" * 32)
    return play


def amended(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(**FIXED, silence={"consent": "consented"})
    play.until(slot()["start"])
    play.do("check_in", PROVIDER, slot=SLOT, time=play.at)
    one = play.do("amendment", PROVIDER, adds={"text": "A lamp", "amount": 10})
    two = play.do("amendment", PROVIDER, adds={"text": "A door", "amount": 20})
    play.do("consent", REQUESTER, to=one.id, yes=True)
    play.do("consent", REQUESTER, to=two.id, yes=False)
    play.do("amendment", PROVIDER, adds={"text": "A step", "amount": 40, "minutes": 10})
    return play


def appointments_move(kind: type[Play]) -> Play:
    play = kind()
    play.agreed()
    moved = play.do("appointment", PROVIDER, slots=[slot(day=5), slot(LATER_SLOT, day=6)])
    play.do("consent", REQUESTER, to=moved.id, yes=True)
    fewer = play.do("appointment", REQUESTER, cancels=[LATER_SLOT])
    play.do("consent", PROVIDER, to=fewer.id, yes=True)
    play.do("appointment", REQUESTER, slots=[slot(day=7)])
    return play


def recurring(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(when=[slot(), slot(LATER_SLOT, day=10)], recurrence=WEEKLY)
    play.worked(minutes=60)
    play.do("acceptance", REQUESTER)
    play.paid()
    play.worked(minutes=31, slot=LATER_SLOT)
    play.do("acceptance", REQUESTER)
    play.paid()
    return play


def recurring_stopped(kind: type[Play]) -> Play:
    play = kind()
    slots = [slot(), slot(LATER_SLOT, day=10), slot(b"\x53" * 16, day=17)]
    play.agreed(when=slots, recurrence=WEEKLY)
    play.worked()
    play.do("cancellation", REQUESTER)
    play.do("acceptance", REQUESTER)
    return play


def gift(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(kind="gift", unit=None, per_hour=None)
    play.do("acceptance", REQUESTER)
    play.do("payment", REQUESTER, how="gift")
    return play


def count_only(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(kind="count_only", unit="savoir", per_hour=None)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid()
    play.do("evaluation", PROVIDER, attestation=b"\x02" * 32)
    return play


def money_outside(kind: type[Play]) -> Play:
    play = kind()
    play.agreed(kind="outside", unit=None, per_hour=None, outside="20 euros")
    play.worked()
    play.do("acceptance", REQUESTER)
    play.do("payment", REQUESTER, how="outside")
    return play


def third_party_pays(kind: type[Play]) -> Play:
    play = kind(payer=PAYER)
    play.agreed()
    play.add("funding", PAYER, refs=(), amount=60, unit="heure")
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid(payer=PAYER)
    return play


def declined(kind: type[Play]) -> Play:
    play = kind()
    one = play.quoted()
    play.do("decline", REQUESTER, quote=one.id)
    two = play.quoted()
    play.do("quote_withdrawal", PROVIDER, quote=two.id)
    play.quoted(valid_until=START + DAY)
    play.quoted()
    play.do("decline", REQUESTER, reason="found somebody")
    return play


def expired(kind: type[Play]) -> Play:
    play = kind()
    play.quoted()
    return play


def committed(kind: type[Play]) -> Play:
    play = kind(bundle=BUNDLE)
    agreement = play.agreed(reserved=True)
    named: dict[str, Any] = {"bundle": BUNDLE, "exchanges": [play.opening.id, b"\x0c" * 32]}
    play.add("bundle_decision", COORDINATOR, refs=(), at=START, **named, outcome="commit",
             agreements=[agreement.id, b"\x0d" * 32])  # fmt: skip
    play.add("bundle_decision", COORDINATOR, refs=(), **named, outcome="abort")
    return play


def aborted(kind: type[Play]) -> Play:
    play = kind(bundle=BUNDLE)
    play.agreed(reserved=True)
    exchanges = [b"\x0c" * 32, play.opening.id]
    play.add(
        "bundle_decision", COORDINATOR, refs=(), bundle=BUNDLE, exchanges=exchanges,
        outcome="abort",
    )  # fmt: skip
    return play


def in_doubt(kind: type[Play]) -> Play:
    play = kind(bundle=BUNDLE)
    play.agreed(reserved=True)
    return play


ENDINGS: Final[dict[str, Script]] = {
    script.__name__.replace("_", " "): script
    for script in (
        accepted_and_paid,
        held_and_split,
        silence_accepts,
        silence_is_mediated,
        accepted_in_part,
        complaint_mediated,
        complaint_settled,
        cancelled_free,
        cancelled_late,
        cancelled_late_by_the_provider,
        nobody_came,
        nobody_checked_in_or_paid,
        left_without_check_out,
        handed_over,
        handover_unanswered,
        task_handed_over,
        spawned,
        amended,
        appointments_move,
        recurring,
        recurring_stopped,
        gift,
        count_only,
        money_outside,
        third_party_pays,
        declined,
        expired,
        committed,
        aborted,
        in_doubt,
    )
}
"""Each ending by its name in words."""
