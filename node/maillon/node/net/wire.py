"""Encrypt, multiplex and negotiate within bounds (docs/decisions/0010-libp2p-guards.md).

Between a socket and a stream the library reads lengths it does not bound, decodes bytes as text
without expecting that they are none, offers an unencrypted connection, and stores what a peer sends
against the flow control. The classes here take those places.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import logging
import struct
from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, IRawConnection, ISecureConn
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ParseError
from libp2p.io.exceptions import ConnectionClosedError, IOException, MessageTooLarge
from libp2p.io.utils import read_exactly
from libp2p.peer.id import ID
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError, MultiselectError
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable
from libp2p.stream_muxer.yamux import yamux as yamux_module
from libp2p.stream_muxer.yamux.yamux import (
    FLAG_SYN,
    HEADER_SIZE,
    TYPE_DATA,
    TYPE_GO_AWAY,
    TYPE_PING,
    YAMUX_HEADER_FORMAT,
    Yamux,
)
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.transport.upgrader import TransportUpgrader
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from maillon.node import bounds
from maillon.node.net.errors import BadPeerId
from maillon.node.net.identity import key_of_bytes
from maillon.node.net.line import Line, Stream

log = logging.getLogger("maillon.net")

# Flow control: the library lets a stream's window grow to 16 MiB; see MUXER_WINDOW_BYTES. The same
# constant bounds one DATA frame, which it would otherwise buffer whole.
yamux_module.MAX_WINDOW_SIZE = bounds.MUXER_WINDOW_BYTES
yamux_module.YamuxStream = Stream  # type: ignore[misc]  # what the multiplexer makes

_HEADER = struct.Struct(YAMUX_HEADER_FORMAT)


def peer_key(peer: ID) -> bytes:
    """Return the node key inside a libp2p peer id. Raises: BadPeerId."""
    return key_of_bytes(peer.to_bytes())


def key_pair(seed: bytes) -> KeyPair:
    """Return libp2p's form of the node key made from a 32-byte seed."""
    private = Ed25519PrivateKey.new(seed)
    return KeyPair(private, private.get_public_key())


# --- negotiation --------------------------------------------------------------------------------


class BoundedCommunicator(MultiselectCommunicator):
    """Read protocol names with a bound, and treat bytes that are not UTF-8 as a broken peer.

    The library reads whatever length the peer announces, before any handshake, and lets the
    UnicodeDecodeError of a line that is not text through to the host.
    """

    async def read(self) -> str:
        """Return the next line. Raises: MultiselectCommunicatorError."""
        try:
            line = await read_varint_prefixed_bytes_limited(
                self.read_writer, bounds.NEGOTIATE_BYTES_MAX
            )
            if line[-1:] != b"\n":
                raise ParseError("no newline at the end of a protocol name")
            return line[:-1].decode("utf-8")
        except (ParseError, IOException, MessageTooLarge, UnicodeDecodeError) as error:
            raise MultiselectCommunicatorError("unreadable protocol name") from error


async def _select(
    multiselect: Any, conn: Any, handlers: Any, is_initiator: bool, seconds: float
) -> Any:
    communicator = BoundedCommunicator(conn)
    if is_initiator:
        chosen = await multiselect.multiselect_client.select_one_of(
            tuple(handlers), communicator, int(seconds)
        )
    else:
        chosen, _ = await multiselect.multiselect.negotiate(communicator, int(seconds))
    if chosen is None:
        raise MultiselectError("no protocol selected")
    return chosen


class Pulse:
    """Tell a peer that is gone from one that is slow: only silence counts.

    `heard` is the number of bytes that came over the wire. An answer to a ping is one sign of life
    and not the only one: it may wait behind a megabyte of records, or for a share of a busy CPU.
    """

    __slots__ = ("_noted", "heard", "missed")

    def __init__(self) -> None:
        self.heard = 0
        self.missed = 0
        self._noted = 0

    def lost(self) -> bool:
        """Note the end of a probe; tell whether PROBES_MISSED_MAX in a row brought no byte."""
        self.missed = 0 if self.heard > self._noted else self.missed + 1
        self._noted = self.heard
        return self.missed >= bounds.PROBES_MISSED_MAX


