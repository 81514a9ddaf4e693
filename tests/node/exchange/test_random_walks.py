"""Two people do whatever is possible, letters are late, lost and doubled, nodes die: it adds up."""

from __future__ import annotations

import random
from typing import Any

import pytest

from maillon.node.engine.exchange.ports import ExchangeStore
from maillon.protocol.errors import StepRefused
from maillon.protocol.exchange import Exchange
from maillon.protocol.records import DAY_S
from support.dying import Died, DyingStore
from support.exchangenet import Net
from support.world import Member

STEPS = 40


class Walk:
    """One random exchange; everything follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.stores: list[DyingStore] = []
        self.net = Net(3, seed=f"walk {seed}", stores=self._store)
        net = self.net
        self.asks, self.gives = net.member(0, "asks"), net.member(1, "gives")
        self.exchange = net.opened(self.asks, self.gives)
        self.deaths = 0

    def _store(self, place: int) -> ExchangeStore:
        self.stores.append(DyingStore())
        return self.stores[-1]

    def fields(self, kind: str, state: Exchange, author: bytes) -> dict[str, Any] | None:
        """Return what a step of a kind may say, or None when this walk does not take it."""
        net, rng = self.net, self.rng
        slots = [slot for slot in state.slots if slot.slot]
        match kind:
            case "message":
                return {"text": "Word.", "lang": "en"}
            case "quote":
                mediator = net.nodes[2].coop.author if rng.random() < 0.7 else None
                return {
                    "terms": net.terms(
                        settle=rng.choice(("hold", "after")), mediator=mediator, cancel_fee=10
                    ),
                    "valid_until": net.now + rng.choice((DAY_S, 7 * DAY_S)),
                }
            case "agreement" | "quote_withdrawal":
                found = [quote.id for quote in state.quotes if quote.status == "open"]
                return {"quote": rng.choice(found)} if found else None
            case "decline" | "cancellation":
                return {} if rng.random() < 0.15 else None
            case "check_in":
                found = [slot.slot for slot in slots if slot.status == "agreed"]
                return {"slot": rng.choice(found), "time": net.now} if found else None
            case "check_out":
                found = [slot.slot for slot in slots if slot.status == "under_way"]
                return {"slot": rng.choice(found), "time": net.now} if found else None
            case "acceptance":
                if rng.random() < 0.3:
                    return {"part": True, "amount": rng.randrange(60), "reason": "Not all."}
                return {}
            case "complaint":
                return {"text": "No.", "lang": "en"} if rng.random() < 0.4 else None
            case "mediation":
                return {"amount": rng.randrange(61), "text": "So.", "lang": "en", "closes": True}
            case "amendment":
                adds = {"text": "More.", "lang": "en", "amount": rng.randrange(1, 30)}
                return {"adds": adds} if rng.random() < 0.3 else None
            case "consent":
                found = [change.id for change in state.changes if change.by != author]
                return {"to": rng.choice(found), "yes": rng.random() < 0.8} if found else None
            case _:
                return None

    def act(self) -> None:
        """Let somebody do something that is possible by what they know."""
        net = self.net
        member = self.rng.choice((self.asks, self.gives))
        who: Member | None = member
        node, author = net.node_of(member), member.author
        if self.rng.random() < 0.15:
            who, node, author = None, net.nodes[2], net.nodes[2].coop.author
            if node.store.row(self.exchange) is None:
                return
        state = node.state(self.exchange)
        kinds = [kind for kind in state.next(author, net.now).kinds if kind != "payment"]
        self.rng.shuffle(kinds)
        for kind in kinds:
            fields = self.fields(kind, state, author)
            if fields is not None:
                try:
                    node.act(who, kind, self.exchange, **fields)
                except StepRefused:
                    continue
                return

    def move(self) -> None:
        """Let letters arrive, late, twice or not yet, and time and the ledger go on."""
        net, rng = self.net, self.rng
        letters, net.letters = net.letters, []
        rng.shuffle(letters)
        for place, letter in enumerate(letters):
            if rng.random() < 0.5:
                net.letters.append(letter)
                continue
            try:
                net.deliver(letter)
            except Died:
                net.letters += letters[place:]
                raise
            if rng.random() < 0.2:
                net.letters.append(letter)
        if rng.random() < 0.5:
            net.chains.settle()
        for node in net.nodes:
            if rng.random() < 0.5:
                node.do(node.core.look_at_ledger(net.now))
        if rng.random() < 0.3:
            net.now += rng.choice((60, 3_600, DAY_S))
            for node in net.nodes:
                node.rig.now = float(net.now)
                node.do(node.core.tick(net.now))

    def run(self) -> None:
        """Walk, and then let everything that is under way arrive."""
        for _ in range(STEPS):
            if self.rng.random() < 0.1:
                store = self.rng.choice(self.stores)
                store.left, store.after = self.rng.randrange(1, 4), self.rng.random() < 0.5
            for action in (self.act, self.move):
                try:
                    action()
                except Died:
                    self.revive()
        for store in self.stores:
            store.left = None
        for node in self.net.nodes:
            node.do(node.core.resume(self.net.now))
        self.net.run()
        # What is missing is asked for, and what was ordered is looked at again.
        self.net.wait(10 * 60)

    def revive(self) -> None:
        """Start every node anew: whichever it was that died."""
        self.deaths += 1
        for node in self.net.nodes:
            node.restarted()
            node.do(node.core.resume(self.net.now))


# In 110 a mediation crosses the acceptance by which money was paid back.
@pytest.mark.parametrize("seed", [*range(24), 110])
def test_whatever_two_people_do_both_see_the_same_and_nobody_pays_without_an_agreement(
    seed: int,
) -> None:
    walk = Walk(seed)
    walk.run()
    net = walk.net
    here, there = (node.state(walk.exchange) for node in net.nodes[:2])
    assert here.order == there.order and not here.waiting, seed
    for name in ("phase", "owed", "paid", "due", "agreement", "slots", "quotes", "void"):
        assert getattr(here, name) == getattr(there, name), (seed, name)
    moved = [t for t in net.chains.transfers.values() if t.status in ("certified", "posted")]
    if here.agreement is None:
        assert not net.chains.transfers, seed
    assert {t.ref for t in net.chains.transfers.values()} <= {here.payment_ref}, seed
    flow = sum(t.amount if t.payer == walk.asks.author else -t.amount for t in moved)
    assert flow == here.paid, seed
    if here.phase in ("paid", "evaluated", "cancelled"):
        assert flow == here.owed, seed
        assert not [t for t in net.chains.transfers.values() if t.status == "held"], seed
