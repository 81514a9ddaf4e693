"""Appointments as calendars, and recurring services by the clock on the wall."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from maillon.node.exchange.calendars import Entry, calendar, sessions

PARIS = ZoneInfo("Europe/Paris")


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=PARIS).timestamp())  # type: ignore[arg-type,misc]


def weekly(**more: Any) -> dict[str, Any]:
    return {
        "rrule": "FREQ=WEEKLY;BYDAY=TU",
        "dtstart": at(2026, 10, 6, 9),
        "tz": "Europe/Paris",
        "duration_s": 3_600,
        **more,
    }


def test_nine_o_clock_stays_nine_o_clock_when_the_clocks_change() -> None:
    found = sessions(weekly(), at(2026, 10, 20, 0), 3)
    assert [start for start, _ in found] == [
        at(2026, 10, 20, 9), at(2026, 10, 27, 9), at(2026, 11, 3, 9),
    ]  # fmt: skip
    # The night between has 25 hours.
    assert found[1][0] - found[0][0] == 7 * 86_400 + 3_600
    assert all(end - start == 3_600 for start, end in found)


def test_a_recurrence_that_has_ended_has_no_more_sessions() -> None:
    until = weekly(rrule="FREQ=WEEKLY;COUNT=2")
    assert len(sessions(until, at(2026, 10, 1, 0), 26)) == 2
    assert sessions(until, at(2027, 1, 1, 0), 26) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"rrule": "FREQ=NEVER"},
        {"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"},
        {"rrule": "FREQ=YEARLY;BYHOUR=1,2,3;BYMINUTE=1,2,3;BYSECOND=1,2,3", "dtstart": 0},
        {"tz": "Mars/Olympus"},
        {"dtstart": 1 << 60},
        {"rrule": "FREQ=WEEKLY;UNTIL=20261101"},
        {"tz": "../../etc/passwd"},
    ],
)
def test_what_is_no_recurrence_gives_no_sessions(wrong: dict[str, Any]) -> None:
    found = sessions(weekly(**wrong), at(2026, 10, 1, 0), 5)
    assert isinstance(found, list) and len(found) <= 5


def test_a_calendar_is_read_back_as_it_was_meant() -> None:
    entry = Entry(
        "id@maillon", at(2026, 10, 6, 9), at(2026, 10, 6, 10), "Jardin; haie, « été »",
        "3 rue du Puits\nDie", "Appeler Ana", "agreed", at(2026, 10, 1, 0), 4,
    )  # fmt: skip
    read: Any = Calendar.from_ical(calendar([entry], name="Ma journée"))
    (event,) = read.walk("VEVENT")
    assert event["SUMMARY"] == entry.title and event["LOCATION"] == entry.place
    assert int(event["DTSTART"].dt.timestamp()) == entry.start
    assert int(event["DTEND"].dt.timestamp()) == entry.end
    assert event["STATUS"] == "CONFIRMED" and int(event["SEQUENCE"]) == 4