class GuardedUpgrader(TransportUpgrader):
    """Offer Noise and yamux and nothing else, negotiated within bounds.

    The library's default set also offers an unencrypted connection, on which a peer's public key is
    all it takes to be that peer.
    """

    def __init__(self, keys: KeyPair, on_overflow: Callable[[bytes], None]) -> None:
        noise = Noise(keys, noise_privkey=new_x25519().private_key)
        super().__init__({NOISE: noise}, {TProtocol(YAMUX): Yamux}, int(bounds.NEGOTIATE_S))
        self._on_overflow = on_overflow
        # The library's selectors make their own, unbounded communicator.
        self._muxer: Any = self.muxer_multistream._selector  # pyright: ignore[reportPrivateUsage]
        self._bound(self._muxer)
        self._bound(self.security_multistream._selector)  # pyright: ignore[reportPrivateUsage]

    @staticmethod
    def _bound(selector: Any) -> None:
        async def select(conn: Any, is_initiator: bool, timeout: float = bounds.NEGOTIATE_S) -> Any:
            chosen = await _select(selector, conn, selector.handlers, is_initiator, timeout)
            return chosen, selector.handlers[chosen]

        selector.select = select

    async def upgrade_security(
        self, raw_conn: IRawConnection, is_initiator: bool, peer_id: ID | None = None
    ) -> ISecureConn:
        """Secure a wire, with an ear on it: every byte that comes is a sign of life."""
        pulse = Pulse()
        wire: Any = raw_conn
        read = wire.read

        async def heard(n: int | None = None) -> bytes:
            data: bytes = await read(n)
            pulse.heard += len(data)
            return data

        wire.read = heard
        conn = await super().upgrade_security(raw_conn, is_initiator, peer_id)
        cast(Any, conn).pulse = pulse
        cast(Any, conn).wire = raw_conn
        return conn

    async def upgrade_connection(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """Put our bounded yamux on a secured connection."""
        await self._muxer.select(
            conn, conn.is_initiator, int(bounds.NEGOTIATE_S)
        )
        straight = Line(conn, cast(Any, conn).wire)
        muxed = BoundedYamux(cast(Any, straight), peer_id, is_initiator=conn.is_initiator)
        muxed.on_overflow = self._on_overflow
        muxed.pulse = cast(Any, conn).pulse
        return muxed


# --- multiplexing -------------------------------------------------------------------------------


class BoundedYamux(Yamux):
    """Bound what a peer can make us hold, and end only its own connection when something fails."""

    on_overflow: Callable[[bytes], None] | None = None
    pulse: Pulse
    _pinging = False

    def __init__(self, conn: Any, peer_id: ID, is_initiator: bool | None = None) -> None:
        super().__init__(conn, peer_id, is_initiator=is_initiator)
        self._line = conn if isinstance(conn, Line) else None
        if self._line is not None:
            self._line.ordinary = self._take_ordinary

    async def ping(self) -> None:
        """Ask for a sign of life; never raises. Any byte of the peer is one, see Pulse."""
        if self._pinging:  # the last one still waits for its turn on the line
            return
        self._pinging = True
        try:
            # A frame of the multiplexer needs no stream, which a bound could leave half open.
            await self._write_frame(
                struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_PING, FLAG_SYN, 0, self._ping_id)
            )
        except Exception as error:
            log.debug("a ping of %s failed: %r", self.peer_id, error)
        finally:
            self._pinging = False

    def _take_ordinary(self, buffer: bytearray) -> bool:
        """Take a frame of data for an open stream that came whole, as the library does in its turn.

        All else is left to it: what opens, ends or resets a stream, and what is too much.
        """
        if len(buffer) < HEADER_SIZE:
            return False
        version, kind, flags, name, length = _HEADER.unpack_from(buffer)
        end = HEADER_SIZE + length
        if version or kind != TYPE_DATA or flags or len(buffer) < end:
            return False
        stream, event = self.streams.get(name), self.stream_events.get(name)
        if stream is None or event is None or not self._room(length):
            return False
        self.stream_buffers[name] += buffer[HEADER_SIZE:end]
        del buffer[:end]
        stream.recv_window = max(0, stream.recv_window - length)
        event.set()
        return True

    def _room(self, length: int) -> bool:
        held = sum(map(len, self.stream_buffers.values()))
        return held + length <= bounds.MUXER_BYTES_MAX

    async def _read_data_body(self, length: int) -> bytes:
        # The library logs that a peer exceeded its window and stores the bytes all the same.
        if not self._room(length):
            if self.on_overflow is not None:
                try:
                    self.on_overflow(peer_key(self.peer_id))
                except BadPeerId:
                    pass
            raise trio.TooSlowError  # what handle_incoming answers by closing the connection
        # The library gives the whole of a frame, which may be a megabyte, one minute.
        body = bytearray()
        while len(body) < length:
            count = min(length - len(body), bounds.FRAMES_WRITE_BYTES)
            with trio.fail_after(bounds.STREAM_STALL_S):
                if self._line is not None:
                    body += await self._line.exactly(count)
                else:
                    body += await read_exactly(self.secured_conn, count)
        return bytes(body)

    async def _write_frame(self, data: bytes) -> None:
        """Write a frame whole or not at all. Raises: ConnectionClosedError, RawConnError.

        Whoever writes may be cancelled at any time, by a bound of its own or because its task
        ends. Half a frame on the wire makes all that follows it undecipherable: a ping that gave
        up while the line was full of records ended the session that filled it.
        """
        if self._line is None or self._write_lock.locked():
            async with self._write_lock:
                self._refuse_ended(data)
                await self._write_whole(self.secured_conn.write, data)
        else:
            # Nobody writes, and nobody begins to until what the socket did not take has the lock.
            self._refuse_ended(data)
            rest = self._line.begin(data)
            if rest:
                self._write_lock.acquire_nowait()
                try:
                    await self._write_whole(self._line.finish, rest)
                finally:
                    self._write_lock.release()
        await trio.lowlevel.checkpoint()

    def _refuse_ended(self, data: bytes) -> None:
        if self.event_shutting_down.is_set() and data[1] != TYPE_GO_AWAY:
            raise ConnectionClosedError("connection closed")

    async def _write_whole(self, write: Callable[[Any], Awaitable[None]], data: Any) -> None:
        with trio.move_on_after(bounds.STREAM_STALL_S) as scope:
            scope.shield = True
            await write(data)
        if scope.cancelled_caught:
            self.event_shutting_down.set()
            with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
                scope.shield = True
                await self.secured_conn.close()
            raise ConnectionClosedError("connection closed: the peer takes nothing")

    async def start(self) -> None:
        """Run the connection; whatever fails ends this connection and nothing else."""
        try:
            await super().start()
        except Exception as error:
            log.debug("connection of %s failed: %r", self.peer_id, error)
            # add_conn waits for this event without a bound.
            self.event_started.set()
            await self._end()

    async def accept_stream(self) -> IMuxedStream:
        """Return the next stream the peer opened. Raises: MuxedConnUnavailable at the end."""
        try:
            return await super().accept_stream()
        except MuxedConnUnavailable:
            raise
        except Exception as error:
            raise MuxedConnUnavailable(str(error)) from error

    async def _end(self) -> None:
        with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
            scope.shield = True
            try:
                await self._cleanup_on_error()
            except Exception:
                return
