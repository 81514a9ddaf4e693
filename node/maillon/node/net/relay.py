"""Reach nodes that cannot be dialled, through one that can (libp2p specs, "Circuit Relay v2").

The wire is the standard's: a node behind a NAT keeps a reservation at a relay (HOP, RESERVE);
somebody asks the relay for it (HOP, CONNECT); the relay asks the node (STOP, CONNECT) and from then
on copies bytes. On those bytes the two run Noise and yamux with each other: the relay sees neither
content nor keys, and cannot pass itself off as either.

The library has this too, in 5,500 lines with dialling and discovery of their own, which would go
round the ward. This is the part a federation needs, with the limits a coop can afford: relays serve
only nodes of the federation, never over a relayed connection (one hop), with so many reservations,
circuits, bytes and seconds.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import trio
from libp2p.abc import INetStream
from libp2p.connection_types import ConnectionType
from libp2p.custom_types import TProtocol
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.relay.circuit_v2.pb import circuit_pb2 as pb
from libp2p.utils import encode_varint_prefixed
from libp2p.utils.varint import read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from maillon.node import bounds
from maillon.node.net.errors import BadAddress, BadPeerId, DialFailed
from maillon.node.net.frames import patient_write
from maillon.node.net.identity import Address, key_of_bytes, parse_address, peer_id, peer_id_bytes
from maillon.node.net.ward import Bucket
from maillon.node.net.wire import peer_key

if TYPE_CHECKING:
    from maillon.node.net.host import Host

log = logging.getLogger("maillon.net")

HOP: Final = TProtocol("/libp2p/circuit/relay/0.2.0/hop")
STOP: Final = TProtocol("/libp2p/circuit/relay/0.2.0/stop")

_CONNECT: Final = pb.HopMessage.CONNECT
_RESERVE: Final = pb.HopMessage.RESERVE


class CircuitStream(ReadWriteCloser):
    """A stream through a relay, seen as the wire of a connection."""

    def __init__(self, stream: INetStream) -> None:
        self._stream = stream

    async def write(self, data: bytes) -> None:
        """Write all of `data`. Raises: ConnectionClosedError."""
        try:
            await patient_write(self._stream, data)
        except Exception as error:
            raise ConnectionClosedError(str(error), transport="relay") from error

    async def read(self, n: int | None = None) -> bytes:
        """Return up to `n` bytes, b"" at the end. Raises: ConnectionClosedError."""
        try:
            return await self._stream.read(n)
        except Exception as error:
            if type(error).__name__ == "StreamEOF":
                return b""
            raise ConnectionClosedError(str(error), transport="relay") from error

    async def close(self) -> None:
        """End the circuit."""
        await _reset(self._stream)

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return None: what is at the other end of the wire is the relay."""
        return None


