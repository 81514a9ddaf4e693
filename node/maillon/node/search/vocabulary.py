"""Know which words mean the same, and which categories lie below which.

    garde d'enfants, baby-sitting, nounou, childcare      one group, one line

Groups come from the list that ships, from the coop's own list, and from the labels and synonyms of
category records. They are used when a query is read, never when a record is indexed: a changed list
counts at once, and an erased record needs no list to be erased with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.node.search.query import SearchError
from maillon.node.search.words import QUERY_LANGUAGES, STOP, split, stems_of, written

SHIPPED = Path(__file__).parent.parent / "data" / "synonyms.txt"

Stems = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing a query asks for: a word, or several that mean one thing.

    `stems` are the ways the words themselves can stand in a text, `others` the synonyms: each way
    is one or more stems that must all be there. `codes` are the categories that are called so.
    """

    words: str
    stems: tuple[Stems, ...]
    others: tuple[tuple[Stems, str], ...] = ()
    codes: tuple[str, ...] = ()


def query_stems(word: str, languages: Sequence[str]) -> tuple[str, ...]:
    """Return the stems that a folded word may have been indexed under."""
    found = dict.fromkeys(
        stem for language in languages if (stem := stems_of(language)[word])
    )
    return tuple(found)


def _phrase_stems(text: str, language: str) -> Stems:
    table = stems_of(language)
    return tuple(dict.fromkeys(stem for word in split(text) if (stem := table[word])))


