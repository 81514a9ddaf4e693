"""How the demonstration ends, whoever ends it: no process and no directory stays behind.

A terminal sends SIGINT, a service manager or `timeout` SIGTERM, a closed terminal SIGHUP: each is
heard here and the nodes are stopped. SIGKILL cannot be heard: the nodes end because their standard
input closes (`maillon run --until-eof`), and the directory goes when the next demonstration starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Final

from maillon.node.home import Home, is_locked

PREFIX: Final = "maillon-demo-"
LOCK: Final = "demo.lock"
SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def heard_signals() -> Generator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit (128 and the number), as SIGINT is one exception.

    Only the first: the second one would interrupt what the first one started, stopping the nodes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        for each in (*SIGNALS, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGINT)}
    for number in SIGNALS:
        # What was ignored before stays so: `nohup maillon demo` outlives its terminal.
        if before[number] != signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Directory:
    """The directory of one demonstration, told apart from those that a killed one left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @classmethod
    def make(cls) -> Directory:
        """Make a directory of its own, and remove what killed demonstrations left beside it."""
        sweep(Path(tempfile.gettempdir()))
        made = cls(Path(tempfile.mkdtemp(prefix=PREFIX)).absolute())
        made._lock = os.open(made.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(made._lock, fcntl.LOCK_EX)
        return made

    def keep(self) -> None:
        """Leave it to the user: no later demonstration removes it."""
        if self._lock is not None:
            (self.path / LOCK).unlink(missing_ok=True)
            self._let_go()

    def remove(self) -> None:
        """Remove it, unless the user named it; to be called when its nodes have ended."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path) -> list[Path]:
    """Remove the directories of demonstrations that were killed, once no node runs in them."""
    gone: list[Path] = []
    for path in sorted(parent.glob(PREFIX + "*")):
        with contextlib.suppress(OSError):
            # The lock is ours alone, and the kernel lets go of it when its holder is killed.
            if path.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not any(is_locked(Home(home)) for home in path.iterdir() if home.is_dir()):
                    shutil.rmtree(path, ignore_errors=True)
                    gone.append(path)
            finally:
                os.close(descriptor)
    return gone
