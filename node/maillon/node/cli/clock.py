"""Times as people of the coop read them: in the zone of its settings, not of whoever's shell."""

from __future__ import annotations

from datetime import datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from maillon.node.i18n import _


def zone_name() -> str:
    """Return the name of the coop's zone, empty where there are no settings to say it."""
    import click

    from maillon.node.cli import base

    if click.get_current_context(silent=True) is None:
        return ""
    return _name_in(base.state().home.config)


@lru_cache(maxsize=4)
def _name_in(file: Path) -> str:
    import tomllib

    from maillon.node.zones import USUAL

    try:
        said = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        # What is wrong with the settings, the commands that need them say.
        return ""
    coop = said.get("coop")
    name = cast("dict[str, Any]", coop).get("zone") if isinstance(coop, dict) else None
    return name if isinstance(name, str) else USUAL


@lru_cache(maxsize=4)
def _zone(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def zone() -> tzinfo | None:
    """Return the coop's zone, None for that of the machine."""
    return _zone(zone_name())


def now() -> datetime:
    """Return the time of day at the coop."""
    return datetime.now(zone())


def at(seconds: int) -> datetime:
    """Return a time in Unix seconds as it is at the coop."""
    return datetime.fromtimestamp(seconds, zone())


def zone_in_words() -> str:
    """Return how the zone is named beside a time."""
    return zone_name() or datetime.now().astimezone().tzname() or "UTC"


def day(moment: datetime) -> str:
    """Return a day with its weekday."""
    names = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))
    return f"{names[moment.weekday()]} {moment:%Y-%m-%d}"


def moment_in_words(seconds: int) -> str:
    """Return a time with its weekday and its zone."""
    moment = at(seconds)
    return f"{day(moment)} {moment:%H:%M} ({zone_in_words()})"


def span_in_words(start: int, end: int, *, zoned: bool = True) -> str:
    """Return an appointment: its day once, its times, and its zone."""
    first, last = at(start), at(end)
    until = f"{last:%H:%M}" if last.date() == first.date() else f"{day(last)} {last:%H:%M}"
    text = f"{day(first)} {first:%H:%M} – {until}"
    return f"{text} ({zone_in_words()})" if zoned else text
