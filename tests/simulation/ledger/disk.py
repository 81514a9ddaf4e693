"""A disk of two files that loses what was not synced, and can lose power between the two.

A node keeps its ledger in one database and its votes in another. A batch of writes that touches
both is two commits: the ledger's first, then the votes'. The other order would let a witness forget
its lock before its head has moved; the simulator cuts the power between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maillon.ledger.steps import Write

VOTES = frozenset({"vote", "body", "self", "confirm"})
"""The spaces of votes.db; all others are in ledger.db."""


class PowerCut(BaseException):
    """The machine lost power: not an error the program could handle."""


Rows = dict[str, dict[bytes, bytes]]


class SimDisk:
    """Hold the rows of two files; `unsynced` spaces are written late (a mutant's doing)."""

    def __init__(self, rows: Rows | None = None) -> None:
        self.rows: Rows = rows if rows is not None else {}
        self.unsynced: frozenset[str] = frozenset()
        self._volatile: dict[tuple[str, bytes], bytes | None] = {}
        self._staged: dict[tuple[str, bytes], Write] = {}
        self.cut_after_ledger = False
        self.cut_before = False
        self.commits = 0

    def stage(self, writes: Sequence[Write]) -> None:
        """Show writes to who reads here; they are kept by the next `flush`."""
        for write in writes:
            self._staged[(write.space, write.key)] = write

    def flush(self) -> None:
        """Keep what is staged. Raises: PowerCut when told to."""
        if self._staged:
            writes, self._staged = tuple(self._staged.values()), {}
            self.commit(writes)

    def commit(self, writes: Sequence[Write]) -> None:
        """Keep the writes: the ledger's, then the votes'. Raises: PowerCut when told to."""
        if self.cut_before:
            raise PowerCut
        self.commits += 1
        self._keep(write for write in writes if write.space not in VOTES)
        if self.cut_after_ledger:
            raise PowerCut
        self._keep(write for write in writes if write.space in VOTES)

    def _keep(self, writes: Iterator[Write]) -> None:
        for write in writes:
            if write.space in self.unsynced:
                self._volatile[(write.space, write.key)] = write.value
                continue
            rows = self.rows.setdefault(write.space, {})
            if write.value is None:
                rows.pop(write.key, None)
            else:
                rows[write.key] = write.value

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return a value, or None."""
        staged = self._staged.get((space, key))
        if staged is not None:
            return staged.value
        if self._volatile and (space, key) in self._volatile:
            return self._volatile[(space, key)]
        return self.rows.get(space, {}).get(key)

    def scan(self, space: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows of a space whose keys begin with `prefix`, by key."""
        rows = dict(self.rows.get(space, {}))
        staged = {name: write.value for name, write in self._staged.items()}
        for (where, key), value in (self._volatile | staged).items():
            if where == space:
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
        for key in sorted(rows):
            if key.startswith(prefix):
                yield key, rows[key]

    def power_off(self) -> None:
        """Forget what was not synced."""
        self._volatile.clear()
        self._staged.clear()
        self.cut_after_ledger = self.cut_before = False

    def copy(self, *, votes: bool) -> SimDisk:
        """Return a copy as a backup holds it: without the votes, unless told otherwise."""
        return SimDisk(
            {
                space: dict(rows)
                for space, rows in self.rows.items()
                if votes or space not in VOTES
            }
        )

    def copy_votes(self) -> Rows:
        """Return the votes as they are now: what somebody must not restore, and yet does."""
        return {space: dict(self.rows.get(space, {})) for space in sorted(VOTES)}

    def restore_votes(self, votes: Rows) -> None:
        """Put old votes back: the amnesia that W8 is about."""
        for space, rows in votes.items():
            self.rows[space] = dict(rows)
