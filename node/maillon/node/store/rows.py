"""How a record lies in the tables: its keys, its frame, and what a row of `records` holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from maillon.node.i18n import _
from maillon.node.store.database import StoreDamaged
from maillon.protocol.envelope import Header, Signed, decode_header, decode_record
from maillon.protocol.errors import MaillonError

LIVE: Final = 0
STATES: Final = {"superseded": 1, "withdrawn": 2, "revoked": 3, "erased": 4}
SIGNATURE: Final = 64
"""`head` is the header's bytes, then this many of the signature."""

BY_KEY: Final = "SELECT n FROM keys_new WHERE k = ?1 UNION ALL SELECT n FROM keys WHERE k = ?1"
BY_KEYS: Final = (
    "SELECT value FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM keys_new WHERE k = value) "
    "OR EXISTS (SELECT 1 FROM keys WHERE k = value)"
)
# Keys of ids and of series share the trees; what begins otherwise is left out afterwards.
BY_BEGINNING: Final = (
    "SELECT DISTINCT r.head FROM records r JOIN (SELECT n FROM keys WHERE k BETWEEN :low AND :high "
    "UNION SELECT n FROM keys_new WHERE k BETWEEN :low AND :high) f ON f.n = r.n LIMIT :limit"
)
BY_ROW: Final = "SELECT n, state, at, until, kind, author, head FROM records WHERE n = ?"

_blake = hashlib.blake2b
_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True)
class Found:
    """A row of `records`, without its payload."""

    n: int
    state: int
    at: int
    until: int
    kind: str
    author: bytes
    head: bytes


def id_key(id: bytes) -> int:
    """Return where a record is found by its id: equal for at most a few records."""
    return int.from_bytes(id[:8], "big", signed=True)


def series_key(author: bytes, series: bytes) -> int:
    """Return where a record is found by its author and series.

    The first half is the author's, so that everything of one author lies together. Hashed, so that
    nobody makes another's series collide except by 2**32 tries each.
    """
    return int.from_bytes(
        _blake(author, digest_size=4).digest() + _blake(author + series, digest_size=4).digest(),
        "big",
        signed=True,
    )


def author_keys(author: bytes) -> tuple[int, int]:
    """Return the first and last `series_key` of an author."""
    half = _blake(author, digest_size=4).digest()
    return (
        int.from_bytes(half + bytes(4), "big", signed=True),
        int.from_bytes(half + b"\xff\xff\xff\xff", "big", signed=True),
    )


def frame(head: bytes, payload: bytes | None) -> bytes:
    """Put the record's bytes together again (spec/03): the same bytes as `Signed.encode`."""
    size = len(head) - SIGNATURE
    parts = [
        b"\x92" if payload is None else b"\x93",
        _bin_head(size),
        head[:size],
        b"\xc4\x40",
        head[size:],
    ]
    if payload is not None:
        parts += [_bin_head(len(payload)), payload]
    return b"".join(parts)


def _bin_head(size: int) -> bytes:
    return bytes((0xC4, size)) if size < 256 else bytes((0xC5, size >> 8, size & 0xFF))


def id_of(head: bytes) -> bytes:
    """Return the id of a record by its `head`."""
    return _sha256(head[:-SIGNATURE]).digest()


def header_of(head: bytes) -> Header:
    """Return the header of a record by its `head`."""
    return decode_header(head[:-SIGNATURE])


def headers(rows: Iterable[tuple[bytes]]) -> list[tuple[bytes, Header]]:
    """Return (id, header) of each row of one `head`."""
    return [(id_of(head), header_of(head)) for (head,) in rows]


def decode(head: bytes, payload: bytes, path: Path) -> Signed:
    """Read a stored record. Raises: StoreDamaged."""
    try:
        return decode_record(frame(head, payload))
    except MaillonError as error:
        raise StoreDamaged(
            _("{path} is damaged: a record in it cannot be read ({fault}).").format(
                path=path, fault=error
            ),
            hint=_("Move it aside: the node fetches the records again from the others."),
        ) from error
