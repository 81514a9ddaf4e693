"""Records as lines of JSON or as a table of offers and demands.

A line of JSON has the header's fields by name, the payload, and with `raw` the record's bytes in
hexadecimal, from which everything else can be derived and checked.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

Record = Mapping[str, Any]

CSV_COLUMNS = (
    "id",
    "kind",
    "coop",
    "coop_name",
    "at",
    "until",
    "title",
    "text",
    "lang",
    "categories",
    "mode",
    "latitude",
    "longitude",
    "cell",
    "place_name",
    "address",
    "postcode",
    "city",
    "insee",
    "reciprocity",
    "amount",
    "unit",
    "audience",
    "urgency",
    "contact_name",
    "phone",
    "email",
    "url",
    "source_name",
    "source_id",
    "source_date",
    "source_licence",
)


def write_jsonl(records: Iterable[Record], file: TextIO) -> int:
    """Write one record a line; return how many."""
    count = 0
    for record in records:
        file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
        count += 1
    return count


def write_csv(records: Iterable[Record], file: TextIO) -> int:
    """Write the offers and demands among the records as a table; return how many."""
    writer = csv.writer(file, lineterminator="\r\n")  # RFC 4180
    writer.writerow(CSV_COLUMNS)
    count = 0
    for record in records:
        payload = record.get("payload")
        if record["kind"] not in ("offer", "demand") or not payload:
            continue
        writer.writerow([_cell(value) for value in _row(record, payload)])
        count += 1
    return count


def _cell(value: Any) -> str:
    """Return a cell's text; what a spreadsheet would run as a formula is made plain text.

    Records come from strangers. A cell that begins with = + - @ or a control character is
    evaluated by spreadsheets, and can send the sheet's contents away (OWASP, "CSV injection").
    """
    text = "" if value is None else str(value)
    if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text):
        return "'" + text
    return text


def _is_number(text: str) -> bool:
    # Telephone numbers and coordinates begin with a sign and are harmless.
    return text[1:].replace(".", "", 1).replace(" ", "").isdigit()


def _row(record: Record, payload: Record) -> list[Any]:
    place: Record = payload.get("place") or {}
    asked: Record = payload.get("reciprocity") or {}
    contact: Record = payload.get("contact") or {}
    source: Record = payload.get("source") or {}
    return [
        record["id"],
        record["kind"],
        record["coop"],
        record.get("coop_name", ""),
        record["at"],
        record["until"],
        payload.get("title"),
        payload.get("text"),
        payload.get("lang"),
        "|".join(payload.get("categories", ())),
        "|".join(payload.get("mode", ())),
        _degrees(place.get("lat")),
        _degrees(place.get("lon")),
        place.get("cell"),
        place.get("name"),
        place.get("address"),
        place.get("postcode"),
        place.get("city"),
        place.get("insee"),
        asked.get("kind"),
        asked.get("amount"),
        asked.get("unit"),
        "|".join(payload.get("audience", ())),
        payload.get("urgency"),
        contact.get("name"),
        contact.get("phone"),
        contact.get("email"),
        contact.get("url"),
        source.get("name"),
        source.get("id"),
        source.get("date"),
        source.get("licence"),
    ]


def _degrees(micro: int | None) -> str | None:
    return None if micro is None else f"{micro / 1_000_000:.6f}"
