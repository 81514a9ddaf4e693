"""Say what a rule may look at besides the state (spec/06-accounts.md, "Validity of a block").

Whether an entry is valid is a function of the chain's state, the entry, the governing charter, the
block's time, and facts of other chains that came with their proof. Nothing else is in reach here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from maillon.ledger.block import Header
from maillon.ledger.charter_state import CharterState
from maillon.ledger.errors import CoopUnknown
from maillon.ledger.signing import CONFIRM, ORDER, RELEASE, Check, signed_bytes
from maillon.protocol.ids import CoopId

COUNT_KIND: Final = "count"
"""Kind of the units of which exchanges are recorded and nothing is owed."""


class Context:
    """The surroundings of a block's entries. `checks` gathers the signatures they rest on."""

    __slots__ = (
        "chain",
        "charter",
        "checks",
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
        charter: CharterState,
        time: int,
        facts: Mapping[tuple[bytes, bytes], Header],
    ) -> None:
        """`facts` maps (chain, header hash) to headers that the block's evidence has proven.

        Raises: CoopUnknown when the charter does not name the chain's coop.
        """
        self.fed = fed
        self.chain = chain
        self.charter = charter
        if CoopId(chain) not in charter.coops:
            raise CoopUnknown(coop=chain)
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
            purpose: signed_bytes(purpose, fed, b"") for purpose in (ORDER, CONFIRM, RELEASE)
        }

    def check(self, purpose: str, key: bytes, body: bytes, signature: bytes) -> None:
        """Note a signature over a body that has to be verified before the block counts."""
        self.checks.append((key, self.prefixes[purpose] + body, signature))
        self.places.append(self.index)

    def limit(self, unit: int) -> int:
        """Return what the coop may owe the others in a unit; one that has left owes nothing new."""
        return self.charter.coop_limit(self.chain, unit)

    def destination(self, coop: bytes) -> None:
        """Return when the coop can be paid. Raises: CoopUnknown."""
        found = self.charter.coops.get(CoopId(coop))
        if found is None or found.removed:
            raise CoopUnknown(coop=coop, removed=found is not None)
