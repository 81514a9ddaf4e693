"""However the demonstration is ended, no process and no directory stays behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from maillon.node.demo.leaving import LOCK, PREFIX, Directory, sweep
from maillon.node.demo.nodes import Node
from maillon.node.demo.people import AREAS

# A busy machine of two cores; what is awaited comes within a second on a free one.
WITHIN_S = 90

# What `maillon demo` is made of, with one node and nothing to show.
DEMONSTRATION = """
import signal, sys
from pathlib import Path
from maillon.node.demo.leaving import Directory, heard_signals
from maillon.node.demo.nodes import Node, running, wait_until
from maillon.node.demo.people import AREAS

# A shell has what it runs in the background ignore it: a terminal's demonstration does not.
signal.signal(signal.SIGINT, signal.default_int_handler)
own = Directory.make()
node = Node(AREAS[0], Path(sys.argv[1]))
try:
    with heard_signals(), running(lambda: [node], keep=lambda: sys.argv[2] == "keep"):
        node.start()
        wait_until("it answers", lambda: node.status() is not None, within_s=90)
        print(node.process.pid, own.path, flush=True)
        if sys.argv[2] != "keep":
            signal.pause()
except (KeyboardInterrupt, SystemExit):
    own.remove()
    raise
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with one node that has founded a federation of its own."""
    path = tmp_path_factory.mktemp("demo")
    node = Node(AREAS[0], path)
    node.set_up()
    node.command("federation", "found", "--name", "Seule", "--no-accounts")
    return path


def begin(root: Path, temporary: Path, how: str) -> tuple[subprocess.Popen[str], int, Path]:
    """Start a demonstration; return it, the process of its node and its own directory."""
    demo = subprocess.Popen(
        [sys.executable, "-c", DEMONSTRATION, str(root), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        start_new_session=True,
    )
    assert demo.stdout is not None
    with demo.stdout as told:
        pid, path = told.readline().split()
    return demo, int(pid), Path(path)


def ended(pid: int) -> bool:
    """Wait for the end of a process that is nobody's child here; tell whether it came."""
    try:
        psutil.Process(pid).wait(WITHIN_S)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        os.kill(pid, signal.SIGKILL)
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_demonstration_ends_its_nodes_and_removes_its_directory(
    root: Path, tmp_path: Path, number: signal.Signals
) -> None:
    demo, pid, path = begin(root, tmp_path, "until a signal")
    assert path.is_dir() and psutil.pid_exists(pid)
    demo.send_signal(number)
    assert demo.wait(WITHIN_S) != 0
    assert ended(pid)
    assert list(tmp_path.iterdir()) == []


def test_a_demonstration_that_is_killed_takes_its_nodes_along_and_the_next_one_its_directory(
    root: Path, tmp_path: Path
) -> None:
    demo, pid, path = begin(root, tmp_path, "until a signal")
    demo.kill()
    demo.wait(WITHIN_S)
    assert ended(pid)
    assert path.is_dir()
    assert sweep(tmp_path) == [path] and not path.exists()


def test_nodes_that_are_to_stay_outlive_the_demonstration(root: Path, tmp_path: Path) -> None:
    demo, pid, _path = begin(root, tmp_path, "keep")
    try:
        assert demo.wait(WITHIN_S) == 0
        assert psutil.Process(pid).is_running()
        with contextlib.closing(Node(AREAS[0], root).client) as client:
            assert client.get("/v1/status")["name"]
    finally:
        os.kill(pid, signal.SIGTERM)
    assert ended(pid)


def test_what_runs_what_was_kept_and_what_is_somebody_elses_is_not_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running, kept = Directory.make(), Directory.make()
    kept.keep()
    (tmp_path / "other").mkdir()
    # Its demonstration was killed, and a node of it has not ended yet.
    busy = tmp_path / f"{PREFIX}busy"
    (busy / "node").mkdir(parents=True)
    (busy / LOCK).touch()
    with (busy / "node" / "node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sweep(tmp_path) == []
    assert sweep(tmp_path) == [busy]
    running.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["other", kept.path.name])
