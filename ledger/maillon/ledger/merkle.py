"""Hash trees: prove that something stands in a list, and that a list only grew (RFC 6962, 2.1).

The tree of n leaves is split at the greatest power of two below n; a node is SHA-256(0x01 || left
|| right), the empty tree SHA-256(""). Leaves come in hashed (SHA-256(0x00 || data)): whoever builds
a tree decides what a leaf is made of (spec/06-blocks.md, "Trees").

Any tree of n leaves is a row of perfect trees, one for each bit of n, folded from the right. That
is why a `Frontier` (the roots of these) suffices to append, and why a `SlotTree` keeps only nodes
of perfect trees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from maillon.ledger.errors import BadEvidence
from maillon.ledger.limits import HASH_BYTES, HISTORY_PATH_MAX

_sha256 = hashlib.sha256

EMPTY: Final = _sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Return the leaf of some bytes: SHA-256(0x00 || data)."""
    return _sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return _sha256(b"\1" + left + right).digest()


def _fold(peaks: Sequence[bytes]) -> bytes:
    # From the right: the smallest perfect trees are deepest.
    if not peaks:
        return EMPTY
    total = peaks[-1]
    for peak in reversed(peaks[:-1]):
        total = node_hash(peak, total)
    return total


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree over leaves that are hashed already."""
    if not leaves:
        return EMPTY
    # Level by level; a last node without a neighbour moves up as it is, which is the same tree.
    level = list(leaves)
    while len(level) > 1:
        odd = [level[-1]] if len(level) & 1 else []
        pairs = zip(level[0::2], level[1::2], strict=False)
        level = [_sha256(b"\1" + left + right).digest() for left, right in pairs]
        level += odd
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of a leaf, from the bottom (RFC 6962, 2.1.1). 0 <= index < n."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    path: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        other = index ^ 1
        if other < len(level):
            path.append(level[other])
        odd = [level[-1]] if len(level) & 1 else []
        pairs = zip(level[0::2], level[1::2], strict=False)
        level = [_sha256(b"\1" + left + right).digest() for left, right in pairs]
        level += odd
        index >>= 1
    return path


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root that a path leads to (RFC 9162, 2.1.3.2).

    Raises: BadEvidence when index, size and the path's length do not fit one another.
    """
    if not 0 <= index < size:
        raise BadEvidence(rule="path_index", index=index, size=size)
    if len(path) > HISTORY_PATH_MAX:
        raise BadEvidence(rule="path_length", got=len(path))
    here, last = index, size - 1
    found = leaf
    for hash_ in path:
        if last == 0:
            raise BadEvidence(rule="path_length", got=len(path))
        if here & 1 or here == last:
            found = node_hash(hash_, found)
            # A node at the right edge has no neighbour until its number is odd.
            while not here & 1 and here:
                here >>= 1
                last >>= 1
        else:
            found = node_hash(found, hash_)
        here >>= 1
        last >>= 1
    if last:
        raise BadEvidence(rule="path_length", got=len(path))
    return found


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], expected: bytes
) -> None:
    """Return when the leaf stands at `index` in the tree of `size` leaves with root `expected`.

    Raises: BadEvidence, whose `rule` is path_index, path_length or path_root.
    """
    if root_of_path(leaf, index, size, path) != expected:
        raise BadEvidence(rule="path_root", index=index, size=size)


