"""Claims about limits, scores and blocks, without a network and with a clock of the test's own."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node import bounds
from maillon.node.net.ward import Bucket, Ward, address_group

MEMBER = b"m" * 32
STRANGER = b"s" * 32


def ward() -> Ward:
    """Return a ward that counts MEMBER in."""
    return Ward(lambda key: key == MEMBER)


@given(
    st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=50), st.floats(min_value=0, max_value=10)
        ),
        max_size=50,
    )
)
def test_a_bucket_never_lets_through_more_than_its_burst_and_what_refilled(
    takes: list[tuple[float, float]],
) -> None:
    bucket = Bucket(rate=2.0, burst=20.0)
    now = passed = 0.0
    for amount, pause in takes:
        now += pause
        if bucket.allow(amount, now):
            passed += amount
    assert passed <= 20.0 + 2.0 * now + 1e-6


def test_a_bucket_says_how_long_to_wait_for_what_was_taken_beyond_it() -> None:
    bucket = Bucket(rate=10.0, burst=100.0)
    assert bucket.take(100.0, 0.0) == 0.0
    assert bucket.take(50.0, 0.0) == 5.0
    assert bucket.take(0.0, 5.0) == 0.0


def test_a_clock_that_goes_back_refills_nothing() -> None:
    bucket = Bucket(rate=10.0, burst=10.0)
    assert bucket.allow(10.0, 100.0)
    assert not bucket.allow(1.0, 50.0)


def test_points_block_at_the_bound_and_halve_in_the_half_life() -> None:
    blocked: list[bytes] = []
    judge = Ward(lambda key: True, blocked.append)
    assert not judge.penalise(MEMBER, bounds.SCORE_BLOCK - 1, "test", 0.0)
    assert judge.score(MEMBER, bounds.SCORE_HALF_LIFE_S) == (bounds.SCORE_BLOCK - 1) / 2
    assert not judge.penalise(MEMBER, 50.0, "test", bounds.SCORE_HALF_LIFE_S)
    assert blocked == [] and not judge.blocked(MEMBER, bounds.SCORE_HALF_LIFE_S)
    assert judge.penalise(MEMBER, 1.0, "test", bounds.SCORE_HALF_LIFE_S)
    assert blocked == [MEMBER] and judge.blocked(MEMBER, bounds.SCORE_HALF_LIFE_S)
    assert judge.counters == {"penalty_test": 3, "blocked": 1}


def test_each_further_block_lasts_twice_as_long_up_to_a_bound() -> None:
    judge = Ward(lambda key: True)
    now = 0.0
    spans: list[float] = []
    for _ in range(12):
        assert judge.penalise(MEMBER, 1_000.0, "test", now)
        begun = now
        while judge.blocked(MEMBER, now):
            now = judge.standing(MEMBER).blocked_until
        spans.append(now - begun)
    assert spans[:3] == [bounds.BLOCK_S, 2 * bounds.BLOCK_S, 4 * bounds.BLOCK_S]
    assert spans[-1] == bounds.BLOCK_S_MAX


@pytest.mark.parametrize("points", [0.0, -5.0, float("nan"), float("inf"), float("-inf")])
def test_points_that_are_none_change_no_score(points: float) -> None:
    judge = ward()
    assert not judge.penalise(MEMBER, points, "test", 0.0)
    assert judge.score(MEMBER, 0.0) == 0.0 and not judge.blocked(MEMBER, 0.0)


def test_a_blocked_key_is_refused_even_when_admitted() -> None:
    judge = ward()
    judge.block(MEMBER, 10.0, 0.0)
    assert judge.admit_key(MEMBER, 9.0, inbound=True) == "refused_blocked"
    assert judge.admit_key(MEMBER, 11.0, inbound=True) is None


def test_strangers_share_a_few_places_and_members_need_none() -> None:
    judge = ward()
    for number in range(bounds.STRANGERS_MAX):
        assert judge.admit_key(bytes([number]) * 32, 0.0, inbound=True) is None
    assert judge.admit_key(STRANGER, 0.0, inbound=True) == "refused_strangers"
    assert judge.admit_key(MEMBER, 0.0, inbound=True) is None
    assert judge.admit_key(STRANGER, 0.0, inbound=False) is None  # we dialled it
    judge.stranger_gone(bytes(32))
    assert judge.admit_key(STRANGER, 0.0, inbound=True) is None


def test_a_fault_in_the_answer_about_membership_counts_as_no() -> None:
    def broken(key: bytes) -> bool:
        raise KeyError(key)

    judge = Ward(broken)
    assert not judge.admitted(MEMBER)
    assert judge.counters["admit_faults"] == 1


def test_one_address_cannot_use_up_the_handshakes_of_others() -> None:
    judge = ward()
    for _ in range(bounds.HANDSHAKES_PER_ADDRESS_MAX):
        assert judge.admit_address("192.0.2.1", 0.0) is None
    assert judge.admit_address("192.0.2.1", 0.0) is not None
    assert judge.admit_address("192.0.2.2", 0.0) is None
    judge.handshake_over("192.0.2.1")
    judge.connection_over("192.0.2.1")
    assert judge.admit_address("192.0.2.1", 0.0) is None


def test_every_place_given_is_given_back() -> None:
    judge = ward()
    addresses = [f"192.0.2.{n % 7}" for n in range(20)]
    for address in addresses:
        assert judge.admit_address(address, 0.0) is None
    for address in addresses:
        judge.handshake_over(address)
        judge.connection_over(address)
    assert judge.connections == judge.handshakes == 0
    assert judge._by_address == {} and judge._handshakes == {}


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert address_group("2001:db8::1") == address_group("2001:db8::ffff:1")
    assert address_group("2001:db8::1") != address_group("2001:db8:0:1::1")
    assert address_group("::ffff:192.0.2.1") == address_group("192.0.2.1")
    assert address_group("fe80::1%eth0") == address_group("fe80::2")
    assert address_group("not an address") == "not an address"


def test_a_flood_of_new_keys_does_not_wash_out_a_block() -> None:
    judge = ward()
    judge.block(STRANGER, 1_000.0, 0.0)
    for number in range(2 * bounds.STANDINGS_MAX):
        judge.penalise(number.to_bytes(32, "big"), 0.5, "test", 0.0)
    assert judge.blocked(STRANGER, 1.0)
    assert len(judge._standings) <= bounds.STANDINGS_MAX
