"""One gate for everybody: what counts is stored, what does not changes nothing."""

from __future__ import annotations

import pytest

from maillon.node import bounds
from maillon.node.engine import Refused
from maillon.node.engine.core import Settings
from maillon.node.events import DropPeer, Gone, KeepConnected, Penalise, Stored
from maillon.node.store.memory import MemoryStore
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.records import DAY_S
from support.engines import Rig, founded, of_type, published
from support.world import Member, World


def rig_with_member(coops: int = 3) -> tuple[World, Rig, Member]:
    world = founded(coops)
    rig = Rig(world)
    member = world.make_member(0, "Ada")
    rig.submit(*world.profiles(), world.membership(member))
    rig.now += 1
    rig.engine.tick(rig.now)
    return world, rig, member


def spoilt(signed: Signed) -> bytes:
    return signed.encode().replace(signed.signature, signed.signature[:-1] + b"\x00")


def test_our_own_record_is_stored_and_leaves_at_once_when_the_line_is_idle() -> None:
    world, rig, member = rig_with_member()
    rig.now += 1
    offer = world.offer(member)
    effects = rig.submit(offer)
    assert rig.live(offer) and rig.consistent()
    assert [signed.id for signed in published(effects)] == [offer.id]
    assert of_type(effects, Stored) == [Stored((offer.id,), None)]


def test_a_known_record_is_not_verified_again() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    rig.submit(offer)
    verified = rig.verify.count
    assert rig.hear(offer)[0]
    assert rig.verify.count == verified


def test_a_record_stored_while_its_copy_was_verified_is_stored_once() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    one = rig.engine.prepare_sync(b"a" * 32, [offer.encode()], rig.now)
    two = rig.engine.prepare_sync(b"b" * 32, [offer.encode()], rig.now)
    assert len(one.items) == len(two.items) == 1
    assert len(rig.engine.complete(one, [True], rig.now).stored) == 1
    outcome = rig.engine.complete(two, [True], rig.now)
    assert outcome.stored == [] and [id for id, _ in outcome.duplicates] == [offer.id]
    assert rig.consistent()


def test_a_bad_signature_changes_nothing_and_costs_score() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    before = rig.snapshot()
    relay, effects = rig.hear(spoilt(offer))
    assert not relay and rig.snapshot() == before
    assert [e.code for e in of_type(effects, Penalise)] == ["bad_signature"]


def test_a_spoilt_copy_makes_nobody_deaf_to_the_true_record() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    rig.hear(spoilt(offer), peer=b"l" * 32)
    assert rig.hear(offer, peer=b"h" * 32)[0]
    assert rig.live(offer)


def test_what_only_the_view_refuses_costs_no_score() -> None:
    world, rig, member = rig_with_member()
    revoked = {"reason": "left", "until_at": world.now - 100}
    end = world.membership(member, rev=1, at=world.now, status="revoked", revoked=revoked)
    rig.submit(end)
    before = rig.snapshot()
    relay, effects = rig.hear(world.offer(member))
    assert not relay and rig.snapshot() == before
    assert not of_type(effects, Penalise)


def test_a_record_waits_for_its_membership_and_is_gossiped_when_it_counts() -> None:
    world = founded()
    rig = Rig(world)
    rig.submit(*world.profiles())
    rig.now += 1
    rig.engine.tick(rig.now)
    member = world.make_member(1, "Ada")
    offer = world.offer(member)
    relay, _ = rig.hear(offer)
    assert not relay and not rig.live(offer)
    assert rig.engine.levels()["pending"] == 1
    verified = rig.verify.count
    rig.now += 1
    _, effects = rig.hear(world.membership(member))
    assert rig.live(offer) and rig.engine.levels()["pending"] == 0
    assert rig.verify.count == verified + 1, "the offer's signature was verified when it came"
    assert [signed.id for signed in published(effects)] == [offer.id]


def test_a_batch_does_not_wait_for_itself() -> None:
    world = founded()
    rig = Rig(world)
    member = world.make_member(0, "Ada")
    records = [world.offer(member), world.membership(member), *world.profiles()]
    assert rig.hear(*records)[0]
    assert all(rig.live(record) for record in records)


def test_our_own_record_without_a_membership_is_refused_and_does_not_wait() -> None:
    world = founded()
    rig = Rig(world)
    rig.submit(*world.profiles())
    before = rig.snapshot()
    with pytest.raises(Refused) as refusal:
        rig.submit(world.offer(world.make_member(0, "nobody")))
    assert refusal.value.code == "membership_missing" and refusal.value.hint
    assert rig.snapshot() == before and rig.engine.levels()["pending"] == 0


