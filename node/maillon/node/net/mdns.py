"""Find federation nodes on the local network (libp2p specs, "Multicast DNS").

A node announces `<random>._p2p._udp.local` with one `dnsaddr=<multiaddress>/p2p/<id>` text a real
address, and browses for others. What it hears becomes hints for nodes of the federation; anybody on
the network can say anything here, so nothing else follows from it. The library's own mDNS announces
0.0.0.0 and feeds its peer store; this one uses zeroconf directly.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

import trio
from zeroconf import ServiceBrowser, ServiceInfo, Zeroconf

from maillon.node import bounds
from maillon.node.net.errors import BadAddress
from maillon.node.net.identity import parse_address
from maillon.node.net.interfaces import local_hosts

if TYPE_CHECKING:
    from maillon.node.net.driver import Libp2pNetwork

log = logging.getLogger("maillon.net")

SERVICE: Final = "_p2p._udp.local."
_KEY: Final = b"dnsaddr"
# A text record's part holds 255 bytes, "dnsaddr=" included.
_TEXT_MAX: Final = 255
_ASK_MS: Final = 3_000
_HEARD_MAX: Final = 64
_AGAIN_S: Final = 60.0


def announcement(addresses: list[str]) -> bytes:
    """Return the TXT record data announcing some multiaddresses, as length-prefixed strings."""
    out = bytearray()
    for address in addresses[: bounds.ADDRESSES_PER_PEER_MAX]:
        text = _KEY + b"=" + address.encode()
        if len(text) <= _TEXT_MAX:
            out.append(len(text))
            out += text
    return bytes(out)


def announced(text: bytes) -> list[tuple[bytes, str]]:
    """Return (node key, multiaddress) of every usable address in TXT record data."""
    found: list[tuple[bytes, str]] = []
    at = 0
    while at < len(text) and len(found) < bounds.ADDRESSES_PER_PEER_MAX:
        length = text[at]
        part = text[at + 1 : at + 1 + length]
        at += 1 + length
        name, equals, value = part.partition(b"=")
        if name.lower() != _KEY or not equals:
            continue
        try:
            address = parse_address(value.decode())
        except (BadAddress, UnicodeDecodeError):
            continue
        if address.peer and not address.relay:
            found.append((address.peer, str(address)))
    return found


class _Listener:
    """Hear of services, on zeroconf's own thread, and pass their names on."""

    def __init__(self, token: trio.lowlevel.TrioToken, send: trio.MemorySendChannel[str]) -> None:
        self._token = token
        self._send = send

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        def offer() -> None:
            try:
                self._send.send_nowait(name)
            except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                return  # a flood of names, or we are going down

        try:
            self._token.run_sync_soon(offer)
        except trio.RunFinishedError:
            return

    update_service = add_service

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        return


async def announce_and_browse(net: Libp2pNetwork) -> None:
    """Announce this node on the local network and take hints from others, until cancelled."""
    send, receive = trio.open_memory_channel[str](_HEARD_MAX)
    try:
        zeroconf = await trio.to_thread.run_sync(Zeroconf)
    except OSError as error:
        net.ward.count("mdns_faults")
        log.warning("the local network cannot be searched for nodes: %s", error)
        return
    browser: ServiceBrowser | None = None
    try:
        info = await trio.to_thread.run_sync(_service, net.addresses(), net.key)
        if info is not None:
            await trio.to_thread.run_sync(zeroconf.register_service, info)
        listener = _Listener(trio.lowlevel.current_trio_token(), send)
        browser = ServiceBrowser(zeroconf, SERVICE, listener=listener)  # type: ignore[arg-type]  # duck-typed by zeroconf
        heard: dict[str, float] = {}
        async for name in receive:
            now = trio.current_time()
            if now - heard.get(name, -_AGAIN_S) < _AGAIN_S:
                continue
            heard[name] = now
            while len(heard) > _HEARD_MAX:
                del heard[next(iter(heard))]
            found = await trio.to_thread.run_sync(_ask, zeroconf, name)
            for key, address in found:
                if key != net.key and net.ward.admitted(key):
                    net.ward.count("mdns_hints")
                    if key not in net.book.entries:
                        net.dial(key, ())
                    net.hint(key, [address])
    finally:
        with trio.move_on_after(bounds.CLOSE_S) as scope:
            scope.shield = True

            def stop() -> None:
                if browser is not None:
                    browser.cancel()
                zeroconf.close()

            # The stubs that come with libp2p describe an older trio.
            await trio.to_thread.run_sync(stop, abandon_on_cancel=True)  # type: ignore[call-arg]


def _service(addresses: list[str], key: bytes) -> ServiceInfo | None:
    usable = [text for text in addresses if not parse_address(text).is_loopback]
    if not usable:
        return None
    import socket

    packed = [
        socket.inet_pton(socket.AF_INET6 if kind == "ip6" else socket.AF_INET, host)
        for kind, host in local_hosts()
    ]
    # The name says nothing about the node (the libp2p specification asks for that).
    name = secrets.token_hex(16)
    return ServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        port=parse_address(usable[0]).port,
        properties=announcement(usable),
        server=f"{name}.local.",
        addresses=packed,
    )


def _ask(zeroconf: Zeroconf, name: str) -> list[tuple[bytes, str]]:
    try:
        info: Any = zeroconf.get_service_info(SERVICE, name, timeout=_ASK_MS)
    except Exception as error:  # anything on the network can be behind a name
        log.debug("a service on the local network could not be read: %r", error)
        return []
    return [] if info is None else announced(info.text or b"")
