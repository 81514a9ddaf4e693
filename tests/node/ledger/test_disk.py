"""The disk of the ledger: what is committed is there, whole, whoever dies; votes never leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maillon.ledger.steps import Disk, Write
from maillon.node.home import Home
from maillon.node.ledger.staging import StagedDisk
from maillon.node.run.backup import write_backup
from maillon.node.run.ledgerkeys import ensure_ledger_keys
from maillon.node.store.database import StoreDamaged, sqlite3
from maillon.node.store.ledgerdisk import (
    LEDGER_FILE,
    VOTES_FILE,
    SqliteDisk,
    WitnessKeyMissing,
    create_witness_key,
    examine_votes,
    has_witness_key,
    open_witness_key,
)
from maillon.protocol.errors import WrongPassword
from support.charters import MemoryDisk

PASSWORD = b"a password of tests"


@pytest.fixture(params=["sqlite", "memory", "staged"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Give each disk that a machine may run on; they pass the same tests."""
    if request.param == "memory":
        yield MemoryDisk()
        return
    made = SqliteDisk(tmp_path)
    yield StagedDisk(made) if request.param == "staged" else made
    made.close()


def test_what_is_committed_is_read_back_and_the_last_value_of_a_key_counts(disk: Disk) -> None:
    disk.commit((Write("row", b"k", b"1"), Write("vote", b"k", b"v"), Write("row", b"k", b"2")))
    assert (disk.get("row", b"k"), disk.get("vote", b"k")) == (b"2", b"v")
    assert disk.get("row", b"other") is None and disk.get("head", b"k") is None


def test_none_deletes_and_deleting_nothing_is_nothing(disk: Disk) -> None:
    disk.commit((Write("body", b"k", b"1"), Write("block", b"k", b"1")))
    disk.commit((Write("body", b"k", None), Write("block", b"k", None), Write("row", b"x", None)))
    assert disk.get("body", b"k") is None and disk.get("block", b"k") is None
    disk.commit((Write("row", b"y", b"1"), Write("row", b"y", None)))
    assert disk.get("row", b"y") is None


