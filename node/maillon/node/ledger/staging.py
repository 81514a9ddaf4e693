"""Show the machines what they decided already, before it is on the disk.

Many steps share one commit. What they decide must not leave the process before it, and must be
seen by the next step at once: so writes are staged here, read through, and made durable together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        return self._merged(space, prefix, self._disk.scan(space, prefix))

    def _merged(
        self, space: str, prefix: bytes, stored: Iterator[tuple[bytes, bytes]]
    ) -> Iterator[tuple[bytes, bytes]]:
        fresh = {
            key: write.value
            for (where, key), write in self._staged.items()
            if where == space and key.startswith(prefix)
        }
        new = sorted(key for key, value in fresh.items() if value is not None)
        place = 0
        for key, value in stored:
            while place < len(new) and new[place] < key:
                yield new[place], fresh[new[place]] or b""
                place += 1
            if key in fresh:
                changed = fresh[key]
                if changed is not None:
                    yield key, changed
                    place += place < len(new) and new[place] == key
                continue
            yield key, value
        for key in new[place:]:
            yield key, fresh[key] or b""
