"""Let third parties pay without reading what for (spec/08, "A third party pays").

The requester's node asks: how much, to whom, under which `ref`. Nothing leaves the payer's
account before somebody who may act for it consents to exactly that: consent and order are signed in
one act, and the consent names the order. What is reserved names the requester's node as the one who
may confirm: it knows when the service was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.addressing import Addressing, coop_of, is_person
from maillon.node.engine.exchange.notes import FundingNote
from maillon.node.engine.exchange.paying import funding_wanted, on_its_way
from maillon.node.engine.exchange.ports import Note, Transfer, Wanted
from maillon.node.engine.exchange.transcripts import said
from maillon.protocol.envelope import Signed, decode_record
from maillon.protocol.errors import NotAllowed
from maillon.protocol.exchange import Exchange
from maillon.protocol.validation import Standing

if TYPE_CHECKING:
    from maillon.node.engine.exchange.intake import Setup


class Funding:
    """Requests to third-party payers, and their answers."""

    def __init__(self, setup: Setup, addressing: Addressing) -> None:
        self._setup = setup
        self._store = setup.store
        self._addressing = addressing

    # --- the requester's side -------------------------------------------------------------------

    def requests(self, state: Exchange, known: Sequence[Transfer]) -> list[Mapping[str, Any]]:
        """Return what is to be asked of the payer now: one request for each who is to be paid.

        `known` is what the ledger has of the exchange: what goes to somebody already, and no step
        has told yet, is not asked for again.
        """
        wanted = funding_wanted(state) if self._addressing.is_here(state.requester) else []
        if not wanted or state.terms is None:
            return []
        orders = notes.orders_of(self._store, state.id)
        going = {payee: on_its_way(state, orders, known, payee) for payee, _ in wanted}
        return [
            {
                "amount": amount - going[payee],
                "unit": state.terms["unit"],
                "payee": payee,
                "ref": state.payment_ref,
            }
            for payee, amount in wanted
            if amount > going[payee]
            and self._store.note(notes.ASKED, self._key(state, payee, amount - going[payee]))
            is None
        ]

    @staticmethod
    def _key(state: Exchange, payee: bytes, amount: int) -> bytes:
        # Of a service that recurs the same is due each time: what was paid before tells them apart.
        paid = max(0, state.paid)
        whom = state.payer + payee + amount.to_bytes(8, "big") + paid.to_bytes(8, "big")
        return hashlib.sha256(state.id + whom).digest()

    def asked(self, state: Exchange, fields: Mapping[str, Any], request: bytes, now: int) -> None:
        """Note that the payer was asked."""
        key = self._key(state, fields["payee"], fields["amount"])
        self._store.put_note(Note(notes.ASKED, key, state.id, now, request))

    # --- the payer's side -----------------------------------------------------------------------

    def requested(self, signed: Signed, standing: Standing, payer: bytes, now: int) -> None:
        """Keep a request to a payer here. Raises: NotAllowed for what nobody could pay."""
        payload = said(signed)
        if self._store.note(notes.FUNDING, signed.id) is not None:
            return
        if not self._addressing.is_here(payer) or "payee" not in payload or "ref" not in payload:
            raise NotAllowed("Nobody here is asked to pay.", rule="payer")
        if self._store.count_notes(notes.FUNDING) >= bounds.FUNDINGS_MAX:
            raise NotAllowed("Too many requests to pay are kept already.", rule="full")
        note = FundingNote(
            signed.id, payload["exchange"], now, payer, standing.author, payload["payee"],
            payload["ref"], payload["unit"], payload["amount"], payload.get("category", ""),
            payload.get("beneficiary", ""), signed.header.until,
        )  # fmt: skip
        for kept in self._store.notes(notes.FUNDING, limit=bounds.FUNDINGS_MAX):
            before = notes.funding_note(kept)
            about = (before.exchange, before.asker, before.payer, before.payee)
            if before.status == "open" and about == (note.exchange, note.asker, payer, note.payee):
                # What is asked for now is less or more: a yes to the old amount would pay nothing.
                self.put(replace(before, status="replaced"))
        self.put(note)

    def note(self, request: bytes) -> FundingNote | None:
        """Return what a payer here was asked."""
        kept = self._store.note(notes.FUNDING, request)
        return None if kept is None else notes.funding_note(kept)

    def put(self, note: FundingNote) -> None:
        """Keep what became of a request."""
        self._store.put_note(note.note())

    def wanted(self, note: FundingNote, now: int) -> Wanted:
        """Return the order that funds what was asked: a reservation.

        From the account of a coop, which can reserve nothing, the payment itself: that is asked for
        when it is due.
        """
        if not is_person(note.payer):
            return Wanted(
                "pay", note.payer, note.payee, note.unit, note.amount, note.ref,
                category=note.category,
            )  # fmt: skip
        info = self._setup.directory.coop(coop_of(note.asker))
        arbiter = b"" if info is None or info.node_key is None else info.node_key
        return Wanted(
            "hold",
            note.payer,
            note.payee,
            note.unit,
            note.amount,
            note.ref,
            expiry=now + bounds.FUNDING_S,
            arbiter=arbiter,
            category=note.category,
        )

    def is_there(self, one: Wanted) -> bool:
        """Tell whether the ledger has the same already, from a consent that is forgotten here.

        A node that was put back to an earlier state is asked again what it has answered.
        """
        ledger = self._setup.ledger
        kept = self._store.notes(notes.FUNDING, limit=bounds.FUNDINGS_MAX)
        orders = {notes.funding_note(note).order for note in kept} - {b""}
        known = {found.id for order in orders if (found := ledger.transfer(order)) is not None}
        return any(
            (found.payee, found.unit, found.amount) == (one.payee, one.unit, one.amount)
            and found.status in ("waiting", *_DONE)
            and found.id not in known
            for found in ledger.under(one.payer, one.ref)
        )

    def consented(self, note: FundingNote, consent: Signed, now: int) -> None:
        """Note that somebody who may act for the payer consented, and to which order."""
        self.ordered(note, said(consent)["order"], now, consent.encode())

    def ordered(self, note: FundingNote, order: bytes, now: int, consent: bytes = b"") -> None:
        """Note the order for a request; of a group's account there is no consent in a record."""
        self.put(replace(note, status="ordered", order=order, consent=consent))
        self._store.put_note(Note(notes.FUNDING_OPEN, note.id, b"", now, b""))

    def changed(self) -> list[bytes]:
        """Return the requests whose order became certain and was not told yet."""
        found: list[bytes] = []
        for kept in self._store.notes(notes.FUNDING_OPEN):
            note = self.note(kept.key)
            if note is not None and self._became(note.order) in (*_DONE, *_UNDONE):
                found.append(kept.key)
        return found

    def _became(self, order: bytes) -> str:
        """Return what the ledger says of an order, or that it can never be carried out any more."""
        found = self._setup.ledger.transfer(order)
        if found is not None:
            return found.status
        kept = self._store.note(notes.ORDER, order)
        return "" if kept is None else notes.order_note(kept).status

    def answer(self, request: bytes) -> tuple[Signed, FundingNote] | None:
        """Return the consent that tells that a request is funded, once that is certain.

        What was refused leaves the request open: another order needs another consent.
        """
        note = self.note(request)
        if note is None or note.step or not note.order:
            return None
        became = self._became(note.order)
        if became in _UNDONE:
            self.put(replace(note, status="open", order=b"", consent=b""))
            self._store.drop_note(notes.FUNDING_OPEN, request)
        if became in _DONE and not note.consent:
            # Nobody has to be told: the ledger shows it to whoever asked.
            self.answered(note, b"")
        if became not in _DONE or not note.consent:
            return None
        return decode_record(note.consent), note

    def answered(self, note: FundingNote, step: bytes, status: str = "funded") -> None:
        """Note the step that told it."""
        self.put(replace(note, status=status, step=step))
        self._store.drop_note(notes.FUNDING_OPEN, note.id)


_DONE: Final = ("held", "posted", "certified")
_UNDONE: Final = ("refused", "dead", "void", "returned")
