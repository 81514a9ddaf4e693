"""What people do together in public, shown on two nodes of two coops."""

from __future__ import annotations

import pytest

from maillon.protocol.auctions import Outcome, winner
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.records.market import asked_of
from support import community as c
from support.engines import Rig, Wire, connect, founded
from support.world import Member, World


def two_nodes() -> tuple[World, Rig, Rig, Member, list[Member]]:
    world = founded(2, seed="capabilities together")
    here, there = Rig(world, 0), Rig(world, 1)
    dora = world.make_member(0, "dora")
    bidders = [world.make_member(1, name) for name in ("emil", "fanny", "gilles")]
    here.submit(*world.profiles(), world.membership(dora))
    there.submit(*world.profiles(), *(world.membership(who) for who in bidders))
    return world, here, there, dora, bidders


def live(rig: Rig, signed: Signed) -> Valid:
    found = rig.engine.view.live(signed.id)
    assert found is not None
    return found


def told(rig: Rig, demand: Signed, close: Signed, award: Signed, bids: list[Signed],
         reveals: list[Signed]) -> Outcome:  # fmt: skip
    """Recompute an auction from what one node holds."""
    return winner(
        live(rig, demand), live(rig, close), [live(rig, bid) for bid in bids],
        [live(rig, reveal) for reveal in reveals], live(rig, award),
    )  # fmt: skip


@pytest.mark.capability("ASA-2")
@pytest.mark.parametrize("sealed", [False, True])
def test_any_node_recomputes_who_won_an_auction_a_tie_included(sealed: bool) -> None:
    world, here, there, dora, bidders = two_nodes()
    demand = c.auction(world, dora, sealed=sealed, limit=100)
    prices = [50, 50, 60]
    reveals: list[Signed] = []
    if sealed:
        nonces = [world.derive(who.name, 32) for who in bidders]
        bids = [c.sealed_bid(world, who, demand, dora, price, nonce)
                for who, price, nonce in zip(bidders, prices, nonces, strict=True)]  # fmt: skip
        reveals = [c.reveal(world, who, bid, price, nonce) for who, bid, price, nonce
                   in zip(bidders, bids, prices, nonces, strict=True)]  # fmt: skip
    else:
        bids = [c.bid(world, who, demand, dora, price)
                for who, price in zip(bidders, prices, strict=True)]  # fmt: skip
    close = c.close(world, dora, demand, bids)
    # She names one of the two by guess; whether she guessed right, all can see.
    award = c.award(world, dora, demand, bids[0], reveals)
    here.submit(demand)
    connect(here, there)
    Wire(here, there).run()
    there.submit(*bids, *reveals)
    here.submit(close, award)
    here.now = there.now = here.now + 120
    Wire(here, there).run()
    outcomes = [told(rig, demand, close, award, bids, reveals) for rig in (here, there)]
    assert outcomes[0] == outcomes[1]
    won = outcomes[0].winner
    assert won is not None and won.amount == 50 and won.author in {w.author for w in bidders[:2]}
    assert outcomes[0].award_right is (won.id == bids[0].id)


@pytest.mark.capability("SER-2")
def test_an_offer_asks_less_of_members_and_every_node_shows_both_prices() -> None:
    world, here, there, dora, _ = two_nodes()
    members = {"kind": "amount", "unit": "heure", "amount": 60}
    outsiders = {"kind": "amount", "unit": "graine", "amount": 900}
    offer = world.offer(
        dora, reciprocity=outsiders, tariffs=[{"audience": "members", "reciprocity": members}]
    )
    here.submit(offer)
    connect(here, there)
    Wire(here, there).run()
    payload = live(there, offer).signed.payload
    assert payload is not None
    assert asked_of(payload, ["members"]) == members
    assert asked_of(payload, ["outsiders"]) == outsiders
