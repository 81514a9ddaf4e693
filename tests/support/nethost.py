"""Start drivers in other processes and talk to them; and hostile peers to set on them."""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from maillon.protocol.keys import SigningKey

TOP = Path(__file__).parents[2]
TOPIC = "maillon/1/" + "ab" * 16 + "/records"


class Refused(Exception):
    """The child answered a command with an error; `code` is its code."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


class Child:
    """A driver in another process. Methods without `a` block; those with one run in a thread."""

    module = "support.netnode"

    def __init__(self, name: str, **config: Any) -> None:
        self.seed = name.encode().ljust(32, b".")[:32]
        self.key = SigningKey.from_seed(self.seed).public
        self.config = {
            "seed": self.seed.hex(),
            "listen": ["/ip4/127.0.0.1/tcp/0"],
            "topic": TOPIC,
            "admit": "everybody",
            **config,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, json.dumps(self.config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=TOP / "tests",
            env={**os.environ, "MAILLON_LANG": "en"},
        )
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._lock = threading.Condition()
        assert self.process.stdout is not None
        first = json.loads(self.process.stdout.readline() or b'{"failed": "no output", "code": ""}')
        self.failed: dict[str, Any] | None = first if "failed" in first else None
        self.addresses: list[str] = first.get("ready", [])
        if self.failed is None:
            threading.Thread(target=self._read, daemon=True).start()

    @property
    def hex(self) -> str:
        """Return the node key in hex."""
        return self.key.hex()

    @property
    def port(self) -> int:
        """Return the port of the first address."""
        return int(self.addresses[0].split("/")[4])

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                answer = json.loads(line)
                with self._lock:
                    self._answers[answer["id"]] = answer
                    self._lock.notify_all()
        except ValueError:
            pass  # closed under us by kill()
        with self._lock:
            self._answers[-1] = {}
            self._lock.notify_all()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have the child do something and return its answer. Raises: Refused."""
        number = next(self._numbers)
        assert self.process.stdin is not None
        line = json.dumps({"id": number, "do": do, **arguments}).encode() + b"\n"
        self.process.stdin.write(line)
        self.process.stdin.flush()
        with self._lock:
            heard = self._lock.wait_for(
                lambda: number in self._answers or -1 in self._answers, timeout=60
            )
            if not heard or number not in self._answers:
                raise AssertionError(f"the node did not answer {do}: it is down")
            answer = self._answers.pop(number)
        if "error" in answer:
            raise Refused(answer["error"], answer["code"])
        return answer["ok"]

    async def aask(self, do: str, **arguments: Any) -> Any:
        """As `ask`, without holding up this process."""
        return await trio.to_thread.run_sync(lambda: self.ask(do, **arguments))

    def count(self, name: str) -> int:
        """Return one metric."""
        return int(self.ask("metrics").get(name, 0))

    def stop(self) -> int:
        """End the child politely and return its exit status."""
        if self.process.stdin is not None and self.process.poll() is None:
            self.process.stdin.close()
        try:
            return self.process.wait(timeout=10)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the child without giving it a chance to say goodbye."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def link(one: Child, other: Child) -> None:
    """Have two children connected and in each other's mesh."""
    one.ask("dial", peer=other.hex, addresses=other.addresses)
    assert one.ask("mesh", peer=other.hex)
    assert other.ask("mesh", peer=one.hex)


# --- hostile peers ------------------------------------------------------------------------------


class Attacker:
    """Real libp2p pieces without our guards: a proven key, a yamux connection, raw streams."""

    def __init__(self, swarm: Any, host: Any, key: bytes, conn: Any, line: Any) -> None:
        self.swarm, self.host, self.key, self.conn, self.line = swarm, host, key, conn, line
        self.gossip_bytes = 0

    async def take_gossip(self, stream: Any) -> None:
        """Read and count what the victim gossips to us."""
        try:
            while True:
                self.gossip_bytes += len(await stream.read(65_536))
        except Exception:
            return

    @property
    def hex(self) -> str:
        """Return the attacker's node key in hex."""
        return self.key.hex()

    async def stream(self, protocol: str) -> Any:
        """Open a stream for a protocol on the connection to the victim."""
        from libp2p.protocol_muxer.multiselect_client import MultiselectClient
        from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

        stream = await self.conn.new_stream()
        await MultiselectClient().select_one_of(
            [protocol], MultiselectCommunicator(stream), 5  # type: ignore[list-item]
        )
        return stream

    async def raw_stream(self) -> Any:
        """Open a stream without naming a protocol."""
        return await self.conn.new_stream()

    async def gone(self, seconds: float = 10.0) -> bool:
        """Wait until the victim has closed the connection."""
        with trio.move_on_after(seconds):
            await self.conn.event_closed.wait()
            return True
        return False


@asynccontextmanager
async def attacker(
    victim: Child, name: str, source: str = "127.0.0.1"
) -> AsyncGenerator[Attacker]:
    """Connect a hostile peer to a victim from a loopback address of its own."""
    from libp2p import new_host
    from libp2p.crypto.ed25519 import Ed25519PrivateKey
    from libp2p.crypto.keys import KeyPair
    from libp2p.crypto.x25519 import create_new_key_pair
    from libp2p.io.trio import TrioTCPStream
    from libp2p.network.connection.raw_connection import RawConnection
    from libp2p.peer.id import ID
    from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
    from libp2p.security.noise.transport import Transport as Noise
    from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
    from libp2p.stream_muxer.yamux.yamux import Yamux
    from libp2p.tools.anyio_service import background_trio_service

    seed = name.encode().ljust(32, b"!")[:32]
    private = Ed25519PrivateKey.new(seed)
    keys = KeyPair(private, private.get_public_key())
    host: Any = new_host(
        key_pair=keys,
        sec_opt={NOISE: Noise(keys, noise_privkey=create_new_key_pair().private_key)},
        muxer_opt={YAMUX: Yamux},  # type: ignore[dict-item]
    )
    swarm = host.get_network()
    async with background_trio_service(swarm):
        from maillon.node.net.identity import peer_id_bytes

        tcp = await trio.open_tcp_stream("127.0.0.1", victim.port, local_address=source)
        with trio.fail_after(10):
            conn = await swarm.upgrade_outbound_raw_conn(
                RawConnection(TrioTCPStream(tcp), True), ID(peer_id_bytes(victim.key))
            )
        hostile = Attacker(swarm, host, SigningKey.from_seed(seed).public, conn, tcp)
        host.set_stream_handler("/meshsub/1.1.0", hostile.take_gossip)
        try:
            yield hostile
        finally:
            with trio.move_on_after(3) as scope:
                scope.shield = True
                await host.close()


def rpc_bytes(rpc: Any) -> bytes:
    """Return an RPC as it goes over a pubsub stream."""
    from libp2p.utils import encode_varint_prefixed

    return encode_varint_prefixed(rpc.SerializeToString())


def signed_message(name: str, data: bytes, topics: Sequence[str] = (TOPIC,)) -> Any:
    """Return a correctly signed pubsub message of the attacker of that name."""
    from libp2p.pubsub.pb import rpc_pb2

    from maillon.node.net.identity import peer_id_bytes

    seed = name.encode().ljust(32, b"!")[:32]
    key = SigningKey.from_seed(seed)
    message = rpc_pb2.Message(
        data=data, from_id=peer_id_bytes(key.public), seqno=bytes(7) + b"\1", topicIDs=list(topics)
    )
    import nacl.signing

    signer = nacl.signing.SigningKey(seed)
    message.signature = signer.sign(b"libp2p-pubsub:" + message.SerializeToString()).signature
    return message
