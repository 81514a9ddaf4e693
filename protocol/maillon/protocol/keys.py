"""Hold keys, sign, and decide whether a signature counts (spec/02).

Verifiers of Ed25519 disagree at the edges: OpenSSL accepts keys of small order, under which one
signature fits every message; some libraries multiply by the cofactor, others do not; some accept
points and scalars written in a second way. Two nodes that disagree about one signature disagree
about which records exist. So the rule is part of the format, and has two halves:

1. `strict_encodings_ok`, on the bytes alone: S below L, A and R canonical, neither of small order.
2. The cofactorless equation, R = [S]B - [k]A compared as encoded bytes, by a backend.

The first half removes every case on which the backends of the second are known to differ.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from maillon.protocol.errors import BadKey, BadSecret, BadSignature, CannotOpen
from maillon.protocol.ids import CoopId, Key

SEED_BYTES: Final = 32
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SEALING_BYTES: Final = 48
"""What sealing adds to a plaintext: an ephemeral public key (32) and a tag (16)."""

_HPKE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

Backend = Callable[[bytes, bytes, bytes], bool]
"""`backend(public, message, signature)` says whether the cofactorless equation holds."""

# RFC 8032, section 5.1: the field is modulo P, the base point has the prime order L.
_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT: Final = 1 << 255

_PURPOSE: Final = re.compile(r"[a-z0-9/-]{1,32}")

# The curve has eight points whose order divides 8. Their y coordinates are 1 (order 1), -1 (2),
# 0 (4, twice) and the two below (8, twice each). With both values of the sign bit, and with 0 and
# 1 also written as p and p + 1, that makes 14 encodings: no others decode to such a point, because
# a second writing of y needs y < 19. libsodium refuses the same ones.
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
SMALL_ORDER_ENCODINGS: Final = frozenset(
    (y | sign).to_bytes(32, "little")
    for y in (0, 1, _P - 1, _P, _P + 1, _ORDER_8_Y, _P - _ORDER_8_Y)
    for sign in (0, _SIGN_BIT)
)


def _y_canonical(encoded: bytes) -> bool:
    # Only y in [p, 2^255) is written in a second way. Those 19 values have every bit of bytes 1 to
    # 31 set, so one look at the last byte answers for all but 1 in 128 honest points.
    if encoded[31] & 0x7F != 0x7F:
        return True
    return int.from_bytes(encoded, "little") & ~_SIGN_BIT < _P


def key_ok(public: bytes) -> bool:
    """Say whether the bytes can be a public key at all: 32 of them, canonical, not of small order.

    A y coordinate that lies on no point of the curve passes; no signature verifies under it.
    """
    return len(public) == KEY_BYTES and public not in SMALL_ORDER_ENCODINGS and _y_canonical(public)


def strict_encodings_ok(public: bytes, signature: bytes) -> bool:
    """Say whether key and signature keep the byte rules of spec/02, before any curve arithmetic."""
    if len(signature) != SIGNATURE_BYTES or len(public) != KEY_BYTES:
        return False
    r = signature[:32]
    if public in SMALL_ORDER_ENCODINGS or r in SMALL_ORDER_ENCODINGS:
        return False
    # Asked here before it is asked of a function: it settles nearly all of them.
    if public[31] & 0x7F == 0x7F and not _y_canonical(public):
        return False
    if r[31] & 0x7F == 0x7F and not _y_canonical(r):
        return False
    # L is a little above 2^252: a last byte below 0x10 settles it for all honest signatures but a
    # vanishing few.
    return signature[63] < 0x10 or int.from_bytes(signature[32:], "little") < _L


def cryptography_backend(public: bytes, message: bytes, signature: bytes) -> bool:
    """Check the equation with OpenSSL, which is cofactorless and compares R as bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signature_ok(
    public: bytes,
    message: bytes,
    signature: bytes,
    backend: Backend = cryptography_backend,
) -> bool:
    """Apply the whole verification rule to a message that carries its prefix already.

    For pools that check many at once. Where one check decides something, call `verify`.
    """
    return strict_encodings_ok(public, signature) and backend(public, message, signature)


