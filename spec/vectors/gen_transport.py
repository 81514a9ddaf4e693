"""Make the vectors of spec/04 for what lies under a batch: node ids, pubsub messages, frames."""

from __future__ import annotations

import hashlib
import random

from maillon.node.net.identity import peer_id, peer_id_bytes
from maillon.protocol import gossip
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import BATCH_BYTES_MAX, FRAME_BYTES_MAX

TOPIC = gossip.topic(bytes(range(32)))


def varint(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, data: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def unsigned(sender: bytes, data: bytes, seqno: bytes, topic: str) -> bytes:
    """Return fields 1 to 4 of a pubsub Message: from, data, seqno, topic."""
    return field(1, sender) + field(2, data) + field(3, seqno) + field(4, topic.encode())


def libp2p_signature(seed: bytes, body: bytes) -> bytes:
    """Return pubsub's signature over fields 1 to 4."""
    # libp2p's own signature has its own prefix; it is not one of ours (spec/02).
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).sign(b"libp2p-pubsub:" + body)


def message(seed: bytes, data: bytes, seqno: bytes, topic: str = TOPIC) -> bytes:
    """Return a signed pubsub Message: the fields above and 5, the signature."""
    body = unsigned(peer_id_bytes(SigningKey.from_seed(seed).public), data, seqno, topic)
    return body + field(5, libp2p_signature(seed, body))


def _messages(rng: random.Random) -> list[dict[str, object]]:
    seed, other = rng.randbytes(32), rng.randbytes(32)
    data, seqno = b"a batch stands here", (1).to_bytes(8, "big")
    sender = peer_id_bytes(SigningKey.from_seed(seed).public)
    good = message(seed, data, seqno)
    body = unsigned(sender, data, seqno, TOPIC)
    signature = good[len(body) + 2 :]
    stolen = peer_id_bytes(SigningKey.from_seed(other).public)
    hashed = bytes.fromhex("1220") + rng.randbytes(32)

    ident = hashlib.sha256(data).digest()[:20]

    def case(name: str, expect: str, bytes_: bytes) -> dict[str, object]:
        vector: dict[str, object] = {"name": name, "spec": "04", "expect": expect, "bytes": bytes_}
        return vector if expect == "rpc_unreadable" else {**vector, "id": ident}

    def long(name: str, expect: str, length: int) -> dict[str, object]:
        # A run is written as what is repeated and how often.
        data = b"\0" * length
        start, _, end = message(seed, data, seqno).partition(data)
        return {
            "name": name, "spec": "04", "expect": expect, "start": start, "repeat": b"\0",
            "times": length, "end": end, "id": hashlib.sha256(data).digest()[:20],
        }  # fmt: skip

    parts = [field(1, sender), field(2, data), field(3, seqno), field(4, TOPIC.encode())]
    sealed = field(5, signature)
    # Fields that a later version may have: a varint, 8 bytes, bytes, 4 bytes.
    later = [b"\x38\xff\x01", b"\x41" + bytes(8), field(9, b"later"), b"\x55" + bytes(4)]
    bare = field(1, sender) + field(2, b"") + field(3, b"") + field(4, TOPIC.encode())
    bare_signature = field(5, libp2p_signature(seed, bare))
    nothing = hashlib.sha256(b"").digest()[:20]
    return [
        long("data of 127 bytes", "ok", 127),
        long("data of 128 bytes", "ok", 128),
        long("data of 16,384 bytes", "ok", 16_384),
        long("data of 65,536 bytes", "ok", BATCH_BYTES_MAX),
        long("data of 65,537 bytes", "message_too_large", BATCH_BYTES_MAX + 1),
        case("fields in another order", "ok", sealed + b"".join(reversed(parts))),
        case("a length in two bytes", "ok", b"".join([parts[0], b"\x12" + bytes(
            [len(data) | 0x80, 0]) + data, *parts[2:], sealed])),
        case("a field before the last of its number", "ok", field(2, b"other") + body + sealed),
        case("later fields among the others", "ok", b"".join(
            part for pair in zip(parts, later, strict=True) for part in pair) + sealed),
        case("a varint in the place of data, too", "ok", b"\x10\x05" + good),
        {**case("neither data nor number", "ok", parts[0] + parts[3] + bare_signature),
         "id": nothing},
        {**case("data and number empty", "ok", bare + bare_signature), "id": nothing},
        case("a number of nine bytes", "message_signature", message(seed, data, bytes(9))),
        case("8 bytes that end beyond the message", "rpc_unreadable", good + b"\x41" + bytes(7)),
        case("4 bytes that end beyond the message", "rpc_unreadable", good + b"\x55" + bytes(3)),
        case("a varint without an end", "rpc_unreadable", good + b"\x38\x80"),
        case("a varint of eleven bytes", "rpc_unreadable", good + b"\x38" + b"\xff" * 10 + b"\x01"),
        case("field number 0", "rpc_unreadable", good + b"\x02\x00"),
        case("signed by its sender", "ok", good),
        case(
            "with the key in a field of its own",
            "ok",
            good + field(6, b"\x08\x01\x12\x20" + sender[6:]),
        ),
        case("the same content of another sender", "ok", message(other, data, seqno)),
        case("another topic", "topic", message(seed, data, seqno, TOPIC + "2")),
        case("two topics", "topic", body + field(4, b"other") + field(5, signature)),
        case(
            "no topic",
            "topic",
            field(1, sender) + field(2, data) + field(3, seqno) + field(5, signature),
        ),
        case("no signature", "message_signature", body),
        case(
            "a signature changed",
            "message_signature",
            body + field(5, bytes([signature[0] ^ 1]) + signature[1:]),
        ),
        case("a signature of 63 bytes", "message_signature", body + field(5, signature[:63])),
        case(
            "a stolen name",
            "message_signature",
            unsigned(stolen, data, seqno, TOPIC) + field(5, signature),
        ),
        case(
            "a sender named by a hash",
            "message_signature",
            unsigned(hashed, data, seqno, TOPIC) + field(5, signature),
        ),
        case(
            "a sender of no bytes",
            "message_signature",
            unsigned(b"", data, seqno, TOPIC) + field(5, signature),
        ),
        case(
            "another number than was signed",
            "message_signature",
            unsigned(sender, data, (2).to_bytes(8, "big"), TOPIC) + field(5, signature),
        ),
        case("a field that ends beyond the message", "rpc_unreadable", b"\x0a\x7f\x00"),
        case("a wire type that does not exist", "rpc_unreadable", b"\x0f\x00"),
    ]


