"""A second, naive reading of the charter's chain, for the checkers."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from maillon.protocol.encoding import decode, encode
from maillon.protocol.keys import coop_id, signing_bytes

BYTES_MAX = 1 << 20


@dataclass
class CoopModel:
    root: bytes
    writer: bytes
    witness: bytes
    limits: dict[int, int] = field(default_factory=dict[int, int])
    accounts_max: int = 0
    entered: int = 0
    trustee: bytes = b""
    removed: bool = False


@dataclass
class CharterStateModel:
    coops: dict[bytes, CoopModel]
    quorum: int
    approvals: int
    recovery_s: int
    accounts_max: int
    units: list[str]
    retired_below: int = 0
    cleared: set[tuple[bytes, bytes]] = field(default_factory=set[tuple[bytes, bytes]])
    heads: dict[bytes, tuple[int, bytes]] = field(default_factory=dict[bytes, tuple[int, bytes]])
    refounded: int = 0

    def witnesses(self) -> list[bytes]:
        """Return the witness keys, in order."""
        return [coop.witness for coop in self.coops.values() if coop.witness and not coop.removed]

    def writers(self, chain: bytes) -> set[bytes]:
        """Return the keys that may write a chain (the charter's own: any coop's)."""
        if chain not in self.coops:
            return {coop.writer for coop in self.coops.values() if not coop.removed}
        coop = self.coops[chain]
        keys = set[bytes]() if coop.removed else {coop.writer}
        if coop.trustee and not self.coops[coop.trustee].removed:
            keys.add(self.coops[coop.trustee].writer)
        return keys - {b""}

    def cap(self, chain: bytes) -> int:
        """Return how many accounts a coop may have open."""
        coop = self.coops[chain]
        return 0 if coop.removed else min(coop.accounts_max, self.accounts_max)


class CharterBroken(AssertionError):
    """The charter changed in a way it must not."""


class CharterModel:
    """The charter, state by state."""

    def __init__(
        self,
        fed: bytes,
        first: CharterStateModel,
        verify: Callable[[Sequence[tuple[bytes, bytes, bytes]]], list[bool]],
    ) -> None:
        self.fed = fed
        self.states = [first]
        self._verify = verify
        self.head_hash = hashlib.sha256(b"maillon/1/genesis\0" + fed + fed).digest()
        self.counts: dict[str, int] = {}

    @property
    def latest(self) -> CharterStateModel:
        return self.states[-1]

    @property
    def height(self) -> int:
        return len(self.states) - 1

    def at(self, c: int) -> CharterStateModel:
        """Return the charter of a height."""
        return self.states[c]

    def governing(self, chain: bytes, h: int, H: bytes, adopted: int) -> int:
        """Return what governs the block after a head: what it adopted, or who re-founded on it."""
        for height in range(self.height, adopted, -1):
            state = self.states[height]
            if state.refounded == height and state.heads.get(chain) == (h, H):
                return height
        return adopted

    def kind(self, unit: int) -> str:
        """Return whether a unit is hours, credit or count."""
        return self.latest.units[unit]

    def apply(self, H: bytes, header: bytes, body: bytes) -> None:
        """Take in the next block of the charter. Raises: CharterBroken."""
        fields: Any = decode(header, bytes_max=BYTES_MAX)
        content: Any = decode(body, bytes_max=BYTES_MAX)
        _, fed, chain, h, prev, c, c2 = fields[:7]
        entries = [entry for _, entry in content[0]]
        k = self.height + 1
        follows = (fed, chain, h, prev) == (self.fed, self.fed, k, self.head_hash)
        self._need(follows, "it follows the one before", k)
        self._need((c, c2) == (k - 1, k), "charter k is certified under k-1", k)
        decoded: list[Any] = [decode(entry, bytes_max=BYTES_MAX) for entry in entries]
        if decoded and decoded[0][0] != 11:
            self._approved(k, entries, content[1])
        state = copy.deepcopy(self.latest)
        for entry in decoded:
            self.change(state, entry, k)
        self.states.append(state)
        self.head_hash = H

    def _need(self, true: bool, claim: str, k: int) -> None:
        if not true:
            raise CharterBroken(f"charter {k}: {claim}")

    def _approved(self, k: int, entries: list[bytes], approvals: list[Any]) -> None:
        before = self.latest
        proposal = hashlib.sha256(
            b"maillon/1/proposal\0" + encode([k - 1, list[Any](entries)])
        ).digest()
        message = signing_bytes("approve", self.fed + proposal)
        good: set[bytes] = set()
        for coop, signature in approvals:
            named = before.coops.get(coop)
            if named is None or named.removed:
                continue
            keys = [key for key in (named.writer, named.root) if key]
            if any(self._verify([(key, message, signature) for key in keys])):
                good.add(coop)
        self._need(len(good) >= before.approvals, f"{len(good)} approvals are too few", k)

    def change(self, state: CharterStateModel, entry: Any, k: int) -> None:
        """Apply one decoded entry to a state."""
        kind: int = entry[0]
        names = (
            "", "admit", "remove", "key", "limit", "trustee", "quorum", "unit", "retire", "clear",
            "rule", "refound",
        )  # fmt: skip
        self.counts[names[kind]] = self.counts.get(names[kind], 0) + 1
        if kind == 1:
            _, root, _, writer, witness, _, limits, accounts_max = entry
            self._need(coop_id(root) not in state.coops, "a coop is admitted once", k)
            state.coops[coop_id(root)] = CoopModel(
                root, writer, witness, dict(limits), accounts_max, k
            )
        elif kind == 2:
            gone = state.coops[entry[1]]
            gone.removed, gone.trustee, gone.writer, gone.witness = True, entry[2], b"", b""
        elif kind == 3:
            setattr(state.coops[entry[1]], entry[2], entry[3])
        elif kind == 4:
            state.coops[entry[1]].limits[entry[2]] = entry[3]
        elif kind == 5:
            state.coops[entry[1]].trustee = entry[2]
        elif kind == 6:
            state.quorum = entry[1]
        elif kind == 7:
            state.units.append(entry[2])
        elif kind == 8:
            state.retired_below = entry[1]
            state.heads = {chain: (h, H) for chain, h, H in entry[3]}
        elif kind == 9:
            state.cleared.add((entry[1], entry[2]))
        elif kind == 10:
            self._need(entry[1] in ("approvals", "recovery_s", "accounts_max"), "a known rule", k)
            setattr(state, entry[1], entry[2])
        else:
            self._need(kind == 11, "there are eleven kinds of entry", k)
            state.heads = {chain: (h, H) for chain, h, H in entry[1]}
            named = {coop: (writer, witness) for coop, writer, witness in entry[2]}
            for id, coop in state.coops.items():
                if not coop.removed:
                    coop.writer, coop.witness = named.get(id, (coop.writer, b""))
            state.quorum = entry[3]
            state.refounded = state.retired_below = k
