"""Give each kind of identifier its own type, so that a type checker tells them apart (spec/02)."""

from __future__ import annotations

from typing import Final, NewType

FedId = NewType("FedId", bytes)
"""32 bytes: SHA-256 of the federation's founding document under its prefix."""

CoopId = NewType("CoopId", bytes)
"""32 bytes: SHA-256 of the coop's root public key under its prefix."""

RecordId = NewType("RecordId", bytes)
"""32 bytes: SHA-256 of the record's header."""

PersonId = NewType("PersonId", bytes)
"""16 random bytes, drawn by the person's coop; means something only together with the coop."""

SeriesId = NewType("SeriesId", bytes)
"""16 random bytes, drawn by the author; names one thing through its revisions."""

Key = NewType("Key", bytes)
"""32 bytes: an Ed25519 or X25519 public key."""

ID_BYTES: Final = 32
PERSON_BYTES: Final = 16
SERIES_BYTES: Final = 16
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_SHORT_CHARACTERS: Final = 8


def short(identifier: bytes) -> str:
    """Return the first 8 hexadecimal characters, for people to recognise; never for comparison."""
    return identifier[: _SHORT_CHARACTERS // 2].hex()
