"""A bundle of which a part has ended frees the providers of the others at once (spec/08)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from maillon.node.engine.exchange.core import ExchangeCore
from maillon.node.engine.exchange.ports import Query
from maillon.protocol.exchange.bundles import may_release
from maillon.protocol.records import DAY_S
from support.exchangenet import Net
from support.world import Member

BUNDLE = b"b" * 32


@dataclass
class Two:
    """Somebody of one coop asks two providers of two others for the parts of a bundle."""

    net: Net = field(default_factory=Net)
    asks: Member = field(init=False)
    gives: Member = field(init=False)
    other: Member = field(init=False)

    def __post_init__(self) -> None:
        self.asks = self.net.member(0, "asks")
        self.gives, self.other = self.net.member(1, "gives"), self.net.member(2, "other")
        for node in self.net.nodes:
            node.records.bundles[BUNDLE] = [self.gives.author, self.other.author]

    def quoted(self, gives: Member, days: int = 7) -> tuple[bytes, bytes]:
        """Return a part that is reserved, and its quote."""
        return self.net.quoted(
            self.asks, gives, opening={"bundle": BUNDLE}, reserved=True, valid_s=days * DAY_S
        )

    def opened(self, gives: Member) -> bytes:
        """Return a part that nothing was said about yet."""
        return self.net.opened(self.asks, gives, bundle=BUNDLE)

    def free(self, exchange: bytes) -> bool:
        """Tell whether the other provider's node may give the time to somebody else."""
        return may_release(self.net.nodes[2].state(exchange), self.net.now)

    def decisions(self) -> list[bytes]:
        """Return the decisions that any node holds."""
        core: ExchangeCore = self.net.nodes[0].core
        found = {
            signed.id
            for row in core.store.find(Query(limit=100))
            for _row, signed in core.transcripts.records(row.id)
            if signed.header.kind == "bundle_decision"
        }
        return sorted(found)


def test_a_part_that_is_called_off_frees_the_other_provider_at_once() -> None:
    two = Two()
    ended, (reserved, _quote) = two.opened(two.gives), two.quoted(two.other)
    assert not two.free(reserved) and two.decisions() == []
    two.net.nodes[1].act(two.gives, "cancellation", ended, reason="ill")
    two.net.run()
    assert two.free(reserved) and len(two.decisions()) == 1
    assert [two.net.nodes[place].state(reserved).phase for place in (0, 2)] == ["cancelled"] * 2
    assert two.net.nodes[1].state(ended).phase == "cancelled"
    # Nothing of it can be agreed to any more, and nothing is decided twice.
    assert "agreement" not in two.net.nodes[0].state(reserved).next(
        two.asks.author, two.net.now
    ).kinds
    two.net.wait(20 * DAY_S)
    assert len(two.decisions()) == 1 and two.net.chains.transfers == {}


def test_a_requester_who_wants_none_of_it_says_so_once() -> None:
    two = Two()
    (first, _), (second, _) = two.quoted(two.gives), two.quoted(two.other)
    two.net.nodes[0].act(two.asks, "decline", first)
    two.net.run()
    assert two.free(second) and len(two.decisions()) == 1
    # The decision stands beside the word of the requester, and says the same.
    assert two.net.nodes[1].state(first).phase in ("declined", "cancelled")


def test_a_reservation_whose_time_is_over_holds_nobody_longer() -> None:
    two = Two()
    two.quoted(two.gives, days=2)
    reserved, _quote = two.quoted(two.other, days=30)
    two.net.wait(DAY_S)
    assert not two.free(reserved) and two.decisions() == []
    two.net.wait(2 * DAY_S)
    assert two.free(reserved) and len(two.decisions()) == 1


def test_a_quote_that_is_declined_ends_no_bundle() -> None:
    two = Two()
    (first, quote), (reserved, other) = two.quoted(two.gives), two.quoted(two.other)
    two.net.nodes[0].act(two.asks, "decline", first, quote=quote)
    two.net.run()
    assert two.decisions() == [] and not two.free(reserved)
    # Its provider makes another one, and the whole is agreed to.
    again = two.net.nodes[1].act(
        two.gives, "quote", first, terms=two.net.terms(amount=45),
        valid_until=two.net.now + DAY_S, reserved=True,
    )  # fmt: skip
    two.net.run()
    two.net.nodes[0].act(two.asks, "agreement", first, quote=again)
    two.net.nodes[0].act(two.asks, "agreement", reserved, quote=other)
    two.net.run()
    assert len(two.decisions()) == 1
    assert {two.net.nodes[0].state(part).phase for part in (first, reserved)} == {"scheduled"}


@pytest.mark.parametrize("place", [0, 1])
def test_what_was_committed_stays_so_when_a_part_is_called_off(place: int) -> None:
    two = Two()
    parts = [two.quoted(two.gives), two.quoted(two.other)]
    for exchange, quote in parts:
        two.net.nodes[0].act(two.asks, "agreement", exchange, quote=quote)
        two.net.run()
    decided = two.decisions()
    who = (two.asks, two.gives)[place]
    two.net.nodes[place].act(who, "cancellation", parts[0][0], reason="ill")
    two.net.run()
    assert two.decisions() == decided
    assert two.net.nodes[2].state(parts[1][0]).phase == "scheduled"
