"""A running node: the one place where clock, randomness, network, store and engine meet."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from maillon.ledger.messages import is_hints
from maillon.node import bounds, clock, keyring
from maillon.node.config import Config
from maillon.node.engine import Engine
from maillon.node.engine.core import Settings as EngineSettings
from maillon.node.events import (
    DropPeer,
    Effect,
    Gone,
    HostRestarted,
    KeepConnected,
    ListenFailed,
    NetworkEvent,
    PeerConnected,
    PeerDisconnected,
    Penalise,
    Publish,
    StartSync,
    Stored,
)
from maillon.node.home import Home, listen_socket, write_atomic
from maillon.node.i18n import _
from maillon.node.i18n import load as load_words
from maillon.node.net import Libp2pNetwork, NetSettings, load_libraries, parse_address
from maillon.node.ports import FrameStream
from maillon.node.run import accounts, join, persons, sync, timekeeping
from maillon.node.run.accounts import Ledger
from maillon.node.run.arrivals import Arrivals
from maillon.node.run.authoring import Authoring
from maillon.node.run.catalogue import Catalogue
from maillon.node.run.door import NodeDoor
from maillon.node.run.exchanges import Exchanges
from maillon.node.run.faults import FAULT_PAUSE_S, Faults
from maillon.node.run.founding import load_founding
from maillon.node.run.interface import Interface
from maillon.node.run.logs import get_log, set_up_logging
from maillon.node.run.matching import Matching
from maillon.node.run.newcomer import read_records
from maillon.node.run.people import People
from maillon.node.run.persons import Persons
from maillon.node.run.post import PROTOCOL as LETTERS
from maillon.node.run.post import Post
from maillon.node.run.process import first_local, notify_systemd, version
from maillon.node.run.profile import outdated, profile_draft, profile_fields
from maillon.node.run.register import Register
from maillon.node.run.searching import Searching
from maillon.node.run.timekeeping import Timekeeping
from maillon.node.store.sqlite import SqliteStore
from maillon.node.verify import Pool
from maillon.protocol.envelope import sign
from maillon.protocol.errors import LocalError, MaillonError
from maillon.protocol.founding import FoundingFile, decode_founding_file
from maillon.protocol.gossip import topic
from maillon.protocol.keys import SigningKey, coop_id

if TYPE_CHECKING:
    from maillon.protocol.envelope import Draft, Signed

log = get_log("maillon.node")

# Messages waiting for the network; what is beyond is dropped, and reconciliation carries it.
PUBLISH_QUEUE_MAX = 256
INTRODUCE = "/maillon/1/introduce"
INTRODUCE_S = 10.0
# Addresses change when a laptop moves or a port opens; a profile a minute is the most anybody sees.
PROFILE_CHECK_S = 60.0
# The store indexes and purges in slices; between two of them others have their turn.
MAINTAIN_S = 5.0
MAINTAIN_SOON_S = 0.05


def run(home: Home, config: Config, password: bytes, *, log_format: str | None) -> None:
    """Run until SIGTERM or SIGINT. Raises: what starting a node can raise, in words for people."""
    set_up_logging(config.log.level, log_format or config.log.format)
    load_words()
    node = Node(home, config, password)
    try:
        trio.run(node.run)
    except BaseExceptionGroup as group:
        # What can be told in words is: a ledger whose disk failed ends the process (spec/06).
        told = first_local(group)
        if told is None:
            raise
        log.error("the node ends", fault=str(told))
        raise told from group
    finally:
        node.close()


class Node:
    """The parts of a node, and what moves between them."""

    def __init__(self, home: Home, config: Config, password: bytes) -> None:
        self.home = home
        self.config = config
        self.founding = load_founding(home)
        self.founding_file: FoundingFile = decode_founding_file(home.founding.read_bytes())
        self.node_key = keyring.open_node(home, password)
        self.root_key: SigningKey | None = None
        if keyring.root_is_here(home):
            self.root_key = keyring.open_root(home, password)
        self.coop = self._own_coop()
        self.started_at = clock.now()
        self.faults = Faults()
        # Said when somebody asks, in that language.
        self.notices: list[Callable[[], str]] = []
        self.arrivals = Arrivals()
        self.attempts = join.Attempts()
        # Only jitter and the choice of partners hang on it.
        self.rng = random.Random(os.urandom(16))  # noqa: TID251 - seeded, and decides no secret
        self.pool = Pool(config.work.verify_threads)
        self.register = Register(home.private, keyring.open_sealing(home, password))
        self.store = SqliteStore(home.database)
        self.engine = Engine(
            self.store,
            self.founding,
            node_key=self.node_key.public,
            rng=self.rng,
            settings=EngineSettings(records_live_max=config.work.records_max),
        )
        self.network = Libp2pNetwork(
            NetSettings(
                topic=topic(self.founding.fed),
                listen=tuple(config.network.listen),
                announce=tuple(config.network.announce),
                mdns=config.network.mdns,
                relay=config.network.relay,
            ),
            self.node_key.secret_bytes(),
            self._judge,
            self._network_event,
            self._admit,
            rng=self.rng,
        )
        self.version = version()
        self.catalogue = Catalogue(self)
        self.authoring = Authoring(self)
        self.people = People(self)
        self.searching = Searching(self)
        self.timekeeping = Timekeeping(self.network, clock.now_ms)
        self.interface = Interface(self)
        self.events = self.interface.events
        self.ledger = Ledger(self, password)
        self.post = Post(self, password)
        self.persons = Persons(self)
        self.exchanges = Exchanges(self)
        self.matching = Matching(self)
        self.post.desk = self.matching.letters(self.exchanges.runner)
        self.persons.hold("matching", self.matching)
        self.persons.hold("exchanges", self.exchanges)
        self.persons.hold("letters", self.post.traces)
        self._poke = trio.Event()
        self._publish_send, self._publish_receive = trio.open_memory_channel[bytes](
            PUBLISH_QUEUE_MAX
        )
        self.publish_dropped = 0
        self._nursery: trio.Nursery | None = None
        self._stop = trio.Event()

    def _own_coop(self) -> bytes:
        """Return the own coop's id: from the root key, else from where it was kept."""
        kept = self.home.path / "coop.id"
        if self.root_key is not None:
            coop = coop_id(self.root_key.public)
            write_atomic(kept, coop.hex().encode() + b"\n", mode=0o644, replace=True)
            return coop
        with contextlib.suppress(FileNotFoundError, ValueError):
            return bytes.fromhex(kept.read_text().strip())
        for entry in self.founding.coops:
            if entry.node_key == self.node_key.public:
                return entry.id
        raise LocalError(
            _("The root key is not here, and nothing says which coop this node is of."),
            hint=_("Put keys/root.key back for one start; afterwards it may be kept elsewhere."),
        )

    def close(self) -> None:
        """Close the databases."""
        self.searching.close()
        self.interface.close()
        self.post.close()
        self.matching.close()
        self.exchanges.close()
        self.persons.close()
        self.ledger.close()
        self.store.close()
        self.register.close()

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until a signal; everything is closed within STOP_S_MAX of it."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_for_signal, signals, nursery.cancel_scope)
                await self._serve()
                nursery.cancel_scope.cancel()
        log.info("stopped")

    async def _wait_for_signal(self, signals: Any, scope: trio.CancelScope) -> None:
        async for number in signals:
            log.info("stopping", signal=signal.Signals(number).name)
            self._stop.set()
            # A second chance for whatever does not end by itself.
            scope.deadline = trio.current_time() + bounds.STOP_S_MAX
            return

    async def _serve(self) -> None:
        # Imported here: the command line shows a wrong setting before this is paid for.
        from maillon.node.run.service import NodeService

        self._run_effects(self.engine.start(self.now()))
        self._take_in_kept_records()
        self.people.look_for_unknown()
        if (notice := self.people.notice()) is not None:
            log.warning("register", notice=notice)
        listener = listen_socket(self.home)
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self.network.set_handler(sync.PROTOCOL, self._answer_sync)
                self.network.set_handler(join.PROTOCOL, self._answer_join, strangers=True)
                self.network.set_handler(INTRODUCE, self._answer_introduction, strangers=True)
                self.network.set_handler(timekeeping.PROTOCOL, self.timekeeping.answer)
                self.network.set_handler(accounts.PROTOCOL, self.ledger.serve)
                self.network.set_handler(LETTERS, self.post.serve)
                self.network.set_handler(persons.PROTOCOL, self.persons.serve)
                # Before the network: what was asked goes on being asked, and answers at once.
                nursery.start_soon(self.ledger.run)
                nursery.start_soon(self.post.run)
                nursery.start_soon(self.persons.run)
                nursery.start_soon(self.exchanges.run)
                nursery.start_soon(self.matching.run)
                self._dial_configured()
                serve = partial(
                    self.interface.serve, NodeService(self), listener, self._stop.wait
                )
                # A node that has its profile can serve at once; the network's libraries take
                # seconds to load and do so beside it. A new node has nothing to serve before its
                # first profile, which names the addresses that the network found.
                known = self.engine.view.profile(self.coop) is not None
                if known:
                    await nursery.start(serve)
                await trio.to_thread.run_sync(load_libraries)
                await nursery.start(self.network.run)
                self._renew_profile()
                if not known:
                    await nursery.start(serve)
                nursery.start_soon(self._tick_loop)
                nursery.start_soon(self._publish_loop)
                nursery.start_soon(self._profile_loop)
                nursery.start_soon(self.timekeeping.run)
                nursery.start_soon(self._maintain_loop)
                nursery.start_soon(self.interface.expire_loop)
                log.info(
                    "running",
                    coop=self.coop,
                    addresses=self.network.addresses(),
                    records=sum(self.store.count_live().values()),
                )
                notify_systemd("READY=1")
                await self._stop.wait()
                notify_systemd("STOPPING=1")
                self.interface.stop()
                # The interface ends its answers by itself; then the rest, network last inside.
                await trio.sleep(0)
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            listener.close()
            self.home.socket.unlink(missing_ok=True)

    def now(self) -> float:
        """Return the time in Unix seconds with fractions, for the coalescing of gossip."""
        return clock.now_ms() / 1000

    # --- effects --------------------------------------------------------------------------------

    def run_effects(self, effects: Sequence[Effect]) -> None:
        """Do what the engine wants done, and let it look at its timer again."""
        self._run_effects(effects)
        self._poke.set()

    def _run_effects(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish(data):
                    try:
                        self._publish_send.send_nowait(data)
                    except trio.WouldBlock:
                        self.publish_dropped += 1
                case Penalise(peer, points, code):
                    log.info("peer penalised", peer=peer, points=points, code=code)
                    self.network.penalise(peer, points, code)
                case StartSync(peer):
                    if self._nursery is not None:
                        self._nursery.start_soon(self._start_sync, peer)
                case KeepConnected(peer, addresses):
                    self.network.dial(peer, addresses)
                    self.network.admission_changed()
                case DropPeer(peer):
                    self.network.forget(peer)
                    self.network.admission_changed()
                case Stored(ids):
                    self.arrivals.note(ids, clock.now_ms())
                    self.searching.noticed(ids)
                    self.exchanges.noticed(ids)
                    self.matching.stored(ids)
                case Gone(ids):
                    self.searching.noticed(ids)
                    self.exchanges.noticed(ids)
                    self.matching.gone(ids)

    async def _tick_loop(self) -> None:
        while True:
            self._poke = trio.Event()
            now = self.now()
            wait = FAULT_PAUSE_S
            with self.faults.contained("engine"):
                self._run_effects(self.engine.tick(now))
                wait = self.engine.next_wake(now) - now
            # At least a breath: others have their turn even when something is always due.
            await trio.sleep(0.002)
            with trio.move_on_after(min(max(wait, 0.0), 5.0)):
                await self._poke.wait()

    async def _publish_loop(self) -> None:
        async for data in self._publish_receive:
            with self.faults.contained("publish"):
                await self.network.publish(data)

    # --- network --------------------------------------------------------------------------------

    def _judge(self, peer: bytes, data: bytes) -> bool:
        # What fails in here is our fault, not the peer's: nothing is relayed, and nobody blamed.
        with self.faults.contained("gossip"):
            if is_hints(data):
                return self.ledger.gossip(peer, data)
            verdict = self.engine.gossip(peer, data, self.now(), self.pool.verify_now)
            self.run_effects(verdict.effects)
            return verdict.relay
        return False

    def _admit(self, key: bytes) -> bool:
        return self.engine.admitted(key)

    def _network_event(self, event: NetworkEvent) -> None:
        match event:
            case PeerConnected(peer):
                log.info("peer connected", peer=peer)
                self.run_effects(self.engine.connected(peer, self.now()))
                self.ledger.connected(peer)
                self.post.connections_changed()
                if self._nursery is not None:
                    self._nursery.start_soon(self._introduce, peer)
            case PeerDisconnected(peer):
                log.info("peer disconnected", peer=peer)
                self.run_effects(self.engine.disconnected(peer, self.now()))
                self.post.connections_changed()
            case HostRestarted(fault):
                self.faults.note("network restarted", fault)
            case ListenFailed(address, fault):
                self.faults.note("listening", f"{address}: {fault}")

    def _dial_configured(self) -> None:
        for text in self.config.network.peers:
            address = parse_address(text)
            if not address.peer:
                raise LocalError(
                    _("The address {text} names no peer.").format(text=text),
                    hint=_("Under [network] peers, an address ends in /p2p/ and the peer's id."),
                )
            self.network.dial(address.peer, [text])

    async def _start_sync(self, peer: bytes) -> None:
        stream: FrameStream | None = None
        with contextlib.suppress(MaillonError):
            stream = await self.network.open_stream(peer, sync.PROTOCOL)
        session = self.engine.open_sync(peer, self.now())
        if session is None:
            if stream is not None:
                await stream.close()
            return
        if stream is None:
            session.start(self.now())
            session.closed(self.now(), "unreachable")
            return
        await self._carry(session, stream)

    async def _answer_sync(self, stream: FrameStream) -> None:
        session = self.engine.accept_sync(stream.peer, self.now())
        if session is None:
            await stream.reset()
            return
        await self._carry(session, stream)

    async def _carry(self, session: Any, stream: FrameStream) -> None:
        try:
            await sync.run_session(session, stream, self.now, self.pool.begin, self.run_effects)
        except MaillonError as fault:
            log.debug("session broke", peer=stream.peer, fault=str(fault))
            await stream.reset()
        except Exception as fault:
            # A disk that is full, a bug: this session ends, the node goes on and tells.
            self.faults.note("reconciliation", repr(fault))
            await stream.reset()
        else:
            await stream.close()

    async def _introduce(self, peer: bytes) -> None:
        """Show a peer which coop this node speaks for: after our key was replaced it may not know.

        Both sides do so on a new connection: who dialled is not known here, and once more is
        harmless.
        """
        try:
            with trio.fail_after(INTRODUCE_S):
                stream = await self.network.open_stream(peer, INTRODUCE)
                await stream.send(self.engine.introduction() or b"")
                self._introduced(peer, await stream.receive())
                await stream.close()
        except (MaillonError, trio.TooSlowError) as fault:
            log.debug("introduction failed", peer=peer, fault=str(fault))

    async def _answer_introduction(self, stream: FrameStream) -> None:
        with trio.move_on_after(INTRODUCE_S):
            await stream.send(self.engine.introduction() or b"")
            self._introduced(stream.peer, await stream.receive())

    def _introduced(self, peer: bytes, data: bytes | None) -> None:
        if data:
            self.run_effects(self.engine.introduced(peer, data, self.now(), self.pool.verify_now))
            self.network.admission_changed()
            self.post.connections_changed()

    async def _answer_join(self, stream: FrameStream) -> None:
        await join.answer_join(stream, NodeDoor(self), self.attempts)

    # --- own records ----------------------------------------------------------------------------

    def author(self, draft: Draft, key: SigningKey) -> Signed:
        """Sign and take in one record of ours. Raises: Refused."""
        signed, effects = self.engine.author(draft, key, self.now(), self.pool.verify_now)
        self.run_effects(effects)
        return signed

    def author_many(self, drafts: Sequence[Draft], key: SigningKey) -> list[MaillonError | None]:
        """Sign and take in records of ours as one step; return why each was refused, or None."""
        records = [sign(draft, key).encode() for draft in drafts]
        refused, effects = self.engine.submit_many(records, self.now(), self.pool.verify_now)
        self.run_effects(effects)
        return list(refused)

    def submit(self, record: bytes) -> None:
        """Take in a record signed elsewhere. Raises: Refused."""
        self.run_effects(self.engine.submit(record, self.now(), self.pool.verify_now))

    def feed(self, records: Sequence[bytes]) -> None:
        """Take records in as from a peer: what is not valid yet waits, what never will be is not
        taken."""
        now = self.now()
        for start in range(0, len(records), bounds.IMPORT_BATCH_ROWS):
            part = records[start : start + bounds.IMPORT_BATCH_ROWS]
            prepared = self.engine.prepare_sync(self.node_key.public, part, now)
            outcome = self.engine.complete(prepared, self.pool.verify_now(prepared.items), now)
            self.run_effects(outcome.effects)

    def _take_in_kept_records(self) -> None:
        joined = self.home.path / "joined.bin"
        self.feed(read_records(joined))
        joined.unlink(missing_ok=True)
        kept = self.home.path / "profile.bin"
        if kept.is_file() and self.engine.view.profile(self.coop) is None:
            self.feed([kept.read_bytes()])

    def _renew_profile(self) -> None:
        """Publish the own profile when what it should say has changed or its end comes near."""
        fields = profile_fields(
            self.config, self.node_key.public, self.network.addresses(), self.post.coop_sealing
        )
        current = self.engine.view.profile(self.coop)
        now = clock.now()
        self.notices = []
        if not outdated(current, fields, now):
            return
        if self.root_key is None:
            self.notices = [
                lambda: _(
                    "The coop's profile is outdated and the root key is not here to sign a new one."
                )
            ]
            return
        draft = profile_draft(
            fields,
            None if current is None else current.signed,
            fed=self.founding.fed,
            coop=self.coop,
            root=self.root_key.public,
            now=now,
            salt=os.urandom(16),
        )
        try:
            signed = self.author(draft, self.root_key)
        except MaillonError as fault:
            if fault.code == "coop_unknown":
                self.notices = [
                    lambda: _(
                        "Not enough founders have admitted this coop yet; its records do not count."
                    )
                ]
            else:
                told = str(fault)
                self.notices = [
                    lambda: _("The coop's profile was refused: {fault}").format(fault=told)
                ]
            return
        write_atomic(self.home.path / "profile.bin", signed.encode(), mode=0o644, replace=True)

    async def _maintain_loop(self) -> None:
        while True:
            more = False
            # A full disk is told in `status`, and tried again.
            with self.faults.contained("store"):
                more = self.store.maintain(clock.now())
            await trio.sleep(MAINTAIN_SOON_S if more else MAINTAIN_S)

    async def _profile_loop(self) -> None:
        wait = 2.0
        while True:
            await trio.sleep(wait)
            with self.faults.contained("profile"):
                self._renew_profile()
            # While the coop waits to be admitted, look often: everything else waits for it.
            wait = 2.0 if self.engine.view.profile(self.coop) is None else PROFILE_CHECK_S
