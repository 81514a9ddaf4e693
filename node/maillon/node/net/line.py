"""Carry what is small and ordinary over a connection without going through every layer.

Between a frame of ours and the socket the library has seven layers, most with a lock, and each lock
is a turn of the whole scheduler: a message of 200 bytes cost 0.4 ms of CPU on each side. Here the
same bytes take a straight way whenever nothing is out of the ordinary: a line that reads what the
socket has and decrypts it from a buffer, and a stream that puts its bytes into one frame and one
write. Whatever is not ordinary (a stream that ends, a window that is used up, a socket that takes
nothing) goes the library's way, which tells what is wrong.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, Final, cast

import trio
from libp2p.abc import IRawConnection, ISecureConn
from libp2p.io.exceptions import ConnectionClosedError, IncompleteReadError
from libp2p.io.trio import TrioTCPStream
from libp2p.io.utils import read_exactly
from libp2p.security.noise.io import MAX_PLAINTEXT_LENGTH, NoiseTransportReadWriter
from libp2p.security.secure_session import SecureSession
from libp2p.stream_muxer.yamux.yamux import (
    HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    TYPE_DATA,
    YAMUX_HEADER_FORMAT,
    YamuxStream,
)

from maillon.node import bounds

_LENGTH: Final = 2  # bytes of the length before each Noise message
_HEADER: Final = struct.Struct(YAMUX_HEADER_FORMAT)
_DATA_MAX: Final = MAX_MESSAGE_SIZE - HEADER_SIZE


class Line:
    """A secured connection, read and written through one buffer each.

    It stands where the library's session stood, from the moment the multiplexer is agreed on, and
    answers for everything else by that session.
    """

    def __init__(self, session: ISecureConn, wire: IRawConnection) -> None:
        self._session = cast("Any", session)
        self._wire = cast("Any", wire)
        self._noise: Any = None
        self._tcp: Any = None
        self._sealed = bytearray()
        self._open = bytearray()
        self.ordinary: Callable[[bytearray], bool] | None = None
        """Given what is decrypted, at the begin of a frame: takes a whole ordinary frame off it and
        tells so."""
        if isinstance(session, SecureSession) and isinstance(
            session.conn, NoiseTransportReadWriter
        ):
            self._noise = session.conn.noise_state
            # What came together with the last word of the negotiation.
            self._open += session._drain(None)  # pyright: ignore[reportPrivateUsage]
        stream = getattr(wire, "stream", None)
        if isinstance(stream, TrioTCPStream):
            self._tcp = stream.stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    # --- reading --------------------------------------------------------------------------------

    async def read(self, n: int | None = None) -> bytes:
        """Return `n` bytes, the header of the next frame that is not ordinary.

        Raises: IncompleteReadError at the end, or what the wire raises.
        """
        if self._noise is None or n is None:
            return cast("bytes", await self._session.read(n))
        await self._fill(n)
        while self.ordinary is not None and self.ordinary(self._open):
            await self._fill(n)
        return self._taken(n)

    async def exactly(self, n: int) -> bytes:
        """Return `n` bytes, whatever they are. Raises: as `read`."""
        if self._noise is None:
            return await read_exactly(self._session, n)
        await self._fill(n)
        return self._taken(n)

    def _taken(self, n: int) -> bytes:
        taken = bytes(self._open[:n])
        del self._open[:n]
        return taken

    async def _fill(self, n: int) -> None:
        while len(self._open) < n:
            if self._decrypted():
                continue
            part = await self._wire.read(bounds.FRAMES_WRITE_BYTES)
            if not part:
                raise IncompleteReadError(
                    "the connection ended", expected_bytes=n, received_bytes=len(self._open)
                )
            self._sealed += part

    def _decrypted(self) -> bool:
        """Decrypt the Noise messages that came whole; tell whether there was one."""
        sealed, start, found = self._sealed, 0, False
        while len(sealed) - start >= _LENGTH:
            end = start + _LENGTH + int.from_bytes(sealed[start : start + _LENGTH], "big")
            if len(sealed) < end:
                break
            plain = self._noise.decrypt(bytes(sealed[start + _LENGTH : end]))
            if not plain:
                # The library takes an empty message for the end too.
                raise ConnectionClosedError("connection closed")
            self._open += plain
            start, found = end, True
        if start:
            del sealed[:start]
        return found

    # --- writing --------------------------------------------------------------------------------

    def begin(self, data: bytes) -> bytes | memoryview:
        """Encrypt and give the socket what it takes now; return what is left for `finish`.

        Only while nobody else writes. Raises: ConnectionClosedError.
        """
        if self._noise is None:
            return data
        out = bytearray()
        for start in range(0, len(data), MAX_PLAINTEXT_LENGTH):
            sealed = self._noise.encrypt(data[start : start + MAX_PLAINTEXT_LENGTH])
            out += len(sealed).to_bytes(_LENGTH, "big") + sealed
        if self._tcp is None or os.name != "posix":
            return bytes(out)
        try:
            sent = os.write(self._tcp.socket.fileno(), out)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise ConnectionClosedError("connection closed", transport="tcp") from error
        return memoryview(bytes(out))[sent:]

    async def finish(self, rest: bytes | memoryview) -> None:
        """Write what `begin` has left. Raises: as the wire does."""
        if self._noise is None:
            await self._session.write(bytes(rest))
        else:
            await self._wire.write(bytes(rest))

    async def write(self, data: bytes) -> None:
        """Encrypt and write."""
        rest = self.begin(data)
        if rest:
            await self.finish(rest)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()


class Stream(YamuxStream):
    """A stream of the multiplexer with a straight way for what is ordinary.

    The library's locks keep what changes together from being seen half changed between two turns
    of the scheduler; here it changes within one.
    """

    _read_bytes = 0

    async def give(self, data: bytes) -> bool:
        """Send some bytes in one frame; False when that cannot be done just so.

        Raises: as the multiplexer's frames do.
        """
        ordinary = len(data) <= _DATA_MAX and len(data) <= self.send_window
        if not ordinary or self.closed or self.send_closed:
            return False
        self.send_window -= len(data)
        header = _HEADER.pack(0, TYPE_DATA, 0, self.stream_id, len(data))
        await self.conn._write_frame(header + data)  # pyright: ignore[reportPrivateUsage]
        return True

    async def take(self, n: int) -> bytes:
        """Wait for bytes and return at most `n`; none when the library should tell what is wrong.
        """
        conn, name = self.conn, self.stream_id
        while True:
            buffer, event = conn.stream_buffers.get(name), conn.stream_events.get(name)
            if buffer is None or event is None or self.closed or self.recv_closed:
                return b""
            if self.reset_received or conn.event_shutting_down.is_set():
                return b""
            if buffer:
                data = bytes(buffer[:n])
                del buffer[:n]
                await self._auto_tune_and_send_window_update(bytes_read=len(data))
                return data
            if event.is_set():
                event = conn.stream_events[name] = trio.Event()
            await event.wait()

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        # The library tells the sender after every read that it may send as much again: a frame back
        # for each frame. Half a window at a time is soon enough.
        self._read_bytes += bytes_read
        if 2 * self._read_bytes >= self.target_recv_window:
            read, self._read_bytes = self._read_bytes, 0
            await super()._auto_tune_and_send_window_update(bytes_read=read)
