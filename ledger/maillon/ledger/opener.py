"""Propose the charter's next block, as any coop may (spec/06-ledger.md, E1).

The writer's machine is the same as a coop's; what differs is where a block comes from: proposals
that have their approvals. To keep the coops from opening all at once, each waits its turn, which
the proposal's hash draws; witnesses' leases settle what is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from maillon.ledger import bounds
from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.charter_proposals import Gathered
from maillon.ledger.sources import Blame, Candidate
from maillon.ledger.steps import Notice
from maillon.protocol.errors import MaillonError


class CharterSource:
    """Proposals for the charter that are approved, proposed by one coop when its turn comes."""

    def __init__(self, book: Book, coop: bytes) -> None:
        self._book = book
        self._coop = coop
        self._seen: dict[bytes, int] = {}
        self._bad: set[bytes] = set()
        self._stalled_until = 0

    def due(self, now: int) -> bool:
        """Tell whether a proposal is ready and this coop's turn has come."""
        if now < self._stalled_until:
            return False
        return any(self._turn(ready, now) <= now for ready in self._ready())

    def wake(self, now: int) -> int | None:
        """Return when this coop's turn comes, or None."""
        turns = [self._turn(ready, now) for ready in self._ready()]
        return max(min(turns), self._stalled_until) if turns else None

    def build(self, now: int) -> tuple[Candidate | None, list[Notice]]:
        """Return the block of the first proposal that is ready."""
        for ready in self._ready():
            if self._turn(ready, now) > now:
                continue
            try:
                block = self._book.charter.build_proposal(ready.proposal.hash, time=now)
                return Candidate(block, self._book.check(block)), []
            except MaillonError as error:
                if not error.pending:
                    self._bad.add(ready.proposal.hash)
        # What is missing here may have come by then.
        self._stalled_until = now + bounds.REBUILD_S
        return None, []

    def refused(
        self, block: Block, reasons: Sequence[str], blamed: Sequence[Blame]
    ) -> list[Notice]:
        """Return nothing: another opener, or a later turn, may do better."""
        return []

    def decided(self, block: Block) -> list[Notice]:
        """Forget the proposals, which were about the charter before this one."""
        self._seen.clear()
        self._bad.clear()
        self._stalled_until = 0
        return []

    def _ready(self) -> list[Gathered]:
        found = self._book.charter.ready()
        return [ready for ready in found if ready.proposal.hash not in self._bad]

    def _turn(self, ready: Gathered, now: int) -> int:
        proposal = ready.proposal.hash
        seen = self._seen.setdefault(proposal, now)
        return seen + self._rank(proposal) * bounds.OPENER_TURN_S

    def _rank(self, proposal: bytes) -> int:
        def drawn(coop: bytes) -> bytes:
            return hashlib.sha256(proposal + coop).digest()

        own = drawn(self._coop)
        members = self._book.charter.latest.members()
        before = sum(drawn(coop.id) < own for coop in members)
        return min(before, bounds.OPENER_TURNS_MAX)
