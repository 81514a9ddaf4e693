"""A store in memory that can lose power: what is not committed is gone.

It also keeps what the checkers need to know and the engine must not: every record it ever
committed, who retired what and why, and the bytes that a thief of the machine would find.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from maillon.node.store.memory import MemoryStore
from maillon.protocol.envelope import Signed, Valid


class PowerCut(BaseException):
    """The machine lost power: not an error the program could handle."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A record that left the live set in a committed batch, and why."""

    id: bytes
    reason: str


class SimDisk(MemoryStore):
    """The simulator's store, with power cuts and a memory for the checkers."""

    def __init__(self) -> None:
        super().__init__()
        self._inside = 0
        self._leaving: list[Leaving] = []
        self._entered: list[Valid] = []
        self.writes_until_power_cut: int | None = None
        self.ever: dict[bytes, bytes] = {}
        self.on_commit: Callable[[list[Valid], list[Leaving]], None] | None = None

    @contextmanager
    def batch(self) -> Generator[None]:
        if self._inside == 0:
            self._leaving, self._entered = [], []
        self._inside += 1
        try:
            with super().batch():
                yield
        finally:
            self._inside -= 1
        if self._inside == 0:
            for valid in self._entered:
                self.ever.setdefault(valid.signed.id, valid.signed.encode())
            if self.on_commit is not None and (self._entered or self._leaving):
                self.on_commit(self._entered, self._leaving)

    def _write(self) -> None:
        assert self._inside, "every write is inside a batch"
        if self.writes_until_power_cut is not None:
            self.writes_until_power_cut -= 1
            if self.writes_until_power_cut < 0:
                self.writes_until_power_cut = None
                raise PowerCut

    def put(self, valid: Valid) -> None:
        self._write()
        super().put(valid)
        self._entered.append(valid)

    def retire(self, id: bytes, *, reason: str) -> None:
        self._write()
        super().retire(id, reason=reason)
        self._leaving.append(Leaving(id, reason))

    def forget_expired(self, now: int, limit: int) -> list[tuple[int, bytes]]:
        self._write()
        gone = super().forget_expired(now, limit)
        self._leaving += [Leaving(id, "expired") for _, id in gone]
        return gone

    # --- For the checkers -----------------------------------------------------------------------

    def live_records(self) -> dict[bytes, Signed]:
        """Return the live records by id."""
        return {id: self._rows[id].signed for _, id in self._order}

    def dump(self) -> bytes:
        """Return all bytes on this disk, as a thief of the machine would find them."""
        return b"".join(row.signed.encode() for row in self._rows.values())
