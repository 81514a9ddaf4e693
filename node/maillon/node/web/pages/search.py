"""Find offers and demands: a list with filters, and why each stands where it stands.

What is searched for is neither logged nor kept, here or by the interface.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from litestar.handlers import HTTPRouteHandler

from maillon.node.api.service import SearchOptions
from maillon.node.api.shapes import Hits
from maillon.node.i18n import _
from maillon.node.web import bounds
from maillon.node.web.categories import labels
from maillon.node.web.forms import Form
from maillon.node.web.routes import Framed, Page, page
from maillon.node.web.words import modes
from maillon.protocol.records.market import ACCESS_CRITERIA

KINDS: Final = ("offer", "demand")
DISTANCES: Final = ("2", "5", "10", "20", "50")
ORDERS: Final = ("best", "newest", "nearest")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CODE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,127}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the filters offer, as value and label."""

    kinds: list[tuple[str, str]]
    modes: list[tuple[str, str]]
    distances: list[tuple[str, str]]
    orders: list[tuple[str, str]]
    access: list[tuple[str, str]]
    categories: list[tuple[str, list[tuple[str, str]]]]
    """Groups of categories: the name of the group, and its categories."""


def access_words() -> dict[str, str]:
    """Return the conditions of access in words."""
    words = {
        "hours": _("opening hours"),
        "distance": _("distance"),
        "transport": _("getting there"),
        "cost": _("cost"),
        "eligibility": _("for whom"),
        "disability": _("disability"),
        "language": _("languages"),
        "literacy": _("help with reading and writing"),
        "digital": _("no computer needed"),
        "waiting": _("waiting time"),
        "privacy": _("discretion"),
    }
    return {name: words[name] for name in ACCESS_CRITERIA}


def choices(frame: Framed) -> Choices:
    """Return what the filters offer now."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for code, label in sorted(labels(frame.service, "fr").items(), key=lambda item: item[1]):
        theme = code.partition("--")[0] if "--" in code else ""
        groups.setdefault(theme, []).append((code, label))
    named = [
        (frame.say.category(theme) if theme else _("Of the coops"), found)
        for theme, found in sorted(groups.items())
    ]
    return Choices(
        kinds=[("", _("All")), ("offer", _("Offers")), ("demand", _("Demands"))],
        modes=list(modes().items()),
        distances=[
            ("", _("Any distance")),
            *((km, _("Within {km} km").format(km=km)) for km in DISTANCES),
        ],
        orders=[
            ("best", _("Best first")),
            ("newest", _("Newest first")),
            *([("nearest", _("Nearest first"))] if frame.house.point else []),
        ],
        access=list(access_words().items()),
        categories=named,
    )


def options_of(frame: Framed, asked: Form) -> SearchOptions:
    """Return what is searched for; what cannot be is noted in `asked` and left out."""
    kind = asked.choice("kind", KINDS)
    km = asked.choice("km", DISTANCES)
    order = asked.choice("order", ORDERS) or "best"
    category = asked.value("category")
    language = asked.value("language")
    coop = asked.value("coop")
    start = end = None
    if day := asked.text("when", most=10):
        try:
            if not _DATE.fullmatch(day):
                raise ValueError(day)
            first = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(frame.house.zone))
            start, end = int(first.timestamp()), int((first + timedelta(days=1)).timestamp())
            if start < 0:
                raise ValueError(day)
        except (ValueError, OverflowError):
            start = end = None
            asked.wrong("when", _("Write the day as 2026-11-30."))
    near = bool(frame.house.point) and (bool(km) or order == "nearest")
    return SearchOptions(
        words=asked.text("q"),
        kinds=[kind] if kind else (),
        categories=[category] if _CODE.fullmatch(category) else (),
        modes=asked.choices("mode", list(modes())),
        coops=[coop] if re.fullmatch(r"[0-9a-f]{64}", coop) else (),
        languages=[language] if _LANGUAGE.fullmatch(language) else (),
        access=asked.choices("access", ACCESS_CRITERIA),
        point=frame.house.point if near else None,
        radius_km=float(km) if km and near else None,
        start=start,
        end=end,
        order=order if order != "nearest" or near else "best",
        limit=bounds.HITS_PER_PAGE,
        cursor=asked.value("cursor")[:200],
    )


@page("/search")
def search(frame: Framed) -> Page:
    """Show what was found, or what one can look for."""
    asked = frame.query
    options = options_of(frame, asked)
    hits = Hits([], 0, False, "", {}, False)
    with asked.trying():
        hits = frame.service.search(options)
    filters = sum(
        bool(asked.value(name)) for name in ("category", "km", "when", "mode", "language", "access")
    )
    return frame.render(
        "search/part.html" if frame.wants_part else "search/list.html",
        status=200,
        asked=asked,
        hits=hits,
        choices=choices(frame),
        filters=filters,
    )


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (search,)
