"""Keep the ids of a million live records in order, with sums over any range (spec/05, "Items").

An item is a pair (timestamp, id): the record's `at` in Unix seconds and its 32-byte id. Items are
ordered by timestamp, then by id, bytewise.

The keys (8 bytes of timestamp, most significant first, then the id) lie side by side in blocks of
at most 512: sorted bytearrays, 40 to 45 bytes an item and no Python object for any of them. Each
block caches the sum of its ids; two lists hold the count and the sum of all that lies before a
block and are brought up to date from the first changed block on, when a question needs them. So
one more item moves at most one block, and a fingerprint over any range reads at most half a block
at either end: nothing is ever rebuilt.

Why not a tree of objects: a million `bytes` of 40 cost 80 MB with their references, and the parts
of Python's heap they fall into are given back to nobody.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import Final, NamedTuple

from maillon.protocol.errors import LocalError

ID_BYTES: Final = 32
FINGERPRINT_BYTES: Final = 16
TIMESTAMP_INFINITY: Final = 2**64 - 1
"""Reserved by the wire format for "no upper bound"; never the timestamp of an item."""

_KEY_BYTES: Final = 40
_TIMESTAMP_BYTES: Final = 8
_SUM_MASK: Final = 2**256 - 1

# 512 keys are 20 KiB: moving half of them costs less than finding the place, and a partial sum
# (at most 256 of them, from the nearer end) some ten microseconds.
_BLOCK_ITEMS_MAX: Final = 512
_BLOCK_ITEMS_MIN: Final = 128
_BLOCK_ITEMS_LOADED: Final = 384
"""A bulk load leaves a quarter of each block free, so the first insertions split nothing."""

_NEAR_ITEMS: Final = 128
"""Up to this many items of one block are summed as they are, not as the difference of two sums."""

_LOAD_ITEMS: Final = 128 * _BLOCK_ITEMS_LOADED
"""Items sorted at once by a bulk load: 6 MB of keys."""

# The sum of n ids, all at once: a run of keys read as one little-endian integer has a lane of
# 320 bits a key: 64 bits of timestamp, which are blanked and then serve as room for carries, and
# 256 bits of id. Folding the upper half of the lanes onto the lower one sums them in log2(n) long
# additions, three to four times faster than n short ones.
_LANE_BITS: Final = 8 * _KEY_BYTES
_ID_LANES: Final = int.from_bytes((bytes(8) + b"\xff" * 32) * _BLOCK_ITEMS_MAX, "little")
_FOLD_FROM: Final = 12
"""Below this many items the plain loop is faster."""


class Bound(NamedTuple):
    """A point between items: everything below (timestamp, prefix padded with zero bytes).

    `prefix` has 0 to 32 bytes and no trailing zero byte, so equal bounds compare equal.
    """

    timestamp: int
    prefix: bytes = b""

    @property
    def key(self) -> bytes:
        """Return bytes that compare with an item's 40-byte key as the bound does with the item."""
        return self.timestamp.to_bytes(_TIMESTAMP_BYTES, "big") + self.prefix


MIN_BOUND: Final = Bound(0)
"""Below every item."""

INFINITY: Final = Bound(TIMESTAMP_INFINITY)
"""Above every item."""


def fingerprint(id_sum: int, count: int) -> bytes:
    """Hash a sum of ids (mod 2^256) and their count to 16 bytes (spec/05, "Fingerprint")."""
    data = (id_sum & _SUM_MASK).to_bytes(ID_BYTES, "little") + encode_varint(count)
    return hashlib.sha256(data).digest()[:FINGERPRINT_BYTES]


def encode_varint(value: int) -> bytes:
    """Write base-128 digits, most significant first, the high bit set on all but the last."""
    if value < 0x80:
        return bytes((value,))
    digits = [value & 0x7F]
    value >>= 7
    while value:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.reverse()
    return bytes(digits)


EMPTY_FINGERPRINT: Final = fingerprint(0, 0)
"""What a side without any item in a range says about it."""


