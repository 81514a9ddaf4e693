"""The nodes of the demonstration: a process each, driven as an operator would drive it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from maillon.node.cli.client import Client
from maillon.node.demo.people import Area
from maillon.node.home import Home
from maillon.node.i18n import _
from maillon.node.run.process import STAY
from maillon.protocol.errors import LocalError

# A node on a busy machine of two cores, with five others starting beside it.
STARTS_WITHIN_S = 90.0
ENDS_WITHIN_S = 15.0
COMMAND_S_MAX = 120.0
POLL_S = 0.2


class DemoFailed(LocalError):
    """A step of the demonstration did not end as it must."""

    code = "demo"


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Node:
    """One coop's node: its directory, its process and a client of its local interface."""

    def __init__(self, area: Area, root: Path) -> None:
        self.area = area
        self.home = Home(root / area.slug)
        self.log_path = root / f"{area.slug}.log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """Return the client of the local interface, made at the first use."""
        if self._client is None:
            self._client = Client(self.home)
        return self._client

    def command(self, *arguments: str) -> Any:
        """Run a `maillon` command on this node's directory and return what its --json prints."""
        done = subprocess.run(
            [sys.executable, "-m", "maillon.node.cli", "--home", str(self.home.path), "--json"]
            + list(arguments),
            capture_output=True,
            env=self._environment(),
            timeout=COMMAND_S_MAX,
        )
        if done.returncode:
            raise DemoFailed(
                _("`maillon {command}` of {name} ended with {code}: {text}").format(
                    command=" ".join(arguments[:2]),
                    name=self.area.name,
                    code=done.returncode,
                    text=done.stderr.decode(errors="replace").strip()[-400:],
                )
            )
        return json.loads(done.stdout) if done.stdout.strip() else None

    def set_up(self) -> str:
        """Make the node and return its card."""
        self.command(
            "init",
            "--name",
            self.area.name,
            "--territory",
            self.area.code,
            "--listen",
            f"/ip4/127.0.0.1/tcp/{self.port}",
            "--generate-password",
        )
        card: str = self.command("federation", "card")["card"]
        return card

    def start(self) -> None:
        """Start the process; it says where it stands through its local interface."""
        self._log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "maillon.node.cli", "--home", str(self.home.path), "run"]
            + ["--until-eof"],
            # It closes when this process ends, however it ends: no node stays behind.
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=self._environment(),
            start_new_session=True,
        )

    def status(self) -> dict[str, Any] | None:
        """Return what the node says of itself, or None while it does not answer."""
        if self.process is not None and self.process.poll() is not None:
            raise DemoFailed(
                _("The node of {name} ended with {code}; the end of its log is: {text}").format(
                    name=self.area.name,
                    code=self.process.returncode,
                    text=self.log_tail(),
                )
            )
        try:
            answer: dict[str, Any] = self.client.get("/v1/status")
            return answer
        except LocalError as fault:
            if fault.code in ("not_running", "timeout"):
                return None
            raise

    def log_tail(self) -> str:
        """Return the end of the node's log."""
        try:
            return self.log_path.read_text(errors="replace").strip()[-600:]
        except OSError:
            return ""

    def kill(self) -> None:
        """End the process with SIGKILL: no goodbye, nothing flushed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(ENDS_WITHIN_S)
        self._closed()

    def stop(self) -> None:
        """End the process as a service manager does, and by force if it does not end."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(ENDS_WITHIN_S)
        self._closed()

    def let_go(self) -> None:
        """Let the process run on when this one has ended."""
        if self.process is not None and self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.write(STAY)
                self.process.stdin.close()

    def _closed(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _environment(self) -> dict[str, str]:
        return os.environ | {"MAILLON_PASSWORD_FILE": str(self.home.path / "password")}


@contextmanager
def running(nodes: Callable[[], Sequence[Node]], *, keep: Callable[[], bool]) -> Generator[None]:
    """Stop every node at the end, however it comes, unless they are to stay."""
    try:
        yield
    except BaseException:
        _stop(nodes())
        raise
    if not keep():
        _stop(nodes())
        return
    for node in nodes():
        node.let_go()


def _stop(nodes: Sequence[Node]) -> None:
    # All are told first: they end at the same time.
    for node in nodes:
        if node.process is not None:
            node.process.terminate()
    for node in nodes:
        node.stop()


def wait_until(
    what: str,
    check: Callable[[], bool],
    *,
    within_s: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> float:
    """Poll until `check` holds and return the seconds it took.

    Raises: DemoFailed naming `what` when it does not hold in time.
    """
    start = time.monotonic()
    while not check():
        if time.monotonic() - start > within_s:
            raise DemoFailed(
                _("This did not happen within {n} seconds: {what}.").format(
                    n=int(within_s), what=what
                )
            )
        meanwhile()
        time.sleep(POLL_S)
    return time.monotonic() - start
