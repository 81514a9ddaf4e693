"""The TCP server by itself: whatever a client sends, its place is free when it has gone."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from maillon.node.api.listener import CannotListen, Door, bind, bound_address

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
REQUESTS = {
    "plain": GET + b"\r\n",
    "silence": b"",
    "half a head": GET,
    "two hosts": GET + b"Host: a\r\n\r\n",
    "a long head": GET + b"X-Long: " + b"a" * 40_000,
    "an upgrade to HTTP/2": GET + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a websocket": GET + WEBSOCKET,
    "many at once": (GET + b"\r\n") * 20,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"a" * 200,
}


async def app(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer every request alike, and no websocket."""
    messages: list[Any] = [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]},
        {"type": "http.response.body", "body": b"ok", "more_body": False},
    ]
    if scope["type"] == ScopeType.WEBSOCKET:
        messages = [{"type": "websocket.close", "code": 1008, "reason": ""}]
    for message in messages:
        await send(message)


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_place_of_a_client_that_has_gone_is_free(name: str) -> None:
    door, listener, stop = Door(app), bind("127.0.0.1:0"), trio.Event()
    port = int(bound_address(listener).rpartition(":")[2])
    async with trio.open_nursery() as nursery:
        await nursery.start(door.serve, listener, stop.wait)
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        if REQUESTS[name]:
            await stream.send_all(REQUESTS[name])
        with trio.fail_after(30):
            while not door.connections:
                await trio.lowlevel.checkpoint()
            await trio.aclose_forcefully(stream)
            while door.connections:
                await trio.lowlevel.checkpoint()
        stop.set()


async def test_a_server_stops_while_a_client_takes_nothing() -> None:
    sent = trio.Event()

    async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
        start: Any = {"type": "http.response.start", "status": 200, "headers": []}
        body: Any = {"type": "http.response.body", "body": b"x" * 65_536, "more_body": True}
        await send(start)
        while True:
            await send(body)
            sent.set()

    door, listener, stop = Door(endless), bind("127.0.0.1:0"), trio.Event()
    port = int(bound_address(listener).rpartition(":")[2])
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(door.serve, listener, stop.wait)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(GET + b"\r\n")
            await sent.wait()
            stop.set()
    assert door.connections == 0
    await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("address", ["192.0.2.1:4780", "127.0.0.1:99999", "localhost:80", "x"])
def test_an_address_nobody_can_listen_on_is_told(address: str) -> None:
    with pytest.raises(CannotListen) as told:
        bind(address)
    assert address in str(told.value) and told.value.hint
