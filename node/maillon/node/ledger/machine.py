"""Decide everything of a node's ledger and make it durable, without waiting for anything.

Messages and wishes are put in an inbox. `decide` looks at all that is there, `commit` makes durable
at once what follows from it, and only then gives out what may leave: answers, messages to
witnesses, hints. Between this coop's writer and this node's witness messages pass inside a run,
before the commit: nothing has left the process by then (spec/06, "Steps").

What the own writer asks of witnesses (PREPARE, OPEN, PROPOSE, LOCK) promises nothing and may leave
before the commit, so that witnesses write while this node does. Not so when it carries what the own
witness has said in the same run: a promise in OPEN, a vote in LOCK. And nothing overtakes what was
said to the same witness before.
"""

# After an exception that no rule foresees (a bug), memory may be ahead of what is staged: a later
# answer could leave without the write it rests on. So the machines are made anew from the disk, as
# after a power cut, which is what they are built to survive.

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from maillon.ledger.book import Book
from maillon.ledger.bounds import WISHES_MAX
from maillon.ledger.build import EntryWish, OrderWish
from maillon.ledger.catchup import Catchup
from maillon.ledger.entries import Entry, Post
from maillon.ledger.errors import BadBlock, ChainUnknown
from maillon.ledger.messages import (
    Ack,
    AskHeads,
    Blocks,
    Confirm,
    Done,
    Failure,
    FraudHint,
    FraudReport,
    Get,
    GiveBack,
    HeadHint,
    Heads,
    Message,
    Ok,
    Proposal,
    ProposalHint,
    Receipt,
    Submit,
)
from maillon.ledger.orders import Order
from maillon.ledger.rounds import Prepare, Propose
from maillon.ledger.sources import CoopSource, QueueFull, as_wished
from maillon.ledger.steps import (
    AnotherInstance,
    Certified,
    Fraud,
    NeedsBlocks,
    OrderPlaced,
    OrderRefused,
    Step,
    Stopped,
    Stuck,
    Write,
)
from maillon.ledger.witness import Witness
from maillon.ledger.writer import Writer
from maillon.node.ledger import bounds
from maillon.node.ledger.changes import Changes, CoopLeft
from maillon.node.ledger.expiry import Expiry
from maillon.node.ledger.handed import Handed
from maillon.node.ledger.happenings import (
    PROVEN,
    Asker,
    Ended,
    Event,
    FromGuest,
    FromPeer,
    FromWitness,
    Out,
    Setup,
    Untrue,
)
from maillon.node.ledger.index import Index
from maillon.node.ledger.leaving import Leaving
from maillon.node.ledger.queue import REFUSED, OrderQueue
from maillon.node.ledger.reading import Reading, failure, require_readable, wish_id
from maillon.node.ledger.rivals import Rivals
from maillon.node.ledger.speech import Speech, let_wait
from maillon.node.ledger.staging import LedgerDisk, StagedDisk
from maillon.node.ledger.writers import writer_for
from maillon.node.store.database import StoreError
from maillon.node.store.ledgerdisk import VOTES_SPACES
from maillon.protocol.errors import MaillonError

log = logging.getLogger("maillon.ledger")
T = TypeVar("T")


