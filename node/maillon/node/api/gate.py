"""Stand in front of the interface over TCP: who is it, from where, how often (spec/09).

In this order: the Host header names us (a page that has its own name point here does not get in),
the Origin is ours, the address does not ask too often, a token or session says who it is, the
caller does not ask too often, and a request that a cookie came with says the session's CSRF token.

Programs say that token in a header. The forms of pages say it in their field `csrf`; where nobody
is signed in it belongs to a cookie of its own, so that no other site's form signs somebody in. The
field `once` of a form is an Idempotency-Key: sent twice, a form is done once.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

import trio
from litestar import Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from maillon.node.api import bounds, fields, problems
from maillon.node.api.auth import Access
from maillon.node.api.caller import NOBODY, THE_OPERATOR, Caller, NotSignedIn
from maillon.node.api.ratelimit import Rates
from maillon.node.engine.access import csrf_of
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError, MaillonError

COOKIE: Final = "__Host-maillon"
"""The prefix has browsers refuse it without Secure, with a Domain, or for another path."""
FORM_COOKIE: Final = "__Host-maillon-form"
"""What the forms of somebody who is not signed in are bound to."""
API: Final = "/v1/"
"""What programs ask begins so; pages are all the rest."""
CSRF_HEADER: Final = b"x-csrf-token"
CSRF_FIELD: Final = "csrf"
ONCE_FIELD: Final = "once"
IDEMPOTENCY_HEADER: Final = b"idempotency-key"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CORS_HEADERS: Final = "authorization, content-type, idempotency-key, last-event-id, accept-language"

SECURITY_HEADERS: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")


class WrongHost(LocalError):
    """The request is meant for another host."""

    code: ClassVar[str] = "host"


class WrongOrigin(LocalError):
    """A page of another origin asks for a change."""

    code: ClassVar[str] = "origin"


class CsrfMissing(LocalError):
    """A request with a cookie does not say the session's CSRF token."""

    code: ClassVar[str] = "csrf"


class TooLong(LocalError):
    """A form is longer than the bounds allow."""

    code: ClassVar[str] = "too_large"


class TooSlow(LocalError):
    """The body of a request took too long to come."""

    code: ClassVar[str] = "too_slow"


@dataclass(frozen=True, slots=True)
class Site:
    """Under which names the node is reached, and who else may read it.

    `hosts` are values of Host, `origins` those of Origin that are ours; `others` are foreign
    origins that may read with a token (CORS); `https` is whether all of it goes through TLS;
    `proxied` whether the last entry of X-Forwarded-For is the client's address.
    """

    hosts: frozenset[str]
    origins: frozenset[str]
    others: frozenset[str] = frozenset()
    https: bool = False
    proxied: bool = False
    public_host: str = ""

    def origin_of(self, host: str) -> str:
        """Return the origin of pages that a host serves."""
        secure = self.https and host == self.public_host
        return f"{'https' if secure else 'http'}://{host}"


