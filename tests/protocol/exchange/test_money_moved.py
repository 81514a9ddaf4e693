"""Claims about money that moved although the step that names it crossed another (spec/08)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from maillon.protocol.exchange import Exchange, Step, TransferFact
from support.transcripts import (
    DAY,
    MEDIATOR,
    OTHER,
    PROVIDER,
    REQUESTER,
    Play,
    refused,
    shuffled,
    why,
)


def transfer(play: Play, amount: int, *, back: bool = False, order: bytes = b"\x77" * 32) -> bytes:
    """Let the ledger certify a transfer for this exchange, and return its order."""
    state = play.state()
    payer, payee = (PROVIDER, REQUESTER) if back else (REQUESTER, PROVIDER)
    assert state.payment_ref is not None
    play.transfers[order] = TransferFact(
        payer, payee, "heure", amount, "certified", state.payment_ref
    )
    return order


def named(play: Play, order: bytes, author: bytes, **given: object) -> Step:
    amount = play.transfers[order].amount
    options = {"unit": "heure", **given}
    return play.add("payment", author, transfer=order, amount=amount, **options)  # type: ignore[arg-type]  # of any kind


def everywhere(play: Play) -> Exchange:
    """Return the state, after asserting that the order of arrival makes no difference."""
    state = play.state()
    for seed in range(8):
        assert play.state(steps=shuffled(play.steps, seed)) == state
    return state


def overpaid() -> tuple[Play, Step, Step]:
    """Return a play in which 20 of the 60 paid are to be given back, its complaint and payment."""
    play = Play()
    play.agreed(mediator=MEDIATOR)
    play.worked()
    play.do("acceptance", REQUESTER)
    paid = play.paid()
    complaint = play.do("complaint", REQUESTER, text="No.", lang="en")
    return play, complaint, paid


def test_what_was_paid_back_counts_though_an_acceptance_crossed_it_and_raised_the_amount() -> None:
    play, complaint, _ = overpaid()
    back = play.do("acceptance", REQUESTER, amount=40, part=True, reason="Less.")
    assert (play.state().due.payer, play.state().due.amount) == (PROVIDER, 20)
    order = transfer(play, 20, back=True)
    # The mediator had not heard of the acceptance, and its word is the one that counts.
    play.add(
        "mediation", MEDIATOR, refs=[complaint], at=complaint.at,
        amount=60, text="All.", lang="en", closes=True,
    )  # fmt: skip
    given = named(play, order, PROVIDER, refs=[back])
    state = everywhere(play)
    assert why(play, given) is None
    assert (state.owed, state.paid) == (60, 40)
    assert (state.due.payer, state.due.amount) == (REQUESTER, 20)
    play.paid()
    assert play.state().phase == "paid"


def test_what_was_paid_counts_though_a_complaint_crossed_the_acceptance_it_rests_on() -> None:
    play = Play()
    play.agreed(mediator=MEDIATOR)
    out = play.worked()
    accepted = play.do("acceptance", REQUESTER)
    order = transfer(play, 60)
    paid = named(play, order, REQUESTER)
    play.add("complaint", PROVIDER, refs=[out], at=out.at, text="No.", lang="en")
    state = everywhere(play)
    assert why(play, accepted) == "outranked" and why(play, paid) is None
    assert (state.phase, state.owed, state.paid) == ("disputed", 0, 60)
    play.do("mediation", MEDIATOR, amount=45, text="So.", lang="en", closes=True)
    state = everywhere(play)
    assert (state.due.payer, state.due.payee, state.due.amount) == (PROVIDER, REQUESTER, 15)
    named(play, transfer(play, 15, back=True, order=b"\x78" * 32), PROVIDER)
    assert everywhere(play).phase == "paid"


def test_what_was_paid_twice_from_two_devices_is_to_be_given_back() -> None:
    play = Play()
    play.agreed()
    play.worked()
    accepted = play.do("acceptance", REQUESTER)
    for device in (0, 1):
        named(
            play, transfer(play, 60, order=bytes([device + 1]) * 32), REQUESTER,
            refs=[accepted], device=device,
        )  # fmt: skip
    state = everywhere(play)
    assert state.void == () and state.paid == 120
    assert (state.due.payer, state.due.amount) == (PROVIDER, 60)


def test_what_was_paid_by_a_key_that_signed_two_steps_side_by_side_counts_once() -> None:
    play = Play()
    play.agreed()
    play.worked()
    accepted = play.do("acceptance", REQUESTER)
    order = transfer(play, 60)
    steps = [named(play, order, REQUESTER, refs=[accepted]) for _ in range(2)]
    other = transfer(play, 5, order=b"\x79" * 32)
    lost = named(play, other, REQUESTER, refs=[accepted])
    state = everywhere(play)
    assert sorted(why(play, step) is None for step in steps) == [False, True]
    assert why(play, lost) is None and state.paid == 65


def test_what_was_paid_under_an_agreement_that_gave_way_counts_from_the_other_one_on() -> None:
    play = Play()
    quote = play.quoted()
    first = play.add("agreement", REQUESTER, refs=[quote], quote=quote.id)
    order = transfer(play, 60)
    paid = named(play, order, REQUESTER, refs=[first])
    second = play.add("agreement", REQUESTER, device=1, refs=[quote], quote=quote.id)
    play.add("message", PROVIDER, refs=[second], text="Yes.", lang="en")
    state = everywhere(play)
    assert state.agreement is not None and state.agreement.id == second.id
    assert why(play, first) == "rival" or why(play, first) == "equivocation"
    assert why(play, paid) is None and state.paid == 60


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "held"},
        {"status": "posted"},
        {"status": "void"},
        {"ref": bytes(32)},
        {"unit": "grain"},
        {"payer": OTHER},
        {"payee": OTHER},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_nothing_counts_that_the_ledger_did_not_certify_between_the_two_for_this(
    wrong: dict[str, object],
) -> None:
    play = Play()
    play.agreed()
    order = transfer(play, 60)
    play.transfers[order] = replace(play.transfers[order], **wrong)  # type: ignore[arg-type]  # of any kind
    before = play.state()
    step = named(play, order, REQUESTER)
    state = everywhere(play)
    assert why(play, step) == "phase"
    assert (state.paid, state.payments) == (0, before.payments)
    assert refused(play, "payment", REQUESTER, transfer=order, amount=60, unit="heure") == "phase"


def test_a_stranger_who_names_a_transfer_of_the_two_counts_for_nothing() -> None:
    play = Play()
    play.agreed()
    step = named(play, transfer(play, 60), OTHER)
    assert why(play, step) == "role" and everywhere(play).paid == 0


def test_who_pays_beforehand_and_calls_off_is_paid_back() -> None:
    play = Play()
    play.agreed()
    named(play, transfer(play, 60), REQUESTER)
    play.do("cancellation", REQUESTER)
    state = play.state()
    assert state.phase == "cancelled"
    assert (state.due.payer, state.due.amount) == (PROVIDER, 60)
    assert "payment" in state.next(PROVIDER, play.at).kinds
    again = named(play, b"\x77" * 32, REQUESTER)
    assert why(play, again) == "phase" and play.state().paid == 60
    play.do(
        "payment", PROVIDER, unit="heure", amount=60,
        transfer=transfer(play, 60, back=True, order=b"\x78" * 32),
    )  # fmt: skip
    assert everywhere(play).due.amount == 0


def test_a_payment_beforehand_neither_begins_the_evaluation_early_nor_prevents_it() -> None:
    play = Play()
    play.agreed()
    named(play, transfer(play, 60), REQUESTER)
    assert everywhere(play).evaluate_until is None
    play.worked()
    accepted = play.do("acceptance", REQUESTER)
    state = everywhere(play)
    assert state.phase == "paid" and state.terms is not None
    assert state.evaluate_until == accepted.at + state.terms["evaluate_within_s"]
    assert state.evaluators == (REQUESTER, PROVIDER)


def test_a_provider_who_sends_something_back_unasked_brings_about_no_dispute() -> None:
    play = Play()
    play.agreed(mediator=MEDIATOR, silence={"pay": "mediated", "mediate": "full"})
    play.worked()
    play.do("acceptance", REQUESTER, amount=10, part=True, reason="Not all.")
    play.paid()
    state = play.state()
    until = state.evaluate_until
    play.wait(DAY)
    named(play, transfer(play, 10, back=True), PROVIDER)
    for later in (0, 30 * DAY, 300 * DAY):
        state = play.state(play.at + later)
        assert state.complaint is None and state.phase != "disputed"
        assert (state.owed, state.paid, state.due.amount) == (10, 0, 10)
        assert state.evaluate_until == until


def test_a_provider_who_gives_back_more_than_is_due_brings_about_no_dispute_either() -> None:
    play = Play()
    play.agreed(mediator=MEDIATOR, silence={"pay": "mediated", "mediate": "full"})
    play.worked()
    play.do("acceptance", REQUESTER, amount=10, part=True, reason="Not all.")
    play.paid()
    named(play, transfer(play, 1, order=b"\x78" * 32), REQUESTER)
    play.do("payment", PROVIDER, unit="heure", amount=11, transfer=transfer(play, 11, back=True))
    state = play.state(play.at + 300 * DAY)
    assert state.complaint is None and state.phase != "disputed"
    assert (state.owed, state.paid) == (10, 0)
