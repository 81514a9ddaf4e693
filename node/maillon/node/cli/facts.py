"""The facts of an offer or a demand in words: hours, places, whatever else a payload holds."""

from __future__ import annotations

import json
from typing import Any, cast

from maillon.node.i18n import _


def in_words(name: str, value: Any) -> str:
    """Return a field of a payload as people read it; JSON for what has no words yet."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(v, str) for v in cast("list[object]", value)):
        return ", ".join(cast("list[str]", value))
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if name == "when":
            return "\n".join(line for line in (_hours(fields), fields.get("text", "")) if line) or (
                _json(fields)
            )
        if name == "place":
            return _place(fields)
        if all(isinstance(v, str) for v in fields.values()):
            return "\n".join(f"{key}: {text}" for key, text in fields.items())
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _hours(when: dict[str, Any]) -> str:
    """Return weekly hours, one line for neighbouring days with the same ones."""
    days = {
        "mo": _("Mo"), "tu": _("Tu"), "we": _("We"), "th": _("Th"),
        "fr": _("Fr"), "sa": _("Sa"), "su": _("Su"),
    }  # fmt: skip
    hours: dict[str, list[list[int]]] = when.get("hours") or {}
    spans: list[tuple[list[str], list[list[int]]]] = []
    for day, label in days.items():
        if day not in hours:
            spans.append(([], []))
        elif spans and spans[-1][0] and spans[-1][1] == hours[day]:
            spans[-1][0].append(label)
        else:
            spans.append(([label], hours[day]))
    lines: list[str] = []
    for labels, times in spans:
        if labels:
            named = labels[0] if len(labels) == 1 else f"{labels[0]}–{labels[-1]}"
            told = ", ".join(f"{_clock(first)}–{_clock(last)}" for first, last in times)
            lines.append(f"{named} {told}")
    return "\n".join(lines)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _place(place: dict[str, Any]) -> str:
    town = " ".join(str(place[n]) for n in ("postcode", "city") if place.get(n))
    lines = [str(place[n]) for n in ("name", "address") if place.get(n)] + ([town] if town else [])
    if "lat" in place and "lon" in place:
        # Five decimals are a metre; the records hold millionths of a degree.
        lines.append(f"{place['lat'] / 1_000_000:.5f}, {place['lon'] / 1_000_000:.5f}")
    elif "cell" in place:
        lines.append(_("somewhere in an area of about 5 km²"))
    return "\n".join(lines) or _json(place)
