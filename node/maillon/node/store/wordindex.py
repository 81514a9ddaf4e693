"""Write the word index late and in batches, and clean it of what was erased.

A record that waits for the index is noted in `unindexed` in the transaction that stored it, so a
crash loses nothing. An erased record is out of every answer at once; its words are removed from the
file when the index is merged, in slices, within `STORE_PURGE_S`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maillon.node import bounds

if TYPE_CHECKING:
    import sqlite3

Reread = Callable[[int], str]
Saved = tuple[dict[int, str], set[int], int, int, int | None, bool]


class WordIndex:
    """Keep the full-text table `words`. All but `counts` belongs inside a transaction."""

    def __init__(self, db: sqlite3.Connection, reread: Reread, version: int) -> None:
        self._db = db
        self._reread = reread
        self._waiting: dict[int, str] = {}
        self._noted: set[int] = set()
        self._tombstones_noted: int
        facts: dict[str, Any] = dict(db.execute("SELECT name, value FROM facts").fetchall())
        self.stale = facts.get("index_version") != version
        self._version = version
        self._queued = int(db.execute("SELECT count(*) FROM unindexed").fetchone()[0])
        self._tombstones = int(facts.get("tombstones", 0))
        self._tombstones_noted = self._tombstones
        self._since: int | None = facts.get("tombstones_since")
        self._purging = bool(facts.get("purging", 0))

    def save(self) -> Saved:
        """Return what `restore` needs after a rolled back transaction."""
        return (dict(self._waiting), set(self._noted), self._queued, self._tombstones,
                self._since, self._purging)  # fmt: skip

    def restore(self, saved: Saved) -> None:
        (self._waiting, self._noted, self._queued, self._tombstones,
         self._since, self._purging) = saved  # fmt: skip
        # Rolled back to what was noted before, or written once too often.
        self._tombstones_noted = -1

    def begin_again(self) -> None:
        """Queue every offer and demand: the way of reading words has changed."""
        self._db.execute("INSERT INTO words(words) VALUES ('delete-all')")
        self._db.execute("DELETE FROM unindexed")
        self._queued = self._db.execute(
            "INSERT INTO unindexed SELECT n FROM records "
            "WHERE state = 0 AND kind IN ('offer', 'demand')"
        ).rowcount
        self._fact("index_version", self._version)
        self.stale = False

    @property
    def waiting(self) -> int:
        """Return how many records the index does not have yet."""
        return self._queued + len(self._waiting) - len(self._noted)

    @property
    def words_to_purge(self) -> bool:
        return self._tombstones > 0 or self._purging

    def add(self, n: int, tokens: str) -> None:
        if tokens:
            self._waiting[n] = tokens

    def remove(self, n: int) -> None:
        """Take a row out, wherever it is by now."""
        if self._waiting.pop(n, None) is not None:
            if n in self._noted:
                self._noted.discard(n)
                self._unnote([(n,)])
            return
        if self._queued and self._unnote([(n,)]):
            return
        self._db.execute("DELETE FROM words WHERE rowid = ?", (n,))
        self._tombstones += 1

    def finish(self) -> None:
        """Write or note what waits, at the end of a transaction."""
        if self._tombstones != self._tombstones_noted:
            self._tombstones_noted = self._tombstones
            self._fact("tombstones", self._tombstones)
        if len(self._waiting) >= bounds.STORE_INDEX_BATCH:
            self.write()
        else:
            new = [(n,) for n in self._waiting if n not in self._noted]
            if new:
                self._db.executemany("INSERT INTO unindexed VALUES (?)", new)
                self._queued += len(new)
                self._noted.update(n for (n,) in new)

    def write(self) -> None:
        """Index everything that waits in memory."""
        if not self._waiting:
            return
        # Ascending, or the index writes out a segment at each step back.
        rows = sorted(self._waiting.items())
        self._db.executemany("INSERT INTO words(rowid, tokens) VALUES (?, ?)", rows)
        self._waiting.clear()
        if self._noted:
            self._unnote([(n,) for n in sorted(self._noted)])
            self._noted.clear()

    def write_queued(self, limit: int) -> None:
        """Index up to `limit` rows that an earlier process, or another way of reading, left."""
        rows = self._db.execute(
            "SELECT n FROM unindexed ORDER BY n LIMIT ?", (limit,)
        ).fetchall()
        done: list[tuple[int]] = []
        entries: list[tuple[int, str]] = []
        for (n,) in rows:
            if n in self._noted:
                continue
            done.append((n,))
            tokens = self._reread(n)
            if tokens:
                entries.append((n, tokens))
        self._db.executemany("INSERT INTO words(rowid, tokens) VALUES (?, ?)", entries)
        self._unnote(done)

    def due(self, now: int) -> bool:
        """Say whether a slice of purging is to be done now."""
        if self._purging:
            return True
        if not self._tombstones:
            return False
        if self._since is None:
            self._since = now
            self._fact("tombstones_since", now)
        return now - self._since >= bounds.STORE_PURGE_S

    def purge(self, pages: int) -> bool:
        """Merge one slice of the index, which leaves out what was erased; say if more is left."""
        before = self._db.total_changes
        if not self._purging:
            self._purging = True
            self._tombstones = 0
            self._since = None
            self._db.execute("INSERT INTO words(words, rank) VALUES ('merge', ?)", (-pages,))
        else:
            self._db.execute("INSERT INTO words(words, rank) VALUES ('merge', ?)", (pages,))
        # The way the FTS5 manual gives to see that a merge found nothing more to do.
        if self._db.total_changes - before < 2:
            self._purging = False
        self._fact("purging", int(self._purging))
        self._fact("tombstones_since", self._since)
        return self._purging or self._tombstones > 0

    def _unnote(self, rows: list[tuple[int]]) -> int:
        gone = self._db.executemany("DELETE FROM unindexed WHERE n = ?", rows).rowcount
        self._queued -= gone
        return gone

    def _fact(self, name: str, value: object) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
