"""Open a SQLite file of ours: right library, right settings, right version, faults in words.

Every file of ours carries an application id and a schema version, so that a file of something else
is never written to, and a file of a newer Maillon is left alone. An older one is copied aside, then
migrated in one transaction: an interruption leaves it as it was.
"""

# The one place that names the SQLite library. Python's own is as old as the system (3.40 on Debian
# 12) and lacks deletion from contentless full-text tables (3.43).

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import sqlite_utils

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

if TYPE_CHECKING:
    import sqlite3 as sqlite3
else:
    # Where pysqlite3 has no wheel the lock has sqlean.py; sqlite-utils takes whichever is there.
    from sqlite_utils.utils import sqlite3

SQLITE_NEEDED: Final = (3, 43, 0)

IRREPLACEABLE: Final = "votes.db"
"""The one file that no copy may ever take the place of (spec/06, W8)."""


class StoreError(LocalError):
    """A database of ours cannot be used as asked; nothing was lost by it."""

    code = "store"


class StoreDamaged(StoreError):
    """The file is no database, or its content contradicts itself."""

    code = "store_damaged"


class StoreTooNew(StoreError):
    """A newer Maillon wrote the file."""

    code = "store_too_new"


class StoreFull(StoreError):
    """The disk, or the space allowed, is full."""

    code = "store_full"


class StoreReadOnly(StoreError):
    """The file or its folder cannot be written."""

    code = "store_read_only"


class StoreBusy(StoreError):
    """Another process holds the file."""

    code = "store_busy"


Migration = Callable[[sqlite_utils.Database], None]


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must be: its application id (32 bits) and the steps from empty to now.

    `steps[i]` takes a file from version i to i + 1; the version now is their number.
    """

    name: str
    application_id: int
    steps: Sequence[Migration]

    @property
    def version(self) -> int:
        return len(self.steps)


def check_library() -> None:
    """Raise StoreError when this SQLite lacks what we need."""
    if sqlite3.sqlite_version_info < SQLITE_NEEDED:
        raise StoreError(
            _("This SQLite is version {have}; Maillon needs {need} or newer.").format(
                have=sqlite3.sqlite_version, need=".".join(map(str, SQLITE_NEEDED))
            ),
            hint=_("Install Maillon with what it needs: pip install 'maillon[node]'."),
        )


def _where(path: Path | str) -> str:
    return os.fspath(path)


def damaged(path: Path | str, fault: str) -> StoreDamaged:
    """Return the error for a file that is no database, or contradicts itself."""
    return StoreDamaged(
        _("{path} is damaged: {fault}.").format(path=_where(path), fault=fault),
        hint=_(
            "Move it aside, and put no copy in its place: a witness with an older one could "
            "contradict itself. The node makes a new witness key when it starts, which the other "
            "coops approve: maillon charter replace-key COOP --witness KEY"
        )
        if Path(path).name == IRREPLACEABLE
        else _(
            "Move it aside and put your last backup in its place. node.db can also start "
            "empty: the node fetches the records again from the others."
        ),
    )


def translated(error: sqlite3.Error, path: Path | str) -> StoreError:
    """Return the error in words that a person can act on."""
    code = getattr(error, "sqlite_errorcode", None)
    base = code & 0xFF if isinstance(code, int) else None
    text = str(error).lower()
    where = _where(path)
    if base == 13 or "full" in text:
        return StoreFull(
            _("There is no room left to write {path}.").format(path=where),
            hint=_("Free some space on that disk and start again; nothing was lost."),
        )
    if base in (11, 26) or "malformed" in text or "not a database" in text:
        return damaged(path, str(error))
    if base in (5, 6) or "locked" in text:
        return StoreBusy(
            _("Another program is using {path}.").format(path=where),
            hint=_("Stop it (perhaps a second node, or a database browser) and try again."),
        )
    if base == 8 or "readonly" in text:
        return StoreReadOnly(
            _("{path} cannot be written.").format(path=where),
            hint=_("Give the user that runs the node the right to write it and its folder."),
        )
    if base == 14 or "unable to open" in text:
        return StoreReadOnly(
            _("{path} cannot be opened.").format(path=where),
            hint=_("Look whether the folder exists and the node's user may write in it."),
        )
    if base == 10:
        return StoreError(
            _("The disk failed while reading or writing {path}: {fault}.").format(
                path=where, fault=error
            ),
            hint=_("Look at the system's log; the disk may be full or dying."),
        )
    return StoreError(_("The database {path} failed: {fault}.").format(path=where, fault=error))


def require_whole(connection: sqlite3.Connection, path: Path | str) -> None:
    """Read a whole file and compare its tables with their indexes. Raises: StoreDamaged."""
    with faults_in_words(path):
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, str(found))


@contextmanager
def faults_in_words(path: Path | str) -> Generator[None]:
    """Turn SQLite's errors into StoreErrors."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(error, path) from error


def open_reader(path: Path | str, *, cache_kib: int) -> sqlite3.Connection:
    """Open a second, read-only connection, for use by one thread at a time."""
    with faults_in_words(path):
        connection = sqlite3.connect(
            f"file:{quote(os.fspath(path))}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=bounds.STORE_BUSY_S_MAX,
            cached_statements=64,
        )
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute(f"PRAGMA mmap_size = {bounds.STORE_MMAP_BYTES}")
        return connection


