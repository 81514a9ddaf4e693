"""Run the benchmarks: `benchmarks/run.py [--jobs a,b] [--quick] [--write docs/benchmarks.md]`.

Each module of `benchmarks/jobs` is a job with NAME, DESCRIPTION and `run(harness)`. Results are
printed as they come. With --write, those of the jobs that ran to their end take their place in
`benchmarks/results.json`, beside those of other jobs and days, and the generated part of
docs/benchmarks.md is made anew from all of them. With --json they go to a file of the same form,
and `--rows FILES --write docs/benchmarks.md` takes such files up later. A benchmark measures and
never decides: the exit status is 1 only when a negative control was not
caught or a job failed to run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
import random
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT.parent / "tests"))

import jobs  # noqa: E402
import results  # noqa: E402
from harness import Harness, Row  # noqa: E402


def machine() -> str:
    """Describe the machine in a line, without naming it."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.machine(),
    )
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    return (
        f"{os.cpu_count()} cores of {model}, {kib / 2**20:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def write(path: Path, kept: Path, *runs: Mapping[str, results.Result]) -> None:
    """Take runs up into what is kept, and make the table of a Markdown file anew."""
    merged = results.merge(results.load(kept), *runs)
    text = results.placed(path.read_text(encoding="utf-8"), merged)
    results.save(kept, merged)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Run the chosen jobs and print or write their table."""
    modules = {
        module.NAME: module
        for info in pkgutil.iter_modules(jobs.__path__)
        if hasattr(module := importlib.import_module(f"jobs.{info.name}"), "NAME")
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", default="", help=f"comma-separated; of: {', '.join(modules)}")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="take the results up into this Markdown")
    parser.add_argument("--json", type=Path, help="also write the results here")
    parser.add_argument(
        "--kept", type=Path, default=results.KEPT, help="where results of all jobs are kept"
    )
    parser.add_argument(
        "--rows", type=Path, nargs="+", default=[], help="take what --json wrote; run nothing"
    )
    arguments = parser.parse_args()
    if arguments.rows:
        runs = [results.load(path) for path in arguments.rows]
        taken = [row for run in runs for result in run.values() for row in result.rows]
        if arguments.write:
            write(arguments.write, arguments.kept, *runs)
        print(f"{len(taken)} rows, {sum(row.ok is False for row in taken)} targets missed")
        return 0
    chosen = [name for name in arguments.jobs.split(",") if name] or list(modules)
    unknown = [name for name in chosen if name not in modules]
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)}; there are {', '.join(modules)}")
    rows: list[Row] = []
    failed: set[str] = set()
    if arguments.quick and arguments.write:
        parser.error("--quick only shows that everything runs: its figures are not to be kept")
    print(machine())
    if arguments.quick:
        print("Quick: this shows that everything runs. The figures mean nothing.")
    for name in chosen:
        module = modules[name]
        print(f"\n{name}: {module.DESCRIPTION}", flush=True)
        with tempfile.TemporaryDirectory(prefix="maillon-bench-") as tmp:
            harness = Harness(arguments.quick, Path(tmp), random.Random(arguments.seed), rows, name)
            try:
                module.run(harness)
            except Exception:
                traceback.print_exc()
                failed.add(name)
    # What a job measured before it broke says nothing without its controls.
    whole = results.by_job((row for row in rows if row.job not in failed), machine())
    if arguments.write:
        write(arguments.write, arguments.kept, whole)
    if arguments.json:
        results.save(arguments.json, whole)
    missed = [row for row in rows if row.ok is False]
    print(f"\n{len(rows)} rows, {len(missed)} targets missed, {len(failed)} jobs failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
