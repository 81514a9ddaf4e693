"""What the engine may rely on, of the store of a node and of the simulator's alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from maillon.node.store.memory import MemoryStore
from maillon.node.store.sqlite import SqliteStore
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.records import priority, thing_id
from support.world import NOW, Member, World

AnyStore = MemoryStore | SqliteStore
Make = Callable[[], AnyStore]
HOUR = 3600


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    made = SqliteStore(tmp_path / "node.db")
    yield made
    made.close()


@pytest.fixture
def world() -> World:
    return World(coops_count=2, seed="store")


def valid(signed: Signed, member: Member, role: str = "member") -> Valid:
    return Valid(signed, member.author, thing_id(member.author, signed.header.series), role)


def offer(world: World, member: Member, n: int = 0, **fields: object) -> Valid:
    return valid(world.offer(member, f"Titre {n}", **fields), member)  # type: ignore[arg-type]


def snapshot(store: AnyStore) -> object:
    ids = list(store.iterate_live())
    return ids, store.count_live(), store.encoded([id for _at, id in ids])


def test_a_record_put_is_known_live_current_and_read_back_byte_for_byte(
    store: AnyStore, world: World
) -> None:
    alice = world.make_member(0, "alice")
    one = offer(world, alice)
    assert not store.known(one.signed.id)
    with store.batch():
        store.put(one)
        # Asked inside the transaction, nothing is hidden.
        assert store.known(one.signed.id) and store.live(one.signed.id)
        head = store.head(alice.author, one.signed.header.series)
        assert head is not None and head.id == one.signed.id
        assert store.get(one.signed.id) == one.signed
    assert store.known(one.signed.id) and store.live(one.signed.id)
    head = store.head(alice.author, one.signed.header.series)
    assert head is not None
    header = one.signed.header
    assert (head.id, head.rev, head.at, head.until, head.kind) == (
        one.signed.id, 0, header.at, header.until, "offer",
    )  # fmt: skip
    assert store.get(one.signed.id) == one.signed
    assert store.header(one.signed.id) == header
    assert store.encoded([one.signed.id]) == [one.signed.encode()]
    assert store.count_live() == {"offer": 1}
    assert store.head(b"p" + bytes(48), header.series) is None
    assert store.head(alice.author, bytes(16)) is None


def test_what_is_known_is_the_same_whether_it_was_expected_or_not(
    store: AnyStore, world: World
) -> None:
    alice = world.make_member(0, "alice")
    before, retired, later, waiting = (offer(world, alice, n) for n in range(4))
    store.put(before)
    store.put(retired)
    store.retire(retired.signed.id, reason="revoked")
    # One that begins as a known one does: found in the same place, and another all the same.
    twin = before.signed.id[:8] + bytes(24)
    ids = [valid.signed.id for valid in (before, retired, later, waiting)]
    store.expect([*ids, twin, *ids])
    assert [store.known(id) for id in [*ids, twin]] == [True, True, False, False, False]
    with store.batch():
        store.put(later)
        store.expect([*ids, twin])
        assert [store.known(id) for id in [*ids, twin]] == [True, True, True, False, False]
        store.put(waiting)
    assert all(store.known(id) for id in ids)
    assert [store.live(id) for id in [*ids, twin]] == [True, False, True, True, False]
    store.expect([])


def test_a_retired_record_keeps_its_header_and_loses_everything_else(
    store: AnyStore, world: World
) -> None:
    alice = world.make_member(0, "alice")
    one = offer(world, alice)
    store.put(one)
    store.retire(one.signed.id, reason="superseded")
    assert store.known(one.signed.id) and not store.live(one.signed.id)
    assert store.get(one.signed.id) == one.signed.without_payload()
    assert store.header(one.signed.id) == one.signed.header
    assert store.head(alice.author, one.signed.header.series) is None
    assert store.encoded([one.signed.id]) == []
    assert list(store.iterate_live()) == []
    assert store.encoded_range((0, b""), (1 << 53, b""), 10) == []
    assert store.count_live() == {}
    assert store.signed_by(alice.key.public) == []


def test_a_retired_record_can_be_put_again_with_its_payload(
    store: AnyStore, world: World
) -> None:
    alice = world.make_member(0, "alice")
    one = offer(world, alice)
    store.put(one)
    store.retire(one.signed.id, reason="revoked")
    with store.batch():
        store.put(one)
    assert store.live(one.signed.id)
    assert store.get(one.signed.id) == one.signed
    assert store.count_live() == {"offer": 1}
    assert [id for _at, id in store.iterate_live()] == [one.signed.id]


def test_a_revision_takes_the_place_of_what_it_replaces(store: AnyStore, world: World) -> None:
    alice = world.make_member(0, "alice")
    first = offer(world, alice)
    second = offer(world, alice, 1, rev=1, series=first.signed.header.series)
    with store.batch():
        store.put(first)
        store.retire(first.signed.id, reason="superseded")
        store.put(second)
    head = store.head(alice.author, first.signed.header.series)
    assert head is not None and (head.id, head.rev) == (second.signed.id, 1)
    assert store.known(first.signed.id) and not store.live(first.signed.id)


def test_an_exception_undoes_the_whole_batch(store: AnyStore, world: World) -> None:
    alice = world.make_member(0, "alice")
    kept = offer(world, alice)
    store.put(kept)
    before = snapshot(store)
    other = offer(world, alice, 1)
    with pytest.raises(KeyError), store.batch():
        store.put(other)
        with store.batch():
            store.retire(kept.signed.id, reason="withdrawn")
        store.forget_expired(kept.signed.header.until + 1, 10)
        raise KeyError
    assert snapshot(store) == before
    assert not store.known(other.signed.id)
    assert store.get(kept.signed.id) == kept.signed
    # And it can be used on.
    store.put(other)
    assert store.live(other.signed.id)


def test_an_inner_failure_that_is_caught_still_undoes_the_whole_batch(
    store: AnyStore, world: World
) -> None:
    from maillon.node.store.database import StoreError

    alice = world.make_member(0, "alice")
    one = offer(world, alice)
    with pytest.raises(StoreError), store.batch():
        store.put(one)
        try:
            with store.batch():
                raise KeyError
        except KeyError:
            pass
    assert not store.known(one.signed.id)


def test_expired_records_are_forgotten_header_and_all_in_bounded_slices(
    store: AnyStore, world: World
) -> None:
    alice = world.make_member(0, "alice")
    records = [offer(world, alice, n, until=NOW + HOUR * (n + 1)) for n in range(6)]
    for record in records:
        store.put(record)
    store.retire(records[0].signed.id, reason="superseded")
    assert store.forget_expired(NOW, 10) == []
    # `until` itself still counts; the second later it does not.
    assert store.forget_expired(NOW + HOUR, 10) == []
    first = store.forget_expired(NOW + 4 * HOUR + 1, 2)
    # The retired one was not live: nothing is told of it.
    assert first == [(records[1].signed.header.at, records[1].signed.id)]
    second = store.forget_expired(NOW + 4 * HOUR + 1, 10)
    assert {id for _at, id in second} == {records[2].signed.id, records[3].signed.id}
    assert [store.known(record.signed.id) for record in records] == [False] * 4 + [True] * 2
    assert store.count_live() == {"offer": 2}
    assert len(store.signed_by(alice.key.public)) == 2


def test_records_leave_in_the_order_in_which_they_rest_on_each_other(
    store: AnyStore, world: World
) -> None:
    alice = world.make_member(0, "alice")
    coop = world.coops[0]
    signed: list[Valid] = []
    for n in range(3):
        signed.append(offer(world, alice, n, at=NOW - 100 + n))
    member = world.membership(alice)
    signed.append(Valid(member, coop.author, thing_id(coop.author, member.header.series), "node"))
    for profile, owner in zip(world.profiles(), world.coops, strict=False):
        signed.append(
            Valid(profile, owner.author, thing_id(owner.author, profile.header.series), "root")
        )
    random.Random(1).shuffle(signed)
    with store.batch():
        for item in signed:
            store.put(item)
    expected = sorted(
        signed, key=lambda v: (priority(v.signed.header.kind), v.signed.header.at, v.signed.id)
    )
    ids = [item.signed.id for item in signed]
    assert store.encoded(ids + ids) == [item.signed.encode() for item in expected]
    assert store.encoded([bytes(32)]) == []


def test_ranges_hold_exactly_what_lies_between_their_ends(store: AnyStore, world: World) -> None:
    alice = world.make_member(0, "alice")
    # Many of the same second: then the id decides.
    records = [offer(world, alice, n, at=NOW - 50 + n // 5) for n in range(25)]
    with store.batch():
        for record in records:
            store.put(record)
    order = sorted((r.signed.header.at, r.signed.id, r.signed.encode()) for r in records)
    assert list(store.iterate_live()) == [(at, id) for at, id, _data in order]
    assert store.encoded_range((0, b""), (1 << 53, b""), 100) == order
    for low, high in [(3, 17), (0, 25), (7, 7), (9, 4), (20, 24)]:
        ends = [(order[i][0], order[i][1]) if i < 25 else (1 << 53, b"") for i in (low, high)]
        assert store.encoded_range(ends[0], ends[1], 100) == order[low:high]
        assert store.encoded_range(ends[0], ends[1], 3) == order[low:high][:3]
    # A shortened id stands before all that begin with it.
    cut = (order[12][0], order[12][1][:4])
    assert store.encoded_range(cut, (1 << 53, b""), 1) == [order[12]]


def test_identity_is_read_back_as_it_was_judged(store: AnyStore, world: World) -> None:
    alice, bob = world.make_member(0, "alice"), world.make_member(1, "bob")
    put: list[Valid] = []
    for member, coop in ((alice, world.coops[0]), (bob, world.coops[1])):
        record = world.membership(member)
        put.append(
            Valid(record, coop.author, thing_id(coop.author, record.header.series), "node")
        )
    put.append(offer(world, alice))
    for item in put:
        store.put(item)
    order = sorted(put[:2], key=lambda v: (v.signed.header.at, v.signed.id))
    assert list(store.by_kinds(["membership"])) == order
    assert list(store.by_kinds(["offer", "membership"])) == sorted(
        put, key=lambda v: (v.signed.header.at, v.signed.id)
    )
    assert list(store.by_kinds(["mandate"])) == []
    assert list(store.by_kinds([])) == []


def test_records_are_found_by_signer_mandate_and_reference(store: AnyStore, world: World) -> None:
    alice, bob = world.make_member(0, "alice"), world.make_member(1, "bob")
    mandate = world.mandate(alice, bob, kinds=["offer"])
    thing = world.mandate_thing(alice, mandate)
    store.put(valid(mandate, alice))
    own = offer(world, bob)
    store.put(own)
    # Signed by bob, in alice's name: alice's series.
    under = world.offer(bob, "Au nom d'un autre", as_=thing)
    store.put(Valid(under, alice.author, thing_id(alice.author, under.header.series), "member"))
    pointing = world.attestation(alice, bytes([7]) * 32, bob.author)
    store.put(valid(pointing, alice))
    assert dict(store.signed_by(bob.key.public)) == {
        own.signed.id: own.signed.header,
        under.id: under.header,
    }
    assert store.under_mandate(thing) == [(under.id, under.header)]
    assert store.under_mandate(bytes(32)) == []
    assert store.referring(bytes([7]) * 32) == [(pointing.id, pointing.header)]
    assert store.referring(thing) == []
    store.retire(under.id, reason="revoked")
    assert store.under_mandate(thing) == []
    assert store.signed_by(bob.key.public) == [(own.signed.id, own.signed.header)]


@pytest.mark.parametrize("seed", range(3))
def test_both_stores_answer_alike_whatever_is_done(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    world = World(coops_count=2, seed=f"alike {seed}")
    members = [world.make_member(n % 2, f"m{n}") for n in range(4)]
    stores: list[AnyStore] = [MemoryStore(), SqliteStore(tmp_path / "node.db")]
    all_records: list[Valid] = []
    for n in range(120):
        at, until = NOW - rng.randrange(20), NOW + rng.randrange(5, 60)
        all_records.append(offer(world, rng.choice(members), n, at=at, until=until))
    for step in range(60):
        actions: list[Callable[[AnyStore], object]] = []
        for _ in range(rng.choice([1, 2, 8])):
            record = rng.choice(all_records)
            what = rng.random()
            if what < 0.7 and record.signed.header.until >= NOW + step:
                actions.append(partial(_put_or_retire, record))
            elif what < 0.9:
                actions.append(partial(_forget, NOW + step))
            else:
                actions.append(partial(_get, record.signed.id))
        answers: list[list[object]] = []
        fails = rng.random() < 0.15
        for store in stores:
            got: list[object] = []
            try:
                with store.batch():
                    got.extend(action(store) for action in actions)
                    if fails:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            answers.append(got)
        assert answers[0] == answers[1]
        assert snapshot(stores[0]) == snapshot(stores[1])
        if step % 20 == 13:
            reopened = stores[1]
            assert isinstance(reopened, SqliteStore)
            reopened.close()
            stores[1] = SqliteStore(tmp_path / "node.db")
    for record in all_records:
        id, header = record.signed.id, record.signed.header
        assert stores[0].get(id) == stores[1].get(id)
        assert stores[0].head(record.author, header.series) == stores[1].head(
            record.author, header.series
        )
    for member in members:
        key = member.key.public
        assert stores[0].signed_by(key) == stores[1].signed_by(key)
    last = stores[1]
    assert isinstance(last, SqliteStore)
    assert last.check() == []
    last.close()


def _put_or_retire(record: Valid, store: AnyStore) -> bool:
    id = record.signed.id
    if store.live(id):
        store.retire(id, reason="withdrawn")
        return False
    store.put(record)
    return True


def _forget(now: int, store: AnyStore) -> list[tuple[int, bytes]]:
    # All at once: which of several go first is each store's own choice.
    return sorted(store.forget_expired(now, 1_000))


def _get(id: bytes, store: AnyStore) -> Signed | None:
    return store.get(id)
