"""What a transfer costs: inside one coop, and certified by the witnesses of four and of ten nodes.

Real nodes in processes of their own, over libp2p on the loopback interface, each with its databases
in FULL synchronisation. The transfers go through the local interface, one after the other, as a
person's do. The floor is the same two rounds of the same signatures over plain TCP between as many
processes (`plain_tcp.py`), measured in the same run.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Generator
from pathlib import Path
from time import perf_counter
from typing import Any

from nacl.exceptions import BadSignatureError

from harness import Harness, Sample
from jobs.verify import bare, items
from maillon.ledger.orders import PayAction, sign_order
from maillon.protocol.keys import SigningKey
from plain_tcp import Certifier, Votes, certifier, key_of, member_orders
from support.exchanging import found_together, member, pay, post, start_all
from support.nodes import TestNode

NAME = "transfer"
DESCRIPTION = "transfers inside a coop and between coops, certified, against plain TCP"

BATCH = 100


def run(h: Harness) -> None:
    """Measure a lone coop, then federations of four and of ten."""
    _lone(h)
    for n in (4,) if h.quick else (4, 10):
        _federation(h, n)


@contextlib.contextmanager
def federation(directory: Path, count: int) -> Generator[list[TestNode]]:
    """Run a federation of real nodes and end it."""
    directory.mkdir()
    made = [TestNode(directory / f"n{i}", f"Coop {i}") for i in range(count)]
    try:
        found_together(made, directory / "founding.bin")
        start_all(made)
        yield made
    finally:
        for node in made:
            node.close()


def _times(work: Any, count: int) -> Sample:
    """Do something `count` times; the sample's wall clock is `count` times the median."""
    taken: list[float] = []
    for _ in range(count):
        began = perf_counter()
        work()
        taken.append(perf_counter() - began)
    wall = statistics.median(taken) * count
    return Sample(wall, wall, count)


def _verify_sign_commit(votes: Votes) -> None:
    key = key_of(200)
    key_of(200).verify_key.verify(bytes(key.sign(b"o" * 200)))
    votes.keep(b"order", b"o" * 300)


def _lone(h: Harness) -> None:
    count = 20 if h.quick else 100
    votes = Votes(h.tmp / "floor.db")
    with federation(h.tmp / "lone", 1) as (node,):
        payer, payee = member(node, "payer", "10000h"), member(node, "payee")

        def transfer() -> None:
            placed = pay(node, payer, payee, 1)
            if placed["status"] != "certified":
                raise AssertionError(placed)

        rounds = h.rounds({
            "floor": lambda: _times(lambda: _verify_sign_commit(votes), count),
            "transfer": lambda: _times(transfer, count),
            "interface": lambda: _times(lambda: node.http.get("/v1/status"), count),
        })  # fmt: skip
        inside = node.get("/v1/ledger")["latency_ms"]
    h.row("verify + sign + one FULL commit, p50", 1e3 * rounds.median("floor", "wall"), "ms")
    h.row("a question to the local interface, p50", 1e3 * rounds.median("interface", "wall"), "ms")
    h.row("one coop: transfer by the interface, p50", 1e3 * rounds.median("transfer", "wall"), "ms")
    floor_ms = 1e3 * rounds.median("floor", "wall")
    h.row("one coop: order to certificate inside the node, p50", inside["p50"], "ms")
    ratio = inside["p50"] / floor_ms
    h.ratio_row("one coop: inside / floor", (ratio, ratio, ratio), most=1.3)


def _federation(h: Harness, n: int) -> None:
    count = 10 if h.quick else 40
    h.tmp.joinpath(f"plain{n}").mkdir()
    with (
        certifier(n, h.tmp / f"plain{n}") as plain,
        federation(h.tmp / f"f{n}", n) as nodes,
    ):
        payer, payee = member(nodes[0], "payer", "100000h"), member(nodes[1], "payee")
        one = member_orders(1)
        _control(h, plain)

        def transfer() -> None:
            placed = pay(nodes[0], payer, payee, 1)
            if placed["status"] != "certified":
                raise AssertionError(placed)

        rounds = h.rounds({
            "plain": lambda: _times(lambda: plain.certify(one), count),
            "maillon": lambda: _times(transfer, count),
        })  # fmt: skip
        inside = nodes[0].get("/v1/ledger")["latency_ms"]
        h.row(f"{n} nodes: plain TCP, p50", 1e3 * rounds.median("plain", "wall"), "ms")
        h.row(f"{n} nodes: by the interface, p50", 1e3 * rounds.median("maillon", "wall"), "ms")
        h.row(f"{n} nodes: order to certificate inside the node, p50", inside["p50"], "ms")
        median, low, high = rounds.ratio("plain", "maillon", "wall")
        h.ratio_row(f"{n} nodes: maillon / plain TCP (p50)", (median, low, high), most=3.0)
        _batches(h, n, nodes, plain)


def _batches(h: Harness, n: int, nodes: list[TestNode], plain: Certifier) -> None:
    """Certify BATCH transfers at a time, each signed on a member's device."""
    fed = bytes.fromhex(nodes[0].get("/v1/federation")["fed"])
    chain = bytes.fromhex(nodes[0].get("/v1/status")["coop"])
    accounts: list[bytes] = []
    key = SigningKey.from_seed(b"d" * 32)
    for limit in ("100000h", "1h"):
        placed = post(
            nodes[0],
            "/v1/accounts",
            kind="organisation",
            name="a device",
            key=key.public.hex(),
            positions=[{"limit": limit}],
            wait_s=30,
        )
        accounts.append(bytes.fromhex(placed["account"]))
    payer, payee = accounts
    numbers = itertools.count(1)

    def orders() -> list[str]:
        until = int(time.time()) + 3_600
        pay_one = PayAction(chain, payee, 0, 1, bytes(32), "")
        return [
            sign_order(key, fed, payer, next(numbers), chain, until, pay_one).encode().hex()
            for _ in range(BATCH)
        ]

    ready = [orders() for _ in range(64)]
    hundred = member_orders(BATCH)
    messages = items(h, 1_000)

    def batch() -> int:
        done = post(nodes[0], "/v1/transfers/signed", orders=ready.pop(0), wait_s=60)["transfers"]
        if any(placed["status"] != "certified" for placed in done):
            raise AssertionError(done)
        return BATCH

    def plain_batch() -> int:
        plain.certify(hundred)
        return BATCH

    rounds = h.rounds({
        "V": lambda: bare(messages), "plain": plain_batch, "maillon": batch
    }, rounds=15)  # fmt: skip
    h.row(f"{n} nodes: transfers a second, {BATCH} a block", rounds.rate("maillon", "wall"), "/s")
    # Every node verifies every member's signature, on the two cores that all of them share.
    floor = 2 / (n * 1.04)
    share = [value / floor for value in rounds.ratio("maillon", "V", "wall")]
    h.ratio_row(
        f"{n} nodes: / (V × cores / (n × 1.04))", (share[0], share[1], share[2]), least=0.8
    )
    h.ratio_row(
        f"{n} nodes: / plain TCP, {BATCH} a block", rounds.ratio("maillon", "plain", "wall")
    )


def _control(h: Harness, plain: Certifier) -> None:
    """A member's signature that is not valid must fail on the floor as it does on the ledger."""
    orders = bytearray(member_orders(2))
    orders[70] ^= 1
    try:
        plain.certify(bytes(orders))
    except BadSignatureError:
        h.control("a flipped member's signature", True)
    else:
        h.control("a flipped member's signature", False)
