"""Every way found to end or exhaust a node through streams, tried on a real one.

What "well" means stands in tests/support/hazards.py.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import socket

import pytest

from maillon.node import bounds
from support.hazards import attacking, counted, raw, well
from support.nethost import Child


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
            except OSError:
                pass  # closed with some of our bytes unread, or before we could end it
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
