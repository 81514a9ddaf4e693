"""Ledgers of several nodes in one process: the nodes' own code over a network in memory.

What runs is `LedgerRunner` with its machine, desk, register and disk; what stands in is the network
(streams of frames and gossip, as maillon.node.ports describes them) and the clock, which is trio's.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from maillon.ledger.signing import inline_verify
from maillon.node.api import ledger_shapes as shapes
from maillon.node.ledger.desk import Desk
from maillon.node.ledger.happenings import Setup
from maillon.node.ledger.machine import Machine
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.ledger.signatures import CachedVerify
from maillon.node.ledger.staging import LedgerDisk
from maillon.node.run.register import Register
from maillon.node.store.ledgerdisk import SqliteDisk
from maillon.protocol.errors import LocalError, RemoteError
from maillon.protocol.founding import Founding
from maillon.protocol.keys import SealingKey
from support.charters import LedgerCoop, LedgerFederation
from support.rounds import stream
from support.world import NOW

FRAMES_UNDERWAY_MAX = 1_024


class Unreachable(LocalError):
    """The other node cannot be reached."""

    code = "not_connected"


class MemoryStream:
    """One end of a stream of frames."""

    def __init__(
        self,
        peer: bytes,
        send: trio.MemorySendChannel[bytes],
        receive: trio.MemoryReceiveChannel[bytes],
    ) -> None:
        self._peer = peer
        self._send = send
        self._receive = receive
        self._broken = False

    def drop(self) -> None:
        """Break this end, and lose what is under way to it."""
        self._broken = True
        self._send.close()
        self._receive.close()

    @property
    def peer(self) -> bytes:
        return self._peer

    async def send(self, frame: bytes) -> None:
        try:
            await self._send.send(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Unreachable("the stream is gone") from None

    async def receive(self) -> bytes | None:
        try:
            frame = await self._receive.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            frame = None
        if self._broken:
            raise Unreachable("the stream is gone")
        return frame

    async def close(self) -> None:
        self._send.close()

    async def reset(self) -> None:
        self._send.close()
        self._receive.close()


def stream_pair(a: bytes, b: bytes) -> tuple[MemoryStream, MemoryStream]:
    """Return the ends of a stream that `a` opened to `b`, as each of them holds it."""
    there_send, there_receive = trio.open_memory_channel[bytes](FRAMES_UNDERWAY_MAX)
    back_send, back_receive = trio.open_memory_channel[bytes](FRAMES_UNDERWAY_MAX)
    return (
        MemoryStream(b, there_send, back_receive),
        MemoryStream(a, back_send, there_receive),
    )


@dataclass
class Wire:
    """One node's view of the network."""

    net: LedgerNet
    own: bytes
    penalties: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])
    relayed: int = 0

    async def open_stream(self, peer: bytes, protocol: str) -> MemoryStream:
        node = self.net.by_node.get(peer)
        if node is None or peer not in self.connected_keys():
            raise Unreachable("not connected")
        ours, theirs = stream_pair(self.own, peer)
        self.net.streams.append((frozenset((self.own, peer)), ours, theirs))
        assert self.net.nursery is not None
        self.net.nursery.start_soon(node.serve, theirs)
        await trio.lowlevel.checkpoint()
        return ours

    async def publish(self, data: bytes) -> None:
        for key in self.connected_keys():
            node = self.net.by_node[key]
            self.relayed += node.runner.gossip(self.own, data)
        await trio.lowlevel.checkpoint()

    def penalise(self, peer: bytes, points: float, code: str) -> None:
        self.penalties.append((peer, code))

    def connected_keys(self) -> list[bytes]:
        return self.net.connected(self.own)


