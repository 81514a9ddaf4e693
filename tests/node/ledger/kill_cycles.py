"""Kill the nodes of a federation under load, again and again, and see that nothing is lost.

    python tests/node/ledger/kill_cycles.py --cycles 300 [--seed N]

Four real nodes in processes of their own; members of all coops pay each other without a pause; at
random moments one or two of the nodes are killed with SIGKILL and started again. In the end:

- votes: no witness signed two votes or commits for different blocks at one (chain, height, term),
  nor two votes under one counter, and votes.db knows every vote that reached a writer;
- promises to people: whatever the interface answered with success is certified, or refused with a
  reason, and what it called certified stands in that very block on every node;
- money: every balance is what the certified transfers make, each counted once; all sums are zero.

Prints the seed first; a failure names it. Exit code 0 when all holds.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import re
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import support.nodes
from maillon.ledger.messages import decode_message
from maillon.ledger.rounds import Commit, Vote
from maillon.ledger.voterow import decode_row
from maillon.node.store.ledgerdisk import VOTES_FILE
from support.exchanging import agree, connected, found_together, member, post, serving
from support.nodes import TestNode, nodes, wait_for

NAMES = ("a", "b", "c", "d")
PAUSE_S = (0.05, 1.5)
DOWN_S = (0.0, 1.0)
# By hand it may run beside anything else: a busy machine is no failure.
PATIENCE_S = 300.0
SIGNED = re.compile(rb"a witness signed ([0-9a-f]+)")


@dataclass
class Told:
    """What the interface answered to one payment."""

    node: int
    id: str
    status: str
    block: dict[str, Any] | None


@dataclass
class Load:
    """Payments from every coop to every other, until stopped; what is answered is kept."""

    federation: Sequence[TestNode]
    accounts: Sequence[Sequence[str]]
    rng: random.Random
    told: list[Told] = field(default_factory=list[Told])
    stopping: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def start(self) -> None:
        for place in range(len(self.federation)):
            rng = random.Random(self.rng.random())  # noqa: TID251 - seeded
            thread = threading.Thread(target=self._pay, args=(place, rng), daemon=True)
            thread.start()
            self.threads.append(thread)

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a payer did not stop"

    def _pay(self, place: int, rng: random.Random) -> None:
        while not self.stopping.is_set():
            payer = rng.choice(self.accounts[place])
            payee = rng.choice([a for group in self.accounts for a in group if a != payer])
            body = {
                "from": payer.partition(":")[2],
                "to": payee,
                "amount": rng.randrange(1, 4),
                "wait_s": rng.choice((0.0, 0.2, 2.0)),
            }
            with contextlib.suppress(http.client.HTTPException, ValueError, OSError):
                status, said = self._ask(place, body)
                # A refusal is an error, and holds what became of the order.
                said = said.get("placed", said)
                if status < 300 or said.get("status") == "refused":
                    self.told.append(Told(place, said["id"], said["status"], said["block"]))
                elif status < 500:
                    # Refused before anything was promised: a node that is still catching up.
                    time.sleep(0.05)
            time.sleep(rng.uniform(0.0, 0.05))

    def _ask(self, place: int, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        path = str(self.federation[place].home / "api.sock")
        with contextlib.closing(_Api(path)) as api:
            headers = {"Content-Type": "application/json"}
            api.request("POST", "/v1/transfers", json.dumps(body), headers)
            answer = api.getresponse()
            return answer.status, json.loads(answer.read())


class _Api(http.client.HTTPConnection):
    """A connection to a node's socket that is closed although nobody listens.

    httpcore leaves the socket open when a connection fails, and Python warns of it.
    """

    def __init__(self, path: str) -> None:
        super().__init__("node", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def kill_one(federation: Sequence[TestNode], rng: random.Random) -> None:
    """Kill one node, sometimes two, and start them again after a while."""
    count = 2 if rng.random() < 0.2 else 1
    victims = rng.sample(list(federation), count)
    for victim in victims:
        victim.kill()
    time.sleep(rng.uniform(*DOWN_S))
    for victim in victims:
        victim.spawn()
    for victim in victims:
        wait_for(partial(serving, victim), f"{victim.name} answers again")


def settle(federation: Sequence[TestNode]) -> None:
    """Wait until nothing waits any more and all stand at the same heads."""
    for node in federation:
        connected(node, len(federation) - 1)
    for node in federation:
        wait_for(partial(_idle, node), f"nothing waits at {node.name}")
    agree(federation)
    # What was sent between coops arrives by itself, in blocks that follow.
    wait_for(
        lambda: all(_whole(post(node, "/v1/ledger/verify")) for node in federation)
        and len({str(node.get("/v1/ledger/heads")) for node in federation}) == 1,
        "everything has arrived",
    )


def _idle(node: TestNode) -> bool:
    orders = node.get("/v1/ledger")["orders"]
    return not (orders["waiting"] or orders["placed"])


def _whole(report: dict[str, Any]) -> bool:
    assert report["good"], report
    return all(row["balance"] == 0 for row in report["sums"])


def signed_by_witnesses(federation: Sequence[TestNode]) -> list[Vote | Commit]:
    """Return every vote and commit that reached a writer, as the logs have them."""
    found: list[Vote | Commit] = []
    for node in federation:
        for match in SIGNED.finditer(node.log.read_bytes()):
            message = decode_message(bytes.fromhex(match[1].decode()))
            assert isinstance(message, Vote | Commit)
            found.append(message)
    return found


def check_votes(federation: Sequence[TestNode], frames: Sequence[Vote | Commit]) -> int:
    """Check that nobody contradicted itself and that votes.db knows all; return how many."""
    places: dict[tuple[Any, ...], bytes] = {}
    counters: dict[tuple[bytes, bytes, int], tuple[Any, ...]] = {}
    highest: dict[tuple[bytes, bytes], int] = {}
    for frame in frames:
        place = (frame.TYPE, frame.witness, frame.chain, frame.h, frame.term)
        known = places.setdefault(place, frame.block)
        assert known == frame.block, f"two blocks at one place: {place}"
        if isinstance(frame, Vote):
            at = (frame.witness, frame.chain, frame.counter)
            same = (frame.h, frame.term, frame.block)
            assert counters.setdefault(at, same) == same, f"two votes under one counter: {at}"
            row = (frame.witness, frame.chain)
            highest[row] = max(highest.get(row, 0), frame.counter)
    for node in federation:
        witness = bytes.fromhex(node.get("/v1/ledger")["witness_key"])
        file = sqlite3.connect(f"file:{node.home / VOTES_FILE}?mode=ro", uri=True)
        try:
            rows = dict(file.execute("SELECT key, value FROM entries WHERE space = 'vote'"))
        finally:
            file.close()
        for (key, chain), counter in highest.items():
            if key == witness:
                kept = decode_row(rows[chain]).counter
                assert kept >= counter, f"{node.name} forgot a vote: {kept} < {counter}"
    return len(frames)


def check_promises(federation: Sequence[TestNode], told: Sequence[Told]) -> Counter[str]:
    """Check that what the interface said is so."""
    ends: Counter[str] = Counter()
    hashes: dict[tuple[str, int], str] = {}
    for one in told:
        transfer = federation[one.node].get(f"/v1/transfers/{one.id}")["transfer"]
        ends[transfer["status"]] += 1
        if one.status == "refused":
            # A refusal is the end of that order: it may not have gone through after all.
            assert transfer["status"] == "refused", (one, transfer)
        else:
            assert transfer["status"] in ("certified", "returned", "refused"), (one, transfer)
        if transfer["status"] == "refused":
            assert transfer["reason"], transfer
            assert one.status != "certified", (one, transfer)
        if one.status == "certified":
            assert one.block is not None
            assert transfer["block"]["hash"] == one.block["hash"], (one, transfer)
            place = (one.block["chain"], one.block["h"])
            assert hashes.setdefault(place, one.block["hash"]) == one.block["hash"]
    return ends


def check_money(federation: Sequence[TestNode], accounts: Sequence[Sequence[str]]) -> int:
    """Check that each balance is the sum of its lines, each transfer once; return how many."""
    debits: Counter[str] = Counter()
    credits: Counter[str] = Counter()
    for node, group in zip(federation, accounts, strict=True):
        for account in group:
            wanted = account.partition(":")[2]
            after: str | None = ""
            total = 0
            while after is not None:
                page = node.get(f"/v1/accounts/{wanted}/statement", limit=1_000, after=after)
                for line in page["lines"]:
                    total += line["amount"]
                    assert line["balance"] == total, line
                    (credits if line["amount"] > 0 else debits)[line["id"]] += 1
                after = page["next"]
            rows = node.get("/v1/accounts")["accounts"]
            (row,) = [row for row in rows if row["account"] == wanted]
            assert row["positions"][0]["balance"] == total, row
    assert max(debits.values(), default=0) <= 1, debits.most_common(3)
    assert max(credits.values(), default=0) <= 1, credits.most_common(3)
    assert debits.keys() == credits.keys(), debits.keys() ^ credits.keys()
    return len(debits)


def run(
    cycles: int, seed: int, directory: Path, *, seconds: float = 1e9, say: Any = print
) -> int:
    """Do so many cycles, or as many as fit into some seconds, and check everything.

    Return how many. Raises: AssertionError naming what does not hold.
    """
    rng = random.Random(seed)  # noqa: TID251 - seeded
    say(f"seed {seed}, {cycles} cycles")
    with nodes(directory, *NAMES) as federation:
        found_together(federation, directory / "founding", "--limit", "heure=10000h")
        for node in federation:
            config = node.home / "config.toml"
            text = config.read_text()
            text = re.sub(r'(?m)^#?\s*level\s*=.*$', 'level = "debug"', text)
            if 'level = "debug"' not in text:
                text += '\n[log]\nlevel = "debug"\n'
            config.write_text(text)
            node.spawn()
        for node in federation:
            wait_for(partial(serving, node), f"{node.name} answers")
        for node in federation:
            connected(node, len(federation) - 1)
        accounts = [
            [member(node, f"{node.name} {i}", "1000h") for i in range(2)] for node in federation
        ]
        agree(federation)
        load = Load(federation, accounts, rng)
        load.start()
        end = time.monotonic() + seconds
        done = 0
        for cycle in range(cycles):
            if time.monotonic() > end:
                break
            time.sleep(rng.uniform(*PAUSE_S))
            kill_one(federation, rng)
            done += 1
            if (cycle + 1) % 10 == 0:
                say(f"{cycle + 1} cycles, {len(load.told)} payments answered")
        time.sleep(1.0)
        load.stop()
        settle(federation)
        frames = signed_by_witnesses(federation)
        votes = check_votes(federation, frames)
        ends = check_promises(federation, load.told)
        transfers = check_money(federation, accounts)
        assert votes and ends["certified"] and transfers, (votes, ends, transfers)
        say(
            f"seed {seed}: {done} kills, {len(load.told)} payments answered, "
            f"{transfers} certified, {ends['refused']} refused, {votes} votes and commits compared"
        )
        return done


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cycles", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=1e9, help="end the kills after so long")
    arguments = parser.parse_args()
    seed = int(time.time()) if arguments.seed is None else arguments.seed
    support.nodes.WAIT_S = PATIENCE_S
    with tempfile.TemporaryDirectory(prefix="kill") as directory:
        run(arguments.cycles, seed, Path(directory), seconds=arguments.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
