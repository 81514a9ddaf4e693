"""Affairs of persons out of seeds: cheques paid once, groups as agreed, who moves stays one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import pytest

from maillon.node.persons import groups, joint
from maillon.node.persons.moving import Moving
from maillon.node.persons.once import Payments
from maillon.node.persons.vouchers import Vouchers
from maillon.protocol.splitting import group_shares
from simulation.persons.node import SimHost
from simulation.persons.run import many, replay, simulate
from support.seeds import JOBS, assert_enough, assert_one_history, totals

# A seed takes two seconds. More of them: `make simulate EXCHANGE_SEEDS=500`.
SEEDS = int(os.environ.get("MAILLON_PERSONS_SEEDS", "8"))


def test_cheques_groups_and_moves_come_out_right_whatever_happened() -> None:
    happened = totals(many(range(SEEDS), jobs=JOBS), replay)
    wanted = (
        ("cheques paid", SEEDS // 2),
        ("cheques paid to another coop", SEEDS // 4),
        ("cheques brought twice at once", SEEDS // 2),
        ("refused: deposit: voucher_used", SEEDS // 4),
        ("cheques: sent", SEEDS // 2),
        ("streams that broke", SEEDS // 4),
        ("nodes died in the middle of something", SEEDS),
        ("splits paid whole", 1),
        ("group orders paid", 1),
        ("done: consent", SEEDS // 4),
        ("done: leave", 1),
        ("moves at their end", SEEDS // 4),
        ("agreements known to both", 1),
    )
    assert_enough(happened, wanted)


def test_what_long_runs_found_stays_mended() -> None:
    for seed in (
        19,  # a cheque's order that was refused was asked again for ever
        34,  # who moved to the other party's coop was told nothing more
        41,  # a coop that was put back did not know any more who had arrived
    ):
        result = simulate(seed)
        assert not result.broken, f"{replay(seed)}\n{result.broken}"


def test_one_seed_is_one_history_whatever_the_order_of_hashes() -> None:
    assert_one_history("simulation.persons.run", 3, 1)


# --- rules that are broken on purpose: the checkers have to notice --------------------------------

found = Vouchers.find


def forgets_the_cheque(self: Vouchers, *asked: Any) -> Mapping[str, Any]:
    """Take every cheque for one that was never brought."""
    return {**found(self, *asked), "status": "open"}


def forgets_the_payment(self: Payments, ref: bytes, account: bytes) -> None:
    """Know nothing of what was ordered before."""


def every_share_rounded_up(amount: int, members: Any, rule: str) -> list[tuple[bytes, int]]:
    """Give everybody the part of a unit that is left."""
    return [(who, units + 1) for who, units in group_shares(amount, members, rule)]


def one_is_enough(whole: Any, approvals: Any) -> bool:
    """Pay as soon as anybody wishes."""
    return True


def signs_on(self: Moving, person: bytes) -> None:
    """Leave the old identity as it is."""


def never_bound(self: SimHost, author: bytes) -> int:
    """Let people go whatever they agreed to."""
    return 0


CHEQUES = {"books": 2, "deposits": 30, "groups": 0, "moves": 0, "exchanges": 0, "restores": 0}
GROUPS = {"groups": 2, "payments": 12, "proposals": 16, "books": 0, "moves": 0, "exchanges": 0}
MOVES = {
    "moves": 2, "exchanges": 4, "acts": 60, "wrong": 0.0, "slow_s": 5, "books": 0, "groups": 0,
    "active_s": 6 * 86_400, "restores": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "tune", "claim"),
    [
        (
            [(Vouchers, "find", forgets_the_cheque), (Payments, "known", forgets_the_payment),
             (Payments, "on_chain", forgets_the_payment)],
            CHEQUES,
            "a cheque",
        ),
        ([(groups, "group_shares", every_share_rounded_up)], GROUPS, "split"),
        ([(joint, "approved", one_is_enough)], GROUPS, "approved"),
        ([(Moving, "_left", signs_on)], MOVES, "the old identity"),
        ([(SimHost, "bound", never_bound)], MOVES, "nobody disappears|a move goes on"),
    ],
    ids=[
        "a desk that forgets what it deposited", "shares rounded up", "one member is enough",
        "the old identity signs on", "away from what was agreed",
    ],
)  # fmt: skip
def test_a_broken_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
    broken: list[tuple[Any, str, Any]],
    tune: Mapping[str, Any],
    claim: str,
) -> None:
    for where, name, instead in broken:
        monkeypatch.setattr(where, name, instead)
    for seed in range(30):
        noticed = simulate(seed, tune=tune).broken
        if noticed:
            assert re.search(claim, noticed), noticed
            return
    raise AssertionError("thirty seeds have noticed nothing")
