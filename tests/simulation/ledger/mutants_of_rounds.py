"""Mutants of how a block comes about: votes, locks, certificates, terms."""

from __future__ import annotations

from simulation.ledger.mutant import BUSY, EXPLORER, HOSTILE, QUIET, Mutant

W = "maillon.ledger.witness:Witness"
_PERSIST = "Write(VOTES, chain, row.encode())"

OF_ROUNDS: tuple[Mutant, ...] = (
    # --- Those of the design ---
    Mutant(
        "vote not persisted",
        ((f"{W}._keep", f"Step((*more, {_PERSIST}))", "Step(more)"),),
        tune={**HOSTILE, "crashes": 30, "liars": 0},
    ),
    Mutant(
        "LOCK leaves before the own vote in it is kept",
        (
            (
                "simulation.ledger.runs:Run.may_leave_early",
                "message.votes.chain not in self._spoke",
                "True",
            ),
        ),
        tune={**HOSTILE, "crashes": 30, "liars": 0},
    ),
    Mutant(
        "vote not persisted, and the amnesia not noticed",
        (
            (f"{W}._keep", f"Step((*more, {_PERSIST}))", "Step(more)"),
            (f"{W}._forgot", "return all(", "return False and all("),
        ),
        tune={**HOSTILE, "crashes": 30, "liars": 0},
    ),
    Mutant(
        "quorum f+1",
        (
            (
                "maillon.ledger.quorum:Committee.__post_init__",
                'object.__setattr__(self, "_places", places)',
                'object.__setattr__(self, "_places", places);'
                ' object.__setattr__(self, "quorum", faults(n) + 1)',
            ),
        ),
        tune=HOSTILE,
    ),
    Mutant(
        "simple-majority quorum",
        (
            (
                "maillon.ledger.quorum:Committee.__post_init__",
                'object.__setattr__(self, "_places", places)',
                'object.__setattr__(self, "_places", places);'
                ' object.__setattr__(self, "quorum", n // 2 + 1)',
            ),
        ),
        tune={**HOSTILE, "coops": 7, "quorum": 5, "liars": 2},
    ),
    Mutant(
        "unlock freely",
        (
            ("maillon.ledger.openings:highest_lock", "return max(", "return None and max("),
        ),
        EXPLORER,
    ),
    Mutant(
        "unlock to the lowest-term lock",
        (("maillon.ledger.openings:highest_lock", "return max(", "return min("),),
        "the_highest_lock_binds",
    ),
    Mutant(
        "lock without its votes",
        (
            (
                "maillon.ledger.openings:find_opening",
                "verdicts[shown] = qc is not None and lock_counts(",
                "verdicts[shown] = True or lock_counts(",
            ),
        ),
        "a_false_lock_does_not_bind",
    ),
    Mutant(
        "a lock without votes is a promise without a lock",
        (
            (
                "maillon.ledger.openings:find_opening",
                "        if lock.h == start and verdicts[shown]:\n            counting += 1\n",
                "        counting += 1\n        if lock.h == start and verdicts[shown]:\n",
            ),
        ),
        "stripped_locks_are_no_promises",
    ),
    Mutant(
        "lock after promising a higher term",
        ((f"{W}.lock", "if self._below_promised(row, term):", "if False:"),),
        EXPLORER,
    ),
    Mutant(
        "one phase",
        (
            (
                f"{W}._vote_for",
                "answer(self._vote(chain, after, voted))",
                "answer(self._vote(chain, after, voted), Commit.sign(self._key, self._fed, c, "
                "chain, m.h, m.term, block.hash))",
            ),
        ),
        EXPLORER,
    ),
    Mutant(
        "latest charter instead of the governing one",
        (
            (
                "maillon.ledger.book:Book.governing",
                "head = self.head(chain)",
                "head = self.head(chain)\n"
                "    if chain != self.fed:\n"
                "        return self.charter.height",
            ),
        ),
        tune={**QUIET, "charter": 4, "coops": 4, "quorum": 3, "writing": 2, "actions": 20},
    ),
    Mutant(
        "replayed in",
        (
            ("maillon.ledger.rules_arrivals:_message", "if message.n < expected:", "if False:"),
        ),
        tune=BUSY,
    ),
    Mutant(
        "holds ignored in the debit check",
        (
            (
                "maillon.ledger.rules_debit:payable",
                "account.held(unit) if account.holds else 0",
                "0",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "no nonce",
        (
            (
                "maillon.ledger.writer_state:WriterState.__init__",
                "self._nonce = nonce",
                "self._nonce = bytes(16)",
            ),
        ),
        tune={**HOSTILE, "crooks": 0},
    ),
    Mutant(
        "no opening",
        (
            (
                f"{W}.propose",
                "if opened is None or not self._is_opened(opened, c, term):",
                "if opened is None:\n        opened = Opened(c, term, 1, b'')\n    if False:",
            ),
        ),
        EXPLORER,
    ),
    Mutant(
        "subjective refusals applied to K",
        ((f"{W}.propose", "if not kept:\n        reason", "if True:\n        reason"),),
        "what_is_locked_is_voted_for_in_a_frozen_chain",
    ),
    Mutant(
        "rolled-back witness not stopped",
        ((f"{W}._forgot", "return all(", "return False and all("),),
        "a_rolled_back_witness_stops",
    ),
    Mutant(
        "confirmation guard off",
        ((f"{W}._voids_confirmed", "return any(", "return False and any("),),
        tune={**QUIET, "coops": 4, "quorum": 3, "writing": 1, "members": 2, "actions": 80},
    ),
    Mutant(
        "acknowledged after voting to void",
        ((f"{W}._may_void", "return row.voids is None or", "return False and"),),
        "a_confirmed_hold_is_not_voided",
    ),
    Mutant(
        "J smaller than q",
        (
            ("maillon.ledger.openings:require_quorum", "count < committee.quorum", "count < 2"),
        ),
        EXPLORER,
    ),
    # Alone this leads to no two blocks at one height: exploring three terms of it to the end finds
    # none, because a witness keeps one opening and W4 stands. The rule is held all the same, and
    # without it in all of W1 to W4 the exploration finds two blocks.
    Mutant(
        "vote after promising a higher term",
        ((f"{W}.propose", "if self._below_promised(row, term):", "if False:"),),
        "nobody_votes_below_a_promise",
    ),
    Mutant(
        "promises of higher terms forgotten everywhere",
        ((f"{W}._below_promised", "return term < row.promised", "return False"),),
        EXPLORER,
    ),
    Mutant(
        "no re-opening after an epoch change",
        ((f"{W}._is_opened", "opened.c == c and ", ""),),
        "epoch_change_needs_another_opening",
    ),
    # --- Votes and certificates ---
    Mutant(
        "two votes in one term",
        ((f"{W}._voted_in", "return vote if", "return None if"),),
        EXPLORER,
    ),
    Mutant(
        "one promise counted twice",
        (
            (
                "maillon.ledger.openings:signed_promises",
                "listed = list(found.values())",
                "listed = [p for p in promises if p.term == term]",
            ),
        ),
        "nobody_is_counted_twice",
    ),
    Mutant(
        "one vote counted twice",
        (
            (
                "maillon.ledger.quorum:_Signed.signers",
                "if len(places) != len(self.signatures):",
                "places = (places * 9)[: len(self.signatures)]\n"
                "    if len(places) != len(self.signatures):",
            ),
        ),
        "nobody_is_counted_twice",
    ),
    Mutant(
        "votes of another height's committee",
        (
            (
                f"{W}.lock",
                "if self._key.public not in committee:",
                "if False:",
            ),
        ),
        "only_witnesses_of_the_epoch_commit",
    ),
    Mutant(
        "a lock whose block is not kept",
        (
            (f"{W}._lock", "if votes.block not in bodies_of(row):", "if False:"),
            (f"{W}._drop_bodies", "self._bodies.pop(block, None)", "pass"),
        ),
        "a_lock_keeps_its_block",
    ),
    Mutant(
        "frozen chain goes on",
        (
            (
                f"{W}._may_refuse",
                "if self.frauds.frozen(chain) is not None:",
                "if False:",
            ),
        ),
        "a_frozen_chain_takes_nothing_fresh",
    ),
    Mutant(
        "clock bound off",
        (
            (
                f"{W}._may_refuse",
                "if header.time > now + self._settings.clock_ahead_s_max:",
                "if False:",
            ),
        ),
        tune={**HOSTILE, "crooks": 1, "liars": 0, "clones": 0},
    ),
    Mutant(
        "a witness that lost its head goes on",
        (
            (f"{W}._live_vote", "if vote.h > h:", "if False:"),
            (f"{W}._live_lock", "if lock.h > h:", "if False:"),
        ),
        "who_has_lost_blocks_promises_nothing",
    ),
)
