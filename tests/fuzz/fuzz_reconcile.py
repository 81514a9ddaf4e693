"""Throw bytes at the reconciliation: as message, as answer, as edits to a set, as range request."""

from __future__ import annotations

import random
from collections.abc import Callable

from maillon.protocol.errors import RemoteError
from maillon.protocol.limits import RECONCILE_MESSAGE_BYTES_MIN
from maillon.protocol.reconcile import (
    EVERYTHING,
    Initiator,
    ItemSet,
    Range,
    Responder,
    fingerprint,
    parse_message,
)

_FRAME = RECONCILE_MESSAGE_BYTES_MIN
_RNG = random.Random(20_260_504)
_ITEMS = [(1_700_000_000 + _RNG.randrange(300), _RNG.randbytes(32)) for _ in range(900)]
_OURS = ItemSet(_ITEMS[:700])
_THEIRS = ItemSet(_ITEMS[200:])


def _session(*, ranges: bool) -> list[bytes]:
    initiator, responder = (
        Initiator(_OURS, _FRAME, ranges=ranges),
        Responder(_THEIRS, _FRAME, ranges=ranges),
    )
    messages = [initiator.initiate()]
    while True:
        messages.append(responder.reply(messages[-1]))
        reply = initiator.reconcile(messages[-1]).reply
        if reply is None:
            return messages
        messages.append(reply)


def target(data: bytes) -> None:
    """Read as message and as answer: refused as a peer's fault, or answered within the frame."""
    if not data:
        return
    ranges, message = bool(data[0] & 1), data[1:]
    try:
        reply = Responder(_OURS, _FRAME, ranges=ranges).reply(message)
    except RemoteError:
        pass
    else:
        assert len(reply) <= _FRAME
        assert reply == b"\x61" or parse_message(reply)
    initiator = Initiator(_OURS, _FRAME, ranges=ranges)
    initiator.initiate()
    responder = Responder(_THEIRS, _FRAME, ranges=ranges)
    # The hostile answer first; then an honest peer, and the session must come to an end.
    for _ in range(200):
        try:
            step = initiator.reconcile(message)
        except RemoteError:
            return
        assert all(range_.lower < range_.upper for range_ in step.have_ranges + step.need_ranges)
        if step.reply is None:
            return
        assert len(step.reply) <= _FRAME and parse_message(step.reply)
        message = responder.reply(step.reply)
    raise AssertionError("the session does not end")


def target_items(data: bytes) -> None:
    """Add and discard as the bytes say, beside a plain set."""
    items, model = ItemSet(), set[tuple[int, bytes]]()
    for step in range(0, len(data) - 2, 3):
        seed = data[step : step + 2]
        item = (seed[0] & 3, (seed * 16)[::-1])
        if data[step + 2] & 1:
            assert items.add(*item) is (item not in model)
            model.add(item)
        else:
            assert items.discard(*item) is (item in model)
            model.discard(item)
    ordered = sorted(model)
    assert list(items) == ordered and len(items) == len(ordered)
    middle = len(ordered) // 2
    for low, high in ((0, len(ordered)), (0, middle), (middle, len(ordered))):
        total = sum(int.from_bytes(id_, "little") for _, id_ in ordered[low:high])
        assert items.range_fingerprint(low, high) == fingerprint(total, high - low)


def target_range(data: bytes) -> None:
    """Read a range request made of the bytes, and walk it."""
    cut = data[0] % 34 if data else 0
    rest = data[1:]
    fields: list[object] = [
        int.from_bytes(rest[:7], "big"), rest[7 : 7 + cut], int.from_bytes(rest[-7:], "big"), b""
    ]
    try:
        range_: Range | None = Range.from_fields(fields)
    except RemoteError:
        return
    assert range_ is not None and range_.fields()[0] == fields[0]
    walked: list[tuple[int, bytes]] = []
    while range_ is not None:
        page, range_ = range_.page(_OURS, 100)
        walked += page
    everything, _ = EVERYTHING.page(_OURS, len(_OURS))
    assert walked == [item for item in everything if item in set(walked)]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": target,
    "items": target_items,
    "range": target_range,
}
SEEDS: dict[str, list[bytes]] = {
    "message": [
        flag + message
        for flag, ranges in ((b"\0", False), (b"\1", True))
        for message in _session(ranges=ranges)[:6]
    ]
    + [b"\0\x61", b"\0\x62", b"\1\x61\x00\x00\x02\x00", b"\0\x61\x08\x01\xab\x00"],
    "items": [bytes(range(1, 250)), bytes((7, 7, 1, 7, 7, 0)) * 20],
    "range": [
        b"\x03" + (1_700_000_000).to_bytes(7, "big") + b"abc" + (2**53 - 1).to_bytes(7, "big")
    ],
}
