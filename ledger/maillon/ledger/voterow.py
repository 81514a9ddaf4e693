"""Hold what a witness has promised on one chain, as it stands on its disk (spec/06-ledger.md).

One row a chain: the promised term, the opening, the vote, the lock, the counter of votes, and the
holds it voted to void. A row is a value; each step of the witness makes a new one, which is
committed before the answer that depends on it leaves.

    row = [[t, prepare signature] | [], [c, t, S, K | b""] | [], [c, h, t, H, signature] | [],
           lock QC | b"", counter, [h, hold ids joined] | [h] | []]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from maillon.ledger import _read as read
from maillon.ledger.limits import (
    COUNTER_MAX,
    HASH_BYTES,
    HEIGHT_MAX,
    VOTE_QC_BYTES_MAX,
)
from maillon.ledger.quorum import ZERO_TERM, Term, VoteQC, decode_vote_qc, term_from
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.ids import SIGNATURE_BYTES

VOIDS_MAX: Final = 2_048
"""Holds that a witness remembers to have voted to void at one height, over all terms: eight full
blocks. Beyond, it acknowledges no confirmation until the height is decided."""

ROW_BYTES_MAX: Final = VOTE_QC_BYTES_MAX + VOIDS_MAX * 34 + 1_024
"""A vote row: the lock's votes weigh most."""


@dataclass(frozen=True, slots=True)
class Opened:
    """That a term was opened: under charter `c`, from height `start` (S), where `keep` (K) has to
    be proposed again unless it is empty."""

    c: int
    term: Term
    start: int
    keep: bytes


@dataclass(frozen=True, slots=True)
class Voted:
    """A vote under charter `c` for block `block` (H), and the writer's signature of the proposal,
    kept as evidence."""

    c: int
    h: int
    term: Term
    block: bytes
    proposal: bytes


@dataclass(frozen=True, slots=True)
class VoteRow:
    """What a witness has promised on one chain. `promised` is below every term at first.

    `prepare` is the writer's signature (64) over `promised`, empty when an opening or a lock told
    of the term first. `voids` are the holds that votes at `voids_h` would void; None when there
    were too many to remember.
    """

    promised: Term = ZERO_TERM
    prepare: bytes = b""
    opened: Opened | None = None
    vote: Voted | None = None
    lock: VoteQC | None = None
    counter: int = 0
    voids_h: int = 0
    voids: frozenset[bytes] | None = field(default_factory=frozenset[bytes])

    def encode(self) -> bytes:
        """Return the row's bytes."""
        opened, vote = self.opened, self.vote
        # An array of the format has at most 1,024 items; two thousand ids go as one string.
        voids: list[Encodable] = []
        if self.voids is None:
            voids = [self.voids_h]
        elif self.voids:
            voids = [self.voids_h, b"".join(sorted(self.voids))]
        return encoding.encode(
            [
                [] if self.promised == ZERO_TERM else [self.promised.array(), self.prepare],
                []
                if opened is None
                else [opened.c, opened.term.array(), opened.start, opened.keep],
                []
                if vote is None
                else [vote.c, vote.h, vote.term.array(), vote.block, vote.proposal],
                b"" if self.lock is None else self.lock.encode(),
                self.counter,
                voids,
            ],
            bytes_max=ROW_BYTES_MAX,
        )


def decode_row(data: bytes) -> VoteRow:
    """Read a row that `VoteRow.encode` wrote.

    Raises: Malformed when the disk gives back something else: the witness must not start then.
    """
    parts = read.items(read.array(data, ROW_BYTES_MAX, "vote_row"), "vote_row", 6, 6)
    promised, prepare = ZERO_TERM, b""
    if parts[0]:
        term, signature = read.items(parts[0], "vote_row", 2, 2)
        promised = term_from(term)
        prepare = read.optional(signature, SIGNATURE_BYTES, "vote_row")
    opened = None
    if parts[1]:
        c, term, start, keep = read.items(parts[1], "vote_row", 4, 4)
        opened = Opened(
            read.number(c, "vote_row"),
            term_from(term),
            read.number(start, "vote_row", 1, HEIGHT_MAX),
            read.optional(keep, HASH_BYTES, "vote_row"),
        )
    vote = None
    if parts[2]:
        c, h, term, block, proposal = read.items(parts[2], "vote_row", 5, 5)
        vote = Voted(
            read.number(c, "vote_row"),
            read.number(h, "vote_row", 1, HEIGHT_MAX),
            term_from(term),
            read.fixed(block, HASH_BYTES, "vote_row"),
            read.fixed(proposal, SIGNATURE_BYTES, "vote_row"),
        )
    lock_bytes = read.bounded(parts[3], VOTE_QC_BYTES_MAX, "vote_row")
    voids_h = 0
    voids: frozenset[bytes] | None = frozenset()
    if parts[5]:
        given = read.items(parts[5], "vote_row", 1, 2)
        voids_h = read.number(given[0], "vote_row", 1, HEIGHT_MAX)
        if len(given) == 1:
            voids = None
        else:
            joined = read.bounded(given[1], VOIDS_MAX * HASH_BYTES, "vote_row")
            voids = frozenset(
                joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)
            )
    return VoteRow(
        promised,
        prepare,
        opened,
        vote,
        decode_vote_qc(lock_bytes) if lock_bytes else None,
        read.number(parts[4], "vote_row", 0, COUNTER_MAX),
        voids_h,
        voids,
    )
