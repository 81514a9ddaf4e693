"""GossipSub 1.1 on one topic, on the library's mesh, with everything a peer can grow bounded.

What is kept of libp2p 0.8.1: the mesh (join, graft, prune, back-off, heartbeat fill), the wire
format, the streams. What is replaced, and why, stands at each method and in
docs/decisions/0010-libp2p-guards.md; spec/04 says what another implementation must do.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.utils import encode_varint_prefixed
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from maillon.node import bounds
from maillon.node.net.errors import BadPeerId
from maillon.node.net.guards import GuardedHost
from maillon.node.net.lazy import Links
from maillon.node.net.messages import (
    ID_BYTES,
    SIGNING_PREFIX,
    ContentCache,
    Seen,
    SendQueue,
    message_id,
    shape_fault,
    signature_holds,
)
from maillon.node.net.wire import peer_key

if TYPE_CHECKING:
    from maillon.node.net.ward import Ward

log = logging.getLogger("maillon.net")

MESHSUB: Final = TProtocol("/meshsub/1.1.0")

# GossipSub's D, D_low, D_high. Six links a node keep a federation of hundreds connected with three
# hops; more only multiply the copies each message makes (13 ms a message at 9, 4–5 ms at 3).
DEGREE: Final = 4
DEGREE_LOW: Final = 3
DEGREE_HIGH: Final = 6
HEARTBEAT_S: Final = 1


class GuardedGossip(GossipSub):
    """The mesh of one topic."""

    def __init__(self, topic: str, ward: Ward, now: Callable[[], float]) -> None:
        super().__init__(
            protocols=[MESHSUB],
            degree=DEGREE,
            degree_low=DEGREE_LOW,
            degree_high=DEGREE_HIGH,
            gossip_window=2,
            gossip_history=6,
            heartbeat_interval=HEARTBEAT_S,
            heartbeat_initial_delay=0.1,
            do_px=False,
            # The library's limit drops 40 % of 20 messages a second; ours are in the ward.
            spam_protection_enabled=False,
            # It stretches the heartbeat from 1 s to 30 s.
            adaptive_gossip_enabled=False,
            eclipse_protection_enabled=False,
        )
        self.topic = topic
        self.ward = ward
        self._now = now
        self.mcache = ContentCache(2, 6)
        # One score counts: the ward's, which disconnects.
        self.scorer = cast(Any, None)
        self.links: Links[ID] = Links()
        self._announcing = trio.Event()
        self._asking = trio.Event()
        self._iwant_bytes: dict[ID, int] = {}
        self._iwant_sent: dict[tuple[ID, bytes], int] = {}

    @property
    def _pubsub(self) -> GuardedPubsub:
        return cast(GuardedPubsub, self.pubsub)

    async def run(self) -> None:
        """Run the library's heartbeat, our announcements, and our asking for what was announced."""
        self.manager.run_daemon_task(self.announce)
        self.manager.run_daemon_task(self.ask)
        await super().run()

    # --- sending --------------------------------------------------------------------------------

    async def announce(self) -> None:
        """Tell neighbours that are not sent messages at once what there is, several at a time."""
        while True:
            await self._announcing.wait()
            await trio.sleep(bounds.GOSSIP_ANNOUNCE_S)
            self._announcing = trio.Event()
            for peer, ids in self.links.announcements().items():
                control = rpc_pb2.ControlMessage()
                control.ihave.add(topicID=self.topic, messageIDs=cast(Any, ids))
                self.ward.count("gossip_announced", len(ids))
                await self.emit_control_message(control, peer)

    async def ask(self) -> None:
        """Ask for what was announced and has not come by itself."""
        while True:
            await self._asking.wait()
            while self.links.lacking:
                await trio.sleep(bounds.GOSSIP_ASK_S)
                for peer, ids in self.links.asks().items():
                    self.ward.count("gossip_asked", len(ids))
                    await self.emit_iwant(ids, peer)
            self._asking = trio.Event()

    def forward(self, forwarder: ID, message: rpc_pb2.Message) -> None:
        """Send a message to the mesh, except to where it came from."""
        self.mcache.put(message)
        mid = message_id(message)
        origin = message.from_id
        rpc = rpc_pb2.RPC(publish=[message])
        pubsub = self._pubsub
        mesh = self.mesh.get(self.topic, set())
        targets = mesh
        if forwarder == pubsub.my_id and len(mesh) < DEGREE_LOW:
            # Flood publishing (GossipSub 1.1): our own message must not wait for the mesh to fill.
            targets = mesh | pubsub.peer_topics.get(self.topic, set())
        sent = 0
        for peer in targets:
            if peer == forwarder or peer.to_bytes() == origin:
                continue
            queue = pubsub.peer_queues.get(peer)
            if queue is None or not self.links.send(mid, peer):
                continue
            if queue.push(rpc):
                sent += 1
            else:
                self.ward.count("gossip_queue_full")
        self.ward.count("gossip_sent", sent)
        if self.links.waiting:
            self._announcing.set()

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Forward a validated message (the library's name for `forward`)."""
        self.forward(msg_forwarder, pubsub_msg)

    async def send_recent_messages(self, peer_id: ID, topic: str) -> None:
        """Queue the messages of the last heartbeats for a peer that just subscribed."""
        queue = self._pubsub.peer_queues.get(peer_id)
        if queue is None or topic != self.topic:
            return
        for mid in self.mcache.window(topic):
            message = self.mcache.get(mid)
            if message is not None and message.from_id != peer_id.to_bytes():
                queue.push(rpc_pb2.RPC(publish=[message]))

    async def flush_pending_messages(self, peer_id: ID) -> None:
        """Do nothing: `send_recent_messages` covers what was published during the set-up."""

    async def emit_control_message(
        self, control_msg: rpc_pb2.ControlMessage, to_peer: ID
    ) -> None:
        """Queue a control message; without a peer record, whose signing cost a quarter of all."""
        queue = self._pubsub.peer_queues.get(to_peer)
        if queue is not None:
            queue.push(rpc_pb2.RPC(control=control_msg), priority=True)

    async def _emit_control_msgs(
        self, peers_to_graft: Any, peers_to_prune: Any, peers_to_gossip: Any
    ) -> None:
        # The library's version sends each peer the grafts of all peers before it, too.
        for peer in {*peers_to_graft, *peers_to_prune, *peers_to_gossip}:
            control = rpc_pb2.ControlMessage()
            for topic in peers_to_graft.get(peer, ()):
                control.graft.add(topicID=topic)
            for topic in peers_to_prune.get(peer, ()):
                control.prune.add(topicID=topic, backoff=self.prune_back_off)
            for topic, ids in peers_to_gossip.get(peer, {}).items():
                news = [mid for mid in ids if not self.links.has(mid, peer)]
                if news:
                    news = news[: bounds.GOSSIP_CONTROL_IDS_MAX]
                    control.ihave.add(topicID=topic, messageIDs=news)
            if control.ByteSize():
                await self.emit_control_message(control, peer)

    def _get_adaptive_gossip_peers_count(self, topic: str, total_peers: int) -> int:
        # The library tells six. Here neighbours in the mesh are told as well.
        return bounds.GOSSIP_LAZY_PEERS

    async def heartbeat(self) -> None:
        """Keep the mesh once a second; one beat that fails is counted and the next one comes."""
        await trio.sleep(self.heartbeat_initial_delay)
        while True:
            try:
                graft, prune = self.mesh_heartbeat()
                gossip = self.gossip_heartbeat()
                await self._emit_control_msgs(graft, prune, gossip)
                self.mcache.shift()
                self.links.beat()
            except Exception as error:
                self.ward.count("heartbeat_faults")
                log.warning("a gossip heartbeat failed: %r", error)
            self._iwant_bytes.clear()
            if self._iwant_sent and not self.mcache.msgs:
                self._iwant_sent.clear()
            # Grown by the library at every message and heartbeat, read by nothing we use.
            self.recent_message_deliveries.clear()
            self.equivocation_detection.clear()
            self.ihave_message_limits.clear()
            self.iwant_request_limits.clear()
            for topic, until in list(self.back_off.items()):
                stale = [peer for peer, at in until.items() if at < time.time()]
                for peer in stale:
                    del until[peer]
                if topic != self.topic:
                    del self.back_off[topic]
            await trio.sleep(HEARTBEAT_S)

    # --- receiving ------------------------------------------------------------------------------

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        """Act on the control part of an RPC, as far as it is about our topic."""
        control = rpc.control
        for graft in control.graft[:4]:
            if graft.topicID == self.topic:
                await self._graft(graft, sender_peer_id)
        for prune in control.prune[:4]:
            if prune.topicID == self.topic:
                del prune.peers[:]  # peer exchange: we dial only whom the federation names
                prune.backoff = min(prune.backoff, 3_600)
                await self.handle_prune(prune, sender_peer_id)
        neighbour = sender_peer_id in self.mesh.get(self.topic, ())
        for ihave in control.ihave[:4]:
            if ihave.topicID != self.topic:
                continue
            for mid in map(bytes, ihave.messageIDs[: bounds.GOSSIP_CONTROL_IDS_MAX]):
                if len(mid) != ID_BYTES:
                    continue
                if self._pubsub.seen_messages.has(mid):
                    self.links.announced(mid, sender_peer_id, neighbour=neighbour)
                else:
                    self.links.missing(mid, sender_peer_id)
        if self.links.lacking:
            self._asking.set()
        for iwant in control.iwant[:4]:
            self._answer_iwant(iwant.messageIDs[: bounds.GOSSIP_CONTROL_IDS_MAX], sender_peer_id)

    async def _graft(self, graft: rpc_pb2.ControlGraft, peer: ID) -> None:
        mesh = self.mesh.get(self.topic)
        if mesh is None or peer in mesh:
            return
        if len(mesh) >= DEGREE_HIGH or self._check_back_off(peer, self.topic):
            await self.emit_prune(self.topic, peer, False, False)
            return
        mesh.add(peer)
        self._notify_mesh_peer_added(peer, self.topic)

    def came(self, mid: bytes, peer: ID) -> None:
        """Note that a peer has sent us a message."""
        self.links.came(mid, peer, neighbour=peer in self.mesh.get(self.topic, ()))

    def _answer_iwant(self, ids: Iterable[bytes], peer: ID) -> None:
        queue = self._pubsub.peer_queues.get(peer)
        if queue is None:
            return
        for mid in dict.fromkeys(map(bytes, ids)):
            message = self.mcache.get(mid)
            if message is None:
                continue
            self.links.wanted(peer)
            times = self._iwant_sent.get((peer, mid), 0)
            spent = self._iwant_bytes.get(peer, 0) + len(message.data)
            if times >= bounds.GOSSIP_IWANT_SENDS_MAX or spent > bounds.GOSSIP_IWANT_BYTES_MAX:
                self.ward.count("iwant_refused")
                continue
            self._iwant_sent[(peer, mid)] = times + 1
            self._iwant_bytes[peer] = spent
            queue.push(rpc_pb2.RPC(publish=[message]))

    async def _do_px(self, px_peers: Sequence[Any]) -> None:
        return

    def remove_peer(self, peer_id: ID) -> None:
        """Forget a peer and what was counted for it."""
        super().remove_peer(peer_id)
        self.links.forget(peer_id)
        self.graft_flood_tracking.pop(peer_id, None)
        self._iwant_bytes.pop(peer_id, None)
        for key in [key for key in self._iwant_sent if key[0] == peer_id]:
            del self._iwant_sent[key]


Validate = Callable[[bytes, bytes], bool]


class GuardedPubsub(Pubsub):
    """Read RPCs of admitted peers one after another, and never fail because of one."""

    def __init__(
        self,
        host: GuardedHost,
        router: GuardedGossip,
        ward: Ward,
        validate: Validate,
        now: Callable[[], float],
    ) -> None:
        super().__init__(
            host,
            router,
            strict_signing=True,
            msg_id_constructor=message_id,
            max_inbound_rpc_size=bounds.GOSSIP_RPC_BYTES_MAX,
            allowed_topics={router.topic},
            max_subscriptions_per_rpc=16,
            max_subscriptions_per_peer=1,
        )
        self.ward = ward
        self.topic = router.topic
        self._gossip = router
        self._validate = validate
        self._now = now
        self.seen_messages.stop()  # the library's cache sweeps in a thread of its own
        self.seen_messages = cast(Any, Seen(now))
        # Seconds, the library's start, repeat the numbers of the process before a restart.
        self.counter = time.time_ns()
        self._retries: dict[ID, tuple[int, float]] = {}
        self._replayed: dict[ID, float] = {}

    # --- sending --------------------------------------------------------------------------------

    def get_hello_packet(self) -> rpc_pb2.RPC:
        """Return the subscriptions sent first to each peer."""
        packet = rpc_pb2.RPC()
        for topic in self.topic_ids:
            packet.subscriptions.add(subscribe=True, topicid=topic)
        return packet

    def _build_announce_rpc(
        self, topic_id: str, subscribe: bool
    ) -> tuple[rpc_pb2.RPC, rpc_pb2.RPC.SubOpts]:
        packet = rpc_pb2.RPC()
        option = rpc_pb2.RPC.SubOpts(subscribe=subscribe, topicid=topic_id)
        packet.subscriptions.extend([option])
        return packet, option

    def publish_now(self, data: bytes) -> None:
        """Sign a message and give it to the mesh; nothing in it waits."""
        message = rpc_pb2.Message(
            data=data,
            topicIDs=[self.topic],
            from_id=self.my_id.to_bytes(),
            seqno=self._next_seqno(),
        )
        assert self.sign_key is not None
        message.signature = self.sign_key.sign(SIGNING_PREFIX + message.SerializeToString())
        self.seen_messages.add(message_id(message))
        self._gossip.forward(self.my_id, message)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        try:
            key = peer_key(peer_id)
        except BadPeerId:
            return
        # A stranger takes no part: no stream, no subscription, no place in the mesh.
        if peer_id in self.peers or not self.ward.admitted(key):
            return
        stream = await self.host.new_stream(peer_id, self.protocols)
        if peer_id in self.peers:  # another attempt was quicker
            await stream.reset()
            return
        await stream.write(encode_varint_prefixed(self.get_hello_packet().SerializeToString()))
        self.router.add_peer(peer_id, stream.get_protocol())
        self.peers[peer_id] = stream
        queue = self.peer_queues[peer_id] = SendQueue()
        self.manager.run_task(self.handle_sending_messages, peer_id, stream, queue)
        waiting = self._peer_added_events.pop(peer_id, None)
        if waiting is not None:
            waiting.set()
        await self._send_recent_messages_to_new_peer(peer_id)

    def invite(self, peer_id: ID) -> None:
        """Open the gossip stream to a connected peer that has none, for example just admitted."""
        if peer_id not in self.peers:
            self._schedule_peer_stream_retry(peer_id)

    async def _replay_recent_messages(self, peer_id: ID, topic: str) -> None:
        # Subscribing, unsubscribing and subscribing again must not be a pump.
        now = self._now()
        if peer_id not in self.peers or now - self._replayed.get(peer_id, -1e9) < (
            bounds.GOSSIP_REPLAY_S
        ):
            return
        self._replayed[peer_id] = now
        while len(self._replayed) > bounds.STANDINGS_MAX:
            del self._replayed[next(iter(self._replayed))]
        await self.router.send_recent_messages(peer_id, topic)

    async def _peer_stream_retry_task(self, peer_id: ID) -> None:
        # A peer that does not count us in resets each stream at once. Without a growing pause we
        # would open the next one as quickly as the network allows, for ever.
        tries, at = self._retries.get(peer_id, (0, 0.0))
        tries = tries + 1 if self._now() - at < 120.0 else 0
        self._retries[peer_id] = (tries, self._now())
        while len(self._retries) > bounds.STANDINGS_MAX:
            del self._retries[next(iter(self._retries))]
        await trio.sleep(min(0.1 * 2.0**tries, 60.0))
        await super()._peer_stream_retry_task(peer_id)

    async def handle_sending_messages(
        self, peer_id: ID, stream: INetStream, queue: RpcQueue
    ) -> None:
        """Write queued RPCs, many in one write when they pile up."""
        key = peer_key(peer_id)
        try:
            while True:
                rpc = await queue.pop()
                if rpc is None:
                    return
                out = bytearray(encode_varint_prefixed(rpc.SerializeToString()))
                while len(out) < bounds.FRAMES_WRITE_BYTES and len(queue):
                    more = await queue.pop()
                    if more is None:
                        break
                    out += encode_varint_prefixed(more.SerializeToString())
                with trio.fail_after(bounds.STREAM_STALL_S):
                    await stream.write(bytes(out))
                self.ward.standing(key).bytes_out += len(out)
                self.ward.count("gossip_bytes_out", len(out))
        except Exception as error:
            log.debug("gossip to %s stopped: %r", peer_id, error)
            if self.peers.get(peer_id) is stream:
                self._handle_dead_peer(peer_id)

    async def handle_dead_peer_queue(self) -> None:
        """Drop a peer's pubsub stream with the connection it ran on.

        The library keeps it while any other connection to the peer stands, and loses what it then
        writes to it.
        """
        async with self.dead_peer_receive_channel:
            self.event_handle_dead_peer_queue_started.set()
            async for peer_id in self.dead_peer_receive_channel:
                stream = self.peers.get(peer_id)
                if stream is not None and not stream.muxed_conn.is_closed:
                    continue
                self._handle_dead_peer(peer_id)

    # --- receiving ------------------------------------------------------------------------------

    async def stream_handler(self, stream: INetStream) -> None:
        """Read one peer's RPCs until it ends or breaks the rules."""
        peer_id = stream.muxed_conn.peer_id
        key = peer_key(peer_id)
        if not self.ward.admitted(key):
            self.ward.count("gossip_of_strangers")
            await stream.reset()
            return
        # A peer whose gossip stream we could not open yet can be reached now.
        if peer_id not in self.peers:
            self._schedule_peer_stream_retry(peer_id)
        try:
            await self._read_rpcs(stream, peer_id, key)
        except Exception as error:
            # MessageTooLarge, a broken varint, the end of the stream: all end this stream only.
            name = type(error).__name__
            if name in ("MessageTooLarge", "ParseError"):
                self.ward.penalise(key, 25.0, "rpc_unreadable", self._now())
            log.debug("gossip of %s ended: %r", peer_id, error)
        finally:
            with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
                scope.shield = True
                await stream.reset()

    async def _read_rpcs(self, stream: INetStream, peer_id: ID, key: bytes) -> None:
        while True:
            data = await read_varint_prefixed_bytes_limited(stream, self.max_inbound_rpc_size)
            standing = self.ward.standing(key)
            standing.bytes_in += len(data)
            self.ward.count("gossip_bytes_in", len(data))
            wait = standing.gossip_bytes.take(len(data), self._now())
            rpc = rpc_pb2.RPC()
            try:
                rpc.ParseFromString(data)
            except Exception:
                # Undecodable bytes ended the host; here they end the stream and cost points.
                self.ward.penalise(key, 25.0, "rpc_unreadable", self._now())
                return
            wait = max(wait, standing.gossip_messages.take(len(rpc.publish), self._now()))
            if not self.ward.admitted(key):
                return
            try:
                self._subscriptions(rpc, peer_id, key)
                for message in rpc.publish:
                    self.receive(peer_id, key, message)
                if rpc.HasField("control"):
                    await self._gossip.handle_rpc(rpc, peer_id)
            except Exception as error:
                self.ward.penalise(key, 5.0, "rpc_fault", self._now())
                log.warning("an rpc of %s could not be handled: %r", peer_id, error)
            if wait > 0.0:
                # Not reading is what slows the sender down; it costs us nothing.
                self.ward.count("gossip_throttled")
                if wait > 5.0:
                    self.ward.penalise(key, 1.0, "gossip_rate", self._now())
                await trio.sleep(min(wait, 5.0))
            else:
                await trio.lowlevel.checkpoint()

    def _subscriptions(self, rpc: rpc_pb2.RPC, peer_id: ID, key: bytes) -> None:
        if len(rpc.subscriptions) > self.max_subscriptions_per_rpc:
            self.ward.penalise(key, 5.0, "subscriptions", self._now())
        for option in rpc.subscriptions[: self.max_subscriptions_per_rpc]:
            if option.topicid == self.topic:
                self.handle_subscription(peer_id, option)

    def receive(self, peer_id: ID, key: bytes, message: rpc_pb2.Message) -> None:
        """Take one message of a peer: drop, or validate and forward. Never raises by design.

        There is no awaiting in here, so the check for duplicates and the mark cannot be separated.
        """
        now = self._now()
        fault = shape_fault(message, self.topic)
        if fault is not None:
            self.ward.penalise(key, 10.0, fault, now)
            return
        mid = message_id(message)
        if self.seen_messages.has(mid):
            self.ward.count("gossip_duplicates")
            self._gossip.came(mid, peer_id)
            return
        if not signature_holds(message):
            self.ward.penalise(key, 10.0, "message_signature", now)
            return
        self.seen_messages.add(mid)
        self._gossip.came(mid, peer_id)
        self._gossip.links.arrived(mid)
        self.ward.count("gossip_received")
        try:
            relay = self._validate(key, message.data)
        except Exception as error:
            self.ward.count("validator_faults")
            log.error("the gossip validator failed: %r", error)
            relay = False
        if not relay:
            # The validator penalises what deserves it. A refusal is not remembered for longer than
            # the id is, and what was too early is offered again by reconciliation.
            self.ward.count("gossip_rejected")
            return
        self._gossip.forward(peer_id, message)

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Take a message by the library's own way in."""
        try:
            self.receive(msg_forwarder, peer_key(msg_forwarder), msg)
        except BadPeerId:
            return

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Read a stream by the library's own way in."""
        await self.stream_handler(stream)
