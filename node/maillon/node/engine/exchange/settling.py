"""Have exchanges paid and evaluations published: what follows from a state by itself (spec/08).

An order is signed and written down before it is handed to the ledger, under its own id, which the
ledger's queue knows it by: handing it over again does nothing. It is told in a step once it is
certain. So whatever is cut off in between is done once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.addressing import Addressing, coop_of, is_person
from maillon.node.engine.exchange.notes import OrderNote
from maillon.node.engine.exchange.paying import acknowledged, instead, untold, wanted
from maillon.node.engine.exchange.ports import (
    Ask,
    Effect,
    Note,
    Ordered,
    Release,
    Transfer,
    Wanted,
)
from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.errors import MaillonError
from maillon.protocol.exchange import Exchange

if TYPE_CHECKING:
    from maillon.node.engine.exchange.intake import Setup

Own = tuple[tuple[str, Mapping[str, Any]], Signer]

CERTAIN: Final = frozenset({"certified", "posted"})
FINAL: Final = frozenset({"certified", "void", "returned", "refused", "dead"})
STALE: Final = "stale_sequence"
"""Why an order is refused whose number another order of the account has taken."""


class Settling:
    """What exchanges ask of the ledger and of the public records."""

    def __init__(self, setup: Setup, addressing: Addressing) -> None:
        self._setup = setup
        self._store = setup.store
        self._ledger = setup.ledger
        self._addressing = addressing
        # Only remembered: after a start the ledger knows them, or whatever is late is signed anew.
        self._numbers: dict[bytes, int] = {}

    # --- who signs ------------------------------------------------------------------------------

    def signer_for(self, author: bytes) -> Signer | None:
        """Return a key held here that speaks for an author in its own name, or None."""
        if not self._addressing.is_here(author):
            return None
        if not is_person(author):
            return Signer(self._setup.keys.node.public, self._setup.coop)
        for info in self._setup.directory.keys_of(author):
            if info.status == "active" and self._setup.keys.holds(info.key):
                return Signer(info.key, coop_of(author))
        return None

    # --- what is told ---------------------------------------------------------------------------

    def steps(self, state: Exchange, now: int) -> Iterator[Own]:
        """Yield the steps that tell what the ledger did, where the key that takes is here."""
        if state.agreement is None or state.reserved:
            return
        signer = self.signer_for(state.requester) or self.signer_for(state.payer)
        known = self.known(state)
        for transfer in untold(state, known):
            told = signer if transfer.payer != state.provider else self.signer_for(state.provider)
            if transfer.unit != state.due.unit:
                # An acknowledgement is the requester's own.
                told = self.signer_for(state.requester)
            if told is not None:
                fields: dict[str, Any] = {
                    "transfer": transfer.id,
                    "amount": transfer.amount,
                    "unit": transfer.unit,
                }
                if transfer.amount < state.due.amount and transfer.unit == state.due.unit:
                    fields["part"] = True
                yield ("payment", fields), told
        if signer is None:
            return
        for hold in known:
            if (
                hold.status == "held"
                and hold.payee == state.provider
                and hold.ref == state.payment_ref
                and (state.hold is None or state.hold.order != hold.id)
                and not self._is_held(state)
                # One that comes later is confirmed all the same: no step has to name it.
                and "hold" in state.next(state.requester, now).kinds
            ):
                yield self._hold_step(state, hold.id, hold.amount, hold.unit), signer

    def _is_held(self, state: Exchange) -> bool:
        """Tell whether the reservation that the steps name is one for this provider."""
        found = None if state.hold is None else self._ledger.transfer(state.hold.order)
        return found is not None and found.status == "held" and found.payee == state.provider

    @staticmethod
    def _hold_step(
        state: Exchange, order: bytes, amount: int, unit: str
    ) -> tuple[str, Mapping[str, Any]]:
        fields: dict[str, Any] = {"order": order, "amount": amount, "unit": unit}
        if state.hold is not None:
            fields["replaces"] = state.hold.order
        return "hold", fields

    # --- what is ordered ------------------------------------------------------------------------

    def known(self, state: Exchange) -> list[Transfer]:
        """Return all transfers of an exchange, as the ledger has them.

        Those that its steps or orders name, and those that carry its `ref` wherever they were
        ordered: a helper may have paid whose letter has not arrived.
        """
        ids = [note.key for note in self._store.notes(notes.REFERS, exchange=state.id)]
        ids += [o.transfer for o in notes.orders_of(self._store, state.id)]
        found = [self._ledger.transfer(id) for id in dict.fromkeys(ids)]
        by_id = {transfer.id: transfer for transfer in found if transfer is not None}
        if state.payment_ref is not None:
            for payer in dict.fromkeys((state.payer, state.requester, state.due.payer)):
                for transfer in self._ledger.under(payer, state.payment_ref):
                    by_id.setdefault(transfer.id, transfer)
        return list(by_id.values())

    def wanted(self, state: Exchange, now: int, *, everybody: bool = False) -> list[Wanted]:
        """Return what is to be ordered now by this node, whether or not a key for it is here.

        With `everybody` by whoever it is: a delegate here may pay for somebody elsewhere.
        """
        if not self._ledger.enabled:
            return []
        return wanted(
            state,
            notes.orders_of(self._store, state.id),
            self.known(state),
            here=(lambda author: True) if everybody else self._addressing.is_here,
            own_coop=self._setup.coop,
            directory=self._setup.directory,
            now=now,
            counting=self._ledger.counting(),
        )

    def acknowledged(self, state: Exchange) -> list[Wanted]:
        """Return the order with which a requester acknowledges what a third party has paid."""
        if not self._ledger.enabled:
            return []
        orders, known = notes.orders_of(self._store, state.id), self.known(state)
        return acknowledged(state, orders, known, self._ledger.counting())

    def instead(self, state: Exchange) -> list[Wanted]:
        """Return what the requester can pay in place of a third party that has not funded it."""
        if not self._ledger.enabled:
            return []
        return instead(state, notes.orders_of(self._store, state.id), self.known(state))

    def order(self, state: Exchange, now: int) -> Iterator[Effect]:
        """Sign and write down what is to be ordered, where it can be signed here.

        By itself the node signs for who is bound by a step of theirs: for the requester by the
        agreement and what followed from it, for the provider who gives back. Never for a
        third-party payer (spec/08, "A third party pays").
        """
        if not self._setup.automatic:
            return
        for one in self.wanted(state, now):
            if self._ledger.may_sign(one) and not self._refused_lately(state.id, one, now):
                try:
                    yield self.place(state.id, one, now)
                except MaillonError as fault:
                    if fault.code.startswith("store"):
                        raise
                    # It is shown among what is possible, and tried again with the next change.
                    continue

    def place(
        self, exchange: bytes, one: Wanted, now: int, *, delegate: bytes | None = None
    ) -> Ask:
        """Sign and write down one order. Raises: LocalError, LedgerError from signing."""
        signed = self._ledger.sign(one, delegate=delegate, after=self.last_number(one.payer))
        return self.write_down(exchange, one, signed, now)

    def last_number(self, payer: bytes) -> int:
        """Return the highest number signed here for an account and not known to be placed, or 0.

        Several are signed in one go, as when a bundle is committed: the ledger knows none of them.
        """
        if not self._numbers:
            for order in self._open():
                self._signed_for(order.payer, order.number)
        return self._numbers.get(payer, 0)

    def _signed_for(self, payer: bytes, number: int) -> None:
        self._numbers[payer] = max(number, self._numbers.pop(payer, 0))
        if len(self._numbers) > bounds.NUMBERS_MAX:
            del self._numbers[next(iter(self._numbers))]

    def write_down(self, exchange: bytes, one: Wanted, signed: Ordered, now: int) -> Ask:
        """Keep a signed order until something became of it."""
        note = OrderNote(
            signed.id, exchange, now, one.what, one.payer, one.payee, one.unit, one.amount, one.ref,
            one.order, signed.data, one.expiry, number=signed.number,
        )  # fmt: skip
        self._signed_for(one.payer, signed.number)
        self._store.put_note(note.note())
        self._store.put_note(Note(notes.ORDER_OPEN, signed.id, exchange, now, b""))
        return Ask(signed.id)

    def _refused_lately(self, exchange: bytes, one: Wanted, now: int) -> bool:
        """Tell whether the same was refused so lately that it would be again.

        What lapsed says nothing of the next: it is signed anew at once, a number of times.
        """
        lately = [
            order
            for order in notes.orders_of(self._store, exchange)
            if order.what == one.what
            and (order.payee, order.unit) == (one.payee, one.unit)
            and order.at + bounds.RETRY_S > now
        ]
        lapsed = sum(order.status == "dead" and order.number > 0 for order in lately)
        return lapsed >= bounds.STALE_TRIES_MAX or any(
            order.status in ("refused", "returned") or (order.status == "dead" and not order.number)
            for order in lately
        )

    def order_told(self, exchange: bytes, named: bytes, step: bytes) -> None:
        """Note that a step has told an order, whose transfer may go by another id."""
        for order in notes.orders_of(self._store, exchange):
            if not order.step and order.what != "release":
                found = self._ledger.transfer(order.transfer)
                if order.transfer == named or (found is not None and found.id == named):
                    self._store.put_note(replace(order, step=step).note())

    # --- what became of it ----------------------------------------------------------------------

    def compare(self, now: int) -> None:
        """Compare what is under way with the ledger; note the exchanges that are concerned."""
        if not self._ledger.enabled:
            return
        orders = self._store.notes(notes.ORDER_OPEN, limit=bounds.ORDERS_LOOKED_AT)
        named = self._store.notes(notes.REFERS_OPEN, limit=bounds.ORDERS_LOOKED_AT)
        if not orders and not named:
            return
        with self._store.batch():
            for note in orders:
                if self._order_changed(note):
                    self._look(note, now)
            for note in named:
                found = self._ledger.transfer(note.key)
                status = b"" if found is None else found.status.encode()
                if status != note.value:
                    self._store.put_note(replace(note, value=status))
                    self._look(note, now)
                if found is not None and found.final and found.status != "held":
                    self._store.drop_note(notes.REFERS_OPEN, note.key)

    def _look(self, note: Note, now: int) -> None:
        # In the same transaction: a node that dies now looks at it when it starts again.
        self._store.put_note(Note(notes.LOOK, note.exchange, note.exchange, now, b""))

    def _order_changed(self, note: Note) -> bool:
        """Bring an order up to what the ledger says; tell whether that is something new."""
        kept = self._store.note(notes.ORDER, note.key)
        if kept is None:
            self._store.drop_note(notes.ORDER_OPEN, note.key)
            return False
        order = notes.order_note(kept)
        found = self._ledger.transfer(order.transfer)
        after = became(order, found)
        if order.what in ("hold", "pay") and (found is None or found.status == "refused"):
            after = self._lapsed(after, found)
        if after != order:
            self._store.put_note(after.note())
        if after.status in FINAL and (found is None or found.final):
            self._store.drop_note(notes.ORDER_OPEN, note.key)
        return after != order

    def _lapsed(self, order: OrderNote, found: Transfer | None) -> OrderNote:
        """Return an order that no chain has with whether it may still be carried out.

        One that is refused because its number was taken is under way until the chain, as it is
        certified, shows that it was: only then is another signed in its place, and nobody pays
        twice.
        """
        stale = order.reason == STALE
        if (found is None or stale) and self._ledger.lapsed(order.data):
            return order.became("dead", order.reason, order.detail)
        if stale and order.status == "refused":
            return order.became("waiting", order.reason, order.detail)
        return order

    def _open(self) -> list[OrderNote]:
        """Return orders under way, those of one account in the order of their numbers."""
        kept = [
            self._store.note(notes.ORDER, note.key)
            for note in self._store.notes(notes.ORDER_OPEN, limit=bounds.ORDERS_LOOKED_AT)
        ]
        found = [notes.order_note(note) for note in kept if note is not None]
        return sorted(found, key=lambda order: order.number)

    def unfinished(self) -> list[Effect]:
        """Return what was begun and is not known to be done."""
        found: list[Effect] = [Ask(one.id) for one in self._open() if one.status == "ordered"]
        found += [Release(note.key) for note in self._store.notes(notes.RELEASED)]
        return found

    # --- evaluations ----------------------------------------------------------------------------

    def release(self, state: Exchange, now: int) -> Iterator[Effect]:
        """Let attestations out that were kept back, once both sides have spoken or time is over."""
        if not state.released:
            return
        counted = {evaluation.attestation for evaluation in state.evaluations}
        for note in self._store.notes(notes.KEPT, exchange=state.id):
            kept = notes.kept_attestation(note)
            if kept.status == "kept" and kept.id in counted:
                self._store.put_note(replace(kept, status="released").note())
                self._store.put_note(Note(notes.RELEASED, kept.id, state.id, now, b""))
                yield Release(kept.id)


def became(order: OrderNote, found: Transfer | None) -> OrderNote:
    """Return an order with what the ledger says became of it."""
    if found is None:
        return order
    if order.what in ("confirm", "release"):
        done, undone = ("posted", "void") if order.what == "confirm" else ("void", "posted")
        if found.status in (done, undone):
            return order.became("certified" if found.status == done else "dead")
        return order
    status = "certified" if found.status == "posted" else found.status
    if order.status == "held" and status == "certified":
        # What was reserved is paid: the payment is another order.
        return order.became(status)
    if status == order.status:
        return order
    return order.became(status, found.reason, found.detail)
