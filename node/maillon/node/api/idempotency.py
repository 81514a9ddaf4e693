"""Do a POST once, however often it arrives (spec/09, "Repeating a request").

A client that lost the answer sends the same request with the same Idempotency-Key again and gets
the answer that it lost. Before anything is done, the key and a digest of the request are on the
disk; the answer follows when it is known. A node that died between the two cannot tell what became
of the request and says so, rather than to do it twice.
(Source: the IETF draft "The Idempotency-Key HTTP Header Field".)
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from typing import Any, ClassVar, Final, cast

import trio
from litestar import Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from maillon.node import bounds as node_bounds
from maillon.node.api import bounds, problems
from maillon.node.api.accessports import AccessStore
from maillon.node.api.caller import Caller
from maillon.node.api.gate import IDEMPOTENCY_HEADER as HEADER
from maillon.node.api.gate import answer
from maillon.node.engine.access import Kept
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError, MaillonError

log = logging.getLogger("maillon.api")

REPLAYED: Final = (b"idempotency-replayed", b"true")
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,64}")
_GONE: Final = 410

# Nothing was done when one of these is the answer: the same request may be tried again.
_NOT_DONE: Final = frozenset({401, 403, 408, 413, 421, 429, 503, 507})
# What of an answer belongs to its content. The rest belongs to the connection that carried it, and
# a cookie or a secret is given once.
_KEPT_HEADERS: Final = frozenset({b"content-type", b"content-language", b"location"})
# Their answers carry a secret, which nothing here may keep.
SECRET_PATHS: Final = ("/v1/auth/", "/v1/tokens")


Settle = Callable[[int, tuple[tuple[str, str], ...], bytes | None], None]
"""Notes status, headers and body of an answer; the body None when it was too long to keep."""


class BadKey(LocalError):
    """The header is not a key, or stands where none belongs."""

    code: ClassVar[str] = "request"


class Mismatch(LocalError):
    """The key was used for another request."""

    code: ClassVar[str] = "idempotency_mismatch"


class Running(LocalError):
    """The first request under the key is still being done."""

    code: ClassVar[str] = "idempotency_running"


class Unknown(LocalError):
    """Nobody knows any more what became of the first request, or what was answered."""

    code: ClassVar[str] = "idempotency_unknown"


class TooManyKept(LocalError):
    """More answers would have to be kept than the bounds allow."""

    code: ClassVar[str] = "quota"


def name_of(caller: Caller) -> bytes:
    """Return whose keys a caller's are: a person's on all their devices, a program's, ours."""
    if caller.author is not None:
        return caller.author
    return b"token " + caller.id.encode() if caller.kind == "token" else caller.kind.encode()


