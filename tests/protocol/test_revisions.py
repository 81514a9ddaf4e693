"""Which revision is current (spec/03, "Revisions")."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maillon.protocol.envelope import Signed
from maillon.protocol.revisions import (
    Keep,
    Replace,
    Stale,
    current_of,
    decide,
    is_withdrawal,
    order_key,
)
from support.world import World

W = World(seed="revisions")
ALICE = W.make_member(0, "alice")
FIRST = W.offer(ALICE)
SERIES = FIRST.header.series
REVISIONS = [
    FIRST,
    *(W.offer(ALICE, f"t{at}{rev}", rev=rev, at=W.now + at, series=SERIES)
      for rev in (0, 1, 2) for at in (-1, 0, 0, 1)),
    W.withdrawal(FIRST, ALICE.key, ALICE.coop, rev=1),
]  # fmt: skip


def _head(records: list[Signed]) -> Signed:
    """Learn records one by one and return the current one."""
    head: Signed | None = None
    for signed in records:
        known = None if head is None else (head.header, head.id)
        match decide((signed.header, signed.id), known):
            case Keep() | Replace():
                head = signed
            case Stale(current):
                assert head is not None and current == head.id
    assert head is not None
    return head


@given(st.permutations(REVISIONS))
def test_the_current_revision_is_the_same_in_every_order(records: list[Signed]) -> None:
    expected = max(REVISIONS, key=lambda r: (r.header.rev, r.header.at, r.id))
    assert _head(records) == expected == current_of(records)


def test_a_revision_counts_before_the_clock_and_the_clock_before_the_id() -> None:
    by_key = {(r.header.rev, r.header.at, r.id): r for r in REVISIONS}
    assert sorted(by_key) == sorted(order_key(r.header, r.id) for r in REVISIONS)
    low, high = W.offer(ALICE, rev=1, at=W.now + 9), W.offer(ALICE, rev=2, at=W.now - 9)
    assert order_key(low.header, low.id) < order_key(high.header, high.id)


def test_the_same_record_again_changes_nothing() -> None:
    assert decide((FIRST.header, FIRST.id), (FIRST.header, FIRST.id)) == Stale(FIRST.id)


def test_only_the_kind_makes_a_withdrawal() -> None:
    assert is_withdrawal(REVISIONS[-1].header)
    assert not is_withdrawal(FIRST.header)


def test_of_no_records_none_is_current() -> None:
    assert current_of([]) is None
