"""What a run of the simulation has in store, and who lives in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from maillon.protocol.envelope import Signed
from simulation.node import SimNode
from support.world import Member


@dataclass(frozen=True)
class Plan:
    """What a run has in store. `tame` runs revoke nothing, so nothing may be lost."""

    founders: int
    late_coops: int
    liars: int
    members: int
    actions: int
    active_s: float
    skew_s: float
    loss: float
    double: float
    latency_s: float
    stream_break: float
    partitions: int
    restarts: int
    power_cuts: int
    tame: bool
    sparse: bool

    @classmethod
    def draw(cls, rng: Random) -> Plan:
        """Draw a plan: most runs are small, some are larger, a fifth is tame."""
        founders = rng.choice((2, 3, 3, 4, 4, 5))
        return cls(
            founders=founders,
            late_coops=rng.choice((0, 0, 1, 1, 2)),
            liars=rng.choice((0, 1, 1)) if founders > 2 else 0,
            members=rng.randint(1, 3),
            actions=rng.randint(30, 90),
            active_s=rng.uniform(200, 700),
            skew_s=rng.choice((0.0, 2.0, 60.0, 140.0)),
            loss=rng.choice((0.0, 0.1, 0.4, 0.9)),
            double=rng.choice((0.0, 0.2)),
            latency_s=rng.choice((0.01, 0.1, 1.0, 4.0)),
            stream_break=rng.choice((0.0, 0.2, 0.5)),
            partitions=rng.randint(0, 3),
            restarts=rng.randint(0, 3),
            power_cuts=rng.randint(0, 4),
            tame=rng.random() < 0.2,
            sparse=rng.random() < 0.4,
        )


@dataclass
class Person:
    """A member's devices and what their owner remembers of their own things."""

    member: Member
    home: SimNode
    until: int
    rev: int = 0
    second: Member | None = None
    stolen: bool = False
    things: list[Signed] = field(default_factory=list[Signed])
    # What was ever promised for a series: nothing may end before what it replaces.
    untils: dict[bytes, int] = field(default_factory=dict[bytes, int])
    # What the sealed bids were: amount and nonce, by the bid's id.
    sealed: dict[bytes, tuple[int, bytes]] = field(
        default_factory=dict[bytes, tuple[int, bytes]]
    )
