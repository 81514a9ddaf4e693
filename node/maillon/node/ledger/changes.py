"""Propose changes of the charter, gather the coops' approvals, and say which chains to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from maillon.ledger import signing
from maillon.ledger.block import Approval
from maillon.ledger.book import Book
from maillon.ledger.build import arrivals
from maillon.ledger.charter_entries import CharterEntry
from maillon.ledger.charter_proposals import Gathered, decode_proposal
from maillon.ledger.errors import CharterRefused
from maillon.ledger.messages import Proposal, ProposalHint
from maillon.ledger.signing import Signer
from maillon.ledger.steps import Step
from maillon.node.ledger.staging import StagedDisk
from maillon.protocol.errors import LocalError


class CoopLeft(LocalError):
    """This coop has left the accounts: nothing is given from them any more."""

    code = "coop_left"
    sentence = "The coop has left the accounts; nothing is given from them any more."


class Speaker(Protocol):
    """Who this node speaks for."""

    @property
    def coop(self) -> bytes: ...

    @property
    def writer(self) -> Signer | None: ...

    @property
    def random(self) -> Callable[[int], bytes]: ...


class Changes:
    """The open proposals, as this node knows them."""

    def __init__(self, book: Book, speaker: Speaker, disk: StagedDisk) -> None:
        self._book = book
        self._speaker = speaker
        self._disk = disk
        self.news: list[ProposalHint] = []
        """Proposals and approvals to make known."""

    def propose(self, entries: list[CharterEntry], title: str) -> Gathered:
        """Propose a change and approve it for this coop; return what is gathered now.

        Raises: CharterRefused and what else the change breaks; KeyError without a writer key.
        """
        proposal = self._book.charter.propose(entries, title)
        return self._approve(proposal.hash, proposal.encode())

    def approve(self, hash: bytes) -> Gathered:
        """Approve an open proposal for this coop. Raises: CharterRefused."""
        gathered = self._book.charter.proposal(hash)
        if gathered is None:
            raise CharterRefused(reason="stale")
        return self._approve(hash, gathered.proposal.encode())

    def _approve(self, hash: bytes, data: bytes) -> Gathered:
        key = self._speaker.writer
        assert key is not None
        signature = signing.sign(key, signing.APPROVE, self._book.fed, hash)
        approval = Approval(self._speaker.coop, signature)
        self.take(Proposal(data, (approval,)))
        gathered = self._book.charter.proposal(hash)
        assert gathered is not None, "what was taken is open"
        return gathered

    def take(self, message: Proposal | ProposalHint) -> Step:
        """Keep a proposal and its approvals; what is new of them is made known to all.

        Raises: what is wrong with it; nothing changes then.
        """
        charter = self._book.charter
        proposal = decode_proposal(message.proposal)
        writes = charter.keep(proposal, message.approvals)
        if not writes:
            return Step()
        self._disk.commit(writes)
        gathered = charter.proposal(proposal.hash)
        assert gathered is not None
        self.news.append(ProposalHint(gathered.proposal.encode(), gathered.approvals))
        return Step()

    def open(self) -> list[Gathered]:
        """Return the proposals about the present charter."""
        return list(self._book.charter.proposals())

    def has_left(self) -> bool:
        """Tell whether this coop has left, and its chain knows it: its writer's blocks are over."""
        own = self._speaker.coop
        latest = self._book.charter.latest.coops.get(own)
        if latest is None or not latest.removed:
            return False
        governing = self._book.charter_state(self._book.governing(own)).coops.get(own)
        return governing is not None and governing.removed

    def chains_to_write(self) -> list[bytes]:
        """Return the chains that this coop's writer should be open for.

        Its own; those of absent coops that the charter trusts it with, until they stand at the
        present charter and have taken what was sent to them; the charter's own while a proposal has
        its approvals.
        """
        charter = self._book.charter.latest
        own = self._speaker.coop
        chains: list[bytes] = []
        mine = charter.coops.get(own)
        if mine is not None and not mine.removed and mine.writer:
            chains.append(own)
        for coop in charter.coops.values():
            if coop.trustee == own and coop.id != own:
                behind = self._book.head(coop.id).adopted < charter.height
                if behind or next(arrivals(self._book, coop.id, 1), None) is not None:
                    chains.append(coop.id)
        if chains and any(True for _ in self._book.charter.ready()):
            chains.append(self._book.fed)
        return chains
