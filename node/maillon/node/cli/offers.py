"""`maillon offer`, `demand` and `category`."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from maillon.node.cells import home_cell
from maillon.node.cli import base, clock
from maillon.node.cli.facts import in_words
from maillon.node.cli.paths import path_part
from maillon.node.cli.who import Directory
from maillon.node.i18n import _
from maillon.node.zones import USUAL

URGENCIES = ["emergency", "planned", "conviviality"]
STATUSES = [
    "self_employed",
    "insertion_employee",
    "family_carer",
    "volunteer",
    "salaried_entrepreneur",
    "employee",
    "association",
]
MODES = ["at_home", "on_site", "remote", "itinerant"]


@click.group(
    cls=base.Group,
    help=_(
        """Publish and find what people and organisations offer.

        \b
          maillon offer publish --title "Repair of bicycles" --category mobilite \\
                --city Belley --lat 45.76 --lon 5.69 --public-place --phone "04 00 00 00 00"
          maillon offer list --mine
        """
    ),
)
def offer() -> None:
    pass


@click.group(
    cls=base.Group,
    help=_(
        """Publish and find what people need.

        \b
          maillon demand publish --title "Lift to the market on Saturday" --category mobilite \\
                --lat 45.76 --lon 5.69 --urgency planned
        A place without --public-place is a home: only its cell of about 5 km² is published.
        """
    ),
)
def demand() -> None:
    pass


class Degrees(click.FloatRange):
    """A finite number of degrees: "nan" lies in every range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(_("{value!r} is not a number.").format(value=value), param, ctx)
        return number


def publish_options(kind: str) -> list[Callable[[Any], Any]]:
    """Return the options of a command that publishes an offer or a demand."""
    common = [
        click.option("--title", help=_("One line.")),
        click.option("--text", help=_("A description; - reads it from standard input.")),
        click.option("--language", "lang", default="fr", show_default=True),
        click.option(
            "--category", "categories", multiple=True, help=_("A code such as mobilite; needed.")
        ),
        click.option("--mode", "modes", multiple=True, type=click.Choice(MODES)),
        click.option("--lat", type=Degrees(-90, 90)),
        click.option("--lon", type=Degrees(-180, 180)),
        click.option("--public-place", is_flag=True, help=_("The point is no home: publish it.")),
        click.option("--place-name", help=_("Of a public place.")),
        click.option("--address", help=_("Of a public place.")),
        click.option("--postcode", help=_("Of a public place.")),
        click.option("--city"),
        click.option("--insee", help=_("Code of the commune.")),
        click.option("--radius", type=click.IntRange(0, 1000), help=_("How far, in kilometres.")),
        click.option("--hours", help=_('Opening hours such as "Mo-Fr 09:00-12:00".')),
        click.option("--when", help=_("When, in words.")),
        click.option(
            "--reciprocity",
            type=click.Choice(["free", "gift", "count_only", "amount", "auction"]),
            help=_("What is asked or given in return [free, or amount with --amount]."),
        ),
        click.option("--amount", metavar="AMOUNT", help=_("Such as 1h30, or 12.50 of a credit.")),
        click.option("--unit", metavar="CODE", help=_("Which unit, where there are several.")),
        click.option("--audience", multiple=True, help=_("Whom it is for.")),
        click.option("--access", multiple=True, metavar="NAME=TEXT", help=_("A condition.")),
        click.option("--phone"),
        click.option("--email"),
        click.option("--url"),
        click.option("--contact-name", help=_("Of an organisation or a desk.")),
        click.option("--file", type=click.Path(dir_okay=False), help=_("A payload as JSON.")),
        click.option("--days", type=click.IntRange(1, 400), help=_("How long it stands.")),
        click.option("--as-member", metavar="PERSON", help=_("For a member whose key is here.")),
        click.option("--mandate", metavar="ID", help=_("Acting under this mandate.")),
        click.option("--replaces", metavar="ID", help=_("The record of yours that this revises.")),
    ]
    if kind == "demand":
        common.append(click.option("--urgency", type=click.Choice(URGENCIES)))
    return common


def _publish_command(group: click.Group, kind: str, text: str) -> None:
    def publish(**given: Any) -> None:
        body: dict[str, Any] = {"kind": kind, "payload": build_payload(given)}
        for name in ("days", "as_member", "mandate", "replaces"):
            if given.get(name) is not None:
                body[name] = given[name]
        client = base.state().client()
        if "as_member" in body:
            body["as_member"] = Directory(client).person(body["as_member"])
        data = client.post("/v1/records", body)
        doubts = _doubts(body["payload"]) + data["notices"]
        data["notices"] = doubts
        base.emit(
            data,
            _("Published as {id}, until {when}.").format(
                id=data["id"][:16], when=base.when(data["until"])
            ),
        )
        if not base.state().json:
            for doubt in doubts:
                click.echo(_("Note: {text}").format(text=base.printable(doubt)), err=True)

    function: Any = publish
    for option in reversed(publish_options(kind)):
        function = option(function)
    group.command("publish", help=text)(function)


