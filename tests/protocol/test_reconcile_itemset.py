"""Claims about the ordered set: it says what a plain Python set says, and never rebuilds."""

from __future__ import annotations

import hashlib
import random
from bisect import insort

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from maillon.protocol.errors import LocalError
from maillon.protocol.reconcile import INFINITY, MIN_BOUND, Bound, ItemSet
from maillon.protocol.reconcile.itemset import encode_varint

Item = tuple[int, bytes]

SEED = 20_260_501


def naive_fingerprint(items: list[Item]) -> bytes:
    """Say it as spec/05 does, one id at a time."""
    total = sum(int.from_bytes(id_, "little") for _, id_ in items) % 2**256
    digest = hashlib.sha256(total.to_bytes(32, "little") + encode_varint(len(items)))
    return digest.digest()[:16]


def _plain(data: bytes) -> bytes:
    return bytes(byte & 1 for byte in data).ljust(32, b"\0")


def _bound(timestamp: int, prefix: bytes) -> Bound:
    return Bound(timestamp, prefix.rstrip(b"\0"))


# Few distinct bytes and times, so that collisions, shared prefixes and equal times are common.
plain_ids: st.SearchStrategy[bytes] = st.binary(max_size=32).map(_plain)
times = st.one_of(
    st.integers(0, 3), st.integers(1_700_000_000, 1_700_000_050), st.just(2**64 - 2)
)
items_ = st.tuples(times, st.one_of(plain_ids, st.binary(min_size=32, max_size=32)))
bounds = st.builds(_bound, times, st.binary(max_size=32)) | st.sampled_from([MIN_BOUND, INFINITY])


def below(item: Item, bound: Bound) -> bool:
    """Compare as spec/05 says: missing prefix bytes are zeros."""
    return (item[0], item[1]) < (bound.timestamp, bound.prefix.ljust(32, b"\0"))


class SetMachine(RuleBasedStateMachine):
    """Drive an `ItemSet` and a Python set side by side."""

    @initialize(start=st.lists(items_, max_size=30), many=st.integers(0, 2_000))
    def begin(self, start: list[Item], many: int) -> None:
        rng = random.Random(many)
        crowd = [(1_700_000_000 + rng.randrange(50), rng.randbytes(32)) for _ in range(many)]
        self.model = set(start) | set(crowd)
        self.items = ItemSet([*crowd, *start, *start])

    @rule(item=items_)
    def add(self, item: Item) -> None:
        assert self.items.add(*item) is (item not in self.model)
        self.model.add(item)

    @rule(item=items_)
    def discard(self, item: Item) -> None:
        assert self.items.discard(*item) is (item in self.model)
        self.model.discard(item)

    @rule(share=st.floats(0, 1), seed=st.integers(0, 2**32))
    def discard_many(self, share: float, seed: int) -> None:
        for item in random.Random(seed).sample(
            sorted(self.model), int(len(self.model) * share)
        ):
            assert self.items.discard(*item)
            self.model.discard(item)

    @rule(count=st.integers(1, 700), seed=st.integers(0, 2**32), late=st.booleans())
    def add_many(self, count: int, seed: int, late: bool) -> None:
        rng = random.Random(seed)
        for step in range(count):
            at = 1_700_000_100 + step if late else 1_700_000_000 + rng.randrange(50)
            item = (at, rng.randbytes(32))
            assert self.items.add(*item) is (item not in self.model)
            self.model.add(item)

    @rule(lower=bounds, upper=bounds, limit=st.integers(1, 40))
    def ask(self, lower: Bound, upper: Bound, limit: int) -> None:
        ordered = sorted(self.model)
        low, high = self.items.lower_bound(lower), self.items.lower_bound(upper)
        assert low == sum(below(item, lower) for item in ordered)
        assert high == sum(below(item, upper) for item in ordered)
        inside = [item for item in ordered if not below(item, lower) and below(item, upper)]
        assert self.items.page(lower, upper, limit) == inside[:limit]
        if low <= high:
            assert self.items.range_fingerprint(low, high) == naive_fingerprint(inside)
            assert list(self.items.ids(low, high)) == [id_ for _, id_ in inside]

    @rule(data=st.data())
    def separate(self, data: st.DataObject) -> None:
        if not self.model:
            return
        ordered = sorted(self.model)
        index = data.draw(st.integers(0, len(ordered)))
        bound = self.items.split_bound(index)
        assert self.items.lower_bound(bound) == index
        if 0 < index < len(ordered):
            assert self.items.item(index) == ordered[index]
            shorter = Bound(bound.timestamp, bound.prefix[:-1].rstrip(b"\0"))
            if bound.prefix:
                assert self.items.lower_bound(shorter) < index

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "items"):
            return
        assert len(self.items) == len(self.model)
        assert self.items.range_fingerprint(0, len(self.items)) == naive_fingerprint(
            list(self.model)
        )

    def teardown(self) -> None:
        if hasattr(self, "items"):
            assert list(self.items) == sorted(self.model)
            assert all(item in self.items for item in self.model)


SetMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
test_the_set_says_what_a_plain_set_says = SetMachine.TestCase


def many(count: int, seed: int = SEED) -> list[Item]:
    rng = random.Random(seed)
    at = 1_700_000_000
    items: list[Item] = []
    for _ in range(count):
        at += rng.randrange(3)
        items.append((at, rng.randbytes(32)))
    return sorted(items)


