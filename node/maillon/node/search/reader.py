"""Search a node's database, from any one thread, without touching the writer.

The word index answers which records can match; of those at most SEARCH_CANDIDATES_MAX at a time,
the last to arrive first, are read and ranked exactly. So the cost of a search does not grow with
how many match, and a page can always be continued: the windows follow each other.

Nothing of a query is kept: no log, no table, no cache outlives the answer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.node import bounds, cursors
from maillon.node.search import correction
from maillon.node.search.expression import (
    conditions,
    join,
    scopes,
    title_expression,
    unit_expression,
)
from maillon.node.search.query import Answer, Hit, Query
from maillon.node.search.ranking import Judged, judge
from maillon.node.search.vocabulary import Unit, Vocabulary
from maillon.node.store import sealing
from maillon.node.store.database import faults_in_words, open_reader

if TYPE_CHECKING:
    pass

_TITLE, _ALL, _ANY = range(3)
_TOP: Final = (1 << 63) - 1
_SIGNATURE: Final = 64
# Places in a header (spec/03).
_COOP: Final = 3

_MATCH: Final = (
    "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
)
_MARKS: Final = ", ".join("?" * bounds.SEARCH_CANDIDATES_MAX)
_ROWS: Final = (
    "SELECT n, at, until, kind, head, payload FROM records "
    f"WHERE n IN ({_MARKS}) AND state = 0"
)
_SEALS: Final = f"SELECT block, keys FROM seals WHERE block IN ({_MARKS})"

_unpack: Callable[[bytes], Any] = cast(Any, msgpack).unpackb


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the row of windows a page begins."""

    top: int
    now: int
    scope: int = 0
    level: int = 0
    below: int = _TOP
    skip: int = 0

    def text(self) -> str:
        data = json.dumps(
            [1, self.top, self.now, self.scope, self.level, self.below, self.skip],
            separators=(",", ":"),
        )
        return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")


def _read_place(cursor: str) -> _Place:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values: object = json.loads(base64.urlsafe_b64decode(padded))
    except ValueError:
        values = None
    if (
        isinstance(values, list)
        and len(cast("list[object]", values)) == 7
        and all(type(value) is int and 0 <= value <= _TOP for value in cast("list[int]", values))
    ):
        version, top, now, scope, level, below, skip = cast("list[int]", values)
        if version == 1 and level <= _ANY and skip <= bounds.SEARCH_CANDIDATES_MAX:
            return _Place(top, now, scope, level, below, skip)
    raise cursors.bad_cursor()


@dataclass(slots=True)
class _Plan:
    """One query, read: its units, conditions and scopes."""

    query: Query
    units: list[Unit]
    clauses: list[str]
    scopes: list[tuple[str, str]]
    counts: dict[int, int] = field(default_factory=dict[int, int])
    count_more: bool = False

    def levels(self) -> list[int]:
        if not self.units:
            return [_ALL]
        if self.query.order == "newest":
            return [_ALL]
        return [_TITLE, _ALL] if len(self.units) == 1 else [_TITLE, _ALL, _ANY]

    def match(self, scope: int, level: int, *, apart: bool = True) -> str:
        """Return the expression of a level within a scope, `apart` from the levels before it."""
        inside, outside = self.scopes[scope]
        title = [title_expression(unit) for unit in self.units]
        every = [unit_expression(unit) for unit in self.units]
        excluded = [outside]
        if level == _TITLE:
            words = title
        elif level == _ALL:
            words = every
            if apart and title and _TITLE in self.levels():
                excluded.append("(" + " AND ".join(title) + ")")
        else:
            words = ["(" + " OR ".join(every) + ")"]
            excluded.append("(" + " AND ".join(every) + ")")
        return join([*words, inside, *self.clauses], excluded)


@dataclass(slots=True)
class _Candidate:
    n: int
    id: bytes
    kind: str
    header: bytes
    at: int
    until: int
    payload: dict[str, Any]
    judged: Judged


