"""Witnesses and writers that lie, with all the freedom that their own keys give them.

A lying witness votes for whatever it is shown, commits without locking, promises what it does not
keep, hides its head and its lock, withholds blocks and forges heads. A lying writer proposes two
blocks in one term, opens terms with the promises that suit it, forgets the lock it was shown,
proposes stale terms and bad blocks, shows certificates to some and hides them from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from maillon.ledger import messages as wire
from maillon.ledger.block import Block, Header, genesis_hash
from maillon.ledger.build import Wish, build_block
from maillon.ledger.confirmation import confirmation_hash
from maillon.ledger.messages import Message
from maillon.ledger.quorum import Certificate, Term, VoteQC
from maillon.ledger.steps import Send, Step
from maillon.protocol.errors import MaillonError
from simulation.ledger.keys import Salts

if TYPE_CHECKING:
    from maillon.ledger.book import Book
    from simulation.ledger.keys import SimKey

TURN_S = 3


class LyingWitness:
    """Answers as a witness does, and keeps nothing of what it says."""

    def __init__(self, book: Book, key: SimKey, rng: Random) -> None:
        self.book = book
        self.key = key
        self.rng = rng
        self.stopped: str | None = None
        self._counter = 0
        self._seen: dict[bytes, Block] = {}

    def handle(self, sender: bytes, message: Message, now: int) -> Step:
        """Answer, truly or not, or keep silent."""
        if self.rng.random() < 0.1:
            return Step()
        return Step(sends=tuple(Send(b"", answer) for answer in self._answers(message, now)))

    def _answers(self, message: Message, now: int) -> list[Message]:
        fed, key, book = self.book.fed, self.key, self.book
        if isinstance(message, wire.Prepare):
            return [self._promise(message)]
        if isinstance(message, wire.Propose):
            block = message.block
            self._seen[block.hash] = block
            self._counter += self.rng.choice((0, 1))
            c, chain, h, term = block.header.c, block.chain, block.h, message.term
            votes: list[Message] = [
                wire.Vote.sign(key, fed, c, chain, h, term, block.hash, self._counter + 1)
            ]
            if self.rng.random() < 0.3:
                votes.append(wire.Commit.sign(key, fed, c, chain, h, term, block.hash))
            return votes
        if isinstance(message, wire.Lock):
            v = message.votes
            return [wire.Commit.sign(key, fed, v.c, v.chain, v.h, v.term, v.block)]
        if isinstance(message, wire.Final):
            final = message.certificate
            return [wire.Done(final.chain, final.h, final.block)]
        if isinstance(message, wire.Get):
            return [wire.Blocks(message.chain, self._forged_blocks(message))]
        if isinstance(message, wire.AskHeads):
            return [self._forged_heads()]
        if isinstance(message, wire.Confirm):
            digest = confirmation_hash(message.confirmation)
            c = book.governing(message.chain) if message.chain in book.chains() else 0
            return [wire.Ack.sign(key, fed, message.chain, message.hold, digest, c)]
        return []

    def _promise(self, message: wire.Prepare) -> wire.Promise:
        fed, chain = self.book.fed, message.chain
        try:
            head = self.book.head(chain)
        except MaillonError:
            head = None
        start = genesis_hash(fed, chain)
        seen = [block for block in self._seen.values() if block.chain == chain]
        if seen and self.rng.random() < 0.3:
            # A lock that nobody voted for, in a term just below.
            block = self.rng.choice(seen)
            term = Term(max(1, message.term.counter), bytes(16), message.term.key)
            lie = wire.LockAt(block.h, term, block.hash)
            at = (0, start) if head is None else (head.h, head.hash)
            return wire.Promise.sign(
                self.key, fed, chain, message.term, *at, lie, lock_qc=b"\x90",
                lock_block=wire.encode_proposed(block),
            )  # fmt: skip
        if head is None or head.certificate is None or self.rng.random() < 0.5:
            return wire.Promise.sign(self.key, fed, chain, message.term, 0, start)
        return wire.Promise.sign(
            self.key, fed, chain, message.term, head.h, head.hash,
            certificate=head.certificate.encode(),
        )  # fmt: skip

    def _forged_blocks(self, message: wire.Get) -> tuple[Block, ...]:
        if self.rng.random() < 0.6:
            return ()
        try:
            blocks = list(self.book.blocks(message.chain, message.from_h, message.from_h))
        except MaillonError:
            return ()
        return tuple(
            replace(block, header=replace(block.header, time=block.header.time + 1))
            for block in blocks
        )

    def _forged_heads(self) -> wire.Heads:
        heads: list[tuple[Header, bytes]] = []
        for chain in sorted(self.book.chains()):
            head = self.book.head(chain)
            if head.header is not None and head.certificate is not None:
                taller = replace(head.header, h=head.h + 1, prev=head.hash)
                heads.append((taller, head.certificate.encode()))
        return wire.Heads(tuple(heads))


class LyingWriter:
    """Opens terms of its own on a chain, beside the honest writer that has the same key."""

    def __init__(self, book: Book, chain: bytes, key: SimKey, rng: Random) -> None:
        self.book = book
        self.chain = chain
        self.key = key
        self.rng = rng
        self.highest = 1
        self.quiet = False
        self._term: Term | None = None
        self._phase = ""
        self._next = 0
        self._promises: dict[bytes, wire.Promise] = {}
        self._blocks: list[Block] = []
        self._votes: dict[tuple[Term, bytes], dict[bytes, tuple[int, bytes]]] = {}
        self._commits: dict[tuple[Term, bytes], dict[bytes, bytes]] = {}
        self._about: dict[bytes, Block] = {}
        self._hidden: list[Certificate] = []
        self.make_blocks: list[Block] = []
        """Blocks to choose from, valid ones first; the machine fills it in."""

    def tick(self, now: int) -> Step:
        """Go on with the lie, or begin another."""
        if self.quiet or now < self._next:
            return Step()
        self._next = now + self.rng.choice((1, TURN_S, 3 * TURN_S))
        if self._hidden and self.rng.random() < 0.3:
            return self._to_some(wire.Final(self._hidden.pop()))
        if self._phase == "opened" and self.make_blocks:
            return self._propose()
        if self._phase == "prepared" and self._promises and self.rng.random() < 0.8:
            return self._open()
        return self._prepare()

    def _committee(self) -> tuple[bytes, ...]:
        return self.book.charter_state(self.book.governing(self.chain)).committee().keys

    def _to_some(self, message: Message, share: float = 0.7) -> Step:
        return Step(
            sends=tuple(
                Send(witness, message)
                for witness in self._committee()
                if self.rng.random() < share
            )
        )

    def _prepare(self) -> Step:
        stale = self.rng.random() < 0.2
        counter = max(1, self.highest - 1 if stale else self.highest + self.rng.choice((0, 1)))
        self._term = Term(counter, self.rng.randbytes(16), self.key.public)
        self.highest = max(self.highest, counter)
        self._promises = {}
        self._phase = "prepared"
        message = wire.Prepare.sign(self.key, self.book.fed, self.chain, self._term)
        return self._to_some(message, 0.9)

    def _open(self) -> Step:
        assert self._term is not None
        self._phase = "opened"
        given = list(self._promises.values())
        self.rng.shuffle(given)
        # Promises that show no lock first: what was locked is to be forgotten.
        given.sort(key=lambda promise: promise.lock is not None)
        committee = self.book.charter_state(self.book.governing(self.chain)).committee()
        count = committee.quorum if self.rng.random() < 0.8 else committee.quorum - 1
        shown = tuple(given[: max(1, count)])
        if self.rng.random() < 0.1:
            shown = (shown[0], *shown)  # one of them twice
        return self._to_some(wire.Opening(self.chain, self._term, shown), 0.9)

    def _propose(self) -> Step:
        assert self._term is not None
        self._phase = ""
        if self.rng.random() < 0.3:
            self._phase = "opened"  # and once more, in the same term
        count = min(len(self.make_blocks), self.rng.choice((1, 2, 2)))
        chosen = self.rng.sample(self.make_blocks, count)
        sends: list[Send] = []
        for witness in self._committee():
            some = chosen if self.rng.random() < 0.3 else [self.rng.choice(chosen)]
            for block in some:
                self._about[block.hash] = block
                message = wire.Propose.sign(self.key, self.book.fed, self._term, block)
                sends.append(Send(witness, message))
        return Step(sends=tuple(sends))

    def handle(self, witness: bytes, message: Message, now: int) -> Step:
        """Gather what suits."""
        if self.quiet:
            return Step()
        if isinstance(message, wire.Promise) and message.term == self._term:
            self._promises[witness] = message
        elif isinstance(message, wire.Refuse):
            self.highest = max(self.highest, message.term.counter)
            if message.reason == "term":
                self.highest += 1
        elif isinstance(message, wire.Vote):
            votes = self._votes.setdefault((message.term, message.block), {})
            votes[witness] = (message.counter, message.signature)
            return self._lock(message)
        elif isinstance(message, wire.Commit):
            commits = self._commits.setdefault((message.term, message.block), {})
            commits[witness] = message.signature
            return self._final(message)
        return Step()

    def _lock(self, vote: wire.Vote) -> Step:
        votes = self._votes[(vote.term, vote.block)]
        try:
            committee = self.book.charter_state(vote.c).committee()
            quorum = VoteQC.gather(
                committee, vote.c, vote.chain, vote.h, vote.term, vote.block, votes
            )
        except MaillonError:
            return Step()
        return self._to_some(wire.Lock(quorum), self.rng.choice((0.3, 0.6, 1.0)))

    def _final(self, commit: wire.Commit) -> Step:
        commits = self._commits[(commit.term, commit.block)]
        try:
            committee = self.book.charter_state(commit.c).committee()
            certificate = Certificate.gather(
                committee, commit.c, commit.chain, commit.h, commit.term, commit.block, commits
            )
        except MaillonError:
            return Step()
        if self.rng.random() < 0.5:
            self._hidden.append(certificate)
            return Step()
        return self._to_some(wire.Final(certificate), self.rng.choice((0.3, 1.0)))


def spoilt(block: Block, rng: Random) -> Block:
    """Return a block with one thing wrong in its header."""
    header = block.header
    wrong = rng.choice(("time", "state", "history", "charter", "adopts", "height", "early"))
    if wrong == "time":
        return replace(block, header=replace(header, time=header.time + 1_000))
    if wrong == "state":
        return replace(block, header=replace(header, state_root=bytes(32)))
    if wrong == "history":
        return replace(block, header=replace(header, history_root=bytes(32)))
    if wrong == "charter":
        return replace(block, header=replace(header, c=header.c + 1, c2=header.c2 + 1))
    if wrong == "adopts":
        return replace(block, header=replace(header, c2=header.c2 + 1))
    if wrong == "height":
        return replace(block, header=replace(header, h=header.h + 1))
    return replace(block, header=replace(header, time=max(0, header.time - 5_000)))


def blocks_to_lie_with(
    book: Book, chain: bytes, wishes: Sequence[Wish], rng: Random, now: int
) -> list[Block]:
    """Return up to two valid blocks of some of these wishes, and now and then a spoilt one."""
    made: list[Block] = []
    for _ in range(2):
        some = [wish for wish in wishes if rng.random() < 0.5]
        try:
            built = build_block(
                book, chain, some, time=now, adopt=book.governing(chain),
                salt=Salts(rng.randbytes(16)),
            )  # fmt: skip
        except MaillonError:
            continue
        if built.block is not None:
            made.append(built.block)
            if rng.random() < 0.15:
                made.append(spoilt(built.block, rng))
    return made
