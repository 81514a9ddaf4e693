"""What goes over the interface about matching: proposals, saved searches, marks, relays.

Ids are hexadecimal text, times Unix seconds, distances metres. Fields are only ever added.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from maillon.node.api.shapes import Id, Request

Code = Annotated[str, Meta(min_length=1, max_length=200)]
Codes = Annotated[list[Code], Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=2_000)]
Tag = Annotated[str, Meta(pattern="^[a-zA-Z]{2,3}(-[A-Za-z0-9]{1,8})*$", max_length=35)]
Time = Annotated[int, Meta(ge=0, le=1 << 40)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


# --- proposals ----------------------------------------------------------------------------------


class Span(Struct):
    """A time at which both can."""

    start: int
    end: int


class RefusedBecause(Struct):
    """Why a pair cannot work.

    `code` is own, subject, mode, reach, audience, time or busy.
    """

    code: str
    reason: str


class Match(Struct):
    """An offer or demand that fits, and why: `reasons` the weightiest first, `score` the sum of
    `parts`. `refused` is empty for whatever is proposed."""

    id: str
    thing: str
    kind: str
    author: str
    coop: str
    coop_name: str
    at: int
    until: int
    score: float
    parts: dict[str, float]
    reasons: list[str]
    distance_m: int | None
    approximate: bool
    times: list[Span]
    refused: list[RefusedBecause]
    payload: dict[str, Any]


class Matches(Struct):
    """What fits a record, best first. `looked_at` records were compared; `left_out` counts why
    others of them cannot work, by code; `urgency` the demands among those that can, each apart."""

    matches: list[Match]
    looked_at: int
    left_out: dict[str, int]
    urgency: dict[str, int]


class DraftRequest(Request):
    """An offer or a demand that is not published: `payload` as for POST /v1/records.

    `person` is on whose behalf; what they published and whom they dealt with is taken into account.
    """

    kind: Literal["offer", "demand"]
    payload: dict[str, Any]
    person: Id | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 10


class DraftMatches(Struct):
    """What fits a draft, and which records of its own kind are close to it."""

    matches: Matches
    close: Matches


# --- saved searches and notices -----------------------------------------------------------------


class SavedQuery(Struct, forbid_unknown_fields=True):
    """What is looked for: the parameters of GET /v1/search."""

    q: Annotated[str, Meta(max_length=1_000)] = ""
    kind: Codes = []
    category: Codes = []
    all_categories: bool = False
    mode: Codes = []
    coop: Codes = []
    audience: Codes = []
    language: Annotated[list[Tag], Meta(max_length=16)] = []
    language_only: bool = False
    access: Codes = []
    provider_status: Codes = []
    verified: Literal["", "approved", "self_declared", "none"] = ""
    urgency: Codes = []
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    km: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    remote: bool = True
    start: Time | None = None
    end: Time | None = None


class SearchRequest(Request):
    """Save a search; its owner is told of what is published from then on."""

    query: SavedQuery
    name: Annotated[str, Meta(max_length=120)] = ""
    person: Id | None = None


class SavedSearch(Struct):
    """A saved search. `new` counts what was found since it was last looked at."""

    id: str
    name: str
    query: SavedQuery
    made_at: int
    seen_at: int
    new: int


class SavedSearches(Struct):
    searches: list[SavedSearch]


class Found(Struct):
    """One record that a saved search finds; `new` since it was last looked at."""

    id: str
    kind: str
    coop: str
    coop_name: str
    at: int
    until: int
    new: bool
    reasons: list[str]
    payload: dict[str, Any]


class Looked(Struct):
    """A saved search, and what it finds now, the newest first."""

    search: SavedSearch
    found: list[Found]


class Notice(Struct):
    """Something that was published and may fit: a saved search, or a record of one's own.

    `source` is `search` or `record`, `source_id` the id of the search or the thing of the record.
    """

    source: str
    source_id: str
    record: str
    thing: str
    kind: str
    title: str
    coop: str
    coop_name: str
    urgency: str
    at: int
    until: int
    score: float
    seen: bool


class Notices(Struct):
    """What somebody was told, the newest first; `urgency` counts new demands, each apart."""

    notices: list[Notice]
    unseen: int
    urgency: dict[str, int]


class SeenRequest(Request):
    """Note that notices were looked at: all of a person, or those of one saved search or record."""

    person: Id | None = None
    source: Annotated[str, Meta(pattern="^([0-9a-f]{32}|[0-9a-f]{64}|)$")] = ""


class Seen(Struct):
    seen: int


# --- what opens sealed bids and lots ------------------------------------------------------------


class OpeningRequest(Request):
    """Keep what opens a hash of an auction: a bid (`nonce` of 32 bytes, `demand`, `amount`), or a
    lot (its secret of 32 bytes as `nonce`).

    `until` is the last moment at which it is to be opened; `person` is needed at the desk, `coop`
    for the coop itself.
    """

    kind: Literal["bid", "lot"]
    hash: Hash
    nonce: Hash
    until: Time
    demand: Hash | None = None
    amount: Annotated[int, Meta(ge=0, le=(1 << 62) - 1)] | None = None
    person: Id | None = None


class Opening(Struct):
    """What opens a bid or a lot, as it was given."""

    kind: str
    hash: str
    nonce: str
    demand: str
    amount: int | None
    author: str
    made_at: int
    until: int


class Openings(Struct):
    openings: list[Opening]


class Forgotten(Struct):
    forgotten: int


# --- what marks are worth -----------------------------------------------------------------------


class MarkOut(Struct):
    """Marks under one criterion: `mean` of 0 to 5, `cautious` for ranking, by `count` people who
    weigh `weight` together."""

    mean: float
    cautious: float
    weight: float
    count: int


class ReplyOut(Struct):
    text: str
    lang: str
    at: int


class SaidOut(Struct):
    """What one person said. `relation` is how their coop stands to ours; `counts` false for what a
    newer word of the same person replaced, `unasked` names marks that are left out because the
    community has no such criterion."""

    id: str
    author: str
    coop: str
    coop_name: str
    relation: str
    criteria: dict[str, int]
    unasked: list[str]
    text: str
    lang: str
    at: int
    counts: bool
    replies: list[ReplyOut]


class StatusOut(Struct):
    """What a provider is, as an offer or the coop says; `verified` is approved, self_declared or
    none, `verified_by` the coop that did."""

    status: str
    verified: str
    verified_by: str
    verified_by_name: str


class ReputationOut(Struct):
    """What is said of somebody, seen from this coop: never a number alone.

    `score` (0 to 1) is for ranking only, and null while nobody has said anything. `given` people
    marked, of them `by_relation`; `cut` weigh less because their coop's standing is used up.
    `complete` is false while the node still reads its marks. `guarantees_open` is null for those
    whose affair it is not.
    """

    author: str
    coop: str
    coop_name: str
    former: list[str]
    given: int
    weight: float
    score: float | None
    by_relation: dict[str, int]
    cut: int
    criteria: dict[str, MarkOut]
    said: list[SaidOut]
    statuses: list[StatusOut]
    guarantees_open: int | None
    complete: bool


# --- counts -------------------------------------------------------------------------------------


class DemandCounts(Struct):
    """Live demands by urgency, each counted apart, and those that a relay was asked to see to."""

    emergency: int
    planned: int
    conviviality: int
    relayed: dict[str, int]


# --- relays -------------------------------------------------------------------------------------


class Relay(Struct):
    """A demand that was handed to a relay (`way` out), or to this coop as one (`in`).

    `status` is asked, taken, refused or missed; `late` when the answer came after the deadline.
    `agreed` false: no live `relay` record names this coop for whoever asks.
    """

    id: str
    way: str
    coop: str
    coop_name: str
    demand: str
    title: str
    urgency: str
    asked_at: int
    deadline: int
    status: str
    answered_at: int | None
    late: bool
    agreed: bool
    text: str
    answer: str


class Relays(Struct):
    relays: list[Relay]


class RelayRequest(Request):
    """Hand a demand of this coop to its relay now, whatever the hour."""

    demand: Id
    text: Text = ""


class RelayAnswer(Request):
    """Say whether this coop sees to a demand that was handed to it."""

    taken: bool
    text: Text = ""


class RelayFigures(Struct):
    """How a relay kept to the time that was agreed, over a span of time (DOM-6)."""

    coop: str
    coop_name: str
    way: str
    asked: int
    taken: int
    refused: int
    missed: int
    late: int
    waiting: int
    in_time_percent: float | None
    median_s: int | None
    longest_s: int | None


class RelayReport(Struct):
    start: int
    end: int
    figures: list[RelayFigures]
