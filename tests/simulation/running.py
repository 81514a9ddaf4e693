"""Run seeds of a simulator, several at once, and say what became of them.

The simulators of ledgers, letters, exchanges and affairs of persons differ in their worlds and
share this.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from simulation.ledger.net import Clockwork

PROGRESS_S = 20.0


class Running(Protocol):
    """A world that can be run once."""

    @property
    def clock(self) -> Clockwork: ...

    def run(self) -> dict[str, int]: ...

    def figures(self) -> dict[str, int]: ...


@dataclass(frozen=True)
class Result:
    """What became of a seed: its digest and figures, or how it failed."""

    seed: int
    digest: str
    figures: dict[str, int]
    broken: str = ""
    """The promise that does not hold, in a line; empty when all do."""
    trace: str = ""


def outcome(seed: int, world: Running) -> Result:
    """Run a world to its end."""
    try:
        figures = world.run()
    except Exception as fault:
        told = "".join(traceback.format_exception(fault))
        trace = "\n".join([*(world.clock.trace or []), told])
        broken = f"{type(fault).__name__}: {fault}"
        return Result(seed, world.clock.digest(), world.figures(), broken, trace)
    return Result(seed, world.clock.digest(), figures, "", "\n".join(world.clock.trace or []))


def replay_command(module: str, seed: int) -> str:
    """Return the command that runs a seed again."""
    return f"PYTHONPATH=tests python -m {module} --first-seed {seed} --seeds 1 --trace"


def run_many(simulate: Callable[[int], Result], seeds: range, jobs: int) -> Iterator[Result]:
    """Run seeds, several at once, and yield their results in order."""
    if jobs <= 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(simulate, seeds, chunksize=8)


def _nothing(totals: dict[str, int]) -> str:
    """Say nothing more."""
    return ""


def command(
    module: str,
    what: str,
    doc: str | None,
    simulate: Callable[[int], Result],
    traced: Callable[[int], Result],
    arguments: list[str] | None,
    besides: Callable[[dict[str, int]], str] = _nothing,
) -> int:
    """Run the seeds that the command line asks for; the exit status is 1 when one fails.

    `besides` says more of the totals in the first line, and may take what it says out of them.
    """
    parser = argparse.ArgumentParser(prog=module, description=doc)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first-seed", "--seed", type=int, default=0, dest="first")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--digests", action="store_true", help="print each seed's digest")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    results = map(traced, seeds) if options.trace else run_many(simulate, seeds, options.jobs)
    totals: dict[str, int] = {}
    failed: list[int] = []
    began = shown = time.monotonic()
    for count, result in enumerate(results, 1):
        if options.digests:
            print(result.seed, result.digest)
        if result.broken:
            failed.append(result.seed)
            again = replay_command(module, result.seed)
            print(f"seed {result.seed}: {result.broken}\nreplay: {again}", flush=True)
        if options.trace:
            print(result.trace)
        for name, figure in result.figures.items():
            totals[name] = totals.get(name, 0) + figure
        if time.monotonic() - shown > PROGRESS_S:
            shown = time.monotonic()
            rate = count / (shown - began)
            print(f"… {count} of {len(seeds)} seeds, {rate:.1f} a second", file=sys.stderr)
    more = besides(totals)
    print(f"{what} simulated: {len(seeds)} seeds{more}")
    for name in sorted(totals):
        print(f"  {name:52} {totals[name]:>10}")
    print(f"{len(seeds)} seeds, {len(failed)} failed" + (f": {failed[:20]}" if failed else ""))
    return 1 if failed else 0
