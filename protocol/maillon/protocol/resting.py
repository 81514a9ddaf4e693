"""Judge records that rest on one other record, named by `refs[0]` (spec/08-community).

A bid rests on the very revision of the demand it was made for, a bundle's part on the revision of
the bundle. Each of these checks is a function of the record and of that one, which belongs to an
earlier step of the live set (spec/03, "Convergence"): no order of arrival matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.protocol.auctions import commitment, lot
from maillon.protocol.bundles import named
from maillon.protocol.envelope import Header, Valid
from maillon.protocol.errors import (
    MembershipExpired,
    MembershipRevoked,
    NotMember,
    RefInvalid,
    RefMissing,
)
from maillon.protocol.moving import vouched_person
from maillon.protocol.view import View


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule looks at: the record, whose it is, and the live record it rests on."""

    header: Header
    author: bytes
    fields: Mapping[str, Any]
    base: Valid
    view: View

    @property
    def base_fields(self) -> Mapping[str, Any]:
        """Return the payload of the record it rests on."""
        return _fields(self.base)


Rule = Callable[[Judged], None]


def _fields(valid: Valid) -> Mapping[str, Any]:
    assert valid.signed.payload is not None, "a live record has its payload"
    return cast("Mapping[str, Any]", valid.signed.payload)


def _require(holds: bool, rule: str, sentence: str) -> None:
    if not holds:
        raise RefInvalid(sentence, rule=rule)


def _same_thing(judged: Judged, field: str) -> None:
    _require(
        judged.fields[field] == judged.base.thing,
        "thing",
        "The payload names another thing than the record it refers to.",
    )


def _cosignature(judged: Judged) -> None:
    _same_thing(judged, "demand")
    _require(judged.author != judged.base.author, "own", "Nobody cosigns an own demand.")


def _auction(demand: Valid) -> Mapping[str, Any]:
    auction = _fields(demand).get("auction")
    _require(auction is not None, "auction", "The demand is no auction.")
    return cast("Mapping[str, Any]", auction)


def _within_limit(demand: Valid, amount: int) -> None:
    limit: int | None = _fields(demand)["reciprocity"].get("amount")
    _require(limit is None or amount <= limit, "limit", "The price is above the demand's limit.")


def _bid(judged: Judged) -> None:
    auction = _auction(judged.base)
    _same_thing(judged, "demand")
    _require(judged.author != judged.base.author, "own", "Nobody bids for an own demand.")
    _require(judged.header.at <= auction["closes"], "closed", "The auction was closed.")
    sealed = auction["form"] == "sealed"
    _require(("commit" in judged.fields) == sealed, "form", "The auction is of the other form.")
    if not sealed:
        _within_limit(judged.base, judged.fields["amount"])


def _by_demander(judged: Judged) -> Mapping[str, Any]:
    auction = _auction(judged.base)
    _same_thing(judged, "demand")
    _require(
        judged.author == judged.base.author, "party", "Only whoever asked closes the auction."
    )
    return auction


def _auction_close(judged: Judged) -> None:
    auction = _by_demander(judged)
    _require(judged.header.at > auction["closes"], "early", "The auction is still open.")


def _award(judged: Judged) -> None:
    auction = _by_demander(judged)
    last = auction.get("reveal_until", auction["closes"])
    _require(judged.header.at > last, "early", "The auction is still open.")
    _require(
        lot(judged.fields["secret"]) == auction["lot"], "lot", "The secret is not the demand's."
    )


def _bid_reveal(judged: Judged) -> None:
    fields, bid = judged.fields, judged.base_fields
    _require(judged.author == judged.base.author, "party", "Only the bidder opens a bid.")
    _require("commit" in bid, "form", "The bid is not sealed.")
    opened = commitment(bid["demand"], fields["amount"], fields["nonce"])
    _require(opened == bid["commit"], "commit", "The reveal does not open the bid.")
    at = judged.base.signed.header.refs[0]
    demand = judged.view.live(at)
    if demand is None:
        raise RefMissing(ref=at)
    auction = _auction(demand)
    _require(judged.header.at > auction["closes"], "early", "The auction is still open.")
    _require(
        judged.header.at <= auction.get("reveal_until", -1), "closed", "The time to reveal is over."
    )
    _within_limit(demand, fields["amount"])


