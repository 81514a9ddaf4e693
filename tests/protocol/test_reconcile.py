"""Claims about reconciliation: it finds exactly the difference, in bounded bytes and messages."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol import limits
from maillon.protocol.errors import LocalError, Malformed, QuotaExceeded, RemoteError, WrongVersion
from maillon.protocol.reconcile import (
    EVERYTHING,
    INFINITY,
    MIN_BOUND,
    Bound,
    Initiator,
    ItemSet,
    Range,
    Responder,
    parse_message,
)
from maillon.protocol.reconcile.wire import FINGERPRINT, ID_LIST
from support.reconciling import Item, reconcile, timeline, walk

SEED = 20_260_502


def ids_of(items: set[Item] | list[Item]) -> set[bytes]:
    return {id_ for _, id_ in items}


# --- The difference is found exactly ------------------------------------------------------------


@dataclass(frozen=True)
class Sides:
    """Describe two sets by few numbers, so that a failure can be read."""

    seed: int
    clustering: str
    sizes: tuple[int, int, int]
    stretch: bool

    def make(self) -> tuple[list[Item], list[Item]]:
        """Return ours and theirs: common items, and a few or many on one side only."""
        rng = random.Random(f"sides {self.seed}")
        common, ours, theirs = (self._some(count, rng) for count in self.sizes)
        if self.stretch and theirs:
            # We have never seen what is newer than half of theirs.
            since = sorted(theirs)[len(theirs) // 2]
            ours = [item for item in ours if item < since]
            common = [item for item in common if item < since]
        return common + ours, common + theirs

    def _some(self, count: int, rng: random.Random) -> list[Item]:
        made: list[Item] = []
        for _ in range(count):
            id_ = rng.randbytes(32)
            at = 1_700_000_000 + rng.randrange(100_000)
            if self.clustering == "one second":
                at = 1_700_000_000
            elif self.clustering == "few seconds":
                at = rng.choice([0, 1_700_000_000, 1_700_000_001, 2**53 - 2, 2**64 - 2])
            elif self.clustering == "shared prefixes":
                at = 1_700_000_000
                cut = rng.choice([0, 1, 15, 27])
                id_ = bytes(cut) + id_[cut:]
            made.append((at, id_))
        return made


sizes = st.sampled_from([0, 1, 2, 3, 5, 16, 17, 60, 400, 1_200])
pairs = st.builds(
    Sides,
    st.integers(0, 999),
    st.sampled_from(["spread", "one second", "few seconds", "shared prefixes"]),
    st.tuples(sizes, sizes, sizes),
    st.booleans(),
)
frames = st.sampled_from([4_096, 4_097, 5_000, 16_384, 61_440, 200_000])


@settings(max_examples=120, deadline=None)
@given(pairs, frames)
def test_exactly_the_difference_is_found(
    described: Sides, frame: int
) -> None:
    sides = described.make()
    ours, theirs = ItemSet(sides[0]), ItemSet(sides[1])
    outcome = reconcile(ours, theirs, frame)
    assert outcome.complete
    assert not outcome.have_ranges and not outcome.need_ranges
    have, need = ids_of(set(sides[0]) - set(sides[1])), ids_of(set(sides[1]) - set(sides[0]))
    assert sorted(outcome.have) == sorted(have)
    assert sorted(outcome.need) == sorted(need)


@settings(max_examples=120, deadline=None)
@given(pairs, frames)
def test_with_ranges_exactly_the_difference_is_named(
    described: Sides, frame: int
) -> None:
    sides = described.make()
    ours, theirs = ItemSet(sides[0]), ItemSet(sides[1])
    outcome = reconcile(ours, theirs, frame, ranges=True)
    assert outcome.complete
    have, need = list(outcome.have), list(outcome.need)
    for range_ in outcome.have_ranges:
        have += walk(range_, ours, 7)
    for range_ in outcome.need_ranges:
        assert walk(range_, ours) == []
        if described.clustering != "few seconds":
            assert range_ == Range.from_fields(list(range_.fields()))
        need += walk(range_, theirs, 7)
    assert sorted(have) == sorted(ids_of(set(sides[0]) - set(sides[1])))
    assert sorted(need) == sorted(ids_of(set(sides[1]) - set(sides[0])))


@settings(max_examples=40, deadline=None)
@given(pairs, st.integers(0, 2**32), st.booleans())
def test_sets_that_change_meanwhile_do_no_harm_and_the_next_one_finds_the_rest(
    described: Sides, seed: int, ranges: bool
) -> None:
    sides = described.make()
    rng = random.Random(f"disturb {seed}")
    ours, theirs = ItemSet(sides[0]), ItemSet(sides[1])
    everything = sorted(set(sides[0]) | set(sides[1]))
    untouched = set(everything)

    def disturb(_round: int) -> None:
        for items in (ours, theirs):
            for _ in range(20):
                fresh = (1_700_000_000 + rng.randrange(100_000), rng.randbytes(32))
                known = rng.choice(everything) if everything else fresh
                for item in (fresh, known):
                    untouched.discard(item)
                    rng.choice([items.add, items.discard])(*item)

    before = set(sides[0]), set(sides[1])
    outcome = reconcile(ours, theirs, 4_096, ranges=ranges, between=disturb)
    have, need = list(outcome.have), list(outcome.need)
    for range_ in outcome.have_ranges:
        have += walk(range_, ours)
    for range_ in outcome.need_ranges:
        need += walk(range_, theirs)
    # Whatever stayed put is reported rightly: what both had never, what one had always.
    assert not ids_of(untouched & before[0] & before[1]) & set(have + need)
    assert ids_of(untouched & before[0] - before[1]) <= set(have)
    assert ids_of(untouched & before[1] - before[0]) <= set(need)
    again = reconcile(ours, theirs)
    assert sorted(again.have) == sorted(ids_of(set(ours) - set(theirs)))
    assert sorted(again.need) == sorted(ids_of(set(theirs) - set(ours)))


# --- What it costs ------------------------------------------------------------------------------


def test_a_hundredth_missing_at_the_end_costs_less_than_a_byte_a_record() -> None:
    rng = random.Random(SEED)
    items = timeline(100_000, rng)
    outcome = reconcile(ItemSet(items[:-1_000]), ItemSet(items), ranges=True)
    assert outcome.complete
    assert outcome.session_bytes() < 2_500
    assert outcome.rounds <= 6
    # Plainly, without ranges, each id has to be listed once: 32 bytes and little more.
    plain = reconcile(ItemSet(items[:-1_000]), ItemSet(items))
    assert plain.bytes_up + plain.bytes_down < 36 * 1_000


def test_identical_sets_cost_one_message_of_some_three_hundred_bytes() -> None:
    items = timeline(100_000, random.Random(SEED))
    outcome = reconcile(ItemSet(items), ItemSet(items), ranges=True)
    assert outcome.complete and outcome.rounds == 1
    assert outcome.bytes_up <= 340 and outcome.bytes_down == 1
    assert not outcome.have and not outcome.need


def test_a_hundredth_missing_here_and_there_costs_some_four_hundred_bytes_a_record() -> None:
    rng = random.Random(SEED)
    items = timeline(100_000, rng)
    missing = set(rng.sample(items, 1_000))
    some = ItemSet(item for item in items if item not in missing)
    whole = ItemSet(items)
    for ours, theirs in ((some, whole), (whole, some)):
        outcome = reconcile(ours, theirs)
        assert outcome.bytes_up + outcome.bytes_down < 450 * 1_000
        assert outcome.rounds < 20
        assert set(outcome.have) | set(outcome.need) == ids_of(missing)


def test_a_node_back_from_a_partition_lists_few_ids_though_it_made_records_meanwhile() -> None:
    rng = random.Random(SEED)
    items = timeline(100_000, rng)
    newest = items[-10_000:]
    own = [(rng.choice(newest)[0], rng.randbytes(32)) for _ in range(100)]
    outcome = reconcile(ItemSet(items[:-10_000] + own), ItemSet(items), ranges=True)
    assert set(outcome.have) == ids_of(own)
    assert outcome.session_bytes() < 20 * 10_000


def test_an_empty_set_asks_for_everything_in_a_breath() -> None:
    items = timeline(50_000, random.Random(SEED))
    outcome = reconcile(ItemSet(), ItemSet(items), ranges=True)
    assert outcome.need_ranges == [EVERYTHING] and not outcome.need
    assert outcome.bytes_up + outcome.bytes_down <= 60
    outcome = reconcile(ItemSet(items), ItemSet(), ranges=True)
    assert sum(len(walk(range_, ItemSet(items))) for range_ in outcome.have_ranges) + len(
        outcome.have
    ) == len(items)
    assert outcome.rounds == 1


def test_one_step_reports_a_bounded_number_of_ids() -> None:
    items = timeline(3 * limits.RECONCILE_HAVE_IDS_MAX, random.Random(SEED))
    ours, responder = ItemSet(items), Responder(ItemSet())
    initiator = Initiator(ours)
    message: bytes | None = initiator.initiate()
    have: list[bytes] = []
    while message is not None:
        step = initiator.reconcile(responder.reply(message))
        assert len(step.have) <= limits.RECONCILE_HAVE_IDS_MAX
        have += step.have
        message = step.reply
    assert sorted(have) == sorted(ids_of(items))


# --- Hostile and odd peers ----------------------------------------------------------------------


def sample_messages() -> list[bytes]:
    rng = random.Random(SEED)
    items = timeline(3_000, rng, apart_s=0.3)
    outcome = reconcile(
        ItemSet(rng.sample(items, 2_800)), ItemSet(rng.sample(items, 2_800)), keep=True
    )
    return outcome.messages


SAMPLES = sample_messages()


def _damaged(sample: bytes, at: int, patch: bytes, keep: bool) -> bytes:
    at %= len(sample) + 1
    return sample[:at] + patch + (sample[at + len(patch) :] if keep else b"")


hostile = st.one_of(
    st.binary(max_size=400),
    st.binary(max_size=400).map(b"\x61".__add__),
    st.builds(
        _damaged,
        st.sampled_from(SAMPLES),
        st.integers(0, 2**16),
        st.binary(max_size=6),
        st.booleans(),
    ),
)


@settings(max_examples=300, deadline=None)
@given(hostile, st.booleans())
def test_hostile_bytes_raise_nothing_but_remote_errors(data: bytes, ranges: bool) -> None:
    items = ItemSet(timeline(300, random.Random(SEED), apart_s=0.3))
    responder = Responder(items, 4_096, ranges=ranges)
    try:
        reply = responder.reply(data)
    except RemoteError:
        pass
    else:
        assert len(reply) <= 4_096
        assert reply == b"\x61" or parse_message(reply)
    initiator = Initiator(items, 4_096, ranges=ranges)
    initiator.initiate()
    try:
        step = initiator.reconcile(data)
    except RemoteError:
        # A refused message leaves the initiator where it was.
        assert initiator.reconcile(Responder(items).reply(b"\x61")).complete
    else:
        assert step.reply is None or len(step.reply) <= 4_096
        for range_ in step.need_ranges + step.have_ranges:
            assert range_.lower < range_.upper
    assert len(items) == 300


@pytest.mark.parametrize("ranges", [False, True])
def test_a_peer_that_always_disagrees_is_left_after_a_bounded_number_of_messages(
    ranges: bool,
) -> None:
    items = ItemSet(timeline(500, random.Random(SEED)))
    initiator = Initiator(items, ranges=ranges, rounds_max=40)
    assert initiator.initiate()
    # One fingerprint over everything, never the same: the whole is asked about for ever.
    rng = random.Random(SEED)
    for _ in range(39):
        step = initiator.reconcile(b"\x61\x00\x00\x01" + rng.randbytes(16))
        assert step.reply is not None and not step.complete
    step = initiator.reconcile(b"\x61\x00\x00\x01" + rng.randbytes(16))
    assert step.reply is None and not step.complete
    with pytest.raises(Malformed):
        initiator.reconcile(b"\x61")


def test_a_peer_that_never_ends_is_refused_by_the_responder() -> None:
    responder = Responder(ItemSet(), rounds_max=3)
    for _ in range(3):
        responder.reply(b"\x61")
    with pytest.raises(QuotaExceeded):
        responder.reply(b"\x61")


def test_what_an_initiator_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(SEED)
    items = timeline(5_000, rng)
    ours, theirs = ItemSet(rng.sample(items, 4_000)), ItemSet(rng.sample(items, 4_000))
    unbounded = reconcile(ours, theirs, 4_096)
    monkeypatch.setattr("maillon.protocol.reconcile.negentropy.RECONCILE_TODO_MAX", 8)
    outcome = reconcile(ours, theirs, 4_096)
    # A message of 4,096 bytes asks about 200 ranges at most.
    assert outcome.open_ranges_max <= 8 + 200 < unbounded.open_ranges_max
    # What was joined is compared again: found twice at worst, never lost.
    for found in (unbounded, outcome):
        assert set(found.have) == ids_of(set(ours) - set(theirs))
        assert set(found.need) == ids_of(set(theirs) - set(ours))


def test_a_version_of_tomorrow_is_answered_by_ours_and_an_answer_of_tomorrow_is_refused() -> None:
    for version in (0x60, 0x62, 0x6F):
        assert Responder(ItemSet()).reply(bytes((version, 1, 2, 3))) == b"\x61"
        initiator = Initiator(ItemSet())
        initiator.initiate()
        with pytest.raises(WrongVersion) as caught:
            initiator.reconcile(bytes((version,)))
        assert caught.value.version == version
    for version in (0x00, 0x5F, 0x70, 0xE1):
        with pytest.raises(Malformed):
            Responder(ItemSet()).reply(bytes((version,)))


def test_a_message_too_long_or_of_too_many_ranges_is_refused_unread() -> None:
    responder = Responder(ItemSet())
    with pytest.raises(Malformed) as caught:
        responder.reply(b"\x61" + bytes(limits.FRAME_BYTES_MAX))
    assert caught.value.rule == "message_bytes"
    with pytest.raises(Malformed) as caught:
        responder.reply(b"\x61" + b"\x01\x00\x00" * (limits.RECONCILE_RANGES_MAX + 1))
    assert caught.value.rule == "ranges"


def test_an_answer_to_nothing_is_refused() -> None:
    initiator = Initiator(ItemSet())
    with pytest.raises(Malformed):
        initiator.reconcile(b"\x61")
    initiator.initiate()
    with pytest.raises(LocalError):
        initiator.initiate()
    assert initiator.reconcile(b"\x61").complete


def test_a_frame_below_the_formats_minimum_is_our_own_mistake() -> None:
    for make in (Initiator, Responder):
        with pytest.raises(LocalError):
            make(ItemSet(), 4_095)


def test_the_responder_lists_few_ids_and_the_initiator_none() -> None:
    for number, message in enumerate(SAMPLES):
        modes = {range_.mode for range_ in parse_message(message)}
        assert number % 2 or ID_LIST not in modes or all(
            not range_.ids for range_ in parse_message(message)
        )
    assert any(
        range_.mode == ID_LIST and range_.ids
        for message in SAMPLES[1::2]
        for range_ in parse_message(message)
    )
    assert all(
        range_.mode == FINGERPRINT for range_ in parse_message(SAMPLES[0])
    )


# --- Ranges as session frames carry them --------------------------------------------------------


@given(st.integers(0, 2**53 - 2), st.binary(max_size=32), st.integers(0, 2**53 - 1))
def test_a_range_reads_as_it_was_written(at: int, prefix: bytes, until: int) -> None:
    lower = Bound(at, prefix.rstrip(b"\0"))
    upper = INFINITY if until == limits.INT_MAX else Bound(until)
    if lower < upper:
        assert Range.from_fields(list(Range(lower, upper).fields())) == Range(lower, upper)
    else:
        with pytest.raises(Malformed):
            Range.from_fields([at, prefix, until, b""])


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [0, b"", 1],
        [0, b"", 0, b""],
        [1, b"", 0, b""],
        [0, b"\x02", 0, b"\x01"],
        [0, b"\x01", 0, b"\x01\x00"],
        [-1, b"", 1, b""],
        [0, b"", 2**53, b""],
        [0, b"", 2**53 - 1, b"\x01"],
        [0, bytes(33), 1, b""],
        [True, b"", 2, b""],
        ["0", b"", 1, b""],
        [0, "", 1, b""],
    ],
)
def test_what_is_no_range_is_refused(fields: list[object]) -> None:
    with pytest.raises(Malformed):
        Range.from_fields(fields)


def test_a_page_goes_on_behind_the_last_item_whatever_has_changed() -> None:
    items = ItemSet(timeline(100, random.Random(SEED), apart_s=0.0))
    first, rest = EVERYTHING.page(items, 40)
    assert len(first) == 40 and rest is not None and rest.upper == INFINITY
    assert items.discard(*first[-1]) and items.discard(*first[0])
    later = walk(rest, items, 30)
    assert len(later) == 60 and not set(later) & ids_of(first)
    assert EVERYTHING.page(ItemSet(), 1) == ([], None)
    assert Range(MIN_BOUND, Bound(1)).page(items, 1_000) == ([], None)
