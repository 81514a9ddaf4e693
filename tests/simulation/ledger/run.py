"""Run simulated ledgers: `PYTHONPATH=tests python -m simulation.ledger.run --seeds 2000`.

Each seed is a federation with its accounts, faults and liars. A seed that fails prints what broke,
the end of its trace, and the command that runs it again; the exit status is 1 then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from simulation.ledger.plan import Plan
from simulation.ledger.world import World
from simulation.running import Result, command, outcome, replay_command, run_many

MODULE = "simulation.ledger.run"


def simulate(
    seed: int, *, keep_trace: bool = False, tune: Mapping[str, Any] | None = None
) -> Result:
    """Run one seed to its end; `tune` changes what its plan says."""
    plan = None
    if tune:
        plan = replace(Plan.draw(Random(f"plan {seed}")), **tune)
        plan = replace(
            plan,
            approvals=min(plan.approvals, plan.coops),
            writing=min(plan.writing, plan.coops),
        )
    return outcome(seed, World(seed, plan=plan, keep_trace=keep_trace))


replay = partial(replay_command, MODULE)


def many(seeds: range, jobs: int) -> Iterator[Result]:
    """Run seeds, several at once, and yield their results in order."""
    return run_many(simulate, seeds, jobs)


def node_hours(totals: dict[str, int]) -> str:
    """Take the time that nodes ran out of the totals, and say it."""
    return f", {totals.pop('node seconds', 0) / 3_600:.1f} node-hours"


def main(arguments: list[str] | None = None) -> int:
    """Run seeds and print what became of them."""
    traced = partial(simulate, keep_trace=True)
    return command(MODULE, "ledgers", __doc__, simulate, traced, arguments, node_hours)


if __name__ == "__main__":
    sys.exit(main())
