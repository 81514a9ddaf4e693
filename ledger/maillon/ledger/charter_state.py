"""Say what a charter holds: coops and their keys, units, quorum, limits (spec/06, "The state").

A charter of height k is a value: it never changes. Charter 0 comes from the founding document
alone; each later one from the one before it and the entries of a block (`charter_rules`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from maillon.ledger.charter_entries import Limits
from maillon.ledger.errors import NoLedger
from maillon.ledger.merkle import leaf_hash
from maillon.ledger.quorum import Committee
from maillon.protocol.encoding import Value, encode
from maillon.protocol.founding import Founding, Unit
from maillon.protocol.ids import CoopId, FedId
from maillon.protocol.keys import coop_id
from maillon.protocol.limits import ACCOUNTS_MAX

STATE_BYTES_MAX: Final = 1_048_576
"""A charter's state: 600 coops of at most about 1.2 kB, and what is kept beside them."""

SPENT_KEYS_MAX: Final = 1_000
"""Keys that were replaced and may not come back; beyond, the oldest are forgotten. Enough for each
of 300 coops to replace both its keys, and then some."""

CLEARED_MAX: Final = 1_000
"""Fraud proofs a charter remembers to have dealt with; beyond, the oldest are forgotten. Their
writers' keys are spent, so they could freeze nothing again."""

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class CharterCoop:
    """A coop of the charter, those that left included.

    `writer` and `witness` are 32 bytes or none. `limits` gives minor units by unit; a unit that is
    not listed has the limit 0. `accounts_own` is the number of accounts it was admitted with,
    `accounts_max` what holds: that, or the federation's number where it is lower. `entered` is the
    height of the charter that admitted it. `trustee` is the coop whose writer may continue its
    chain.
    """

    id: CoopId
    root: bytes
    node_key: bytes
    writer: bytes
    witness: bytes
    name: str
    limits: Mapping[int, int]
    accounts_own: int
    accounts_max: int
    entered: int
    trustee: bytes | None = None
    removed: bool = False

    def row(self) -> list[Value]:
        """Return the coop as it stands in the state."""
        return [
            self.root,
            self.node_key,
            self.writer,
            self.witness,
            self.name,
            [list[Value](pair) for pair in sorted(self.limits.items())],
            self.accounts_own,
            self.entered,
            self.trustee or b"",
            self.removed,
        ]


