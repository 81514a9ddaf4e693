"""Have reservations given back that have expired, without anybody asking for it."""

from __future__ import annotations

from collections.abc import Iterator

from maillon.ledger.book import Book
from maillon.ledger.build import EntryWish
from maillon.ledger.entries import Void
from maillon.node.ledger import bounds


class Expiry:
    """Look now and then at the holds of this coop's accounts."""

    def __init__(self, book: Book, coop: bytes) -> None:
        self._book = book
        self._coop = coop
        self._look_at = 0

    def next_wake(self, now: int) -> int:
        """Return when to look next."""
        return max(now, self._look_at)

    def wishes(self, now: int) -> Iterator[EntryWish]:
        """Yield a void for each hold whose time is up; the writer queues each once."""
        if now < self._look_at <= now + bounds.LOOK_AGAIN_S:
            return
        self._look_at = now + bounds.LOOK_AGAIN_S
        if self._coop not in self._book.charter.latest.coops:
            return
        for account in self._book.state(self._coop).accounts():
            for hold in account.holds.values():
                if hold.expiry <= now:
                    yield EntryWish(Void(account.id, hold.id, None))
