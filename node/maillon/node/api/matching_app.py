"""The routes of the interface about matching (docs/search.md, spec/09)."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation

from maillon.node import bounds
from maillon.node.api import matching_shapes as shapes
from maillon.node.api.caller import PUBLIC, Who, needs
from maillon.node.api.matching_service import CountOptions, MatchOptions, RelayOptions
from maillon.node.api.service import Service

Node = NamedDependency[SkipValidation[Service]]
Text = Annotated[str, QueryParameter(max_length=200)]
Texts = Annotated[list[str] | None, QueryParameter(max_items=64)]
Hashes = Annotated[list[shapes.Hash] | None, QueryParameter(max_items=64)]
Few = Annotated[int, QueryParameter(ge=1, le=50)]
Rows = Annotated[int, QueryParameter(ge=1, le=bounds.API_ROWS_MAX)]
Time = Annotated[int, QueryParameter(ge=0, le=1 << 40)]
FOREVER = 1 << 40


# --- proposals ----------------------------------------------------------------------------------


@get("/v1/records/{id:str}/matches", opt=needs(PUBLIC), sync_to_thread=False)
def matches(
    service: Node,
    caller: Who,
    id: FromPath[str],
    limit: Few = 20,
    urgency: Texts = None,
    close: FromQuery[bool] = False,
) -> shapes.Matches:
    """Propose offers for a demand, or demands for an offer, of all coops, with the reasons.

    `close` gives records of the same kind instead: offers that do about the same. Dealings so far
    count when the caller may act for whoever published the record.
    """
    options = MatchOptions(limit=limit, urgency=tuple(urgency or ()), close=close)
    return service.matching.matches(id, options, caller)


@get("/v1/records/{id:str}/matches/{other:str}", opt=needs(PUBLIC), sync_to_thread=False)
def why_not(service: Node, caller: Who, id: FromPath[str], other: FromPath[str]) -> shapes.Match:
    """Say how well two records fit, and everything that makes it impossible."""
    return service.matching.why_not(id, other, caller)


@post("/v1/matches", status_code=200, opt=needs(PUBLIC), sync_to_thread=False)
def draft_matches(
    service: Node, caller: Who, data: JSONBody[shapes.DraftRequest]
) -> shapes.DraftMatches:
    """Say before publishing what fits a draft, and which records close to it there are already.

    Nothing of the draft is kept or logged.
    """
    return service.matching.draft_matches(data, caller)


# --- saved searches -----------------------------------------------------------------------------


@get("/v1/searches", opt=needs("read"), sync_to_thread=False)
def searches(service: Node, caller: Who, person: Text = "") -> shapes.SavedSearches:
    """List the saved searches of somebody here; `person` is needed at the desk."""
    return service.matching.searches(person, caller)


@post("/v1/searches", status_code=201, opt=needs("read"), sync_to_thread=False)
def save_search(
    service: Node, caller: Who, data: JSONBody[shapes.SearchRequest]
) -> shapes.SavedSearch:
    """Save a search, sealed and on this node only; its owner is told of what is published."""
    return service.matching.save(data, caller)


@get("/v1/searches/{id:str}", opt=needs("read"), sync_to_thread=False)
def look(service: Node, caller: Who, id: FromPath[str], limit: Few = 20) -> shapes.Looked:
    """Give what a saved search finds, the newest first, and what of it is new since last time."""
    return service.matching.look(id, limit, caller)


@post("/v1/searches/{id:str}/forget", status_code=200, opt=needs("read"), sync_to_thread=False)
def forget_search(service: Node, caller: Who, id: FromPath[str]) -> shapes.SavedSearches:
    """Erase a saved search with all notices about it; give those that are left."""
    return service.matching.forget_search(id, caller)


@get("/v1/notices", opt=needs("read"), sync_to_thread=False)
def notices(
    service: Node,
    caller: Who,
    person: Text = "",
    unseen: FromQuery[bool] = False,
    limit: Rows = 100,
) -> shapes.Notices:
    """List what was published and fits a saved search, or an offer or demand of somebody here."""
    return service.matching.notices(person, unseen, limit, caller)


@post("/v1/notices/seen", status_code=200, opt=needs("read"), sync_to_thread=False)
def seen(service: Node, caller: Who, data: JSONBody[shapes.SeenRequest]) -> shapes.Seen:
    """Note that notices were looked at."""
    return service.matching.seen(data, caller)


# --- what is said of somebody -------------------------------------------------------------------


@get("/v1/reputations/{author:str}", opt=needs(PUBLIC), sync_to_thread=False)
def reputation(service: Node, caller: Who, author: FromPath[str]) -> shapes.ReputationOut:
    """Give what is said of a person or coop, weighed from this coop, and who verified what.

    `author` as records name authors: `p`, coop, person, or `c`, coop, in hexadecimal.
    """
    return service.matching.reputation(author, caller)


# --- what opens sealed bids and lots ------------------------------------------------------------


@get("/v1/auctions/openings", opt=needs("publish"), sync_to_thread=False)
def openings(service: Node, caller: Who, person: Text = "", hash: Hashes = None) -> shapes.Openings:
    """Give what opens sealed bids and lots: of some hashes, else all of `person`.

    A hash that nothing is kept of, or that is somebody else's, is left out.
    """
    return service.matching.openings(person, tuple(hash or ()), caller)


@post("/v1/auctions/openings", status_code=201, opt=needs("publish"), sync_to_thread=False)
def keep_opening(
    service: Node, caller: Who, data: JSONBody[shapes.OpeningRequest]
) -> shapes.Opening:
    """Keep what opens a bid or a lot, before its hash is published; durable when answered.

    It is sealed on the disk, in every backup, and refused when it does not open the hash.
    """
    return service.matching.keep_opening(data, caller)


@post("/v1/auctions/openings/{hash:str}/forget", status_code=200, opt=needs("publish"),
      sync_to_thread=False)  # fmt: skip
def forget_opening(service: Node, caller: Who, hash: FromPath[str]) -> shapes.Forgotten:
    """Erase what opens a bid or a lot, once it was published."""
    return service.matching.forget_opening(hash, caller)


# --- counts and relays --------------------------------------------------------------------------


@get("/v1/demands/counts", opt=needs(PUBLIC), sync_to_thread=False)
def demand_counts(service: Node, coop: Texts = None, category: Texts = None) -> shapes.DemandCounts:
    """Count live demands by urgency, each apart."""
    return service.matching.counts(CountOptions(tuple(coop or ()), tuple(category or ())))


@get("/v1/relays", opt=needs("desk"), sync_to_thread=False)
def relays(
    service: Node,
    way: FromQuery[Literal["", "in", "out"]] = "",
    status: FromQuery[Literal["", "asked", "taken", "refused", "missed"]] = "",
    limit: Rows = 100,
) -> shapes.Relays:
    """List demands handed to a relay outside of opening hours, and to this coop as one."""
    return service.matching.relays(RelayOptions(way, status, limit))


@post("/v1/relays", status_code=201, opt=needs("desk"), sync_to_thread=False)
def relay(service: Node, data: JSONBody[shapes.RelayRequest]) -> shapes.Relay:
    """Hand a demand of this coop to its relay now, whatever the hour."""
    return service.matching.relay(data)


@post("/v1/relays/{id:str}/answer", status_code=200, opt=needs("desk"), sync_to_thread=False)
def answer_relay(
    service: Node, id: FromPath[str], data: JSONBody[shapes.RelayAnswer]
) -> shapes.Relay:
    """Say whether this coop sees to a demand that was handed to it."""
    return service.matching.answer_relay(id, data)


@get("/v1/relays/report", opt=needs("desk"), sync_to_thread=False)
def relay_report(service: Node, start: Time = 0, end: Time = FOREVER) -> shapes.RelayReport:
    """Tell how relays kept to the time that was agreed, by requests made in a span of time."""
    return service.matching.relay_report(start, end)


MATCHING_ROUTES = (
    matches,
    why_not,
    draft_matches,
    searches,
    save_search,
    look,
    forget_search,
    notices,
    seen,
    reputation,
    openings,
    keep_opening,
    forget_opening,
    demand_counts,
    relays,
    relay,
    answer_relay,
    relay_report,
)
