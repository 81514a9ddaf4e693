"""A damaged, foreign, newer, locked or full database: said in words, and nothing is lost."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlite_utils import Database

from maillon.node import bounds
from maillon.node.store.database import (
    Schema,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreTooNew,
    open_database,
    sqlite3,
)
from maillon.node.store.schema import NODE_DB
from maillon.node.store.sqlite import SqliteStore
from maillon.protocol.envelope import Valid
from maillon.protocol.records import thing_id
from support.world import World


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a closed database with 300 offers."""
    path = tmp_path / "node.db"
    store = SqliteStore(path)
    fill(store, 300)
    store.close()
    return path


def fill(store: SqliteStore, count: int, seed: str = "faults") -> list[bytes]:
    world = World(coops_count=1, seed=seed)
    alice = world.make_member(0, "alice")
    ids: list[bytes] = []
    with store.batch():
        for n in range(count):
            signed = world.offer(alice, f"Titre {n}", text="mot " * 40)
            author = alice.author
            store.put(Valid(signed, author, thing_id(author, signed.header.series), "member"))
            ids.append(signed.id)
    return ids


def in_words(error: StoreError) -> None:
    assert str(error).endswith(".") and len(str(error)) > 20
    assert error.hint is None or error.hint.endswith(".")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_in_a_page(data: bytes) -> bytes:
    return data[: len(data) - 1000]


def other_header(data: bytes) -> bytes:
    return b"\x7fELF" + data[4:]


def noise(data: bytes) -> bytes:
    return bytes(range(256)) * 100


def few_bytes(data: bytes) -> bytes:
    return b"hello"


def whole_pages_gone(data: bytes) -> bytes:
    return data[: 4096 * 20]


@pytest.mark.parametrize(
    "damage", [cut, cut_in_a_page, other_header, noise, few_bytes, whole_pages_gone]
)
def test_a_damaged_file_is_refused_in_words_and_left_as_it_is(
    filled: Path, damage: Callable[[bytes], bytes]
) -> None:
    broken = damage(filled.read_bytes())
    filled.write_bytes(broken)
    with pytest.raises(StoreDamaged) as caught:
        SqliteStore(filled)
    in_words(caught.value)
    assert str(filled) in str(caught.value)
    assert filled.read_bytes() == broken


