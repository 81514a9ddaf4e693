"""Run libp2p 0.8.1 so that nothing a peer sends can end it (docs/decisions/0010-libp2p-guards.md).

The library assumes that its tasks do not fail: one exception in a stream handler, in a pubsub
message or in protocol negotiation ends the host. It also counts inbound connections without ever
counting down, dials what it finds in its peer store, buffers without bound what a peer sends
against the flow control, and offers an unencrypted connection. Each class here takes one of its
parts and closes the gaps from outside; the reasons stand where the code is.

Importing this module imports libp2p, which takes seconds: only the driver does, when it runs.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream
from libp2p.crypto.keys import KeyPair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ParseError
from libp2p.host.basic_host import BasicHost
from libp2p.host.ping import ID as PING
from libp2p.host.ping import PingService
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
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError, MultiselectError
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.tools.anyio_service.trio_manager import TrioManager
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from maillon.node import bounds
from maillon.node.net.errors import BadPeerId
from maillon.node.net.tcp import AddressedStream, PlainTcp
from maillon.node.net.wire import BoundedCommunicator, GuardedUpgrader, peer_key

if TYPE_CHECKING:
    from maillon.node.net.ward import Ward

log = logging.getLogger("maillon.net")

# The library logs at every misstep of a peer, which lets anybody fill a disk. What matters is
# counted, and told on our own logger.
logging.getLogger("libp2p").setLevel(logging.CRITICAL)

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
        self.notifees.clear()  # the tag store's: each is a task at every stream that opens

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

    def forget_keys(self) -> None:
        """Drop what Noise remembers of every key that ever shook hands."""
        for noise in self.upgrader.security_multistream.transports.values():
            cast(Any, noise).clear_static_key_cache()

    async def close_conn(self, conn: INetConn) -> None:
        """Close one connection, within a bound."""
        with trio.move_on_after(bounds.STREAM_RESET_S):
            await conn.close()
            return
        # A peer that takes nothing more blocks the polite goodbye. Cut the line, then have the
        # library clean up, which it believes to have done already.
        raw = getattr(getattr(conn.muxed_conn, "secured_conn", None), "conn", None)
        await _close(raw if raw is not None else conn.muxed_conn)
        with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
            scope.shield = True
            try:
                await cast(Any, conn)._cleanup()
            except Exception as error:
                log.debug("a connection could not be cleaned up: %r", error)
        if conn in self.get_connections(conn.muxed_conn.peer_id):
            self.remove_conn(cast(SwarmConn, conn))
            await self.notify_disconnected(conn)

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
        swarm.notifees.clear()  # identify's
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
