"""Run libp2p 0.8.1 so that nothing a peer sends can end it (docs/decisions/0010-libp2p-guards.md).

The library assumes that its tasks do not fail: one exception in a stream handler, in a pubsub
message or in protocol negotiation ends the host. It also counts inbound connections without ever
counting down, dials what it finds in its peer store, buffers without bound what a peer sends
against the flow control, and offers an unencrypted connection. Each class here takes one of its
parts and closes the gaps from outside; the reasons stand where the code is.

Importing this module imports libp2p, which takes seconds: only the driver does, when it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, INetConn, INetStream, ISecureConn
from libp2p.crypto.ed25519 import Ed25519PrivateKey
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as new_x25519
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ParseError
from libp2p.host.basic_host import BasicHost
from libp2p.host.ping import ID as PING
from libp2p.host.ping import PingService, perform_ping_roundtrip
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import identify_handler_for
from libp2p.io.exceptions import IOException, MessageTooLarge
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.exceptions import (
    MultiselectClientError,
    MultiselectCommunicatorError,
    MultiselectError,
    ProtocolNotSupportedError,
)
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError
from libp2p.stream_muxer.yamux import yamux as yamux_module
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service.trio_manager import TrioManager
from libp2p.transport.upgrader import TransportUpgrader
from libp2p.utils.varint import read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from maillon.node import bounds
from maillon.node.net.errors import BadPeerId
from maillon.node.net.identity import key_of_bytes
from maillon.node.net.tcp import AddressedStream, PlainTcp

if TYPE_CHECKING:
    from maillon.node.net.ward import Ward

log = logging.getLogger("maillon.net")

# The library logs at every misstep of a peer, which lets anybody fill a disk. What matters is
# counted, and told on our own logger.
logging.getLogger("libp2p").setLevel(logging.CRITICAL)

# Flow control: the library lets a stream's window grow to 16 MiB; see MUXER_WINDOW_BYTES. The same
# constant bounds one DATA frame, which it would otherwise buffer whole.
yamux_module.MAX_WINDOW_SIZE = bounds.MUXER_WINDOW_BYTES


def peer_key(peer: ID) -> bytes:
    """Return the node key inside a libp2p peer id. Raises: BadPeerId."""
    return key_of_bytes(peer.to_bytes())


# --- tasks --------------------------------------------------------------------------------------


class ContainedManager(TrioManager):
    """Contain the failure of one task instead of ending the service that started it.

    The library's manager ends the whole service when any of its tasks raises. Only what the service
    cannot do without (its own `run`, its daemon tasks) may do that here: then the supervisor starts
    the host again. Tasks are also started straight in the nursery: the library's search for the
    parent task walks all tasks, at every message.
    """

    def __init__(self, service: Any, contained: Callable[[str, Exception], None]) -> None:
        super().__init__(service)
        self._on_contained = contained

    def run_task(
        self,
        async_fn: Any,
        *args: Any,
        daemon: bool = False,
        name: str | None = None,
        _internal: bool = False,
    ) -> None:
        """Start a task; contain what it raises unless it is a daemon or the service itself."""
        if daemon or _internal:
            super().run_task(async_fn, *args, daemon=daemon, name=name, _internal=_internal)
            return
        if self._task_nursery is None or not self.is_running:
            return  # the host is going down; the library would raise into whoever asked
        self._task_nursery.start_soon(self._contain, async_fn, args, name=repr(async_fn))

    async def _contain(self, async_fn: Any, args: tuple[Any, ...]) -> None:
        try:
            await async_fn(*args)
        except Exception as error:
            self._on_contained(getattr(async_fn, "__qualname__", repr(async_fn)), error)


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
        for selector in (self.security_multistream._selector, self.muxer_multistream._selector):
            self._bound(selector)

    @staticmethod
    def _bound(selector: Any) -> None:
        async def select(conn: Any, is_initiator: bool, timeout: float = bounds.NEGOTIATE_S) -> Any:
            chosen = await _select(selector, conn, selector.handlers, is_initiator, timeout)
            return chosen, selector.handlers[chosen]

        selector.select = select

    async def upgrade_connection(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        """Put our bounded yamux on a secured connection."""
        await self.muxer_multistream._selector.select(
            cast(Any, conn), conn.is_initiator, int(bounds.NEGOTIATE_S)
        )
        muxed = BoundedYamux(conn, peer_id, is_initiator=conn.is_initiator)
        muxed.on_overflow = self._on_overflow
        return muxed


# --- multiplexing -------------------------------------------------------------------------------


class BoundedYamux(Yamux):
    """Bound what a peer can make us hold, and end only its own connection when something fails."""

    on_overflow: Callable[[bytes], None] | None = None

    async def _read_data_body(self, length: int) -> bytes:
        # The library logs that a peer exceeded its window and stores the bytes all the same.
        held = sum(map(len, self.stream_buffers.values()))
        if held + length > bounds.MUXER_BYTES_MAX:
            if self.on_overflow is not None:
                try:
                    self.on_overflow(peer_key(self.peer_id))
                except BadPeerId:
                    pass
            raise trio.TooSlowError  # what handle_incoming answers by closing the connection
        return await super()._read_data_body(length)

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


# --- the swarm ----------------------------------------------------------------------------------


class _NoAutoConnector:
    """Dial nobody: the library's connector dials any address a peer put into the peer store."""

    _is_connecting = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def run_background_task(self, nursery: trio.Nursery) -> None: ...

    async def maybe_connect(self) -> None: ...

    def record_disconnect(self, peer_id: ID) -> None: ...