def test_a_flipped_page_is_found_by_check(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    for page in range(8, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = bytes(64)
    filled.write_bytes(data)
    try:
        store = SqliteStore(filled)
    except StoreDamaged:
        return
    assert store.check() != []
    with pytest.raises(StoreDamaged) as caught:
        list(store.iterate_live())
        list(store.by_kinds(["offer"]))
    in_words(caught.value)


def test_a_sound_file_has_nothing_to_tell(filled: Path) -> None:
    store = SqliteStore(filled)
    assert store.check() == []
    store.close()


def test_a_newer_database_is_left_alone(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute(f"PRAGMA user_version = {NODE_DB.version + 1}")
    connection.close()
    before = filled.read_bytes()
    with pytest.raises(StoreTooNew) as caught:
        SqliteStore(filled)
    in_words(caught.value)
    assert filled.read_bytes() == before


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "node.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE holidays (day TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    in_words(caught.value)
    assert path.read_bytes() == before


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreReadOnly) as caught:
        SqliteStore(tmp_path / "no" / "node.db")
    in_words(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreReadOnly) as caught:
        SqliteStore(tmp_path / "node.db")
    in_words(caught.value)
    tmp_path.chmod(0o700)


def test_only_the_owner_may_read_the_files(filled: Path) -> None:
    store = SqliteStore(filled)
    fill(store, 1, "other")
    for path in filled.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    store.close()


def test_a_database_that_another_program_holds_is_said(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "STORE_BUSY_S_MAX", 0.01)
    store = SqliteStore(filled)
    other = sqlite3.connect(filled, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    count = store.count_live()
    with pytest.raises(StoreBusy) as caught:
        fill(store, 1, "other")
    in_words(caught.value)
    with pytest.raises(StoreBusy):
        SqliteStore(filled)
    assert store.count_live() == count
    other.execute("ROLLBACK")
    other.close()
    fill(store, 1, "other")
    assert store.count_live()["offer"] == count["offer"] + 1
    store.close()


def test_when_no_byte_more_may_be_written_the_batch_is_undone_and_the_rest_is_there(
    filled: Path,
) -> None:
    store = SqliteStore(filled)
    before = list(store.iterate_live())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(StoreError) as caught:
            fill(store, 2_000, "much")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    in_words(caught.value)
    assert list(store.iterate_live()) == before
    ids = fill(store, 10, "more")
    assert all(store.live(id) for id in ids)
    assert store.check() == []
    store.close()


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        store = SqliteStore(disk / "node.db")
        kept = fill(store, 50, "kept")
        with pytest.raises(StoreFull) as caught:
            for n in range(100):
                fill(store, 100, f"much {n}")
        in_words(caught.value)
        assert all(store.live(id) for id in kept)
        count = store.count_live()["offer"]
        assert count % 100 == 50
        assert store.check() == []
        store._db.close()  # pyright: ignore[reportPrivateUsage]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_process_that_dies_in_a_transaction_loses_only_that(filled: Path) -> None:
    store = SqliteStore(filled)
    before = list(store.iterate_live())
    kept = fill(store, 5, "kept")
    pid = os.fork()
    if pid == 0:
        try:
            child = SqliteStore(filled)
            with child.batch():
                fill(child, 400, "lost")
                os._exit(1)
        finally:
            os._exit(2)
    _pid, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    again = SqliteStore(filled)
    assert {id for _at, id in again.iterate_live()} == {id for _at, id in before} | set(kept)
    assert again.check() == []
    # What had been stored and not indexed is not lost to search.
    assert again.unindexed == 5
    again.index_now()
    assert again.unindexed == 0
    again.close()
    store.close()


# --- Versions ----------------------------------------------------------------------------------


def first(database: Database) -> None:
    database.table("things").create({"id": int, "name": str}, pk="id")


def second(database: Database) -> None:
    database.conn.execute("ALTER TABLE things ADD COLUMN weight INTEGER NOT NULL DEFAULT 1")


def failing(database: Database) -> None:
    database.conn.execute("UPDATE things SET name = 'half done'")
    raise ZeroDivisionError


OLD = Schema("test database", 0x54455354, (first,))
NEW = Schema("test database", 0x54455354, (first, second))
BROKEN = Schema("test database", 0x54455354, (first, failing))


def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "x.db"
    connection = open_database(path, OLD, synchronous="FULL", cache_kib=100)
    connection.execute("INSERT INTO things VALUES (1, 'one')")
    connection.close()
    return path


def test_an_older_database_is_copied_aside_and_migrated(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    connection = open_database(path, NEW, synchronous="FULL", cache_kib=100)
    assert connection.execute("SELECT * FROM things").fetchall() == [(1, "one", 1)]
    connection.close()
    copy = sqlite3.connect(tmp_path / "x.db.v1.bak")
    assert copy.execute("SELECT * FROM things").fetchall() == [(1, "one")]
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    copy.close()


def test_a_migration_that_fails_leaves_the_old_database_whole(tmp_path: Path) -> None:
    path = old_file(tmp_path)
    with pytest.raises(ZeroDivisionError):
        open_database(path, BROKEN, synchronous="FULL", cache_kib=100)
    connection = open_database(path, OLD, synchronous="FULL", cache_kib=100)
    assert connection.execute("SELECT * FROM things").fetchall() == [(1, "one")]
    connection.close()
    # And the next attempt starts from there.
    open_database(path, NEW, synchronous="FULL", cache_kib=100).close()


def test_a_migration_that_is_killed_leaves_the_old_database_whole(tmp_path: Path) -> None:
    path = old_file(tmp_path)

    def killed(database: Database) -> None:
        database.conn.execute("UPDATE things SET name = 'half done'")
        os._exit(7)

    pid = os.fork()
    if pid == 0:
        schema = Schema("test database", 0x54455354, (first, killed))
        try:
            open_database(path, schema, synchronous="FULL", cache_kib=100)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    connection = open_database(path, OLD, synchronous="FULL", cache_kib=100)
    assert connection.execute("SELECT * FROM things").fetchall() == [(1, "one")]
    connection.close()


def test_the_first_format_ever_shipped_can_still_be_read() -> None:
    # A file of version 1 belongs here as soon as there is a version 2.
    assert NODE_DB.version == 1, "store a database of version 1 in tests/node/store and open it"


# --- Copies ------------------------------------------------------------------------------------


def test_a_backup_is_a_whole_private_database_and_never_replaces_anything(
    filled: Path, tmp_path: Path
) -> None:
    store = SqliteStore(filled)
    expected = list(store.iterate_live())
    target = tmp_path / "copy.db"
    store.backup(target)
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(StoreError) as caught:
        store.backup(target)
    in_words(caught.value)
    with pytest.raises(StoreError):
        store.backup(tmp_path / "no" / "copy.db")
    copy = SqliteStore(target)
    assert list(copy.iterate_live()) == expected
    assert copy.encoded([expected[0][1]]) == store.encoded([expected[0][1]])
    assert copy.check() == []
    copy.close()
    store.close()
    assert not list(tmp_path.glob("*.part"))
