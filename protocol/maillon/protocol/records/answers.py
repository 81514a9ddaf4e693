"""Describe the kinds that speak about another thing: withdrawal, attestation, reply (spec/03)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from maillon.protocol.records.fields import ID, KIND, LANG
from maillon.protocol.records.kind import (
    DAY_S,
    MEMBER,
    NODE,
    ROOT,
    SALT,
    WITHDRAWAL,
    Kind,
    schema_error,
    tag,
)
from maillon.protocol.records.schema import (
    Field,
    Int,
    MapOf,
    OneOf,
    Rule,
    Struct,
    Text,
)
from maillon.protocol.records.terms import AUTHOR

if TYPE_CHECKING:
    # Only for the type checker: `envelope` imports this package.
    from maillon.protocol.envelope import Header

ANSWER_DAYS: Final = 1_100


def _withdraws_its_series(header: Header, payload: Mapping[str, Any]) -> None:
    if header.series[:2] != tag(payload["kind"]):
        raise schema_error(header.kind, "kind", "series_kind")
    if header.rev == 0:
        # Revision 0 begins a series, so it can end nothing.
        raise schema_error(header.kind, "", "rev")


WITHDRAWAL_KIND: Final = Kind(
    WITHDRAWAL,
    "Ends a thing: while this is the current revision, the thing is gone.",
    # No shorter than the longest life of what it ends, or the thing would come back.
    ANSWER_DAYS * DAY_S,
    # Narrowed to the signers of the withdrawn kind by `validation`.
    frozenset({ROOT, NODE, MEMBER}),
    True,
    Struct(
        (
            SALT,
            Field("kind", KIND, True, "of what is withdrawn"),
            Field("reason", Text(200)),
        ),
        (
            Rule(
                "kind_withdrawable",
                "a withdrawal is not withdrawn: a later revision brings the thing back",
                lambda payload: payload["kind"] != WITHDRAWAL,
                {"kind": WITHDRAWAL},
            ),
        ),
    ),
    header_rule=_withdraws_its_series,
    header_rule_text="`series` begins with the tag of the withdrawn kind; `rev` is at least 1",
)


def _names_transfer(header: Header, payload: Mapping[str, Any]) -> None:
    if header.refs[:1] != (payload["transfer"],):
        raise schema_error(header.kind, "transfer", "first_ref")


ATTESTATION: Final = Kind(
    "attestation",
    "One party of a transfer on the other, by the community's criteria.",
    ANSWER_DAYS * DAY_S,
    frozenset({MEMBER}),
    True,
    Struct(
        (
            SALT,
            Field("transfer", ID, True, "the certified transfer"),
            Field("subject", AUTHOR, True, "the other party"),
            Field("criteria", MapOf(Int(0, 5), 16), True, "criterion to mark"),
            Field("text", Text(2_000, lines=True)),
            Field("lang", LANG, True),
            Field(
                "exchange_kind",
                OneOf(("amount", "count_only")),
                False,
                "what the transfer was: paid, or only counted",
            ),
        )
    ),
    subject=lambda header, payload: payload["transfer"],
    subject_text="`transfer`",
    revisable=False,
    header_rule=_names_transfer,
    header_rule_text="`refs[0]` is `transfer`",
)


def _names_attestation(header: Header, payload: Mapping[str, Any]) -> None:
    if not header.refs:
        raise schema_error(header.kind, "refs", "first_ref")


REPLY: Final = Kind(
    "reply",
    "The subject's one answer to an attestation.",
    ANSWER_DAYS * DAY_S,
    frozenset({MEMBER}),
    True,
    Struct(
        (
            SALT,
            Field("text", Text(2_000, lines=True), True),
            Field("lang", LANG, True),
        )
    ),
    # Without refs there is nothing to derive from; the header rule refuses such a reply anyway.
    subject=lambda header, payload: header.refs[0] if header.refs else b"",
    subject_text="`refs[0]`, the attestation's id",
    revisable=False,
    header_rule=_names_attestation,
    header_rule_text="`refs[0]` is there: the attestation's id",
)

