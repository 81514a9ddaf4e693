"""The routes about signing in, events, and what devices sign (spec/09)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any

import trio
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation
from litestar.response import Stream

from maillon.node import bounds, cursors
from maillon.node.api import access_shapes as shapes
from maillon.node.api import shapes as record_shapes
from maillon.node.api.accessports import Person
from maillon.node.api.auth import NewSession, scopes_of
from maillon.node.api.caller import PUBLIC, Caller, Forbidden, Who, needs
from maillon.node.api.gate import session_cookie, session_secret
from maillon.node.api.service import Service
from maillon.node.engine.access import Token, csrf_of
from maillon.node.i18n import _
from maillon.protocol.login import PURPOSE, host_ok

Node = NamedDependency[SkipValidation[Service]]
Asked = Request[Any, Any, Any]
Rows = Annotated[int, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)]
After = Annotated[str, QueryParameter(max_length=cursors.CURSOR_CHARACTERS_MAX)]
EVENT_STREAM = "text/event-stream"


# --- health and who -----------------------------------------------------------------------------


@get("/v1/health", opt=needs(PUBLIC), sync_to_thread=False)
def health() -> shapes.Health:
    """Tell that the node answers, and which versions of the interface it serves."""
    return shapes.Health("ok", ["v1"])


@get("/v1/auth/me", opt=needs(PUBLIC), sync_to_thread=False)
def me(request: Asked, service: Node, caller: Who) -> shapes.CallerOut:
    """Tell who the caller is; of a session, also the CSRF token."""
    secret = session_secret(request.headers.getall("cookie", []))
    by_cookie = secret is not None and "authorization" not in request.headers
    csrf = csrf_of(secret) if secret is not None and by_cookie and caller.kind == "member" else ""
    return _told(service, caller, csrf)


def _told(service: Service, caller: Caller, csrf: str = "") -> shapes.CallerOut:
    person = (
        service.door.access.directory.by_author(caller.author)
        if caller.author is not None
        else None
    )
    return shapes.CallerOut(
        kind=caller.kind,
        author="" if caller.author is None else caller.author.hex(),
        person="" if caller.author is None else caller.author[33:].hex(),
        name="" if person is None else person.name,
        scopes=sorted(caller.scopes),
        csrf=csrf,
    )


def _host(request: Asked) -> str:
    return request.headers.get("host", "").lower()


def _origin(service: Service, request: Asked) -> str:
    host = _host(request)
    site = service.door.site
    return f"http://{host}" if site is None else site.origin_of(host)


@contextmanager
def _attempt(service: Service, caller: Caller) -> Generator[None]:
    """Bound how often one address fails to sign in. Raises: TooMany."""
    if caller.kind == "operator":
        yield
        return
    access = service.door.access
    access.attempt(caller.address, trio.current_time())
    yield
    access.attempt_was_good(caller.address, trio.current_time())


# --- signing in ---------------------------------------------------------------------------------


@get("/v1/auth/challenge", opt=needs(PUBLIC), sync_to_thread=False)
def challenge(request: Asked, service: Node) -> shapes.Challenge:
    """Give what a member's key is to sign, once and within five minutes."""
    access = service.door.access
    host = _host(request)
    if not host_ok(host):
        raise Forbidden(_("The request does not say which host it means."))
    nonce, expires = access.challenge(host)
    return shapes.Challenge(
        PURPOSE, access.fed.hex(), access.coop.hex(), host, nonce.hex(), expires
    )


