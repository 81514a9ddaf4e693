"""The times that people type in a search."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.cli.base import period
from maillon.node.cli.times import parse_moment, parse_when
from maillon.protocol.errors import LocalError

PARIS = ZoneInfo("Europe/Paris")
# A Wednesday.
NOW = datetime(2026, 3, 25, 15, 40, tzinfo=PARIS)


def shown(text: str) -> str:
    start, end = (datetime.fromtimestamp(moment, PARIS) for moment in parse_when(text, NOW))
    return f"{start:%m-%d %H:%M} {end:%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("today", "03-25 00:00 03-26 00:00"),
        ("demain", "03-26 00:00 03-27 00:00"),
        ("we", "03-25 00:00 03-26 00:00"),
        ("mardi", "03-31 00:00 04-01 00:00"),
        ("Sa 09:00-12:00", "03-28 09:00 03-28 12:00"),
        ("samedi 9h-12h30", "03-28 09:00 03-28 12:30"),
        ("fr 20:00 - 24:00", "03-27 20:00 03-28 00:00"),
        ("2026-04-02", "04-02 00:00 04-03 00:00"),
        ("2026-04-02 14:00-16:00", "04-02 14:00 04-02 16:00"),
        ("2026-04-02T14:30", "04-02 14:30 04-02 15:30"),
        ("2026-04-02 14:30", "04-02 14:30 04-02 15:30"),
        ("tomorrow 9h", "03-26 09:00 03-26 10:00"),
        # A span, and no zone sixteen hours behind UTC.
        ("2026-04-02T14:30-16:00", "04-02 14:30 04-02 16:00"),
        ("2026-04-02t02:00-05:00", "04-02 02:00 04-02 05:00"),
        ("2026-04-02T14:30+02:00", "04-02 14:30 04-02 15:30"),
        ("2026-04-02T14:30/2026-04-02T16:00", "04-02 14:30 04-02 16:00"),
        # It is Wednesday, 15:40: what is over today is meant for the next one.
        ("we 17:00-18:00", "03-25 17:00 03-25 18:00"),
        ("we 09:00-10:00", "04-01 09:00 04-01 10:00"),
        ("2026-04-02T14:30Z", "04-02 16:30 04-02 17:30"),
        ("2026-04-02/2026-04-04", "04-02 00:00 04-05 00:00"),
        # The night in which the clocks go forward.
        ("2026-03-29", "03-29 00:00 03-30 00:00"),
    ],
)
def test_a_time_is_read_as_people_mean_it(text: str, span: str) -> None:
    assert shown(text) == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        "someday",
        "2026-13-01",
        "sa 12:00-09:00",
        "sa 25:00-26:00",
        "2026-04-04/2026-04-02",
        "/",
        "2026-04-02T14:30-03:00",
        "2026-04-02T14:30+17:00",
        "2026-04-02T14:30+14:30",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the sentence is the command's
        parse_when(text, NOW)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader_of_times(text: str) -> None:
    try:
        start, end = parse_when(text, NOW)
    except (ValueError, OverflowError):
        return
    assert 0 <= start < end


@pytest.mark.parametrize(
    ("text", "start", "moment"),
    [
        ("30d", False, "04-24 15:40"),
        ("30 j", False, "04-24 15:40"),
        ("12h", False, "03-26 03:40"),
        ("45min", False, "03-25 16:25"),
        ("2026-04-02", False, "04-03 00:00"),
        ("2026-04-02", True, "04-02 00:00"),
        ("2026-04-02T14:30", False, "04-02 14:30"),
        ("2026-04-02T14:30", True, "04-02 14:30"),
        ("tomorrow", False, "03-27 00:00"),
        ("tomorrow 14:00", False, "03-26 14:00"),
        # Over the night in which the clocks go forward: the same time four days on, or 96 hours on.
        ("4d", False, "03-29 15:40"),
        ("96h", False, "03-29 16:40"),
    ],
)
def test_a_moment_is_a_time_a_day_or_a_span_from_now(text: str, start: bool, moment: str) -> None:
    at = datetime.fromtimestamp(parse_moment(text, NOW, start=start), PARIS)
    assert f"{at:%m-%d %H:%M}" == moment


@pytest.mark.parametrize(
    "text", ["", "d", "30x", "-3d", "999999d", "soon", "2026-04-02T14:30-16:00", "tomorrow 9h-10h"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 2_592_000), ("7j", 604_800), ("12h", 43_200)]
)
def test_a_period_is_a_number_of_days_or_hours(text: str, seconds: int) -> None:
    assert period(text) == seconds


@pytest.mark.parametrize("text", ["", "0d", "400d", "2000-01-05", "tomorrow", "d", "we"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(LocalError) as caught:
        period(text)
    assert caught.value.code == "usage"
