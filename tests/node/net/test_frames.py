"""Claims about frames, over a pair of in-memory streams."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.node.net.errors import (
    FrameTooLarge,
    FrameTruncated,
    MessageTooLarge,
    StreamBroken,
    StreamStalled,
)
from maillon.node.net.frames import Frames
from maillon.protocol.limits import FRAME_BYTES_MAX

PEER = b"p" * 32


class Stream:
    """A trio stream with the methods of a libp2p stream; records the sizes of writes."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.writes: list[int] = []
        self.reset_done = False

    async def write(self, data: bytes) -> None:
        self.writes.append(len(data))
        await self.inner.send_all(data)

    async def read(self, count: int) -> bytes:
        return bytes(await self.inner.receive_some(count))

    async def close_write(self) -> None:
        await self.inner.send_eof()

    async def close(self) -> None:
        await self.inner.aclose()

    async def reset(self) -> None:
        self.reset_done = True
        await self.inner.aclose()


class Ends:
    """Frames at one end, the bare stream at the other."""

    def __init__(self) -> None:
        near, far = trio.testing.memory_stream_pair()
        self.stream, self.far = Stream(near), Stream(far)
        self.offences: list[tuple[float, str]] = []
        self.moved = [0, 0]

        def moved(received: int, sent: int) -> None:
            self.moved[0] += received
            self.moved[1] += sent

        self.frames = Frames(
            self.stream, PEER, "/test",
            offend=lambda points, code: self.offences.append((points, code)),
            moved=moved, idle_s=5.0,
        )
        self.others = Frames(
            self.far, PEER, "/test", offend=lambda points, code: None, moved=lambda i, o: None
        )


@given(st.lists(st.integers(min_value=0, max_value=200_000), max_size=6))
@settings(max_examples=25)
def test_frames_arrive_as_they_were_sent(sizes: list[int]) -> None:
    async def main() -> None:
        ends = Ends()
        sent = [bytes([n % 251]) * size for n, size in enumerate(sizes)]
        received: list[bytes] = []

        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await ends.frames.send_many(sent)
                await ends.frames.close_send()

            nursery.start_soon(send)
            while (frame := await ends.others.receive()) is not None:
                received.append(frame)
        assert received == sent
        assert ends.moved == [0, sum(sizes) + 4 * len(sizes)]

    trio.run(main)


async def test_many_small_frames_go_out_in_large_writes() -> None:
    ends = Ends()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ends.frames.send_many, [b"x" * 600] * 1_000)
        for _ in range(1_000):
            assert await ends.others.receive() == b"x" * 600
    assert len(ends.stream.writes) == -(-604 * 1_000 // 65_536)


async def test_frames_of_two_senders_do_not_mix() -> None:
    ends = Ends()
    async with trio.open_nursery() as nursery:
        for letter in (b"a", b"b"):
            nursery.start_soon(ends.frames.send, letter * 200_000)
        got = {await ends.others.receive(), await ends.others.receive()}
    assert got == {b"a" * 200_000, b"b" * 200_000}


async def test_our_own_frame_beyond_the_bound_is_refused_and_nothing_is_sent() -> None:
    ends = Ends()
    with pytest.raises(MessageTooLarge):
        await ends.frames.send(bytes(FRAME_BYTES_MAX + 1))
    assert ends.stream.writes == [] and ends.moved == [0, 0]


async def test_a_length_beyond_the_bound_is_refused_before_its_bytes() -> None:
    ends = Ends()
    await ends.far.write((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
    with pytest.raises(FrameTooLarge) as refused:
        await ends.frames.receive()
    assert refused.value.facts["length"] == FRAME_BYTES_MAX + 1
    assert ends.stream.reset_done and [code for _, code in ends.offences] == ["frame_too_large"]


@pytest.mark.parametrize("part", [b"\0", b"\0\0\0\x05", b"\0\0\0\x05four"])
async def test_an_end_in_the_middle_of_a_frame_is_told_from_a_clean_end(part: bytes) -> None:
    ends = Ends()
    await ends.far.write(part)
    await ends.far.close_write()
    with pytest.raises(FrameTruncated):
        await ends.frames.receive()
    assert ends.stream.reset_done

    clean = Ends()
    await clean.far.close_write()
    assert await clean.frames.receive() is None
    assert await clean.frames.receive() is None
    assert clean.offences == []


async def test_a_broken_stream_is_told_from_a_clean_end() -> None:
    ends = Ends()
    await ends.stream.inner.aclose()
    with pytest.raises(StreamBroken):
        await ends.frames.receive()
    with pytest.raises(StreamBroken):
        await ends.frames.send(b"x")


async def test_a_silent_peer_is_given_up_after_the_bound(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ends = Ends()
    begun = trio.current_time()
    with pytest.raises(StreamStalled):
        await ends.frames.receive()
    assert trio.current_time() - begun == 5.0 and ends.stream.reset_done


async def test_a_peer_that_takes_nothing_is_given_up_after_the_bound(
    autojump_clock: trio.testing.MockClock,
) -> None:
    from maillon.node import bounds

    ends = Ends()

    class Full:
        send_window = 0
        send_closed = closed = False

    ends.stream.muxed_stream = Full()  # type: ignore[attr-defined]  # as libp2p's has
    begun = trio.current_time()
    with pytest.raises(StreamStalled):
        await ends.frames.send(b"x")
    assert trio.current_time() - begun == bounds.STREAM_STALL_S
    assert ends.stream.writes == []


async def test_a_peer_that_takes_a_little_at_a_time_is_not_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    from maillon.node import bounds

    ends = Ends()

    class Slow:
        send_window = 10
        send_closed = closed = False

    slow = Slow()
    taken = bytearray()

    async def write(data: bytes) -> None:
        taken.extend(data)
        slow.send_window -= len(data)

    ends.stream.muxed_stream = slow  # type: ignore[attr-defined]  # as libp2p's has
    ends.stream.write = write  # type: ignore[method-assign]
    begun = trio.current_time()

    async def read() -> None:
        while True:
            await trio.sleep(bounds.STREAM_STALL_S - 1)
            slow.send_window += 10

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await ends.frames.send(b"x" * 96)
        nursery.cancel_scope.cancel()
    assert taken[4:] == b"x" * 96
    assert trio.current_time() - begun > 5 * bounds.STREAM_STALL_S


async def test_a_peer_that_sends_a_little_at_a_time_is_not_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ends = Ends()

    async def drip() -> None:
        for byte in (4).to_bytes(4, "big") + b"slow":
            await trio.sleep(4.0)
            await ends.far.write(bytes([byte]))

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        assert await ends.frames.receive() == b"slow"
    assert trio.current_time() - begun == 32.0
