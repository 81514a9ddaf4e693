"""Find rows by 64-bit keys that are random, at a cost that hardly grows with their number.

A B-tree of a million random keys has every insert touch another page: at a thousand records a
transaction, writing those pages costs more than everything else together. So there are two trees.
New keys go into a small one whose pages stay hot. With each transaction, as many keys as were added
leave it for the big one: those that lie next behind a hand that sweeps over the key space, so that
their places in the big tree lie close together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from maillon.node import bounds

if TYPE_CHECKING:
    import sqlite3

_FIRST: Final = -(1 << 63)


class KeyIndex:
    """Keep (key, row) pairs in the tables keys_new and keys."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._young = int(db.execute("SELECT count(*) FROM keys_new").fetchone()[0])
        self._hand = _FIRST

    def save(self) -> tuple[int, int]:
        """Return what `restore` needs after a rolled back transaction."""
        return self._young, self._hand

    def restore(self, saved: tuple[int, int]) -> None:
        self._young, self._hand = saved

    def add(self, pairs: list[tuple[int, int]]) -> None:
        """Add pairs; call inside a transaction."""
        self._db.executemany("INSERT INTO keys_new VALUES (?, ?)", pairs)
        self._young += len(pairs)
        if self._young > bounds.STORE_KEYS_FRESH_MAX:
            self._roll(max(2 * len(pairs), bounds.STORE_KEYS_SLICE))

    def remove(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Remove pairs; call inside a transaction."""
        for pair in pairs:
            gone = self._db.execute("DELETE FROM keys_new WHERE k = ? AND n = ?", pair).rowcount
            if gone:
                self._young -= 1
            else:
                self._db.execute("DELETE FROM keys WHERE k = ? AND n = ?", pair)

    def _roll(self, count: int) -> None:
        end = self._db.execute(
            "SELECT k FROM keys_new WHERE k >= ? ORDER BY k LIMIT 1 OFFSET ?", (self._hand, count)
        ).fetchone()
        if end is None:
            span = "k >= ?"
            values: tuple[int, ...] = (self._hand,)
        else:
            span = "k >= ? AND k < ?"
            values = (self._hand, end[0])
        self._db.execute(f"INSERT INTO keys SELECT k, n FROM keys_new WHERE {span}", values)
        moved = self._db.execute(f"DELETE FROM keys_new WHERE {span}", values).rowcount
        self._young -= moved
        self._hand = _FIRST if end is None else end[0]