_publish_command(
    offer,
    "offer",
    _(
        """Publish an offer, for the coop or for a member.

        \b
          maillon offer publish --title "Mending clothes" --category couture --as-member Ana
          maillon offer publish --file offer.json --replaces 9c01d2…
        """
    ),
)
_publish_command(
    demand,
    "demand",
    _(
        """Publish a demand, for the coop or for a member.

        \b
          maillon demand publish --title "Somebody to read letters" --category lecture
        """
    ),
)


def _doubts(payload: dict[str, Any]) -> list[str]:
    """Return what is allowed and probably not meant, in sentences."""
    from maillon.node.importers.base import organisation_email
    from maillon.node.importers.data_inclusion import reference
    from maillon.protocol.records.market import ACCESS_CRITERIA

    found: list[str] = []
    place: dict[str, Any] = payload.get("place") or {}
    contact: dict[str, Any] = payload.get("contact") or {}
    email: Any = contact.get("email")
    if email and organisation_email(email, place.get("name", ""), place.get("city", "")) is None:
        found.append(
            _("The mailbox {email} may be a person's; everybody can read it now.").format(
                email=email
            )
        )
    usual = set(reference("publics"))
    strange = [code for code in payload.get("audience", ()) if code not in usual]
    if strange:
        found.append(
            _("No usual code of an audience: {names}. The usual ones are: {usual}.").format(
                names=", ".join(strange), usual=", ".join(sorted(usual))
            )
        )
    conditions = (*ACCESS_CRITERIA, "appointment")
    strange = [name for name in payload.get("access", ()) if name not in conditions]
    if strange:
        found.append(
            _("No usual condition of access: {names}. The usual ones are: {usual}.").format(
                names=", ".join(strange), usual=", ".join(conditions)
            )
        )
    insee = place.get("insee")
    if insee and not re.fullmatch(r"\d[\dAB]\d{3}", insee):
        found.append(_("{code} is no INSEE code of a commune.").format(code=insee))
    return found


def _amount(text: str, code: str | None) -> tuple[str, int]:
    """Return unit and minor units of an amount as people write it. Raises: LocalError."""
    from maillon.node.cli.exchange_acting import minor
    from maillon.protocol.errors import LocalError

    known = Directory(base.state().client())
    try:
        unit = known.unit(code, text)
    except LocalError as fault:
        # A federation without accounts can name units too; the node knows them.
        if fault.code != "no_ledger" or code is None or not text.isdecimal():
            raise
        return code, int(text)
    return unit, minor(known, unit, text)


def build_payload(given: dict[str, Any]) -> dict[str, Any]:
    """Return the payload that the options of a publish command describe."""
    payload: dict[str, Any] = {}
    if given.get("file"):
        payload = _read_object(given["file"])
    if given.get("title"):
        payload["title"] = given["title"]
    if given.get("text"):
        text = sys.stdin.read() if given["text"] == "-" else given["text"]
        payload["text"] = text.strip()
    payload.setdefault("lang", given.get("lang") or "fr")
    if given.get("categories"):
        payload["categories"] = list(given["categories"])
    if given.get("modes"):
        payload["mode"] = list(given["modes"])
    place = _place(given)
    if place:
        payload["place"] = place
    payload.setdefault("mode", ["on_site" if place.get("public") else "at_home"])
    if given.get("radius") is not None:
        payload["radius_km"] = given["radius"]
    when = _when(given)
    if when:
        payload["when"] = when
    if given.get("unit") and given.get("amount") is None:
        base.fail("usage", _("--unit needs an --amount."))
    if given.get("reciprocity") or given.get("amount") is not None:
        asked = {"kind": given.get("reciprocity") or "amount"}
        if given.get("amount") is not None:
            asked["unit"], asked["amount"] = _amount(given["amount"], given.get("unit"))
        payload["reciprocity"] = asked
    payload.setdefault("reciprocity", {"kind": "free"})
    if given.get("audience"):
        payload["audience"] = list(given["audience"])
    if given.get("access"):
        pairs = [text.partition("=") for text in given["access"]]
        if not all(name.strip() and value.strip() for name, _equals, value in pairs):
            base.fail("usage", _("Write a condition of access as cost=TEXT."))
        payload["access"] = {name.strip(): value.strip() for name, _equals, value in pairs}
    contact = {n: given[n] for n in ("phone", "email", "url") if given.get(n)}
    if given.get("contact_name"):
        contact["name"] = given["contact_name"]
    if contact:
        payload["contact"] = contact
    if given.get("urgency"):
        payload["urgency"] = given["urgency"]
    if not payload.get("title"):
        base.fail("usage", _("A title is needed."), _('Add --title "…" or --file FILE.'))
    if not payload.get("categories"):
        base.fail(
            "usage",
            _("A category is needed."),
            _(
                "Add --category CODE. Any code of small letters does, such as mobilite, numerique "
                "or bricolage; see those in use with: maillon category list"
            ),
        )
    return payload


