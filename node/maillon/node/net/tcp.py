"""Listen and dial over TCP, without the library's SO_REUSEPORT.

libp2p 0.8.1 sets SO_REUSEPORT on its listening sockets, for hole punching. Two nodes started on one
port then both succeed, and the kernel deals them connections at random. Without the flag the second
gets EADDRINUSE, which is the sentence its operator needs. The listener also keeps IPv6 addresses
of its peers (the library drops them) and runs inside the host's own nursery.
"""

from __future__ import annotations

import errno
import socket as stdlib_socket
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from libp2p.abc import IListener
from libp2p.io.trio import TrioTCPStream
from libp2p.transport.tcp.tcp import TCP
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from maillon.node.i18n import _
from maillon.node.net.errors import ListenError
from maillon.node.net.identity import Address

# Waiting connections the kernel keeps for us; more are refused by it at no cost to us.
_BACKLOG = 64


class AddressedStream(TrioTCPStream):
    """A TCP stream that knows the peer's address, for IPv6 too."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        try:
            name = stream.socket.getpeername()
            self._cached_remote_address = (str(name[0]), int(name[1]))
        except OSError:
            self._cached_remote_address = None


Accept = Callable[[AddressedStream], Awaitable[None]]


class PlainListener(IListener):
    """One listening socket; `serve` runs until cancelled."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._listener: trio.SocketListener | None = None
        self._address: Multiaddr | None = None

    async def bind(self, address: Address) -> None:
        """Bind and listen.

        Raises: ListenError with the reason in words (port taken, address not ours, no permission).
        """
        family = trio.socket.AF_INET6 if address.kind == "ip6" else trio.socket.AF_INET
        try:
            sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
        except OSError as error:
            raise _listen_error(address, error) from error
        try:
            # SO_REUSEADDR only lets us bind while old connections linger in TIME_WAIT.
            sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_REUSEADDR, 1)
            if family == trio.socket.AF_INET6:
                sock.setsockopt(stdlib_socket.IPPROTO_IPV6, stdlib_socket.IPV6_V6ONLY, 1)
            await sock.bind((address.host, address.port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise _listen_error(address, error) from error
        self._listener = trio.SocketListener(sock)
        port = sock.getsockname()[1]
        self._address = Multiaddr(f"/{address.kind}/{address.host}/tcp/{port}")

    async def serve(self, nursery: trio.Nursery) -> None:
        """Accept connections for ever, each in a task of `nursery`."""
        assert self._listener is not None
        while True:
            try:
                stream = await self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    await trio.sleep(0.1)  # out of descriptors: those in use must go first
                continue
            except trio.ClosedResourceError:
                return
            nursery.start_soon(self._accept, AddressedStream(stream))

    async def listen(self, maddr: Multiaddr) -> None:
        """Refuse: this listener is bound by `bind`, which says why it could not."""
        raise ListenError(address=str(maddr))

    def get_addrs(self) -> tuple[Multiaddr, ...]:
        """Return the address in use, with the port the kernel chose."""
        return () if self._address is None else (self._address,)

    async def close(self) -> None:
        """Stop listening."""
        self.close_now()
        await trio.lowlevel.checkpoint()

    def close_now(self) -> None:
        """Stop listening, without a checkpoint."""
        if self._listener is not None:
            self._listener.socket.close()


def _listen_error(address: Address, error: OSError) -> ListenError:
    where = address.without_peer()
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            _("The port of {where} is already in use by another program, perhaps another node.")
            .format(where=where),
            hint=_("Stop the other program, or choose another port in the configuration."),
            address=where,
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(
            _("{where} is not an address of this machine.").format(where=where),
            hint=_("Listen on /ip4/0.0.0.0/tcp/4001 to use every address."),
            address=where,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ListenError(
            _("This user may not listen at {where}.").format(where=where),
            hint=_("Choose a port above 1023."),
            address=where,
        )
    return ListenError(
        _("The node cannot listen at {where}: {why}.").format(where=where, why=error.strerror),
        address=where,
    )


class PlainTcp(TCP):
    """The library's TCP dialling with streams that know IPv6 addresses."""

    async def dial(self, maddr: Multiaddr) -> Any:
        """Dial a numeric address. Names are resolved before, by the driver."""
        connection = await self._dial_resolved(maddr)
        stream = getattr(connection, "stream", None)
        if isinstance(stream, TrioTCPStream):
            connection.stream = AddressedStream(stream.stream)  # type: ignore[attr-defined]
        return connection