class LedgerTestNode:
    """One coop's node: implements ledger.host.Host."""

    def __init__(self, net: LedgerNet, coop: LedgerCoop, home: Path, *, clone: str = "") -> None:
        self.net = net
        self.keys = coop
        self.coop: bytes = coop.id
        self.name = coop.name
        self.home = home
        home.mkdir(exist_ok=True)
        self.random = stream(f"{coop.name}{clone}")
        self.register = Register(
            home / "private.db", SealingKey.from_seed(coop.root.secret_bytes())
        )
        self.certain: list[bytes] = []
        self.wire = Wire(net, coop.node.public)
        self.running = False
        self._scope: trio.CancelScope | None = None
        self.disk: LedgerDisk = self.open_disk()
        self.load()

    def open_disk(self) -> LedgerDisk:
        return SqliteDisk(self.home)

    def load(self) -> None:
        verify = CachedVerify(inline_verify)
        setup = Setup(
            founding=self.founding,
            coop=self.coop,
            writer=self.keys.writer,
            witness=self.keys.witness,
            verify=verify,
            random=self.random,
            signed=verify.add,
        )
        machine = Machine(setup, self.disk, self.time())
        self.runner = LedgerRunner(machine, self, self.wire, self.keys.node.public)
        self.desk = Desk(self, self.runner, lambda: b"")

    # Host

    @property
    def founding(self) -> Founding:
        return self.net.federation.founding

    def coop_name(self, coop: bytes) -> str:
        return next((c.name for c in self.net.federation.coops if c.id == coop), coop.hex()[:8])

    def node_of(self, coop: bytes) -> bytes | None:
        return next((c.node.public for c in self.net.federation.coops if c.id == coop), None)

    def member_key(self, person: bytes) -> bytes | None:
        return next((row.public for row in self.register.keys_of(person) if row.held), None)

    def time(self) -> int:
        return self.net.time()

    def transfers_certain(self, ids: Sequence[bytes]) -> None:
        self.certain += ids

    # Running

    async def serve(self, stream: MemoryStream) -> None:
        try:
            await self.runner.serve(stream)
        except RemoteError as fault:
            self.wire.penalise(stream.peer, 5.0, fault.code)
            await stream.reset()
        else:
            await stream.close()

    async def run(self) -> None:
        with trio.CancelScope() as scope:
            self._scope = scope
            self.running = True
            try:
                await self.runner.run()
            finally:
                if self._scope is scope:  # not when it was started again meanwhile
                    self.running = False

    def stop(self) -> None:
        """Stop as a power cut does: nothing more is written, nothing more leaves."""
        self.running = False
        if self._scope is not None:
            self._scope.cancel()
        self.net.silence(self.keys.node.public)

    # What tests ask

    async def member(self, name: str, limit: int = 600) -> str:
        """Open an account with credit; return `coop:account`."""
        account = self.random(16)
        with self.register.batch():
            self.register.add_person(account, name, "", self.time())
        placed = await self.desk.open_account(
            shapes.AccountRequest(
                person=account.hex(),
                positions=[shapes.PositionRequest("heure", limit)],
                wait_s=60,
            )
        )
        assert placed.status == "certified", placed
        return f"{self.coop.hex()}:{account.hex()}"

    async def pay(
        self, payer: str, payee: str, amount: int, *, wait_s: float = 60, **more: object
    ) -> shapes.Placed:
        """Pay from an account of this node."""
        return await self.desk.transfer(
            shapes.TransferRequest(
                to=payee, amount=amount, unit="heure", from_=payer, wait_s=wait_s, **more  # type: ignore[arg-type]
            )
        )

    def balance(self, account: str, unit: int = 0) -> int:
        """Return a balance as this node sees it."""
        coop, _, id = account.partition(":")
        found = self.runner.machine.book.state(bytes.fromhex(coop)).account(bytes.fromhex(id))
        assert found is not None
        return found.positions[unit].balance

    def heads(self) -> dict[bytes, tuple[int, bytes]]:
        """Return height and hash of every chain's head."""
        book = self.runner.machine.book
        return {c: (book.head(c).h, book.head(c).hash) for c in [book.fed, *book.chains()]}


