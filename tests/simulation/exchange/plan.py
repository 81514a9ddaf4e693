"""Draw what is to happen in one run of simulated exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

DAY_S = 86_400


@dataclass(frozen=True)
class Plan:
    """One run: who deals with whom, and how often each thing goes wrong."""

    coops: int
    members: int
    """Of each coop."""
    exchanges: int
    bundles: int
    acts: int
    """How often somebody looks at one of their exchanges and perhaps does something."""
    active_s: int
    slow_s: int
    """The longest a letter takes while all is well."""
    double: float
    """Share of letters that arrive twice, the second time at any later moment."""
    cuts: int
    """Coops that are away for a while: nothing reaches them, and they see no ledger."""
    crashes: int
    """Starts anew in the middle of what a node was about to do."""
    power_cuts: int
    """Nodes that die at a commit, just before it counts or just after."""
    restores: int
    """Nodes whose exchanges are put back from a backup."""
    refusals: float
    """Share of people whose orders the ledger refuses for a while."""
    wrong: float
    """Share of acts that are tried although they are not possible."""

    @classmethod
    def draw(cls, rng: Random) -> Plan:
        """Draw a run: small, with a few faults of several sorts."""
        return cls(
            coops=rng.choice((2, 3, 3, 4)),
            members=rng.choice((1, 2)),
            exchanges=rng.choice((1, 2, 3)),
            bundles=rng.choice((0, 0, 1)),
            acts=rng.choice((15, 30, 60)),
            active_s=rng.choice((2, 10, 20)) * DAY_S,
            slow_s=rng.choice((5, 600, DAY_S)),
            double=rng.choice((0.0, 0.1, 0.5)),
            cuts=rng.choice((0, 0, 1, 3)),
            crashes=rng.choice((0, 1, 4)),
            power_cuts=rng.choice((0, 1, 4)),
            restores=rng.choice((0, 0, 0, 1)),
            refusals=rng.choice((0.0, 0.0, 0.3)),
            wrong=rng.choice((0.0, 0.2)),
        )
