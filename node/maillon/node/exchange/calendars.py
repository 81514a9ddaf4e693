"""Write appointments as iCalendar (RFC 5545), for the calendars people have already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from icalendar import Calendar, Event

from maillon.node.search.when import occurrences, zone_of

SPAN_S: Final = 400 * 86_400
"""How far ahead sessions are agreed on: as long as an agreement lasts."""

PRODUCT: Final = "-//Maillon//Maillon//FR"

_STATUS: Final = {
    "proposed": "TENTATIVE",
    "agreed": "CONFIRMED",
    "under_way": "CONFIRMED",
    "done": "CONFIRMED",
    "accepted": "CONFIRMED",
    "cancelled": "CANCELLED",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One appointment; times in Unix seconds, `sequence` grows with every change."""

    uid: str
    start: int
    end: int
    title: str
    place: str
    text: str
    status: str
    changed_at: int
    sequence: int


def calendar(entries: Iterable[Entry], *, name: str = "") -> bytes:
    """Return a calendar of appointments, in UTC: calendars show their own zone."""
    # icalendar leaves its values untyped.
    whole = cast(Any, Calendar())
    whole.add("prodid", PRODUCT)
    whole.add("version", "2.0")
    whole.add("method", "PUBLISH")
    if name:
        whole.add("x-wr-calname", name)
    for entry in entries:
        event = cast(Any, Event())
        event.add("uid", entry.uid)
        event.add("dtstamp", _moment(entry.changed_at))
        event.add("dtstart", _moment(entry.start))
        event.add("dtend", _moment(entry.end))
        event.add("summary", entry.title)
        event.add("status", _STATUS.get(entry.status, "TENTATIVE"))
        event.add("sequence", entry.sequence)
        if entry.place:
            event.add("location", entry.place)
        if entry.text:
            event.add("description", entry.text)
        whole.add_component(event)
    return bytes(whole.to_ical())


def sessions(recurrence: Mapping[str, Any], after: int, count: int) -> list[tuple[int, int]]:
    """Return when the next sessions of a recurrence begin and end, by the local time of its zone.

    At nine on Tuesdays stays at nine when the clocks change (RFC 5545, 3.3.10). A rule that may
    never happen is not followed, and gives none: the sessions are then written one by one.
    """
    try:
        rule, zone = str(recurrence["rrule"]), zone_of(str(recurrence["tz"]))
        start, duration = int(recurrence["dtstart"]), int(recurrence["duration_s"])
        found, _certain = occurrences(rule, start, duration, zone, after, after + SPAN_S, count)
    except (KeyError, ValueError, TypeError, OverflowError, OSError):
        return []
    return [(begin, end) for begin, end in found if begin >= after]


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