class Machine:
    """The ledger of one node. Raises: NoLedger when the federation keeps no accounts."""

    def __init__(self, setup: Setup, disk: LedgerDisk, now: int) -> None:
        self._setup = setup
        self._raw = disk
        self._inbox: deque[Event] = deque()
        self._handled: list[Asker] = []
        self.looked_at = 0
        """How many events were taken out of the inbox."""
        self.patient = False
        """Whether arrivals from other coops wait for `look`, which the caller calls a little after
        `Out.arrivals`."""
        self.reloads = 0
        self.faults: list[str] = []
        self._load(now)

    def _load(self, now: int, keep: Sequence[Write] = ()) -> None:
        setup = self._setup
        self.disk = StagedDisk(self._raw, (VOTES_SPACES,))
        self.disk.commit(keep)
        self.book = Book(setup.founding, self.disk, setup.verify)
        self.fed = self.book.fed
        self.catchup = Catchup(self.book)
        self.witness = Witness(
            self.book, setup.witness, self.disk, setup.verify, signed=setup.signed
        )
        self.index = Index(self.fed, self.disk)
        self.queue = OrderQueue(self.disk)
        self.reading = Reading(self.book, self.index)
        self.handed = Handed(setup, self.book, self.index, self.queue, self.reading)
        self.expiry = Expiry(self.book, setup.coop)
        self.changes = Changes(self.book, setup, self.disk)
        self.writers: dict[bytes, Writer] = {}
        self.stuck: dict[bytes, Stuck] = {}
        self.rivals = Rivals(self.disk)
        self.answered: dict[bytes, int] = {}
        """When each witness answered last, Unix seconds."""
        self.done: dict[bytes, int] = {}
        """The height of this coop's chain that each witness is at, as it said."""
        self.speech = Speech()
        self._leaving = Leaving(self.witness_key, self.speech)
        self._asked = False
        self._urgent = False
        self._look = False
        self.backlog: OrderedDict[bytes, None] = OrderedDict()
        """Ids in the queue that the own writer was not given yet, each once however often asked."""
        self._started = False
        self._loaded_at = now

    # --- what is asked --------------------------------------------------------------------------

    def put(self, event: Event) -> int:
        """Put something in the inbox; it was looked at once `looked_at` is what this returns."""
        self._inbox.append(event)
        return self.looked_at + len(self._inbox)

    @property
    def setup(self) -> Setup:
        """Return what the machines are made of."""
        return self._setup

    @property
    def writer_key(self) -> bytes:
        """Return the key that this node signs blocks with, b"" for none."""
        return b"" if self._setup.writer is None else self._setup.writer.public

    @property
    def witness_key(self) -> bytes:
        """Return the key of this node's witness, whatever the charter names."""
        return self._setup.witness.public

    @property
    def waiting(self) -> int:
        """Return how many events wait."""
        return len(self._inbox)

    def ask(self, wish: Order | Entry, now: int, *, later: bool = False) -> bytes:
        """Take in something for this coop's chain; it is durable after the next `run`.

        With `later` an order only when it is certified, or after `hurry` and the next `run`: for
        who does not acknowledge it before.

        Return its id. Raises: QueueFull; Malformed, BadKey or BadAmount when no reader would accept
        its form, since one such entry would hold up the whole chain.
        """
        id = wish_id(wish, self.fed)
        if not isinstance(wish, Order):
            require_readable(wish)
            self.speech.owing = True
            self.queue.add(id, as_wished(wish), now)
        elif not self.index.has(id):  # asking twice is asking once
            self.queue.add(id, wish, now, later=later)
        return id

    # --- a run ----------------------------------------------------------------------------------

    def run(self, now: int) -> Out:
        """Look at what came in, commit, and return what may leave, all of it after the commit.

        Raises: what the disk raises; nothing of this run has left then, and the process ends.
        """
        early = self.decide(now)
        out = self.commit()
        out.sends[:0] = early
        return out

    def decide(self, now: int) -> list[tuple[bytes, bytes]]:
        """Look at what came in; return the (witness, frame) that may leave before `commit`."""
        if not self._started:
            self._guarded(now, lambda: self._start(now))
        count = min(len(self._inbox), bounds.BATCH_MAX)
        for _ in range(count):
            event = self._inbox.popleft()
            self.looked_at += 1
            self._guarded(now, partial(self._event, event, now))
            if isinstance(event, FromGuest):
                self._handled.append(event.asker)
        self._guarded(now, lambda: self._progress(now))
        if not (count or self._asked) or self.disk.waiting_later > bounds.LATER_MAX:
            # Nothing presses: what may wait has waited.
            self._urgent = True
        self._asked = False
        return self._leaving.early()

    def commit(self) -> Out:
        """Make durable what was decided, and return what may leave now.

        Raises: what the disk raises; nothing that rests on it has left, and the process ends.
        """
        let_wait(self.speech, self.witness, self.height, self.disk)
        self.disk.flush(everything=self._urgent)
        out = self._leaving.committed()
        out.handled, self._handled = self._handled, []
        self._urgent = False
        self.speech.clear()
        return out

    def hurry(self) -> None:
        """Have the next commit take along what may wait."""
        self._urgent = True

    def next_wake(self, now: int) -> int | None:
        """Return when `run` is due without anything coming in, or None."""
        if self._inbox or not self._started:
            return now
        times = [writer.next_wake(now) for writer in self.writers.values()]
        if self._setup.coop in self.writers:  # who else has nothing to give back
            times.append(self.expiry.next_wake(now))
        if self.disk.waiting_later:
            return now
        due = [time for time in times if time is not None]
        return min(due) if due else None

    def _guarded(self, now: int, step: Callable[[], None]) -> bool:
        """Do a step; False when it broke and everything was made anew from the disk."""
        try:
            step()
        except StoreError:
            raise
        except Exception as fault:
            self.reloads += 1
            self.faults = [*self.faults, repr(fault)][-8:]
            log.error("the ledger is loaded again after a fault", exc_info=True)
            if self.reloads > bounds.RELOADS_MAX:
                raise
            # What was decided since the last commit is undone, and must not leave. What was asked
            # stays: who asked waits for it.
            self._load(now, self.disk.asked())
            return False
        return True

    def _start(self, now: int) -> None:
        self._started = True
        self._read_new(now)
        self._write(now)
        self.backlog.update((item.id, None) for item in self.queue.waiting())

    def _event(self, event: Event, now: int) -> None:
        match event:
            case FromGuest(asker, message):
                try:
                    self._from_guest(asker, message, now)
                except MaillonError as fault:
                    self._leaving.blame(asker.peer, fault)
                    self._leaving.answer(asker, failure(fault))
            case FromWitness(witness, message):
                self.answered[witness] = now
                if isinstance(message, Done) and message.chain == self._setup.coop:
                    self.done[witness] = message.h
                try:
                    self._to_writer(witness, message, now)
                except MaillonError as fault:
                    log.info("a witness answered wrongly: %s", fault.code)
            case FromPeer(peer, message):
                self._from_peer(peer, message, now)
        self._local_traffic(now)

    def _from_peer(self, peer: bytes, message: Blocks | Heads, now: int) -> None:
        try:
            if isinstance(message, Heads):
                step = self.catchup.take_heads(message, peer)
            else:
                step = self.catchup.take(message.blocks, peer)
            self._follow(step, None, now)
        except BadBlock as fault:
            if fault.facts.get("reason") != "forked" or isinstance(message, Heads):
                self._leaving.out.offences.append((peer, fault.code))
                return
            # The charter has pinned another block than stands here: the chain is taken anew.
            self.disk.commit(self.book.rewind(message.chain, 0))
            self._leaving.out.needs.append(NeedsBlocks(message.chain, 1, peer))
        except MaillonError as fault:
            self._leaving.blame(peer, fault)

    def _from_guest(self, asker: Asker, message: Message, now: int) -> None:
        match message:
            case Get():
                self._leaving.answer(asker, self.catchup.blocks(message))
            case AskHeads():
                self._leaving.answer(asker, self.catchup.heads(message))
            case Proposal():
                self._follow(self.changes.take(message), None, now)
                self._leaving.answer(asker, Ok())
            case Submit() | GiveBack():
                self._leaving.answer(asker, self._handed(message, now))
            case _:
                step = self.witness.handle(asker.peer, message, now)
                for send in step.sends:
                    if isinstance(send.message, Failure) and send.message.code in PROVEN:
                        self._leaving.out.offences.append((asker.peer, send.message.code))
                self._follow(step, asker, now)
                if isinstance(message, Confirm):
                    self._confirmed(message, step, now)

    def _to_writer(self, witness: bytes, message: Message, now: int) -> None:
        chain = getattr(message, "chain", None)
        writer = self.writers.get(chain) if isinstance(chain, bytes) else None
        if writer is not None:
            self._follow(writer.handle(witness, message, now), None, now)

    def _local_traffic(self, now: int) -> None:
        own = self.witness_key
        while self._leaving.local:
            message = self._leaving.local.popleft()
            if isinstance(message, Prepare | Propose) and self._setup.signed is not None:
                self._setup.signed(message.check(self.fed))
            step = self.witness.handle(own, message, now)
            self._keep(step, now)
            for send in step.sends:
                self.speech.said(send.message, outside=False)
                if send.to == b"":
                    self._to_writer(own, send.message, now)
                else:
                    self._leaving.send(send.to, send.message)

    def _follow(self, step: Step, asker: Asker | None, now: int) -> None:
        """Stage what a step writes, and keep what it sends until the commit."""
        self._keep(step, now)
        for send in step.sends:
            if send.to == b"":
                self.speech.said(send.message, outside=True)
                if asker is not None:
                    self._leaving.answer(asker, send.message)
            else:
                self._leaving.send(send.to, send.message)

    def _keep(self, step: Step, now: int) -> None:
        self.disk.commit(step.writes)
        for notice in step.notices:
            match notice:
                case Certified(chain, h, _block, _certificate):
                    self._leaving.out.blocks += 1
                    self.stuck.pop(chain, None)
                    if chain in self.writers:
                        header = self.book.header_at(chain, h)
                        certificate = self.book.block(chain, h).certificate
                        self._leaving.out.hints.append(HeadHint(header, certificate))
                case OrderPlaced(id, h):
                    self.queue.placed(id, h)
                case OrderRefused(id, error):
                    self._refused(id, error, now)
                case AnotherInstance(chain, evidence):
                    if self.rivals.met(chain, evidence, now):
                        log.warning("another process writes this coop's chain")
                case Fraud(proof):
                    self._leaving.out.hints.append(FraudHint(proof.encode()))
                case Stuck(chain):
                    self.stuck[chain] = notice
                case NeedsBlocks():
                    self._leaving.out.needs.append(notice)
                case Stopped(reason):
                    log.error("this node's witness stops for good: %s", reason)
                case _:
                    pass

    def _refused(self, id: bytes, fault: MaillonError, now: int) -> None:
        if self.queue.refused(id, fault, now):
            self._leaving.out.ended.append(Ended(id, fault))
        else:
            log.info("what nobody asked for was refused: %s", fault.code)

    # --- what follows from what came ------------------------------------------------------------

    def _progress(self, now: int) -> None:
        """Read what is certified now, and let the writers go on, until nothing moves."""
        for _ in range(bounds.ROUNDS_MAX):
            changed, self.disk.moved = self.disk.moved, False
            moved = self._read_new(now) if changed else set[bytes]()
            if changed:
                self._write(now)
            if self.changes.has_left():
                for item in self.queue.waiting():
                    self._refused(item.id, CoopLeft(), now)
            self._give(now)
            own = self.writers.get(self._setup.coop)
            if own is not None:
                with contextlib.suppress(QueueFull):  # the next look finds them again
                    for wish in self.expiry.wishes(now):
                        self._follow(own.submit(wish, now), None, now)
            for chain, writer in list(self.writers.items()):
                due = writer.next_wake(now)
                if self._concerned(chain, moved) or (due is not None and due <= now):
                    self._follow(writer.tick(now), None, now)
            self._look = False
            self._local_traffic(now)
            if not self.disk.moved:
                if not changed or not any(map(self.reading.behind, self.book.chains())):
                    break
                self.disk.moved = True
        self._leaving.out.hints += self.changes.news
        self.changes.news = []

    def _concerned(self, chain: bytes, moved: set[bytes]) -> bool:
        """Tell whether a writer has to look, because chains have moved."""
        if self._look or chain in moved:
            return True
        if moved and chain == self._setup.coop and self.patient:
            self._leaving.out.arrivals = True
            return False
        return bool(moved)

    def look(self) -> None:
        """Let the writers look with the next run for what came from other coops."""
        self._look = True

    def _read_new(self, now: int) -> set[bytes]:
        """Index certified blocks that were not read yet; tell who waited for them.

        Return the chains that have some.
        """
        moved: set[bytes] = set()
        for chain in self.book.chains():
            for read in self.reading.new_blocks(chain):
                moved.add(chain)
                self._leaving.out.certain += read.certain
                if chain == self._setup.coop:
                    for id, index in read.ids:
                        if self.queue.certified(id) is not None:
                            self._leaving.out.ended.append(Ended(id, None, read.h, index))
        return moved

    def _write(self, now: int) -> None:
        """Have a writer for each chain that this coop should write now."""
        key = self._setup.writer
        if key is None:
            return
        wanted = self.changes.chains_to_write()
        for chain in [chain for chain in self.writers if chain not in wanted]:
            if self.writers[chain].status.phase in ("idle", "ready", "stopped"):
                del self.writers[chain]
        for chain in wanted:
            if chain in self.writers:
                continue
            nonce = self._setup.random(16)
            self.rivals.started(chain, nonce)
            writer = writer_for(chain, key, nonce, self._setup, self.book, self.disk)
            self.writers[chain] = writer
            self._follow(writer.start(now), None, now)

    def submit(self, id: bytes, now: int) -> None:
        """Hand what `ask` queued to the writer; what follows leaves with the next run."""
        self._asked = True
        item = self.queue.get(id)
        if item is None:
            # Carried out before: whoever asks again is told so.
            known = self.index.transfer(id)
            if known is not None:
                self._leaving.out.ended.append(Ended(id, None, known.place.h, known.place.index))
        elif item.state == REFUSED:
            pass
        else:
            self.backlog[id] = None

    def told(self, message: Confirm | FraudReport | ProposalHint, peer: bytes, now: int) -> bool:
        """Take what gossip says; True when it is new here and proven.

        Raises: what is wrong with it.
        """
        return bool(self._outside(now, lambda: self._told(message, peer, now)))

    def _told(self, message: Confirm | FraudReport | ProposalHint, peer: bytes, now: int) -> bool:
        if isinstance(message, ProposalHint):
            before = len(self.changes.news)
            self.changes.take(message)
            return len(self.changes.news) > before
        step = self.witness.handle(peer, message, now)
        for send in step.sends:
            if isinstance(send.message, Failure):
                raise Untrue(send.message.text, told=send.message.code)
        self._keep(step, now)
        if isinstance(message, Confirm):
            self._confirmed(message, step, now)
        return bool(step.writes)

    def local(self, message: Message, now: int) -> Message | None:
        """Return what the own witness answers; what it rests on is durable after the next run."""
        return self._outside(now, lambda: self._local(message, now))

    def _local(self, message: Message, now: int) -> Message | None:
        step = self.witness.handle(self._setup.witness.public, message, now)
        self._keep(step, now)
        return next((send.message for send in step.sends if send.to == b""), None)

    def _outside(self, now: int, step: Callable[[], T]) -> T | None:
        """Do a step that somebody outside asked for; None when it broke.

        What is wrong with the question is theirs to know and is raised; a fault of ours loads the
        ledger again, as it does between two commits, so that nothing half done stays in memory.
        """
        answers: list[T] = []
        wrong: list[MaillonError] = []

        def ask() -> None:
            try:
                answers.append(step())
            except StoreError:
                raise
            except MaillonError as fault:
                wrong.append(fault)

        self._guarded(now, ask)
        if wrong:
            raise wrong[0]
        return answers[0] if answers else None

    def _confirmed(self, message: Confirm, step: Step, now: int) -> None:
        """Have a hold of this coop posted, once its confirmation was found good."""
        if message.chain != self._setup.coop or self._setup.coop not in self.writers:
            return
        if not any(isinstance(send.message, Ack) for send in step.sends):
            return
        found = self.book.state(message.chain).hold(message.hold)
        if found is not None:
            wish = Post(found[0].id, message.hold, message.confirmation, 0)
            self.submit(self.ask(wish, now), now)

    def height(self, chain: bytes) -> int:
        """Return the height of a chain's head; 0 for one that is not known."""
        try:
            return self.book.head(chain).h
        except ChainUnknown:
            return 0

    def reconnected(self, witness: bytes, now: int) -> None:
        """Be told that a witness can be reached again: it is told at once what it missed."""
        for writer in list(self.writers.values()):
            step = partial(writer.reconnected, witness, now)
            self._guarded(now, lambda step=step: self._follow(step(), None, now))  # type: ignore[misc]  # bound at once

    def _give(self, now: int) -> None:
        """Hand the own writer what waits, as much as it takes, before it makes a block of it."""
        writer = self.writers.get(self._setup.coop)
        if writer is None or not isinstance(writer.source, CoopSource) or not self.backlog:
            return
        while self.backlog and len(writer.source) < WISHES_MAX:
            item = self.queue.get(self.backlog.popitem(last=False)[0])
            if item is not None and item.state != REFUSED:
                wish = item.wish
                made = OrderWish(wish) if isinstance(wish, Order) else EntryWish(wish)
                writer.source.add(made)
        self._follow(writer.tick(now), None, now)

    def _handed(self, message: Submit | GiveBack, now: int) -> Receipt:
        """Take in what another node hands over; it is acknowledged after the commit."""
        if isinstance(message, Submit):
            receipt, fresh = self.handed.order(message.order, now)
        else:
            receipt, void = self.handed.release(message)
            fresh = None if void is None else self.ask(void, now)
        if fresh is not None:
            self.backlog[fresh] = None
        return receipt
