"""Real nodes for measurements: a home made by the command line, and the process that runs it."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from corpus import offer_fields
from maillon.node.home import Home
from maillon.node.store import SqliteStore
from maillon.protocol.encoding import encode
from maillon.protocol.envelope import Signed, Valid, draft
from maillon.protocol.ids import RecordId
from maillon.protocol.records import DAY_S, build, thing_id
from maillon.protocol.view import coop_author

STARTS_S_MAX = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


def make_home(path: Path) -> Home:
    """Make a node that founded a federation alone, by the commands a person would type."""
    home = Home(path)
    for words in (
        ["init", "--name", "Coop", "--listen", "/ip4/127.0.0.1/tcp/0", "--generate-password"],
        ["federation", "found", "--name", "Bench"],
    ):
        _maillon(home, *words)
    return home


def command(home: Home, *words: str) -> list[str]:
    """Return the command line of a `maillon` command on a home."""
    return [sys.executable, "-m", "maillon.node.cli", "--home", str(home.path), *words]


def _maillon(home: Home, *words: str) -> None:
    subprocess.run(command(home, *words), check=True, capture_output=True)


class Running:
    """A node's process, from its start to its end."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._start = time.perf_counter()
        self._process = subprocess.Popen(
            command(home, "run"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_for_reads(self) -> tuple[float, float]:
        """Wait until the local interface answers; return (CPU, wall) seconds since the start."""
        self._until(lambda: self.get("/v1/status") is not None)
        return self.spent()

    def wait_for_network(self) -> tuple[float, float]:
        """Wait until the node listens for others; return (CPU, wall) seconds since the start."""
        self._until(lambda: bool((self.get("/v1/status") or {}).get("addresses")))
        return self.spent()

    def _until(self, holds: Any) -> None:
        while not holds():
            if self._process.poll() is not None:
                raise RuntimeError(f"the node ended with {self._process.returncode}")
            if time.perf_counter() - self._start > STARTS_S_MAX:
                raise RuntimeError("the node does not answer")
            time.sleep(0.005)

    def spent(self) -> tuple[float, float]:
        """Return the seconds of CPU and of wall clock since the start."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS, time.perf_counter() - self._start

    def resident(self) -> int:
        """Return the bytes of memory that belong to this process alone: mapped files do not."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1_024
        raise RuntimeError("the kernel does not tell RssAnon")

    def get(self, path: str) -> dict[str, Any] | None:
        """Ask the local interface, without a library whose import would be measured as well."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(30)
            try:
                link.connect(str(self.home.socket))
                request = f"GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
                link.sendall(request.encode())
                answer = b"".join(iter(lambda: link.recv(65_536), b""))
            except OSError:
                return None
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            return None
        if b"chunked" in head.lower():
            body = body[body.index(b"\r\n") + 2 :]
        found: dict[str, Any] = json.JSONDecoder().raw_decode(body.decode())[0]
        return found


def fill_home(home: Home, count: int, seed: int) -> None:
    """Put offers of the coop into a stopped node's database, which has its profile already.

    Their signatures are random bytes: what is stored is not verified again, and what is measured
    is a node that holds many records.
    """
    store = SqliteStore(home.database)
    profile = next(iter(store.by_kinds(["coop_profile"])))
    made = _offers(profile, count, random.Random(seed))
    while batch := list(itertools.islice(made, 1_000)):
        with store.batch():
            for valid in batch:
                store.put(valid)
    store.close()


def _offers(profile: Valid, count: int, rng: random.Random) -> Iterator[Valid]:
    header = profile.signed.header
    node_key = (profile.signed.payload or {})["node_key"]
    assert isinstance(node_key, bytes)
    author = coop_author(header.coop)
    # What they say matters little here; what is drawn anew each time are salt, series and time.
    texts = [build("offer", salt=bytes(16), **offer_fields(rng)) for _ in range(200)]
    for place in range(count):
        payload = {**texts[place % len(texts)], "salt": rng.randbytes(16)}
        at = header.at - 30 * DAY_S + place % (29 * DAY_S)
        made = draft(
            "offer", payload, fed=header.fed, coop=header.coop, by=node_key, at=at,
            until=header.at + 90 * DAY_S, series=rng.randbytes(16),
        )  # fmt: skip
        header_bytes = made.header.encode()
        id = RecordId(hashlib.sha256(header_bytes).digest())
        signed = Signed(
            made.header, header_bytes, id, rng.randbytes(64), encode(made.payload), made.payload
        )
        yield Valid(signed, author, thing_id(author, made.header.series), "node")
