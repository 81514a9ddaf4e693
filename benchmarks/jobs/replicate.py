"""Records from one node's database into another's over libp2p, between two real processes.

What is measured is one whole reconciliation session: compare, fetch, read, verify, store, index.
The receiving side knows profiles and memberships already. Beside it, the same number of entries of
the same size is replicated between two Node.js processes by hypercore and by ssb-db2, over TCP.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from apart import TOP, Apart, Process
from corpus import Corpus, federation, fill
from harness import Harness, Sample
from jobs.ingest import ingest, new_engine
from jobs.verify import bare, bare_pool
from maillon.node.store import SqliteStore
from maillon.protocol.envelope import decode_record
from maillon.protocol.keys import SigningKey
from maillon.protocol.validation import signature_item

NAME = "replicate"
DESCRIPTION = "a reconciliation session between two processes, against V and other replicators"

PEERS = TOP / "benchmarks" / "peers"


def write_database(path: Path, corpus: Corpus, records: list[bytes]) -> None:
    """Write a node's database that holds the federation's own records and these."""
    store = SqliteStore(path)
    engine = new_engine(corpus, store)
    stored = ingest(engine, records, corpus.world.now, lambda items: [True] * len(items))
    if stored != len(records):
        raise AssertionError(f"{len(records) - stored} records were refused")
    store.close()


def apart(corpus: Corpus, place: int, *, threads: int = 0) -> Apart:
    """Start the node of a founding coop in a process of its own."""
    return Apart(
        founding=corpus.world.founding.encode().hex(),
        seeds=[corpus.world.coops[place].node.secret_bytes().hex()],
        now=corpus.world.now,
        threads=threads,
    )


class Pair:
    """Two nodes in two processes: one that holds records and one that fetches them."""

    def __init__(self, h: Harness, corpus: Corpus, held: Path, stack: ExitStack) -> None:
        self._tmp = h.tmp
        self._corpus = corpus
        self._numbers = itertools.count()
        self.holder = stack.enter_context(apart(corpus, 0))
        self.fetcher = stack.enter_context(apart(corpus, 1))
        self.holder.ask("open", paths=[str(held)])
        self.last: dict[str, Any] = {}

    def fetch(self, threads: int, have: list[bytes] | None = None, count: int = 0) -> Sample:
        """Reconcile a database that has `have` only; return what both processes spent."""
        path = self._tmp / f"fetcher-{next(self._numbers)}.db"
        write_database(path, self._corpus, have or [])
        self.fetcher.ask("open", paths=[str(path)])
        self.fetcher.ask("threads", threads=threads)
        # At once when they are connected still.
        self.fetcher.ask("connect", peer=self.holder.key, addresses=self.holder.addresses)
        before = self.holder.ask("cpu")
        self.last = self.fetcher.ask("sync", peer=self.holder.key)
        both = self.last["cpu"] + self.holder.ask("cpu") - before
        if self.last["stored"] != count:
            raise AssertionError(f"{self.last['stored']} records came, not {count}")
        return Sample(both, self.last["wall"], count)


class Peer:
    """Another replicator: two Node.js processes and a directory."""

    def __init__(self, h: Harness, name: str, count: int, size: int, stack: ExitStack) -> None:
        command = [str(TOP / "tools" / "node"), str(PEERS / f"{name}.mjs")]
        self._holder = stack.enter_context(Process(command))
        self._fetcher = stack.enter_context(Process(command))
        self._count = count
        self._tmp = h.tmp / name
        self._numbers = itertools.count()
        self._facts: dict[str, Any] = self._holder.ask(
            "fill", dir=str(self._tmp / "holder"), count=count, size=size
        )

    def fetch(self) -> Sample:
        """Replicate everything into an empty directory."""
        before = self._holder.ask("cpu")
        done = self._fetcher.ask(
            "fetch",
            dir=str(self._tmp / f"fetcher-{next(self._numbers)}"),
            count=self._count,
            **self._facts,
        )
        if done["count"] != self._count:
            raise AssertionError(f"{done['count']} entries came, not {self._count}")
        both = done["cpu"] + self._holder.ask("cpu") - before
        return Sample(both, done["wall"], self._count)


def run(h: Harness) -> None:
    """Measure a session, its bytes, and the peers; then a long backlog."""
    count = 1_000 if h.quick else 10_000
    backlog = count if h.quick else 100_000
    corpus = fill(federation(h.rng.randrange(1 << 16)), backlog, 2)
    some = corpus.offers[-count:]
    items = [signature_item(decode_record(data)) for data in some]
    held = h.tmp / "holder.db"
    write_database(held, corpus, some)
    size = round(sum(map(len, some)) / len(some))
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        pair = Pair(h, corpus, held, stack)
        variants: dict[str, Callable[[], Any]] = {
            "V": lambda: bare(items),
            "V2": lambda: bare_pool(pool, items),
            "inline": lambda: pair.fetch(0, count=count),
            "pooled": lambda: pair.fetch(2, count=count),
        }
        there = (PEERS / "node_modules").is_dir()
        if there:
            for name in ("hypercore", "ssb"):
                variants[name] = Peer(h, name, count, size, stack).fetch
        rounds = h.rounds(variants, rounds=5, warmup=not h.quick)
        h.row("mean record", size, "bytes")
        h.row("inline", rounds.rate("inline", "wall"), "records/s")
        h.ratio_row("inline / V (wall clock)", rounds.ratio("inline", "V", "wall"), least=0.80)
        h.row("pooled", rounds.rate("pooled", "wall"), "records/s")
        h.ratio_row("pooled / V₂ (wall clock)", rounds.ratio("pooled", "V2", "wall"), least=0.70)
        h.row("a record, CPU of both sides", 1e6 * rounds.median("inline"), "µs")
        for name in ("hypercore", "ssb"):
            label = f"records per CPU-second / {name}"
            if there:
                h.row(f"{name}: an entry, CPU of both sides", 1e6 * rounds.median(name), "µs")
                h.ratio_row(label, rounds.ratio("inline", name), least=2.5)
            else:
                h.skip(label, "benchmarks/peers/node_modules is absent: make bench-peers")
        _catch_up(h, corpus, pair, backlog)
        _controls(h, corpus, pair, some)


def _catch_up(h: Harness, corpus: Corpus, pair: Pair, backlog: int) -> None:
    """Fetch the newest nine tenths of a database, as a node does that was away."""
    held = h.tmp / "backlog.db"
    write_database(held, corpus, corpus.offers)
    pair.holder.ask("open", paths=[str(held)])
    older, newer = corpus.offers[: backlog // 10], corpus.offers[backlog // 10 :]
    items = [signature_item(decode_record(data)) for data in newer[:5_000]]
    with ThreadPoolExecutor(2) as pool:
        rounds = h.rounds(
            {
                "V2": lambda: bare_pool(pool, items),
                "catch-up": lambda: pair.fetch(2, older, len(newer)),
            },
            rounds=1 if h.quick else 2,
            warmup=False,
        )
    last = pair.last
    envelopes = sum(map(len, newer))
    records = last["records_in"]
    other = last["other_in"] + last["other_out"]
    h.row(f"catch-up of {len(newer):,}", rounds.rate("catch-up", "wall"), "records/s")
    h.ratio_row("catch-up / V₂ (wall clock)", rounds.ratio("catch-up", "V2", "wall"), least=0.65)
    h.row("  finding and asking, a missing record", other / len(newer), "bytes", "≤ 20",
          other / len(newer) <= 20)  # fmt: skip
    h.row("  record frames / envelopes", records / envelopes, "×", "≤ 1.03",
          records / envelopes <= 1.03)  # fmt: skip
    again = pair.fetcher.ask("sync", peer=pair.holder.key)
    idle = sum(size for name, size in again.items() if name.endswith(("_in", "_out")))
    h.row("a session when nothing is missing", idle, "bytes", "≤ 1,024", idle <= 1_024)


def _controls(h: Harness, corpus: Corpus, pair: Pair, some: list[bytes]) -> None:
    """Serve a database with one flipped signature: all but that record must come."""
    good = some[-1]
    at = good.index(b"\xc4\x40") + 2
    flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    held = h.tmp / "flipped.db"
    write_database(held, corpus, [*some[-300:-1], flipped])
    pair.holder.ask("open", paths=[str(held)])
    path = h.tmp / "control.db"
    write_database(path, corpus, [])
    pair.fetcher.ask("open", paths=[str(path)])
    taken = pair.fetcher.ask("sync", peer=pair.holder.key)
    h.control("a flipped signature among 300 records", taken["stored"] == 299)
    seed = SigningKey.from_seed(bytes(32)).public.hex()
    try:
        pair.fetcher.ask("sync", peer=seed)
        refused = False
    except RuntimeError:
        refused = True
    h.control("a session with a node that is not there", refused)
