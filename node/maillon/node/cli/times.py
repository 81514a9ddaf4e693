"""Read the times that people type: "tomorrow", "sa 09:00-12:00", "2026-03-01T14:30", "30d"."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

_DAYS = (
    ("mo", "monday", "lu", "lundi"),
    ("tu", "tuesday", "ma", "mardi"),
    ("we", "wednesday", "me", "mercredi"),
    ("th", "thursday", "je", "jeudi"),
    ("fr", "friday", "ve", "vendredi"),
    ("sa", "saturday", "samedi"),
    ("su", "sunday", "di", "dimanche"),
)
_TODAY = ("today", "aujourd'hui", "aujourd’hui")
_TOMORROW = ("tomorrow", "demain")
_CLOCK = re.compile(r"(\d{1,2})(?::|h)(\d{2})?-(\d{1,2})(?::|h)(\d{2})?")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_SPAN = re.compile(r"(\d{1,5}) ?(min|h|d|j)")
_SPANS = {"min": timedelta(minutes=1), "h": HOUR, "d": DAY, "j": DAY}


def parse_when(text: str, now: datetime) -> tuple[int, int]:
    """Return start and end in Unix seconds of the time that a text names, in the zone of `now`
    (the local one when it has none).

    `DAY`, `DAY 09:00-12:00`, a date and time (the hour that begins then), or `START/END` of two
    dates or times. DAY is a date, today, tomorrow, or the next weekday of that name in English or
    French. Raises: ValueError.
    """
    text = " ".join(text.lower().split())
    if "/" in text:
        first, _slash, last = text.partition("/")
        span = (_span(first, now)[0], _span(last, now)[1])
    else:
        span = _span(text, now)
    start, end = (int(moment.timestamp()) for moment in span)
    if not 0 <= start < end:
        raise ValueError(text)
    return start, end


def parse_moment(text: str, now: datetime, *, start: bool = False) -> int:
    """Return the Unix seconds of a moment in the zone of `now` (the local one without any).

    `30d`, `12h` and `45min` are from now on; a day is its end, or with `start` its beginning; a
    date with a time is that time. Raises: ValueError, OverflowError.
    """
    text = " ".join(text.lower().split())
    span = _SPAN.fullmatch(text)
    if span is not None:
        return int((now + int(span[1]) * _SPANS[span[2]]).timestamp())
    first, last = _span(text, now)
    return int((first if start or re.match(r"\d{4}-\d\d-\d\dt", text) else last).timestamp())


def _span(text: str, now: datetime) -> tuple[datetime, datetime]:
    if "t" in text and re.match(r"\d{4}-\d\d-\d\dt", text):
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=now.tzinfo)
        return moment, moment + HOUR
    word, _space, clock = text.partition(" ")
    day = _day(word, now.date())
    midnight = datetime.combine(day, time(), now.tzinfo)
    if not clock:
        # The next midnight of the calendar, also on the days when the clocks change.
        return midnight, datetime.combine(day + DAY, time(), now.tzinfo)
    match = _CLOCK.fullmatch(clock.replace(" ", ""))
    if match is None:
        raise ValueError(text)
    start, start_minutes, end, end_minutes = (int(part or 0) for part in match.groups())
    if end == 24 and not end_minutes:
        last = datetime.combine(day + DAY, time(), now.tzinfo)
    else:
        last = datetime.combine(day, time(end, end_minutes), now.tzinfo)
    return datetime.combine(day, time(start, start_minutes), now.tzinfo), last


def _day(word: str, today: date) -> date:
    if word in _TODAY:
        return today
    if word in _TOMORROW:
        return today + DAY
    for number, names in enumerate(_DAYS):
        if word in names:
            return today + timedelta((number - today.weekday()) % 7)
    return date.fromisoformat(word)
