"""Sessions: two engines equal after one, and none the worse for what a peer sends."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node import bounds
from maillon.node.engine import frames
from maillon.node.engine.core import Settings
from maillon.node.engine.ingest import Prepared
from maillon.node.events import Penalise
from maillon.protocol import encoding
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import LocalError, Malformed
from maillon.protocol.gossip import encode_batches
from maillon.protocol.reconcile import EVERYTHING
from support.engines import Rig, Wire, connect, founded, of_type
from support.world import World


def pair(count: int, *, settings: Settings | None = None) -> tuple[World, Rig, Rig, list[Signed]]:
    """Return two rigs that know the coops, and records that neither has."""
    world = founded()
    one, other = sorted((Rig(world, 0), Rig(world, 1, settings=settings)), key=lambda rig: rig.key)
    profiles = world.profiles()
    for rig in (one, other):
        rig.submit(*profiles)
    connect(one, other)
    member = world.make_member(0, "Ada")
    records = [world.membership(member, at=world.now - 60)]
    records += [world.offer(member, at=world.now - 1_000 + place) for place in range(count)]
    return world, one, other, records


def fill(rig: Rig, records: list[Signed]) -> None:
    """Store records, as if they had always been here."""
    prepared = rig.engine.prepare_sync(b"s" * 32, [r.encode() for r in records], rig.now)
    rig.engine.complete(prepared, rig.verify(prepared.items), rig.now)
    assert all(rig.live(record) for record in records)


@pytest.mark.parametrize("count", [0, 1, 40, 300])
@pytest.mark.parametrize("here", [0.0, 0.5, 1.0])
def test_one_session_makes_two_nodes_equal(count: int, here: float) -> None:
    _, one, other, records = pair(count)
    rng = Random(f"{count} {here}")
    mine, theirs = [records[0]], [records[0]]
    for record in records[1:]:
        which = rng.random()
        if which < 0.8:
            mine.append(record) if rng.random() < here else theirs.append(record)
        else:
            mine.append(record)
            theirs.append(record)
    fill(one, mine)
    fill(other, theirs)
    wire = Wire(one, other)
    wire.run()
    assert one.snapshot()[0] == other.snapshot()[0]
    assert len(one.engine.items) == len(records) + 3
    assert all(session.over and session.ok for _, session in wire.sides)
    assert one.engine.levels()["sessions"] == other.engine.levels()["sessions"] == 0
    assert one.consistent() and other.consistent()


class AheadWire(Wire):
    """A wire whose sides verify as late as they may, as with signatures on other threads."""

    def __init__(self, one: Rig, other: Rig) -> None:
        super().__init__(one, other)
        self.given: list[deque[Prepared]] = [deque(), deque()]
        self.ahead_max = 0

    def deliver(self, place: int, frame: bytes) -> None:
        rig, session = self.sides[place]
        given = self.given[place]
        while not session.takes(frame):
            session.verified(rig.verify(given.popleft().items), rig.now)
        prepared = session.receive(frame, rig.now)
        if prepared is not None:
            given.append(prepared)
        assert len(given) == session.unverified
        self.ahead_max = max(self.ahead_max, len(given))
        self.effects[place] += session.take_effects()


def test_reading_ahead_of_verification_changes_nothing_but_the_time_it_takes() -> None:
    _, one, other, records = pair(900)
    _, third, fourth, _ = pair(900)
    for rig in (other, fourth):
        fill(rig, records)
    ahead, plain = AheadWire(one, other), Wire(third, fourth)
    ahead.run()
    plain.run()
    assert ahead.ahead_max == bounds.SYNC_AHEAD_MAX
    assert one.snapshot() == other.snapshot() == third.snapshot() == fourth.snapshot()
    assert (ahead.frames, ahead.bytes) == (plain.frames, plain.bytes)
    assert one.consistent()


def test_only_records_are_read_ahead_and_only_so_far() -> None:
    _, one, other, records = pair(900)
    fill(other, records)
    wire = AheadWire(one, other)
    session = wire.sides[0][1]
    refused: list[bytes] = []
    deliver = wire.deliver

    def watched(place: int, frame: bytes) -> None:
        if place == 0 and not session.takes(frame):
            refused.append(frame)
            unverified = session.unverified
            with pytest.raises(LocalError, match="verified before"):
                session.receive(frame, one.now)
            assert session.unverified == unverified
        deliver(place, frame)

    wire.deliver = watched  # type: ignore[method-assign]  # looks on, and passes it on
    wire.run()
    kinds = {type(frames.decode(frame)) for frame in refused}
    assert kinds == {frames.Records, frames.Done}
    assert one.snapshot() == other.snapshot()


def test_identity_comes_first_even_when_it_is_the_newest() -> None:
    _, one, other, records = pair(600)
    fill(other, records)
    Wire(one, other).run()
    assert len(one.engine.items) == len(other.engine.items)
    assert one.engine.status(one.now)["pending_evicted"] == 0


def test_what_the_pending_pool_cannot_keep_is_asked_for_again() -> None:
    # Many ids here and there: the membership, the newest of all, comes in the last WANT.
    small = Settings(pending_records_max=8, pending_peer_records_max=8)
    world = founded()
    rigs = sorted(
        (Rig(world, 0, settings=small), Rig(world, 1, settings=small)), key=lambda rig: rig.key
    )
    one, other = rigs
    profiles = world.profiles()
    for rig in rigs:
        rig.submit(*profiles)
    connect(one, other)
    known = world.make_member(0, "Ada")
    new = world.make_member(0, "Bo")
    offers = [world.offer(known, at=world.now - 9_000 + 2 * place) for place in range(1_250)]
    membership = world.membership(known)
    fill(one, [membership, *offers])
    fill(other, [membership])
    missing = [world.offer(new, at=world.now - 8_999 + 2 * place) for place in range(1_200)]
    fill(other, offers)
    fill(other, [world.membership(new, at=world.now - 1), *missing])
    wire = Wire(one, other)
    wire.run()
    assert all(one.live(record) for record in missing)


def test_equal_nodes_need_three_frames_each_and_no_record() -> None:
    _, one, other, records = pair(300)
    fill(one, records)
    fill(other, records)
    verified = one.verify.count + other.verify.count
    wire = Wire(one, other)
    wire.run()
    assert wire.frames <= 6 and wire.bytes < 1_024
    assert one.verify.count + other.verify.count == verified


def test_only_one_session_each_way_runs_with_a_peer() -> None:
    _, one, other, _ = pair(0)
    assert one.engine.open_sync(other.key, one.now) is not None
    assert one.engine.open_sync(other.key, one.now) is None
    assert one.engine.accept_sync(other.key, one.now) is not None
    assert one.engine.accept_sync(other.key, one.now) is None


def test_a_stranger_gets_no_session() -> None:
    _, one, _, _ = pair(0)
    assert one.engine.accept_sync(b"x" * 32, one.now) is None


def test_a_broken_stream_frees_its_place_and_keeps_what_came() -> None:
    _, one, other, records = pair(400)
    fill(other, records)
    wire = Wire(one, other)
    wire.run(frames_max=9)
    for rig, session in wire.sides:
        session.closed(rig.now)
        session.closed(rig.now)
    came = len(one.engine.items)
    assert 3 < came < 404 and one.consistent()
    assert one.engine.levels()["sessions"] == 0
    Wire(one, other).run()
    assert len(one.engine.items) == 404


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        encoding.encode([9]),
        encoding.encode([0, b"short", 1, "agent"]),
        encoding.encode([2, []]),
        encoding.encode([2, [b"x"]]),
        encoding.encode([4, [b""]]),
        encoding.encode([5, -1]),
        encoding.encode([3, 5, b"", 4, b""]),
        frames.neg(b"\x61\x80"),
        frames.done(1),
        bytes(300_000),
    ],
)
def test_a_frame_that_is_none_ends_the_session_and_costs_score(frame: bytes) -> None:
    _, one, other, _ = pair(0)
    for place in (0, 1):
        wire = Wire(one, other)
        wire.sides[place][0].engine.tick(one.now)
        before = wire.sides[place][0].snapshot()
        rig, session = wire.sides[place]
        session.start(rig.now)
        session.pull(rig.now)
        wire.deliver(place, frame)
        assert [e.points for e in of_type(wire.effects[place], Penalise)] == [20.0]
        last = session.pull(rig.now)
        assert last is not None and isinstance(frames.decode(last), frames.Error)
        assert session.pull(rig.now) is None and session.over and not session.ok
        assert rig.snapshot() == before
        wire.sides[1 - place][1].closed(rig.now)


def test_another_federation_is_refused_and_not_blamed() -> None:
    _, one, other, _ = pair(0)
    wire = Wire(one, other)
    rig, session = wire.sides[1]
    session.start(rig.now)
    wire.deliver(1, frames.hello(b"\x01" * 32, 0, "x"))
    assert of_type(wire.effects[1], Penalise) == []
    assert frames.decode(session.pull(rig.now) or b"") == frames.Error("wrong_federation", "")


def test_records_that_nobody_asked_for_end_the_session() -> None:
    world, one, other, records = pair(3)
    wire = Wire(one, other)
    rig, session = wire.sides[0]
    session.start(rig.now)
    wire.deliver(0, frames.hello(world.founding.fed, 0, "x"))
    before = rig.snapshot()
    wire.deliver(0, next(frames.records([records[0].encode()])))
    assert [e.code for e in of_type(wire.effects[0], Penalise)] == ["malformed"]
    assert rig.snapshot() == before


def test_a_peer_that_sends_forgeries_loses_score_and_then_the_session() -> None:
    world, one, other, _ = pair(0)
    member = world.make_member(0, "Ada")
    wire = Wire(one, other)
    rig, session = wire.sides[1]
    session.start(rig.now)
    wire.deliver(1, frames.hello(world.founding.fed, 0, "x"))
    before = rig.snapshot()
    forged = [
        (o := world.offer(member)).encode().replace(o.signature, bytes(31) + b"\x01" + bytes(32))
        for _ in range(bounds.SYNC_INVALID_MAX)
    ]
    wire.deliver(1, next(frames.records(forged)))
    assert of_type(wire.effects[1], Penalise)[0].points == bounds.POINTS_PER_CALL_MAX
    while session.pull(rig.now) is not None:
        pass
    assert session.over and rig.snapshot() == before


def test_what_a_peer_names_and_withholds_is_not_asked_for_again_at_once() -> None:
    _, one, other, records = pair(3)
    fill(other, records)
    withheld = records[2]
    true = other.engine.encoded
    other.engine.encoded = lambda ids: [  # type: ignore[method-assign]
        data for data in true(ids) if data != withheld.encode()
    ]
    Wire(one, other).run()
    assert not one.live(withheld)
    later = one.now + bounds.REFUSED_LIFETIME_S
    assert not one.engine.wants(other.key, withheld.id, one.now)
    assert one.engine.wants(b"o" * 32, withheld.id, one.now), "others may bring it"
    assert one.engine.wants(other.key, withheld.id, later)


def test_a_session_ends_with_its_time_and_says_there_is_more() -> None:
    _, one, other, _ = pair(0)
    wire = Wire(one, other)
    _, session = wire.sides[0]
    session.start(one.now)
    assert session.pull(one.now) is not None
    assert session.receive(b"", one.now + bounds.SYNC_SESSION_S_MAX + 1) is None
    assert session.over and session.more and not session.ok


def test_a_runner_that_skips_the_verification_is_told() -> None:
    world, one, other, records = pair(1)
    wire = Wire(one, other)
    rig, session = wire.sides[1]
    session.start(rig.now)
    wire.deliver(1, frames.hello(world.founding.fed, 0, "x"))
    assert session.receive(next(frames.records([records[0].encode()])), rig.now) is not None
    with pytest.raises(LocalError):
        session.receive(frames.done(1), rig.now)


def test_an_introduction_brings_a_new_key_to_whoever_takes_it_for_a_stranger() -> None:
    world = founded()
    away = Rig(world, 1)
    away.submit(*world.profiles())
    old = world.coops[0]
    new = world.key("new node key")
    previous = [{"key": old.node.public, "until_at": world.now - 5}]
    profile = world.profile(0, node=new, rev=1, at=world.now, previous=previous)
    home = Rig(world, 0)
    assert home.engine.introduction() is None
    home.submit(*world.profiles(), profile)
    home.engine._node_key = new.public  # pyright: ignore[reportPrivateUsage]
    said = home.engine.introduction()
    assert said is not None and not away.engine.admitted(new.public)
    away.engine.introduced(new.public, said, away.now, away.verify)
    assert away.engine.admitted(new.public)


def test_an_introduction_carries_nothing_but_identity() -> None:
    _, one, _, records = pair(2)
    fill(one, records[:1])
    before = one.snapshot()
    said = encode_batches([record.encode() for record in records[1:]])[0]
    assert one.engine.introduced(b"x" * 32, said, one.now, one.verify) == []
    assert one.snapshot() == before
    effects = one.engine.introduced(b"x" * 32, b"garbage", one.now, one.verify)
    assert [e.points for e in of_type(effects, Penalise)] == [20.0]


@given(st.binary(max_size=200))
def test_reading_a_frame_never_raises_anything_but_malformed(data: bytes) -> None:
    try:
        frames.decode(data)
    except Malformed:
        pass


def test_every_frame_reads_back_as_what_was_written() -> None:
    fed = b"\x05" * 32
    assert frames.decode(frames.hello(fed, 7, "x" * 99)) == frames.Hello(fed, 7, "x" * 64)
    assert frames.decode(frames.neg(b"m")) == frames.Neg(b"m")
    assert frames.decode(frames.want([fed])) == frames.Want((fed,))
    assert frames.decode(frames.want_range(EVERYTHING)) == frames.WantRange(EVERYTHING)
    assert frames.decode(frames.done(3)) == frames.Done(3)
    assert frames.decode(frames.error("quota", "t")) == frames.Error("quota", "t")
    many = [bytes([n % 256]) * 18_000 for n in range(10)]
    made = list(frames.records(many))
    assert all(len(frame) <= 65_536 for frame in made)
    read = [frames.decode(frame) for frame in made]
    assert [r for f in read if isinstance(f, frames.Records) for r in f.records] == many


def test_records_are_read_ahead_and_judged_in_order_and_what_asks_waits() -> None:
    world, one, other, records = pair(4)
    wire = Wire(one, other)
    rig, session = wire.sides[1]
    session.start(rig.now)
    wire.deliver(1, frames.hello(world.founding.fed, 0, "x"))
    batches = [
        session.receive(next(frames.records([record.encode()])), rig.now) for record in records[:3]
    ]
    assert session.unverified == 3 and not session.takes(frames.done(3))
    for prepared in batches:
        assert prepared is not None
        session.verified(rig.verify(prepared.items), rig.now)
    assert all(rig.live(record) for record in records[:3]) and session.takes(frames.done(3))
    assert session.receive(frames.done(3), rig.now) is None
    while session.pull(rig.now) is not None:
        pass
    assert session.over and session.ok and session.stored == 3
