"""Let witnesses and writers talk in one process, in an order that a test decides."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish, OrderWish, Wish, build_block
from maillon.ledger.entries import Entry, Open
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.messages import Message, decode_message, encode_message
from maillon.ledger.openings import without_copies
from maillon.ledger.orders import NO_REF, Order, PayAction, sign_order
from maillon.ledger.quorum import Certificate, Term, VoteQC
from maillon.ledger.rounds import (
    Commit,
    Echo,
    Final,
    Lock,
    Opening,
    Prepare,
    Promise,
    Propose,
    Refuse,
    Vote,
)
from maillon.ledger.signing import Verify, inline_verify
from maillon.ledger.sources import Source
from maillon.ledger.steps import Notice, Step
from maillon.ledger.witness import Witness, WitnessSettings
from maillon.ledger.writer import Writer, WriterSettings
from maillon.protocol.keys import SigningKey
from support.charters import LedgerCoop, LedgerFederation, MemoryDisk
from support.world import NOW


def stream(seed: str) -> Callable[[int], bytes]:
    """Return a source of bytes that are the same for the same seed."""
    count = 0

    def drawn(size: int) -> bytes:
        nonlocal count
        count += 1
        found = b""
        while len(found) < size:
            found += hashlib.sha256(f"{seed} {count} {len(found)}".encode()).digest()
        return found[:size]

    return drawn


@dataclass
class Place:
    """One coop's node: its disk, its book, its witness."""

    coop: LedgerCoop
    disk: MemoryDisk
    book: Book
    witness: Witness
    up: bool = True

    @property
    def key(self) -> bytes:
        return self.coop.witness.public


@dataclass
class Pen:
    """A writer and the place at which it runs."""

    writer: Writer
    place: Place
    notices: list[Notice] = field(default_factory=list[Notice])


