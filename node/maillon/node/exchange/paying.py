"""Pay what exchanges ask for, with keys held here or on a device; fund as a third party."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maillon.node.api import exchange_requests as requests
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.exchange_service import PersonOptions
from maillon.node.api.paging import page
from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.ports import Ask, Effect, Wanted
from maillon.node.exchange.asking import NotFound
from maillon.node.exchange.part import Part
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange

REQUEST_CHARACTERS_MIN = 8


class NothingDue(LocalError):
    """Nothing is to be paid or reserved now."""

    code = "nothing_due"


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
        wanted = self._wanted(state, ("hold", "pay", "confirm"), acting.author)
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

    def _wanted(self, state: Exchange, kinds: Sequence[str], author: bytes) -> list[Wanted]:
        """Return what is to be ordered for somebody now. Raises: NothingDue."""
        found = [
            one
            for one in self.core.settling.wanted(state, state.now, everybody=True)
            if one.what in kinds
            and author in (one.payer, one.payee, state.requester, state.mediator)
        ]
        if not found:
            raise NothingDue(
                _("Nothing is to be paid or reserved now: the exchange is {phase}.").format(
                    phase=state.phase
                ),
                phase=state.phase,
            )
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
        for one in self.core.settling.wanted(state, state.now, everybody=True):
            who = one.payee if one.what == "release" else one.payer
            if one.what == what and caller.may_act_for(who):
                return one
        raise NothingDue(
            _("Nothing is to be paid or reserved now: the exchange is {phase}.").format(
                phase=state.phase
            ),
            phase=state.phase,
        )

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
        """Reserve what a payer here was asked for."""
        note = self._funding(id, caller)
        acting = self.asking.acting(request.by, request.as_, caller, "funding")
        if acting.author != note.payer:
            raise NotFound(_("Somebody else was asked to fund this."))
        now = self._host.time()
        if note.status == "open" and note.until >= now:
            core = self.core
            one = core.funding.wanted(note, now)
            delegate = None if core.setup.ledger.may_sign(one) else acting.key.public
            with core.store.batch():
                ask = core.settling.place(note.exchange, one, now, delegate=delegate)
                core.funding.ordered(note, ask.order, now)
            self._runner.do([ask])
        if request.wait_s:
            await self._runner.settled(note.exchange, request.wait_s)
        after = self.core.funding.note(note.id)
        return self.showing.funding(after or note)

    def _funding(self, id: str, caller: Caller) -> Any:
        lower = id.lower()
        found = [
            note
            for kept in self.core.store.notes(notes.FUNDING, limit=10_000)
            if kept.key.hex().startswith(lower)
            and caller.may_act_for((note := notes.funding_note(kept)).payer)
        ]
        if len(found) != 1 or len(lower) < REQUEST_CHARACTERS_MIN:
            raise NotFound(_("Nobody here was asked to fund {id}.").format(id=lower[:16]))
        return found[0]
