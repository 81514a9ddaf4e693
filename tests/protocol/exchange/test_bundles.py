"""Claims about bundles: all parts or none, whoever dies between the two steps."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange, Step, StepRefused
from maillon.protocol.exchange.bundles import (
    Decision,
    decide,
    decision_in,
    in_doubt,
    may_release,
    reserved_until,
)
from maillon.protocol.limits import BUNDLE_GRACE_S
from support.transcripts import (
    COORDINATOR,
    DAY,
    OTHER,
    PROVIDER,
    REQUESTER,
    START,
    THIRD,
    Play,
    terms,
)

BUNDLE = b"\x0b" * 32
PROVIDERS = (PROVIDER, OTHER, THIRD)
UNTIL = START + DAY


def part(provider: bytes, *, agree: bool = True, valid_until: int = UNTIL) -> Play:
    play = Play(provider=provider, bundle=BUNDLE)
    quote = play.do("quote", provider, terms=terms(), valid_until=valid_until, reserved=True)
    if agree:
        play.do("agreement", REQUESTER, quote=quote.id)
    return play


def states(parts: list[Play], now: int) -> list[Exchange]:
    return [play.state(now) for play in parts]


def deliver(play: Play, decision: Decision, at: int) -> None:
    play.add(
        "bundle_decision", COORDINATOR, refs=(), at=at, **decision.payload()
    )


def test_the_coordinator_commits_when_every_part_is_reserved_and_agreed() -> None:
    parts = [part(provider) for provider in PROVIDERS]
    assert decide(states(parts[:2], START + 9), PROVIDERS, START + 9, UNTIL) is None
    decision = decide(states(parts, START + 9), PROVIDERS, START + 9, UNTIL)
    assert decision is not None and decision.outcome == "commit"
    assert Decision.read(decision.payload()) == decision
    for play in parts:
        deliver(play, decision, START + 10)
        assert play.state(START + 11).phase == "scheduled"


def test_the_coordinator_waits_for_an_agreement_and_aborts_when_time_is_up() -> None:
    parts = [part(PROVIDER), part(OTHER), part(THIRD, agree=False)]
    assert decide(states(parts, START + 9), PROVIDERS, START + 9, UNTIL) is None
    decision = decide(states(parts, UNTIL + 1), PROVIDERS, UNTIL + 1, UNTIL)
    assert decision is not None and (decision.outcome, decision.agreements) == ("abort", ())
    for play in parts:
        deliver(play, decision, UNTIL + 2)
        assert play.state(UNTIL + 3).phase == "cancelled"
        assert may_release(play.state(UNTIL + 3), UNTIL + 3)


def test_one_part_that_ends_frees_all() -> None:
    parts = [part(PROVIDER), part(OTHER), part(THIRD, agree=False)]
    parts[2].do("decline", REQUESTER)
    decision = decide(states(parts, START + 9), PROVIDERS, START + 9, UNTIL)
    assert decision is not None and decision.outcome == "abort"


def test_what_was_written_is_the_answer_for_ever() -> None:
    parts = [part(provider) for provider in PROVIDERS]
    written = decide(states(parts, START + 9), PROVIDERS, START + 9, UNTIL)
    late = states(parts, UNTIL + 30 * DAY)
    assert decide(late, PROVIDERS, UNTIL + 30 * DAY, UNTIL, written) is written


def test_a_reserved_part_can_be_left_by_neither_side_before_the_decision() -> None:
    play = part(PROVIDER, agree=False)
    quote = play.steps[1]
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("quote_withdrawal", {"quote": quote.id}),
        ("cancellation", {}),
    ]
    for kind, payload in attempts:
        with pytest.raises(StepRefused) as error:
            play.do(kind, PROVIDER, **payload)
        assert error.value.reason == "reserved"
        forced = play.add(kind, PROVIDER, refs=[quote], **payload)
        assert forced.id in {entry.id for entry in play.state().void}
        play.steps.remove(forced)
    play.do("agreement", REQUESTER, quote=quote.id)
    assert in_doubt(play.state())
    for author in (REQUESTER, PROVIDER):
        with pytest.raises(StepRefused):
            play.do("cancellation", author)


def test_time_is_given_away_only_when_no_decision_can_come_any_more() -> None:
    play = part(PROVIDER)
    last = UNTIL + BUNDLE_GRACE_S
    assert not may_release(play.state(UNTIL + 1), UNTIL + 1)
    assert not may_release(play.state(last), last)
    assert may_release(play.state(last + 1), last + 1)
    waiting = part(PROVIDER, agree=False)
    assert not may_release(waiting.state(UNTIL), UNTIL)
    assert may_release(waiting.state(UNTIL + 1), UNTIL + 1)


def test_a_commitment_that_arrives_late_but_was_made_in_time_counts() -> None:
    parts = [part(provider) for provider in PROVIDERS]
    decision = decide(states(parts, UNTIL), PROVIDERS, UNTIL, UNTIL)
    assert decision is not None and decision.outcome == "commit"
    play = parts[0]
    assert play.state(UNTIL + 30 * DAY).phase == "cancelled"
    deliver(play, decision, UNTIL)
    assert play.state(UNTIL + 1).phase == "scheduled"


def test_a_commitment_made_too_late_or_for_another_agreement_does_not_count() -> None:
    play = part(PROVIDER)
    agreement = play.steps[-1].id
    wrong = [(UNTIL + 1, agreement), (START + 9, b"\x0d" * 32)]
    for at, named in wrong:
        decision = Decision(BUNDLE, (play.opening.id, b"\x0c" * 32), (named, bytes(32)), "commit")
        deliver(play, decision, at)
        assert play.state(at + 1).reserved
        play.steps.pop()
    for field in ({"role": "member"}, {"bundle": bytes(32)}):
        fields: dict[str, Any] = {
            **Decision(BUNDLE, (play.opening.id, b"\x0c" * 32), (agreement, bytes(32)), "commit")
            .payload(),
            **field,
        }  # fmt: skip
        play.add("bundle_decision", COORDINATOR, refs=(), at=START + 9, **fields)
        assert play.state().reserved
        play.steps.pop()
    play.add("bundle_decision", b"c" + PROVIDER[1:33], refs=(), at=START + 9, **fields)
    assert play.state().reserved


def test_a_decision_may_arrive_before_the_agreement_it_names() -> None:
    play = part(PROVIDER)
    decision = Decision(
        BUNDLE, (play.opening.id, b"\x0c" * 32), (play.steps[-1].id, bytes(32)), "commit"
    )
    # The coordinator's clock is behind the requester's.
    deliver(play, decision, START)
    assert play.state(steps=[play.steps[0], play.steps[1], play.steps[3]]).waiting == (
        play.steps[2].id,
    )
    assert play.state().phase == "scheduled"


def test_whoever_holds_the_decision_hands_it_on() -> None:
    play = part(PROVIDER)
    assert decision_in(play.steps, COORDINATOR, BUNDLE) is None
    named = (play.opening.id, b"\x0c" * 32)
    deliver(play, Decision(BUNDLE, named, (), "abort"), START + 8)
    deliver(play, Decision(BUNDLE, named, (play.steps[2].id, bytes(32)), "commit"), START + 9)
    held = decision_in(play.steps, COORDINATOR, BUNDLE)
    assert held is not None and held.payload is not None and held.payload["outcome"] == "commit"
    assert decision_in(play.steps, b"c" + bytes(32), BUNDLE) is None


def test_parts_of_two_bundles_are_not_decided_together() -> None:
    other = Play(provider=OTHER, bundle=b"\x0e" * 32)
    with pytest.raises(LocalError):
        decide([part(PROVIDER).state(), other.state()], PROVIDERS, START, UNTIL)
    assert decide([], PROVIDERS, START, UNTIL) is None
    assert reserved_until([part(PROVIDER).state(), other.state()]) is None


class Coordinator:
    """A node that may die at any moment; only what it wrote is left when it comes back."""

    def __init__(self) -> None:
        self.written: Decision | None = None

    def ask(self, parts: list[Play], now: int, dies: bool) -> Decision | None:
        decision = decide(states(parts, now), PROVIDERS, now, UNTIL, self.written)
        if dies and self.written is None:
            # It died before the decision was on the disk: nobody has heard of it.
            return None
        self.written = decision
        return decision


@given(st.integers(0, 2**32))
def test_no_part_is_committed_while_another_is_aborted(seed: int) -> None:
    rng = random.Random(seed)
    parts = [part(provider, agree=rng.random() < 0.9) for provider in PROVIDERS]
    coordinator = Coordinator()
    now = START + 10
    held: dict[int, Step] = {}
    for _ in range(20):
        now += rng.choice((60, DAY // 8))
        asking = rng.randrange(3)
        answer: Decision | None = None
        if rng.random() < 0.5:
            answer = coordinator.ask(parts, now, dies=rng.random() < 0.5)
        elif held:
            # The coordinator is down; another party holds the decision.
            step = rng.choice(list(held.values()))
            assert step.payload is not None
            answer = Decision.read(step.payload)
        if answer is not None and asking not in held:
            deliver(parts[asking], answer, min(now, UNTIL) if answer.agreements else now)
            held[asking] = parts[asking].steps[-1]
        outcomes = {
            "committed" if play.state(now).phase == "scheduled" else "freed"
            for place, play in enumerate(parts)
            if place in held
        }
        assert len(outcomes) <= 1
    for one, other in itertools.combinations(range(3), 2):
        if one in held and other in held:
            assert parts[one].state(now).reserved == parts[other].state(now).reserved
