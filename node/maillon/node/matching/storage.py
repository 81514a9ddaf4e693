"""Keep what a node must remember about matching and auctions: matching.db.

Saved searches are sealed under the coop's key: what somebody looks for is nobody else's business.
So is what opens a sealed bid or a lot. A request to a relay, and what opens a bid, is durable
before anybody else hears of it, so the file is written with FULL synchronisation; what is erased is
overwritten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from maillon.node.matching import bounds
from maillon.node.store.database import (
    Schema,
    faults_in_words,
    open_database,
    require_whole,
    scrub_wal,
)

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID: Final = 0x4D4D4348  # "MMCH"
FILE: Final = "matching.db"

OUT: Final = "out"
IN: Final = "in"
ASKED: Final = "asked"
TAKEN: Final = "taken"
REFUSED: Final = "refused"
MISSED: Final = "missed"


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE search (id BLOB PRIMARY KEY, author BLOB NOT NULL, sealed BLOB NOT NULL, "
        "made_at INTEGER NOT NULL, seen_at INTEGER NOT NULL) STRICT",
        "CREATE INDEX search_author ON search (author, made_at)",
        # `source` is a saved search (16 bytes) or the thing of a record of one's own (32).
        "CREATE TABLE notice (author BLOB NOT NULL, source BLOB NOT NULL, thing BLOB NOT NULL, "
        "record BLOB NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, score REAL NOT NULL, "
        "seen INTEGER NOT NULL, PRIMARY KEY (author, source, thing)) STRICT, WITHOUT ROWID",
        "CREATE INDEX notice_at ON notice (author, at)",
        "CREATE INDEX notice_until ON notice (until)",
        "CREATE INDEX notice_record ON notice (record)",
        # `way` out or in; `coop` is the other one, `author` whose relay record it rests on.
        "CREATE TABLE relay (id BLOB PRIMARY KEY, way TEXT NOT NULL, coop BLOB NOT NULL, "
        "author BLOB NOT NULL, demand BLOB NOT NULL, asked_at INTEGER NOT NULL, "
        "deadline INTEGER NOT NULL, status TEXT NOT NULL, answered_at INTEGER, "
        "late INTEGER NOT NULL, request BLOB NOT NULL, answer BLOB NOT NULL, "
        "sent INTEGER NOT NULL) STRICT",
        "CREATE INDEX relay_demand ON relay (demand, way)",
        "CREATE INDEX relay_open ON relay (deadline) WHERE status = 'asked'",
        "CREATE INDEX relay_unsent ON relay (asked_at) WHERE sent = 0",
        "CREATE INDEX relay_asked ON relay (asked_at)",
        "CREATE INDEX relay_status ON relay (way, status)",
        "CREATE INDEX relay_coop ON relay (way, coop, status)",
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


def _version_2(database: Database) -> None:
    for statement in (
        # `hash` is what the public record says: the commitment of a bid, the lot of a demand.
        "CREATE TABLE opening (hash BLOB PRIMARY KEY, author BLOB NOT NULL, kind TEXT NOT NULL, "
        "sealed BLOB NOT NULL, made_at INTEGER NOT NULL, until INTEGER NOT NULL) "
        "STRICT, WITHOUT ROWID",
        "CREATE INDEX opening_author ON opening (author, made_at)",
        "CREATE INDEX opening_until ON opening (until)",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


MATCHING_DB: Final = Schema("matching", APPLICATION_ID, (_version_1, _version_2))


@dataclass(frozen=True, slots=True)
class SearchRow:
    """A saved search; `sealed` opens to JSON."""

    id: bytes
    author: bytes
    sealed: bytes
    made_at: int
    seen_at: int


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """Something new that may fit: `source` is what it fits."""

    author: bytes
    source: bytes
    thing: bytes
    record: bytes
    at: int
    until: int
    score: float
    seen: bool


@dataclass(frozen=True, slots=True)
class RelayRow:
    """A demand handed to a relay (`way` out) or to us as one (in), and what became of it."""

    id: bytes
    way: str
    coop: bytes
    author: bytes
    demand: bytes
    asked_at: int
    deadline: int
    status: str
    answered_at: int | None
    late: bool
    request: bytes
    answer: bytes
    sent: bool


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """What opens a sealed bid or a lot; `sealed` opens to JSON, `until` is when it is due."""

    hash: bytes
    author: bytes
    kind: str
    sealed: bytes
    made_at: int
    until: int


class MatchingDisk:
    """matching.db of a node. Raises: StoreError and its kinds."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self._db: Any = open_database(
            self.path, MATCHING_DB, synchronous="FULL", cache_kib=bounds.CACHE_KIB
        )
        try:
            require_whole(self._db, self.path)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _run(self, statement: str, values: Sequence[object] = ()) -> Any:
        with faults_in_words(self.path):
            return self._db.execute(statement, values)

    @contextlib.contextmanager
    def batch(self) -> Generator[None]:
        """Make several changes as one."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def fact(self, name: str) -> int | None:
        """Return a number that was kept."""
        row = self._run("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def set_fact(self, name: str, value: int) -> None:
        """Keep a number."""
        self._run("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    # --- saved searches -------------------------------------------------------------------------

    def add_search(self, row: SearchRow) -> None:
        """Keep a saved search."""
        self._run(
            "INSERT INTO search VALUES (?, ?, ?, ?, ?)",
            (row.id, row.author, row.sealed, row.made_at, row.seen_at),
        )

    def searches(self, author: bytes | None = None) -> list[SearchRow]:
        """Return the saved searches of somebody, or all, the oldest first."""
        if author is None:
            rows = self._run("SELECT * FROM search ORDER BY made_at, id")
        else:
            rows = self._run(
                "SELECT * FROM search WHERE author = ? ORDER BY made_at, id", (author,)
            )
        return [SearchRow(*row) for row in rows]

    def count_searches(self) -> int:
        """Return how many saved searches there are."""
        return int(self._run("SELECT count(*) FROM search").fetchone()[0])

    def looked(self, id: bytes, at: int) -> None:
        """Note when somebody last looked at what a search finds."""
        self._run("UPDATE search SET seen_at = ? WHERE id = ?", (at, id))

    def drop_search(self, id: bytes) -> None:
        """Erase a saved search, and the notices about it."""
        with self.batch():
            self._run("DELETE FROM search WHERE id = ?", (id,))
            self._run("DELETE FROM notice WHERE source = ?", (id,))

    # --- notices --------------------------------------------------------------------------------

    def add_notice(self, row: NoticeRow) -> bool:
        """Keep a notice; False when the same was told before. A new revision counts as told."""
        known = self._run(
            "SELECT 1 FROM notice WHERE author = ? AND source = ? AND thing = ?",
            (row.author, row.source, row.thing),
        ).fetchone()
        if known is not None:
            self._run(
                "UPDATE notice SET record = ?, until = ?, score = ? "
                "WHERE author = ? AND source = ? AND thing = ?",
                (row.record, row.until, row.score, row.author, row.source, row.thing),
            )
            return False
        self._run(
            "INSERT INTO notice VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row.author, row.source, row.thing, row.record, row.at, row.until, row.score,
             int(row.seen)),
        )  # fmt: skip
        self._run(
            "DELETE FROM notice WHERE author = ?1 AND (source, thing) IN (SELECT source, thing "
            "FROM notice WHERE author = ?1 ORDER BY at DESC, thing LIMIT -1 OFFSET ?2)",
            (row.author, bounds.NOTICES_PER_PERSON_MAX),
        )
        return True

    def notices(self, author: bytes, *, unseen: bool = False, limit: int = 100) -> list[NoticeRow]:
        """Return what somebody was told of, the newest first."""
        only = " AND seen = 0" if unseen else ""
        rows = self._run(
            f"SELECT * FROM notice WHERE author = ?{only} ORDER BY at DESC, score DESC, thing "
            "LIMIT ?",
            (author, limit),
        )
        return [_notice(row) for row in rows]

    def count_notices(self, author: bytes, source: bytes) -> int:
        """Return how many notices about a source were not looked at."""
        return int(
            self._run(
                "SELECT count(*) FROM notice WHERE author = ? AND source = ? AND seen = 0",
                (author, source),
            ).fetchone()[0]
        )

    def seen(self, author: bytes, source: bytes = b"") -> int:
        """Note that somebody looked at what they were told of; return how many it were."""
        only, values = (" AND source = ?", (author, source)) if source else ("", (author,))
        done = self._run(f"UPDATE notice SET seen = 1 WHERE author = ? AND seen = 0{only}", values)
        return int(done.rowcount)

    def drop_notice(self, record: bytes) -> None:
        """Erase the notices about a record that is gone."""
        self._run("DELETE FROM notice WHERE record = ?", (record,))

    def end_notices(self, now: int) -> int:
        """Erase what has ended; return how many it were."""
        return int(self._run("DELETE FROM notice WHERE until < ?", (now,)).rowcount)

    # --- relays ---------------------------------------------------------------------------------

    def add_relay(self, row: RelayRow) -> bool:
        """Keep a request; False when it is known."""
        done = self._run(
            "INSERT OR IGNORE INTO relay VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row.id, row.way, row.coop, row.author, row.demand, row.asked_at, row.deadline,
             row.status, row.answered_at, int(row.late), row.request, row.answer, int(row.sent)),
        )  # fmt: skip
        return bool(done.rowcount)

    def relay(self, id: bytes) -> RelayRow | None:
        """Return a request."""
        row = self._run("SELECT * FROM relay WHERE id = ?", (id,)).fetchone()
        return None if row is None else _relay(row)

    def relays_beginning(self, low: bytes, high: bytes) -> list[bytes]:
        """Return at most two ids of requests between two bounds."""
        rows = self._run("SELECT id FROM relay WHERE id BETWEEN ? AND ? LIMIT 2", (low, high))
        return [row[0] for row in rows]

    def relays(
        self, *, way: str = "", status: str = "", since: int = 0, until: int = 1 << 40,
        demand: bytes = b"", limit: int = 100,
    ) -> list[RelayRow]:  # fmt: skip
        """Return requests, the newest first."""
        where = ["asked_at >= ? AND asked_at < ?"]
        values: list[object] = [since, until]
        for column, value in (("way", way), ("status", status), ("demand", demand)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        rows = self._run(
            f"SELECT * FROM relay WHERE {' AND '.join(where)} ORDER BY asked_at DESC, id LIMIT ?",
            (*values, limit),
        )
        return [_relay(row) for row in rows]

    def count_relays(self, way: str = "", coop: bytes = b"", *, open_only: bool = False) -> int:
        """Return how many requests there are."""
        where, values = ["1"], []
        if way:
            where, values = ["way = ?", "coop = ?"], [way, coop]
        if open_only:
            where.append("status = 'asked'")
        row = self._run(f"SELECT count(*) FROM relay WHERE {' AND '.join(where)}", values)
        return int(row.fetchone()[0])

    def count_by_status(self, way: str) -> dict[str, int]:
        """Return how many requests of a way there are of each status."""
        rows = self._run(
            "SELECT status, count(*) FROM relay WHERE way = ? GROUP BY status", (way,)
        )
        return {status: int(count) for status, count in rows}

    def unsent(self, limit: int) -> list[RelayRow]:
        """Return what was not handed to the post yet."""
        rows = self._run("SELECT * FROM relay WHERE sent = 0 ORDER BY asked_at LIMIT ?", (limit,))
        return [_relay(row) for row in rows]

    def sent(self, id: bytes) -> None:
        """Note that the post has it."""
        self._run("UPDATE relay SET sent = 1 WHERE id = ?", (id,))

    def overdue(self, now: int, limit: int) -> list[RelayRow]:
        """Return requests that nobody answered in time."""
        rows = self._run(
            "SELECT * FROM relay WHERE status = 'asked' AND deadline < ? ORDER BY deadline LIMIT ?",
            (now, limit),
        )
        return [_relay(row) for row in rows]

    def next_deadline(self) -> int | None:
        """Return when the next request is due."""
        row = self._run("SELECT min(deadline) FROM relay WHERE status = 'asked'").fetchone()
        return None if row[0] is None else int(row[0])

    def answered(
        self, id: bytes, status: str, at: int | None, answer: bytes, *, late: bool, sent: bool
    ) -> None:
        """Note what became of a request."""
        self._run(
            "UPDATE relay SET status = ?, answered_at = ?, answer = ?, late = ?, sent = ? "
            "WHERE id = ?",
            (status, at, answer, int(late), int(sent), id),
        )

    # --- auctions -------------------------------------------------------------------------------

    def add_opening(self, row: OpeningRow) -> bool:
        """Keep what opens a bid or a lot; False when it is kept already."""
        done = self._run(
            "INSERT OR IGNORE INTO opening VALUES (?, ?, ?, ?, ?, ?)",
            (row.hash, row.author, row.kind, row.sealed, row.made_at, row.until),
        )
        return bool(done.rowcount)

    def opening(self, hash: bytes) -> OpeningRow | None:
        """Return what opens what is published with a hash."""
        row = self._run("SELECT * FROM opening WHERE hash = ?", (hash,)).fetchone()
        return None if row is None else OpeningRow(*row)

    def openings(self, author: bytes, limit: int) -> list[OpeningRow]:
        """Return what is kept of somebody's bids and lots, the oldest first."""
        rows = self._run(
            "SELECT * FROM opening WHERE author = ? ORDER BY made_at, hash LIMIT ?",
            (author, limit),
        )
        return [OpeningRow(*row) for row in rows]

    def count_openings(self, author: bytes | None = None) -> int:
        """Return how many there are, of somebody or in all."""
        where, values = ("", ()) if author is None else (" WHERE author = ?", (author,))
        return int(self._run(f"SELECT count(*) FROM opening{where}", values).fetchone()[0])

    def drop_opening(self, hash: bytes) -> int:
        """Erase what opens a bid or a lot; return how many it were."""
        return int(self._run("DELETE FROM opening WHERE hash = ?", (hash,)).rowcount)

    def forget_openings_before(self, at: int) -> int:
        """Erase what was due before a time."""
        return int(self._run("DELETE FROM opening WHERE until < ?", (at,)).rowcount)

    # --- privacy --------------------------------------------------------------------------------

    def forget_author(self, author: bytes) -> int:
        """Erase what is kept of somebody; return how many rows it were."""
        with self.batch():
            gone = self._run("DELETE FROM search WHERE author = ?", (author,)).rowcount
            gone += self._run("DELETE FROM notice WHERE author = ?", (author,)).rowcount
            gone += self._run("DELETE FROM relay WHERE author = ?", (author,)).rowcount
            gone += self._run("DELETE FROM opening WHERE author = ?", (author,)).rowcount
        return int(gone)

    def forget_notices_before(self, at: int) -> int:
        """Erase what somebody was told before a time."""
        return int(self._run("DELETE FROM notice WHERE at < ?", (at,)).rowcount)

    def forget_relays_before(self, at: int) -> int:
        """Erase requests that were made before a time and are answered or missed."""
        return int(
            self._run(
                "DELETE FROM relay WHERE asked_at < ? AND status <> 'asked'", (at,)
            ).rowcount
        )

    def scrub(self) -> None:
        """Rewrite the file and cut its log, so that nothing erased is left in either."""
        self._run("VACUUM")
        with faults_in_words(self.path):
            scrub_wal(self._db)


def _relay(row: Sequence[Any]) -> RelayRow:
    values: list[Any] = list(row)
    values[9], values[12] = bool(values[9]), bool(values[12])
    return RelayRow(*values)


def _notice(row: Sequence[Any]) -> NoticeRow:
    values: list[Any] = list(row)
    values[7] = bool(values[7])
    return NoticeRow(*values)
