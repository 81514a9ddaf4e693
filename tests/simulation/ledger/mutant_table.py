"""The mutants: which rule is broken, by which change of the source, and what notices it."""

from __future__ import annotations

from simulation.ledger.mutant import Mutant
from simulation.ledger.mutants_of_accounts import OF_ACCOUNTS
from simulation.ledger.mutants_of_rounds import OF_ROUNDS

MUTANTS: tuple[Mutant, ...] = (*OF_ROUNDS, *OF_ACCOUNTS)
