"""Show exchanges as the interface gives them: names, amounts in words, what is possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from maillon.ledger.units import UnitTable
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.plain import payload_to_json, to_json
from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.addressing import is_person
from maillon.node.engine.exchange.bounds import FUNDINGS_MAX
from maillon.node.engine.exchange.core import ExchangeCore
from maillon.node.engine.exchange.notes import FundingNote, OrderNote
from maillon.node.engine.exchange.paying import told_by
from maillon.node.engine.exchange.ports import ExchangeRow, SlotRow, Wanted
from maillon.node.engine.exchange.projecting import summary_of, waiting_for
from maillon.node.exchange.awaiting import (
    acknowledgement_notice,
    check_in_from,
    is_settled_gift,
    payer_notice,
)
from maillon.node.exchange.filling import mediator_notice
from maillon.node.exchange.ports import Host
from maillon.node.exchange.saying import Saying
from maillon.node.i18n import _
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import MaillonError
from maillon.protocol.exchange import Exchange, Quote, Slot

# Kinds of steps that this node takes by itself, or through routes of their own.
NOT_OFFERED: Final = frozenset({"opening", "bundle_decision", "funding", "hold"})


class Showing:
    """Turn what is known of exchanges into shapes."""

    def __init__(self, host: Host, core: ExchangeCore, units: UnitTable | None) -> None:
        self._host = host
        self._core = core
        self._units = units
        self._saying = Saying(host, core, self)

    # --- who and how much -----------------------------------------------------------------------

    def party(self, author: bytes) -> shapes.Party:
        """Show an author; the name of a person here comes from the private register."""
        coop = author[1:33]
        here = coop == self._host.coop
        person = author[33:] if is_person(author) else b""
        name = self._host.coop_name(coop) if not person else ""
        if person and here:
            name = self._host.register.name_of(person)
        return shapes.Party(
            author.hex(), coop.hex(), self._host.coop_name(coop), person.hex(), name, here
        )

    def money(self, amount: int, unit: str) -> shapes.Money:
        """Show an amount in the way of its unit."""
        text = str(amount)
        if self._units is not None and unit:
            try:
                text = self._units.format(self._units.index(unit), amount)
            except MaillonError:
                text = f"{amount} {unit}"
        return shapes.Money(amount, unit, text)

    @staticmethod
    def slot(slot: Slot) -> shapes.SlotOut:
        """Show an appointment."""
        return shapes.SlotOut(
            slot.slot.hex(),
            slot.start,
            slot.end,
            slot.place,
            slot.status,
            slot.check_in,
            slot.check_out,
            slot.minutes,
        )

    def counting(self) -> tuple[str, ...]:
        """Return the federation's units that only count."""
        return self._core.setup.ledger.counting()

    # --- lists ----------------------------------------------------------------------------------

    def row(self, row: ExchangeRow) -> shapes.ExchangeRow:
        """Show an exchange in a list, from what is kept for lists alone."""
        said = summary_of(row)
        due, slot, deadline = (said.get(name) for name in ("due", "slot", "deadline"))
        return shapes.ExchangeRow(
            id=row.id.hex(),
            title=row.title,
            phase=row.phase,
            roles=self.roles(row),
            requester=self.party(row.requester),
            provider=self.party(row.provider),
            opened_at=row.opened_at,
            changed_at=row.changed_at,
            waiting_for=list(said["waiting"]),
            about=row.about.hex(),
            bundle=row.bundle.hex(),
            due=None if due is None else self.money(*due),
            next_slot=None
            if slot is None
            else shapes.SlotOut(slot[0].hex(), slot[1], slot[2], slot[3], slot[4]),
            deadline=None if deadline is None else shapes.DeadlineOut(*deadline),
            guarantees_open=row.guarantees,
        )

    def roles(self, row: ExchangeRow) -> list[str]:
        """Return the parts that people here have."""
        here = self._core.addressing.is_here
        return list(dict.fromkeys(part.role for part in row.parts if here(part.author)))

    # --- one exchange ---------------------------------------------------------------------------

    def exchange(self, state: Exchange, row: ExchangeRow, caller: Caller) -> shapes.Exchange:
        """Show everything of an exchange that those here may see."""
        opening = self._opening(state)
        possible, impossible = self.possible(state, row, caller)
        orders = notes.orders_of(self._core.store, state.id)
        known = {one.id: one for one in self._core.settling.known(state)}
        hold = None
        if state.hold is not None:
            found = known.get(state.hold.order)
            hold = shapes.PaymentOut(
                "hold",
                state.hold.order.hex(),
                self.money(state.hold.amount, state.hold.unit),
                "certified" if state.hold.status == "posted" else state.hold.status,
                "" if found is None else found.payer.hex(),
                "" if found is None else found.payee.hex(),
            )
        kept = {
            notes.kept_attestation(note).id: notes.kept_attestation(note).status
            for note in self._core.store.notes(notes.KEPT, exchange=state.id)
        }
        return shapes.Exchange(
            id=state.id.hex(),
            title=state.title,
            phase=state.phase,
            roles=self.roles(row),
            requester=self.party(state.requester),
            provider=self.party(state.provider),
            opened_at=state.opened_at,
            changed_at=row.changed_at,
            waiting_for=waiting_for(state),
            about=(state.about or b"").hex(),
            bundle=(state.bundle or b"").hex(),
            text=opening.get("text", ""),
            lang=state.lang,
            quotes=[self._quote(quote) for quote in state.quotes],
            terms=None if state.terms is None else to_json(state.terms),
            slots=[self.slot(slot) for slot in state.slots],
            due=None
            if state.terms is None or not state.terms.get("unit")
            else self.money(state.due.amount, state.due.unit),
            paid=None
            if state.terms is None or not state.terms.get("unit")
            else self.money(state.paid, state.due.unit),
            hold=hold,
            payments=self.payments(state, orders),
            deadlines=[
                shapes.DeadlineOut(entry.what, entry.at, entry.outcome) for entry in state.deadlines
            ],
            possible=possible,
            impossible=impossible,
            evaluations=[
                shapes.EvaluationOut(
                    entry.author.hex(),
                    entry.at,
                    state.released,
                    entry.attestation.hex() if state.released else "",
                )
                for entry in state.evaluations
            ],
            guarantees=self.guarantees(state),
            contact=self._contacts(state, caller),
            delivery=shapes.Delivery(
                len(self._core.store.notes(notes.OUT, exchange=state.id)),
                len(self._core.store.notes(notes.LOST, exchange=state.id)),
            ),
            steps=self._core.store.count_steps(state.id),
            void=len(state.void),
            heads=[head.hex() for head in state.heads],
            payer=None if state.payer == state.requester else self.party(state.payer),
            mediator=None if state.mediator is None else self.party(state.mediator),
            participants=[self.party(author) for author in state.participants],
            origin=None
            if state.origin is None
            else shapes.Origin(state.origin[0].hex(), state.origin[1].hex()),
            successors=[
                note.key.hex()
                for note in self._core.store.notes(notes.SUCCESSOR, exchange=state.id)
            ],
            notices=self._notices(state, orders, kept),
            proposals=self._saying.proposals(state),
            said=self._saying.said(state),
            expected=None
            if state.terms is None or not state.terms.get("unit")
            else self.money(state.expected, state.due.unit),
            fee=self._saying.fee(state),
            joint=self._joint(state),
        )

    def _joint(self, state: Exchange) -> list[shapes.JointOut]:
        """Show what a group here has to sign together, when it is to pay for the exchange."""
        payer = state.payer
        if payer == state.requester or not self._core.addressing.is_here(payer):
            return []
        if not is_person(payer) or self._host.joint(payer, b"") is None:
            return []
        found: list[shapes.JointOut] = []
        for kept in self._core.store.notes(notes.FUNDING, limit=FUNDINGS_MAX):
            note = notes.funding_note(kept)
            waits = note.status == "ordered" or (
                note.status == "open" and note.until >= self._host.time()
            )
            standing = self._host.joint(payer, note.id) if note.exchange == state.id else None
            if note.payer == payer and waits and standing is not None:
                found.append(
                    shapes.JointOut(
                        note.id.hex(),
                        self.party(payer),
                        self.party(note.payee),
                        self.money(note.amount, note.unit),
                        note.until,
                        note.status,
                        standing.needed,
                        [self.party(member) for member in standing.members],
                        [member.hex() for member in standing.approvals],
                        standing.order.hex(),
                    )
                )
        return found

    def _opening(self, state: Exchange) -> Mapping[str, Any]:
        for row, signed in self._core.transcripts.records(state.id):
            if row.id == state.id:
                return signed.payload or {}
        return {}

    def _quote(self, quote: Quote) -> shapes.QuoteOut:
        mediator = quote.terms.get("mediator")
        return shapes.QuoteOut(
            quote.id.hex(), quote.at, quote.valid_until, quote.reserved, quote.status,
            to_json(quote.terms), None if mediator is None else self.party(mediator),
        )  # fmt: skip

    @staticmethod
    def _contacts(state: Exchange, caller: Caller) -> shapes.Contacts:
        """Show how to find one another: only to the two, whoever acts for them, and the desk."""
        parties = (state.requester, state.provider)
        shown = any(caller.may_act_for(author) for author in parties)
        fallback = None if state.terms is None else to_json(state.terms.get("fallback"))
        if not shown:
            return shapes.Contacts(None, None, fallback)
        found = [state.contacts.get(author) for author in parties]
        requester, provider = (None if one is None else to_json(one) for one in found)
        return shapes.Contacts(requester, provider, fallback)

    def _notices(
        self, state: Exchange, orders: Iterable[OrderNote], kept: Mapping[bytes, str]
    ) -> list[str]:
        told: list[str] = []
        waits = payer_notice(self, state)
        if waits:
            told.append(waits)
        waits = acknowledgement_notice(self, state)
        if waits:
            told.append(waits)
        offered = [quote.terms for quote in state.quotes if quote.status == "open"]
        for terms in [state.terms] if state.terms is not None else offered:
            partial = mediator_notice(self, terms, (state.requester, state.provider))
            if partial and partial not in told:
                told.append(partial)
        refused = [order for order in orders if order.status == "refused"]
        if refused and state.due.amount > 0:
            told.append(
                _("The payment was refused: {detail}").format(
                    detail=refused[-1].detail or refused[-1].reason
                )
            )
        if state.waiting:
            told.append(
                _("{n} steps that others refer to have not arrived yet.").format(
                    n=len(state.waiting)
                )
            )
        if "released" in kept.values():
            told.append(_("An evaluation waits to be published."))
        return told

    # --- what is possible -----------------------------------------------------------------------

    def possible(
        self, state: Exchange, row: ExchangeRow, caller: Caller
    ) -> tuple[list[shapes.Possible], list[shapes.Impossible]]:
        """Return what the people here whom the caller acts for may do now, and why not the rest."""
        can: list[shapes.Possible] = []
        cannot: list[shapes.Impossible] = []
        seen: set[bytes] = set()
        for part in row.parts:
            author = part.author
            if author in seen or not caller.may_act_for(author):
                continue
            if not self._core.addressing.reads_here(author, state.now):
                continue
            seen.add(author)
            found = state.next(author, state.now)
            # It is open to them, but before its time: said among what is not possible yet.
            settled = is_settled_gift(state)
            early = check_in_from(state) if "check_in" in found.kinds else None
            can += [
                shapes.Possible(kind, author.hex(), part.role)
                for kind in found.kinds
                if kind not in NOT_OFFERED
                and not (early and kind == "check_in")
                and not (settled and kind == "payment")
                and not (kind == "payment" and self._nothing_to_pay(state))
            ]
            if early:
                told = why_not("early", state.phase)
                cannot.append(shapes.Impossible("check_in", author.hex(), "early", told, early))
            cannot += [
                shapes.Impossible(kind, author.hex(), why, why_not(why, state.phase))
                for kind, why in sorted(found.why_not.items())
                if kind not in NOT_OFFERED and why != "role"
            ]
        return can, cannot

    # --- money ----------------------------------------------------------------------------------

    def payments(self, state: Exchange, orders: Iterable[OrderNote]) -> list[shapes.PaymentOut]:
        """Show what was paid, what is under way, and what waits for a signature elsewhere."""
        found = [
            shapes.PaymentOut(
                "pay" if payment.transfer is not None else payment.how,
                (payment.transfer or b"").hex(),
                self.money(payment.amount, state.due.unit),
                payment.status,
                payment.payer.hex(),
                payment.payee.hex(),
            )
            for payment in state.payments
        ]
        found += [
            shapes.PaymentOut(
                "acknowledge", entry.transfer.hex(), self.money(1, entry.unit), entry.status,
                entry.payer.hex(), entry.payee.hex(),
            )
            for entry in state.acknowledgements
        ]  # fmt: skip
        told = told_by(state)
        for order in orders:
            if order.what in ("pay", "confirm") and order.step:
                continue
            if order.what != "release" and order.transfer in told:
                continue
            found.append(self.order(order))
        for one in self._core.settling.wanted(state, state.now):
            if not any(o.what == one.what and o.status in ("ordered", "waiting") for o in orders):
                found.append(self.wanted(one))
        return found

    def _nothing_to_pay(self, state: Exchange) -> bool:
        """Tell whether only an acknowledgement is open, and it is given, or cannot be yet."""
        left = state.due.amount - state.announced
        kind = (state.terms or {}).get("kind")
        open_ = state.may_acknowledge and left <= 0 and kind == "amount"
        return open_ and not self._core.settling.acknowledged(state)

    def order(self, order: OrderNote) -> shapes.PaymentOut:
        """Show an order."""
        return shapes.PaymentOut(
            order.what,
            order.transfer.hex(),
            self.money(order.amount, order.unit),
            order.status,
            order.payer.hex(),
            order.payee.hex(),
            order.reason,
            order.detail,
        )

    def wanted(self, one: Wanted) -> shapes.PaymentOut:
        """Show what is to be ordered and was not signed."""
        return shapes.PaymentOut(
            one.what,
            one.order.hex(),
            self.money(one.amount, one.unit),
            "wanted",
            one.payer.hex(),
            one.payee.hex(),
        )

    def funding(self, note: FundingNote) -> shapes.FundingOut:
        """Show what a payer is asked."""
        status = note.status
        if status == "open" and note.until < self._host.time():
            status = "expired"
        return shapes.FundingOut(
            note.id.hex(),
            note.exchange.hex(),
            self.money(note.amount, note.unit),
            self.party(note.payer),
            self.party(note.payee),
            self.party(note.asker),
            note.category,
            note.beneficiary,
            note.at,
            status,
            note.order.hex(),
            note.ref.hex(),
        )

    # --- guarantees -----------------------------------------------------------------------------

    def guarantees(self, state: Exchange) -> list[shapes.GuaranteeOut]:
        """Show what was claimed under a guarantee."""
        if not state.guarantees:
            return []
        records = {row.id: signed for row, signed in self._core.transcripts.records(state.id)}
        return [
            shapes.GuaranteeOut(
                state.id.hex(),
                state.title,
                claim.claim.hex(),
                claim.at,
                _text(records.get(claim.claim)),
                self.party(state.requester),
                self.party(state.provider),
                None if claim.closed is None else records[claim.closed].header.at,
                "" if claim.closed is None else _text(records.get(claim.closed)),
            )
            for claim in state.guarantees
        ]

    # --- the transcript -------------------------------------------------------------------------

    def transcript(self, state: Exchange, raw: bool) -> shapes.Transcript:
        """Show the steps in the order in which they count, those that do not with why."""
        void = {entry.id: entry.reason for entry in state.void}
        found = {row.id: (row, signed) for row, signed in self._core.transcripts.records(state.id)}
        order = [id for id in state.order if id in found]
        order += [id for id in found if id not in state.order]
        steps: list[shapes.StepOut] = []
        for id in order:
            row, signed = found[id]
            header = signed.header
            why = void.get(id, "")
            if id not in state.order and not why:
                why = "waiting" if self._core.transcripts.counts(signed) else "revoked"
            steps.append(
                shapes.StepOut(
                    id.hex(),
                    header.kind,
                    header.at,
                    row.author.hex(),
                    row.role,
                    header.by.hex(),
                    header.as_.hex(),
                    header.coop.hex(),
                    [ref.hex() for ref in header.refs],
                    payload_to_json(signed.payload),
                    why,
                    signed.encode().hex() if raw else "",
                    self._saying.signer(signed),
                )
            )
        records = self._core.outbox.with_vouchers([s for _, s in found.values()]) if raw else []
        return shapes.Transcript(
            state.id.hex(), state.phase, steps, [record.hex() for record in records]
        )

    # --- agendas --------------------------------------------------------------------------------

    def agenda_entry(
        self, state: Exchange, slot: SlotRow, author: bytes, caller: Caller
    ) -> shapes.AgendaEntry:
        """Show one appointment of somebody."""
        role = "requester" if author == state.requester else "provider"
        other = state.provider if role == "requester" else state.requester
        shown = next((s for s in state.slots if s.slot == slot.slot), None)
        contacts = self._contacts(state, caller)
        return shapes.AgendaEntry(
            exchange=state.id.hex(),
            title=state.title,
            phase=state.phase,
            role=role,
            slot=self.slot(shown)
            if shown is not None
            else shapes.SlotOut(slot.slot.hex(), slot.start, slot.end, "", slot.status),
            with_=self.party(other),
            contact=contacts.provider if role == "requester" else contacts.requester,
            late_minutes=self._late(state, slot.slot),
        )

    def _late(self, state: Exchange, slot: bytes) -> int:
        """Return the last word on being late for an appointment, in minutes."""
        late = 0
        for _row, signed in self._core.transcripts.records(state.id):
            said = signed.payload or {}
            if signed.header.kind == "message" and said.get("slot", slot) == slot:
                minutes = said.get("late_minutes")
                late = minutes if isinstance(minutes, int) else late
        return late


def _text(signed: Signed | None) -> str:
    text = ((signed.payload if signed is not None else None) or {}).get("text", "")
    return text if isinstance(text, str) else ""


def why_not(code: str, phase: str) -> str:
    """Return in words why a step is not possible now."""
    sentences = {
        "phase": _("Not now: the exchange is {phase}.").format(phase=phase),
        "late": _("It is too late for that."),
        "early": _("It is too early: at most a day before the appointment."),
        "decided": _("That was done already."),
        "nothing_due": _("Nothing is due."),
        "reserved": _("It is reserved until the bundle is decided."),
    }
    return sentences.get(code, code)
