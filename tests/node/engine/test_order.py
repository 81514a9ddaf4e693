"""The order of arrival decides nothing: any order, offered until nothing changes, ends alike."""

from __future__ import annotations

from random import Random

import pytest

from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S
from simulation.oracle import Oracle
from support.engines import Rig, founded
from support.world import World


def history(world: World) -> list[Signed]:
    """Return a federation's worth of revisions, thefts, suspensions, mandates and replaced keys."""
    now = world.now
    ada, bo, cy, di = (world.make_member(place % 3, name) for place, name in enumerate("abcd"))
    late = world.make_coop("late")
    eve = world.make_member(late, "eve")
    twin = world.make_member(0, "twin", key="coop 0/a")
    new = world.key("coop 1 new node")
    previous = [{"key": world.coops[1].node.public, "until_at": now - 60}]
    records = world.profiles()
    records += [world.profile(1, node=new, rev=1, at=now - 50, previous=previous, days=1_100)]
    records += [world.admission(0, late), world.admission(1, late), world.profile(late)]
    records += [world.membership(member) for member in (ada, bo, cy, di, eve, twin)]
    for member in (ada, bo, cy, di, eve):
        first = world.offer(member, at=now - 900)
        series = first.header.series
        records += [first, world.offer(member, at=now - 500, rev=1, series=series)]
        records += [world.offer(member, at=now - 100, rev=2**31 - 1, series=series)]
        ended = world.offer(member, at=now - 800)
        records += [ended, world.withdrawal(ended, member.key, member.coop, at=now - 700)]
        records += [world.demand(member, at=now - place) for place in (10, 400)]
    stolen = {"reason": "stolen", "until_at": now - 300}
    records.append(world.membership(ada, rev=1, at=now, status="revoked", revoked=stolen))
    lost = {"reason": "lost", "until_at": now - 999, "keep": [records[15].id]}
    records.append(world.membership(bo, rev=1, at=now, by=new, status="revoked", revoked=lost))
    records.append(world.membership(cy, rev=1, at=now - 250, status="suspended"))
    records.append(world.membership(di, rev=1, at=now - 450, status="suspended"))
    records.append(world.membership(di, rev=2, at=now - 200))
    for principal in (cy, di, world.coops[2]):
        given = world.mandate(principal, eve, at=now - 600)
        thing = world.mandate_thing(principal, given)
        records += [given] + [
            world.offer(eve, at=at, as_=thing, days=20) for at in (now - 550, now - 90)
        ]
    again = records[-3]
    records.append(
        world.mandate(
            world.coops[2], eve, at=now - 80, rev=1, series=again.header.series, revoked=True,
            until_at=now - 95, start=now - 600, end=now + DAY_S,
        )
    )  # fmt: skip
    return records


@pytest.mark.parametrize("seed", range(30))
def test_any_order_ends_at_what_the_oracle_says(seed: int) -> None:
    world = founded(3, "order")
    records = history(world)
    wanted = sorted(Oracle(world.founding, records, world.now).live)
    assert 20 < len(wanted) < len(records) - 15
    rng = Random(f"order {seed}")
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
    # Whether a restart, which fills the view anew, would judge anything otherwise.
    again = Rig(world, store=rig.store)
    for _, id in rig.store.iterate_live():
        signed = rig.store.get(id)
        assert signed is not None
        assert again.engine.view.author_of(signed.header, id) is not None
