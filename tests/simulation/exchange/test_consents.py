"""Third parties in simulated exchanges: what leaves their accounts they have said yes to."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import pytest

from maillon.node.engine.exchange import funding, paying
from simulation.exchange.checkers import Broken
from simulation.exchange.consents import PayersWorld
from simulation.exchange.plan import DAY_S, Plan

SEEDS = int(os.environ.get("MAILLON_EXCHANGE_SEEDS", "24"))


def run(seed: int, **tune: Any) -> dict[str, int]:
    drawn = Plan.draw(Random(f"payers {seed}"))
    fields = {**drawn.__dict__, "exchanges": 3, "bundles": 0, "acts": 40, **tune}
    return PayersWorld(seed, plan=Plan(**fields)).run()


def test_no_order_leaves_an_account_without_consent_of_who_may_act_for_it() -> None:
    totals: dict[str, int] = {}
    for seed in range(SEEDS):
        try:
            found = run(seed)
        except Broken as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        for what, count in found.items():
            totals[what] = totals.get(what, 0) + count
    # The runs are worth nothing if nobody is asked, or nobody says yes.
    for what in (
        "requests answered with yes", "requests answered with no", "orders with consent",
        "orders that acknowledge",
    ):  # fmt: skip
        assert totals.get(what, 0) >= SEEDS // 12, (what, totals)
    assert totals["orders"] > totals["orders with consent"]


def nobody_is_a_third_party(state: Any) -> bool:
    """Take whoever is named for bound, as if they had agreed."""
    return False


def test_a_node_that_pays_for_whoever_is_named_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paying, "third_party_owes", nobody_is_a_third_party)
    for seed in range(60):
        try:
            run(seed, wrong=0.0, slow_s=600, active_s=10 * DAY_S, refusals=0.0)
        except Broken as broken:
            assert "without the consent" in str(broken)
            return
    raise AssertionError("sixty seeds have noticed nothing")


def test_a_node_that_orders_more_than_was_consented_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = funding.Funding.wanted

    def more(self: Any, note: Any, now: int) -> Any:
        from dataclasses import replace

        one = asked(self, note, now)
        return replace(one, amount=one.amount + 1)

    monkeypatch.setattr(funding.Funding, "wanted", more)
    for seed in range(60):
        try:
            run(seed, wrong=0.0, slow_s=600, active_s=10 * DAY_S, refusals=0.0)
        except Broken as broken:
            assert "without the consent" in str(broken)
            return
    raise AssertionError("sixty seeds have noticed nothing")
