"""Bytes that gossip costs: a record published at one node until all ten have it.

Ten nodes in one process of their own, each with its own libp2p host, engine and database, connected
over loopback: ten processes would spend the two cores on ten imports of libp2p. Counted is what
the hosts hand to their connections as gossip, control messages included.
"""

from __future__ import annotations

from apart import Apart
from corpus import federation, fill
from harness import Harness
from jobs.ingest import ingest, new_engine
from maillon.node.store import SqliteStore

NAME = "gossip"
DESCRIPTION = "bytes of gossip a record and node, in units of the record's envelope"


def run(h: Harness) -> None:
    """Publish records one at a time and in company."""
    nodes = 4 if h.quick else 10
    count = 24 if h.quick else 200
    corpus = fill(
        federation(h.rng.randrange(1 << 16), coops=nodes, members=4 * nodes), 2 * count + 1, 3
    )
    envelope = corpus.envelope_bytes
    paths = [str(h.tmp / f"{place}.db") for place in range(nodes)]
    for path in paths:
        store = SqliteStore(path)
        ingest(new_engine(corpus, store), [], corpus.world.now, lambda items: [])
        store.close()
    with Apart(
        founding=corpus.world.founding.encode().hex(),
        seeds=[coop.node.secret_bytes().hex() for coop in corpus.world.coops],
        now=corpus.world.now,
    ) as process:
        process.ask("open", paths=paths)
        meshed = process.ask("mesh")
        h.row("nodes", nodes)
        if not meshed:
            h.row("mesh", "did not form directly; gossip goes by announcement")
        for label, records, every_s, together in (
            ("one record every 50 ms", corpus.offers[:count], 0.05, 1),
            ("eight records every 100 ms", corpus.offers[count : 2 * count], 0.1, 8),
        ):
            done = process.ask(
                "gossip",
                records=[record.hex() for record in records],
                every_s=every_s,
                together=together,
            )
            arrived = min(done["stored"])
            ratio = done["bytes"] / (count * nodes * envelope)
            cpu = 1e3 * done["cpu"] / (count * (nodes - 1))
            h.row(f"{label}: bytes / (envelope × nodes)", ratio, "×", "≤ 2.0", ratio <= 2.0)
            h.row("  CPU of a delivery", cpu, "ms")
            h.row("  records that every node has", f"{arrived} of {count}", "", f"{count}",
                  arrived == count)  # fmt: skip
        seconds = 2 if h.quick else 20
        still = process.ask("idle", seconds=seconds)
        h.row("while nothing happens, a node", still / nodes / seconds, "bytes/s")
        good = corpus.offers[-1]
        at = good.index(b"\xc4\x40") + 2
        flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        try:
            process.ask("gossip", records=[flipped.hex()], every_s=0.1, together=1)
            caught = False
        except RuntimeError:
            caught = True
        h.control("a flipped signature is not published", caught)
