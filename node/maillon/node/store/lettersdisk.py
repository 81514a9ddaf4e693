"""Keep letters on disk, in letters.db: those to be sent, and those to people here.

Every commit is synchronised before it returns, because an acknowledgement follows it: from then on
nobody else has the letter. Only ciphertext is in the file, and the names of coops and keys that
every letter shows. What is erased leaves no byte: pages are overwritten when they are freed, and
`scrub` cuts the write-ahead log.
"""

# A letter's bytes lie in a table of their own. A row that changes its state is written anew, and
# would take 60 KiB of ciphertext along each time a letter is tried again.

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from maillon.node.engine.post.office import RESTORED
from maillon.node.engine.post.ports import In, Incoming, Load, Out, Outgoing
from maillon.node.store.database import (
    Schema,
    StoreError,
    StoreFull,
    damaged,
    faults_in_words,
    open_database,
    scrub_wal,
    sqlite3,
    translated,
)

APPLICATION_ID: Final = 0x4D4C4554  # "MLET"
CACHE_KIB: Final = 4_096
LETTERS_FILE: Final = "letters.db"

_OUT: Final = (
    "serial, id, coop, thread, n, to_key, owner, ticket, at, until, size, state, tries, retry_at, "
    "ended_at, code, told, noted"
)
_IN: Final = (
    "id, coop, thread, n, to_key, until, size, state, received_at, serial, taken_at"
)
_OPEN: Final = f"({int(In.BEHIND)}, {int(In.READY)})"


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
_SERIAL: Final = "serial"


@dataclass
class _Sums:
    """How much is kept, counted along: the tables may hold a hundred thousand rows."""

    loads: dict[tuple[object, ...], list[int]] = field(
        default_factory=dict[tuple[object, ...], list[int]]
    )
    bytes_kept: int = 0

    def add(self, keys: Iterable[tuple[object, ...]], size: int, sign: int) -> None:
        for key in keys:
            load = self.loads.setdefault(key, [0, 0])
            load[0] += sign
            load[1] += sign * size
            if not load[0]:
                del self.loads[key]

    def get(self, *key: object) -> Load:
        found = self.loads.get(key)
        return Load() if found is None else Load(found[0], found[1])


def _out_keys(state: int, owner: bytes, coop: bytes) -> tuple[tuple[object, ...], ...]:
    if state == Out.WAITING:
        return ("out",), ("owner", owner), ("to", coop), ("owner", owner, coop)
    return ()


def _in_keys(state: int, coop: bytes, to_key: bytes) -> tuple[tuple[object, ...], ...]:
    if state in (In.BEHIND, In.READY):
        return ("in",), ("from", coop), ("key", to_key), ("pair", coop, to_key)
    return ()


