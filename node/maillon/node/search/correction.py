"""Find the word somebody meant, for one that no record has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from maillon.node import bounds
from maillon.node.search.documents import searched_text
from maillon.node.search.words import fold, split, stems_of

if TYPE_CHECKING:
    import sqlite3

VOCABULARY_SQL = "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, words, row)"


def edits(one: str, other: str, most: int) -> int:
    """Return the letters to change, add, drop or swap, or `most` + 1 when there are more.

    Optimal string alignment distance, kept to a band of width 2 x `most` + 1.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        above, row_before = row, before
        row = [i] + [most + 1] * len(other)
        for j in range(max(1, i - most), min(len(other), i + most) + 1):
            cost = 0 if letter == other[j - 1] else 1
            best = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost)
            if (
                i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == other[j - 1]
                and row_before
            ):  # fmt: skip
                best = min(best, row_before[j - 2] + 1)
            row[j] = best
        if min(row) > most:
            return most + 1
        before = above
    return row[-1]


def nearest(db: sqlite3.Connection, words: str) -> str | None:
    """Return the index word that is nearest to a misspelt one, the frequent before the rare.

    Looks among words that begin alike, and among those whose first two letters were swapped.
    """
    parts = split(words)
    if len(parts) != 1 or len(parts[0]) < 4 or not parts[0].isascii():
        return None
    word = parts[0]
    # A letter too many or two swapped: undone before the ending is taken off, or it stays on.
    forms = [word[:i] + word[i + 1 :] for i in range(1, len(word))]
    forms += [
        word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)
    ]
    found: tuple[int, str] | None = None
    for stem in dict.fromkeys(
        stem for form in forms for language in ("fr", "en") if (stem := stems_of(language)[form])
    ):
        row = db.execute("SELECT doc FROM terms WHERE term = ?", (stem,)).fetchone()
        if row is not None and (found is None or row[0] > found[0]):
            found = (row[0], stem)
    if found is not None:
        return found[1]
    wanted = {word, *(stems_of(language)[word] for language in ("fr", "en"))} - {""}
    most = 1 if len(word) < 6 else 2
    best: tuple[int, int, str] | None = None
    for start in dict.fromkeys((word[:2], word[1] + word[0], word[0])):
        rows = db.execute(
            "SELECT term, doc FROM terms WHERE term >= ? AND term < ? LIMIT ?",
            (start, start + "{", bounds.SEARCH_TERMS_MAX),
        )
        for term, count in rows:
            if len(term) < 3:
                continue
            away = min(edits(form, term, most) for form in wanted)
            if away <= most:
                entry = (away, -count, term)
                if best is None or entry < best:
                    best = entry
        if best is not None:
            return best[2]
    return None


def as_written(payload: Mapping[str, Any], stem: str) -> str:
    """Return the first word of a record that has this stem, as it is written there."""
    table = stems_of(payload["lang"])
    for text in (payload["title"], searched_text(payload)):
        for word in "".join(c if c.isalnum() else " " for c in text).split():
            if any(table[part] == stem for part in split(fold(word))):
                return word.lower()
    return ""
