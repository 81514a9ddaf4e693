"""Have a chain's blocks certified, one after the other (spec/06-ledger.md, P1 to P6).

The same machine serves a coop's chain, a trustee's, and an opener of the charter's chain: they
differ in their source of blocks (`sources`, `opener`) only. Pure, as the witness is: messages and
the time in, writes and messages out. One witness or three hundred, it is the same code.

    idle → preparing → ready ⇄ voting → committing → ready      and from anywhere back → waiting
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Final as Constant

from maillon.ledger import bounds
from maillon.ledger.block import Block
from maillon.ledger.catchup import certified
from maillon.ledger.charter import CheckedCharter
from maillon.ledger.check import Checked
from maillon.ledger.errors import BadCertificate, NeedBlocks, NoQuorum
from maillon.ledger.limits import COUNTER_MAX
from maillon.ledger.messages import Blocks, Get, Message, Need, decode_message
from maillon.ledger.openings import find_opening, lock_counts, without_copies
from maillon.ledger.quorum import Certificate, Committee, Term, VoteQC
from maillon.ledger.rounds import (
    Commit,
    Done,
    Final,
    Lock,
    Opening,
    Prepare,
    Promise,
    Propose,
    Refuse,
    Vote,
)
from maillon.ledger.sources import Blame, CoopSource, Wish
from maillon.ledger.steps import AnotherInstance, NeedsBlocks, Notice, Step, Stuck
from maillon.ledger.told import read_told
from maillon.ledger.writer_help import WriterHelp
from maillon.ledger.writer_state import Flight, WriterSettings, WriterStatus
from maillon.protocol.errors import MaillonError


class Writer(WriterHelp):
    """Write one chain. `nonce` (16 bytes) is fresh at each start of the process (P1).

    `own` is the key of this node's own witness, which is never sent an echo: the two are committed
    together. `salt(n)` returns fresh random bytes, `seed` decides how long it backs off. With a
    `disk`, the counter and the last votes of the witnesses outlive the process.
    """

    # --- Events ---------------------------------------------------------------------------------

    def start(self, now: int) -> Step:
        """P1: begin. Asks all witnesses for a term at once, if eager."""
        self._since = now
        return self.tick(now)

    def submit(self, wish: Wish, now: int) -> Step:
        """Queue a wish; when nothing is under way it is proposed at once.

        Raises: QueueFull. TypeError for a writer without a queue.
        """
        if not isinstance(self.source, CoopSource):
            raise TypeError("This writer takes no wishes.")
        self.source.add(wish)
        return self.tick(now)

    def handle(self, witness: bytes, message: Message, now: int) -> Step:
        """Take an answer; `witness` is the key of who gave it, as the transport has proven.

        Answers that are out of place, or signed by another, change nothing.
        """
        self._now = now
        name = _HANDLERS.get(type(message))
        if name is not None and self._phase != "stopped":
            signer = getattr(message, "witness", witness)
            if signer == witness:
                handler: Callable[[bytes, Any], None] = getattr(self, name)
                handler(witness, message)
            self._advance()
        return self._step()

    def tick(self, now: int) -> Step:
        """Do what is due: begin, go on, repeat what was not answered, tell what is stuck."""
        self._now = now
        if self._phase != "stopped":
            self._advance()
            self._repeat_due()
            self._tell_stuck()
        return self._step()

    def reconnected(self, witness: bytes, now: int) -> Step:
        """Repeat at once what a witness has not answered, after its node has connected."""
        self._now = now
        if self._phase != "stopped":
            if witness in self._undone and self._final is not None:
                self._send(witness, self._final)
            if witness in self._awaited():
                self._refusals.pop(witness, None)
                self._resend(witness, from_the_body=True)
        return self._step()

    def next_wake(self, now: int) -> int | None:
        """Return when `tick` has something to do next, or None when only messages matter."""
        if self._phase == "stopped":
            return None
        times = [self._wait_until, self._retry_at]
        if self._phase in ("idle", "ready"):
            times.append(self.source.wake(now))
        if self._told_h < self._h:
            times.append(now + 1)
        if self._busy() and not self._told_stuck:
            times.append(self._since + self._settings.stuck_s)
        return min((at for at in times if at is not None), default=None)

    # --- Going on -------------------------------------------------------------------------------

    def _advance(self) -> None:
        self._follow_head()
        if self._wait_until is not None:
            if self._now < self._wait_until:
                return
            self._wait_until = None
            self._phase = "idle"
        if self._phase == "idle" and (self._settings.eager or self._due()):
            self._begin()
        if self._phase == "ready":
            self._propose_next()

    def _follow_head(self) -> None:
        """Take note of blocks that stand now, whoever had them certified."""
        head = self._book.head(self._chain)
        self._tell_decided(head.h)
        if head.h == self._h:
            return
        self._h = head.h
        self._failures = 0
        self._progress()
        if self._flight is not None:
            self._flight = None
            self._phase = "ready"
        if self._phase == "preparing":
            if self._settings.eager or self._due():
                self._try_open()
            else:
                self._phase = "idle"

    def _tell_decided(self, top: int) -> None:
        """Tell the source of certified blocks, as soon as they can be read again."""
        # A re-founding may have gone back.
        self._told_h = min(self._told_h, top)
        while self._told_h < top:
            try:
                block = self._book.block(self._chain, self._told_h + 1)
            except NeedBlocks:
                # Taken over in this very step, and not written yet.
                return
            self._told_h += 1
            self._notices += self.source.decided(block)

    # --- P1: a term -----------------------------------------------------------------------------

    def _begin(self) -> None:
        self._counter += 1
        if self._counter > COUNTER_MAX:
            self._phase = "stopped"
            self._notices.append(Stuck(self._chain, "terms_used_up", self._now))
            return
        self._term = Term(self._counter, self._nonce, self._key.public)
        self._prepare = Prepare.sign(self._key, self._fed, self._chain, self._term)
        self._promises = {}
        self._opened = None
        self._opening = None
        self._keep = None
        self._flight = None
        self._held = None
        self._refusals = {}
        self._remedies = {}
        self._phase = "preparing"
        self._progress()
        for witness in self._committee()[1].keys:
            self._send_prepare(witness)

    # --- P2: promises ---------------------------------------------------------------------------

    def _on_promise(self, witness: bytes, promise: Promise) -> None:
        if self._phase != "preparing" or promise.term != self._term:
            return
        if promise.chain != self._chain or witness not in self._committee()[1]:
            return
        if not all(self._verify([promise.check(self._fed)])):
            return
        head = self._book.head(self._chain)
        if promise.head_h > head.h:
            self._send(witness, Get(self._chain, head.h + 1, promise.head_h))
        elif promise.head != self._book.hash_at(self._chain, promise.head_h):
            # It has certified another block: it lies, or more lie than are borne.
            return
        elif promise.head_h < head.h:
            if self._answers(witness, self._chain, promise.head_h + 1):
                self._push(witness, self._chain, promise.head_h + 1)
                self._send_prepare(witness)
        self._promises[witness] = promise
        self._refusals.pop(witness, None)
        self._try_open()

    def _lock_good(self, promise: Promise) -> bool:
        """Tell whether a promise's lock has votes that count, and came with its block.

        Without either the promise is worth nothing to a correct witness, or cannot be followed.
        """
        lock = promise.lock
        if lock is None or lock.h <= self._h:
            return True
        c, committee = self._committee()
        try:
            votes = promise.lock_votes()
            block = promise.locked_block()
        except MaillonError:
            return False
        if block.hash != lock.block:
            return False
        return lock_counts(lock, votes, self._chain, c, committee, self._fed, self._verify)

    def _try_open(self) -> None:
        """Build J, once q promises of which the highest head is the book's head are there."""
        if self._phase != "preparing" or self._term is None:
            return
        committee = self._committee()[1]
        # Blocks that were fetched meanwhile may have brought another charter: a promise of whoever
        # left the committee is worth nothing, and must not stand in the place of one that counts.
        usable = [
            promise
            for witness, promise in self._promises.items()
            if witness in committee and promise.head_h <= self._h and self._lock_good(promise)
        ]
        usable.sort(key=lambda p: -p.head_h)
        # Witnesses that are behind say nothing of the next height. With the highest head equal to
        # the book's, S is the next height, and its charter is the one that governs S.
        if len(usable) < committee.quorum or usable[0].head_h != self._h:
            return
        chosen = usable[: committee.quorum]
        try:
            opened = find_opening(
                chosen,
                self._chain,
                self._term,
                fed=self._fed,
                verify=self._verify,
                governing=lambda h: self._committee(),
            )
        except NoQuorum:
            return
        self._keep = next(
            (p.locked_block() for p in chosen if p.lock and p.lock.block == opened.keep), None
        )
        self._opened = opened
        self._opening = Opening(self._chain, self._term, without_copies(chosen))
        self._promises = {}
        self._refusals = {}
        self._phase = "ready"
        self._progress()
        for witness in committee.keys:
            self._send(witness, self._opening)

    # --- P3: a block ----------------------------------------------------------------------------

    def _propose_next(self) -> None:
        """Propose K, or what the source builds; P6: open again first when the epoch has changed."""
        assert self._opened is not None and self._term is not None
        if self._needs_opening():
            self._phase = "idle"
            if self._settings.eager or self._due():
                self._begin()
            return
        if self._keep is not None and self._opened.start == self._h + 1:
            self._launch(self._keep, None, fresh=False)
            return
        if self._told_h < self._h or not self._due():
            # A wish that stands already must not be placed a second time, or be refused for it.
            return
        candidate, notices = self.source.build(self._now)
        self._notices += notices
        if candidate is not None:
            self._launch(candidate.block, candidate.checked, fresh=True)

    def _needs_opening(self) -> bool:
        return self._opened is None or self._opened.c != self._committee()[0]

    def _launch(
        self, block: Block, checked: Checked | CheckedCharter | None, *, fresh: bool
    ) -> None:
        assert self._term is not None
        c, committee = self._committee()
        propose = Propose.sign(self._key, self._fed, self._term, block)
        self._flight = Flight(block, checked, fresh, c, committee, propose)
        self._refusals = {}
        self._blamed = {}
        self._phase = "voting"
        self._progress()
        for witness in committee.keys:
            self._send_propose(witness)

    # --- Votes and commits ----------------------------------------------------------------------

    def _on_vote(self, witness: bytes, vote: Vote) -> None:
        flight = self._flight
        if flight is None or not self._about(flight, vote) or witness not in flight.committee:
            return
        self._echoes[witness] = vote.echo()
        if flight.lock is not None or witness in flight.votes:
            return
        self._refusals.pop(witness, None)
        flight.unverified[witness] = vote
        if len(flight.votes) + len(flight.unverified) < flight.committee.quorum:
            return
        # All at once, and only when they may be enough: a batch costs less than its parts.
        votes = list(flight.unverified.values())
        flight.unverified = {}
        good = self._verify([given.check(self._fed) for given in votes])
        for given, valid in zip(votes, good, strict=True):
            if valid:
                flight.votes[given.witness] = given
        if self._enough_votes(flight):
            self._lock(flight)

    def _about(self, flight: Flight, given: Vote | Commit) -> bool:
        return (given.c, given.chain, given.h, given.term, given.block) == (
            flight.c,
            self._chain,
            flight.block.h,
            self._term,
            flight.block.hash,
        )

    def _enough_votes(self, flight: Flight) -> bool:
        return len(flight.votes) >= flight.committee.quorum

    def _lock(self, flight: Flight) -> None:
        assert self._term is not None
        votes = {key: (vote.counter, vote.signature) for key, vote in flight.votes.items()}
        block = flight.block
        flight.lock = Lock(
            VoteQC.gather(
                flight.committee, flight.c, self._chain, block.h, self._term, block.hash, votes
            )
        )
        self._phase = "committing"
        self._refusals = {}
        self._progress()
        for witness in flight.committee.keys:
            self._send(witness, flight.lock)

    def _on_commit(self, witness: bytes, commit: Commit) -> None:
        flight = self._flight
        if flight is None or not self._about(flight, commit) or witness not in flight.committee:
            return
        self._refusals.pop(witness, None)
        flight.commits[witness] = commit
        while len(flight.commits) >= flight.committee.quorum:
            # Their signatures are verified once, as a certificate's.
            signatures = {key: given.signature for key, given in flight.commits.items()}
            certificate = Certificate.gather(
                flight.committee,
                flight.c,
                self._chain,
                flight.block.h,
                commit.term,
                flight.block.hash,
                signatures,
            )
            try:
                self._certify(flight.checked or flight.block, certificate)
            except BadCertificate as error:
                flight.commits.pop(error.facts["witness"])
                continue
            except MaillonError as error:
                if not error.pending:
                    raise
                self._wait_for_charter(certificate)
            return

    def _certify(self, given: Block | Checked | CheckedCharter, certificate: Certificate) -> None:
        """Make a certified block the head, and tell everybody."""
        block = given if isinstance(given, Block) else given.block
        adopted = self._book.head(self._chain).adopted
        committee = self._committee()[1]
        self._writes += self._book.apply(given, certificate)
        self._writes.append(self._row())
        self._notices += certified(block, certificate, adopted)
        self._final = Final(certificate)
        self._undone = set(committee.keys)
        self._repeats = 0
        for witness in committee.keys:
            self._send(witness, self._final)
        self._follow_head()

    def _wait_for_charter(self, certificate: Certificate) -> None:
        """Keep a certificate of a block that adopts a charter not known here yet, and ask for it.

        K may be one: another process, or a trustee, knew more.
        """
        self._held = certificate
        known = self._book.charter.height
        self._notices.append(NeedsBlocks(self._fed, known + 1))
        self._ask_charter()

    # --- Certificates and blocks of others ------------------------------------------------------

    def _on_final(self, witness: bytes, final: Final) -> None:
        certificate = final.certificate
        if certificate.chain != self._chain or certificate.h <= self._h:
            return
        flight = self._flight
        if flight is None or flight.block.hash != certificate.block:
            self._send(witness, Get(self._chain, self._h + 1, certificate.h))
            return
        try:
            self._certify(flight.checked or flight.block, certificate)
        except MaillonError as error:
            if error.pending:
                self._wait_for_charter(certificate)

    def _on_blocks(self, witness: bytes, blocks: Blocks) -> None:
        if not blocks.blocks:
            return
        try:
            step = self._catchup.take(blocks.blocks, witness)
        except MaillonError:
            return
        self._writes += step.writes
        self._notices += step.notices
        if self._held is not None and self._flight is not None:
            held, self._held = self._held, None
            try:
                self._certify(self._flight.checked or self._flight.block, held)
            except MaillonError as error:
                if error.pending:
                    self._held = held
        self._follow_head()
        if self._phase == "preparing":
            self._reprepare()
            self._try_open()

    def _reprepare(self) -> None:
        """Ask again whom a newer charter names, in the same term."""
        committee = self._committee()[1]
        for witness in committee.keys:
            if witness not in self._promises:
                self._send_prepare(witness)

    # --- P4, P5: refusals -----------------------------------------------------------------------

    def _on_refuse(self, witness: bytes, refuse: Refuse) -> None:
        if refuse.chain != self._chain or refuse.term != self._term:
            return
        committee = self._flight.committee if self._flight else self._committee()[1]
        if witness not in committee or not self._busy():
            return
        if not all(self._verify([refuse.check(self._fed)])):
            return
        if refuse.h > self._h and refuse.reason not in _CHARTER_REASONS:
            self._send(witness, Get(self._chain, self._h + 1, refuse.h))
        if refuse.reason == "term" and self._preempted(refuse):
            return
        if self._remedied(witness, refuse):
            return
        self._refusals[witness] = refuse.reason
        if refuse.reason == "invalid":
            self._blamed[witness] = _blame(refuse.evidence)
        if self._hopeless(committee):
            self._give_up()

    def _hopeless(self, committee: Committee) -> bool:
        """P4: after n - q + 1 refusals, and not before, no quorum can come."""
        return len(self._refusals) >= committee.refusals

    def _remedied(self, witness: bytes, refuse: Refuse) -> bool:
        """Send what a witness lacks, a bounded number of times; return whether there was anything.

        A refusal that can be remedied is no refusal of the block.
        """
        tried = self._remedies.get(witness, 0)
        if tried >= bounds.REMEDIES_MAX:
            return False
        self._remedies[witness] = tried + 1
        if refuse.reason == "not_opened" and self._opening is not None:
            self._resend(witness, from_the_body=True)
            return True
        if refuse.reason in _CHARTER_REASONS and refuse.h < self._book.charter.height:
            if self._push(witness, self._fed, refuse.h + 1):
                self._resend(witness, from_the_body=True)
                return True
        return False

    def _preempted(self, refuse: Refuse) -> bool:
        """P5: believe a refusal by a higher term only with that term's signed prepare."""
        rival = self._rival(refuse)
        if rival is None:
            # Its promise came with an OPEN or a LOCK, which prove no prepare: see `_repeat_due`.
            return False
        # Any key tells how far the terms have come, also one that was replaced since; that alone
        # is no reason to give way. Nobody drives the counter so far at once that honest witnesses,
        # who follow it, would take it for a leap.
        believed = min(rival.term.counter, self._counter + bounds.CLAIM_MAX)
        self._counter = max(self._counter, believed)
        if rival.term.key not in self._book.charter.latest.writers(self._chain):
            return False
        if rival.term.key == self._key.public:
            self._notices.append(AnotherInstance(self._chain, refuse.evidence))
            if self._settings.stop_for_rival:
                self._phase = "stopped"
                self._flight = None
                return True
        self._back_off()
        return True

    def _rival(self, refuse: Refuse) -> Prepare | None:
        """Return the signed prepare of a higher term that a refusal encloses, or None."""
        assert self._term is not None
        try:
            found = decode_message(refuse.evidence)
        except MaillonError:
            return None
        if not isinstance(found, Prepare) or found.chain != self._chain:
            return None
        if found.term <= self._term:
            return None
        return found if all(self._verify([found.check(self._fed)])) else None

    def _give_up(self) -> None:
        """P4: drop the candidate, and open a new term."""
        reasons = tuple(self._refusals.values())
        dropped: list[Notice] = []
        if self._flight is not None:
            blamed = [self._blamed[key] for key in self._refusals if key in self._blamed]
            if len(blamed) < self._flight.committee.refusals:
                # Others may have passing reasons of their own; a few liars must not have a wish
                # refused that a quorum would take.
                blamed = []
            dropped = self.source.refused(self._flight.block, reasons, blamed)
            self._notices += dropped
        if set(reasons) != {"lease"}:
            # Another coop opens the charter's chain: that is no trouble.
            why = ",".join(sorted(set(reasons)))
            self._notices.append(Stuck(self._chain, why, self._since))
        # Without what was dropped the next block is another one; with it, waiting may help.
        self._back_off(at_once=bool(dropped))


def _blame(evidence: bytes) -> Blame:
    """Return what a refusal as invalid names; nothing when it cannot be read."""
    try:
        code, facts = read_told(evidence)
    except MaillonError:
        return Blame(None)
    index = facts.get("index")
    if facts.get("reason") != "entry" or not isinstance(index, int):
        return Blame(None, code)
    told = facts.get("entry_code")
    return Blame(index, told if isinstance(told, str) else code)


_HANDLERS: Constant[dict[type[Any], str]] = {
    Promise: "_on_promise",
    Refuse: "_on_refuse",
    Vote: "_on_vote",
    Commit: "_on_commit",
    Final: "_on_final",
    Done: "_on_done",
    Need: "_on_need",
    Blocks: "_on_blocks",
}
"""What takes which message: by name, so that a simulation can replace one method."""

_CHARTER_REASONS: Constant = ("unauthorised", "unknown_chain")
"""Refusals whose height is the charter's that the witness knows."""

__all__ = ["Writer", "WriterSettings", "WriterStatus"]
