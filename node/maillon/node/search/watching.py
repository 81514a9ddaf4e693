"""Tell whether one new record is what a saved search looks for, without searching.

A saved search is read once into sets of index words; a record that arrives is compared with all of
them. It fits exactly when the search itself would find it (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maillon.node.search.documents import code_word
from maillon.node.search.expression import condition_words
from maillon.node.search.query import Query
from maillon.node.search.ranking import judge
from maillon.node.search.vocabulary import Stems, Unit, Vocabulary


class Watch:
    """A saved search, ready to look at records."""

    def __init__(self, query: Query, vocabulary: Vocabulary, language: str) -> None:
        query.check()
        self.query = query
        self.units = vocabulary.read(query.text, query.languages)
        self._vocabulary = vocabulary
        self._language = language
        self._clauses = [frozenset(words) for words in condition_words(query, vocabulary)]

    def meets(
        self, tokens: frozenset[str], payload: Mapping[str, Any], at: int, now: int
    ) -> bool:
        """Tell whether a record with these index words is looked for. `at`: when it was made."""
        if any(clause.isdisjoint(tokens) for clause in self._clauses):
            return False
        if not all(_met(unit, tokens) for unit in self.units):
            return False
        judged = judge(
            self.query, self.units, self._vocabulary, payload, at, now, self._language, False
        )
        return judged is not None


def _met(unit: Unit, tokens: frozenset[str]) -> bool:
    return (
        any(_stands(way, tokens) for way in unit.stems)
        or any(_stands(way, tokens) for way, _word in unit.others)
        or any(code_word("c", code) in tokens for code in unit.codes)
    )


def _stands(way: Stems, tokens: frozenset[str]) -> bool:
    return all(stem in tokens for stem in way)
