"""Types of fields that several kinds share (spec/03, "Shared types")."""

from __future__ import annotations

import re
from typing import Any, Final

from maillon.protocol.limits import (
    ADDRESS_CHARS_MAX,
    ADDRESSES_MAX,
    INT_MAX,
    KEEP_MAX,
)
from maillon.protocol.records.schema import (
    Always,
    Bytes,
    Field,
    Int,
    ListOf,
    MapOf,
    OneOf,
    PairOf,
    Pattern,
    Rule,
    Struct,
    Text,
)

ID: Final = Bytes((32,))
KEY: Final = Bytes((32,))
PERSON: Final = Bytes((16,))
TIME: Final = Int(0, INT_MAX)

LANG: Final = Pattern("language tag (BCP 47)", r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}", 35, "fr")
# The longest theme of the data-inclusion reference list takes 87 characters.
CODE: Final = Pattern("code", r"[a-z0-9](?:[a-z0-9_-]{0,126}[a-z0-9])?", 128, "jardin")
KIND: Final = Pattern("kind", r"[a-z][a-z0-9_]{0,31}", 32, "offer")
UNIT: Final = Pattern("unit code", r"[a-z](?:[a-z0-9_-]{0,30}[a-z0-9])?", 32, "heure")
# French commune codes (Corsica's 2A004 too); other countries' codes keep to the same characters.
AREA_CODE: Final = Pattern("area code", r"[0-9A-Z][0-9A-Z-]{0,15}", 16, "26113")
POSTCODE: Final = Pattern("postal code", r"[0-9A-Z](?:[0-9A-Z -]{0,10}[0-9A-Z])?", 12, "26150")
ADDRESS: Final = Pattern(
    "multiaddr", r"(?:/[!-.0-~]+){2,}", ADDRESS_CHARS_MAX, "/ip4/192.0.2.1/tcp/4001"
)
URL: Final = Pattern(
    "web address",
    r"https?://[A-Za-z0-9.:\[\]_-]+(?:[/?#][!#-;=?-\[\]^_a-~]*)?",
    512,
    "https://example.org/",
)
PHONE: Final = Pattern(
    "phone number", r"\+?[0-9][0-9 ().-]{1,30}[0-9]", 32, "+33 4 75 00 00 00"
)
EMAIL: Final = Pattern(
    "mail address",
    r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*",
    254,
    "accueil@example.org",
)
DATE: Final = Pattern(
    "date", r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])", 10, "2024-08-01"
)
TIMEZONE: Final = Pattern(
    "time zone (IANA)", r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}", 64, "Europe/Paris"
)

ADDRESSES: Final = ListOf(ADDRESS, ADDRESSES_MAX)
LANGUAGES: Final = ListOf(LANG, 16)
LABELS: Final = MapOf(Text(120), 24)

# Latitude and longitude in millionths of a degree: 11 cm, and integers stay exact everywhere.
LAT: Final = Int(-90_000_000, 90_000_000)
LON: Final = Int(-180_000_000, 180_000_000)


def cell_ok(cell: str) -> bool:
    """Tell whether the text is an H3 cell of resolution 5, 6 or 7, written in its one way.

    Source: H3's cell index layout: 1 reserved bit, 4 of mode (1), 3 reserved, 4 of resolution, 7 of
    base cell (0 to 121), then 15 digits of 3 bits; a digit below the resolution is 7. A finer cell
    would say where somebody lives.
    """
    if not _CELL_FORM.fullmatch(cell):
        return False
    index = int(cell, 16)
    unused = 3 * (15 - (index >> 52 & 15))
    if ~index & (1 << unused) - 1 or index >> 45 & 127 > 121:
        return False
    # A digit is 7 where all three of its bits are set; none that is used may be.
    digits = index >> unused & (1 << 45 - unused) - 1
    return not digits & digits >> 1 & digits >> 2 & _LOW_BITS


# The reserved bits and the mode, then resolution 5 to 7.
_CELL_FORM: Final = re.compile(r"8[567][0-9a-f]{13}")
_LOW_BITS: Final = 0o111_111_111_111_111

CELL: Final = Pattern("H3 cell", r"8[567][0-9a-f]{7}f{6}", 15, "871f93759ffffff")


def _place_one_form(place: dict[str, Any]) -> bool:
    if "cell" in place:
        # A street or a point beside the cell would undo the blurring.
        return not place.keys() & {"lat", "lon", "public", "address", "name", "postcode"}
    return "lat" in place and "lon" in place and place.get("public") is True