def test_a_revocation_takes_back_what_is_stored_and_erases_it() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    rig.submit(offer)
    revoked = {"reason": "stolen", "until_at": world.now - 100}
    effects = rig.submit(
        world.membership(member, rev=1, at=world.now, status="revoked", revoked=revoked)
    )
    assert not rig.live(offer) and rig.consistent()
    assert Gone((offer.id,), "revoked") in effects
    kept = rig.store.get(offer.id)
    assert kept is None or kept.payload is None


def test_what_a_suspension_took_is_taken_again_when_it_is_lifted() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    rig.submit(offer)
    rig.submit(world.membership(member, rev=1, at=world.now - 50, status="suspended"))
    assert not rig.live(offer)
    assert not rig.hear(offer)[0]
    rig.submit(world.membership(member, rev=2, at=world.now))
    assert rig.engine.wants(b"p" * 32, offer.id, rig.now)
    assert rig.hear(offer)[0]
    assert rig.live(offer) and rig.consistent()


def test_a_thiefs_revision_gives_way_to_the_one_it_replaced() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member, at=world.now - 200)
    stolen = world.offer(member, rev=2**31 - 1, series=offer.header.series)
    rig.submit(offer, stolen)
    assert rig.live(stolen) and not rig.live(offer)
    revoked = {"reason": "stolen", "until_at": world.now - 100}
    rig.submit(world.membership(member, rev=1, at=world.now, status="revoked", revoked=revoked))
    assert not rig.live(stolen)
    assert rig.hear(offer)[0] and rig.live(offer)


def test_an_old_revision_is_skipped_without_verifying_it() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    newer = world.offer(member, rev=1, series=offer.header.series)
    rig.submit(offer, newer)
    verified, before = rig.verify.count, rig.snapshot()
    relay, effects = rig.hear(offer)
    assert not relay and not of_type(effects, Penalise)
    assert rig.verify.count == verified and rig.snapshot() == before
    assert not rig.engine.wants(b"p" * 32, offer.id, rig.now)


def test_a_withdrawal_ends_a_thing_and_erases_its_payload() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    rig.submit(offer)
    effects = rig.submit(world.withdrawal(offer, member.key, member.coop))
    assert Gone((offer.id,), "withdrawn") in effects
    kept = rig.store.get(offer.id)
    assert kept is not None and kept.payload is None
    with pytest.raises(Refused) as refusal:
        rig.submit(offer)
    assert refusal.value.code == "superseded"


def test_what_has_expired_is_forgotten_in_slices() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member, days=1)
    rig.submit(offer)
    rig.now += DAY_S + 1
    effects = rig.engine.tick(rig.now)
    assert Gone((offer.id,), "expired") in effects
    assert not rig.store.known(offer.id) and rig.consistent()


def test_a_coop_leaves_with_its_last_admission() -> None:
    world, rig, _ = rig_with_member()
    late = world.make_coop("late")
    member = world.make_member(late, "Bo")
    admissions = [
        world.admission(place, late, until=world.now + DAY_S if place else None)
        for place in range(2)
    ]
    rig.submit(*admissions, world.profile(late), world.membership(member))
    offer = world.offer(member)
    rig.submit(offer)
    assert rig.engine.admitted(late.node.public)
    rig.now += DAY_S + 1
    effects = rig.engine.tick(rig.now)
    assert not rig.live(offer) and rig.consistent()
    assert DropPeer(late.node.public) in effects
    assert not rig.engine.admitted(late.node.public)


def test_a_new_telephone_number_concerns_no_record() -> None:
    world, rig, member = rig_with_member()
    rig.submit(world.offer(member))
    profile = world.profile(0, rev=1, at=world.now, until=world.now + 2_000 * DAY_S // 2,
                            contact={"phone": "+33 4 75 00 00 01"})  # fmt: skip
    judged: list[bytes] = []
    true = rig.store.get

    def get(id: bytes) -> Signed | None:
        judged.append(id)
        return true(id)

    rig.store.get = get  # type: ignore[method-assign]
    rig.submit(profile)
    assert judged == []


def test_a_replaced_node_key_is_followed() -> None:
    world = founded()
    rig = Rig(world, 1)
    rig.submit(*world.profiles())
    new = world.key("coop 0 new node")
    previous = [{"key": world.coops[0].node.public, "until_at": world.now - 1}]
    profile = world.profile(0, node=new, rev=1, at=world.now, previous=previous)
    _, effects = rig.hear(profile)
    assert DropPeer(world.coops[0].node.public) in effects
    assert [e.peer for e in of_type(effects, KeepConnected)] == [new.public]
    assert rig.engine.admitted(new.public)
    assert not rig.engine.admitted(world.coops[0].node.public)


class FailingStore(MemoryStore):
    """A store whose disk is full at the wrong moment."""

    fail = False

    def put(self, valid: Valid) -> None:
        if self.fail:
            raise OSError("no space left")
        super().put(valid)


