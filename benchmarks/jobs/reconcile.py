"""What reconciliation costs: bytes on the wire and CPU for each record that one side lacks.

Bytes are exact and need no rounds: the same sets give the same messages. They are counted both
ways, with the frames that ask for whole ranges. CPU is that of both sides, in one process.
"""

from __future__ import annotations

import random
from pathlib import Path

from harness import Harness
from maillon.protocol.reconcile import ItemSet
from support import negentropy_js
from support.reconciling import Item, Outcome, reconcile, timeline

NAME = "reconcile"
DESCRIPTION = "Bytes and CPU for finding what another node lacks."

FRAME_JS = 60_000
"""The frame limit the JavaScript implementations use by default."""


def run(harness: Harness) -> None:
    """Measure the usual cases at one million records (20,000 when quick)."""
    count = 20_000 if harness.quick else 1_000_000
    items = timeline(count, random.Random(harness.rng.random()))
    _bytes(harness, items)
    _growth(harness, items)
    _reference(harness, items[: count // 10])
    _controls(harness, items)


def _bytes(harness: Harness, items: list[Item]) -> None:
    before = _resident()
    whole = ItemSet(items)
    held = (_resident() - before) / len(items)
    if harness.quick:
        harness.skip("memory of the ordered set", "too few records to tell it from the rest")
    else:
        harness.row("memory of the ordered set", held, "bytes/record", "≤ 60", held <= 60)
    lacking = len(items) // 100
    older = ItemSet(items[:-lacking])
    outcome = reconcile(older, whole, ranges=True)
    each = outcome.session_bytes() / lacking
    harness.row("newest 1 % missing, a missing record", each, "bytes", "≤ 20", each <= 20)
    harness.row("  round trips", outcome.rounds)
    plain = _bytes_of(reconcile(older, whole)) / lacking
    harness.row("  with plain Negentropy, which lists each id", plain, "bytes")
    # A control of the measure itself: listed ids have 32 bytes, and the counter must see them.
    harness.control("ids that are listed are counted", plain > 32)

    rng = random.Random(harness.rng.random())
    own = [(rng.choice(items[-lacking:])[0], rng.randbytes(32)) for _ in range(lacking // 50)]
    older.load(own)
    outcome = reconcile(older, whole, ranges=True)
    each = outcome.session_bytes() / (lacking + len(own))
    harness.row("the same, 2 % own records among them", each, "bytes", "≤ 20", each <= 20)

    absent = set(rng.sample(items, lacking))
    some = ItemSet(item for item in items if item not in absent)
    for label, ours, theirs in (("here", some, whole), ("there", whole, some)):
        outcome = reconcile(ours, theirs, ranges=True)
        each = outcome.session_bytes() / lacking
        harness.row(f"1 % missing {label}, spread", each, "bytes", "≤ 650", each <= 650)
        harness.row("  round trips", outcome.rounds)
    same = _bytes_of(reconcile(whole, ItemSet(items), ranges=True))
    harness.row("identical sets, all of it", same, "bytes", "≤ 340", same <= 340)


def _growth(harness: Harness, items: list[Item]) -> None:
    """Compare the cost of a record in a set and in one twice as large."""
    half, whole = ItemSet(items[: len(items) // 2]), ItemSet(items)
    fresh = 2_000

    def kept_up(held: ItemSet, last: int) -> int:
        added = [(last + k, bytes([k % 251]) * 32) for k in range(fresh)]
        for at, id_ in added:
            held.add(at, id_)
            held.range_fingerprint(len(held) - 100, len(held))
        for at, id_ in added:
            held.discard(at, id_)
        return fresh

    def found(held: ItemSet, source: list[Item]) -> int:
        newest = source[-200:]
        for at, id_ in newest:
            held.discard(at, id_)
        other = half if held is half else whole
        outcome = reconcile(other, everything[id(held)], ranges=True)
        assert outcome.complete
        for at, id_ in newest:
            held.add(at, id_)
        return 200

    everything = {id(half): ItemSet(items[: len(items) // 2]), id(whole): ItemSet(items)}
    last = items[-1][0] + 1
    rounds = harness.rounds(
        {
            "add, N": lambda: kept_up(half, last),
            "add, 2N": lambda: kept_up(whole, last),
            "find 200, N": lambda: found(half, items[: len(items) // 2]),
            "find 200, 2N": lambda: found(whole, items),
        }
    )
    harness.row("a record added and removed, one fingerprint", 1e6 * rounds.median("add, 2N"), "µs")
    doubled = rounds.ratio("add, N", "add, 2N")
    harness.ratio_row("  cost when N doubles", doubled, most=1.05)
    harness.row("a newest record found missing", 1e6 * rounds.median("find 200, 2N"), "µs")
    doubled = rounds.ratio("find 200, N", "find 200, 2N")
    harness.ratio_row("  cost when N doubles", doubled, most=1.05)


def _reference(harness: Harness, items: list[Item]) -> None:
    """Let the protocol author's implementation find the same differences, both sides its own."""
    if reason := negentropy_js.missing():
        harness.skip("the reference implementation", reason)
        return
    lacking = len(items) // 100
    absent = set(random.Random(harness.rng.random()).sample(items, lacking))
    for label, ours in (
        ("newest", items[:-lacking]),
        ("spread", [item for item in items if item not in absent]),
    ):
        there = negentropy_js.Peer()
        here = negentropy_js.Peer()
        try:
            here.new("reference", ours, FRAME_JS)
            there.new("reference", items, FRAME_JS)
            carried, found = 0, set[bytes]()
            message: bytes | None = bytes.fromhex(here.ask(op="initiate")["message"])
            while message is not None:
                reply, _, _ = there.reconcile(message)
                assert reply is not None
                carried += len(message) + len(reply)
                message, _, need = here.reconcile(reply)
                found |= need
            assert len(found) == lacking
        finally:
            here.close()
            there.close()
        outcome = reconcile(ItemSet(ours), ItemSet(items), FRAME_JS, ranges=True)
        each = outcome.session_bytes() / lacking
        title = f"1 % of {len(items):,} missing, {label}"
        harness.row(f"{title}: reference", carried / lacking, "bytes")
        harness.row(f"{title}: ours", each, "bytes", f"≤ {carried / lacking:.0f}",
                    each <= carried / lacking)


def _controls(harness: Harness, items: list[Item]) -> None:
    at, id_ = items[len(items) // 3]
    broken = ItemSet(items)
    broken.discard(at, id_)
    broken.add(at, bytes((id_[0] ^ 1,)) + id_[1:])
    outcome = reconcile(broken, ItemSet(items), ranges=True)
    harness.control(
        "one bit of one id in all of them",
        outcome.need == [id_] and len(outcome.have) == 1,
    )
    cut = ItemSet(items[:100] + items[110:])
    outcome = reconcile(ItemSet(items), cut)
    harness.control(
        "ten records missing from the oldest",
        sorted(outcome.have) == sorted(id_ for _, id_ in items[100:110]),
    )


def _bytes_of(outcome: Outcome) -> int:
    assert outcome.complete
    return outcome.bytes_up + outcome.bytes_down


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096
