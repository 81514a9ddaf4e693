"""Decide whether an offer's time meets a time somebody has, with bounded work.

The rules come from strangers: RFC 5545 can describe what never happens and take ages to notice.
Only rules that are certain to yield often are followed; of others, search says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from dateutil.rrule import rrulestr

from maillon.node import bounds
from maillon.node.i18n import _

DAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
DEFAULT_ZONE: Final = "Europe/Paris"
_PART: Final = re.compile(r"([A-Z]+)=([A-Z0-9,:+-]+)")
# With these and no others, a rule yields at least once in each of its periods.
_PLAIN: Final = {
    "DAILY": {"FREQ", "INTERVAL", "UNTIL", "COUNT", "WKST"},
    "WEEKLY": {"FREQ", "INTERVAL", "UNTIL", "COUNT", "BYDAY", "WKST"},
    "MONTHLY": {"FREQ", "INTERVAL", "UNTIL", "COUNT", "BYDAY", "WKST"},
}


class Fit(Enum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name, the default one when there is none."""
    return ZoneInfo(name if name in available_timezones() else DEFAULT_ZONE)


def day_name(day: int) -> str:
    """Return the name of a weekday, 0 for Monday."""
    return (
        _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"),
        _("Sunday"),
    )[day]  # fmt: skip


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def fit(when: Mapping[str, Any] | None, start: int, end: int) -> tuple[Fit, str]:
    """Say whether something is to be had at some time between `start` and `end`, and when.

    Unix seconds; the words say the first such time, "" when there is none to name.
    """
    if not when:
        return Fit.UNKNOWN, ""
    zone = zone_of(str(when.get("tz", DEFAULT_ZONE)))
    verdict = Fit.UNKNOWN
    for window in when.get("windows", ()):
        if window["start"] < end and window["end"] > start:
            return Fit.YES, _at(max(window["start"], start), zone)
        verdict = Fit.NO
    if "hours" in when:
        words = _by_hours(when["hours"], start, end, zone)
        if words:
            return Fit.YES, words
        verdict = Fit.NO
    if "rrule" in when and "dtstart" in when:
        answer = _by_rule(
            str(when["rrule"]), int(when["dtstart"]), start, end, zone,
            int(when.get("duration_s", 0)),
        )
        if answer[0] is not Fit.NO:
            return answer
        verdict = Fit.NO
    return verdict, ""


def _at(moment: int, zone: ZoneInfo) -> str:
    local = datetime.fromtimestamp(moment, zone)
    return _("{day} from {time}").format(day=day_name(local.weekday()), time=f"{local:%H:%M}")


def _by_hours(hours: Mapping[str, Any], start: int, end: int, zone: ZoneInfo) -> str:
    day = datetime.fromtimestamp(start, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    # A week has every weekday; two days more for what begins and ends in the middle of one.
    for _step in range(9):
        if day.timestamp() >= end:
            break
        for opens, closes in hours.get(DAYS[day.weekday()], ()):
            begins = (day + timedelta(minutes=opens)).timestamp()
            ends = (day + timedelta(minutes=closes)).timestamp()
            if begins < end and ends > start:
                return _("{day} {opens} to {closes}").format(
                    day=day_name(day.weekday()), opens=_clock(opens), closes=_clock(closes)
                )
        day += timedelta(days=1)
    return ""


def _steps(rule: str, dtstart: int, zone: ZoneInfo) -> Iterator[datetime] | None:
    """Yield the local beginnings of a rule that is certain to yield often; None for others."""
    rule = rule.upper().removeprefix("RRULE:")
    parts = dict(_PART.findall(rule))
    allowed = _PLAIN.get(parts.get("FREQ", ""))
    if allowed is None or not parts.keys() <= allowed or len(parts) != rule.count("=") or (
        parts["FREQ"] == "MONTHLY" and re.search(r"[+-]?[5-9]|\d\d", parts.get("BYDAY", ""))
    ):
        return None
    first = datetime.fromtimestamp(dtstart, zone).replace(tzinfo=None)
    until = parts.pop("UNTIL", None)
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        last = None if until is None else _until(until, zone)
        occurrences = iter(rrulestr(text, dtstart=first))
    except (ValueError, OverflowError, KeyError, TypeError):
        return None
    return occurrences if last is None else takewhile(lambda moment: moment <= last, occurrences)


def _by_rule(
    rule: str, dtstart: int, start: int, end: int, zone: ZoneInfo, duration_s: int
) -> tuple[Fit, str]:
    found, whole = occurrences(rule, dtstart, duration_s, zone, start, end, 1)
    if found:
        return Fit.YES, _at(found[0][0], zone)
    return (Fit.NO if whole else Fit.UNKNOWN), ""


def occurrences(
    rule: str,
    dtstart: int,
    duration_s: int,
    zone: ZoneInfo,
    start: int,
    end: int,
    most: int,
    steps: int = bounds.SEARCH_OCCURRENCES_MAX,
) -> tuple[list[tuple[int, int]], bool]:
    """Return the first `most` times of a rule that touch a span, and whether that is certain.

    Unix seconds. False when the rule is none that is followed, or begins too long before: `steps`
    are taken at most.
    """
    moments = _steps(rule, dtstart, zone)
    if moments is None:
        return [], False
    found: list[tuple[int, int]] = []
    step = 0
    for moment in islice(moments, steps):
        step += 1
        stamp = moment.replace(tzinfo=zone).timestamp()
        if stamp >= end:
            return found, True
        if stamp >= start or stamp + duration_s > start:
            found.append((int(stamp), int(stamp) + duration_s))
            if len(found) == most:
                return found, True
    return found, step < steps


def _until(text: str, zone: ZoneInfo) -> datetime:
    if text.endswith("Z"):
        utc = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return utc.astimezone(zone).replace(tzinfo=None)
    if "T" in text:
        return datetime.strptime(text, "%Y%m%dT%H%M%S")
    return datetime.strptime(text, "%Y%m%d") + timedelta(days=1)
