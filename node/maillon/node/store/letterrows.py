"""The tables of letters.db, their rows, and how much is in them (see lettersdisk)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlite_utils import Database

from maillon.node.engine.post.ports import In, Incoming, Load, Out, Outgoing
from maillon.node.store.database import Schema

APPLICATION_ID: Final = 0x4D4C4554  # "MLET"

OUT_COLUMNS: Final = (
    "serial, id, coop, thread, n, to_key, owner, ticket, at, until, size, state, tries, retry_at, "
    "ended_at, code, told, noted"
)
IN_COLUMNS: Final = (
    "id, coop, thread, n, to_key, until, size, state, received_at, serial, taken_at"
)
OPEN_STATES: Final = f"({int(In.BEHIND)}, {int(In.READY)})"


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
        "CREATE TABLE outgoing (serial INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, "
        "coop BLOB NOT NULL, thread BLOB NOT NULL, n INTEGER NOT NULL, to_key BLOB NOT NULL, "
        "owner BLOB NOT NULL, ticket BLOB NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, "
        "size INTEGER NOT NULL, state INTEGER NOT NULL, tries INTEGER NOT NULL, "
        "retry_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, code TEXT NOT NULL, "
        "told INTEGER NOT NULL, noted INTEGER NOT NULL, UNIQUE (thread, n)) STRICT",
        "CREATE INDEX outgoing_due ON outgoing (state, coop, serial)",
        "CREATE INDEX outgoing_until ON outgoing (state, until)",
        "CREATE INDEX outgoing_ended ON outgoing (state, ended_at)",
        "CREATE INDEX outgoing_ticket ON outgoing (ticket, to_key) WHERE ticket <> x''",
        "CREATE TABLE outgoing_body (serial INTEGER PRIMARY KEY, letter BLOB NOT NULL) STRICT",
        "CREATE TABLE incoming (k INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, "
        "coop BLOB NOT NULL, thread BLOB NOT NULL, n INTEGER NOT NULL, to_key BLOB NOT NULL, "
        "until INTEGER NOT NULL, size INTEGER NOT NULL, state INTEGER NOT NULL, "
        "received_at INTEGER NOT NULL, serial INTEGER NOT NULL, taken_at INTEGER NOT NULL, "
        "UNIQUE (coop, thread, n)) STRICT",
        "CREATE INDEX incoming_ready ON incoming (to_key, serial) "
        f"WHERE state = {int(In.READY)}",
        "CREATE INDEX incoming_behind ON incoming (coop, thread, n) "
        f"WHERE state = {int(In.BEHIND)}",
        "CREATE INDEX incoming_until ON incoming (state, until)",
        "CREATE INDEX incoming_taken ON incoming (taken_at) "
        f"WHERE state = {int(In.TAKEN)}",
        "CREATE TABLE incoming_body (k INTEGER PRIMARY KEY, letter BLOB NOT NULL) STRICT",
        "CREATE TABLE next_out (thread BLOB PRIMARY KEY, n INTEGER NOT NULL, "
        "used INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE TABLE next_in (coop BLOB NOT NULL, thread BLOB NOT NULL, n INTEGER NOT NULL, "
        "used INTEGER NOT NULL, PRIMARY KEY (coop, thread)) STRICT, WITHOUT ROWID",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


LETTERS_DB: Final = Schema("letter store", APPLICATION_ID, (_version_1,))
SERIAL: Final = "serial"
"""The name under which the last serial given is kept."""


@dataclass
class Sums:
    """How much is kept, counted along: the tables may hold a hundred thousand rows."""

    loads: dict[tuple[object, ...], list[int]] = field(
        default_factory=dict[tuple[object, ...], list[int]]
    )
    bytes_kept: int = 0

    def add(self, keys: Iterable[tuple[object, ...]], size: int, sign: int) -> None:
        """Count a letter in (1) or out (-1)."""
        for key in keys:
            load = self.loads.setdefault(key, [0, 0])
            load[0] += sign
            load[1] += sign * size
            if not load[0]:
                del self.loads[key]

    def get(self, *key: object) -> Load:
        """Return one sum."""
        found = self.loads.get(key)
        return Load() if found is None else Load(found[0], found[1])


def out_keys(state: int, owner: bytes, coop: bytes) -> tuple[tuple[object, ...], ...]:
    """Return the sums that a letter of ours counts in."""
    if state == Out.WAITING:
        return ("out",), ("owner", owner), ("to", coop), ("owner", owner, coop)
    return ()


def in_keys(state: int, coop: bytes, to_key: bytes) -> tuple[tuple[object, ...], ...]:
    """Return the sums that a letter to somebody here counts in."""
    if state in (In.BEHIND, In.READY):
        return ("in",), ("from", coop), ("key", to_key), ("pair", coop, to_key)
    return ()


def outgoing(row: Any) -> Outgoing:
    """Return a row of OUT_COLUMNS and the letter."""
    return Outgoing(
        serial=row[0], id=row[1], coop=row[2], thread=row[3], n=row[4], to_key=row[5],
        owner=row[6], ticket=row[7], at=row[8], until=row[9], size=row[10], state=Out(row[11]),
        tries=row[12], retry_at=row[13], ended_at=row[14], code=row[15], told=bool(row[16]),
        noted=bool(row[17]), letter=row[18] or b"",
    )  # fmt: skip


def incoming(row: Any) -> Incoming:
    """Return a row of IN_COLUMNS and the letter."""
    return Incoming(
        id=row[0], coop=row[1], thread=row[2], n=row[3], to_key=row[4], until=row[5], size=row[6],
        state=In(row[7]), received_at=row[8], serial=row[9], taken_at=row[10],
        letter=row[11] or b"",
    )  # fmt: skip