class Idempotent:
    """The application, doing each POST with a key once. `now` returns Unix seconds."""

    def __init__(self, app: ASGIApp, store: AccessStore, now: Callable[[], int]) -> None:
        self._app = app
        self._store = store
        self._now = now
        self._running: dict[tuple[bytes, bytes], trio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        http: HTTPScope = scope
        found = [value for name, value in http["headers"] if name.lower() == HEADER]
        # Not every server names it; the type says that all do.
        caller = cast("dict[str, Any]", http).get("auth")
        if (
            http["method"] != "POST"
            or not found
            # Who is nobody has nothing that could be done twice, and no right to our memory.
            or not isinstance(caller, Caller)
            or caller.kind == "public"
            or http["path"].startswith(SECRET_PATHS)
        ):
            await self._app(scope, receive, send)
            return
        try:
            await self._once(http, receive, send, name_of(caller), found)
        except MaillonError as fault:
            await answer(problems.maillon_problem(fault), send)

    async def _once(
        self, scope: HTTPScope, receive: Receive, send: Send, caller: bytes, found: list[bytes]
    ) -> None:
        if len(found) != 1 or not _KEY.fullmatch(found[0]):
            raise BadKey(_("An Idempotency-Key is 1 to 64 printing characters without spaces."))
        body = await _body(receive)
        if body is None:
            # Too long to be kept, or the client left: the handler answers as it would without.
            raise BadKey(_("A request with an Idempotency-Key has at most 256 KiB."))
        request = _digest(scope, body)
        place = (caller, found[0])
        until = trio.current_time() + bounds.SAME_REQUEST_WAIT_S
        while (running := self._running.get(place)) is not None:
            with trio.move_on_at(until):
                await running.wait()
                continue
            raise Running(_("The first request with this key is still being done."), retry_after=5)
        kept = self._store.kept(*place)
        if kept is not None and kept.at <= self._now() - bounds.ANSWER_KEPT_S:
            self._store.undone(*place)
            kept = None
        if kept is not None:
            await _replay(kept, request, send)
            return
        if (
            self._store.count_kept(caller) >= bounds.ANSWERS_PER_CALLER_MAX
            or self._store.count_kept() >= bounds.ANSWERS_KEPT_MAX
        ):
            raise TooManyKept(_("Too many requests with keys today; ask without one, or later."))
        self._running[place] = trio.Event()
        try:
            self._store.begin(*place, request, self._now())
            await self._do(scope, receive, send, body, place, request)
        finally:
            self._running.pop(place).set()

    async def _do(
        self,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
        body: bytes,
        place: tuple[bytes, bytes],
        request: bytes,
    ) -> None:
        """Do the request and keep its answer; send it when it is on the disk."""

        def settle(status: int, headers: tuple[tuple[str, str], ...], said: bytes | None) -> None:
            if status in _NOT_DONE:
                self._store.undone(*place)
            elif status < 500:
                kept = Kept(request, status, headers, said or b"", self._now())
                if said is None:
                    kept = Kept(request, _GONE, (), b"", self._now())
                self._store.done(*place, kept)
            # After an answer of 500 nobody knows what was done: the row stays as it was begun.

        recorder = _Recorder(send, settle)
        await self._app(scope, _Replayed(body, receive).receive, recorder.send)


def _digest(scope: HTTPScope, body: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in (scope["method"].encode(), scope["raw_path"], scope["query_string"], body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body; None when it is too long or the client left."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message["body"])
        length += len(message["body"])
        if length > node_bounds.API_BODY_BYTES_MAX:
            return None
        if not message["more_body"]:
            return b"".join(parts)


async def _replay(kept: Kept, request: bytes, send: Send) -> None:
    """Answer again. Raises: Mismatch, Unknown."""
    if kept.request != request:
        raise Mismatch(
            _("This key was used for another request."), hint=_("Draw a new key for each request.")
        )
    if kept.status == 0:
        raise Unknown(
            _("The node stopped while it did this; it does not know whether it was done."),
            hint=_("Look whether it was; if not, ask again with a new key."),
        )
    if kept.status == _GONE:
        raise Unknown(_("This was done; what was answered is not kept any more."))
    response = Response(
        kept.body,
        status_code=kept.status,
        headers={**dict(kept.headers), "Idempotency-Replayed": "true"},
        media_type=dict(kept.headers).get("content-type", "application/json"),
    )
    response.headers.pop("content-type", None)
    await answer(response, send)


class _Replayed:
    """The body that was read already, and then whatever comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def receive(self) -> Any:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()


class _Recorder:
    """Pass an answer on, and note it before its end is sent."""

    def __init__(self, send: Send, settle: Settle) -> None:
        self._send = send
        self._settle = settle
        self._start: dict[str, Any] | None = None
        self._parts: list[bytes] = []
        self._length = 0
        self._held: list[Message] = []

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = cast("dict[str, Any]", message)
            self._held.append(message)
            return
        if message["type"] != "http.response.body" or self._start is None:
            await self._send(message)
            return
        self._length += len(message["body"])
        if self._length <= bounds.ANSWER_BYTES_MAX:
            self._parts.append(message["body"])
        if message["more_body"]:
            # A stream goes out as it comes; it is noted when it has ended.
            await self._flush()
            await self._pass_on(message)
            return
        self._settle(
            int(self._start["status"]),
            tuple(
                (name.decode("latin-1").lower(), value.decode("latin-1"))
                for name, value in self._start["headers"]
                if name.lower() in _KEPT_HEADERS
            ),
            b"".join(self._parts) if self._length <= bounds.ANSWER_BYTES_MAX else None,
        )
        await self._flush()
        await self._pass_on(message)

    async def _flush(self) -> None:
        for held in self._held:
            await self._pass_on(held)
        self._held.clear()

    async def _pass_on(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as fault:
            log.debug("an answer found nobody", exc_info=fault)