def consistency_path(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Return the proof that the tree of the first `old` leaves is a beginning of this one.

    RFC 6962, 2.1.2. 0 <= old <= n; nothing is needed for 0 and n.
    """
    size = len(leaves)
    if not 0 <= old <= size:
        raise IndexError(old)
    if old in (0, size):
        return []
    path: list[bytes] = []
    low, high, known = 0, size, True
    # Downwards; what stands beside the way is gathered and written bottom up.
    while old != high - low:
        split = low + _half(high - low)
        if old <= split - low:
            path.append(root(leaves[split:high]))
            high = split
        else:
            path.append(root(leaves[low:split]))
            old -= split - low
            low, known = split, False
    if not known:
        path.append(root(leaves[low:high]))
    path.reverse()
    return path


def verify_consistency(
    old: int, size: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Return when the tree of `old` leaves is a beginning of that of `size` (RFC 9162, 2.1.4.2).

    Raises: BadEvidence, whose `rule` is path_index, path_length or path_root.
    """
    if not 0 <= old <= size:
        raise BadEvidence(rule="path_index", index=old, size=size)
    if len(path) > HISTORY_PATH_MAX + 1:
        raise BadEvidence(rule="path_length", got=len(path))
    if old in (0, size):
        if path:
            raise BadEvidence(rule="path_length", got=len(path))
        if (old == 0 and old_root != EMPTY) or (old == size and old_root != new_root):
            raise BadEvidence(rule="path_root", index=old, size=size)
        return
    nodes = list(path)
    if old & (old - 1) == 0:
        # The old tree is one perfect tree: its root begins the proof.
        nodes.insert(0, old_root)
    if not nodes:
        raise BadEvidence(rule="path_length", got=0)
    here, last = old - 1, size - 1
    while here & 1:
        here >>= 1
        last >>= 1
    before = after = nodes[0]
    for hash_ in nodes[1:]:
        if last == 0:
            raise BadEvidence(rule="path_length", got=len(path))
        if here & 1 or here == last:
            before = node_hash(hash_, before)
            after = node_hash(hash_, after)
            while not here & 1 and here:
                here >>= 1
                last >>= 1
        else:
            after = node_hash(after, hash_)
        here >>= 1
        last >>= 1
    if last:
        raise BadEvidence(rule="path_length", got=len(path))
    if before != old_root or after != new_root:
        raise BadEvidence(rule="path_root", index=old, size=size)


def _half(size: int) -> int:
    """Return the greatest power of two below `size` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


class Frontier:
    """The right edge of a growing tree: enough to append and to know the root.

    `peaks` are the roots of the perfect trees of a list of `size` leaves, the largest first: one
    for each bit of `size`.
    """

    __slots__ = ("peaks", "size")

    size: int
    peaks: tuple[bytes, ...]

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = tuple(peaks)
        if size < 0 or len(self.peaks) != size.bit_count():
            raise ValueError("a frontier has one peak for each bit of its size")
        if any(len(peak) != HASH_BYTES for peak in self.peaks):
            raise ValueError("a peak is a hash of 32 bytes")

    @classmethod
    def of(cls, leaves: Iterable[bytes]) -> Frontier:
        """Return the frontier of a list of leaves."""
        frontier = cls()
        for leaf in leaves:
            frontier = frontier.append(leaf)
        return frontier

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier with one leaf more; this one stays as it is."""
        peaks = list(self.peaks)
        size = self.size
        while size & 1:
            leaf = node_hash(peaks.pop(), leaf)
            size >>= 1
        peaks.append(leaf)
        return Frontier(self.size + 1, peaks)

    def root(self) -> bytes:
        """Return the root of the tree so far."""
        return _fold(self.peaks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frontier) and (other.size, other.peaks) == (self.size, self.peaks)

    def __hash__(self) -> int:
        return hash((self.size, self.peaks))

    def __repr__(self) -> str:
        return f"Frontier({self.size}, root {self.root().hex()[:8]})"


class SlotTree:
    """A tree whose leaves can be replaced and appended, each in O(log n); forks are cheap.

    A fork sees its parent's nodes and keeps only what differs; the parent is not changed before
    `absorb`. While forks of it are in use, do not change a tree itself: their view would mix.

    Level k holds the roots of the perfect trees of 2^k leaves, those that are complete. 64 bytes a
    leaf, however many leaves. Nodes above a changed leaf are hashed when they are asked for, so
    that a block's changes share the hashing of the nodes they have in common.
    """

    __slots__ = ("_changed", "_dirty", "_levels", "_parent", "size")

    size: int

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._parent: SlotTree | None = None
        self._changed: list[dict[int, bytes]] = []
        self._dirty: set[int] = set()
        level = bytearray().join(leaves)
        if len(level) % HASH_BYTES:
            raise ValueError("a leaf is a hash of 32 bytes")
        self.size = len(level) // HASH_BYTES
        self._levels: list[bytearray] = []
        while level:
            self._levels.append(level)
            pair = 2 * HASH_BYTES
            level = bytearray().join(
                _sha256(b"\1" + level[at : at + pair]).digest()
                for at in range(0, len(level) - pair + 1, pair)
            )

    def fork(self) -> SlotTree:
        """Return a tree that begins as this one and is changed apart from it."""
        self._settle()
        fork = SlotTree()
        fork._parent = self
        fork.size = self.size
        return fork

    def _node(self, level: int, index: int) -> bytes:
        tree = self
        while tree._parent is not None:
            if level < len(tree._changed):
                found = tree._changed[level].get(index)
                if found is not None:
                    return found
            tree = tree._parent
        at = index * HASH_BYTES
        return bytes(tree._levels[level][at : at + HASH_BYTES])

    def _put(self, level: int, index: int, hash_: bytes) -> None:
        if self._parent is not None:
            while len(self._changed) <= level:
                self._changed.append({})
            self._changed[level][index] = hash_
            return
        if level == len(self._levels):
            self._levels.append(bytearray())
        at = index * HASH_BYTES
        self._levels[level][at : at + HASH_BYTES] = hash_

    def _settle(self) -> None:
        """Hash the nodes above the changed leaves, level by level."""
        dirty, level = sorted(self._dirty), 0
        while dirty:
            # Only perfect trees that are complete have a node.
            complete = self.size >> (level + 1)
            above = sorted({index >> 1 for index in dirty if index >> 1 < complete})
            node, put = self._node, self._put
            for index in above:
                pair = b"\1" + node(level, 2 * index) + node(level, 2 * index + 1)
                # In order of index: a level grows at its end.
                put(level + 1, index, _sha256(pair).digest())
            dirty, level = above, level + 1
        self._dirty.clear()

    def leaf(self, slot: int) -> bytes:
        """Return the leaf in a slot. Raises: IndexError."""
        if not 0 <= slot < self.size:
            raise IndexError(slot)
        return self._node(0, slot)

    def set(self, slot: int, leaf: bytes) -> None:
        """Replace the leaf in a slot, or append it when `slot` is the size. Raises: IndexError."""
        if len(leaf) != HASH_BYTES:
            raise ValueError("a leaf is a hash of 32 bytes")
        if not 0 <= slot <= self.size:
            raise IndexError(slot)
        self.size = max(self.size, slot + 1)
        self._put(0, slot, leaf)
        self._dirty.add(slot)

    def append(self, leaf: bytes) -> int:
        """Append a leaf and return its slot."""
        slot = self.size
        self.set(slot, leaf)
        return slot

    def root(self) -> bytes:
        """Return the root (RFC 6962) of all leaves."""
        self._settle()
        return self._range(0, self.size)

    def inclusion_path(self, slot: int) -> list[bytes]:
        """Return the audit path of a slot, from the bottom, in O(log² n). Raises: IndexError."""
        if not 0 <= slot < self.size:
            raise IndexError(slot)
        self._settle()
        path: list[bytes] = []
        low, high = 0, self.size
        while high - low > 1:
            split = low + _half(high - low)
            if slot < split:
                path.append(self._range(split, high))
                high = split
            else:
                path.append(self._range(low, split))
                low = split
        path.reverse()
        return path

    def _range(self, low: int, high: int) -> bytes:
        # `low` is a multiple of the greatest power of two in it, as the tree's splits make it.
        peaks: list[bytes] = []
        size = high - low
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                peaks.append(self._node(level, low >> level))
                low += 1 << level
        return _fold(peaks)

    def absorb(self, fork: SlotTree) -> None:
        """Take over what a direct fork of this tree changed; the fork is spent."""
        if fork._parent is not self:
            raise ValueError("only a fork of this very tree can be absorbed")
        self._settle()
        fork._settle()
        self.size = fork.size
        for level, changed in enumerate(fork._changed):
            # In order of index: a level grows at its end.
            for index in sorted(changed):
                self._put(level, index, changed[index])
        fork._changed = []
