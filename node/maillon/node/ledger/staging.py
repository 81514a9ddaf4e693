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


class StagedDisk:
    """A Disk whose commits wait for `flush`.

    `files` are sets of spaces that a disk makes durable in one commit; a space in none of them is
    in a file with all others that are in none.
    """

    def __init__(self, disk: LedgerDisk, files: Sequence[frozenset[str]] = ()) -> None:
        self._disk = disk
        self._files = files
        self._staged: dict[tuple[str, bytes], Write] = {}
        self._later: set[tuple[str, bytes]] = set()
        self.moved = True
        """Whether a chain, the charter or a proposal may have changed since this was made False."""

    @property
    def waiting(self) -> bool:
        """Tell whether anything is staged, what may wait included."""
        return bool(self._staged)

    @property
    def waiting_later(self) -> int:
        """Return how many writes are staged that may wait."""
        return len(self._later)

    def commit(self, writes: Sequence[Write]) -> None:
        """Stage writes: what reads here sees them now, the disk has them after `flush`."""
        for write in writes:
            name = write.space, write.key
            self._staged[name] = write
            self._later.discard(name)
            if write.space in _MOVES:
                self.moved = True

    def commit_later(self, write: Write) -> None:
        """Stage a write that may wait: nothing that leaves before `flush(everything=True)` may rest
        on it. Deleting what never was durable is then no write at all.
        """
        name = write.space, write.key
        self._staged[name] = write
        self._later.add(name)

    def forget_later(self, space: str, key: bytes) -> bool:
        """Drop a write that may still wait, as if it had never been; tell whether there was one."""
        if (space, key) not in self._later:
            return False
        self._later.remove((space, key))
        del self._staged[space, key]
        return True

    def staged(self, space: str) -> list[Write]:
        """Return what is staged in a space and may not wait."""
        later = self._later
        return [
            write
            for name, write in self._staged.items()
            if name[0] == space and name not in later
        ]

    def asked(self) -> list[Write]:
        """Return what is staged of the queue of orders, what may wait included."""
        return [write for write in self._staged.values() if write.space == "order" and write.value]

    def flush(self, *, everything: bool = False) -> None:
        """Make all that is staged durable, but for what may wait, unless `everything` is asked.

        Raises: what the disk raises; the process ends then.
        """
        if len(self._staged) > len(self._later) or (everything and self._later):
            files = {self._file(space) for space, _ in self._staged.keys() - self._later}
            chosen = [
                (name, write)
                for name, write in self._staged.items()
                if everything or name not in self._later or self._file(name[0]) in files
            ]
            self._disk.commit(tuple(write for _, write in chosen))
            for name, _ in chosen:
                del self._staged[name]
                self._later.discard(name)

    def _file(self, space: str) -> int:
        for number, spaces in enumerate(self._files):
            if space in spaces:
                return number
        return -1

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return a value, or None."""
        staged = self._staged.get((space, key))
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
            for (where, key), write in self._staged.items()
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