class GuardedSwarm(Swarm):
    """Connections, with the ward asked before and after each handshake."""

    def __init__(self, keys: KeyPair, peer: ID, ward: Ward, now: Callable[[], float]) -> None:
        store = PeerStore()
        store.add_key_pair(peer, keys)
        super().__init__(
            peer,
            store,
            GuardedUpgrader(keys, self._overflowed),
            [PlainTcp()],
            retry_config=RetryConfig(max_retries=0),
            connection_config=ConnectionConfig(
                min_connections=0,
                low_watermark=0,
                high_watermark=2 * bounds.CONNECTIONS_MAX,  # no pruning: the ward counts
                max_connections=2 * bounds.CONNECTIONS_MAX,
                max_connections_per_peer=8 * bounds.CONNECTIONS_PER_PEER_MAX,  # ours is below
                inbound_upgrade_timeout=bounds.HANDSHAKE_S,
                outbound_upgrade_timeout=bounds.HANDSHAKE_S,
                # The driver probes the connections itself, all at the same time.
                enable_health_monitoring=False,
            ),
        )
        self.ward = ward
        self._now = now
        self.auto_connector = cast(Any, _NoAutoConnector())

    def _overflowed(self, key: bytes) -> None:
        self.ward.penalise(key, 50.0, "window_ignored", self._now())

    def _schedule_auto_connect(self) -> None:
        return

    def _schedule_prune(self) -> None:
        return

    async def dial_peer(self, peer_id: ID) -> list[INetConn]:
        """Refuse to dial on the library's own account; the driver calls `dial_address`."""
        raise SwarmException(f"no connection to {peer_id}")

    async def dial_address(self, peer: ID, address: Multiaddr) -> INetConn:
        """Dial one numeric address, proving that `peer` answers there.

        Raises: SwarmException, trio.TooSlowError after DIAL_S.
        """
        with trio.fail_after(bounds.DIAL_S):
            return await self._dial_addr_single_attempt(address, peer)

    async def accept(self, stream: AddressedStream) -> None:
        """Serve one inbound connection from its first byte to its end.

        The library's handler waits for the end of the host instead of the end of the connection,
        and so never gives its place back: after 250 connections a node accepted no more.
        """
        remote = stream.get_remote_address()
        await self.serve_wire(RawConnection(stream, False), remote[0] if remote else "?")

    async def serve_wire(self, raw: RawConnection, where: str) -> None:
        """Serve a connection somebody made to us; `where` is whom its place counts for."""
        refused = self.ward.admit_address(where, self._now())
        if refused is not None:
            self.ward.count(refused)
            await _close(raw)
            return
        shaking = True
        try:
            with trio.fail_after(bounds.HANDSHAKE_S):
                muxed = await self.upgrade_inbound_raw_conn(raw, Multiaddr("/ip4/0.0.0.0/tcp/0"))
            self.ward.handshake_over(where)
            shaking = False
            self.ward.count("accepted")
            await cast(Any, muxed).event_closed.wait()
        except Exception as error:
            # Before the handshake there is nobody to hold it against but an address.
            self.ward.count("handshake_failed")
            log.debug("inbound connection from %s failed: %r", where, error)
        finally:
            if shaking:
                self.ward.handshake_over(where)
            self.ward.connection_over(where)
            await _close(raw)

    async def add_conn(self, muxed_conn: IMuxedConn, direction: str = "unknown") -> SwarmConn:
        """Let a connection in once its key is proven, unless the ward says no."""
        try:
            key = peer_key(muxed_conn.peer_id)
        except BadPeerId:
            self.ward.count("refused_key_type")
            await _close(muxed_conn)
            raise SwarmException("not an Ed25519 peer") from None
        refused = self.ward.admit_key(key, self._now(), inbound=direction == "inbound")
        if refused is None and muxed_conn.peer_id == self.self_id:
            refused = "refused_self"
        if refused is not None:
            self.ward.count(refused)
            await _close(muxed_conn)
            raise SwarmException(refused)
        try:
            conn = await super().add_conn(muxed_conn, direction)
        except BaseException:
            if not self.get_connections(muxed_conn.peer_id):
                self.ward.stranger_gone(key)
            raise
        # The newest connection wins. A peer that lost its network comes back before we noticed
        # that the old connection is dead; refusing the new one would shut it out.
        held = self.get_connections(muxed_conn.peer_id)
        for old in held[: max(0, len(held) - bounds.CONNECTIONS_PER_PEER_MAX)]:
            self.ward.count("connections_replaced")
            self.manager.run_task(self.close_conn, old)
        return conn

    async def close_conn(self, conn: INetConn) -> None:
        """Close one connection, within a bound."""
        with trio.move_on_after(bounds.STREAM_RESET_S):
            await conn.close()
        muxed = getattr(conn, "muxed_conn", None)
        if muxed is not None and not muxed.is_closed:
            # A peer that takes nothing more blocks the polite goodbye: cut the line.
            raw = getattr(getattr(muxed, "secured_conn", None), "conn", None)
            await _close(raw if raw is not None else muxed)

    def remove_conn(self, swarm_conn: SwarmConn) -> None:
        """Forget a closed connection and, with the last one, what is stored of the peer."""
        super().remove_conn(swarm_conn)
        peer = swarm_conn.muxed_conn.peer_id
        if self.get_connections(peer):
            return
        try:
            self.ward.stranger_gone(peer_key(peer))
            self.peerstore.clear_peerdata(peer)
        except Exception:
            return


