"""Keys for the simulator: a fast stand-in for Ed25519, or the real thing.

The ledger's machines take their keys and the verification of signatures as arguments, so the
simulator may choose. A real signature costs some 30 µs and its verification 60 to 120; the
stand-in, a keyed hash of 64 bytes, costs 2. It is no signature (whoever knows the public key can
make it), which is enough here: liars in the simulator sign with their own keys only. One plan in
two hundred uses Ed25519 all the same, so that nothing comes to rest on the stand-in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from maillon.protocol.ids import Key
from maillon.protocol.keys import SigningKey, signing_bytes, strict_encodings_ok

Item = tuple[bytes, bytes, bytes]
"""Public key, message with its prefix, signature."""

OnSign = Callable[[bytes, str, bytes], None]
"""`on_sign(public, purpose, body)` is called with everything that a key signs."""


class Signer(Protocol):
    """What the machines ask of a key."""

    public: Key

    def sign(self, purpose: str, body: bytes) -> bytes: ...


class MacKey:
    """The stand-in: "signs" with a keyed hash under the public bytes."""

    __slots__ = ("label", "on_sign", "public")

    def __init__(self, label: str) -> None:
        self.label = label
        self.public = Key(hashlib.sha256(b"simulated key\0" + label.encode()).digest())
        self.on_sign: OnSign | None = None

    def sign(self, purpose: str, body: bytes) -> bytes:
        if self.on_sign is not None:
            self.on_sign(self.public, purpose, body)
        return _mac(self.public, signing_bytes(purpose, body))


class RealKey:
    """Ed25519, with the same hook."""

    __slots__ = ("_key", "label", "on_sign", "public")

    def __init__(self, label: str) -> None:
        self.label = label
        self._key = _real(label)
        self.public = self._key.public
        self.on_sign: OnSign | None = None

    def sign(self, purpose: str, body: bytes) -> bytes:
        if self.on_sign is not None:
            self.on_sign(self.public, purpose, body)
        return self._key.sign(purpose, body)


SimKey = MacKey | RealKey


@lru_cache(maxsize=4_096)
def _real(label: str) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(b"simulated key\0" + label.encode()).digest())


def _mac(public: bytes, message: bytes) -> bytes:
    return hashlib.blake2b(message, key=public, digest_size=64).digest()


def verify_mac(items: Sequence[Item]) -> list[bool]:
    """Check stand-in signatures."""
    return [_mac(public, message) == signature for public, message, signature in items]


def verify_real(items: Sequence[Item]) -> list[bool]:
    """Check Ed25519 signatures by the strict rule."""
    return [_ed25519(*item) for item in items]


def _ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    if not strict_encodings_ok(public, signature):
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True



def make_key(label: str, *, real: bool) -> SimKey:
    """Make the key of a label, the same in each run."""
    return RealKey(label) if real else MacKey(label)


def same_key(key: SimKey, on_sign: OnSign) -> SimKey:
    """Return another copy of a key, whose signatures are told to `on_sign`."""
    copy = type(key)(key.label)
    copy.on_sign = on_sign
    return copy


class Salts:
    """Draw salts for entries, the same in each run."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._seed + self._count.to_bytes(8, "big")).digest(size)
