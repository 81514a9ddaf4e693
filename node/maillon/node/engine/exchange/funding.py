"""Let third parties pay without reading what for (spec/08, "A third party pays").

The requester's node asks: how much, to whom, under which `ref`. The payer's reserves it, and names
the requester's node as the one who may confirm: it knows when the service was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.addressing import Addressing, coop_of, is_person
from maillon.node.engine.exchange.notes import FundingNote
from maillon.node.engine.exchange.paying import RESERVING
from maillon.node.engine.exchange.ports import Note, Wanted
from maillon.node.engine.exchange.transcripts import said
from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.envelope import Signed
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

    def request(self, state: Exchange) -> Mapping[str, Any] | None:
        """Return what is to be asked of the payer now, or None."""
        if (
            state.payer == state.requester
            or not self._addressing.is_here(state.requester)
            or state.agreement is None
            or state.reserved
            or state.terms is None
        ):
            return None
        amount = self._amount(state)
        if not amount or self._asked(state, amount) is not None:
            return None
        return {
            "amount": amount,
            "unit": state.terms["unit"],
            "payee": state.provider,
            "ref": state.payment_ref,
        }

    @staticmethod
    def _amount(state: Exchange) -> int:
        terms = state.terms or {}
        if state.due.amount > 0 and state.due.payer == state.payer:
            hold = state.hold
            if hold is not None and hold.status == "held" and hold.amount == state.due.amount:
                return 0
            return state.due.amount - max(0, state.announced)
        if terms.get("settle") == "hold" and state.phase in RESERVING:
            return int(terms.get("amount", 0))
        return 0

    def _key(self, state: Exchange, amount: int) -> bytes:
        whom = state.payer + state.provider + amount.to_bytes(8, "big")
        return hashlib.sha256(state.id + whom).digest()

    def _asked(self, state: Exchange, amount: int) -> Note | None:
        return self._store.note(notes.ASKED, self._key(state, amount))

    def asked(self, state: Exchange, amount: int, request: bytes, now: int) -> None:
        """Note that the payer was asked."""
        self._store.put_note(Note(notes.ASKED, self._key(state, amount), state.id, now, request))

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
        self.put(note)

    def note(self, request: bytes) -> FundingNote | None:
        """Return what a payer here was asked."""
        kept = self._store.note(notes.FUNDING, request)
        return None if kept is None else notes.funding_note(kept)

    def put(self, note: FundingNote) -> None:
        """Keep what became of a request."""
        self._store.put_note(note.note())

    def wanted(self, note: FundingNote, now: int) -> Wanted:
        """Return the reservation that funds what was asked."""
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

    def ordered(self, note: FundingNote, order: bytes, now: int) -> None:
        """Note that an order was signed for a request."""
        self.put(replace(note, status="ordered", order=order))
        self._store.put_note(Note(notes.FUNDING_OPEN, note.id, b"", now, b""))

    def changed(self) -> list[bytes]:
        """Return the requests whose order became certain and was not told yet."""
        found: list[bytes] = []
        for kept in self._store.notes(notes.FUNDING_OPEN):
            note = self.note(kept.key)
            order = None if note is None else self._setup.ledger.transfer(note.order)
            if order is not None and order.status in ("held", "posted", "refused", "dead", "void"):
                found.append(kept.key)
        return found

    def answer(self, request: bytes) -> tuple[Mapping[str, Any], Signer, tuple[bytes, ...]] | None:
        """Return the step that tells that a request is funded, who signs it, and who reads it."""
        note = self.note(request)
        if note is None or note.step or not note.order:
            return None
        order = self._setup.ledger.transfer(note.order)
        if order is None or order.status not in ("held", "posted"):
            if order is not None and order.status in ("refused", "dead", "void"):
                self.put(replace(note, status="open", order=b""))
                self._store.drop_note(notes.FUNDING_OPEN, request)
            return None
        signer = self._signer(note.payer)
        if signer is None:
            return None
        fields: dict[str, Any] = {
            "exchange": note.exchange,
            "amount": note.amount,
            "unit": note.unit,
            "order": note.order,
            "request": note.id,
        }
        return fields, signer, (note.asker, note.payee)

    def answered(self, request: bytes, step: bytes) -> None:
        """Note the step that told it."""
        note = self.note(request)
        if note is not None:
            self.put(replace(note, status="funded", step=step))
            self._store.drop_note(notes.FUNDING_OPEN, request)

    def _signer(self, payer: bytes) -> Signer | None:
        if not is_person(payer):
            return Signer(self._setup.keys.node.public, self._setup.coop)
        for info in self._setup.directory.keys_of(payer):
            if info.status == "active" and self._setup.keys.holds(info.key):
                return Signer(info.key, coop_of(payer))
        return None
