"""HPKE (RFC 9180) in base mode with the ephemeral key as an argument, for vectors and simulations.

The suite of letters (spec/08-letters), written from the RFC on top of HMAC, X25519 and AES-GCM.
What runs in production is the library's; a test opens with the one what the other sealed.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from random import Random
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from maillon.protocol.errors import BadKey, CannotOpen
from maillon.protocol.keys import SealingKey

ENC_BYTES: Final = 32
"""Bytes of the ephemeral public key that goes before the ciphertext."""

TAG_BYTES: Final = 16

# RFC 9180, 7.1 to 7.3: the numbers of the KEM, the KDF and the AEAD.
_KEM: Final = b"KEM" + (0x0020).to_bytes(2, "big")
_HPKE: Final = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))
_VERSION: Final = b"HPKE-v1"
_HASH_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def _extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    # RFC 9180, 4: LabeledExtract. HKDF-Extract is one HMAC; an empty salt is a block of zeros.
    return hmac.digest(salt or bytes(_HASH_BYTES), _VERSION + suite + label + key, "sha256")


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, length: int) -> bytes:
    # RFC 9180, 4: LabeledExpand. Never more than one block of HKDF-Expand is asked for here.
    assert length <= _HASH_BYTES
    labeled = length.to_bytes(2, "big") + _VERSION + suite + label + info
    return hmac.digest(secret, labeled + b"\x01", "sha256")[:length]


_PSK_ID_HASH: Final = _extract(_HPKE, b"", b"psk_id_hash", b"")


def _key_and_nonce(shared: bytes, context: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Derive the key and nonce of the first and only message (RFC 9180, 4.1 and 5.1)."""
    prk = _extract(_KEM, b"", b"eae_prk", shared)
    shared_secret = _expand(_KEM, prk, b"shared_secret", context, _HASH_BYTES)
    info_hash = _extract(_HPKE, b"", b"info_hash", info)
    schedule = b"\x00" + _PSK_ID_HASH + info_hash  # mode_base
    secret = _extract(_HPKE, shared_secret, b"secret", b"")
    return (
        _expand(_HPKE, secret, b"key", schedule, _HASH_BYTES),
        _expand(_HPKE, secret, b"base_nonce", schedule, _NONCE_BYTES),
    )


def seal(public: bytes, info: bytes, plaintext: bytes, *, ephemeral: bytes) -> bytes:
    """Return the ephemeral public key (32 bytes), then the ciphertext with its tag.

    `ephemeral` is 32 random bytes, the secret X25519 key of this one message: used twice for one
    receiver with the same `info`, it would betray both plaintexts. Raises: BadKey, BadSecret.
    """
    own = SealingKey.from_seed(ephemeral)
    key, nonce = _key_and_nonce(own.exchange(public), own.public + public, info)
    return own.public + AESGCM(key).encrypt(nonce, plaintext, None)


def sealer(rng: Random) -> Callable[[bytes, bytes, bytes], bytes]:
    """Return a sealer that draws its ephemeral keys from a seeded generator."""

    def seal_so(public: bytes, info: bytes, plaintext: bytes) -> bytes:
        return seal(public, info, plaintext, ephemeral=rng.randbytes(32))

    return seal_so


def open_sealed(sealed: bytes, info: bytes, key: SealingKey) -> bytes:
    """Return the plaintext. Raises: CannotOpen, whatever is wrong."""
    enc, ciphertext = sealed[:ENC_BYTES], sealed[ENC_BYTES:]
    if len(ciphertext) < TAG_BYTES:
        raise CannotOpen(length=len(sealed))
    try:
        secret, nonce = _key_and_nonce(key.exchange(enc), enc + key.public, info)
        return AESGCM(secret).decrypt(nonce, ciphertext, None)
    except (BadKey, InvalidTag):
        raise CannotOpen(key=key.public) from None
