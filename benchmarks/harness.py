"""The benchmark harness: rounds that interleave a ceiling, ours and peers, and a table of ratios.

A figure alone means little on a shared machine whose speed drifts by a factor of two; a ratio
between two things measured in the same round holds within a few per cent. So each job names its
variants, every round runs each of them once in a random order, and what is reported is the median
of the ratios taken round by round, with the smallest and the largest. Each job has a negative
control: something broken that must fail, so that a benchmark which measures nothing cannot look
fast.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one variant: seconds of CPU (all threads of this process, or as told) and wall."""

    cpu: float
    wall: float
    units: float = 1.0

    def seconds(self, clock: str) -> float:
        """Return the seconds of "cpu" or "wall"."""
        return self.cpu if clock == "cpu" else self.wall


@dataclass(slots=True)
class Rounds:
    """The samples of every variant, by round."""

    samples: dict[str, list[Sample]]

    def median(self, name: str, clock: str = "cpu") -> float:
        """Return the median seconds a unit."""
        return statistics.median(s.seconds(clock) / s.units for s in self.samples[name])

    def rate(self, name: str, clock: str = "cpu") -> float:
        """Return the median units a second."""
        return statistics.median(s.units / s.seconds(clock) for s in self.samples[name])

    def ratio(
        self, ours: str, reference: str, clock: str = "cpu"
    ) -> tuple[float, float, float]:
        """Return the rate of `ours` over that of `reference`: median, least, greatest."""
        ratios = [
            (a.units / a.seconds(clock)) / (b.units / b.seconds(clock))
            for a, b in zip(self.samples[ours], self.samples[reference], strict=True)
        ]
        return statistics.median(ratios), min(ratios), max(ratios)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of results."""

    job: str
    label: str
    value: str
    target: str
    ok: bool | None


@dataclass(slots=True)
class Harness:
    """What a job gets: sizes, a directory, randomness, rounds and rows."""

    quick: bool
    tmp: Path
    rng: random.Random
    rows: list[Row] = field(default_factory=list[Row])
    job: str = ""
    say: Callable[[str], None] = print

    def rounds(
        self,
        variants: Mapping[str, Callable[[], Any]],
        rounds: int = 7,
        *,
        warmup: bool = True,
    ) -> Rounds:
        """Run every variant once a round, in random order.

        A variant returns None (one unit), a number (the units it did), or a `Sample` when it
        measured itself, as one does that works in other processes.
        """
        count = min(rounds, 2) if self.quick else rounds
        names = list(variants)
        if warmup:
            for name in names:
                variants[name]()
        samples: dict[str, list[Sample]] = {name: [] for name in names}
        for _ in range(count):
            self.rng.shuffle(names)
            for name in names:
                wall, cpu = time.perf_counter(), time.process_time()
                done = variants[name]()
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                if isinstance(done, Sample):
                    samples[name].append(done)
                else:
                    units = 1.0 if done is None else float(done)
                    samples[name].append(Sample(max(cpu, 1e-9), max(wall, 1e-9), units))
        return Rounds(samples)

    def row(
        self,
        label: str,
        value: float | str,
        unit: str = "",
        target: str | None = None,
        ok: bool | None = None,
    ) -> None:
        """Add a line to the table and say it at once."""
        shown = value if isinstance(value, str) else _number(value)
        row = Row(self.job, label, f"{shown} {unit}".strip(), target or "", ok)
        self.rows.append(row)
        mark = {True: " ok", False: " MISSED", None: ""}[ok]
        self.say(f"  {label:<58} {row.value:>22}  {row.target}{mark}")

    def ratio_row(
        self,
        label: str,
        measured: tuple[float, float, float],
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        """Add a line for a median ratio with its spread and, where there is one, its target."""
        median, low, high = measured
        target = f"≥ {least}" if least is not None else f"≤ {most}" if most is not None else None
        ok = None
        if least is not None:
            ok = median >= least
        elif most is not None:
            ok = median <= most
        self.row(label, f"{median:.2f} ({low:.2f}–{high:.2f})", "×", target, ok)

    def control(self, label: str, caught: bool) -> None:
        """Record a negative control; one that is not caught makes the run fail."""
        self.row(f"control: {label}", "caught" if caught else "NOT CAUGHT", "", "caught", caught)
        if not caught:
            raise ControlFailed(f"{self.job}: the negative control was not caught: {label}")

    def skip(self, label: str, reason: str) -> None:
        """Record what was not measured, and why."""
        self.row(label, f"skipped: {reason}")


class ControlFailed(Exception):
    """A benchmark that cannot fail measures nothing."""


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"
