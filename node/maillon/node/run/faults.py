"""Keep what went wrong while a node runs, and keep it from ending the node."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from maillon.node.run.logs import get_log
from maillon.protocol.errors import MaillonError

log = get_log("maillon.node")

FAULTS_KEPT_MAX = 8
# After a step that broke: long enough not to fill the log, short enough not to be noticed.
FAULT_PAUSE_S = 1.0


class Faults:
    """The last faults, in words, for `status`."""

    def __init__(self) -> None:
        self.last: list[str] = []

    def note(self, where: str, fault: str) -> None:
        """Remember and log a fault."""
        log.warning("fault", where=where, fault=fault)
        self.last = [*self.last, f"{where}: {fault}"][-FAULTS_KEPT_MAX:]

    @contextlib.contextmanager
    def contained(self, where: str) -> Generator[None]:
        """Let a full disk, or a bug of ours, cost one step of a loop and never the node.

        A transaction that failed was undone; `status` tells the fault, the log its whole trace.
        """
        try:
            yield
        except MaillonError as fault:
            self.note(where, str(fault))
        except Exception as fault:
            self.note(where, repr(fault))
            log.error("a step broke and was given up", where=where, exc_info=True)
