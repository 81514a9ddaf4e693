"""Make the vectors of reconciliation (spec/05)."""

from __future__ import annotations

import random

from maillon.protocol import encoding
from maillon.protocol.reconcile import (
    Bound,
    Initiator,
    ItemSet,
    Range,
    Responder,
    fingerprint,
    parse_message,
)
from maillon.protocol.reconcile.itemset import TIMESTAMP_INFINITY, encode_varint

Item = tuple[int, bytes]

MODES = ("skip", "fingerprint", "id_list")


def vectors(rng: random.Random) -> dict[str, object]:
    return {
        "reconciliation.json": {
            "spec": "05-reconciliation",
            "about": "Integers beyond 2^53 are decimal strings. `varints`: both ways."
            " `fingerprints`: of the ids, in any order. `bounds`: the shortest between two items."
            " `messages`: what a reader makes of them; an infinite bound is null. `sessions`: all"
            " messages between two sets in turn, the initiator's first. Where a range is cut is"
            " the writer's choice, so another implementation's messages may differ; answering"
            " these must give the same difference. `range_requests`: the frame that asks for a"
            " whole range.",
            "varints": [
                {"value": str(value), "bytes": encode_varint(value)}
                for value in (0, 1, 127, 128, 300, 16_383, 16_384, 2**32, 2**53, 2**64 - 1)
            ],
            "fingerprints": _fingerprints(rng),
            "bounds": _bounds(rng),
            "messages": _messages(rng),
            "sessions": _sessions(rng),
            "range_requests": _range_requests(rng),
        }
    }


def _fingerprints(rng: random.Random) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []
    for name, ids in (
        ("nothing", []),
        ("one id", [rng.randbytes(32)]),
        ("three ids", [rng.randbytes(32) for _ in range(3)]),
        ("a sum beyond 2^256", [b"\xff" * 32, b"\xff" * 32, b"\x02" + bytes(31)]),
        ("a sum of zero is not nothing", [b"\xff" * 32, b"\x01" + bytes(31)]),
    ):
        total = sum(int.from_bytes(id_, "little") for id_ in ids) % 2**256
        listed.append({"name": name, "ids": ids, "fingerprint": fingerprint(total, len(ids))})
    many = [rng.randbytes(32) for _ in range(200)]
    total = sum(int.from_bytes(id_, "little") for id_ in many) % 2**256
    listed.append(
        {"name": "a count of two varint bytes", "ids": many, "fingerprint": fingerprint(total, 200)}
    )
    return listed


def _bounds(rng: random.Random) -> list[dict[str, object]]:
    id_ = rng.randbytes(31)
    pairs: list[tuple[str, Item, Item]] = [
        ("the time tells them apart", (7, b"\xff" * 32), (8, bytes(32))),
        ("the first byte does", (7, b"\x01" + id_), (7, b"\x02" + id_)),
        ("the last byte does", (7, id_ + b"\x00"), (7, id_ + b"\x01")),
        ("zeros ahead", (7, bytes(32)), (7, bytes(31) + b"\x01")),
    ]
    listed: list[dict[str, object]] = []
    for name, before, after in pairs:
        bound = ItemSet([before, after]).split_bound(1)
        listed.append(
            {"name": name, "before": _item(before), "after": _item(after), "bound": _bound(bound)}
        )
    return listed


