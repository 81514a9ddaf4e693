"""Describe what several people do together, and who they became (spec/08-community).

Each of these records rests on at most one other: the record `refs[0]`, which names one revision. It
counts while that revision is live. What several records mean together (is the bundle whole, who won
the auction) is no condition of any of them: pure functions say so about a set of live records
(`maillon.protocol.bundles`, `auctions`, `moving`), so the live set needs no order of arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from maillon.protocol.limits import BIDS_MAX, CONTEST_S_MIN
from maillon.protocol.records.fields import (
    CODE,
    ID,
    KEY,
    LANG,
    PERSON,
    PLACE,
    TIME,
    TIMEZONE,
    UNIT,
    WEEK_HOURS,
    WHEN,
)
from maillon.protocol.records.kind import DAY_S, MEMBER, NODE, SALT, Kind, schema_error
from maillon.protocol.records.schema import (
    Field,
    Int,
    ListOf,
    OneOf,
    PairOf,
    Rule,
    Struct,
    Text,
)
from maillon.protocol.records.terms import AMOUNT, AUTHOR, PERSON_AUTHOR, SHARE

if TYPE_CHECKING:
    # Only for the type checker: `envelope` imports this package.
    from maillon.protocol.envelope import Header

BUNDLE_DAYS: Final = 400
AUCTION_DAYS: Final = 120
ORGANISATION_DAYS: Final = 800
MOVE_DAYS: Final = 800
FREEBUSY_DAYS: Final = 60
RELAY_DAYS: Final = 400
VOUCHING_DAYS: Final = 400

BUNDLE_PARTS_MAX: Final = 8
ORGANISATION_MEMBERS_MAX: Final = 32
BUSY_MAX: Final = 128

PUBLIC: Final = frozenset({NODE, MEMBER})


def _one_ref(header: Header, payload: Mapping[str, Any]) -> None:
    if len(header.refs) != 1:
        raise schema_error(header.kind, "refs", "first_ref")


_ONE_REF: Final = "`refs` has one id: the record id of the revision it rests on"


def _names(field: str) -> Any:
    def rule(header: Header, payload: Mapping[str, Any]) -> None:
        if header.refs != (payload[field],):
            raise schema_error(header.kind, field, "first_ref")

    return rule


# --- Bundles ------------------------------------------------------------------------------------


def _two_providers(payload: dict[str, Any]) -> bool:
    return len({part["provider"] for part in payload["parts"]}) > 1


BUNDLE: Final = Kind(
    "bundle",
    "Several providers offer one whole, accepted once or not at all.",
    BUNDLE_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct(
        (
            SALT,
            Field("title", Text(200), True),
            Field("text", Text(4_000, lines=True)),
            Field("lang", LANG, True),
            Field("categories", ListOf(CODE, 16), True),
            Field(
                "parts",
                ListOf(
                    Struct(
                        (
                            Field("provider", AUTHOR, True),
                            Field("offer", ID, False, "thing id of the provider's offer"),
                            Field("title", Text(200), True),
                            Field("unit", UNIT),
                            Field("amount", AMOUNT, False, "minor units"),
                        )
                    ),
                    BUNDLE_PARTS_MAX,
                    low=2,
                ),
                True,
            ),
            Field("place", PLACE),
            Field("when", WHEN),
        ),
        (
            Rule(
                "two_providers",
                "the parts are of at least two providers",
                _two_providers,
                {
                    "parts": [
                        {"provider": b"\x07" * 49, "title": "Repas"},
                        {"provider": b"\x07" * 49, "title": "Courses"},
                    ]
                },
            ),
        ),
    ),
)

BUNDLE_PART: Final = Kind(
    "bundle_part",
    "A provider's consent to its part of a bundle.",
    BUNDLE_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct((SALT, Field("bundle", ID, True, "thing id of the bundle"))),
    subject=lambda header, payload: payload["bundle"],
    subject_text="`bundle`",
    header_rule=_one_ref,
    header_rule_text=_ONE_REF,
)

# --- Collective demands -------------------------------------------------------------------------

COSIGNATURE: Final = Kind(
    "cosignature",
    "Somebody shares a demand and wants one answer for all.",
    AUCTION_DAYS * DAY_S,
    frozenset({MEMBER}),
    True,
    Struct(
        (
            SALT,
            Field("demand", ID, True, "thing id of the demand"),
            Field("persons", Int(1, 100), False, "for how many; default: 1"),
        )
    ),
    subject=lambda header, payload: payload["demand"],
    subject_text="`demand`",
    header_rule=_one_ref,
    header_rule_text=_ONE_REF,
)

# --- Auctions -----------------------------------------------------------------------------------


BID: Final = Kind(
    "bid",
    "A provider's price in a reverse auction: open, or sealed as a hash.",
    AUCTION_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct(
        (
            SALT,
            Field("demand", ID, True, "thing id of the demand"),
            Field("amount", AMOUNT, False, "minor units; in an open auction"),
            Field("commit", ID, False, "in a sealed one: the hash of nonce, demand and amount"),
            Field("text", Text(2_000, lines=True)),
            Field("lang", LANG),
        ),
        (
            Rule(
                "bid_form",
                "either `amount` or `commit` is there",
                lambda payload: ("amount" in payload) != ("commit" in payload),
                {"amount": 60, "commit": b"\x07" * 32},
            ),
        ),
    ),
    revisable=False,
    header_rule=_one_ref,
    header_rule_text=_ONE_REF,
)

BID_REVEAL: Final = Kind(
    "bid_reveal",
    "A bidder opens its sealed bid.",
    AUCTION_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct(
        (
            SALT,
            Field("bid", ID, True, "record id of the bid"),
            Field("amount", AMOUNT, True, "minor units"),
            Field("nonce", ID, True, "32 random bytes that hid the amount"),
        )
    ),
    subject=lambda header, payload: payload["bid"],
    subject_text="`bid`",
    revisable=False,
    header_rule=_names("bid"),
    header_rule_text="`refs` has one id: `bid`",
)

AUCTION_CLOSE: Final = Kind(
    "auction_close",
    "The demand's author names the bids that take part.",
    AUCTION_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct(
        (
            SALT,
            Field("demand", ID, True, "thing id of the demand"),
            Field("bids", ListOf(ID, BIDS_MAX, low=0), True, "record ids of the bids"),
        )
    ),
    subject=lambda header, payload: payload["demand"],
    subject_text="`demand`",
    revisable=False,
    header_rule=_one_ref,
    header_rule_text=_ONE_REF,
)

AWARD: Final = Kind(
    "award",
    "The demand's author says who won, and opens the lot.",
    AUCTION_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct(
        (
            SALT,
            Field("demand", ID, True, "thing id of the demand"),
            Field("winner", ID, False, "record id of the bid; absent: nobody"),
            Field("secret", ID, True, "32 bytes whose SHA-256 is the demand's `lot`"),
            Field("reveals", ListOf(ID, BIDS_MAX, low=0), False, "record ids, when sealed"),
        )
    ),
    subject=lambda header, payload: payload["demand"],
    subject_text="`demand`",
    revisable=False,
    header_rule=_one_ref,
    header_rule_text=_ONE_REF,
)

# --- Relays and calendars -----------------------------------------------------------------------

RELAY: Final = Kind(
    "relay",
    "Opening hours, and the coop that sees to demands outside of them.",
    RELAY_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct(
        (
            SALT,
            Field("hours", WEEK_HOURS, True, "minutes after midnight, local time"),
            Field("tz", TIMEZONE, True),
            Field("relay", ID, True, "the coop that takes over"),
            Field("ack_within_s", Int(60, 30 * DAY_S), True, "to say that it took a demand"),
        )
    ),
    subject=lambda header, payload: b"",
    subject_text="nothing: one an author",
)


def _in_order(payload: dict[str, Any]) -> bool:
    busy: list[list[int]] = payload["busy"]
    return all(before[1] < after[0] for before, after in zip(busy, busy[1:], strict=False))


def _busy_until(header: Header, payload: Mapping[str, Any]) -> None:
    if not header.at < payload["until"] <= header.until:
        raise schema_error(header.kind, "until", "busy_until")


FREEBUSY: Final = Kind(
    "freebusy",
    "When a provider is taken; it is free otherwise, and nothing says by what.",
    FREEBUSY_DAYS * DAY_S,
    PUBLIC,
    True,
    Struct(
        (
            SALT,
            Field("busy", ListOf(PairOf(TIME), BUSY_MAX, low=0), True, "from, to; Unix seconds"),
            Field("until", TIME, True, "nothing is said of later"),
        ),
        (
            Rule(
                "busy_order",
                "`busy` is in order, and there is a second free between any two",
                _in_order,
                {"busy": [[1_700_000_000, 1_700_003_600], [1_700_003_600, 1_700_007_200]]},
            ),
        ),
    ),
    subject=lambda header, payload: b"",
    subject_text="nothing: one an author",
    header_rule=_busy_until,
    header_rule_text="`until` is after the record's `at` and not after its `until`",
)

# --- Micro-organisations ------------------------------------------------------------------------


def _members_whole(payload: dict[str, Any]) -> bool:
    members = payload["members"]
    return len({member["author"] for member in members}) == len(members) and (
        payload["split"] != "shares" or any(member["share"] for member in members)
    )


ORGANISATION: Final = Kind(
    "organisation",
    "Several self-employed people work as one: members, shares, and who signs.",
    ORGANISATION_DAYS * DAY_S,
    frozenset({MEMBER}),
    True,
    Struct(
        (
            SALT,
            Field("name", Text(120), True),
            Field("text", Text(4_000, lines=True)),
            Field("lang", LANG),
            Field(
                "members",
                ListOf(
                    Struct(
                        (
                            Field("author", PERSON_AUTHOR, True),
                            Field("share", SHARE, True, "a part of the sum of all shares"),
                        )
                    ),
                    ORGANISATION_MEMBERS_MAX,
                    low=2,
                ),
                True,
            ),
            Field(
                "rule",
                Struct(
                    (
                        Field(
                            "signatures",
                            Int(1, ORGANISATION_MEMBERS_MAX),
                            True,
                            "members whose approval an order of its account needs",
                        ),
                    )
                ),
                True,
            ),
            Field(
                "split",
                OneOf(("shares", "equal", "performer")),
                True,
                "of what it is paid: by share, alike, or to who did the work",
            ),
            Field("status", OneOf(("active", "closed")), True),
        ),
        (
            Rule(
                "members_whole",
                "no author stands twice in `members`; with `split` `shares` one share at least is "
                "not 0",
                _members_whole,
                {
                    "members": [
                        {"author": b"\x07" * 49, "share": 1},
                        {"author": b"\x07" * 49, "share": 2},
                    ]
                },
            ),
            Rule(
                "signatures",
                "`rule.signatures` is not more than there are members",
                lambda payload: payload["rule"]["signatures"] <= len(payload["members"]),
                {"rule": {"signatures": ORGANISATION_MEMBERS_MAX}},
            ),
        ),
    ),
)

ORGANISATION_PART: Final = Kind(
    "organisation_part",
    "A member's consent to a micro-organisation as it stands.",
    ORGANISATION_DAYS * DAY_S,
    frozenset({MEMBER}),
    True,
    Struct((SALT, Field("organisation", ID, True, "thing id of the micro-organisation"))),
    subject=lambda header, payload: payload["organisation"],
    subject_text="`organisation`",
    header_rule=_one_ref,
    header_rule_text=_ONE_REF,
)

# --- Moving, and keys the coop vouches for ------------------------------------------------------


def _other_coop(header: Header, payload: Mapping[str, Any]) -> None:
    if payload["from"][1:33] != header.coop:
        raise schema_error(header.kind, "from", "from_coop")
    if payload["to"][1:33] == header.coop:
        raise schema_error(header.kind, "to", "to_coop")


MOVE: Final = Kind(
    "move",
    "A person of one coop is, from now on, this person of another.",
    MOVE_DAYS * DAY_S,
    frozenset({MEMBER}),
    # Who may say that a person is somebody else could take over what follows the person.
    False,
    Struct(
        (
            SALT,
            Field("from", PERSON_AUTHOR, True, "who the person was"),
            Field("to", PERSON_AUTHOR, True, "who the person is"),
        )
    ),
    subject=lambda header, payload: payload["from"],
    subject_text="`from`",
    header_rule=_other_coop,
    header_rule_text="`from` is of the record's `coop`, `to` of another",
)


def _contest_time(header: Header, payload: Mapping[str, Any]) -> None:
    if not header.at + CONTEST_S_MIN <= payload["contest_until"] < header.until:
        raise schema_error(header.kind, "contest_until", "contest_until")


VOUCHING: Final = Kind(
    "vouching",
    "A coop vouches, after its own procedure, that a new key is a person's.",
    VOUCHING_DAYS * DAY_S,
    frozenset({NODE}),
    False,
    Struct(
        (
            SALT,
            Field("person", PERSON, True),
            Field("old_key", KEY, True, "the one that was lost"),
            Field("new_key", KEY, True),
            Field("procedure", Text(2_000, lines=True), True, "how the coop made sure"),
            Field("lang", LANG),
            Field("contest_until", TIME, True, "last `at` of a contest"),
        ),
        (
            Rule(
                "key_new",
                "`old_key` and `new_key` differ",
                lambda payload: payload["old_key"] != payload["new_key"],
                {"old_key": b"\x07" * 32, "new_key": b"\x07" * 32},
            ),
        ),
    ),
    subject=lambda header, payload: payload["person"] + payload["new_key"],
    subject_text="`person` then `new_key`",
    # A revision would drop the contests of the one before.
    revisable=False,
    header_rule=_contest_time,
    header_rule_text=(
        f"`contest_until` is {CONTEST_S_MIN // DAY_S} days or more after the record's `at`, and "
        "before its `until`"
    ),
)

CONTEST: Final = Kind(
    "contest",
    "The person says that the coop vouched wrongly.",
    VOUCHING_DAYS * DAY_S,
    frozenset({MEMBER}),
    True,
    Struct(
        (
            SALT,
            Field("vouching", ID, True, "record id of the vouching"),
            Field("text", Text(2_000, lines=True)),
            Field("lang", LANG),
        )
    ),
    subject=lambda header, payload: payload["vouching"],
    subject_text="`vouching`",
    revisable=False,
    header_rule=_names("vouching"),
    header_rule_text="`refs` has one id: `vouching`",
)

COMMUNITY: Final = (
    MOVE,
    VOUCHING,
    BUNDLE,
    ORGANISATION,
    RELAY,
    FREEBUSY,
    BID,
    COSIGNATURE,
    BUNDLE_PART,
    ORGANISATION_PART,
    AUCTION_CLOSE,
    AWARD,
    CONTEST,
    BID_REVEAL,
)
"""The public kinds of this module, in the order in which they are sent."""
