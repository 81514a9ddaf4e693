"""Describe the kinds that say who may speak: coops, members, mandates (spec/02, "Memberships")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from maillon.protocol.errors import NotAllowed
from maillon.protocol.keys import coop_id
from maillon.protocol.limits import MANDATE_KINDS_MAX
from maillon.protocol.records.fields import (
    ADDRESSES,
    AREA_CODE,
    CODE,
    CONTACT,
    ID,
    KEEP,
    KEY,
    KIND,
    LANG,
    LANGUAGES,
    PERSON,
    PROVIDER_STATUS,
    PUBLIC_PLACE,
    TIME,
    UNIT,
)
from maillon.protocol.records.kind import DAY_S, MEMBER, NODE, ROOT, SALT, Kind, schema_error
from maillon.protocol.records.schema import (
    Always,
    Field,
    Int,
    ListOf,
    OneOf,
    Rule,
    Struct,
    Text,
)

if TYPE_CHECKING:
    # Only for the type checker: `envelope` imports this package.
    from maillon.protocol.envelope import Header

# Longest life of a kind that is under a mandate is what a mandate must be able to cover.
PROFILE_DAYS: Final = 1_100
ADMISSION_DAYS: Final = 1_100
MEMBERSHIP_DAYS: Final = 800
MANDATE_DAYS: Final = 800

NAME: Final = Text(120)


def _profile_by_root(header: Header, payload: Mapping[str, Any]) -> None:
    if header.coop != coop_id(header.by):
        raise NotAllowed(
            "A coop's profile is signed by the coop's root key.", kind=header.kind, by=header.by
        )
    replaced = [entry["key"] for entry in payload.get("previous", ())]
    if payload["node_key"] in (header.by, *replaced) or header.by in replaced:
        # One key with two parts would leave open which of them signed.
        raise schema_error(header.kind, "node_key", "key_twice")
    if len(set(replaced)) != len(replaced):
        raise schema_error(header.kind, "previous", "key_twice")
    for entry in payload.get("previous", ()):
        if entry["until_at"] > header.at:
            raise schema_error(header.kind, "previous", "until_at")


COOP_PROFILE: Final = Kind(
    "coop_profile",
    "What a coop says of itself, and which node key speaks for it.",
    PROFILE_DAYS * DAY_S,
    frozenset({ROOT}),
    False,
    Struct(
        (
            SALT,
            Field("name", NAME, True),
            Field("node_key", KEY, True, "the key its node signs with now"),
            Field("sealing", KEY, False, "X25519, to which letters to the coop are sealed"),
            Field("addresses", ADDRESSES, False, "where its node is reached"),
            Field("territory", ListOf(AREA_CODE, 512), False, "codes of the communes it serves"),
            Field("languages", LANGUAGES, False, "spoken there"),
            Field("place", PUBLIC_PLACE, False, "its office"),
            Field("contact", CONTACT, False, "a human being to turn to"),
            Field("about", Text(4_000, lines=True)),
            Field("lang", LANG, False, "of `name` and `about`"),
            Field(
                "previous",
                ListOf(
                    Struct(
                        (
                            Field("key", KEY, True, "a node key that was replaced"),
                            Field("until_at", TIME, True, "the last `at` that counts"),
                            Field("keep", KEEP, False, "the only records that count, when given"),
                        )
                    ),
                    64,
                    low=0,
                ),
                False,
                "node keys that were replaced",
            ),
        )
    ),
    subject=lambda header, payload: header.coop,
    subject_text="the coop's id",
    header_rule=_profile_by_root,
    header_rule_text=(
        "`coop` is the id of `by`; `node_key`, the root and each key in `previous` all differ; "
        "no `until_at` is after the record's `at`"
    ),
)

ADMISSION: Final = Kind(
    "admission",
    "A founding coop's word that another coop belongs to the federation.",
    ADMISSION_DAYS * DAY_S,
    frozenset({NODE}),
    False,
    Struct(
        (
            SALT,
            Field("root", KEY, True, "root key of the coop admitted"),
            Field("name", NAME, True),
            Field("node_key", KEY, True, "for dialling it before its profile is known"),
            Field("addresses", ADDRESSES),
        ),
        (
            Rule(
                "key_twice",
                "`node_key` and `root` differ",
                lambda payload: payload["node_key"] != payload["root"],
                {"node_key": b"\x07" * 32, "root": b"\x07" * 32},
            ),
        ),
    ),
    subject=lambda header, payload: coop_id(payload["root"]),
    subject_text="the admitted coop's id",
)


def _membership_times(header: Header, payload: Mapping[str, Any]) -> None:
    revoked = payload.get("revoked")
    if revoked is not None and revoked["until_at"] > header.at:
        raise schema_error(header.kind, "revoked.until_at", "until_at")
    if payload.get("status_since", 0) > header.at:
        raise schema_error(header.kind, "status_since", "since_at")
    if payload["key"] == header.by:
        raise schema_error(header.kind, "key", "key_twice")


ROLES: Final = ("member", "provider", "helper", "desk", "admin")
REVOKED: Final = Struct(
    (
        Field("reason", OneOf(("lost", "stolen", "left", "excluded", "rotated")), True),
        Field("until_at", TIME, True, "the last `at` that counts"),
        Field("keep", KEEP, False, "the only records that count, when given"),
    )
)

MEMBERSHIP: Final = Kind(
    "membership",
    "A coop vouches for one key of one person; it carries no name.",
    MEMBERSHIP_DAYS * DAY_S,
    frozenset({NODE}),
    False,
    Struct(
        (
            SALT,
            Field("person", PERSON, True, "drawn at random by the coop; the same for all keys"),
            Field("key", KEY, True, "Ed25519, of one device, paper or the node"),
            Field("sealing", KEY, True, "X25519, to which letters are sealed"),
            Field("roles", ListOf(OneOf(ROLES), len(ROLES)), True),
            Field("status", OneOf(("active", "suspended", "revoked")), True),
            Field("status_since", TIME, False, "when a suspension began; default: `at`"),
            Field("custody", OneOf(("device", "paper", "node")), True, "who holds the key"),
            Field("provider_status", PROVIDER_STATUS),
            Field("verified_by", ID, False, "coop that verified the status"),
            Field("verification", OneOf(("approved", "self_declared"))),
            Field("revoked", REVOKED, False, "with status `revoked`, and only then"),
        ),
        (
            Rule(
                "revoked_status",
                "`revoked` is there when the status is `revoked`, and only then",
                lambda payload: ("revoked" in payload) == (payload["status"] == "revoked"),
                {"status": "revoked"},
            ),
            Rule(
                "verified_whole",
                "`verified_by` comes with `verification` `approved`",
                lambda payload: (
                    "verified_by" not in payload or payload.get("verification") == "approved"
                ),
                {"verified_by": b"\x07" * 32, "verification": "self_declared"},
            ),
        ),
    ),
    subject=lambda header, payload: payload["person"] + payload["key"],
    subject_text="`person` then `key`",
    header_rule=_membership_times,
    header_rule_text=(
        "`revoked.until_at` and `status_since` are not after the record's `at`; "
        "`key` is not the signing key"
    ),
)


def _mandate_times(header: Header, payload: Mapping[str, Any]) -> None:
    if payload["end"] > header.until:
        raise schema_error(header.kind, "end", "end_until")
    if payload["delegate_key"] == header.by:
        raise schema_error(header.kind, "delegate_key", "key_twice")
    if payload.get("until_at", 0) > header.at:
        raise schema_error(header.kind, "until_at", "until_at")


# Identity itself is never delegated: a delegate who could vouch or delegate would be a principal.
NOT_UNDER_MANDATE: Final = frozenset(
    {
        "coop_profile", "admission", "membership", "mandate", "category", "withdrawal", "move",
        "vouching", "bundle_decision", "relay_request", "relay_ack",
    }
)  # fmt: skip

MANDATE: Final = Kind(
    "mandate",
    "A principal lets a delegate's key sign some kinds of records for a time.",
    MANDATE_DAYS * DAY_S,
    frozenset({ROOT, NODE, MEMBER}),
    False,
    Struct(
        (
            SALT,
            Field("delegate_key", KEY, True),
            Field("delegate_coop", ID, True, "the coop that vouches for the delegate's key"),
            Field(
                "kinds",
                ListOf(KIND, MANDATE_KINDS_MAX),
                True,
                "what the delegate may publish, send and withdraw",
            ),
            Field(
                "limits",
                ListOf(
                    Struct(
                        (
                            Field("unit", UNIT, True),
                            Field("amount", Int(0, 10**12), True, "minor units"),
                            Field("period_s", Int(3_600, 800 * DAY_S), True),
                        )
                    ),
                    16,
                    low=0,
                ),
                False,
                "what the delegate may spend in the ledger; records are not counted",
            ),
            Field(
                "forbidden",
                ListOf(CODE, MANDATE_KINDS_MAX, low=0),
                False,
                "acts and kinds that are excluded",
            ),
            Field("start", TIME, True, "first `at` that is covered"),
            Field("end", TIME, True, "last `at` that is covered"),
            Field("note", Text(400, lines=True)),
            Field("revoked", Always(True)),
            Field("until_at", TIME, False, "with `revoked`: last `at` that counts; default: `at`"),
            Field("keep", KEEP, False, "with `revoked`: the only records that count"),
        ),
        (
            Rule(
                "order",
                "`start` is before `end`",
                lambda payload: payload["start"] < payload["end"],
                {"start": 1_700_000_001, "end": 1_700_000_000},
            ),
            Rule(
                "kinds_delegable",
                "`kinds` names no kind of the registry that is closed to mandates",
                lambda payload: NOT_UNDER_MANDATE.isdisjoint(payload["kinds"]),
                {"kinds": ["membership"]},
            ),
            Rule(
                "revoked_whole",
                "`until_at` and `keep` come with `revoked`",
                lambda payload: "revoked" in payload or not payload.keys() & {"until_at", "keep"},
                {"until_at": 1_700_000_000},
            ),
        ),
    ),
    header_rule=_mandate_times,
    header_rule_text=(
        "`end` is not after the record's `until`; `until_at` is not after the record's `at`; "
        "`delegate_key` is not the signing key"
    ),
)
