"""Know every kind of record: `KINDS` is the registry, the rest helps to write them (spec/03)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from maillon.protocol.records.answers import ATTESTATION, REPLY, WITHDRAWAL_KIND
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
        )
    }
)
"""The kinds this version interprets, in the order in which they are sent (identity first)."""

TAGS: Final = MappingProxyType({tag(name): kind for name, kind in KINDS.items()})
"""The kind a series belongs to, by its first two bytes."""

UNKNOWN_LIFETIME_S_MAX: Final = 400 * DAY_S
"""Longest life of a kind of a later version, which this one keeps and relays."""

IDENTITY_KINDS: Final = ("coop_profile", "admission", "membership", "mandate")
"""The kinds that decide what other records count, each resting on the ones before it."""


def priority(kind: str) -> int:
    """Return the place of a kind in the order of sending: what others rest on comes first."""
    return _PRIORITY.get(kind, len(_PRIORITY))


_PRIORITY: Final = {
    name: place
    for place, name in enumerate(("coop_profile", "admission", "membership", "mandate", "category"))
}

__all__ = [
    "DAY_S",
    "IDENTITY_KINDS",
    "KINDS",
    "MEMBER",
    "NODE",
    "ROOT",
    "TAGS",
    "UNKNOWN_LIFETIME_S_MAX",
    "WITHDRAWAL",
    "Kind",
    "check_payload",
    "derived_series",
    "priority",
    "random_series",
    "tag",
    "thing_id",
]
