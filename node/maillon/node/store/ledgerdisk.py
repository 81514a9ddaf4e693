"""Keep the ledger on disk: what is certified in ledger.db, what this witness promised in votes.db.

Two files, because they end differently. ledger.db can be copied, backed up and restored: all in it
is signed by others or by a key that is backed up too. votes.db is what keeps this witness from
contradicting itself (spec/06, W8): a copy of it brought back later would vote twice. So the key of
the witness lies inside it, sealed under the node's password, and neither ever leaves the machine.
"""

# Order of commits: ledger.db first, then votes.db. A batch that moves the head of a chain also
# forgets the vote and the lock below it. Were they forgotten first and the power cut between the
# two, a witness would stand before that height without remembering how it voted. The other way
# round it remembers a vote at or below its head, which it ignores.
#
# After a failed fsync the pages may be marked clean without having reached the disk, and reading
# them back proves nothing. So a disk that failed once answers nothing any more; the process ends,
# and the next one begins by copying both write-ahead logs into their files and syncing those.

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlite_utils import Database

from maillon.node.i18n import _
from maillon.node.store.database import (
    IRREPLACEABLE,
    Schema,
    StoreError,
    damaged,
    faults_in_words,
    open_database,
    sqlite3,
    translated,
)
from maillon.protocol import keyfile
from maillon.protocol.errors import DamagedKeyFile, WrongPassword
from maillon.protocol.keys import SigningKey

if TYPE_CHECKING:
    from maillon.ledger.steps import Write

LEDGER_APPLICATION_ID: Final = 0x4D4C4544  # "MLED"
VOTES_APPLICATION_ID: Final = 0x4D564F54  # "MVOT"
CACHE_KIB: Final = 8_192
LEDGER_FILE: Final = "ledger.db"
VOTES_FILE: Final = IRREPLACEABLE

VOTES_SPACES: Final = frozenset(("vote", "body", "self", "confirm"))
# Long values in a table with rows of its own: in a clustered one they would fill the inner pages.
_LONG_SPACES: Final = frozenset(("block", "body"))
_KEY_ROW: Final = b"witness key"

