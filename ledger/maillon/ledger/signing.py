"""Say what is signed, for what purpose, and how many signatures are checked at once (spec/06).

Every signature of the ledger is over ``"maillon/1/" purpose 0x00 F body``: F, the federation's id,
keeps a vote of one federation from counting in another, the purpose a vote from counting as a
commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from maillon.protocol.keys import signature_ok, signing_bytes


class Signer(Protocol):
    """Whatever signs: a `SigningKey`, or what a simulation puts in its place."""

    @property
    def public(self) -> bytes:
        """Return the public key (32)."""
        ...

    def sign(self, purpose: str, body: bytes) -> bytes:
        """Return the signature (64) over `signing_bytes(purpose, body)`."""
        ...


Check = tuple[bytes, bytes, bytes]
"""Public key (32), the whole signed message (`signed_bytes`), signature (64)."""

Verify = Callable[[Sequence[Check]], list[bool]]
"""Check many signatures by the whole rule of spec/02, in the order given."""

PREPARE: Final = "prepare"
PROPOSE: Final = "propose"
PROMISE: Final = "promise"
VOTE: Final = "vote"
COMMIT: Final = "commit"
REFUSE: Final = "refuse"
ORDER: Final = "order"
CONFIRM: Final = "confirm"
RELEASE: Final = "release"
APPROVE: Final = "approve"
ACK: Final = "ack"
REFOUND: Final = "refound"

PURPOSES: Final = (
    PREPARE,
    PROPOSE,
    PROMISE,
    VOTE,
    COMMIT,
    REFUSE,
    ORDER,
    CONFIRM,
    RELEASE,
    APPROVE,
    ACK,
    REFOUND,
)


def signed_bytes(purpose: str, fed: bytes, body: bytes) -> bytes:
    """Return the bytes that are signed: prefix, purpose, federation (32), body."""
    return signing_bytes(purpose, fed + body)


def sign(key: Signer, purpose: str, fed: bytes, body: bytes) -> bytes:
    """Return the signature (64) of a body for a purpose in a federation."""
    return key.sign(purpose, fed + body)


def inline_verify(checks: Sequence[Check]) -> list[bool]:
    """Check signatures one after the other; what a program without a pool passes as `Verify`."""
    return [signature_ok(public, message, signature) for public, message, signature in checks]
