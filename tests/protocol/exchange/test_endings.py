"""Claims about how exchanges end: each ending, step by step (spec/08, "Endings")."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.protocol.exchange import TransferFact
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
    Play,
    slot,
)

FIXED = {"per_hour": None, "amount": 90}
FEE = {"cancel_fee": 30, "cancel_free_before_s": DAY}


def test_work_that_is_accepted_is_due_by_the_measured_time_and_ends_evaluated() -> None:
    play = Play()
    phases = [play.state().phase]
    play.quoted()
    phases.append(play.state().phase)
    play.do("agreement", REQUESTER, quote=play.state().quotes[0].id)
    phases.append(play.state().phase)
    play.worked(minutes=65)
    phases.append(play.state().phase)
    play.do("acceptance", REQUESTER)
    phases.append(play.state().phase)
    assert play.state().due.amount == 65
    play.paid()
    phases.append(play.state().phase)
    play.do("evaluation", REQUESTER, attestation=b"\x01" * 32)
    assert not play.state().released
    play.do("evaluation", PROVIDER, attestation=b"\x02" * 32)
    phases.append(play.state().phase)
    assert phases == ["opened", "quoted", "scheduled", "done", "accepted", "paid", "evaluated"]
    state = play.state()
    assert state.released and state.paid == state.owed == 65 and state.void == ()


def test_silence_after_the_work_means_what_the_agreement_says() -> None:
    for silence, phase in (("accepted", "accepted"), ("mediated", "disputed")):
        play = Play()
        play.agreed(silence={"accept": silence})
        out = play.worked()
        at = out.at + 7 * DAY
        assert play.state(at).phase == "done"
        assert [entry.outcome for entry in play.state(at).deadlines if entry.what == "accept"] == [
            silence
        ]
        assert play.state(at + 1).phase == phase


def test_a_part_accepted_is_due_and_the_provider_may_have_it_mediated() -> None:
    play = Play()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER, part=True, amount=40, reason="late", lang="en")
    assert (play.state().phase, play.state().due.amount) == ("accepted", 40)
    play.do("complaint", PROVIDER, text="I was on time.", lang="en")
    assert play.state().phase == "disputed"
    play.do("mediation", MEDIATOR, amount=50, text="Both were.", lang="en", closes=True)
    assert (play.state().phase, play.state().due.amount) == ("settled", 50)
    play.paid()
    assert play.state().phase == "paid"


def test_a_complaint_is_mediated_and_the_mediators_word_is_due() -> None:
    play = Play()
    play.agreed()
    play.worked()
    play.do("complaint", REQUESTER, text="Half was done.", lang="en")
    play.do("mediation", MEDIATOR, amount=30, text="Half.", lang="en", closes=True)
    assert (play.state().phase, play.state().due.amount) == ("settled", 30)
    assert play.state().mediated
    play.paid()
    assert (play.state().phase, play.state().due.amount) == ("paid", 0)


@pytest.mark.parametrize(("outcome", "due"), [("nothing", 0), ("half", 31), ("full", 61)])
def test_a_mediator_that_keeps_silent_leaves_what_the_agreement_says(
    outcome: str, due: int
) -> None:
    play = Play()
    play.agreed(silence={"mediate": outcome})
    play.worked(minutes=61)
    complaint = play.do("complaint", REQUESTER, text="No.", lang="en")
    assert play.state(complaint.at + 30 * DAY).phase == "disputed"
    state = play.state(complaint.at + 30 * DAY + 1)
    assert (state.phase, state.due.amount) == ("settled" if due else "paid", due)


def test_a_proposal_to_settle_that_the_other_side_consents_to_settles() -> None:
    play = Play()
    play.agreed()
    play.worked()
    complaint = play.do("complaint", REQUESTER, text="Half.", lang="en", proposes=30)
    play.do("consent", PROVIDER, to=complaint.id, yes=True)
    assert (play.state().phase, play.state().due.amount) == ("settled", 30)
    assert not play.state().mediated


def test_a_requester_that_accepts_after_all_ends_the_dispute() -> None:
    play = Play()
    play.agreed()
    play.worked()
    play.do("complaint", REQUESTER, text="Hm.", lang="en")
    play.do("acceptance", REQUESTER)
    assert (play.state().phase, play.state().due.amount) == ("accepted", 60)


@pytest.mark.parametrize(
    ("who", "days", "fee"),
    [(REQUESTER, 0, 0), (REQUESTER, 2.5, 30), (PROVIDER, 0, 0), (PROVIDER, 2.5, 30)],
)
def test_cancelling_is_free_in_time_and_later_costs_the_one_who_does(
    who: bytes, days: float, fee: int
) -> None:
    play = Play()
    play.agreed(**FEE)
    play.do("message", PROVIDER, text="See you.", lang="en")
    play.wait(int(days * DAY))
    play.do("cancellation", who, reason="ill", lang="en")
    state = play.state()
    assert (state.phase, state.ended_by, state.due.amount) == ("cancelled", who, fee)
    if fee:
        assert state.due.payer == who
        play.paid(payer=who)
        assert (play.state().phase, play.state().due.amount) == ("cancelled", 0)


def test_a_provider_that_never_heard_of_the_agreement_cancels_without_fee() -> None:
    play = Play()
    play.agreed(**FEE)
    play.wait(int(2.5 * DAY))
    play.do("cancellation", PROVIDER)
    assert (play.state().phase, play.state().due.amount) == ("cancelled", 0)


def test_the_other_side_may_let_a_fee_go() -> None:
    play = Play()
    play.agreed(**FEE)
    play.wait(int(2.5 * DAY))
    cancelled = play.do("cancellation", REQUESTER, fee=5)
    assert play.state().due.amount == 30
    play.do("consent", PROVIDER, to=cancelled.id, yes=True)
    assert (play.state().phase, play.state().due.amount) == ("cancelled", 5)


def test_a_fee_can_be_complained_of_and_mediated() -> None:
    play = Play()
    play.agreed(**FEE)
    play.do("cancellation", REQUESTER, reason="in time, I say", lang="en")
    assert play.state().due.amount == 0
    play.do("complaint", PROVIDER, text="At the door!", lang="en")
    assert play.state().phase == "disputed"
    play.do("mediation", MEDIATOR, amount=30, text="Late.", lang="en", closes=True)
    assert (play.state().phase, play.state().due.amount) == ("cancelled", 30)


def test_nobody_coming_ends_as_the_agreement_says() -> None:
    for silence, phase, due in (("cancelled", "cancelled", 0), ("done", "done", 0)):
        play = Play()
        play.agreed(silence={"begin": silence})
        end = slot()["end"] + 2 * DAY
        assert play.state(end).phase == "scheduled"
        assert (play.state(end + 1).phase, play.state(end + 1).due.amount) == (phase, due)
    assert play.state(end + 1 + 7 * DAY + 1).due.amount == 60


def test_work_that_nobody_ended_counts_for_as_long_as_was_planned() -> None:
    play = Play()
    play.agreed(minutes=45)
    play.until(slot()["start"])
    play.do("check_in", PROVIDER, slot=SLOT, time=play.at)
    assert play.state(slot()["end"] + 2 * DAY).phase == "under_way"
    state = play.state(slot()["end"] + 2 * DAY + 1)
    assert (state.phase, state.expected) == ("done", 45)


def test_a_handover_of_everything_keeps_the_first_provider_and_pays_the_new_one() -> None:
    play = Play()
    play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER)
    assert play.state().phase == "scheduled"
    play.do("consent", REQUESTER, to=given.id, yes=True)
    assert play.state().phase == "handed_over"
    play.do("handover_acceptance", OTHER, handover=given.id)
    state = play.state()
    assert (state.phase, state.provider, state.first_provider) == ("scheduled", OTHER, PROVIDER)
    play.worked(provider=OTHER)
    play.do("acceptance", REQUESTER)
    assert play.state().due.payee == OTHER
    play.paid()
    assert play.state().phase == "paid"
    assert set(play.state().evaluators) == {REQUESTER, OTHER}


def test_a_handover_without_consent_or_answer_stays_with_the_first_provider() -> None:
    play = Play()
    play.agreed(when=[slot(day=30)], silence={"consent": "consented"})
    given = play.do("handover", PROVIDER, to=OTHER)
    assert play.state(given.at + 7 * DAY + 1).handover is None
    play.do("consent", REQUESTER, to=given.id, yes=False)
    assert "handover_acceptance" not in play.state().next(OTHER, play.at).kinds
    again = play.do("handover", PROVIDER, to=OTHER)
    consent = play.do("consent", REQUESTER, to=again.id, yes=True)
    assert play.state(consent.at + 7 * DAY).phase == "handed_over"
    assert play.state(consent.at + 7 * DAY + 1).phase == "scheduled"
    assert play.state(consent.at + 7 * DAY + 1).provider == PROVIDER


def test_a_task_handed_over_leaves_the_price_and_opens_an_exchange_with_its_origin() -> None:
    play = Play()
    play.agreed(**FIXED)
    task = play.do("amendment", PROVIDER, adds={"text": "A tap", "amount": 25})
    assert play.state().expected == 90
    play.do("consent", REQUESTER, to=task.id, yes=True)
    assert play.state().expected == 115
    given = play.do("handover", PROVIDER, to=OTHER, task=task.id)
    play.do("consent", REQUESTER, to=given.id, yes=True)
    play.do("handover_acceptance", OTHER, handover=given.id)
    state = play.state()
    assert (state.phase, state.provider, state.expected) == ("scheduled", PROVIDER, 90)
    assert [(entry.status, entry.to) for entry in state.tasks] == [("handed_over", OTHER)]
    spawned = Play(
        provider=OTHER, by=OTHER, origin={"exchange": play.opening.id, "step": given.id}
    )
    assert spawned.state().origin == (play.opening.id, given.id)


def test_a_task_added_on_the_spot_counts_with_consent_and_not_without() -> None:
    play = Play()
    play.agreed(**FIXED)
    play.until(slot()["start"])
    play.do("check_in", PROVIDER, slot=SLOT, time=play.at)
    one = play.do("amendment", PROVIDER, adds={"text": "A lamp", "amount": 10})
    two = play.do("amendment", PROVIDER, adds={"text": "A door", "amount": 20})
    play.do("consent", REQUESTER, to=one.id, yes=True)
    play.do("consent", REQUESTER, to=two.id, yes=False)
    play.do("check_out", PROVIDER, slot=SLOT, time=play.at)
    play.do("acceptance", REQUESTER)
    assert play.state().due.amount == 100


def test_appointments_move_with_consent_and_the_old_one_stands_until_then() -> None:
    play = Play()
    play.agreed()
    moved = play.do("appointment", PROVIDER, slots=[slot(day=5), slot(LATER_SLOT, day=6)])
    agreed = [entry for entry in play.state().slots if entry.status == "agreed"]
    assert [entry.start for entry in agreed] == [START + 3 * DAY]
    play.do("consent", REQUESTER, to=moved.id, yes=True)
    assert [entry.start for entry in play.state().slots] == [START + 5 * DAY, START + 6 * DAY]
    fewer = play.do("appointment", REQUESTER, cancels=[LATER_SLOT])
    play.do("consent", PROVIDER, to=fewer.id, yes=True)
    assert [entry.status for entry in play.state().slots] == ["agreed", "cancelled"]


def test_a_guarantee_claimed_in_time_stays_open_until_it_is_closed() -> None:
    play = Play()
    play.agreed(guarantee_days=10)
    play.worked()
    accepted = play.do("acceptance", REQUESTER)
    assert play.state().guaranteed_until == accepted.at + 10 * DAY
    claim = play.do("guarantee_claim", REQUESTER, text="It leaks.", lang="en")
    assert [entry.closed for entry in play.state(play.at + 300 * DAY).guarantees] == [None]
    closed = play.do("guarantee_closed", MEDIATOR, claim=claim.id)
    assert [entry.closed for entry in play.state().guarantees] == [closed.id]
    assert "guarantee_claim" in play.state().next(REQUESTER, accepted.at + 10 * DAY).kinds
    assert "guarantee_claim" not in play.state().next(REQUESTER, accepted.at + 10 * DAY + 1).kinds


def test_a_third_party_pays_and_the_two_do_not_evaluate_without_a_transfer_between_them() -> None:
    play = Play(payer=PAYER)
    play.agreed()
    play.add("funding", PAYER, refs=(), amount=60, unit="heure")
    assert [entry.amount for entry in play.state().fundings] == [60]
    play.worked()
    play.do("acceptance", REQUESTER)
    assert play.state().due.payer == PAYER
    play.paid(payer=PAYER)
    assert (play.state().phase, play.state().evaluators) == ("paid", ())


def test_a_payment_split_between_the_members_of_a_group_counts_together() -> None:
    shares = [{"author": PROVIDER, "share": 1}, {"author": OTHER, "share": 1}]
    play = Play()
    play.agreed(**FIXED, split=shares)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid(45)
    assert (play.state().phase, play.state().due.amount) == ("accepted", 45)
    play.paid(45, payee=OTHER)
    assert (play.state().phase, play.state().due.amount) == ("paid", 0)


@pytest.mark.parametrize("kind", ["gift", "free"])
def test_a_gift_leaves_nothing_due_and_nothing_to_evaluate(kind: str) -> None:
    play = Play()
    play.agreed(kind=kind, unit=None, per_hour=None)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.do("payment", REQUESTER, how="gift")
    state = play.state()
    assert (state.phase, state.owed, state.evaluators) == ("paid", 0, ())


def test_an_exchange_that_only_counts_owes_one_of_its_unit() -> None:
    play = Play()
    play.agreed(kind="count_only", unit="échange", per_hour=None)
    play.worked()
    play.do("acceptance", REQUESTER)
    assert (play.state().due.amount, play.state().due.unit) == (1, "échange")
    play.paid()
    assert set(play.state().evaluators) == {REQUESTER, PROVIDER}


def test_money_outside_is_paid_when_the_requester_says_so() -> None:
    play = Play()
    play.agreed(kind="outside", unit=None, per_hour=None, outside="20 euros")
    play.worked()
    play.do("acceptance", REQUESTER)
    assert play.state().phase == "accepted"
    play.do("payment", REQUESTER, how="outside")
    assert play.state().phase == "paid"


def test_each_session_of_a_recurrence_is_accepted_and_paid_for_itself() -> None:
    weekly = {"rrule": "FREQ=WEEKLY", "dtstart": START, "tz": "Europe/Paris", "duration_s": HOUR}
    play = Play()
    play.agreed(when=[slot(), slot(LATER_SLOT, day=10)], recurrence=weekly)
    play.worked(minutes=60)
    assert play.state().phase == "done"
    play.do("acceptance", REQUESTER)
    assert (play.state().phase, play.state().due.amount) == ("scheduled", 60)
    play.paid()
    play.worked(minutes=30, slot=LATER_SLOT)
    play.do("acceptance", REQUESTER)
    assert (play.state().phase, play.state().due.amount) == ("accepted", 30)
    play.paid()
    assert (play.state().phase, play.state().paid) == ("paid", 90)


def test_cancelling_a_recurrence_keeps_what_was_done() -> None:
    weekly = {"rrule": "FREQ=WEEKLY", "dtstart": START, "tz": "Europe/Paris", "duration_s": HOUR}
    play = Play()
    play.agreed(when=[slot(), slot(LATER_SLOT, day=10)], recurrence=weekly)
    play.worked()
    play.do("cancellation", REQUESTER)
    assert play.state().phase == "done"
    play.do("acceptance", REQUESTER)
    assert (play.state().phase, play.state().due.amount) == ("accepted", 60)


def test_declined_withdrawn_and_expired_quotes_can_be_followed_by_another() -> None:
    play = Play()
    one = play.quoted()
    play.do("decline", REQUESTER, quote=one.id)
    assert play.state().phase == "declined"
    two = play.quoted()
    play.do("quote_withdrawal", PROVIDER, quote=two.id)
    assert play.state().phase == "declined"
    three = play.quoted()
    assert play.state(START + 2 * DAY).phase == "quoted"
    assert play.state(START + 2 * DAY + 1).phase == "expired"
    assert [entry.status for entry in play.state(START + 3 * DAY).quotes] == [
        "declined",
        "withdrawn",
        "expired",
    ]
    assert three.id in {entry.id for entry in play.state().quotes}


def test_declining_everything_ends_the_exchange() -> None:
    play = Play()
    play.quoted()
    play.do("decline", REQUESTER, reason="found somebody")
    assert (play.state().phase, play.state().ended_by) == ("declined", REQUESTER)
    assert play.state().next(PROVIDER, play.at).kinds == ("message",)


def test_a_refund_is_due_when_less_is_mediated_than_was_paid() -> None:
    play = Play()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid()
    play.do("complaint", REQUESTER, text="It broke.", lang="en")
    play.do("mediation", MEDIATOR, amount=20, text="So it did.", lang="en", closes=True)
    due = play.state().due
    assert (due.amount, due.payer, due.payee) == (40, PROVIDER, REQUESTER)
    play.paid(40, payer=PROVIDER)
    assert (play.state().phase, play.state().due.amount) == ("paid", 0)


def test_what_is_not_paid_is_overdue_or_mediated_as_agreed() -> None:
    for silence, phase in (("overdue", "accepted"), ("mediated", "disputed")):
        play = Play()
        play.agreed(silence={"pay": silence})
        play.worked()
        accepted = play.do("acceptance", REQUESTER)
        assert play.state(accepted.at + 14 * DAY).phase == "accepted"
        assert play.state(accepted.at + 14 * DAY + 1).phase == phase


def test_a_hold_is_shown_with_what_the_ledger_says() -> None:
    play = Play()
    quote = play.quoted(**FIXED)
    play.do("agreement", REQUESTER, quote=quote.id, hold=b"\x71" * 32)
    assert getattr(play.state().hold, "status", None) == "announced"
    play.transfers[b"\x71" * 32] = TransferFact(
        REQUESTER, PROVIDER, "heure", 90, "held", play.state().payment_ref or b""
    )
    assert getattr(play.state().hold, "status", None) == "held"


def test_contacts_are_shown_after_the_agreement_only() -> None:
    play = Play()
    quote = play.quoted()
    assert "contact" not in play.state().next(REQUESTER, play.at).kinds
    play.do("agreement", REQUESTER, quote=quote.id, contact={"phone": "+33 4 75 00 00 01"})
    play.do("contact", PROVIDER, contact={"name": "P"})
    assert set(play.state().contacts) == {REQUESTER, PROVIDER}


def test_a_bundles_part_counts_with_the_decision_and_not_before() -> None:
    for outcome, phase in (("commit", "scheduled"), ("abort", "cancelled")):
        play = Play(bundle=b"\x0b" * 32)
        agreement = play.agreed(reserved=True)
        assert (play.state().phase, play.state().reserved) == ("quoted", True)
        assert play.state().next(PROVIDER, play.at).kinds == ("message",)
        named: dict[str, Any] = {"agreements": [agreement.id, b"\x0d" * 32]}
        if outcome == "abort":
            named = {}
        play.add(
            "bundle_decision", COORDINATOR, refs=(), bundle=b"\x0b" * 32, outcome=outcome,
            exchanges=[play.opening.id, b"\x0c" * 32], **named,
        )  # fmt: skip
        assert (play.state().phase, play.state().reserved) == (phase, False)