class Relay:
    """What one host does about relaying: serve it, use it, dial through it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ward = host.net.ward
        self._served: dict[bytes, float] = {}  # who holds a reservation here, until (monotonic)
        self._circuits: dict[bytes, int] = {}
        self._held: dict[bytes, float] = {}  # relays where we hold one, until (monotonic)
        self._through: dict[bytes, tuple[Address, ...]] = {}
        self._refused: dict[bytes, float] = {}  # who gave no place, not to be asked until

    # --- serving --------------------------------------------------------------------------------

    async def hop(self, stream: INetStream) -> None:
        """Serve one HOP stream of a federation node."""
        try:
            asker = peer_key(stream.muxed_conn.peer_id)
            try:
                message = await _read(stream, pb.HopMessage)
            except Exception:
                await self._refuse(stream, pb.MALFORMED_MESSAGE)
                return
            if _relayed(stream):
                # One hop: chains of relays would multiply traffic and could be closed to a ring.
                await self._refuse(stream, pb.PERMISSION_DENIED)
            elif message.type == _RESERVE:
                await self._reserve(stream, asker)
            elif message.type == _CONNECT:
                await self._connect(stream, asker, message)
            else:
                await self._refuse(stream, pb.UNEXPECTED_MESSAGE)
        finally:
            await _end(stream)

    async def _refuse(self, stream: INetStream, status: Any) -> None:
        self._ward.count("relay_refused")
        await _write(stream, pb.HopMessage(type=pb.HopMessage.STATUS, status=status))

    async def _reserve(self, stream: INetStream, asker: bytes) -> None:
        now = trio.current_time()
        self._served = {key: until for key, until in self._served.items() if until > now}
        if asker not in self._served and len(self._served) >= bounds.RELAY_RESERVATIONS_MAX:
            await self._refuse(stream, pb.RESERVATION_REFUSED)
            return
        self._served[asker] = now + bounds.RELAY_RESERVATION_S
        answer = pb.HopMessage(type=pb.HopMessage.STATUS, status=pb.OK, limit=_limit())
        # The relay's own clock, as the standard has it: the holder looks at the difference only.
        answer.reservation.expire = int(time.time() + bounds.RELAY_RESERVATION_S)
        for text in self._host.net.addresses()[:8]:
            answer.reservation.addrs.append(Multiaddr(text).to_bytes())
        self._ward.count("relay_reservations")
        await _write(stream, answer)

    async def _connect(self, stream: INetStream, asker: bytes, message: pb.HopMessage) -> None:
        now = trio.current_time()
        try:
            wanted = key_of_bytes(message.peer.id)
        except BadPeerId:
            await self._refuse(stream, pb.MALFORMED_MESSAGE)
            return
        if self._served.get(wanted, 0.0) <= now or not self._host.is_connected(wanted):
            await self._refuse(stream, pb.NO_RESERVATION)
            return
        if (
            sum(self._circuits.values()) >= 2 * bounds.RELAY_CIRCUITS_MAX
            or max(self._circuits.get(key, 0) for key in (asker, wanted))
            >= bounds.RELAY_CIRCUITS_PER_PEER_MAX
        ):
            await self._refuse(stream, pb.RESOURCE_LIMIT_EXCEEDED)
            return
        for key in (asker, wanted):
            self._circuits[key] = self._circuits.get(key, 0) + 1
        further: INetStream | None = None
        try:
            try:
                with trio.fail_after(bounds.NEGOTIATE_S):
                    further = await self._host.new_stream(wanted, STOP)
                    ask = pb.StopMessage(type=pb.StopMessage.CONNECT, limit=_limit())
                    ask.peer.id = peer_id_bytes(asker)
                    await _write(further, ask)
                    answer = await _read(further, pb.StopMessage)
                    if answer.status != pb.OK:
                        raise DialFailed(peer=wanted)
            except Exception as error:
                log.debug("a circuit could not be made: %r", error)
                await self._refuse(stream, pb.CONNECTION_FAILED)
                return
            await _write(
                stream, pb.HopMessage(type=pb.HopMessage.STATUS, status=pb.OK, limit=_limit())
            )
            self._ward.count("relay_circuits")
            await self._copy_both(stream, further)
        finally:
            for key in (asker, wanted):
                self._circuits[key] -= 1
                if not self._circuits[key]:
                    del self._circuits[key]
            if further is not None:
                await _reset(further)

    async def _copy_both(self, one: INetStream, other: INetStream) -> None:
        left = bounds.RELAY_BYTES_MAX
        rate = Bucket(bounds.RELAY_BYTES_RATE, bounds.RELAY_BYTES_RATE)

        async def copy(source: INetStream, target: INetStream) -> None:
            nonlocal left
            try:
                while left > 0:
                    with trio.fail_after(bounds.RELAY_IDLE_S):
                        data = await source.read(bounds.FRAMES_WRITE_BYTES)
                    if not data:
                        break
                    left -= len(data)
                    self._ward.count("relay_bytes", len(data))
                    await trio.sleep(rate.take(len(data), trio.current_time()))
                    await patient_write(target, data)
            except Exception as error:
                log.debug("a circuit ended: %r", error)
            # Either end ends both: a connection half open is of use to nobody.
            nursery.cancel_scope.cancel()

        with trio.move_on_after(bounds.RELAY_CIRCUIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(copy, one, other)
                nursery.start_soon(copy, other, one)

    # --- being reached --------------------------------------------------------------------------

    async def stop(self, stream: INetStream) -> None:
        """Accept a connection through a relay at which we hold a reservation."""
        relay = peer_key(stream.muxed_conn.peer_id)
        try:
            message = await _read(stream, pb.StopMessage)
            if relay not in self._held or _relayed(stream):
                await _write(
                    stream,
                    pb.StopMessage(type=pb.StopMessage.STATUS, status=pb.PERMISSION_DENIED),
                )
                return
            if message.type != pb.StopMessage.CONNECT:
                return
            await _write(stream, pb.StopMessage(type=pb.StopMessage.STATUS, status=pb.OK))
            claimed = message.peer.id  # only a label: who it is, the handshake proves
            self._ward.count("relay_accepted")
            raw = self._raw(stream, False, relay, claimed)
            await self._host.accept_wire(raw, f"relay {peer_id(relay)}")
        finally:
            await _end(stream)

    def address_through_us(self, key: bytes) -> list[str]:
        """Return the circuit addresses of a node that holds a reservation here."""
        if self._served.get(key, 0.0) <= trio.current_time():
            return []
        tail = f"/p2p-circuit/p2p/{peer_id(key)}"
        own = [text for text in self._host.net.addresses() if "/p2p-circuit" not in text]
        return [text + tail for text in own[:4]]

    async def keep_reservations(self) -> None:
        """Hold a place at up to RELAYS_USED connected nodes that offer one, until cancelled."""
        while True:
            now = trio.current_time()
            connected = set(self._host.net.connected_keys())
            for relay, until in list(self._held.items()):
                if relay not in connected or until <= now:
                    self._drop(relay)
            for relay in connected:
                due = self._held.get(relay, 0.0) - now < bounds.RELAY_RESERVATION_S / 2
                room = relay in self._held or len(self._held) < bounds.RELAYS_USED
                if due and room and self._refused.get(relay, 0.0) <= now:
                    await self._ask_for_place(relay)
                    if relay not in self._held:
                        self._refused[relay] = now + bounds.RELAY_ASK_AGAIN_S
            self._refused = {key: at for key, at in self._refused.items() if at > now}
            await trio.sleep(bounds.RELAY_LOOK_S)

    def _drop(self, relay: bytes) -> None:
        self._held.pop(relay, None)
        self._through.pop(relay, None)

    async def _ask_for_place(self, relay: bytes) -> None:
        stream: INetStream | None = None
        try:
            with trio.fail_after(bounds.NEGOTIATE_S):
                stream = await self._host.new_stream(relay, HOP)
                await _write(stream, pb.HopMessage(type=_RESERVE))
                answer = await _read(stream, pb.HopMessage)
            if answer.status != pb.OK:
                return
            found: list[Address] = []
            for data in answer.reservation.addrs[:8]:
                try:
                    address = parse_address(str(Multiaddr(data)))
                except (BadAddress, ValueError):
                    continue
                if address.peer in (b"", relay) and not address.is_unspecified:
                    found.append(address)
            self._held[relay] = trio.current_time() + bounds.RELAY_RESERVATION_S
            self._through[relay] = tuple(found)
            self._ward.count("relay_places")
        except Exception as error:
            log.debug("no place at a relay: %r", error)
        finally:
            if stream is not None:
                await _reset(stream)

    def addresses(self) -> list[str]:
        """Return the circuit addresses under which we can be reached."""
        tail = f"/p2p-circuit/p2p/{self._host.net.peer_id}"
        return [
            f"{address.without_peer()}/p2p/{peer_id(relay)}{tail}"
            for relay, addresses in self._through.items()
            for address in addresses
        ]

    # --- dialling -------------------------------------------------------------------------------

    async def dial(self, key: bytes, address: Address) -> None:
        """Connect to a peer through the relay that a circuit address names.

        Raises: DialFailed, or whatever the library does.
        """
        through = parse_address(address.relay)
        net = self._host.net
        if not self._host.is_connected(through.peer):
            if not net.ward.admitted(through.peer):
                raise DialFailed("The relay is not of the federation.", peer=key)
            await self._host.dial_any(through.peer, [through])
        stream: INetStream | None = None
        try:
            with trio.fail_after(bounds.DIAL_S):
                stream = await self._host.new_stream(through.peer, HOP)
                ask = pb.HopMessage(type=_CONNECT)
                ask.peer.id = peer_id_bytes(key)
                await _write(stream, ask)
                answer = await _read(stream, pb.HopMessage)
                if answer.status != pb.OK:
                    raise DialFailed(f"The relay refused ({answer.status}).", peer=key)
                raw = self._raw(stream, True, through.peer, peer_id_bytes(key))
                await self._host.upgrade_wire(raw, key)
        except BaseException:
            if stream is not None:
                await _reset(stream)
            raise
        self._ward.count("relay_dialled")

    @staticmethod
    def _raw(stream: INetStream, initiator: bool, relay: bytes, other: bytes) -> RawConnection:
        try:
            tail = f"/p2p/{peer_id(key_of_bytes(other))}"
        except BadPeerId:
            tail = ""
        label = Multiaddr(f"/p2p/{peer_id(relay)}/p2p-circuit{tail}")
        return RawConnection(
            CircuitStream(stream), initiator, ConnectionType.RELAYED, [label]
        )


def _limit() -> pb.Limit:
    return pb.Limit(duration=int(bounds.RELAY_CIRCUIT_S), data=bounds.RELAY_BYTES_MAX)


def _relayed(stream: INetStream) -> bool:
    return stream.muxed_conn.get_connection_type() == ConnectionType.RELAYED


async def _read(stream: INetStream, kind: Any) -> Any:
    with trio.fail_after(bounds.NEGOTIATE_S):
        data = await read_varint_prefixed_bytes_limited(stream, bounds.RELAY_MESSAGE_BYTES_MAX)
    message = kind()
    message.ParseFromString(data)
    return message


async def _write(stream: INetStream, message: Any) -> None:
    await patient_write(stream, encode_varint_prefixed(message.SerializeToString()))


async def _end(stream: INetStream) -> None:
    # What was answered must arrive: the end goes out first, a reset could overtake it.
    with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
        scope.shield = True
        try:
            await stream.close_write()  # type: ignore[attr-defined]  # NetStream has it
            while await stream.read(bounds.FRAMES_WRITE_BYTES):
                pass
        except Exception:
            pass  # its end comes as one of several exceptions
    await _reset(stream)


async def _reset(stream: INetStream) -> None:
    with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
        scope.shield = True
        try:
            await stream.reset()
        except Exception:
            return


