"""Make the vectors of the frames of joining (spec/10)."""

from __future__ import annotations

import random

from maillon.protocol import encoding
from maillon.protocol.limits import CARD_BYTES_MAX, RECORD_BYTES_MAX


def vectors(rng: random.Random) -> dict[str, object]:
    frame = encoding.encode
    token, card, file = rng.randbytes(16), rng.randbytes(200), rng.randbytes(300)
    good: list[tuple[str, list[int], bytes]] = [
        ("ask", [0], frame([0, 1, token, card])),
        ("ask of a later version", [0], frame([0, 2, token, card])),
        ("ask with a later part", [0], frame([0, 1, token, card, "more"])),
        ("welcome", [1], frame([1, file, 0, []])),
        ("welcome with founders missing", [1], frame([1, file, 2, ["Coop B", "Coop C"]])),
        ("records", [2, 3], frame([2, [rng.randbytes(90), rng.randbytes(120)]])),
        ("done", [2, 3], frame([3, 2])),
    ]
    bad: list[tuple[str, list[int], str, bytes]] = [
        ("no bytes", [0], "malformed", b""),
        ("no array", [0], "malformed", frame({"type": 0})),
        ("an empty array", [0], "malformed", frame([])),
        ("a type that is text", [0], "malformed", frame(["0", 1, token, card])),
        ("a type that is true", [3], "malformed", frame([True, 1])),
        ("a frame out of its place", [0], "malformed", frame([3, 0])),
        ("ask of version 2 in another form", [0], "malformed", frame([0, 2, {"more": card}])),
        ("a token of 15 bytes", [0], "malformed", frame([0, 1, token[1:], card])),
        ("a token that is text", [0], "malformed", frame([0, 1, "t" * 16, card])),
        ("no card", [0], "malformed", frame([0, 1, token])),
        ("a card too long", [0], "malformed", frame([0, 1, token, bytes(CARD_BYTES_MAX + 1)])),
        ("a name that is bytes", [1], "malformed", frame([1, file, 1, [b"Coop"]])),
        ("a name too long", [1], "malformed", frame([1, file, 1, ["C" * 201]])),
        ("301 names", [1], "malformed", frame([1, file, 301, ["C"] * 301])),
        ("fewer than no founders missing", [1], "malformed", frame([1, file, -1, []])),
        ("a record too long", [2], "malformed", frame([2, [bytes(RECORD_BYTES_MAX + 1)]])),
        ("records that are no list", [2], "malformed", frame([2, b"record"])),
        ("a negative count", [3], "malformed", frame([3, -1])),
        ("a byte behind it", [3], "malformed", frame([3, 2]) + b"\0"),
        ("an integer in a longer form", [3], "not_canonical", bytes.fromhex("9203cc02")),
        ("a refusal", [1], "join_refused", frame([9, "token", ""])),
    ]
    listed: list[dict[str, object]] = [
        dict[str, object](name=name, allowed=allowed, bytes=data, expect="ok", type=data[1])
        for name, allowed, data in good
    ]
    listed += [
        dict[str, object](name=name, allowed=allowed, bytes=data, expect=code)
        for name, allowed, code, data in bad
    ]
    return {
        "joining.json": {
            "spec": "10-joining",
            "about": "Each `bytes` is one frame, read where the types in `allowed` are expected."
            " `join_refused` stands for a refusal that was understood.",
            "vectors": listed,
        }
    }
