"""How a hold is confirmed, and how it is released (spec/06-blocks.md, "Entries").

Both are about one hold of the payer's chain: what is signed names chain and hold.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

from maillon.ledger import _read as read
from maillon.ledger import signing
from maillon.ledger.orders import good_key
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.ids import SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class KeyConfirmation:
    """A payer's or arbiter's word that the service was given."""

    KIND: ClassVar[int] = 1
    key: bytes
    signature: bytes

    def array(self) -> list[Encodable]:
        """Return the confirmation as it is encoded."""
        return [self.KIND, self.key, self.signature]

    def encode(self) -> bytes:
        """Return the confirmation's bytes."""
        return encoding.encode(self.array())

    def check(self, fed: bytes, chain: bytes, hold: bytes) -> signing.Check:
        """Return what has to be verified for a hold of the payer's chain."""
        body = hold_body(chain, hold)
        return self.key, signing.signed_bytes(signing.CONFIRM, fed, body), self.signature


@dataclass(frozen=True, slots=True)
class PreimageConfirmation:
    """The secret (32) whose SHA-256 is the hold's hash lock."""

    KIND: ClassVar[int] = 2
    preimage: bytes

    def array(self) -> list[Encodable]:
        """Return the confirmation as it is encoded."""
        return [self.KIND, self.preimage]

    def encode(self) -> bytes:
        """Return the confirmation's bytes."""
        return encoding.encode(self.array())

    def opens(self, hashlock: bytes) -> bool:
        """Tell whether this is the secret of a hash lock; an empty lock has none."""
        return hashlock != b"" and hashlib.sha256(self.preimage).digest() == hashlock


Confirmation = KeyConfirmation | PreimageConfirmation


@dataclass(frozen=True, slots=True)
class Release:
    """The payee's word that the payer may have the reserved amount back."""

    key: bytes
    signature: bytes

    def array(self) -> list[Encodable]:
        """Return the release as it is encoded."""
        return [self.key, self.signature]

    def check(self, fed: bytes, chain: bytes, hold: bytes) -> signing.Check:
        """Return what has to be verified for a hold of the payer's chain."""
        body = hold_body(chain, hold)
        return self.key, signing.signed_bytes(signing.RELEASE, fed, body), self.signature


def hold_body(chain: bytes, hold: bytes) -> bytes:
    """Return what a confirmation and a release sign: [payer's chain, hold id]."""
    return encoding.encode([chain, hold])


def sign_confirmation(
    key: signing.Signer, fed: bytes, chain: bytes, hold: bytes
) -> KeyConfirmation:
    """Confirm a hold of the payer's chain."""
    signature = signing.sign(key, signing.CONFIRM, fed, hold_body(chain, hold))
    return KeyConfirmation(key.public, signature)


def sign_release(key: signing.Signer, fed: bytes, chain: bytes, hold: bytes) -> Release:
    """Release a hold of the payer's chain, as its payee."""
    return Release(key.public, signing.sign(key, signing.RELEASE, fed, hold_body(chain, hold)))


def confirmation_from(value: Any) -> Confirmation:
    """Read a confirmation out of a decoded array."""
    parts = read.items(value, "confirmation", 2, 3)
    if type(parts[0]) is int and parts[0] == KeyConfirmation.KIND and len(parts) == 3:
        return KeyConfirmation(
            good_key(parts[1], "confirmation"),
            read.fixed(parts[2], SIGNATURE_BYTES, "confirmation"),
        )
    if type(parts[0]) is int and parts[0] == PreimageConfirmation.KIND and len(parts) == 2:
        return PreimageConfirmation(read.fixed(parts[1], 32, "confirmation"))
    read.refuse("confirmation")


def confirmation_hash(confirmation: Confirmation) -> bytes:
    """Return SHA-256 of the confirmation's bytes, which acknowledgements name."""
    return hashlib.sha256(confirmation.encode()).digest()
