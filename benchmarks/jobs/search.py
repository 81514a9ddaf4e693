"""What a search costs over a million offers, against full text and a bounding box in SQL.

The peer is what one would write first, and write well: an FTS5 table of title and text with accents
folded, the points in an indexed table, bm25, one statement a query. Both answer the same mixed
queries in the same round: frequent words and rare ones, one and several, near a town or anywhere,
a category, a time. Offers are synthetic (benchmarks/synthetic.py).
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import psutil

from harness import Harness, Sample
from maillon.node.search.query import Query
from maillon.node.search.reader import SearchReader
from maillon.node.search.vocabulary import SHIPPED, Vocabulary, load_synonyms
from maillon.node.store.database import sqlite3
from maillon.node.store.sqlite import SqliteStore
from synthetic import CATEGORIES, DAY, NOW, SERVICES, Synthetic

NAME = "search"
DESCRIPTION = "mixed queries over 100,000 and 1,000,000 offers, against FTS5 with a bounding box"

SIZES = (100_000, 1_000_000)
QUICK_SIZES = (2_000, 20_000)
QUERIES = 60
BATCH = 1_000


def build(ours: Path, peer: Path, count: int) -> tuple[SqliteStore, Any, float]:
    """Write the same offers into both databases; return ours, the peer, and our CPU a record."""
    store = SqliteStore(ours)
    other = sqlite3.connect(peer, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("PRAGMA synchronous = NORMAL")
    other.execute("PRAGMA cache_size = -32768")
    other.execute(
        "CREATE VIRTUAL TABLE words USING fts5(title, text, content='', "
        "tokenize='unicode61 remove_diacritics 2')"
    )
    other.execute(
        "CREATE TABLE offers (n INTEGER PRIMARY KEY, lat REAL, lon REAL, category TEXT, body BLOB)"
    )
    other.execute("CREATE INDEX offers_point ON offers (lat, lon)")
    source = Synthetic(7).valids(count)
    spent = 0.0
    n = 0
    while chunk := list(islice(source, BATCH)):
        began = process_time()
        with store.batch():
            for valid in chunk:
                store.put(valid)
        spent += process_time() - began
        words: list[tuple[Any, ...]] = []
        points: list[tuple[Any, ...]] = []
        for valid in chunk:
            n += 1
            payload: Any = valid.signed.payload
            words.append((n, payload["title"], payload["text"]))
            lat, lon = _point(payload)
            points.append((n, lat, lon, payload["categories"][0], valid.signed.payload_bytes))
        other.execute("BEGIN")
        other.executemany("INSERT INTO words(rowid, title, text) VALUES (?, ?, ?)", words)
        other.executemany("INSERT INTO offers VALUES (?, ?, ?, ?, ?)", points)
        other.execute("COMMIT")
    store.index_now()
    return store, other, spent / count


def _point(payload: Any) -> tuple[float, float]:
    from maillon.node.search.places import point_of

    found = point_of(payload["place"])
    assert found is not None, "synthetic offers have places"
    return found[0]


def questions(rng: Random) -> list[Query]:
    """Return the mixed queries, the same for every size."""
    towns = Synthetic(7).towns
    found: list[Query] = []
    for n in range(QUERIES):
        name, lat, lon = rng.choice(towns)
        service = SERVICES[rng.randrange(len(SERVICES))]
        near = Query(near=(lat, lon), near_name=name, radius_km=rng.choice([5.0, 15.0, 40.0]))
        kind = n % 6
        if kind == 0:
            found.append(replace(near, text=rng.choice(["aide", "cours", "service", "transport"])))
        elif kind == 1:
            found.append(replace(near, text=service))
        elif kind == 2:
            found.append(Query(text=rng.choice(["aide", "cours", "maison", "jardin"])))
        elif kind == 3:
            found.append(Query(text=service, kinds=("offer",)))
        elif kind == 4:
            found.append(replace(near, categories=(rng.choice(CATEGORIES),)))
        else:
            found.append(replace(near, text="aide", when=(NOW, NOW + 2 * DAY)))
    return found


def peer_search(db: Any, query: Query) -> list[Any]:
    """Answer a query with full text and a bounding box, best first, twenty of them."""
    words = " ".join(f'"{word}"' for word in query.text.replace("'", " ").split() if len(word) > 2)
    clauses: list[str] = []
    values: list[Any] = []
    if words:
        clauses.append("words MATCH ?")
        values.append(words)
    if query.near is not None and query.radius_km is not None:
        lat, lon = query.near
        high = query.radius_km / 111.2
        wide = high / 0.68
        clauses.append("lat BETWEEN ? AND ? AND lon BETWEEN ? AND ?")
        values += [lat - high, lat + high, lon - wide, lon + wide]
    if query.categories:
        clauses.append("category = ?")
        values.append(query.categories[0])
    where = " AND ".join(clauses)
    if words:
        # CROSS JOIN: the word index leads, which is the better plan for all but the rarest words.
        statement = (
            "SELECT o.n, o.body FROM words CROSS JOIN offers o ON o.n = words.rowid "
            f"WHERE {where} ORDER BY rank LIMIT 20"
        )
    else:
        statement = f"SELECT o.n, o.body FROM offers o WHERE {where} ORDER BY o.n DESC LIMIT 20"
    return list(db.execute(statement, values).fetchall())


def timed(ask: Callable[[Query], object], queries: list[Query]) -> list[float]:
    """Return the CPU seconds of each query."""
    times: list[float] = []
    for query in queries:
        began = process_time()
        ask(query)
        times.append(process_time() - began)
    return times


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def run(h: Harness) -> None:
    """Build both databases at each size, then ask both the same."""
    queries = questions(Random(3))
    sizes = QUICK_SIZES if h.quick else SIZES
    ours_p95: dict[int, float] = {}
    for size in sizes:
        store, peer, cost = build(h.tmp / f"ours-{size}.db", h.tmp / f"peer-{size}.db", size)
        h.row(f"storing and indexing, {size:,} offers", cost * 1e6, "µs CPU a record")
        vocabulary = Vocabulary(load_synonyms(SHIPPED))
        reader = SearchReader(store.path, vocabulary)
        gc.collect()
        collected: dict[str, list[float]] = {"ours": [], "peer": []}

        def ours_all(
            reader: SearchReader = reader, collected: dict[str, list[float]] = collected
        ) -> Sample:
            times = timed(lambda query: reader.search(query, NOW), queries)
            collected["ours"] += times
            return Sample(p95(times), p95(times))

        def peer_all(peer: Any = peer, collected: dict[str, list[float]] = collected) -> Sample:
            times = timed(lambda query: peer_search(peer, query), queries)
            collected["peer"] += times
            return Sample(p95(times), p95(times))

        rounds = h.rounds({"ours": ours_all, "peer": peer_all})
        ratios = [
            a.cpu / b.cpu
            for a, b in zip(rounds.samples["ours"], rounds.samples["peer"], strict=True)
        ]
        ours_p95[size] = statistics.median(s.cpu for s in rounds.samples["ours"])
        for name in ("ours", "peer"):
            h.row(
                f"{name}, {size:,} offers: median / p95",
                f"{statistics.median(collected[name]) * 1e3:.2f} / "
                f"{statistics.median(s.cpu for s in rounds.samples[name]) * 1e3:.2f}",
                "ms CPU",
            )
        h.ratio_row(
            f"p95 over the peer's, {size:,} offers",
            (statistics.median(ratios), min(ratios), max(ratios)),
            most=None if h.quick or size != sizes[-1] else 0.1,
        )
        if size == sizes[-1]:
            h.row("resident memory of this process", psutil.Process().memory_info().rss / 2**20,
                  "MiB")  # fmt: skip
            _controls(h, store, reader)
        reader.close()
        store.close()
        peer.close()
    growth = ours_p95[sizes[1]] / ours_p95[sizes[0]]
    h.row(
        "p95 for ten times the offers", growth, "×", "≤ 1.5", None if h.quick else growth <= 1.5
    )


def _controls(h: Harness, store: SqliteStore, reader: SearchReader) -> None:
    query = Query(text=SERVICES[0])
    before = reader.search(query, NOW)
    if not before.hits:
        raise AssertionError("the benchmark searches for what is not there")
    store.retire(before.hits[0].id, reason="withdrawn")
    after = reader.search(query, NOW)
    h.control("a withdrawn offer", all(hit.id != before.hits[0].id for hit in after.hits))
    absent = reader.search(Query(text="hexaflexagone"), NOW)
    h.control("a word nobody used", not absent.hits)
