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
_HOUR = r"(\d{1,2})(?::|h)(\d{2})?"
_CLOCK = re.compile(f"{_HOUR}-{_HOUR}")
_HOUR_ALONE = re.compile(_HOUR)
_DATED = re.compile(r"(\d{4}-\d\d-\d\d)t(.*)")
# Zones lie between 12 hours behind UTC and 14 hours ahead of it.
OFFSET_MAX = timedelta(hours=14)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
_SPAN = re.compile(r"(\d{1,5}) ?(min|h|d|j)")
_SPANS = {"min": timedelta(minutes=1), "h": HOUR, "d": DAY, "j": DAY}

_Span = tuple[datetime, datetime, str]
"""Beginning, end, and what the text named: "day", "span" or "moment"."""


def parse_when(text: str, now: datetime) -> tuple[int, int]:
    """Return start and end in Unix seconds of the time that a text names, in the zone of `now`
    (the local one when it has none).

    `DAY`, `DAY 09:00-12:00`, `DAY 09:00` (the hour that begins then), or `START/END` of two days or
    times. DAY is a date, today, tomorrow, or the next weekday of that name in English or French; a
    `T` may stand between a date and its time. Raises: ValueError.
    """
    text = " ".join(text.lower().split())
    if "/" in text:
        first, _slash, last = text.partition("/")
        begin, until = _span(first, now), _span(last, now)
        span = (begin[0], until[0] if until[2] == "moment" else until[1])
    else:
        span = _span(text, now)[:2]
    start, end = (int(moment.timestamp()) for moment in span)
    if not 0 <= start < end:
        raise ValueError(text)
    return start, end


def parse_moment(text: str, now: datetime, *, start: bool = False) -> int:
    """Return the Unix seconds of a moment in the zone of `now` (the local one without any).

    `30d`, `12h` and `45min` are from now on; a day is its end, or with `start` its beginning; a
    day with a time is that time; a span of time is no moment. Raises: ValueError, OverflowError.
    """
    text = " ".join(text.lower().split())
    span = _SPAN.fullmatch(text)
    if span is not None:
        length = int(span[1]) * _SPANS[span[2]]
        # A day later is the same time of the clock; an hour later is an hour, whatever it shows.
        if span[2] not in "dj":
            return int(now.timestamp()) + int(length.total_seconds())
        return int((now + length).timestamp())
    first, last, what = _span(text, now)
    if what == "span":
        raise ValueError(text)
    return int((first if start or what == "moment" else last).timestamp())


def _span(text: str, now: datetime) -> _Span:
    dated = _DATED.fullmatch(text)
    if dated is not None:
        if _CLOCK.fullmatch(dated[2].replace(" ", "")) is None:
            return _moment(text, now)
        # "2026-03-01T14:30-16:00" ends at four; nobody means a zone 16 hours behind UTC.
        text = f"{dated[1]} {dated[2]}"
    word, _space, clock = text.partition(" ")
    day = _day(word, now.date())
    midnight = datetime.combine(day, time(), now.tzinfo)
    clock = clock.replace(" ", "")
    if not clock:
        # The next midnight of the calendar, also on the days when the clocks change.
        return midnight, datetime.combine(day + DAY, time(), now.tzinfo), "day"
    first, last, what = _clock(text, day, clock, now)
    if last <= now and _is_weekday(word):
        # It is that day today, and the time is over: the next one is meant.
        first, last, what = _clock(text, day + WEEK, clock, now)
    return first, last, what


def _clock(text: str, day: date, clock: str, now: datetime) -> _Span:
    alone = _HOUR_ALONE.fullmatch(clock)
    if alone is not None:
        first = datetime.combine(day, time(int(alone[1]), int(alone[2] or 0)), now.tzinfo)
        return first, first + HOUR, "moment"
    match = _CLOCK.fullmatch(clock)
    if match is None:
        raise ValueError(text)
    start, start_minutes, end, end_minutes = (int(part or 0) for part in match.groups())
    if end == 24 and not end_minutes:
        last = datetime.combine(day + DAY, time(), now.tzinfo)
    else:
        last = datetime.combine(day, time(end, end_minutes), now.tzinfo)
    return datetime.combine(day, time(start, start_minutes), now.tzinfo), last, "span"


def _moment(text: str, now: datetime) -> _Span:
    moment = datetime.fromisoformat(text.upper())
    offset = moment.utcoffset()
    if offset is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    elif abs(offset) > OFFSET_MAX:
        raise ValueError(text)
    return moment, moment + HOUR, "moment"


def _is_weekday(word: str) -> bool:
    return any(word in names for names in _DAYS)


def _day(word: str, today: date) -> date:
    if word in _TODAY:
        return today
    if word in _TOMORROW:
        return today + DAY
    for number, names in enumerate(_DAYS):
        if word in names:
            return today + timedelta((number - today.weekday()) % 7)
    return date.fromisoformat(word)