@post("/v1/auth/login", status_code=201, opt=needs(PUBLIC), sync_to_thread=False)
def login(
    request: Asked, service: Node, caller: Who, data: JSONBody[shapes.LoginRequest]
) -> Response[shapes.SignedIn]:
    """Sign in with the signature of a challenge, for a session or a token."""
    access = service.door.access
    key = bytes.fromhex(data.key)
    with _attempt(service, caller):
        person = access.prove(
            key=key,
            nonce=bytes.fromhex(data.nonce),
            signature=bytes.fromhex(data.signature),
            host=_host(request),
        )
    wanted = frozenset(data.scopes) if data.scopes is not None else scopes_of(person)
    if data.want == "session":
        return _session(
            service, access.begin_session(person, key=key, method="key", scopes=wanted), person
        )
    made = access.make_token(
        None, person=person, scopes=wanted, label=data.label, days=data.days, key=key
    )
    signed_in = Caller("member", person.author, key, made.token.scopes, made.token.id)
    answer = shapes.SignedIn(
        _told(service, signed_in), made.token.expires, made.token.id, made.text
    )
    return Response(answer, status_code=201)


@post("/v1/auth/session", status_code=201, opt=needs(PUBLIC), sync_to_thread=False)
def begin_session(
    service: Node, caller: Who, data: JSONBody[shapes.TokenSessionRequest]
) -> Response[shapes.SignedIn]:
    """Begin a session of a browser with a token of a person."""
    access = service.door.access
    with _attempt(service, caller):
        shown = access.by_token(data.token)
    person = None if shown.author is None else access.directory.by_author(shown.author)
    if person is None:
        raise Forbidden(_("Sessions are of people; this token is of a program."))
    new = access.begin_session(person, key=shown.key or b"", method="token", scopes=shown.scopes)
    return _session(service, new, person)


def _session(service: Service, new: NewSession, person: Person) -> Response[shapes.SignedIn]:
    session = new.session
    caller = Caller("member", person.author, session.key or None, session.scopes, session.id)
    return Response(
        shapes.SignedIn(_told(service, caller, csrf_of(new.secret)), session.expires, session.id),
        status_code=201,
        headers={"Set-Cookie": session_cookie(new.secret, session.expires - session.created)},
    )


@post("/v1/auth/logout", status_code=200, opt=needs(PUBLIC), sync_to_thread=False)
def logout(service: Node, caller: Who) -> Response[shapes.Done]:
    """End the session or token that the request came with."""
    store = service.door.access.store
    if caller.id:
        store.end_session(caller.id)
        store.revoke_token(caller.id, service.door.access.now())
    return Response(shapes.Done(), headers={"Set-Cookie": session_cookie(None, 0)})


@get("/v1/auth/sessions", opt=needs("read"), sync_to_thread=False)
def list_sessions(service: Node, caller: Who) -> shapes.Sessions:
    """List one's own sessions."""
    access = service.door.access
    found = [] if caller.author is None else access.store.sessions(caller.author, access.now())
    return shapes.Sessions(
        [
            shapes.SessionOut(
                session.id,
                session.method,
                session.created,
                session.last_used,
                min(session.expires, session.idle_until),
                session.id == caller.id,
            )
            for session in found
        ]
    )


@post("/v1/auth/sessions/{id:str}/end", status_code=200, opt=needs("read"), sync_to_thread=False)
def end_session(service: Node, caller: Who, id: FromPath[str]) -> shapes.Done:
    """End a session."""
    service.door.access.end_session(caller, id)
    return shapes.Done()


@post("/v1/auth/end", status_code=200, opt=needs("read"), sync_to_thread=False)
def end_all(service: Node, caller: Who, data: JSONBody[shapes.EndRequest]) -> shapes.Ended:
    """End every session and token of a person and forget their passkeys."""
    access = service.door.access
    author = caller.author
    if data.person is not None:
        author = access.directory.find(data.person).author
        if author != caller.author:
            caller.require("desk")
    if author is None:
        raise Forbidden(_("Say whose."))
    return shapes.Ended(access.store.end_all(author, access.now()))


# --- tokens -------------------------------------------------------------------------------------


def _token(service: Service, token: Token, text: str = "") -> shapes.TokenOut:
    person = service.door.access.directory.by_author(token.author) if token.author else None
    return shapes.TokenOut(
        id=token.id,
        label=token.label,
        author=token.author.hex(),
        person=token.author[33:].hex(),
        name="" if person is None else person.name,
        scopes=sorted(token.scopes),
        created=token.created,
        expires=token.expires,
        last_used=token.last_used,
        revoked=token.revoked,
        token=text,
    )


