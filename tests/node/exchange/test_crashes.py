"""A node is killed at any commit, before it counts or right after, and goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maillon.node.engine.exchange.ports import ExchangeStore
from maillon.protocol.errors import StepRefused
from support.dying import Died, DyingStore
from support.exchangenet import Net
from support.world import Member

Action = Callable[[], object]


class Mortal:
    """An exchange whose one node dies once; what was asked and not answered is asked again."""

    def __init__(self, place: int, commits: int | None, after: bool) -> None:
        self.stores: list[DyingStore] = []
        self.net = Net(3, stores=self._store)
        self.place = place
        self.asks, self.gives = self.net.member(0, "asks"), self.net.member(1, "gives")
        self.deaths = 0
        self.commits = commits
        self.stores[place].after = after

    def _store(self, place: int) -> ExchangeStore:
        self.stores.append(DyingStore())
        return self.stores[-1]

    def live(self, action: Action) -> None:
        """Do something, and once more when the node died of it."""
        try:
            action()
        except Died:
            self.revive()
            try:
                action()
            except StepRefused:
                # It had been done: the answer alone was lost.
                self.net.run()

    def revive(self) -> None:
        """Start the node anew: what it computed and was about to do is lost."""
        self.deaths += 1
        node = self.net.nodes[self.place]
        core = node.restarted()
        node.do(core.resume(self.net.now))

    def act(self, who: Member, kind: str, exchange: bytes, **fields: Any) -> None:
        """Take a step that the node may die of."""
        node = self.net.node_of(who)

        def action() -> None:
            node.act(who, kind, exchange, **fields)

        self.live(action)
        self.live(self.net.run)

    def whole(self) -> bytes:
        """Let an exchange run from its opening to both evaluations."""
        net = self.net
        # Opening it again would make another one: the node dies of what comes later.
        exchange = net.opened(self.asks, self.gives)
        self.stores[self.place].left = self.commits
        terms = net.terms()
        self.act(self.gives, "quote", exchange, terms=terms, valid_until=net.now + 86_400)
        (quote,) = [q for q in net.nodes[1].state(exchange).quotes if q.status == "open"][-1:]
        self.act(self.asks, "agreement", exchange, quote=quote.id)
        slot = net.nodes[1].state(exchange).slots[0]
        self.live(lambda: net.wait(slot.start - net.now))
        self.act(self.gives, "check_in", exchange, slot=slot.slot, time=net.now)
        self.live(lambda: net.wait(3_600))
        self.act(self.gives, "check_out", exchange, slot=slot.slot, time=net.now, last=True)
        self.act(self.asks, "acceptance", exchange)
        self.live(net.run)
        return exchange


def commits_of(place: int) -> int:
    """Return how many commits a node makes while nobody dies."""
    mortal = Mortal(place, None, False)
    before = mortal.stores[place].made
    mortal.net.opened(mortal.asks, mortal.gives)
    opened = mortal.stores[place].made - before
    mortal.whole()
    return mortal.stores[place].made - before - 2 * opened


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_whenever_a_node_dies_the_service_is_paid_once(place: int, after: bool) -> None:
    total = commits_of(place)
    assert total > 8
    for commits in range(1, total + 1):
        mortal = Mortal(place, commits, after)
        exchange = mortal.whole()
        net = mortal.net
        asks, gives = mortal.asks, mortal.gives
        told = (place, after, commits)
        assert mortal.deaths == 1, told
        states = [node.state(exchange) for node in net.nodes[:2]]
        assert [state.phase for state in states] == ["paid"] * 2, told
        assert [state.order for state in states][0] == states[1].order, told
        assert net.chains.paid(asks.author, gives.author) == 60, told
        assert [t.status for t in net.chains.transfers.values()].count("posted") == 1, told
        assert not [t for t in net.chains.transfers.values() if t.status == "held"], told


@pytest.mark.capability("SOSS-3")
@pytest.mark.parametrize("after", [False, True])
def test_a_coordinator_that_dies_decides_once_and_for_all_parts(after: bool) -> None:
    def reserved(commits: int | None) -> tuple[Mortal, Member, list[tuple[bytes, bytes]]]:
        mortal = Mortal(0, None, after)
        net = mortal.net
        other = net.member(2, "other")
        bundle = b"b" * 32
        for node in net.nodes:
            node.records.bundles[bundle] = [mortal.gives.author, other.author]
        parts = [
            net.quoted(mortal.asks, gives, opening={"bundle": bundle}, reserved=True)
            for gives in (mortal.gives, other)
        ]
        mortal.stores[0].left = commits
        return mortal, other, parts

    mortal, _other, parts = reserved(None)
    before = mortal.stores[0].made
    for exchange, quote in parts:
        mortal.act(mortal.asks, "agreement", exchange, quote=quote)
    total = mortal.stores[0].made - before
    for commits in range(1, total + 1):
        mortal, _other, parts = reserved(commits)
        for exchange, quote in parts:
            mortal.act(mortal.asks, "agreement", exchange, quote=quote)
        net = mortal.net
        decisions = {
            step.id
            for node in net.nodes
            for exchange, _ in parts
            for step in node.store.transcript(exchange)
            if step.role == "node"
        }
        assert len(decisions) == 1, commits
        for place, (exchange, _) in ((1, parts[0]), (2, parts[1])):
            for node in (net.nodes[0], net.nodes[place]):
                assert node.state(exchange).phase == "scheduled", commits