_UPSERT: Final = (
    "INSERT INTO {0} (space, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (space, key) DO UPDATE SET value = excluded.value"
)
_DELETE: Final = "DELETE FROM {0} WHERE space = ? AND key = ?"


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE entries (space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, "
        "PRIMARY KEY (space, key)) STRICT, WITHOUT ROWID",
        "CREATE TABLE long (n INTEGER PRIMARY KEY, space TEXT NOT NULL, key BLOB NOT NULL, "
        "value BLOB NOT NULL, UNIQUE (space, key)) STRICT",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


LEDGER_DB: Final = Schema("ledger", LEDGER_APPLICATION_ID, (_version_1,))
VOTES_DB: Final = Schema("vote database", VOTES_APPLICATION_ID, (_version_1,))


class DiskFailed(StoreError):
    """The ledger could not be written; this process answers for nothing any more."""

    code = "ledger_disk"


class WitnessKeyMissing(StoreError):
    """votes.db holds no key: this machine was never a witness, or its votes are lost."""

    code = "witness_key_missing"


class _File:
    """One of the two databases."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path = path
        self.connection = open_database(path, schema, synchronous="FULL", cache_kib=CACHE_KIB)
        try:
            with faults_in_words(path):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                (found,) = self.connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise damaged(path, str(found))
        except BaseException:
            self.connection.close()
            raise

    def write(self, writes: Sequence[Write]) -> None:
        """Make all changes in one transaction, on the disk when this returns."""
        # Only the last value of a key counts; a block may touch the totals' row 256 times.
        last = {(space, key): value for space, key, value in writes}
        short: list[tuple[str, bytes, bytes]] = []
        long: list[tuple[str, bytes, bytes]] = []
        gone: list[tuple[str, bytes]] = []
        gone_long: list[tuple[str, bytes]] = []
        for (space, key), value in last.items():
            is_long = space in _LONG_SPACES
            if value is None:
                (gone_long if is_long else gone).append((space, key))
            else:
                (long if is_long else short).append((space, key, value))
        run = self.connection
        run.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in (
                (_DELETE.format("entries"), gone),
                (_DELETE.format("long"), gone_long),
                (_UPSERT.format("entries"), short),
                (_UPSERT.format("long"), long),
            ):
                if rows:
                    run.executemany(statement, rows)
            run.execute("COMMIT")
        except BaseException:
            if run.in_transaction:
                run.execute("ROLLBACK")
            raise

    def get(self, space: str, key: bytes) -> bytes | None:
        table = "long" if space in _LONG_SPACES else "entries"
        with faults_in_words(self.path):
            row = self.connection.execute(
                f"SELECT value FROM {table} WHERE space = ? AND key = ?", (space, key)
            ).fetchone()
        return None if row is None else row[0]

    def scan(
        self, space: str, low: bytes, high: bytes | None, *, reverse: bool, limit: int
    ) -> list[tuple[bytes, bytes]]:
        table = "long" if space in _LONG_SPACES else "entries"
        condition, values = "space = ? AND key >= ?", [space, low]
        if high is not None:
            condition += " AND key < ?"
            values.append(high)
        order = "DESC" if reverse else "ASC"
        with faults_in_words(self.path):
            found: list[tuple[bytes, bytes]] = self.connection.execute(
                f"SELECT key, value FROM {table} WHERE {condition} ORDER BY key {order} LIMIT ?",
                (*values, limit),
            ).fetchall()
        return found


class SqliteDisk:
    """The Disk of the ledger over <home>/ledger.db and <home>/votes.db.

    Raises: StoreError and its kinds when a file cannot be used.
    """

    def __init__(self, home: Path) -> None:
        self._ledger = _File(home / LEDGER_FILE, LEDGER_DB)
        try:
            self._votes = _File(home / VOTES_FILE, VOTES_DB)
        except BaseException:
            self._ledger.connection.close()
            raise
        self._failed: StoreError | None = None
        self.commits = 0

    @property
    def failed(self) -> StoreError | None:
        """Return why this disk answers nothing any more, or None."""
        return self._failed

    def _file(self, space: str) -> _File:
        if self._failed is not None:
            raise self._failed
        return self._votes if space in VOTES_SPACES else self._ledger

    def commit(self, writes: Sequence[Write]) -> None:
        """Write all, durably. Raises: DiskFailed; the caller ends the process then."""
        if self._failed is not None:
            raise self._failed
        parts = (
            (self._ledger, [write for write in writes if write.space not in VOTES_SPACES]),
            (self._votes, [write for write in writes if write.space in VOTES_SPACES]),
        )
        for file, part in parts:
            if not part:
                continue
            try:
                file.write(part)
            except sqlite3.Error as error:
                fault = translated(error, file.path)
                self._failed = DiskFailed(
                    _("The ledger stops, so as to promise nothing it may forget. {fault}").format(
                        fault=fault
                    ),
                    hint=fault.hint,
                )
                raise self._failed from error
            except BaseException as error:
                self._failed = DiskFailed(
                    _("The ledger stops, so as to promise nothing it may forget. {fault}").format(
                        fault=repr(error)
                    )
                )
                raise
            self.commits += 1

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return a value, or None."""
        return self._file(space).get(space, key)

    def scan(self, space: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that begin so with their values, ascending; changes meanwhile may show."""
        yield from self.scan_between(space, prefix, after_prefix(prefix))

    def scan_between(
        self,
        space: str,
        low: bytes,
        high: bytes | None,
        *,
        reverse: bool = False,
        slice_rows: int = 256,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) from `low` to before `high` (None for no end), by key."""
        file = self._file(space)
        while True:
            part = file.scan(space, low, high, reverse=reverse, limit=slice_rows)
            yield from part
            if len(part) < slice_rows:
                return
            if reverse:
                high = part[-1][0]
            else:
                low = part[-1][0] + b"\0"

    def connections(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        """Return the connections to ledger.db and votes.db, to examine them."""
        return self._ledger.connection, self._votes.connection

    def bytes_used(self) -> dict[str, int]:
        """Return the size of both files with their logs, by name."""
        sizes: dict[str, int] = {}
        for file in (self._ledger, self._votes):
            total = 0
            for suffix in ("", "-wal"):
                path = file.path.with_name(file.path.name + suffix)
                if path.exists():
                    total += path.stat().st_size
            sizes[file.path.name] = total
        return sizes

    def close(self) -> None:
        """Close both files."""
        self._ledger.connection.close()
        self._votes.connection.close()


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the first key after all that begin with a prefix, or None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


# --- the key of the witness ---------------------------------------------------------------------


def has_witness_key(home: Path) -> bool:
    """Tell whether votes.db is there and holds a key."""
    if not (home / VOTES_FILE).exists():
        return False
    return _read_key(home) is not None


def create_witness_key(home: Path, password: bytes, random: Callable[[int], bytes]) -> bytes:
    """Make votes.db with a new witness key in it and return the public key.

    A key that is there already stays, and its public key is returned: a second one in the same
    file would be one that forgets what the first promised. Raises: StoreError, WrongPassword.
    """
    if has_witness_key(home):
        return open_witness_key(home, password).public
    key = SigningKey.from_seed(random(32))
    sealed = keyfile.seal_key(
        key.secret_bytes(),
        password,
        salt=random(keyfile.SALT_BYTES),
        nonce=random(keyfile.NONCE_BYTES),
    )
    file = _File(home / VOTES_FILE, VOTES_DB)
    try:
        with faults_in_words(file.path):
            file.connection.execute(
                "INSERT INTO entries (space, key, value) VALUES ('self', ?, ?)", (_KEY_ROW, sealed)
            )
    finally:
        file.connection.close()
    _sync_directory(home)
    return key.public


def open_witness_key(home: Path, password: bytes) -> SigningKey:
    """Open the key of this witness. Raises: WitnessKeyMissing, WrongPassword, StoreError."""
    path = home / VOTES_FILE
    sealed = _read_key(home) if path.exists() else None
    if sealed is None:
        raise WitnessKeyMissing(
            _("This node has no key as a witness: {path} holds none.").format(path=path),
            hint=_(
                "A restored or moved node does not get its old one back, so that it cannot "
                "contradict what it promised. It makes a new one when it starts, which the other "
                "coops approve: maillon charter replace-key COOP --witness KEY"
            ),
        )
    try:
        return SigningKey.from_seed(keyfile.open_key(sealed, password))
    except WrongPassword:
        raise WrongPassword(_("The password does not open {path}.").format(path=path)) from None
    except DamagedKeyFile as fault:
        raise damaged(path, str(fault)) from fault


def _read_key(home: Path) -> bytes | None:
    file = _File(home / VOTES_FILE, VOTES_DB)
    try:
        return file.get("self", _KEY_ROW)
    finally:
        file.connection.close()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def examine_votes(home: Path) -> Mapping[str, int]:
    """Return how many rows each space of votes.db has, for `doctor` and for tests."""
    file = _File(home / VOTES_FILE, VOTES_DB)
    try:
        with faults_in_words(file.path):
            rows: list[tuple[str, int]] = file.connection.execute(
                "SELECT space, count(*) FROM (SELECT space FROM entries UNION ALL "
                "SELECT space FROM long) GROUP BY space"
            ).fetchall()
    finally:
        file.connection.close()
    return dict(rows)
