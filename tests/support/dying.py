"""A store of exchanges whose process ends at a chosen commit, before it counts or right after."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from maillon.node.store.exchangememory import MemoryExchangeStore


class Died(BaseException):
    """The power went: nothing after this was done."""


class DyingStore(MemoryExchangeStore):
    """Dies when `left` commits were made: with `after` the last one counts, else it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None
        self.after = False
        self.made = 0

    @contextmanager
    def batch(self) -> Generator[None]:
        outermost = self._depth == 0
        with super().batch():
            yield
            if outermost and self.left is not None and not self.after:
                self._count()
        if outermost:
            self.made += 1
            if self.left is not None and self.after:
                self._count()

    def _count(self) -> None:
        assert self.left is not None
        self.left -= 1
        if self.left == 0:
            self.left = None
            raise Died
