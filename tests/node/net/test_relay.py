"""Nodes that nobody can dial, reached through one that can be; and what a relay refuses.

A node without a listening socket stands for one behind a NAT: nothing can be opened towards it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from maillon.node.net.identity import peer_id, peer_id_bytes
from support.nethost import Child, Refused, attacker, link

HOP = "/libp2p/circuit/relay/0.2.0/hop"
STOP = "/libp2p/circuit/relay/0.2.0/stop"
QUICK = {"RELAY_LOOK_S": 0.2, "REDIAL_S_MAX": 0.5, "PEERS_ASK_AGAIN_S": 0.5}


@pytest.fixture(scope="module")
def three() -> Iterator[tuple[Child, Child, Child]]:
    """Return (relay, hidden, other hidden), both connected with the relay and holding a place."""
    relay = Child("relay", relay="serve", bounds=QUICK)
    hidden = [Child(name, relay="use", listen=[], bounds=QUICK) for name in ("hidden", "veiled")]
    try:
        for child in hidden:
            link(child, relay)
            assert child.ask("wait", metric="relay_places", least=1) == 1
        yield relay, hidden[0], hidden[1]
        for child in (relay, *hidden):
            assert child.count("restarts") == 0
            assert child.stop() == 0
    finally:
        for child in (relay, *hidden):
            child.kill()


def test_a_hidden_node_gives_an_address_through_its_relay(
    three: tuple[Child, Child, Child],
) -> None:
    relay, hidden, _ = three
    [address] = hidden.ask("addresses")
    assert address == f"{relay.addresses[0]}/p2p-circuit/p2p/{peer_id(hidden.key)}"


def test_two_hidden_nodes_find_each_other_and_talk_through_the_relay(
    three: tuple[Child, Child, Child],
) -> None:
    relay, hidden, veiled = three
    # No address is known: the relay is asked, and names itself.
    veiled.ask("dial", peer=hidden.hex, addresses=[])
    assert veiled.ask("connected", peer=hidden.hex)
    assert relay.ask("wait", metric="relay_circuits", least=1) == 1
    sizes = [0, 10, 262_144]
    for one, other in ((veiled, hidden), (hidden, veiled)):
        assert one.ask("talk", peer=other.hex, protocol="/test/echo", frames=sizes) == sizes
    assert relay.count("relay_bytes") > 4 * 262_144
    # Noise runs end to end: what the relay copied is no stream of its own.
    assert relay.count("bytes_in/test/echo") == 0
    veiled.ask("push", peer=hidden.hex, protocol="/test/swallow", count=8, length=200_000)
    assert hidden.ask("wait", metric="bytes_in/test/swallow", least=1_600_032) == 1_600_032


def test_gossip_reaches_everybody_once(three: tuple[Child, Child, Child]) -> None:
    _, hidden, veiled = three
    hidden.ask("publish", data="from behind", count=50)
    assert veiled.ask("got", data="from behind", count=50) == 50


async def _hop(hostile: Any, message: Any) -> Any:
    from libp2p.relay.circuit_v2.pb import circuit_pb2 as pb
    from libp2p.utils import encode_varint_prefixed
    from libp2p.utils.varint import read_varint_prefixed_bytes_limited

    stream = await hostile.stream(HOP)
    await stream.write(encode_varint_prefixed(message.SerializeToString()))
    answer = pb.HopMessage()
    answer.ParseFromString(await read_varint_prefixed_bytes_limited(stream, 4_096))
    return answer


async def test_a_relay_refuses_what_it_has_no_reservation_for(
    three: tuple[Child, Child, Child],
) -> None:
    from libp2p.relay.circuit_v2.pb import circuit_pb2 as pb

    relay, _, _ = three
    circuits = relay.count("relay_circuits")
    async with attacker(relay, "asks for others", "127.2.0.1") as hostile:
        message = pb.HopMessage(type=pb.HopMessage.CONNECT)
        message.peer.id = peer_id_bytes(bytes(32))
        assert (await _hop(hostile, message)).status == pb.NO_RESERVATION
        message.peer.id = b"no peer id"
        assert (await _hop(hostile, message)).status == pb.MALFORMED_MESSAGE
        message = pb.HopMessage(type=pb.HopMessage.STATUS)
        assert (await _hop(hostile, message)).status == pb.UNEXPECTED_MESSAGE
        granted = await _hop(hostile, pb.HopMessage(type=pb.HopMessage.RESERVE))
        assert granted.status == pb.OK and granted.limit.data > 0 and granted.reservation.addrs
    assert relay.count("relay_circuits") == circuits


@pytest.mark.parametrize("data", [b"\x05\xff\xff\xff\xff\xff", b"\xff\xff\xff\x7f"])
async def test_garbage_on_the_relay_protocols_is_refused(
    three: tuple[Child, Child, Child], data: bytes
) -> None:
    relay, hidden, veiled = three
    async with attacker(relay, f"garbage {data.hex()}", "127.2.0.2") as hostile:
        refused = relay.count("relay_refused")
        stream = await hostile.stream(HOP)
        await stream.write(data)
        assert await relay.aask("wait", metric="relay_refused", least=refused + 1) > refused
        # A node that only serves does not take connections through others.
        with pytest.raises(Exception):  # noqa: B017, PT011
            await hostile.stream(STOP)
    talked = veiled.ask("talk", peer=hidden.hex, protocol="/test/echo", frames=[5])
    assert talked == [5]


async def test_a_node_takes_connections_only_through_its_own_relays() -> None:
    from libp2p.relay.circuit_v2.pb import circuit_pb2 as pb
    from libp2p.utils import encode_varint_prefixed
    from libp2p.utils.varint import read_varint_prefixed_bytes_limited

    user = Child("user", relay="use", bounds=QUICK)
    try:
        async with attacker(user, "no relay", "127.2.0.3") as hostile:
            stream = await hostile.stream(STOP)
            message = pb.StopMessage(type=pb.StopMessage.CONNECT)
            message.peer.id = peer_id_bytes(bytes(32))
            await stream.write(encode_varint_prefixed(message.SerializeToString()))
            answer = pb.StopMessage()
            answer.ParseFromString(await read_varint_prefixed_bytes_limited(stream, 4_096))
            assert answer.status == pb.PERMISSION_DENIED
        assert user.count("relay_accepted") == 0
        assert user.stop() == 0
    finally:
        user.kill()


def test_a_node_that_does_not_relay_says_so_by_not_speaking_the_protocol(
    three: tuple[Child, Child, Child],
) -> None:
    relay, hidden, _ = three
    with pytest.raises(Refused) as refused:
        relay.ask("talk", peer=hidden.hex, protocol=HOP, frames=[1])
    assert refused.value.code == "stream_broken"


def test_a_circuit_ends_at_its_bound_and_the_nodes_meet_again() -> None:
    bounds = {**QUICK, "RELAY_BYTES_MAX": 400_000}
    relay = Child("tight", relay="serve", bounds=bounds)
    hidden = [Child(name, relay="use", listen=[], bounds=QUICK) for name in ("h1", "h2")]
    try:
        for child in hidden:
            link(child, relay)
            assert child.ask("wait", metric="relay_places", least=1) == 1
        hidden[0].ask("dial", peer=hidden[1].hex, addresses=hidden[1].ask("addresses"))
        assert hidden[0].ask("connected", peer=hidden[1].hex)
        with pytest.raises(Refused) as refused:
            hidden[0].ask("talk", peer=hidden[1].hex, protocol="/test/echo", frames=[250_000] * 4)
        assert refused.value.code == "stream_broken"
        assert relay.ask("wait", metric="relay_circuits", least=2) >= 2
        assert hidden[0].ask("connected", peer=hidden[1].hex)
        for child in (relay, *hidden):
            assert child.stop() == 0
    finally:
        for child in (relay, *hidden):
            child.kill()
