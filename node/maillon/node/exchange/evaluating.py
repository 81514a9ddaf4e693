"""Write evaluations, which stay unread until both sides have spoken; list guarantees (spec/08)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from maillon.node.api import exchange_requests as requests
from maillon.node.api import exchange_shapes as shapes
from maillon.node.api.caller import Caller
from maillon.node.api.exchange_service import PersonOptions
from maillon.node.api.paging import page
from maillon.node.engine.exchange.paying import funded
from maillon.node.engine.exchange.ports import Effect, Query, Transfer
from maillon.node.engine.exchange.writing import Signer
from maillon.node.exchange.asking import Acting
from maillon.node.exchange.awaiting import acknowledgement_notice
from maillon.node.exchange.drafts import drafted
from maillon.node.exchange.part import Part
from maillon.node.i18n import _
from maillon.protocol.envelope import Draft, draft, sign
from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange
from maillon.protocol.founding import Founding
from maillon.protocol.records import build
from maillon.protocol.validation import longest_until, standing


class NothingToEvaluate(LocalError):
    """No certified transfer stands between the two: without an exchange there is no mark."""

    code = "nothing_to_evaluate"


class UnknownCriterion(LocalError):
    """A criterion is none of the community's."""

    code = "field"


def require_asked(founding: Founding, marks: Iterable[str]) -> None:
    """Refuse marks for what the community does not ask. Raises: UnknownCriterion."""
    unknown = founding.unasked(marks)
    if unknown:
        names = ", ".join(criterion.code for criterion in founding.asked)
        raise UnknownCriterion(
            _("The community has no criterion {name}.").format(name=unknown[0]),
            hint=_("It has: {names}.").format(names=names),
            field="criteria",
        )


