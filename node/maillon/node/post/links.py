"""Carry letters to one coop over a stream that stays open while there is something to say."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from maillon.node.engine.post import PostOffice
from maillon.node.engine.post.ports import Effects
from maillon.node.ports import FrameStream
from maillon.node.post import bounds
from maillon.protocol.errors import MaillonError, Malformed, RemoteError
from maillon.protocol.letterframes import Ack, Again, Ask, Put, decode_frame, encode_frame

PROTOCOL = "/maillon/1/letters"


class Around(Protocol):
    """What a link needs: the time, a stream to a coop, and somebody who does what effects say."""

    def time(self) -> int: ...

    def near(self, coop: bytes) -> bool:
        """Tell whether a coop's node is connected."""
        ...

    async def open_to(self, coop: bytes) -> FrameStream | None:
        """Open a stream to a coop's node; None when it cannot be reached."""
        ...

    def do(self, effects: Effects) -> None: ...

    def blame(self, coop: bytes, code: str) -> None:
        """Count a broken rule against the coop's node."""
        ...


class Link:
    """What is said to one coop, and its answers."""

    def __init__(self, coop: bytes, office: PostOffice, around: Around) -> None:
        self.coop = coop
        self._office = office
        self._around = around
        self._wake = trio.Event()
        self._awaited: deque[type[Ack | Again]] = deque()
        self.faults = 0
        self.opened = 0

    def wake(self) -> None:
        """Look whether there is something to send."""
        self._wake.set()

    def retry(self) -> None:
        """Look at once: the node was connected."""
        self.faults = 0
        self._wake.set()

    async def run(self) -> None:
        """Carry letters until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            if not self._around.near(self.coop):
                continue  # `retry` wakes when it is connected
            stream = await self._around.open_to(self.coop)
            if stream is not None:
                self.opened += 1
                await self._carry(stream)
                self._office.lost(self.coop)
                if not self.faults:
                    continue
            else:
                self.faults += 1
            await self._pause()

    async def _pause(self) -> None:
        """Wait, until `retry` or for longer after each fault; then look again."""
        before = self.faults
        pause = min(bounds.LINK_RETRY_S_MAX, bounds.LINK_RETRY_S * 2.0 ** min(before - 1, 16))
        with trio.move_on_after(pause):
            while self.faults == before:
                self._wake = trio.Event()
                await self._wake.wait()
        self._wake.set()

    async def _carry(self, stream: FrameStream) -> None:
        self._awaited.clear()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, stream, nursery.cancel_scope)
                with contextlib.suppress(MaillonError):
                    await self._talk(stream)
                nursery.cancel_scope.cancel()
        finally:
            if self._awaited:
                self.faults += 1
            await stream.reset()

    async def _talk(self, stream: FrameStream) -> None:
        last_letter = trio.current_time()
        while True:
            self._wake = trio.Event()
            while len(self._awaited) < bounds.FRAMES_AHEAD_MAX:
                frame = self._office.parcel(self.coop, self._around.time())
                if frame is None:
                    break
                self._awaited.append(Again if isinstance(frame, Ask) else Ack)
                await stream.send(encode_frame(frame))
                last_letter = trio.current_time()
            with trio.move_on_after(bounds.KEEP_ALIVE_S) as scope:
                await self._wake.wait()
            if scope.cancelled_caught:
                if trio.current_time() > last_letter + bounds.LINK_KEPT_S:
                    return
                await stream.send(b"")

    async def _listen(self, stream: FrameStream, scope: trio.CancelScope) -> None:
        try:
            while (data := await stream.receive()) is not None:
                if not data:
                    continue
                answer = decode_frame(data)
                if not self._awaited or not isinstance(answer, self._awaited[0]):
                    raise Malformed("An answer that nobody waits for.", rule="letter_frame")
                assert isinstance(answer, Ack | Again)
                self._around.do(self._office.acked(self.coop, answer, self._around.time()))
                self._awaited.popleft()
                self.faults = 0
                self._wake.set()
        except RemoteError as fault:
            if not fault.excusable:
                self._around.blame(self.coop, fault.code)
        except MaillonError:
            pass  # our own disk: what was not noted is sent again
        scope.cancel()


class Bucket:
    """Let frames in at a rate, and a number of them at once."""

    def __init__(self, now: float) -> None:
        self._left = bounds.FRAMES_BURST
        self._at = now

    def wait_s(self, now: float) -> float:
        """Take one frame; return how long to wait before it is looked at."""
        self._left = min(
            bounds.FRAMES_BURST, self._left + (now - self._at) * bounds.FRAMES_RATE
        )
        self._at = now
        self._left -= 1
        return max(0.0, -self._left / bounds.FRAMES_RATE)


class Guest:
    """A stream that another node opened to bring letters.

    `coop_of` names its coop by the records of now: a node that left the federation meanwhile is a
    stranger with its next frame.
    """

    def __init__(
        self,
        stream: FrameStream,
        office: PostOffice,
        around: Around,
        coop_of: Callable[[], bytes | None],
        bucket: Bucket,
    ) -> None:
        self._stream = stream
        self._office = office
        self._around = around
        self._coop_of = coop_of
        self._bucket = bucket

    async def run(self) -> None:
        """Answer until the other side ends. Raises: RemoteError for what cannot be read."""
        while (data := await self._stream.receive()) is not None:
            if not data:
                await self._stream.send(b"")
                continue
            await trio.sleep(self._bucket.wait_s(trio.current_time()))
            frame = decode_frame(data)
            now = self._around.time()
            answer: Ack | Again
            match frame:
                case Put():
                    answer, effects = self._office.received(self._coop_of(), frame, now)
                case Ask():
                    answer, effects = self._office.asked(self._coop_of(), frame, now)
                case _:
                    raise Malformed("An answer to nothing.", rule="letter_frame")
            # All of it is on the disk. Whoever waits for these letters need not wait for the line.
            self._around.do(effects)
            await self._stream.send(encode_frame(answer))