def test_a_full_disk_undoes_all_of_a_batch_and_the_engine_goes_on() -> None:
    world = founded()
    store = FailingStore()
    rig = Rig(world, store=store)
    member = world.make_member(0, "Ada")
    rig.submit(*world.profiles(), world.membership(member))
    offer = world.offer(member)
    rig.submit(offer)
    before = rig.snapshot()
    store.fail = True
    with pytest.raises(OSError):
        rig.submit(world.offer(member, rev=1, series=offer.header.series))
    store.fail = False
    assert rig.store.live(offer.id)
    rig.submit(world.offer(member, rev=2, series=offer.header.series))
    assert not rig.live(offer) and rig.consistent()
    assert len(before) == 3


def test_a_full_store_takes_revisions_and_nothing_new() -> None:
    world = founded()
    rig = Rig(world, settings=Settings(records_live_max=5))
    member = world.make_member(0, "Ada")
    offer = world.offer(member)
    rig.hear(*world.profiles(), world.membership(member), offer)
    before = rig.snapshot()
    relay, effects = rig.hear(world.offer(member))
    assert not relay and rig.snapshot() == before and not of_type(effects, Penalise)
    assert rig.engine.status(rig.now)["store_full"]
    newer = world.offer(member, rev=1, series=offer.header.series)
    assert rig.hear(newer)[0] and rig.live(newer)


def test_our_own_people_have_a_share_and_others_have_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "AUTHOR_KEY_RECORDS_MAX", 3)
    world, rig, member = rig_with_member()
    offers = [world.offer(member) for _ in range(4)]
    rig.submit(*offers[:3])
    before = rig.snapshot()
    with pytest.raises(Refused) as refusal:
        rig.submit(offers[3])
    assert refusal.value.code == "quota" and rig.snapshot() == before
    assert rig.hear(offers[3])[0], "by gossip it counts like anybody's"
    rig.submit(world.withdrawal(offers[0], member.key, member.coop))
    rig.now += bounds.AUTHOR_KEY_WINDOW_S
    rig.submit(world.offer(member))


def test_many_are_taken_in_one_go_and_each_refusal_is_its_own() -> None:
    world, rig, member = rig_with_member()
    good, late = world.offer(member), world.offer(member, at=world.now + 10_000)
    stranger = world.offer(world.make_member(0, "nobody"))
    refused, effects = rig.engine.submit_many(
        [b"no record", late.encode(), good.encode(), stranger.encode()], rig.now, rig.verify
    )
    codes = [None if fault is None else fault.code for fault in refused]
    assert codes == ["malformed", "from_future", None, "membership_missing"]
    assert rig.live(good) and of_type(effects, Stored) == [Stored((good.id,), None)]


def test_a_clock_that_jumps_either_way_raises_nothing_and_stops_nothing() -> None:
    _, rig, _ = rig_with_member()
    rig.engine.connected(b"z" * 32, rig.now)
    for jump in (1e8, -2e8, 3e8, -1e8, 0.5):
        rig.now = max(1.0, rig.now + jump)
        rig.engine.tick(rig.now)
        assert rig.now <= rig.engine.next_wake(rig.now) <= rig.now + 3_600
    assert rig.consistent()


def test_two_persons_with_one_key_are_one_to_all_whatever_came_first() -> None:
    world = founded()
    one, two = (world.make_member(0, name, key="shared") for name in ("Ada", "Bo"))
    less, more = sorted((one, two), key=lambda member: member.person)
    claims = [world.membership(less), world.membership(more)]
    for order in (claims, claims[::-1]):
        rig = Rig(world)
        rig.hear(*world.profiles())
        for claim in order:
            rig.hear(claim)
        assert rig.live(claims[0]) and not rig.live(claims[1])
        offer = world.offer(less)
        assert rig.hear(offer)[0]
        head = rig.store.head(less.author, offer.header.series)
        assert head is not None and head.id == offer.id


def test_a_record_moves_with_its_key_to_another_person() -> None:
    world = founded()
    one, two = (world.make_member(0, name, key="shared") for name in ("Ada", "Bo"))
    less, more = sorted((one, two), key=lambda member: member.person)
    rig = Rig(world)
    offer = world.offer(more)
    rig.hear(*world.profiles(), world.membership(more), offer)
    assert rig.store.head(more.author, offer.header.series) is not None
    rig.hear(world.membership(less))
    assert rig.store.head(more.author, offer.header.series) is None
    head = rig.store.head(less.author, offer.header.series)
    assert head is not None and head.id == offer.id and rig.consistent()


def test_a_restart_comes_back_with_what_was_committed() -> None:
    world, rig, member = rig_with_member()
    offer = world.offer(member)
    rig.submit(offer)
    again = Rig(world, store=rig.store)
    assert again.snapshot() == rig.snapshot()
    assert again.hear(world.offer(member))[0], "the view is there again"
