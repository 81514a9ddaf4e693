"""Claims about any transcript: whoever folds it comes to the same, and what is promised stays."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from maillon.protocol.exchange import PHASES, Exchange, Step, StepRefused, check_next, fold
from maillon.protocol.exchange.gates import GATES
from support.crossing import Crossing, closed
from support.transcripts import DAY, PROVIDER, REQUESTER, shuffled

SEEDS = st.integers(0, 2**32)
EVERYBODY = [(REQUESTER, 0), (REQUESTER, 1), (PROVIDER, 0), (PROVIDER, 1)]


def crossed(
    seed: int, *, liars: list[tuple[bytes, int]] | None = None, turns: int = 40
) -> Crossing:
    play = Crossing(random.Random(seed), liars or [])
    play.run(turns)
    return play


@given(SEEDS, st.booleans())
def test_any_order_of_arrival_and_any_repetition_give_the_same_exchange(
    seed: int, lying: bool
) -> None:
    play = crossed(seed, liars=EVERYBODY if lying else [])
    whole = play.state()
    for other in range(3):
        assert fold(shuffled(play.steps, other), play.facts, play.at) == whole


@given(SEEDS)
def test_every_step_counts_or_is_void_with_a_reason_or_waits(seed: int) -> None:
    play = crossed(seed, liars=EVERYBODY)
    rng = random.Random(seed)
    some = rng.sample(play.steps[1:], k=len(play.steps[1:]) * 2 // 3) + [play.opening]
    state = fold(some, play.facts, play.at)
    placed = set(state.order)
    assert {entry.id for entry in state.void} <= placed
    assert all(entry.reason for entry in state.void)
    waiting = {step.id for step in some} - placed
    missing = set(state.waiting)
    assert not missing & {step.id for step in some}
    # What waits refers to something missing, directly or through another that waits.
    by_id = {step.id: step for step in some}
    assert all(any(ref in missing | waiting for ref in by_id[id].refs) for id in waiting)


@given(SEEDS, st.integers(0, 400))
def test_looking_later_is_the_same_as_folding_later(seed: int, days: int) -> None:
    play = crossed(seed, liars=EVERYBODY)
    later = play.at + days * DAY
    assert play.state().at(later) == play.state(later)
    assert play.state(later + DAY).at(later) == play.state(later)


@given(SEEDS)
def test_what_a_desk_allows_counts_and_what_it_refuses_would_be_void(seed: int) -> None:
    play = crossed(seed, liars=EVERYBODY, turns=25)
    rng = random.Random(seed)
    state = play.state()
    for kind in GATES:
        author = rng.choice([actor.author for actor in play.actors])
        payload = play.payload(kind, state, play.steps)
        if payload is None or kind == "bundle_decision":
            continue
        try:
            check_next(state, kind, payload, author, play.at)
            allowed = True
        except StepRefused as refused:
            allowed = False
            assert refused.phase == state.phase
            assert refused.possible == state.next(author, play.at).kinds
        before = list(play.steps)
        step = play.add(kind, author, device=9, at=play.at, **payload)
        after = play.state()
        assert (step.id not in {entry.id for entry in after.void}) == allowed, kind
        play.steps = before


def _acknowledged(state: Exchange, steps: list[Step]) -> bool:
    """Tell whether a step of the provider refers to the agreement."""
    if state.agreement is None:
        return False
    seen = {state.agreement.id}
    for id in state.order:
        step = next(one for one in steps if one.id == id)
        if seen & set(step.refs):
            seen.add(id)
            if step.author == PROVIDER:
                return True
    return False


@given(SEEDS, st.booleans())
def test_an_agreement_that_both_refer_to_is_never_lost(seed: int, requester_lies: bool) -> None:
    # One of the two keeps to one device and to what it has seen; the other may do anything.
    liars = [(REQUESTER, 0), (REQUESTER, 1)] if requester_lies else [(PROVIDER, 0), (PROVIDER, 1)]
    play = Crossing(random.Random(seed), liars)
    silent = (PROVIDER, 1) if requester_lies else (REQUESTER, 1)
    play.actors = [actor for actor in play.actors if actor.name != silent]
    play.run(40)
    rng = random.Random(seed)
    honest = PROVIDER if requester_lies else REQUESTER
    for _ in range(4):
        before = closed(play.steps, rng)
        state = fold(before, play.facts, play.at)
        if not _acknowledged(state, before):
            continue
        known = {step.id for step in before}
        # Later steps of the honest one refer to all it signed before; what is cut short is not so.
        own = [step for step in play.steps if step.author == honest]
        cut = next((place for place, step in enumerate(own) if step.id not in known), len(own))
        if any(step.id in known for step in own[cut:]):
            continue
        after = play.state()
        assert after.agreement is not None and state.agreement is not None
        assert after.agreement.id == state.agreement.id


@given(SEEDS)
def test_nothing_is_paid_without_agreement_and_no_transfer_counts_twice(seed: int) -> None:
    play = crossed(seed, liars=EVERYBODY, turns=50)
    state = play.state()
    orders = Counter(entry.transfer for entry in state.payments if entry.transfer is not None)
    assert all(count == 1 for count in orders.values())
    certified = sum(
        fact.amount for fact in play.transfers.values() if fact.status == "certified"
    )
    assert abs(state.paid) <= certified
    if state.agreement is None:
        assert state.paid == state.owed == 0 and not state.payments
    for entry in state.payments:
        if entry.status == "certified" and entry.transfer is not None:
            fact = play.transfers[entry.transfer]
            assert {fact.payer, fact.payee} <= {REQUESTER, state.provider, state.first_provider}
    assert 0 <= state.due.amount


@given(SEEDS)
def test_evaluations_are_released_only_when_both_are_in_or_time_is_over(seed: int) -> None:
    play = crossed(seed, liars=[(PROVIDER, 1)], turns=45)
    for now in (play.at, play.at + 20 * DAY, play.at + 40 * DAY):
        state = play.state(now)
        both = {entry.author for entry in state.evaluations} >= {REQUESTER, state.provider}
        over = state.evaluate_until is not None and now > state.evaluate_until
        assert state.released == (state.evaluate_until is not None and (both or over))
        if not state.released:
            assert state.phase != "evaluated"


@given(SEEDS)
def test_two_parties_and_a_mediator_agree_once_they_hold_the_same_steps(seed: int) -> None:
    play = crossed(seed)
    for actor in play.actors:
        for other in play.actors:
            play.hear(actor, other)
    for actor in play.actors:
        for other in play.actors:
            play.hear(actor, other)
    states = [fold(actor.known.values(), play.facts, play.at) for actor in play.actors]
    assert all(state == states[0] for state in states)
    assert set(states[0].order) == {step.id for step in play.steps}


def test_the_crossings_reach_every_phase_but_few() -> None:
    # Or else the claims above would say little.
    phases: Counter[str] = Counter()
    for seed in range(150):
        play = crossed(seed, liars=EVERYBODY if seed % 2 else [], turns=50)
        phases[play.state().phase] += 1
        phases[play.state(play.at + 60 * DAY).phase] += 1
    # Hand-overs take three actors in turn; the endings' own tests have them.
    assert set(PHASES) - {"opened", "handed_over"} <= phases.keys(), phases
