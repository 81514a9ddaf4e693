"""Name, check and remember gossip messages (spec/04, "Topics and message ids").

A message is named by its content: SHA-256(data)[:20]. The library's message cache names messages by
sender and counter whatever id function it is given, so a peer outside the mesh was offered ids it
had never seen and fetched the same message again and again; our cache uses the content id.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import nacl.bindings
import nacl.exceptions
from libp2p.pubsub.mcache import CacheEntry, MessageCache
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX

from maillon.node import bounds
from maillon.node.net.errors import BadPeerId
from maillon.node.net.identity import key_of_bytes
from maillon.protocol.limits import BATCH_BYTES_MAX

ID_BYTES: Final = 20
SIGNING_PREFIX: Final = PUBSUB_SIGNING_PREFIX.encode()


def message_id(message: rpc_pb2.Message) -> bytes:
    """Return the id of a message: the first 20 bytes of the SHA-256 of its data (spec/04)."""
    return hashlib.sha256(message.data).digest()[:ID_BYTES]


def shape_fault(message: rpc_pb2.Message, topic: str) -> str | None:
    """Return the code of what is wrong with a message, signature aside, or None."""
    if list(message.topicIDs) != [topic]:
        return "topic"
    if len(message.data) > BATCH_BYTES_MAX:
        return "message_too_large"
    return None


def signature_holds(message: rpc_pb2.Message) -> bool:
    """Tell whether the sender named in a message signed it (pubsub's StrictSign).

    Only Ed25519 senders: the key is read out of the peer id, so a `key` field is not even looked
    at. The library decoded that field, and what it could not decode ended the host.
    """
    try:
        key = key_of_bytes(message.from_id)
    except BadPeerId:
        return False
    if len(message.signature) != 64 or len(message.seqno) > 8:
        return False
    unsigned = rpc_pb2.Message(
        from_id=message.from_id, data=message.data, seqno=message.seqno, topicIDs=message.topicIDs
    )
    try:
        nacl.bindings.crypto_sign_open(
            message.signature + SIGNING_PREFIX + unsigned.SerializeToString(), key
        )
    except (nacl.exceptions.CryptoError, ValueError):
        return False
    return True


class Seen:
    """Remember message ids for a while; bounded in number, no thread of its own."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def has(self, key: bytes) -> bool:
        """Tell whether the id was added within GOSSIP_SEEN_S."""
        return key in self._until

    def add(self, key: bytes) -> bool:
        """Remember an id; return True when it is new."""
        now = self._now()
        while self._until:
            oldest, until = next(iter(self._until.items()))
            if until > now and len(self._until) < bounds.GOSSIP_SEEN_MAX:
                break
            del self._until[oldest]
        new = key not in self._until
        self._until[key] = now + bounds.GOSSIP_SEEN_S
        self._until.move_to_end(key)
        return new

    def discard(self, key: bytes) -> None:
        """Forget an id, so that the message can be offered again."""
        self._until.pop(key, None)

    def stop(self) -> None:
        """Match the library's cache, which has a thread to stop."""


class ContentCache(MessageCache):
    """The messages of the last heartbeats by content id, bounded in bytes."""

    def __init__(self, window_size: int, history_size: int) -> None:
        super().__init__(window_size, history_size)
        self._bytes = 0

    def put(self, msg: rpc_pb2.Message) -> None:
        """Keep a message for `history_size` heartbeats, if there is room."""
        mid = message_id(msg)
        if mid in self.msgs or self._bytes + len(msg.data) > bounds.GOSSIP_CACHE_BYTES_MAX:
            return
        self._bytes += len(msg.data)
        self.msgs[mid] = msg
        self.history[0].append(CacheEntry(mid, msg.topicIDs))

    def shift(self) -> None:
        """Forget the oldest heartbeat's messages."""
        super().shift()
        self._bytes = sum(len(msg.data) for msg in self.msgs.values())


class SendQueue(RpcQueue):
    """RPCs waiting for one peer, bounded in number and in bytes."""

    def __init__(self) -> None:
        super().__init__(bounds.GOSSIP_QUEUE_MAX, bounds.GOSSIP_RPC_BYTES_MAX)
        self._waiting = 0

    def push(self, rpc: rpc_pb2.RPC, priority: bool = False) -> bool:
        """Queue an RPC; return False when there is no room, or the peer is gone."""
        size = rpc.ByteSize()
        if self._waiting + size > bounds.GOSSIP_QUEUE_BYTES_MAX or not super().push(rpc, priority):
            return False
        self._waiting += size
        return True

    async def pop(self) -> rpc_pb2.RPC | None:
        """Wait for the next RPC; None when the peer is gone."""
        rpc = await super().pop()
        if rpc is not None:
            self._waiting -= rpc.ByteSize()
        return rpc

    @property
    def half_full(self) -> bool:
        """Tell whether a publisher should wait a little."""
        return (
            2 * len(self) > bounds.GOSSIP_QUEUE_MAX
            or 2 * self._waiting > bounds.GOSSIP_QUEUE_BYTES_MAX
        )
