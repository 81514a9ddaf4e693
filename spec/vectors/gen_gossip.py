"""Make the vectors of the gossip batch (spec/04)."""

from __future__ import annotations

import random

from maillon.protocol import encoding, gossip
from maillon.protocol.limits import BATCH_BYTES_MAX, RECORD_BYTES_MAX


def vectors(rng: random.Random) -> dict[str, object]:
    # What stands for a record here is opaque: a batch is taken apart before anything is judged.
    records = [rng.randbytes(length) for length in (1, 40, 255, 256)]
    [whole] = gossip.encode_batches(records)
    batch = encoding.encode
    refused: list[tuple[str, str, str, bytes]] = [
        ("no bytes", "malformed", "empty", b""),
        ("no array", "malformed", "batch", batch({"v": 1})),
        ("an empty array", "malformed", "batch", batch([])),
        ("a version that is true", "malformed", "batch", batch([True, records])),
        ("version 2", "version_unsupported", "", batch([2, records])),
        ("version 2 in another form", "version_unsupported", "", batch([2, {"more": records}])),
        ("version 2 with nil behind it", "malformed", "nil", b"\x92\x02\xc0"),
        ("version 2 in a longer form", "not_canonical", "int_form", b"\x91\xcc\x02"),
        ("no records", "malformed", "batch", batch([1, []])),
        ("no list", "malformed", "batch", batch([1])),
        ("a third part", "malformed", "batch", batch([1, records, 0])),
        ("a record that is text", "malformed", "batch", batch([1, ["record"]])),
        ("an empty record", "malformed", "batch", batch([1, [b""]])),
        (
            "a record too long",
            "too_large",
            "record_length",
            batch([1, [bytes(RECORD_BYTES_MAX + 1)]]),
        ),
        ("a byte behind it", "malformed", "trailing_bytes", whole + b"\0"),
        ("cut short", "malformed", "truncated", whole[:-1]),
        (
            "a record's length in a longer form",
            "not_canonical",
            "bin_form",
            bytes.fromhex("920191c5000100"),
        ),
    ]
    listed: list[dict[str, object]] = [
        {"name": "four records", "bytes": whole, "expect": "ok", "records": records}
    ]
    for name, expect, rule, data in refused:
        entry: dict[str, object] = {"name": name, "bytes": data, "expect": expect}
        if rule:
            entry["rule"] = rule
        listed.append(entry)
    return {
        "gossip.json": {
            "spec": "04-gossip",
            "about": f"Reading `bytes`, at most {BATCH_BYTES_MAX}, as a batch gives `records`,"
            " which are opaque here.",
            "topic": {"fed": bytes(range(32)), "topic": gossip.topic(bytes(range(32)))},
            "vectors": listed,
        }
    }