def test_one_more_among_a_million_touches_a_handful_of_blocks_and_rebuilds_nothing() -> None:
    items = ItemSet(many(1_000_000))
    rng = random.Random(SEED)
    items.range_fingerprint(0, len(items))
    # A block found, a block written, perhaps a block split off; no index is brought up to date
    # before a question needs it.
    for _ in range(200):
        item = (1_700_000_000 + rng.randrange(1_000_000), rng.randbytes(32))
        before = items.work
        assert items.add(*item)
        assert items.work - before <= 4
        before = items.work
        assert items.discard(*item)
        assert items.work - before <= 5
    # The newest record touches only the end, and a question then reads only the end again.
    items.range_fingerprint(0, len(items))
    before = items.work
    assert items.add(1_900_000_000, bytes(32))
    items.range_fingerprint(len(items) - 1_000, len(items))
    assert items.work - before <= 10
    # Wherever the record went, a question goes through the index once and not through the blocks:
    # a million items have fewer than 4,000 entries there.
    assert items.add(1_600_000_000, bytes(32))
    before = items.work
    items.range_fingerprint(3, len(items) - 3)
    assert items.work - before <= 4_000


@pytest.mark.parametrize("where", ["anywhere", "in front", "at the end"])
def test_every_range_is_right_after_every_few_changes_while_a_set_grows_and_shrinks(
    where: str,
) -> None:
    rng = random.Random(f"{SEED} {where}")
    items, ordered = ItemSet(), list[Item]()

    def ask() -> None:
        low, high = sorted((rng.randrange(len(ordered) + 1), rng.randrange(len(ordered) + 1)))
        for begin, end in ((low, high), (low, min(low + 9, high)), (0, len(ordered))):
            assert items.range_fingerprint(begin, end) == naive_fingerprint(ordered[begin:end])
        if low < len(ordered):
            assert items.item(low) == ordered[low]
            assert items.lower_bound(items.split_bound(low)) == low
            assert ordered[low] in items

    for step in range(2_500):
        at = {"anywhere": rng.randrange(10**6), "in front": 10**6 - step, "at the end": step}
        item = (at[where], rng.randbytes(32))
        assert items.add(*item)
        insort(ordered, item)
        if step % 9 == 0:
            ask()
    while ordered:
        # Neighbours go together now and then, so that blocks become small and join.
        begin = rng.randrange(len(ordered))
        for item in ordered[begin : begin + rng.choice([1, 1, 60])]:
            assert items.discard(*item)
            ordered.remove(item)
        ask()
    assert len(items) == 0 and list(items) == []


@pytest.mark.parametrize("position", [0, 1, 255, 256, 257, 400, 511, 512])
def test_a_full_block_splits_rightly_wherever_the_next_item_falls(position: int) -> None:
    rng = random.Random(SEED)
    ordered = [(2 * k, rng.randbytes(32)) for k in range(1, 513)]
    items = ItemSet()
    for item in ordered:
        items.add(*item)
    # The answer before the split must not be taken for the one after it.
    assert items.range_fingerprint(0, 512) == naive_fingerprint(ordered)
    late = (2 * position + 1, rng.randbytes(32))
    assert items.add(*late)
    ordered.insert(position, late)
    for index in range(513):
        assert items.item(index) == ordered[index]
    for low in range(0, 513, 16):
        assert items.range_fingerprint(low, 513) == naive_fingerprint(ordered[low:])


def test_loading_in_any_order_gives_the_same_set() -> None:
    ordered = many(60_000)
    shuffled = ordered.copy()
    random.Random(SEED).shuffle(shuffled)
    first, second = ItemSet(ordered), ItemSet(shuffled + ordered[:500])
    assert len(first) == len(second) == 60_000
    assert list(first) == list(second) == sorted(ordered)
    for low, high in ((0, 60_000), (1, 59_999), (12_345, 12_346), (20_000, 45_678)):
        expected = naive_fingerprint(sorted(ordered)[low:high])
        assert first.range_fingerprint(low, high) == expected
        assert second.range_fingerprint(low, high) == expected


def test_the_set_shrinks_when_its_items_go() -> None:
    ordered = many(20_000)
    items = ItemSet(ordered)
    for item in ordered[::2] + ordered[1::2][100:]:
        assert items.discard(*item)
    assert list(items) == ordered[1::2][:100]
    assert items.discard(*ordered[0]) is False
    assert items.range_fingerprint(0, 100) == naive_fingerprint(ordered[1::2][:100])


def test_iterating_goes_on_after_what_it_has_shown_while_the_set_changes() -> None:
    ordered = many(5_000)
    items = ItemSet(ordered)
    seen: list[Item] = []
    for number, item in enumerate(items):
        seen.append(item)
        if number % 50 == 0:
            items.discard(*item)
            items.add(item[0] - 1_000_000, bytes(32))
    assert seen == ordered


@pytest.mark.parametrize(
    "item",
    [(0, b""), (0, bytes(31)), (0, bytes(33)), (-1, bytes(32)), (2**64 - 1, bytes(32))],
    ids=["no id", "short id", "long id", "negative time", "infinite time"],
)
def test_what_is_no_item_is_refused_and_nothing_changes(item: Item) -> None:
    items = ItemSet([(1, bytes(32))])
    for act in (items.add, items.discard):
        with pytest.raises(LocalError):
            act(*item)
    with pytest.raises(LocalError):
        items.load([item])
    assert list(items) == [(1, bytes(32))]


def test_an_index_outside_the_set_is_an_error() -> None:
    items = ItemSet([(1, bytes(32))])
    for index in (-1, 1):
        with pytest.raises(IndexError):
            items.item(index)


@given(st.integers(0, 2**64 - 1))
def test_varints_have_no_leading_zero_and_seven_bits_a_byte(value: int) -> None:
    encoded = encode_varint(value)
    assert encoded[0] != 0x80
    assert all(byte & 0x80 for byte in encoded[:-1]) and not encoded[-1] & 0x80
    assert sum((byte & 0x7F) << 7 * k for k, byte in enumerate(reversed(encoded))) == value
