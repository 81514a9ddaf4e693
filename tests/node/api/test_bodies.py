"""An answer that is known before the whole request has come, from the real server."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import pytest
import trio
import trio.testing
from litestar import Litestar, post
from litestar.params import JSONBody
from litestar.types import ASGIApp, Receive, Scope, Send

from maillon.node import bounds
from maillon.node.api.server import serve_api
from support.nodes import WAIT_S

HEAD = b"POST %s HTTP/1.1\r\nHost: node\r\n%s\r\n\r\n"
SIZE = 300_000
LENGTH = b"Content-Length: %d" % SIZE
CHUNKED = b"Transfer-Encoding: chunked"
CHUNK = b"4000\r\n" + bytes(0x4000) + b"\r\n"


@post("/small", request_max_body_size=1_000)
async def small(data: JSONBody[dict[str, int]]) -> dict[str, int]:
    return data


Wire = trio.SocketStream
APP = Litestar([small], request_max_body_size=1_000, logging_config=None, openapi_config=None)


@asynccontextmanager
async def wires(home: Path, app: ASGIApp = APP) -> AsyncGenerator[Wire]:
    """Serve, and connect to it."""
    path = str(home / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_api, app, listener, stop.wait)
        async with await trio.open_unix_socket(path) as wire:
            yield wire
        stop.set()


async def answer(wire: Wire) -> tuple[int, dict[bytes, bytes]]:
    """Read one answer to its end."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="POST", target="/", headers=[("host", "node")]))
    reader.send(h11.EndOfMessage())
    status, headers = 0, dict[bytes, bytes]()
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            reader.receive_data(await wire.receive_some())
        elif isinstance(event, h11.Response):
            status, headers = event.status_code, dict(event.headers)
        elif isinstance(event, h11.EndOfMessage):
            return status, headers


async def good(wire: Wire) -> None:
    """Ask once more on the same connection, for what is answered with 201."""
    await wire.send_all(HEAD % (b"/small", b"Content-Length: 7") + b'{"a":1}')
    assert (await answer(wire))[0] == 201


@pytest.mark.parametrize(
    ("path", "framing", "rest", "status"),
    [
        (b"/small", LENGTH, [bytes(SIZE)], 413),
        (b"/small", CHUNKED, [CHUNK] * 20 + [b"0\r\n\r\n"], 413),
        (b"/nothing", LENGTH, [bytes(SIZE)], 404),
        (b"/nothing", CHUNKED, [CHUNK, b"0\r\n\r\n"], 404),
        (b"/small", b"Content-Length: 6", [b"{nope}"], 400),
    ],
)
async def test_a_connection_goes_on_after_an_answer_that_did_not_need_the_whole_request(
    tmp_path: Path, path: bytes, framing: bytes, rest: list[bytes], status: int
) -> None:
    async with wires(tmp_path) as wire:
        await wire.send_all(HEAD % (path, framing))
        for part in rest:
            # The server has done with the request whatever it can do by now.
            await trio.testing.wait_all_tasks_blocked()
            await wire.send_all(part)
        told, headers = await answer(wire)
        assert told == status and b"connection" not in headers
        await good(wire)


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED])
async def test_a_client_that_stops_in_mid_request_is_answered_in_the_end(
    tmp_path: Path, framing: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.01
    async with wires(tmp_path) as wire:
        begun = trio.current_time()
        await wire.send_all(HEAD % (b"/nothing", framing))
        told, headers = await answer(wire)
        assert told == 404 and headers[b"connection"] == b"close"
        assert trio.current_time() - begun == bounds.API_UNREAD_S_MAX
        assert await wire.receive_some() == b""


@pytest.mark.parametrize("status", [404, 413])
async def test_a_client_that_sends_without_end_is_answered_and_let_go(
    tmp_path: Path, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "API_UNREAD_BYTES_MAX", 1_000_000)
    path = {404: b"/nothing", 413: b"/small"}[status]
    async with wires(tmp_path) as wire:
        await wire.send_all(HEAD % (path, CHUNKED))
        sent = 0
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await wire.send_all(CHUNK)
                sent += len(CHUNK)
        assert sent > bounds.API_UNREAD_BYTES_MAX
        # Closed, but the answer is there.
        told, headers = await answer(wire)
        assert told == status and headers[b"connection"] == b"close"


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, and end the answer when the client has sent whatever it can."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await trio.testing.wait_all_tasks_blocked()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def test_what_nobody_reads_does_not_hold_up_the_end_of_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "API_UNREAD_BYTES_MAX", 0)
    async with wires(tmp_path, slow) as wire:
        await wire.send_all(HEAD % (b"/", CHUNKED))
        with trio.fail_after(WAIT_S), pytest.raises(trio.BrokenResourceError):
            while True:
                await wire.send_all(CHUNK)
        assert (await answer(wire))[0] == 404


async def test_a_client_that_goes_in_mid_request_takes_nothing_with_it(tmp_path: Path) -> None:
    async with wires(tmp_path) as wire:
        await wire.send_all(HEAD % (b"/nothing", LENGTH))
        await trio.testing.wait_all_tasks_blocked()
        async with await trio.open_unix_socket(str(tmp_path / "s")) as other:
            await wire.send_eof()
            assert (await answer(wire))[0] in (400, 404)
            await good(other)
