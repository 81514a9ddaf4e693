"""A disk for letters that loses what was not committed, and can be copied and put back."""

from __future__ import annotations

from maillon.node.engine.post.memory import MemoryLetters, Rows
from maillon.node.engine.post.office import RESTORED


class PowerCut(BaseException):
    """The machine lost power: not an error the program could handle."""


class SimDisk(MemoryLetters):
    """Rows that survive a crash; `cut` says where in the next commit the power fails."""

    def __init__(self, rows: Rows | None = None) -> None:
        super().__init__(rows)
        self.cut = ""

    def committing(self) -> None:
        if self.cut == "before":
            self.cut = ""
            raise PowerCut

    def committed(self) -> None:
        if self.cut == "after":
            self.cut = ""
            raise PowerCut

    def backup(self, now: int) -> Rows:
        """Return a copy that says when it was made."""
        rows = self.rows.copy()
        rows.meta[RESTORED] = now.to_bytes(8, "big")
        return rows