@dataclass(frozen=True, slots=True)
class CharterState:
    """The charter at one height. `coops` are in the order in which they entered.

    `retired_below`: certificates of epochs before it count only for `retired_heads` (chain to
    height and hash) and what these rest on. `refounded`: the height of the last re-founding, 0 for
    none. `spent` and `cleared` are in the order in which they came.
    """

    fed: FedId
    height: int
    coops: Mapping[bytes, CharterCoop]
    units: tuple[Unit, ...]
    quorum: int
    approvals: int
    recovery_s: int
    accounts_max: int
    retired_below: int = 0
    retired_heads: Mapping[bytes, tuple[int, bytes]] = field(
        default_factory=dict[bytes, tuple[int, bytes]]
    )
    refounded: int = 0
    cleared: tuple[tuple[bytes, bytes], ...] = ()
    spent: tuple[bytes, ...] = ()

    # --- who ---

    def members(self) -> tuple[CharterCoop, ...]:
        """Return the coops that have not left, in charter order."""
        return tuple(coop for coop in self.coops.values() if not coop.removed)

    def committee(self) -> Committee:
        """Return the witnesses' keys in charter order, and the quorum: W of this epoch."""
        keys = tuple(coop.witness for coop in self.members() if coop.witness)
        return Committee(keys, self.quorum)

    def witness_coop(self, key: bytes) -> CharterCoop | None:
        """Return the coop whose witness has this key, or None."""
        for coop in self.members():
            if coop.witness == key:
                return coop
        return None

    def writers(self, chain: bytes) -> frozenset[bytes]:
        """Return the keys that may open a term on a chain; none for a chain that is not here.

        A coop's own writer and its trustee's (E3); the trustee's alone once the coop has left. On
        the charter's chain every coop's (E1).
        """
        if chain == self.fed:
            return frozenset(coop.writer for coop in self.members() if coop.writer)
        coop = self.coops.get(chain)
        if coop is None:
            return frozenset()
        keys = set[bytes]()
        if coop.writer and not coop.removed:
            keys.add(coop.writer)
        if coop.trustee is not None:
            trustee = self.coops[coop.trustee]
            if trustee.writer and not trustee.removed:
                keys.add(trustee.writer)
        return frozenset(keys)

    def approvers(self) -> dict[bytes, tuple[bytes, ...]]:
        """Return, for each coop that may approve, the keys with which it may: root and writer."""
        return {
            coop.id: tuple(key for key in (coop.writer, coop.root) if key)
            for coop in self.members()
        }

    # --- how much ---

    def accounts_cap(self, chain: bytes) -> int:
        """Return how many accounts a coop may have open; 0 for one that is not here or has left."""
        coop = self.coops.get(chain)
        if coop is None or coop.removed:
            return 0
        return coop.accounts_max

    def coop_limit(self, chain: bytes, unit: int) -> int:
        """Return what a coop may owe the others together in a unit, in minor units."""
        coop = self.coops.get(chain)
        return coop.limits.get(unit, 0) if coop is not None and not coop.removed else 0

    # --- what still counts ---

    def counts(self, chain: bytes, c: int, h: int, block_hash: bytes) -> bool:
        """Tell whether a certificate of epoch `c` for a block proves that block by itself (E4).

        That of a retired epoch does for the very head that was pinned, and for no other block.
        """
        if c >= self.retired_below:
            return True
        return self.retired_heads.get(chain) == (h, block_hash)

    def may_count(self, chain: bytes, c: int, h: int, block_hash: bytes) -> bool:
        """Tell whether a block may still turn out to rest below a pinned head.

        For a reader that takes a chain from its beginning and will see the pinned head: what it
        took of a retired epoch counts once that head, by its hash, stands above it.
        """
        if c >= self.retired_below or chain == self.fed:
            return True
        pinned = self.retired_heads.get(chain)
        if pinned is None:
            return False
        return h < pinned[0] or pinned == (h, block_hash)

    # --- bytes ---

    def encode(self) -> bytes:
        """Return the state's bytes: a canonical map."""
        rows: list[Value] = [coop.row() for coop in self.coops.values()]
        units: list[Value] = [[u.code, u.kind, u.decimals, u.label] for u in self.units]
        heads: list[Value] = [
            [chain, h, block_hash] for chain, (h, block_hash) in sorted(self.retired_heads.items())
        ]
        return encode(
            {
                "v": VERSION,
                "height": self.height,
                "coops": rows,
                "units": units,
                "quorum": self.quorum,
                "approvals": self.approvals,
                "recovery_s": self.recovery_s,
                "accounts_max": self.accounts_max,
                "retired_below": self.retired_below,
                "retired_heads": heads,
                "refounded": self.refounded,
                "cleared": [list[Value](pair) for pair in self.cleared],
                "spent": list[Value](self.spent),
            },
            bytes_max=STATE_BYTES_MAX,
        )

    def root(self) -> bytes:
        """Return the state root that a header of the charter's chain names."""
        return leaf_hash(self.encode())


def founding_state(founding: Founding) -> CharterState:
    """Return charter 0. Raises: NoLedger when the federation was founded without accounts."""
    terms = founding.ledger
    if terms is None:
        raise NoLedger(fed=founding.fed)
    # The founders have no number of accounts of their own: the federation's holds for them.
    coops: dict[bytes, CharterCoop] = {}
    for coop in founding.coops:
        keys = (coop.root, coop.node_key, coop.writer, coop.witness)
        coops[coop.id] = new_coop(keys, coop.name, terms.limits, ACCOUNTS_MAX, 0)
    return CharterState(
        founding.fed,
        0,
        with_caps(coops, terms.accounts_max),
        founding.units,
        terms.quorum,
        terms.approvals,
        terms.recovery_s,
        terms.accounts_max,
    )


def new_coop(
    keys: tuple[bytes, bytes, bytes, bytes], name: str, limits: Limits, accounts: int, height: int
) -> CharterCoop:
    """Return a coop that enters at `height`; `keys` are its root, node, writer and witness key."""
    by_unit = MappingProxyType(dict(sorted(limits)))
    return CharterCoop(coop_id(keys[0]), *keys, name, by_unit, accounts, accounts, height)


def with_caps(coops: Mapping[bytes, CharterCoop], accounts_max: int) -> Mapping[bytes, CharterCoop]:
    """Return the coops with the number of accounts that holds for each."""
    return MappingProxyType(
        {
            coop: _with_cap(entry, min(entry.accounts_own, accounts_max))
            for coop, entry in coops.items()
        }
    )


def _with_cap(coop: CharterCoop, accounts_max: int) -> CharterCoop:
    # The same value where nothing changed: a thousand charters share most of their coops.
    return coop if coop.accounts_max == accounts_max else replace(coop, accounts_max=accounts_max)
