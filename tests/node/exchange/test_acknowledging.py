"""What a third party pays is acknowledged by the requester, so that the two evaluate each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maillon.node.api import exchange_requests as requests
from maillon.node.api.exchange_service import PersonOptions
from maillon.node.engine.exchange import ExchangeCore, notes
from maillon.node.engine.exchange.ports import Transfer
from maillon.node.engine.exchange.writing import Signer
from maillon.node.exchange.evaluating import NothingToEvaluate
from maillon.protocol.exchange import Exchange
from maillon.protocol.records import DAY_S
from maillon.protocol.view import TransferInfo
from support.exchangedesk import CoopDesk
from support.exchangenet import Net
from support.world import Member

MARKS = {"politeness": 5}


class Funded:
    """Ana asks, Bo of another coop gives, a town hall of a third one pays."""

    def __init__(
        self, *, counting: tuple[str, ...] = ("savoir",), automatic: bool = True
    ) -> None:
        self.net = Net()
        self.net.chains.counting = counting
        for node in self.net.nodes:
            node.rig.engine.view.transfers = self.certified
            node.core = ExchangeCore(replace(node.core.setup, automatic=automatic))
        self.asks = self.net.member(0, "Ana")
        self.gives = self.net.member(1, "Bo")
        self.payer = self.net.member(2, "Mairie")
        self.desks = [CoopDesk(self.net, 0), CoopDesk(self.net, 1)]
        for desk in self.desks:
            desk.knows(self.asks, self.gives)

    def certified(self, id: bytes) -> TransferInfo | None:
        """Answer for certified transfers, as the ledger of a node does."""
        found = self.net.chains.transfers.get(id)
        if found is None or found.status not in ("certified", "posted"):
            return None
        return TransferInfo(found.payer, found.payee)

    def accepted(self, **terms: Any) -> bytes:
        given = {"settle": "after", **terms}
        opening = {"payer": self.payer.author}
        return self.net.accepted(self.asks, self.gives, opening=opening, **given)

    def consent(self) -> None:
        """Let the payer say yes to the request that waits."""
        node, now = self.net.nodes[2], self.net.now
        found = [notes.funding_note(note) for note in node.store.notes(notes.FUNDING)]
        (note,) = [note for note in found if note.status == "open"]
        signer = Signer(self.payer.key.public, self.payer.coop.id)
        node.do(node.core.fund(note.id, signer, self.payer.key, now))
        self.net.run()

    def paid(self) -> bytes:
        exchange = self.accepted()
        self.consent()
        return exchange

    def state(self, exchange: bytes, place: int) -> Exchange:
        return self.net.nodes[place].state(exchange)

    def thanks(self) -> list[Transfer]:
        return [t for t in self.net.chains.transfers.values() if t.payer == self.asks.author]

    async def evaluate(self, place: int, who: Member, exchange: bytes) -> None:
        request = requests.EvaluationRequest(criteria=MARKS, lang="en", wait_s=0.0)
        await self.desks[place].desk.evaluate(exchange.hex(), request, CoopDesk.caller(who))
        self.net.run()


@pytest.mark.capability("DOM-3")
async def test_who_was_paid_for_by_another_is_evaluated_and_evaluates_and_all_nodes_take_it(
) -> None:  # fmt: skip
    funded = Funded()
    exchange = funded.paid()
    (thanks,) = funded.thanks()
    assert (thanks.unit, thanks.amount, thanks.payee) == ("savoir", 1, funded.gives.author)
    for place in (0, 1):
        state = funded.state(exchange, place)
        assert state.phase == "paid" and (state.paid, state.owed, state.due.amount) == (60, 60, 0)
        assert state.evaluators == (funded.asks.author, funded.gives.author)
        (row,) = funded.desks[place].desk.evaluations(
            PersonOptions(), CoopDesk.caller((funded.asks, funded.gives)[place])
        ).evaluations
        assert row.transfer == thanks.id.hex()
    await funded.evaluate(0, funded.asks, exchange)
    await funded.evaluate(1, funded.gives, exchange)
    assert [funded.state(exchange, place).phase for place in (0, 1)] == ["evaluated"] * 2
    said = [node.released for node in funded.net.nodes[:2]]
    assert [len(ids) for ids in said] == [1, 1]
    for node in funded.net.nodes:
        for (id,), subject in zip(said, (funded.gives.author, funded.asks.author), strict=True):
            record = node.rig.store.get(id)
            assert record is not None and record.payload is not None and node.rig.store.live(id)
            assert record.payload["transfer"] == thanks.id
            assert record.payload["subject"] == subject
            assert record.payload["exchange_kind"] == "count_only"


def test_it_is_ordered_once_whatever_time_steps_and_starts_bring() -> None:
    funded = Funded()
    exchange = funded.accepted()
    funded.net.wait(DAY_S)
    # Nothing is acknowledged before the third party has paid.
    assert funded.thanks() == [] and funded.state(exchange, 0).evaluate_until is None
    funded.consent()
    node = funded.net.nodes[0]
    for _ in range(3):
        node.restarted()
        node.act(funded.asks, "message", exchange, text="Thanks.", lang="en")
        funded.net.run()
        funded.net.wait(DAY_S)
    assert len(funded.thanks()) == 1
    state = funded.state(exchange, 1)
    assert len(state.acknowledgements) == 1 and not state.void
    assert funded.net.chains.paid(funded.payer.author, funded.gives.author) == 60
    faults = [fault.what for node in funded.net.nodes for fault in node.faults]
    assert not [what for what in faults if what.startswith("payment")]


async def test_what_is_only_counted_is_not_taken_for_money_that_is_due() -> None:
    funded = Funded()
    exchange = funded.accepted()
    caller = CoopDesk.caller(funded.asks)
    desk = funded.desks[0].desk
    await desk.pay(exchange.hex(), requests.PayRequest(amount=20, wait_s=0.0), caller)
    funded.net.run()
    # She has paid a part herself: the two evaluate each other on that.
    assert [(t.unit, t.amount) for t in funded.thanks()] == [("heure", 20)]
    assert funded.state(exchange, 0).evaluators
    funded.consent()
    assert [t.unit for t in funded.thanks()] == ["heure"]
    assert funded.net.chains.paid(funded.payer.author, funded.gives.author) == 40
    assert funded.state(exchange, 1).phase == "paid"


async def test_where_the_node_does_nothing_by_itself_she_acknowledges_when_she_evaluates() -> None:
    funded = Funded(automatic=False)
    exchange = funded.paid()
    caller = CoopDesk.caller(funded.asks)
    # What the payer has reserved, she has to confirm as well.
    await funded.desks[0].desk.pay(exchange.hex(), requests.PayRequest(wait_s=0.0), caller)
    funded.net.run()
    assert funded.net.chains.paid(funded.payer.author, funded.gives.author) == 60
    assert funded.thanks() == []
    shown = funded.desks[0].desk.show(exchange.hex(), CoopDesk.caller(funded.asks))
    (told,) = [notice for notice in shown.notices if "acknowledges" in notice]
    assert "Ana" in told
    with pytest.raises(NothingToEvaluate) as waits:
        await funded.evaluate(1, funded.gives, exchange)
    assert "acknowledges" in str(waits.value.hint)
    # The order is given, and what it moves is certain a moment later.
    with pytest.raises(NothingToEvaluate):
        await funded.evaluate(0, funded.asks, exchange)
    funded.net.run()
    assert len(funded.thanks()) == 1
    await funded.evaluate(0, funded.asks, exchange)
    await funded.evaluate(1, funded.gives, exchange)
    assert funded.state(exchange, 0).phase == "evaluated" and len(funded.thanks()) == 1


async def test_a_federation_without_a_unit_that_counts_says_so() -> None:
    funded = Funded(counting=())
    exchange = funded.paid()
    state = funded.state(exchange, 0)
    assert funded.thanks() == [] and state.phase == "paid" and not state.evaluators
    for place, who in enumerate((funded.asks, funded.gives)):
        shown = funded.desks[place].desk.show(exchange.hex(), CoopDesk.caller(who))
        (told,) = [notice for notice in shown.notices if "no unit that only counts" in notice]
        assert "payment" not in [one.kind for one in shown.possible]
        with pytest.raises(NothingToEvaluate) as none:
            await funded.evaluate(place, who, exchange)
        assert none.value.hint == told
    assert funded.thanks() == [] and not any(node.released for node in funded.net.nodes)
