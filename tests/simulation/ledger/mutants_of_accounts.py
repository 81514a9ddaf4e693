"""Mutants of what a block may say: the charter, and the rules of the accounts."""

from __future__ import annotations

from simulation.ledger.mutant import BUSY, Mutant

OF_ACCOUNTS: tuple[Mutant, ...] = (
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
