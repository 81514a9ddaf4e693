"""Keep what a witness has promised, on its disk and in memory (spec/06-ledger.md, "What a witness
keeps").

The rules themselves are in `witness`; here is what they look at, and how it changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from maillon.ledger import bounds
from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.bucket import Bucket
from maillon.ledger.catchup import Catchup
from maillon.ledger.charter import CheckedCharter
from maillon.ledger.check import Checked
from maillon.ledger.confirmations import Confirmations
from maillon.ledger.errors import LedgerError, NeedBlocks
from maillon.ledger.lease import Leases
from maillon.ledger.messages import TEXT_BYTES_MAX, Failure, Message, Need
from maillon.ledger.misbehaviour import Misbehaviour
from maillon.ledger.quorum import Committee, Term, VoteQC
from maillon.ledger.rounds import (
    Commit,
    Prepare,
    Propose,
    Refuse,
    Vote,
    decode_proposed,
    encode_proposed,
)
from maillon.ledger.signing import Check, Signer, Verify
from maillon.ledger.steps import Disk, Send, Step, Write
from maillon.ledger.voterow import Voted, VoteRow, decode_row
from maillon.protocol.errors import BadSignature, MaillonError

VOTES: Final = "vote"
BODIES: Final = "body"
SELF: Final = "self"
STOPPED: Final = b"stopped"

_COMMITTEES_MAX: Final = 16
"""Committees kept at hand: chains are governed by the last few charters."""

AnyChecked = Checked | CheckedCharter


class UnexpectedMessage(LedgerError):
    """A message came to who has no business with it, or out of its place."""

    code = "unexpected_message"
    sentence = "Nobody here takes such a message."


class WitnessStopped(LedgerError):
    """W8: the witness has lost votes it gave, and signs nothing more."""

    code = "witness_stopped"
    sentence = "This witness has stopped for good."
    excusable = True


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """What an operator, or a simulation of small machines, may set differently."""

    tokens_per_s: int = bounds.TOKENS_PER_S
    tokens_burst: int = bounds.TOKENS_BURST
    lease_s: int = bounds.LEASE_S
    clock_ahead_s_max: int = bounds.CLOCK_AHEAD_S_MAX


def answer(*messages: Message) -> Step:
    """Return a step that answers whoever asked, and does nothing else."""
    return Step(sends=tuple(Send(b"", message) for message in messages))


def failure(error: MaillonError) -> Step:
    """Return a step that answers with an error."""
    text = error.message.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")
    return answer(Failure(error.code, text))


class WitnessState:
    """The state of one witness on all chains, and what every rule uses of it.

    `disk` is read at the start and for bodies; nothing here writes: steps say what to write.
    `signed` is told of every vote and commit that the witness signs: a verifier that remembers what
    is good need not check them when they come back in a quorum.
    `stopped` says why the witness signs nothing any more (W8), or is None.
    """

    def __init__(
        self,
        book: Book,
        key: Signer,
        disk: Disk,
        verify: Verify,
        *,
        frauds: Misbehaviour | None = None,
        settings: WitnessSettings | None = None,
        signed: Callable[[Check], None] | None = None,
    ) -> None:
        self._book = book
        self._fed = book.fed
        self._key = key
        self._disk = disk
        self._verify = verify
        self._settings = settings or WitnessSettings()
        self._tell_signed = signed
        self.frauds = Misbehaviour(book, disk, verify) if frauds is None else frauds
        self._catchup = Catchup(book)
        self._confirmations = Confirmations(book, disk, verify)
        self._leases = Leases(self._settings.lease_s)
        self._rows = {chain: decode_row(value) for chain, value in disk.scan(VOTES)}
        self._buckets: dict[bytes, Bucket] = {}
        self._committees: dict[int, Committee] = {}
        self._writers: dict[bytes, frozenset[bytes]] = {}
        self._writers_at = -1
        self._bodies: OrderedDict[bytes, Block] = OrderedDict()
        # The last block checked of each chain: FINAL follows PROPOSE, and what was checked need not
        # be checked again.
        self._checked: dict[bytes, AnyChecked] = {}
        reason = disk.get(SELF, STOPPED)
        self.stopped: str | None = None if reason is None else reason.decode()

    @property
    def key(self) -> bytes:
        """Return the witness's public key."""
        return self._key.public

    def row(self, chain: bytes) -> VoteRow:
        """Return what is promised on a chain."""
        return self._rows.get(chain, VoteRow())

    # --- What the rules ask ---------------------------------------------------------------------

    def _live_lock(self, chain: bytes, row: VoteRow) -> VoteQC | None:
        """Return the lock at head + 1; one below is decided, one of a void epoch never counts.

        Raises: NeedBlocks when it is above that: this node has lost blocks it once had.
        """
        lock = row.lock
        h = self._h(chain) + 1
        if lock is None or lock.h < h or self._void(chain, lock.c, lock.h):
            return None
        if lock.h > h:
            # A promise that showed the head that is left would hide what was committed above it.
            raise NeedBlocks(chain=chain, from_h=h)
        return lock

    def _live_vote(self, chain: bytes, row: VoteRow) -> Voted | None:
        """Return the vote at head + 1, or None.

        Raises: NeedBlocks when it is above that, as `_live_lock`.
        """
        vote = row.vote
        h = self._h(chain) + 1
        if vote is None or vote.h < h or self._void(chain, vote.c, vote.h):
            return None
        if vote.h > h:
            raise NeedBlocks(chain=chain, from_h=h)
        return vote

    def _void(self, chain: bytes, c: int, h: int) -> bool:
        return self._book.charter.void(chain, c, h)

    def _no_writer(self, chain: bytes, key: bytes) -> str:
        """Return why a key may not write on a chain, or nothing."""
        latest = self._book.charter.latest
        if self._writers_at != latest.height:
            self._writers_at = latest.height
            self._writers.clear()
        writers = self._writers.get(chain)
        if writers is None:
            if chain != self._fed and chain not in latest.coops:
                return "unknown_chain"
            writers = self._writers[chain] = latest.writers(chain)
        if key not in writers or self.frauds.barred(chain, key):
            return "unauthorised"
        return ""

    def _signed(self, given: Vote | Commit) -> None:
        if self._tell_signed is not None:
            self._tell_signed(given.check(self._fed))

    def _h(self, chain: bytes) -> int:
        return self._book.head(chain).h

    def _governing(self, chain: bytes, h: int) -> tuple[int, Committee]:
        """Return charter height and committee of a block at `h`, head + 1 at most.

        Raises: NeedBlocks, CharterUnknown.
        """
        if h == self._h(chain) + 1:
            c = self._book.governing(chain)
        else:
            c = self._book.header_at(chain, h).c
        found = self._committees.get(c)
        if found is None:
            if len(self._committees) >= _COMMITTEES_MAX:
                self._committees.clear()
            found = self._committees[c] = self._book.charter_state(c).committee()
        return c, found

    def _need_charter(self) -> Need:
        return Need(self._fed, self._book.charter.height + 1)

    def _bucket(self, chain: bytes) -> Bucket:
        found = self._buckets.get(chain)
        if found is None:
            # Only chains of the charter come here, so there are as many as coops.
            settings = self._settings
            found = self._buckets[chain] = Bucket(settings.tokens_per_s, settings.tokens_burst)
        return found

    def _require_signed(self, m: Prepare | Propose) -> None:
        if not all(self._verify([m.check(self._fed)])):
            raise BadSignature(key=m.term.key)

    def _refuse(self, chain: bytes, term: Term, h: int, reason: str, evidence: bytes = b"") -> Step:
        return answer(Refuse.sign(self._key, self._fed, chain, term, h, reason, evidence))

    def _refuse_term(self, chain: bytes, term: Term, row: VoteRow, reason: str = "term") -> Step:
        evidence = b""
        if row.prepare:
            evidence = Prepare(chain, row.promised, row.prepare).encode()
        return self._refuse(chain, term, self._h(chain), reason, evidence)

    def _keep(self, chain: bytes, row: VoteRow, *more: Write) -> Step:
        """Change what is promised, and say what has to be on the disk before the answer leaves."""
        self._rows[chain] = row
        return Step((*more, Write(VOTES, chain, row.encode())))

    # --- Bodies ---------------------------------------------------------------------------------

    def _body(self, chain: bytes, block: bytes) -> Block | None:
        found = self._bodies.get(block)
        if found is None:
            data = self._disk.get(BODIES, chain + block)
            if data is None:
                return None
            found = decode_proposed(data)
            self._remember(found)
        return found

    def _remember(self, block: Block) -> None:
        self._bodies[block.hash] = block
        self._bodies.move_to_end(block.hash)
        while len(self._bodies) > bounds.BODIES_CACHED_MAX:
            self._bodies.popitem(last=False)

    def _store_body(self, chain: bytes, block: Block, row: VoteRow) -> tuple[Write, ...]:
        self._remember(block)
        return (Write(BODIES, chain + block.hash, encode_proposed(block)),)

    def _drop_bodies(self, chain: bytes, before: VoteRow, after: VoteRow) -> tuple[Write, ...]:
        """Forget the bodies that neither vote nor lock names any more."""
        gone = bodies_of(before) - bodies_of(after)
        for block in gone:
            self._bodies.pop(block, None)
        return tuple(Write(BODIES, chain + block, None) for block in sorted(gone))


def bodies_of(row: VoteRow) -> set[bytes]:
    """Return the blocks whose bodies a row keeps on the disk."""
    return {found.block for found in (row.vote, row.lock) if found is not None}
