"""Make a confirmation binding before it is posted (spec/06-ledger.md, "Confirmations").

A payee shows the payer's confirmation to the witnesses. One that acknowledges it will not vote for
a void of that hold; once q have, a void finds no quorum. A witness acknowledges only if it never
voted, in any term, for a block at head + 1 that voids the hold: that block may be certified still.
"""

from __future__ import annotations

from typing import Final

from maillon.ledger.book import Book
from maillon.ledger.bounds import CONFIRMATIONS_MAX
from maillon.ledger.entries import (
    Confirmation,
    KeyConfirmation,
    confirmation_from,
)
from maillon.ledger.errors import BadConfirmation, HoldUnknown
from maillon.ledger.limits import HASH_BYTES
from maillon.ledger.rules_holds import confirming
from maillon.ledger.signing import Verify
from maillon.ledger.steps import Disk, Write
from maillon.protocol import encoding
from maillon.protocol.errors import QuotaExceeded

SPACE: Final = "confirm"
_BYTES_MAX: Final = 256


class Confirmations:
    """The confirmations one witness holds, of holds that are open at its heads."""

    def __init__(self, book: Book, disk: Disk, verify: Verify) -> None:
        """Take over what is on disk."""
        self._book = book
        self._verify = verify
        self._held: dict[bytes, dict[bytes, Confirmation]] = {}
        self._heads: dict[bytes, int] = {}
        self._count = 0
        for key, value in disk.scan(SPACE):
            chain, hold = key[:HASH_BYTES], key[HASH_BYTES:]
            read = confirmation_from(encoding.decode(value, bytes_max=_BYTES_MAX))
            self._held.setdefault(chain, {})[hold] = read
            self._count += 1

    def get(self, chain: bytes, hold: bytes) -> Confirmation | None:
        """Return what is held for a hold, or None."""
        return self._held.get(chain, {}).get(hold)

    def check(self, chain: bytes, hold: bytes, confirmation: Confirmation, now: int) -> None:
        """Return when a confirmation may post a hold that is open at the chain's head.

        Raises: HoldUnknown, BadConfirmation, ChainUnknown.
        """
        found = self._book.state(chain).hold(hold)
        if found is None:
            raise HoldUnknown(hold=hold)
        payer, held = found
        if not confirming(payer, held, confirmation, now):
            raise BadConfirmation(hold=hold)
        if isinstance(confirmation, KeyConfirmation):
            if not all(self._verify([confirmation.check(self._book.fed, chain, hold)])):
                raise BadConfirmation(hold=hold)

    def keep(self, chain: bytes, hold: bytes, confirmation: Confirmation) -> tuple[Write, ...]:
        """Keep a confirmation that was checked; the first one of a hold stays.

        Raises: QuotaExceeded when too many are held.
        """
        held = self._held.setdefault(chain, {})
        if hold in held:
            return ()
        if self._count >= CONFIRMATIONS_MAX:
            raise QuotaExceeded(limit=CONFIRMATIONS_MAX)
        held[hold] = confirmation
        self._count += 1
        return (Write(SPACE, chain + hold, confirmation.encode()),)

    def forget_closed(self, chain: bytes) -> tuple[Write, ...]:
        """Forget those of holds that are open no more, once for each height of the chain."""
        held = self._held.get(chain)
        h = self._book.head(chain).h
        if not held or self._heads.get(chain) == h:
            return ()
        self._heads[chain] = h
        state = self._book.state(chain)
        gone = [hold for hold in held if state.hold(hold) is None]
        for hold in gone:
            del held[hold]
        self._count -= len(gone)
        return tuple(Write(SPACE, chain + hold, None) for hold in gone)