def _part(field: str) -> Rule:
    def rule(judged: Judged) -> None:
        _same_thing(judged, field)
        _require(
            judged.author in named(judged.base), "party", "Only those whom it names consent."
        )

    return rule


def _contest(judged: Judged) -> None:
    header, fields = judged.header, judged.base_fields
    _require(
        judged.author == vouched_person(judged.base),
        "party",
        "Only the person whose key it is contests.",
    )
    _require(header.at <= fields["contest_until"], "closed", "The time to contest is over.")
    member = judged.view.membership(header.coop, header.by)
    # The key that is said to be lost can always say that it is not; another only while it counts.
    if member is not None and header.by != fields["old_key"]:
        suspended = member.status == "suspended" and header.at >= member.since
        if member.end is not None or suspended:
            raise MembershipRevoked(coop=header.coop, by=header.by)


@dataclass(frozen=True, slots=True)
class Rests:
    """On which kind records of a kind rest, and under what condition."""

    on: str
    rule: Rule


RESTS: Final[Mapping[str, Rests]] = {
    "cosignature": Rests("demand", _cosignature),
    "bid": Rests("demand", _bid),
    "auction_close": Rests("demand", _auction_close),
    "award": Rests("demand", _award),
    "bid_reveal": Rests("bid", _bid_reveal),
    "bundle_part": Rests("bundle", _part("bundle")),
    "organisation_part": Rests("organisation", _part("organisation")),
    "contest": Rests("vouching", _contest),
}
"""The kinds that rest on the record `refs[0]`, beside replies."""

BASES: Final = frozenset(rests.on for rests in RESTS.values())
"""The kinds that others rest on so."""


def check_resting(
    header: Header, author: bytes, payload: Mapping[str, Any] | None, view: View
) -> None:
    """Judge a record of one of `RESTS` against what it rests on.

    Without its payload a record is judged as far as its header goes.

    Raises: RefMissing while that is not live here, RefInvalid with `rule`, MembershipRevoked.
    """
    rests = RESTS[header.kind]
    base = view.live(header.refs[0])
    if base is None:
        raise RefMissing(ref=header.refs[0])
    kind = base.signed.header.kind
    _require(kind == rests.on, "kind", f"A {header.kind} rests on no {kind}.")
    if payload is not None:
        rests.rule(Judged(header, author, payload, base, view))


def check_named(header: Header, author: bytes, payload: Mapping[str, Any]) -> None:
    """Require of a bundle or a micro-organisation that its author is among those it names.

    Raises: RefInvalid with rule `party`.
    """
    field, who = ("parts", "provider") if header.kind == "bundle" else ("members", "author")
    among = {entry[who] for entry in payload[field]}
    _require(author in among, "party", f"Who signs a {header.kind} is a part of it.")


def check_move(header: Header, author: bytes, payload: Mapping[str, Any], view: View) -> None:
    """Require of a move that both coops vouch for the key that signs it, each for its person.

    Raises: RefInvalid with rule `party` or `to`, NotMember while the new coop does not vouch for
    the key, MembershipExpired when the move would outlive that.
    """
    _require(payload["from"] == author, "party", "A person moves only itself.")
    target: bytes = payload["to"]
    member = view.membership(target[1:33], header.by)
    if member is None:
        raise NotMember(coop=target[1:33], by=header.by)
    _require(member.author == target, "to", "The key is another person's in the new coop.")
    if header.until > member.until:
        raise MembershipExpired(
            "The move would outlive the membership in the new coop.",
            until=header.until,
            until_max=member.until,
        )
