"""One life of the libp2p host: from binding its sockets to its end (maillon.node.net.driver).

Importing this module imports libp2p.
"""

# libp2p.peer has no __init__.py, which hides that the package is typed.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.custom_types import TProtocol
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from maillon.node import bounds
from maillon.node.net.errors import BadPeerId, DialFailed, reason
from maillon.node.net.gossip import GuardedGossip, GuardedPubsub
from maillon.node.net.guards import ContainedManager, GuardedHost, GuardedSwarm
from maillon.node.net.identity import Address, parse_address, peer_id_bytes
from maillon.node.net.relay import HOP, STOP, Relay
from maillon.node.net.tcp import PlainListener
from maillon.node.net.wire import BoundedYamux, key_pair, peer_key

if TYPE_CHECKING:
    from maillon.node.net.driver import Libp2pNetwork

log = logging.getLogger("maillon.net")

# A second address is tried when the first has not answered after this long (RFC 8305 says 250 ms
# for a browser; a handshake of ours costs CPU on both sides).
_STAGGER_S = 1.0
_LINGER_S = 30.0


class _Watch(INotifee):
    """Hear of connections; the library calls it for each, isolating what it raises."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        self._host.on_connected(conn)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        self._host.on_disconnected(conn)

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None: ...


class Host:
    """A swarm, a host and a pubsub under one nursery.

    `scope` holds the host's own tasks. It is shielded: on shutdown the connections are closed
    first, while the tasks that write to them still run.
    """

    def __init__(self, net: Libp2pNetwork) -> None:
        self.net = net
        self.scope = trio.CancelScope(shield=True)
        self._listeners: list[PlainListener] = []
        self._nursery: trio.Nursery | None = None
        self._closing = False
        now = trio.current_time
        keys = key_pair(net.seed)
        self._swarm = GuardedSwarm(keys, ID(peer_id_bytes(net.key)), net.ward, now)
        self._host = GuardedHost(self._swarm, net.ward, now)
        self._gossip = GuardedGossip(net.settings.topic, net.ward, now)
        self._pubsub = GuardedPubsub(self._host, self._gossip, net.ward, net.validate, now)
        self._swarm.register_notifee(_Watch(self))
        for protocol, strangers in net.handlers().items():
            self.add_handler(protocol, strangers)
        self.relay = Relay(self)
        if net.settings.relay == "serve":
            self._host.multiselect.add_handler(HOP, self.relay.hop)
        if net.settings.relay == "use":
            self._host.multiselect.add_handler(STOP, self.relay.stop)

    # --- life -----------------------------------------------------------------------------------

    async def bind(self, addresses: Sequence[Address]) -> None:
        """Bind every address, or none. Raises: ListenError."""
        for address in addresses:
            listener = PlainListener(self._swarm.accept)
            await listener.bind(address)
            self._listeners.append(listener)

    def unbind(self) -> None:
        """Give the sockets back; needs no waiting, so that it also works while being cancelled."""
        for listener in self._listeners:
            listener.close_now()

    def listening(self) -> list[Address]:
        """Return the bound addresses with their real ports."""
        return [parse_address(str(a)) for listener in self._listeners for a in listener.get_addrs()]

    async def serve(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run the services until `scope` is cancelled. Raises: whatever ended one of them."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for service in (self._swarm, self._pubsub, self._gossip):
                    manager = ContainedManager(service, self.net.contained)
                    nursery.start_soon(self._keep, manager, type(service).__name__)
                    await manager.wait_started()
                await self._swarm.event_background_nursery_created.wait()
                await self._pubsub.wait_until_ready()
                await self._pubsub.subscribe(self.net.settings.topic)
                for listener in self._listeners:
                    for address in listener.get_addrs():
                        self._swarm.listeners[str(address)] = listener
                    nursery.start_soon(listener.serve, nursery)
                task_status.started()

    async def _keep(self, manager: ContainedManager, name: str) -> None:
        await manager.run()
        if not self._closing:
            raise RuntimeError(f"{name} ended by itself")

    async def close(self) -> None:
        """Close the connections, all at once, then the host."""
        self._closing = True
        async with trio.open_nursery() as nursery:
            for conn in self._swarm.get_connections():
                nursery.start_soon(self._swarm.close_conn, conn)
        await self._host.close()

    # --- connections ----------------------------------------------------------------------------

    def on_connected(self, conn: INetConn) -> None:
        """Announce an admitted peer; give a stranger its minute."""
        key = peer_key(conn.muxed_conn.peer_id)
        if self.net.ward.admitted(key):
            self.net.connected(key)
        elif self._nursery is not None:
            self.net.ward.count("strangers_seen")
            self._nursery.start_soon(self._see_out, conn, key)

    def on_disconnected(self, conn: INetConn) -> None:
        """Announce the end of the last connection with a peer."""
        key = peer_key(conn.muxed_conn.peer_id)
        if not self.is_connected(key):
            self.net.disconnected(key)

    async def _see_out(self, conn: INetConn, key: bytes) -> None:
        with trio.move_on_after(bounds.STRANGER_S):
            await conn.event_closed.wait()  # type: ignore[attr-defined]  # SwarmConn has it
            return
        if self.net.ward.admitted(key):
            self.review()
            return
        self.net.ward.count("strangers_seen_out")
        await self._swarm.close_conn(conn)

    def review(self) -> None:
        """Promote connected peers that were admitted meanwhile, drop those that no longer are."""
        for peer in list(self._swarm.connections):
            try:
                key = peer_key(peer)
            except BadPeerId:
                continue
            announced = key in self.net.connected_keys()
            if self.net.ward.admitted(key):
                self.net.ward.stranger_gone(key)
                if not announced:
                    self.net.connected(key)
                self._pubsub.invite(peer)
            elif announced:
                self.drop(key)

    def drop(self, key: bytes) -> None:
        """Close every connection with a peer, in the background."""
        if self._nursery is None:
            return
        for conn in self._swarm.get_connections(ID(peer_id_bytes(key))):
            self._nursery.start_soon(self._swarm.close_conn, conn)

    async def probe(self) -> None:
        """Ping all connections at the same time and close those that have fallen silent."""
        self._swarm.forget_keys()
        assert self._nursery is not None
        conns = self._swarm.get_connections()
        for conn in conns:
            # In the host's nursery: a ping can be held up by the line for longer than PING_S.
            self._nursery.start_soon(cast(BoundedYamux, conn.muxed_conn).ping)
        await trio.sleep(bounds.PING_S)
        self.net.ward.count("probes")
        for conn in conns:
            if conn.is_closed or not cast(BoundedYamux, conn.muxed_conn).pulse.lost():
                continue
            self.net.ward.count("connections_frozen")
            self._nursery.start_soon(self._swarm.close_conn, conn)

    async def dial_any(self, key: bytes, addresses: Sequence[Address]) -> Address:
        """Dial the addresses of a peer, the next one each second; return the one that answered.

        Raises: DialFailed with the reason of the last.
        """
        faults: list[str] = []
        reached: list[Address] = []

        async def one(address: Address, failed: trio.Event) -> None:
            try:
                if address.relay:
                    await self.relay.dial(key, address)
                    reached.append(address)
                    nursery.cancel_scope.cancel()
                    return
                for numeric in await _resolve(address):
                    try:
                        await self._swarm.dial_address(
                            ID(peer_id_bytes(key)), Multiaddr(numeric.without_peer())
                        )
                    except Exception as error:
                        faults.append(reason(error))
                        continue
                    reached.append(address)
                    nursery.cancel_scope.cancel()
                    return
            except Exception as error:
                faults.append(reason(error))
            finally:
                failed.set()

        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(one, address, failed)
                with trio.move_on_after(_STAGGER_S):
                    await failed.wait()
        if reached:
            return reached[0]
        if self.is_connected(key):
            return addresses[0]
        why = faults[-1] if faults else "no usable address"
        raise DialFailed(f"The other node could not be reached: {why}.", peer=key)

    async def upgrade_wire(self, raw: RawConnection, key: bytes) -> None:
        """Shake hands as the dialler over a wire through a relay."""
        await self._swarm.upgrade_outbound_raw_conn(raw, ID(peer_id_bytes(key)))

    async def accept_wire(self, raw: RawConnection, where: str) -> None:
        """Shake hands as the dialled one over a wire, and serve the connection to its end."""
        await self._swarm.serve_wire(raw, where)

    def is_connected(self, key: bytes) -> bool:
        """Tell whether an open connection with the peer stands."""
        found = self._swarm.get_connections(ID(peer_id_bytes(key)))
        return any(not conn.is_closed for conn in found)

    def count_connections(self) -> int:
        """Return the number of connections of both directions."""
        return len(self._swarm.get_connections())

    def remote_host(self, key: bytes) -> tuple[str, str] | None:
        """Return ("ip4" or "ip6", address) a connected peer is seen at."""
        for conn in self._swarm.get_connections(ID(peer_id_bytes(key))):
            secured: Any = getattr(conn.muxed_conn, "secured_conn", None)
            try:
                remote: tuple[str, int] | None = secured.get_remote_address()
            except Exception:
                continue
            if remote is not None:
                host = remote[0].partition("%")[0]
                return ("ip6" if ":" in host else "ip4"), host
        return None

    def remote_address(self, key: bytes) -> str | None:
        """Return where a connected peer is seen; it need not listen on that port."""
        for conn in self._swarm.get_connections(ID(peer_id_bytes(key))):
            addresses: list[Any] = conn.get_transport_addresses()
            if addresses:
                return str(addresses[0])
        return None

    # --- streams and gossip ---------------------------------------------------------------------

    def add_handler(self, protocol: str, strangers: bool) -> None:
        """Serve a protocol of the driver."""

        async def serve(stream: INetStream) -> None:
            await self.net.serve_stream(protocol, stream, peer_key(stream.muxed_conn.peer_id))

        self._host.multiselect.add_handler(TProtocol(protocol), serve)
        if strangers:
            self._host.for_strangers.add_handler(TProtocol(protocol), serve)
        else:
            self._host.for_strangers.remove_handler(TProtocol(protocol))

    async def new_stream(self, key: bytes, protocol: str) -> INetStream:
        """Open a stream on a standing connection."""
        return await self._host.new_stream(ID(peer_id_bytes(key)), [TProtocol(protocol)])

    def linger(self, stream: INetStream) -> None:
        """Discard what a peer still sends on a closed stream until it ends it, then forget it."""
        if self._nursery is not None:
            self._nursery.start_soon(self._drain, stream)

    async def _drain(self, stream: INetStream) -> None:
        try:
            with trio.move_on_after(_LINGER_S):
                while await stream.read(bounds.FRAMES_WRITE_BYTES):
                    pass
        except Exception:
            pass  # its end comes as one of several exceptions
        with trio.move_on_after(bounds.STREAM_RESET_S) as scope:
            scope.shield = True
            try:
                await stream.reset()
            except Exception:
                return

    async def publish(self, data: bytes) -> None:
        """Give one message to the mesh; wait while a peer's queue is half full."""
        # Wait for the quickest, not for the slowest: one frozen peer must not hold up the others.
        with trio.move_on_after(5.0):
            while (queues := self._queues()) and all(queue.half_full for queue in queues):
                await trio.sleep(0.02)
        self._pubsub.publish_now(data)
        await trio.lowlevel.checkpoint()

    def _queues(self) -> list[Any]:
        mesh = self._gossip.mesh.get(self.net.settings.topic, set())
        return [q for peer, q in self._pubsub.peer_queues.items() if peer in mesh]

    def in_mesh(self, key: bytes) -> bool:
        """Tell whether a peer is a mesh neighbour we can write to."""
        peer = ID(peer_id_bytes(key))
        mesh = self._gossip.mesh.get(self.net.settings.topic, set())
        return peer in mesh and peer in self._pubsub.peer_queues

    def mesh_size(self) -> int:
        """Return the number of mesh neighbours."""
        return len(self._gossip.mesh.get(self.net.settings.topic, ()))

    def subscribed(self) -> int:
        """Return the number of peers that take part in our topic."""
        return len(self._pubsub.peer_topics.get(self.net.settings.topic, ()))


async def _resolve(address: Address) -> list[Address]:
    """Return the numeric addresses of a name; the library's resolver insists on a name server."""
    if not address.is_name:
        return [address]
    family = {
        "dns4": trio.socket.AF_INET,
        "dns6": trio.socket.AF_INET6,
    }.get(address.kind, trio.socket.AF_UNSPEC)
    with trio.fail_after(bounds.RESOLVE_S):
        found = await trio.socket.getaddrinfo(
            address.host, address.port, family=family, type=trio.socket.SOCK_STREAM
        )
    out: list[Address] = []
    for entry_family, _, _, _, where in found:
        kind = "ip6" if entry_family == trio.socket.AF_INET6 else "ip4"
        out.append(Address(kind, str(where[0]), address.port))
    return list(dict.fromkeys(out))[:4]
