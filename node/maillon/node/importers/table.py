"""A table of offers and demands that anybody can fill in with a spreadsheet.

Columns, all but the first two optional: see COLUMNS and docs/cli.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from maillon.node.cells import home_cell
from maillon.node.i18n import _
from maillon.node.importers import base
from maillon.node.importers.base import (
    TEXT_CHARACTERS_MAX,
    TITLE_CHARACTERS_MAX,
    Fault,
    Fields,
    Filter,
    Item,
    Payload,
    Reading,
    Row,
    RowError,
    Source,
    cut,
    line,
    microdegrees,
    number,
)
from maillon.node.importers.hours import DAYS, parse_osm, parse_ranges
from maillon.protocol.records.fields import URL

SOURCE = Source(name="table", licence="not stated")
REQUIRED = ("id", "title")
COLUMNS = (
    *REQUIRED,
    "kind",
    "text",
    "lang",
    "categories",
    "mode",
    "latitude",
    "longitude",
    "public_place",
    "place_name",
    "address",
    "postcode",
    "city",
    "insee",
    "radius_km",
    "hours",
    *(f"hours_{day}" for day in DAYS),
    "when",
    "reciprocity",
    "amount",
    "unit",
    "audience",
    "cost",
    "eligibility",
    "disability",
    "language",
    "digital",
    "appointment",
    "urgency",
    "contact_name",
    "phone",
    "email",
    "url",
)
MODES = ("at_home", "on_site", "remote", "itinerant")
RECIPROCITIES = ("amount", "count_only", "gift", "auction", "free")
URGENCIES = ("emergency", "planned", "conviviality")
ACCESS = ("cost", "eligibility", "disability", "language", "digital", "appointment")


def read(data: bytes, source: Source, filters: Sequence[Filter]) -> Reading:
    """Yield an offer or a demand, or a fault, for each line that passes the filters."""
    seen: set[str] = set()
    for row in base.table(data, required=REQUIRED, known=COLUMNS, filters=filters):
        if isinstance(row, Fault):
            yield row
            continue
        if not all(filter.matches(row.cells) for filter in filters):
            continue
        try:
            if not row.get("id"):
                raise RowError("id", _("The line has no identifier."))
            if row.get("id") in seen:
                raise RowError("id", _("The identifier stands on an earlier line too."))
            fields = Fields(row.line)
            kind, payload = _row(row, source, fields)
        except RowError as fault:
            yield Fault(row.line, fault.field, fault.message)
            continue
        seen.add(row.get("id"))
        yield from fields.faults
        yield Item(row.line, row.get("id"), kind, payload)


def _choice(row: Row, field: str, choices: Sequence[str], usual: str) -> str:
    text = row.get(field).lower() or usual
    if text not in choices:
        message = _("{text!r} is none of: {choices}.")
        raise RowError(field, message.format(text=text, choices=", ".join(choices)))
    return text


def _modes(row: Row) -> list[str]:
    found = [text.strip().lower() for text in row.get("mode").split("|") if text.strip()]
    for text in found:
        if text not in MODES:
            message = _("{text!r} is none of: {choices}.")
            raise RowError("mode", message.format(text=text, choices=", ".join(MODES)))
    return list(dict.fromkeys(found)) or ["on_site"]


def _yes(row: Row, field: str) -> bool:
    return _choice(row, field, ("yes", "no", "oui", "non", "1", "0"), "no") in ("yes", "oui", "1")


def _row(row: Row, source: Source, fields: Fields) -> tuple[str, Payload]:
    kind = _choice(row, "kind", ("offer", "demand"), "offer")
    if not row.get("title"):
        raise RowError("title", _("The line has no title."))
    categories = [code.strip() for code in row.get("categories").split("|") if code.strip()]
    payload: Payload = {
        "title": line(row.get("title"), TITLE_CHARACTERS_MAX),
        "lang": row.get("lang") or "fr",
        "categories": list(dict.fromkeys(categories))[:16] or ["other"],
        "mode": _modes(row),
        "reciprocity": _reciprocity(row),
        "source": source.field(row.get("id")),
    }
    if row.get("text"):
        payload["text"] = cut(row.get("text"), TEXT_CHARACTERS_MAX)
    if kind == "demand":
        payload["urgency"] = _choice(row, "urgency", URGENCIES, "planned")
    place = _place(row)
    if place:
        payload["place"] = place
    if row.get("radius_km"):
        payload["radius_km"] = max(0, round(number(row.get("radius_km"), "radius_km")))
    when = _when(row)
    if when:
        payload["when"] = when
    audience = [code.strip() for code in row.get("audience").split("|") if code.strip()]
    if audience:
        payload["audience"] = list(dict.fromkeys(audience))
    access = {name: line(row.get(name), 200) for name in ACCESS if row.get(name)}
    if access:
        payload["access"] = access
    contact: Payload = {}
    if row.get("contact_name"):
        contact["name"] = line(row.get("contact_name"), 120)
    fields.put_phone(contact, row.get("phone"), "phone")
    # The contact's name is no evidence: it may be the person's own.
    fields.put_email(contact, row.get("email"), "email", row.get("place_name"), row.get("city"))
    fields.put(contact, "url", row.get("url"), URL, "url")
    if contact:
        payload["contact"] = contact
    return kind, payload


def _reciprocity(row: Row) -> Payload:
    kind = _choice(row, "reciprocity", RECIPROCITIES, "amount" if row.get("amount") else "free")
    asked: Payload = {"kind": kind}
    if row.get("unit"):
        asked["unit"] = row.get("unit")
    if row.get("amount"):
        try:
            asked["amount"] = int(row.get("amount"))
        except ValueError:
            message = _("The amount is a whole number of the unit's smallest part.")
            raise RowError("amount", message) from None
        if asked["amount"] < 0:
            raise RowError("amount", _("The amount is negative."))
    return asked


def _place(row: Row) -> Payload:
    if not row.get("latitude") and not row.get("longitude"):
        return {}
    latitude = number(row.get("latitude"), "latitude")
    longitude = number(row.get("longitude"), "longitude")
    lat, lon = microdegrees(latitude, longitude)
    columns: tuple[tuple[str, str], ...] = (("city", "city"), ("insee", "insee"))
    if _yes(row, "public_place"):
        place: Payload = {"lat": lat, "lon": lon, "public": True}
        columns += (("name", "place_name"), ("address", "address"), ("postcode", "postcode"))
    else:
        # A home is never told more closely than its cell of about 5 km².
        place = {"cell": home_cell(latitude, longitude)}
    for name, column in columns:
        if row.get(column):
            place[name] = line(row.get(column), 120)
    return place


def _when(row: Row) -> Payload:
    when: Payload = {}
    hours: Payload = {}
    if row.get("hours"):
        parsed = parse_osm(row.get("hours"))
        if parsed is None:
            raise RowError("hours", _("The opening hours cannot be read: write Mo-Fr 09:00-12:00."))
        hours.update(parsed)
    for day in DAYS:
        text = row.get(f"hours_{day}")
        if text:
            ranges = parse_ranges(text)
            if ranges is None:
                message = _("The opening hours {text!r} cannot be read.").format(text=text)
                raise RowError(f"hours_{day}", message)
            hours[day] = ranges
    if hours:
        when["hours"] = hours
        when["tz"] = "Europe/Paris"
    if row.get("when"):
        when["text"] = cut(row.get("when"), 400)
    return when
