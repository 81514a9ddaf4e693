"""Run simulated persons' affairs: `PYTHONPATH=tests python -m simulation.persons.run --seeds 500`.

Each seed is a few coops whose people pay by cheque, found groups and move to another coop, in the
middle of exchanges, and the faults of their nodes. A seed that fails prints what broke and the
command that runs it again; the exit status is 1 then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from simulation.persons.plan import Plan
from simulation.persons.world import PersonsWorld
from simulation.running import Result, command, outcome, replay_command, run_many

MODULE = "simulation.persons.run"


def simulate(
    seed: int, *, keep_trace: bool = False, tune: Mapping[str, Any] | None = None
) -> Result:
    """Run one seed to its end; `tune` changes what its plan says."""
    plan = Plan.draw(Random(f"persons plan {seed}"))
    plan = replace(plan, **tune) if tune else plan
    return outcome(seed, PersonsWorld(seed, plan=plan, keep_trace=keep_trace))


replay = partial(replay_command, MODULE)


def many(seeds: range, jobs: int) -> Iterator[Result]:
    """Run seeds, several at once, and yield their results in order."""
    return run_many(simulate, seeds, jobs)


def main(arguments: list[str] | None = None) -> int:
    """Run seeds and print what became of them."""
    traced = partial(simulate, keep_trace=True)
    return command(MODULE, "affairs of persons", __doc__, simulate, traced, arguments)


if __name__ == "__main__":
    sys.exit(main())
