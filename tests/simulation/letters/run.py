"""Run simulated post offices: `PYTHONPATH=tests python -m simulation.letters.run --seeds 2000`.

Each seed is three to five offices with their faults. A seed that fails prints what broke and the
command that runs it again; the exit status is 1 then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from simulation.letters.plan import Plan
from simulation.letters.world import World
from simulation.running import Result, command, outcome, replay_command, run_many

MODULE = "simulation.letters.run"


def simulate(
    seed: int, *, keep_trace: bool = False, tune: Mapping[str, Any] | None = None
) -> Result:
    """Run one seed to its end; `tune` changes what its plan says."""
    plan = Plan.draw(Random(f"letters plan {seed}"))
    world = World(seed, plan=replace(plan, **tune) if tune else plan, keep_trace=keep_trace)
    return outcome(seed, world)


replay = partial(replay_command, MODULE)


def many(seeds: range, jobs: int) -> Iterator[Result]:
    """Run seeds, several at once, and yield their results in order."""
    return run_many(simulate, seeds, jobs)


def main(arguments: list[str] | None = None) -> int:
    """Run seeds and print what became of them."""
    traced = partial(simulate, keep_trace=True)
    return command(MODULE, "post offices", __doc__, simulate, traced, arguments)


if __name__ == "__main__":
    sys.exit(main())
