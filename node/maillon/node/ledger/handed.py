"""Judge what the nodes of other coops hand over for this coop's chain: orders, and releases."""

from __future__ import annotations

from maillon.ledger.book import Book
from maillon.ledger.entries import Void
from maillon.ledger.messages import GiveBack, Receipt
from maillon.ledger.orders import Order
from maillon.node.ledger.happenings import Setup
from maillon.node.ledger.index import VOID, Index
from maillon.node.ledger.queue import CERTIFIED, REFUSED, WAITING, OrderQueue, storable
from maillon.node.ledger.reading import Reading
from maillon.protocol.encoding import Value


class Handed:
    """Answer them; nothing of a stranger's takes a place in the queue."""

    def __init__(
        self, setup: Setup, book: Book, index: Index, queue: OrderQueue, reading: Reading
    ) -> None:
        self._setup = setup
        self._book = book
        self._index = index
        self._queue = queue
        self._reading = reading

    def order(self, order: Order, now: int) -> tuple[Receipt, bytes | None]:
        """Queue an order; return the answer, and its id when it is new here."""
        id = order.id(self._book.fed)
        if order.chain != self._setup.coop:
            return Receipt(id, REFUSED, {"code": "ledger_coop_unknown"}), None
        known = self._queue.get(id)
        if known is None and self._index.transfer(id) is not None:
            return Receipt(id, CERTIFIED, {}), None
        fresh: bytes | None = None
        if known is None:
            # Before anything is kept: a stranger's orders must not take an account's places.
            if not self._reading.may_order(order, now):
                return Receipt(id, REFUSED, {"code": "not_authorised"}), None
            if not self._setup.verify([order.check(self._book.fed)])[0]:
                return Receipt(id, REFUSED, {"code": "bad_signature"}), None
            known = self._queue.add(id, order, now)
            fresh = id
        facts: dict[str, Value] = dict(storable(known.facts))
        if known.reason:
            facts["code"] = known.reason
        return Receipt(id, known.state, facts), fresh

    def release(self, message: GiveBack) -> tuple[Receipt, Void | None]:
        """Return the answer to a payee in another coop who gives a hold up, and what voids it."""
        hold, release = message.hold, message.release
        if message.chain != self._setup.coop:
            return Receipt(hold, REFUSED, {"code": "ledger_coop_unknown"}), None
        found = self._book.state(message.chain).hold(hold)
        if found is None:
            known = self._index.transfer(hold)
            if known is not None and known.status == VOID:
                return Receipt(hold, CERTIFIED, {}), None
            return Receipt(hold, REFUSED, {"code": "hold_unknown"}), None
        payer, held = found
        # Before anything is kept: only the payee's own word takes a place in the queue.
        if release.key != held.payee_key:
            return Receipt(hold, REFUSED, {"code": "confirmation"}), None
        if not self._setup.verify([release.check(self._book.fed, message.chain, hold)])[0]:
            return Receipt(hold, REFUSED, {"code": "bad_signature"}), None
        return Receipt(hold, WAITING, {}), Void(payer.id, hold, release)
