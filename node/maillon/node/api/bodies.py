"""Read what is left of a request before it is answered, so that its connection can go on.

An answer may be known before the whole request has come: 413 from the announced length, 404 from
the path. HTTP/1.1 (RFC 9112, 9.3) wants the rest of the body read before the connection carries
another request. Hypercorn closes it instead, without a word in the answer, and a client that had
its answer meets the closing with its next request.
"""

from __future__ import annotations

import trio
from litestar.enums import ScopeType
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    HTTPResponseStartEvent,
    Message,
    Receive,
    Scope,
    Send,
    WebSocketReceiveMessage,
)

from maillon.node import bounds


def whole_bodies(app: ASGIApp) -> ASGIApp:
    """Return the application answering each request only after the end of its body.

    Of a body that no handler reads, API_UNREAD_BYTES_MAX bytes and API_UNREAD_S_MAX seconds are
    waited for. Then the answer says `Connection: close`, and the connection ends with it.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        body = _Body(receive)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and not await body.drained():
                body.given_up = True
                # In HTTP/2, where only this stream ends, such a header is an error.
                if scope["http_version"].startswith("1"):
                    message = _last(message)
            if not body.given_up:
                await send(message)
                return
            # What still comes would fill the server's queue, and the end of the answer wait for it.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(body.discard)
                await send(message)
                nursery.cancel_scope.cancel()

        await app(scope, body.receive, answer)

    return serve


def _last(start: HTTPResponseStartEvent) -> HTTPResponseStartEvent:
    """Return the beginning of an answer that is the last one of its connection."""
    return {**start, "headers": [*start["headers"], (b"connection", b"close")]}


class _Body:
    """The body of one request, and whether its end has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False
        self.given_up = False

    async def receive(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """Receive the next message for the application."""
        message = await self._receive()
        if message["type"] != "http.request" or not message["more_body"]:
            self._ended = True
        return message

    async def drained(self) -> bool:
        """Read the rest and tell whether it came to an end within the bounds."""
        unread = 0
        with trio.move_on_after(bounds.API_UNREAD_S_MAX):
            while not self._ended and unread <= bounds.API_UNREAD_BYTES_MAX:
                message = await self.receive()
                if message["type"] == "http.request":
                    unread += len(message["body"])
        return self._ended

    async def discard(self) -> None:
        """Read without end, until the client is gone."""
        while not self._ended:
            await self.receive()
