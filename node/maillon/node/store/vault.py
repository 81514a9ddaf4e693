"""The keys that payloads are sealed under: made in blocks, overwritten where they lie.

To erase a payload is to destroy its key (`sealing` says why deleting the row is not enough).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maillon.node import bounds
from maillon.node.store import sealing

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Saved:
    """Where a transaction began."""

    next: int
    block: tuple[int, bytes]
    erasures: int


class Vault:
    """Number rows, and seal and open their payloads; `erasures` counts keys destroyed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        last = db.execute("SELECT max(block) FROM seals").fetchone()[0]
        # A key is never used twice: rows go on in a new block.
        self._next = 0 if last is None else (int(last) + 1) * sealing.BLOCK_KEYS
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._new_blocks: list[tuple[int, bytes]] = []
        self._block: tuple[int, bytes] = (-1, b"")
        # A process that died may have left erased bytes in the log: cut it once.
        self.erasures = 1

    def save(self) -> Saved:
        """Return what `restore` needs to undo a transaction."""
        return Saved(self._next, self._block, self.erasures)

    def restore(self, saved: Saved) -> None:
        """Go back to where a transaction began."""
        self._next, self._block, self.erasures = saved.next, saved.block, saved.erasures
        self._blocks.clear()
        self._new_blocks.clear()

    def new_row(self) -> int:
        """Return the number of a new row, with a key of its own."""
        n = self._next
        self._next += 1
        block, place = divmod(n, sealing.BLOCK_KEYS)
        if place == 0:
            keys = os.urandom(sealing.BLOCK_BYTES)  # noqa: TID251  # the store is an edge
            self._block = (block, keys)
            self._new_blocks.append((block, keys))
        return n

    def flush(self) -> None:
        """Write the keys made since the last time."""
        if self._new_blocks:
            self._db.executemany("INSERT INTO seals VALUES (?, ?)", self._new_blocks)
            self._new_blocks.clear()

    def seal(self, n: int, payload: bytes) -> bytes:
        """Return the payload of row `n` as it is stored."""
        return sealing.seal(self._key(n), payload)

    def open(self, n: int, sealed: bytes | None) -> bytes | None:
        """Return the payload of row `n` as it was; None when it was erased."""
        return None if sealed is None else sealing.seal(self._key(n), sealed)

    def destroy(self, rows: Sequence[int]) -> None:
        """Overwrite keys where they lie: a change of the same length moves nothing."""
        by_block: dict[int, list[int]] = {}
        for n in rows:
            by_block.setdefault(n // sealing.BLOCK_KEYS, []).append(n)
        for block, members in by_block.items():
            keys = sealing.without_keys(self._stored(block), members)
            self._db.execute("UPDATE seals SET keys = ? WHERE block = ?", (keys, block))
            self._blocks.pop(block, None)
            if block == self._block[0]:
                self._block = (block, keys)
        self.erasures += len(rows)

    def _key(self, n: int) -> bytes:
        block = n // sealing.BLOCK_KEYS
        if block == self._block[0]:
            return sealing.key_of(self._block[1], n)
        keys = self._blocks.get(block)
        if keys is None:
            for number, fresh in self._new_blocks:
                if number == block:
                    return sealing.key_of(fresh, n)
            keys = self._stored(block)
            self._blocks[block] = keys
            if len(self._blocks) > bounds.STORE_BLOCK_CACHE_MAX:
                self._blocks.popitem(last=False)
        return sealing.key_of(keys, n)

    def _stored(self, block: int) -> bytes:
        keys = self._db.execute("SELECT keys FROM seals WHERE block = ?", (block,)).fetchone()[0]
        assert isinstance(keys, bytes)
        return keys