async def _close(thing: Any) -> None:
    with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
        scope.shield = True
        try:
            await thing.close()
        except Exception:
            return


# --- the host -----------------------------------------------------------------------------------


class GuardedHost(BasicHost):
    """Streams: negotiated within bounds, only for those who may, and never fatal."""

    def __init__(self, swarm: GuardedSwarm, ward: Ward, now: Callable[[], float]) -> None:
        super().__init__(swarm, disable_identify_address_discovery=True)
        self.ward = ward
        self._now = now
        ping = PingService(self)
        # Identify-push is left out: it lets a peer write into our peer store.
        public: dict[Any, Any] = {
            IDENTIFY: identify_handler_for(self, use_varint_format=True),
            PING: ping.handle_ping,
        }
        self.multiselect = Multiselect(dict(public))
        self.for_strangers = Multiselect(dict(public))

    async def new_stream(self, peer_id: ID, protocol_ids: Sequence[TProtocol]) -> INetStream:
        """Open a stream on a standing connection. Raises: whatever the library does."""
        stream = await self._network.new_stream(peer_id)
        try:
            with trio.fail_after(bounds.NEGOTIATE_S):
                chosen = await self.multiselect_client.select_one_of(
                    protocol_ids, BoundedCommunicator(stream), int(bounds.NEGOTIATE_S)
                )
        except BaseException:
            await _reset(stream)
            raise
        stream.set_protocol(chosen)
        return stream

    async def alive(self, conn: INetConn) -> bool:
        """Tell whether the peer answers a ping on this connection within PING_S."""
        with trio.move_on_after(bounds.PING_S):
            try:
                stream = await conn.new_stream()
                try:
                    await self.multiselect_client.select_one_of(
                        [PING], BoundedCommunicator(stream), int(bounds.PING_S)
                    )
                    await perform_ping_roundtrip(stream)
                finally:
                    await _reset(stream)
            except ProtocolNotSupportedError:
                return True  # it answered, if only to say no
            except MultiselectClientError as error:
                # The client wraps "no" in one error with its reasons.
                return "not supported" in str(error)
            except Exception:
                return False
            return True
        return False

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        # We need nothing that identify would tell us, and it runs as a system task, where an
        # exception ends the whole process.
        return

    async def _push_identify_to_all_peers(self) -> None:
        return

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        """Serve one stream a peer opened; whatever fails resets this stream and nothing else."""
        try:
            key = peer_key(net_stream.muxed_conn.peer_id)
        except BadPeerId:
            await _reset(net_stream)
            return
        now = self._now()
        standing = self.ward.standing(key)
        admitted = self.ward.admitted(key)
        room = bounds.STREAMS_PER_PEER_MAX if admitted else bounds.STREAMS_PER_STRANGER_MAX
        if standing.streams >= room or not standing.stream_opens.allow(1.0, now):
            self.ward.penalise(key, 1.0, "streams", now)
            await _reset(net_stream)
            return
        standing.streams += 1
        done = False
        try:
            table = self.multiselect if admitted else self.for_strangers
            try:
                protocol, handler = await table.negotiate(
                    BoundedCommunicator(net_stream), int(bounds.NEGOTIATE_S)
                )
            except MultiselectError as error:
                # Running out of time is a slow network; unreadable bytes are not.
                garbled = isinstance(error.__cause__, MultiselectCommunicatorError) and isinstance(
                    error.__cause__.__cause__, ParseError | MessageTooLarge | UnicodeDecodeError
                )
                if garbled or "mismatch" in str(error):
                    self.ward.penalise(key, 10.0, "negotiation", self._now())
                return
            if protocol is None or handler is None:
                return
            net_stream.set_protocol(protocol)
            await handler(net_stream)
            done = True
        except (IOException, MuxedStreamError, trio.TooSlowError) as error:
            # The line broke, or the peer went silent: it may be no more than a bad network.
            self.ward.count("streams_broken")
            log.debug("stream of %s broke: %r", net_stream.muxed_conn.peer_id, error)
        except Exception as error:
            self.ward.penalise(key, 2.0, "stream_fault", self._now())
            log.debug("stream of %s failed: %r", net_stream.muxed_conn.peer_id, error)
        finally:
            standing.streams -= 1
            if not done:
                await _reset(net_stream)


async def _reset(stream: INetStream) -> None:
    with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
        scope.shield = True
        try:
            await stream.reset()
        except Exception:
            return


def key_pair(seed: bytes) -> KeyPair:
    """Return libp2p's form of the node key made from a 32-byte seed."""
    private = Ed25519PrivateKey.new(seed)
    return KeyPair(private, private.get_public_key())


__all__ = [
    "BoundedYamux",
    "ContainedManager",
    "GuardedHost",
    "GuardedSwarm",
    "key_pair",
    "peer_key",
]
