"""Claims about other implementations of Negentropy v1: they and we find the same differences.

The peer is a Node.js process with the protocol author's own implementation and a second one.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.protocol.reconcile import Initiator, ItemSet, Responder
from support.reconciling import Item

TOP = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
SEED = 20_260_503

for needed in ("@welshman/net", "nostr-tools"):
    if not (MODULES / needed / "package.json").is_file():
        pytest.skip(
            f"{needed} is not installed in tests/interop: make tests/interop/node_modules",
            allow_module_level=True,
        )


class Peer:
    """Talk to the other process, a question and an answer at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [TOP / "tools/node", HERE / "negentropy_peer.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """Return the answer; the peer's exceptions fail the test."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the peer process has ended"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def new(self, implementation: str, items: list[Item], frame: int) -> None:
        """Have the peer hold these items."""
        listed = [[at, id_.hex()] for at, id_ in items]
        self.ask(op="new", implementation=implementation, items=listed, frame=frame)

    def reconcile(self, message: bytes) -> tuple[bytes | None, set[bytes], set[bytes]]:
        """Hand the peer a message; return its own, and the ids it says it has and needs."""
        answer = self.ask(op="reconcile", message=message.hex())
        reply = answer["message"]
        return (
            None if reply is None else bytes.fromhex(reply),
            {bytes.fromhex(id_) for id_ in answer["have"]},
            {bytes.fromhex(id_) for id_ in answer["need"]},
        )


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    assert peer.process.stdin is not None and peer.process.stdout is not None
    peer.process.stdin.close()
    try:
        assert peer.process.wait(timeout=20) == 0
    finally:
        peer.process.kill()
        peer.process.wait()
        peer.process.stdout.close()


# Timestamps stay below 2^31: the JavaScript peers read varints with 32-bit shifts.
def some_sets(rng: random.Random) -> tuple[list[Item], list[Item]]:
    def some(count: int) -> list[Item]:
        made: list[Item] = []
        for _ in range(count):
            at = rng.choice(spans)
            id_ = rng.randbytes(32)
            if prefixes:
                cut = rng.choice([0, 1, 3, 20])
                id_ = bytes(cut) + id_[cut:]
            made.append((at, id_))
        return made

    spans = rng.choice(
        [range(1_700_000_000, 1_700_100_000), range(1_700_000_000, 1_700_000_003), range(5)]
    )
    prefixes = rng.random() < 0.3
    sizes = [0, 1, 2, 7, 33, 300, 3_000]
    common = some(rng.choice(sizes))
    ours, theirs = some(rng.choice(sizes)), some(rng.choice(sizes))
    if rng.random() < 0.3 and theirs:
        since = sorted(theirs)[len(theirs) // 2]
        ours = [item for item in ours if item < since]
        common = [item for item in common if item < since]
    return common + ours, common + theirs


ROUNDS_MAX = 600
CASES = [(seed, frame) for seed in range(14) for frame in (4_096, 60_000)]


def differences(ours: list[Item], theirs: list[Item]) -> tuple[set[bytes], set[bytes]]:
    return {i for _, i in set(ours) - set(theirs)}, {i for _, i in set(theirs) - set(ours)}


@pytest.mark.parametrize(("seed", "frame"), CASES)
def test_we_ask_and_the_reference_implementation_answers(
    peer: Peer, seed: int, frame: int
) -> None:
    ours, theirs = some_sets(random.Random(f"{SEED} {seed}"))
    peer.new("reference", theirs, frame)
    initiator = Initiator(ItemSet(ours), frame)
    message: bytes | None = initiator.initiate()
    have: list[bytes] = []
    need: list[bytes] = []
    for _ in range(ROUNDS_MAX):
        if message is None:
            break
        reply, _, _ = peer.reconcile(message)
        assert reply is not None
        step = initiator.reconcile(reply)
        have += step.have
        need += step.need
        message = step.reply
        assert step.complete is (message is None)
    assert message is None
    expected = differences(ours, theirs)
    assert (set(have), set(need)) == expected
    assert len(have) == len(set(have)) and len(need) == len(set(need))


@pytest.mark.parametrize("implementation", ["reference", "nostr-tools"])
@pytest.mark.parametrize(("seed", "frame"), CASES)
def test_they_ask_and_we_answer(
    peer: Peer, implementation: str, seed: int, frame: int
) -> None:
    ours, theirs = some_sets(random.Random(f"{SEED} {seed}"))
    if implementation == "nostr-tools":
        # It learns from lists alone and lists nothing twice, so what it says it has and needs is
        # only complete when it asks first: it is the client here and the answers are ours.
        ours, theirs = theirs, ours
    peer.new(implementation, theirs, frame)
    message: bytes | None = bytes.fromhex(peer.ask(op="initiate")["message"])
    responder = Responder(ItemSet(ours), frame)
    have: set[bytes] = set()
    need: set[bytes] = set()
    for _ in range(ROUNDS_MAX):
        if message is None:
            break
        message, more_have, more_need = peer.reconcile(responder.reply(message))
        have |= more_have
        need |= more_need
    assert message is None
    assert (need, have) == differences(ours, theirs)


def test_a_peer_without_the_newest_stretch_is_told_so_in_few_bytes(peer: Peer) -> None:
    rng = random.Random(SEED)
    items = [(1_700_000_000 + 10 * k, rng.randbytes(32)) for k in range(20_000)]
    peer.new("reference", items[:-200], 60_000)
    initiator = Initiator(ItemSet(items), 60_000, ranges=True)
    message: bytes | None = initiator.initiate()
    carried = 0
    have: list[bytes] = []
    while message is not None:
        reply, _, _ = peer.reconcile(message)
        assert reply is not None
        carried += len(message) + len(reply)
        step = initiator.reconcile(reply)
        have += step.have
        for range_ in step.have_ranges:
            page, rest = range_.page(ItemSet(items), 1_000)
            assert rest is None
            have += [id_ for _, id_ in page]
        message = step.reply
    assert set(have) == {id_ for _, id_ in items[-200:]}
    assert carried < 4_000
