"""What rests on another record waits for it, comes with it and goes with it; steps never enter."""

from __future__ import annotations

from random import Random

import pytest

from maillon.node.engine import Refused
from maillon.node.events import Penalise
from maillon.protocol.envelope import Signed, Valid, decode_record
from maillon.protocol.errors import NotAllowed
from maillon.protocol.reconcile import ItemSet
from maillon.protocol.records import DAY_S, KINDS, PRIVATE_KINDS, build
from support import community as c
from support.community_pool import pool
from support.engines import Rig, Wire, connect, founded, of_type
from support.model_view import live_set
from support.schema_cases import sample
from support.world import Member, World


def rig_with_people() -> tuple[World, Rig, Member, Member]:
    world = founded()
    rig = Rig(world)
    dora, emil = world.make_member(1, "dora"), world.make_member(1, "emil")
    rig.submit(*world.profiles(), world.membership(dora), world.membership(emil))
    return world, rig, dora, emil


@pytest.mark.parametrize("seed", range(12))
def test_any_order_ends_at_the_live_set(seed: int) -> None:
    world = World(seed="community engine")
    rng = Random(f"community {seed}")
    records = pool(world)
    # Much of the pool ends the rest: without some of it, more is alive.
    records = records[:3] + rng.sample(records[3:], len(records) * 3 // 4)
    wanted = sorted(live_set(records, world.founding, world.now))
    assert 5 < len(wanted) < len(records) - 5
    rig = Rig(world)
    for _ in range(12):
        before = list(rig.store.iterate_live())
        rng.shuffle(records)
        at = 0
        while at < len(records):
            size = rng.choice((1, 2, 7, 30))
            prepared = rig.engine.prepare_sync(
                b"s" * 32, [signed.encode() for signed in records[at : at + size]], rig.now
            )
            rig.engine.complete(prepared, rig.verify(prepared.items), rig.now)
            at += size
        if list(rig.store.iterate_live()) == before:
            break
    else:
        pytest.fail("it goes on changing")
    assert sorted(id for _, id in rig.store.iterate_live()) == wanted
    assert rig.consistent()
    # A restart fills the view anew; what leaves afterwards still takes along what rests on it.
    again = Rig(world, store=rig.store)
    again.now = world.now + 40.0 * DAY_S
    for _ in range(20):
        again.engine.tick(again.now)
        again.now += 1
    later = live_set(records, world.founding, int(again.now))
    assert sorted(id for _, id in again.store.iterate_live()) == sorted(later)


def test_a_bid_waits_for_its_demand_and_comes_with_it() -> None:
    world, rig, dora, emil = rig_with_people()
    demand = c.auction(world, dora)
    bid = c.bid(world, emil, demand, dora)
    before = rig.snapshot()
    rig.hear(bid)
    assert rig.snapshot() == before and not rig.live(bid)
    rig.hear(demand)
    assert rig.live(demand) and rig.live(bid) and rig.consistent()


def test_a_reveal_waits_for_its_bid_which_waits_for_its_demand() -> None:
    world, rig, dora, emil = rig_with_people()
    demand = c.auction(world, dora, sealed=True)
    nonce = bytes(32)
    bid = c.sealed_bid(world, emil, demand, dora, 7, nonce)
    reveal = c.reveal(world, emil, bid, 7, nonce)
    for signed in (reveal, bid):
        rig.hear(signed)
        assert not rig.live(signed)
    rig.hear(demand)
    assert all(rig.live(signed) for signed in (demand, bid, reveal))


def test_what_rests_on_a_demand_goes_when_it_is_revised_withdrawn_or_expires() -> None:
    for end in ("revised", "withdrawn", "expired"):
        world, rig, dora, emil = rig_with_people()
        demand = c.auction(world, dora, sealed=True)
        nonce = bytes(32)
        bid = c.sealed_bid(world, emil, demand, dora, 7, nonce)
        reveal = c.reveal(world, emil, bid, 7, nonce, until=world.now + 90 * DAY_S)
        offer = world.offer(emil, days=90)
        rig.submit(demand, bid, reveal, offer)
        if end == "revised":
            series = demand.header.series
            rig.hear(c.auction(world, dora, rev=1, series=series, at=demand.header.at + 1))
        elif end == "withdrawn":
            rig.hear(world.withdrawal(demand, dora.key, dora.coop))
        else:
            rig.now = demand.header.until + 1.0
            rig.engine.tick(rig.now)
        gone = [rig.live(signed) for signed in (demand, bid, reveal)]
        assert gone == [False] * 3, end
        assert rig.live(offer) and rig.consistent()


def test_the_view_knows_what_rests_on_a_record_and_forgets_what_left() -> None:
    world, rig, dora, emil = rig_with_people()
    demand = c.auction(world, dora)
    bids = [c.bid(world, emil, demand, dora, amount) for amount in (7, 8)]
    rig.submit(demand, *bids)
    assert sorted(rig.engine.view.upon(demand.id)) == sorted(bid.id for bid in bids)
    rig.hear(world.withdrawal(bids[0], emil.key, emil.coop))
    assert rig.engine.view.upon(demand.id) == (bids[1].id,)
    rig.hear(world.withdrawal(bids[1], emil.key, emil.coop))
    assert rig.engine.view.upon(demand.id) == ()


def test_a_move_waits_for_the_new_coop_and_goes_with_its_word() -> None:
    world, rig, dora, _ = rig_with_people()
    there = world.make_member(2, "there", key="coop 1/dora")
    move = c.move(world, dora, there)
    rig.hear(move)
    assert not rig.live(move)
    card = world.membership(there)
    rig.hear(card)
    assert rig.live(move)
    rig.hear(world.withdrawal(card, there.coop.node, there.coop))
    assert not rig.live(move)
    assert rig.consistent()


def steps(world: World, member: Member) -> list[Signed]:
    made: list[Signed] = []
    for name in sorted(PRIVATE_KINDS):
        payload = sample(KINDS[name].schema)
        refs = () if name == "opening" else (world.derive("opening", 32),)
        made.append(world.record(name, payload, coop=member.coop, by=member.key, refs=refs))
    return made


def test_a_step_of_an_exchange_is_refused_on_every_way_in_and_leaves_nothing() -> None:
    world, rig, dora, _ = rig_with_people()
    before = rig.snapshot()
    for step in steps(world, dora):
        with pytest.raises(Refused) as caught:
            rig.engine.submit(step.encode(), rig.now, rig.verify)
        assert (caught.value.code, caught.value.facts["rule"]) == ("not_allowed", "private")
        relay, effects = rig.hear(step)
        assert not relay and of_type(effects, Penalise)
        prepared = rig.engine.prepare_sync(b"s" * 32, [step.encode()], rig.now)
        outcome = rig.engine.complete(prepared, rig.verify(prepared.items), rig.now)
        assert outcome.stored == [] and isinstance(outcome.refused[0][1], NotAllowed)
        assert rig.snapshot() == before


def test_a_withdrawal_that_names_a_step_is_refused() -> None:
    world, rig, dora, _ = rig_with_people()
    before = rig.snapshot()
    payload = build("withdrawal", salt=bytes(16), kind_="message")
    gone = world.record("withdrawal", payload, coop=dora.coop, by=dora.key, rev=1)
    with pytest.raises(Refused) as caught:
        rig.engine.submit(gone.encode(), rig.now, rig.verify)
    assert (caught.value.code, caught.value.facts["rule"]) == ("not_allowed", "private")
    assert rig.snapshot() == before


def test_a_step_that_got_into_a_store_is_not_taken_by_reconciliation() -> None:
    world, rig, dora, _ = rig_with_people()
    liar = Rig(world, 1)
    liar.submit(*(s for _, id in rig.store.iterate_live() if (s := rig.store.get(id)) is not None))
    step = steps(world, dora)[0]
    liar.store.put(Valid(step, dora.author, bytes(32), "member"))
    liar.engine = Rig(world, 1, store=liar.store).engine
    before = rig.snapshot()
    connect(rig, liar)
    Wire(rig, liar).run()
    assert rig.snapshot() == before
    assert isinstance(liar.engine.items, ItemSet)
    assert decode_record(step.encode()).id == step.id
