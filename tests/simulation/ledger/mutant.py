"""What a mutant is: a rule broken by a change of the source, and what notices it."""

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
