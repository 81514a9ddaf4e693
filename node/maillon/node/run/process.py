"""What a node is as a process: its version, its place under systemd, why it ended."""

from __future__ import annotations

import contextlib
import os
from typing import cast

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


def notify_systemd(message: str) -> None:
    """Tell systemd how the service is, when it asked to be told (sd_notify(3))."""
    import socket

    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
        channel.sendto(message.encode(), address)
