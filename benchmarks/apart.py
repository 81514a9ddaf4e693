"""A node in a process of its own, told what to do by JSON lines on standard input.

    python benchmarks/apart.py '{"seeds": ["…"], "founding": "…"}'

It is put together of the parts a node runs on, without its local interface: engine, database,
libp2p driver, pool of verifying threads, and the loop that carries sessions. So a measurement can
begin when it is told to, and count what one session spends. With several seeds there are as many
of them in this one process, each with its own host, database and engine.

Each command is {"do": name, …} and gets one line {"ok": …} or {"fault": …}. Ends when its input
does.
"""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

TOP = Path(__file__).resolve().parents[1]

if TYPE_CHECKING:
    from maillon.node.engine import Engine
    from maillon.node.events import Effect, NetworkEvent
    from maillon.node.ports import FrameStream


class Process:
    """A child process that answers commands in JSON, a line each."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("MAILLON_BENCH_STDERR") else subprocess.DEVNULL,
            text=True,
        )

    def ask(self, do: str, **facts: Any) -> Any:
        """Send a command and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **facts}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with {self.process.wait()}")
        answer = json.loads(line)
        if "fault" in answer:
            raise RuntimeError(answer["fault"])
        return answer["ok"]

    def stop(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.stop()


class Apart(Process):
    """Nodes in a process of their own, listening; see the commands of `_Process`."""

    def __init__(self, **config: Any) -> None:
        super().__init__([sys.executable, __file__, json.dumps(config)])
        self.ready: dict[str, Any] = self._answer()
        self.key: str = self.ready["keys"][0]
        self.addresses: list[str] = self.ready["addresses"][0]

class _Counted:
    """A stream that counts what goes through it, by the type of frame."""

    def __init__(self, stream: FrameStream, counts: Counter[str]) -> None:
        self._stream = stream
        self._counts = counts

    @property
    def peer(self) -> bytes:
        return self._stream.peer

    def _count(self, way: str, frame: bytes) -> None:
        # A frame is an array of at most fifteen parts, its type the first of them; RECORDS is 4.
        # Four bytes of length go before each.
        kind = "records" if frame[1:2] == b"\x04" else "other"
        self._counts[f"{kind}_{way}"] += len(frame) + 4

    async def send(self, frame: bytes) -> None:
        self._count("out", frame)
        await self._stream.send(frame)

    async def receive(self) -> bytes | None:
        frame = await self._stream.receive()
        if frame is not None:
            self._count("in", frame)
        return frame

    async def close(self) -> None:
        await self._stream.close()

    async def reset(self) -> None:
        await self._stream.reset()


class _Node:
    """One node of this process."""

    def __init__(self, config: dict[str, Any], seed: bytes, threads: int) -> None:
        import trio

        from maillon.node.net import Libp2pNetwork, NetSettings
        from maillon.node.run import sync
        from maillon.node.verify import Pool
        from maillon.protocol.founding import decode_founding
        from maillon.protocol.gossip import topic
        from maillon.protocol.keys import SigningKey

        self.founding = decode_founding(bytes.fromhex(config["founding"]))
        self.seed = seed
        self.key = SigningKey.from_seed(seed).public
        self.clock_now = config.get("now")
        self.pool = Pool(threads)
        self.counts: Counter[str] = Counter()
        self.engine: Engine = None  # type: ignore[assignment]  # `open` comes first
        self.store: Any = None
        self.nursery: trio.Nursery | None = None
        self.outbox_send, self.outbox = trio.open_memory_channel[bytes](1_024)
        self.may_start = False
        self.network = Libp2pNetwork(
            NetSettings(topic=topic(self.founding.fed), listen=("/ip4/127.0.0.1/tcp/0",)),
            seed,
            self.judge,
            self.event,
            lambda key: self.engine.admitted(key),
            rng=random.Random(1),
        )
        self.network.set_handler(sync.PROTOCOL, self.answer)

    def now(self) -> float:
        # The federation of a benchmark lives at a fixed time; only fractions go on.
        if self.clock_now is None:
            return time.time()
        return float(self.clock_now) + time.monotonic() % 1_000

    def open(self, path: str) -> None:
        """Begin with another database."""
        from maillon.node.engine import Engine
        from maillon.node.store import SqliteStore

        if self.store is not None:
            self.store.close()
        self.store = SqliteStore(path)
        self.engine = Engine(
            self.store, self.founding, node_key=self.key, rng=random.Random(self.seed)
        )
        self.run(self.engine.start(self.now()))
        gc.collect()
        gc.freeze()

    def judge(self, peer: bytes, data: bytes) -> bool:
        verdict = self.engine.gossip(peer, data, self.now(), self.pool.verify_now)
        self.run(verdict.effects)
        return verdict.relay

    def event(self, event: NetworkEvent) -> None:
        """Sessions are started by command only: nothing else is to run while one is measured."""

    def run(self, effects: Sequence[Effect]) -> None:
        from maillon.node.events import Publish, Stored

        for effect in effects:
            if isinstance(effect, Publish):
                self.outbox_send.send_nowait(effect.data)
            elif isinstance(effect, Stored):
                self.counts["stored"] += len(effect.ids)

    async def work(self) -> None:
        """Publish what is to be published, and let the engine's timer run."""
        import trio

        async def publish() -> None:
            async for data in self.outbox:
                await self.network.publish(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            while True:
                if self.engine is not None:  # pyright: ignore[reportUnnecessaryComparison]
                    self.run(self.engine.tick(self.now()))
                await trio.sleep(0.02)

    async def answer(self, stream: FrameStream) -> None:
        session = self.engine.accept_sync(stream.peer, self.now())
        if session is None:
            self.counts["refused_sessions"] += 1
            await stream.reset()
            return
        await self.carry(session, stream)

    async def carry(self, session: Any, stream: FrameStream) -> None:
        from maillon.node.run import sync

        counted = _Counted(stream, self.counts)
        await sync.run_session(session, counted, self.now, self.pool.begin, self.run)
        await stream.close()

    async def sync(self, peer: bytes) -> dict[str, Any]:
        from maillon.node.run import sync

        self.counts.clear()
        stream = await self.network.open_stream(peer, sync.PROTOCOL)
        self.run(self.engine.connected(peer, self.now()))
        session = self.engine.open_sync(peer, self.now())
        if session is None:
            raise RuntimeError("a session runs already")
        cpu, wall = time.process_time(), time.perf_counter()
        await self.carry(session, stream)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if not session.ok:
            raise RuntimeError(f"the session failed: {session.fault}")
        return {"cpu": cpu, "wall": wall, "stored": session.stored, **self.counts}


class _Process:
    """The commands."""

    def __init__(self, config: dict[str, Any]) -> None:
        seeds = [bytes.fromhex(seed) for seed in config["seeds"]]
        self.nodes = [_Node(config, seed, config.get("threads", 0)) for seed in seeds]

    async def do_open(self, paths: list[str]) -> None:
        for node, path in zip(self.nodes, paths, strict=True):
            node.open(path)

    async def do_threads(self, threads: int) -> None:
        from maillon.node.verify import Pool

        for node in self.nodes:
            node.pool = Pool(threads)

    async def do_connect(self, peer: str, addresses: list[str], node: int = 0) -> None:
        await self.nodes[node].network.connect(bytes.fromhex(peer), addresses)

    async def do_sync(self, peer: str) -> dict[str, Any]:
        return await self.nodes[0].sync(bytes.fromhex(peer))

    async def do_cpu(self) -> float:
        return time.process_time()

    async def do_live(self) -> int:
        return sum(self.nodes[0].store.count_live().values())

    async def do_mesh(self) -> bool:
        """Connect each node with every other, and wait until gossip goes directly."""
        import trio

        for place, node in enumerate(self.nodes):
            for other in self.nodes[:place]:
                await node.network.connect(other.key, other.network.addresses())
        with trio.move_on_after(20):
            while any(len(node.network.peers()) < len(self.nodes) - 1 for node in self.nodes):
                await trio.sleep(0.1)
        found = False
        for node in self.nodes[1:]:
            found = await self.nodes[0].network.wait_for_mesh(node.key, 3) or found
        # A mesh settles within a few heartbeats.
        await trio.sleep(3)
        return found

    async def do_gossip(self, records: list[str], every_s: float, together: int) -> dict[str, Any]:
        """Publish records at different nodes; return bytes of gossip until all have all of them."""
        import trio

        before = self._gossip_bytes()
        start, cpu = time.perf_counter(), time.process_time()
        for node in self.nodes:
            node.counts.clear()
        data = [bytes.fromhex(record) for record in records]
        for place in range(0, len(data), together):
            node = self.nodes[place // together % len(self.nodes)]
            batch = data[place : place + together]
            refused, effects = node.engine.submit_many(batch, node.now(), node.pool.verify_now)
            assert not any(refused), refused
            node.run(effects)
            await trio.sleep(every_s)
        with trio.move_on_after(20):
            while any(node.counts["stored"] < len(data) for node in self.nodes):
                await trio.sleep(0.05)
        return {
            "bytes": self._gossip_bytes() - before,
            "wall": time.perf_counter() - start,
            "cpu": time.process_time() - cpu,
            "stored": [node.counts["stored"] for node in self.nodes],
        }

    async def do_idle(self, seconds: float) -> int:
        """Return the bytes of gossip that flow while nothing happens."""
        import trio

        before = self._gossip_bytes()
        await trio.sleep(seconds)
        return self._gossip_bytes() - before

    def _gossip_bytes(self) -> int:
        return sum(int(node.network.metrics().get("gossip_bytes_out", 0)) for node in self.nodes)


async def _main(config: dict[str, Any]) -> None:
    import trio

    process = _Process(config)
    async with trio.open_nursery() as nursery:
        for node in process.nodes:
            await nursery.start(node.network.run)
            nursery.start_soon(node.work)
        _say({"ok": {
            "keys": [node.key.hex() for node in process.nodes],
            "addresses": [node.network.addresses() for node in process.nodes],
        }})  # fmt: skip
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            command = json.loads(line)
            try:
                done = await getattr(process, "do_" + command.pop("do"))(**command)
            except Exception as error:
                _say({"fault": repr(error)})
            else:
                _say({"ok": done})
        nursery.cancel_scope.cancel()


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    import trio as _trio

    _trio.run(_main, json.loads(sys.argv[1]))
