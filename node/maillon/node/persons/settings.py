"""Settings about persons, as config.toml has them under [persons] and [retention]."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Days = Annotated[int, Meta(ge=0, le=36_500)]
"""Days; 0 keeps for ever."""
Returns = Annotated[
    list[Annotated[str, Meta(pattern="^(hours|credit|count|count_only|gift|free|outside)$")]],
    Meta(max_length=8),
]


class PersonsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules of the coop about its people.

    `forbidden` names what providers of a status are not given, beside what the protocol forbids
    anyway (a volunteer no credit). `contest_days` is how long a recovery can be contested.
    """

    contest_days: Annotated[int, Meta(ge=1, le=90)] = 14
    forbidden: Annotated[dict[str, Returns], Meta(max_length=16)] = {}


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many days what is kept after it has served; 0 keeps it for ever."""

    exchanges: Days = 1_095
    """Steps of exchanges that are closed: three years, as disputes about services lapse."""
    letters: Days = 7
    """Letters that were fetched, for a device that loses what it fetched; 0 until their own end, as
    those that nobody fetches."""
    sent_letters: Days = 8
    """Letters that arrived at another node, for one that is brought back from a copy: last week's,
    made weekly, and a day to notice; 0 until their own end."""
    memos: Days = 3_650
    """What transfers were for: ten years, as accounts are kept."""
    vouchers: Days = 1_095
    """Cheques that were paid, blocked or have expired; a paid one can be told as paid until then,
    and is refused for ever after by its expiry."""
    deposits: Days = 365
    claims: Days = 30
    """Codes that were used or have expired."""
    recoveries: Days = 1_095
    moves: Days = 365
    invitations: Days = 90
    notices: Days = 120
    """What people were told that may fit, read or not: as long as most demands stand; never longer
    than what it is about."""
    relays: Days = 1_095
    """Demands that were handed to relays, for the figures: as exchanges are kept."""
    auctions: Days = 90
    """What opens sealed bids and lots and was not opened in time."""
