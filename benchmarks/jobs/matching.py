"""What it costs to propose offers for a demand, and to compare a new record with saved searches.

The peer is an ordinary search for the same title near the same place: what a person would have had
to type. Proposing reads more records, weighs them by more, and looks up marks; it is to stay within
20 ms of CPU over 100,000 offers. Offers are synthetic (benchmarks/synthetic.py), marks as well.
"""

from __future__ import annotations

import gc
import statistics
from itertools import islice
from random import Random
from time import process_time
from typing import Any

from harness import Harness, Sample
from maillon.node.engine.reputation import Opinion, Reputations
from maillon.node.search.candidates import BEFORE_ALL, Candidates, header_of
from maillon.node.search.documents import tokens_of
from maillon.node.search.matching import Known, Match, Wish, complete, order, weigh
from maillon.node.search.query import Query
from maillon.node.search.reader import SearchReader
from maillon.node.search.vocabulary import SHIPPED, Vocabulary, load_synonyms
from maillon.node.search.watching import Watch
from maillon.node.store.sqlite import SqliteStore
from synthetic import DAY, NOW, Synthetic

NAME = "matching"
DESCRIPTION = "offers proposed for a demand, over 100,000; a new record and saved searches"

SIZE, QUICK_SIZE = 100_000, 5_000
WISHES = 60
SEARCHES = 2_000
MARKS = 20_000
BATCH = 1_000
JUDGED = 64
"""As many as maillon.node.matching.bounds.JUDGED_MAX."""


def build(h: Harness, count: int) -> SqliteStore:
    """Write offers into a database."""
    store = SqliteStore(h.tmp / "matching.db")
    source = Synthetic(7).valids(count)
    while chunk := list(islice(source, BATCH)):
        with store.batch():
            for valid in chunk:
                store.put(valid)
    while store.unindexed:
        store.index_now()
    return store


def propose(
    wish: Wish, records: Candidates, marks: Reputations, shown: int = 20
) -> list[Match]:
    """Propose as a node does."""
    able = [
        match
        for one in records.for_wish(wish)
        if not (match := weigh(wish, one, explain=False)).refused
    ]
    able.sort(key=order)
    kept: list[Match] = []
    for rough in able[:JUDGED]:
        match = weigh(wish, rough.candidate)
        complete(wish, match, Known(marks.of(rough.candidate.author, NOW)))
        if not match.refused:
            kept.append(match)
    kept.sort(key=order)
    for match in kept[:shown]:
        assert match.reasons, "what is proposed says why"
    return kept[:shown]


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def run(h: Harness) -> None:
    """Propose for mixed demands, search for the same, then compare records with saved searches."""
    size = QUICK_SIZE if h.quick else SIZE
    store = build(h, size)
    records = Candidates(store.path)
    vocabulary = Vocabulary(load_synonyms(SHIPPED))
    reader = SearchReader(store.path, vocabulary)
    asked = [valid.signed for valid in islice(Synthetic(9).valids(WISHES), WISHES)]
    arrived, _last = records.arrived(BEFORE_ALL, SEARCHES)
    marks = _marks([one.author for one in arrived])
    gc.collect()
    collected: dict[str, list[float]] = {"proposing": [], "searching": []}

    def proposing() -> Sample:
        times: list[float] = []
        for signed in asked:
            payload: Any = signed.payload
            began = process_time()
            wish = Wish("demand", payload, vocabulary, now=NOW, until=NOW + 30 * DAY)
            propose(wish, records, marks)
            times.append(process_time() - began)
        collected["proposing"] += times
        return Sample(p95(times), p95(times))

    def searching() -> Sample:
        times: list[float] = []
        for signed in asked:
            payload: Any = signed.payload
            point = Wish("demand", payload, vocabulary, now=NOW, until=NOW).point
            near = None if point is None else point[0]
            began = process_time()
            reader.search(Query(text=payload["title"], near=near), NOW)
            times.append(process_time() - began)
        collected["searching"] += times
        return Sample(p95(times), p95(times))

    rounds = h.rounds({"proposing": proposing, "searching": searching})
    for name in ("proposing", "searching"):
        found = statistics.median(collected[name]) * 1e3
        high = statistics.median(s.cpu for s in rounds.samples[name]) * 1e3
        good = found < 20 if name == "proposing" and not h.quick else None
        h.row(
            f"{name}, {size:,} offers: median / p95",
            f"{found:.2f} / {high:.2f}",
            "ms CPU",
            "median < 20" if name == "proposing" else "",
            good,
        )
    slower = [
        a.cpu / b.cpu
        for a, b in zip(rounds.samples["proposing"], rounds.samples["searching"], strict=True)
    ]
    measured = (statistics.median(slower), min(slower), max(slower))
    h.ratio_row("p95 over a search's", measured, most=None if h.quick else 2.0)
    watches = [
        Watch(Query(text=str(one.payload["title"])), vocabulary, "fr") for one in arrived
    ]
    new = arrived[:50]
    began = process_time()
    met = 0
    for one in new:
        tokens = frozenset(tokens_of(header_of(one), one.payload).split())
        met += sum(watch.meets(tokens, one.payload, one.at, NOW) for watch in watches)
    spent = (process_time() - began) / (len(new) * len(watches))
    h.row("a new record and one saved search", spent * 1e6, "µs CPU")
    h.control("a record that its own title looks for", met >= len(new))
    payload: Any = asked[0].payload
    best = propose(
        Wish("demand", payload, vocabulary, now=NOW, until=NOW + 30 * DAY), records, marks
    )
    store.retire(best[0].candidate.id, reason="withdrawn")
    again = propose(
        Wish("demand", payload, vocabulary, now=NOW, until=NOW + 30 * DAY), records, marks
    )
    gone = all(match.candidate.id != best[0].candidate.id for match in again)
    h.control("a withdrawn offer", gone)
    reader.close()
    records.close()
    store.close()


def _marks(authors: list[bytes]) -> Reputations:
    """Make marks of many on many, some of them seen from a coop that dealt with others."""
    rng = Random(5)
    marks = Reputations(authors[0][1:33])
    for n in range(MARKS):
        one, other = rng.choice(authors), rng.choice(authors)
        criteria = {"politeness": rng.randrange(6), "quality": rng.randrange(6)}
        at = NOW - rng.randrange(400 * DAY)
        marks.add(Opinion(n.to_bytes(32, "big"), one, other, criteria, at))
    return marks
