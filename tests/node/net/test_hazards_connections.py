"""Every way found to end or exhaust a node by connecting, tried on a real one.

What "well" means stands in tests/support/hazards.py.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import socket

import trio

from maillon.node import bounds
from support.hazards import attacking, counted, numbers, raw, sources, well
from support.nethost import Child, attacker


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
            nursery.start_soon(come_and_go, number, next(sources))
    assert await victim.aask("wait", metric="accepted", least=before + 260) >= before + 260
    # One task a connection stayed behind in the library; here they are all gone.
    assert await victim.aask("wait_below", metric="connections_inbound", most=1) <= 1
    well(victim, friend)


async def test_a_flood_of_connections_from_one_address_is_cut_and_others_get_in(
    pair: tuple[Child, Child],
) -> None:
    victim, friend = pair
    source = next(sources)
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
    source = next(sources)
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
    source = next(sources)
    name = f"thrice {next(numbers)}"
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
