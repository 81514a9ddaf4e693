"""Describe what is offered and asked for (spec/03, "Offers and demands").

An offer is ValueFlows' Intent to provide, a demand one to receive, each with what is asked or given
in return.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from maillon.protocol.records.fields import (
    CODE,
    CONTACT,
    DATE,
    ID,
    LABELS,
    LANG,
    PLACE,
    PROVIDER_STATUS,
    QUANTITY,
    UNIT,
    URL,
    WHEN,
)
from maillon.protocol.records.kind import DAY_S, MEMBER, NODE, SALT, Kind
from maillon.protocol.records.schema import (
    AnyOf,
    Bool,
    Field,
    Int,
    ListOf,
    MapOf,
    OneOf,
    Rule,
    Struct,
    Text,
)

OFFER_DAYS: Final = 400
DEMAND_DAYS: Final = 120
CATEGORY_DAYS: Final = 800

AMOUNT: Final = Int(0, 10**12)
PRICED: Final = frozenset({"amount", "auction"})


def _amount_belongs(reciprocity: dict[str, Any]) -> bool:
    if reciprocity["kind"] == "amount":
        return "unit" in reciprocity and "amount" in reciprocity
    if reciprocity["kind"] == "auction":
        return "amount" not in reciprocity or "unit" in reciprocity
    return "amount" not in reciprocity


RECIPROCITY: Final = Struct(
    (
        Field("kind", OneOf(("amount", "count_only", "gift", "auction", "free")), True),
        Field("unit", UNIT, False, "of the founding document"),
        Field("amount", AMOUNT, False, "minor units; in an auction the limit"),
    ),
    (
        Rule(
            "amount_belongs",
            "`amount` with its `unit` is there for kind `amount`, may be there for `auction`, and "
            "is not there otherwise",
            _amount_belongs,
            {"kind": "gift", "unit": "heure", "amount": 60},
        ),
    ),
)

# The eleven criteria of access; other keys are allowed and shown as they are.
ACCESS_CRITERIA: Final = (
    "hours",
    "distance",
    "transport",
    "cost",
    "eligibility",
    "disability",
    "language",
    "literacy",
    "digital",
    "waiting",
    "privacy",
)

_SHARED: Final = (
    Field("title", Text(200), True),
    Field("text", Text(4_000, lines=True)),
    Field("lang", LANG, True, "of title and text"),
    Field("categories", ListOf(CODE, 16), True, "codes, from several sectors if need be"),
    Field("mode", ListOf(OneOf(("at_home", "on_site", "remote", "itinerant")), 4), True),
    Field("place", PLACE),
    Field("when", WHEN),
    Field("quantity", QUANTITY),
    Field("reciprocity", RECIPROCITY, True, "what is asked or given in return"),
    Field("audience", ListOf(CODE, 32), False, "whom it is for"),
    Field(
        "access",
        MapOf(AnyOf((Text(200), Int(-(10**9), 10**9), Bool())), 32),
        False,
        "conditions of access: " + ", ".join(f"`{name}`" for name in ACCESS_CRITERIA),
    ),
    Field("contact", CONTACT, False, "of an organisation: the way besides this network"),
    Field("radius_km", Int(0, 1_000), False, "how far from the place"),
)

_OFFER_ONLY: Final = (
    Field("provider_status", PROVIDER_STATUS),
    Field(
        "verified",
        Struct(
            (
                Field("by", ID, True, "coop that verified the provider"),
                Field("kind", OneOf(("approved", "self_declared")), True),
            )
        ),
    ),
)

_SOURCE: Final = Field(
    "source",
    Struct(
        (
            Field("name", Text(120), True),
            Field("id", Text(200), True, "of the entry at the source"),
            Field("date", DATE, True),
            Field("licence", Text(120), True),
            Field("url", URL),
        )
    ),
    False,
    "where open data was taken from",
)

OFFER: Final = Kind(
    "offer",
    "An intent to provide (ValueFlows).",
    OFFER_DAYS * DAY_S,
    frozenset({NODE, MEMBER}),
    True,
    Struct((SALT, *_SHARED, *_OFFER_ONLY, _SOURCE)),
)

DEMAND: Final = Kind(
    "demand",
    "An intent to receive (ValueFlows).",
    DEMAND_DAYS * DAY_S,
    frozenset({NODE, MEMBER}),
    True,
    Struct(
        (
            SALT,
            *_SHARED,
            Field(
                "urgency",
                OneOf(("emergency", "planned", "conviviality")),
                False,
                "default: `planned`",
            ),
            _SOURCE,
        )
    ),
)


def _own_parent(payload: dict[str, Any]) -> bool:
    parent: str | None = payload.get("parent")
    code: str = payload["code"]
    return parent != code


CATEGORY: Final = Kind(
    "category",
    "A category of services in a coop's words.",
    CATEGORY_DAYS * DAY_S,
    frozenset({NODE}),
    False,
    Struct(
        (
            SALT,
            Field("code", CODE, True),
            Field("labels", LABELS, True, "language tag to label"),
            Field("parent", CODE),
            Field("synonyms", ListOf(Text(80), 64)),
            Field("source", Text(200), False, "vocabulary it was taken from"),
        ),
        (
            Rule(
                "own_parent",
                "a category is not its own parent",
                _own_parent,
                {"code": "jardin", "parent": "jardin"},
            ),
        ),
    ),
    subject=lambda header, payload: _code(payload),
    subject_text="`code` in UTF-8",
)


def _code(payload: Mapping[str, Any]) -> bytes:
    code: str = payload["code"]
    return code.encode()
