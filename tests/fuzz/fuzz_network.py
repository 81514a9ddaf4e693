"""Fuzz what a node reads from the network below the records (spec/04)."""

from __future__ import annotations

from collections.abc import Callable

import trio

from maillon.node import bounds
from maillon.node.net import asking, mdns
from maillon.node.net.errors import BadAddress, BadPeerId, FrameTooLarge, FrameTruncated
from maillon.node.net.frames import Frames
from maillon.node.net.identity import key_of_bytes, parse_address, peer_id_bytes
from maillon.protocol.errors import Malformed
from support.vectors import load

TOPIC: str = load("transport.json")["topic"]


def address(data: bytes) -> None:
    """A text is refused as an address, or is read again from what the address writes."""
    try:
        read = parse_address(data.decode("utf-8", "replace"))
    except BadAddress:
        return
    assert parse_address(str(read)) == read


def node_id(data: bytes) -> None:
    """Bytes are refused as a peer id, or are the one of their key."""
    try:
        key = key_of_bytes(data)
    except BadPeerId:
        return
    assert peer_id_bytes(key) == data


def local_announcement(data: bytes) -> None:
    """What anybody says on the local network names keys and addresses, or nothing."""
    for key, text in mdns.announced(data):
        assert len(key) == 32 and parse_address(text).peer == key


def answer(data: bytes) -> None:
    """An answer about addresses is refused, or gives bounded lists of texts by key."""
    try:
        entries = asking.read_answer(data)
    except Malformed:
        return
    assert len(entries) <= bounds.PEERS_ANSWER_MAX
    assert all(len(key) == 32 and len(texts) <= 16 for key, texts in entries)


def message(data: bytes) -> None:
    """A pubsub message is unreadable, or judged without an exception."""
    from libp2p.pubsub.pb import rpc_pb2

    from maillon.node.net.messages import message_id, shape_fault, signature_holds

    read = rpc_pb2.Message()
    try:
        read.ParseFromString(data)
    except Exception:
        return
    assert shape_fault(read, TOPIC) in (None, "topic", "message_too_large")
    assert signature_holds(read) in (True, False)
    assert len(message_id(read)) == 20


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, count: int) -> bytes:
        part, self._data = self._data[:count], self._data[count:]
        return part

    async def reset(self) -> None:
        self._data = b""


def frames(data: bytes) -> None:
    """A stream of bytes ends in one of three ways, and gives back the frames before its end."""

    async def read() -> None:
        got = bytearray()
        reader = Frames(
            _Bytes(data), bytes(32), "", offend=lambda p, c: None, moved=lambda i, o: None
        )
        try:
            while (frame := await reader.receive()) is not None:
                got += len(frame).to_bytes(4, "big") + frame
        except (FrameTooLarge, FrameTruncated):
            assert data.startswith(bytes(got)) and len(got) < len(data)
        else:
            assert bytes(got) == data

    trio.run(read)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "address": address,
    "node_id": node_id,
    "local_announcement": local_announcement,
    "answer": answer,
    "message": message,
    "frames": frames,
}
SEEDS: list[bytes] = [
    # Long ones are written otherwise, as a beginning and a repetition.
    *(
        bytes.fromhex(vector["bytes"])
        for part in ("messages", "frames", "nodes")
        for vector in load("transport.json")[part]
        if "bytes" in vector
    ),
    b"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW9pP4Seg3kZYhySpuVjn1RPdQBsUFZKiFxGMGQN5MeL6A",
    b"/ip6/2001:db8::1/tcp/1",
    b"\x20dnsaddr=/dns4/a.example/tcp/4001",
]
