"""Describe what is offered and asked for (spec/03, "Offers and demands").

An offer is ValueFlows' Intent to provide, a demand one to receive, each with what is asked or given
in return.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from maillon.protocol.limits import INT_MAX
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
    TIME,
    UNIT,
    URL,
    WHEN,
)
from maillon.protocol.records.kind import DAY_S, MEMBER, NODE, SALT, Kind, schema_error
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

if TYPE_CHECKING:
    # Only for the type checker: `envelope` imports this package.
    from maillon.protocol.envelope import Header

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
            "`amount` and `unit` are there for kind `amount`; for `auction` no `amount` is without "
            "`unit`; for the others there is no `amount`",
            _amount_belongs,
            {"kind": "gift", "unit": "heure", "amount": 60},
        ),
    ),
)

TARIFFS_MAX: Final = 8


def _tariffs_whole(tariffs: list[dict[str, Any]]) -> bool:
    audiences = [tariff["audience"] for tariff in tariffs]
    return len(set(audiences)) == len(audiences) and all(
        tariff["reciprocity"]["kind"] != "auction" for tariff in tariffs
    )


AUCTION: Final = Struct(
    (
        Field("form", OneOf(("open", "sealed")), True, "bids that all can read, or hashes first"),
        Field("closes", TIME, True, "last `at` of a bid"),
        Field("reveal_until", TIME, False, "last `at` of a reveal; when sealed, and only then"),
        Field("lot", ID, True, "SHA-256 of the `secret` that the award opens: it breaks ties"),
    ),
    (
        Rule(
            "reveal_when",
            "`reveal_until` is there when `form` is `sealed`, and only then; it is after `closes`",
            lambda auction: (
                ("reveal_until" in auction) == (auction["form"] == "sealed")
                and auction.get("reveal_until", INT_MAX) > auction["closes"]
            ),
            {"form": "sealed"},
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
    Field(
        "tariffs",
        ListOf(
            Struct(
                (
                    Field("audience", CODE, True, "such as `members` or `outsiders`"),
                    Field("reciprocity", RECIPROCITY, True, "in place of the offer's own"),
                )
            ),
            TARIFFS_MAX,
        ),
        False,
        "what is asked of some; of all others, `reciprocity`",
    ),
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
    Struct(
        (SALT, *_SHARED, *_OFFER_ONLY, _SOURCE),
        (
            Rule(
                "tariffs_whole",
                "no audience stands twice in `tariffs`, and none is an auction",
                lambda payload: _tariffs_whole(payload.get("tariffs", [])),
                {"tariffs": [{"audience": "members", "reciprocity": {"kind": "auction"}}]},
            ),
        ),
    ),
)

def _auction_priced(payload: dict[str, Any]) -> bool:
    if "auction" not in payload:
        return True
    reciprocity = payload["reciprocity"]
    return reciprocity["kind"] == "auction" and "unit" in reciprocity


def _auction_times(header: Header, payload: Mapping[str, Any]) -> None:
    auction = payload.get("auction")
    if auction is None:
        return
    # The award comes after the last bid and the last reveal, and the demand must still be there.
    last = auction.get("reveal_until", auction["closes"])
    if not (header.at < auction["closes"] and last < header.until):
        raise schema_error(header.kind, "auction.closes", "auction_times")


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
            Field("auction", AUCTION, False, "with `reciprocity.kind` `auction`: a reverse one"),
            _SOURCE,
        ),
        (
            Rule(
                "auction_priced",
                "`auction` comes with `reciprocity` of kind `auction` and with its `unit`",
                _auction_priced,
                {
                    "auction": {"form": "open", "closes": 1_700_000_000, "lot": b"\x07" * 32},
                    "reciprocity": {"kind": "gift"},
                },
            ),
        ),
    ),
    header_rule=_auction_times,
    header_rule_text=(
        "`auction.closes` is after the record's `at`; it and `auction.reveal_until` are before its "
        "`until`"
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


def asked_of(offer: Mapping[str, Any], audiences: Collection[str]) -> Mapping[str, Any]:
    """Return what an offer asks of somebody who belongs to these audiences, as a reciprocity.

    The first tariff that names one of them, else the offer's own `reciprocity`.
    """
    for tariff in offer.get("tariffs", ()):
        if tariff["audience"] in audiences:
            return cast("Mapping[str, Any]", tariff["reciprocity"])
    return cast("Mapping[str, Any]", offer["reciprocity"])