def _frames() -> list[dict[str, object]]:
    def case(name: str, expect: str, data: bytes, frames: list[bytes]) -> dict[str, object]:
        return {"name": name, "spec": "04", "expect": expect, "bytes": data, "frames": frames}

    one, empty = b"\0\0\0\3abc", b"\0\0\0\0"
    return [
        case("nothing", "ok", b"", []),
        case("an empty frame", "ok", empty, [b""]),
        case("three frames", "ok", one + empty + b"\0\0\0\1z", [b"abc", b"", b"z"]),
        case("a length cut short", "frame_truncated", one + b"\0\0", [b"abc"]),
        case("a frame cut short", "frame_truncated", one + b"\0\0\0\5four", [b"abc"]),
        case("a length and no more", "frame_truncated", b"\0\0\0\1", []),
        case(
            "a length beyond the bound",
            "frame_too_large",
            one + (FRAME_BYTES_MAX + 1).to_bytes(4, "big"),
            [b"abc"],
        ),
        case("the greatest length there is", "frame_too_large", b"\xff\xff\xff\xff", []),
    ]


def vectors(rng: random.Random) -> dict[str, object]:
    """Return transport.json."""
    keys = [bytes(32), bytes(range(32)), b"\xff" * 32, rng.randbytes(32)]
    return {
        "transport.json": {
            "topic": TOPIC,
            "nodes": [
                {"key": key, "bytes": peer_id_bytes(key), "peer_id": peer_id(key)} for key in keys
            ],
            "messages": _messages(rng),
            "frames": _frames(),
        }
    }
