"""`maillon search`."""

from __future__ import annotations

import math
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.cli.offers import MODES, STATUSES, URGENCIES, city_of
from maillon.node.i18n import _


def _distance(hit: dict[str, Any]) -> str:
    if hit["distance_m"] is None:
        return ""
    about = "~" if hit["approximate"] else ""
    return f"{about}{hit['distance_m'] / 1000:.0f} km"


def near_point(text: str) -> dict[str, float]:
    """Return the point that --near names. Raises: LocalError."""
    try:
        lat, lon = (float(part) for part in text.split(","))
    except ValueError:
        lat = lon = math.nan
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        base.fail("usage", _("Write --near as LAT,LON, such as 45.76,5.69."))
    return {"lat": lat, "lon": lon}


def _asked_time(text: str) -> dict[str, int]:
    from maillon.node.cli import clock
    from maillon.node.cli.times import parse_when

    try:
        start, end = parse_when(text, clock.now())
        base.state().understood[text] = clock.span_in_words(start, end)
    except (ValueError, OverflowError):
        base.fail(
            "usage",
            _("{text!r} is no time.").format(text=text),
            _('Write --when as tomorrow, "sa 09:00-12:00", 2026-03-01 or 2026-03-01T14:30.'),
        )
    return {"start": start, "end": end}


@click.command(
    cls=base.Command,
    help=_(
        """Find offers and demands of the whole federation, in this node's own database.

        Nobody learns what was searched for: nothing leaves the machine, nothing is logged.

        \b
          maillon search aide aux démarches
          maillon search vélo --near 45.76,5.69 --km 20
          maillon search "garde d'enfants" --kind offer --limit 5
          maillon search permanence --when "sa 09:00-12:00" --language en
        """
    ),
)
@click.argument("words", nargs=-1)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["offer", "demand"]))
@click.option("--category", "categories", multiple=True)
@click.option("--mode", "modes", multiple=True, type=click.Choice(MODES))
@click.option("--coop", "coops", multiple=True, metavar="NAME", help=_("Only of this coop."))
@click.option("--near", metavar="LAT,LON")
@click.option("--km", type=click.FloatRange(0.1, 1000), help=_("How far from --near."))
@click.option(
    "--when",
    metavar="TIME",
    help=_('To be had then: tomorrow, "sa 09:00-12:00", 2026-03-01T14:30, START/END.'),
)
@click.option("--language", "languages", multiple=True, help=_("A language you read."))
@click.option("--language-only", is_flag=True, help=_("Nothing in other languages."))
@click.option("--audience", multiple=True, help=_("Whom it is for."))
@click.option("--access", multiple=True, metavar="NAME", help=_("It says this about access."))
@click.option("--provider-status", "provider_statuses", multiple=True, type=click.Choice(STATUSES))
@click.option("--verified", type=click.Choice(["approved", "self_declared", "none"]))
@click.option("--urgency", multiple=True, type=click.Choice(URGENCIES), help=_("Of demands."))
@click.option(
    "--order", type=click.Choice(["best", "newest", "nearest"]), default="best", show_default=True
)
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0, 10_000), default=0)
@click.option("--why", is_flag=True, help=_("Say why each was found."))
def search(
    words: tuple[str, ...],
    kinds: tuple[str, ...],
    categories: tuple[str, ...],
    modes: tuple[str, ...],
    coops: tuple[str, ...],
    near: str | None,
    km: float | None,
    when: str | None,
    languages: tuple[str, ...],
    language_only: bool,
    audience: tuple[str, ...],
    access: tuple[str, ...],
    provider_statuses: tuple[str, ...],
    verified: str | None,
    urgency: tuple[str, ...],
    order: str,
    limit: int,
    offset: int,
    why: bool,
) -> None:
    parameters: dict[str, Any] = {
        "q": " ".join(words),
        "kind": list(kinds) or None,
        "category": list(categories) or None,
        "mode": list(modes) or None,
        "coop": list(coops) or None,
        "km": km,
        "language": list(languages) or None,
        "language_only": language_only or None,
        "audience": list(audience) or None,
        "access": list(access) or None,
        "provider_status": list(provider_statuses) or None,
        "verified": verified,
        "urgency": list(urgency) or None,
        "order": None if order == "best" else order,
        "limit": limit,
        "offset": offset or None,
    }
    if near:
        parameters |= near_point(near)
    elif km is not None or order == "nearest":
        base.fail("usage", _("Say where you are with --near LAT,LON."))
    if language_only and not languages:
        base.fail("usage", _("--language-only needs a --language."))
    if when:
        parameters |= _asked_time(when)
    data = base.state().client().get("/v1/search", **parameters)

    def human() -> None:
        for written, used in data["corrected"].items():
            sentence = _("Nothing has {word}; searched for {other} instead.")
            click.echo(base.printable(sentence.format(word=written, other=used)))
        rows = [
            (
                hit["id"][:12],
                _("offer") if hit["kind"] == "offer" else _("demand"),
                # Why it was found stands below the title, where there is room.
                "\n  ".join([hit["payload"].get("title", ""), *(hit["reasons"] if why else [])]),
                city_of(hit["payload"]),
                _distance(hit),
                hit["coop_name"],
            )
            for hit in data["hits"]
        ]
        columns = (
            _("id"),
            _("kind"),
            _("title"),
            _("place"),
            _("distance"),
            _("coop"),
        )
        base.print_table(columns, rows, empty=_("Nothing was found."))

    base.emit(data, human)
