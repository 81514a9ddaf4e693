"""Say what a rule may look at besides the state: the block it stands in and its charter (spec/06).

Whether an entry is valid is a function of the chain's state, the entry, the governing charter, the
block's time, and facts of other chains that came with their proof. Nothing else is in reach here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from maillon.ledger.errors import CoopUnknown
from maillon.ledger.signing import Check

COUNT_KIND: Final = "count"
"""Kind of the units of which exchanges are recorded and nothing is owed."""


class UnitView(Protocol):
    """What rules read of a unit."""

    @property
    def kind(self) -> str:
        """Return "hours", "credit" or "count"."""
        ...


class CoopView(Protocol):
    """What rules read of a coop in the charter."""

    @property
    def limits(self) -> Mapping[int, int]:
        """Return what the coop may owe the others, by unit; 0 where a unit is missing."""
        ...

    @property
    def accounts_max(self) -> int:
        """Return how many accounts it may have open."""
        ...

    @property
    def removed(self) -> bool:
        """Say whether it has left the federation."""
        ...


class CharterView(Protocol):
    """What rules read of the governing charter."""

    @property
    def coops(self) -> Mapping[bytes, CoopView]:
        """Return the coops, removed ones included."""
        ...

    @property
    def units(self) -> tuple[UnitView, ...]:
        """Return the units, by index."""
        ...

    @property
    def recovery_s(self) -> int:
        """Return how long a recovered key waits, in seconds."""
        ...


class FactView(Protocol):
    """What rules read of a proven header of another chain."""

    @property
    def entries_root(self) -> bytes:
        """Return the root over its entries."""
        ...

    @property
    def count(self) -> int:
        """Return the number of its entries."""
        ...


class Context:
    """The surroundings of a block's entries. `checks` gathers the signatures they rest on."""

    __slots__ = (
        "chain",
        "charter",
        "checks",
        "coop",
        "counted",
        "facts",
        "fed",
        "index",
        "places",
        "prefixes",
        "time",
        "units",
    )

    def __init__(
        self,
        fed: bytes,
        chain: bytes,
        charter: CharterView,
        time: int,
        facts: Mapping[tuple[bytes, bytes], FactView],
    ) -> None:
        """`facts` maps (chain, header hash) to headers that the block's evidence has proven.

        Raises: CoopUnknown when the charter does not name the chain's coop.
        """
        self.fed = fed
        self.chain = chain
        self.charter = charter
        coop = charter.coops.get(chain)
        if coop is None:
            raise CoopUnknown(coop=chain)
        self.coop = coop
        self.units = len(charter.units)
        self.counted = frozenset(
            unit for unit, known in enumerate(charter.units) if known.kind == COUNT_KIND
        )
        self.time = time
        self.facts = facts
        # All signatures of a block are verified at once, after its entries were applied to a fork:
        # one call for 256 of them costs a third of 256 calls, and a pool can share them out.
        self.checks: list[Check] = []
        self.places: list[int] = []
        self.index = 0
        self.prefixes = {
            purpose: b"maillon/1/" + purpose.encode() + b"\0" + fed
            for purpose in ("order", "confirm", "release")
        }

    def check(self, purpose: str, key: bytes, body: bytes, signature: bytes) -> None:
        """Note a signature over a body that has to be verified before the block counts."""
        self.checks.append((key, self.prefixes[purpose] + body, signature))
        self.places.append(self.index)

    def limit(self, unit: int) -> int:
        """Return what the coop may owe the others in a unit; one that has left owes nothing new."""
        return 0 if self.coop.removed else self.coop.limits.get(unit, 0)

    def destination(self, coop: bytes) -> None:
        """Return when the coop can be paid. Raises: CoopUnknown."""
        found = self.charter.coops.get(coop)
        if found is None or found.removed:
            raise CoopUnknown(coop=coop, removed=found is not None)
