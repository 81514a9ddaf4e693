"""`maillon watch`, `relay`, `offer matches`, `person reputation`: what fits, and who takes over."""

from __future__ import annotations

from typing import Any

import click

from maillon.node.cli import base, clock
from maillon.node.cli.exchange_acting import author_of, known
from maillon.node.cli.offers import URGENCIES, city_of
from maillon.node.cli.paths import path_part
from maillon.node.i18n import _
from maillon.node.zones import USUAL

Json = dict[str, Any]

OWN_MAX = 1_000
"""Own offers and demands whose titles are asked for, to say what a notice is for."""

FITTING_MAX = 50


# --- what fits ----------------------------------------------------------------------------------


def matches_command(text: str) -> base.Command:
    """Return the command that proposes what fits an offer or a demand."""

    @click.command("matches", cls=base.Command, help=text)
    @click.argument("id")
    @click.option("--close", is_flag=True, help=_("What is like it, instead of what fits it."))
    @click.option("--with", "other", metavar="ID", help=_("How well it fits this one, or why not."))
    @click.option("--urgency", multiple=True, type=click.Choice(URGENCIES), help=_("Of demands."))
    @click.option("--limit", type=click.IntRange(1, FITTING_MAX), default=20, show_default=True)
    def matches(
        id: str, close: bool, other: str | None, urgency: tuple[str, ...], limit: int
    ) -> None:
        client = base.state().client()
        path = f"/v1/records/{path_part(id)}/matches"
        if other is not None:
            one = client.get(f"{path}/{path_part(other)}")
            base.emit(one, lambda: _show_one(one))
            return
        data = client.get(path, close=close or None, urgency=list(urgency) or None, limit=limit)
        base.emit(data, lambda: _show_matches(data))

    return matches


def _show_one(match: Json) -> None:
    click.echo(click.style(base.printable(match["payload"].get("title", "")), bold=True))
    for entry in match["refused"]:
        click.echo(_("It does not work: {why}").format(why=base.printable(entry["reason"])))
    for reason in match["reasons"]:
        click.echo("  " + base.printable(reason))


def _show_matches(data: Json) -> None:
    rows = [
        (
            match["id"][:12],
            "\n  ".join([match["payload"].get("title", ""), *match["reasons"][:4]]),
            city_of(match["payload"]),
            "" if match["distance_m"] is None else f"{match['distance_m'] / 1000:.0f} km",
            match["coop_name"],
        )
        for match in data["matches"]
    ]
    columns = (_("id"), _("title"), _("place"), _("distance"), _("coop"))
    base.print_table(columns, rows, empty=_("Nothing fits yet."))


@click.command(
    "counts",
    cls=base.Command,
    help=_(
        """Count the demands of the federation by urgency, each apart.

        \b
          maillon demand counts
          maillon demand counts --category aide
        """
    ),
)
@click.option("--category", "categories", multiple=True, metavar="CODE")
def counts(categories: tuple[str, ...]) -> None:
    data = base.state().client().get("/v1/demands/counts", category=list(categories) or None)
    rows = [
        (_("emergency"), data["emergency"]),
        (_("planned"), data["planned"]),
        (_("conviviality"), data["conviviality"]),
    ]
    base.emit(data, lambda: base.print_table((_("urgency"), _("demands")), rows, empty=""))


# --- saved searches -----------------------------------------------------------------------------


@click.group(
    cls=base.Group,
    help=_(
        """Searches that are kept, sealed and on this node only: you are told of what is new.

        \b
          maillon watch add "Ana Exemple" vélo --near 45.76,5.69 --km 20
          maillon watch list "Ana Exemple"
          maillon watch notices "Ana Exemple"
        """
    ),
)
def watch() -> None:
    pass


@watch.command(
    "add",
    help=_(
        """Keep a search for somebody.

        \b
          maillon watch add "Ana Exemple" vélo --near 45.76,5.69 --km 20 --name "Vélos"
          maillon watch add "Bruno Exemple" --kind demand --category jardin
        """
    ),
)
@click.argument("person")
@click.argument("words", nargs=-1)
@click.option("--name", default="", help=_("What you call it."))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["offer", "demand"]))
@click.option("--category", "categories", multiple=True, metavar="CODE")
@click.option("--near", metavar="LAT,LON")
@click.option("--km", type=click.FloatRange(0.1, 1000), help=_("How far from --near."))
@click.option("--urgency", multiple=True, type=click.Choice(URGENCIES), help=_("Of demands."))
@click.option("--audience", multiple=True, help=_("Whom it is for."))
def add(
    person: str,
    words: tuple[str, ...],
    name: str,
    kinds: tuple[str, ...],
    categories: tuple[str, ...],
    near: str | None,
    km: float | None,
    urgency: tuple[str, ...],
    audience: tuple[str, ...],
) -> None:
    from maillon.node.cli.searching import near_point

    if bool(near) != (km is not None):
        base.fail("usage", _("--near and --km come together."))
    query: Json = {
        "q": " ".join(words),
        "kind": list(kinds),
        "category": list(categories),
        "urgency": list(urgency),
        "audience": list(audience),
    }
    if near:
        query |= {**near_point(near), "km": km}
    body = {"query": query, "name": name, "person": known().person(person)}
    data = base.state().client().post("/v1/searches", body)
    base.emit(
        data,
        _("Kept as {id}. What is new: {command}").format(
            id=data["id"][:8], command=f'maillon watch notices "{person}"'
        ),
    )


