"""Hold a simulator to what its tests ask of it: every seed comes out right, and is one history."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from simulation.running import Result

TOP = Path(__file__).resolve().parents[2]
JOBS = min(2, os.cpu_count() or 1)
# Nothing takes as long: a seed that hangs fails before the whole run is given up.
HANGS_S = 900.0


def totals(results: Iterable[Result], replay: Callable[[int], str]) -> dict[str, int]:
    """Return what happened in all seeds together, none of which may have failed."""
    every = list(results)
    failed = [result for result in every if result.broken]
    told = "\n".join(f"{replay(r.seed)}\n{r.broken[:800]}" for r in failed[:3])
    assert not failed, f"{len(failed)} of {len(every)} seeds fail:\n{told}"
    found: dict[str, int] = {}
    for result in every:
        for what, count in result.figures.items():
            found[what] = found.get(what, 0) + count
    return found


def assert_enough(found: Mapping[str, int], wanted: Iterable[tuple[str, int]]) -> None:
    """Refuse runs in which too little happened: they are worth nothing."""
    for what, least in wanted:
        assert found.get(what, 0) >= least, (what, found.get(what, 0))


def assert_one_history(module: str, first: int, seeds: int) -> None:
    """Run the same seeds with two orders of hashes: the digests have to be the same."""
    digests: list[list[str]] = []
    for hash_seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--seed", str(first), "--seeds", str(seeds),
             "--jobs", "1", "--digests"],
            cwd=TOP,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TOP / "tests")},
            capture_output=True,
            text=True,
            timeout=HANGS_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        digests.append([line[1] for line in lines if len(line) == 2 and len(line[1]) == 64])
    assert len(digests[0]) == seeds
    assert digests[0] == digests[1]
