"""Find when two people both can: the times of a demand and an offer, and when a provider is taken.

The times of the wish are written out once, as spans of Unix seconds; each candidate is compared
with them. What nobody said is not held against anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.node.search.when import DAYS, DEFAULT_ZONE, Fit, day_name, fit, occurrences, zone_of

Span = tuple[int, int]

HORIZON_S: Final = 21 * 86_400
"""Weekly hours and recurring times are written out so far ahead."""

NEED_S: Final = 1_800
"""What is free for less than half an hour, of a longer time, is of use to nobody."""

CAPACITY_S: Final = 8 * 3_600
"""Working time of a day, against which a calendar of taken times is read."""

LOAD_DAYS: Final = 14
DAY_S: Final = 86_400

_SPANS_MAX: Final = 64
_MEETINGS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Busy:
    """When a provider is taken, in order, and until when that says anything (spec/08)."""

    spans: tuple[Span, ...]
    until: int

    def free_in(self, span: Span, need_s: int) -> Span | None:
        """Return the first time of at least `need_s` in a span that touches nothing taken."""
        start, end = span
        for taken, free in self.spans:
            if free < start:
                continue
            if taken > end:
                break
            if taken - 1 - start >= need_s:
                return start, taken - 1
            start = max(start, free + 1)
        return (start, end) if end - start >= need_s else None

    def load(self, now: int) -> float | None:
        """Return which part of the working time of the next days is taken, 0 to 1."""
        end = min(self.until, now + LOAD_DAYS * DAY_S)
        if end - now < DAY_S:
            return None
        taken = sum(
            max(0, min(free, end) - max(begin, now)) for begin, free in self.spans
        )
        return min(1.0, taken / (CAPACITY_S * (end - now) / DAY_S))


@dataclass(frozen=True, slots=True)
class Meeting:
    """What two times come to: `spans` are the first ones that fit both."""

    fit: Fit
    spans: tuple[Span, ...] = ()


NOTHING: Final = Meeting(Fit.UNKNOWN)


def says_times(when: Mapping[str, Any] | None) -> bool:
    """Tell whether a `when` has times that a machine reads."""
    return bool(when) and any(name in when for name in ("windows", "hours", "rrule"))  # type: ignore[operator]  # not None where `bool` is true


class Times:
    """The times of a wish, between `now` and its end."""

    def __init__(self, when: Mapping[str, Any] | None, now: int, until: int) -> None:
        self.when: Mapping[str, Any] = when or {}
        self.said = says_times(when)
        self.now = now
        self._end = min(until, now + HORIZON_S)
        self._until = until
        # Occurrences that are stepped through for all candidates together: rules are strangers'.
        self._steps = bounds.SEARCH_OCCURRENCES_MAX * 2
        self._local: dict[str, list[tuple[int, int, int, Span]]] = {}
        self.whole = True
        """Whether `spans` are all there are."""
        self.spans: list[Span] = []
        if self.said:
            self._write_out()

    def _write_out(self) -> None:
        when = self.when
        found = [
            (max(window["start"], self.now), window["end"])
            for window in when.get("windows", ())
            if window["end"] > self.now
        ]
        zone = zone_of(str(when.get("tz", DEFAULT_ZONE)))
        if "hours" in when:
            found += _weekly(when["hours"], self.now, self._end, str(when.get("tz", DEFAULT_ZONE)))
            self.whole = self._until <= self._end
        if "rrule" in when and "dtstart" in when:
            spans, certain = occurrences(
                str(when["rrule"]), int(when["dtstart"]), int(when.get("duration_s", 0)), zone,
                self.now, self._end, _SPANS_MAX,
            )  # fmt: skip
            found += spans
            self.whole = self.whole and certain and self._until <= self._end
        found.sort()
        self.whole = self.whole and len(found) <= _SPANS_MAX
        self.spans = found[:_SPANS_MAX]

    def meets(self, other: Mapping[str, Any] | None) -> Meeting:
        """Say whether the times of a candidate meet these; NO only when both are known whole."""
        if not self.said or not other or not says_times(other):
            return NOTHING
        certain = True
        found: list[Span] = []
        for window in other.get("windows", ()):
            found += _overlaps(self.spans, (window["start"], window["end"]))
            if window["end"] > self.now and not self.whole:
                # Beyond what is written out the rule itself is asked.
                span = max(window["start"], self.now), window["end"]
                certain = certain and fit(self.when, *span)[0] is Fit.NO
        if "hours" in other:
            found += self._in_hours(other)
            certain = certain and (self.whole or self._weekly_both(other))
        if "rrule" in other and "dtstart" in other:
            spans, known = self._by_rule(other)
            for span in spans:
                found += _overlaps(self.spans, span)
            certain = certain and known and self.whole
        found = sorted({(a, b) for a, b in found if b > a and b > self.now})[:_MEETINGS_MAX]
        if found:
            return Meeting(Fit.YES, tuple(found))
        return Meeting(Fit.NO if certain else Fit.UNKNOWN)

    def _weekly_both(self, other: Mapping[str, Any]) -> bool:
        """Tell whether both are weekly hours of one time zone, so that three weeks say all."""
        zone = self.when.get("tz", DEFAULT_ZONE)
        return (
            "rrule" not in self.when
            and other.get("tz", DEFAULT_ZONE) == zone
            and self._end - self.now > 8 * DAY_S
        )

    def _in_hours(self, other: Mapping[str, Any]) -> list[Span]:
        hours: Mapping[str, Any] = other["hours"]
        found: list[Span] = []
        for day, first, last, span in self._locally(str(other.get("tz", DEFAULT_ZONE))):
            for opens, closes in hours.get(DAYS[day], ()):
                if opens < last and closes > first:
                    start = span[0] + max(0, opens - first) * 60
                    found.append((start, span[1] - max(0, last - closes) * 60))
        return found

    def _locally(self, name: str) -> list[tuple[int, int, int, Span]]:
        """Return the spans cut at midnight: weekday, first and last minute of it, the part."""
        known = self._local.get(name)
        if known is not None:
            return known
        if len(self._local) >= 8:
            self._local.clear()
        zone = zone_of(name)
        found: list[tuple[int, int, int, Span]] = []
        for start, end in self.spans:
            at = start
            # A long span says the same of every week: one of them, and a day, is enough.
            while at < min(end, start + 8 * DAY_S):
                local = datetime.fromtimestamp(at, zone)
                midnight = (local + timedelta(days=1)).replace(
                    hour=0, minute=0, second=0, microsecond=0
                )
                stop = min(end, int(midnight.timestamp()))
                first = local.hour * 60 + local.minute
                found.append((local.weekday(), first, first + (stop - at) // 60, (at, stop)))
                at = stop
        self._local[name] = found
        return found

    def _by_rule(self, other: Mapping[str, Any]) -> tuple[list[Span], bool]:
        if self._steps <= 0 or not self.spans:
            return [], not self.spans
        zone = zone_of(str(other.get("tz", DEFAULT_ZONE)))
        allowed = min(self._steps, bounds.SEARCH_OCCURRENCES_MAX)
        spans, certain = occurrences(
            str(other["rrule"]), int(other["dtstart"]), int(other.get("duration_s", 0)), zone,
            self.spans[0][0], max(end for _start, end in self.spans), _SPANS_MAX, allowed,
        )  # fmt: skip
        self._steps -= allowed if not certain else min(allowed, 50)
        return spans, certain and len(spans) < _SPANS_MAX


def _weekly(hours: Mapping[str, Any], start: int, end: int, name: str) -> list[Span]:
    zone = zone_of(name)
    day = datetime.fromtimestamp(start, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    found: list[Span] = []
    while (midnight := day.timestamp()) < end:
        for opens, closes in hours.get(DAYS[day.weekday()], ()):
            begins, ends = int(midnight) + opens * 60, int(midnight) + closes * 60
            if ends > start and begins < end:
                found.append((max(begins, start), ends))
        day += timedelta(days=1)
    return found


def _overlaps(spans: Sequence[Span], other: Span) -> list[Span]:
    return [
        (max(start, other[0]), min(end, other[1]))
        for start, end in spans
        if start < other[1] and end > other[0]
    ]


def open_at(hours: Mapping[str, Any], tz: str, at: int) -> bool:
    """Tell whether weekly hours are open at a time (spec/08, "Relays"); the end is closed."""
    local = datetime.fromtimestamp(at, zone_of(tz))
    minute = local.hour * 60 + local.minute
    return any(opens <= minute < closes for opens, closes in hours.get(DAYS[local.weekday()], ()))


def span_words(span: Span, tz: str) -> str:
    """Say a span for people: day, date and hours of the place."""
    zone = zone_of(tz)
    start, end = (datetime.fromtimestamp(moment, zone) for moment in span)
    form = _("{day} {date}, {start} to {end}")
    return form.format(
        day=day_name(start.weekday()), date=f"{start:%d/%m}", start=f"{start:%H:%M}",
        end=f"{end:%H:%M}",
    )  # fmt: skip
