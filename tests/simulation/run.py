"""Run the simulation: `PYTHONPATH=tests python -m simulation.run --seeds 100`.

Each seed is a federation of its own. A seed that fails prints the command that runs it again, with
its trace; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from simulation.federation import Federation


@dataclass(frozen=True)
class Result:
    """What became of a seed: its digest and figures, or how it failed."""

    seed: int
    digest: str
    figures: dict[str, int]
    failure: str = ""


def simulate(seed: int, *, keep_trace: bool = False) -> Result:
    """Run one seed to its end."""
    federation = Federation(seed, keep_trace=keep_trace)
    try:
        figures = federation.run()
    except Exception as fault:
        trace = federation.clock.trace or []
        told = "".join(traceback.format_exception(fault))
        shown = "\n".join([*trace, told])
        return Result(seed, federation.clock.digest(), {}, shown)
    for what, count in federation.done.items():
        figures[f"did {what}"] = count
    return Result(seed, federation.clock.digest(), figures)


def replay(seed: int) -> str:
    """Return the command that runs a seed again."""
    return f"PYTHONPATH=tests python -m simulation.run --seed {seed} --seeds 1 --trace"


def many(seeds: range, jobs: int) -> list[Result]:
    """Run seeds, several at once."""
    if jobs <= 1:
        return [simulate(seed) for seed in seeds]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(simulate, seeds, chunksize=4))


def main(arguments: list[str] | None = None) -> int:
    """Run seeds and print what became of them."""
    parser = argparse.ArgumentParser(prog="simulation.run", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trace", action="store_true", help="print every event of one seed")
    parser.add_argument("--digests", action="store_true", help="print each seed's digest")
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.seeds)
    if options.trace:
        results = [simulate(seed, keep_trace=True) for seed in seeds]
    else:
        results = many(seeds, options.jobs)
    totals: dict[str, int] = {}
    failed = 0
    for result in results:
        if options.digests:
            print(result.seed, result.digest)
        if result.failure:
            failed += 1
            print(f"seed {result.seed} failed:\n{result.failure}\nreplay: {replay(result.seed)}")
        for name, count in result.figures.items():
            totals[name] = totals.get(name, 0) + count
    for name in sorted(totals):
        print(f"{name:28} {totals[name]}")
    print(f"{len(results)} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
