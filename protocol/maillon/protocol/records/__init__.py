"""Know every kind of record: `KINDS` is the registry, the rest helps to write them (spec/03)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from maillon.protocol.encoding import Value
from maillon.protocol.errors import LocalError
from maillon.protocol.records.answers import ATTESTATION, REPLY, WITHDRAWAL_KIND
from maillon.protocol.records.build import FieldError, build_payload
from maillon.protocol.records.community import COMMUNITY
from maillon.protocol.records.exchange import (
    PRIVATE,
    STEP_KINDS,
    exchanges_of,
)
from maillon.protocol.records.identity import ADMISSION, COOP_PROFILE, MANDATE, MEMBERSHIP
from maillon.protocol.records.kind import (
    DAY_S,
    MEMBER,
    NODE,
    ROOT,
    WITHDRAWAL,
    Kind,
    check_payload,
    derived_series,
    random_series,
    tag,
    thing_id,
)
from maillon.protocol.records.market import CATEGORY, DEMAND, OFFER

KINDS: Final = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            COOP_PROFILE,
            ADMISSION,
            MEMBERSHIP,
            MANDATE,
            CATEGORY,
            OFFER,
            DEMAND,
            WITHDRAWAL_KIND,
            ATTESTATION,
            REPLY,
            *COMMUNITY,
            *PRIVATE,
        )
    }
)
"""The kinds this version interprets: those that are gossiped in the order in which they are sent
(identity first), then the private ones."""

PUBLIC_KINDS: Final = tuple(kind.name for kind in KINDS.values() if not kind.private)
"""Names of the kinds that are gossiped, in the order of sending."""

PRIVATE_KINDS: Final = frozenset(kind.name for kind in PRIVATE)
"""Names of the kinds that travel in letters only (spec/08)."""

TAGS: Final = MappingProxyType({tag(name): kind for name, kind in KINDS.items()})
"""The kind a series belongs to, by its first two bytes."""

UNKNOWN_LIFETIME_S_MAX: Final = 400 * DAY_S
"""Longest life of a kind of a later version, which this one keeps and relays."""

IDENTITY_KINDS: Final = ("coop_profile", "admission", "membership", "mandate")
"""The kinds that decide what other records count, each resting on the ones before it."""


def priority(kind: str) -> int:
    """Return the place of a kind in the order of sending: what others rest on comes first."""
    place = _PRIORITY.get(kind)
    return _RESTING.get(kind, len(_PRIORITY)) if place is None else place


_PRIORITY: Final = {
    name: place
    for place, name in enumerate(("coop_profile", "admission", "membership", "mandate", "category"))
}
# What rests on another record (its `refs[0]`) comes after it, or a batch would wait for itself.
_RESTING: Final = {
    **dict.fromkeys(
        ("reply", "bid", "cosignature", "bundle_part", "organisation_part", "auction_close",
         "award", "contest"),
        len(_PRIORITY) + 1,
    ),
    "bid_reveal": len(_PRIORITY) + 2,
}  # fmt: skip


def build(kind: str, *, salt: bytes, **fields: Any) -> dict[str, Value]:
    """Put the payload of a kind together out of what a person or an importer gives.

    Texts are brought into NFC and stripped, fields that are None left out, everything checked.
    `salt` is 16 random bytes, new for each revision. A field called `kind` (a withdrawal's) goes
    in as `kind_`, because the first parameter takes its name.

    Raises: FieldError (a LocalError) naming the field in words, LocalError for an unknown kind.
    """
    known = KINDS.get(kind)
    if known is None:
        raise LocalError(f"There is no kind of record called {kind}.", kind=kind)
    if "kind_" in fields:
        fields["kind"] = fields.pop("kind_")
    return build_payload(known, salt, fields)


__all__ = [
    "DAY_S",
    "FieldError",
    "IDENTITY_KINDS",
    "KINDS",
    "MEMBER",
    "NODE",
    "PRIVATE_KINDS",
    "PUBLIC_KINDS",
    "ROOT",
    "STEP_KINDS",
    "TAGS",
    "UNKNOWN_LIFETIME_S_MAX",
    "WITHDRAWAL",
    "Kind",
    "build",
    "check_payload",
    "derived_series",
    "exchanges_of",
    "priority",
    "random_series",
    "tag",
    "thing_id",
]
