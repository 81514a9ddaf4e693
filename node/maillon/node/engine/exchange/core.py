"""Offer what can be done with the exchanges of a node, each as one transaction (spec/08).

Nothing here waits or touches the world: what is to be done there is returned as effects, and stands
in notes of the store until it is done (`intake`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.addressing import concerned
from maillon.node.engine.exchange.intake import (
    KNOWN,
    NEW,
    WAITS,
    ExchangesFull,
    Intake,
    NotConcerned,
    Setup,
    Taken,
    of_store,
)
from maillon.node.engine.exchange.notes import FundingNote, KeptAttestation, OrderNote
from maillon.node.engine.exchange.ports import (
    Effect,
    Fault,
    Note,
    Post,
)
from maillon.node.engine.exchange.projecting import project
from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.envelope import Draft, Signed, decode_record, sign
from maillon.protocol.errors import MaillonError, NotAllowed, RemoteError
from maillon.protocol.keys import SigningKey
from maillon.protocol.letters import ITEM_APP, ITEM_STEP, ITEM_VOUCHER, Item

ORDER: Final = "order"
"""What an order of an account is signed for (spec/06-accounts)."""


class ExchangeCore(Intake):
    """The exchanges of one node."""

    # --- own steps ------------------------------------------------------------------------------

    def act(
        self,
        kind: str,
        fields: Mapping[str, Any],
        signer: Signer,
        key: SigningKey,
        exchange: bytes | None,
        now: int,
    ) -> tuple[Taken, list[Effect]]:
        """Draft, sign and take a step. Raises: as `draft` and `take`."""
        made, _standing = self.draft(kind, fields, signer, exchange, now)
        return self.take(sign(made, key), now)

    def take(
        self, signed: Signed, now: int, *, attestation: Signed | None = None
    ) -> tuple[Taken, list[Effect]]:
        """Take in a step that somebody here signed, if it fits now; tell it to all concerned.

        An evaluation may bring the attestation that it commits to, which is kept back.

        Raises: what validation raises; StepRefused; ExchangesFull. Nothing was changed then.
        """
        with self._transaction():
            taken = self._take(signed, now, own=True, strict=True)
            if attestation is not None:
                self._keep(attestation, signed, now)
        return taken, self._flush()

    def take_all(
        self, steps: Sequence[Signed], now: int, *, attestations: Sequence[Signed] = ()
    ) -> tuple[list[Taken], list[Effect]]:
        """Take in several steps of people here as one: all or none. Raises: as `take`."""
        with self._transaction():
            taken = [self._take(signed, now, own=True, strict=True) for signed in steps]
            by_id: dict[bytes, Signed] = {signed.id: signed for signed in attestations}
            for signed in steps:
                named = (signed.payload or {}).get("attestation")
                if signed.header.kind == "evaluation" and isinstance(named, bytes):
                    if named in by_id:
                        self._keep(by_id[named], signed, now)
        return taken, self._flush()

    def hand_in(self, signed: Signed, now: int) -> tuple[Taken, list[Effect]]:
        """Take in what a device opened out of its letters: it was told to all already."""
        with self._transaction():
            taken = self._take(signed, now, self.setup.coop)
        return taken, self._flush()

    def _keep(self, attestation: Signed, step: Signed, now: int) -> None:
        payload = cast("Mapping[str, Any]", step.payload)
        if payload.get("attestation") != attestation.id:
            raise NotAllowed("The evaluation commits to another attestation.", rule="attestation")
        exchange: bytes = payload["exchange"]
        author = next(row.author for row in self.store.transcript(exchange) if row.id == step.id)
        kept = KeptAttestation(attestation.id, exchange, now, author, attestation.encode())
        self.store.put_note(kept.note())
        # Both may be in with this one: what is released is published at once.
        self._react(exchange, now)

    # --- letters --------------------------------------------------------------------------------

    def receive(
        self, items: Sequence[Item], from_coop: bytes, reader: bytes, now: int
    ) -> tuple[list[MaillonError], list[Effect]]:
        """Take in what a letter to `reader` holds; return what was refused, which nobody is told.

        What vouches for keys is handed to the engine first. What is not understood yet waits.
        """
        refused: list[MaillonError] = []
        for item in items:
            if item.kind == ITEM_VOUCHER:
                try:
                    self.setup.records.publish(item.data)
                except MaillonError as fault:
                    refused.append(fault)
        steps: list[Signed] = []
        for item in items:
            if item.kind == ITEM_STEP:
                try:
                    steps.append(decode_record(item.data))
                except RemoteError as fault:
                    refused.append(fault)
        with self._transaction():
            for item in items:
                if item.kind == ITEM_APP:
                    self.mending.asked(item.data, from_coop, now)
            for signed in steps:
                try:
                    self._take(signed, now, from_coop, reader=reader)
                except MaillonError as fault:
                    if of_store(fault):
                        raise
                    refused.append(fault)
        return refused, self._flush()

    # --- time and the world ---------------------------------------------------------------------

    def tick(self, now: int) -> list[Effect]:
        """Do what time asks for; call it again at once while it returns something."""
        for exchange in self.store.due(now, bounds.DUE_SLICE):
            try:
                with self._transaction():
                    self._passed(exchange, now)
            except Exception as fault:
                # One exchange that breaks us must not hold up the others for ever.
                self._postpone(exchange, now)
                self._effects.append(Fault(exchange, repr(fault)))
        for exchange in self.mending.due(now):
            with self._transaction():
                self.mending.ask(self.state(exchange, now), now)
        for note in self.store.notes(notes.STRANGER, limit=bounds.DUE_SLICE):
            if note.at + bounds.STRANGER_S < now:
                self.store.forget(note.key)
                self.transcripts.changed(note.key)
        return self._flush()

    def _passed(self, exchange: bytes, now: int) -> None:
        state = self.state(exchange, now)
        project(self.store, state, now)
        self._tell(state, "deadline", "", now)
        self.mending.looked_at(state, now)
        self._react(exchange, now)

    def _postpone(self, exchange: bytes, now: int) -> None:
        row = self.store.row(exchange)
        if row is not None:
            self.store.put_row(replace(row, wake=now + bounds.RETRY_S))

    def next_wake(self) -> int | None:
        """Return when something happens by itself next, in Unix seconds."""
        return self.store.next_wake()

    def resume(self, now: int) -> list[Effect]:
        """Name what was begun and is not known to be done: after a start, and now and then."""
        effects: list[Effect] = []
        if self.store.notes(notes.OUT, limit=1):
            effects.append(Post())
        effects += self.settling.unfinished()
        return effects

    def look_at_ledger(self, now: int) -> list[Effect]:
        """Compare what is under way with the ledger, and let follow what became certain."""
        self.settling.compare(now)
        for note in self.store.notes(notes.LOOK):
            try:
                with self._transaction():
                    self.store.drop_note(notes.LOOK, note.key)
                    self._look(note.key, now)
            except Exception as fault:
                with self.store.batch():
                    self.store.drop_note(notes.LOOK, note.key)
                    self._postpone(note.key, now)
                self._effects.append(Fault(note.key, repr(fault)))
        return self._flush()

    def _look(self, exchange: bytes, now: int) -> None:
        if not self._known(exchange):
            return
        self.transcripts.changed(exchange)
        state = self.state(exchange, now)
        project(self.store, state, now)
        self._tell(state, "payment", "", now)
        self._react(exchange, now)

    # --- third-party payers ---------------------------------------------------------------------

    def fund(self, request: bytes, signer: Signer, key: SigningKey, now: int) -> list[Effect]:
        """Consent for a payer here to what was asked, and order exactly that: both or neither.

        `key` signs the consent as the payer, or under a mandate of theirs that covers `funding`.
        The order is signed with the payer's own key where the node holds it, else with `key` under
        a spending mandate of the account.

        Raises: NotAllowed when it is asked of nobody here or not any more, or of somebody else;
        what says that nobody vouches for the signer; what signing an order raises.
        """
        with self._transaction():
            note = self._asked(request, now)
            self._consent(note, signer, now)  # before anything is signed: may this one say yes?
            one = self.funding.wanted(note, now)
            if self.funding.is_there(one):
                raise NotAllowed("That was paid or reserved already.", rule="payer")
            delegate = None if self.setup.ledger.may_sign(one) else key.public
            ask = self.settling.place(note.exchange, one, now, delegate=delegate)
            made = self._consent(note, signer, now, ask.order)
            self.funding.consented(note, sign(made, key), now)
            self._effects.append(ask)
        return self._flush()

    def fund_jointly(self, request: bytes, key: SigningKey, now: int) -> list[Effect]:
        """Order what a group here was asked for, with the key of its account.

        Whoever calls has counted the approvals of its members, which are the consent: no key speaks
        for a group in records, so no `funding` is written.

        Raises: NotAllowed when it is asked of nobody here or not any more, was ordered already, or
        was refused so lately that it would be again; what signing an order raises.
        """
        with self._transaction():
            note = self._asked(request, now)
            one = self.funding.wanted(note, now)
            if self.funding.is_there(one):
                raise NotAllowed("That was paid or reserved already.", rule="payer")
            refused = self.refused(note)
            if refused is not None and refused.at + bounds.RETRY_S > now:
                raise NotAllowed(refused.detail or refused.reason, rule="payer")
            ledger = self.setup.ledger
            after = self.settling.last_number(note.payer)
            unsigned = ledger.unsigned(one, key.public, after=after)
            signature = key.sign(ORDER, self.setup.fed + unsigned.body)
            ordered = ledger.signed(one, key.public, unsigned.body, signature)
            ask = self.settling.write_down(note.exchange, one, ordered, now)
            self.funding.ordered(note, ask.order, now)
            self._effects.append(ask)
        return self._flush()

    def refused(self, note: FundingNote) -> OrderNote | None:
        """Return the last order for a request to a payer here, when it was refused."""
        orders = [
            order
            for order in notes.orders_of(self.store, note.exchange)
            if order.payer == note.payer and order.payee == note.payee
        ]
        last = max(orders, key=lambda order: (order.at, order.number), default=None)
        return last if last is not None and last.status == "refused" else None

    def _asked(self, request: bytes, now: int) -> FundingNote:
        note = self.funding.note(request)
        if note is None or note.status != "open" or note.until < now:
            raise NotAllowed("Nobody here is asked to pay that now.", rule="payer")
        return note

    def _consent(self, note: FundingNote, signer: Signer, now: int, order: bytes = b"") -> Draft:
        """Draft the consent to a request, or with no order one that only says who consents."""
        fields: dict[str, Any] = {
            "exchange": note.exchange, "amount": note.amount, "unit": note.unit,
            "request": note.id,
        }  # fmt: skip
        if order:
            fields["order"] = order
        made, standing = self.writer.draft("funding", fields, signer, None, now)
        if standing.author != note.payer:
            raise NotAllowed("Somebody else was asked to pay that.", rule="payer")
        return made

    def decline(self, request: bytes, signer: Signer, key: SigningKey, now: int) -> list[Effect]:
        """Say for a payer here that nothing is paid. Raises: as `fund`."""
        with self._transaction():
            note = self._asked(request, now)
            made = self._consent(replace(note, amount=0), signer, now)
            self._answer(sign(made, key), note, now, "declined")
        return self._flush()

    def _answer(self, signed: Signed, note: FundingNote, now: int, status: str = "funded") -> None:
        """Tell who asked, and who would be paid, what the payer said."""
        self.funding.answered(note, signed.id, status)
        if self._known(note.exchange):
            self._take(signed, now)
        readers = (note.asker, note.payee)
        self.outbox.send_to(readers, note.exchange, (signed,), note.payer, now)

    def look_at_fundings(self, now: int) -> list[Effect]:
        """Answer for what payers here have funded meanwhile."""
        for request in self.funding.changed():
            with self._transaction():
                answer = self.funding.answer(request)
                if answer is not None:
                    self._answer(*answer, now)
        return self._flush()

    def identity_changed(self, now: int) -> list[Effect]:
        """Be told that keys, mandates or coops changed: steps that waited may count, others not."""
        self.transcripts.changed()
        waits = self.store.notes(notes.WAITING)
        if waits:
            with self._transaction():
                for note in waits:
                    waiting = notes.waiting_step(note)
                    if waiting.at + bounds.WAITING_S < now:
                        self.store.drop_note(notes.WAITING, waiting.id)
                    elif self.store.note(notes.WAITING, waiting.id) is not None:
                        self._again(waiting, now)
        unreached = self.store.notes(notes.UNREACHED)
        if unreached:
            with self._transaction():
                for note in unreached:
                    state = self.state(note.exchange, now)
                    if note.value == state.payer and note.value not in concerned(state):
                        # A third-party payer, who is asked for an amount and reads nothing.
                        if any(self.addressing.of(note.value, now)):
                            self.store.drop_note(notes.UNREACHED, note.key)
                            self._look(note.exchange, now)
                    elif self.outbox.reach(state, note.value, now):
                        self.store.drop_note(notes.UNREACHED, note.key)
        return self._flush()

    def published(self, attestation: bytes) -> None:
        """Be told that a released attestation was published."""
        note = self.store.note(notes.KEPT, attestation)
        with self.store.batch():
            if note is not None:
                kept = replace(notes.kept_attestation(note), status="published")
                self.store.put_note(kept.note())
            self.store.drop_note(notes.RELEASED, attestation)

    def posted(self, tickets: Sequence[bytes]) -> None:
        """Be told that the post office has some letters."""
        with self.store.batch():
            for ticket in tickets:
                note = self.store.note(notes.OUT, ticket)
                if note is not None:
                    letter = notes.out_letter(note)
                    self.store.drop_note(notes.OUT, ticket)
                    self.store.put_note(
                        Note(notes.LETTER, ticket, note.exchange, note.at, letter.to_key)
                    )

    def letter_ended(self, ticket: bytes, code: str, now: int) -> list[Effect]:
        """Be told that a letter never arrived: whoever it was for gets the whole transcript anew.

        At once where the post office asks for it, else with the next step.
        """
        with self._transaction():
            note = self.store.note(notes.LETTER, ticket)
            if note is not None:
                self.store.drop_note(notes.LETTER, ticket)
                self.store.drop_note(notes.SENT, note.exchange + note.value)
                self.store.put_note(replace(note, space=notes.LOST, value=code.encode()))
                if code == "reused" and self._known(note.exchange):
                    self.outbox.repeat(self.state(note.exchange, now), note.value, now)
        return self._flush()

    def ordered(self, order: bytes, status: str, reason: str = "", detail: str = "") -> None:
        """Be told what the ledger said when an order was handed to it."""
        note = self.store.note(notes.ORDER, order)
        if note is not None:
            self.store.put_note(notes.order_note(note).became(status, reason, detail).note())

    def forget_finished(self, before: int, limit: int = bounds.DUE_SLICE) -> int:
        """Delete exchanges that were finished before a time; return how many."""
        gone = self.store.finished_before(before, limit)
        with self.store.batch():
            for exchange in gone:
                self.store.forget(exchange)
                self.transcripts.changed(exchange)
        return len(gone)


__all__ = [
    "KNOWN",
    "NEW",
    "WAITS",
    "ExchangeCore",
    "ExchangesFull",
    "NotConcerned",
    "Setup",
    "Taken",
]
