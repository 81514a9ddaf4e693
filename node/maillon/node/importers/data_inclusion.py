"""Services of the data·inclusion schema, version 1, as offers.

A file is a JSON list or lines of services and structures, or {"services": […], "structures": […]}.
A service gives the offer; its structure gives the place, the contact and the hours it lacks.
The name of a contact person (`contact_nom_prenom`) is never taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, cast

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.node.importers.base import (
    TEXT_CHARACTERS_MAX,
    TITLE_CHARACTERS_MAX,
    Fault,
    Fields,
    Filter,
    ImportError_,
    Item,
    Payload,
    Reading,
    RowError,
    Source,
    cut,
    decode_text,
    microdegrees,
    require_columns,
)
from maillon.node.importers.base import line as one_line
from maillon.node.importers.hours import parse_osm
from maillon.protocol.records.fields import AREA_CODE, DATE, POSTCODE, URL

SOURCE = Source(
    name="data·inclusion",
    licence="Licence Ouverte 2.0",
    url="https://data.inclusion.gouv.fr",
)
Entry = Mapping[str, Any]
REQUIRED = ("id", "source", "structure_id", "nom", "description")


@cache
def reference(name: str) -> dict[str, str]:
    """Return a reference list of the schema as value → label: thematiques, publics…"""
    text = (files("maillon.node.data") / f"data-inclusion-{name}.json").read_text("utf-8")
    return {entry["value"]: entry["label"] for entry in json.loads(text)}


def entries(data: bytes) -> list[Entry]:
    """Return the services and structures of a file, in order. Raises: ImportError_."""
    text = decode_text(data).strip()
    if not text:
        raise ImportError_(_("The file is empty."))
    try:
        try:
            found: Any = json.loads(text)
        except json.JSONDecodeError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (json.JSONDecodeError, RecursionError) as fault:
        raise ImportError_(
            _("The file is neither JSON nor lines of JSON: {fault}.").format(fault=fault)
        ) from None
    if isinstance(found, dict):
        both = cast(dict[str, Any], found)
        if "structures" in both or "services" in both:
            found = [*(both.get("structures") or []), *(both.get("services") or [])]
        else:
            found = [both]
    if not isinstance(found, list):
        raise ImportError_(_("The file holds no list of services."))
    rows: list[Any] = found  # pyright: ignore[reportUnknownVariableType]
    if len(rows) > bounds.IMPORT_ROWS_MAX:
        raise ImportError_(_("The file has too many entries."))
    # What is no object is kept in its place, so that its number can be told.
    return [cast(Entry, row) if isinstance(row, dict) else {} for row in rows]


def ids(data: bytes) -> set[str]:
    """Return the identifiers of the services of a file."""
    return {str(row["id"]) for row in entries(data) if "structure_id" in row and row.get("id")}


def read(data: bytes, source: Source, filters: Sequence[Filter]) -> Reading:
    """Yield an offer, or a fault, for each service; `line` is the entry's number in the file."""
    rows = entries(data)
    structures = {row["id"]: row for row in rows if "structure_id" not in row and _text(row, "id")}
    services = [row for row in rows if "structure_id" in row]
    if services:
        require_columns(filters, {name for row in services for name in row})
    for line, row in enumerate(rows, 1):
        if "structure_id" not in row and "id" in row:
            continue
        if not all(filter.matches(row) for filter in filters):
            continue
        try:
            payload, faults = _offer(line, row, structures, source)
        except RowError as fault:
            yield Fault(line, fault.field, fault.message)
            continue
        yield from faults
        yield Item(line, row["id"], "offer", payload)


def _text(row: Entry, field: str) -> str:
    value = row.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(field, _("The field is not a text."))
    return value.strip()


def _number(row: Entry, field: str) -> float | None:
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(field, _("The field is not a number."))
    return float(value)


def _codes(row: Entry, field: str, list_name: str, faults: list[Fault], line: int) -> list[str]:
    values = row.get(field)
    if values is None:
        return []
    if not isinstance(values, list):
        raise RowError(field, _("The field is not a list."))
    taken: list[str] = []
    entries: list[Any] = values  # pyright: ignore[reportUnknownVariableType]
    for value in entries:
        if isinstance(value, str) and value in reference(list_name):
            taken.append(value)
        else:
            message = _("{value!r} is not in the reference list and was left out.")
            faults.append(Fault(line, field, message.format(value=value), fatal=False))
    return taken