@get("/v1/tokens", opt=needs("read"), sync_to_thread=False)
def list_tokens(
    service: Node,
    caller: Who,
    limit: Rows = 100,
    after: After = "",
) -> shapes.Tokens:
    """List one's own tokens; of everybody for `admin` and the operator."""
    author = None if caller.may("admin") else caller.author
    if author is None and not caller.may("admin"):
        return shapes.Tokens([], None)
    place = cursors.read("tokens", after, str)[0] if after else ""
    found = service.door.access.store.tokens(author, place, limit + 1)
    rows = [_token(service, token) for token in found[:limit]]
    following = cursors.written("tokens", rows[-1].id) if len(found) > limit else None
    return shapes.Tokens(rows, following)


@post("/v1/tokens", status_code=201, opt=needs("read"), sync_to_thread=False)
def make_token(service: Node, caller: Who, data: JSONBody[shapes.TokenRequest]) -> shapes.TokenOut:
    """Make a token for oneself; the desk also for others, the operator also for programs."""
    access = service.door.access
    person: Person | None = None
    if data.person is not None:
        if caller.author is None or not caller.author[33:].hex() == data.person:
            caller.require("desk")
        person = access.directory.find(data.person)
    elif not data.program:
        if caller.author is None:
            raise Forbidden(_("Say for whom: `person`, or `program` for a program of the coop."))
        person = access.directory.by_author(caller.author)
    else:
        caller.require("admin")
    made = access.make_token(
        caller, person=person, scopes=data.scopes, label=data.label, days=data.days
    )
    return _token(service, made.token, made.text)


@post("/v1/tokens/{id:str}/revoke", status_code=200, opt=needs("read"), sync_to_thread=False)
def revoke_token(service: Node, caller: Who, id: FromPath[str]) -> shapes.TokenOut:
    """End a token at once."""
    return _token(service, service.door.access.revoke_token(caller, id))


# --- passkeys -----------------------------------------------------------------------------------


def _person(service: Service, caller: Caller) -> Person:
    person = (
        None if caller.author is None else service.door.access.directory.by_author(caller.author)
    )
    if person is None:
        raise Forbidden(_("Passkeys are of people who are signed in."))
    return person


@get("/v1/auth/passkeys", opt=needs("read"), sync_to_thread=False)
def list_passkeys(service: Node, caller: Who) -> shapes.Passkeys:
    """List one's own passkeys."""
    found = [] if caller.author is None else service.door.access.store.passkeys(caller.author)
    return shapes.Passkeys(
        [shapes.PasskeyOut(key.id.hex(), key.label, key.created, key.last_used) for key in found]
    )


@post("/v1/auth/passkeys/options", status_code=200, opt=needs("read"), sync_to_thread=False)
def passkey_options(request: Asked, service: Node, caller: Who) -> shapes.PasskeyOptions:
    """Give what a browser needs to make a passkey."""
    person = _person(service, caller)
    return shapes.PasskeyOptions(service.door.passkeys.creation_options(person, _host(request)))


@post("/v1/auth/passkeys", status_code=201, opt=needs("read"), sync_to_thread=False)
def add_passkey(
    request: Asked, service: Node, caller: Who, data: JSONBody[shapes.PasskeyRequest]
) -> shapes.PasskeyOut:
    """Keep a passkey that a browser made."""
    made = service.door.passkeys.register(
        _person(service, caller),
        data.credential,
        data.label,
        host=_host(request),
        origin=_origin(service, request),
    )
    return shapes.PasskeyOut(made.id.hex(), made.label, made.created, made.last_used)


@post("/v1/auth/passkeys/{id:str}/remove", status_code=200, opt=needs("read"), sync_to_thread=False)
def remove_passkey(service: Node, caller: Who, id: FromPath[str]) -> shapes.Done:
    """Forget a passkey."""
    service.door.passkeys.remove(_person(service, caller).author, id)
    return shapes.Done()


