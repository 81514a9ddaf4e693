"""Keep what was measured, by job, and make the table of docs/benchmarks.md out of it.

Jobs take from seconds to half an hour and are run one by one, on a machine that is quiet then.
`results.json` holds the last rows of each with the machine that they come from; a run replaces the
jobs that it ran, whole, and leaves the others. The table is made from that file and never read.

    {"verify": {"machine": "2 cores of …", "rows": [[label, value, target, ok], …]}, …}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness import Row

KEPT = Path(__file__).resolve().parent / "results.json"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


@dataclass(frozen=True, slots=True)
class Result:
    """What one job measured, and on which machine."""

    machine: str
    rows: tuple[Row, ...]


def by_job(rows: Iterable[Row], machine: str) -> dict[str, Result]:
    """Return rows as results, in the order of the jobs' first rows."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.job, []).append(row)
    return {job: Result(machine, tuple(of_job)) for job, of_job in found.items()}


def merge(kept: Mapping[str, Result], *runs: Mapping[str, Result]) -> dict[str, Result]:
    """Return what is kept with the jobs of each run in their place, the last run's counting."""
    merged = dict(kept)
    for run in runs:
        merged |= run
    return merged


def load(path: Path) -> dict[str, Result]:
    """Read results; none where there is no file. Raises: ValueError for another form."""
    if not path.exists():
        return {}
    data: Any = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no results by job")
    return {
        job: Result(one["machine"], tuple(Row(job, *row) for row in one["rows"]))
        for job, one in cast("dict[str, Any]", data).items()
    }


def save(path: Path, results: Mapping[str, Result]) -> None:
    """Write results, a row a line: what changed shows in a comparison of two versions."""
    jobs: list[str] = []
    for job, result in results.items():
        rows = [
            "      " + json.dumps([r.label, r.value, r.target, r.ok], ensure_ascii=False)
            for r in result.rows
        ]
        machine = json.dumps(result.machine, ensure_ascii=False)
        jobs.append(
            f"  {json.dumps(job)}: {{\n    \"machine\": {machine},\n    \"rows\": [\n"
            + ",\n".join(rows)
            + "\n    ]\n  }"
        )
    path.write_text("{\n" + ",\n".join(jobs) + "\n}\n", encoding="utf-8")


def table(results: Mapping[str, Result]) -> str:
    """Return the results as Markdown, a table a job; the machine once where it is one."""
    machines = {result.machine for result in results.values()}
    parts = [f"Machine: {machines.pop()}.", ""] if len(machines) == 1 else []
    for job, result in results.items():
        parts += [f"### {job}", ""]
        if machines:
            parts += [f"Machine: {result.machine}.", ""]
        parts += ["| what | measured | target | |", "|---|---|---|---|"]
        for row in result.rows:
            mark = {True: "✓", False: "missed", None: ""}[row.ok]
            parts.append(f"| {row.label} | {row.value} | {row.target} | {mark} |")
        parts.append("")
    return "\n".join(parts)


def placed(text: str, results: Mapping[str, Result]) -> str:
    """Return a Markdown text with the results in place of those that stand in it."""
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    return f"{head}{BEGIN}\n{table(results)}\n{END}{tail}"
