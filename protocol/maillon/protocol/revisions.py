"""Decide which revision of a thing is the current one (spec/03, "Revisions").

The current record of a series is the greatest by (rev, at, id). The order is total and looks at the
two records only, so it does not matter which arrived first, and two devices of one person that
edited apart agree without asking anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from maillon.protocol.envelope import Header, Signed
from maillon.protocol.ids import RecordId
from maillon.protocol.records import WITHDRAWAL

OrderKey = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Keep:
    """The new record begins its series here: store it."""


@dataclass(frozen=True, slots=True)
class Replace:
    """The new record is current now; the old one leaves the live set and loses its payload."""

    old: RecordId


@dataclass(frozen=True, slots=True)
class Stale:
    """The new record is already superseded, or is the very one we have: keep its header at most."""

    current: RecordId


Decision = Keep | Replace | Stale


def order_key(header: Header, id: bytes) -> OrderKey:
    """Return what the revisions of a series are ordered by; the greatest is current."""
    return header.rev, header.at, id


def decide(
    new: tuple[Header, RecordId], current: tuple[Header, RecordId] | None
) -> Decision:
    """Say what a new record does to the current one of its (author, series).

    Both must count (see `validation`). Withdrawals are records like any other here.
    """
    if current is None:
        return Keep()
    if order_key(*new) > order_key(*current):
        return Replace(current[1])
    return Stale(current[1])


def current_of(records: Iterable[Signed]) -> Signed | None:
    """Return the current one among records of one (author, series), or None of none."""
    return max(records, key=lambda signed: order_key(signed.header, signed.id), default=None)


def is_withdrawal(header: Header) -> bool:
    """Tell whether a current record says that the thing is gone."""
    return header.kind == WITHDRAWAL