def _messages(rng: random.Random) -> list[dict[str, object]]:
    taken, id_ = rng.randbytes(16), rng.randbytes(32)
    second = rng.randbytes(32)
    version = b"\x61"
    at_7, at_7_ab = b"\x08\x00", b"\x08\x01\xab"
    accepted: list[tuple[str, bytes]] = [
        ("no ranges: everything is skipped", version),
        ("one fingerprint of everything", version + b"\x00\x00\x01" + taken),
        ("an empty list of everything", version + b"\x00\x00\x02\x00"),
        ("two ids below time 7", version + at_7 + b"\x02\x02" + id_ + second),
        ("a skip, then a fingerprint", version + at_7 + b"\x00" + b"\x00\x00\x01" + taken),
        (
            "two bounds within one second: the second time is 1 + 0",
            version + at_7_ab + b"\x01" + taken + b"\x01\x02\xab\x01" + b"\x01" + taken,
        ),
        ("a range of no width", version + at_7 + b"\x01" + taken + b"\x01\x00\x01" + taken),
        (
            "a prefix with zeros behind is the same bound",
            version + at_7_ab + b"\x00" + b"\x01\x03\xab\x00\x00" + b"\x01" + taken,
        ),
        (
            "a range of no width at infinity",
            version + b"\x00\x00\x01" + taken + b"\x00\x00\x01" + taken,
        ),
        ("a prefix of 32 bytes", version + b"\x08\x20" + id_ + b"\x01" + taken),
        (
            "the last timestamp there is",
            version + encode_varint(TIMESTAMP_INFINITY) + b"\x00\x01" + taken,
        ),
    ]
    refused: list[tuple[str, str, str, bytes]] = [
        ("no bytes", "malformed", "message_empty", b""),
        ("version byte 0", "malformed", "version_byte", b"\x00"),
        ("version byte 0x70", "malformed", "version_byte", b"\x70"),
        ("version 0", "version_unsupported", "", b"\x60"),
        ("version 2", "version_unsupported", "", b"\x62\x00\x00\x01" + taken),
        ("a bound without its prefix length", "malformed", "truncated", version + b"\x08"),
        ("a bound with half its prefix", "malformed", "truncated", version + b"\x08\x02\xab"),
        ("a bound without a mode", "malformed", "truncated", version + at_7),
        ("half a fingerprint", "malformed", "truncated", version + at_7 + b"\x01" + taken[:15]),
        ("one id of two", "malformed", "truncated", version + at_7 + b"\x02\x02" + id_),
        ("mode 3", "malformed", "mode", version + at_7 + b"\x03"),
        (
            "a time with a leading zero digit",
            "malformed",
            "varint_minimal",
            version + b"\x80\x08\x00\x00",
        ),
        (
            "a number of 65 bits",
            "malformed",
            "varint_range",
            version + b"\x82" + b"\x80" * 8 + b"\x00\x00\x00",
        ),
        (
            "a number of eleven digits",
            "malformed",
            "varint_range",
            version + b"\xff" * 10 + b"\x00\x00\x00",
        ),
        ("a prefix of 33 bytes", "malformed", "bound_prefix", version + b"\x08\x21" + bytes(34)),
        ("infinity with a prefix", "malformed", "bound_prefix", version + b"\x00\x01\xab\x00"),
        (
            "a time that is infinity in other words",
            "malformed",
            "bound_timestamp",
            version + encode_varint(TIMESTAMP_INFINITY) + b"\x00\x00" + b"\x02\x00\x00",
        ),
        (
            "a prefix below the one before it",
            "malformed",
            "backward_range",
            version + at_7_ab + b"\x00" + b"\x01\x01\xaa\x00",
        ),
        (
            "a bound behind infinity",
            "malformed",
            "backward_range",
            version + b"\x00\x00\x01" + taken + b"\x08\x00\x00",
        ),
        ("16,385 ranges", "too_large", "ranges", version + b"\x01\x00\x00" * 16_385),
        (
            "more than 262,144 bytes",
            "too_large",
            "message_bytes",
            version + b"\x01\x00\x00" * 87_382,
        ),
    ]
    listed: list[dict[str, object]] = []
    for name, data in accepted:
        ranges = [
            {
                "upper": _bound(r.upper),
                "mode": MODES[r.mode],
                **({"fingerprint": r.fingerprint} if r.fingerprint else {}),
                **({"ids": list(r.ids)} if r.mode == 2 else {}),
            }
            for r in parse_message(data)
        ]
        listed.append({"name": name, "bytes": data, "expect": "ok", "ranges": ranges})
    for name, expect, rule, data in refused:
        # Long runs are written as what is repeated and how often.
        entry: dict[str, object] = {"name": name, "expect": expect}
        if len(data) > 1_000:
            entry |= {"start": data[:1], "repeat": data[1:4], "times": (len(data) - 1) // 3}
        else:
            entry["bytes"] = data
        if rule:
            entry["rule"] = rule
        listed.append(entry)
    return listed


def _sessions(rng: random.Random) -> list[dict[str, object]]:
    start = 1_700_000_000
    common = [(start + 60 * k, rng.randbytes(32)) for k in range(40)]
    newest = [(start + 60 * (40 + k), rng.randbytes(32)) for k in range(80)]
    same_second = [(start, rng.randbytes(32)) for _ in range(24)]
    cases: list[tuple[str, list[Item], list[Item], bool]] = [
        ("two empty sets", [], [], False),
        ("identical", common, common, False),
        ("the initiator is empty", [], common[:3], False),
        ("the responder is empty", common[:3], [], False),
        ("one missing on either side", common[:-1], common[1:], False),
        ("all in one second", same_second[:-2], same_second[1:], False),
        ("the newest missing, with ranges", common, common + newest, True),
        ("the initiator is empty, with ranges", [], common, True),
        ("the responder lacks the newest, with ranges", common + newest, common, True),
    ]
    listed: list[dict[str, object]] = []
    for name, ours, theirs, ranges in cases:
        items = ItemSet(ours)
        initiator = Initiator(items, ranges=ranges)
        responder = Responder(ItemSet(theirs), ranges=ranges)
        messages: list[bytes] = []
        have: list[bytes] = []
        need: list[bytes] = []
        have_ranges: list[Range] = []
        need_ranges: list[Range] = []
        message: bytes | None = initiator.initiate()
        while message is not None:
            messages += [message, responder.reply(message)]
            step = initiator.reconcile(messages[-1])
            have += step.have
            need += step.need
            have_ranges += step.have_ranges
            need_ranges += step.need_ranges
            message = step.reply
        listed.append(
            {
                "name": name,
                "ranges": ranges,
                "initiator": [_item(item) for item in ours],
                "responder": [_item(item) for item in theirs],
                "messages": messages,
                "have": sorted(have),
                "need": sorted(need),
                "have_ranges": [_range(range_) for range_ in have_ranges],
                "need_ranges": [_range(range_) for range_ in need_ranges],
            }
        )
    return listed


def _range_requests(rng: random.Random) -> list[dict[str, object]]:
    prefix = rng.randbytes(3)
    good: list[tuple[str, Range]] = [
        ("everything", Range(Bound(0), Bound(TIMESTAMP_INFINITY))),
        ("from a time on", Range(Bound(1_700_000_000), Bound(TIMESTAMP_INFINITY))),
        ("within a second", Range(Bound(1_700_000_000, prefix), Bound(1_700_000_001))),
    ]
    bad: list[tuple[str, str, list[object]]] = [
        ("nothing", "backward_range", [3, 5, b"", 5, b""]),
        ("backward", "backward_range", [3, 6, b"", 5, b""]),
        ("a field short", "range_fields", [3, 5, b"", 6]),
        ("a time before 1970", "bound_timestamp", [3, -1, b"", 6, b""]),
        ("a prefix too long", "bound_prefix", [3, 5, bytes(33), 6, b""]),
        ("infinity with a prefix", "bound_prefix", [3, 5, b"", 2**53 - 1, b"\x01"]),
        ("a time that is true", "range_fields", [3, True, b"", 6, b""]),
        ("a field too many", "range_fields", [3, 5, b"", 6, b"", 0]),
        ("the type of another frame", "frame", [2, 5, b"", 6, b""]),
        ("a type that does not exist", "frame", [7, 5, b"", 6, b""]),
        ("no type", "frame", []),
    ]
    listed: list[dict[str, object]] = [
        {
            "name": name,
            "frame": encoding.encode([3, *range_.fields()]),
            "expect": "ok",
            "range": _range(range_),
        }
        for name, range_ in good
    ]
    listed += [
        {"name": name, "frame": encoding.encode(frame), "expect": "malformed", "rule": rule}  # type: ignore[arg-type]  # some are no Value on purpose
        for name, rule, frame in bad
    ]
    return listed


def _item(item: Item) -> list[object]:
    return [item[0], item[1]]


def _bound(bound: Bound) -> list[object] | None:
    if bound.timestamp == TIMESTAMP_INFINITY:
        return None
    timestamp = bound.timestamp
    return [timestamp if timestamp < 2**53 else str(timestamp), bound.prefix]


def _range(range_: Range) -> list[object]:
    return [_bound(range_.lower), _bound(range_.upper)]