class Evaluating(Part):
    """The evaluations and guarantees of the desk."""

    async def evaluate(
        self, id: str, request: requests.EvaluationRequest, caller: Caller
    ) -> shapes.StepDone:
        """Evaluate the other side with a key held here."""
        asking = self.asking
        exchange = asking.exchange(id, caller)
        acting = asking.acting(request.by, request.as_, caller, "evaluation")
        await self._acknowledge(exchange, acting, request.wait_s)
        now = self._host.time()
        state = self.core.state(exchange, now)
        made = self._attestation(state, acting.signer, acting.author, request)
        attestation = sign(made, acting.key)
        step, _standing = self.core.draft(
            "evaluation", {"attestation": attestation.id}, acting.signer, exchange, now
        )
        taken, effects = self.core.take(sign(step, acting.key), now, attestation=attestation)
        self._runner.do(effects)
        return await self._done(taken, caller, 0.0)

    async def _acknowledge(self, exchange: bytes, acting: Acting, wait_s: float) -> None:
        """Order what the requester acknowledges with, when that is all that is missing."""
        now = self._host.time()
        state = self.core.state(exchange, now)
        if acting.author != state.requester or state.evaluate_until is not None:
            return
        ledger = self.core.setup.ledger
        effects: list[Effect] = []
        with self.core.store.batch():
            for one in self.core.settling.acknowledged(state):
                delegate = None if ledger.may_sign(one) else acting.key.public
                effects.append(self.core.settling.place(exchange, one, now, delegate=delegate))
        self._runner.do(effects)
        if wait_s and funded(state):
            await self._runner.settled(exchange, wait_s)

    def draft_evaluation(
        self, id: str, request: requests.EvaluationDraftRequest, caller: Caller
    ) -> shapes.EvaluationDraftOut:
        """Draft attestation and step for a device."""
        asking = self.asking
        exchange = asking.exchange(id, caller)
        key = bytes.fromhex(request.key)
        signer = asking.device(key, None, request.as_, "evaluation")
        author = self._device_author(signer.coop, key, request.as_, caller, "evaluation")
        state = self.core.state(exchange, self._host.time())
        made = self._attestation(state, signer, author, request)
        named = hashlib.sha256(made.header.encode()).digest()
        step, _standing = self.core.draft(
            "evaluation", {"attestation": named}, signer, exchange, self._host.time()
        )
        return shapes.EvaluationDraftOut(
            drafted(made, exchange.hex()), drafted(step, exchange.hex())
        )

    def _attestation(
        self,
        state: Exchange,
        signer: Signer,
        author: bytes,
        request: requests.EvaluationRequest | requests.EvaluationDraftRequest,
    ) -> Draft:
        """Draft the attestation on the other party, about the transfer between the two."""
        other = state.provider if author == state.requester else state.requester
        transfer = self._transfer(state, author, other)
        require_asked(self._host.founding, request.criteria)
        at = self._host.time()
        fields: dict[str, Any] = {
            "transfer": transfer,
            "subject": other,
            "criteria": dict(request.criteria),
            "text": request.text or None,
            "lang": request.lang,
            "exchange_kind": _kind(state, transfer),
        }
        until = longest_until(
            "attestation",
            self._host.directory,
            coop=signer.coop,
            by=signer.key,
            at=at,
            as_=signer.as_,
        )
        made = draft(
            "attestation",
            build("attestation", salt=self._host.random(16), **fields),
            fed=self._host.founding.fed,
            coop=signer.coop,
            by=signer.key,
            at=at,
            until=until,
            as_=signer.as_,
            refs=(transfer,),
        )
        # It is published weeks later: what would be refused then is refused now.
        standing(made.header, bytes(32), self._host.directory)
        return made

    def _transfer(self, state: Exchange, author: bytes, other: bytes) -> bytes:
        found = self._between(state)
        if found is not None and {found.payer, found.payee} == {author, other}:
            return found.id
        raise NothingToEvaluate(
            _("No certified transfer stands between the two of you."),
            hint=acknowledgement_notice(self.showing, state)
            or _("Gifts and what was called off are not evaluated."),
        )

    def _between(self, state: Exchange) -> Transfer | None:
        """Return the certified transfer on which the two evaluate each other, the latest payment.

        An acknowledgement only where no payment stands between them.
        """
        between = {state.requester, state.provider}
        named = [payment.transfer for payment in reversed(state.payments) if payment.transfer]
        named += [entry.transfer for entry in reversed(state.acknowledgements)]
        for transfer in named:
            found = self.core.setup.ledger.transfer(transfer)
            if (
                found is not None
                and found.status in ("certified", "posted")
                and {found.payer, found.payee} == between
            ):
                return found
        return None

    def evaluations(self, options: PersonOptions, caller: Caller) -> shapes.PendingEvaluations:
        """List what people here can still evaluate."""
        now = self._host.time()
        authors = self.asking.readers(options.person, caller)
        if authors == ():
            return shapes.PendingEvaluations([], None)
        query = Query(authors=authors, evaluating_after=now, limit=10_000)
        showing = self.showing
        found: list[shapes.PendingEvaluation] = []
        for row in self.core.store.find(query):
            for part in row.parts:
                mine = self.core.addressing.is_here(part.author)
                mine = mine if authors is None else part.author in authors
                if not mine or part.evaluate_until <= now:
                    continue
                state = self.core.state(row.id, now)
                other = state.provider if part.author == state.requester else state.requester
                transfer = self._between(state)
                found.append(
                    shapes.PendingEvaluation(
                        row.id.hex(),
                        row.title,
                        showing.party(part.author),
                        showing.party(other),
                        "" if transfer is None else transfer.id.hex(),
                        part.evaluate_until,
                    )
                )
        return shapes.PendingEvaluations(
            *page(
                "evaluations",
                found,
                lambda entry: (entry.deadline, entry.exchange, entry.by.author),
                limit=options.limit,
                after=options.after,
            )
        )

    def guarantees(self, options: PersonOptions, caller: Caller) -> shapes.Guarantees:
        """List what was claimed under a guarantee and is not closed."""
        authors = self.asking.readers(options.person, caller)
        if authors == ():
            return shapes.Guarantees([], None)
        showing = self.showing
        found: list[shapes.GuaranteeOut] = []
        for row in self.core.store.find(Query(authors=authors, guarantees=True, limit=10_000)):
            state = self.core.state(row.id, self._host.time())
            found += [claim for claim in showing.guarantees(state) if claim.closed is None]
        return shapes.Guarantees(
            *page(
                "guarantees",
                found,
                lambda claim: (claim.at, claim.claim),
                limit=options.limit,
                after=options.after,
            )
        )


def _kind(state: Exchange, transfer: bytes) -> str | None:
    if any(entry.transfer == transfer for entry in state.acknowledgements):
        # It was paid, but not between the two.
        return "count_only"
    kind = (state.terms or {}).get("kind")
    return kind if kind in ("amount", "count_only") else None
