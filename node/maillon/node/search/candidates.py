"""Find records that may fit a wish, in the word index, without touching the writer.

What is most likely to fit is looked for first: the same categories near by, then words of the title
near by, then in wider circles, then what is done online, then anywhere. At most a few hundred
records are read, whatever the index holds. Demands of each urgency have a share of their own, so
that many emergencies leave room for company (DOM-2).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.node import bounds
from maillon.node.search.documents import code_word
from maillon.node.search.expression import RINGS_KM, any_of, around, join, unit_expression
from maillon.node.search.matching import Candidate, Wish, modes_for
from maillon.node.store import sealing
from maillon.node.store.database import faults_in_words, open_reader
from maillon.node.store.rows import author_keys
from maillon.protocol.envelope import Header, decode_header
from maillon.protocol.records.kind import thing_id

URGENCIES: Final = ("emergency", "planned", "conviviality")

CANDIDATES_MAX: Final = 160
"""Records that are read and weighed for one wish: about fifty microseconds each."""

ENOUGH: Final = 80
"""Found so many, one does not look in a wider circle: what is nearer mostly fits better."""

BEFORE_ALL: Final = -1
"""The place before the first record that arrived."""

_SIGNATURE: Final = 64
# Places in a header (spec/03).
_SERIES: Final = 7
_unpack: Any = cast(Any, msgpack).unpackb
_MATCH: Final = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"
_COLUMNS: Final = "n, at, until, kind, author, head, payload"
_MARKS: Final = ", ".join("?" * CANDIDATES_MAX)
_ROWS: Final = f"SELECT {_COLUMNS} FROM records WHERE n IN ({_MARKS}) AND state = 0"
_AFTER: Final = (
    f"SELECT {_COLUMNS}, state FROM records WHERE n > ? AND kind IN ('offer', 'demand') "
    "ORDER BY n LIMIT ?"
)
_KINDS_AFTER: Final = (
    f"SELECT {_COLUMNS} FROM records WHERE n > ? AND n <= ? AND kind = ? AND state = 0"
)
_OF_AUTHOR: Final = (
    f"SELECT {_COLUMNS} FROM records WHERE n IN (SELECT n FROM keys WHERE k BETWEEN ? AND ? "
    "UNION SELECT n FROM keys_new WHERE k BETWEEN ? AND ?) AND kind = ? AND author = ? "
    "AND state = 0 LIMIT ?"
)


class Candidates:
    """Read offers and demands over a connection of its own; safe to call from any one thread."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._db = open_reader(path, cache_kib=bounds.SEARCH_CACHE_KIB)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._db.close()

    def for_wish(
        self, wish: Wish, *, kind: str = "", coop: bytes = b"", most: int = CANDIDATES_MAX
    ) -> list[Candidate]:
        """Return live records of a kind that may fit, at most `most`; of one coop when given."""
        kind = kind or wish.wanted
        must = [any_of(["k:" + kind])]
        if coop:
            must.insert(0, any_of(["g:" + coop[:6].hex()]))
        if kind != wish.kind:
            # What cannot be done in a way that suits both is no candidate.
            must.append(any_of("m:" + mode for mode in sorted(modes_for(wish.modes))))
        groups: list[list[str]] = [must]
        if kind == "demand":
            groups = [[*must, any_of([code_word("u", urgency)])] for urgency in URGENCIES]
        with self._lock, faults_in_words(self.path):
            found: dict[int, None] = {}
            for clauses in groups:
                self._gather(wish, clauses, found, len(found) + most // len(groups))
            if len(groups) > 1:
                # What one urgency leaves of its share is for the others.
                self._gather(wish, must, found, most)
            return [one for one in self._read(list(found)) if one.until > wish.now]

    def _gather(self, wish: Wish, must: list[str], found: dict[int, None], most: int) -> None:
        first, enough = len(found), min(most, len(found) + ENOUGH)
        for wider, expression in _tiers(wish):
            if len(found) >= (enough if wider and len(found) > first else most):
                return
            # Those of the tiers before may come first again.
            rows = self._db.execute(_MATCH, (join([*expression, *must], []), most))
            for (n,) in rows:
                if len(found) >= most:
                    return
                found[n] = None

    def count(self, expressions: Sequence[str]) -> int:
        """Return how many live records have all of these in the index."""
        with self._lock, faults_in_words(self.path):
            row = self._db.execute(
                "SELECT count(*) FROM words WHERE words MATCH ?", (join(expressions, []),)
            ).fetchone()
            return int(row[0])

    def any_of_coop(self, coop: bytes, kind: str) -> bool:
        """Tell whether a coop has any live record of a kind."""
        expression = join([any_of(["g:" + coop[:6].hex()]), any_of(["k:" + kind])], [])
        with self._lock, faults_in_words(self.path):
            return self._db.execute(_MATCH, (expression, 1)).fetchone() is not None

    def top(self) -> int:
        """Return the place of the record that arrived last, BEFORE_ALL when there is none."""
        with self._lock, faults_in_words(self.path):
            row = self._db.execute("SELECT max(n) FROM records").fetchone()
            return BEFORE_ALL if row[0] is None else int(row[0])

    def arrived(self, after: int, limit: int) -> tuple[list[Candidate], int]:
        """Return live offers and demands that arrived after a place, and where to go on."""
        with self._lock, faults_in_words(self.path):
            rows = self._db.execute(_AFTER, (after, limit)).fetchall()
            live = [row[:-1] for row in rows if row[-1] == 0]
            return self._candidates(live), rows[-1][0] if rows else after

    def of_kind(self, kind: str, after: int, before: int) -> list[Candidate]:
        """Return live records of any kind between two places of arrival."""
        with self._lock, faults_in_words(self.path):
            return self._candidates(
                self._db.execute(_KINDS_AFTER, (after, before, kind)).fetchall()
            )

    def of_author(self, author: bytes, kind: str, limit: int) -> list[Candidate]:
        """Return live records of a kind and an author."""
        with self._lock, faults_in_words(self.path):
            rows = self._db.execute(_OF_AUTHOR, (*author_keys(author) * 2, kind, author, limit))
            return self._candidates(rows.fetchall())

    def _read(self, numbers: Sequence[int]) -> list[Candidate]:
        found: list[Candidate] = []
        for start in range(0, len(numbers), CANDIDATES_MAX):
            part = numbers[start : start + CANDIDATES_MAX]
            padding = (-1,) * (CANDIDATES_MAX - len(part))
            found += self._candidates(self._db.execute(_ROWS, (*part, *padding)).fetchall())
        return found

    def _candidates(self, rows: Sequence[Any]) -> list[Candidate]:
        blocks = sorted({row[0] // sealing.BLOCK_KEYS for row in rows})
        marks = ", ".join("?" * len(blocks))
        keys = dict(
            self._db.execute(
                f"SELECT block, keys FROM seals WHERE block IN ({marks})", blocks
            ).fetchall()
        )
        return list(_decoded(rows, keys))


def _decoded(rows: Sequence[Any], keys: dict[int, bytes]) -> Iterator[Candidate]:
    for n, at, until, kind, author, head, sealed in rows:
        block = keys.get(n // sealing.BLOCK_KEYS)
        if sealed is None or block is None:
            continue
        payload = _unpack(sealing.seal(sealing.key_of(block, n), sealed))
        id = hashlib.sha256(head[:-_SIGNATURE]).digest()
        yield Candidate(n, id, kind, author, head, at, until, payload)


def _tiers(wish: Wish) -> Iterator[tuple[bool, list[str]]]:
    """Yield what to look for, the likeliest first; True where a wider circle begins."""
    codes = sorted(wish.codes, key=lambda code: -wish.codes[code][0])[: bounds.SEARCH_VALUES_MAX]
    strong = [code for code in codes if wish.codes[code][0] == 1.0]
    category = any_of(code_word("c", code) for code in strong) if strong else ""
    related = any_of(code_word("c", code) for code in codes) if len(codes) > len(strong) else ""
    words = "(" + " OR ".join(map(unit_expression, wish.units)) + ")" if wish.units else ""
    places = [""]
    if wish.point is not None and wish.modes != frozenset({"remote"}):
        near = [around(wish.point[0], radius) for radius in RINGS_KM]
        # What is done online is no farther away than the next town.
        online = [any_of(["m:remote"])] if "remote" in wish.modes else []
        places = [*near[:1], *online, *near[1:], ""]
    either = " OR ".join(filter(None, (category, words)))
    for place in places:
        if category and words:
            yield True, [place, words, category]
        if either:
            yield not (category and words), [place, f"({either})"]
    if related:
        yield True, [places[0], related]
        yield True, [related]


def header_of(candidate: Candidate) -> Header:
    """Return the header of a record that was found."""
    return decode_header(candidate.head[:-_SIGNATURE])


def thing_of(candidate: Candidate) -> bytes:
    """Return the thing that a record is a revision of."""
    series: bytes = _unpack(candidate.head[:-_SIGNATURE])[_SERIES]
    return thing_id(candidate.author, series)
