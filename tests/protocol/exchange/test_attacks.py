"""Claims about parties that keep steps back, date them back, or wait until it is too late.

In each the attacker's step is good as a record: it is the exchange that does not let it have
its way.
"""

from __future__ import annotations

from typing import Any

from support.transcripts import (
    DAY,
    HOUR,
    LATER_SLOT,
    MEDIATOR,
    PROVIDER,
    REQUESTER,
    SLOT,
    START,
    STRANGER,
    Play,
    refused,
    slot,
    why,
)

BUNDLE = b"\x0b" * 32
WEEKLY = {"rrule": "FREQ=WEEKLY", "dtstart": START, "tz": "Europe/Paris", "duration_s": HOUR}
FEE = {"cancel_fee": 30, "cancel_free_before_s": DAY}


# --- kept back and dated back ---------------------------------------------------------------------


def test_a_withdrawal_kept_back_does_not_undo_an_agreement() -> None:
    play = Play()
    quote = play.quoted()
    play.do("agreement", REQUESTER, quote=quote.id)
    for at in (quote.at, play.at + DAY):
        withdrawal = play.add(
            "quote_withdrawal", PROVIDER, device=1, refs=[quote], at=at, quote=quote.id
        )
        assert why(play, withdrawal) in ("outranked", "phase")
        assert play.state().phase == "scheduled"
        play.steps.remove(withdrawal)


def test_ending_everything_behind_an_agreements_back_does_not_undo_it() -> None:
    for kind, author in (("cancellation", PROVIDER), ("decline", REQUESTER)):
        play = Play()
        quote = play.quoted()
        play.do("agreement", REQUESTER, quote=quote.id)
        ended = play.add(kind, author, device=1, refs=[quote], at=quote.at)
        assert (why(play, ended), play.state().phase) == ("outranked", "scheduled")


def test_declining_on_one_device_what_another_agreed_to_does_not_undo_it() -> None:
    play = Play()
    quote = play.quoted()
    play.do("agreement", REQUESTER, quote=quote.id)
    no = play.add("decline", REQUESTER, device=1, refs=[quote], at=quote.at, quote=quote.id)
    assert (why(play, no), play.state().phase) == ("outranked", "scheduled")


def test_agreeing_to_what_a_stranger_quoted_holds_nobody() -> None:
    play = Play()
    forged = play.add("quote", STRANGER, terms={"when": []}, valid_until=play.at + DAY)
    play.add("agreement", REQUESTER, refs=[forged], quote=forged.id)
    ended = play.add("cancellation", PROVIDER, refs=[play.opening])
    assert (why(play, forged), why(play, ended)) == ("role", None)
    assert play.state().phase == "cancelled"


def test_an_agreement_that_had_seen_the_withdrawal_does_not_count() -> None:
    play = Play()
    quote = play.quoted()
    withdrawal = play.do("quote_withdrawal", PROVIDER, quote=quote.id)
    agreement = play.add("agreement", REQUESTER, refs=[withdrawal], at=quote.at, quote=quote.id)
    assert why(play, agreement) in ("phase", "decided")
    assert play.state().agreement is None


def test_an_agreement_is_no_earlier_than_what_it_refers_to() -> None:
    play = Play()
    quote = play.quoted(valid_until=START + DAY)
    play.until(START + 2 * DAY)
    message = play.do("message", PROVIDER, text="Too late now.", lang="en")
    agreement = play.add("agreement", REQUESTER, refs=[message], at=START + 10, quote=quote.id)
    assert why(play, agreement) in ("phase", "late")


def test_a_cancellation_dated_back_before_the_check_in_ends_nothing_and_is_heard() -> None:
    play = Play()
    agreement = play.agreed(silence={"accept": "accepted"})
    out = play.worked()
    for at in (agreement.at, out.at):
        back = play.add("cancellation", REQUESTER, device=1, refs=[agreement], at=at, reason="No")
        assert play.state().phase == "done"
        assert why(play, back) is None
        # Neither side is believed alone: silence is no acceptance any more.
        assert play.state(out.at + 7 * DAY + 1).phase == "disputed"
        play.steps.remove(back)
    assert play.state(out.at + 7 * DAY + 1).phase == "accepted"


