"""Describe what two parties agree on: the terms of a quote, and the maps inside them (spec/08).

Nothing in terms is left to a default of somebody's program: whoever signs them signs each deadline,
and what silence means when it passes. `complete` fills in what a writer leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from maillon.protocol.records.fields import (
    CODE,
    EMAIL,
    LANG,
    LAT,
    LON,
    PHONE,
    RRULE,
    TIME,
    TIMEZONE,
    UNIT,
)
from maillon.protocol.records.kind import DAY_S
from maillon.protocol.records.schema import (
    Bytes,
    Field,
    Int,
    ListOf,
    OneOf,
    Rule,
    Struct,
    Text,
)

AUTHOR: Final = Bytes((33, 49))
"""b"p", coop, person (49 bytes), or b"c", coop (33 bytes)."""

PERSON_AUTHOR: Final = Bytes((49,))
COOP_AUTHOR: Final = Bytes((33,))
AMOUNT: Final = Int(0, 10**12)
SLOT_ID: Final = Bytes((16,))
# A year of minutes, one service day and night.
MINUTES: Final = Int(0, 366 * 1_440)
WITHIN_S: Final = Int(60, 400 * DAY_S)
SHARE: Final = Int(0, 1_000_000)

RETURN_KINDS: Final = ("amount", "count_only", "gift", "free", "outside")
"""What is given back: an amount of a unit; an entry in a unit that only counts; nothing owed, as a
gift; nothing owed, as this is free of charge; money, outside of these accounts."""

SLOT: Final = Struct(
    (
        Field("slot", SLOT_ID, True, "names the appointment when it is moved or cancelled"),
        Field("start", TIME, True),
        Field("end", TIME, True),
        Field("place", Text(200)),
    ),
    (
        Rule(
            "order",
            "`start` is before `end`",
            lambda slot: slot["start"] < slot["end"],
            {"start": 1_700_003_600, "end": 1_700_000_000},
        ),
    ),
)

RECURRENCE: Final = Struct(
    (
        Field("rrule", RRULE, True),
        Field("dtstart", TIME, True, "Unix seconds of the first occurrence"),
        Field("tz", TIMEZONE, True),
        Field("duration_s", Int(60, 31 * DAY_S), True, "of each occurrence"),
    )
)

FALLBACK: Final = Struct(
    (
        Field("name", Text(120), True, "a human being, or a desk where one sits"),
        Field("phone", PHONE),
        Field("place", Text(200), False, "where to go"),
        Field("hours", Text(400, lines=True), False, "in words"),
    ),
    (
        Rule(
            "reachable",
            "`phone` or `place` is there",
            lambda contact: "phone" in contact or "place" in contact,
            {"phone": None, "place": None},
        ),
    ),
)

# Of a person, and so only ever in a letter, and only after the agreement.
PARTY_CONTACT: Final = Struct(
    (
        Field("name", Text(120)),
        Field("phone", PHONE),
        Field("email", EMAIL),
        Field("address", Text(400, lines=True)),
        Field("note", Text(1_000, lines=True), False, "the door code, the dog"),
        Field("lat", LAT, False, "millionths of a degree, WGS 84"),
        Field("lon", LON, False, "millionths of a degree, WGS 84"),
    ),
    (
        Rule(
            "point_whole",
            "`lat` and `lon` come together",
            lambda contact: ("lat" in contact) == ("lon" in contact),
            {"lat": 44_755_000},
        ),
    ),
)

SHARE_OF: Final = Struct((Field("author", AUTHOR, True), Field("share", SHARE, True)))


def _authors_differ(shares: list[dict[str, Any]]) -> bool:
    authors = [entry["author"] for entry in shares]
    return len(set(authors)) == len(authors)


def _split_whole(terms: dict[str, Any]) -> bool:
    split = terms.get("split")
    if split is None:
        return True
    return _authors_differ(split) and any(entry["share"] for entry in split)


SILENCE: Final = Struct(
    (
        Field(
            "consent", OneOf(("refused", "consented")), True,
            "nobody answers a change within `consent_within_s`",
        ),
        Field(
            "begin", OneOf(("cancelled", "done")), True,
            "nobody has checked in `begin_within_s` after the end of the last slot",
        ),
        Field(
            "accept", OneOf(("accepted", "mediated")), True,
            "neither acceptance nor complaint `accept_within_s` after the check-out",
        ),
        Field(
            "mediate", OneOf(("nothing", "half", "full")), True,
            "what of the amount is due when nobody mediates within `mediate_within_s`",
        ),
        Field(
            "pay", OneOf(("overdue", "mediated")), True,
            "what is due is not paid within `pay_within_s`",
        ),
    )
)  # fmt: skip

DEADLINES: Final = (
    Field("consent_within_s", WITHIN_S, True, "to answer a change, from its `at`"),
    Field("begin_within_s", WITHIN_S, True, "to check in, from the end of the last slot"),
    Field("accept_within_s", WITHIN_S, True, "to accept or complain, from the check-out"),
    Field("complain_within_s", Int(0, 400 * DAY_S), True, "to complain, from the acceptance"),
    Field("mediate_within_s", WITHIN_S, True, "to mediate, from the complaint"),
    Field("pay_within_s", WITHIN_S, True, "to pay, from when the amount is fixed"),
    Field("evaluate_within_s", WITHIN_S, True, "to evaluate, from the payment"),
    Field("cancel_free_before_s", Int(0, 400 * DAY_S), True, "free until so long before the first slot"),  # noqa: E501
)

_WHAT: Final = (
    Field("text", Text(2_000, lines=True), False, "what will be done"),
    Field("lang", LANG),
    Field("minutes", MINUTES, False, "planned"),
    Field("when", ListOf(SLOT, 64), False, "the slots proposed"),
)

def _return_whole(terms: dict[str, Any]) -> bool:
    kind = terms["kind"]
    priced = terms.keys() & {"amount", "per_hour"}
    if kind == "amount":
        return "unit" in terms and bool(priced)
    if kind == "count_only":
        return not priced
    if kind == "outside":
        # Money outside: said in the words of `text` and `outside`, counted by nobody here.
        return not priced and "unit" not in terms
    return not priced and "unit" not in terms


TERMS: Final = Struct(
    (
        *_WHAT,
        Field("kind", OneOf(RETURN_KINDS), True, "what is given in return"),
        Field("unit", UNIT, False, "of the founding document"),
        Field("amount", AMOUNT, False, "minor units, in all; with `per_hour` the most it can be"),
        Field("per_hour", AMOUNT, False, "minor units for an hour of the measured time"),
        Field("outside", Text(200), False, "the price in money, in words"),
        Field("performer", Text(120), False, "who comes"),
        Field("settle", OneOf(("hold", "after")), True, "reserved at the agreement, or paid after"),
        *DEADLINES,
        Field("silence", SILENCE, True, "what each deadline means when it passes"),
        Field("cancel_fee", AMOUNT, False, "minor units, for who cancels later than that"),
        Field("guarantee_days", Int(0, 400), False, "from the acceptance"),
        Field("mediator", COOP_AUTHOR, False, "the coop that mediates"),
        Field("fallback", FALLBACK, True, "the way besides this network"),
        Field("audience", CODE, False, "the tariff that applies"),
        Field("split", ListOf(SHARE_OF, 32), False, "who of a group gets which share"),
        Field("recurrence", RECURRENCE),
    ),
    (
        Rule(
            "return_whole",
            "`unit` with `amount`, `per_hour` or both is there for kind `amount`; `unit` may be "
            "there for `count_only`; none of them is there otherwise",
            _return_whole,
            {"kind": "gift", "unit": "heure", "amount": 60},
        ),
        Rule(
            "outside_words",
            "`outside` comes with kind `outside` only",
            lambda terms: "outside" not in terms or terms["kind"] == "outside",
            {"kind": "amount", "unit": "heure", "amount": 60, "outside": "20 euros"},
        ),
        Rule(
            "hold_amount",
            "`settle` is `hold` only with kind `amount` and an `amount`",
            lambda terms: terms["settle"] == "after"
            or (terms["kind"] == "amount" and "amount" in terms),
            {"kind": "amount", "unit": "heure", "per_hour": 60, "amount": None, "settle": "hold"},
        ),
        Rule(
            "fee_unit",
            "`cancel_fee` comes with kind `amount` only",
            lambda terms: "cancel_fee" not in terms or terms["kind"] == "amount",
            {"kind": "gift", "unit": None, "amount": None, "settle": "after", "cancel_fee": 30},
        ),
        Rule(
            "mediator_named",
            "`mediator` is there where silence leads to mediation",
            lambda terms: "mediator" in terms
            or "mediated" not in (terms["silence"]["accept"], terms["silence"]["pay"]),
            {"mediator": None, "silence": {"consent": "refused", "begin": "cancelled",
             "accept": "mediated", "mediate": "half", "pay": "overdue"}},
        ),
        Rule(
            "split_whole",
            "no author stands twice in `split`, and one share at least is not 0",
            _split_whole,
            {"split": [{"author": b"\x07" * 49, "share": 0}]},
        ),
    ),
)  # fmt: skip

# What an amendment adds; the deadlines and the way of settling stay as agreed.
ADDED_TERMS: Final = Struct(
    (
        *_WHAT,
        Field("amount", AMOUNT, False, "minor units of the agreed unit, besides those agreed"),
    )
)

DEFAULT_SILENCE: Final[Mapping[str, str]] = {
    "consent": "refused",
    "begin": "cancelled",
    "accept": "accepted",
    "mediate": "half",
    "pay": "overdue",
}

DEFAULTS: Final[Mapping[str, int]] = {
    "consent_within_s": 7 * DAY_S,
    "begin_within_s": 2 * DAY_S,
    "accept_within_s": 7 * DAY_S,
    "complain_within_s": 14 * DAY_S,
    "mediate_within_s": 30 * DAY_S,
    "pay_within_s": 14 * DAY_S,
    "evaluate_within_s": 30 * DAY_S,
    "cancel_free_before_s": DAY_S,
}
"""What `complete` writes where a writer says nothing; a community may hand in its own."""


def complete(
    terms: Mapping[str, Any],
    *,
    defaults: Mapping[str, int] = DEFAULTS,
    silence: Mapping[str, str] = DEFAULT_SILENCE,
) -> dict[str, Any]:
    """Write out every deadline and what silence means, where the given terms leave them out.

    What is given stands. `settle` is `hold` for a fixed amount and `after` otherwise.
    """
    settle = "hold" if terms.get("kind") == "amount" and "amount" in terms else "after"
    whole: dict[str, Any] = {"settle": settle, **defaults, **terms}
    whole["silence"] = {**silence, **terms.get("silence", {})}
    return whole