def read_json(path: str) -> Any:
    """Return the value in a file of JSON; `-` is standard input. Raises: LocalError."""
    with sys.stdin if path == "-" else Path(path).open(encoding="utf-8") as file:
        try:
            return json.load(file)
        except (json.JSONDecodeError, UnicodeDecodeError) as fault:
            base.fail("usage", _("{file} is no JSON: {fault}.").format(file=path, fault=fault))


def _read_object(path: str) -> dict[str, Any]:
    found = read_json(path)
    if not isinstance(found, dict):
        base.fail("usage", _("{file} holds no JSON object.").format(file=path))
    return cast("dict[str, Any]", found)


def _place(given: dict[str, Any]) -> dict[str, Any]:
    if (given.get("lat") is None) != (given.get("lon") is None):
        base.fail("usage", _("--lat and --lon come together."))
    area = {n: given[n] for n in ("city", "insee") if given.get(n)}
    if given.get("lat") is None:
        if area:
            base.fail("usage", _("A place needs --lat and --lon."))
        return {}
    if given.get("public_place"):
        named = {"name": "place_name", "address": "address", "postcode": "postcode"}
        return {
            "lat": round(given["lat"] * 1_000_000),
            "lon": round(given["lon"] * 1_000_000),
            "public": True,
            **area,
            **{name: given[option] for name, option in named.items() if given.get(option)},
        }
    return {"cell": home_cell(given["lat"], given["lon"]), **area}


def _when(given: dict[str, Any]) -> dict[str, Any]:
    when: dict[str, Any] = {}
    if given.get("hours"):
        from maillon.node.importers.hours import parse_osm

        hours = parse_osm(given["hours"])
        if hours is None:
            base.fail(
                "usage",
                _("The opening hours {text!r} cannot be read.").format(text=given["hours"]),
                _('Write them like "Mo-Fr 09:00-12:00; Sa 09:00-12:00", or use --when.'),
            )
        when = {"hours": hours, "tz": clock.zone_name() or USUAL}
    if given.get("when"):
        when["text"] = given["when"]
    return when


def _list_command(group: click.Group, kind: str, text: str) -> None:
    @group.command("list", help=text)
    @click.option("--mine", is_flag=True, help=_("Only of your own coop."))
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    @click.option("--after", metavar="CURSOR", help=_("Go on where the last list ended."))
    def list_(mine: bool, limit: int, after: str | None) -> None:
        parameters = {"kind": kind, "mine": mine or None, "limit": limit, "after": after}
        data = base.state().client().get("/v1/records", **parameters)
        base.emit(data, lambda: _show_rows(data["records"], data.get("next")))


_list_command(offer, "offer", _("List offers, the newest first."))
_list_command(demand, "demand", _("List demands, the newest first."))


def city_of(payload: dict[str, Any]) -> str:
    """Return the town of an offer or demand, empty without one."""
    place: dict[str, Any] = payload.get("place") or {}
    return str(place.get("city", ""))


def _show_rows(records: list[dict[str, Any]], following: str | None) -> None:
    rows = [
        (
            record["id"][:12],
            record["payload"].get("title", ""),
            ", ".join(record["payload"].get("categories", []))[:40],
            city_of(record["payload"]),
            record["coop_name"],
            base.when(record["until"])[:10],
        )
        for record in records
    ]
    columns = (_("id"), _("title"), _("categories"), _("place"), _("coop"), _("until"))
    base.print_table(columns, rows, empty=_("There is nothing yet."))
    if following:
        click.echo(_("More with: --after {cursor}").format(cursor=following))