@get("/v1/auth/passkeys/challenge", opt=needs(PUBLIC), sync_to_thread=False)
def passkey_challenge(request: Asked, service: Node) -> shapes.PasskeyOptions:
    """Give what a browser needs to sign in with a passkey."""
    return shapes.PasskeyOptions(service.door.passkeys.request_options(_host(request)))


@post("/v1/auth/passkeys/login", status_code=201, opt=needs(PUBLIC), sync_to_thread=False)
def passkey_login(
    request: Asked, service: Node, caller: Who, data: JSONBody[shapes.PasskeyRequest]
) -> Response[shapes.SignedIn]:
    """Begin a session with a passkey."""
    with _attempt(service, caller):
        person = service.door.passkeys.prove(
            data.credential, host=_host(request), origin=_origin(service, request)
        )
    new = service.door.access.begin_session(person, key=b"", method="passkey")
    return _session(service, new, person)


# --- events -------------------------------------------------------------------------------------


@get("/v1/events", opt=needs("read"), media_type=EVENT_STREAM, sync_to_thread=False)
def events(
    request: Asked,
    service: Node,
    caller: Who,
    topic: Annotated[list[str] | None, QueryParameter(max_items=16)] = None,
    last: Annotated[str, QueryParameter(max_length=64)] = "",
) -> Stream:
    """Tell what happens to the caller's affairs, as server-sent events, until either side ends it.

    `topic` leaves only events of these topics; `last` is the id to go on after, for clients that
    cannot send Last-Event-ID.
    """
    access = service.door.access
    lines = service.door.events.listen(
        caller,
        topics=frozenset(topic or ()),
        last=request.headers.get("last-event-id", last),
        still=lambda: access.again(caller),
    )
    return Stream(lines, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


# --- what devices sign, and their letters -------------------------------------------------------


@post("/v1/drafts", status_code=200, opt=needs("publish"), sync_to_thread=False)
def draft(service: Node, caller: Who, data: JSONBody[shapes.DraftRequest]) -> shapes.DraftOut:
    """Draft a record, to be signed on a device; nothing is kept of it."""
    return service.door.draft(data, caller)


@post("/v1/records/signed", status_code=201, opt=needs("publish"), sync_to_thread=False)
def submit(
    service: Node, caller: Who, data: JSONBody[shapes.SignedRecordRequest]
) -> record_shapes.Published:
    """Publish a record that was signed on a device; it passes the gate of strangers' records."""
    return service.door.submit(data, caller)


@get("/v1/letters", opt=needs("exchange"), sync_to_thread=False)
def letters(
    service: Node,
    caller: Who,
    sealing: Annotated[str, QueryParameter(pattern="^[0-9a-f]{64}$")],
    limit: Annotated[int, QueryParameter(ge=1, le=256)] = 50,
    after: After = "",
) -> shapes.Letters:
    """List the letters that wait for a device, by its sealing key, in the order they came."""
    place = cursors.read("letters", after, int)[0] if after else 0
    return service.door.letters(bytes.fromhex(sealing), place, limit, caller)


@post("/v1/letters/taken", status_code=200, opt=needs("exchange"), sync_to_thread=False)
def taken(service: Node, caller: Who, data: JSONBody[shapes.TakenRequest]) -> shapes.Taken:
    """Say that a device has opened and kept letters, so that the node forgets them."""
    return service.door.taken(data, caller)


ACCESS_ROUTES = (
    health,
    me,
    challenge,
    login,
    begin_session,
    logout,
    list_sessions,
    end_session,
    end_all,
    list_tokens,
    make_token,
    revoke_token,
    list_passkeys,
    passkey_options,
    add_passkey,
    remove_passkey,
    passkey_challenge,
    passkey_login,
    events,
    draft,
    submit,
    letters,
    taken,
)