def test_a_scan_gives_the_keys_that_begin_so_in_order(disk: Disk) -> None:
    keys = [b"a", b"a\x00", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff\x01"]
    disk.commit([Write("row", key, key) for key in reversed(keys)])
    disk.commit([Write("head", b"a", b"elsewhere")])
    assert [key for key, _ in disk.scan("row", b"a")] == [b"a", b"a\x00", b"a\xff", b"a\xff\xff"]
    assert [key for key, _ in disk.scan("row", b"\xff")] == [b"\xff", b"\xff\xff\x01"]
    assert [key for key, _ in disk.scan("row")] == sorted(keys)


def test_a_scan_longer_than_a_slice_misses_nothing(disk: Disk) -> None:
    keys = [i.to_bytes(4, "big") for i in range(1_000)]
    disk.commit([Write("block", key, key) for key in keys])
    assert [key for key, _ in disk.scan("block")] == keys


def test_staged_writes_are_seen_at_once_and_on_disk_after_the_flush(tmp_path: Path) -> None:
    below = SqliteDisk(tmp_path)
    disk = StagedDisk(below)
    below.commit([Write("row", bytes([i]), b"old") for i in range(6)])
    disk.commit((Write("row", b"\x01", b"new"), Write("row", b"\x03", None),
                 Write("row", b"\x02\x01", b"between")))  # fmt: skip
    wanted = [(b"\x00", b"old"), (b"\x01", b"new"), (b"\x02", b"old"), (b"\x02\x01", b"between"),
              (b"\x04", b"old"), (b"\x05", b"old")]  # fmt: skip
    assert list(disk.scan("row")) == wanted
    assert list(disk.scan_between("row", b"", None, reverse=True)) == wanted[::-1]
    assert list(disk.scan_between("row", b"\x01", b"\x04")) == wanted[1:4]
    assert below.get("row", b"\x01") == b"old"
    disk.flush()
    assert list(below.scan("row")) == wanted
    below.close()


def test_ranges_go_both_ways_in_slices_of_any_size(tmp_path: Path) -> None:
    disk = SqliteDisk(tmp_path)
    keys = [i.to_bytes(2, "big") for i in range(40)]
    disk.commit([Write("line", key, key) for key in keys])
    for size in (1, 7, 40, 100):
        up = disk.scan_between("line", keys[3], keys[30], slice_rows=size)
        assert [key for key, _ in up] == keys[3:30]
        down = disk.scan_between("line", b"", None, reverse=True, slice_rows=size)
        assert [key for key, _ in down] == keys[::-1]
    disk.close()


_WRITER = """
import os, sys
from pathlib import Path
from maillon.ledger.steps import Write
from maillon.node.store.ledgerdisk import SqliteDisk
disk = SqliteDisk(Path(sys.argv[1]))
n = 0
while True:
    n += 1
    row = n.to_bytes(8, "big")
    disk.commit([Write("head", b"n", row), Write("block", row, row * 500),
                 Write("vote", b"n", row), Write("body", row, row * 500)])
    sys.stdout.write(f"{n}\\n"); sys.stdout.flush()
"""


def test_a_process_that_is_killed_loses_nothing_that_it_had_committed(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            last = 0
            while last < 40:
                last = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            said = [int(line) for line in child.stdout.read().split()]
        last = max([last, *said])
        disk = SqliteDisk(tmp_path)
        head = int.from_bytes(disk.get("head", b"n") or b"", "big")
        vote = int.from_bytes(disk.get("vote", b"n") or b"", "big")
        assert head >= last and vote >= last, "committed, so there"
        assert head in (vote, vote + 1), "ledger.db is ahead of votes.db, never behind"
        row = head.to_bytes(8, "big")
        assert disk.get("block", row) == row * 500
        disk.close()


def test_the_witness_key_opens_with_the_password_alone_and_is_made_once(tmp_path: Path) -> None:
    assert not has_witness_key(tmp_path)
    with pytest.raises(WitnessKeyMissing):
        open_witness_key(tmp_path, PASSWORD)
    public = create_witness_key(tmp_path, PASSWORD, os.urandom)
    assert create_witness_key(tmp_path, PASSWORD, os.urandom) == public
    key = open_witness_key(tmp_path, PASSWORD)
    assert key.public == public
    with pytest.raises(WrongPassword):
        open_witness_key(tmp_path, b"another password")
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.secret_bytes() not in stored
    assert (tmp_path / VOTES_FILE).stat().st_mode & 0o077 == 0


def test_a_backup_has_the_ledger_and_the_writer_key_and_never_the_votes(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.keys.mkdir(parents=True)
    home.config.write_text('[coop]\nname = "A"\n')
    keys = ensure_ledger_keys(home, PASSWORD)
    disk = SqliteDisk(home.path)
    disk.commit((Write("head", b"c", b"h"), Write("vote", b"c", b"promised")))
    done = write_backup(home, tmp_path / "backup", records=True)
    disk.close()
    assert {LEDGER_FILE, "keys/writer.key"} <= set(done["files"])
    assert not any(VOTES_FILE in name for name in done["files"])
    assert not list((tmp_path / "backup").rglob("votes*"))
    copied = b"".join(p.read_bytes() for p in (tmp_path / "backup").rglob("*") if p.is_file())
    assert b"promised" not in copied

    restored = Home(tmp_path / "backup")
    again = ensure_ledger_keys(restored, PASSWORD)
    assert again.writer == keys.writer, "the coop goes on writing"
    assert again.witness.public != keys.witness.public, "the witness is another one"
    assert SqliteDisk(restored.path).get("head", b"c") == b"h"
    assert examine_votes(restored.path) == {"self": 1}


def test_a_damaged_file_is_told_and_nothing_is_promised_on_it(tmp_path: Path) -> None:
    disk = SqliteDisk(tmp_path)
    disk.commit([Write("vote", i.to_bytes(4, "big"), bytes(3_000)) for i in range(200)])
    disk.close()
    file = tmp_path / VOTES_FILE
    data = bytearray(file.read_bytes())
    for at in range(8_192, len(data), 4_096):
        data[at : at + 64] = b"\xff" * 64
    file.write_bytes(data)
    with pytest.raises(StoreDamaged) as caught:
        SqliteDisk(tmp_path)
    # An older copy would vote twice: nobody is told to look for one.
    assert caught.value.hint is not None
    assert "backup" not in caught.value.hint and "replace-key" in caught.value.hint


def test_both_files_are_synced_in_full(tmp_path: Path) -> None:
    disk = SqliteDisk(tmp_path)
    for connection in disk.connections():
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    disk.close()
    assert sqlite3.sqlite_version_info >= (3, 43)