def signing_bytes(purpose: str, body: bytes) -> bytes:
    """Return what is signed: the purpose keeps a signature from counting as another kind.

    `purpose` is 1 to 32 of `a-z`, `0-9`, `-` and `/`, without the zero byte that ends it: no two
    pairs of purpose and body give the same bytes. Raises: ValueError for another purpose, which is
    a mistake in the calling code and never comes from a peer.
    """
    return _prefix(purpose) + body


@lru_cache(maxsize=64)
def _prefix(purpose: str) -> bytes:
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError("a purpose is 1 to 32 of a-z, 0-9, - and /")
    return b"maillon/1/" + purpose.encode("ascii") + b"\0"


def verify(
    public: bytes,
    purpose: str,
    body: bytes,
    signature: bytes,
    *,
    backend: Backend = cryptography_backend,
) -> None:
    """Return when the signature counts.

    Raises: BadKey when no signature of this key could count, BadSignature otherwise.
    """
    if not key_ok(public):
        raise BadKey(key=public)
    if not signature_ok(public, signing_bytes(purpose, body), signature, backend):
        raise BadSignature(key=public, purpose=purpose)


def _refuse_pickling() -> NoReturn:
    raise TypeError("a secret key is not copied or serialised; ask for secret_bytes() on purpose")


class SigningKey:
    """Sign with an Ed25519 key. Nothing that prints or copies it shows the secret."""

    __slots__ = ("_private", "public")

    public: Key

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = Key(private.public_key().public_bytes_raw())

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """Make the key of a 32-byte seed (RFC 8032's private key). Raises: BadSecret."""
        if len(seed) != SEED_BYTES:
            raise BadSecret(length=len(seed), expected=SEED_BYTES)
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, purpose: str, body: bytes) -> bytes:
        """Return 64 bytes: the signature over `signing_bytes(purpose, body)`."""
        return self._private.sign(signing_bytes(purpose, body))

    def secret_bytes(self) -> bytes:
        """Return the 32-byte seed, for sealing in a key file."""
        return self._private.private_bytes_raw()

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and other.public == self.public

    def __hash__(self) -> int:
        return hash(self.public)

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()


class SealingKey:
    """Agree on secrets with an X25519 key (letters, spec/08)."""

    __slots__ = ("_private", "public")

    public: Key

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = Key(private.public_key().public_bytes_raw())

    @classmethod
    def from_seed(cls, seed: bytes) -> SealingKey:
        """Make the key of 32 secret bytes (RFC 7748, clamped on use). Raises: BadSecret."""
        if len(seed) != SEED_BYTES:
            raise BadSecret(length=len(seed), expected=SEED_BYTES)
        return cls(X25519PrivateKey.from_private_bytes(seed))

    def exchange(self, public: bytes) -> bytes:
        """Return the 32-byte shared secret with a public key.

        Raises: BadKey when the other key has the wrong length or is of small order, which would
        make the secret all zeros (RFC 7748, section 6.1).
        """
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise BadKey(key=public) from None

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Return what `seal_to` sealed to this key with the same `info`.

        Raises: CannotOpen, whatever is wrong.
        """
        try:
            return _HPKE.decrypt(sealed, self._private, info)
        except (InvalidTag, ValueError):
            raise CannotOpen(key=self.public) from None

    def secret_bytes(self) -> bytes:
        """Return the 32 secret bytes, for sealing in a key file."""
        return self._private.private_bytes_raw()

    def __repr__(self) -> str:
        return f"SealingKey(public={self.public.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealingKey) and other.public == self.public

    def __hash__(self) -> int:
        return hash(self.public)

    def __reduce__(self) -> NoReturn:
        _refuse_pickling()


def seal_to(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Seal bytes to an X25519 key: an ephemeral public key (32 bytes), then ciphertext and tag.

    HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, one
    message a key; the library draws the ephemeral key. `info` is bound to it and not sent. Raises:
    BadKey when nothing can be sealed to the key.
    """
    try:
        return _HPKE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public), info)
    except ValueError:
        raise BadKey(key=public) from None


def coop_id(root_public: bytes) -> CoopId:
    """Return the permanent id of the coop that this root key founded (spec/02)."""
    return CoopId(hashlib.sha256(b"maillon/1/coop\0" + root_public).digest())
