"""Post offices out of seeds: once, in order, nothing lost before its time, whatever happened."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from maillon.node.engine.post.memory import Rows
from maillon.node.engine.post.ports import In, Incoming
from simulation.letters.checkers import Broken
from simulation.letters.disk import SimDisk
from simulation.letters.run import many, replay, simulate
from simulation.letters.world import World
from support.seeds import JOBS, assert_enough, assert_one_history, totals

# A seed takes a sixth of a second. More of them: `make simulate LETTER_SEEDS=2000`.
SEEDS = int(os.environ.get("MAILLON_LETTER_SEEDS", "40"))


def test_letters_arrive_once_and_in_order_and_none_is_lost_whatever_happened() -> None:
    happened = totals(many(range(SEEDS), jobs=JOBS), replay)
    wanted = (
        ("messages delivered", 30 * SEEDS),
        ("power cuts", SEEDS),
        ("frames lost", SEEDS),
        ("answered: known", SEEDS),
        ("answered: unknown_addressee", 1),
        ("answered: quota", 1),
        ("answered: reused", 1),
        ("given up: expired", 1),
        ("disks restored from a backup", SEEDS // 10),
        ("disks put back by hand", SEEDS // 10),
        ("letters sent again to who was restored", 1),
    )
    assert_enough(happened, wanted)


def test_one_seed_is_one_history_whatever_the_order_of_hashes() -> None:
    assert_one_history("simulation.letters.run", 40, 4)


def test_real_seals_change_nothing_that_is_promised() -> None:
    for seed in (3, 5):
        result = simulate(seed, tune={"real_seals": True, "messages": 20})
        assert not result.broken, f"{replay(seed)}\n{result.broken}"


# --- disks that break a promise: the checkers have to notice --------------------------------------


class ForgetsIds(SimDisk):
    """Does not know what it has: a letter that comes again is a new one."""

    def letter(self, id: bytes) -> Incoming | None:
        row = super().letter(id)
        return None if row is not None and row.state is In.TAKEN else row

    def add_in(self, row: Incoming) -> None:
        self.drop_in([row.id])
        super().add_in(row)

    def in_number(self, coop: bytes, thread: bytes, n: int) -> Incoming | None:
        row = super().in_number(coop, thread, n)
        return None if row is not None and row.state is In.TAKEN else row


class ForgetsTheLastCommits(SimDisk):
    """Says that it committed, and writes half an hour later: a power cut takes that along."""

    def __init__(self, rows: Rows | None = None) -> None:
        super().__init__(rows)
        self.synced: Rows = self.rows.copy()

    def committed(self) -> None:
        if self.commits % 40 == 0:
            self.synced = self.rows.copy()
        if self.cut:
            # What was written since is lost, whatever the disk said.
            self.rows = self.synced.copy()
        super().committed()


class KnowsNoOrder(SimDisk):
    """Takes every letter for the next one."""

    def next_in(self, coop: bytes, thread: bytes) -> int:
        waiting = [
            row.n for row in self.rows.inside.values() if (row.coop, row.thread) == (coop, thread)
        ]
        return max(waiting, default=-1) + 1 + 10 * (len(waiting) % 2)


@pytest.mark.parametrize(
    "make", [ForgetsIds, ForgetsTheLastCommits, KnowsNoOrder], ids=lambda make: make.__name__
)
def test_a_disk_that_breaks_a_promise_is_noticed(make: Callable[[], SimDisk]) -> None:
    for seed in range(20):
        try:
            World(seed, make_disk=make).run()
        except (Broken, AssertionError, KeyError):
            return
    raise AssertionError("twenty seeds have noticed nothing")
