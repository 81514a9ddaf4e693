"""What it costs to take in records that another node sends: read, check, verify, store, index.

In one process, without a network: encoded records go through the same engine and the same database
as in a node, in batches of 256, as a reconciliation session brings them.
"""

from __future__ import annotations

import gc
import itertools
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time

from corpus import Corpus, batches, federation, fill
from harness import Harness, Sample
from jobs.verify import bare, bare_pool
from maillon.node.engine import Engine
from maillon.node.engine.ingest import Prepared
from maillon.node.ports import SignatureItem, Store
from maillon.node.search.documents import tokens_of
from maillon.node.store import SqliteStore
from maillon.node.store.memory import MemoryStore
from maillon.node.verify import verify_inline
from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Header, decode_record, record_id
from maillon.protocol.validation import check_structure, signature_item

NAME = "ingest"
DESCRIPTION = "records a second through engine and database, against bare verification"

BATCH = 256
PEER = b"p" * 32
# Batches whose signatures are being verified while others are read or stored.
AHEAD = 4


def new_engine(corpus: Corpus, store: Store) -> Engine:
    """Return an engine that knows the federation's profiles and memberships."""
    engine = Engine(
        store,
        corpus.world.founding,
        node_key=corpus.world.coops[0].node.public,
        rng=random.Random(1),
    )
    engine.start(corpus.world.now)
    if not ingest(engine, corpus.identity, corpus.world.now, verify_inline) == len(corpus.identity):
        raise AssertionError("the federation's own records were refused")
    return engine


def ingest(
    engine: Engine,
    records: Sequence[bytes],
    now: int,
    verify: Callable[[Sequence[SignatureItem]], list[bool]],
) -> int:
    """Take records in, one batch after the other; return how many are live now."""
    stored = 0
    for batch in batches(records, BATCH):
        prepared = engine.prepare_sync(PEER, batch, now)
        stored += len(engine.complete(prepared, verify(prepared.items), now).stored)
    return stored


def ingest_pooled(
    engine: Engine, records: Sequence[bytes], now: int, pool: ThreadPoolExecutor
) -> int:
    """Take records in while the signatures of the next batches are verified on two threads."""
    stored = 0
    under_way: deque[tuple[Prepared, list[Future[list[bool]]]]] = deque()

    def finish() -> None:
        nonlocal stored
        prepared, parts = under_way.popleft()
        verdicts = list(itertools.chain.from_iterable(part.result() for part in parts))
        stored += len(engine.complete(prepared, verdicts, now).stored)

    for batch in batches(records, BATCH):
        prepared = engine.prepare_sync(PEER, batch, now)
        half = (len(prepared.items) + 1) // 2
        parts = [
            pool.submit(verify_inline, part)
            for part in (prepared.items[:half], prepared.items[half:])
        ]
        under_way.append((prepared, parts))
        if len(under_way) >= AHEAD:
            finish()
    while under_way:
        finish()
    return stored


def run(h: Harness) -> None:
    """Measure ingestion against V and V₂, and where its time goes."""
    corpus = fill(federation(h.rng.randrange(1 << 16)), 1_500 if h.quick else 12_000, 1)
    world = corpus.world
    items = [signature_item(decode_record(data)) for data in corpus.offers]
    numbers = itertools.count()

    def database() -> Path:
        return h.tmp / f"{next(numbers)}.db"

    def measured(work: Callable[[Engine], int]) -> Sample:
        store = SqliteStore(database())
        engine = new_engine(corpus, store)
        cpu, wall = process_time(), perf_counter()
        done = work(engine)
        sample = Sample(process_time() - cpu, perf_counter() - wall, done)
        store.close()
        return sample

    def inline() -> Sample:
        return measured(lambda engine: ingest(engine, corpus.offers, world.now, verify_inline))

    # As a node does when it starts: what stays is not looked at again by the collector.
    gc.collect()
    gc.freeze()
    with ThreadPoolExecutor(2) as pool:

        def pooled() -> Sample:
            return measured(
                lambda engine: ingest_pooled(engine, corpus.offers, world.now, pool)
            )

        rounds = h.rounds({
            "V": lambda: bare(items),
            "V2": lambda: bare_pool(pool, items),
            "inline": inline,
            "pooled": pooled,
        })  # fmt: skip
    h.row("mean record", corpus.envelope_bytes, "bytes")
    h.row("V: a verification", 1e6 * rounds.median("V"), "µs")
    h.row("inline", rounds.rate("inline", "wall"), "records/s")
    h.ratio_row("inline / V (CPU)", rounds.ratio("inline", "V"), least=0.80)
    h.row("pooled", rounds.rate("pooled", "wall"), "records/s")
    h.ratio_row("pooled / V₂ (wall clock)", rounds.ratio("pooled", "V2", "wall"), least=0.70)
    _stages(h, corpus, database)
    _controls(h, corpus, database)


