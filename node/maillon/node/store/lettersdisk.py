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
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from maillon.node.engine.post.office import RESTORED
from maillon.node.engine.post.ports import In, Incoming, Load, Out, Outgoing
from maillon.node.store.database import (
    StoreError,
    StoreFull,
    damaged,
    faults_in_words,
    open_database,
    scrub_wal,
    sqlite3,
    translated,
)
from maillon.node.store.letterrows import (
    IN_COLUMNS,
    LETTERS_DB,
    OPEN_STATES,
    OUT_COLUMNS,
    SERIAL,
    Sums,
    in_keys,
    incoming,
    out_keys,
    outgoing,
)

CACHE_KIB: Final = 4_096
LETTERS_FILE: Final = "letters.db"

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
                self.set_meta(SERIAL, self._serial.to_bytes(8, "big"))
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
        sums = Sums()
        for state, owner, coop, letters, size in run(
            "SELECT state, owner, coop, count(*), sum(size) FROM outgoing "
            f"WHERE state = {int(Out.WAITING)} GROUP BY owner, coop"
        ):
            for key in out_keys(state, owner, coop):
                load = sums.loads.setdefault(key, [0, 0])
                load[0], load[1] = load[0] + letters, load[1] + size
        for state, coop, to_key, letters, size in run(
            "SELECT state, coop, to_key, count(*), sum(size) FROM incoming "
            f"WHERE state IN {OPEN_STATES} GROUP BY coop, to_key"
        ):
            for key in in_keys(state, coop, to_key):
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
        kept = self.meta(SERIAL)
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
            f"INSERT INTO outgoing ({OUT_COLUMNS}) VALUES (?{', ?' * 17})",
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
        self._sums.add(out_keys(state, owner, coop), size, sign)
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
            f"SELECT {OUT_COLUMNS}, letter FROM outgoing LEFT JOIN outgoing_body USING (serial) "
            f"WHERE {where} LIMIT ?",
            (*values, limit),
        )
        return [outgoing(row) for row in rows]

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
            f"INSERT INTO incoming ({IN_COLUMNS}) VALUES (?{', ?' * 10})",
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
        self._sums.add(in_keys(state, row.coop, row.to_key), row.size, sign)
        self._sums.bytes_kept += sign * kept

    def _incoming(self, where: str, values: Sequence[object], limit: int) -> list[Incoming]:
        rows = self._rows(
            f"SELECT {IN_COLUMNS}, letter FROM incoming LEFT JOIN incoming_body USING (k) "
            f"WHERE {where} LIMIT ?",
            (*values, limit),
        )
        return [incoming(row) for row in rows]

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
            "AND NOT EXISTS (SELECT 1 FROM outgoing WHERE outgoing.thread = next_out.thread) "
            "ORDER BY thread LIMIT ?)",
            (before, limit),
        ).rowcount
        inside = self._run(
            "DELETE FROM next_in WHERE (coop, thread) IN (SELECT coop, thread FROM next_in "
            "WHERE used < ? AND NOT EXISTS (SELECT 1 FROM incoming WHERE incoming.coop = "
            "next_in.coop AND incoming.thread = next_in.thread) ORDER BY coop, thread LIMIT ?)",
            (before, limit),
        ).rowcount
        return int(out) + int(inside)


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
