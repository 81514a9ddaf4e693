"""Claims about acknowledging what a third party pays, so that the two evaluate (spec/08)."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from maillon.protocol.exchange import KnownTransfers, Step, fold
from support.transcripts import (
    DAY,
    OTHER,
    PAYER,
    PROVIDER,
    REQUESTER,
    Play,
    refused,
    shuffled,
    why,
)

WITHIN = 30 * DAY


def accepted(**opening: Any) -> Play:
    play = Play(**opening)
    play.agreed()
    play.worked()
    play.do("acceptance", REQUESTER)
    return play


def funded() -> Play:
    play = accepted(payer=PAYER)
    play.paid(payer=PAYER)
    return play


def test_the_two_evaluate_each_other_once_it_is_paid_and_acknowledged() -> None:
    play = funded()
    assert play.state().evaluate_until is None and play.state().may_acknowledge
    assert "evaluation" not in play.state().next(REQUESTER, play.at).kinds
    step = play.acknowledged()
    state = play.state()
    assert state.evaluate_until == step.at + WITHIN
    assert state.evaluators == (REQUESTER, PROVIDER) and not state.may_acknowledge
    for author, attestation in ((PROVIDER, b"\x01" * 32), (REQUESTER, b"\x02" * 32)):
        play.do("evaluation", author, attestation=attestation)
    assert play.state().phase == "evaluated"


def test_it_counts_toward_nothing_that_is_due_paid_or_announced() -> None:
    play = accepted(payer=PAYER)
    before = play.state()
    order = play.thanked()
    play.do("payment", REQUESTER, transfer=order, amount=1, unit="savoir")
    play.transfers[b"\x33" * 32] = play.transfers.pop(order)  # not certain yet
    for entry in (play.state(), fold(play.steps, KnownTransfers({}, ("savoir",)), play.at)):
        assert (entry.due, entry.owed, entry.paid, entry.announced) == (
            before.due, 60, 0, 0,
        )  # fmt: skip
        assert entry.payments == () and len(entry.acknowledgements) == 1
        assert entry.phase == "accepted" and entry.evaluate_until is None


def test_whatever_arrives_first_the_state_is_the_same() -> None:
    play = accepted(payer=PAYER)
    heads = play.steps[-1:]
    thanks, again = play.thanked(), play.thanked(unit="service")
    play.add(
        "payment", REQUESTER, refs=heads, device=1, transfer=thanks, amount=1, unit="savoir"
    )
    play.add(
        "payment", REQUESTER, refs=heads, device=2, transfer=again, amount=1, unit="service"
    )
    play.paid(payer=PAYER)
    play.do("evaluation", PROVIDER, attestation=b"\x01" * 32)
    state = play.state()
    assert len(state.acknowledgements) == 1 and state.evaluate_until is not None
    assert state.void and {entry.reason for entry in state.void} <= {"nothing_due", "decided"}
    for seed in range(12):
        assert play.state(steps=shuffled(play.steps, seed)) == state
    for last in permutations(play.steps[-4:]):
        assert play.state(steps=[*play.steps[:-4], *last]) == state


def test_the_time_to_evaluate_begins_with_the_later_of_payment_and_acknowledgement() -> None:
    play = accepted(payer=PAYER)
    play.acknowledged()
    assert play.state().evaluate_until is None
    play.wait(5 * DAY)
    paid = play.paid(payer=PAYER)
    assert play.state().evaluate_until == paid.at + WITHIN
    play.wait(DAY)
    # Nothing that comes later opens it again, not even money.
    play.transfers[b"\x55" * 32] = next(
        fact for fact in play.transfers.values() if fact.payer == PAYER
    )
    play.add("payment", REQUESTER, transfer=b"\x55" * 32, amount=60, unit="heure")
    assert play.state().evaluate_until == paid.at + WITHIN


def test_a_second_acknowledgement_is_refused() -> None:
    play = funded()
    play.acknowledged()
    order = play.thanked(unit="service")
    fields = {"transfer": order, "amount": 1, "unit": "service"}
    assert refused(play, "payment", REQUESTER, **fields) == "nothing_due"
    # While something is due as well, the gate is open, and the rule says it.
    play = accepted(payer=PAYER)
    play.acknowledged()
    fields["transfer"] = play.thanked(unit="service")
    assert refused(play, "payment", REQUESTER, **fields) == "decided"


@pytest.mark.parametrize(
    ("amount", "unit", "fact", "reason"),
    [
        (2, "savoir", {}, "amount"),
        (0, "savoir", {}, "amount"),
        (1, "graine", {}, "nothing_due"),
        (1, "savoir", {"amount": 2}, "transfer"),
        (1, "savoir", {"unit": "graine"}, "transfer"),
        (1, "savoir", {"ref": b"\x07" * 32}, "transfer"),
        (1, "savoir", {"payee": OTHER}, "transfer"),
        (1, "savoir", {"payer": PROVIDER}, "transfer"),
        (1, "savoir", {"payer": PAYER}, "transfer"),
    ],
)
def test_anything_but_one_of_a_unit_that_counts_between_the_two_is_refused(
    amount: int, unit: str, fact: dict[str, Any], reason: str
) -> None:
    play = funded()
    order = play.thanked(amount, unit)
    play.transfers[order] = replace(play.transfers[order], **fact)
    said: dict[str, Any] = {"transfer": order, "amount": amount, "unit": unit}
    assert refused(play, "payment", REQUESTER, **said) == reason
    step = play.add("payment", REQUESTER, **said)
    assert why(play, step) == reason and play.state().evaluate_until is None


@pytest.mark.parametrize("payer", [None, REQUESTER])
def test_who_pays_herself_has_nothing_to_acknowledge(payer: bytes | None) -> None:
    play = accepted() if payer is None else accepted(payer=payer)
    assert not play.state().may_acknowledge
    said = {"transfer": play.thanked(), "amount": 1, "unit": "savoir"}
    assert refused(play, "payment", REQUESTER, **said) == "unit"
    play.paid()
    assert refused(play, "payment", REQUESTER, **said) == "nothing_due"


def test_nobody_else_acknowledges() -> None:
    play = funded()
    for author in (PROVIDER, PAYER, OTHER):
        said = {"transfer": play.thanked(payer=author), "amount": 1, "unit": "savoir"}
        assert refused(play, "payment", author, **said) in ("role", "nothing_due")


def test_without_a_unit_that_counts_there_is_no_acknowledgement() -> None:
    play = funded()
    step = play.acknowledged()
    state = fold(play.steps, KnownTransfers(play.transfers), play.at)
    assert {entry.id: entry.reason for entry in state.void}[step.id] == "nothing_due"
    assert state.evaluate_until is None and state.phase == "paid"


def test_a_gift_of_which_somebody_is_named_as_payer_is_evaluated_as_little_as_any() -> None:
    play = Play(payer=PAYER)
    play.agreed(kind="gift", unit=None, per_hour=None)
    play.worked()
    play.do("acceptance", REQUESTER)
    play.do("payment", REQUESTER, how="gift")
    assert not play.state().may_acknowledge
    said = {"transfer": play.thanked(), "amount": 1, "unit": "savoir"}
    assert refused(play, "payment", REQUESTER, **said) == "nothing_due"


def test_an_acknowledgement_that_gave_way_to_a_copy_of_the_device_counts_when_it_is_told_again(
) -> None:  # fmt: skip
    play = funded()
    heads = play.steps[-1:]
    order = play.thanked()
    said: dict[str, Any] = {"transfer": order, "amount": 1, "unit": "savoir"}
    talk = play.add("message", REQUESTER, refs=heads, text="One.", lang="en")
    play.add("message", PROVIDER, refs=[talk], text="Read.", lang="en")
    lost: Step = play.add("payment", REQUESTER, refs=heads, **said)
    assert why(play, lost) == "equivocation" and play.state().evaluate_until is None
    again = play.do("payment", REQUESTER, **said)
    assert why(play, again) is None and play.state().evaluate_until is not None