def open_database(
    path: Path | str, schema: Schema, *, synchronous: str, cache_kib: int
) -> sqlite3.Connection:
    """Open a file of ours for writing, made or migrated as needed.

    `synchronous` is "NORMAL" for what can be fetched again, "FULL" for what cannot. Statements run
    outside any implicit transaction. The file can be read by its owner only.
    Raises: StoreError and its kinds.
    """
    check_library()
    path = Path(path)
    connection: sqlite3.Connection | None = None
    with faults_in_words(path):
        try:
            _look(path)
            connection = sqlite3.connect(
                path,
                isolation_level=None,
                check_same_thread=False,
                timeout=bounds.STORE_BUSY_S_MAX,
                cached_statements=128,
            )
            # Nothing before this line touches the file: a foreign or newer one stays as it is.
            version = _version(connection, path, schema)
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA secure_delete = ON").fetchone()
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA cache_size = -{cache_kib}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {bounds.STORE_WAL_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {bounds.STORE_WAL_BYTES_MAX}")
            _check_writable(connection)
            if version < schema.version:
                _migrate(connection, path, schema, version)
            return connection
        except BaseException:
            if connection is not None:
                connection.close()
            raise


def _look(path: Path) -> None:
    """Refuse what is no SQLite file before SQLite opens it; make a new one private."""
    try:
        with open(path, "rb") as file:
            head = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise StoreReadOnly(
                _("{path} cannot be made: {fault}.").format(path=path, fault=error.strerror),
                hint=_("Look whether the folder exists and the node's user may write in it."),
            ) from error
        return
    except OSError as error:
        raise StoreReadOnly(
            _("{path} cannot be opened: {fault}.").format(path=path, fault=error.strerror),
            hint=_("Give the user that runs the node the right to read and write it."),
        ) from error
    if not head:
        return
    if len(head) < 100 or not head.startswith(b"SQLite format 3\x00"):
        raise translated(sqlite3.DatabaseError("it is not a database"), path)
    page = int.from_bytes(head[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(head[28:32], "big")
    # In WAL mode the file may be shorter than its newest header says, never a broken page long.
    if page < 512 or size % page:
        raise translated(sqlite3.DatabaseError("it is not a database, or was cut"), path)
    wal = path.with_name(path.name + "-wal")
    if size < pages * page and not (wal.exists() and wal.stat().st_size):
        raise translated(
            sqlite3.DatabaseError(f"malformed: {size} bytes of {pages * page} are there"), path
        )


def _version(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application != schema.application_id:
        raise StoreError(
            _("{path} is a database of something else, not a {name}.").format(
                path=path, name=schema.name
            ),
            hint=_("Nothing was changed in it. Choose another home folder, or move it aside."),
        )
    if version > schema.version:
        raise StoreTooNew(
            _(
                "{path} was written by a newer Maillon (format {have}; this one knows {know})."
            ).format(path=path, have=version, know=schema.version),
            hint=_("Install the newer Maillon again, or start from a backup made before it."),
        )
    return version


def _check_writable(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _migrate(
    connection: sqlite3.Connection, path: Path, schema: Schema, version: int
) -> None:
    if version:
        aside = path.with_name(f"{path.name}.v{version}.bak")
        if not aside.exists():
            # Under another name first: a backup that was interrupted is never taken for one.
            half = aside.with_name(aside.name + ".part")
            half.unlink(missing_ok=True)
            connection.execute("VACUUM INTO ?", (str(half),))
            os.chmod(half, 0o600)
            half.rename(aside)
    connection.execute("BEGIN IMMEDIATE")
    try:
        database = sqlite_utils.Database(connection, recursive_triggers=False)
        for step in schema.steps[version:]:
            step(database)
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
        connection.execute(f"PRAGMA user_version = {schema.version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def scrub_wal(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and cut it to nothing; say whether that was done.

    A reader in the middle of a read prevents it: ask again later.
    """
    busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def back_up(connection: sqlite3.Connection, path: Path | str, target: Path | str) -> None:
    """Write a consistent, compact copy, readable by its owner only, whole or not at all.

    Raises: StoreError when the target exists or cannot be written.
    """
    target = Path(target)
    if target.exists():
        raise StoreError(
            _("{path} exists already.").format(path=target), hint=_("Choose another name.")
        )
    half = target.with_name(target.name + ".part")
    try:
        half.unlink(missing_ok=True)
        os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreReadOnly(
            _("{path} cannot be made: {fault}.").format(path=target, fault=error.strerror)
        ) from error
    try:
        with faults_in_words(target):
            connection.execute("VACUUM INTO ?", (str(half),))
        descriptor = os.open(half, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        half.rename(target)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def examine(connection: sqlite3.Connection, path: Path | str) -> list[str]:
    """Return what a thorough look finds wrong; empty when all is well. Reads the whole file."""
    try:
        rows = connection.execute("PRAGMA quick_check(20)").fetchall()
    except sqlite3.Error as error:
        return [str(translated(error, path))]
    return [str(row[0]) for row in rows if row[0] != "ok"]
