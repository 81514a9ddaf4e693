"""Draw what is to happen in one run of simulated affairs of persons."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from simulation.exchange.plan import DAY_S
from simulation.exchange.plan import Plan as ExchangePlan


@dataclass(frozen=True)
class Plan(ExchangePlan):
    """One run: exchanges as they are simulated elsewhere, and what people do besides."""

    books: int
    """Books of three cheques."""
    deposits: int
    """How often a cheque is brought to a desk, and sometimes to two or three at once."""
    payments: int
    """Plain payments between people, and to groups."""
    groups: int
    proposals: int
    """Payments that somebody proposes in a group, or approves."""
    leavers: int
    """Members who leave their group."""
    moves: int
    kills: int
    """Processes that end at any moment, while they wait for something too."""
    lost: float
    """Share of streams between nodes that break before the answer."""

    @classmethod
    def draw(cls, rng: Random) -> Plan:
        """Draw a run: small, with a few faults of several sorts."""
        return cls(
            coops=rng.choice((2, 3, 3)),
            members=rng.choice((2, 3)),
            exchanges=rng.choice((0, 1, 2)),
            bundles=0,
            acts=rng.choice((15, 30)),
            active_s=rng.choice((1, 3, 6)) * DAY_S,
            slow_s=rng.choice((5, 600, DAY_S // 4)),
            double=rng.choice((0.0, 0.1, 0.5)),
            cuts=rng.choice((0, 0, 1, 3)),
            crashes=rng.choice((0, 1, 2)),
            power_cuts=rng.choice((0, 2, 6)),
            restores=rng.choice((0, 0, 1)),
            refusals=0.0,
            wrong=rng.choice((0.0, 0.2)),
            books=rng.choice((0, 1, 2, 2)),
            deposits=rng.choice((4, 8, 12)),
            payments=rng.choice((3, 8)),
            groups=rng.choice((0, 1, 1)),
            proposals=rng.choice((4, 10)),
            leavers=rng.choice((0, 0, 1)),
            moves=rng.choice((0, 1, 2)),
            kills=rng.choice((0, 1, 3)),
            lost=rng.choice((0.0, 0.1, 0.3)),
        )
