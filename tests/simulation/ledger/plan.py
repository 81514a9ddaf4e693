"""What a run has in store, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from maillon.protocol.founding import Unit

UNITS = (
    Unit("heure", "hours", 0, "heure"),
    Unit("graine", "credit", 2, "graine"),
    Unit("coup", "count", 0, "coup de main"),
)
LIMITS = ((0, 150), (1, 400))
UNIT_KINDS = ["hours", "credit", "count"]


def tolerated(n: int, quorum: int) -> int:
    """Return how many lying witnesses of `n` a quorum is safe against: 2q - n >= b + 1."""
    return max(0, 2 * quorum - n - 1)


def default_quorum(n: int) -> int:
    """Return ceil((n + f + 1) / 2) with f = (n - 1) // 3."""
    return (n + (n - 1) // 3 + 2) // 2


@dataclass(frozen=True)
class Plan:
    """What a run has in store; budgets keep its faults within what the quorum promises."""

    coops: int
    quorum: int
    approvals: int
    writing: int
    """Coops whose chains have traffic, the first ones."""
    members: int
    actions: int
    active_s: int
    liars: int
    """Lying witnesses, the last coops' ones."""
    crooks: int
    """Lying writers, among the writing coops."""
    crashes: int
    clones: int
    restores: int
    """Machines that lose both databases and come back from a backup, without their witness."""
    rollbacks: int
    """Witnesses whose votes are rolled back."""
    rollback_is_lie: bool
    """The rolled-back witness counts as a liar; else W8 has to stop it."""
    partitions: int
    deaf: int
    skew_s: int
    loss: float
    double: float
    latency_ms: int
    slow: float
    charter: int
    """Changes of the charter in flight."""
    late: int
    """Coops that the charter admits later."""
    recovery_s: int
    retire: bool
    """In the end the epochs before the last are retired."""
    refound: bool
    """In the end too many witnesses are lost, and the coops found the federation again."""
    wire: bool
    """Every message travels as bytes."""
    real: bool
    """Signatures are Ed25519."""

    @classmethod
    def draw(cls, rng: Random) -> Plan:
        """Draw a plan: most are small, of four coops, with a few faults of several sorts."""
        coops = rng.choices((1, 2, 3, 4, 5, 6, 7), (3, 6, 14, 52, 10, 5, 10))[0]
        quorum = default_quorum(coops)
        if rng.random() < 0.15:
            quorum = rng.randint(coops // 2 + 1, coops)
        lies = min(tolerated(coops, quorum), coops - quorum)
        silent = coops - quorum
        liars = rng.randint(0, lies) if rng.random() < 0.7 else 0
        left = silent - liars
        rollback_is_lie = lies > liars and rng.random() < 0.5
        rollbacks = 0
        if rollback_is_lie:
            rollbacks, left = 1, left - 1
        elif left > 0 and liars == 0 and rng.random() < 0.25:
            rollbacks, left = 1, left - 1
        w8 = rollbacks > 0 and not rollback_is_lie
        restores = 1 if left > 0 and not w8 and rng.random() < 0.3 else 0
        writing = rng.choice((1, 1, 2, 2, 2, 3))
        writing = min(writing, coops)
        hectic = rng.random()
        return cls(
            coops=coops,
            quorum=quorum,
            approvals=rng.randint(1, max(1, coops // 2 + 1)),
            writing=writing,
            members=rng.choice((1, 2, 2, 3)),
            actions=rng.choice((2, 5, 8, 12, 25)),
            active_s=rng.choice((20, 60, 120, 300)),
            liars=liars,
            crooks=0 if w8 or coops == 1 else rng.choice((0, 0, 1, 1, min(2, writing))),
            crashes=rng.choice((0, 1, 2, 4, 8)) if hectic < 0.7 else 0,
            clones=0 if w8 else rng.choice((0, 0, 0, 1, 2)),
            restores=restores,
            rollbacks=rollbacks,
            rollback_is_lie=rollback_is_lie,
            partitions=rng.choice((0, 0, 1, 2)),
            deaf=rng.choice((0, 0, 0, 2)),
            skew_s=rng.choice((0, 0, 5, 60, 140)),
            loss=rng.choice((0.0, 0.02, 0.1, 0.3)),
            double=rng.choice((0.0, 0.0, 0.1)),
            latency_ms=rng.choice((5, 40, 200, 1_000)),
            slow=rng.choice((0.0, 0.0, 0.03)),
            charter=rng.choice((0, 0, 0, 1, 1, 2, 3)),
            late=rng.choice((0, 0, 0, 1)),
            recovery_s=rng.choice((0, 60, 600)),
            retire=rng.random() < 0.15,
            refound=coops >= 3 and rng.random() < 0.06,
            wire=rng.random() < 0.05,
            real=rng.random() < 0.005,
        )
