"""Say who won a reverse auction, so that any node comes to the same answer (spec/08-community).

The lowest price wins. Bids are public, or hashes first and opened later; the demand's author names
the bids that take part, and then the winner, and opens the secret that breaks ties. Everything is
recomputed here from live records: what the author says is compared with it, never believed.
"""

# What nobody can compute is when a record was first seen: `at` is the author's word, and a bid that
# the close does not name was either kept out or dated back. So such bids are shown, not judged.

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from maillon.protocol.encoding import encode
from maillon.protocol.envelope import Valid
from maillon.protocol.errors import LocalError

NONCE_BYTES = 32


def commitment(demand: bytes, amount: int, nonce: bytes) -> bytes:
    """Return the 32 bytes that a sealed bid shows: they hide the amount and bind to it.

    `demand` is the demand's thing id, `nonce` 32 random bytes that the bidder keeps.

    Raises: LocalError for a nonce of another length.
    """
    if len(nonce) != NONCE_BYTES:
        raise LocalError("A nonce has 32 bytes.")
    return hashlib.sha256(b"maillon/1/bid\0" + nonce + encode([demand, amount])).digest()


def lot(secret: bytes) -> bytes:
    """Return what a demand shows of the secret that will break its ties."""
    return hashlib.sha256(secret).digest()


def lot_of(secret: bytes, bid: bytes) -> bytes:
    """Return the lot that a bid draws: among equal prices the least one wins."""
    return hashlib.sha256(b"maillon/1/lot\0" + secret + bid).digest()


@dataclass(frozen=True, slots=True)
class Bid:
    """A bid that takes part: its record id, who made it, and the price in minor units."""

    id: bytes
    author: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an auction comes to, as far as the records say.

    `ranking`: the bids that take part, best first; equal prices are in the order of the lot once
    the secret is known, and by id before. `winner` is None until it is certain: an open auction
    needs the close, and for a tie the award; a sealed one both. `tied`: how many share the best
    price. `missing`: named by the close or the award, and not live (withdrawn, or not yet here).
    `unopened`: sealed bids that nobody revealed, or whose reveal the award leaves out. `omitted`:
    live bids and reveals, in time by their own `at`, that the close or the award leaves out: kept
    out, or dated back; nobody can tell which. `award_right`: whether the award names `winner`; None
    without an award or a close, and when the bid it names is missing.
    """

    winner: Bid | None
    ranking: tuple[Bid, ...]
    tied: int
    missing: tuple[bytes, ...]
    unopened: tuple[bytes, ...]
    omitted: tuple[bytes, ...]
    award_right: bool | None


def winner(
    demand: Valid,
    close: Valid | None,
    bids: Iterable[Valid],
    reveals: Iterable[Valid] = (),
    award: Valid | None = None,
) -> Outcome:
    """Recompute an auction from live records; records of other auctions may be among them.

    `demand` is the live demand, `close` and `award` its author's live ones, or None.

    Raises: LocalError when the demand is no auction, or a close or award is not about it.
    """
    auction = _auction(demand)
    for named in (close, award):
        if named is not None and named.signed.header.refs != (demand.signed.id,):
            raise LocalError("The record is about another auction.", id=named.signed.id)
    live = {
        bid.signed.id: bid for bid in bids if bid.signed.header.refs == (demand.signed.id,)
    }
    listed = tuple(_fields(close)["bids"]) if close is not None else tuple(sorted(live))
    missing = [id for id in listed if id not in live]
    omitted = sorted(live.keys() - set(listed))
    unopened: list[bytes] = []
    part: list[Bid] = []
    if auction["form"] == "open":
        part = [_bid(live[id], _fields(live[id])["amount"]) for id in listed if id in live]
    else:
        opened = {
            reveal.signed.header.refs[0]: reveal
            for reveal in reveals
            if reveal.signed.header.refs[0] in live
        }
        by_award = None if award is None else _fields(award).get("reveals", [])
        if by_award is not None:
            ids = {reveal.signed.id for reveal in opened.values()}
            missing += [id for id in by_award if id not in ids]
        for id in listed:
            if id not in live:
                continue
            reveal = opened.get(id)
            if reveal is None:
                unopened.append(id)
            elif by_award is not None and reveal.signed.id not in by_award:
                unopened.append(id)
                omitted.append(reveal.signed.id)
            else:
                part.append(_bid(live[id], _fields(reveal)["amount"]))
    secret = None if award is None else cast(bytes, _fields(award)["secret"])
    ranking = sorted(
        part, key=lambda b: (b.amount, b.id if secret is None else lot_of(secret, b.id))
    )
    tied = sum(1 for bid in ranking if bid.amount == ranking[0].amount)
    # Before the award more reveals may come, and a tie waits for the secret.
    decided = award is not None or (auction["form"] == "open" and tied == 1)
    first = ranking[0] if ranking and close is not None and decided else None
    right = None
    if award is not None and close is not None:
        named = _fields(award).get("winner")
        # Who took its bid back after it won leaves nothing to compare.
        right = None if named in missing else named == (None if first is None else first.id)
    return Outcome(
        first, tuple(ranking), tied, tuple(missing), tuple(unopened), tuple(omitted), right
    )


def _bid(bid: Valid, amount: int) -> Bid:
    return Bid(bid.signed.id, bid.author, amount)


def _auction(demand: Valid) -> Mapping[str, Any]:
    auction = _fields(demand).get("auction")
    if auction is None:
        raise LocalError("The demand is no auction.", id=demand.signed.id)
    return cast("Mapping[str, Any]", auction)


def _fields(valid: Valid | None) -> Mapping[str, Any]:
    assert valid is not None and valid.signed.payload is not None, "a live record has its payload"
    return cast("Mapping[str, Any]", valid.signed.payload)