class ItemSet:
    """Hold an ordered set of (timestamp, id), with counts and id sums over any range.

    `add` and `discard` touch one block (two when one splits or merges). `work` counts the blocks
    and the index entries that were touched so far: a test's measure, independent of the clock.
    """

    __slots__ = ("_before", "_blocks", "_clean", "_count", "_heads", "_starts", "_sums", "work")

    def __init__(self, items: Iterable[tuple[int, bytes]] = ()) -> None:
        self._blocks: list[bytearray] = []
        self._heads: list[bytes] = []  # the first key of each block
        self._sums: list[int] = []  # the sum of the ids of each block
        self._count = 0
        # _starts[b] and _before[b]: count and id sum of all blocks before b, valid for b <= _clean.
        self._starts: list[int] = [0]
        self._before: list[int] = [0]
        self._clean = 0
        self.work = 0
        self.load(items)

    # --- One item -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._count

    def __contains__(self, item: tuple[int, bytes]) -> bool:
        key = _key(*item)
        if not self._blocks:
            return False
        block = self._blocks[self._block_of(key)]
        at = _lower_bound(block, key)
        return bytes(block[at : at + _KEY_BYTES]) == key

    def add(self, timestamp: int, id_: bytes) -> bool:
        """Add an item; say whether it was not there yet.

        `timestamp` is from 0 to 2^64 - 2, `id_` has 32 bytes.

        Raises: LocalError when they are not so.
        """
        key = _key(timestamp, id_)
        if not self._blocks:
            self._insert_block(0, bytearray(key))
            self._count = 1
            return True
        number = self._block_of(key)
        block = self._blocks[number]
        at = _lower_bound(block, key)
        if bytes(block[at : at + _KEY_BYTES]) == key:
            return False
        self._count += 1
        if len(block) >= _BLOCK_ITEMS_MAX * _KEY_BYTES:
            if at == len(block) and number == len(self._blocks) - 1:
                # Records mostly arrive in the order of time: the newest opens a block of its own
                # rather than leaving a half empty one behind.
                self._insert_block(number + 1, bytearray(key))
                return True
            half = _BLOCK_ITEMS_MAX // 2 * _KEY_BYTES
            upper = block[half:]
            # A new bytearray rather than a truncated one, which would keep its memory.
            block = self._blocks[number] = block[:half]
            self._insert_block(number + 1, upper)
            self._sums[number] = (self._sums[number] - self._sums[number + 1]) & _SUM_MASK
            self._touch(number)
            if at > half:
                number, at, block = number + 1, at - half, upper
        block[at:at] = key
        self._sums[number] = (self._sums[number] + int.from_bytes(id_, "little")) & _SUM_MASK
        if at == 0:
            self._heads[number] = key
        self._touch(number)
        return True

    def discard(self, timestamp: int, id_: bytes) -> bool:
        """Remove an item; say whether it was there. Raises: LocalError as `add`."""
        key = _key(timestamp, id_)
        if not self._blocks:
            return False
        number = self._block_of(key)
        block = self._blocks[number]
        at = _lower_bound(block, key)
        if bytes(block[at : at + _KEY_BYTES]) != key:
            return False
        self._count -= 1
        del block[at : at + _KEY_BYTES]
        self._sums[number] = (self._sums[number] - int.from_bytes(id_, "little")) & _SUM_MASK
        self._touch(number)
        if not block:
            self._remove_block(number)
            return True
        if at == 0:
            self._heads[number] = bytes(block[:_KEY_BYTES])
        if len(block) < _BLOCK_ITEMS_MIN * _KEY_BYTES:
            self._merge(number)
        return True

    def load(self, items: Iterable[tuple[int, bytes]]) -> None:
        """Add many items at once, sorted or not, some perhaps known already.

        In the order of the set a million take a second or two and no memory beside their own; in
        any other order they are added one by one, which takes a few times as long.

        Raises: LocalError as `add`; what came before the offending chunk is in the set then.
        """
        stream = iter(items)
        while chunk := [_key(*item) for item in islice(stream, _LOAD_ITEMS)]:
            chunk.sort()
            if self._blocks and chunk[0] <= self._blocks[-1][-_KEY_BYTES:]:
                for key in chunk:
                    self.add(*_item(key))
                continue
            unique = [key for key, after in pairwise(chunk) if key != after]
            unique.append(chunk[-1])
            for at in range(0, len(unique), _BLOCK_ITEMS_LOADED):
                run = b"".join(unique[at : at + _BLOCK_ITEMS_LOADED])
                self._insert_block(len(self._blocks), bytearray(run))
            self._count += len(unique)

    # --- Ranges, by index -----------------------------------------------------------------------

    def lower_bound(self, bound: Bound) -> int:
        """Count the items below the bound: the index of the first one that is not."""
        if not self._blocks:
            return 0
        key = bound.key
        number = self._block_of(key)
        self._refresh(number)
        return self._starts[number] + _lower_bound(self._blocks[number], key) // _KEY_BYTES

    def item(self, index: int) -> tuple[int, bytes]:
        """Return the item at an index, 0 to `len` - 1. Raises: IndexError."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        number, at = self._place(index)
        return _item(self._blocks[number][at : at + _KEY_BYTES])

    def id_sum(self, low: int, high: int) -> int:
        """Sum the ids at the indexes from `low` up to, not including, `high`, mod 2^256."""
        if high - low <= _NEAR_ITEMS and low < high <= self._count:
            number, at = self._place(low)
            end = at + (high - low) * _KEY_BYTES
            block = self._blocks[number]
            if end <= len(block):
                self.work += 1
                return _sum_ids(block[at:end])
        return (self.sum_before(high) - self.sum_before(low)) & _SUM_MASK

    def sum_before(self, index: int) -> int:
        """Sum the ids at all indexes below `index` (0 to `len`), mod 2^256."""
        if index >= self._count:
            self._refresh(len(self._blocks))
            return self._before[len(self._blocks)] & _SUM_MASK
        number, at = self._place(index)
        block = self._blocks[number]
        self.work += 1
        if at * 2 <= len(block):
            return (self._before[number] + _sum_ids(block[:at])) & _SUM_MASK
        return (self._before[number] + self._sums[number] - _sum_ids(block[at:])) & _SUM_MASK

    def range_fingerprint(self, low: int, high: int) -> bytes:
        """Return the 16-byte fingerprint of the items at indexes `low` to `high` - 1."""
        return fingerprint(self.id_sum(low, high), high - low)

    def ids(self, low: int, high: int) -> Iterator[bytes]:
        """Yield the ids at indexes `low` to `high` - 1; the set must not change meanwhile."""
        high = min(high, self._count)
        if low >= high:
            return
        number, at = self._place(low)
        left = high - low
        while left:
            block = self._blocks[number]
            end = min(len(block), at + left * _KEY_BYTES)
            run = bytes(block[at:end])
            for start in range(_TIMESTAMP_BYTES, len(run), _KEY_BYTES):
                yield run[start : start + ID_BYTES]
            left -= (end - at) // _KEY_BYTES
            number, at = number + 1, 0

    def split_bound(self, index: int) -> Bound:
        """Return the shortest bound that separates the items at `index` - 1 and `index`.

        At either end of the set that is `MIN_BOUND` or `INFINITY`.
        """
        if index <= 0:
            return MIN_BOUND
        if index >= self._count:
            return INFINITY
        number, at = self._place(index)
        timestamp, id_ = _item(self._blocks[number][at : at + _KEY_BYTES])
        if at:
            before = self._blocks[number][at - _KEY_BYTES : at]
        else:
            before = self._blocks[number - 1][-_KEY_BYTES:]
        earlier, other = _item(before)
        if earlier != timestamp:
            return Bound(timestamp)
        length = 0
        while other[length] == id_[length]:
            length += 1
        return Bound(timestamp, id_[: length + 1])

    # --- Ranges, by bound: safe while the set changes -------------------------------------------

    def page(self, lower: Bound, upper: Bound, limit: int) -> list[tuple[int, bytes]]:
        """Return the first items, `limit` at most, from `lower` up to, not including, `upper`."""
        low = self.lower_bound(lower)
        high = min(self.lower_bound(upper), low + limit, self._count)
        items: list[tuple[int, bytes]] = []
        if low < high:
            number, at = self._place(low)
            while len(items) < high - low:
                block = self._blocks[number]
                end = min(len(block), at + (high - low - len(items)) * _KEY_BYTES)
                items.extend(_item(block[k : k + _KEY_BYTES]) for k in range(at, end, _KEY_BYTES))
                number, at = number + 1, 0
        return items

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield all items in order; what is added behind the current one is not seen."""
        key = b""
        while self._blocks:
            number = max(bisect_right(self._heads, key) - 1, 0)
            block = bytes(self._blocks[number])
            at = _lower_bound(block, key)
            if key and block[at : at + _KEY_BYTES] == key:
                at += _KEY_BYTES
            if at >= len(block):
                if number + 1 >= len(self._blocks):
                    return
                block, at = bytes(self._blocks[number + 1]), 0
            for start in range(at, len(block), _KEY_BYTES):
                yield _item(block[start : start + _KEY_BYTES])
            key = block[-_KEY_BYTES:]

    # --- Blocks ---------------------------------------------------------------------------------

    def _block_of(self, key: bytes) -> int:
        self.work += 1
        return max(bisect_right(self._heads, key) - 1, 0)

    def _place(self, index: int) -> tuple[int, int]:
        """Return block number and byte offset of an index below `len`."""
        if index >= self._starts[self._clean]:
            self._refresh_to_index(index)
        number = bisect_right(self._starts, index, 0, self._clean + 1) - 1
        return number, (index - self._starts[number]) * _KEY_BYTES

    def _refresh(self, number: int) -> None:
        """Bring the counts and sums before block `number` up to date."""
        while self._clean < number:
            self._refresh_one()

    def _refresh_to_index(self, index: int) -> None:
        while self._clean < len(self._blocks) and self._starts[self._clean] <= index:
            self._refresh_one()

    def _refresh_one(self) -> None:
        at = self._clean
        start = self._starts[at] + len(self._blocks[at]) // _KEY_BYTES
        before = (self._before[at] + self._sums[at]) & _SUM_MASK
        if at + 1 < len(self._starts):
            self._starts[at + 1] = start
            self._before[at + 1] = before
        else:
            self._starts.append(start)
            self._before.append(before)
        self._clean = at + 1
        self.work += 1

    def _touch(self, number: int) -> None:
        self._clean = min(self._clean, number)
        self.work += 1

    def _insert_block(self, number: int, block: bytearray) -> None:
        self._blocks.insert(number, block)
        self._heads.insert(number, bytes(block[:_KEY_BYTES]))
        self._sums.insert(number, _sum_ids(block))
        self._touch(number)

    def _remove_block(self, number: int) -> None:
        del self._blocks[number], self._heads[number], self._sums[number]
        self._touch(number)

    def _merge(self, number: int) -> None:
        """Append a small block to its neighbour when both together leave room to grow."""
        left = number - 1 if number else 0
        if left + 1 >= len(self._blocks):
            return
        together = len(self._blocks[left]) + len(self._blocks[left + 1])
        if together > _BLOCK_ITEMS_LOADED * _KEY_BYTES:
            return
        self._blocks[left] = self._blocks[left] + self._blocks[left + 1]
        self._sums[left] = (self._sums[left] + self._sums[left + 1]) & _SUM_MASK
        self._remove_block(left + 1)
        self._touch(left)


