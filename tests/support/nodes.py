"""Real nodes in processes of their own, driven through the command line and the local interface."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import httpx

# Long enough for two busy cores; a test that reaches it has failed.
WAIT_S = 60.0
PASSWORD = "a password of tests"
_POLL_S = 0.05

T = TypeVar("T")


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(question: Callable[[], T], what: str) -> T:
    """Ask until the answer is true; fail with `what` after WAIT_S."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            answer = question()
            if answer:
                return answer
        time.sleep(_POLL_S)
    raise AssertionError(f"waited {WAIT_S} s in vain: {what}")


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: English, and nothing of the tester's own Maillon."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAILLON", "LC_", "LANG"))}
    return {**kept, "MAILLON_LANG": "en", **more}


def ahead(seconds: int) -> dict[str, str]:
    """Return what sets the clock of a child ahead (support/ahead/sitecustomize.py)."""
    if not seconds:
        return {}
    path = [str(Path(__file__).parent / "ahead"), os.environ.get("PYTHONPATH", "")]
    return {"AHEAD_S": str(seconds), "PYTHONPATH": os.pathsep.join(filter(None, path))}


def maillon(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "maillon.node.cli", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env=environment(**more),
        check=False,
    )


def told(home: Path, *arguments: str) -> Any:
    """Run one command with --json and return what it tells; fail when it fails."""
    done = maillon(home, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestNode:
    """One node: its home and, while it runs, its process."""

    __test__ = False

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        self.name = name
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.ahead_s = 0
        """How far the clock of the next process is ahead of the machine's."""
        self.variables: dict[str, str] = {}
        """What the environment of the next process has besides."""
        self.log = home.parent / f"{home.name}.log"
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(home / "api.sock")),
            base_url="http://node",
            timeout=WAIT_S,
        )

    def init(self) -> TestNode:
        """Make the home, with a generated password beside it."""
        self.cli(
            "init",
            "--name",
            self.name,
            "--listen",
            f"/ip4/127.0.0.1/tcp/{self.port}",
            "--generate-password",
        )
        return self

    def cli(self, *arguments: str) -> Any:
        """Run a command of this node and return what it tells."""
        return told(self.home, *arguments)

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the answer of the running node."""
        answer = self.http.get(path, params=parameters)
        assert answer.is_success, answer.text
        return answer.json()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process and return at once."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "maillon.node.cli", "--home", str(self.home), "run"],
                stdout=log,
                stderr=log,
                env=environment(**self.variables, **ahead(self.ahead_s)),
            )
        return self.process

    def start(self) -> TestNode:
        """Start the process and wait until it answers."""
        process = self.spawn()

        def answers() -> bool:
            assert process.poll() is None, self.log.read_text()
            # Known nodes serve reads before their network is up; what follows needs both.
            return self.listens() and bool(self.http.get("/v1/status").json().get("addresses"))

        wait_for(answers, f"{self.name} answers")
        return self

    def listens(self) -> bool:
        """Tell whether somebody answers at the socket; httpx forgets to close what it could not
        connect."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.home / "api.sock"))
            except OSError:
                return False
        return True

    def stop(self) -> int:
        """Ask the process to end, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        self.process = None
        return code

    def kill(self) -> None:
        """End the process without a chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(WAIT_S)
        self.process = None

    def ids(self, kind: str) -> set[str]:
        """Return the ids of the live records of a kind."""
        found = self.get("/v1/records", kind=kind, limit=1000)["records"]
        return {record["id"] for record in found}

    def close(self) -> None:
        """End whatever still runs."""
        self.http.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait(WAIT_S)


@contextlib.contextmanager
def nodes(directory: Path, *names: str) -> Generator[list[TestNode]]:
    """Give nodes with short homes, and end them whatever happens."""
    made = [TestNode(directory / name, f"Coop {name.upper()}") for name in names]
    try:
        yield made
    finally:
        for node in made:
            node.close()
