"""Drive libp2p for a node: a supervised host, redialling, limits, and what the runner asks of it.

Implements maillon.node.ports.Network (spec/04). libp2p is imported when the driver runs, not
before: it takes 3.5 s of CPU and 89 MiB. Everything here runs in one trio thread.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import trio

from maillon.node import bounds
from maillon.node.events import (
    HostRestarted,
    ListenFailed,
    NetworkEvent,
    PeerConnected,
    PeerDisconnected,
)
from maillon.node.net import asking
from maillon.node.net.addressbook import AddressBook, Entry
from maillon.node.net.errors import (
    BadAddress,
    BadPeerId,
    ListenError,
    MessageTooLarge,
    NetworkDown,
    NotConnected,
    StreamBroken,
    reason,
)
from maillon.node.net.frames import Frames
from maillon.node.net.identity import Address, parse_address, peer_id
from maillon.node.net.interfaces import expand
from maillon.node.net.settings import NetSettings
from maillon.node.net.ward import Ward
from maillon.protocol.errors import RemoteError
from maillon.protocol.keys import SigningKey
from maillon.protocol.limits import BATCH_BYTES_MAX

if TYPE_CHECKING:
    from maillon.node.net.host import Host
    from maillon.node.ports import (
        FrameStream,
        GossipValidator,
        NetworkEventHandler,
        PeerInfo,
        StreamHandler,
    )

log = logging.getLogger("maillon.net")


class Libp2pNetwork:
    """One node's place in the network.

    `key` is the 32-byte seed of the node key. `validator(peer, data)` judges one gossip message:
    True relays it. `admit(key)` tells whether a key belongs to the federation. Both are called
    often, must be quick, and may not wait. `rng` only spreads redials in time.

    Start `run` in a nursery; the other methods may be called before it and while it restarts.
    """

    def __init__(
        self,
        settings: NetSettings,
        key: bytes,
        validator: GossipValidator,
        on_event: NetworkEventHandler,
        admit: Callable[[bytes], bool],
        *,
        rng: random.Random,
    ) -> None:
        if len(key) != 32:
            raise BadPeerId("The seed of a node key has 32 bytes.")
        self.settings = settings
        self.seed = key
        self.key = SigningKey.from_seed(key).public
        self.peer_id = peer_id(self.key)
        self._validator = validator
        self._on_event = on_event
        self._rng = rng
        self.ward = Ward(admit, self._drop_blocked)
        self.book = AddressBook(rng)
        self._handlers: dict[str, tuple[StreamHandler, bool]] = {}
        self._host: Host | None = None
        self._announced: dict[bytes, float] = {}  # peers told to the runner, since when
        self._wake = trio.Event()
        self._restarts = 0
        self._fault = ""
        self._asked_at = -1e9
        self.set_handler(asking.PROTOCOL, self._answer_asking)
        self._listening: list[Address] = []
        self._listen: list[Address] = []

    # --- life -----------------------------------------------------------------------------------

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; a host that dies is started again.

        Reports itself started once the first host listens. Raises: ListenError when the first
        host cannot listen, BadAddress when the configuration names an unusable address. Later
        failures to listen are events, and tried again.
        """
        self._listen = [parse_address(text) for text in self.settings.listen]
        os.environ.setdefault("PY_YAMUX_RELEASE_ON_READ", "0")  # read at the first traffic
        started = False
        deaths = 0
        while True:
            begun = trio.current_time()

            def ready() -> None:
                nonlocal started
                if not started:
                    started = True
                    task_status.started()
                else:
                    self._tell(HostRestarted(self._fault))

            try:
                await self._run_host(ready)
                self._fault = "the host ended"
            except ListenError as error:
                if not started:
                    raise
                self._fault = str(error)
                self._tell(ListenFailed(str(error.facts.get("address", "")), str(error)))
            except Exception as error:
                if not started:
                    raise  # trying again would not change what is wrong with the configuration
                self._fault = reason(error)
                log.error("the network host died and is started again: %s", self._fault)
            self._restarts += 1
            deaths = 1 if trio.current_time() - begun > bounds.RESTART_CALM_S else deaths + 1
            pause = min(bounds.RESTART_S_MAX, bounds.RESTART_S_MIN * 2.0 ** min(deaths - 1, 16))
            await trio.sleep(pause * self._rng.uniform(0.75, 1.25))

    async def _run_host(self, ready: Callable[[], None]) -> None:
        from maillon.node.net.host import Host

        # A port chosen by the kernel is kept over restarts: others know it by now.
        wanted = self._listening or self._listen
        host = Host(self)
        try:
            await host.bind(wanted)
            async with trio.open_nursery() as nursery:
                try:
                    await nursery.start(host.serve)
                    self._listening = host.listening()
                    self._host = host
                    ready()
                    nursery.start_soon(self._redial_loop)
                    nursery.start_soon(self._liveness_loop, host)
                    if self.settings.relay == "use":
                        nursery.start_soon(host.relay.keep_reservations)
                    if self.settings.mdns and not all(a.is_loopback for a in self._listening):
                        from maillon.node.net.mdns import announce_and_browse

                        nursery.start_soon(announce_and_browse, self)
                    await trio.sleep_forever()
                finally:
                    # The polite end: peers learn that the connections are gone. Only then are the
                    # host's own tasks, shielded until here, cancelled.
                    self._host = None
                    with trio.move_on_after(bounds.CLOSE_S) as scope:
                        scope.shield = True
                        await host.close()
                    host.scope.cancel()
        finally:
            host.unbind()
            self._host = None
            for key in list(self._announced):
                self._gone(key)

    def _tell(self, event: NetworkEvent) -> None:
        try:
            self._on_event(event)
        except Exception as error:
            self.ward.count("event_faults")
            log.error("the network event handler failed: %r", error)

    # --- what the guards report -----------------------------------------------------------------

    def validate(self, peer: bytes, data: bytes) -> bool:
        """Judge one gossip message for the guards."""
        return bool(self._validator(peer, data))

    def contained(self, where: str, error: Exception) -> None:
        """Count a failure that was kept from ending the host."""
        self.ward.count("contained")
        log.warning("contained a failure in %s: %r", where, error)

    def connected(self, key: bytes) -> None:
        """Note a new connection with an admitted peer; tell the runner of the first one."""
        self.book.reached(key, None)
        if key not in self._announced:
            self._announced[key] = trio.current_time()
            self._tell(PeerConnected(key, self._addresses_of(key)))

    def disconnected(self, key: bytes) -> None:
        """Note that the last connection with a peer ended."""
        self._gone(key)
        self._wake.set()

    def _gone(self, key: bytes) -> None:
        if self._announced.pop(key, None) is not None:
            self.book.lost(key, trio.current_time())
            self._tell(PeerDisconnected(key))

    def _drop_blocked(self, key: bytes) -> None:
        if self._host is not None:
            self._host.drop(key)

    # --- keeping connected ----------------------------------------------------------------------

    def dial(self, peer: bytes, addresses: Sequence[str]) -> None:
        """Keep a peer connected from now on; returns at once. Unusable addresses are counted."""
        if peer == self.key:
            return
        bad = self.book.keep(peer, addresses, trio.current_time())
        if bad:
            self.ward.count("addresses_unusable", len(bad))
        self._wake.set()

    def hint(self, peer: bytes, addresses: Sequence[str]) -> None:
        """Add addresses that somebody else reported for a peer that is kept connected."""
        if self.book.hint(peer, addresses, trio.current_time()):
            self._wake.set()

    def forget(self, peer: bytes) -> None:
        """Stop keeping a peer connected and close its connections."""
        self.book.forget(peer)
        self.disconnect(peer)

    def disconnect(self, peer: bytes) -> None:
        """Close the connections with a peer now. One that is kept will be dialled again."""
        if self._host is not None:
            self._host.drop(peer)

    def block(self, peer: bytes, seconds: float) -> None:
        """Refuse a peer for a while."""
        self.ward.block(peer, seconds, trio.current_time())

    def penalise(self, peer: bytes, points: float, code: str) -> None:
        """Hold points against a peer; at SCORE_BLOCK it is disconnected and blocked."""
        self.ward.penalise(peer, points, code, trio.current_time())

    def admission_changed(self) -> None:
        """Look again at who is connected, after the federation's membership changed."""
        if self._host is not None:
            self._host.review()

    async def _redial_loop(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                now = trio.current_time()
                connected = set(self._announced)
                room = self.settings.connected_target - len(connected)
                busy = sum(1 for entry in self.book.entries.values() if entry.dialling)
                for entry in self.book.due(now, connected, min(room, bounds.DIALS_AT_ONCE - busy)):
                    if self.ward.blocked(entry.key, now):
                        entry.next_try = now + bounds.REDIAL_S_MAX / 10
                        continue
                    entry.dialling = True
                    nursery.start_soon(self._dial_entry, entry)
                if any(
                    entry.key not in connected and not entry.candidates()
                    for entry in self.book.entries.values()
                ):
                    nursery.start_soon(self._ask_around)  # we know of it and not where it is
                waits = [
                    entry.next_try
                    for entry in self.book.entries.values()
                    if entry.key not in connected and not entry.dialling and entry.next_try > now
                ]
                pause = max(0.05, min([now + 30.0, *waits]) - now)
                with trio.move_on_after(pause):
                    await self._wake.wait()

    async def _dial_entry(self, entry: Entry) -> None:
        try:
            await self._dial_once(entry)
        except Exception as error:
            self.ward.count("dials_failed")
            self.book.failed(entry.key, reason(error), trio.current_time())
            if entry.failures >= 3:
                await self._ask_around()
        finally:
            entry.dialling = False
            self._wake.set()

    async def _dial_once(self, entry: Entry) -> None:
        host = self._host
        if host is None:
            raise NetworkDown()
        self.ward.count("dials")
        local = not self._listening or any(a.is_loopback for a in self._listening)
        candidates = [
            # An address in a profile must not make us talk to services of our own machine.
            address for address in entry.candidates() if local or not address.is_loopback
        ]
        reached = await host.dial_any(entry.key, candidates)
        self.book.reached(entry.key, reached)

    async def connect(self, peer: bytes, addresses: Sequence[str]) -> None:
        """Connect to a peer once, now; it is not kept connected.

        Raises: DialFailed, BadAddress, NetworkDown.
        """
        host = self._host
        if host is None:
            raise NetworkDown()
        if host.is_connected(peer):
            return
        await host.dial_any(peer, [parse_address(text) for text in addresses])

    async def _answer_asking(self, stream: FrameStream) -> None:
        await asking.answer(self, stream)

    async def _ask_around(self) -> None:
        now = trio.current_time()
        others = list(self._announced)
        if not others or now - self._asked_at < bounds.PEERS_ASK_AGAIN_S:
            return
        self._asked_at = now
        for other in self._rng.sample(others, min(2, len(others))):
            try:
                await asking.ask_for_peers(self, other)
            except Exception as error:
                log.debug("asking for addresses failed: %r", error)

    async def _liveness_loop(self, host: Host) -> None:
        while True:
            await trio.sleep(self.settings.liveness_s * self._rng.uniform(0.8, 1.2))
            host.review()
            await host.probe()

    # --- what the runner asks -------------------------------------------------------------------

    async def publish(self, data: bytes) -> None:
        """Gossip one batch message; while the host is down it is dropped, and reconciled later.

        Raises: MessageTooLarge beyond BATCH_BYTES_MAX.
        """
        if len(data) > BATCH_BYTES_MAX:
            raise MessageTooLarge(
                "A gossip message may have 64 KiB.", length=len(data), limit=BATCH_BYTES_MAX
            )
        host = self._host
        if host is None:
            self.ward.count("publish_dropped")
            return
        self.ward.count("gossip_published")
        await host.publish(data)

    async def open_stream(self, peer: bytes, protocol: str) -> Frames:
        """Open a stream to a connected peer for one protocol.

        Raises: NetworkDown, NotConnected, StreamBroken (also when it does not speak the protocol).
        """
        host = self._host
        if host is None:
            raise NetworkDown()
        if not host.is_connected(peer):
            raise NotConnected(peer=peer)
        try:
            with trio.fail_after(bounds.NEGOTIATE_S):
                stream = await host.new_stream(peer, protocol)
        except Exception as error:
            raise StreamBroken(
                "The other node did not take up the conversation.",
                peer=peer,
                cause=reason(error),
            ) from error
        return self.frames(stream, peer, protocol)

    def frames(self, stream: Any, peer: bytes, protocol: str) -> Frames:
        """Wrap a libp2p stream, counting its bytes by protocol and peer."""
        standing = self.ward.standing(peer)

        def moved(received: int, sent: int) -> None:
            standing.bytes_in += received
            standing.bytes_out += sent
            self.ward.count(f"bytes_in{protocol}", received)
            self.ward.count(f"bytes_out{protocol}", sent)

        def linger(stream: Any) -> None:
            if self._host is not None:
                self._host.linger(stream)

        return Frames(
            stream,
            peer,
            protocol,
            offend=lambda points, code: self.penalise(peer, points, code),
            moved=moved,
            linger=linger,
        )

    def set_handler(
        self, protocol: str, handler: StreamHandler, *, strangers: bool = False
    ) -> None:
        """Serve a protocol; with `strangers` also to nodes outside the federation."""
        self._handlers[protocol] = (handler, strangers)
        if self._host is not None:
            self._host.add_handler(protocol, strangers)

    def handlers(self) -> dict[str, bool]:
        """Return the protocols served, with whether strangers may use them."""
        return {protocol: strangers for protocol, (_, strangers) in self._handlers.items()}

    async def serve_stream(self, protocol: str, stream: Any, peer: bytes) -> None:
        """Run the handler of a protocol on one stream; nothing it raises goes further."""
        handler, _ = self._handlers[protocol]
        frames = self.frames(stream, peer, protocol)
        try:
            await handler(frames)
        except RemoteError as error:
            if not error.excusable and not error.pending and not error.benign:
                self.penalise(peer, 5.0, error.code)
            await frames.reset()
        except Exception as error:
            self.ward.count("handler_faults")
            self.penalise(peer, 2.0, "handler_fault")
            log.error("the handler of %s failed: %r", protocol, error)
            await frames.reset()
        else:
            await frames.close()

    def peers(self) -> list[PeerInfo]:
        """Return every peer that is connected or kept, the connected ones first."""
        from maillon.node.ports import PeerInfo

        now = trio.current_time()
        found: list[PeerInfo] = []
        for key in dict.fromkeys([*self._announced, *self.book.entries]):
            standing = self.ward.standing(key)
            entry = self.book.entries.get(key)
            since = self._announced.get(key)
            fault = entry.last_error if entry is not None else ""
            found.append(
                PeerInfo(
                    key=key,
                    addresses=self._addresses_of(key),
                    connected=since is not None,
                    score=-self.ward.score(key, now),
                    bytes_in=standing.bytes_in,
                    bytes_out=standing.bytes_out,
                    since=0 if since is None else int(now - since),
                    last_error=standing.last_code if self.ward.blocked(key, now) else fault,
                )
            )
        return found

    def _addresses_of(self, key: bytes) -> tuple[str, ...]:
        entry = self.book.entries.get(key)
        known = [str(address) for address in entry.candidates()] if entry is not None else []
        remote = self._host.remote_address(key) if self._host is not None else None
        if remote is not None and remote not in known:
            known.append(remote)
        return tuple(known)

    def known_addresses(self) -> list[tuple[bytes, list[str]]]:
        """Return where connected peers can be reached (spec/04, "Finding peers")."""
        found: list[tuple[bytes, list[str]]] = []
        for key in self._announced:
            through = [] if self._host is None else self._host.relay.address_through_us(key)
            entry = self.book.entries.get(key)
            if entry is None:
                if through:
                    found.append((key, through))
                continue
            addresses = [entry.good] if entry.good is not None else []
            remote = self._host.remote_host(key) if self._host is not None else None
            if remote is not None:
                # Connected from a new place: most likely it listens there on the port it announced.
                kind, host = remote
                ports = {a.port for a in entry.announced if a.kind in ("ip4", "ip6")}
                addresses += [Address(kind, host, port) for port in sorted(ports)]
            direct = [a.without_peer() for a in [*addresses, *entry.announced] if not a.relay]
            texts = list(dict.fromkeys([*direct[:4], *through, *direct[4:]]))
            found.append((key, texts[: bounds.ADDRESSES_PER_PEER_MAX // 2]))
        self._rng.shuffle(found)
        return found[: bounds.PEERS_ANSWER_MAX]

    def addresses(self) -> list[str]:
        """Return the multiaddresses others can use, each ending in /p2p/ and our peer id."""
        if self.settings.announce:
            found: list[str] = []
            for text in self.settings.announce:
                try:
                    found.append(parse_address(text).without_peer())
                except BadAddress:
                    self.ward.count("addresses_unusable")
        else:
            found = [address.without_peer() for address in expand(self._listening)]
        texts = [f"{text}/p2p/{self.peer_id}" for text in dict.fromkeys(found)]
        return texts + (self._host.relay.addresses() if self._host is not None else [])

    def connected_keys(self) -> list[bytes]:
        """Return the keys of the federation nodes connected now."""
        return list(self._announced)

    def metrics(self) -> dict[str, int | float | str]:
        """Return counters and gauges by name; the names are stable."""
        host = self._host
        return {
            **self.ward.counters,
            "peers_connected": len(self._announced),
            "peers_kept": len(self.book.entries),
            "connections": 0 if host is None else host.count_connections(),
            "connections_inbound": self.ward.connections,
            "handshakes": self.ward.handshakes,
            "strangers": len(self.ward.strangers),
            "mesh": 0 if host is None else host.mesh_size(),
            "subscribed": 0 if host is None else host.subscribed(),
            "restarts": self._restarts,
            "last_fault": self._fault,
            "running": int(host is not None),
            "tasks": trio.lowlevel.current_statistics().tasks_living,
        }

    async def wait_for_mesh(self, peer: bytes, seconds: float) -> bool:
        """Wait until gossip published here reaches `peer` directly; False when it took too long."""
        with trio.move_on_after(seconds):
            while self._host is None or not self._host.in_mesh(peer):
                await trio.sleep(0.02)
            return True
        return False
