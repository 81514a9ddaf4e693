"""Run a node's post: letters in and out over streams, and into the hands of the desk.

The office decides and its disk commits, both at once and synchronously; here are the tasks: one for
each coop that letters go to, one that opens letters to keys held here, and one that looks at the
clock.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Sequence
from random import Random

import trio

from maillon.node.engine.post import PostOffice, Wish
from maillon.node.engine.post.bounds import Bounds
from maillon.node.engine.post.ports import (
    Arrived,
    Deliver,
    Effects,
    Ended,
    Erased,
    Incoming,
    SendSoon,
)
from maillon.node.ports import FrameStream
from maillon.node.post import bounds
from maillon.node.post.links import PROTOCOL, Bucket, Guest, Link
from maillon.node.post.ports import Desk, Host, Sending, Streams, Waiting
from maillon.node.store.lettersdisk import LettersDisk
from maillon.protocol.errors import LocalError, MaillonError, RemoteError
from maillon.protocol.keys import SealingKey
from maillon.protocol.letters import decode_letter, open_letter

log = logging.getLogger("maillon.post")

POINTS_BROKEN = 5.0


class PostRunner:
    """The post of a running node. `desk` is given by whoever reads letters to keys held here."""

    def __init__(
        self,
        disk: LettersDisk,
        host: Host,
        streams: Streams,
        rng: Random,
        office_bounds: Bounds | None = None,
    ) -> None:
        self._desk: Desk | None = None
        self.disk = disk
        self._host = host
        self._streams = streams
        self.office = PostOffice(
            disk,
            fed=host.fed,
            coop=host.coop,
            federation=host,
            random=host.random,
            rng=rng,
            bounds=office_bounds,
        )
        self._first = self.office.start(host.time())
        self._nursery: trio.Nursery | None = None
        self._links: dict[bytes, Link] = {}
        self._near: set[bytes] = set()
        self._buckets: dict[bytes, Bucket] = {}
        self._to_read: dict[bytes, None] = {}
        self._to_tell: dict[bytes, Ended] = {}
        self._stuck: dict[bytes, float] = {}
        """Letters that the desk did not take in, with when to try again on trio's clock."""
        self._read = trio.Event()
        self._tick = trio.Event()
        self._scrub = False
        self.counts = {"sent": 0, "read": 0, "ended": 0, "unreadable": 0}

    def close(self) -> None:
        """Close the file."""
        self.disk.close()

    @property
    def desk(self) -> Desk | None:
        """Return who reads letters to keys held here."""
        return self._desk

    @desk.setter
    def desk(self, desk: Desk) -> None:
        self._desk = desk
        self._read.set()

    # --- what others call -----------------------------------------------------------------------

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        """Seal letters and keep them; they are on the disk when this returns. Return their ids.

        All or none. Raises: PostFull, StoreError; EncodingError for items that do not fit (rule
        `letter_length` beyond 60 KiB), BadKey, LifetimeTooLong.
        """
        wishes = [
            Wish(
                one.to_coop, one.to_key, one.exchange, one.items, one.until, one.owner, one.ticket
            )
            for one in letters
        ]
        ids, effects = self.office.write(wishes, self._host.time())
        self.do(effects)
        return ids

    def inbox(self, to_key: bytes, after: int, limit: int) -> list[Waiting]:
        """Return letters that wait for a key, by serial after `after`, at most INBOX_MAX."""
        rows = self.office.inbox(to_key, after, min(limit, bounds.INBOX_MAX))
        return [_waiting(row) for row in rows]

    def taken(self, to_key: bytes, ids: Sequence[bytes]) -> int:
        """Be told that a device has letters; return how many had been waiting for its key."""
        return self.office.taken(to_key, ids, self._host.time())

    def figures(self) -> dict[str, int]:
        """Return counts, sizes and ages by name."""
        return {
            **self.office.figures(self._host.time()),
            **{f"{name}_total": count for name, count in self.counts.items()},
            "database_bytes": self.disk.bytes_used(),
            "commits_total": self.disk.commits,
            "links": len(self._links),
        }

    # --- life -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                self.do(self._first)
                self._first = []
                nursery.start_soon(self._tick_loop)
                nursery.start_soon(self._scrub_loop)
                await self._read_loop()
            finally:
                self._nursery = None

    async def _tick_loop(self) -> None:
        while True:
            self._tick = trio.Event()
            wait = 1.0
            with self._contained("letters"):
                self.look_around()
                now = self._host.time()
                self.do(self.office.tick(now))
                wait = max(1.0, self.office.next_wake(now) - now)
            with trio.move_on_after(wait):
                await self._tick.wait()

    async def _scrub_loop(self) -> None:
        while True:
            await trio.sleep(bounds.SCRUB_S)
            if self._scrub:
                with self._contained("letters"):
                    self._scrub = not self.disk.scrub()

    @contextlib.contextmanager
    def _contained(self, where: str) -> Generator[None]:
        try:
            yield
        except MaillonError as fault:
            self._host.fault(where, str(fault))
        except Exception as fault:
            self._host.fault(where, repr(fault))
            log.exception("a step of the post broke")

    # --- connections ----------------------------------------------------------------------------

    def look_around(self) -> None:
        """Note which coops' nodes are connected: at each connection, and now and then."""
        near: set[bytes] = set()
        for node in self._streams.connected_keys():
            coop = self._host.coop_of(node)
            if coop is not None and coop != self._host.coop:
                near.add(coop)
        for coop in self._near - near:
            self.office.disconnected(coop)
        for coop in sorted(near - self._near):
            self._near.add(coop)
            if coop in self._links:
                self._links[coop].retry()
            with self._contained("letters"):
                self.do(self.office.connected(coop, self._host.time()))
        self._near = near

    def connections_changed(self) -> None:
        """Be told that a node came or went."""
        self._tick.set()

    def near(self, coop: bytes) -> bool:
        """Tell whether a coop's node is connected."""
        return coop in self._near

    async def open_to(self, coop: bytes) -> FrameStream | None:
        """Open a stream to a coop's node, or return None."""
        node = self._host.node_of(coop)
        if node is None:
            return None
        try:
            return await self._streams.open_stream(node, PROTOCOL)
        except MaillonError as fault:
            log.debug("no stream to %s: %s", coop.hex()[:8], fault)
            return None

    def blame(self, coop: bytes, code: str) -> None:
        """Count a broken rule against a coop's node."""
        node = self._host.node_of(coop)
        if node is not None:
            self._streams.penalise(node, POINTS_BROKEN, code)

    def time(self) -> int:
        """Return the time in Unix seconds."""
        return self._host.time()

    async def serve(self, stream: FrameStream) -> None:
        """Answer a stream that another node opened. Raises: RemoteError for broken frames."""
        peer = stream.peer
        bucket = self._buckets.setdefault(peer, Bucket(trio.current_time()))
        while len(self._buckets) > bounds.BUCKETS_MAX:
            self._buckets.pop(next(iter(self._buckets)))
        guest = Guest(stream, self.office, self, lambda: self._host.coop_of(peer), bucket)
        try:
            await guest.run()
        except RemoteError:
            raise
        except LocalError as fault:
            # Nothing was acknowledged: what the disk did not take comes again.
            self._host.fault("letters", str(fault))
            await stream.reset()
        except MaillonError as fault:
            log.debug("a stream ended: %s", fault)
            await stream.reset()

    # --- effects --------------------------------------------------------------------------------

    def do(self, effects: Effects) -> None:
        """Do what the office wants done."""
        for effect in effects:
            match effect:
                case SendSoon(coop):
                    self._link(coop)
                case Deliver(to_key):
                    self._to_read[to_key] = None
                    self._read.set()
                case Ended(id):
                    self.counts["ended"] += 1
                    self._to_tell[id] = effect
                    self._read.set()
                case Arrived():
                    self.counts["sent"] += 1
                case Erased():
                    self._scrub = True

    def _link(self, coop: bytes) -> None:
        link = self._links.get(coop)
        if link is None:
            if self._nursery is None:
                return
            link = self._links[coop] = Link(coop, self.office, self)
            self._nursery.start_soon(self._run_link, link)
        link.wake()

    async def _run_link(self, link: Link) -> None:
        while True:
            # A bug in what one coop is told costs that coop a while, and the node nothing.
            with self._contained("letters"):
                await link.run()
            await trio.sleep(bounds.LINK_RETRY_S)
            link.wake()

    # --- reading for people ---------------------------------------------------------------------

    async def _read_loop(self) -> None:
        while True:
            self._read = trio.Event()
            if self.desk is not None:
                with self._contained("letters"):
                    self._tell(self.desk)
                for to_key in list(self._to_read):
                    with self._contained("letters"):
                        await self._read_key(self.desk, to_key)
            wait = min(self._stuck.values(), default=None)
            with trio.move_on_at(trio.current_time() + 3_600 if wait is None else wait):
                await self._read.wait()

    def _tell(self, desk: Desk) -> None:
        while self._to_tell:
            done: list[bytes] = []
            for id, ended in list(self._to_tell.items()):
                del self._to_tell[id]
                with self._contained("letters"):
                    desk.letter_ended(id, ended.ticket, ended.to_key, ended.code)
                    done.append(id)
            if not done:
                return
            self.do([one for one in self.office.told(done) if isinstance(one, Ended)])

    async def _read_key(self, desk: Desk, to_key: bytes) -> None:
        key = self._host.held_sealing(to_key)
        if key is None:
            del self._to_read[to_key]
            self._host.letters_waiting(to_key)
            return
        after = 0
        now = trio.current_time()
        blocked: set[tuple[bytes, bytes]] = set()
        while rows := self.office.inbox(to_key, after, bounds.READ_LETTERS):
            taken: list[bytes] = []
            for row in rows:
                after = row.serial
                # What comes after a letter that was not taken in waits for it, in its thread.
                if (row.coop, row.thread) in blocked or self._stuck.get(row.id, 0.0) > now:
                    blocked.add((row.coop, row.thread))
                elif self._read_one(desk, key, row):
                    self._stuck.pop(row.id, None)
                    taken.append(row.id)
                else:
                    self._stuck[row.id] = trio.current_time() + bounds.READ_AGAIN_S
                    blocked.add((row.coop, row.thread))
                await trio.lowlevel.checkpoint()
            if taken:
                self.office.taken(to_key, taken, self._host.time())
        if not blocked:
            self._to_read.pop(to_key, None)
            if not self._to_read:
                self._stuck.clear()

    def _read_one(self, desk: Desk, key: SealingKey, row: Incoming) -> bool:
        try:
            items = open_letter(decode_letter(row.letter), key)
        except RemoteError as fault:
            # Nobody will ever read it: not this node, and no other holder of the key.
            log.warning("a letter cannot be read: %s", fault)
            self.counts["unreadable"] += 1
            return True
        try:
            desk.letter_opened(row.to_key, row.coop, items)
        except MaillonError as fault:
            self._host.fault("letters", str(fault))
            return False
        except Exception as fault:
            self._host.fault("letters", repr(fault))
            log.exception("the desk did not take a letter in")
            return False
        self.counts["read"] += 1
        return True


def _waiting(row: Incoming) -> Waiting:
    return Waiting(
        row.serial, row.id, row.coop, row.thread, row.n, row.until, row.received_at, row.letter
    )