def _key(timestamp: int, id_: bytes) -> bytes:
    if len(id_) != ID_BYTES:
        raise LocalError("An item's id has 32 bytes.", length=len(id_))
    if not 0 <= timestamp < TIMESTAMP_INFINITY:
        raise LocalError("An item's timestamp is from 0 to 2^64 - 2.", timestamp=timestamp)
    return timestamp.to_bytes(_TIMESTAMP_BYTES, "big") + id_


def _item(key: bytes | bytearray) -> tuple[int, bytes]:
    return int.from_bytes(key[:_TIMESTAMP_BYTES], "big"), bytes(key[_TIMESTAMP_BYTES:])


def _lower_bound(block: bytes | bytearray, key: bytes) -> int:
    """Return the byte offset of the first key of the block that is not below `key`."""
    low, high = 0, len(block) // _KEY_BYTES
    while low < high:
        middle = (low + high) // 2
        if block[middle * _KEY_BYTES : (middle + 1) * _KEY_BYTES] < key:
            low = middle + 1
        else:
            high = middle
    return low * _KEY_BYTES


def _sum_ids(run: bytearray) -> int:
    """Sum the ids of a run of keys, mod 2^256."""
    count = len(run) // _KEY_BYTES
    if count < _FOLD_FROM:
        total = 0
        for start in range(_TIMESTAMP_BYTES, len(run), _KEY_BYTES):
            total += int.from_bytes(run[start : start + ID_BYTES], "little")
        return total & _SUM_MASK
    lanes = int.from_bytes(run, "little") & _ID_LANES
    while count > 1:
        half = (count + 1) // 2
        cut = half * _LANE_BITS
        upper = lanes >> cut
        # What a lane carries over falls into the blank bits of the next and is never read.
        lanes = (lanes ^ (upper << cut)) + upper
        count = half
    return (lanes >> (8 * _TIMESTAMP_BYTES)) & _SUM_MASK
