"""Seal payloads under keys that can be destroyed where they lie.

SQLite's secure deletion overwrites what it frees, but when a page is split or merged the rows that
moved may stay readable in the part of the old page that is no longer used; measured with mixed
inserts and deletions, about one erased row in two thousand survived so. A row that never moves and
never changes its length has no such copies. So each payload is stored sealed under 16 random bytes
of its own, 128 such keys make one row of 2 KiB that is written once, at the end of its table, never
deleted, and only ever overwritten in place. Erasing a payload overwrites its key; whatever
remains of the sealed bytes anywhere in the file is noise from then on.

A key seals one payload once, so the stream SHAKE-128 (FIPS 202) makes of it serves as a one-time
pad. Nothing here protects against a reader of the whole file: the keys of what is not erased lie in
it. Authenticity is the record's own: its header carries the payload's hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

KEY_BYTES: Final = 16
BLOCK_KEYS: Final = 128
BLOCK_BYTES: Final = KEY_BYTES * BLOCK_KEYS
_NO_KEY: Final = bytes(KEY_BYTES)

_shake = hashlib.shake_128


def key_of(block: bytes, n: int) -> bytes:
    """Return the key of row `n` out of its block."""
    start = (n % BLOCK_KEYS) * KEY_BYTES
    return block[start : start + KEY_BYTES]


def without_keys(block: bytes, rows: Iterable[int]) -> bytes:
    """Return the block with the keys of some rows overwritten: as long as before."""
    changed = bytearray(block)
    for n in rows:
        start = (n % BLOCK_KEYS) * KEY_BYTES
        changed[start : start + KEY_BYTES] = _NO_KEY
    return bytes(changed)


def is_erased(key: bytes) -> bool:
    """Tell whether a key was overwritten."""
    return key == _NO_KEY


def seal(key: bytes, data: bytes) -> bytes:
    """Seal or unseal bytes: the same operation both ways."""
    size = len(data)
    stream = _shake(key).digest(size)
    return (
        int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")
    ).to_bytes(size, "little")
