"""Show the machines what they decided already, before it is on the disk.

Many steps share one commit. What they decide must not leave the process before it, and must be
seen by the next step at once: so writes are staged here, read through, and made durable together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

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


class StagedDisk:
    """A Disk whose commits wait for `flush`."""

    def __init__(self, disk: LedgerDisk) -> None:
        self._disk = disk
        self._staged: dict[tuple[str, bytes], Write] = {}

    @property
    def waiting(self) -> bool:
        """Tell whether anything is staged."""
        return bool(self._staged)

    def commit(self, writes: Sequence[Write]) -> None:
        """Stage writes: what reads here sees them now, the disk has them after `flush`."""
        for write in writes:
            self._staged[write.space, write.key] = write

    def flush(self) -> None:
        """Make all that is staged durable. Raises: what the disk raises; the process ends then."""
        if self._staged:
            self._disk.commit(tuple(self._staged.values()))
            self._staged.clear()

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
