"""Say amounts, times, distances and the words of records as people do.

    say.when(hit.at)      "Thursday 26 November at 14:30"
    say.asked(payload["reciprocity"])      "for 1 h 30"

In templates it stands as `say`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from maillon.node.i18n import _, decimal, ngettext

# What turns the text after it around, or hides in it (Unicode UAX #9; Bidi_Control but for the two
# marks that scripts written from right to left need), and what takes no room.
_HIDDEN: Final = re.compile(
    "[\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff\u00ad\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_SAFE_URL: Final = re.compile(r"https?://[^\s\"'<>\\]{1,512}")
_DAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
NBSP: Final = "\u00a0"


def plain(text: str) -> str:
    """Return a text without characters that change how what stands beside it is read."""
    return _HIDDEN.sub("", text)


def safe_url(url: object) -> str:
    """Return an address of the web that a page may link to; empty for anything else."""
    return url if isinstance(url, str) and _SAFE_URL.fullmatch(url) else ""


def local_path(path: str, most: int) -> str:
    """Return a path of this site; "/" for anything that could lead elsewhere."""
    fine = (
        path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and len(path) <= most
        and path.isascii()
        and path.isprintable()
        and "\\" not in path
        and not path.startswith("/v1/")
    )
    return path if fine else "/"


def minutes(count: int) -> str:
    """Return a time span: "45 min", "1 h", "1 h 30"."""
    sign, count = ("−" if count < 0 else ""), abs(count)
    if count < 60:
        return f"{sign}{count}{NBSP}min"
    hours, rest = divmod(count, 60)
    if not rest:
        return f"{sign}{hours}{NBSP}h"
    return f"{sign}{hours}{NBSP}h{NBSP}{rest:02d}"


class Fields(dict[str, Any]):
    """What a record holds, for templates: a field that is not there is empty, not an error."""

    def __missing__(self, name: str) -> str:
        return ""


def fields(value: Any) -> Any:
    """Return a payload with all that is in it as `Fields`."""
    if isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value)
        return Fields({name: fields(item) for name, item in named.items()})
    if isinstance(value, list):
        return [fields(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


class Words:
    """The words of one page: its zone, the time now, the units and categories of the federation."""

    def __init__(
        self,
        *,
        zone: str,
        now: int,
        units: Sequence[Mapping[str, Any]] = (),
        categories: Mapping[str, str] | None = None,
    ) -> None:
        self._zone = ZoneInfo(zone)
        self.now = now
        self._units = {str(unit["code"]): unit for unit in units}
        self._categories = categories or {}

    # --- amounts --------------------------------------------------------------------------------

    def amount(self, value: int, code: str) -> str:
        """Return an amount in minor units of a unit by its code: "1 h 30", "12,50 grains"."""
        unit = self._units.get(code)
        if unit is None:
            return f"{value}{NBSP}{plain(code)}"
        decimals = int(unit["decimals"])
        if unit["kind"] == "hours" and not decimals:
            return minutes(value)
        sign = "−" if value < 0 else ""
        figure = decimal(abs(value) / 10**decimals, decimals)
        if unit["kind"] == "hours":
            return f"{sign}{figure}{NBSP}min"
        return f"{sign}{figure}{NBSP}{plain(str(unit['label']) or code)}"

    def unit(self, code: str) -> str:
        """Return the name of a unit."""
        unit = self._units.get(code)
        return plain(code if unit is None else str(unit["label"]) or code)

    def counts_only(self, code: str) -> bool:
        """Tell whether a unit counts exchanges and has no balances."""
        return str(self._units.get(code, {}).get("kind")) == "count"

    def asked(self, reciprocity: Mapping[str, Any]) -> str:
        """Return what is asked or given in return, in words."""
        match reciprocity.get("kind"):
            case "amount":
                amount = self.amount(int(reciprocity["amount"]), str(reciprocity["unit"]))
                return _("for {amount}").format(amount=amount)
            case "count_only":
                return _("one exchange for another")
            case "gift":
                return _("a gift")
            case "auction":
                if "amount" in reciprocity:
                    most = self.amount(int(reciprocity["amount"]), str(reciprocity["unit"]))
                    return _("open to proposals, up to {amount}").format(amount=most)
                return _("open to proposals")
            case _:
                return _("free of charge")

    # --- times ----------------------------------------------------------------------------------

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(self._zone)

    def iso(self, at: int) -> str:
        """Return a time as the attribute `datetime` has it."""
        return self._local(at).isoformat()

    def clock(self, at: int) -> str:
        """Return the time of day: "14:30", "14 h 30"."""
        local = self._local(at)
        if not local.minute:
            # Translators: a full hour, as in "14 h".
            return _("{hour}:00").format(hour=local.hour)
        return _("{hour}:{minute}").format(hour=local.hour, minute=f"{local.minute:02d}")

    def day(self, at: int, *, weekday: bool = True) -> str:
        """Return a day: "today", "tomorrow", "Thursday 26 November", with the year when another."""
        local, now = self._local(at), self._local(self.now)
        distance = (local.date() - now.date()).days
        if weekday and distance in (-1, 0, 1):
            return (_("yesterday"), _("today"), _("tomorrow"))[distance + 1]
        said = _("{day} {month}").format(day=_first(local.day), month=_months()[local.month - 1])
        if local.year != now.year:
            said = f"{said} {local.year}"
        return f"{_weekdays()[local.weekday()]} {said}" if weekday else said

    def when(self, at: int) -> str:
        """Return a day and the time of day."""
        return _("{day} at {time}").format(day=self.day(at), time=self.clock(at))

    def span(self, start: int, end: int) -> str:
        """Return from when to when."""
        if self._local(start).date() == self._local(end - 1).date():
            return _("{day}, {start} to {end}").format(
                day=self.day(start), start=self.clock(start), end=self.clock(end)
            )
        return _("from {start} to {end}").format(start=self.when(start), end=self.when(end))

    def ago(self, at: int) -> str:
        """Return how long ago something was: "3 days ago"."""
        span = timedelta(seconds=max(0, self.now - at))
        hours = int(span.total_seconds()) // 3600
        if hours < 1:
            return _("just now")
        if hours < 24:
            return ngettext("{n} hour ago", "{n} hours ago", hours).format(n=hours)
        if span.days < 45:
            return ngettext("{n} day ago", "{n} days ago", span.days).format(n=span.days)
        return self.day(at, weekday=False)

    def month(self, at: int) -> str:
        """Return the month of a time, short."""
        return _months_short()[self._local(at).month - 1]

    def hours(self, when: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return weekly hours as (days, times), neighbouring days with the same ones together."""
        hours = cast("Mapping[str, list[list[int]]]", when.get("hours") or {})
        spans: list[tuple[list[str], list[list[int]]]] = []
        for code, label in zip(_DAYS, _weekdays(), strict=True):
            if code not in hours:
                spans.append(([], []))
            elif spans and spans[-1][0] and spans[-1][1] == hours[code]:
                spans[-1][0].append(label)
            else:
                spans.append(([label], hours[code]))
        return [
            (
                labels[0] if len(labels) == 1 else f"{labels[0]} – {labels[-1]}",
                ", ".join(f"{_minute(first)} – {_minute(last)}" for first, last in times),
            )
            for labels, times in spans
            if labels
        ]

    # --- places ---------------------------------------------------------------------------------

    def distance(self, metres: int | None, approximate: bool) -> str:
        """Return how far something is: "3 km", "about 5 km"."""
        if metres is None:
            return ""
        if approximate:
            return _("about {km} km").format(km=max(1, round(metres / 1000)))
        if metres < 1000:
            return f"{max(50, round(metres, -1))}{NBSP}m"
        return f"{decimal(metres / 1000, 1 if metres < 10_000 else 0)}{NBSP}km"

    def place(self, place: Mapping[str, Any] | None) -> str:
        """Return a place on one line."""
        if not place:
            return ""
        town = " ".join(str(place[n]) for n in ("postcode", "city") if place.get(n))
        found = [str(place[n]) for n in ("name", "address") if place.get(n)]
        return plain(", ".join([*found, *([town] if town else [])]))

    def town(self, place: Mapping[str, Any] | None) -> str:
        """Return the town of a place."""
        return plain(str(place.get("city") or place.get("name") or "")) if place else ""

    # --- words of records -----------------------------------------------------------------------

    def category(self, code: str) -> str:
        """Return a category as people call it."""
        known = self._categories.get(code)
        if known:
            return plain(known)
        words = code.rpartition("--")[2].replace("-", " ").replace("_", " ").strip()
        return words[:1].upper() + words[1:]

    def kind(self, kind: str) -> str:
        """Return what a record is."""
        return {"offer": _("offer"), "demand": _("demand")}.get(kind, plain(kind))

    def mode(self, mode: str) -> str:
        """Return how a service is given."""
        return modes().get(mode, plain(mode))

    def urgency(self, urgency: str) -> str:
        """Return how urgent a demand is."""
        return {
            "emergency": _("urgent"),
            "planned": _("to be planned"),
            "conviviality": _("for company"),
        }.get(urgency, plain(urgency))

    def status(self, status: str) -> str:
        """Return who somebody is who gives a service."""
        return {
            "self_employed": _("self-employed"),
            "insertion_employee": _("employee in a work-integration scheme"),
            "family_carer": _("family carer"),
            "volunteer": _("volunteer"),
            "salaried_entrepreneur": _("salaried entrepreneur"),
            "employee": _("employee"),
            "association": _("association"),
        }.get(status, plain(status))

    def language(self, tag: str) -> str:
        """Return the name of a language."""
        return {"fr": "français", "en": "English", "ar": "العربية", "es": "español"}.get(
            tag[:2], plain(tag)
        )


def modes() -> dict[str, str]:
    """Return the ways a service is given, in words."""
    return {
        "at_home": _("at your home"),
        "on_site": _("on site"),
        "remote": _("by phone or online"),
        "itinerant": _("travelling"),
    }


def _first(day: int) -> str:
    # Translators: the first day of a month.
    return _("1") if day == 1 else str(day)


def _minute(count: int) -> str:
    hour, minute = divmod(count, 60)
    if not minute:
        return _("{hour}:00").format(hour=hour)
    return _("{hour}:{minute}").format(hour=hour, minute=f"{minute:02d}")


def _weekdays() -> tuple[str, ...]:
    return (
        _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"),
        _("Sunday"),
    )  # fmt: skip


def _months() -> tuple[str, ...]:
    return (
        _("January"), _("February"), _("March"), _("April"), _("May"), _("June"), _("July"),
        _("August"), _("September"), _("October"), _("November"), _("December"),
    )  # fmt: skip


def _months_short() -> tuple[str, ...]:
    return (
        _("Jan"), _("Feb"), _("Mar"), _("Apr"), _("May"), _("Jun"), _("Jul"), _("Aug"), _("Sep"),
        _("Oct"), _("Nov"), _("Dec"),
    )  # fmt: skip