def _offer(
    line: int, row: Entry, structures: Mapping[str, Entry], source: Source
) -> tuple[Payload, list[Fault]]:
    fields = Fields(line)
    faults = fields.faults
    for field in REQUIRED:
        if not _text(row, field):
            raise RowError(field, _("The field is required and missing."))
    structure: Entry = structures.get(row["structure_id"], {})
    if structures and not structure:
        message = _("The structure {id} is not in the file.").format(id=row["structure_id"])
        faults.append(Fault(line, "structure_id", message, fatal=False))

    def either(field: str) -> str:
        return _text(row, field) or _text(structure, field)

    thematiques = _codes(row, "thematiques", "thematiques", faults, line)
    if not thematiques:
        raise RowError("thematiques", _("The service has no theme of the reference list."))
    if len(thematiques) > 16:
        message = _("Only the first 16 themes were taken.")
        faults.append(Fault(line, "thematiques", message, fatal=False))

    here = "en-presentiel" in (modes := _codes(row, "modes_accueil", "modes-accueil", faults, line))
    away = "a-distance" in modes
    located = row if _number(row, "latitude") is not None else structure
    place = _place(located, structure, fields)

    access: Payload = {}
    frais = _text(row, "frais")
    if frais:
        if frais not in reference("frais"):
            faults.append(Fault(line, "frais", _("The fee is not in the reference list."), False))
        else:
            access["cost"] = one_line(
                " – ".join(filter(None, (frais, _text(row, "frais_precisions")))), 200
            )
    conditions = " ".join(
        filter(None, (_text(row, "conditions_acces"), _text(row, "publics_precisions")))
    )
    if conditions:
        access["eligibility"] = one_line(conditions, 200)
    if _text(structure, "accessibilite_lieu"):
        access["disability"] = one_line(_text(structure, "accessibilite_lieu"), 200)

    contact: Payload = {}
    if _text(structure, "nom"):
        contact["name"] = one_line(_text(structure, "nom"), 120)
    fields.put_phone(contact, either("telephone"), "telephone")
    names = (_text(structure, "nom"), either("commune"))
    fields.put_email(contact, either("courriel"), "courriel", *names)
    url = _text(row, "lien_mobilisation") or _text(structure, "site_web")
    fields.put(contact, "url", url, URL, "lien_mobilisation")

    how = " ".join(
        filter(
            None,
            (
                ", ".join(
                    reference("modes-mobilisation")[code]
                    for code in _codes(
                        row, "modes_mobilisation", "modes-mobilisation", faults, line
                    )
                ),
                _text(row, "mobilisation_precisions"),
            ),
        )
    )
    text = "\n\n".join(filter(None, (_text(row, "description"), how)))
    payload: Payload = {
        "title": one_line(row["nom"], TITLE_CHARACTERS_MAX),
        "text": cut(text, TEXT_CHARACTERS_MAX),
        "lang": "fr",
        "categories": list(dict.fromkeys(thematiques))[:16],
        "mode": (["on_site"] if here or not away else []) + (["remote"] if away else []),
        # A fee is told in words only (`access.cost`): it is in euros and not in a unit of ours.
        "reciprocity": {"kind": "count_only" if frais == "payant" else "free"},
        "source": _source(row, source, fields),
    }
    publics = _codes(row, "publics", "publics", faults, line)
    for name, value in (("place", place), ("access", access), ("contact", contact)):
        if value:
            payload[name] = value
    if publics:
        payload["audience"] = list(dict.fromkeys(publics))
    schedule = either("horaires_accueil")
    if schedule:
        when: Payload = {"text": cut(schedule, 400)}
        hours = parse_osm(schedule)
        if hours:
            when["hours"] = hours
            when["tz"] = "Europe/Paris"
        payload["when"] = when
    return payload, faults


def _place(row: Entry, structure: Entry, fields: Fields) -> Payload:
    """Return the public place of a service, or nothing when it has no coordinates."""
    latitude, longitude = _number(row, "latitude"), _number(row, "longitude")
    if latitude is None or longitude is None:
        return {}
    lat, lon = microdegrees(latitude, longitude)
    place: Payload = {"lat": lat, "lon": lon, "public": True}
    if _text(structure, "nom"):
        place["name"] = one_line(_text(structure, "nom"), 120)
    address = ", ".join(filter(None, (_text(row, "adresse"), _text(row, "complement_adresse"))))
    if address:
        place["address"] = one_line(address, 200)
    fields.put(place, "postcode", _text(row, "code_postal"), POSTCODE, "code_postal")
    fields.put(place, "insee", _text(row, "code_insee"), AREA_CODE, "code_insee")
    if _text(row, "commune"):
        place["city"] = one_line(_text(row, "commune"), 120)
    return place


def _source(row: Entry, source: Source, fields: Fields) -> Payload:
    named = source.field(row["id"])
    named["name"] = one_line(f"{source.name} – {row['source']}", 120)
    fields.put(named, "date", _text(row, "date_maj")[:10], DATE, "date_maj")
    fields.put(named, "url", _text(row, "lien_source"), URL, "lien_source")
    return named
