"""The mutants: which rule is broken, by which change of the source, and what notices it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SEEDS_BY = "seeds"
EXPLORER = "explorer"

Edit = tuple[str, str, str]
"""Where ("module:function" or "module:Class.method"), what stands there, what instead."""


@dataclass(frozen=True)
class Mutant:
    """One broken rule. `tune` changes the plans of its seeds, so that what it takes is there."""

    name: str
    edits: tuple[Edit, ...]
    by: str = SEEDS_BY
    first: int = 0
    tune: Mapping[str, Any] = field(default_factory=dict[str, Any])


W = "maillon.ledger.witness:Witness"
QUIET: dict[str, Any] = {
    "liars": 0, "crooks": 0, "crashes": 0, "clones": 0, "restores": 0, "rollbacks": 0,
    "partitions": 0, "deaf": 0, "loss": 0.0, "double": 0.0, "slow": 0.0, "charter": 0, "late": 0,
    "latency_ms": 5, "skew_s": 0,
}  # fmt: skip
"""Nobody lies and nothing fails: people are enough to break a rule of the accounts."""
BUSY: dict[str, Any] = {**QUIET, "coops": 3, "quorum": 2, "writing": 2, "members": 2, "actions": 60}
HOSTILE: dict[str, Any] = {
    "coops": 4, "quorum": 3, "liars": 1, "crooks": 1, "clones": 2, "restores": 0, "rollbacks": 0,
    "writing": 1, "charter": 0, "late": 0, "active_s": 300, "loss": 0.1, "partitions": 2,
}  # fmt: skip

_PERSIST = "Write(VOTES, chain, row.encode())"

MUTANTS: tuple[Mutant, ...] = (
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
    # --- The charter ---
    Mutant(
        "lease ignored",
        (
            (
                "maillon.ledger.lease:Leases.take",
                "if self._holder and self._rank(key) > self._rank(self._holder):",
                "if False:",
            ),
        ),
        "one_opener_at_a_time",
    ),
    Mutant(
        "approvals uncounted",
        (
            (
                "maillon.ledger.charter_proposals:require_approvals",
                "if len(",
                "if False and len(",
            ),
        ),
        "a_charter_needs_its_approvals",
    ),
    Mutant(
        "approvals of one coop counted twice",
        (
            (
                "maillon.ledger.charter_proposals:check_approvals",
                "if not any(",
                "if False and not any(",
            ),
        ),
        "a_charter_needs_its_approvals",
    ),
    Mutant(
        "retired certificate accepted as evidence",
        (
            (
                "maillon.ledger.charter_state:CharterState.counts",
                "if c >= self.retired_below:",
                "if True:",
            ),
        ),
        "retired_certificates_prove_nothing",
    ),
    Mutant(
        "retired certificate accepted for a head",
        (
            (
                "maillon.ledger.charter_state:CharterState.may_count",
                "if c >= self.retired_below or chain == self.fed:",
                "if True:",
            ),
        ),
        "retired_certificates_prove_nothing",
    ),
    Mutant(
        "heads of a re-founding ignored",
        (
            ("maillon.ledger.charter:CharterChain.void", "return any(", "return False and any("),
        ),
        "refounding_ends_what_was_above_its_heads",
    ),
    Mutant(
        "re-founding by fewer than two thirds",
        (
            (
                "maillon.ledger.charter:CharterChain._check_refounding",
                "3 * len(given) < 2 * len(roots)",
                "False",
            ),
        ),
        "refounding_ends_what_was_above_its_heads",
    ),
    # --- Accounts ---
    Mutant(
        "expired mandate accepted",
        (
            (
                "maillon.ledger.rules_debit:signer",
                "if not mandate.start <= context.time < mandate.end:",
                "if False:",
            ),
        ),
        tune={**BUSY, "active_s": 300},
    ),
    Mutant(
        "mandate's amount ignored",
        (
            (
                "maillon.ledger.rules_debit:used",
                "if before + amount > allowed:",
                "if False:",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "sequence number not strict",
        (
            (
                "maillon.ledger.rules_debit:signer",
                "if order.seq <= account.seq:",
                "if order.seq < account.seq:",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "any gap between an account's numbers",
        (
            ("maillon.ledger.rules_debit:signer", "if order.seq > most:", "if False:"),
            (
                "maillon.ledger.rules_pay:_plain",
                "or not payer.seq < order.seq <= payer.seq + SEQ_GAP_MAX",
                "or order.seq <= payer.seq",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "orders never expire",
        (("maillon.ledger.rules_debit:signer", "if context.time > order.until:", "if False:"),),
        tune={**BUSY, "active_s": 300},
    ),
    Mutant(
        "unsigned orders accepted",
        (
            (
                "maillon.ledger.rules_debit:signer",
                'context.check("order", order.key, order.body, order.signature)',
                "pass",
            ),
            (
                "maillon.ledger.rules_pay:_plain",
                "context.checks.append((order.key, context.prefixes[ORDER] + order.body, "
                "order.signature))\n    context.places.append(context.index)",
                "pass",
            ),
        ),
        "an_order_is_signed",
    ),
    Mutant(
        "recovery wait ignored",
        (("maillon.ledger.state:Account.keys_at", "<= time", "<= time + 10**9"),),
        tune={**BUSY, "recovery_s": 600},
    ),
    Mutant(
        "return not consumed",
        (
            (
                "maillon.ledger.rules_arrivals:return_",
                "channel.received = message.n",
                "pass",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "returned although it can be credited",
        (
            (
                "maillon.ledger.rules_arrivals:return_",
                "raise WrongAccount(",
                "WrongAccount(",
            ),
            (
                "maillon.ledger.build:_Builder._arrival",
                "return entry",
                "return Return(*place, self._next(header.chain))",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "credited although it should be returned",
        (
            (
                "maillon.ledger.rules_arrivals:creditable",
                "receivable(payee, message.unit, message.amount)",
                "receivable(payee, message.unit, 0 if message.unit in payee.positions else 1)",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "void and post both",
        (
            (
                "maillon.ledger.rules_holds:_drop",
                "if name != held.id",
                "",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "void before the expiry",
        (
            (
                "maillon.ledger.rules_holds:void",
                "if context.time < held.expiry:",
                "if False:",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "anybody confirms",
        (
            (
                "maillon.ledger.rules_holds:post",
                "if not confirming(",
                "if False and not confirming(",
            ),
        ),
        tune={**BUSY, "actions": 120},
    ),
    Mutant(
        "maximum ignored",
        (
            (
                "maillon.ledger.rules_debit:receivable",
                "if position.balance + expected + amount > most:",
                "if False:",
            ),
        ),
        tune=BUSY,
    ),
    Mutant(
        "collective limit ignored",
        (
            (
                "maillon.ledger.rules_debit:coop_payable",
                "if trade - held - amount < -limit:",
                "if False:",
            ),
        ),
        tune={**BUSY, "actions": 120},
    ),
    Mutant(
        "collective limit of the latest charter",
        (
            (
                "maillon.ledger.check:check_block",
                "charter = charters(c)",
                "charter = charters(header.c2)",
            ),
        ),
        "the_governing_charter_limits_a_coop",
    ),
    Mutant(
        "erased delta unchecked",
        (
            (
                "maillon.ledger.check:check_block",
                "if root != header.state_root:",
                "if not erased and root != header.state_root:",
            ),
        ),
        "an_erased_block_is_taken_from_its_certified_state",
    ),
)
