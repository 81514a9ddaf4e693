"""Run the benchmarks: `benchmarks/run.py [--jobs a,b] [--quick] [--write docs/benchmarks.md]`.

Each module of `benchmarks/jobs` is a job with NAME, DESCRIPTION and `run(harness)`. Results are
printed as they come and, with --write, replace the generated part of docs/benchmarks.md. A
benchmark measures and never decides: the exit status is 1 only when a negative control was not
caught or a job failed to run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import random
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT.parent / "tests"))

import jobs  # noqa: E402
from harness import Harness, Row  # noqa: E402

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


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


def table(rows: list[Row]) -> str:
    """Return the results as Markdown, a table a job."""
    parts: list[str] = [f"Machine: {machine()}.", ""]
    for job in dict.fromkeys(row.job for row in rows):
        parts += [f"### {job}", "", "| what | measured | target | |", "|---|---|---|---|"]
        for row in rows:
            if row.job == job:
                mark = {True: "✓", False: "missed", None: ""}[row.ok]
                parts.append(f"| {row.label} | {row.value} | {row.target} | {mark} |")
        parts.append("")
    return "\n".join(parts)


def write(path: Path, rows: list[Row]) -> None:
    """Replace the results in a Markdown file."""
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    path.write_text(f"{head}{BEGIN}\n{table(rows)}\n{END}{tail}", encoding="utf-8")


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
    parser.add_argument("--write", type=Path, help="replace the results in this Markdown file")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument(
        "--rows", type=Path, nargs="+", default=[], help="take rows that --json wrote; run nothing"
    )
    arguments = parser.parse_args()
    if arguments.rows:
        kept = [Row(*row) for path in arguments.rows for row in json.loads(path.read_text("utf-8"))]
        if arguments.write:
            write(arguments.write, kept)
        print(f"{len(kept)} rows, {sum(row.ok is False for row in kept)} targets missed")
        return 0
    chosen = [name for name in arguments.jobs.split(",") if name] or list(modules)
    unknown = [name for name in chosen if name not in modules]
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)}; there are {', '.join(modules)}")
    rows: list[Row] = []
    failed = 0
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
                failed += 1
    if arguments.write:
        write(arguments.write, rows)
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                [[r.job, r.label, r.value, r.target, r.ok] for r in rows], ensure_ascii=False
            ),
            encoding="utf-8",
        )
    missed = [row for row in rows if row.ok is False]
    print(f"\n{len(rows)} rows, {len(missed)} targets missed, {failed} jobs failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
