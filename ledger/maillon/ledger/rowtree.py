"""Keep the Merkle tree over a state's rows up to date (spec/06-accounts.md, "State").

The tree is that of RFC 6962 over the rows in the order of their slots. Only the hashes above a
changed row are made again, so a block costs its changed rows times the tree's height, whatever the
number of accounts.

RFC 6962 splits n leaves at the largest power of two below n. Built from below that is: pair the
nodes of a level, and hand a last one without a partner up unchanged. So a tree is a list of levels.

A block changes hundreds of rows at once, so all of them are set together: each node above them is
hashed once, not once for each row below it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from maillon.ledger.merkle import EMPTY

_NODE: Final = b"\x01"


class RowTree:
    """Hold the levels of a tree whose leaves change and are appended, never removed."""

    __slots__ = ("_levels",)

    _levels: list[list[bytes]]

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels = [[]]
        self.update(dict(enumerate(leaves)))

    def __len__(self) -> int:
        return len(self._levels[0])

    def root(self) -> bytes:
        """Return the root over all leaves; of none, SHA-256 of nothing."""
        return self._levels[-1][0] if self._levels[0] else EMPTY

    def leaf(self, slot: int) -> bytes:
        """Return the leaf at a slot. Raises: IndexError when there is none."""
        return self._levels[0][slot]

    def update(self, changed: Mapping[int, bytes]) -> None:
        """Set leaves. New slots follow the last one without a gap, or it is a bug of ours."""
        if not changed:
            return
        sha256 = hashlib.sha256
        levels = self._levels
        leaves = levels[0]
        places = sorted(changed)
        for place in places:
            if place < len(leaves):
                leaves[place] = changed[place]
            else:
                assert place == len(leaves), "a slot was skipped"
                leaves.append(changed[place])
        height = 0
        while len(levels[height]) > 1:
            below = levels[height]
            height += 1
            if height == len(levels):
                levels.append([])
            above = levels[height]
            parents = list(dict.fromkeys([place >> 1 for place in places]))
            # Only the last node of a level may be without a partner.
            alone = len(below) & 1 and parents[-1] == len(below) >> 1
            pairs = parents[:-1] if alone else parents
            # A block changes a good part of a level: one expression for all of them is twice as
            # fast as a loop with its questions.
            nodes = [sha256(_NODE + below[p + p] + below[p + p + 1]).digest() for p in pairs]
            if alone:
                nodes.append(below[-1])
            known = len(above)
            for parent, node in zip(parents, nodes, strict=True):
                if parent < known:
                    above[parent] = node
                else:
                    # Parents come in ascending order and every new leaf is among the changed ones,
                    # so a parent beyond the level's end is exactly the next.
                    above.append(node)
            places = parents

    def preview(self, changed: Mapping[int, bytes]) -> tuple[bytes, list[dict[int, bytes]]]:
        """Return the root that `update` would lead to, and the changed nodes of each level.

        The tree itself stays as it is; `adopt` takes the nodes over without hashing again.
        """
        if not changed:
            return self.root(), []
        sha256 = hashlib.sha256
        levels = self._levels
        nodes: list[dict[int, bytes]] = [dict(changed)]
        size = max(len(levels[0]), max(changed) + 1)
        places = sorted(changed)
        height = 0
        while size > 1:
            over = nodes[height]
            under: list[bytes] = levels[height] if height < len(levels) else []
            made: dict[int, bytes] = {}
            for place in places:
                parent = place >> 1
                if parent in made:
                    continue
                left = parent << 1
                one = over.get(left)
                if one is None:
                    one = under[left]
                if left + 1 < size:
                    two = over.get(left + 1)
                    if two is None:
                        two = under[left + 1]
                    made[parent] = sha256(_NODE + one + two).digest()
                else:
                    made[parent] = one
            nodes.append(made)
            places = list(made)
            size = (size + 1) >> 1
            height += 1
        return nodes[height][0], nodes

    def adopt(self, nodes: list[dict[int, bytes]]) -> None:
        """Take over what `preview` returned, when nothing has changed in between."""
        levels = self._levels
        for height, made in enumerate(nodes):
            if height == len(levels):
                levels.append([])
            level = levels[height]
            for place in sorted(made):
                if place < len(level):
                    level[place] = made[place]
                else:
                    assert place == len(level), "a slot was skipped"
                    level.append(made[place])

    def path(self, slot: int) -> tuple[bytes, ...]:
        """Return the inclusion path of a slot (RFC 6962, section 2.1.1). Raises: IndexError."""
        if not 0 <= slot < len(self):
            raise IndexError(slot)
        found: list[bytes] = []
        for level in self._levels[:-1]:
            beside = slot ^ 1
            if beside < len(level):
                found.append(level[beside])
            slot >>= 1
        return tuple(found)
