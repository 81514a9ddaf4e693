"""Opening hours are read when they are plain, and left as text when they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.importers.hours import DAYS, MINUTES_A_DAY, parse_osm, parse_ranges


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("09:00 - 12:00 / 13:30 - 17:00", [[540, 720], [810, 1020]]),
        ("13:30 - 17:00", [[810, 1020]]),
        ("9:00-12:00,14:00-18:00", [[540, 720], [840, 1080]]),
        ("14:00 - 18:00 / 09:00 - 12:00", [[540, 720], [840, 1080]]),
        ("09:00 - 12:00 / 09:00 - 12:00", [[540, 720]]),
        ("00:00 - 00:00 / 09:00 - 12:00", [[540, 720]]),
        ("00:00 - 00:00", []),
        ("00:00 - 24:00", [[0, 1440]]),
    ],
)
def test_ranges_of_public_lists_are_read(text: str, ranges: list[list[int]]) -> None:
    assert parse_ranges(text) == ranges


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sur rendez-vous",
        "09:00 - 12:00 / 11:00 - 13:00",
        "12:00 - 09:00",
        "09:60 - 12:00",
        "09:00 - 25:00",
        "09:00",
        "09:00 - 12:00 / ",
    ],
)
def test_what_contradicts_itself_or_is_no_range_is_not_guessed_at(text: str) -> None:
    assert parse_ranges(text) is None


def test_openstreetmap_rules_replace_earlier_ones_for_their_days() -> None:
    hours = parse_osm("Mo-Fr 09:00-12:00,13:30-17:00; We 09:00-12:00; Fr off; PH off")
    assert hours == {
        "mo": [[540, 720], [810, 1020]],
        "tu": [[540, 720], [810, 1020]],
        "we": [[540, 720]],
        "th": [[540, 720], [810, 1020]],
    }


def test_days_may_run_over_the_end_of_the_week() -> None:
    assert parse_osm("Sa-Mo 10:00-12:00") == {
        "mo": [[600, 720]],
        "sa": [[600, 720]],
        "su": [[600, 720]],
    }
    assert parse_osm("24/7") == {day: [[0, MINUTES_A_DAY]] for day in DAYS}
    assert parse_osm("08:00-20:00") == {day: [[480, 1200]] for day in DAYS}


@pytest.mark.parametrize(
    "text",
    [
        "Mo-Fr 09:00-12:00; Jan-Mar off",
        "week 1-20 Mo 09:00-12:00",
        'Mo 09:00-12:00 "sur rendez-vous"',
        "Mo sunrise-sunset",
        "Lundi 9h-12h",
        "Mo-Fr",
        "Mo 09:00-12:00 || Tu 10:00-12:00",
    ],
)
def test_rules_that_are_not_plain_stay_text(text: str) -> None:
    assert parse_osm(text) is None


@given(st.text(max_size=60))
def test_no_text_breaks_the_readers(text: str) -> None:
    parse_ranges(text)
    parse_osm(text)


@given(
    st.lists(
        st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda r: r[0] < r[1]),
        min_size=1,
        max_size=4,
    )
)
def test_ranges_that_are_read_are_in_order_and_apart(pairs: list[tuple[int, int]]) -> None:
    text = " / ".join(f"{a // 60:02}:{a % 60:02} - {b // 60:02}:{b % 60:02}" for a, b in pairs)
    ranges = parse_ranges(text)
    if ranges is not None:
        assert sorted(map(tuple, ranges)) == sorted(set(pairs))
        assert all(a[1] <= b[0] for a, b in zip(ranges, ranges[1:], strict=False))
