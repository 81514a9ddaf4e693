"""Run a node's ledger: streams and gossip in and out of the machine, and the fetching of blocks.

One task owns the machine. Others put what they read into its inbox and wake it; it looks at all
that is there, commits, and lets the answers leave. While it commits, more arrives: so the busier
a node is, the more messages share one commit.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from maillon.ledger.entries import Entry
from maillon.ledger.messages import (
    Blocks,
    FraudHint,
    Get,
    Heads,
    Hint,
    Message,
    decode_message,
    encode_message,
)
from maillon.ledger.orders import Order
from maillon.ledger.rounds import Commit, Vote
from maillon.ledger.steps import NeedsBlocks
from maillon.node import bounds as node_bounds
from maillon.node.ledger import bounds, links
from maillon.node.ledger.happenings import (
    Asker,
    Ended,
    FromGuest,
    FromPeer,
    FromWitness,
    Out,
)
from maillon.node.ledger.hints import HintsIn, HintsOut
from maillon.node.ledger.host import Host
from maillon.node.ledger.links import Guest, Link
from maillon.node.ledger.machine import Machine
from maillon.node.ports import FrameStream
from maillon.protocol.errors import LocalError, MaillonError, RemoteError

log = logging.getLogger("maillon.ledger")

PROTOCOL = links.PROTOCOL

_TURNS = 2
"""Turns of the scheduler that a woken link needs to hand its frames to the socket."""


class Wire(Protocol):
    """What is needed of the network."""

    async def open_stream(self, peer: bytes, protocol: str) -> FrameStream: ...

    async def publish(self, data: bytes) -> None: ...

    def penalise(self, peer: bytes, points: float, code: str) -> None: ...

    def connected_keys(self) -> list[bytes]: ...


@dataclass(slots=True)
class Ticket:
    """Somebody who waits for what they asked."""

    id: bytes
    event: trio.Event = field(default_factory=trio.Event)
    ended: Ended | None = None


class LedgerRunner:
    """The ledger of a running node."""

    export_slice = 256
    """Blocks that an export writes before others have their turn."""

    def __init__(self, machine: Machine, host: Host, wire: Wire, own_node: bytes) -> None:
        self.machine = machine
        machine.patient = True
        self._looking = False
        self.own_node = own_node
        self._host = host
        self._wire = wire
        self._wake = trio.Event()
        self._flushed = trio.Event()
        self._links: dict[bytes, Link] = {}
        self._tickets: dict[bytes, list[Ticket]] = {}
        self._waiting = 0
        """How many tickets there are."""
        self._asked: list[bytes] = []
        self._nursery: trio.Nursery | None = None
        self._fetching: dict[bytes, set[bytes]] = {}
        self._compared: dict[bytes, float] = {}
        self._turn = 0
        self.hints_in = HintsIn(machine)
        self.hints_out = HintsOut()
        self._latencies: deque[float] = deque(maxlen=bounds.LATENCIES_KEPT)
        self._given: dict[bytes, float] = {}
        self.runs = 0
        self.blocks = 0

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled. Raises: what the disk raises; the process ends then."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._compare_loop)
            nursery.start_soon(self._publish_loop)
            try:
                await self._work()
            finally:
                self._nursery = None
                nursery.cancel_scope.cancel()

    async def _work(self) -> None:
        while True:
            self._wake = trio.Event()
            now = self._host.time()
            await self._step(now)
            if self.machine.waiting:
                # Others have their turn: they may bring what the next commit takes along.
                await trio.lowlevel.checkpoint()
                continue
            due = self.machine.next_wake(now)
            with trio.move_on_after(_pause(due, now)):
                await self._wake.wait()

    async def _step(self, now: int) -> None:
        asked, self._asked = self._asked, []
        for id in asked:
            self.machine.submit(id, now)
        early = self.machine.decide(now)
        if early:
            for witness, frame in early:
                self._link(witness).push(frame)
            for _ in range(_TURNS):
                # The links write now; the commit below holds up everything in this process.
                await trio.lowlevel.checkpoint()
        flushed, self._flushed = self._flushed, trio.Event()
        out = self.machine.commit()
        self.runs += 1
        self.blocks += out.blocks
        flushed.set()
        self._release(out)

    def _release(self, out: Out) -> None:
        for asker, frame in out.answers:
            if isinstance(asker, Guest):
                asker.answer(frame)
        for asker in out.handled:
            if isinstance(asker, Guest):
                asker.handled()
        for witness, frame in out.sends:
            self._link(witness).push(frame)
        for need in out.needs:
            self._fetch(need)
        self.hints_out.add(out.hints)
        for peer, code in out.offences:
            self._wire.penalise(peer, node_bounds.POINTS_PROVEN, code)
        now = trio.current_time()
        for ended in out.ended:
            given = self._given.pop(ended.id, None)
            if given is not None and ended.fault is None:
                self._latencies.append(now - given)
            for ticket in self._tickets.pop(ended.id, ()):
                ticket.ended = ended
                ticket.event.set()
        if out.arrivals and not self._looking and self._nursery is not None:
            self._looking = True
            self._nursery.start_soon(self._look_later)
        if out.certain:
            self._host.transfers_certain(out.certain)

    async def _look_later(self) -> None:
        await trio.sleep(bounds.ARRIVALS_WAIT_S)
        self._looking = False
        self.machine.look()
        self._wake.set()

    @property
    def own_witness(self) -> bytes:
        """Return the key of this node's own witness."""
        return self.machine.witness_key

    def time(self) -> int:
        """Return the time in Unix seconds."""
        return self._host.time()

    def connected_keys(self) -> list[bytes]:
        """Return the keys of the nodes connected now."""
        return self._wire.connected_keys()

    def wake(self) -> None:
        """Let the machine look at once."""
        self._wake.set()

    # --- asking ---------------------------------------------------------------------------------

    async def ask(self, wish: Order | Entry, wait_s: float) -> tuple[bytes, Ended | None]:
        """Ask something of this coop's chain; return its id, and how it ended if it did by then.

        It is durable when this returns, whatever the network does. Raises: QueueFull.
        """
        id = self._take(wish, wait_s)
        return id, (await self._ended([id], wait_s))[0]

    async def ask_many(
        self, wishes: Sequence[Order | Entry], wait_s: float
    ) -> list[tuple[bytes, Ended | None] | MaillonError]:
        """Ask several things, in this order and for one block if it has room; as `ask`.

        What was not taken in is told by its error in its place.
        """
        taken: list[bytes | MaillonError] = []
        for wish in wishes:
            try:
                taken.append(self._take(wish, wait_s))
            except MaillonError as fault:
                taken.append(fault)
        ids = [id for id in taken if isinstance(id, bytes)]
        ended = iter(await self._ended(ids, wait_s))
        return [id if isinstance(id, MaillonError) else (id, next(ended)) for id in taken]

    def _take(self, wish: Order | Entry, wait_s: float) -> bytes:
        if self._waiting >= bounds.WAITERS_MAX:
            raise LocalError("Too many wait for an answer already.")
        id = self.machine.ask(wish, self._host.time(), later=wait_s > 0)
        self._asked.append(id)
        self._given.setdefault(id, trio.current_time())
        while len(self._given) > bounds.WAITERS_MAX:
            self._given.pop(next(iter(self._given)))
        return id

    async def _ended(self, ids: Sequence[bytes], wait_s: float) -> list[Ended | None]:
        """Wait for what was taken; what has not ended by then is durable."""
        tickets = [Ticket(id) for id in ids]
        for ticket in tickets:
            self._tickets.setdefault(ticket.id, []).append(ticket)
        self._waiting += len(tickets)
        self._wake.set()
        try:
            with trio.move_on_after(min(wait_s, bounds.WAIT_S_MAX)):
                for ticket in tickets:
                    # Most of a call end with one block: only the first of them is waited for.
                    if ticket.ended is None:
                        await ticket.event.wait()
            if any(ticket.ended is None for ticket in tickets):
                # Durable before it is acknowledged. What is certified or refused is so already.
                await self.stored()
        finally:
            self._waiting -= len(tickets)
            for ticket in tickets:
                waiting = self._tickets.get(ticket.id)
                if waiting is not None and ticket in waiting:
                    waiting.remove(ticket)
                    if not waiting:
                        del self._tickets[ticket.id]
        return [ticket.ended for ticket in tickets]

    async def stored(self) -> None:
        """Wait until all that is staged now is durable."""
        self.machine.hurry()
        flushed = self._flushed
        self._wake.set()
        await flushed.wait()

    async def next_run(self) -> None:
        """Wait until the machine has looked again, at whatever came in."""
        await self._flushed.wait()

    def tell(self, hints: Sequence[Hint]) -> None:
        """Gossip hints of our own."""
        self.hints_out.add(hints)

    def local(self, message: Message) -> Message | None:
        """Let this node's own witness answer; what it promises is durable after `stored`."""
        answer = self.machine.local(message, self._host.time())
        self._wake.set()
        return answer

    def latency_ms(self) -> dict[str, float]:
        """Return p50 and p95 of the time from an order to its certificate."""
        found = sorted(self._latencies)
        if not found:
            return {}
        return {
            name: round(found[min(len(found) - 1, int(share * len(found)))] * 1_000, 3)
            for name, share in (("p50", 0.5), ("p95", 0.95))
        }

    # --- links to witnesses ---------------------------------------------------------------------

    def _link(self, witness: bytes) -> Link:
        link = self._links.get(witness)
        if link is None:
            link = Link(witness, self._wire, self.node_of_witness, self._from_witness)
            self._links[witness] = link
            if self._nursery is not None:
                self._nursery.start_soon(link.run)
        return link

    def links(self) -> dict[bytes, Link]:
        """Return the links that were opened, by witness."""
        return self._links

    def node_of_witness(self, witness: bytes) -> bytes | None:
        """Return the key of the node that a witness runs on: as its coop announces it now."""
        coop = self.machine.book.charter.latest.witness_coop(witness)
        if coop is None:
            return None
        return self._host.node_of(coop.id) or coop.node_key

    def _witnesses_of_node(self, peer: bytes) -> list[bytes]:
        return [
            coop.witness
            for coop in self.machine.book.charter.latest.members()
            if coop.witness and (self._host.node_of(coop.id) or coop.node_key) == peer
        ]

    async def _from_witness(self, witness: bytes, frame: bytes) -> None:
        try:
            message = decode_message(frame)
        except MaillonError as fault:
            peer = self.node_of_witness(witness)
            if peer is not None:
                self._wire.penalise(peer, node_bounds.POINTS_PROVEN, fault.code)
            return
        if isinstance(message, Vote | Commit) and log.isEnabledFor(logging.DEBUG):
            # What a witness has said it cannot take back: with this a later doubt can be settled.
            log.debug("a witness signed %s", frame.hex())
        while self.machine.waiting >= bounds.INBOX_MAX:
            await trio.sleep(0.01)
        self.machine.put(FromWitness(witness, message))
        self._wake.set()

    async def serve(self, stream: FrameStream) -> None:
        """Answer a stream that another node opened. Raises: RemoteError for broken messages."""
        try:
            await Guest(stream).run(self._from_guest)
        except RemoteError:
            raise
        except MaillonError as fault:
            # The line broke, or stood still: nobody's fault.
            log.debug("a stream ended: %s", fault)
            await stream.reset()

    def _from_guest(self, guest: Asker, frame: bytes) -> None:
        message = decode_message(frame)
        if self.machine.waiting >= bounds.INBOX_MAX:
            raise Overloaded()
        self.machine.put(FromGuest(guest, message))
        self._wake.set()

    def connected(self, peer: bytes) -> None:
        """Be told of a connection: say again what its witness may have missed, compare heads."""
        witnesses = self._witnesses_of_node(peer)
        for witness in witnesses:
            if witness in self._links:
                self._links[witness].retry()
            self.machine.reconnected(witness, self._host.time())
        # M1: a proof that was kept may never have been told, when the node stopped right then.
        standing = self.machine.witness.frauds.standing()[: bounds.FRAUDS_TOLD_MAX]
        self.tell([FraudHint(proof.encode()) for proof in standing])
        self._compared.pop(peer, None)
        if self._nursery is not None:
            self._nursery.start_soon(self._compare, peer)
        self._wake.set()

    # --- fetching -------------------------------------------------------------------------------

    def _fetch(self, need: NeedsBlocks) -> None:
        """Fetch blocks of a chain, from who is said to have them or else from anybody."""
        if self._nursery is None:
            return
        peer = self.node_of_witness(need.from_whom) or need.from_whom
        connected = self._wire.connected_keys()
        if peer not in connected:
            owner = self._host.node_of(need.chain)
            peer = owner if owner in connected else b""
        if not peer and connected:
            # In turn: one that answers nothing is not asked again and again.
            peer = connected[self._turn % len(connected)]
            self._turn += 1
        if peer and peer not in self._fetching.setdefault(need.chain, set()):
            if len(self._fetching[need.chain]) < bounds.FETCHES_MAX:
                self._fetching[need.chain].add(peer)
                self._nursery.start_soon(self._fetch_from, peer, need.chain)

    async def _fetch_from(self, peer: bytes, chain: bytes) -> None:
        try:
            taken = 0
            while taken < bounds.FETCH_BLOCKS_MAX:
                from_h = self.machine.height(chain) + 1
                ask = Get(chain, from_h, from_h + bounds.FETCH_BLOCKS_MAX)
                answer = await self._question(peer, ask)
                if not isinstance(answer, Blocks) or not answer.blocks or answer.chain != chain:
                    return
                taken += len(answer.blocks)
                place = self.machine.put(FromPeer(peer, answer))
                # A commit that was under way, or a full inbox, comes before it.
                while self.machine.looked_at < place:
                    await self.stored()
                if self.machine.height(chain) < from_h:
                    return  # nothing of it counted; something else is missing first
        finally:
            self._fetching[chain].discard(peer)

    async def _question(self, peer: bytes, message: Message) -> Message | None:
        try:
            frames = await links.ask(self._wire, peer, [encode_message(message)])
            return decode_message(frames[0]) if frames else None
        except RemoteError as fault:
            if not (fault.excusable or fault.benign or fault.pending):
                self._wire.penalise(peer, node_bounds.POINTS_PROVEN, fault.code)
        except (MaillonError, trio.TooSlowError) as fault:
            log.debug("a question was not answered: %s", fault)
        return None

    async def ask_peer(self, peer: bytes, message: Message) -> Message | None:
        """Put a question to a peer; None when there is no answer."""
        return await self._question(peer, message)

    async def _compare_loop(self) -> None:
        while True:
            await trio.sleep(bounds.COMPARE_S)
            connected = self._wire.connected_keys()
            if connected:
                peer = min(connected, key=lambda key: self._compared.get(key, 0.0))
                await self._compare(peer)
            for gone in set(self._compared) - set(connected):
                del self._compared[gone]

    async def _compare(self, peer: bytes) -> None:
        self._compared[peer] = trio.current_time()
        answer = await self._question(peer, self.machine.catchup.ask())
        if isinstance(answer, Heads) and answer.heads:
            self.machine.put(FromPeer(peer, answer))
            self._wake.set()

    # --- gossip ---------------------------------------------------------------------------------

    def gossip(self, peer: bytes, data: bytes) -> bool:
        """Judge a gossip message of hints; True relays it."""
        relay, needs, code = self.hints_in.judge(peer, data, trio.current_time(), self._host.time())
        if code:
            self._wire.penalise(peer, node_bounds.POINTS_PROVEN, code)
        for need in needs:
            self._fetch(need)
        self._wake.set()
        return relay

    async def _publish_loop(self) -> None:
        while True:
            await self.hints_out.wait()
            await trio.sleep(bounds.HINTS_WAIT_S)
            for data in self.hints_out.take():
                with contextlib.suppress(MaillonError):
                    await self._wire.publish(data)

    def metrics(self) -> dict[str, float]:
        """Return counters and gauges by name."""
        counts = self.machine.queue.counts()
        return {
            "runs": self.runs,
            "blocks": self.blocks,
            "reloads": self.machine.reloads,
            "orders_waiting": counts["waiting"] + counts["placed"],
            "links_open": sum(link.open for link in self._links.values()),
            "frames_dropped": sum(link.dropped for link in self._links.values()),
            "hints_taken": self.hints_in.taken,
            "hints_refused": self.hints_in.refused,
        }


class Overloaded(RemoteError):
    """Too much waits here already; nothing is wrong with the message."""

    code = "quota"
    excusable = True
    sentence = "Too many messages wait here already."


def _pause(due: int | None, now: int) -> float:
    # A second at least between two looks at the same clock, whose ticks are seconds.
    if due is None:
        return 30.0
    return min(30.0, max(0.25, float(due - now)))
