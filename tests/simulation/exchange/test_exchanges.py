"""Exchanges out of seeds: nothing forks, nothing is lost or paid twice, whatever happened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from maillon.node.engine.exchange.settling import Settling
from simulation.exchange.run import many, replay, simulate
from support.exchangenet import ModelLedger
from support.seeds import JOBS, assert_enough, assert_one_history, totals

# A seed takes half a second. More of them: `make simulate EXCHANGE_SEEDS=500`.
SEEDS = int(os.environ.get("MAILLON_EXCHANGE_SEEDS", "24"))


def test_exchanges_stay_one_and_are_paid_once_whatever_happened() -> None:
    happened = totals(many(range(SEEDS), jobs=JOBS), replay)
    wanted = (
        ("letters", 10 * SEEDS),
        ("letters that come twice", SEEDS),
        ("nodes died in the middle of something", SEEDS // 2),
        ("coops away for a while", SEEDS // 4),
        ("nodes put back from a backup", 1),
        ("agreements known to both", SEEDS // 3),
        ("payments certified", SEEDS // 8),
        ("marks published", SEEDS // 8),
        ("bundles not committed", 1),
        ("steps: complaint", 1),
        ("steps: cancellation", 1),
        ("ended as cancelled", 1),
    )
    assert_enough(happened, wanted)


def test_what_long_runs_found_stays_mended() -> None:
    # A bundle's decision that overtook the opening of the second part waited under the first one.
    for seed in (2454,):
        result = simulate(seed)
        assert not result.broken, f"{replay(seed)}\n{result.broken}"


def test_one_seed_is_one_history_whatever_the_order_of_hashes() -> None:
    assert_one_history("simulation.exchange.run", 40, 3)


# --- rules that are broken on purpose: the checkers have to notice --------------------------------

released = Settling.release


def marks_at_once(self: Settling, state: Any, now: int) -> Iterator[Any]:
    """Publish a mark as soon as it is given."""
    return released(self, replace(state, released=True), now)


def blind_to_the_account(self: ModelLedger, payer: bytes, ref: bytes) -> list[Any]:
    """Pay without looking whether it was paid."""
    return []


BUSY = {"exchanges": 3, "acts": 60, "wrong": 0.0, "slow_s": 600, "active_s": 10 * 86_400}


@pytest.mark.parametrize(
    ("where", "name", "broken", "tune"),
    [
        (Settling, "release", marks_at_once, BUSY),
        (ModelLedger, "under", blind_to_the_account, {**BUSY, "restores": 1, "slow_s": 86_400}),
    ],
    ids=["marks at once", "blind to the account"],
)
def test_a_broken_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, broken: Any, tune: Mapping[str, Any]
) -> None:
    monkeypatch.setattr(where, name, broken)
    for seed in range(60):
        if simulate(seed, tune=tune).broken:
            return
    raise AssertionError("sixty seeds have noticed nothing")
