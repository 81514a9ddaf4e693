"""Read opening hours in the two ways that public lists write them.

The result maps mo…su to ranges of minutes after midnight: {"mo": [[540, 720], [810, 1020]]}.
"""

from __future__ import annotations

import re

DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
Hours = dict[str, list[list[int]]]

_RANGE = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})")
MINUTES_A_DAY = 24 * 60
RANGES_A_DAY_MAX = 8


def parse_ranges(text: str) -> list[list[int]] | None:
    """Read `09:00 - 12:00 / 13:30 - 17:00` (or with commas); None when it is anything else.

    Ranges come out in order; ranges that overlap or end before they begin are not read. The
    published list writes `00:00 - 00:00` for a half-day on which a place is closed: it is left out.
    """
    ranges: list[list[int]] = []
    for part in re.split(r"[/,]", text):
        match = _RANGE.fullmatch(part.strip())
        if not match:
            return None
        h1, m1, h2, m2 = (int(group) for group in match.groups())
        start, end = h1 * 60 + m1, h2 * 60 + m2
        if (start, end) == (0, 0):
            continue
        if m1 > 59 or m2 > 59 or not 0 <= start < end <= MINUTES_A_DAY:
            return None
        if [start, end] not in ranges:  # said twice
            ranges.append([start, end])
    ranges.sort()
    if len(ranges) > RANGES_A_DAY_MAX:
        return None
    if any(a[1] > b[0] for a, b in zip(ranges, ranges[1:], strict=False)):
        return None
    return ranges


def _days(text: str) -> list[str] | None:
    """Read `Mo-Fr,Su` of the OpenStreetMap format."""
    names = [day.capitalize() for day in DAYS]
    found: list[str] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if first not in names or (dash and last not in names):
            return None
        a = names.index(first)
        b = names.index(last) if dash else a
        # `Sa-Mo` runs over the end of the week.
        found += [DAYS[(a + i) % 7] for i in range((b - a) % 7 + 1)]
    return found


def parse_osm(text: str) -> Hours | None:
    """Read the plain part of the OpenStreetMap `opening_hours` format; None when there is more.

    Plain are rules of weekdays and times, separated by semicolons, where a later rule replaces an
    earlier one for its days, `off` or `closed` closes them, `24/7` opens all, and rules for public
    holidays (`PH off`) are passed over. Months, weeks, dates, sunrise, comments and fallbacks are
    not read: a half-understood timetable sends people to a closed door, so the text stands alone.
    """
    text = text.strip()
    if text == "24/7":
        return {day: [[0, MINUTES_A_DAY]] for day in DAYS}
    hours: Hours = {}
    for rule in filter(None, (part.strip() for part in text.split(";"))):
        if re.fullmatch(r"PH( off| closed)?", rule):
            continue
        match = re.fullmatch(r"((?:[A-Z][a-z](?:-[A-Z][a-z])?(?:\s*,\s*)?)+)?\s*(.*)", rule)
        if not match:
            return None
        chosen, times = match.group(1), match.group(2).strip()
        days = _days(re.sub(r",\s*$", "", chosen.strip())) if chosen else list(DAYS)
        if days is None:
            return None
        if times in ("off", "closed"):
            for day in days:
                hours.pop(day, None)
            continue
        ranges = parse_ranges(times)
        if not ranges:
            return None
        for day in days:
            hours[day] = ranges
    return {day: hours[day] for day in DAYS if day in hours} or None
