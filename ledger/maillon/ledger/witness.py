"""Vote for blocks so that no two are ever certified at one height (spec/06-ledger.md, W1 to W8).

A pure state machine: a message and the time in, writes and answers out (`steps`). What it promised
stands in one row a chain (`voterow`); its heads are the book's. The caller commits the writes
before any answer leaves.

Every decision on which safety rests is a small method of its own, so that a simulation can break
one at a time and show that it notices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from typing import Final as Constant

from maillon.ledger import bounds
from maillon.ledger.block import Block
from maillon.ledger.catchup import certified
from maillon.ledger.check import Checked
from maillon.ledger.entries import Void, confirmation_hash
from maillon.ledger.errors import (
    BadConfirmation,
    ChainUnknown,
    CharterUnknown,
    HoldUnknown,
    NeedBlocks,
    NoQuorum,
)
from maillon.ledger.fraud import TwoProposals, decode_fraud
from maillon.ledger.messages import (
    Ack,
    AskHeads,
    Blocks,
    Confirm,
    FraudReport,
    Get,
    Heads,
    Message,
    Need,
    Ok,
)
from maillon.ledger.misbehaviour import double_votes
from maillon.ledger.openings import find_opening, signed_promises
from maillon.ledger.quorum import LEAST_TERM, Certificate, Term, VoteQC
from maillon.ledger.rounds import (
    Commit,
    Done,
    Echo,
    Final,
    Lock,
    LockAt,
    Opening,
    Prepare,
    Promise,
    Propose,
    Vote,
    encode_proposed,
)
from maillon.ledger.steps import NeedsBlocks, Step, Stopped, Stuck, Write
from maillon.ledger.told import told
from maillon.ledger.voterow import VOIDS_MAX, Opened, Voted, VoteRow
from maillon.ledger.witness_state import (
    SELF,
    STOPPED,
    AnyChecked,
    UnexpectedMessage,
    WitnessSettings,
    WitnessState,
    WitnessStopped,
    answer,
    bodies_of,
    failure,
)
from maillon.protocol.errors import MaillonError, QuotaExceeded


class Witness(WitnessState):
    """One witness: what it answers to each message."""

    def handle(self, sender: bytes, message: Message, now: int) -> Step:
        """Take one message; answers go to b"". `now` in Unix seconds.

        A message that breaks a rule is answered by ERROR with the rule's code and changes nothing;
        who passes messages on may count it against `sender`. Messages that are no witness's
        business are answered so too.
        """
        name = _HANDLERS.get(type(message))
        if name is None:
            return failure(UnexpectedMessage())
        if self.stopped is not None and type(message) in _SIGNED_ANSWERS:
            return self._silent(message)
        try:
            handler: Callable[[Any, int], Step] = getattr(self, name)
            return handler(message, now)
        except NeedBlocks as need:
            return answer(Need(need.facts["chain"], need.facts["from_h"]))
        except CharterUnknown:
            return answer(self._need_charter())
        except MaillonError as error:
            return failure(error)

    # --- W1 -------------------------------------------------------------------------------------

    def prepare(self, m: Prepare, now: int) -> Step:
        """W1: promise to follow no lower term, and show head and lock."""
        chain, term = m.chain, m.term
        row = self.row(chain)
        if self._forgot(chain, row, m.echo):
            return self._stop(chain, m)
        reason = self._no_writer(chain, term.key)
        if reason:
            return self._refuse(chain, term, self._book.charter.height, reason)
        repeated = term == row.promised and m.signature == row.prepare
        if not repeated:
            self._require_signed(m)
            if not self._bucket(chain).take(bounds.PREPARE_TOKENS, now):
                return self._refuse(chain, term, self._h(chain), "quota")
        if self._below_promised(row, term):
            return self._refuse_term(chain, term, row)
        self._live_vote(chain, row)
        if repeated:
            return answer(self._promise(chain, row))
        if term.counter - row.promised.counter > bounds.TERM_JUMP_MAX:
            return self._refuse(chain, term, self._h(chain), "quota")
        if chain == self._fed and not self._leases.take(self._head_hash(), term.key, now):
            return self._refuse_term(chain, term, row, "lease")
        row = replace(row, promised=term, prepare=m.signature)
        promise = self._promise(chain, row)
        return self._keep(chain, row) + answer(promise)

    def _head_hash(self) -> bytes:
        return self._book.head(self._fed).hash

    def _below_promised(self, row: VoteRow, term: Term) -> bool:
        # Used by W1 to W4. A vote or a lock in a term below one that was promised would be a fact
        # that the promise did not show.
        return term < row.promised

    def _promise(self, chain: bytes, row: VoteRow) -> Promise:
        head = self._book.head(chain)
        lock = self._live_lock(chain, row)
        certificate = self._book.block(chain, head.h).certificate if head.h else b""
        if lock is None:
            return Promise.sign(
                self._key,
                self._fed,
                chain,
                row.promised,
                head.h,
                head.hash,
                certificate=certificate,
            )
        body = self._body(chain, lock.block)
        assert body is not None, "a lock follows the storing of the body"
        return Promise.sign(
            self._key,
            self._fed,
            chain,
            row.promised,
            head.h,
            head.hash,
            LockAt(lock.h, lock.term, lock.block),
            certificate=certificate,
            lock_qc=lock.encode(),
            lock_block=encode_proposed(body),
        )

    # --- W2 -------------------------------------------------------------------------------------

    def open(self, m: Opening, now: int) -> Step:
        """W2: look at a quorum of promises, and keep what the term may propose."""
        chain, term = m.chain, m.term
        row = self.row(chain)
        reason = self._no_writer(chain, term.key)
        if reason:
            return self._refuse(chain, term, self._book.charter.height, reason)
        if self._below_promised(row, term):
            return self._refuse_term(chain, term, row)
        head = self._book.head(chain)
        top = max(promise.head_h for promise in m.promises)
        if top > head.h:
            raise NeedBlocks(chain=chain, from_h=head.h + 1)
        if row.opened is not None and row.opened.term == term:
            if self._governing(chain, top + 1)[0] == row.opened.c:
                return Step()
        if not self._bucket(chain).take(bounds.PREPARE_TOKENS, now):
            return self._refuse(chain, term, head.h, "quota")
        promises = [
            promise
            for promise in signed_promises(m.promises, chain, term, self._fed, self._verify)
            if self._book.hash_at(chain, promise.head_h) == promise.head
        ]
        try:
            opened = self._opening(chain, term, promises)
        except NoQuorum:
            return self._refuse(chain, term, head.h, "not_opened")
        if term != row.promised:
            row = replace(row, promised=term, prepare=b"")
        return self._keep(chain, replace(row, opened=opened))

    def _opening(self, chain: bytes, term: Term, promises: list[Promise]) -> Opened:
        return find_opening(
            promises,
            chain,
            term,
            fed=self._fed,
            verify=self._verify,
            governing=lambda h: self._governing(chain, h),
        )

    # --- W3 -------------------------------------------------------------------------------------

    def propose(self, m: Propose, now: int) -> Step:
        """W3: vote for a block, once in a term at a height, when its term may propose it."""
        chain, term, h, block = m.chain, m.term, m.h, m.block
        row = self.row(chain)
        if self._forgot(chain, row, m.echo):
            return self._stop(chain, m)
        reason = self._no_writer(chain, term.key)
        if reason:
            return self._refuse(chain, term, self._book.charter.height, reason)
        head = self._book.head(chain)
        if h <= head.h:
            return self._decided(chain, h)
        if h > head.h + 1:
            raise NeedBlocks(chain=chain, from_h=head.h + 1)
        vote = self._live_vote(chain, row)
        same = self._voted_in(vote, term)
        if same is not None and same.block == block.hash:
            return answer(self._vote(chain, row, same))
        self._require_signed(m)
        if same is not None:
            return self._two_proposals(m, same)
        if self._below_promised(row, term):
            return self._refuse_term(chain, term, row)
        c, committee = self._governing(chain, h)
        if self._key.public not in committee:
            return self._refuse(chain, term, head.h, "not_witness")
        opened = row.opened
        if opened is None or not self._is_opened(opened, c, term):
            return self._refuse(chain, term, head.h, "not_opened")
        if h < opened.start:
            return self._refuse(chain, term, head.h, "height")
        kept = self._is_kept(opened, h, block.hash)
        if not kept and self._must_keep(opened, h):
            return self._refuse(chain, term, head.h, "locked")
        cost = 1 + len(block.body.entries)
        if not kept and not self._bucket(chain).take(cost, now):
            return self._refuse(chain, term, head.h, "quota")
        try:
            checked = self._check(block)
        except MaillonError as error:
            if error.pending:
                raise
            return self._refuse(chain, term, head.h, "invalid", told(error))
        if not kept:
            reason = self._may_refuse(chain, checked, now)
            if reason:
                return self._refuse(chain, term, head.h, reason)
        return self._vote_for(m, checked, row, c)

    def _voted_in(self, vote: Voted | None, term: Term) -> Voted | None:
        """Return the vote when it was cast in this very term: a second one would be the end of
        "one vote at (h, t)"."""
        return vote if vote is not None and vote.term == term else None

    def _is_opened(self, opened: Opened, c: int, term: Term) -> bool:
        # Exactly (c, t): witnesses of another epoch promised nothing when J was made.
        return opened.c == c and opened.term == term

    def _must_keep(self, opened: Opened, h: int) -> bool:
        return h == opened.start and opened.keep != b""

    def _is_kept(self, opened: Opened, h: int, block: bytes) -> bool:
        return self._must_keep(opened, h) and opened.keep == block

    def _check(self, block: Block) -> AnyChecked:
        known = self._checked.get(block.chain)
        if isinstance(known, Checked) and known.block.hash == block.hash:
            # Checked in an earlier term, after the same head: h is the same.
            return known
        checked = self._book.check(block)
        self._checked[block.chain] = checked
        return checked

    def _vote_for(self, m: Propose, checked: AnyChecked, row: VoteRow, c: int) -> Step:
        chain, block = m.chain, m.block
        voted = Voted(c, m.h, m.term, block.hash, m.signature)
        voids_h, voids = self._voids_after(row, m.h, checked)
        # A lock below is decided. It is not needed should the head be lost: the vote above it then
        # keeps this witness from signing anything until the head is back.
        lock = row.lock if row.lock is not None and row.lock.h == m.h else None
        after = replace(
            row, vote=voted, lock=lock, counter=row.counter + 1, voids_h=voids_h, voids=voids
        )
        writes = self._store_body(chain, block, after) + self._drop_bodies(chain, row, after)
        return self._keep(chain, after, *writes) + answer(self._vote(chain, after, voted))

    def _vote(self, chain: bytes, row: VoteRow, voted: Voted) -> Vote:
        c, h, term, block = voted.c, voted.h, voted.term, voted.block
        vote = Vote.sign(self._key, self._fed, c, chain, h, term, block, row.counter)
        self._signed(vote)
        return vote

    def _voids_after(
        self, row: VoteRow, h: int, checked: AnyChecked
    ) -> tuple[int, frozenset[bytes] | None]:
        """Return the holds that votes at `h` would void, this one's included."""
        new = frozenset(checked.voids) if isinstance(checked, Checked) else frozenset[bytes]()
        known = row.voids if row.voids_h == h else frozenset[bytes]()
        if known is None or len(known | new) > VOIDS_MAX:
            return h, None
        return (h, known | new) if known or new else (0, known)

    def _two_proposals(self, m: Propose, vote: Voted) -> Step:
        a = (vote.block, vote.proposal)
        b = (m.block.hash, m.signature)
        if a > b:
            a, b = b, a
        proof = TwoProposals(m.chain, m.term, m.h, *a, *b)
        refusal = self._refuse(m.chain, m.term, self._h(m.chain), "voted", proof.encode())
        return self.frauds.take(proof) + refusal

    # --- W4 -------------------------------------------------------------------------------------

    def lock(self, m: Lock, now: int) -> Step:
        """W4: keep a block that a quorum voted for, and commit to it."""
        votes = m.votes
        chain, term, h = votes.chain, votes.term, votes.h
        if chain != self._fed and chain not in self._book.charter.latest.coops:
            raise ChainUnknown(chain=chain)
        row = self.row(chain)
        head = self._book.head(chain)
        if h <= head.h:
            return self._decided(chain, h)
        if h > head.h + 1:
            raise NeedBlocks(chain=chain, from_h=head.h + 1)
        self._live_vote(chain, row)
        lock = self._live_lock(chain, row)
        if lock is not None and lock.term == term and lock.block == votes.block:
            # What was signed once may be sent again, whatever was promised since.
            return answer(self._commit(lock))
        if self._below_promised(row, term):
            return self._refuse_term(chain, term, row)
        c, committee = self._governing(chain, h)
        if self._key.public not in committee:
            return self._refuse(chain, term, head.h, "not_witness")
        if votes.c != c:
            return self._refuse(chain, term, head.h, "not_opened")
        if self._body(chain, votes.block) is None:
            raise NeedBlocks(chain=chain, from_h=h)
        votes.verify(committee, self._fed, self._verify)
        if lock is not None and lock.term == term:
            return self._two_quorums(lock, votes) + self._refuse(chain, term, head.h, "voted")
        return self._lock(chain, row, votes)

    def _lock(self, chain: bytes, row: VoteRow, votes: VoteQC) -> Step:
        after = replace(row, lock=votes)
        if votes.term != row.promised:
            after = replace(after, promised=votes.term, prepare=b"")
        bodies = self._drop_bodies(chain, row, after)
        if votes.block not in bodies_of(row):
            # What is in memory alone would be missing after a restart, and with it what the next
            # promise has to show.
            body = self._body(chain, votes.block)
            assert body is not None
            bodies += self._store_body(chain, body, after)
        return self._keep(chain, after, *bodies) + answer(self._commit(votes))

    def _commit(self, lock: VoteQC) -> Commit:
        c, chain, h, term, block = lock.c, lock.chain, lock.h, lock.term, lock.block
        commit = Commit.sign(self._key, self._fed, c, chain, h, term, block)
        self._signed(commit)
        return commit

    def _two_quorums(self, a: VoteQC | Certificate, b: VoteQC | Certificate) -> Step:
        step = Step()
        for proof in double_votes(a, b, fed=self._fed, book=self._book):
            step += self.frauds.take(proof)
        return step

    # --- W5 -------------------------------------------------------------------------------------

    def final(self, m: Final, now: int) -> Step:
        """W5: take a certified block as the head."""
        certificate = m.certificate
        chain, h = certificate.chain, certificate.h
        head = self._book.head(chain)
        if h <= head.h:
            if h == head.h and certificate.block != head.hash:
                return self._fork(certificate, head.certificate, now)
            return answer(Done(chain, head.h, head.hash)) if head.h else Step()
        if h > head.h + 1:
            raise NeedBlocks(chain=chain, from_h=head.h + 1)
        block = self._body(chain, certificate.block)
        if block is None:
            raise NeedBlocks(chain=chain, from_h=h)
        known = self._checked.get(chain)
        given = known if known is not None and known.block.hash == block.hash else block
        writes = self._book.apply(given, certificate)
        self._checked.pop(chain, None)
        self._bodies.pop(block.hash, None)
        notices = certified(block, certificate, head.adopted)
        writes += self._confirmations.forget_closed(chain)
        return Step(writes, (), tuple(notices)) + answer(Done(chain, h, block.hash))

    def _fork(self, certificate: Certificate, head: Certificate | None, now: int) -> Step:
        certificate.verify(
            self._book.charter_state(certificate.c).committee(), self._fed, self._verify
        )
        step = Step() if head is None else self._two_quorums(certificate, head)
        reason = "Two blocks are certified at one height: more witnesses lied than are borne."
        return step + Step(notices=(Stuck(certificate.chain, reason, now),))

    def _decided(self, chain: bytes, h: int) -> Step:
        """Answer what comes too late: with the certificate when it is of the head."""
        head = self._book.head(chain)
        if h == head.h and isinstance(head.certificate, Certificate):
            return answer(Final(head.certificate))
        return answer(Done(chain, head.h, head.hash))

    # --- W6 -------------------------------------------------------------------------------------

    def _may_refuse(self, chain: bytes, checked: AnyChecked, now: int) -> str:
        """W6: return a reason of this witness's own to refuse a fresh block, or nothing."""
        header = checked.block.header
        if self.frauds.frozen(chain) is not None:
            return "frozen"
        if header.time > now + self._settings.clock_ahead_s_max:
            return "time"
        if header.c2 < self._book.charter.height - bounds.CHARTER_BEHIND_MAX:
            return "charter_old"
        if isinstance(checked, Checked) and self._voids_confirmed(chain, checked):
            return "confirmed_hold"
        return ""

    def _voids_confirmed(self, chain: bytes, checked: Checked) -> bool:
        return any(
            self._confirmations.get(chain, entry.hold) is not None
            for entry in checked.entries
            if isinstance(entry, Void) and entry.release is None
        )

    # --- W8 -------------------------------------------------------------------------------------

    def _forgot(self, chain: bytes, row: VoteRow, echo: Echo | None) -> bool:
        """W8: tell whether a writer holds a later vote of this witness than the witness does."""
        if echo is None or echo.chain != chain or echo.counter <= row.counter:
            return False
        return all(self._verify([echo.check(self._fed, self._key.public)]))

    def _stop(self, chain: bytes, m: Prepare | Propose) -> Step:
        assert m.echo is not None
        self.stopped = (
            f"A vote with counter {m.echo.counter} on chain {chain.hex()} is signed with this key; "
            f"the last one known here has {self.row(chain).counter}."
        )
        write = Write(SELF, STOPPED, self.stopped.encode())
        return Step((write,), (), (Stopped(self.stopped),)) + self._silent(m)

    def _silent(self, m: Message) -> Step:
        if isinstance(m, Prepare):
            # Signing that it has stopped is the one thing that cannot hurt: it promises nothing.
            return self._refuse(m.chain, m.term, 0, "counter")
        return failure(WitnessStopped())

    # --- Confirmations --------------------------------------------------------------------------

    def confirm(self, m: Confirm, now: int) -> Step:
        """C1: acknowledge a confirmation, unless a vote of this witness may void the hold."""
        chain, hold = m.chain, m.hold
        if chain == self._fed or chain not in self._book.charter.latest.coops:
            raise ChainUnknown(chain=chain)
        row = self.row(chain)
        c, committee = self._governing(chain, self._h(chain) + 1)
        if self._key.public not in committee:
            return self._no_ack(chain, "not_witness")
        self._live_vote(chain, row)
        forgotten = self._confirmations.forget_closed(chain)
        if self._may_void(chain, row, hold):
            return Step(forgotten) + self._no_ack(chain, "voted")
        try:
            self._confirmations.check(chain, hold, m.confirmation, now)
            kept = self._confirmations.keep(chain, hold, m.confirmation)
        except (HoldUnknown, BadConfirmation) as error:
            return Step(forgotten) + self._no_ack(chain, "invalid", told(error))
        except QuotaExceeded:
            return Step(forgotten) + self._no_ack(chain, "quota")
        named = confirmation_hash(m.confirmation)
        ack = Ack.sign(self._key, self._fed, chain, hold, named, c)
        return Step(forgotten + kept) + answer(ack)

    def _may_void(self, chain: bytes, row: VoteRow, hold: bytes) -> bool:
        """Tell whether a block at head + 1 that this witness voted for, in any term, voids it."""
        if row.voids_h != self._h(chain) + 1:
            return False
        return row.voids is None or hold in row.voids

    def _no_ack(self, chain: bytes, reason: str, evidence: bytes = b"") -> Step:
        # It answers no term. With that of the coop's writer, which may be who asks, it would pass
        # for an answer to what the writer proposed.
        return self._refuse(chain, LEAST_TERM, self._h(chain), reason, evidence)

    # --- What needs no office -------------------------------------------------------------------

    def fraud(self, m: FraudReport, now: int) -> Step:
        """Take a fraud proof from somebody else."""
        return self.frauds.take(decode_fraud(m.proof)) + answer(Ok())

    def get(self, m: Get, now: int) -> Step:
        """W7: answer with certified blocks."""
        return answer(self._catchup.blocks(m))

    def ask_heads(self, m: AskHeads, now: int) -> Step:
        """W7: answer with the heads above those named."""
        return answer(self._catchup.heads(m))

    def blocks(self, m: Blocks, now: int) -> Step:
        """W7: take over certified blocks, whoever brings them, and ask for what they rest on."""
        step = self._catchup.take(m.blocks)
        needs = [Need(n.chain, n.from_h) for n in step.notices if isinstance(n, NeedsBlocks)]
        return step + answer(*needs)

    def heads(self, m: Heads, now: int) -> Step:
        """W7: tell what to ask for."""
        return self._catchup.take_heads(m)


_HANDLERS: Constant[dict[type[Any], str]] = {
    Prepare: "prepare",
    Opening: "open",
    Propose: "propose",
    Lock: "lock",
    Final: "final",
    Confirm: "confirm",
    FraudReport: "fraud",
    Get: "get",
    AskHeads: "ask_heads",
    Blocks: "blocks",
    Heads: "heads",
}
"""What takes which message: by name, so that a simulation can replace one method."""

_SIGNED_ANSWERS: Constant = (Prepare, Opening, Propose, Lock, Confirm)
"""Messages that a stopped witness answers no more."""

__all__ = ["Witness", "WitnessSettings", "answer"]