@watch.command("list", help=_("List the searches kept for somebody, and how much is new."))
@click.argument("person")
def list_(person: str) -> None:
    data = base.state().client().get("/v1/searches", person=known().person(person))
    rows = [
        (
            entry["id"][:8],
            entry["name"] or entry["query"]["q"],
            ", ".join(entry["query"]["category"]),
            entry["new"],
            base.when(entry["seen_at"]),
        )
        for entry in data["searches"]
    ]
    columns = (_("id"), _("search"), _("categories"), _("new"), _("looked at"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("No search is kept.")))


@watch.command("show", help=_("Show what a kept search finds, the newest first."))
@click.argument("id")
def show(id: str) -> None:
    data = base.state().client().get(f"/v1/searches/{path_part(id)}")
    rows = [
        (
            found["id"][:12],
            found["payload"].get("title", ""),
            city_of(found["payload"]),
            found["coop_name"],
            _("new") if found["new"] else "",
        )
        for found in data["found"]
    ]
    columns = (_("id"), _("title"), _("place"), _("coop"), "")
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nothing was found.")))


@watch.command("forget", help=_("Erase a kept search with all notices about it."))
@click.argument("id")
def forget(id: str) -> None:
    data = base.state().client().post(f"/v1/searches/{path_part(id)}/forget")
    base.emit(data, _("Erased."))


@watch.command("notices", help=_("List what was published and fits somebody; mark it as seen."))
@click.argument("person")
@click.option("--all", "all_", is_flag=True, help=_("Also what was seen already."))
def notices(person: str, all_: bool) -> None:
    client = base.state().client()
    who = known().person(person)
    data = client.get("/v1/notices", person=who, unseen=None if all_ else True)
    reasons = _reasons(who, data["notices"])
    rows = [
        (
            entry["record"][:12],
            _("offer") if entry["kind"] == "offer" else _("demand"),
            entry["title"],
            entry["coop_name"],
            entry["urgency"],
            base.when(entry["at"]),
            reasons.get(entry["source_id"], entry["source_id"][:8]),
        )
        for entry in data["notices"]
    ]
    columns = (
        _("id"), _("kind"), _("title"), _("coop"), _("urgency"), _("since"), _("fits"),
    )  # fmt: skip
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nothing is new.")))
    if data["notices"]:
        client.post("/v1/notices/seen", {"person": who})


def _reasons(person: str, notices: list[Json]) -> dict[str, str]:
    """Return for which search or record each notice is, by the id of its source."""
    client = base.state().client()
    sources = {entry["source"] for entry in notices}
    found: dict[str, str] = {}
    if "search" in sources:
        for search in client.get("/v1/searches", person=person)["searches"]:
            words = search["name"] or search["query"]["q"] or search["id"][:8]
            found[search["id"]] = _("search “{words}”").format(words=words)
    if "record" in sources:
        for kind in ("demand", "offer"):
            told = _("demand “{title}”") if kind == "demand" else _("offer “{title}”")
            asked = {"kind": kind, "mine": True, "limit": OWN_MAX}
            for record in client.get("/v1/records", **asked)["records"]:
                said: Json = record["payload"] or {}
                found[record["thing"]] = told.format(title=said.get("title", ""))
    return found


# --- what is said of somebody -------------------------------------------------------------------


@click.command(
    "reputation",
    cls=base.Command,
    help=_(
        """Show what is said of a person or a coop, weighed from your coop's point of view.

        \b
          maillon person reputation "Bruno Exemple"
          maillon person reputation "Coop de la Drôme:4f0a…"
        """
    ),
)
@click.argument("who")
def reputation(who: str) -> None:
    data = base.state().client().get(f"/v1/reputations/{author_of(who)}")

    def human() -> None:
        if not data["said"]:
            click.echo(_("Nobody has said anything yet."))
        rows = [
            (name, f"{mark['mean']:.1f} / 5", mark["count"])
            for name, mark in data["criteria"].items()
        ]
        if rows:
            base.print_table((_("criterion"), _("mark"), _("people")), rows, empty="")
        for word in data["said"]:
            marks = ", ".join(f"{name} {n}" for name, n in word["criteria"].items())
            click.echo(f"{base.when(word['at'])}  {word['coop_name']}  {marks}")
            if word["unasked"]:
                told = _("left out, as the community has no such criterion: {names}")
                names = ", ".join(base.printable(name) for name in word["unasked"])
                click.echo("  " + told.format(names=names))
            if word["text"]:
                click.echo("  " + base.printable(word["text"]))
            for answer in word["replies"]:
                click.echo("  > " + base.printable(answer["text"]))
        if data["guarantees_open"]:
            click.echo(_("Guarantees not closed: {n}").format(n=data["guarantees_open"]))

    base.emit(data, human)


# --- relays -------------------------------------------------------------------------------------


