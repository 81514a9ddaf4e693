"""Write what is looked for as expressions of the word index (SQLite FTS5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maillon.node.search.documents import SEARCHED_KINDS, code_word
from maillon.node.search.places import COVER_KM_MAX, Point, cover_words, reached_words
from maillon.node.search.query import Query
from maillon.node.search.vocabulary import Stems, Unit, Vocabulary

EVERYTHING = '("k:offer" OR "k:demand")'

RINGS_KM = (25.0, 110.0, COVER_KM_MAX)
"""Circles that a search near a point goes through when no distance was asked for."""


def _quoted(word: str) -> str:
    # Words are letters, digits and marks of ours; a quote in one would end the string.
    assert '"' not in word
    return f'"{word}"'


def any_of(words: Iterable[str]) -> str:
    """Return an expression that one of these words satisfies."""
    return "(" + " OR ".join(map(_quoted, words)) + ")"


def _way(way: Stems, prefix: str) -> str:
    if len(way) == 1:
        return _quoted(prefix + way[0])
    return "(" + " AND ".join(_quoted(prefix + stem) for stem in way) + ")"


def unit_expression(unit: Unit) -> str:
    """Return what satisfies one word of a query: itself, a synonym, or its category."""
    ways = [_way(way, "") for way in unit.stems]
    ways += [_way(way, "") for way, _word in unit.others]
    ways += [_quoted(code_word("c", code)) for code in unit.codes]
    return "(" + " OR ".join(dict.fromkeys(ways)) + ")"


def title_expression(unit: Unit) -> str:
    """Return what satisfies one word of a query in the title."""
    return "(" + " OR ".join(_way(way, "t:") for way in unit.stems) + ")"


def condition_words(query: Query, vocabulary: Vocabulary) -> list[list[str]]:
    """Return lists of index words, of each of which every result has one, the rarest kind first."""
    lists: list[list[str]] = []
    if query.categories:
        if query.categories_all:
            lists += [
                [code_word("c", below) for below in vocabulary.below([code])]
                for code in query.categories
            ]
        else:
            lists.append([code_word("c", code) for code in vocabulary.below(query.categories)])
    if query.audience:
        lists.append([code_word("a", code) for code in query.audience])
    lists += [[code_word("x", name)] for name in query.access]
    if query.provider_statuses:
        lists.append([code_word("s", status) for status in query.provider_statuses])
    if query.verified:
        lists.append(["v:" + query.verified])
    if query.urgency:
        lists.append([code_word("u", urgency) for urgency in query.urgency])
    if query.coops:
        lists.append(["g:" + coop[:6].hex() for coop in query.coops])
    if query.modes:
        lists.append([code_word("m", mode) for mode in query.modes])
    if query.languages_only and query.languages:
        lists.append([code_word("l", language[:2]) for language in query.languages])
    if query.kinds and not SEARCHED_KINDS <= set(query.kinds):
        lists.append([code_word("k", kind) for kind in query.kinds])
    return lists


def conditions(query: Query, vocabulary: Vocabulary) -> list[str]:
    """Return the expressions that every result satisfies, the rarest kind of them first."""
    return [any_of(words) for words in condition_words(query, vocabulary)]


def around(point: Point, radius_km: float) -> str:
    """Return what is near a point, or comes there."""
    return any_of([*cover_words(point, radius_km), *reached_words(point)])


def scopes(query: Query) -> list[tuple[str, str]]:
    """Return where to look, one place after the other, as (what must be, what must not be).

    "" stands for no condition. Near a point: what is there or comes there, then what is online;
    without a distance in widening circles, then everything.
    """
    if query.near is None:
        return [("", "")]
    remote = any_of(["m:remote"])
    if query.radius_km is not None:
        if query.radius_km > COVER_KM_MAX:
            return [("", "")]
        near = around(query.near, query.radius_km)
        return [(near, ""), (remote, near)] if query.remote_too else [(near, "")]
    if query.order == "newest":
        return [("", "")]
    found: list[tuple[str, str]] = []
    inner = ""
    for radius in RINGS_KM:
        near = around(query.near, radius)
        found.append((near, inner))
        inner = near
    found.append(("", inner))
    return found


def join(clauses: Sequence[str], excluded: Sequence[str]) -> str:
    """Return the expression that all clauses satisfy and none of the excluded does."""
    # Each row is of one of the kinds: said only where nothing else is, because it costs a look at
    # every row's kind.
    text = " AND ".join(clause for clause in clauses if clause) or EVERYTHING
    for clause in excluded:
        if clause:
            text = f"({text}) NOT {clause}"
    return text
