"""Memory of a node's process that holds a million records, against the same node without any."""

from __future__ import annotations

from harness import Harness
from homes import Running, fill_home, make_home
from maillon.node.home import Home

NAME = "memory"
DESCRIPTION = "resident memory of a node with a million records, against an idle one"

SEARCHES = ("jardinage", "aide informatique", "cours de guitare", "covoiturage")


def run(h: Harness) -> None:
    """Start a node empty, fill its database, start it again."""
    count = 20_000 if h.quick else 1_000_000
    home = make_home(h.tmp / "home")
    idle, _ = _resident(home)
    fill_home(home, count, h.rng.randrange(1 << 16))
    full, live = _resident(home)
    mib = 1 << 20
    h.row("an idle node", idle / mib, "MiB")
    h.row(f"a node with {live:,} records", full / mib, "MiB")
    h.row("a record", (full - idle) / live, "bytes")
    ratio = full / idle
    h.row("full / idle", ratio, "×", "≤ 2.0", ratio <= 2.0)
    h.control("the node holds what was put into its database", live >= count)


def _resident(home: Home) -> tuple[int, int]:
    """Return the memory of a node that started, was asked things, and its number of records."""
    with Running(home) as node:
        node.wait_for_network()
        for words in SEARCHES:
            node.get(f"/v1/search?q={words.replace(' ', '+')}")
        status = node.get("/v1/status")
        assert status is not None
        return node.resident(), int(status["live"])
