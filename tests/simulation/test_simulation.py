"""Whole federations out of seeds: equal, right and bounded after whatever happened to them."""

from __future__ import annotations

import os

import pytest

from simulation.federation import Federation
from simulation.run import many, replay, simulate
from support.seeds import assert_one_history

# A few hundred take about two minutes on two cores. More of them: `python -m simulation.run`.
SEEDS = int(os.environ.get("MAILLON_SIMULATION_SEEDS", "240"))


def test_federations_heal_whatever_happened_and_hold_what_the_oracle_says() -> None:
    results = many(range(SEEDS), jobs=min(2, os.cpu_count() or 1))
    failed = [result for result in results if result.failure]
    told = "\n".join(f"{replay(r.seed)}\n{r.failure[-2_000:]}" for r in failed[:3])
    assert not failed, f"{len(failed)} of {SEEDS} seeds fail:\n{told}"
    totals: dict[str, int] = {}
    for result in results:
        for what, count in result.figures.items():
            totals[what] = totals.get(what, 0) + count
    # The runs are worth nothing if nothing happens in them.
    for what in ("offer", "revise", "withdraw", "steal", "mandate", "delegate", "rotate", "leave"):
        assert totals.get(f"did {what} taken", 0) > SEEDS // 20, what
    assert totals["lies_punished"] > SEEDS
    assert totals["relays"] > SEEDS * 10
    assert totals["live"] > SEEDS * 5


def test_one_seed_is_one_history_whatever_the_order_of_hashes() -> None:
    assert_one_history("simulation.run", 7, 3)


def test_another_seed_is_another_history() -> None:
    assert simulate(7).digest != simulate(8).digest


@pytest.mark.parametrize("seed", [3, 11])
def test_a_failing_seed_says_how_to_run_it_again(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(federation: Federation) -> dict[str, int]:
        raise AssertionError("made to fail")

    monkeypatch.setattr(Federation, "run", fails)
    result = simulate(seed)
    assert "made to fail" in result.failure
    assert f"--seed {seed} " in replay(seed)