def test_a_cancellation_that_had_seen_the_check_in_comes_too_late() -> None:
    play = Play()
    play.agreed()
    play.until(slot()["start"])
    came = play.do("check_in", PROVIDER, slot=SLOT, time=play.at)
    play.add("message", PROVIDER, refs=[came], text="Here.", lang="en")
    late = play.add("cancellation", REQUESTER, refs=[came])
    assert (why(play, late), play.state().phase) == ("phase", "under_way")
    out = play.do("check_out", PROVIDER, time=play.at, minutes=60)
    assert play.state(out.at + 7 * DAY + 1).phase == "accepted"


def test_a_task_agreed_while_another_device_accepts_is_due_as_well() -> None:
    play = Play()
    play.agreed(per_hour=None, amount=90)
    play.worked()
    task = play.do("amendment", PROVIDER, adds={"text": "A tap", "amount": 25})
    play.add("acceptance", REQUESTER, refs=[task])
    play.add("consent", REQUESTER, device=1, refs=[task], to=task.id, yes=True)
    assert (play.state().owed, play.state().due.amount) == (115, 115)


def test_moving_a_slot_on_which_work_began_meanwhile_leaves_it_where_it_is() -> None:
    play = Play()
    play.agreed()
    moved = play.do("appointment", REQUESTER, slots=[slot(day=5)])
    play.until(slot()["start"])
    play.add("check_in", PROVIDER, refs=[moved], slot=SLOT, time=play.at)
    play.add("consent", PROVIDER, device=1, refs=[moved], to=moved.id, yes=True)
    [agreed] = play.state().slots
    assert (agreed.start, agreed.status) == (slot()["start"], "under_way")


def test_a_check_in_kept_back_does_not_make_a_cancelled_service_payable_by_silence() -> None:
    play = Play()
    agreement = play.agreed()
    play.do("cancellation", REQUESTER, reason="away", lang="en")
    assert play.state().phase == "cancelled"
    start = slot()["start"]
    came = play.add("check_in", PROVIDER, refs=[agreement], at=start, slot=SLOT, time=start)
    play.until(start + HOUR)
    gone = play.add("check_out", PROVIDER, refs=[came], time=start + HOUR, slot=SLOT, minutes=60)
    assert play.state(gone.at).phase == "done"
    state = play.state(gone.at + 7 * DAY + 1)
    assert (state.phase, state.due.amount) == ("disputed", 0)


def test_a_check_in_days_ahead_does_not_stop_a_cancellation() -> None:
    play = Play()
    agreement = play.agreed(when=[slot(day=20)])
    play.do("cancellation", REQUESTER)
    early = play.add("check_in", PROVIDER, refs=[agreement], slot=SLOT, time=play.at)
    assert play.state().phase == "cancelled"
    assert why(play, early) in ("phase", "early", "slot")


def test_a_part_accepted_in_secret_is_not_final_before_the_provider_heard_of_it() -> None:
    play = Play()
    play.agreed()
    out = play.worked()
    secret = play.add(
        "acceptance", REQUESTER, device=1, refs=[out], at=out.at, amount=1, part=True, reason="R"
    )
    play.until(out.at + 200 * DAY)
    assert play.state().owed == 1
    play.do("complaint", PROVIDER, text="I never heard.", lang="en")
    assert play.state().phase == "disputed"
    play.do("mediation", MEDIATOR, amount=60, text="Nor did we.", lang="en", closes=True)
    assert play.state().owed == 60
    assert why(play, secret) is None


def test_a_complaint_in_time_counts_though_it_arrives_after_silence_was_taken_for_yes() -> None:
    play = Play()
    play.agreed()
    out = play.worked()
    before = play.state(out.at + 7 * DAY + 1)
    assert before.phase == "accepted"
    play.add("complaint", REQUESTER, refs=[out], at=out.at + DAY, text="No.", lang="en")
    assert play.state(out.at + 7 * DAY + 1).phase == "disputed"