def _no_words(_header: Header, _payload: Mapping[str, Value]) -> str:
    return ""


def _stages(h: Harness, corpus: Corpus, database: Callable[[], Path]) -> None:
    """Say what each stage adds, by leaving out the ones behind it."""
    records, world = corpus.offers, corpus.world
    signed = [decode_record(data) for data in records]

    def trusting(verified: Sequence[SignatureItem]) -> list[bool]:
        return [True] * len(verified)

    def decode() -> int:
        for data in records:
            record_id(data)
            decode_record(data)
        return len(records)

    def structure() -> int:
        for each in signed:
            check_structure(each, fed=world.founding.fed, now=world.now)
        return len(signed)

    def through(store: Store) -> int:
        return ingest(new_engine(corpus, store), records, world.now, trusting)

    def sqlite(index: bool) -> int:
        store = SqliteStore(database(), index=tokens_of if index else _no_words)
        done = through(store)
        store.close()
        return done

    rounds = h.rounds(
        {
            "decode": decode,
            "structure": structure,
            "memory": lambda: through(MemoryStore()),
            "store": lambda: sqlite(False),
            "words": lambda: sqlite(True),
        },
        rounds=5,
    )
    cost = {name: 1e6 * rounds.median(name) for name in rounds.samples}
    h.row("a record: read, id, canonical form", cost["decode"], "µs")
    h.row("a record: form of its kind", cost["structure"], "µs")
    h.row("a record: engine", cost["memory"] - cost["decode"] - cost["structure"], "µs")
    h.row("a record: database", cost["store"] - cost["memory"], "µs")
    h.row("a record: words for search", cost["words"] - cost["store"], "µs")


def _controls(h: Harness, corpus: Corpus, database: Callable[[], Path]) -> None:
    now = corpus.world.now
    good = corpus.offers[0]
    at = good.index(b"\xc4\x40") + 2
    flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    # The payload's length in the long form: the same value, another encoding.
    signed = decode_record(good)
    assert signed.payload_bytes is not None
    size = len(signed.payload_bytes)
    short = good[: -size - (2 if size < 256 else 3)]
    loose = short + b"\xc6" + size.to_bytes(4, "big") + signed.payload_bytes
    for label, bad in (("a flipped signature", flipped), ("a non-canonical record", loose)):
        store = SqliteStore(database())
        engine = new_engine(corpus, store)
        taken = ingest(engine, [bad], now, verify_inline)
        caught = taken == 0 and not store.known(record_id(good))
        taken = ingest(new_engine(corpus, MemoryStore()), [good], now, verify_inline)
        h.control(label, caught and taken == 1)
        store.close()
    start = process_time()
    ingest(new_engine(corpus, MemoryStore()), corpus.offers[:500], now, verify_inline)
    # Nothing can be faster than the verification it contains.
    spent = process_time() - start
    items = [signature_item(decode_record(data)) for data in corpus.offers[:500]]
    start = process_time()
    bare(items)
    h.control("ingestion cannot be faster than V", spent > process_time() - start)
