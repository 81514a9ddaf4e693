"""Say what is looked for, and what was found and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.node.search.places import Point
from maillon.protocol.errors import LocalError

Order = Literal["best", "newest", "nearest"]


class SearchError(LocalError):
    """What was asked for cannot be searched."""

    code = "search"


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for. Everything is optional; nothing of it is kept anywhere.

    Several values of one condition are alternatives, except `access` (all of them) and, with
    `categories_all`, `categories`. `near` is (latitude, longitude) in degrees, `near_name` what to
    call it. `when` is (start, end) in Unix seconds. `languages` are those the asker reads: they
    rank, and filter with `languages_only`. `cursor` continues an earlier answer to the same query.
    """

    text: str = ""
    kinds: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    categories_all: bool = False
    modes: tuple[str, ...] = ()
    coops: tuple[bytes, ...] = ()
    languages: tuple[str, ...] = ()
    languages_only: bool = False
    audience: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    provider_statuses: tuple[str, ...] = ()
    verified: Literal["", "approved", "self_declared", "none"] = ""
    urgency: tuple[str, ...] = ()
    near: Point | None = None
    near_name: str = ""
    radius_km: float | None = None
    remote_too: bool = True
    when: tuple[int, int] | None = None
    order: Order = "best"
    limit: int = 20
    offset: int = 0
    cursor: str = ""

    def check(self) -> None:
        """Raise SearchError for what is out of bounds."""
        if len(self.text) > bounds.SEARCH_TEXT_CHARS_MAX:
            raise SearchError(_("The text to look for is too long."))
        if not 1 <= self.limit <= bounds.SEARCH_LIMIT_MAX:
            raise SearchError(
                _("Between 1 and {most} results can be asked for.").format(
                    most=bounds.SEARCH_LIMIT_MAX
                )
            )
        lists = (self.kinds, self.categories, self.modes, self.coops, self.languages,
                 self.audience, self.access, self.provider_statuses, self.urgency)  # fmt: skip
        if any(len(values) > bounds.SEARCH_VALUES_MAX for values in lists):
            raise SearchError(_("There are too many values for one condition."))
        if self.near is not None:
            lat, lon = self.near
            if not (-90 <= lat <= 90 and -180 <= lon <= 180):
                raise SearchError(_("That is no point on Earth."))
        if self.radius_km is not None and (self.near is None or not 0 < self.radius_km <= 20_100):
            raise SearchError(_("A distance needs a point to be counted from."))
        if self.order == "nearest" and self.near is None:
            raise SearchError(_("To have the nearest first, say where you are."))
        if self.when is not None and not 0 <= self.when[0] < self.when[1] <= 1 << 40:
            raise SearchError(_("The time to look for ends before it begins."))


@dataclass(frozen=True, slots=True)
class Hit:
    """One offer or demand that was found.

    `parts` are the score's parts by name, each already weighted: `score` is their sum. `reasons`
    are sentences for people, the weightiest first. `distance_km` is to a cell's middle when
    `approximate`. `status` and `verified` are the provider's, `source` where open data came from.
    """

    id: bytes
    kind: str
    coop: bytes
    at: int
    until: int
    payload: dict[str, Any]
    score: float
    parts: dict[str, float]
    reasons: tuple[str, ...]
    distance_km: float | None
    approximate: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found: one page, how many there are, and how to go on.

    `count` is exact when everything was looked at, else what the index holds, which a distance or
    a time may still narrow; with `count_more` there are at least so many. `cursor` is empty on the
    last page. `corrected` maps words that nothing has to those searched instead.
    `loosened` says that not every result has every word.
    """

    hits: tuple[Hit, ...]
    count: int
    count_more: bool
    cursor: str = ""
    corrected: dict[str, str] = field(default_factory=dict[str, str])
    loosened: bool = False
