"""A post office with its disk and wires in a process of its own: `support.netnode` and letters.

A coop's id is its node's key here; whoever is admitted to the network belongs to the federation.
Configuration, besides that of netnode: `home`, `keys` (seeds of sealing keys held here), `devices`
(public sealing keys that are not), `die_after_commits`, `bounds_of_post`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from maillon.node import clock
from maillon.node.engine.post.bounds import Bounds
from maillon.node.events import NetworkEvent
from maillon.node.post.links import PROTOCOL
from maillon.node.post.ports import Sending
from maillon.node.post.runner import PostRunner
from maillon.node.store.lettersdisk import LettersDisk
from maillon.protocol.keys import SealingKey
from maillon.protocol.letters import Item
from support import netnode

FED = b"f" * 32


def ticket_of(item: bytes) -> bytes:
    """Return the ticket under which an item is sent."""
    return hashlib.sha256(item).digest()


class DyingDisk(LettersDisk):
    """A disk whose machine loses power right after its n-th commit that wrote something."""

    die_after = -1

    @contextmanager
    def batch(self) -> Generator[None]:
        with super().batch():
            yield
        if self.commits == self.die_after:
            os._exit(9)


class Host:
    """Implements post.ports.Host."""

    def __init__(self, node: PostNode, config: dict[str, Any]) -> None:
        self._node = node
        self.held: dict[bytes, SealingKey] = {
            key.public: key
            for key in (SealingKey.from_seed(bytes.fromhex(seed)) for seed in config["keys"])
        }
        self.devices = {bytes.fromhex(key) for key in config.get("devices", ())}
        self.offset = 0
        self.faults: list[str] = []
        self.waiting: list[bytes] = []

    @property
    def coop(self) -> bytes:
        return self._node.net.key

    @property
    def fed(self) -> bytes:
        return FED

    def time(self) -> int:
        return clock.now() + self.offset

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def node_of(self, coop: bytes) -> bytes | None:
        return coop

    def coop_of(self, node: bytes) -> bytes | None:
        return node if self.belongs(node) else None

    def belongs(self, coop: bytes) -> bool:
        return coop == self.coop or self._node.everybody or coop in self._node.admitted

    def addressee(self, key: bytes) -> bool:
        return key in self.held or key in self.devices

    def held_sealing(self, key: bytes) -> SealingKey | None:
        return self.held.get(key)

    def letters_waiting(self, key: bytes) -> None:
        self.waiting.append(key)

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")


class PostNode(netnode.Node):
    """A driver with a post."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.host = Host(self, config)
        disk = DyingDisk(Path(config["home"]) / "letters.db")
        self.post = PostRunner(
            disk,
            self.host,
            self.net,
            random.Random(config.get("rng", 1)),
            Bounds(**config.get("bounds_of_post", {})),
        )
        disk.die_after = config.get("die_after_commits", -1)
        self.post.desk = self
        self.opened: list[dict[str, str]] = []
        self.told: list[dict[str, str]] = []
        self.refusing = 0
        self.net.set_handler(PROTOCOL, self.post.serve)

    def start(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self.post.run)

    def event(self, event: NetworkEvent) -> None:
        super().event(event)
        self.post.connections_changed()

    # --- the desk -------------------------------------------------------------------------------

    def letter_opened(self, to_key: bytes, from_coop: bytes, items: Sequence[Item]) -> None:
        if self.refusing:
            self.refusing -= 1
            raise ValueError("the desk is not ready")
        self.opened += [{"key": to_key.hex(), "data": item.data.hex()} for item in items]

    def letter_ended(self, id: bytes, ticket: bytes, to_key: bytes, code: str) -> None:
        self.told.append({"id": id.hex(), "ticket": ticket.hex(), "code": code})

    # --- commands -------------------------------------------------------------------------------

    async def do_send(
        self, to: str, key: str, items: list[str], exchange: str = "00", until_s: int = 86_400
    ) -> list[str]:
        ids = self.post.send(
            [
                Sending(
                    to_coop=bytes.fromhex(to),
                    to_key=bytes.fromhex(key),
                    exchange=bytes.fromhex(exchange).ljust(32, b"\0"),
                    items=(Item(4, bytes.fromhex(item)),),
                    until=self.host.time() + until_s,
                    owner=b"o" * 49,
                    ticket=ticket_of(bytes.fromhex(item)),
                )
                for item in items
            ]
        )
        return [id.hex() for id in ids]

    async def do_read(self, count: int = 0, seconds: float = 20.0) -> list[str]:
        """Return what the desk was given, once it is `count` items."""
        with trio.move_on_after(seconds):
            while len(self.opened) < count:
                await trio.sleep(0.01)
        return [one["data"] for one in self.opened]

    async def do_told(self, count: int, seconds: float = 20.0) -> list[dict[str, str]]:
        with trio.move_on_after(seconds):
            while len(self.told) < count:
                await trio.sleep(0.01)
        return self.told

    async def do_inbox(self, key: str, after: int = 0, count: int = 0) -> list[dict[str, Any]]:
        with trio.move_on_after(20):
            while len(self.post.inbox(bytes.fromhex(key), after, 100)) < count:
                await trio.sleep(0.01)
        return [
            {"serial": one.serial, "id": one.id.hex(), "letter": one.letter.hex(), "n": one.n}
            for one in self.post.inbox(bytes.fromhex(key), after, 100)
        ]

    async def do_trips(self, peer: str, count: int) -> dict[str, list[float]]:
        """Return how long empty frames take to come back on a stream of letters."""
        stream = await self.net.open_stream(bytes.fromhex(peer), PROTOCOL)
        taken: list[float] = []
        for _ in range(count):
            began = trio.current_time()
            await stream.send(b"")
            await stream.receive()
            taken.append(trio.current_time() - began)
        await stream.close()
        return {"seconds": taken}

    async def do_taken(self, key: str, ids: list[str]) -> int:
        return self.post.taken(bytes.fromhex(key), [bytes.fromhex(id) for id in ids])

    async def do_figures(self) -> dict[str, int]:
        return self.post.figures()

    async def do_wait_figure(self, name: str, value: int, seconds: float = 20.0) -> int:
        with trio.move_on_after(seconds):
            while self.post.figures()[name] != value:
                await trio.sleep(0.01)
        return self.post.figures()[name]

    async def do_clock(self, offset: int) -> None:
        self.host.offset = offset
        self.post.connections_changed()

    async def do_look(self) -> None:
        self.post.connections_changed()

    async def do_refuse(self, times: int) -> None:
        self.refusing = times

    async def do_faults(self) -> list[str]:
        return self.host.faults


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    trio.run(partial(netnode.main, make=PostNode), json.loads(sys.argv[1]))
