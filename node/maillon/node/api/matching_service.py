"""What a node must be able to do about matching for the interface to serve it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maillon.node.api import matching_shapes as shapes
from maillon.node.api.caller import Caller


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """What `GET /v1/records/{id}/matches` asks for; `urgency` narrows demands."""

    limit: int = 20
    urgency: Sequence[str] = ()
    close: bool = False


@dataclass(frozen=True, slots=True)
class CountOptions:
    """What `GET /v1/demands/counts` asks for."""

    coops: Sequence[str] = ()
    categories: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """What `GET /v1/relays` asks for."""

    way: str = ""
    status: str = ""
    limit: int = 100


class MatchingService(Protocol):
    """Proposals, saved searches, marks and relays. Every method raises MaillonErrors.

    `caller` is who asks: what is private (dealings, notices, saved searches) is for the person
    themselves, whom they let act for them, and the desk.
    """

    def matches(self, id: str, options: MatchOptions, caller: Caller) -> shapes.Matches:
        """Return what fits a live offer or demand."""
        ...

    def why_not(self, id: str, other: str, caller: Caller) -> shapes.Match:
        """Compare two records, and say everything that speaks for and against it."""
        ...

    def draft_matches(self, request: shapes.DraftRequest, caller: Caller) -> shapes.DraftMatches:
        """Return what fits a draft, and what is close to it."""
        ...

    def searches(self, person: str, caller: Caller) -> shapes.SavedSearches:
        """Return somebody's saved searches."""
        ...

    def save(self, request: shapes.SearchRequest, caller: Caller) -> shapes.SavedSearch:
        """Save a search."""
        ...

    def look(self, id: str, limit: int, caller: Caller) -> shapes.Looked:
        """Return what a saved search finds, and note that somebody looked."""
        ...

    def forget_search(self, id: str, caller: Caller) -> shapes.SavedSearches:
        """Erase a saved search; return those that its owner still has."""
        ...

    def notices(self, person: str, unseen: bool, limit: int, caller: Caller) -> shapes.Notices:
        """Return what somebody was told of."""
        ...

    def seen(self, request: shapes.SeenRequest, caller: Caller) -> shapes.Seen:
        """Note that notices were looked at."""
        ...

    def reputation(self, author: str, caller: Caller) -> shapes.ReputationOut:
        """Return what is said of somebody."""
        ...

    def openings(self, person: str, hashes: Sequence[str], caller: Caller) -> shapes.Openings:
        """Return what opens sealed bids and lots."""
        ...

    def keep_opening(self, request: shapes.OpeningRequest, caller: Caller) -> shapes.Opening:
        """Keep what opens a bid or a lot, durably."""
        ...

    def forget_opening(self, hash: str, caller: Caller) -> shapes.Forgotten:
        """Erase what opens a bid or a lot."""
        ...

    def counts(self, options: CountOptions) -> shapes.DemandCounts:
        """Count live demands by urgency."""
        ...

    def relays(self, options: RelayOptions) -> shapes.Relays:
        """Return what was handed to relays, and to this coop as one."""
        ...

    def relay(self, request: shapes.RelayRequest) -> shapes.Relay:
        """Hand a demand to the relay now."""
        ...

    def answer_relay(self, id: str, request: shapes.RelayAnswer) -> shapes.Relay:
        """Answer a coop that handed a demand over."""
        ...

    def relay_report(self, start: int, end: int) -> shapes.RelayReport:
        """Return how relays kept to the time agreed."""
        ...