def test_a_smaller_measure_kept_back_does_not_shrink_what_was_accepted() -> None:
    play = Play()
    play.agreed()
    play.worked(minutes=90)
    [came] = [step for step in play.steps if step.kind == "check_in"]
    play.do("acceptance", REQUESTER)
    assert play.state().owed == 90
    play.add(
        "check_out", REQUESTER, device=1, refs=[came], at=came.at, time=came.at, minutes=1,
        slot=SLOT,
    )  # fmt: skip
    assert play.state().owed == 90


def test_the_lesser_of_two_measures_counts_until_the_requester_says_otherwise() -> None:
    play = Play()
    play.agreed()
    play.worked(minutes=90)
    [came] = [step for step in play.steps if step.kind == "check_in"]
    play.add("check_out", REQUESTER, refs=[came], slot=SLOT, time=play.at, minutes=70)
    assert play.state().expected == 70
    play.do("acceptance", REQUESTER, minutes=80)
    assert play.state().owed == 80


def test_a_complaint_stays_open_whatever_acceptance_it_crossed() -> None:
    # No time to complain is left after the acceptance, but this one had not heard of it.
    for first, then in (("acceptance", "complaint"), ("complaint", "acceptance")):
        play = Play()
        play.agreed(complain_within_s=0)
        out = play.worked()
        said: dict[str, dict[str, Any]] = {
            "complaint": {"text": "No.", "lang": "en"},
            "acceptance": {},
        }
        one = play.add(first, REQUESTER, refs=[out], **said[first])
        play.wait(DAY)
        play.add(then, REQUESTER, device=1, refs=[out], **said[then])
        assert play.state().phase == "disputed"
        assert why(play, one) is None
    play.steps = [step for step in play.steps if step.kind != "complaint"]
    late = play.add(
        "complaint", REQUESTER, device=2, refs=[out], at=out.at + 8 * DAY, text="T", lang="en"
    )
    assert why(play, late) == "late"


def test_an_acceptance_by_time_covers_no_work_whose_end_it_had_not_seen() -> None:
    for recurrence in (None, WEEKLY):
        play = Play()
        play.agreed(when=[slot(), slot(LATER_SLOT, day=4)], recurrence=recurrence)
        first = play.worked(minutes=50)
        play.worked(minutes=70, slot=LATER_SLOT)
        half = play.add("acceptance", REQUESTER, refs=[first])
        if recurrence is None:
            assert (why(play, half), play.state().owed) == ("unknown_step", 0)
        else:
            assert (why(play, half), play.state().owed) == (None, 50)
            assert play.state().phase == "done"
        play.steps.remove(half)
        agreement = play.steps[2]
        blind = play.add("acceptance", REQUESTER, device=1, refs=[agreement])
        assert (why(play, blind), play.state().owed) == ("unknown_step", 0)


def test_a_mediator_that_has_not_heard_the_complaint_decides_nothing() -> None:
    play = Play()
    play.agreed()
    out = play.worked()
    play.do("complaint", REQUESTER, text="No.", lang="en")
    play.wait(HOUR)
    blind = play.add(
        "mediation", MEDIATOR, refs=[out], amount=60, text="T", lang="en", closes=True
    )
    assert (why(play, blind), play.state().phase) == ("unknown_step", "disputed")


def test_an_evaluation_after_its_time_does_not_count() -> None:
    play = Play()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid()
    play.do("evaluation", REQUESTER, attestation=b"\x01" * 32)
    until = play.state().evaluate_until
    assert until is not None and play.state(until).released is False
    play.until(until)
    assert play.state(until + 1).released
    assert refused(play, "evaluation", PROVIDER, attestation=b"\x02" * 32) == "late"


def test_paying_again_does_not_open_the_evaluation_again() -> None:
    play = Play()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid(30)
    play.do("evaluation", REQUESTER, attestation=b"\x01" * 32)
    until = play.state().evaluate_until
    assert until is not None
    play.until(until + DAY)
    assert play.state().released
    play.paid(30)
    assert play.state().released
    assert refused(play, "evaluation", PROVIDER, attestation=b"\x02" * 32) == "late"
