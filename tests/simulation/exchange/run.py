"""Run simulated exchanges: `PYTHONPATH=tests python -m simulation.exchange.run --seeds 2000`.

Each seed is a few coops whose people deal with each other, and the faults of their nodes. A seed
that fails prints what broke and the command that runs it again; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from simulation.exchange.plan import Plan
from simulation.exchange.world import World

PROGRESS_S = 20.0


@dataclass(frozen=True)
class Result:
    """What became of a seed: its digest and figures, or how it failed."""

    seed: int
    digest: str
    figures: dict[str, int]
    broken: str = ""
    trace: str = ""


def simulate(
    seed: int, *, keep_trace: bool = False, tune: Mapping[str, Any] | None = None
) -> Result:
    """Run one seed to its end; `tune` changes what its plan says."""
    plan = Plan.draw(Random(f"exchanges plan {seed}"))
    world = World(seed, plan=replace(plan, **tune) if tune else plan, keep_trace=keep_trace)
    try:
        figures = world.run()
    except Exception as fault:
        told = "".join(traceback.format_exception(fault))
        trace = "\n".join([*(world.clock.trace or []), told])
        broken = f"{type(fault).__name__}: {fault}"
        return Result(seed, world.clock.digest(), world.figures(), broken, trace)
    return Result(seed, world.clock.digest(), figures, "", "\n".join(world.clock.trace or []))


def replay(seed: int) -> str:
    """Return the command that runs a seed again."""
    command = "PYTHONPATH=tests python -m simulation.exchange.run"
    return f"{command} --first-seed {seed} --seeds 1 --trace"


def many(seeds: range, jobs: int) -> Iterator[Result]:
    """Run seeds, several at once, and yield their results in order."""
    if jobs <= 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(simulate, seeds, chunksize=8)


def main(arguments: list[str] | None = None) -> int:
    """Run seeds and print what became of them."""
    parser = argparse.ArgumentParser(prog="simulation.exchange.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first-seed", "--seed", type=int, default=0, dest="first")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trace", action="store_true", help="print every event")
    parser.add_argument("--digests", action="store_true", help="print each seed's digest")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    results = (
        (simulate(seed, keep_trace=True) for seed in seeds)
        if options.trace
        else many(seeds, options.jobs)
    )
    totals: dict[str, int] = {}
    failed: list[int] = []
    began = shown = time.monotonic()
    for count, result in enumerate(results, 1):
        if options.digests:
            print(result.seed, result.digest)
        if result.broken:
            failed.append(result.seed)
            print(f"seed {result.seed}: {result.broken}\nreplay: {replay(result.seed)}", flush=True)
        if options.trace:
            print(result.trace)
        for name, figure in result.figures.items():
            totals[name] = totals.get(name, 0) + figure
        if time.monotonic() - shown > PROGRESS_S:
            shown = time.monotonic()
            rate = count / (shown - began)
            print(f"… {count} of {len(seeds)} seeds, {rate:.1f} a second", file=sys.stderr)
    print(f"exchanges simulated: {len(seeds)} seeds")
    for name in sorted(totals):
        print(f"  {name:52} {totals[name]:>10}")
    print(f"{len(seeds)} seeds, {len(failed)} failed" + (f": {failed[:20]}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
