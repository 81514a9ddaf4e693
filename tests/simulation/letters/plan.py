"""Draw what is to happen in one run of simulated post offices."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from maillon.node.engine.post.bounds import Bounds

HOUR_S = 3_600

SIM_BOUNDS = Bounds(
    # Days become hours, so that everything that time does happens within one run.
    arrived_s=6 * HOUR_S,
    taken_s=HOUR_S,
    gap_s=90 * 60,
    gap_end_s=5 * 60,
    thread_s=24 * HOUR_S,
    retry_s=10,
    retry_s_max=300,
    resend_s=20,
    jump_s=20 * 60,
    jump_wait_s=15 * 60,
    slice_rows=64,
    tick_s=60,
    flight_letters_max=32,
)


@dataclass(frozen=True)
class Plan:
    """One run: how many offices, how bad the weather, and how often each thing goes wrong."""

    coops: int
    exchanges: int
    messages: int
    active_s: int
    loss: float
    double: float
    slow: float
    cuts: int
    """Links that break for a while."""
    crashes: int
    power_cuts: int
    """Crashes in the middle of a step: just before or just after its commit."""
    restores: int
    """Offices brought back from a backup, as the manual says."""
    rollbacks: int
    """Offices whose file somebody put back by hand."""
    jumps: int
    """Clocks that leap for some minutes."""
    removals: int
    """Coops that leave the federation for a while."""
    unknowns: int
    """Keys that are not known to their node for a while."""
    absences: int
    """Devices that are away."""
    small_boxes: bool
    """Boxes so small that they overflow."""
    real_seals: bool = False

    @classmethod
    def draw(cls, rng: Random) -> Plan:
        """Draw a plan. A third of all runs has no restored disks, and the strictest promises."""
        calm = rng.random() < 0.35
        return cls(
            coops=rng.randint(3, 5),
            exchanges=rng.randint(1, 4),
            messages=rng.randint(20, 90),
            active_s=rng.choice((20 * 60, HOUR_S, 3 * HOUR_S)),
            loss=rng.choice((0.0, 0.05, 0.3)),
            double=rng.choice((0.0, 0.1, 0.3)),
            slow=rng.choice((0.0, 0.05, 0.2)),
            cuts=rng.randint(0, 6),
            crashes=rng.randint(0, 5),
            power_cuts=rng.randint(0, 8),
            restores=0 if calm else rng.randint(0, 2),
            rollbacks=0 if calm else rng.choice((0, 0, 1, 2)),
            jumps=rng.choice((0, 0, 1, 2)),
            removals=rng.choice((0, 0, 1)),
            unknowns=rng.choice((0, 0, 1, 2)),
            absences=rng.choice((0, 1, 3)),
            small_boxes=rng.random() < 0.2,
        )
