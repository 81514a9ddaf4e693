"""Decide who may sign in and what sessions, tokens and passkeys are (spec/09, "Who calls").

Pure: the time, random bytes and what was stored are arguments. What is given out as a secret is
kept as a hash only; the store never sees the secret itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

SECRET_BYTES: Final = 32
TOKEN_PREFIX: Final = "mln_"
"""Begins every token, so that programs that look for leaked secrets know one."""

_TAG: Final = 16
_RANDOM: Final = 24
_EXPIRES: Final = 8


@dataclass(frozen=True, slots=True)
class Token:
    """A token: `id` is public (16 hexadecimal), `author` empty for a program of the coop."""

    id: str
    label: str
    author: bytes
    scopes: frozenset[str]
    created: int
    expires: int
    last_used: int
    revoked: int
    """Unix seconds, 0 while it is not."""
    key: bytes = b""
    """The key that signed in to get it; when that key ends, so does the token. Empty for none."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a browser: the cookie is kept as a hash."""

    id: str
    author: bytes
    key: bytes
    """The key that signed in; empty after a passkey or a token."""
    method: str
    """`key`, `passkey` or `token`."""
    created: int
    expires: int
    idle_until: int
    last_used: int
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey of a person: `id` is the credential's, `public` its COSE key."""

    id: bytes
    author: bytes
    public: bytes
    count: int
    label: str
    created: int
    last_used: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a POST under an Idempotency-Key; `status` 0 while it is being done."""

    request: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    at: int


def hashed(secret: bytes) -> bytes:
    """Return what is kept of a secret of SECRET_BYTES random bytes.

    They cannot be guessed, so one SHA-256 is enough; a slow hash protects what people choose.
    """
    return hashlib.sha256(b"maillon/1/secret\0" + secret).digest()


def token_text(secret: bytes) -> str:
    """Return a token as its owner sees it, once."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def read_token(text: str) -> bytes | None:
    """Return the secret of a token; None when the text is none."""
    if not text.startswith(TOKEN_PREFIX) or len(text) != len(TOKEN_PREFIX) + 43:
        return None
    try:
        return base64.b64decode(text[len(TOKEN_PREFIX) :] + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def csrf_of(secret: bytes) -> str:
    """Return what a page has to say besides the cookie of a session.

    It comes from the cookie and reads as nothing: a page of another site can send the cookie, and
    read neither it nor this.
    """
    return hmac.digest(secret, b"maillon/1/csrf", "sha256").hex()


class Challenges:
    """Give out nonces and take each once, without remembering those that nobody used.

    A nonce is 24 random bytes, its end in 8 and a tag of 16 under `key`, which is another at each
    start: those given out before it are worth nothing after it. Remembered are only nonces that
    came back with a good signature: strangers cannot fill that memory.
    """

    def __init__(self, key: bytes, *, lifetime_s: int, used_max: int) -> None:
        self._key = key
        self._lifetime_s = lifetime_s
        self._used_max = used_max
        self._used: dict[bytes, int] = {}

    def make(self, host: str, random: bytes, now: int) -> tuple[bytes, int]:
        """Return (nonce, expires) for a sign-in at a host. `random` is 24 bytes."""
        expires = now + self._lifetime_s
        head = random[:_RANDOM] + expires.to_bytes(_EXPIRES, "big")
        return head + self._tag(head, host), expires

    def expiry(self, nonce: bytes, host: str, now: int) -> int | None:
        """Return when a nonce of ours ends; None when it is not ours, not for this host, or over.

        A nonce that was used is over.
        """
        head, tag = nonce[: _RANDOM + _EXPIRES], nonce[_RANDOM + _EXPIRES :]
        if not hmac.compare_digest(tag, self._tag(head, host)) or nonce in self._used:
            return None
        expires = int.from_bytes(head[_RANDOM:], "big")
        return expires if now <= expires else None

    def use(self, nonce: bytes, expires: int, now: int) -> bool:
        """Take a nonce that `expiry` found good; False when too many were taken of late."""
        if len(self._used) >= self._used_max:
            self._used = {old: end for old, end in self._used.items() if end >= now}
            if len(self._used) >= self._used_max:
                return False
        self._used[nonce] = expires
        return True

    def _tag(self, head: bytes, host: str) -> bytes:
        return hmac.digest(self._key, head + host.encode(), "sha256")[:_TAG]
