"""Weigh how well an offer and a demand fit each other, and say why (docs/search.md, "Matching").

    wish (a demand or an offer) + candidate (the other) -> score, reasons in words, refusals

The weights are few and stand here. The coop of a candidate is none of them: a neighbour's offer
stands where its distance puts it, whoever published it. What one coop knows of another's people
counts through marks and dealings, which people gave and did.

Only what cannot work refuses: times that both know and that never meet, ways of doing it that
exclude each other, another audience, a place out of reach. Everything that one side did not say
leaves the pair possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from maillon.node.engine.reputation import Relation, Reputation
from maillon.node.i18n import _
from maillon.node.search.places import EDGE_KM, FINEST, Point, distance_km, point_of
from maillon.node.search.ranking import (
    FRESH_HALF_S,
    NEAR_HALF_KM,
    Text,
    distance_words,
    unit_in,
    unit_words,
)
from maillon.node.search.timefit import NEED_S, Busy, Meeting, Times, span_words
from maillon.node.search.vocabulary import Unit, Vocabulary
from maillon.node.search.when import DEFAULT_ZONE, Fit
from maillon.protocol.records.market import asked_of

CATEGORY: Final = 1.0
LIES_IN: Final = 0.7
BESIDE: Final = 0.4
"""Worth of the same category; parts of it, of one above or below, and of one beside it."""

WORDS: Final = 0.8
NEAR: Final = 0.5
TIME: Final = 0.4
FREE: Final = 0.2
PRICE: Final = 0.3
REPUTATION: Final = 0.4
DEALINGS: Final = 0.3
LANGUAGE: Final = 0.1
AUDIENCE: Final = 0.1
FRESH: Final = 0.1

PROPOSED_FROM: Final = 0.5
"""Worth of category and words together from which somebody is told unasked."""

EVERYBODY: Final = frozenset({"tous-publics", "all", "everybody"})
"""Audiences that nobody is outside of (the first is data·inclusion's)."""

BUSY_LOAD: Final = 0.75
"""Who has more than this of the coming days taken is not said to have time."""

GIVEN: Final = frozenset({"gift", "free"})

_CELL_SLACK_KM: Final = 2 * EDGE_KM[FINEST]


class Refusal(StrEnum):
    """Why a pair cannot work."""

    OWN = "own"
    SUBJECT = "subject"
    MODE = "mode"
    REACH = "reach"
    AUDIENCE = "audience"
    TIME = "time"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer or demand that may fit: its record, its thing, and whose it is."""

    n: int
    id: bytes
    kind: str
    author: bytes
    head: bytes
    at: int
    until: int
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known here of whoever stands behind a candidate.

    `dealings` counts certified exchanges with the person of the wish, `busy` is the provider's
    calendar; `reputation` None where nobody asked for it.
    """

    reputation: Reputation | None = None
    dealings: int = 0
    busy: Busy | None = None


NOTHING_KNOWN: Final = Known()


@dataclass(slots=True)
class Match:
    """How well a candidate fits. `score` is the sum of `parts`; `refused` has code and words."""

    candidate: Candidate
    parts: dict[str, float] = field(default_factory=dict[str, float])
    weighed: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    refused: list[tuple[Refusal, str]] = field(default_factory=list[tuple[Refusal, str]])
    distance: float | None = None
    approximate: bool = False
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def score(self) -> float:
        """Return the sum of the parts."""
        return sum(self.parts.values())

    @property
    def subject(self) -> float:
        """Return what category and words are worth together."""
        return self.parts.get("category", 0.0) + self.parts.get("words", 0.0)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return sentences for people, the weightiest first."""
        ordered = sorted(self.weighed, key=lambda reason: -reason[0])
        return tuple(dict.fromkeys(words for _worth, words in ordered))

    explained: bool = True
    """Whether sentences are wanted: they are made only of what is shown."""

    def add(self, part: str, worth: float, words: Callable[[], str] | None = None) -> None:
        """Count a part, and say why."""
        self.parts[part] = worth
        if words is not None and self.explained:
            self.weighed.append((worth, words()))

    def refuse(self, code: Refusal, words: Callable[[], str]) -> None:
        """Note what makes the pair impossible."""
        self.refused.append((code, words() if self.explained else ""))


class Wish:
    """An offer or a demand that fitting counterparts are looked for; read once, used for many."""

    def __init__(
        self,
        kind: str,
        payload: Mapping[str, Any],
        vocabulary: Vocabulary,
        *,
        now: int,
        until: int,
        author: bytes = b"",
        language: str = "fr",
        busy: Busy | None = None,
    ) -> None:
        """Read a wish. `until` is its end, `busy` its author's calendar if it is an offer."""
        self.kind = kind
        self.payload = payload
        self.vocabulary = vocabulary
        self.now = now
        self.author = author
        self.language = language
        self.busy = busy
        self.units: list[Unit] = vocabulary.read(payload["title"], (payload["lang"][:2],))
        self.quick = [_singles(unit) for unit in self.units]
        self.codes = kinship(payload["categories"], vocabulary)
        self.times = Times(payload.get("when"), now, until)
        place = payload.get("place")
        self.point: tuple[Point, bool] | None = point_of(place) if place else None
        self.modes: frozenset[str] = frozenset(payload["mode"])

    @property
    def wanted(self) -> str:
        """Return the kind of what fits: demands for an offer, offers for a demand."""
        return "offer" if self.kind == "demand" else "demand"


def _singles(unit: Unit) -> frozenset[str]:
    """Return one stem of each way in which a word can stand: without any of them it does not."""
    ways_of = [*unit.stems, *(way for way, _word in unit.others)]
    return frozenset(way[0] for way in ways_of if way)


def kinship(codes: Sequence[str], vocabulary: Vocabulary) -> dict[str, tuple[float, str]]:
    """Return what each category is worth to somebody who named `codes`, and the one named."""
    found: dict[str, tuple[float, str]] = {}
    for code in codes:
        near = [(code, 1.0)]
        line = (*vocabulary.below([code]), *vocabulary.above([code]))
        near += [(other, LIES_IN) for other in line]
        near += [(other, BESIDE) for other in vocabulary.beside([code])]
        if "--" in code:
            # A vocabulary whose codes name their parent, as data·inclusion's do.
            near.append((code.partition("--")[0], LIES_IN))
        for other, worth in near:
            if worth > found.get(other, (0.0, ""))[0]:
                found[other] = worth, code
    return found


def weigh(
    wish: Wish, candidate: Candidate, *, same_kind: bool = False, explain: bool = True
) -> Match:
    """Weigh what the two records say; what is known of people and times comes with `complete`.

    `same_kind`: an offer beside an offer; nothing is refused, and price does not count. Without
    `explain` a pair is weighed alike and no sentence made, and of several refusals one is found.
    """
    match = Match(candidate, explained=explain)
    payload = candidate.payload
    demand, offer = (wish.payload, payload) if wish.kind == "demand" else (payload, wish.payload)
    if wish.author and candidate.author == wish.author:
        match.refuse(Refusal.OWN, lambda: _("by the same person"))
    _place(wish, payload, demand, offer, match, same_kind=same_kind)
    if not same_kind:
        _audience(demand, offer, match)
    if match.refused and not explain:
        return match
    _category(wish, payload, match)
    _words(wish, payload, match)
    if not match.subject:
        match.refuse(Refusal.SUBJECT, lambda: _("neither category nor words in common"))
    if payload["lang"][:2] == wish.payload["lang"][:2]:
        match.add("language", LANGUAGE, lambda: _("in the same language"))
    if not same_kind:
        _price(demand, offer, match)
    match.add("fresh", FRESH * 0.5 ** (max(0, wish.now - candidate.at) / FRESH_HALF_S))
    return match


def complete(wish: Wish, match: Match, known: Known, *, same_kind: bool = False) -> Match:
    """Add times, free capacity, marks and dealings to what the records say."""
    payload = match.candidate.payload
    meeting = wish.times.meets(payload.get("when"))
    when: Mapping[str, Any] = payload.get("when") or wish.payload.get("when") or {}
    tz = str(when.get("tz", DEFAULT_ZONE))
    if same_kind:
        _beside(meeting, tz, match)
    else:
        if meeting.fit is Fit.NO:
            match.refuse(Refusal.TIME, lambda: _("at no time at which both can"))
        busy = known.busy if wish.kind == "demand" else wish.busy
        _time(wish, meeting, busy, tz, match)
        if known.dealings:
            match.add(
                "dealings",
                DEALINGS * (1 - 0.5**known.dealings),
                lambda: _("certified exchanges between you so far: {n}").format(n=known.dealings),
            )
    if known.reputation is not None:
        _reputation(known.reputation, match)
    return match


def _category(wish: Wish, payload: Mapping[str, Any], match: Match) -> None:
    worth, code, named = max(
        ((*wish.codes[code][:1], code, wish.codes[code][1])
         for code in payload["categories"] if code in wish.codes),
        default=(0.0, "", ""),
    )  # fmt: skip
    for code_of in payload["categories"] if worth < LIES_IN else ():
        parent = code_of.partition("--")[0]
        if parent != code_of and parent in wish.payload["categories"]:
            worth, code, named = LIES_IN, code_of, parent
    if worth:
        match.add("category", CATEGORY * worth, lambda: _category_words(wish, worth, code, named))


def _category_words(wish: Wish, worth: float, code: str, named: str) -> str:
    if worth == 1.0:
        words = _("in the category “{label}”")
    elif worth == LIES_IN:
        words = _("in the category “{label}”, close to “{named}”")
    else:
        words = _("in the category “{label}”, beside “{named}”")
    label = wish.vocabulary.label
    return words.format(label=label(code, wish.language), named=label(named, wish.language))


def _words(wish: Wish, payload: Mapping[str, Any], match: Match) -> None:
    if not wish.units:
        return
    text = Text(payload)
    total = 0.0
    for unit, quick in zip(wish.units, wish.quick, strict=True):
        # Most words of most records are not there at all: two look-ups instead of dozens.
        if quick and quick.isdisjoint(text.title) and quick.isdisjoint(text.text):
            continue
        worth, form, other = unit_in(unit, text, ())
        if worth:
            total += worth
            if match.explained:
                words = unit_words(unit, form, other, wish.vocabulary, wish.language)
                match.weighed.append((WORDS * worth / len(wish.units), words))
    if total:
        match.parts["words"] = WORDS * total / len(wish.units)


def ways(demand: Mapping[str, Any], offer: Mapping[str, Any]) -> set[str]:
    """Return in which ways an offer can meet a demand: modes of the offer.

    Who travels comes to a home and to a place alike.
    """
    wanted = set(demand["mode"])
    found = wanted & set(offer["mode"])
    if "itinerant" in offer["mode"] and wanted & {"at_home", "on_site"}:
        found.add("itinerant")
    if "itinerant" in wanted:
        found |= set(offer["mode"]) & {"at_home", "on_site"}
    return found


def modes_for(modes: frozenset[str]) -> frozenset[str]:
    """Return the modes of which a counterpart has at least one, as `ways` sees it."""
    if "itinerant" in modes:
        return modes | {"at_home", "on_site"}
    return modes | {"itinerant"} if modes & {"at_home", "on_site"} else modes


def _place(
    wish: Wish,
    payload: Mapping[str, Any],
    demand: Mapping[str, Any],
    offer: Mapping[str, Any],
    match: Match,
    *,
    same_kind: bool,
) -> None:
    common = set(offer["mode"]) if same_kind else ways(demand, offer)
    if not common:
        match.refuse(Refusal.MODE, lambda: _("no way of doing it that suits both"))
        return
    other = point_of(payload["place"]) if "place" in payload else None

    def how() -> str:
        return distance_words(match.distance or 0.0, match.approximate, "")

    if wish.point is not None and other is not None and common != {"remote"}:
        match.distance = distance_km(wish.point[0], other[0])
        match.approximate = not (wish.point[1] and other[1])
        # Homes are known as cells: nobody is out of reach by less than their width.
        distance = match.distance - (_CELL_SLACK_KM if match.approximate else 0.0)
        if not same_kind:
            common = {way for way in common if _reaches(way, distance, demand, offer)}
        if not common:
            match.refuse(Refusal.REACH, lambda: _("out of reach: {how}").format(how=how()))
            return
    if match.distance is not None and common != {"remote"}:
        worth = NEAR / (1.0 + match.distance / NEAR_HALF_KM)
        if "remote" not in common or worth >= NEAR / 2:
            match.add("near", worth, how)
            return
    if "remote" in common:
        match.add("near", NEAR / 2, lambda: _("online: no way to go"))


def _reaches(
    way: str, distance: float, demand: Mapping[str, Any], offer: Mapping[str, Any]
) -> bool:
    if way == "remote":
        return True
    # Who comes says how far they come; who is visited, from how far others come.
    limits = [offer.get("radius_km")] if way in ("at_home", "itinerant") else []
    if way == "on_site":
        limits.append(demand.get("radius_km"))
    return all(limit is None or distance <= limit for limit in limits)


def _audience(demand: Mapping[str, Any], offer: Mapping[str, Any], match: Match) -> None:
    served, asked = set(offer.get("audience", ())), set(demand.get("audience", ()))
    if not served or not asked or served & EVERYBODY:
        return
    if served & asked:
        match.add("audience", AUDIENCE, lambda: _("for this audience"))
    else:
        match.refuse(Refusal.AUDIENCE, lambda: _("for another audience"))


def _price(demand: Mapping[str, Any], offer: Mapping[str, Any], match: Match) -> None:
    given: Mapping[str, Any] = demand["reciprocity"]
    asked = asked_of(offer, demand.get("audience", ()))
    if asked["kind"] in GIVEN:
        match.add("price", PRICE, lambda: _("asks nothing in return"))
    elif asked["kind"] == given["kind"] == "count_only":
        match.add("price", PRICE, lambda: _("both only count the exchange"))
    elif asked.get("unit") is not None and asked.get("unit") == given.get("unit"):
        most, wanted = given.get("amount"), asked.get("amount")
        unit = str(asked["unit"])
        if most is None or wanted is None or wanted <= most:
            match.add(
                "price",
                PRICE,
                lambda: _("asks for “{unit}”, no more than is given").format(unit=unit),
            )
        else:
            match.add(
                "price",
                PRICE * most / wanted / 2,
                lambda: _("asks for “{unit}”, and more than is given").format(unit=unit),
            )


def _fits_both(span: tuple[int, int], tz: str) -> str:
    return _("fits both: {when}").format(when=span_words(span, tz))


def _beside(meeting: Meeting, tz: str, match: Match) -> None:
    """Compare the times of two of a kind: at other times they complete each other."""
    if meeting.fit is Fit.YES:
        words = _("at the same time: {when}").format(when=span_words(meeting.spans[0], tz))
        match.add("time", TIME, lambda: words)
    elif meeting.fit is Fit.NO:
        match.add("time", 0.0, lambda: _("at other times than yours: you complete each other"))


def _time(wish: Wish, meeting: Meeting, busy: Busy | None, tz: str, match: Match) -> None:
    spans, asked = meeting.spans, wish.times
    if wish.kind == "offer" and busy is not None:
        demand = match.candidate
        asked = Times(demand.payload.get("when"), wish.now, demand.until)
    if not spans and meeting.fit is Fit.UNKNOWN and busy is not None:
        # Only the demand has times: they are compared with the calendar of the provider.
        spans = tuple(asked.spans)
    if busy is None or not spans:
        if meeting.fit is Fit.YES:
            match.add("time", TIME, lambda: _fits_both(spans[0], tz))
        load = None if busy is None else busy.load(wish.now)
        if load is not None:
            words = (lambda: _("has free time in the coming days")) if load < BUSY_LOAD else None
            match.add("free", FREE * (1 - load), words)
        match.spans = spans
        return
    sure = [span for span in spans if span[1] <= busy.until]
    free = [
        found
        for span in sure
        if (found := busy.free_in(span, min(NEED_S, span[1] - span[0]))) is not None
    ]
    match.spans = tuple(free) if free else tuple(span for span in spans if span not in sure)
    if free:
        match.add(
            "time",
            TIME if meeting.fit is Fit.YES else TIME / 2,
            lambda: _("is free then: {when}").format(when=span_words(free[0], tz)),
        )
        match.add("free", FREE)
    elif len(sure) == len(spans) and (asked.whole or meeting.fit is Fit.YES):
        match.refuse(Refusal.BUSY, lambda: _("taken at all the times that would fit"))
    elif meeting.fit is Fit.YES and match.spans:
        match.add("time", TIME, lambda: _fits_both(match.spans[0], tz))


def _reputation(reputation: Reputation, match: Match) -> None:
    worth = REPUTATION * reputation.score
    if reputation.newcomer:
        match.add("reputation", worth)
        return
    mean = sum(mark.mean for mark in reputation.criteria.values()) / len(reputation.criteria)
    own = reputation.by_relation.get(Relation.OWN, 0)
    match.add(
        "reputation",
        worth,
        lambda: _("marks of {mean:.1f} of 5 from {n} people, {own} of them from your coop").format(
            mean=mean, n=reputation.given, own=own
        ),
    )


def order(match: Match) -> tuple[float, int, bytes]:
    """Return what matches are sorted by: the score, then the newer, then by chance of the id."""
    return (-round(match.score, 9), -match.candidate.at, match.candidate.id)
