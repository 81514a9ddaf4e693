"""Carry the ledger's messages: one long stream to each witness, and streams that others open here.

A stream costs milliseconds to open and microseconds to use, so a writer keeps one to each witness
and says many things on it before the first answer is back. What cannot be sent is dropped: a writer
says everything again, and a witness answers again (spec/06, "Transport").
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from maillon.node.ledger import bounds
from maillon.node.ports import FrameStream
from maillon.protocol.errors import MaillonError

PROTOCOL = "/maillon/1/ledger"


class Streams(Protocol):
    """What is needed of the network."""

    async def open_stream(self, peer: bytes, protocol: str) -> FrameStream: ...


class Link:
    """What is said to one witness, and its answers.

    `find` returns the key of the node that the witness is on now, or None; `take` is given each
    frame that comes back.
    """

    def __init__(
        self,
        witness: bytes,
        streams: Streams,
        find: Callable[[bytes], bytes | None],
        take: Callable[[bytes, bytes], Awaitable[None]],
    ) -> None:
        self.witness = witness
        self._streams = streams
        self._find = find
        self._take = take
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._wake = trio.Event()
        self.open = False
        self.heard_at = 0.0
        """Time of trio's clock when it last answered, 0 when it has not."""
        self.dropped = 0
        self.faults = 0

    def push(self, frame: bytes) -> None:
        """Send a frame as soon as can be; the oldest goes when too many wait."""
        self._frames.append(frame)
        self._bytes += len(frame)
        while len(self._frames) > 1 and (
            len(self._frames) > bounds.LINK_QUEUE_MAX or self._bytes > bounds.LINK_BYTES_MAX
        ):
            self._bytes -= len(self._frames.popleft())
            self.dropped += 1
        self._wake.set()

    def retry(self) -> None:
        """Look again at once: the node was connected."""
        self.faults = 0
        self._wake.set()

    async def run(self) -> None:
        """Carry frames until cancelled."""
        while True:
            while not self._frames:
                await self._wait()
            peer = self._find(self.witness)
            stream: FrameStream | None = None
            if peer is not None:
                with contextlib.suppress(MaillonError):
                    stream = await self._streams.open_stream(peer, PROTOCOL)
            if stream is None:
                self.faults += 1
                self.dropped += len(self._frames)
                self._frames.clear()
                self._bytes = 0
                pause = min(
                    bounds.LINK_RETRY_S_MAX,
                    bounds.LINK_RETRY_S * 2.0 ** min(self.faults - 1, 16),
                )
                with trio.move_on_after(pause):
                    await self._pause()
                continue
            self.faults = 0
            await self._carry(stream)

    async def _wait(self) -> None:
        self._wake = trio.Event()
        if not self._frames:
            await self._wake.wait()

    async def _pause(self) -> None:
        # Until `retry`: frames that are pushed meanwhile do not cut the pause short.
        before = self.faults
        while self.faults == before:
            self._wake = trio.Event()
            await self._wake.wait()

    async def _carry(self, stream: FrameStream) -> None:
        self.open = True
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, stream, nursery.cancel_scope)
                try:
                    while True:
                        while self._frames:
                            frame = self._frames.popleft()
                            self._bytes -= len(frame)
                            await stream.send(frame)
                        await self._wait()
                except MaillonError:
                    nursery.cancel_scope.cancel()
        finally:
            self.open = False
            await stream.reset()

    async def _listen(self, stream: FrameStream, scope: trio.CancelScope) -> None:
        with contextlib.suppress(MaillonError):
            while (frame := await stream.receive()) is not None:
                self.heard_at = trio.current_time()
                await self._take(self.witness, frame)
        scope.cancel()


class Guest:
    """A stream that another node opened: its messages wait their turn, the answers follow."""

    def __init__(self, stream: FrameStream) -> None:
        self.peer = stream.peer
        self._stream = stream
        self._send, self._receive = trio.open_memory_channel[bytes](bounds.INBOX_PEER_MAX)
        self._waiting = 0
        self._fewer = trio.Event()
        self._scope = trio.CancelScope()

    def answer(self, frame: bytes) -> None:
        """Send an answer; a peer that does not take its answers loses the stream."""
        try:
            self._send.send_nowait(frame)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self._scope.cancel()

    def handled(self) -> None:
        """Give back the place of a message that was looked at."""
        self._waiting -= 1
        self._fewer.set()

    async def _until(self, waiting: int) -> None:
        """Wait until no more than so many messages wait to be looked at."""
        while self._waiting > waiting:
            self._fewer = trio.Event()
            await self._fewer.wait()

    async def run(self, take: Callable[[Guest, bytes], None]) -> None:
        """Read messages until the peer ends or breaks the stream.

        `take` is given each frame and raises RemoteError for one that cannot be read. Raises: that,
        and what the stream raises.
        """
        fault: MaillonError | None = None
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answers)
                try:
                    while (frame := await self._stream.receive()) is not None:
                        await self._until(bounds.INBOX_PEER_MAX - 1)
                        self._waiting += 1
                        take(self, frame)
                    # Every message that was read has its answer before the stream ends.
                    await self._until(0)
                except MaillonError as broken:
                    fault = broken
                # What is queued still goes out; then `_answers` ends.
                self._send.close()
        if fault is not None:
            raise fault

    async def _answers(self) -> None:
        try:
            async for frame in self._receive:
                await self._stream.send(frame)
        except MaillonError:
            self._scope.cancel()


async def ask(streams: Streams, peer: bytes, frames: list[bytes]) -> list[bytes]:
    """Send frames on a stream of their own and return what is answered until the peer ends it.

    Raises: MaillonError, TooSlowError after CALL_S.
    """
    found: list[bytes] = []
    with trio.fail_after(bounds.CALL_S):
        stream = await streams.open_stream(peer, PROTOCOL)
        try:
            for frame in frames:
                await stream.send(frame)
            while len(found) < len(frames):
                answer = await stream.receive()
                if answer is None:
                    break
                found.append(answer)
            await stream.close()
        except BaseException:
            await stream.reset()
            raise
    return found
