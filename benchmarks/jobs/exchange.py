"""What exchanges cost a node that has ten thousand open: to list them, and to take a step.

One core over a real exchange.db (FULL synchronisation), filled through its own gate with signed
steps of two people; lists and steps are measured as CPU of this process, as a request pays them
inside the node. Then two real nodes: how long until a step on one is seen on the other, against
two round trips between them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from harness import Harness, Sample
from maillon.ledger.units import UnitTable
from maillon.node.api.caller import THE_OPERATOR
from maillon.node.api.exchange_service import ExchangeOptions, PersonOptions
from maillon.node.engine.exchange.writing import Signer
from maillon.node.exchange.desk import ExchangeDesk
from maillon.node.exchange.runner import ExchangeRunner
from maillon.node.store.exchangedisk import ExchangeDisk
from maillon.protocol.envelope import Signed, sign
from maillon.protocol.errors import BadSignature
from maillon.protocol.exchange import StepRefused
from support.exchangenet import CoopNode, Net
from support.exchangenodes import federation, open_with, reaches, resident
from support.nodes import nodes
from support.world import Member

NAME = "exchange"
DESCRIPTION = "exchanges: lists and steps with ten thousand open, and a step seen at the other node"

OPEN = 10_000
QUICK_OPEN = 500
BATCH = 250
PAGE = 50
CPU_MS_MAX = 20.0
VISIBLE_MS_MAX = 50.0
POLL_S = 0.002


class Register:
    """The one person whom lists ask for by id."""

    def __init__(self, member: Member) -> None:
        self.id = bytes(member.person)
        self.name = member.name

    def find_person(self, prefix: str) -> Register:
        return self

    def name_of(self, person: bytes) -> str:
        return "Somebody"


class BenchHost:
    """As much of a node as lists need."""

    def __init__(self, node: CoopNode, member: Member) -> None:
        self._node = node
        self.coop = bytes(node.coop.id)
        self.founding = node.net.world.founding
        self.node_key = node.coop.node
        self.register = Register(member)
        self.directory = node.rig.engine.view

    def time(self) -> int:
        return self._node.net.now

    def random(self, size: int) -> bytes:
        return self._node.net.world.fresh(size)

    def coop_name(self, coop: bytes) -> str:
        return coop.hex()[:8]


def filled(h: Harness, count: int) -> tuple[Net, Member, list[bytes]]:
    """Return a coop with so many open exchanges between one person and a hundred others."""
    disk = ExchangeDisk(Path(h.tmp) / "exchange.db")
    net = Net(2, seed="bench", stores=lambda place: disk if place == 0 else None)
    asks = net.member(0, "asks")
    others = [net.member(0, f"other {n}") for n in range(100)]
    node = net.nodes[0]
    made: list[bytes] = []
    for start in range(0, count, BATCH):
        with disk.batch():
            for n in range(start, min(count, start + BATCH)):
                gives = others[n % len(others)]
                exchange = node.act(
                    asks, "opening", requester=asks.author, provider=gives.author,
                    title=f"Garden {n}", lang="en",
                )  # fmt: skip
                quote = node.act(
                    gives, "quote", exchange, terms=net.terms(settle="after"),
                    valid_until=net.now + 30 * 86_400,
                )  # fmt: skip
                node.act(asks, "agreement", exchange, quote=quote)
                made.append(exchange)
    return net, asks, made


def run(h: Harness) -> None:
    """Measure one core, then two nodes."""
    _core(h)
    _nodes(h)


def _core(h: Harness) -> None:
    count = QUICK_OPEN if h.quick else OPEN
    began = perf_counter()
    net, asks, made = filled(h, count)
    h.say(f"  filled with {count} exchanges in {perf_counter() - began:.0f} s")
    node = net.nodes[0]
    host = cast(Any, BenchHost(node, asks))
    runner = ExchangeRunner(node.core, host, cast(Any, None), lambda key: None)
    runner.do = lambda effects: None  # type: ignore[method-assign]
    desk = ExchangeDesk(host, runner, lambda: UnitTable(()))
    person = asks.author.hex()

    def listing(**more: Any) -> None:
        found = desk.exchanges(ExchangeOptions(limit=PAGE, **more), THE_OPERATOR)
        if len(found.exchanges) != min(PAGE, count):
            raise AssertionError(len(found.exchanges))

    def step() -> None:
        exchange = made[h.rng.randrange(len(made))]
        node.core.transcripts.changed(exchange)
        node.act(asks, "message", exchange, text="At nine then.", lang="en")

    def deep() -> None:
        after = f"{net.now}:{made[len(made) // 2].hex()}"
        desk.exchanges(ExchangeOptions(limit=PAGE, after=after), THE_OPERATOR)

    def show() -> None:
        desk.show(made[h.rng.randrange(len(made))].hex(), THE_OPERATOR)

    variants: dict[str, Any] = {
        "all": lambda: _times(listing, 10),
        "mine": lambda: _times(lambda: listing(person=person), 10),
        "waiting": lambda: _times(
            lambda: desk.exchanges(
                ExchangeOptions(person=person, waiting_for_me=True, limit=PAGE), THE_OPERATOR
            ),
            10,
        ),
        "deep": lambda: _times(deep, 10),
        "agenda": lambda: _times(
            lambda: desk.agenda(PersonOptions(person=person, start=0, limit=PAGE), THE_OPERATOR), 10
        ),
        "show": lambda: _times(show, 10),
        "step": lambda: _times(step, 10),
    }
    rounds = h.rounds(variants)
    labels: Mapping[str, str] = {
        "all": f"list {PAGE} of {count}",
        "mine": f"list {PAGE} of one person's {count}",
        "waiting": f"list what waits for one person, of {count}",
        "deep": "list from the middle on",
        "agenda": f"the next {PAGE} appointments",
        "show": "show one, with what is possible",
        "step": "take a step: check, sign, commit, fold, project",
    }
    for name, label in labels.items():
        ms = 1e3 * rounds.median(name)
        h.row(f"{label}, CPU", ms, "ms", f"< {CPU_MS_MAX:.0f} ms", ms < CPU_MS_MAX)
    _control(h, node, asks, made[0])


def _times(work: Any, count: int) -> Sample:
    wall, cpu = perf_counter(), time.process_time()
    for _ in range(count):
        work()
    return Sample(time.process_time() - cpu, perf_counter() - wall, count)


def _control(h: Harness, node: CoopNode, asks: Member, exchange: bytes) -> None:
    """A step with a flipped signature, and one that does not fit, must not be taken."""
    made, _standing = node.core.draft(
        "message", {"text": "No.", "lang": "en"}, Signer(asks.key.public, asks.coop.id),
        exchange, node.net.now,
    )  # fmt: skip
    good = sign(made, asks.key)
    wrong = bytes([good.signature[0] ^ 1]) + good.signature[1:]
    forged = Signed(
        good.header, good.header_bytes, good.id, wrong, good.payload_bytes, good.payload
    )
    caught = False
    try:
        node.core.take(forged, node.net.now)
    except BadSignature:
        caught = True
    h.control("a step with a flipped signature", caught)
    caught = False
    try:
        node.act(asks, "check_out", exchange, time=node.net.now)
    except StepRefused:
        caught = True
    h.control("a step that does not fit", caught)


def _nodes(h: Harness) -> None:
    count = 10 if h.quick else 60
    directory = h.tmp / "x"
    directory.mkdir()
    with nodes(directory, "a", "b") as (one, other):
        federation([one, other], directory / "f.bin")
        asks, gives = resident(one, "Ana"), resident(other, "Bo")
        exchange = open_with(asks, gives)
        reaches(gives, exchange, "opened")
        path = f"/v1/exchanges/{exchange}"
        asked: list[float] = []
        seen: list[float] = []
        steps = 1
        for n in range(count):
            began = perf_counter()
            answer = one.http.post(
                f"{path}/steps",
                json={"kind": "message", "by": asks.person, "fields": {"text": f"Word {n}."}},
            )
            asked.append(perf_counter() - began)
            if not answer.is_success:
                raise AssertionError(answer.text)
            steps += 1
            while other.http.get(path).json()["steps"] < steps:
                time.sleep(POLL_S)
            seen.append(perf_counter() - began)
    h.row("two nodes: a step, until it is answered, p50", 1e3 * statistics.median(asked), "ms")
    p50, p95 = (1e3 * statistics.quantiles(seen, n=20)[place] for place in (9, 18))
    h.row("two nodes: a step, until the other shows it, p95", p95, "ms")
    h.row(
        "two nodes: a step, until the other shows it, p50",
        p50,
        "ms",
        f"< 2 round trips + {VISIBLE_MS_MAX:.0f} ms",
        p50 < VISIBLE_MS_MAX,
    )