def site(bound: str, public_url: str, others: Iterable[str], proxied: bool) -> Site:
    """Return the site of a listener bound to "host:port" and the settings."""
    host, _colon, port = bound.rpartition(":")
    hosts = {bound}
    if host in ("127.0.0.1", "[::1]"):
        hosts |= {f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"}
    if port == "80":
        hosts |= {name.removesuffix(":80") for name in hosts}
    origins = {f"http://{name}" for name in hosts}
    public = urlsplit(public_url)
    if public.netloc:
        hosts.add(public.netloc.lower())
        origins.add(f"{public.scheme}://{public.netloc.lower()}")
    return Site(
        frozenset(hosts),
        frozenset(origins),
        frozenset(others),
        public.scheme == "https",
        proxied,
        public.netloc.lower(),
    )


def with_methods(app: ASGIApp) -> ASGIApp:
    """Return the application answering HEAD as GET without a body, and OPTIONS with all methods.

    The framework does the first not at all and the second for one handler of several (RFC 9110,
    9.3.2 and 9.3.7).
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] not in ("HEAD", "OPTIONS"):
            await app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        # No route answers to TRACE: its refusal names those that are answered.
        asked = cast(Scope, {**scope, "method": "GET" if head else "TRACE"})
        # What lasts, as the events do, would last without anybody to read it.
        with trio.CancelScope() as enough:

            async def told(message: Message) -> None:
                if message["type"] != "http.response.start":
                    return
                if not head and message["status"] == 405:
                    headers = [pair for pair in message["headers"] if pair[0].lower() == b"allow"]
                    message = cast(Message, {**message, "status": 204, "headers": headers})
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                enough.cancel()

            await app(asked, receive, told)

    return serve


def operators(app: ASGIApp) -> ASGIApp:
    """Return the application for the Unix socket: whoever can open it is the operator."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            scope["auth"] = THE_OPERATOR
        await app(scope, receive, send)

    return serve


class Gate:
    """The application for TCP."""

    def __init__(
        self, app: ASGIApp, access: Access, site: Site, *, per_s: float, burst: float
    ) -> None:
        self._app = app
        self._access = access
        self._site = site
        self._addresses = Rates(per_s, burst)
        self._callers = Rates(per_s, burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI 3)."""
        if scope["type"] == ScopeType.WEBSOCKET:
            await send(cast(Any, {"type": "websocket.close", "code": 1008, "reason": ""}))
            return
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        http: HTTPScope = scope
        head = _Head(scope["headers"])
        origin = head.one(b"origin")
        allowed = origin is not None and origin in self._site.others
        guarded = self._guarded(send, origin if allowed else None)
        try:
            self._check_place(http, head, origin)
            if http["method"] == "OPTIONS":
                if head.has(b"access-control-request-method"):
                    await self._preflight(guarded, allowed)
                    return
            arriving: Receive = _InTime(receive).receive
            if http["method"] in ("GET", "HEAD", "POST"):
                http["auth"] = self._who(http, head)
                if _is_form(http, head):
                    arriving = await self._form(http, head, arriving)
            else:
                # No route answers to another method, whoever asks.
                self._addresses.take(self._address(http, head), trio.current_time())
        except MaillonError as fault:
            await answer(problems.maillon_problem(fault), guarded)
            return
        await self._app(scope, arriving, guarded)

    # --- from where -----------------------------------------------------------------------------

    def _check_place(self, scope: HTTPScope, head: _Head, origin: str | None) -> None:
        host = head.one(b"host")
        if host is None or host.lower() not in self._site.hosts:
            raise WrongHost(
                _("This node is not reached under that name."),
                hint=_("Its operator sets [api] public_url in config.toml."),
            )
        scope["headers"] = [
            (name, value.lower() if name == b"host" else value) for name, value in scope["headers"]
        ]
        if scope["method"] in SAFE_METHODS or not head.has(b"origin"):
            return
        if origin not in self._site.origins and origin not in self._site.others:
            raise WrongOrigin(_("Pages of another site may not change anything here."))

    async def _preflight(self, send: Send, allowed: bool) -> None:
        headers: dict[str, str] = {}
        if allowed:
            headers = {
                "Access-Control-Allow-Methods": "GET, POST",
                "Access-Control-Allow-Headers": CORS_HEADERS,
                "Access-Control-Max-Age": "600",
            }
        await answer(Response(b"", status_code=204, headers=headers), send)

    def _guarded(self, send: Send, cors: str | None) -> Send:
        more = list(SECURITY_HEADERS)
        if self._site.https:
            more.append(HSTS)
        if self._site.others:
            more.append((b"vary", b"Origin"))
        if cors is not None:
            more.append((b"access-control-allow-origin", cors.encode("latin-1")))
            more.append((b"access-control-expose-headers", b"retry-after, idempotency-replayed"))

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                there = {name.lower() for name, _value in headers}
                headers += [pair for pair in more if pair[0] not in there or pair[0] == b"vary"]
                message = cast(Message, {**message, "headers": headers})
            await send(message)

        return guarded

    # --- who ------------------------------------------------------------------------------------

    def _address(self, scope: HTTPScope, head: _Head) -> str:
        client = scope["client"]
        address = client[0] if client else ""
        if self._site.proxied:
            # The proxy appends whom it sees; what stands before that is the client's own word.
            last = head.last(b"x-forwarded-for").rpartition(",")[2].strip()
            if 0 < len(last) <= 64:
                address = last
        return _network(address)

    def _who(self, scope: HTTPScope, head: _Head) -> Caller:
        """Return who calls. Raises: TooMany, NotSignedIn, CsrfMissing."""
        address = self._address(scope, head)
        now = trio.current_time()
        caller: Caller | None = None
        if head.has(b"authorization"):
            kind, _space, token = (head.one(b"authorization") or "").partition(" ")
            self._addresses.take(address, now)
            if kind.lower() != "bearer":
                raise NotSignedIn(_("Tokens are shown as: Authorization: Bearer …"))
            caller = self._access.by_token(token.strip(), address)
        elif (secret := session_secret(head.all(b"cookie"))) is not None:
            self._addresses.take(address, now)
            try:
                caller = self._access.by_session(secret, address)
            except NotSignedIn:
                # An old cookie is no fault of who only looks around.
                caller = None
            else:
                if not _is_form(scope, head):
                    self._check_csrf(scope["method"], head, secret)
        else:
            self._addresses.take(address, now)
        if caller is None:
            return Caller(NOBODY.kind, address=address)
        self._callers.take(caller.author.hex() if caller.author else caller.id, now)
        return caller

    def _check_csrf(self, method: str, head: _Head, secret: bytes) -> None:
        if method not in SAFE_METHODS:
            self._compare(head.one(CSRF_HEADER) or "", secret)

    async def _form(self, scope: HTTPScope, head: _Head, receive: Receive) -> Receive:
        """Check that a form is one of ours, and return what gives its body again.

        Raises: TooLong, Unreadable, CsrfMissing.
        """
        body = await _whole(receive)
        found = fields.read_fields(head.one(b"content-type") or "", body)
        caller = cast("dict[str, Any]", scope)["auth"]
        once = found.get(ONCE_FIELD, [])
        if len(once) == 1 and once[0] and not head.has(IDEMPOTENCY_HEADER):
            key = (IDEMPOTENCY_HEADER, once[0].encode("latin-1", "replace"))
            scope["headers"] = [*scope["headers"], key]
        if not head.has(b"authorization"):
            name = COOKIE if caller.kind == "member" else FORM_COOKIE
            # htmx and our scripts may say it in the header, as programs do.
            said = [*head.all(CSRF_HEADER), *found.get(CSRF_FIELD, [])]
            secret = secret_of(head.all(b"cookie"), name)
            self._compare(said[0] if said and len(set(said)) == 1 else "", secret)
        return _again(body, receive)

    def _compare(self, said: str, secret: bytes | None) -> None:
        if secret is None or not hmac.compare_digest(
            said.encode("utf-8", "replace"), csrf_of(secret).encode()
        ):
            raise CsrfMissing(
                _("The request does not say the CSRF token of the session."),
                hint=_("GET /v1/auth/me gives it; send it as X-CSRF-Token."),
            )


def session_secret(cookies: Iterable[str]) -> bytes | None:
    """Return what the session's cookie carries; None when there is none of ours."""
    return secret_of(cookies, COOKIE)


def secret_of(cookies: Iterable[str], name: str) -> bytes | None:
    """Return the bytes that a cookie of ours carries; None when there is none."""
    for text in cookies:
        try:
            found = SimpleCookie(text).get(name)
        except CookieError:
            continue
        if found is not None:
            try:
                return base64.b64decode(found.value + "=", altchars=b"-_", validate=True)
            except (binascii.Error, ValueError):
                return None
    return None


def session_cookie(secret: bytes | None, age_s: int) -> str:
    """Return the Set-Cookie of a session, with None the one that ends it."""
    return secret_cookie(COOKIE, secret, age_s)


def secret_cookie(name: str, secret: bytes | None, age_s: int) -> str:
    """Return the Set-Cookie of bytes that only this site reads, with None the one that ends it."""
    value = "" if secret is None else base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    age = 0 if secret is None else age_s
    return f"{name}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict"


def _is_form(scope: HTTPScope, head: _Head) -> bool:
    """Tell whether a request is the form of a page; it says its CSRF token in its body.

    The body is read only once the address and the caller did not ask too often.
    """
    return scope["method"] == "POST" and not scope["path"].startswith(API) and head.is_form()


async def _whole(receive: Receive) -> bytes:
    """Return the body of a form. Raises: TooLong."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise TooLong(_("The form did not come to its end."))
        parts.append(message["body"])
        length += len(message["body"])
        if length > bounds.FORM_BYTES_MAX:
            raise TooLong(_("The form is longer than this node reads."))
        if not message["more_body"]:
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then whatever comes."""
    left = [body]

    async def again() -> Any:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


async def answer(response: Response[bytes], send: Send) -> None:
    """Send an answer that no handler gives."""
    body = response.content
    headers = [
        (name.lower().encode("latin-1"), str(value).encode("latin-1"))
        for name, value in response.headers.items()
    ]
    if body:
        headers.append((b"content-type", str(response.media_type).encode("latin-1")))
    if response.status_code != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send(
        cast(
            Message,
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": headers,
            },
        )
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _network(address: str) -> str:
    """Return what one client can change of its address: of IPv6, only what is below its /64."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address, 64), strict=False))
    except ValueError:
        return address


class _Head:
    """The headers of a request."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._headers = list(headers)

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._headers if key.lower() == name]

    def has(self, name: bytes) -> bool:
        return any(key.lower() == name for key, _value in self._headers)

    def one(self, name: bytes) -> str | None:
        """Return the value of a header that stands there once; None when never or twice."""
        found = self.all(name)
        return found[0] if len(found) == 1 else None

    def is_form(self) -> bool:
        """Tell whether the body is a form's; said twice, it counts as whatever is checked more."""
        return any(fields.is_form(value) for value in self.all(b"content-type"))

    def last(self, name: bytes) -> str:
        found = self.all(name)
        return found[-1] if found else ""


class _InTime:
    """Receive the body of a request, which has TCP_BODY_S to come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._deadline = trio.current_time() + bounds.TCP_BODY_S
        self._ended = False

    async def receive(self) -> Any:
        if self._ended:
            # Now it waits for the client to leave, however long the answer takes.
            return await self._receive()
        with trio.move_on_at(self._deadline):
            message = await self._receive()
            self._ended = message["type"] != "http.request" or not message["more_body"]
            return message
        raise TooSlow(_("The request took too long to come."))
