"""Show how far an audit has come, on a terminal and nowhere else."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

_WIDTH = 32
_EVERY_S = 0.1


class Progress(Protocol):
    """What an audit tells how far it is."""

    def update(self, done: int) -> None:
        """Say how many bytes are done."""
        ...

    def __enter__(self) -> Progress: ...

    def __exit__(self, *error: object) -> None: ...


class Silent:
    """Show nothing."""

    def update(self, done: int) -> None:
        """Say nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Plain:
    """Draw one line with nothing but the standard library."""

    def __init__(self, total: int, label: str, file: TextIO) -> None:
        self._total = max(1, total)
        self._label = label
        self._file = file
        self._began = self._shown = time.monotonic()

    def update(self, done: int) -> None:
        """Draw the line anew, at most ten times a second."""
        now = time.monotonic()
        if now - self._shown < _EVERY_S and done < self._total:
            return
        self._shown = now
        share = min(1.0, done / self._total)
        full = round(share * _WIDTH)
        left = ""
        if share > 0.05 and now - self._began > 2:
            left = f"  {(now - self._began) * (1 - share) / share:4.0f} s"
        bar = "\u2588" * full + "\u2591" * (_WIDTH - full)
        self._file.write(f"\r{self._label} {bar} {100 * share:3.0f} %{left}\x1b[K")
        self._file.flush()

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.write("\r\x1b[K")
        self._file.flush()


class _Rich:
    def __init__(self, total: int, label: str, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=max(1, total))

    def update(self, done: int) -> None:
        self._progress.update(self._task, completed=done)

    def __enter__(self) -> _Rich:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


def shown(total: int, label: str, file: TextIO | None = None) -> Progress:
    """Return what shows progress towards `total` bytes: on a terminal a bar, else nothing."""
    target = sys.stderr if file is None else file
    if not target.isatty():
        return Silent()
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
    except ImportError:
        return Plain(total, label, target)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    console = Console(file=target)
    return _Rich(total, label, RichProgress(*columns, console=console, transient=True))
