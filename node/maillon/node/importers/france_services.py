"""The published list of France services houses and buses (ANCT, data.gouv.fr), as offers.

A line of the list is one place or one round. Its fixed columns become structured fields; its
free comment, which often holds the timetable of a round, stays text and is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from maillon.node.i18n import _
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
    table,
)
from maillon.node.importers.hours import parse_ranges
from maillon.node.zones import zone_of_territory
from maillon.protocol.records.fields import AREA_CODE, POSTCODE

SOURCE = Source(
    name="France services (ANCT)",
    date="2024-08-01",
    licence="Licence Ouverte 2.0",
    url="https://www.data.gouv.fr/fr/datasets/liste-des-structures-france-services/",
)
REQUIRED = ("id_fs", "lib_fs", "latitude", "longitude")
DAY_COLUMNS = {
    "mo": "h_lundi",
    "tu": "h_mardi",
    "we": "h_mercredi",
    "th": "h_jeudi",
    "fr": "h_vendredi",
    "sa": "h_samedi",
}
# What every France services place offers by its charter, in the themes of data·inclusion.
CATEGORIES = [
    "difficultes-administratives-ou-juridiques--accompagnement-aux-demarches-administratives",
    "difficultes-administratives-ou-juridiques--accompagnement-pour-lacces-aux-droits",
    "numerique--acceder-a-des-services-en-ligne",
    "numerique--acceder-a-une-connexion-internet",
]
WHAT = (
    "Accompagnement dans les démarches administratives et numériques du quotidien, "
    "sans condition, par des agents France services."
)
MODES = {
    "Fixe": "on_site",
    "Fixe_antenne(s)": "on_site",
    "Multisites": "on_site",
    "Itinérante": "itinerant",
    "Bus_équivalent": "itinerant",
}
# "Contact : Prénom - 06 00 00 00 00": a person's name and number in the free comment.
_PERSON = re.compile(
    r"\bcontact\s*:\s*[^\W\d_][\w'’-]*(\s[^\W\d_][\w'’-]*)?\s*[-–:]?\s*[\d. ]{10,}", re.IGNORECASE
)


def read(data: bytes, source: Source, filters: Sequence[Filter]) -> Reading:
    """Yield an offer, or a fault, for each line that passes the filters."""
    for row in table(data, required=REQUIRED, filters=filters):
        if isinstance(row, Fault):
            yield row
            continue
        if not all(filter.matches(row.cells) for filter in filters):
            continue
        try:
            payload, faults = _offer(row, source)
        except RowError as fault:
            yield Fault(row.line, fault.field, fault.message)
            continue
        yield from faults
        yield Item(row.line, row.get("id_fs"), "offer", payload)


def _offer(row: Row, source: Source) -> tuple[Payload, list[Fault]]:
    fields = Fields(row.line)
    if not row.get("id_fs"):
        raise RowError("id_fs", _("The line has no identifier."))
    if not row.get("lib_fs"):
        raise RowError("lib_fs", _("The line has no name."))
    kind = row.get("format_fs")
    if kind and kind not in MODES:
        fields.left_out("format_fs", _("{text!r} is an unknown kind of place.").format(text=kind))
    comment = _PERSON.sub("", row.get("commentaire")).strip(" /-–")

    hours: Payload = {}
    unread: list[str] = []
    for day, column in DAY_COLUMNS.items():
        text = row.get(column)
        if not text:
            continue
        ranges = parse_ranges(text)
        if ranges:
            hours[day] = ranges
        elif ranges is None:
            # Ranges that overlap contradict each other. They are shown as they were published
            # rather than guessed at.
            unread.append(f"{column[2:]} {text}")
            fields.left_out(
                column, _("The opening hours {text!r} cannot be read.").format(text=text)
            )

    lat, lon = microdegrees(
        number(row.get("latitude"), "latitude"), number(row.get("longitude"), "longitude")
    )
    street = ", ".join(filter(None, (row.get("adresse"), row.get("complement_adresse"))))
    place: Payload = {"lat": lat, "lon": lon, "public": True, "name": line(row.get("lib_fs"), 120)}
    if street:
        place["address"] = line(street, 200)
    fields.put(place, "postcode", row.get("code_postal"), POSTCODE, "code_postal")
    fields.put(place, "insee", row.get("insee_com"), AREA_CODE, "insee_com")
    if row.get("lib_com"):
        place["city"] = line(row.get("lib_com"), 120)

    contact: Payload = {"name": line(row.get("lib_fs"), 120)}
    fields.put_phone(contact, row.get("telephone"), "telephone")
    fields.put_email(contact, row.get("mail"), "mail", row.get("lib_fs"), row.get("lib_com"))
    if street and place.get("city"):
        contact["place"] = line(f"{street}, {place.get('postcode', '')} {place['city']}", 200)

    access: Payload = {"cost": "gratuit", "eligibility": "tous publics"}
    appointment = row.get("prise_rdv")
    if appointment in ("Oui", "Non"):
        possible = appointment == "Oui"
        access["appointment"] = "possible sur rendez-vous" if possible else "sans rendez-vous"

    parts = [WHAT, comment]
    if row.get("groupe_fs"):
        parts.append(f"Réseau : {row.get('groupe_fs')}.")
    if row.get("labellisation_fs"):
        parts.append(f"{row.get('labellisation_fs')}.")
    payload: Payload = {
        "title": line(row.get("lib_fs"), TITLE_CHARACTERS_MAX),
        "text": cut("\n".join(filter(None, parts)), TEXT_CHARACTERS_MAX),
        "lang": "fr",
        "categories": list(CATEGORIES),
        "mode": [MODES.get(kind, "on_site")],
        "place": place,
        "reciprocity": {"kind": "free"},
        "audience": ["tous-publics"],
        "access": access,
        "contact": contact,
        "source": source.field(row.get("id_fs")),
    }
    when: Payload = {}
    if hours:
        when["hours"] = hours
        when["tz"] = zone_of_territory([row.get("insee_dep")])
    if comment or unread:
        when["text"] = cut(". ".join(filter(None, (*unread, comment))), 400)
    if when:
        payload["when"] = when
    return payload, fields.faults
