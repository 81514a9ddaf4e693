"""Carry frames over one libp2p stream (spec/04, "Streams and frames").

A frame is a 4-byte big-endian length and that many bytes, at most FRAME_BYTES_MAX. Every wait has
a bound: a peer that stops taking or giving costs us a stream for a minute or two and no more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast

import trio

from maillon.node import bounds
from maillon.node.net.errors import (
    FrameTooLarge,
    FrameTruncated,
    MessageTooLarge,
    StreamBroken,
    StreamStalled,
)
from maillon.protocol.limits import FRAME_BYTES_MAX

_LENGTH_BYTES: Final = 4
# The muxer polls for its window in steps of this size too; there is no event to wait for.
_WINDOW_POLL_S: Final = 0.01


class Frames:
    """Send and receive frames on one stream to `peer` (its 32-byte node key).

    `stream` is libp2p's INetStream, or anything with its read, write, close_write, close and
    reset. `offend(points, code)` is called when the peer breaks the framing; `moved(in, out)` with
    the bytes that went each way; `linger(stream)` with a stream closed before the peer closed it.
    """

    __slots__ = (
        "_buffer", "_ended", "_give", "_idle_s", "_linger", "_moved", "_offend", "_peer",
        "_protocol", "_sending", "_straight", "_stream",
    )

    def __init__(
        self,
        stream: Any,  # INetStream; its module takes seconds to import
        peer: bytes,
        protocol: str,
        *,
        offend: Callable[[float, str], None],
        moved: Callable[[int, int], None],
        linger: Callable[[Any], None] = lambda stream: None,
        idle_s: float = bounds.STREAM_IDLE_S,
    ) -> None:
        self._stream = stream
        self._peer = peer
        self._protocol = protocol
        self._offend = offend
        self._moved = moved
        self._linger = linger
        self._idle_s = idle_s
        self._buffer = bytearray()
        self._ended = False
        self._sending = trio.Lock()
        # The straight way of line.Stream, which the library's own streams do not have.
        muxed = getattr(stream, "muxed_stream", None)
        self._give: Callable[[bytes], Awaitable[bool]] | None = getattr(muxed, "give", None)
        self._straight: Callable[[int], Awaitable[bytes]] | None = getattr(muxed, "take", None)

    @property
    def peer(self) -> bytes:
        """Return the node key of the other side, proven by the handshake."""
        return self._peer

    @property
    def protocol(self) -> str:
        """Return the protocol the stream was opened for."""
        return self._protocol

    async def send(self, frame: bytes) -> None:
        """Send one frame at once.

        Raises: MessageTooLarge beyond FRAME_BYTES_MAX, StreamBroken, StreamStalled.
        """
        await self.send_many((frame,))

    async def send_many(self, frames: Iterable[bytes]) -> None:
        """Send frames in order, in writes of FRAMES_WRITE_BYTES whatever their sizes.

        Raises: as `send`.
        """
        if self._sending.locked():
            await self._sending.acquire()
        else:
            self._sending.acquire_nowait()  # `acquire` is a turn of the scheduler
        try:
            out = bytearray()
            for frame in frames:
                if len(frame) > FRAME_BYTES_MAX:
                    raise MessageTooLarge(
                        "A frame may have 256 KiB.", length=len(frame), limit=FRAME_BYTES_MAX
                    )
                out += len(frame).to_bytes(_LENGTH_BYTES, "big")
                out += frame
                while len(out) >= bounds.FRAMES_WRITE_BYTES:
                    await self._write(bytes(out[: bounds.FRAMES_WRITE_BYTES]))
                    del out[: bounds.FRAMES_WRITE_BYTES]
            if out:
                await self._write(bytes(out))
        finally:
            self._sending.release()

    async def _write(self, data: bytes) -> None:
        try:
            if not (self._give is not None and await self._give(data)):
                await patient_write(self._stream, data)
        except trio.TooSlowError:
            await self.reset()
            raise StreamStalled(peer=self._peer) from None
        except Exception as error:  # the library's many ways to say that the stream is gone
            raise StreamBroken(peer=self._peer, cause=type(error).__name__) from error
        self._moved(0, len(data))

    async def receive(self) -> bytes | None:
        """Return the next frame, or None when the peer has closed its side between two frames.

        Raises: FrameTooLarge, FrameTruncated, StreamBroken, StreamStalled; the stream is reset.
        """
        head = await self._take(_LENGTH_BYTES)
        if head is None:
            return None
        length = int.from_bytes(head, "big")
        if length > FRAME_BYTES_MAX:
            # Refused before a byte of it is kept: a claimed length reserves nothing here.
            self._offend(20.0, FrameTooLarge.code)
            await self.reset()
            raise FrameTooLarge(peer=self._peer, length=length)
        if length == 0:
            return b""
        body = await self._take(length)
        if body is None:
            await self._truncated()
        return body

    async def _take(self, count: int) -> bytes | None:
        buffer = self._buffer
        if len(buffer) >= count:
            return self._taken(count)
        try:
            with trio.fail_after(self._idle_s) as scope:
                while len(buffer) < count and not self._ended:
                    try:
                        part = await self._read()
                    except Exception as error:
                        if type(error).__name__ != "StreamEOF":
                            raise
                        part = b""
                    if not part:
                        self._ended = True
                        break
                    buffer += part
                    self._moved(len(part), 0)
                    scope.deadline = trio.current_time() + self._idle_s
        except trio.TooSlowError:
            await self.reset()
            raise StreamStalled(peer=self._peer) from None
        except Exception as error:
            await self.reset()
            raise StreamBroken(peer=self._peer, cause=type(error).__name__) from error
        if len(buffer) >= count:
            return self._taken(count)
        if buffer:
            await self._truncated()
        return None

    def _taken(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _read(self) -> bytes:
        if self._straight is not None:
            part = await self._straight(bounds.FRAMES_WRITE_BYTES)
            if part:
                return part
        # The library knows how the stream ended.
        return cast("bytes", await self._stream.read(bounds.FRAMES_WRITE_BYTES))

    async def _truncated(self) -> None:
        conn = getattr(self._stream, "muxed_conn", None)
        lost = conn is not None and (conn.is_closed or conn.event_shutting_down.is_set())
        if lost:
            # The muxer ends its streams the same way when the line breaks: nobody's fault.
            raise StreamBroken(peer=self._peer)
        self._offend(2.0, FrameTruncated.code)
        await self.reset()
        raise FrameTruncated(peer=self._peer)

    async def close_send(self) -> None:
        """Tell the peer that no more frames follow; go on receiving."""
        await self._end(self._stream.close_write)

    async def close(self) -> None:
        """End the stream, after everything sent has gone out; what still comes in is discarded."""
        await self._end(self._stream.close_write if not self._ended else self._stream.close)
        if not self._ended:
            # The muxer keeps a half-closed stream for as long as the peer likes. A reset now could
            # overtake what it has not read yet, so somebody waits for its end and resets then.
            self._linger(self._stream)

    async def reset(self) -> None:
        """Drop the stream at once; never raises."""
        await self._end(self._stream.reset)

    async def _end(self, how: Callable[[], Any]) -> None:
        with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
            scope.shield = True  # also while being cancelled: the peer must not wait for us
            try:
                await how()
            except Exception:
                return


async def patient_write(stream: Any, data: bytes) -> None:
    """Write all of `data`, waiting up to STREAM_STALL_S for the peer to take some more of it.

    The muxer gives up after 5 s without window and then cannot say how much it had sent. Waiting
    for the window here, and writing no more than it holds, gives our own bound.

    Raises: trio.TooSlowError, StreamBroken, or whatever the library does.
    """
    muxed = getattr(stream, "muxed_stream", None)
    with trio.fail_after(bounds.STREAM_STALL_S) as scope:
        while data:
            window = getattr(muxed, "send_window", len(data))
            if window <= 0:
                if getattr(muxed, "send_closed", False) or getattr(muxed, "closed", False):
                    raise StreamBroken()
                await trio.sleep(_WINDOW_POLL_S)
                continue
            part, data = data[:window], data[window:]
            await stream.write(part)
            scope.deadline = trio.current_time() + bounds.STREAM_STALL_S