def read_synonyms(text: str, name: str) -> list[list[str]]:
    """Read a list of synonyms: a group a line, its members separated by commas, # for remarks.

    Raises: SearchError with the number of the line.
    """
    groups: list[list[str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        members = [member.strip() for member in line.split(",") if member.strip()]
        if len(members) < 2:
            raise SearchError(
                _("{name}, line {number}: a group needs two words or more.").format(
                    name=name, number=number
                ),
                hint=_("Write the words that mean the same on one line, with commas between."),
            )
        groups.append(members)
        if len(groups) > bounds.SYNONYM_GROUPS_MAX:
            raise SearchError(
                _("{name} has more than {most} groups.").format(
                    name=name, most=bounds.SYNONYM_GROUPS_MAX
                )
            )
    return groups


def load_synonyms(path: Path) -> list[list[str]]:
    """Read a list of synonyms from a file in UTF-8. Raises: SearchError."""
    try:
        with open(path, "rb") as file:
            data = file.read(bounds.SYNONYM_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SearchError(
            _("{path} cannot be read: {fault}.").format(path=path, fault=error.strerror)
        ) from error
    if len(data) > bounds.SYNONYM_FILE_BYTES_MAX:
        raise SearchError(_("{path} is too long.").format(path=path))
    try:
        return read_synonyms(data.decode("utf-8-sig"), path.name)
    except UnicodeDecodeError as error:
        raise SearchError(_("{path} is not UTF-8 text.").format(path=path)) from error


class Vocabulary:
    """Read queries with synonyms and categories."""

    def __init__(self, groups: Iterable[Sequence[str]] = ()) -> None:
        # Where a phrase begins -> (its stems, group); the longest first.
        self._phrases: dict[str, list[tuple[Stems, int]]] = {}
        self._groups: list[list[tuple[Stems, str]]] = []
        self._codes_of: dict[int, str] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._children: dict[str, list[str]] = {}
        self._parents: dict[str, list[str]] = {}
        for group in groups:
            self._add(group)

    def _add(self, members: Iterable[str], code: str = "") -> None:
        number = len(self._groups)
        forms: list[tuple[Stems, str]] = []
        for member in members:
            for language in QUERY_LANGUAGES:
                stems = _phrase_stems(member, language)
                if stems and all(stems != known for known, _word in forms):
                    forms.append((stems, member))
                    self._phrases.setdefault(stems[0], []).append((stems, number))
        self._groups.append(forms)
        if code:
            self._codes_of[number] = code
        for stems, _word in forms:
            self._phrases[stems[0]].sort(key=_longest)

    def add_category(self, payload: Mapping[str, Any]) -> None:
        """Learn a category record: labels, synonyms and place in the tree."""
        code = payload["code"]
        self._labels[code] = dict(payload["labels"])
        parent = payload.get("parent")
        if parent:
            self._children.setdefault(parent, []).append(code)
            self._parents.setdefault(code, []).append(parent)
        self._add([*payload["labels"].values(), *payload.get("synonyms", ())], code)

    def label(self, code: str, language: str) -> str:
        """Return what a category is called, its code when nobody has said."""
        labels = self._labels.get(code, {})
        return labels.get(language) or labels.get("fr") or next(iter(labels.values()), code)

    def below(self, codes: Iterable[str]) -> list[str]:
        """Return categories and all below them, at most SEARCH_CODES_MAX."""
        found = dict.fromkeys(codes)
        queue = list(found)
        # A circle of parents ends it too: what was found is not looked at again.
        while queue and len(found) < bounds.SEARCH_CODES_MAX:
            for child in self._children.get(queue.pop(0), ()):
                if child not in found:
                    found[child] = None
                    queue.append(child)
        return list(found)[: bounds.SEARCH_CODES_MAX]

    def above(self, codes: Iterable[str]) -> list[str]:
        """Return the categories above these, themselves left out, at most SEARCH_CODES_MAX."""
        given = list(dict.fromkeys(codes))
        found = dict.fromkeys(given)
        queue = list(given)
        while queue and len(found) < bounds.SEARCH_CODES_MAX:
            for parent in self._parents.get(queue.pop(0), ()):
                if parent not in found:
                    found[parent] = None
                    queue.append(parent)
        return [code for code in found if code not in given]

    def beside(self, codes: Iterable[str]) -> list[str]:
        """Return the categories that share a parent with these, at most SEARCH_CODES_MAX."""
        given = list(dict.fromkeys(codes))
        found = dict.fromkeys(
            sibling
            for code in given
            for parent in self._parents.get(code, ())
            for sibling in self._children.get(parent, ())
            if sibling not in given
        )
        return list(found)[: bounds.SEARCH_CODES_MAX]

    def read(self, text: str, languages: Sequence[str] = ()) -> list[Unit]:
        """Return what a query's text asks for, the longest known phrases taken as one."""
        reads = tuple(dict.fromkeys((*QUERY_LANGUAGES, *languages)))
        ways = [
            (word, found)
            for folded, word in written(text)
            if folded not in STOP and (found := query_stems(folded, reads))
        ]
        units: list[Unit] = []
        place = 0
        seen: set[tuple[Stems, ...]] = set()
        while place < len(ways) and len(units) < bounds.SEARCH_UNITS_MAX:
            length, groups = self._match(ways, place)
            stretch = ways[place : place + length]
            place += length
            own: tuple[Stems, ...]
            if length == 1:
                own = tuple((stem,) for stem in stretch[0][1])
            else:
                own = (tuple(found[0] for _word, found in stretch),)
            if own in seen:
                continue
            seen.add(own)
            others: dict[Stems, str] = {}
            codes: list[str] = []
            for group in groups:
                code = self._codes_of.get(group)
                if code is not None:
                    codes.extend(self.below([code]))
                for stems, word in self._groups[group]:
                    if stems not in own:
                        others.setdefault(stems, word)
            units.append(
                Unit(
                    " ".join(word for word, _found in stretch),
                    own,
                    tuple(others.items())[: bounds.SEARCH_ALTERNATIVES_MAX],
                    tuple(dict.fromkeys(codes))[: bounds.SEARCH_ALTERNATIVES_MAX],
                )
            )
        return units

    def _match(
        self, ways: Sequence[tuple[str, tuple[str, ...]]], place: int
    ) -> tuple[int, list[int]]:
        """Return how many words from `place` on are a known phrase, and of which groups."""
        best = 0
        groups: list[int] = []
        for first in ways[place][1]:
            for stems, group in self._phrases.get(first, ()):
                length = len(stems)
                if length < best or place + length > len(ways):
                    continue
                if all(stems[i] in ways[place + i][1] for i in range(length)):
                    if length > best:
                        best, groups = length, []
                    if group not in groups:
                        groups.append(group)
        return max(best, 1), groups


def _longest(entry: tuple[Stems, int]) -> int:
    return -len(entry[0])