@dataclass
class Rounds:
    """A federation whose messages are delivered in the order in which they were sent.

    `lost(sender, receiver, message)` decides what is lost; senders and receivers are witness keys
    or, for a writer, its chain.
    """

    n: int = 4
    seed: str = "rounds"
    quorum: int = 0
    verify: Verify = inline_verify
    settings: WitnessSettings | None = None
    federation: LedgerFederation = field(init=False)
    places: list[Place] = field(default_factory=list[Place])
    now: int = NOW
    queue: deque[tuple[Pen, bytes, Message, bool]] = field(
        default_factory=deque[tuple[Pen, bytes, Message, bool]]
    )
    lost: Callable[[bytes, bytes, Message], bool] = field(default=lambda a, b, m: False)
    log: list[tuple[bytes, bytes, Message]] = field(
        default_factory=list[tuple[bytes, bytes, Message]]
    )
    seqs: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def __post_init__(self) -> None:
        self.federation = LedgerFederation(self.n, seed=self.seed, quorum=self.quorum)
        for coop in self.federation.coops:
            self.places.append(self.started(coop, MemoryDisk()))

    @property
    def fed(self) -> bytes:
        return self.federation.fed

    def chain(self, at: int) -> bytes:
        return self.federation.coops[at].id

    def started(self, coop: LedgerCoop, disk: MemoryDisk) -> Place:
        book = Book(self.federation.founding, disk, self.verify)
        witness = Witness(book, coop.witness, disk, self.verify, settings=self.settings)
        return Place(coop, disk, book, witness)

    def restart(self, at: int) -> Place:
        """Start a node anew from its disk; writers that ran there are gone."""
        self.places[at] = self.started(self.places[at].coop, self.places[at].disk)
        return self.places[at]

    def pen(
        self,
        at: int,
        nonce: bytes = b"n" * 16,
        *,
        chain: bytes | None = None,
        key: SigningKey | None = None,
        source: Source | None = None,
        settings: WriterSettings | None = None,
        place: Place | None = None,
    ) -> Pen:
        """Return a writer of a coop's chain, or of another, at its node. It was not started."""
        place = place or self.places[at]
        own = place.coop
        writer = Writer(
            place.book,
            own.id if chain is None else chain,
            key or own.writer,
            nonce,
            verify=self.verify,
            salt=stream(f"{self.seed} {at} {nonce.hex()}"),
            seed=b"seed",
            own=place.key,
            disk=place.disk,
            source=source,
            settings=settings,
        )
        return Pen(writer, place)

    # --- Messages ---

    def take(self, pen: Pen, step: Step) -> None:
        """Commit what a writer's step says, and put what it sends into the queue."""
        pen.place.disk.commit(step.writes)
        pen.notices += step.notices
        for send in step.sends:
            self.queue.append((pen, send.to, send.message, True))

    def start(self, pen: Pen) -> None:
        self.take(pen, pen.writer.start(self.now))
        self.run()

    def tick(self, pen: Pen, seconds: int = 0) -> None:
        self.now += seconds
        self.take(pen, pen.writer.tick(self.now))
        self.run()

    def submit(self, pen: Pen, *given: Order | Entry) -> list[bytes]:
        """Queue wishes and let everything settle; return their ids."""
        names: list[bytes] = []
        for each in given:
            wish = self.wish(each)
            names.append(wish.id(self.fed))
            self.take(pen, pen.writer.submit(wish, self.now))
        self.run()
        return names

    # --- By hand ---

    def ask(self, at: int, *messages: Message, sender: bytes = b"asker") -> list[Message]:
        """Let a witness handle messages, each committed, and return all its answers."""
        answers: list[Message] = []
        place = self.places[at]
        for message in messages:
            step = place.witness.handle(sender, message, self.now)
            place.disk.commit(step.writes)
            answers += [send.message for send in step.sends]
        return answers

    def reason(self, at: int, message: Message) -> str:
        """Return why a witness refuses a message."""
        (answer,) = self.ask(at, message)
        assert isinstance(answer, Refuse), answer
        return answer.reason

    def term(self, counter: int = 1, nonce: bytes = b"n" * 16, at: int = 0) -> Term:
        return Term(counter, nonce, self.federation.coops[at].writer.public)

    def signer(self, term: Term) -> SigningKey:
        return next(c.writer for c in self.federation.coops if c.writer.public == term.key)

    def prepare(self, term: Term, chain: bytes | None = None, echo: Echo | None = None) -> Prepare:
        chain = self.chain(0) if chain is None else chain
        return Prepare.sign(self.signer(term), self.fed, chain, term, echo)

    def promises(self, term: Term, *at: int, chain: bytes | None = None) -> list[Promise]:
        """Have witnesses promise a term."""
        found: list[Promise] = []
        for place in at:
            (answer,) = self.ask(place, self.prepare(term, chain))
            assert isinstance(answer, Promise), answer
            found.append(answer)
        return found

    def open(self, term: Term, *at: int, chain: bytes | None = None) -> Opening:
        """Have witnesses promise a term, and open it at each of them; return the OPEN."""
        promises = self.promises(term, *at, chain=chain)
        opening = Opening(promises[0].chain, term, without_copies(promises))
        for place in at:
            assert self.ask(place, opening) == []
        return opening

    def block(
        self,
        *given: Order | Entry,
        at: int = 0,
        book: int | None = None,
        adopt: int = 0,
        time: int | None = None,
        salt: str = "salt",
    ) -> Block:
        """Build the next block of a coop's chain, as the node `book` (or its own) sees it."""
        built = build_block(
            self.places[at if book is None else book].book,
            self.chain(at),
            [self.wish(each) for each in given],
            time=self.now if time is None else time,
            adopt=adopt,
            salt=stream(salt),
        )
        for _, error in built.refused:
            raise error
        assert built.block is not None
        return built.block

    def propose(self, term: Term, block: Block, echo: Echo | None = None) -> Propose:
        return Propose.sign(self.signer(term), self.fed, term, block, echo)

    def votes(self, term: Term, block: Block, *at: int) -> Lock:
        """Have witnesses vote for a block, and return the LOCK of their votes."""
        votes: dict[bytes, tuple[int, bytes]] = {}
        for place in at:
            (vote,) = self.ask(place, self.propose(term, block))
            assert isinstance(vote, Vote), vote
            votes[vote.witness] = (vote.counter, vote.signature)
        return Lock(self.gathered(term, block, votes))

    def gathered(self, term: Term, block: Block, votes: dict[bytes, tuple[int, bytes]]) -> VoteQC:
        committee = self.places[0].book.charter_state(block.header.c).committee()
        return VoteQC.gather(
            committee, block.header.c, block.chain, block.h, term, block.hash, votes
        )

    def commits(self, lock: Lock, *at: int) -> Final:
        """Have witnesses commit, and return the FINAL of their commits."""
        votes = lock.votes
        commits: dict[bytes, bytes] = {}
        for place in at:
            (commit,) = self.ask(place, lock)
            assert isinstance(commit, Commit), commit
            commits[commit.witness] = commit.signature
        committee = self.places[0].book.charter_state(votes.c).committee()
        return Final(
            Certificate.gather(
                committee, votes.c, votes.chain, votes.h, votes.term, votes.block, commits
            )
        )

    def place_of(self, key: bytes) -> Place | None:
        return next((place for place in self.places if place.key == key), None)

    def run(self, most: int = 100_000) -> None:
        """Deliver until nothing is under way."""
        while self.queue:
            most -= 1
            assert most > 0, "messages go round in circles"
            pen, witness, message, out = self.queue.popleft()
            place = self.place_of(witness)
            if place is None or not place.up:
                continue
            ends = (pen.writer._chain, witness) if out else (witness, pen.writer._chain)  # pyright: ignore[reportPrivateUsage]
            if self.lost(*ends, message):
                continue
            message = decode_message(encode_message(message))
            self.log.append((*ends, message))
            if out:
                step = place.witness.handle(ends[0], message, self.now)
                place.disk.commit(step.writes)
                for send in step.sends:
                    self.queue.append((pen, witness, send.message, False))
            else:
                self.take(pen, pen.writer.handle(witness, message, self.now))

    def sent(self, kind: type[Any]) -> Iterator[Any]:
        """Yield the messages of a kind that arrived."""
        return (message for _, _, message in self.log if isinstance(message, kind))

    # --- Wishes ---

    def wish(self, given: Order | Entry) -> Wish:
        return OrderWish(given) if isinstance(given, Order) else EntryWish(given)

    def person(self, name: str) -> tuple[SigningKey, bytes]:
        key = self.federation.key(f"person {name}")
        return key, hashlib.sha256(key.public).digest()[:16]

    def opening(self, name: str, limit: int = 100) -> Open:
        """Return the entry that opens a person's account."""
        key, account = self.person(name)
        return Open(account, 0, key.public, ((0, limit, BALANCE_MAX),))

    def payment(
        self, at: int, name: str, to: str, amount: int, *, to_coop: int | None = None
    ) -> Order:
        """Sign a payment of a person of coop `at`."""
        key, account = self.person(name)
        self.seqs[account] = self.seqs.get(account, 0) + 1
        payee = self.person(to)[1]
        coop = self.chain(at if to_coop is None else to_coop)
        return sign_order(
            key,
            self.fed,
            account,
            self.seqs[account],
            self.chain(at),
            self.now + 600,
            PayAction(coop, payee, 0, amount, NO_REF, ""),
        )

    def heads(self, chain: bytes) -> Sequence[int]:
        return [place.book.head(chain).h for place in self.places]

    def balance(self, at: int, name: str) -> int:
        found = self.places[at].book.state(self.chain(at)).account(self.person(name)[1])
        assert found is not None
        return found.positions[0].balance


def settle(rounds: Rounds, *pens: Pen, seconds: int = 120) -> None:
    """Let time pass, two seconds at a time, for writers that sleep until their next wake."""
    for _ in range(seconds // 2):
        for pen in pens:
            rounds.tick(pen, 2)
            # Whoever sleeps until the next wake never goes round without sleeping.
            wake = pen.writer.next_wake(rounds.now)
            assert wake is None or wake > rounds.now


def phase(pen: Pen) -> str:
    """Return where a writer is in its round."""
    return pen.writer.status.phase