@click.group(
    cls=base.Group,
    help=_(
        """Outside of your hours another coop sees to urgent demands, within a time you agree on.

        \b
          maillon relay set "Coop de la Drôme" --hours "Mo-Fr 09:00-18:00" --within 30min
          maillon relay list
          maillon relay hand 9c01d2ab --text "She waits at the station"
          maillon relay answer 61ab02c4 --yes
          maillon relay report --since 30d
        """
    ),
)
def relay() -> None:
    pass


@relay.command("set", help=_("Publish your opening hours, and who takes over outside of them."))
@click.argument("coop")
@click.option("--hours", required=True, help=_('Opening hours such as "Mo-Fr 09:00-12:00".'))
@click.option("--within", required=True, metavar="TIME", help=_("To say that they took it."))
def set_(coop: str, hours: str, within: str) -> None:
    from maillon.node.importers.hours import parse_osm

    week = parse_osm(hours)
    if week is None:
        base.fail(
            "usage",
            _("The opening hours {text!r} cannot be read.").format(text=hours),
            _('Write them like "Mo-Fr 09:00-12:00; Sa 09:00-12:00", or use --when.'),
        )
    id, name = known().coop(coop)
    payload: Json = {
        "hours": week,
        "tz": clock.zone_name() or USUAL,
        "relay": id,
        "ack_within_s": base.period(within),
    }
    data = base.state().client().post("/v1/records", {"kind": "relay", "payload": payload})
    base.emit(
        data,
        _("Outside of these hours {coop} is asked from now on.").format(
            coop=base.printable(name or id[:8])
        ),
    )


@relay.command("list", help=_("List demands handed to a relay, and to your coop as one."))
@click.option("--way", type=click.Choice(["in", "out"]), help=_("Only to you, or from you."))
@click.option("--status", type=click.Choice(["asked", "taken", "refused", "missed"]))
def list_relays(way: str | None, status: str | None) -> None:
    data = base.state().client().get("/v1/relays", way=way, status=status)
    states = {
        "asked": _("waits for the answer"),
        "taken": _("taken"),
        "refused": _("refused"),
        "missed": _("missed"),
    }
    rows = [
        (
            entry["id"][:8],
            _("to us") if entry["way"] == "in" else _("from us"),
            entry["coop_name"],
            entry["title"],
            entry["urgency"],
            states.get(entry["status"], entry["status"]),
            base.when(entry["deadline"]),
        )
        for entry in data["relays"]
    ]
    columns = (
        _("id"), "", _("coop"), _("title"), _("urgency"), _("state"), _("until"),
    )  # fmt: skip
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nothing was handed over.")))


@relay.command("hand", help=_("Hand a demand of your coop to its relay now, whatever the hour."))
@click.argument("demand")
@click.option("--text", default="", help=_("For the relay only."))
def hand(demand: str, text: str) -> None:
    data = base.state().client().post("/v1/relays", {"demand": demand, "text": text})
    base.emit(
        data,
        _("{coop} is asked; they answer until {when}.").format(
            coop=base.printable(data["coop_name"]), when=base.when(data["deadline"])
        ),
    )


@relay.command("answer", help=_("Say whether your coop sees to a demand that was handed to it."))
@click.argument("id")
@click.option("--yes/--no", "taken", required=True, default=None)
@click.option("--text", default="", help=_("For the coop that asks."))
def answer(id: str, taken: bool, text: str) -> None:
    path = f"/v1/relays/{path_part(id)}/answer"
    data = base.state().client().post(path, {"taken": taken, "text": text})
    told = _("Taken: {title} is yours.") if taken else _("Refused: {title} stays with {coop}.")
    base.emit(
        data,
        told.format(title=base.printable(data["title"]), coop=base.printable(data["coop_name"])),
    )


@relay.command("report", help=_("Tell how relays kept to the time that was agreed."))
@click.option("--since", metavar="TIME", help=_("From then on."))
def report(since: str | None) -> None:
    start = None if since is None else base.moment(since, start=True)
    data = base.state().client().get("/v1/relays/report", start=start)
    rows = [
        (
            entry["coop_name"],
            _("to us") if entry["way"] == "in" else _("from us"),
            entry["asked"],
            entry["taken"],
            entry["refused"],
            entry["missed"],
            "–" if entry["in_time_percent"] is None else f"{entry['in_time_percent']:.0f} %",
        )
        for entry in data["figures"]
    ]
    columns = (
        _("coop"), "", _("asked"), _("taken"), _("refused"), _("missed"), _("in time"),
    )  # fmt: skip
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("Nothing was handed over.")))


OFFER_MATCHES = matches_command(
    _(
        """Propose demands that fit an offer, of all coops, with the reasons.

        \b
          maillon offer matches 9c01d2ab
          maillon offer matches 9c01d2ab --with 61ab02c4      how well these two fit, or why not
        """
    )
)
DEMAND_MATCHES = matches_command(
    _(
        """Propose offers that fit a demand, of all coops, with the reasons.

        \b
          maillon demand matches 9c01d2ab
          maillon demand matches 9c01d2ab --with 61ab02c4     how well these two fit, or why not
        """
    )
)
