"""A node's network driver in a process of its own, told what to do by JSON lines on standard input.

    python -m support.netnode '{"seed": "…", "listen": ["/ip4/127.0.0.1/tcp/0"], "topic": "…"}'

Each command is {"id": n, "do": name, …} and gets one line {"id": n, "ok": …} or {"id": n,
"error": sentence, "code": …}. The first line written is {"ready": […addresses]}, or {"failed": …}.
Ends when its input does.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import hashlib
import json
import logging
import random
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from maillon.node import bounds
from maillon.node.events import NetworkEvent
from maillon.node.net import Libp2pNetwork, NetSettings
from maillon.node.ports import FrameStream
from maillon.protocol.errors import MaillonError


class Node:
    """One driver and what it has seen."""

    def __init__(self, config: dict[str, Any]) -> None:
        for name, value in config.get("bounds", {}).items():
            if not hasattr(bounds, name):
                raise AttributeError(name)
            setattr(bounds, name, value)
        self.everybody = config.get("admit") == "everybody"
        self.admitted = {bytes.fromhex(k) for k in config.get("admitted", [])}
        self.got: dict[str, int] = {}
        self.events: list[str] = []
        self.order: list[str] = []
        self.refuse = b""
        self.boom = b""
        settings = NetSettings(
            topic=config["topic"],
            listen=tuple(config["listen"]),
            mdns=config.get("mdns", False),
            relay=config.get("relay", "off"),
            liveness_s=config.get("liveness_s", 15.0),
        )
        self.net = Libp2pNetwork(
            settings,
            bytes.fromhex(config["seed"]),
            self.validator,
            self.event,
            lambda key: self.everybody or key in self.admitted,
            rng=random.Random(config.get("rng", 1)),
        )
        self.net.set_handler("/test/echo", self.echo)
        self.net.set_handler("/test/boom", self.raise_value_error)
        self.net.set_handler("/test/slow", self.raise_too_slow)
        self.net.set_handler("/test/swallow", self.swallow)
        self.net.set_handler("/test/hold", self.hold)
        self.net.set_handler("/test/join", self.echo, strangers=True)
        self.commands: dict[str, Callable[..., Awaitable[Any]]] = {
            name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def start(self, nursery: trio.Nursery) -> None:
        """Start what runs beside the driver; here nothing does."""

    def validator(self, peer: bytes, data: bytes) -> bool:
        if self.boom and self.boom in data:
            raise ValueError("a fault in the validator")
        if self.refuse and self.refuse in data:
            self.net.penalise(peer, 20.0, "test_refused")
            return False
        name = hashlib.sha256(data).hexdigest()
        self.got[name] = self.got.get(name, 0) + 1
        return True

    def event(self, event: NetworkEvent) -> None:
        self.events.append(repr(event))

    async def echo(self, stream: FrameStream) -> None:
        while (frame := await stream.receive()) is not None:
            await stream.send(frame)

    async def swallow(self, stream: FrameStream) -> None:
        while await stream.receive() is not None:
            pass

    async def hold(self, stream: FrameStream) -> None:
        await trio.sleep_forever()

    async def raise_value_error(self, stream: FrameStream) -> None:
        await stream.receive()
        raise ValueError("a fault in a handler")

    async def raise_too_slow(self, stream: FrameStream) -> None:
        raise trio.TooSlowError

    # --- commands -------------------------------------------------------------------------------

    async def do_publish(self, data: str, count: int = 1, pad: int = 0) -> int:
        for number in range(count):
            await self.net.publish(message(data, number, pad))
        return count

    async def do_got(self, data: str, count: int = 1, pad: int = 0, seconds: float = 15.0) -> int:
        names = [hashlib.sha256(message(data, n, pad)).hexdigest() for n in range(count)]
        with trio.move_on_after(seconds):
            while sum(name in self.got for name in names) < count:
                await trio.sleep(0.02)
        if any(self.got.get(name, 0) > 1 for name in names):
            raise AssertionError("a message was delivered twice")
        return sum(name in self.got for name in names)

    async def do_metrics(self) -> dict[str, Any]:
        return self.net.metrics()

    async def do_wait(self, metric: str, least: float, seconds: float = 15.0) -> Any:
        with trio.move_on_after(seconds):
            while self.net.metrics().get(metric, 0) < least:  # type: ignore[operator]
                await trio.sleep(0.02)
        return self.net.metrics().get(metric, 0)

    async def do_wait_below(self, metric: str, most: float, seconds: float = 15.0) -> Any:
        with trio.move_on_after(seconds):
            while self.net.metrics().get(metric, 0) > most:  # type: ignore[operator]
                await trio.sleep(0.02)
        return self.net.metrics().get(metric, 0)

    async def do_mesh(self, peer: str, seconds: float = 15.0) -> bool:
        return await self.net.wait_for_mesh(bytes.fromhex(peer), seconds)

    async def do_connected(self, peer: str, want: bool = True, seconds: float = 15.0) -> bool:
        key = bytes.fromhex(peer)
        with trio.move_on_after(seconds):
            while any(p.connected for p in self.net.peers() if p.key == key) != want:
                await trio.sleep(0.02)
            return True
        return False

    async def do_peers(self) -> list[dict[str, Any]]:
        return [
            {
                "key": p.key.hex(), "addresses": list(p.addresses), "connected": p.connected,
                "score": p.score, "bytes_in": p.bytes_in, "bytes_out": p.bytes_out,
                "last_error": p.last_error,
            }
            for p in self.net.peers()
        ]

    async def do_score(self, peer: str) -> float:
        return self.net.ward.score(bytes.fromhex(peer), trio.current_time())

    async def do_events(self) -> list[str]:
        return self.events

    async def do_dial(self, peer: str, addresses: list[str]) -> None:
        self.net.dial(bytes.fromhex(peer), addresses)

    async def do_connect(self, peer: str, addresses: list[str]) -> None:
        await self.net.connect(bytes.fromhex(peer), addresses)

    async def do_forget(self, peer: str) -> None:
        self.net.forget(bytes.fromhex(peer))

    async def do_hint(self, peer: str, addresses: list[str]) -> None:
        self.net.hint(bytes.fromhex(peer), addresses)

    async def do_penalise(self, peer: str, points: float, code: str = "test") -> None:
        self.net.penalise(bytes.fromhex(peer), points, code)

    async def do_admit(self, peers: list[str], only: bool = False) -> None:
        if only:
            self.admitted.clear()
        self.admitted |= {bytes.fromhex(peer) for peer in peers}
        self.net.admission_changed()

    async def do_addresses(self) -> list[str]:
        return self.net.addresses()

    async def do_rules(self, refuse: str = "", boom: str = "") -> None:
        self.refuse, self.boom = refuse.encode(), boom.encode()

    async def do_talk(self, peer: str, protocol: str, frames: list[int]) -> list[int]:
        stream = await self.net.open_stream(bytes.fromhex(peer), protocol)
        back: list[int] = []
        for length in frames:
            await stream.send(bytes(length))
            answer = await stream.receive()
            back.append(-1 if answer is None else len(answer))
        await stream.close()
        return back

    async def do_push(self, peer: str, protocol: str, count: int, length: int) -> None:
        stream = await self.net.open_stream(bytes.fromhex(peer), protocol)
        await stream.send_many(bytes(length) for _ in range(count))
        await stream.close()

    async def do_crash(self) -> None:
        # What a bug in the library's own daemon tasks would do.
        host = self.net._host
        assert host is not None and host._nursery is not None

        async def fail() -> None:
            raise RuntimeError("a fault in the host")

        host._nursery.start_soon(fail)

    async def do_fail_tasks(self) -> None:
        # What a bug in one of the library's tasks for one connection or message would do.
        host = self.net._host
        assert host is not None

        async def fail() -> None:
            raise KeyError("a fault in a task")

        for service in (host._swarm, host._pubsub, host._gossip):
            service.manager.run_task(fail)

    async def do_ask_peers(self, peer: str) -> int:
        from maillon.node.net.asking import ask_for_peers

        return await ask_for_peers(self.net, bytes.fromhex(peer))


def message(data: str, number: int, pad: int) -> bytes:
    """Return the content of a test message, told apart by name and number."""
    return f"{data}:{number}:".encode() + bytes(pad)


async def main(config: dict[str, Any], make: Callable[[dict[str, Any]], Node] = Node) -> None:
    node = make(config)
    out = sys.stdout.buffer

    def say(line: dict[str, Any]) -> None:
        out.write(json.dumps(line).encode() + b"\n")
        out.flush()

    async def obey(command: dict[str, Any]) -> None:
        number, name = command.pop("id"), command.pop("do")
        try:
            say({"id": number, "ok": await node.commands[name](**command)})
        except MaillonError as error:
            say({"id": number, "error": str(error), "code": error.code})
        except Exception as error:
            say({"id": number, "error": repr(error), "code": "fault"})

    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(node.net.run)
        except MaillonError as error:
            say({"failed": str(error), "code": error.code, "hint": getattr(error, "hint", None)})
            return
        node.start(nursery)
        say({"ready": node.net.addresses(), "key": node.net.key.hex()})
        buffer = bytearray()
        async with trio.lowlevel.FdStream(0) as commands:
            async for chunk in commands:
                buffer += chunk
                while (end := buffer.find(b"\n")) >= 0:
                    line = bytes(buffer[:end])
                    del buffer[: end + 1]
                    nursery.start_soon(obey, json.loads(line))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    trio.run(main, json.loads(sys.argv[1]))