def _show_command(group: click.Group, kind: str, text: str) -> None:
    @group.command("show", help=text)
    @click.argument("id")
    def show(id: str) -> None:
        data = base.state().client().get(f"/v1/records/{path_part(id)}")
        if data["kind"] != kind:
            base.fail(
                "usage",
                _("{id} is of the kind {kind}, not {wanted}.").format(
                    id=id[:16], kind=data["kind"], wanted=kind
                ),
                _("Use: {command}").format(command=f"maillon {data['kind']} show {id[:16]}")
                if data["kind"] in ("offer", "demand")
                else None,
            )
        base.emit(data, lambda: _show_record(data))


def _gone(record: dict[str, Any]) -> str:
    if record["state"] == "withdrawn":
        return _("It was withdrawn, and its contents are erased.")
    if record["state"] == "replaced":
        command = f"maillon {record['kind']} show {record['replaced_by'][:16]}"
        return _("It was replaced by a newer revision: {command}").format(command=command)
    return _("It does not count any more.")


def _show_record(record: dict[str, Any]) -> None:
    payload: dict[str, Any] = record["payload"] or {}
    if record["state"] != "live":
        click.echo(_gone(record))
    click.echo(click.style(base.printable(payload.get("title", record["kind"])), bold=True))
    if payload.get("text"):
        click.echo(base.printable(payload["text"]))
    rows: list[tuple[str, object]] = [
        (_("id"), record["id"]),
        (_("kind"), record["kind"]),
        (_("coop"), f"{record['coop_name']} ({record['coop'][:8]})"),
        (_("since"), base.when(record["at"])),
        (_("until"), base.when(record["until"])),
        (_("revision"), record["rev"]),
    ]
    rows += [
        (name, in_words(name, value))
        for name, value in payload.items()
        if name not in ("title", "text", "salt")
    ]
    base.print_table(("", ""), rows, empty="")


_show_command(offer, "offer", _("Show an offer whole."))
_show_command(demand, "demand", _("Show a demand whole."))


def _withdraw_command(group: click.Group, kind: str, text: str) -> None:
    @group.command("withdraw", help=text)
    @click.argument("ids", nargs=-1, required=True)
    @click.option("--reason", default="", help=_("Published with the withdrawal."))
    def withdraw(ids: tuple[str, ...], reason: str) -> None:
        client = base.state().client()
        body = {"reason": reason, "kind": kind}
        paths = [f"/v1/records/{path_part(id)}/withdraw" for id in ids]
        done = [client.post(path, body) for path in paths]
        base.emit(
            {"withdrawn": done},
            _("Withdrawn; the other nodes erase it as soon as they hear of it."),
        )


_withdraw_command(offer, "offer", _("Withdraw offers of yours: everybody erases their contents."))
_withdraw_command(
    demand, "demand", _("Withdraw demands of yours: everybody erases their contents.")
)


@click.group(
    cls=base.Group,
    help=_(
        """The words with which services are sorted and found.

        \b
          maillon category add velo --label fr=Vélo --label en=Bicycle \\
                --synonym bicyclette --synonym VTT --parent mobilite
        """
    ),
)
def category() -> None:
    pass


@category.command("add", help=_("Add a category of your coop, or change it."))
@click.argument("code")
@click.option("--label", "labels", multiple=True, required=True, metavar="LANGUAGE=TEXT")
@click.option("--synonym", "synonyms", multiple=True, help=_("A word that means the same."))
@click.option("--parent", metavar="CODE")
def add_category(
    code: str, labels: tuple[str, ...], synonyms: tuple[str, ...], parent: str | None
) -> None:
    named: dict[str, str] = {}
    for text in labels:
        language, equals, label = text.partition("=")
        if not equals:
            base.fail("usage", _("Write a label as fr=Vélo."))
        named[language.strip()] = label.strip()
    payload: dict[str, Any] = {"code": code, "labels": named}
    if synonyms:
        payload["synonyms"] = list(synonyms)
    if parent:
        payload["parent"] = parent
    data = base.state().client().post("/v1/records", {"kind": "category", "payload": payload})
    base.emit(data, _("The category {code} is published.").format(code=code))


@category.command("list", help=_("List the categories that any coop of the federation uses."))
def list_categories() -> None:
    data = base.state().client().get("/v1/records", kind="category", limit=1000)
    rows = [
        (
            record["payload"]["code"],
            ", ".join(f"{k}: {v}" for k, v in record["payload"]["labels"].items()),
            ", ".join(record["payload"].get("synonyms", [])),
            record["coop_name"],
        )
        for record in data["records"]
    ]
    columns = (_("code"), _("labels"), _("synonyms"), _("coop"))
    base.emit(data, lambda: base.print_table(columns, rows, empty=_("There is no category yet.")))
