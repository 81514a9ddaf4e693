"""What a node is as a process: its version, its place under systemd, why it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Final, cast

from maillon.protocol.errors import LocalError


def first_local(group: BaseExceptionGroup[BaseException]) -> LocalError | None:
    """Return the first error for people among those that ended the tasks."""
    for fault in group.exceptions:
        if isinstance(fault, LocalError):
            return fault
        if isinstance(fault, BaseExceptionGroup):
            inner = cast("BaseExceptionGroup[BaseException]", fault)
            found = first_local(inner)
            if found is not None:
                return found
    return None


def version() -> str:
    """Return the version of this program."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("maillon")
    except PackageNotFoundError:
        return "0"


STAY: Final = b"\n"
"""What a program writes to the standard input of a node that is to outlive it."""


def end_at_eof(descriptor: int = 0) -> threading.Thread:
    """Send this process SIGTERM once a descriptor closes: whoever started it has ended.

    The kernel closes it however they ended. A byte instead ends the watch, and the process stays.
    """

    def watch() -> None:
        try:
            told = os.read(descriptor, 1)
        except OSError:
            told = b""
        if not told:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, name="until-eof", daemon=True)
    thread.start()
    return thread


def notify_systemd(message: str) -> None:
    """Tell systemd how the service is, when it asked to be told (sd_notify(3))."""
    import socket

    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
        channel.sendto(message.encode(), address)
