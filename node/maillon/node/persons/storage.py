"""Keep what a node must remember about persons: persons.db.

Everything here is written before it is acted upon, so the file is written with FULL
synchronisation; what is erased is overwritten. Secrets of paper lie in it as hashes alone, secrets
of groups sealed under the coop's key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from maillon.node.i18n import _
from maillon.node.persons import bounds
from maillon.node.persons.errors import PersonsError
from maillon.node.store.database import (
    Schema,
    faults_in_words,
    open_database,
    require_whole,
    scrub_wal,
)

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID: Final = 0x4D505253  # "MPRS"
FILE: Final = "persons.db"


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE book (id BLOB PRIMARY KEY, account BLOB NOT NULL, unit INTEGER NOT NULL, "
        "first INTEGER NOT NULL, count INTEGER NOT NULL, max INTEGER, issued INTEGER NOT NULL, "
        "expires INTEGER NOT NULL, mandate BLOB NOT NULL, revoked INTEGER, "
        "reason TEXT NOT NULL) STRICT",
        "CREATE INDEX book_account ON book (account)",
        # `payment` is the ref once it is presented; `status` open, presented, paid, blocked.
        "CREATE TABLE voucher (id BLOB PRIMARY KEY, book BLOB NOT NULL REFERENCES book (id), "
        "account BLOB NOT NULL, number INTEGER NOT NULL, secret BLOB NOT NULL UNIQUE, "
        "status TEXT NOT NULL, amount INTEGER, payee_coop BLOB, payee BLOB, "
        "written TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL, "
        "UNIQUE (account, number)) STRICT",
        "CREATE INDEX voucher_book ON voucher (book, number)",
        # The order that pays for `ref`, whole: asked again it is the same one. `what` says for
        # what; `status` asked or certified.
        "CREATE TABLE payment (ref BLOB PRIMARY KEY, what TEXT NOT NULL, account BLOB NOT NULL, "
        "bytes BLOB NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL, status TEXT NOT NULL, "
        "at INTEGER NOT NULL) STRICT",
        "CREATE INDEX payment_status ON payment (status)",
        # Cheques of other coops, and what became of them; `record` is what their node is shown.
        "CREATE TABLE deposit (key BLOB PRIMARY KEY, coop BLOB NOT NULL, number INTEGER NOT NULL, "
        "record BLOB NOT NULL, unit TEXT NOT NULL, amount INTEGER NOT NULL, payee BLOB NOT NULL, "
        "written TEXT NOT NULL, at INTEGER NOT NULL, status TEXT NOT NULL, answer BLOB NOT NULL, "
        "tries INTEGER NOT NULL, due INTEGER NOT NULL) STRICT",
        "CREATE INDEX deposit_due ON deposit (status, due)",
        "CREATE TABLE claim (id BLOB PRIMARY KEY, person BLOB NOT NULL, secret BLOB NOT NULL, "
        "expires INTEGER NOT NULL, tries INTEGER NOT NULL, used_at INTEGER, key BLOB) STRICT",
        # Keys whose way onto an account, or off it, goes on by itself.
        "CREATE TABLE keychange (account BLOB NOT NULL, key BLOB NOT NULL, what TEXT NOT NULL, "
        "at INTEGER NOT NULL, status TEXT NOT NULL, detail TEXT NOT NULL, "
        "PRIMARY KEY (account, key, what)) STRICT",
        "CREATE TABLE recovery (id BLOB PRIMARY KEY, person BLOB NOT NULL, old_key BLOB NOT NULL, "
        "new_key BLOB NOT NULL, sealing BLOB NOT NULL, procedure TEXT NOT NULL, "
        "at INTEGER NOT NULL, contest_until INTEGER NOT NULL, status TEXT NOT NULL, "
        "contested_by BLOB NOT NULL, custody TEXT NOT NULL) STRICT",
        "CREATE TABLE team (id BLOB PRIMARY KEY, organisation BLOB NOT NULL, key BLOB NOT NULL, "
        "secret BLOB NOT NULL, name TEXT NOT NULL, read TEXT NOT NULL, at INTEGER NOT NULL) STRICT",
        "CREATE TABLE team_order (id BLOB PRIMARY KEY, team BLOB NOT NULL, "
        "body BLOB NOT NULL, memo TEXT NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, "
        "status TEXT NOT NULL, reason TEXT NOT NULL) STRICT",
        "CREATE TABLE approval (team_order BLOB NOT NULL, member BLOB NOT NULL, "
        "record BLOB NOT NULL, PRIMARY KEY (team_order, member)) STRICT",
        # One row a part of an incoming payment: who gets how much of it.
        "CREATE TABLE split (line BLOB NOT NULL, team BLOB NOT NULL, place INTEGER NOT NULL, "
        "transfer BLOB NOT NULL, unit INTEGER NOT NULL, whole INTEGER NOT NULL, "
        "member BLOB NOT NULL, amount INTEGER NOT NULL, at INTEGER NOT NULL, "
        "status TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (line, place)) STRICT",
        "CREATE INDEX split_status ON split (status)",
        "CREATE TABLE move (person BLOB PRIMARY KEY, to_coop BLOB NOT NULL, key BLOB NOT NULL, "
        "to_author BLOB NOT NULL, status TEXT NOT NULL, at INTEGER NOT NULL, "
        "detail TEXT NOT NULL, record BLOB NOT NULL) STRICT",
        "CREATE TABLE arrival (ticket BLOB PRIMARY KEY, person BLOB NOT NULL, "
        "from_author BLOB NOT NULL, at INTEGER NOT NULL) STRICT",
        # What is being erased, until it is done: an interruption goes on with it.
        "CREATE TABLE erasure (person BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT",
        "CREATE TABLE done (what TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


PERSONS_DB: Final = Schema("register of persons' affairs", APPLICATION_ID, (_version_1,))

Row = Mapping[str, Any]


class PersonsDisk:
    """persons.db of a node."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._db: Any = open_database(
            self._path, PERSONS_DB, synchronous="FULL", cache_kib=bounds.CACHE_KIB
        )
        try:
            require_whole(self._db, self._path)
        except BaseException:
            self._db.close()
            raise

    @property
    def path(self) -> Path:
        """Return where the file lies."""
        return self._path

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def run(self, statement: str, *values: object) -> int:
        """Change rows; return how many. Durable when it returns, unless inside `batch`."""
        with faults_in_words(self._path):
            return int(self._db.execute(statement, values).rowcount)

    def rows(self, statement: str, *values: object) -> list[Row]:
        """Return the rows of a query, by column."""
        with faults_in_words(self._path):
            cursor = self._db.execute(statement, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, statement: str, *values: object) -> Row | None:
        """Return the first row of a query, or None."""
        found = self.rows(statement, *values)
        return found[0] if found else None

    def count(self, statement: str, *values: object) -> int:
        """Return the number that a query counts."""
        with faults_in_words(self._path):
            return int(self._db.execute(statement, values).fetchone()[0] or 0)

    def add(self, table: str, **values: object) -> None:
        """Insert a row. Raises: PersonsError when the table is full."""
        if self.count(f"SELECT count(*) FROM {table}") >= bounds.PERSONS_ROWS_MAX:
            raise PersonsError(_("{path} is full.").format(path=self._path))
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self.run(f"INSERT INTO {table} ({names}) VALUES ({marks})", *values.values())

    @contextlib.contextmanager
    def batch(self) -> Generator[None]:
        """Make several changes as one."""
        if self._db.in_transaction:
            yield
            return
        self.run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def done_at(self, what: str) -> int:
        """Return when something was last done, 0 for never."""
        return self.count("SELECT at FROM done WHERE what = ?", what) if self._has(what) else 0

    def _has(self, what: str) -> bool:
        return self.row("SELECT 1 FROM done WHERE what = ?", what) is not None

    def note_done(self, what: str, at: int) -> None:
        """Note that something was done."""
        self.run("INSERT OR REPLACE INTO done VALUES (?, ?)", what, at)

    def tables(self) -> dict[str, Sequence[str]]:
        """Return the columns of every table, for exports and tests."""
        names = [
            cast("str", row["name"])
            for row in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        return {
            name: [cast("str", row["name"]) for row in self.rows(f"PRAGMA table_info({name})")]
            for name in names
            if not name.startswith("sqlite_")
        }

    def scrub(self) -> None:
        """Rewrite the file and cut its log, so that nothing erased is left in either."""
        with faults_in_words(self._path):
            self._db.execute("VACUUM")
            scrub_wal(self._db)
