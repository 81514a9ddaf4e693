"""What goes over the interface about signing in: requests and answers (spec/09).

Ids and keys are hexadecimal text, times Unix seconds. Fields are only ever added.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from maillon.node.api.bounds import TOKEN_DAYS_MAX
from maillon.node.api.shapes import Hex32, Request
from maillon.protocol.login import NONCE_BYTES

Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]
Nonce = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{2 * NONCE_BYTES}}}$")]
Label = Annotated[str, Meta(max_length=80)]
ScopeName = Literal["read", "exchange", "pay", "publish", "desk", "admin"]
Scopes = Annotated[list[ScopeName], Meta(min_length=1, max_length=6)]
TokenDays = Annotated[int, Meta(ge=1, le=TOKEN_DAYS_MAX)]


class Health(Struct):
    """That the node answers. `api` are the versions it serves."""

    status: str
    api: list[str]


class Challenge(Struct):
    """What is to be signed to sign in, for the purpose `login` (spec/09)."""

    purpose: str
    fed: str
    coop: str
    host: str
    nonce: str
    expires: int


class LoginRequest(Request):
    """Answer a challenge. With `want` token the answer carries a token, otherwise a session."""

    key: Hex32
    nonce: Nonce
    signature: Hex64
    want: Literal["session", "token"] = "session"
    scopes: Scopes | None = None
    """What is wanted of what the person may do; all of it when left out."""
    label: Label = ""
    days: TokenDays = 90


class TokenSessionRequest(Request):
    """Begin a session of a browser with a token that the desk handed out."""

    token: Annotated[str, Meta(min_length=8, max_length=64)]


class CallerOut(Struct):
    """Who calls. `author` and `person` are empty where no person stands behind a caller."""

    kind: str
    author: str
    person: str
    name: str
    scopes: list[str]
    csrf: str = ""
    """Of a session: what requests that change something send as X-CSRF-Token."""


class SignedIn(Struct):
    """A session or a token just begun. `token` is said once, here."""

    caller: CallerOut
    expires: int
    id: str
    token: str = ""


class SessionOut(Struct):
    id: str
    method: str
    created: int
    last_used: int
    expires: int
    current: bool


class Sessions(Struct):
    """The sessions of one person that still count."""

    sessions: list[SessionOut]
    next: str | None = None


class Done(Struct):
    """That it was done."""

    done: bool = True


class TokenRequest(Request):
    """Make a token: for oneself, for `person`, or with `program` for a program of the coop."""

    scopes: Scopes
    label: Annotated[str, Meta(min_length=1, max_length=80)]
    days: TokenDays = 90
    person: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    program: bool = False


class TokenOut(Struct):
    """A token. `token` is said once, when it is made; `last_used` is to within five minutes."""

    id: str
    label: str
    author: str
    person: str
    name: str
    scopes: list[str]
    created: int
    expires: int
    last_used: int
    revoked: int
    token: str = ""


class Tokens(Struct):
    tokens: list[TokenOut]
    next: str | None


class PasskeyOptions(Struct):
    """What a browser is asked: `options` is the `publicKey` of the Web Authentication interface."""

    options: dict[str, Any]


class PasskeyRequest(Request):
    """What a browser answered, as `PublicKeyCredential.toJSON()` gives it."""

    credential: Annotated[dict[str, Any], Meta(max_length=16)]
    label: Label = ""


class PasskeyOut(Struct):
    id: str
    label: str
    created: int
    last_used: int


class Passkeys(Struct):
    passkeys: list[PasskeyOut]
    next: str | None = None


class EndRequest(Request):
    """Whose sessions, tokens and passkeys end: one's own, or for the desk those of `person`."""

    person: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class Ended(Struct):
    count: int


# --- signing on a device ------------------------------------------------------------------------


class DraftRequest(Request):
    """Draft a record that a device signs with `key`; the fields are those of `POST /v1/records`."""

    kind: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    payload: dict[str, Any]
    key: Hex32
    days: Annotated[int, Meta(ge=1, le=1_100)] | None = None
    mandate: Hex32 | None = None
    """Thing id of the mandate under which the key's owner acts for somebody."""
    replaces: Annotated[str, Meta(pattern="^[0-9a-f]{8,64}$")] | None = None
    refs: Annotated[list[Hex32], Meta(max_length=8)] = []


class DraftOut(Struct):
    """A draft, in words and in bytes. A device reads it, and signs `header` when it agrees.

    `header` and `payload` are canonical bytes (spec/03) in hexadecimal, `says` the same for people
    and programs. The signature is over "maillon/1/record", a zero byte, and `header`.
    """

    id: str
    kind: str
    purpose: str
    header: str
    payload: str
    until: int
    says: dict[str, Any]


class SignedRecordRequest(Request):
    """A record that was signed on a device: `record`, or its three parts."""

    record: Annotated[str, Meta(pattern="^([0-9a-f]{2}){0,16384}$")] = ""
    header: Annotated[str, Meta(pattern="^([0-9a-f]{2}){0,2048}$")] = ""
    payload: Annotated[str, Meta(pattern="^([0-9a-f]{2}){0,16384}$")] = ""
    signature: Annotated[str, Meta(pattern="^([0-9a-f]{128})?$")] = ""


class LetterOut(Struct):
    """A letter that waits. `letter` are the sealed bytes (spec/08-letters), hexadecimal."""

    id: str
    thread: str
    n: int
    from_coop: str
    until: int
    received_at: int
    letter: str


class Letters(Struct):
    """Letters to one sealing key, in the order of their arrival; go on with `next` as `after`."""

    letters: list[LetterOut]
    next: str | None


class TakenRequest(Request):
    """Letters that a device has opened and kept; the node forgets them."""

    sealing: Hex32
    ids: Annotated[list[Hex32], Meta(min_length=1, max_length=256)]


class Taken(Struct):
    count: int
