"""Claims about @msgpack/msgpack: with sorted keys it writes our canonical bytes, and reads them.

This is what a client in JavaScript needs: no encoder of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from maillon.protocol import encoding
from maillon.protocol.limits import DEPTH_MAX, FRAME_BYTES_MAX, INT_MAX
from support.vectors import from_json, load

TOP = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
RANDOM_SEED = 20_240_610

if not (HERE / "node_modules/@msgpack/msgpack/package.json").is_file():
    pytest.skip(
        "@msgpack/msgpack is not installed in tests/interop: make interop", allow_module_level=True
    )


def ask(
    encode: list[encoding.Value], decode: list[bytes], nfc: list[str] | None = None
) -> dict[str, Any]:
    """Return what the JavaScript library makes of values and of bytes."""
    question = {
        "encode": [typed(value) for value in encode],
        "decode": [data.hex() for data in decode],
        "nfc": nfc or [],
    }
    ended = subprocess.run(
        [TOP / "tools/node", HERE / "msgpack_peer.mjs"],
        cwd=HERE,
        input=json.dumps(question) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def typed(value: encoding.Value) -> dict[str, object]:
    if isinstance(value, bool):
        return {"t": value}
    if isinstance(value, int):
        return {"i": value}
    if isinstance(value, str):
        return {"s": value}
    if isinstance(value, bytes):
        return {"b": value.hex()}
    if isinstance(value, list):
        return {"a": [typed(item) for item in value]}
    return {"m": [[key, typed(item)] for key, item in value.items()]}


def untyped(shown: dict[str, Any]) -> encoding.Value:
    [(kind, inner)] = shown.items()
    if kind == "b":
        return bytes.fromhex(inner)
    if kind == "a":
        return [untyped(item) for item in inner]
    if kind == "m":
        return {key: untyped(item) for key, item in inner}
    return cast("bool | int | str", inner)


def document(rng: random.Random, depth: int = 0) -> encoding.Value:
    """Return a random value, of containers more often than not near the top."""
    kind = rng.randrange(8 if depth < DEPTH_MAX else 5)
    if kind == 0:
        return bool(rng.randrange(2))
    if kind == 1:
        edge = rng.choice((0, 2**5, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, INT_MAX))
        number = rng.choice((1, -1)) * (edge + rng.randrange(-3, 4))
        return max(-INT_MAX, min(INT_MAX, number))
    if kind == 2:
        return rng.randint(-INT_MAX, INT_MAX)
    if kind == 3:
        letters = "abcdefghij é è ç œ € – 「」 🧶🚲 \n\0\t\"\\"
        return encoding.nfc("".join(rng.choices(letters, k=rng.choice((0, 5, 31, 32, 255, 300)))))
    if kind == 4:
        return rng.randbytes(rng.choice((0, 1, 31, 32, 255, 256, 300)))
    count = rng.choice((0, 1, 3, 8, 15, 16, 17) if depth < 2 else (0, 1, 2))
    if kind == 5:
        return [document(rng, depth + 1) for _ in range(count)]
    alphabet = "abcxyz_0189"
    keys = {
        rng.choice("abcz") + "".join(rng.choices(alphabet, k=rng.choice((0, 1, 2, 30, 31))))
        for _ in range(count)
    }
    shuffled = sorted(keys, key=lambda _: rng.random())
    return {key: document(rng, depth + 1) for key in shuffled}


def test_the_same_documents_give_the_same_bytes_in_both_languages() -> None:
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    documents = [document(rng) for _ in range(1_500)]
    ours = [encoding.encode(value) for value in documents]
    assert max(map(len, ours)) > 1_000
    answer = ask(documents, ours)
    assert answer["encode"] == [data.hex() for data in ours]
    assert [untyped(value) for value in answer["decode"]] == documents


def test_the_vectors_give_the_same_bytes_in_javascript() -> None:
    vectors = [v for v in load("encoding.json")["vectors"] if v["expect"] == "ok"]
    values = [from_json(vector["value"]) for vector in vectors]
    answer = ask(values, [bytes.fromhex(vector["bytes"]) for vector in vectors])
    assert answer["encode"] == [vector["bytes"] for vector in vectors]
    assert [untyped(value) for value in answer["decode"]] == values


def test_text_of_a_later_unicode_is_where_javascript_needs_the_list() -> None:
    # Should this fail because `later` is empty, the JavaScript engine is older than Unicode 15.
    vectors = load("unicode14-unassigned.json")["nfc"]
    canonical = [bytes.fromhex(v["bytes"]) for v in vectors if v["expect"] == "ok"]
    texts = [encoding.decode(data, bytes_max=FRAME_BYTES_MAX) for data in canonical]
    plain = [text for text in texts if isinstance(text, str)]
    answer = ask([], [], plain)
    later = [text for text, theirs in zip(plain, answer["nfc"], strict=True) if text != theirs]
    assert float(answer["unicode"]) >= 16
    assert later == plain
