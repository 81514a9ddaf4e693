"""exchange.db: the transcripts of the exchanges of people here, and what follows from them.

It is written with FULL synchronisation: a step that was answered for is never taken back by a power
cut, and the letters that tell it are in the same transaction. What is erased is overwritten
(secure_delete); `scrub` empties the write-ahead log and the free pages as well.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlite_utils import Database

from maillon.node.engine.exchange.ports import (
    ExchangeRow,
    Note,
    Part,
    Query,
    SlotRow,
    StepRow,
)
from maillon.node.store.database import (
    Schema,
    StoreError,
    damaged,
    faults_in_words,
    open_database,
    scrub_wal,
)

APPLICATION_ID: Final = 0x4D455843  # "MEXC"
CACHE_KIB: Final = 8_192
EXCHANGE_FILE: Final = "exchange.db"


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE step (n INTEGER PRIMARY KEY, exchange BLOB NOT NULL, id BLOB NOT NULL, "
        "author BLOB NOT NULL, role TEXT NOT NULL, taken_at INTEGER NOT NULL, "
        "record BLOB NOT NULL, UNIQUE (exchange, id)) STRICT",
        "CREATE INDEX step_id ON step (id)",
        "CREATE TABLE exchange (id BLOB PRIMARY KEY, title TEXT NOT NULL, phase TEXT NOT NULL, "
        "requester BLOB NOT NULL, provider BLOB NOT NULL, about BLOB NOT NULL, "
        "bundle BLOB NOT NULL, opened_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, "
        "wake INTEGER, finished INTEGER NOT NULL, guarantees INTEGER NOT NULL, "
        "summary BLOB NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE INDEX exchange_changed ON exchange (changed_at DESC, id DESC)",
        "CREATE INDEX exchange_wake ON exchange (wake) WHERE wake IS NOT NULL",
        "CREATE INDEX exchange_finished ON exchange (finished) WHERE finished > 0",
        "CREATE INDEX exchange_bundle ON exchange (bundle) WHERE bundle <> x''",
        "CREATE INDEX exchange_about ON exchange (about) WHERE about <> x''",
        # `changed_at` is the exchange's: a person's list is read in its order, without sorting.
        "CREATE TABLE part (author BLOB NOT NULL, exchange BLOB NOT NULL, role TEXT NOT NULL, "
        "waiting INTEGER NOT NULL, evaluate_until INTEGER NOT NULL, changed_at INTEGER NOT NULL, "
        "PRIMARY KEY (author, exchange, role)) STRICT, WITHOUT ROWID",
        "CREATE INDEX part_changed ON part (author, changed_at DESC, exchange DESC)",
        "CREATE INDEX part_exchange ON part (exchange)",
        "CREATE INDEX part_evaluate ON part (evaluate_until) WHERE evaluate_until > 0",
        "CREATE TABLE slot (exchange BLOB NOT NULL, slot BLOB NOT NULL, start INTEGER NOT NULL, "
        "end INTEGER NOT NULL, status TEXT NOT NULL, PRIMARY KEY (exchange, slot)) "
        "STRICT, WITHOUT ROWID",
        "CREATE INDEX slot_start ON slot (start, slot)",
        "CREATE TABLE note (space TEXT NOT NULL, key BLOB NOT NULL, exchange BLOB NOT NULL, "
        "at INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (space, key)) STRICT, WITHOUT ROWID",
        "CREATE INDEX note_at ON note (space, at, key)",
        "CREATE INDEX note_exchange ON note (exchange, space) WHERE exchange <> x''",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


EXCHANGE_DB: Final = Schema("exchanges", APPLICATION_ID, (_version_1,))

_ROW = (
    "e.id, e.title, e.phase, e.requester, e.provider, e.about, e.bundle, e.opened_at, "
    "e.changed_at, e.wake, e.finished, e.guarantees, e.summary"
)
_TABLES = ("step", "part", "slot", "note")


class ExchangeDisk:
    """Implements engine.exchange.ports.ExchangeStore. Raises: StoreError and its kinds."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._db: Any = open_database(path, EXCHANGE_DB, synchronous="FULL", cache_kib=CACHE_KIB)
        try:
            found = self._run("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise damaged(path, str(found))
        except BaseException:
            self._db.close()
            raise
        self._depth = 0
        self._doomed = False

    def close(self) -> None:
        self._db.close()

    def bytes_used(self) -> int:
        """Return the size of the file and its log."""
        path = Path(self._path)
        log = path.with_name(path.name + "-wal")
        return sum(file.stat().st_size for file in (path, log) if file.exists())

    def _run(self, statement: str, values: Sequence[object] = ()) -> Any:
        with faults_in_words(self._path):
            return self._db.execute(statement, values)

    @contextmanager
    def batch(self) -> Generator[None]:
        """Make several changes as one; the outermost commits."""
        if self._depth == 0:
            self._run("BEGIN IMMEDIATE")
            self._doomed = False
        self._depth += 1
        try:
            yield
        except BaseException:
            self._doomed = True
            raise
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._run("ROLLBACK" if self._doomed else "COMMIT")
        if self._depth == 0 and self._doomed:
            raise StoreError("A change inside of this one was undone, and so is all of it.")

    # --- steps ----------------------------------------------------------------------------------

    def has_step(self, id: bytes) -> bool:
        return self._run("SELECT 1 FROM step WHERE id = ? LIMIT 1", (id,)).fetchone() is not None

    def exchanges_of(self, step: bytes) -> list[bytes]:
        return [row[0] for row in self._run("SELECT exchange FROM step WHERE id = ?", (step,))]

    def transcript(self, exchange: bytes) -> list[StepRow]:
        rows = self._run(
            "SELECT exchange, id, author, role, taken_at, record FROM step WHERE exchange = ? "
            "ORDER BY n",
            (exchange,),
        )
        return [StepRow(*row) for row in rows]

    def count_steps(self, exchange: bytes) -> int:
        found = self._run("SELECT count(*) FROM step WHERE exchange = ?", (exchange,)).fetchone()
        return int(found[0])

    def add_step(self, row: StepRow) -> None:
        self._run(
            "INSERT OR IGNORE INTO step (exchange, id, author, role, taken_at, record) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (row.exchange, row.id, row.author, row.role, row.taken_at, row.record),
        )

    def set_record(self, exchange: bytes, id: bytes, record: bytes) -> None:
        self._run(
            "UPDATE step SET record = ? WHERE exchange = ? AND id = ?", (record, exchange, id)
        )

    # --- exchanges ------------------------------------------------------------------------------

    def _filled(self, row: Any) -> ExchangeRow:
        parts = self._run(
            "SELECT author, role, waiting, evaluate_until FROM part WHERE exchange = ? "
            "ORDER BY role, author",
            (row[0],),
        )
        slots = self._run(
            "SELECT slot, start, end, status FROM slot WHERE exchange = ? ORDER BY start, slot",
            (row[0],),
        )
        return replace(
            ExchangeRow(*row),
            parts=tuple(Part(author, role, bool(w), until) for author, role, w, until in parts),
            slots=tuple(SlotRow(*slot) for slot in slots),
        )

    def row(self, exchange: bytes) -> ExchangeRow | None:
        found = self._run(f"SELECT {_ROW} FROM exchange e WHERE e.id = ?", (exchange,)).fetchone()
        return None if found is None else self._filled(found)

    def put_row(self, row: ExchangeRow) -> None:
        with self.batch():
            self._run(
                "INSERT OR REPLACE INTO exchange VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id, row.title, row.phase, row.requester, row.provider, row.about,
                    row.bundle, row.opened_at, row.changed_at, row.wake, row.finished,
                    row.guarantees, row.summary,
                ),
            )  # fmt: skip
            self._run("DELETE FROM part WHERE exchange = ?", (row.id,))
            self._run("DELETE FROM slot WHERE exchange = ?", (row.id,))
            for part in row.parts:
                self._run(
                    "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        part.author, row.id, part.role, int(part.waiting), part.evaluate_until,
                        row.changed_at,
                    ),
                )  # fmt: skip
            for slot in row.slots:
                self._run(
                    "INSERT OR REPLACE INTO slot VALUES (?, ?, ?, ?, ?)",
                    (row.id, slot.slot, slot.start, slot.end, slot.status),
                )

    def find(self, query: Query) -> list[ExchangeRow]:
        conditions: list[str] = []
        values: list[object] = []
        order = "e.changed_at DESC, e.id DESC"
        place = "e.changed_at, e.id"
        source = "exchange e"
        asked = query.role or query.waiting or query.evaluating_after or query.here
        if query.authors is not None or asked:
            part: list[str] = []
            if query.authors is not None:
                part.append(f"p.author IN ({', '.join('?' * len(query.authors))})")
                values.extend(query.authors)
            if query.role:
                part.append("p.role = ?")
                values.append(query.role)
            if query.here:
                part.append("substr(p.author, 2, 32) = ?")
                values.append(query.here)
            if query.waiting:
                part.append("p.waiting = 1")
            if query.evaluating_after:
                part.append("p.evaluate_until > ?")
                values.append(query.evaluating_after)
            if query.authors is not None and len(query.authors) == 1:
                # In the order of the index of this person's parts, as far as the page goes.
                source = "part p JOIN exchange e ON e.id = p.exchange"
                order, place = "p.changed_at DESC, p.exchange DESC", "p.changed_at, p.exchange"
                conditions.extend(part)
            else:
                conditions.append(
                    f"e.id IN (SELECT p.exchange FROM part p WHERE {' AND '.join(part)})"
                )
        if query.phases:
            conditions.append(f"e.phase IN ({', '.join('?' * len(query.phases))})")
            values.extend(query.phases)
        for name, wanted in (("about", query.about), ("bundle", query.bundle)):
            if wanted:
                conditions.append(f"e.{name} = ? AND e.{name} <> x''")
                values.append(wanted)
        if query.guarantees:
            conditions.append("e.guarantees > 0")
        if query.finished is not None:
            conditions.append("e.finished > 0" if query.finished else "e.finished = 0")
        if query.before is not None:
            conditions.append(f"({place}) < (?, ?)")
            values.extend(query.before)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found: dict[bytes, Any] = {}
        # Somebody may have two parts in one exchange: a few more rows than asked for are read.
        limit = query.limit if source == "exchange e" else query.limit * 3
        rows = self._run(
            f"SELECT {_ROW} FROM {source} {where} ORDER BY {order} LIMIT ?", (*values, limit)
        )
        for row in rows:
            found.setdefault(row[0], row)
        return [self._filled(row) for row in list(found.values())[: query.limit]]

    def beginning(self, prefix: str, limit: int) -> list[bytes]:
        low = bytes.fromhex(prefix.ljust(64, "0"))
        high = bytes.fromhex(prefix.ljust(64, "f"))
        rows = self._run(
            "SELECT id FROM exchange WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
            (low, high, limit),
        )
        return [row[0] for row in rows]

    def due(self, now: int, limit: int) -> list[bytes]:
        rows = self._run(
            "SELECT id FROM exchange WHERE wake IS NOT NULL AND wake <= ? ORDER BY wake, id "
            "LIMIT ?",
            (now, limit),
        )
        return [row[0] for row in rows]

    def next_wake(self) -> int | None:
        found = self._run("SELECT min(wake) FROM exchange WHERE wake IS NOT NULL").fetchone()
        return None if found is None else found[0]

    def agenda(
        self,
        authors: Collection[bytes] | None,
        start: int,
        end: int,
        after: tuple[int, bytes] | None,
        limit: int,
    ) -> list[tuple[bytes, SlotRow]]:
        conditions = ["s.end > ?", "s.start < ?"]
        values: list[object] = [start, end]
        if after is not None:
            conditions.append("(s.start, s.slot) > (?, ?)")
            values.extend(after)
        if authors is not None:
            marks = ", ".join("?" * len(authors))
            conditions.append(
                "EXISTS (SELECT 1 FROM part p WHERE p.exchange = s.exchange AND "
                f"p.role IN ('requester', 'provider') AND p.author IN ({marks}))"
            )
            values.extend(authors)
        rows = self._run(
            "SELECT s.exchange, s.slot, s.start, s.end, s.status FROM slot s WHERE "
            f"{' AND '.join(conditions)} ORDER BY s.start, s.slot LIMIT ?",
            (*values, limit),
        )
        return [(exchange, SlotRow(*slot)) for exchange, *slot in rows]

    def counts(self) -> dict[str, int]:
        return dict(self._run("SELECT phase, count(*) FROM exchange GROUP BY phase ORDER BY phase"))

    def finished_before(self, at: int, limit: int) -> list[bytes]:
        rows = self._run(
            "SELECT id FROM exchange WHERE finished > 0 AND finished < ? AND guarantees = 0 "
            "ORDER BY finished, id LIMIT ?",
            (at, limit),
        )
        return [row[0] for row in rows]

    def forget(self, exchange: bytes) -> None:
        with self.batch():
            for table in _TABLES:
                self._run(f"DELETE FROM {table} WHERE exchange = ?", (exchange,))
            self._run("DELETE FROM exchange WHERE id = ?", (exchange,))

    # --- notes ----------------------------------------------------------------------------------

    def note(self, space: str, key: bytes) -> Note | None:
        found = self._run(
            "SELECT space, key, exchange, at, value FROM note WHERE space = ? AND key = ?",
            (space, key),
        ).fetchone()
        return None if found is None else Note(*found)

    def notes(self, space: str, *, exchange: bytes | None = None, limit: int = 1_000) -> list[Note]:
        if exchange is None:
            rows = self._run(
                "SELECT space, key, exchange, at, value FROM note WHERE space = ? "
                "ORDER BY at, key LIMIT ?",
                (space, limit),
            )
        else:
            rows = self._run(
                "SELECT space, key, exchange, at, value FROM note WHERE exchange = ? "
                "AND exchange <> x'' AND space = ? ORDER BY at, key LIMIT ?",
                (exchange, space, limit),
            )
        return [Note(*row) for row in rows]

    def count_notes(self, space: str) -> int:
        return int(self._run("SELECT count(*) FROM note WHERE space = ?", (space,)).fetchone()[0])

    def put_note(self, note: Note) -> None:
        self._run(
            "INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?, ?)",
            (note.space, note.key, note.exchange, note.at, note.value),
        )

    def drop_note(self, space: str, key: bytes) -> None:
        self._run("DELETE FROM note WHERE space = ? AND key = ?", (space, key))

    # --- erasing --------------------------------------------------------------------------------

    def scrub(self) -> bool:
        """Leave no byte of what was erased in any file; False when a reader prevented it."""
        # secure_delete overwrites cells and pages; VACUUM gives freed pages back, and the log that
        # still holds old versions of pages is copied into the file and cut.
        if not scrub_wal(self._db):
            return False
        self._run("VACUUM")
        return scrub_wal(self._db)
