"""Every way found to end or exhaust a node through gossip, tried on a real one.

What "well" means stands in tests/support/hazards.py.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import socket

import pytest

from maillon.node.net.identity import peer_id_bytes
from support.hazards import MESHSUB, attacking, counted, numbers, sources, well
from support.nethost import TOPIC, Child, attacker, rpc_bytes, signed_message


@pytest.mark.parametrize(
    "body",
    [b"\xff" * 40, b"\x12\xff\xff\xff\xff\x0f", b"\x0a\x05\x08", b"\x00", b"\x1a\x02\x0a\x7f"],
    ids=["noise", "length beyond end", "cut short", "field zero", "nested cut short"],
)
async def test_an_undecodable_rpc_ends_its_stream_and_costs_points(
    pair: tuple[Child, Child], body: bytes
) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_rpc_unreadable"):
            stream = await hostile.stream(MESHSUB)
            await stream.write(bytes([len(body)]) + body)
        assert await victim.aask("score", peer=hostile.hex) > 0
    well(victim, friend)


@pytest.mark.parametrize("length", [b"\xff" * 9 + b"\x01", b"\xff" * 12, b"\x80\x80\x40"])
async def test_a_huge_or_endless_rpc_length_ends_its_stream(
    pair: tuple[Child, Child], length: bytes
) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_rpc_unreadable"):
            stream = await hostile.stream(MESHSUB)
            await stream.write(length)
    well(victim, friend)


def _key_protobuf(kind: int, data: bytes) -> bytes:
    return bytes([0x08, kind, 0x12, len(data)]) + data


@pytest.mark.parametrize(
    ("sender", "key"),
    [
        (bytes.fromhex("1220") + bytes(32), b"\xff\xff\xff"),
        (bytes.fromhex("1220") + bytes(32), _key_protobuf(0, b"not an RSA key")),
        (bytes.fromhex("1220") + bytes(32), _key_protobuf(2, bytes(33))),
        (bytes.fromhex("1220") + bytes(32), _key_protobuf(9, b"?")),
        (b"", b""),
        (b"\x00\x24\x08\x01\x12\x20" + b"\xff" * 32, b""),
        (b"\x00\x24\x08\x01\x12\x20" + bytes(32), b""),
        (b"x" * 200, b"y" * 200),
    ],
    ids=[
        "undecodable key", "RSA that is none", "secp256k1 that is none", "unknown key type",
        "no sender", "sender off the curve", "small order sender", "sender of noise",
    ],
)
async def test_a_message_with_an_unusable_key_is_dropped_and_costs_points(
    pair: tuple[Child, Child], sender: bytes, key: bytes
) -> None:
    from libp2p.pubsub.pb import rpc_pb2

    victim, friend = pair
    message = rpc_pb2.Message(
        data=b"whatever", from_id=sender, seqno=b"1", topicIDs=[TOPIC], key=key,
        signature=bytes(64),
    )
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_message_signature"):
            stream = await hostile.stream(MESHSUB)
            await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message])))
        assert await victim.aask("score", peer=hostile.hex) > 0
    well(victim, friend)


async def test_a_stolen_name_does_not_suppress_the_genuine_message(
    pair: tuple[Child, Child],
) -> None:
    from libp2p.pubsub.pb import rpc_pb2

    victim, friend = pair
    data = f"genuine {next(numbers)}"
    content = f"{data}:0:".encode()
    forged = rpc_pb2.Message(
        data=content, from_id=peer_id_bytes(friend.key), seqno=b"1", topicIDs=[TOPIC],
        signature=bytes(64),
    )
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_message_signature"):
            stream = await hostile.stream(MESHSUB)
            await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[forged])))
        assert await victim.aask("got", data=data, seconds=0.0) == 0
        await friend.aask("publish", data=data)
        assert await victim.aask("got", data=data) == 1
    well(victim, friend)


async def test_a_validator_that_raises_refuses_the_message_and_nothing_else(
    pair: tuple[Child, Child],
) -> None:
    victim, friend = pair
    victim.ask("rules", boom="detonate")
    try:
        async with counted(victim, "validator_faults"):
            friend.ask("publish", data=f"detonate {next(numbers)}")
        well(victim, friend)
    finally:
        victim.ask("rules")


async def test_refused_messages_are_not_relayed_and_their_sender_is_shut_out(
    pair: tuple[Child, Child],
) -> None:
    from libp2p.pubsub.pb import rpc_pb2

    victim, friend = pair
    victim.ask("rules", refuse="poison")
    try:
        async with attacking(victim) as hostile:
            async with counted(victim, "gossip_rejected", "penalty_test_refused", least=5):
                stream = await hostile.stream(MESHSUB)
                name = f"attacker {next(numbers) - 1}"
                messages = [signed_message(name, b"poison %d:0:" % n) for n in range(6)]
                await stream.write(rpc_bytes(rpc_pb2.RPC(publish=messages)))
            # Six times 20 points: disconnected, and not let in again.
            assert await hostile.gone()
            peer = hostile.hex
        assert await friend.aask("got", data="poison 0", seconds=0.2) == 0
        async with counted(victim, "refused_blocked"):
            with pytest.raises(BaseException):  # noqa: B017, PT011  # refused, one way or another
                async with attacker(victim, name, next(sources)) as again:
                    assert again.hex == peer
                    if await again.gone():
                        raise ConnectionError
    finally:
        victim.ask("rules")
    well(victim, friend)


async def test_what_is_about_other_topics_grows_nothing(pair: tuple[Child, Child]) -> None:
    from libp2p.pubsub.pb import rpc_pb2

    victim, friend = pair
    subscribed = victim.count("subscribed")
    rpc = rpc_pb2.RPC()
    for number in range(200):
        rpc.subscriptions.add(subscribe=True, topicid=f"other {number}")
        rpc.control.graft.add(topicID=f"other {number}")
        rpc.control.prune.add(topicID=f"other {number}", backoff=2**63)
        rpc.control.ihave.add(topicID=f"other {number}", messageIDs=[bytes(20)])
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_subscriptions"):
            stream = await hostile.stream(MESHSUB)
            await stream.write(rpc_bytes(rpc))
    assert victim.count("subscribed") == subscribed
    well(victim, friend)


async def test_a_prune_that_recommends_peers_makes_the_node_dial_nobody(
    pair: tuple[Child, Child],
) -> None:
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.peer.id import ID
    from libp2p.peer.peerstore import create_signed_peer_record
    from libp2p.pubsub.pb import rpc_pb2
    from multiaddr import Multiaddr  # type: ignore[import-untyped]

    victim, friend = pair
    trap = socket.create_server(("127.0.0.1", 0))
    trap.setblocking(False)
    keys = create_new_key_pair()
    peer = ID.from_pubkey(keys.public_key)
    where = Multiaddr(f"/ip4/127.0.0.1/tcp/{trap.getsockname()[1]}")
    record = create_signed_peer_record(peer, [where], keys.private_key).marshal_envelope()
    rpc = rpc_pb2.RPC(senderRecord=record)
    prune = rpc.control.prune.add(topicID=TOPIC, backoff=60)
    prune.peers.add(peerID=peer.to_bytes(), signedPeerRecord=record)
    dials = victim.count("dials")
    async with attacking(victim) as hostile:
        stream = await hostile.stream(MESHSUB)
        await stream.write(rpc_bytes(rpc))
        # Served in order on the stream: when the message after it arrived, the prune was handled.
        after = f"after the prune {next(numbers)}"
        name = f"attacker {next(numbers) - 2}"
        message = signed_message(name, f"{after}:0:".encode())
        await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message])))
        assert await victim.aask("got", data=after) == 1
        well(victim, friend)  # two heartbeats' worth of time for anything it would do
    assert victim.count("dials") == dials
    with pytest.raises(BlockingIOError):
        trap.accept()
    trap.close()


async def test_a_small_request_does_not_cause_an_answer_ten_thousand_times_its_size(
    pair: tuple[Child, Child],
) -> None:
    from libp2p.pubsub.pb import rpc_pb2

    victim, friend = pair
    data = f"large {next(numbers)}"
    async with attacking(victim) as hostile:
        stream = await hostile.stream(MESHSUB)
        hello = rpc_pb2.RPC()
        hello.subscriptions.add(subscribe=True, topicid=TOPIC)
        await stream.write(rpc_bytes(hello))
        victim.ask("publish", data=data, pad=60_000)
        import hashlib

        content = f"{data}:0:".encode() + bytes(60_000)
        wanted = hashlib.sha256(content).digest()[:20]
        rpc = rpc_pb2.RPC()
        rpc.control.iwant.add(messageIDs=[wanted] * 400)
        before = victim.count("gossip_bytes_out")
        async with counted(victim, "iwant_refused"):
            for _ in range(40):
                await stream.write(rpc_bytes(rpc))
        # 16,000 ids were asked for; three copies, its own first one, and what honest peers get.
        assert victim.count("gossip_bytes_out") - before < 10 * 61_000
    well(victim, friend)


async def test_a_message_beyond_the_bound_is_refused_on_both_sides(
    pair: tuple[Child, Child],
) -> None:
    from libp2p.pubsub.pb import rpc_pb2

    from support.nethost import Refused

    victim, friend = pair
    with pytest.raises(Refused) as refused:
        victim.ask("publish", data="too large", pad=65_536)
    assert refused.value.code == "message_too_large"
    async with attacking(victim) as hostile:
        name = f"attacker {next(numbers) - 1}"
        async with counted(victim, "penalty_message_too_large"):
            stream = await hostile.stream(MESHSUB)
            message = signed_message(name, b"too large:0:" + bytes(65_536))
            await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message])))
        async with counted(victim, "penalty_rpc_unreadable"):
            message = signed_message(name, bytes(1_100_000))
            try:
                await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message])))
            except Exception:
                pass  # reset before all of it was sent
    well(victim, friend)


async def test_five_hundred_messages_back_to_back_all_arrive_once(
    pair: tuple[Child, Child],
) -> None:
    victim, friend = pair
    for one, other in ((victim, friend), (friend, victim)):
        data = f"many {next(numbers)}"
        one.ask("publish", data=data, count=500, pad=300)
        assert other.ask("got", data=data, count=500, pad=300) == 500
