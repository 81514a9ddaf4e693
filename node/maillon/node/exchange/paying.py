"""Pay what exchanges ask for, with keys held here or on a device; fund as a third party."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from maillon.node.api import exchange_requests as requests
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.exchange_service import PersonOptions
from maillon.node.api.paging import page
from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.ports import Ask, Effect, Wanted
from maillon.node.exchange.asking import Ambiguous, NotFound
from maillon.node.exchange.awaiting import payer_notice
from maillon.node.exchange.part import Part
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange

REQUEST_CHARACTERS_MIN = 8


class NothingDue(LocalError):
    """Nothing is to be paid or reserved now."""

    code = "nothing_due"


class FundingRefused(LocalError):
    """The ledger refused what a payer consented to; the request is open again."""

    code = "funding_refused"


class Paying(Part):
    """The payments of the desk."""

    async def pay(self, id: str, request: requests.PayRequest, caller: Caller) -> shapes.StepDone:
        """Pay what is due, or reserve what the terms want reserved."""
        asking = self.asking
        exchange = asking.exchange(id, caller)
        acting = asking.acting(request.by, request.as_, caller, "payment")
        if request.how:
            return await self._act("payment", {"how": request.how}, acting, exchange, caller, 0.0)
        now = self._host.time()
        state = self.core.state(exchange, now)
        wanted = self._wanted(state, acting.author)
        if request.amount is not None:
            wanted = self._part(wanted, request.amount, state.due.unit)
        ledger = self.core.setup.ledger
        effects: list[Effect] = []
        with self.core.store.batch():
            for one in wanted:
                # Under a mandate of the account, where the account's own key is not here.
                delegate = None if ledger.may_sign(one) else acting.key.public
                effects.append(self.core.settling.place(exchange, one, now, delegate=delegate))
        self._runner.do(effects)
        if request.wait_s:
            await self._runner.settled(exchange, request.wait_s)
        shown = self._shown(exchange, caller)
        return shapes.StepDone("", shown, shown.payments)

    def _wanted(self, state: Exchange, author: bytes) -> list[Wanted]:
        """Return what somebody may order now: from their own account, or as who confirms.

        From the account of a third-party payer nothing is ordered here, whoever asks: only in the
        act of its consent (`fund`). Raises: NothingDue.
        """
        found = [one for one in self._orders(state) if self._may_order(state, one, author)]
        if not found:
            raise self._nothing(state)
        return found

    def _orders(self, state: Exchange) -> list[Wanted]:
        """Return what could be ordered now by anybody, the requester in place of a third party."""
        settling = self.core.settling
        return [
            *settling.wanted(state, state.now, everybody=True),
            *settling.instead(state),
        ]

    @staticmethod
    def _may_order(state: Exchange, one: Wanted, author: bytes) -> bool:
        if one.what in ("hold", "pay"):
            return author == one.payer
        # Who may confirm has not to be who pays: the arbiter whom the reservation names.
        arbiter = state.requester if state.payer != state.requester else state.mediator
        return one.what == "confirm" and author in (one.payer, arbiter)

    def _nothing(self, state: Exchange) -> NothingDue:
        told = payer_notice(self.showing, state)
        if told:
            return NothingDue(told, phase=state.phase)
        return NothingDue(
            _("Nothing is to be paid or reserved now: the exchange is {phase}.").format(
                phase=state.phase
            ),
            phase=state.phase,
        )

    def _part(self, wanted: Sequence[Wanted], text: str | int, agreed: str) -> list[Wanted]:
        """Return orders over a part of what is due. Raises: LocalError when it is more."""
        pays = [one for one in wanted if one.what == "pay" and one.unit == agreed]
        due = sum(one.amount for one in pays)
        if not pays:
            raise LocalError(_("What is reserved is paid whole, not in parts."))
        unit = pays[0].unit
        amount = self.asking.amount(text, unit)
        if not 0 < amount <= due:
            raise LocalError(
                _("At most {amount} is due.").format(amount=self.showing.money(due, unit).text)
            )
        found: list[Wanted] = []
        for one in pays:
            part = min(amount, one.amount)
            if part:
                found.append(replace(one, amount=part))
            amount -= part
        return found

    # --- on a device ----------------------------------------------------------------------------

    def draft_order(
        self, id: str, request: requests.OrderDraftRequest, caller: Caller
    ) -> shapes.OrderDraftOut:
        """Draft an order that a device is to sign."""
        exchange = self.asking.exchange(id, caller)
        one = self._one(exchange, request.what, caller)
        unsigned = self.core.setup.ledger.unsigned(
            one,
            bytes.fromhex(request.key),
            after=self.core.settling.last_number(one.payer),
        )
        return shapes.OrderDraftOut(
            one.what,
            unsigned.id.hex(),
            unsigned.body.hex(),
            unsigned.message.hex(),
            self.showing.money(one.amount, one.unit),
            one.payee.hex(),
        )

    def _one(self, exchange: bytes, what: str, caller: Caller) -> Wanted:
        state = self.core.state(exchange, self._host.time())
        for one in self._orders(state):
            signs = one.payee if one.what == "release" else one.payer
            if one.what == what and caller.may_act_for(signs):
                return one
        raise self._nothing(state)

    async def _signed_orders(
        self, request: requests.SignedSteps, exchanges: Sequence[bytes], caller: Caller
    ) -> list[shapes.PaymentOut]:
        """Have orders carried out that a device signed."""
        if not request.orders:
            return []
        named = request.exchange
        exchange = bytes.fromhex(named) if named is not None else (exchanges or [b""])[0]
        if not exchange:
            raise NotFound(_("Say which exchange the order is of."))
        self.asking.exchange(exchange.hex(), caller)
        now = self._host.time()
        effects: list[Ask] = []
        with self.core.store.batch():
            for signed in request.orders:
                one = self._one(exchange, signed.what, caller)
                ordered = self.core.setup.ledger.signed(
                    one,
                    bytes.fromhex(signed.key),
                    bytes.fromhex(signed.body),
                    bytes.fromhex(signed.signature),
                )
                effects.append(self.core.settling.write_down(exchange, one, ordered, now))
        self._runner.do(effects)
        if request.wait_s:
            await self._runner.settled(exchange, request.wait_s)
        showing = self.showing
        return [showing.order(order) for order in notes.orders_of(self.core.store, exchange)]

    # --- third-party payers ---------------------------------------------------------------------

    def fundings(self, options: PersonOptions, caller: Caller) -> shapes.Fundings:
        """List what payers here are asked to fund."""
        authors = self.asking.readers(options.person, caller)
        found = [
            note
            for kept in self.core.store.notes(notes.FUNDING, limit=10_000)
            if (note := notes.funding_note(kept)) and (authors is None or note.payer in authors)
        ]
        given, following = page(
            "fundings",
            found,
            lambda note: (note.at, note.id),
            limit=options.limit,
            after=options.after,
            falling=True,
        )
        showing = self.showing
        return shapes.Fundings([showing.funding(note) for note in given], following)

    async def fund(
        self, id: str, request: requests.FundRequest, caller: Caller
    ) -> shapes.FundingOut:
        """Consent to what a payer here was asked for, and order it; or decline."""
        note = self._funding(id, caller)
        acting = self.asking.acting(request.by, request.as_, caller, "funding")
        if acting.author != note.payer:
            raise NotFound(_("Somebody else was asked to fund this."))
        now = self._host.time()
        if note.status == "open" and note.until >= now:
            act = self.core.fund if request.yes else self.core.decline
            self._runner.do(act(note.id, acting.signer, acting.key, now))
        if request.wait_s:
            await self._runner.settled(note.exchange, request.wait_s)
        self._require_accepted(note.exchange, now)
        after = self.core.funding.note(note.id)
        return self.showing.funding(after or note)

    def _require_accepted(self, exchange: bytes, since: int) -> None:
        """Return when no order of this consent was refused meanwhile. Raises: FundingRefused."""
        for order in notes.orders_of(self.core.store, exchange):
            if order.at >= since and order.status == "refused" and order.what in ("hold", "pay"):
                raise FundingRefused(
                    _("The order was refused, and nothing is paid: {detail}").format(
                        detail=order.detail or order.reason
                    ),
                    reason=order.reason,
                )

    def _funding(self, id: str, caller: Caller) -> Any:
        lower = id.lower()
        found = [
            note
            for kept in self.core.store.notes(notes.FUNDING, limit=10_000)
            if caller.may_act_for((note := notes.funding_note(kept)).payer)
            and (kept.key.hex().startswith(lower) or note.exchange.hex().startswith(lower))
        ]
        # An exchange whose amount changed asks several times: meant is what waits.
        found = [note for note in found if note.status == "open"] or found
        if not found or len(lower) < REQUEST_CHARACTERS_MIN:
            raise NotFound(
                _("Nobody here was asked to fund {id}.").format(id=lower[:16]),
                hint=_("See them with: maillon exchange fundings"),
            )
        if len(found) > 1:
            raise Ambiguous(
                _("Several requests to pay fit {id}.").format(id=lower[:16]),
                hint=_("See them with: maillon exchange fundings"),
            )
        return found[0]
