"""Serve the interface over TCP, inside the node's trio loop, with a bound on everything.

The protocol is Hypercorn's HTTP/1.1; what it leaves open is closed here: how many connections there
are in all and of one address, how long a client may take none of its answer, and that cleartext
connections are not upgraded to HTTP/2 or WebSockets, whose bounds would be others. TLS is the
affair of the proxy in front (docs/operator.md, "The interface for devices and pages").
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import h11
import trio
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ConnectionState,
    Framework,  # pyright: ignore[reportUnknownVariableType]  # bare dict
)
from hypercorn.utils import wrap_app  # pyright: ignore[reportUnknownVariableType]  # the same
from litestar.types import ASGIApp

from maillon.node.api import bounds
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

GRACE_S = 1.0
"""What an answer under way gets to end when the node stops."""
CLOSE_S = 0.5


class CannotListen(LocalError):
    """Nobody can listen on the address of the settings."""

    code = "config"


def bind(address: str) -> socket.socket:
    """Return a socket that listens on "host:port" or "[host]:port"; port 0 is any free one.

    Raises: CannotListen.
    """
    host, _colon, port = address.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    try:
        if not 0 <= int(port) <= 65_535:
            raise ValueError("a port is 0 to 65535")
        family, kind, proto, _name, place = socket.getaddrinfo(
            name, int(port), type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        listener = socket.socket(family, kind, proto)
    except (OSError, ValueError, OverflowError) as fault:
        raise _cannot(address, fault) from fault
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place)
        listener.listen(bounds.TCP_PENDING_MAX)
        listener.setblocking(False)
    except OSError as fault:
        listener.close()
        raise _cannot(address, fault) from fault
    return listener


def _cannot(address: str, fault: Exception) -> CannotListen:
    return CannotListen(
        _("The interface cannot listen on {address}: {fault}.").format(
            address=address, fault=getattr(fault, "strerror", None) or fault
        ),
        hint=_("Choose another address under [api] listen in config.toml, with a number as host."),
    )


def bound_address(listener: socket.socket) -> str:
    """Return "host:port" of a listening socket."""
    host, port = cast("tuple[str, int]", listener.getsockname()[:2])
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Http1(H11Protocol):
    """HTTP/1.1 and nothing else: an offer to upgrade is left unanswered (RFC 9110, 7.8)."""

    async def _check_protocol(self, event: h11.Request) -> None:
        return


class _Patient:
    """A connection's stream, whose peer may stop reading only so long."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes) -> None:
        with trio.move_on_after(bounds.TCP_STALL_S):
            await self._stream.send_all(data)
            return
        await self.cut()
        raise trio.BrokenResourceError("the client takes nothing")

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def cut(self) -> None:
        """Close at once, whatever waits to be sent."""
        await trio.aclose_forcefully(self._stream)


class _Connection(TCPServer):
    """One connection, from its first byte to its end."""

    async def run(self) -> None:
        try:
            peer = cast(_Patient, self.stream).socket
            client, server = peer.getpeername(), peer.getsockname()
            async with TaskGroup() as tasks:
                self._task_group = tasks
                # The type is wider than what is used of it: initiate() and handle().
                self.protocol = cast(
                    Any,
                    _Http1(
                        self.app,
                        self.config,
                        self.context,
                        tasks,
                        cast(ConnectionState, self.state),
                        False,
                        client[:2],
                        server[:2],
                        self.protocol_send,
                    ),
                )
                await self.protocol.initiate()
                idle: Any = self.idle_task
                await idle.restart(tasks, self._idle_timeout)
                await self._read_data()
                # Who has gone is not waited for: their place is another's.
                await idle.stop()
        except OSError:
            pass
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_S):
                await self._close()
            await cast(_Patient, self.stream).cut()


class Door:
    """Accept connections within the bounds and serve each."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = wrap_app(cast(Framework, app), 0, "asgi")
        self._open: dict[str, int] = {}
        self._streams: set[_Patient] = set()
        self._config = Config()
        self._config.accesslog = None  # queries are nobody's business
        self._config.errorlog = None
        self._config.include_server_header = False
        self._config.h11_max_incomplete_size = bounds.TCP_HEAD_BYTES_MAX
        self._config.keep_alive_timeout = bounds.TCP_IDLE_S
        self._config.keep_alive_max_requests = bounds.TCP_REQUESTS_PER_CONNECTION_MAX

    @property
    def connections(self) -> int:
        """Return how many connections there are."""
        return len(self._streams)

    async def serve(
        self,
        listener: socket.socket,
        stop: Callable[[], Awaitable[None]],
        *,
        task_status: Any = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop` returns; takes over the listening socket."""
        context = WorkerContext(None)
        accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener))

        async def handle(stream: trio.SocketStream) -> None:
            await self._handle(stream, context)

        async with trio.open_nursery() as handlers, trio.open_nursery() as nursery:

            async def accept() -> None:
                await trio.serve_listeners(handle, [accepting], handler_nursery=handlers)

            nursery.start_soon(accept)
            task_status.started()
            await stop()
            nursery.cancel_scope.cancel()
            await context.terminated.set()
            handlers.cancel_scope.deadline = trio.current_time() + GRACE_S
            handlers.start_soon(self._cut_all)

    async def _cut_all(self) -> None:
        """Cut what is left when the grace is over: what is shielded in there would go on."""
        with trio.CancelScope(shield=True):
            until = trio.current_time() + GRACE_S
            while self._streams and trio.current_time() < until:
                await trio.sleep(0.02)
            for stream in list(self._streams):
                await stream.cut()

    async def _handle(self, stream: trio.SocketStream, context: WorkerContext) -> None:
        try:
            address = str(stream.socket.getpeername()[0])
        except OSError:
            await trio.aclose_forcefully(stream)
            return
        if (
            len(self._streams) >= bounds.TCP_CONNECTIONS_MAX
            or self._open.get(address, 0) >= bounds.TCP_CONNECTIONS_PER_ADDRESS_MAX
        ):
            await trio.aclose_forcefully(stream)
            return
        patient = _Patient(stream)
        self._streams.add(patient)
        self._open[address] = self._open.get(address, 0) + 1
        try:
            server = _Connection(
                self._app, self._config, context, ConnectionState({}), cast(Any, patient)
            )
            await server.run()
        finally:
            self._streams.discard(patient)
            left = self._open[address] - 1
            if left:
                self._open[address] = left
            else:
                del self._open[address]