class LettersDisk:
    """Implements engine.post.ports.LetterStore over <home>/letters.db.

    Raises: StoreError and its kinds when the file cannot be used. After a commit that failed for
    another reason than room, this disk answers nothing any more: what it holds may be less than
    what was acknowledged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: Any = open_database(path, LETTERS_DB, synchronous="FULL", cache_kib=CACHE_KIB)
        try:
            with faults_in_words(path):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise damaged(path, str(found))
            self._depth = 0
            self._count()
        except BaseException:
            self._db.close()
            raise
        self._failed: StoreError | None = None
        self.commits = 0

    @property
    def failed(self) -> StoreError | None:
        """Return why this disk answers nothing any more, or None."""
        return self._failed

    def connection(self) -> sqlite3.Connection:
        """Return the connection, to examine the file."""
        return self._db  # type: ignore[no-any-return]  # the library is untyped to mypy

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def bytes_used(self) -> int:
        """Return the size of the file with its log."""
        total = 0
        for suffix in ("", "-wal"):
            path = self._path.with_name(self._path.name + suffix)
            if path.exists():
                total += path.stat().st_size
        return total

    def scrub(self) -> bool:
        """Cut the write-ahead log, which holds what was erased since; False to try again later."""
        with faults_in_words(self._path):
            return scrub_wal(self._db)

    # --- transactions ---------------------------------------------------------------------------

    @contextmanager
    def batch(self) -> Generator[None]:
        if self._failed is not None:
            raise self._failed
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        serial = self._serial
        with faults_in_words(self._path):
            self._db.execute("BEGIN IMMEDIATE")
        self._depth = 1
        changes = self._db.total_changes
        try:
            yield
            if self._serial != serial:
                self.set_meta(_SERIAL, self._serial.to_bytes(8, "big"))
            wrote = self._db.total_changes != changes
            self._db.execute("COMMIT")
            self.commits += wrote
        except sqlite3.Error as error:
            self._undo()
            fault = translated(error, self._path)
            if not isinstance(fault, StoreFull):
                self._failed = fault
            raise fault from error
        except BaseException:
            self._undo()
            raise
        finally:
            self._depth = 0

    def _undo(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._count()
        except sqlite3.Error as error:
            self._failed = translated(error, self._path)

    def _count(self) -> None:
        run = self._db.execute
        sums = _Sums()
        for state, owner, coop, letters, size in run(
            "SELECT state, owner, coop, count(*), sum(size) FROM outgoing "
            f"WHERE state = {int(Out.WAITING)} GROUP BY owner, coop"
        ):
            for key in _out_keys(state, owner, coop):
                load = sums.loads.setdefault(key, [0, 0])
                load[0], load[1] = load[0] + letters, load[1] + size
        for state, coop, to_key, letters, size in run(
            "SELECT state, coop, to_key, count(*), sum(size) FROM incoming "
            f"WHERE state IN {_OPEN} GROUP BY coop, to_key"
        ):
            for key in _in_keys(state, coop, to_key):
                load = sums.loads.setdefault(key, [0, 0])
                load[0], load[1] = load[0] + letters, load[1] + size
        letters, size = run(
            "SELECT count(*), coalesce(sum(size), 0) FROM outgoing JOIN outgoing_body "
            f"USING (serial) WHERE state = {int(Out.ARRIVED)}"
        ).fetchone()
        if letters:
            sums.loads[("arrived",)] = [letters, size]
        for table in ("outgoing_body", "incoming_body"):
            (size,) = run(f"SELECT coalesce(sum(length(letter)), 0) FROM {table}").fetchone()
            sums.bytes_kept += size
        self._sums = sums
        kept = self.meta(_SERIAL)
        self._serial = int.from_bytes(kept, "big") if kept else 0

    # --- reading and writing --------------------------------------------------------------------

    def _run(self, statement: str, values: Sequence[object] = ()) -> Any:
        return self._db.execute(statement, values)

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        if self._failed is not None:
            raise self._failed
        with faults_in_words(self._path):
            found: list[Any] = self._db.execute(statement, values).fetchall()
        return found

    def _one(self, statement: str, values: Sequence[object] = ()) -> Any:
        found = self._rows(statement, values)
        return found[0] if found else None

    def meta(self, name: str) -> bytes | None:
        row = self._run("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def set_meta(self, name: str, value: bytes) -> None:
        self._run(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = "
            "excluded.value",
            (name, value),
        )

    # --- ours -----------------------------------------------------------------------------------

    def next_out(self, thread: bytes) -> int:
        row = self._one("SELECT n FROM next_out WHERE thread = ?", (thread,))
        return 0 if row is None else row[0]

    def set_next_out(self, thread: bytes, n: int, now: int) -> None:
        self._run(
            "INSERT INTO next_out VALUES (?, ?, ?) ON CONFLICT (thread) DO UPDATE SET "
            "n = excluded.n, used = excluded.used",
            (thread, n, now),
        )

    def add_out(self, row: Outgoing) -> None:
        serial = self.next_serial()
        self._run(
            f"INSERT INTO outgoing ({_OUT}) VALUES (?{', ?' * 17})",
            (
                serial, row.id, row.coop, row.thread, row.n, row.to_key, row.owner, row.ticket,
                row.at, row.until, row.size, int(row.state), row.tries, row.retry_at,
                row.ended_at, row.code, int(row.told), int(row.noted),
            ),
        )  # fmt: skip
        if row.letter:
            self._run("INSERT INTO outgoing_body VALUES (?, ?)", (serial, row.letter))
        self._weigh_out(row.state, row.owner, row.coop, row.size, len(row.letter), 1)

    def change_out(self, row: Outgoing) -> None:
        before = self._out_state(row.id)
        if before is None:
            return
        serial, state, kept = before
        self._run(
            "UPDATE outgoing SET state = ?, tries = ?, retry_at = ?, ended_at = ?, code = ?, "
            "told = ?, noted = ? WHERE serial = ?",
            (
                int(row.state), row.tries, row.retry_at, row.ended_at, row.code, int(row.told),
                int(row.noted), serial,
            ),
        )  # fmt: skip
        if kept and not row.letter:
            self._run("DELETE FROM outgoing_body WHERE serial = ?", (serial,))
        self._weigh_out(state, row.owner, row.coop, row.size, kept, -1)
        self._weigh_out(row.state, row.owner, row.coop, row.size, len(row.letter) and kept, 1)

    def _out_state(self, id: bytes) -> tuple[int, int, int] | None:
        return self._one(  # type: ignore[no-any-return]  # a row of the untyped library
            "SELECT serial, state, coalesce(length(letter), 0) FROM outgoing "
            "LEFT JOIN outgoing_body USING (serial) WHERE id = ?",
            (id,),
        )

    def _weigh_out(
        self, state: int, owner: bytes, coop: bytes, size: int, kept: int, sign: int
    ) -> None:
        self._sums.add(_out_keys(state, owner, coop), size, sign)
        if state == Out.ARRIVED and kept:
            self._sums.add((("arrived",),), size, sign)
        self._sums.bytes_kept += sign * kept

    def drop_out(self, ids: Collection[bytes]) -> None:
        for id in ids:
            row = self.out(id)
            if row is not None:
                self._run("DELETE FROM outgoing WHERE serial = ?", (row.serial,))
                self._run("DELETE FROM outgoing_body WHERE serial = ?", (row.serial,))
                self._weigh_out(row.state, row.owner, row.coop, row.size, len(row.letter), -1)

    def _outgoing(self, where: str, values: Sequence[object], limit: int) -> list[Outgoing]:
        rows = self._rows(
            f"SELECT {_OUT}, letter FROM outgoing LEFT JOIN outgoing_body USING (serial) "
            f"WHERE {where} LIMIT ?",
            (*values, limit),
        )
        return [_outgoing(row) for row in rows]

    def out(self, id: bytes) -> Outgoing | None:
        found = self._outgoing("id = ?", (id,), 1)
        return found[0] if found else None

    def out_numbers(self, thread: bytes, first: int, last: int) -> list[Outgoing]:
        return self._outgoing(
            "thread = ? AND n BETWEEN ? AND ? ORDER BY n", (thread, first, last), -1
        )

    def out_ticket(self, ticket: bytes, to_key: bytes) -> Outgoing | None:
        found = self._outgoing(
            "ticket = ? AND ticket <> x'' AND to_key = ? ORDER BY serial DESC", (ticket, to_key), 1
        )
        return found[0] if found else None

    def due(self, coop: bytes, now: int, latest: int, limit: int) -> list[tuple[bytes, int]]:
        return self._rows(
            f"SELECT id, size FROM outgoing WHERE state = {int(Out.WAITING)} AND coop = ? "
            "AND NOT (retry_at > ? AND retry_at <= ?) ORDER BY serial LIMIT ?",
            (coop, now, latest, limit),
        )

    def gone(self, coop: bytes, limit: int) -> list[Outgoing]:
        return self._outgoing(
            f"state = {int(Out.GONE)} AND coop = ? AND noted = 0 ORDER BY serial", (coop,), limit
        )

    def untold(self, limit: int) -> list[Outgoing]:
        return self._outgoing(
            f"state = {int(Out.GONE)} AND told = 0 ORDER BY serial", (), limit
        )

    def next_retry(self, coop: bytes) -> int | None:
        row = self._one(
            f"SELECT min(retry_at) FROM outgoing WHERE state = {int(Out.WAITING)} AND coop = ?",
            (coop,),
        )
        return row[0]  # type: ignore[no-any-return]  # a row of the untyped library

    def out_ending(self, state: Out, before: int, limit: int) -> list[Outgoing]:
        return self._outgoing(
            "state = ? AND until < ? ORDER BY until, serial", (int(state), before), limit
        )

    def arrived(self, coop: bytes, since: int) -> list[Outgoing]:
        return self._outgoing(
            f"state = {int(Out.ARRIVED)} AND coop = ? AND ended_at >= ? ORDER BY serial",
            (coop, since),
            -1,
        )

    def arrived_before(self, before: int, limit: int) -> list[Outgoing]:
        return self._outgoing(
            f"state = {int(Out.ARRIVED)} AND ended_at < ? ORDER BY ended_at, serial",
            (before,),
            limit,
        )

    def oldest_arrived(self, limit: int) -> list[Outgoing]:
        return self._outgoing(
            f"state = {int(Out.ARRIVED)} ORDER BY ended_at, serial", (), limit
        )

    def load_out(self, *, coop: bytes | None = None, owner: bytes | None = None) -> Load:
        match owner, coop:
            case None, None:
                return self._sums.get("out")
            case None, _:
                return self._sums.get("to", coop)
            case _, None:
                return self._sums.get("owner", owner)
            case _:
                return self._sums.get("owner", owner, coop)

    def load_arrived(self) -> Load:
        return self._sums.get("arrived")

    def oldest_out(self) -> int | None:
        row = self._one(f"SELECT min(at) FROM outgoing WHERE state = {int(Out.WAITING)}")
        return row[0]  # type: ignore[no-any-return]  # a row of the untyped library

    # --- others' --------------------------------------------------------------------------------

    def next_in(self, coop: bytes, thread: bytes) -> int:
        row = self._one("SELECT n FROM next_in WHERE coop = ? AND thread = ?", (coop, thread))
        return 0 if row is None else row[0]

    def set_next_in(self, coop: bytes, thread: bytes, n: int, now: int) -> None:
        self._run(
            "INSERT INTO next_in VALUES (?, ?, ?, ?) ON CONFLICT (coop, thread) DO UPDATE SET "
            "n = excluded.n, used = excluded.used",
            (coop, thread, n, now),
        )

    def add_in(self, row: Incoming) -> None:
        done = self._run(
            f"INSERT INTO incoming ({_IN}) VALUES (?{', ?' * 10})",
            (
                row.id, row.coop, row.thread, row.n, row.to_key, row.until, row.size,
                int(row.state), row.received_at, row.serial, row.taken_at,
            ),
        )  # fmt: skip
        if row.letter:
            self._run("INSERT INTO incoming_body VALUES (?, ?)", (done.lastrowid, row.letter))
        self._weigh_in(row.state, row, len(row.letter), 1)

    def change_in(self, row: Incoming) -> None:
        before = self._in_state(row.id)
        if before is None:
            return
        k, state, kept = before
        self._run(
            "UPDATE incoming SET state = ?, serial = ?, taken_at = ? WHERE k = ?",
            (int(row.state), row.serial, row.taken_at, k),
        )
        if kept and not row.letter:
            self._run("DELETE FROM incoming_body WHERE k = ?", (k,))
        self._weigh_in(state, row, kept, -1)
        self._weigh_in(row.state, row, len(row.letter) and kept, 1)

    def _in_state(self, id: bytes) -> tuple[int, int, int] | None:
        return self._one(  # type: ignore[no-any-return]  # a row of the untyped library
            "SELECT k, state, coalesce(length(letter), 0) FROM incoming "
            "LEFT JOIN incoming_body USING (k) WHERE id = ?",
            (id,),
        )

    def _weigh_in(self, state: int, row: Incoming, kept: int, sign: int) -> None:
        self._sums.add(_in_keys(state, row.coop, row.to_key), row.size, sign)
        self._sums.bytes_kept += sign * kept

    def _incoming(self, where: str, values: Sequence[object], limit: int) -> list[Incoming]:
        rows = self._rows(
            f"SELECT {_IN}, letter FROM incoming LEFT JOIN incoming_body USING (k) "
            f"WHERE {where} LIMIT ?",
            (*values, limit),
        )
        return [_incoming(row) for row in rows]

    def letter(self, id: bytes) -> Incoming | None:
        found = self._incoming("id = ?", (id,), 1)
        return found[0] if found else None

    def in_number(self, coop: bytes, thread: bytes, n: int) -> Incoming | None:
        found = self._incoming("coop = ? AND thread = ? AND n = ?", (coop, thread, n), 1)
        return found[0] if found else None

    def behind(self, coop: bytes, thread: bytes) -> list[Incoming]:
        return self._incoming(
            f"state = {int(In.BEHIND)} AND coop = ? AND thread = ? ORDER BY n", (coop, thread), -1
        )

    def behind_since(self, before: int, limit: int) -> list[Incoming]:
        return self._incoming(
            f"state = {int(In.BEHIND)} AND received_at < ? ORDER BY received_at, n, id",
            (before,),
            limit,
        )

    def behind_of(self, coop: bytes, limit: int) -> list[Incoming]:
        return self._incoming(
            f"state = {int(In.BEHIND)} AND coop = ? ORDER BY received_at, n, id", (coop,), limit
        )

    def behind_ending(self, before: int, limit: int) -> list[Incoming]:
        return self._incoming(
            f"state = {int(In.BEHIND)} AND until < ? ORDER BY until, n, id", (before,), limit
        )

    def ready(self, to_key: bytes, after: int, limit: int) -> list[Incoming]:
        return self._incoming(
            f"state = {int(In.READY)} AND to_key = ? AND incoming.serial > ? "
            "ORDER BY incoming.serial",
            (to_key, after),
            limit,
        )

    def ready_keys(self) -> list[bytes]:
        rows = self._rows(
            f"SELECT DISTINCT to_key FROM incoming WHERE state = {int(In.READY)} ORDER BY to_key"
        )
        return [row[0] for row in rows]

    def next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def taken_before(self, before: int, limit: int) -> list[Incoming]:
        return self._incoming(
            f"state = {int(In.TAKEN)} AND taken_at < ? ORDER BY taken_at, incoming.serial",
            (before,),
            limit,
        )

    def in_ending(self, before: int, limit: int) -> list[Incoming]:
        states = f"{int(In.BEHIND)}, {int(In.READY)}, {int(In.TAKEN)}"
        return self._incoming(
            f"state IN ({states}) AND until < ? ORDER BY until, n, id", (before,), limit
        )

    def erased_ending(self, before: int, limit: int) -> list[bytes]:
        rows = self._rows(
            f"SELECT id FROM incoming WHERE state = {int(In.ERASED)} AND until < ? "
            "ORDER BY until, id LIMIT ?",
            (before, limit),
        )
        return [row[0] for row in rows]

    def drop_in(self, ids: Collection[bytes]) -> None:
        for id in ids:
            before = self._in_state(id)
            row = self.letter(id)
            if before is None or row is None:
                continue
            self._run("DELETE FROM incoming WHERE k = ?", (before[0],))
            self._run("DELETE FROM incoming_body WHERE k = ?", (before[0],))
            self._weigh_in(row.state, row, len(row.letter), -1)

    def load_in(self, *, coop: bytes | None = None, to_key: bytes | None = None) -> Load:
        match coop, to_key:
            case None, None:
                return self._sums.get("in")
            case _, None:
                return self._sums.get("from", coop)
            case None, _:
                return self._sums.get("key", to_key)
            case _:
                return self._sums.get("pair", coop, to_key)

    def oldest_in(self) -> int | None:
        row = self._one(
            f"SELECT min(received_at) FROM incoming WHERE state = {int(In.READY)}"
        )
        return row[0]  # type: ignore[no-any-return]  # a row of the untyped library

    def bytes_kept(self) -> int:
        return self._sums.bytes_kept

    def forget_threads(self, before: int, limit: int) -> int:
        out = self._run(
            "DELETE FROM next_out WHERE thread IN (SELECT thread FROM next_out WHERE used < ? "
            "AND thread NOT IN (SELECT thread FROM outgoing) ORDER BY thread LIMIT ?)",
            (before, limit),
        ).rowcount
        inside = self._run(
            "DELETE FROM next_in WHERE (coop, thread) IN (SELECT coop, thread FROM next_in "
            "WHERE used < ? AND NOT EXISTS (SELECT 1 FROM incoming WHERE incoming.coop = "
            "next_in.coop AND incoming.thread = next_in.thread) ORDER BY coop, thread LIMIT ?)",
            (before, limit),
        ).rowcount
        return int(out) + int(inside)


def _outgoing(row: Any) -> Outgoing:
    return Outgoing(
        serial=row[0], id=row[1], coop=row[2], thread=row[3], n=row[4], to_key=row[5],
        owner=row[6], ticket=row[7], at=row[8], until=row[9], size=row[10], state=Out(row[11]),
        tries=row[12], retry_at=row[13], ended_at=row[14], code=row[15], told=bool(row[16]),
        noted=bool(row[17]), letter=row[18] or b"",
    )  # fmt: skip


def _incoming(row: Any) -> Incoming:
    return Incoming(
        id=row[0], coop=row[1], thread=row[2], n=row[3], to_key=row[4], until=row[5], size=row[6],
        state=In(row[7]), received_at=row[8], serial=row[9], taken_at=row[10],
        letter=row[11] or b"",
    )  # fmt: skip


def mark_copy(path: Path, now: int) -> None:
    """Say in a copy when it was made: a node that starts from it numbers anew and asks again.

    Raises: StoreError.
    """
    connection = open_database(path, LETTERS_DB, synchronous="FULL", cache_kib=CACHE_KIB)
    try:
        with faults_in_words(path):
            connection.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = "
                "excluded.value",
                (RESTORED, now.to_bytes(8, "big")),
            )
            # The copy is one file, as it was before this line was written into it.
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    finally:
        connection.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
