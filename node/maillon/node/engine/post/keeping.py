"""Keep the house of letters: what ends, what is erased, and whether the clock is to be believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from maillon.node.engine.post.bounds import DAY_S, Bounds
from maillon.node.engine.post.intake import Intake
from maillon.node.engine.post.ports import In, LetterStore, Out, Outgoing
from maillon.protocol.limits import LETTER_LIFETIME_S_MAX

_SEEN: Final = "seen"
_SEEN_EVERY_S: Final = 1_800
"""How often the time is noted on the disk: half of what counts as a jump."""


class Clock:
    """Tell whether the time may end letters: a clock that leapt is not believed at once.

    A machine without a battery wakes up years ahead or behind and is set right within minutes.
    Were its first look believed, it would end every letter that it keeps.
    """

    def __init__(self, store: LetterStore, bounds: Bounds) -> None:
        self._store = store
        self._bounds = bounds
        self._seen = 0
        self._noted = 0
        self._believed_from = 0

    def start(self, now: int) -> None:
        """Compare with the time that was noted last."""
        kept = self._store.meta(_SEEN)
        if not kept:
            kept = now.to_bytes(8, "big")
            self._store.set_meta(_SEEN, kept)
        self._seen = self._noted = int.from_bytes(kept, "big")
        self.look(now)

    def look(self, now: int) -> bool:
        """Note the time; tell whether it is to be believed. Called inside a batch or before one."""
        if abs(now - self._seen) > self._bounds.jump_s:
            self._believed_from = now + self._bounds.jump_wait_s
        self._seen = now
        believed = now >= self._believed_from
        if believed and abs(now - self._noted) >= _SEEN_EVERY_S:
            self._noted = now
            self._store.set_meta(_SEEN, now.to_bytes(8, "big"))
        return believed


def keep_house(
    store: LetterStore, intake: Intake, bounds: Bounds, now: int
) -> tuple[list[Outgoing], list[bytes], int]:
    """Do what time asks for, a slice of it.

    Return the letters of ours whose time ran out, the keys for which letters may be had now, and
    how many letters had their bytes erased.
    """
    limit = bounds.slice_rows
    ended = store.out_ending(Out.WAITING, now + 1, limit)
    erased = _erase_ours(store, bounds, now)
    ready: dict[bytes, None] = {}
    waited = store.behind_since(now - bounds.gap_s, limit)
    waited += store.behind_ending(now + bounds.gap_end_s, limit)
    for row in sorted(waited, key=lambda row: (row.received_at, row.n)):
        intake.release(row, now, ready)
    for row in store.in_ending(now + 1, limit) + store.taken_before(now - bounds.taken_s, limit):
        store.change_in(replace(row, letter=b"", state=In.ERASED))
        erased += 1
    # Two clocks differ: the id is remembered a day longer than the letter could come again.
    store.drop_in(store.erased_ending(now - DAY_S, limit))
    return ended, list(ready), erased


def _erase_ours(store: LetterStore, bounds: Bounds, now: int) -> int:
    limit = bounds.slice_rows
    rows = store.arrived_before(now - bounds.arrived_s, limit)
    rows += store.out_ending(Out.ARRIVED, now + 1, limit)
    excess = store.load_arrived().bytes - bounds.arrived_bytes_max
    if excess > 0:
        for row in store.oldest_arrived(limit):
            if excess <= 0:
                break
            rows.append(row)
            excess -= row.size if row.letter else 0
    # A node that was away for a whole life of a letter misses numbers without being told.
    rows += store.out_ending(Out.GONE, now - LETTER_LIFETIME_S_MAX, limit)
    store.drop_out({row.id for row in rows})
    return len({row.id for row in rows if row.letter})
