"""Claims about other implementations of Negentropy v1: they and we find the same differences.

The peer is a Node.js process with the protocol author's own implementation and a second one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from maillon.protocol.reconcile import Initiator, ItemSet, Responder
from support.negentropy_js import Peer, missing
from support.reconciling import Item

SEED = 20_260_503

if reason := missing():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    assert peer.close() == 0


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
