"""Claims about one connection: when it counts as lost, and that a frame goes out whole."""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from maillon.node import bounds


@given(st.lists(st.integers(min_value=0, max_value=3), max_size=30))
def test_a_connection_is_lost_after_some_probes_in_a_row_without_a_byte(heard: list[int]) -> None:
    from maillon.node.net.wire import Pulse

    pulse = Pulse()
    for place, count in enumerate(heard):
        pulse.heard += count
        silent = heard[max(0, place + 1 - bounds.PROBES_MISSED_MAX) : place + 1]
        want = len(silent) == bounds.PROBES_MISSED_MAX and not any(silent)
        assert pulse.lost() == want


class Line:
    """A secured connection whose peer takes bytes only when it is told to."""

    is_initiator = True

    def __init__(self) -> None:
        self.room = trio.Semaphore(0)
        self.written = bytearray()
        self.closed = False

    async def write(self, data: bytes) -> None:
        for byte in data:
            await self.room.acquire()
            self.written.append(byte)

    async def close(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


def muxed(line: Any) -> Any:
    from libp2p.peer.id import ID

    from maillon.node.net.identity import peer_id_bytes
    from maillon.node.net.wire import BoundedYamux

    return BoundedYamux(line, ID(peer_id_bytes(bytes(32))), is_initiator=True)


async def test_a_writer_that_is_cancelled_leaves_no_half_frame_on_the_line(
    autojump_clock: trio.testing.MockClock,
) -> None:
    line = Line()
    conn = muxed(line)
    first, second, third = (bytes([n]) * 20 for n in (1, 2, 3))
    async with trio.open_nursery() as nursery:

        async def give_up(frame: bytes) -> None:
            with trio.move_on_after(1.0):
                await conn._write_frame(frame)

        nursery.start_soon(give_up, first)  # its line is full in the middle of the frame
        for _ in range(7):
            line.room.release()
        await trio.sleep(0.1)
        nursery.start_soon(give_up, second)  # gives up before its turn comes
        await trio.sleep(10.0)
        assert line.written == first[:7]
        nursery.start_soon(conn._write_frame, third)
        for _ in range(60):
            line.room.release()
    assert line.written == first + third


async def test_a_peer_that_takes_nothing_for_a_minute_loses_the_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    from libp2p.io.exceptions import ConnectionClosedError

    line = Line()
    conn = muxed(line)
    begun = trio.current_time()
    with pytest.raises(ConnectionClosedError):
        await conn._write_frame(bytes(20))
    assert trio.current_time() - begun == bounds.STREAM_STALL_S
    assert line.closed and conn.event_shutting_down.is_set()
    with pytest.raises(ConnectionClosedError):
        await conn._write_frame(bytes(20))


async def test_a_ping_that_cannot_go_out_is_not_followed_by_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    line = Line()
    conn = muxed(line)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(conn.ping)
        await trio.sleep(1.0)
        await conn.ping()  # returns at once
        for _ in range(100):
            line.room.release()
    assert len(line.written) == 12
    await conn.ping()
    assert len(line.written) == 24


class Body:
    """A secured connection that gives one byte every so often."""

    is_initiator = True

    def __init__(self, part: int, pause: float) -> None:
        self.part = part
        self.pause = pause

    async def read(self, count: int) -> bytes:
        await trio.sleep(self.pause)
        return bytes(min(count, self.part))


async def test_a_large_frame_may_take_long_and_not_stand_still(
    autojump_clock: trio.testing.MockClock,
) -> None:
    size = 8 * bounds.FRAMES_WRITE_BYTES
    slow = muxed(Body(bounds.FRAMES_WRITE_BYTES, bounds.STREAM_STALL_S - 1))
    begun = trio.current_time()
    assert await slow._read_data_body(size) == bytes(size)
    assert trio.current_time() - begun > 5 * bounds.STREAM_STALL_S
    with pytest.raises(trio.TooSlowError):
        await muxed(Body(size, bounds.STREAM_STALL_S + 1))._read_data_body(size)
