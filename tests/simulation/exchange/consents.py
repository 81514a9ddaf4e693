"""No order leaves an account without the consent of who may act for it.

Runs of simulated exchanges in which third parties are to pay: people and coops' own accounts, near
and far, some of which say yes, some no and some nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.paying import funded
from maillon.node.engine.exchange.ports import Query
from maillon.node.engine.exchange.writing import Signer
from maillon.protocol.encoding import decode
from maillon.protocol.errors import MaillonError
from maillon.protocol.exchange import Exchange
from simulation.exchange.checkers import need
from simulation.exchange.world import World
from support.exchangenet import CoopNode, Net
from support.world import Member

CONSENTS = 40
"""How often somebody looks at what a payer is asked."""


@dataclass(frozen=True)
class Order:
    """What leaves an account."""

    payer: bytes
    payee: bytes
    unit: str
    amount: int
    ref: bytes


class Consents:
    """Looks at every order that a node hands to the accounts."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._given: dict[Order, int] = {}
        """What a payer said yes to, and how often that was not made use of yet."""
        self._seen: set[bytes] = set()
        self.orders = 0
        self.funded = 0
        self.acknowledged = 0

    def given(self, order: Order) -> None:
        """Note that who may act for an account said yes to an order."""
        self._given[order] = self._given.get(order, 0) + 1

    def ordered(self, data: bytes) -> None:
        """Look at what is ordered."""
        if data in self._seen:
            return
        self._seen.add(data)
        fields = cast("list[Any]", decode(data, bytes_max=1_024))
        what, order = str(fields[0]), Order(*fields[1:6])
        if what not in ("hold", "pay"):
            return
        self.orders += 1
        if any(self._binds(state, order) for state in self._of(order.ref)):
            return
        left = self._given.get(order, 0)
        need(left > 0, "no order leaves an account without the consent of who may act for it",
             what=what, payer=order.payer[33:], amount=order.amount, ref=order.ref)  # fmt: skip
        self._given[order] = left - 1
        self.funded += 1

    def _of(self, ref: bytes) -> list[Exchange]:
        states = [
            node.state(row.id)
            for node in self._net.nodes
            for row in node.store.find(Query(limit=1_000))
        ]
        return [state for state in states if ref in state.folded.refs_known()]

    def _binds(self, state: Exchange, order: Order) -> bool:
        """Tell whether the payer signed what binds to it: an agreement of theirs, or a quote."""
        if order.payer == state.requester:
            if order.unit in self._net.chains.counting and state.payer != state.requester:
                # Her acknowledgement of what a third party has paid, and it only counts.
                right = order.amount == 1 and order.payee == state.provider and funded(state)
                self.acknowledged += right
                return right
            return state.payer == state.requester or state.due.payer == state.requester
        return order.payer in (state.provider, state.first_provider)


class PayersWorld(World):
    """A run in which somebody else is to pay."""

    def run(self) -> dict[str, int]:
        """Run to the end. Raises: Broken."""
        self.consents = Consents(self.net)
        place = self.net.chains.place

        def watched(data: bytes) -> None:
            self.consents.ordered(data)
            place(data)

        self.net.chains.place = watched  # type: ignore[method-assign]
        for _ in range(CONSENTS):
            self.clock.after(self._moment(), self._somebody_is_asked)
        return super().run()

    def figures(self) -> dict[str, int]:
        return {
            **super().figures(),
            "orders": self.consents.orders,
            "orders with consent": self.consents.funded,
            "orders that acknowledge": self.consents.acknowledged,
        }

    def _opens(self, who: Member, asks: Member, gives: Member, **fields: Any) -> None:
        if "payer" not in fields and self.rng.random() < 0.8:
            others = [m.author for m in self.members if m not in (asks, gives)]
            others += [node.coop.author for node in self.net.nodes]
            fields["payer"] = self.rng.choice(others)
        super()._opens(who, asks, gives, **fields)

    def _somebody_is_asked(self) -> None:
        place = self.rng.randrange(len(self.net.nodes))
        node = self.net.nodes[place]
        found = [notes.funding_note(note) for note in node.store.notes(notes.FUNDING)]
        asked = [note for note in found if note.status == "open" and note.until >= self.net.now]
        if not asked or place in self.down:
            return
        note = self.rng.choice(asked)
        yes = self.rng.random() < 0.8
        self.guarded(place, lambda: self._answers(node, note, yes))

    def _answers(self, node: CoopNode, note: notes.FundingNote, yes: bool) -> None:
        key, coop = node.coop.node, node.coop.id
        for member in self.members:
            if member.author == note.payer:
                key, coop = member.key, member.coop.id
        signer = Signer(key.public, coop)
        order = Order(note.payer, note.payee, note.unit, note.amount, note.ref)
        if yes:
            self.consents.given(order)
        act = node.core.fund if yes else node.core.decline
        try:
            effects = act(note.id, signer, key, self.net.now)
        except MaillonError as refusal:
            self.count(f"no answer to a request: {refusal.code}")
            return
        self.count("requests answered with yes" if yes else "requests answered with no")
        node.do(effects)
