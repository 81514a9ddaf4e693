"""Weigh what was found, and say in words why it stands where it stands.

The weights are few and stand here; nothing about the asker or about who published counts. A coop's
own offers get no bonus, verification is shown and not weighed, and two things that weigh the same
are ordered by when they were published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from maillon.node.i18n import _
from maillon.node.search.documents import searched_text
from maillon.node.search.places import distance_km, point_of
from maillon.node.search.query import Query
from maillon.node.search.vocabulary import Stems, Unit, Vocabulary
from maillon.node.search.when import Fit, fit
from maillon.node.search.words import split, stems_of

WORDS: Final = 1.0
"""All words of the query, in the title."""

IN_TITLE: Final = 1.0
IN_CATEGORY: Final = 0.7
IN_TEXT: Final = 0.6
SYNONYM: Final = 0.7
"""Worth of a word by where it stands; a synonym's is this much of it."""

NEAR: Final = 0.5
NEAR_HALF_KM: Final = 10.0
"""Worth of being here, half of it at ten kilometres."""

TIME: Final = 0.3
LANGUAGE: Final = 0.1

FRESH: Final = 0.15
FRESH_HALF_S: Final = 60 * 86_400
"""Worth of being new, half of it after sixty days: who is still there renews."""


@dataclass(slots=True)
class Judged:
    """What ranking says of one candidate; `reasons` with the weight they are sorted by."""

    parts: dict[str, float]
    reasons: list[tuple[float, str]]
    distance: float | None
    approximate: bool
    matched: int

    @property
    def score(self) -> float:
        return sum(self.parts.values())


class Text:
    """The stems of one record, read when first asked for."""

    __slots__ = ("_payload", "_table", "_text", "title")

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self._payload = payload
        self._table = stems_of(payload["lang"])
        self.title = self._read(payload["title"])
        self._text: frozenset[str] | None = None

    def _read(self, text: str) -> frozenset[str]:
        table = self._table
        return frozenset([table[word] for word in split(text)])

    @property
    def text(self) -> frozenset[str]:
        if self._text is None:
            self._text = self._read(searched_text(self._payload))
        return self._text


def _holds(place: frozenset[str], ways: Sequence[Stems]) -> bool:
    return any(all(stem in place for stem in way) for way in ways)


def unit_in(unit: Unit, text: Text, codes: Sequence[str]) -> tuple[float, str, str]:
    """Return what one word of a query is worth in a record, 0 when it is not there.

    And how it is there, with the synonym or the category that it is there by.
    """
    if _holds(text.title, unit.stems):
        return IN_TITLE, "title", ""
    for code in codes:
        if code in unit.codes:
            return IN_CATEGORY, "category", code
    for way, word in unit.others:
        if _holds(text.title, (way,)):
            return IN_TITLE * SYNONYM, "title", word
    if _holds(text.text, unit.stems):
        return IN_TEXT, "text", ""
    both = text.title | text.text
    if _holds(both, unit.stems):
        return IN_TEXT, "both", ""
    for way, word in unit.others:
        if _holds(both, (way,)):
            return IN_TEXT * SYNONYM, "text", word
    return 0.0, "", ""


def unit_words(
    unit: Unit, form: str, other: str, vocabulary: Vocabulary, language: str
) -> str:
    """Say how a word is in a record, as `unit_in` found it."""
    if form == "category":
        return _("in the category “{label}”").format(label=vocabulary.label(other, language))
    if other and form == "title":
        words = _("“{other}” stands in the title, which means “{word}”")
    elif other:
        words = _("“{other}” stands in the text, which means “{word}”")
    elif form == "title":
        words = _("“{word}” stands in the title")
    elif form == "text":
        words = _("“{word}” stands in the text")
    else:
        words = _("“{word}” stands in title and text")
    return words.format(word=unit.words, other=other)


def judge(
    query: Query,
    units: Sequence[Unit],
    vocabulary: Vocabulary,
    payload: Mapping[str, Any],
    at: int,
    now: int,
    language: str,
    explain: bool,
) -> Judged | None:
    """Weigh one candidate; None when it is outside what was asked for.

    Everything the index cannot say exactly is decided here: distance, time. The reasons are found
    only for what is shown: `explain`.
    """
    parts: dict[str, float] = {}
    reasons: list[tuple[float, str]] = []
    distance: float | None = None
    approximate = False
    modes = payload["mode"]
    if query.near is not None:
        found = point_of(payload["place"]) if "place" in payload else None
        if found is not None:
            point, exact = found
            distance = distance_km(query.near, point)
            approximate = not exact
        remote = "remote" in modes
        reach = payload.get("radius_km") if "at_home" in modes or "itinerant" in modes else None
        comes = distance is not None and reach is not None and distance <= reach
        if query.radius_km is not None and not comes:
            inside = distance is not None and distance <= query.radius_km
            if not inside and not (remote and query.remote_too):
                return None
        if distance is not None and not (remote and distance > (query.radius_km or 100.0)):
            worth = NEAR / (1.0 + distance / NEAR_HALF_KM)
            parts["near"] = worth
            if explain:
                reasons.append(
                    (worth, distance_words(distance, approximate, query.near_name))
                )
            if explain and comes and query.radius_km is not None and distance > query.radius_km:
                reasons.append((worth, _("comes to you, up to {km} km").format(km=reach)))
        elif remote:
            # As if at ten kilometres: neither before the neighbour nor behind the next town.
            parts["near"] = NEAR / 2
            if explain:
                reasons.append((NEAR / 2, _("online: no way to go")))
    matched = 0
    if units:
        text = Text(payload)
        total = 0.0
        for unit in units:
            worth, form, other = unit_in(unit, text, payload["categories"])
            if worth:
                matched += 1
                total += worth
                if explain:
                    words = unit_words(unit, form, other, vocabulary, language)
                    reasons.append((worth * WORDS / len(units), words))
        if not matched:
            return None
        parts["words"] = WORDS * total / len(units)
    if query.when is not None:
        verdict, words = fit(payload.get("when"), *query.when)
        if verdict is Fit.NO:
            return None
        if verdict is Fit.YES:
            parts["time"] = TIME
            if explain:
                reasons.append((TIME, _("to be had then: {when}").format(when=words)))
    if query.languages and payload["lang"][:2] in query.languages:
        parts["language"] = LANGUAGE
        if explain and not query.languages_only:
            reasons.append((LANGUAGE, _("in a language you read")))
    parts["fresh"] = FRESH * 0.5 ** (max(0, now - at) / FRESH_HALF_S)
    for code in query.categories if explain else ():
        if code in payload["categories"]:
            reasons.append(
                (
                    IN_CATEGORY,
                    _("in the category “{label}”").format(label=vocabulary.label(code, language)),
                )
            )
    reasons.sort(key=_weight, reverse=True)
    return Judged(parts, reasons, distance, approximate, matched)


def _weight(reason: tuple[float, str]) -> float:
    return reason[0]


def distance_words(km: float, approximate: bool, place_name: str) -> str:
    """Say how far something is."""
    if approximate:
        figure = f"{max(1.0, km):.0f}"
    else:
        figure = f"{km:.1f}" if km < 10 else f"{km:.0f}"
    if place_name:
        form = _("about {km} km from {place}") if approximate else _("{km} km from {place}")
    else:
        form = _("about {km} km away") if approximate else _("{km} km away")
    return form.format(km=figure, place=place_name)
