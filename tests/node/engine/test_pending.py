"""What waits is bounded, fair, and found again by what it waits for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maillon.node.engine.pending import (
    PendingPool,
    Waiting,
    coop_token,
    key_token,
    record_token,
    thing_token,
)
from maillon.node.engine.refusals import Refusals
from maillon.protocol.envelope import Checked
from support.world import World

WORLD = World(1, seed="pending")
MEMBER = WORLD.make_member(0, "Ada")
CHECKED = [Checked(WORLD.offer(MEMBER)) for _ in range(40)]


def waiting(place: int, peer: bytes = b"p", token: bytes = b"t", since: float = 0.0) -> Waiting:
    return Waiting(CHECKED[place], peer, token, since, False, 100)


def test_only_what_waited_for_it_wakes_in_the_order_it_came() -> None:
    pool = PendingPool()
    for place in range(6):
        pool.add(waiting(place, token=b"one" if place % 2 else b"two"))
    assert [w.checked for w in pool.wake(b"one")] == [CHECKED[1], CHECKED[3], CHECKED[5]]
    assert len(pool) == 3 and pool.wake(b"one") == [] and pool.wake(b"none") == []


def test_a_peer_that_sends_too_much_evicts_its_own_only() -> None:
    pool = PendingPool(records_max=100, peer_records_max=3)
    pool.add(waiting(0, b"honest"))
    for place in range(1, 20):
        pool.add(waiting(place, b"flood"))
    assert CHECKED[0].signed.id in pool and pool.held_for(b"flood") == 3
    assert [CHECKED[place].signed.id in pool for place in (16, 17, 18, 19)] == [
        False, True, True, True,
    ]  # fmt: skip
    assert pool.evicted == 16


def test_a_full_pool_evicts_the_oldest_of_whoever_holds_most() -> None:
    pool = PendingPool(records_max=5, peer_records_max=4)
    pool.add(waiting(0, b"small"))
    for place in range(1, 5):
        pool.add(waiting(place, b"large"))
    pool.add(waiting(5, b"new"))
    assert CHECKED[0].signed.id in pool and CHECKED[1].signed.id not in pool


def test_bytes_are_bounded_too() -> None:
    pool = PendingPool(bytes_max=450, peer_bytes_max=250)
    for place in range(9):
        pool.add(waiting(place, bytes([place % 3])))
    assert pool.bytes_held <= 450 and all(pool.held_for(bytes([n])) <= 2 for n in range(3))


def test_what_waits_too_long_is_let_go_and_a_clock_set_back_lets_go_of_nothing() -> None:
    pool = PendingPool(lifetime_s=10)
    pool.add(waiting(0, since=100.0))
    pool.add(waiting(1, since=105.0))
    assert pool.expire(0.0) == 0
    assert pool.expire(110.0) == 1 and len(pool) == 1


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 3), st.integers(0, 3)), max_size=80))
def test_the_books_balance_whatever_is_done(steps: list[tuple[int, int, int]]) -> None:
    pool = PendingPool(records_max=8, peer_records_max=4, bytes_max=700)
    for place, peer, act in steps:
        if act < 2:
            pool.add(waiting(place, bytes([peer]), bytes([place % 5])))
        elif act == 2:
            pool.discard(CHECKED[place].signed.id)
        else:
            pool.wake(bytes([place % 5]))
        assert len(pool) == len(list(pool)) == sum(pool.held_for(bytes([n])) for n in range(4))
        assert pool.bytes_held == 100 * len(pool) <= 700
    for token in range(5):
        pool.wake(bytes([token]))
    assert len(pool) == 0 and pool.bytes_held == 0


def test_waits_for_different_things_have_different_names() -> None:
    names = [coop_token(b"x"), key_token(b"x", b""), thing_token(b"x"), record_token(b"x")]
    assert len(set(names)) == 4


def test_a_spoilt_copy_is_remembered_of_its_sender_only() -> None:
    refusals = Refusals(lifetime_s=10)
    refusals.by_sender(b"l" * 32, b"i" * 32, "bad_signature", 100.0)
    assert refusals.code(b"l" * 32, b"i" * 32, 105.0) == "bad_signature"
    assert refusals.code(b"h" * 32, b"i" * 32, 105.0) is None
    assert refusals.code(b"l" * 32, b"i" * 32, 110.0) is None
    assert refusals.code(b"l" * 32, b"i" * 32, 50.0) is None, "the clock was set back"


def test_what_the_view_refused_is_forgotten_when_it_changes() -> None:
    refusals = Refusals()
    refusals.by_view(b"i", "membership_revoked", 1.0)
    assert refusals.code(b"anyone", b"i", 2.0) == "membership_revoked"
    refusals.view_changed()
    assert refusals.code(b"anyone", b"i", 2.0) is None


def test_refusals_are_bounded_and_the_oldest_goes() -> None:
    refusals = Refusals(ids_max=8)
    for place in range(50):
        refusals.by_view(bytes([place]), "x", 1.0)
        refusals.by_sender(b"p", bytes([place]), "x", 1.0)
        assert len(refusals) <= 8
    assert refusals.code(b"", bytes([49]), 1.0) == "x" and not refusals.code(b"", b"\0", 1.0)
