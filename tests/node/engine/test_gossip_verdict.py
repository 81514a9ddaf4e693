"""What is relayed was accepted here, byte for byte; what is not relayed is not lost."""

from __future__ import annotations

from maillon.node import bounds
from maillon.node.events import Penalise
from maillon.protocol.envelope import Signed
from maillon.protocol.gossip import encode_batches
from support.engines import Rig, founded, of_type, published


def spoilt(signed: Signed) -> bytes:
    return signed.encode().replace(signed.signature, signed.signature[:-1] + b"\x00")


def ready() -> tuple[Rig, list[Signed]]:
    world = founded()
    rig = Rig(world)
    member = world.make_member(0, "Ada")
    rig.submit(*world.profiles(), world.membership(member))
    rig.engine.tick(rig.now + 1)
    rig.now += 2
    return rig, [world.offer(member) for _ in range(3)]


def test_a_message_of_good_records_is_relayed_and_not_repeated() -> None:
    rig, offers = ready()
    relay, effects = rig.hear(*offers)
    assert relay and published(effects) == []


def test_a_message_with_one_bad_record_is_not_relayed_and_the_good_ones_go_on() -> None:
    rig, offers = ready()
    relay, effects = rig.hear(offers[0], spoilt(offers[1]), offers[2])
    assert not relay
    assert {signed.id for signed in published(effects)} == {offers[0].id, offers[2].id}
    assert len(of_type(effects, Penalise)) == 1


def test_a_spoilt_copy_of_a_live_record_is_not_relayed() -> None:
    rig, offers = ready()
    rig.submit(offers[0])
    relay, effects = rig.hear(spoilt(offers[0]))
    assert not relay and not of_type(effects, Penalise)
    assert rig.hear(offers[0])[0]


def test_a_message_that_is_none_is_not_relayed_and_costs_score() -> None:
    rig, _ = ready()
    before = rig.snapshot()
    for data in (b"", b"\x00", b"\x92\x01\x90", bytes(70_000)):
        verdict = rig.engine.gossip(b"l" * 32, data, rig.now, rig.verify)
        assert not verdict.relay
        assert [e.points for e in of_type(verdict.effects, Penalise)] == [bounds.POINTS_PROVEN]
    assert rig.snapshot() == before


def test_one_bad_message_costs_no_more_than_its_bound() -> None:
    rig, offers = ready()
    _, effects = rig.hear(*[spoilt(offer) for offer in offers], b"x", b"y", b"z")
    assert [e.points for e in of_type(effects, Penalise)] == [bounds.POINTS_PER_CALL_MAX]


def test_a_peer_above_its_rate_is_not_read_and_not_blamed() -> None:
    rig, offers = ready()
    flood = encode_batches([bytes((1,)) for _ in range(1_000)])[0]
    peer = b"f" * 32
    for _ in range(int(bounds.GOSSIP_RECORDS_BURST) // 1_000):
        rig.engine.gossip(peer, flood, rig.now, rig.verify)
    before = rig.snapshot()
    relay, effects = rig.hear(offers[0], peer=peer)
    assert not relay and effects == [] and rig.snapshot() == before
    assert rig.hear(offers[0], peer=b"h" * 32)[0]
    rig.now += 1
    assert rig.hear(offers[1], peer=peer)[0]


def test_our_own_message_that_comes_back_is_accepted() -> None:
    rig, offers = ready()
    rig.submit(offers[0])
    assert rig.hear(offers[0], peer=rig.key)[0]


def test_records_come_out_together_while_the_line_is_busy() -> None:
    rig, offers = ready()
    first = published(rig.submit(offers[0]))
    assert [signed.id for signed in first] == [offers[0].id]
    rig.now += 0.001
    assert published(rig.submit(offers[1])) == published(rig.submit(offers[2])) == []
    assert rig.engine.next_wake(rig.now) <= rig.now + bounds.OUTBOX_COALESCE_S
    rig.now += bounds.OUTBOX_COALESCE_S
    later = published(rig.engine.tick(rig.now))
    assert [signed.id for signed in later] == [offers[1].id, offers[2].id]
