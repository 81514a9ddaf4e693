"""Every way found to end or exhaust a py-libp2p node, tried on a real node in another process.

After each attack the node must be up, must never have been restarted, must still gossip with an
honest peer both ways, and must have counted what was done to it.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from maillon.node import bounds
from maillon.node.net.identity import peer_id_bytes
from support.nethost import TOPIC, Attacker, Child, attacker, rpc_bytes, signed_message

MESHSUB = "/meshsub/1.1.0"
_numbers = itertools.count(1)
# A loopback address for each attacker: limits by address must not carry over from test to test.
_sources = (f"127.0.{n // 250 + 1}.{n % 250 + 1}" for n in itertools.count())


def well(victim: Child, friend: Child) -> None:
    """Assert that the victim was never restarted and gossips with an honest peer both ways."""
    assert victim.count("restarts") == 0
    for one, other in ((victim, friend), (friend, victim)):
        data = f"still here {next(_numbers)}"
        one.ask("publish", data=data)
        assert other.ask("got", data=data) == 1


@asynccontextmanager
async def counted(victim: Child, *names: str, least: int = 1) -> AsyncGenerator[None]:
    """Assert that each counter of the victim has grown soon after the block."""
    before = {name: victim.count(name) for name in names}
    yield
    for name, count in before.items():
        now = await victim.aask("wait", metric=name, least=count + least)
        assert now >= count + least, name


@asynccontextmanager
async def attacking(victim: Child, name: str | None = None) -> AsyncGenerator[Attacker]:
    number = next(_numbers)
    async with attacker(victim, name or f"attacker {number}", next(_sources)) as hostile:
        yield hostile


def raw(victim: Child, source: str | None = None) -> socket.socket:
    """Return a bare TCP connection to the victim."""
    return socket.create_connection(
        ("127.0.0.1", victim.port), timeout=10, source_address=(source or next(_sources), 0)
    )


# --- pubsub -------------------------------------------------------------------------------------


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
    data = f"genuine {next(_numbers)}"
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
            friend.ask("publish", data=f"detonate {next(_numbers)}")
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
                name = f"attacker {next(_numbers) - 1}"
                messages = [signed_message(name, b"poison %d:0:" % n) for n in range(6)]
                await stream.write(rpc_bytes(rpc_pb2.RPC(publish=messages)))
            # Six times 20 points: disconnected, and not let in again.
            assert await hostile.gone()
            peer = hostile.hex
        assert await friend.aask("got", data="poison 0", seconds=0.2) == 0
        async with counted(victim, "refused_blocked"):
            with pytest.raises(BaseException):  # noqa: B017, PT011  # refused, one way or another
                async with attacker(victim, name, next(_sources)) as again:
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
        after = f"after the prune {next(_numbers)}"
        name = f"attacker {next(_numbers) - 2}"
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
    data = f"large {next(_numbers)}"
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
        name = f"attacker {next(_numbers) - 1}"
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
        data = f"many {next(_numbers)}"
        one.ask("publish", data=data, count=500, pad=300)
        assert other.ask("got", data=data, count=500, pad=300) == 500


# --- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["/test/boom", "/test/slow"])
async def test_a_handler_that_raises_resets_its_stream_only(
    pair: tuple[Child, Child], protocol: str
) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "handler_faults"):
            with pytest.raises(Exception):  # noqa: B017, PT011  # reset, by one of several names
                stream = await hostile.stream(protocol)
                await stream.write(b"\0\0\0\1x")
                while await stream.read(1):
                    pass
        # The connection stands: another stream works.
        stream = await hostile.stream("/test/echo")
        await stream.write(b"\0\0\0\2ok")
        assert await stream.read(6) == b"\0\0\0\2ok"
    well(victim, friend)


@pytest.mark.parametrize("head", [b"\xff\xff\xff\xff", b"\x00\x04\x00\x01"])
async def test_a_frame_beyond_the_bound_is_refused_before_its_bytes(
    pair: tuple[Child, Child], head: bytes
) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_frame_too_large"):
            stream = await hostile.stream("/test/echo")
            await stream.write(head)
            with pytest.raises(Exception):  # noqa: B017, PT011
                while await stream.read(1):
                    pass
    well(victim, friend)


async def test_a_frame_cut_short_ends_its_stream(pair: tuple[Child, Child]) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_frame_truncated"):
            stream = await hostile.stream("/test/echo")
            await stream.write(b"\0\0\0\x10half")
            await stream.close_write()
    well(victim, friend)


@pytest.mark.parametrize(
    "line",
    [
        b"\x04\xff\xfe\xfd\n",
        b"\x13/multistream/1.0.0\n\x04\xff\xfe\xfd\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x13/multistream/1.0.0\n\xff\xff\x7f" + b"a" * 3000,
        b"\x00",
        b"\x05nope\n",
    ],
    ids=[
        "not text", "not text after the greeting", "endless length", "a megabyte of name", "empty",
        "another greeting",
    ],
)
async def test_negotiation_with_garbage_after_the_handshake_ends_its_stream(
    pair: tuple[Child, Child], line: bytes
) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_negotiation"):
            stream = await hostile.raw_stream()
            await stream.write(line)
    well(victim, friend)


@pytest.mark.parametrize(
    "opening",
    [
        b"\x04\xff\xfe\xfd\n",
        b"\x13/multistream/1.0.0\n\x04\xff\xfe\xfd\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + b"a" * 5000,
        b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\x00\x20" + b"\xff" * 32,
        b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\xff" * 300,
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
        b"",
    ],
    ids=[
        "not text", "not text after the greeting", "endless length", "noise with a wrong key",
        "noise of noise", "HTTP", "TLS", "nothing",
    ],
)
async def test_garbage_instead_of_a_handshake_ends_its_connection(
    pair: tuple[Child, Child], opening: bytes
) -> None:
    victim, friend = pair
    async with counted(victim, "handshake_failed"):
        with raw(victim) as connection:
            try:
                connection.sendall(opening)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except ConnectionError:
                pass  # closed with some of our bytes unread
    assert await victim.aask("wait_below", metric="handshakes", most=0) == 0
    well(victim, friend)


async def test_an_unencrypted_connection_is_refused(pair: tuple[Child, Child]) -> None:
    victim, friend = pair
    with raw(victim) as connection:
        connection.sendall(b"\x13/multistream/1.0.0\n\x11/plaintext/2.0.0\n")
        answer = b""
        while len(answer) < 24:
            part = connection.recv(100)
            assert part, answer
            answer += part
        assert answer == b"\x13/multistream/1.0.0\n\x03na\n"
        for other in (b"/secio/1.0.0", b"/tls/1.0.0", b"/insecure/1.0.0"):
            connection.sendall(bytes([len(other) + 1]) + other + b"\n")
            assert connection.recv(100) == b"\x03na\n"
    well(victim, friend)


async def test_a_peer_that_ignores_the_flow_control_cannot_fill_the_memory(
    pair: tuple[Child, Child],
) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_window_ignored"):
            stream = await hostile.stream("/test/hold")  # nobody reads it
            muxed = stream.muxed_stream
            for _ in range(400):
                muxed.send_window = 2**30
                try:
                    await stream.write(bytes(60_000))
                except Exception:
                    break
            assert await hostile.gone()
    well(victim, friend)


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff\x00\x00\x00" + bytes(8),
        b"\x00\x09\x00\x00" + bytes(8),
        b"\x00\x00\x00\x01\x00\x00\x00\x63\xff\xff\xff\xff",
        b"\x00\x00\x00\x0f\x00\x00\x00\x00\x00\x00\x00\x01x",
        b"\x00\x01\x00\x01\x00\x00\x00\x65\xff\xff\xff\xff" * 3,
        b"\x00\x02\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01" * 500,
        b"\x00\x03\x00\x00" + bytes(4) + b"\xff\xff\xff\xff",
    ],
    ids=[
        "unknown version", "unknown type", "four gigabytes", "every flag at once",
        "the same stream thrice", "500 pings", "goodbye for an unknown reason",
    ],
)
async def test_frames_of_the_multiplexer_that_make_no_sense_end_at_most_their_connection(
    pair: tuple[Child, Child], frame: bytes
) -> None:
    victim, friend = pair
    accepted = victim.count("accepted")
    async with attacking(victim) as hostile:
        await hostile.conn.muxed_conn.secured_conn.write(frame)
        async with attacking(victim) as other:
            stream = await other.stream("/test/echo")
            await stream.write(b"\0\0\0\2hi")
            assert await stream.read(6) == b"\0\0\0\2hi"
    assert victim.count("accepted") == accepted + 2
    well(victim, friend)


async def test_bytes_that_do_not_decrypt_end_their_connection(pair: tuple[Child, Child]) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        await hostile.line.send_all(b"\x00\x20" + b"\xff" * 32)
        assert await hostile.gone()
    well(victim, friend)


async def test_one_peer_cannot_hold_more_streams_than_its_share(pair: tuple[Child, Child]) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        async with counted(victim, "penalty_streams"):
            streams: list[object] = []
            for _ in range(bounds.STREAMS_PER_PEER_MAX + 8):
                stream = await hostile.raw_stream()
                await stream.write(b"\x13/multistream/1.0.0\n")
                streams.append(stream)
    well(victim, friend)


# --- connections --------------------------------------------------------------------------------


async def test_more_than_250_connections_in_its_life_are_served(
    pair: tuple[Child, Child],
) -> None:
    # The library never gave a place back and accepted nobody after the 250th.
    victim, friend = pair
    before = victim.count("accepted")

    async def come_and_go(number: int, source: str) -> None:
        for turn in range(26):
            async with attacker(victim, f"visitor {number} {turn}", source):
                pass

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(come_and_go, number, next(_sources))
    assert await victim.aask("wait", metric="accepted", least=before + 260) >= before + 260
    # One task a connection stayed behind in the library; here they are all gone.
    assert await victim.aask("wait_below", metric="connections_inbound", most=1) <= 1
    well(victim, friend)


async def test_a_flood_of_connections_from_one_address_is_cut_and_others_get_in(
    pair: tuple[Child, Child],
) -> None:
    victim, friend = pair
    source = next(_sources)
    async with counted(victim, "refused_address_rate"):
        for _ in range(200):
            try:
                raw(victim, source).close()
            except ConnectionError:
                pass
    async with attacking(victim) as other:
        stream = await other.stream("/test/echo")
        await stream.write(b"\0\0\0\2hi")
        assert await stream.read(6) == b"\0\0\0\2hi"
    well(victim, friend)


async def test_half_open_connections_use_up_one_address_and_not_the_node(
    pair: tuple[Child, Child],
) -> None:
    victim, friend = pair
    source = next(_sources)
    held: list[socket.socket] = []
    try:
        async with counted(victim, "refused_address_connections"):
            for _ in range(bounds.CONNECTIONS_PER_ADDRESS_MAX + 4):
                held.append(raw(victim, source))
        async with attacking(victim):
            well(victim, friend)
    finally:
        for connection in held:
            connection.close()
    assert await victim.aask("wait_below", metric="handshakes", most=0) == 0


async def test_the_newest_connection_of_a_peer_wins(pair: tuple[Child, Child]) -> None:
    victim, friend = pair
    source = next(_sources)
    name = f"thrice {next(_numbers)}"
    async with (
        attacker(victim, name, source) as first,
        attacker(victim, name, source) as second,
        attacker(victim, name, source) as third,
    ):
        assert await first.gone()
        for standing in (second, third):
            stream = await standing.stream("/test/echo")
            await stream.write(b"\0\0\0\2hi")
            assert await stream.read(6) == b"\0\0\0\2hi"
    well(victim, friend)


async def test_a_peer_whose_points_add_up_is_disconnected(pair: tuple[Child, Child]) -> None:
    victim, friend = pair
    async with attacking(victim) as hostile:
        await victim.aask("penalise", peer=hostile.hex, points=99.0)
        stream = await hostile.stream("/test/echo")
        await stream.write(b"\0\0\0\2hi")
        assert await stream.read(6) == b"\0\0\0\2hi"
        await victim.aask("penalise", peer=hostile.hex, points=2.0)
        assert await hostile.gone()
    well(victim, friend)




async def test_a_peer_that_answers_no_ping_is_kept_while_it_sends_and_dropped_when_it_is_silent(
) -> None:
    victim = Child("victim of silence", liveness_s=0.5, bounds={"PING_S": 1.5})
    try:
        async with attacker(victim, "mute") as hostile:
            stream = await hostile.stream("/test/swallow")
            muxed = stream.muxed_stream.conn
            write = muxed._write_frame
            speaking = trio.Event()

            async def refuse(frame: bytes) -> None:
                await trio.lowlevel.checkpoint()  # no answer to a ping, no acknowledgement

            muxed._write_frame = refuse

            async def speak() -> None:
                # An empty frame of ours, in one of the multiplexer: something of a session.
                header = b"\0\0\0\0" + stream.muxed_stream.stream_id.to_bytes(4, "big")
                while not speaking.is_set():
                    await write(header + b"\0\0\0\4" + bytes(4))
                    await trio.sleep(0.05)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(speak)
                probes = await victim.aask("wait", metric="probes", least=5, seconds=50.0)
                assert probes >= 5
                assert victim.count("connections_frozen") == 0
                assert victim.count("connections") == 1
                speaking.set()
            assert await victim.aask("wait", metric="connections_frozen", least=1) == 1
            assert await victim.aask("wait_below", metric="connections", most=0) == 0
        assert victim.stop() == 0
    finally:
        victim.kill()
