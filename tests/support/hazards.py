"""Attack a real node in another process, and say whether it is well afterwards.

After each attack the node must be up, must never have been restarted, must still gossip with an
honest peer both ways, and must have counted what was done to it.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from support.nethost import Attacker, Child, attacker

MESHSUB = "/meshsub/1.1.0"
numbers = itertools.count(1)
# A loopback address for each attacker: limits by address must not carry over from test to test.
sources = (f"127.0.{n // 250 + 1}.{n % 250 + 1}" for n in itertools.count())


def well(victim: Child, friend: Child) -> None:
    """Assert that the victim was never restarted and gossips with an honest peer both ways."""
    assert victim.count("restarts") == 0
    for one, other in ((victim, friend), (friend, victim)):
        data = f"still here {next(numbers)}"
        one.ask("publish", data=data)
        assert other.ask("got", data=data) == 1


@asynccontextmanager
async def counted(victim: Child, *names: str, least: int = 1) -> AsyncGenerator[None]:
    """Assert that each counter of the victim has grown soon after the block."""
    before = {name: victim.count(name) for name in names}
    yield
    for name, count in before.items():
        now = await victim.aask("wait", metric=name, least=count + least)
        assert now >= count + least, name


@asynccontextmanager
async def attacking(victim: Child, name: str | None = None) -> AsyncGenerator[Attacker]:
    number = next(numbers)
    async with attacker(victim, name or f"attacker {number}", next(sources)) as hostile:
        yield hostile


def raw(victim: Child, source: str | None = None) -> socket.socket:
    """Return a bare TCP connection to the victim."""
    return socket.create_connection(
        ("127.0.0.1", victim.port), timeout=10, source_address=(source or next(sources), 0)
    )