def _cell_form(place: dict[str, Any]) -> bool:
    return "cell" not in place or cell_ok(place["cell"])


PLACE: Final = Struct(
    (
        Field("lat", LAT, note="millionths of a degree, WGS 84; public places only"),
        Field("lon", LON, note="millionths of a degree, WGS 84; public places only"),
        Field("public", Always(True), note="says that the point is a public place"),
        Field("cell", CELL, note="H3 cell of resolution 5 to 7, for homes"),
        Field("name", Text(120), note="of a public place"),
        Field("address", Text(200), note="of a public place"),
        Field("postcode", POSTCODE, note="of a public place"),
        Field("city", Text(120)),
        Field("insee", AREA_CODE),
    ),
    (
        Rule(
            "place_form",
            "either `cell`, with at most `city` and `insee` beside it, or `lat`, `lon` and "
            "`public`",
            _place_one_form,
            {"cell": "871f93759ffffff", "lat": 44_755_000, "lon": 5_370_000, "public": True},
        ),
        Rule(
            "cell_form",
            "`cell` is an H3 index of mode 1, resolution 5, 6 or 7, base cell 0 to 121, with the "
            "unused digits 7 and no other digit 7",
            _cell_form,
            {"cell": "87fffffffffffff"},
        ),
    ),
)

PUBLIC_PLACE: Final = Struct(
    (
        Field("name", Text(120)),
        Field("address", Text(200)),
        Field("postcode", POSTCODE),
        Field("city", Text(120)),
        Field("insee", AREA_CODE),
        Field("lat", LAT),
        Field("lon", LON),
    ),
    (
        Rule(
            "point_whole",
            "`lat` and `lon` come together",
            lambda place: ("lat" in place) == ("lon" in place),
            {"lat": 44_755_000},
        ),
    ),
)

CONTACT: Final = Struct(
    (
        Field("name", Text(120), note="of an organisation or a desk"),
        Field("phone", PHONE),
        Field("email", EMAIL),
        Field("url", URL),
        Field("place", Text(200), note="where to go"),
        Field("hours", Text(400, lines=True), note="in words"),
    )
)

MINUTE: Final = Int(0, 1_440)
WEEK_DAYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
WEEK_HOURS: Final = MapOf(ListOf(PairOf(MINUTE), 8), 7, keys=WEEK_DAYS)

WINDOW: Final = Struct(
    (Field("start", TIME, True), Field("end", TIME, True)),
    (
        Rule(
            "order",
            "`start` is before `end`",
            lambda window: window["start"] < window["end"],
            {"start": 1_700_003_600, "end": 1_700_000_000},
        ),
    ),
)

RRULE: Final = Pattern(
    "recurrence rule (RFC 5545, section 3.3.10)",
    r"FREQ=(?:DAILY|WEEKLY|MONTHLY|YEARLY)(?:;[A-Z]+=[A-Z0-9,+-]+)*",
    500,
    "FREQ=WEEKLY;BYDAY=TU,TH",
)

WHEN: Final = Struct(
    (
        Field("windows", ListOf(WINDOW, 64), note="Unix seconds"),
        Field("rrule", RRULE, note="needs `dtstart` and `tz`"),
        Field("dtstart", TIME, note="Unix seconds of the first occurrence"),
        Field("duration_s", Int(60, 31 * 86_400), note="of each occurrence"),
        Field("tz", TIMEZONE),
        Field("hours", WEEK_HOURS, note="minutes after midnight, local time of the place"),
        Field("text", Text(400, lines=True), note="in words"),
    ),
    (
        Rule(
            "rrule_anchor",
            "`rrule` comes with `dtstart` and `tz`",
            lambda when: "rrule" not in when or ("dtstart" in when and "tz" in when),
            {"rrule": "FREQ=WEEKLY;BYDAY=TU"},
        ),
    ),
)

QUANTITY: Final = Struct((Field("value", Int(1, 1_000_000_000), True), Field("unit", UNIT, True)))

KEEP: Final = ListOf(ID, KEEP_MAX, low=0)

PROVIDER_STATUS: Final = OneOf(
    (
        "self_employed",
        "insertion_employee",
        "family_carer",
        "volunteer",
        "salaried_entrepreneur",
        "employee",
        "association",
    )
)
