"""Say things again, and bring witnesses what they lack (spec/06-ledger.md, P2, P4 and W7).

Messages get lost, and witnesses come back from outages. Everything a writer sends may be sent
again without harm; how often is bounded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from maillon.ledger import bounds
from maillon.ledger.limits import BLOCKS_MAX
from maillon.ledger.messages import Get, Need
from maillon.ledger.rounds import Done
from maillon.ledger.steps import Stuck
from maillon.ledger.writer_state import WriterState

_PASSING_REASONS: Final = ("quota", "time", "not_opened", "lease")
"""Refusals that may be another answer a little later: asked again with the next repetition."""


class WriterHelp(WriterState):
    """A writer's part that starts nothing: it repeats, and answers."""

    # --- Sending --------------------------------------------------------------------------------

    def _send_prepare(self, witness: bytes) -> None:
        assert self._prepare is not None
        self._send(witness, replace(self._prepare, echo=self._echo(witness)))

    def _send_propose(self, witness: bytes) -> None:
        assert self._flight is not None
        self._send(witness, replace(self._flight.propose, echo=self._echo(witness)))

    # --- Answering ------------------------------------------------------------------------------

    def _on_done(self, witness: bytes, done: Done) -> None:
        if done.chain != self._chain:
            return
        if done.h >= self._h:
            self._undone.discard(witness)
        if done.h > self._h:
            self._send(witness, Get(self._chain, self._h + 1, done.h))

    def _on_need(self, witness: bytes, need: Need) -> None:
        if not self._answers(witness, need.chain, need.from_h):
            return
        if need.chain == self._chain and need.from_h > self._h:
            # It lacks nothing but the body of what is under way.
            self._resend(witness, from_the_body=True)
            return
        top = self._push(witness, need.chain, need.from_h)
        if top:
            # While there is more to come, one question is enough to have the next one asked.
            known = need.chain != self._chain or top == self._h
            self._resend(witness, from_the_body=known)

    # --- Repeating ------------------------------------------------------------------------------

    def _repeat_due(self) -> None:
        if self._retry_at is None or self._now < self._retry_at:
            return
        if not self._busy():
            self._repeat_final()
            return
        if "term" in self._refusals.values():
            # Somebody follows a higher term and cannot prove it, and others are silent: so many
            # refusals that it is hopeless may never come.
            self._counter += 1 << min(self._failures, bounds.GUESS_SHIFT_MAX)
            self._back_off()
            return
        if self._lasting_refusals():
            self._give_up()
            return
        if self._held is not None:
            self._ask_charter()
        if self._phase == "preparing":
            # Nothing is proposed yet that could be refused for good: what a witness says of a term
            # changes with the charter that it knows. It may need a quorum's last voice, so it is
            # asked, and brought what it lacks, for as long as the term waits.
            self._refusals = {}
            self._remedies = {}
        self._refusals = {
            key: why for key, why in self._refusals.items() if why not in _PASSING_REASONS
        }
        for witness in self._awaited():
            if witness not in self._refusals:
                self._resend(witness)
        self._again()

    def _lasting_refusals(self) -> bool:
        """Tell whether a block waits for ever: some refuse it for good, the others are silent.

        A new term is always safe. It builds anew, with what is known by now.
        """
        waited = self._now - self._since
        if self._flight is None or waited < self._settings.stuck_s:
            return False
        # What passes has passed after as long again: a witness that still says so lacks something
        # that only a new term brings it, such as an opening that it can follow.
        return waited >= 3 * self._settings.stuck_s and bool(self._refusals) or any(
            why not in _PASSING_REASONS for why in self._refusals.values()
        )

    def _give_up(self) -> None:
        raise NotImplementedError

    def _ask_charter(self) -> None:
        known = self._book.charter.height
        for witness in self._committee()[1].keys:
            if witness != self._own:
                self._send(witness, Get(self._fed, known + 1, known + BLOCKS_MAX))

    def _repeat_final(self) -> None:
        if self._final is None or not self._undone or self._repeats >= bounds.REPEATS_MAX:
            self._retry_at = None
            return
        self._repeats += 1
        for witness in sorted(self._undone):
            self._send(witness, self._final)
        self._again()

    def _again(self) -> None:
        self._retry_s = min(2 * self._retry_s, self._settings.retry_s_max)
        self._retry_at = self._now + self._retry_s

    def _resend(self, witness: bytes, *, from_the_body: bool = False) -> None:
        """Send a witness what this phase asks of it; `from_the_body` what came before it too."""
        if self._phase == "preparing":
            self._send_prepare(witness)
        if from_the_body and self._opening is not None:
            self._send(witness, self._opening)
        if self._flight is None:
            return
        if self._flight.lock is None or from_the_body:
            self._send_propose(witness)
        if self._flight.lock is not None:
            self._send(witness, self._flight.lock)

    def _tell_stuck(self) -> None:
        if not self._busy() or self._told_stuck:
            return
        if self._now - self._since >= self._settings.stuck_s:
            self._told_stuck = True
            missing = len(list(self._awaited()))
            reason = f"{self._phase}: {missing} witnesses do not answer"
            self._notices.append(Stuck(self._chain, reason, self._since))
