"""Read records out of the file: one by its id, many by what they are, what refers to what.

Whoever puts records gives `_flush`, which writes down what was put and not written yet.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from maillon.node.store.database import faults_in_words, sqlite3, translated
from maillon.node.store.rows import (
    BY_KEY,
    BY_ROW,
    LIVE,
    Found,
    author_keys,
    decode,
    frame,
    header_of,
    headers,
    id_key,
    id_of,
)
from maillon.node.store.schema import BULK_KINDS, BULK_SQL
from maillon.node.store.vault import Vault
from maillon.protocol.envelope import Header, Valid
from maillon.protocol.records import priority, thing_id


class Reading:
    """The part of a store that reads. Raises: StoreError and its kinds, when the file fails."""

    path: Path
    _db: Any
    _vault: Vault
    _counts: dict[str, int]

    def _flush(self) -> None:
        """Write down what was put so far."""
        raise NotImplementedError

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with faults_in_words(self.path):
            self._flush()
            yield self._db

    def _find(self, id: bytes) -> Found | None:
        for row in self._rows_at(id_key(id)):
            if id_of(row[6]) == id:
                return Found(*row)
        return None

    def _rows_at(self, key: int) -> list[tuple[Any, ...]]:
        try:
            places = self._db.execute(BY_KEY, (key,)).fetchall()
            if not places:
                return []
            return [
                row for place in places if (row := self._db.execute(BY_ROW, place).fetchone())
            ]
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def encoded(self, ids: Sequence[bytes]) -> list[bytes]:
        found: list[tuple[int, int, bytes, Found]] = []
        with self._reading() as db:
            for id in dict.fromkeys(ids):
                row = self._find(id)
                if row is not None and row.state == LIVE:
                    found.append((priority(row.kind), row.at, id, row))
            found.sort(key=itemgetter(0, 1, 2))
            answer: list[bytes] = []
            for _priority, _at, _id, row in found:
                sealed = db.execute(
                    "SELECT payload FROM records WHERE n = ?", (row.n,)
                ).fetchone()[0]
                answer.append(frame(row.head, self._vault.open(row.n, sealed)))
        return answer

    def encoded_range(
        self, low: tuple[int, bytes], high: tuple[int, bytes], limit: int
    ) -> list[tuple[int, bytes, bytes]]:
        with self._reading() as db:
            rows = db.execute(
                "SELECT l.at, l.id, l.n, r.head, r.payload FROM live l "
                "CROSS JOIN records r ON r.n = l.n "
                "WHERE (l.at, l.id) >= (?, ?) AND (l.at, l.id) < (?, ?) "
                "ORDER BY l.at, l.id LIMIT ?",
                (*low, *high, limit),
            ).fetchall()
            opened = self._vault.open
            return [(at, id, frame(head, opened(n, sealed))) for at, id, n, head, sealed in rows]

    def iterate_live(self) -> Iterator[tuple[int, bytes]]:
        with self._reading() as db:
            yield from db.execute("SELECT at, id FROM live ORDER BY at, id")

    def by_kinds(self, kinds: Iterable[str]) -> Iterator[Valid]:
        wanted = sorted(set(kinds))
        marks = ", ".join("?" * len(wanted))
        with self._reading() as db:
            if BULK_KINDS.isdisjoint(wanted):
                rows = db.execute(
                    f"SELECT n, head FROM records WHERE {BULK_SQL} AND kind IN ({marks}) "
                    "AND state = 0",
                    wanted,
                ).fetchall()
                order: Iterable[tuple[int, bytes, int]] = sorted(
                    (header_of(head).at, id_of(head), n)
                    for n, head in rows
                )
            else:
                order = db.execute("SELECT at, id, n FROM live ORDER BY at, id")
            for _at, _id, n in order:
                row = self._db.execute(
                    f"SELECT author, role, head, payload FROM records WHERE n = ? "
                    f"AND kind IN ({marks})",
                    (n, *wanted),
                ).fetchone()
                if row is None:
                    continue
                author, role, head, sealed = row
                payload = self._vault.open(n, sealed)
                assert payload is not None, "a live record has its payload"
                signed = decode(head, payload, self.path)
                yield Valid(signed, author, thing_id(author, signed.header.series), role)

    def signed_by(self, key: bytes) -> list[tuple[bytes, Header]]:
        found: list[tuple[bytes, Header]] = []
        with self._reading() as db:
            authors = db.execute("SELECT author FROM signers WHERE key = ?", (key,)).fetchall()
            for (author,) in authors:
                span = author_keys(author)
                rows = db.execute(
                    "SELECT r.head FROM records r, ("
                    "SELECT n FROM keys_new WHERE k BETWEEN ?1 AND ?2 "
                    "UNION SELECT n FROM keys WHERE k BETWEEN ?1 AND ?2) f "
                    "WHERE r.n = f.n AND r.state = 0 AND r.author = ?3",
                    (*span, author),
                )
                found.extend(pair for pair in headers(rows) if pair[1].by == key)
        return sorted(found, key=itemgetter(0))

    def under_mandate(self, mandate: bytes) -> list[tuple[bytes, Header]]:
        return [pair for pair in self._linked(mandate) if pair[1].as_ == mandate]

    def referring(self, id: bytes) -> list[tuple[bytes, Header]]:
        return [pair for pair in self._linked(id) if id in pair[1].refs]

    def _linked(self, name: bytes) -> list[tuple[bytes, Header]]:
        with self._reading() as db:
            rows = db.execute(
                "SELECT r.head FROM links l JOIN records r ON r.n = l.n "
                "WHERE l.k = ? AND r.state = 0",
                (id_key(name),),
            )
            return sorted(headers(rows), key=itemgetter(0))

    def count_live(self) -> dict[str, int]:
        with self._reading() as db:
            counts: dict[str, int] = dict(db.execute("SELECT kind, live FROM counts").fetchall())
        for kind, change in self._counts.items():
            counts[kind] = counts.get(kind, 0) + change
        return {kind: count for kind, count in counts.items() if count}
