"""An amount is split exactly, fairly, and alike on every node."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.protocol.errors import LocalError
from maillon.protocol.limits import INT_MAX
from maillon.protocol.splitting import group_shares, shares

A, B, C = (bytes([at]) * 49 for at in (1, 2, 3))

members = st.dictionaries(
    st.binary(min_size=33, max_size=33), st.integers(0, 1_000_000), min_size=1, max_size=32
).filter(lambda parts: any(parts.values()))
amounts = st.integers(0, INT_MAX) | st.integers(0, 500)


@given(amounts, members)
def test_nothing_is_lost_and_nothing_is_added(amount: int, parts: dict[bytes, int]) -> None:
    assert sum(units for _, units in shares(amount, parts.items())) == amount


@given(amounts, members)
def test_nobody_is_a_whole_unit_away_from_the_exact_share(
    amount: int, parts: dict[bytes, int]
) -> None:
    total = sum(parts.values())
    for author, units in shares(amount, parts.items()):
        exact = Fraction(amount * parts[author], total)
        assert abs(units - exact) < 1
        if parts[author] == 0:
            assert units == 0


@given(amounts, members, st.randoms(use_true_random=False))
def test_the_order_of_the_members_changes_nothing(
    amount: int, parts: dict[bytes, int], random: object
) -> None:
    shuffled = list(parts.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own Random
    assert dict(shares(amount, shuffled)) == dict(shares(amount, parts.items()))


@given(amounts, members)
def test_who_has_the_greater_share_never_gets_less(amount: int, parts: dict[bytes, int]) -> None:
    split = dict(shares(amount, parts.items()))
    ranked = sorted(parts, key=lambda author: parts[author])
    for lesser, greater in zip(ranked, ranked[1:], strict=False):
        if parts[lesser] < parts[greater]:
            assert split[lesser] <= split[greater]


def test_a_unit_that_is_left_goes_to_the_lesser_author_among_equals() -> None:
    assert shares(1, [(B, 1), (A, 1)]) == [(B, 0), (A, 1)]


def test_a_group_splits_by_share_alike_or_to_who_did_the_work() -> None:
    parts = [(A, 3), (B, 1), (C, 0)]
    assert group_shares(8, parts, "shares") == [(A, 6), (B, 2)]
    assert group_shares(8, parts, "equal") == [(A, 3), (B, 3), (C, 2)]
    assert group_shares(8, parts, "performer", C) == [(C, 8)]
    assert group_shares(0, parts, "shares") == []


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        (-1, [(A, 1)]),
        (INT_MAX + 1, [(A, 1)]),
        (1, []),
        (1, [(A, 0), (B, 0)]),
        (1, [(A, 2), (B, -1)]),
        (1, [(A, 1), (A, 1)]),
    ],
)
def test_what_cannot_be_split_is_refused(amount: int, parts: list[tuple[bytes, int]]) -> None:
    with pytest.raises(LocalError):
        shares(amount, parts)


@pytest.mark.parametrize(
    ("split", "performer"), [("lot", A), ("performer", None), ("performer", C)]
)
def test_a_group_does_not_split_to_strangers_or_by_no_rule(
    split: str, performer: bytes | None
) -> None:
    with pytest.raises(LocalError):
        group_shares(1, [(A, 1), (B, 1)], split, performer)
