"""Name the payments that a node makes once for something that happened (spec/08-persons)."""

from __future__ import annotations

import hashlib


def split_ref(transfer: bytes, member: bytes) -> bytes:
    """Return the ref of a member's part of an incoming payment.

    `transfer` is the payment's id (32 bytes), `member` an author (49 bytes).
    """
    return hashlib.sha256(b"maillon/1/split-ref\0" + transfer + member).digest()


def debt_ref(old: bytes, new: bytes, unit: int) -> bytes:
    """Return the ref of the one payment with which a new account settles what the old one owes.

    `old` and `new` are authors (49 bytes), `unit` is below 256.
    """
    return hashlib.sha256(b"maillon/1/move-debt\0" + old + new + bytes([unit])).digest()
