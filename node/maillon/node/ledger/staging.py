"""Show the machines what they decided already, before it is on the disk.

Many steps share one commit. What they decide must not leave the process before it, and must be
seen by the next step at once: so writes are staged here, read through, and made durable together.

Some writes may wait: nothing that leaves rests on them yet. They are read through as well, and go
with the next commit of their file, or with the one that is asked for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from maillon.ledger.steps import Write


class LedgerDisk(Protocol):
    """The Disk of maillon.ledger, and ranges of it."""

    def commit(self, writes: Sequence[Write]) -> None: ...

    def get(self, space: str, key: bytes) -> bytes | None: ...

    def scan(self, space: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]: ...

    def scan_between(
        self,
        space: str,
        low: bytes,
        high: bytes | None,
        *,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]: ...


_MOVES: Final = frozenset(("head", "block", "charter", "proposal"))

_Name = tuple[str, bytes]


class StagedDisk:
    """A Disk whose commits wait for `flush`.

    `files` are sets of spaces that a disk makes durable in one commit; a space in none of them is
    in a file with all others that are in none.
    """

    def __init__(self, disk: LedgerDisk, files: Sequence[frozenset[str]] = ()) -> None:
        self._disk = disk
        self._files = {space: file for file, spaces in enumerate(files) for space in spaces}
        self._staged: dict[_Name, Write] = {}
        # What may wait, by its file; nothing stands in both.
        self._later: dict[int, dict[_Name, Write]] = {}
        self.moved = True
        """Whether a chain, the charter or a proposal may have changed since this was made False."""

    def _waits(self, space: str) -> dict[_Name, Write]:
        """Return what waits of the file that a space is in."""
        return self._later.setdefault(self._files.get(space, -1), {})

    def _all(self) -> Iterator[tuple[_Name, Write]]:
        for writes in (self._staged, *self._later.values()):
            yield from writes.items()

    @property
    def waiting(self) -> bool:
        """Tell whether anything is staged, what may wait included."""
        return bool(self._staged) or bool(self.waiting_later)

    @property
    def waiting_later(self) -> int:
        """Return how many writes are staged that may wait."""
        return sum(map(len, self._later.values()))

    def commit(self, writes: Sequence[Write]) -> None:
        """Stage writes: what reads here sees them now, the disk has them after `flush`."""
        for write in writes:
            space = write.space
            name = space, write.key
            self._staged[name] = write
            self._waits(space).pop(name, None)
            if space in _MOVES:
                self.moved = True

    def commit_later(self, write: Write) -> None:
        """Stage a write that may wait: nothing that leaves before `flush(everything=True)` may rest
        on it. Deleting what never was durable is then no write at all.
        """
        name = write.space, write.key
        self._staged.pop(name, None)
        self._waits(write.space)[name] = write

    def forget_later(self, space: str, key: bytes) -> bool:
        """Drop a write that may still wait, as if it had never been; tell whether there was one."""
        return self._waits(space).pop((space, key), None) is not None

    def staged(self, space: str) -> list[Write]:
        """Return what is staged in a space and may not wait."""
        return [write for write in self._staged.values() if write.space == space]

    def asked(self) -> list[Write]:
        """Return what is staged of the queue of orders, what may wait included."""
        return [write for _, write in self._all() if write.space == "order" and write.value]

    def flush(self, *, everything: bool = False) -> None:
        """Make all that is staged durable, but for what may wait, unless `everything` is asked.

        Raises: what the disk raises; the process ends then.
        """
        files = {self._files.get(space, -1) for space in {space for space, _ in self._staged}}
        chosen = [
            writes
            for file, writes in self._later.items()
            if writes and (everything or file in files)
        ]
        if self._staged or chosen:
            chosen.append(self._staged)
            self._disk.commit(tuple(write for writes in chosen for write in writes.values()))
            for writes in chosen:
                writes.clear()

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return a value, or None."""
        name = space, key
        staged = self._staged.get(name) or self._waits(space).get(name)
        return self._disk.get(space, key) if staged is None else staged.value

    def scan(self, space: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that begin so with their values, ascending."""
        fresh = self._fresh(space, lambda key: key.startswith(prefix))
        return _merged(fresh, self._disk.scan(space, prefix), reverse=False)

    def scan_between(
        self, space: str, low: bytes, high: bytes | None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) from `low` to before `high` (None for no end), by key."""
        fresh = self._fresh(space, lambda key: low <= key and (high is None or key < high))
        stored = self._disk.scan_between(space, low, high, reverse=reverse)
        return _merged(fresh, stored, reverse=reverse)

    def _fresh(self, space: str, wanted: Callable[[bytes], bool]) -> dict[bytes, bytes | None]:
        return {
            key: write.value
            for (where, key), write in self._all()
            if where == space and wanted(key)
        }


def _merged(
    fresh: dict[bytes, bytes | None], stored: Iterator[tuple[bytes, bytes]], *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield what is stored with what is staged in its place, in one order."""
    new = sorted((key for key, value in fresh.items() if value is not None), reverse=reverse)
    place = 0
    for key, value in stored:
        while place < len(new) and (new[place] > key if reverse else new[place] < key):
            yield new[place], fresh[new[place]] or b""
            place += 1
        if key not in fresh:
            yield key, value
        elif place < len(new) and new[place] == key:
            yield key, fresh[key] or b""
            place += 1
    for key in new[place:]:
        yield key, fresh[key] or b""
