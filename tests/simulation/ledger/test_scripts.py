"""The stories of `scripts` hold on the real machines, and the mutants are noticed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from simulation.ledger.mutant import Mutant
from simulation.ledger.mutant_table import MUTANTS
from simulation.ledger.mutants import broken, judge
from simulation.ledger.scripts import SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.__name__ for script in SCRIPTS])
def test_the_story_ends_well(script: Callable[[], None]) -> None:
    script()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_broken_rule_is_noticed(mutant: Mutant) -> None:
    verdict = judge(mutant)
    assert verdict.killed, verdict.told


def test_a_mutant_that_finds_nothing_to_break_says_so() -> None:
    gone = Mutant("gone", (("maillon.ledger.openings:highest_lock", "no such text", ""),))
    with pytest.raises(LookupError, match="no such text"), broken(gone):
        pass