@dataclass
class LedgerNet:
    """Nodes of one federation, and who of them can reach whom."""

    federation: LedgerFederation
    nodes: list[LedgerTestNode] = field(default_factory=list[LedgerTestNode])
    by_node: dict[bytes, LedgerTestNode] = field(default_factory=dict[bytes, LedgerTestNode])
    apart: set[frozenset[bytes]] = field(default_factory=set[frozenset[bytes]])
    streams: list[tuple[frozenset[bytes], MemoryStream, MemoryStream]] = field(
        default_factory=list[tuple[frozenset[bytes], MemoryStream, MemoryStream]]
    )
    nursery: trio.Nursery | None = None
    skew: int = 0

    def time(self) -> int:
        """Return the time: trio's clock counts on from a fixed second."""
        try:
            return NOW + self.skew + int(trio.current_time() - self.begun)
        except RuntimeError:
            return NOW + self.skew

    begun: float = 0.0

    def connected(self, own: bytes) -> list[bytes]:
        """Return who can be reached from a node."""
        if own in self.by_node and not self.by_node[own].running:
            return []
        return [
            key
            for key, node in self.by_node.items()
            if key != own and node.running and frozenset((own, key)) not in self.apart
        ]

    def cut(self, *nodes: LedgerTestNode) -> None:
        """Cut nodes off from all others."""
        for node in nodes:
            for other in self.nodes:
                if other is not node:
                    pair = (node.wire.own, other.wire.own)
                    self.apart.add(frozenset(pair))
        self._break(lambda pair: pair in self.apart)

    def silence(self, key: bytes) -> None:
        """Break all streams of a node."""
        self._break(lambda pair: key in pair)

    def _break(self, wanted: Callable[[frozenset[bytes]], bool]) -> None:
        kept: list[tuple[frozenset[bytes], MemoryStream, MemoryStream]] = []
        for pair, ours, theirs in self.streams:
            if wanted(pair):
                ours.drop()
                theirs.drop()
            else:
                kept.append((pair, ours, theirs))
        self.streams = kept

    def heal(self) -> None:
        """Let everybody reach everybody again; they notice."""
        self.apart.clear()
        for node in self.nodes:
            for key in self.connected(node.wire.own):
                node.runner.connected(key)

    async def start(self, node: LedgerTestNode) -> None:
        """Start a node, with its machine made anew from the disk if it ran before."""
        assert self.nursery is not None
        self.nursery.start_soon(node.run)
        while not node.running:
            await trio.lowlevel.checkpoint()
        for key in self.connected(node.wire.own):
            self.by_node[key].runner.connected(node.wire.own)
            node.runner.connected(key)

    async def restart(self, node: LedgerTestNode) -> None:
        """Start a node that was stopped, from what its disk has."""
        if isinstance(node.disk, SqliteDisk):
            node.disk.close()
            node.disk = node.open_disk()
        node.load()
        await self.start(node)


@contextlib.asynccontextmanager
async def ledger_net(
    directory: Path, n: int, *, quorum: int = 0, seed: str = "net"
) -> AsyncGenerator[LedgerNet]:
    """Give n running nodes of one federation, all connected."""
    net = LedgerNet(LedgerFederation(n=n, quorum=quorum, seed=seed))
    net.begun = trio.current_time()
    try:
        async with trio.open_nursery() as nursery:
            net.nursery = nursery
            for place, coop in enumerate(net.federation.coops):
                node = LedgerTestNode(net, coop, directory / f"{place}")
                net.nodes.append(node)
                net.by_node[coop.node.public] = node
            for node in net.nodes:
                await net.start(node)
            yield net
            nursery.cancel_scope.cancel()
    finally:
        for node in net.nodes:
            node.register.close()
            if isinstance(node.disk, SqliteDisk):
                node.disk.close()


async def until(question: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    """Wait on trio's clock until something is so; fail with `what` when it takes too long."""
    with trio.move_on_after(seconds):
        while not question():
            await trio.sleep(0.05)
        return
    raise AssertionError(f"waited in vain: {what}")


async def agreed(nodes: Sequence[LedgerTestNode]) -> None:
    """Wait until nodes stand at the same heads."""
    await until(
        lambda: all(node.heads() == nodes[0].heads() for node in nodes), "all have the same heads"
    )


__all__ = ["LedgerNet", "LedgerTestNode", "agreed", "ledger_net", "stream_pair", "until"]
