"""Serve the interface on a Unix socket, inside the node's trio loop."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType]  # bare dict
from litestar.types import ASGIApp

from maillon.node import i18n
from maillon.node.api.bodies import whole_bodies

# An answer that is under way when the node stops gets this long to end.
GRACE_S = 1.0
CONNECTIONS_WAITING_MAX = 64
# Longer than any client keeps an idle connection (httpx: 5 s). Were it as long, a request could
# meet a connection that is being closed, and fail without fault of anybody.
IDLE_S_MAX = 65.0


class InTheirLanguage:
    """Answer each request in the language it asks for, where there are words in it.

    It stands around the whole application, so that a path which nobody serves is refused in that
    language as well. Each request is a task of its own, and so is what it sets.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection (ASGI 3)."""
        wished = [v for name, v in scope.get("headers", ()) if name == b"accept-language"]
        with i18n.speaking(i18n.choose(b",".join(wished).decode("latin-1"))):
            await self._app(scope, receive, send)


async def serve_api(
    app: ASGIApp,
    listener: socket.socket,
    stop: Callable[[], Awaitable[None]],
    *,
    task_status: Any = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` returns; takes over the bound socket."""
    config = Config()
    # The socket is bound by us: Hypercorn's own binding leaves a moment in which anybody may open.
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = GRACE_S
    config.shutdown_timeout = GRACE_S
    config.keep_alive_timeout = IDLE_S_MAX
    config.backlog = CONNECTIONS_WAITING_MAX
    config.accesslog = None  # queries are nobody's business
    config.errorlog = None
    served = cast(Any, InTheirLanguage(whole_bodies(app)))
    await serve(served, config, shutdown_trigger=stop, task_status=task_status)
