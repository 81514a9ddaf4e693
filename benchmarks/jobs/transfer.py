"""What a transfer costs: inside one coop, and certified by the witnesses of four and of ten nodes.

Real nodes in processes of their own, over libp2p on the loopback interface, each with its databases
in FULL synchronisation. The transfers go through the local interface: one after the other, as a
person's do, for the time that one takes; and a hundred a call from several clients at once, for how
many the nodes certify. The floor is the same two rounds of the same signatures over plain TCP
between as many processes (`plain_tcp.py`), measured in the same run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
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
CLIENTS = (1, 2, 4)
CALLS = 2
"""Of each client a round."""
JSON = {"content-type": "application/json"}


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
        payer, payee = member(nodes[0], "payer", "100000h"), member(nodes[0], "payee")
        abroad = member(nodes[1], "payee")
        one = member_orders(1)
        _control(h, plain)

        def transfer(to: str) -> None:
            placed = pay(nodes[0], payer, to, 1)
            if placed["status"] != "certified":
                raise AssertionError(placed)

        rounds = h.rounds({
            "plain": lambda: _times(lambda: plain.certify(one), count),
            "maillon": lambda: _times(lambda: transfer(payee), count),
        })  # fmt: skip
        inside = nodes[0].get("/v1/ledger")["latency_ms"]
        # The payee's coop writes a second block, which the nodes certify while the next transfer
        # is under way: there is no floor of one block for it.
        crossing = _times(lambda: transfer(abroad), count)
        h.row(f"{n} nodes: plain TCP, p50", 1e3 * rounds.median("plain", "wall"), "ms")
        h.row(f"{n} nodes: by the interface, p50", 1e3 * rounds.median("maillon", "wall"), "ms")
        h.row(f"{n} nodes: order to certificate inside the node, p50", inside["p50"], "ms")
        median, low, high = rounds.ratio("plain", "maillon", "wall")
        h.ratio_row(f"{n} nodes: maillon / plain TCP (p50)", (median, low, high), most=3.0)
        across = 1e3 * crossing.wall / crossing.units
        h.row(f"{n} nodes: to another coop, by the interface, p50", across, "ms")
        _batches(h, n, nodes, plain)


class Device:
    """A client of its own: a connection to the node, and an account whose key it holds."""

    def __init__(self, node: TestNode, number: int) -> None:
        self.key = SigningKey.from_seed(bytes([100 + number]) * 32)
        self.fed = bytes.fromhex(node.get("/v1/federation")["fed"])
        self.chain = bytes.fromhex(node.get("/v1/status")["coop"])
        self.payer, self.payee = (self._open(node, number, limit) for limit in ("100000h", "1h"))
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(node.home / "api.sock")),
            base_url="http://node",
            timeout=120,
        )
        self._numbers = itertools.count(1)
        self.ready: list[bytes] = []

    def close(self) -> None:
        """Close the connection."""
        self.http.close()

    def _open(self, node: TestNode, number: int, limit: str) -> bytes:
        placed = post(
            node,
            "/v1/accounts",
            kind="organisation",
            name=f"device {number}",
            key=self.key.public.hex(),
            positions=[{"limit": limit}],
            wait_s=30,
        )
        return bytes.fromhex(placed["account"])

    def prepare(self, calls: int) -> None:
        """Sign BATCH orders for each of so many calls, before anything is measured."""
        until = int(time.time()) + 3_600
        one = PayAction(self.chain, self.payee, 0, 1, bytes(32), "")
        chain, fed = self.chain, self.fed
        for _ in range(calls):
            orders = [
                sign_order(self.key, fed, self.payer, next(self._numbers), chain, until, one)
                for _ in range(BATCH)
            ]
            body = {"orders": [order.encode().hex() for order in orders], "wait_s": 60}
            self.ready.append(json.dumps(body).encode())

    def call(self) -> None:
        """Have the next BATCH orders certified. Raises: AssertionError when one is not."""
        answer = self.http.post("/v1/transfers/signed", content=self.ready.pop(0), headers=JSON)
        if not answer.is_success or answer.content.count(b'"certified"') != BATCH:
            raise AssertionError(answer.text[:2_000])


def _at_once(devices: list[Device]) -> Sample:
    """Let every client make its calls, each when the last is answered; tell this process's CPU as
    well, for a driver that is busy all the time measures itself."""

    def calls(device: Device) -> None:
        for _ in range(CALLS):
            device.call()

    cpu, wall = time.process_time(), perf_counter()
    with ThreadPoolExecutor(len(devices)) as pool:
        list(pool.map(calls, devices))  # raises what a call raised
    cpu, wall = time.process_time() - cpu, perf_counter() - wall
    return Sample(cpu, wall, len(devices) * CALLS * BATCH)


def _blocks(node: TestNode, chain: bytes) -> int:
    heads = node.get("/v1/ledger/heads")["heads"]
    return next(int(head["h"]) for head in heads if head["chain"] == chain.hex())


def _batches(h: Harness, n: int, nodes: list[TestNode], plain: Certifier) -> None:
    """Certify BATCH transfers a call, each signed on a device, for several clients at once.

    One client that waits for each answer leaves the node idle between its calls, and measures
    itself. With more, the node does what it can; that it is the node which is measured shows where
    twice as many clients get no more out of it.
    """
    rounds = 9
    devices = [Device(nodes[0], number) for number in range(CLIENTS[-1])]
    for place, device in enumerate(devices):
        turns = sum(place < clients for clients in CLIENTS)
        # Once more to see how many a block holds, and a warm-up where every variant runs once.
        device.prepare(((2 if h.quick else rounds) + 1) * CALLS * turns + CALLS)
    chain = devices[0].chain
    blocks, done = 0, 0

    def clients(count: int) -> Callable[[], Sample]:
        def work() -> Sample:
            nonlocal blocks, done
            before = _blocks(nodes[0], chain)
            sample = _at_once(devices[:count])
            if count == CLIENTS[-1]:
                blocks += _blocks(nodes[0], chain) - before
                done += int(sample.units)
            return sample

        return work

    clients(CLIENTS[-1])()
    # What comes while a block is certified shares the next: the floor certifies as many at a time.
    together = max(1, round(done / max(1, blocks)))
    members = member_orders(together)
    messages = items(h, 1_000)

    def plain_batch() -> int:
        plain.certify(members)
        return together

    many = f"{CLIENTS[-1]} clients"
    ran = h.rounds(
        {"V": lambda: bare(messages), "plain": plain_batch}
        | {f"{count} clients": clients(count) for count in CLIENTS},
        rounds=rounds,
    )
    for count in CLIENTS:
        rate = ran.rate(f"{count} clients", "wall")
        h.row(f"{n} nodes: transfers a second, {BATCH} a call, clients: {count}", rate, "/s")
    h.row(f"{n} nodes: transfers a block then", done / max(1, blocks))
    twice = ran.ratio(many, f"{CLIENTS[-2]} clients", "wall")
    h.ratio_row(f"{n} nodes: {CLIENTS[-1]} clients / {CLIENTS[-2]}", twice)
    driver = [s.cpu / s.wall for s in ran.samples[many]]
    h.row(f"{n} nodes: CPU of the driver, of a core", statistics.median(driver))
    # Every node verifies every member's signature, on the two cores that all of them share.
    floor = 2 / (n * 1.04)
    share = [value / floor for value in ran.ratio(many, "V", "wall")]
    h.ratio_row(
        f"{n} nodes: / (V × cores / (n × 1.04))", (share[0], share[1], share[2]), least=0.8
    )
    h.ratio_row(f"{n} nodes: / plain TCP, {together} a block", ran.ratio(many, "plain", "wall"))
    _control_batch(h, n, devices[0])
    for device in devices:
        device.close()


def _control_batch(h: Harness, n: int, device: Device) -> None:
    """A call with one order whose signature is not its member's must not look certified."""
    device.prepare(1)
    body = json.loads(device.ready.pop())
    order = bytearray.fromhex(body["orders"][BATCH // 2])
    order[-1] ^= 1
    body["orders"][BATCH // 2] = order.hex()
    device.ready.append(json.dumps(body).encode())
    try:
        device.call()
    except AssertionError:
        h.control(f"{n} nodes: a flipped signature among {BATCH} orders", True)
    else:
        h.control(f"{n} nodes: a flipped signature among {BATCH} orders", False)


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
