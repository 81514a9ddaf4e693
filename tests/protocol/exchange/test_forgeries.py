"""Claims about parties that say a thing twice, pose as others, or take a part that is not theirs.

In each the attacker's step is good as a record: it is the exchange that does not let it have
its way.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange, Step, StepRefused, check_next, fold
from support.transcripts import (
    COORDINATOR,
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
    THIRD,
    Play,
    refused,
    slot,
    why,
)

BUNDLE = b"\x0b" * 32
WEEKLY = {"rrule": "FREQ=WEEKLY", "dtstart": START, "tz": "Europe/Paris", "duration_s": HOUR}
FEE = {"cancel_fee": 30, "cancel_free_before_s": DAY}


# --- twice ----------------------------------------------------------------------------------------


def test_of_two_agreements_from_two_devices_the_one_the_provider_refers_to_counts() -> None:
    for first in (0, 1):
        play = Play()
        cheap = play.quoted(per_hour=30)
        dear = play.quoted(per_hour=90)
        both = [
            play.add("agreement", REQUESTER, device=0, refs=[dear], at=play.at, quote=cheap.id),
            play.add("agreement", REQUESTER, device=1, refs=[dear], at=play.at, quote=dear.id),
        ]
        play.add("message", PROVIDER, refs=[both[first]], text="Fine.", lang="en")
        agreement = play.state().agreement
        assert agreement is not None and agreement.id == both[first].id
        assert why(play, both[1 - first]) in ("rival", "phase")


def test_only_the_other_sides_references_decide_between_rivals() -> None:
    play = Play(participants=[THIRD])
    quote = play.quoted()
    first = play.add("agreement", REQUESTER, refs=[quote], quote=quote.id)
    second = play.add("agreement", REQUESTER, device=1, refs=[quote], quote=quote.id)
    play.add("message", THIRD, refs=[second], text="This one.", lang="en")
    play.add("message", REQUESTER, device=1, refs=[second], text="This one.", lang="en")
    assert (why(play, first), why(play, second)) == (None, "phase")
    play.add("message", PROVIDER, refs=[second], text="This one.", lang="en")
    assert (why(play, first), why(play, second)) == ("rival", None)


def test_accepting_on_two_devices_makes_one_amount_due() -> None:
    play = Play()
    play.agreed()
    out = play.worked()
    play.add("acceptance", REQUESTER, device=0, refs=[out])
    play.add("acceptance", REQUESTER, device=1, refs=[out])
    state = play.state()
    assert (state.owed, len(state.void)) == (60, 1)


def test_a_key_that_signs_two_steps_side_by_side_is_heard_once() -> None:
    play = Play()
    quote = play.quoted()
    agreement = play.add("agreement", REQUESTER, refs=[quote], quote=quote.id)
    decline = play.add("decline", REQUESTER, refs=[quote], quote=quote.id)
    answer = play.add("message", PROVIDER, refs=[decline], text="A pity.", lang="en")
    assert why(play, agreement) == "equivocation"
    assert play.state().phase == "declined"
    play.steps.remove(answer)
    play.add("message", PROVIDER, refs=[agreement], text="Fine.", lang="en")
    assert why(play, decline) == "equivocation"
    assert play.state().phase == "scheduled"


def test_one_transfer_pays_once_however_often_it_is_named() -> None:
    play = Play()
    play.agreed(per_hour=None, amount=90)
    play.worked()
    play.do("acceptance", REQUESTER)
    payment = play.paid(45)
    assert payment.payload is not None
    order = payment.payload["transfer"]
    assert refused(
        play, "payment", REQUESTER, transfer=order, amount=45, unit="heure"
    ) == "decided"
    again = play.add("payment", REQUESTER, device=1, transfer=order, amount=45, unit="heure")
    assert why(play, again) == "decided"
    assert (play.state().paid, play.state().due.amount) == (45, 45)


def test_a_transfer_for_something_else_pays_nothing() -> None:
    wrongs: list[dict[str, Any]] = [
        {"ref": bytes(32)},
        {"payee": STRANGER},
        {"payer": STRANGER},
        {"unit": "grain"},
    ]
    for wrong in wrongs:
        play = Play()
        play.agreed()
        play.worked()
        play.do("acceptance", REQUESTER)
        with pytest.raises(StepRefused):
            play.paid(**wrong)
        order = next(iter(play.transfers))
        step = play.add("payment", REQUESTER, transfer=order, amount=60, unit="heure")
        assert why(play, step) == "transfer"
        assert (play.state().paid, play.state().due.amount) == (0, 60)


def test_a_transfer_named_on_two_devices_counts_from_when_the_other_side_heard_of_it() -> None:
    # Or else a payment dated back would end the provider's time to evaluate.
    play = Play()
    play.agreed()
    play.worked()
    accepted = play.do("acceptance", REQUESTER)
    play.wait(10 * DAY)
    paid = play.paid()
    play.do("message", PROVIDER, text="Thanks.", lang="en")
    until = play.state().evaluate_until
    assert paid.payload is not None
    order = paid.payload["transfer"]
    back = play.add(
        "payment", REQUESTER, device=1, refs=[accepted], at=accepted.at, transfer=order,
        amount=60, unit="heure",
    )  # fmt: skip
    assert (why(play, back), play.state().evaluate_until) == ("rival", until)
    play.steps.remove(back)
    agreement = play.steps[2]
    blind = play.add(
        "payment", REQUESTER, device=2, refs=[agreement], transfer=b"\x08" * 32, amount=1,
        unit="heure",
    )  # fmt: skip
    assert why(play, blind) in ("unknown_step", "nothing_due")


def test_a_payment_names_what_it_pays_only_once_its_amount_is_known() -> None:
    play = Play()
    play.agreed()
    out = play.worked()
    play.do("acceptance", REQUESTER)
    blind = play.add(
        "payment", REQUESTER, device=1, refs=[out], transfer=b"\x08" * 32, amount=60,
        unit="heure",
    )  # fmt: skip
    assert why(play, blind) == "unknown_step"


def test_who_owes_a_fee_does_not_complain_of_it() -> None:
    play = Play()
    play.agreed(**FEE)
    play.until(START + 5 * DAY // 2)
    play.do("cancellation", REQUESTER)
    assert refused(play, "complaint", REQUESTER, text="T", lang="en") == "role"
    play.do("complaint", PROVIDER, text="T", lang="en")


def test_nobody_begins_on_a_slot_that_they_know_was_called_off() -> None:
    play = Play()
    play.agreed(when=[slot(), slot(LATER_SLOT)])
    fewer = play.do("appointment", REQUESTER, cancels=[SLOT])
    play.do("consent", PROVIDER, to=fewer.id, yes=True)
    play.until(slot()["start"])
    assert refused(play, "check_in", PROVIDER, slot=SLOT, time=play.at) == "slot"
    play.do("check_in", PROVIDER, slot=LATER_SLOT, time=play.at)


def test_paying_more_than_is_due_is_refused() -> None:
    play = Play()
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    play.paid()
    assert refused(
        play, "payment", REQUESTER, transfer=b"\x09" * 32, amount=60, unit="heure"
    ) == "nothing_due"


def test_a_handover_is_taken_up_once_and_by_whom_it_names() -> None:
    play = Play()
    play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER)
    early = play.add("handover_acceptance", OTHER, refs=[given], handover=given.id)
    assert why(play, early) in ("phase", "unknown_step")
    play.steps.remove(early)
    consent = play.do("consent", REQUESTER, to=given.id, yes=True)
    assert refused(play, "handover_acceptance", THIRD, handover=given.id) == "role"
    play.do("handover_acceptance", OTHER, handover=given.id)
    assert refused(play, "handover_acceptance", OTHER, handover=given.id) == "phase"
    # The new provider passes it on; the old acceptance does not bring it back.
    on = play.do("handover", OTHER, to=THIRD)
    play.do("consent", REQUESTER, to=on.id, yes=True)
    play.do("handover_acceptance", THIRD, handover=on.id)
    replay = play.add("handover_acceptance", OTHER, device=1, refs=[consent], handover=given.id)
    assert play.state().provider == THIRD
    assert why(play, replay) in ("phase", "decided", "rival")


def test_nobody_consents_to_what_they_propose() -> None:
    play = Play()
    play.agreed()
    theirs = play.do("appointment", REQUESTER, slots=[slot(day=4)])
    own = play.do("appointment", PROVIDER, slots=[slot(day=5)])
    assert refused(play, "consent", PROVIDER, to=own.id, yes=True) == "role"
    play.do("consent", PROVIDER, to=theirs.id, yes=True)
    assert [entry.start for entry in play.state().slots] == [START + 4 * DAY, START + 5 * DAY]


def test_work_that_began_is_not_handed_over_nor_handed_to_one_of_the_two() -> None:
    play = Play()
    play.agreed()
    task = play.do("amendment", PROVIDER, adds={"text": "A tap", "amount": 5})
    play.do("consent", REQUESTER, to=task.id, yes=True)
    for to in (REQUESTER, PROVIDER):
        assert refused(play, "handover", PROVIDER, to=to) == "role"
    play.until(slot()["start"])
    play.do("check_in", PROVIDER, slot=SLOT, time=play.at)
    assert refused(play, "handover", PROVIDER, to=OTHER) == "phase"
    play.do("handover", PROVIDER, to=OTHER, task=task.id)


def test_who_has_not_seen_the_consent_takes_nothing_over() -> None:
    play = Play()
    play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER)
    play.do("consent", REQUESTER, to=given.id, yes=True)
    blind = play.add("handover_acceptance", OTHER, refs=[given], handover=given.id)
    assert (why(play, blind), play.state().provider) == ("unknown_step", PROVIDER)


def test_a_provider_that_handed_over_does_not_take_it_back_with_a_check_in_kept_back() -> None:
    play = Play()
    agreement = play.agreed()
    given = play.do("handover", PROVIDER, to=OTHER)
    play.do("consent", REQUESTER, to=given.id, yes=True)
    play.do("handover_acceptance", OTHER, handover=given.id)
    play.worked(provider=OTHER)
    play.do("acceptance", REQUESTER)
    start = slot()["start"]
    back = play.add(
        "check_in", PROVIDER, device=1, refs=[agreement], at=start - HOUR, slot=SLOT, time=start
    )
    ended = play.add("cancellation", PROVIDER, device=2, refs=[agreement], at=agreement.at)
    state = play.state()
    assert (state.provider, state.owed, state.due.payee) == (OTHER, 60, OTHER)
    assert why(play, back) in ("rival", "role")
    assert why(play, ended) in ("outranked", "role")


def test_a_coordinator_that_decides_both_ways_has_committed() -> None:
    play = Play(bundle=BUNDLE)
    agreement = play.agreed(reserved=True)
    named: dict[str, Any] = {"bundle": BUNDLE, "exchanges": [play.opening.id, b"\x0c" * 32]}
    agreements = [agreement.id, b"\x0d" * 32]
    commit: dict[str, Any] = {**named, "outcome": "commit", "agreements": agreements}
    abort: dict[str, Any] = {**named, "outcome": "abort"}
    for order in ((commit, abort), (abort, commit)):
        play.steps = [step for step in play.steps if step.kind != "bundle_decision"]
        for decision in order:
            play.add("bundle_decision", COORDINATOR, refs=(), **decision)
        assert play.state().phase == "scheduled"


# --- who they are not -----------------------------------------------------------------------------


def test_nobody_takes_a_part_that_is_not_theirs() -> None:
    play = Play()
    quote = play.quoted()
    assert refused(play, "agreement", PROVIDER, quote=quote.id) == "role"
    assert refused(play, "agreement", STRANGER, quote=quote.id) == "role"
    assert refused(play, "quote", REQUESTER, terms=quote.payload, valid_until=play.at) == "role"
    play.do("agreement", REQUESTER, quote=quote.id)
    play.worked()
    assert refused(play, "acceptance", PROVIDER) == "role"
    words = {"text": "T", "lang": "en"}
    assert refused(play, "mediation", STRANGER, amount=0, closes=True, **words) == "role"
    assert refused(play, "mediation", MEDIATOR, amount=0, closes=True, **words) == "phase"
    play.do("complaint", REQUESTER, **words)
    assert refused(play, "mediation", MEDIATOR, amount=61, closes=True, **words) == "amount"
    assert refused(play, "message", STRANGER, **words) == "role"


def test_a_stranger_in_the_transcript_changes_nothing() -> None:
    play = Play()
    quote = play.quoted()
    forged = [
        play.add("agreement", STRANGER, refs=[quote], quote=quote.id),
        play.add("cancellation", STRANGER, refs=[quote]),
        play.add("message", STRANGER, refs=[quote], text="T", lang="en"),
    ]
    assert [why(play, step) for step in forged] == ["role"] * 3 or {
        why(play, step) for step in forged
    } <= {"role", "equivocation"}
    assert play.state().phase == "quoted"


def test_a_step_of_another_exchange_is_none_of_this_one() -> None:
    play, other = Play(), Play(title="Another")
    quote = play.quoted()
    alien = other.add("quote", PROVIDER, terms={}, valid_until=play.at + DAY)
    replayed = play.add("agreement", REQUESTER, exchange=other.opening.id, quote=quote.id)
    state = play.state(steps=[*play.steps, alien])
    assert {entry.id: entry.reason for entry in state.void} == {
        alien.id: "exchange",
        replayed.id: "exchange",
    }
    assert state.phase == "quoted"
    assert alien.id not in state.order


def test_an_exchange_is_opened_by_one_of_its_two() -> None:
    with pytest.raises(LocalError, match="one of the two"):
        Play(by=STRANGER).quoted()
    with pytest.raises(LocalError, match="one opening"):
        fold([], now=START)
    two = [Play().opening, Play(title="Another").opening]
    with pytest.raises(LocalError, match="one opening"):
        fold(two, now=START)


def test_an_erased_step_is_void_and_the_rest_stands() -> None:
    play = Play()
    play.agreed()
    play.do("message", PROVIDER, text="Private.", lang="en")
    last = play.steps[-1]
    gone = Step(
        last.id, last.kind, last.by, last.author, last.signer_role, last.at, last.refs, None
    )
    state = play.state(steps=[*play.steps[:-1], gone])
    assert [(entry.id, entry.reason) for entry in state.void] == [(last.id, "erased")]
    assert state.phase == "scheduled"
    opening = play.opening
    bare = Step(opening.id, "opening", opening.by, opening.author, "member", opening.at, (), None)
    with pytest.raises(LocalError, match="erased"):
        fold([bare], now=START)


def test_what_refers_to_a_missing_step_waits_and_counts_when_it_comes() -> None:
    play = Play()
    play.agreed()
    quote = play.steps[1]
    held: Exchange = play.state(steps=[play.steps[0], play.steps[2]])
    assert (held.phase, held.waiting) == ("opened", (quote.id,))
    assert play.state().waiting == ()


def test_every_refusal_names_the_state_and_what_is_possible() -> None:
    play = Play()
    with pytest.raises(StepRefused) as error:
        check_next(play.state(), "acceptance", {}, REQUESTER, play.at)
    assert error.value.code == "step"
    assert error.value.facts == {
        "phase": "opened",
        "kind": "acceptance",
        "reason": "phase",
        "possible": ("message", "decline", "cancellation"),
    }
    assert refused(play, "opening", REQUESTER) == "phase"
    assert refused(play, "tea", REQUESTER) == "exchange"


def test_a_transcript_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    folding = sys.modules["maillon.protocol.exchange.fold"]
    monkeypatch.setattr(folding, "TRANSCRIPT_STEPS_MAX", 3)
    play = Play()
    play.quoted()
    play.do("message", PROVIDER, text="T", lang="en")
    assert refused(play, "message", PROVIDER, text="T", lang="en") == "full"