class SearchReader:
    """Answer queries over a connection of its own; safe to call from one thread after another."""

    def __init__(self, path: Path | str, vocabulary: Vocabulary, *, language: str = "fr") -> None:
        self.path = Path(path)
        self.vocabulary = vocabulary
        self.language = language
        self._lock = threading.Lock()
        self._db = open_reader(path, cache_kib=bounds.SEARCH_CACHE_KIB)
        with faults_in_words(path):
            self._db.execute(correction.VOCABULARY_SQL)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def search(self, query: Query, now: int) -> Answer:
        """Return one page of what matches. Raises: SearchError, BadCursor, StoreError."""
        query.check()
        with self._lock, faults_in_words(self.path), self._snapshot():
            units = self.vocabulary.read(query.text, query.languages)
            answer = self._answer(query, units, now)
            if answer.hits or query.cursor or not units:
                return answer
            corrected: dict[str, str] = {}
            better = [self._corrected(unit, corrected) for unit in units]
            if not corrected:
                return answer
            answer = self._answer(query, better, now)
            return Answer(
                answer.hits, answer.count, answer.count_more, "", corrected, answer.loosened
            )

    @contextmanager
    def _snapshot(self) -> Generator[None]:
        # Index and records as of one moment; also what keeps the log from being cut meanwhile.
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    # --- A page -----------------------------------------------------------------------------------

    def _answer(self, query: Query, units: list[Unit], now: int) -> Answer:
        plan = _Plan(query, units, conditions(query, self.vocabulary), scopes(query))
        if query.cursor:
            place = _read_place(query.cursor)
            if place.scope >= len(plan.scopes):
                raise cursors.bad_cursor()
        else:
            top = self._db.execute("SELECT max(n) FROM records").fetchone()[0]
            place = _Place((top or 0) + 1, now)
        skip = 0 if query.cursor else min(query.offset, bounds.SEARCH_OFFSET_MAX)
        hits: list[Hit] = []
        seen = 0
        loosened = False
        at: _Place | None = place
        while at is not None and len(hits) < query.limit:
            candidates, following, level = self._window(plan, at)
            rest = candidates[at.skip :]
            seen += len(candidates)
            if skip:
                passed = min(skip, len(rest))
                skip -= passed
                rest = rest[passed:]
                at = _Place(at.top, at.now, at.scope, at.level, at.below, at.skip + passed)
            room = query.limit - len(hits)
            taken = rest[:room]
            hits.extend(self._hit(plan, candidate, at.now) for candidate in taken)
            if level == _ANY and any(c.judged.matched < len(units) for c in taken):
                loosened = True
            if len(rest) > room:
                at = _Place(at.top, at.now, at.scope, at.level, at.below, at.skip + room)
                break
            at = following
        if at is None and not query.cursor:
            count, more = seen, False
        else:
            # What the index counted in the circles looked at; the others are still to be looked at.
            count = max(sum(plan.counts.values()), len(hits))
            more = plan.count_more or len(plan.counts) < len(plan.scopes)
        return Answer(
            tuple(hits), count, more, "" if at is None else at.text(), loosened=loosened
        )

    def _window(
        self, plan: _Plan, place: _Place
    ) -> tuple[list[_Candidate], _Place | None, int]:
        """Return the next ranked candidates, the place after them, and their level."""
        scope, level, below = place.scope, place.level, min(place.below, place.top)
        levels = plan.levels()
        if level not in levels:
            level = levels[0]
        most = bounds.SEARCH_CANDIDATES_MAX
        if level != _ANY and level == levels[0] and below == place.top:
            # All that match; if they are few, titles need not be looked for first. Only where one
            # looks first are they counted further than they are read.
            bound = bounds.SEARCH_COUNT_MAX if scope == 0 else most + 1
            rows = self._match(plan.match(scope, _ALL, apart=False), below, bound)
            plan.counts[scope] = len(rows)
            plan.count_more |= len(rows) == bound
            if level == _ALL or len(rows) <= most:
                return self._cut(plan, place, scope, _ALL, rows)
        rows = self._match(plan.match(scope, level), below, most + 1)
        if level == _TITLE and len(rows) < most:
            # Words in titles and words in texts are weighed together.
            rows += self._match(plan.match(scope, _ALL), place.top, most + 1 - len(rows))
            level = _ALL
        return self._cut(plan, place, scope, level, rows)

    def _cut(
        self, plan: _Plan, place: _Place, scope: int, level: int, rows: list[int]
    ) -> tuple[list[_Candidate], _Place | None, int]:
        most = bounds.SEARCH_CANDIDATES_MAX
        if len(rows) > most:
            rows = rows[:most]
            following: _Place | None = _Place(place.top, place.now, scope, level, rows[-1])
        else:
            following = self._after(plan, place, scope, level)
        return self._rank(plan, rows, place.now), following, level

    def _after(self, plan: _Plan, place: _Place, scope: int, level: int) -> _Place | None:
        """Return where it goes on when a level of a scope is through."""
        levels = plan.levels()
        step = levels.index(level) + 1
        if step < len(levels):
            return _Place(place.top, place.now, scope, levels[step])
        if scope + 1 < len(plan.scopes):
            return _Place(place.top, place.now, scope + 1, levels[0])
        return None

    def _match(self, expression: str, below: int, most: int) -> list[int]:
        return [n for (n,) in self._db.execute(_MATCH, (expression, below, most))]

    def _rank(self, plan: _Plan, rows: Sequence[int], now: int) -> list[_Candidate]:
        if not rows:
            return []
        query = plan.query
        padding = (-1,) * (bounds.SEARCH_CANDIDATES_MAX - len(rows))
        blocks = sorted({n // sealing.BLOCK_KEYS for n in rows})
        keys: dict[int, bytes] = dict(
            self._db.execute(
                _SEALS, (*blocks, *(-1,) * (bounds.SEARCH_CANDIDATES_MAX - len(blocks)))
            ).fetchall()
        )
        found: list[_Candidate] = []
        for n, at, until, kind, head, sealed in self._db.execute(_ROWS, (*rows, *padding)):
            if until < now or sealed is None:
                continue
            key = sealing.key_of(keys[n // sealing.BLOCK_KEYS], n)
            payload: dict[str, Any] = _unpack(sealing.seal(key, sealed))
            judged = judge(
                query, plan.units, self.vocabulary, payload, at, now, self.language, False
            )
            if judged is None:
                continue
            header_bytes = head[:-_SIGNATURE]
            found.append(
                _Candidate(
                    n, hashlib.sha256(header_bytes).digest(), kind, header_bytes, at, until,
                    payload, judged,
                )  # fmt: skip
            )
        if query.order == "newest":
            found.sort(key=_newest)
        elif query.order == "nearest":
            found.sort(key=_nearest)
        else:
            found.sort(key=_best)
        return found

    def _hit(self, plan: _Plan, candidate: _Candidate, now: int) -> Hit:
        judged = judge(
            plan.query, plan.units, self.vocabulary, candidate.payload, candidate.at, now,
            self.language, True,
        )  # fmt: skip
        assert judged is not None, "it was judged before, and nothing has changed"
        coop: bytes = _unpack(candidate.header)[_COOP]
        return Hit(
            candidate.id, candidate.kind, coop, candidate.at, candidate.until,
            candidate.payload, round(judged.score, 4),
            {name: round(worth, 4) for name, worth in judged.parts.items()},
            tuple(dict.fromkeys(words for _worth, words in judged.reasons)),
            judged.distance, judged.approximate,
        )  # fmt: skip

    # --- Misspelt words ---------------------------------------------------------------------------

    def _corrected(self, unit: Unit, corrected: dict[str, str]) -> Unit:
        match = unit_expression(unit)
        if self._db.execute(_MATCH, (match, _TOP, 1)).fetchone() is not None:
            return unit
        stem = correction.nearest(self._db, unit.words)
        if stem is None:
            return unit
        corrected[unit.words] = self._word_of(stem) or stem
        return Unit(corrected[unit.words], ((stem,),))

    def _word_of(self, stem: str) -> str:
        """Return a word as somebody wrote it, for a stem."""
        row = self._db.execute(_MATCH, (f'"{stem}"', _TOP, 1)).fetchone()
        if row is None:
            return ""
        n: int = row[0]
        record = self._db.execute("SELECT payload FROM records WHERE n = ?", (n,)).fetchone()
        block = self._db.execute(
            "SELECT keys FROM seals WHERE block = ?", (n // sealing.BLOCK_KEYS,)
        ).fetchone()
        if record is None or record[0] is None or block is None:
            return ""
        payload: dict[str, Any] = _unpack(sealing.seal(sealing.key_of(block[0], n), record[0]))
        return correction.as_written(payload, stem)


def _best(candidate: _Candidate) -> tuple[float, int, bytes]:
    return (-round(candidate.judged.score, 9), -candidate.at, candidate.id)


def _newest(candidate: _Candidate) -> tuple[int, bytes]:
    return (-candidate.at, candidate.id)


def _nearest(candidate: _Candidate) -> tuple[float, int, bytes]:
    distance = candidate.judged.distance
    return (1e9 if distance is None else distance, -candidate.at, candidate.id)
