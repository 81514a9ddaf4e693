"""Ledgers out of seeds: nothing certified twice, nothing lost, nothing stuck, whatever happened."""

from __future__ import annotations

import os

import pytest

from simulation.ledger.explorer import Explorer
from simulation.ledger.plan import default_quorum, tolerated
from simulation.ledger.run import many, replay, simulate
from simulation.ledger.world import World
from support.seeds import JOBS, assert_enough, assert_one_history, totals

# A seed takes a tenth of a second. More of them: `make simulate LEDGER_SEEDS=2000`.
SEEDS = int(os.environ.get("MAILLON_LEDGER_SEEDS", "150"))


# What these found, about once in a thousand seeds: a restored writer that counted the promise of a
# witness which had left the committee and waited for ever; a proof of fraud that a witness kept,
# lost power, and told nobody; convictions and removals that came to light after healing; a payment
# that arrived while a writer waited to try again, and was not looked at afterwards; a refused
# confirmation that passed for a refused term; a witness that was not asked again for a promise.
FOUND = (
    *(100641, 101021, 101074, 102123, 104069, 108978, 109502),
    *(200018, 200664, 200926, 201156, 307564),
)


def test_what_long_runs_found_stays_mended() -> None:
    failed = [result for result in map(simulate, FOUND) if result.broken]
    assert not failed, "\n".join(f"{replay(r.seed)}\n{r.broken[:800]}" for r in failed)


def test_ledgers_stay_right_and_get_well_whatever_happened() -> None:
    happened = totals(many(range(SEEDS), jobs=JOBS), replay)
    wanted = (
        ("blocks certified", 10 * SEEDS),
        ("heights certified after a race of terms", SEEDS // 2),
        ("power cuts", SEEDS),
        ("messages that left before their commit", 100 * SEEDS),
        ("power cuts that lost a run whose messages had left", SEEDS // 50),
        ("second instances started", SEEDS // 10),
        ("chains frozen", SEEDS // 20),
        ("certified charter entries: clear", SEEDS // 20),
        ("nodes restored from a backup, without their witness", 1),
        ("chains continued by a trustee", 1),
        ("witnesses rolled back", 1),
        ("federations founded again", 1),
        ("retirements in the end", 1),
        ("certified entries: return", 1),
        ("certified entries: post", 1),
        ("certified entries: void", 1),
    )
    assert_enough(happened, wanted)


def test_one_seed_is_one_history_whatever_the_order_of_hashes() -> None:
    assert_one_history("simulation.ledger.run", 40, 6)


def test_another_seed_is_another_history() -> None:
    assert simulate(7).digest != simulate(8).digest


@pytest.mark.parametrize("what", ["wire", "real"])
def test_messages_as_bytes_and_signatures_of_ed25519_change_nothing_that_is_promised(
    what: str,
) -> None:
    small = {"coops": 4, "quorum": 3, "liars": 1, "crooks": 1, "writing": 2, "active_s": 60}
    fewer = {**small, "restores": 0, "rollbacks": 0, "rollback_is_lie": False}
    for seed in (3, 4):
        result = simulate(seed, tune={**fewer, what: True})
        assert not result.broken, f"{replay(seed)}\n{result.broken}"


def test_a_failing_seed_says_how_to_run_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(world: World) -> dict[str, int]:
        world.clock.note("what happened before")
        raise AssertionError("made to fail")

    monkeypatch.setattr(World, "run", fails)
    result = simulate(5, keep_trace=True)
    assert result.broken == "AssertionError: made to fail"
    assert "what happened before" in result.trace
    assert "--first-seed 5 " in replay(5)


def test_no_schedule_of_one_height_and_two_terms_certifies_two_blocks() -> None:
    explorer = Explorer(2)
    assert explorer.explore() > 10_000
    assert explorer.steps_tried > 500


def test_quorums_of_plans_are_those_of_the_design() -> None:
    assert [default_quorum(n) for n in (1, 2, 3, 4, 5, 7, 10)] == [1, 2, 2, 3, 4, 5, 7]
    assert [tolerated(n, default_quorum(n)) for n in (1, 4, 7)] == [0, 1, 2]
