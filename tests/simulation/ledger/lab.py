"""A bench for directed scripts: real books and witnesses, and a hand that shows them messages.

Nothing is lost or late here: `ask` shows one witness one message, commits what it writes and
returns what it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from maillon.ledger import messages as wire
from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.build import Wish, build_block
from maillon.ledger.charter import approve
from maillon.ledger.charter_entries import CharterEntry
from maillon.ledger.messages import Message
from maillon.ledger.quorum import Certificate, Committee, Term, VoteQC
from maillon.ledger.steps import Step
from maillon.ledger.witness import Witness
from maillon.protocol.founding import Founding, FoundingCoop, LedgerTerms
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import SigningKey, coop_id
from simulation.ledger.disk import SimDisk
from simulation.ledger.keys import MacKey, verify_mac
from simulation.ledger.plan import LIMITS, UNITS

NOW = 1_700_000_000
M = TypeVar("M")


class Lab:
    """`coops` founding coops, of which the first `witnesses` have a witness."""

    def __init__(self, coops: int, witnesses: int, quorum: int, *, approvals: int = 1) -> None:
        self.roots = [MacKey(f"root {i}") for i in range(coops)]
        self.writers = [MacKey(f"writer {i}") for i in range(coops)]
        self.keys: list[MacKey] = [MacKey(f"witness {i}") for i in range(coops)]
        self.ids: list[CoopId] = [coop_id(root.public) for root in self.roots]
        self.founding = Founding(
            "Laboratory",
            bytes(16),
            NOW,
            tuple(
                FoundingCoop(
                    self.roots[i].public, MacKey(f"node {i}").public, f"coop {i}", (),
                    self.writers[i].public,
                    self.keys[i].public if i < witnesses else b"",
                )
                for i in range(coops)
            ),
            1,
            UNITS,
            ledger=LedgerTerms(quorum, approvals, 100, 1_000, LIMITS),
        )  # fmt: skip
        self.fed: bytes = self.founding.fed
        self.disks = [SimDisk() for _ in range(coops)]
        self.books: list[Book] = []
        self.witnesses: list[Witness] = []
        self.salts = 0
        for place in range(coops):
            self.books.append(Book(self.founding, self.disks[place], verify_mac))
            self.witnesses.append(self._witness(place))

    def _witness(self, place: int) -> Witness:
        return Witness(self.books[place], self.keys[place], self.disks[place], verify_mac)

    def restart(self, place: int) -> None:
        """Start a machine again from its disk."""
        self.books[place] = Book(self.founding, self.disks[place], verify_mac)
        self.witnesses[place] = self._witness(place)

    def salt(self, size: int) -> bytes:
        """Return bytes that differ at each call, and are the same in each run."""
        self.salts += 1
        return self.salts.to_bytes(size, "big")

    # --- One witness ----------------------------------------------------------------------------

    def ask(self, place: int, message: Message, now: int = NOW) -> list[Message]:
        """Show a witness a message and return its answers."""
        step: Step = self.witnesses[place].handle(b"", message, now)
        self.disks[place].commit(step.writes)
        return [send.message for send in step.sends]

    def answer(self, place: int, message: Message, kind: type[M], now: int = NOW) -> M | None:
        """Show a witness a message and return its answer of this kind, or None."""
        return next((a for a in self.ask(place, message, now) if isinstance(a, kind)), None)

    # --- Rounds ---------------------------------------------------------------------------------

    def term(self, writer: int, counter: int) -> Term:
        """Return a term of a coop's writer."""
        return Term(counter, bytes([counter]) * 16, self.writers[writer].public)

    def prepare(self, chain: bytes, writer: int, term: Term) -> wire.Prepare:
        """Sign a PREPARE."""
        return wire.Prepare.sign(self.writers[writer], self.fed, chain, term)

    def promises(
        self, chain: bytes, writer: int, term: Term, places: Sequence[int], now: int = NOW
    ) -> tuple[wire.Promise, ...]:
        """Ask witnesses for their promises; those that refuse are left out."""
        message = self.prepare(chain, writer, term)
        given = [self.answer(place, message, wire.Promise, now) for place in places]
        return tuple(promise for promise in given if promise is not None)

    def votes(
        self, writer: int, term: Term, block: Block, places: Sequence[int], now: int = NOW
    ) -> dict[bytes, wire.Vote]:
        """Propose a block and return the votes."""
        message = wire.Propose.sign(self.writers[writer], self.fed, term, block)
        given = [self.answer(place, message, wire.Vote, now) for place in places]
        return {vote.witness: vote for vote in given if vote is not None}

    def quorum(self, committee: Committee, votes: dict[bytes, wire.Vote]) -> VoteQC:
        """Make a quorum of votes. Raises: NoQuorum."""
        vote = next(iter(votes.values()))
        given = {key: (v.counter, v.signature) for key, v in votes.items()}
        return VoteQC.gather(
            committee, vote.c, vote.chain, vote.h, vote.term, vote.block, given
        )

    def commits(self, votes: VoteQC, places: Sequence[int]) -> dict[bytes, wire.Commit]:
        """Show witnesses a quorum of votes and return their commits."""
        given = [self.answer(place, wire.Lock(votes), wire.Commit) for place in places]
        return {commit.witness: commit for commit in given if commit is not None}

    def certificate(
        self, committee: Committee, commits: dict[bytes, wire.Commit]
    ) -> Certificate | None:
        """Make a certificate, or return None when the commits are too few."""
        if len(commits) < committee.quorum:
            return None
        one = next(iter(commits.values()))
        given = {key: commit.signature for key, commit in commits.items()}
        return Certificate.gather(
            committee, one.c, one.chain, one.h, one.term, one.block, given
        )

    def committee(self, c: int, place: int = 0) -> Committee:
        """Return the committee of a charter that a machine knows."""
        return self.books[place].charter_state(c).committee()

    # --- Whole blocks ---------------------------------------------------------------------------

    def block(
        self, chain: bytes, *wishes: Wish, place: int = 0, adopt: int = 0, time: int = NOW
    ) -> Block:
        """Build the next block of a chain."""
        built = build_block(
            self.books[place], chain, wishes, time=time, adopt=adopt, salt=self.salt
        )
        assert built.block is not None and not built.refused, built.refused
        return built.block

    def certify(self, block: Block, writer: int, counter: int) -> Certificate:
        """Have a block certified by all witnesses of its charter, and applied everywhere."""
        committee = self.committee(block.header.c)
        places = [p for p, key in enumerate(self.keys) if key.public in committee]
        term = self.term(writer, counter)
        now = max(NOW, block.header.time)
        promises = self.promises(block.chain, writer, term, places, now)
        for place in places:
            self.ask(place, wire.Opening(block.chain, term, promises), now)
        votes = self.votes(writer, term, block, places, now)
        found = self.certificate(committee, self.commits(self.quorum(committee, votes), places))
        assert found is not None
        self.apply(block, found.encode())
        return found

    def apply(self, block: Block, certificate: bytes) -> None:
        """Let all machines apply a certified block."""
        for book, disk in zip(self.books, self.disks, strict=True):
            disk.commit(book.apply(block, certificate))

    def charter_block(
        self, entries: Sequence[CharterEntry], approvers: Sequence[int] = (0,)
    ) -> Block:
        """Build the charter's next block, approved by some coops."""
        charter = self.books[0].charter
        proposal = charter.propose(entries)
        approvals = [
            approve(self.fed, proposal.hash, self.ids[a], cast(SigningKey, self.writers[a]))
            for a in approvers
        ]
        return charter.build(proposal.entries, approvals, time=NOW)
