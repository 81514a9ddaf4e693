"""A disk that fails makes a witness silent, never wrong: the process ends with a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from maillon.node.store.ledgerdisk import SqliteDisk

# A witness that answers by printing: what it prints must be on disk, whatever happens to the disk.
_WITNESS = """
import resource, sys
from pathlib import Path
from maillon.ledger.steps import Write
from maillon.node.store.database import StoreError
from maillon.node.store.ledgerdisk import SqliteDisk

home, limit, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
disk = SqliteDisk(home)
if limit:
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for n in range(1, count + 1):
        row = n.to_bytes(8, "big")
        if n == 20 and len(sys.argv) > 4:
            Path(sys.argv[4]).touch()
        disk.commit([Write("vote", b"chain", row), Write("body", row, row * 500)])
        print(n, flush=True)
except StoreError as fault:
    print("stopped", type(fault).__name__, fault, flush=True)
    try:
        disk.commit([Write("vote", b"chain", b"once more")])
    except StoreError:
        print("silent", flush=True)
    try:
        disk.get("vote", b"chain")
    except StoreError:
        print("blind", flush=True)
    sys.exit(3)
"""

_SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int failing(void) {
    const char *path = getenv("FSYNC_FAILS_AFTER");
    return path && access(path, F_OK) == 0;
}
int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (failing()) { errno = EIO; return -1; }
    return real(fd);
}
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (failing()) { errno = EIO; return -1; }
    return real(fd);
}
"""


NOTHING: Mapping[str, str] = {}


def witness(
    home: Path, *, limit: int = 0, trigger: Path | None = None, more: Mapping[str, str] = NOTHING
) -> tuple[int, list[int], list[str]]:
    """Run the witness; return its exit code, what it acknowledged, and what else it said."""
    arguments = [str(home), str(limit), "2000"] + ([str(trigger)] if trigger else [])
    done = subprocess.run(
        [sys.executable, "-c", _WITNESS, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "MAILLON_LANG": "en", **more},
        timeout=120,
        check=False,
    )
    lines = done.stdout.split("\n")
    votes = [int(line) for line in lines if line.isdigit()]
    return done.returncode, votes, [line for line in lines if line and not line.isdigit()]


def kept(home: Path) -> int:
    """Return the last vote that is on the disk."""
    disk = SqliteDisk(home)
    found = int.from_bytes(disk.get("vote", b"chain") or b"", "big")
    disk.close()
    return found


def test_when_the_disk_is_full_the_witness_stops_and_has_kept_all_it_said(tmp_path: Path) -> None:
    code, votes, said = witness(tmp_path, limit=400_000)
    assert code == 3 and votes, said
    assert said[0].startswith("stopped DiskFailed") and "silent" in said and "blind" in said
    assert kept(tmp_path) == votes[-1], "what it said is kept, and nothing it did not say"
    code, more, _ = witness(tmp_path, limit=0)
    assert code == 0 and len(more) == 2_000, "with room again it goes on"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of one megabyte, where this user may mount one."""
    mount = shutil.which("mount")
    target = tmp_path / "small"
    target.mkdir()
    if mount is None:
        pytest.skip("there is no mount command here")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield target
    subprocess.run(["umount", str(target)], check=False)


def test_a_full_file_system_is_told_in_words(small_disk: Path) -> None:
    code, votes, said = witness(small_disk)
    assert code == 3 and votes
    assert "no room" in said[0] and "silent" in said
    code, more, _ = witness(small_disk)
    assert code != 0 and not more, "nor does it say anything at the next start"
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert kept(small_disk) == votes[-1], "with room again, all that it said is there"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a library under which fsync fails once a file is there."""
    gcc = shutil.which("gcc") or shutil.which("cc")
    if gcc is None:
        pytest.skip("there is no C compiler here")
    folder = tmp_path_factory.mktemp("shim")
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(_SHIM)
    made = subprocess.run(
        [gcc, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"the library cannot be built here: {made.stderr.strip()[:200]}")
    return library


def test_after_a_failed_fsync_nothing_more_is_said(tmp_path: Path, shim: Path) -> None:
    home, trigger = tmp_path / "home", tmp_path / "fail"
    home.mkdir()
    code, votes, said = witness(
        home, trigger=trigger, more={"LD_PRELOAD": str(shim), "FSYNC_FAILS_AFTER": str(trigger)}
    )
    assert code == 3, said
    assert votes == list(range(1, 20)), "the vote whose fsync failed was not said"
    assert said[0].startswith("stopped DiskFailed") and "silent" in said and "blind" in said


def test_while_fsync_fails_the_next_start_fails_too(tmp_path: Path, shim: Path) -> None:
    """What a failed fsync left may be read back and not be there: only a sync that works helps."""
    home, trigger = tmp_path / "home", tmp_path / "fail"
    home.mkdir()
    failing = {"LD_PRELOAD": str(shim), "FSYNC_FAILS_AFTER": str(trigger)}
    witness(home, trigger=trigger, more=failing)
    code, votes, said = witness(home, more=failing)
    assert code == 1 and not votes and not said
    trigger.unlink()
    assert kept(home) >= 19
