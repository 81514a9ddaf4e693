"""Hold the examples and tables of spec/01 and spec/02 against the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from maillon.protocol import encoding, keyfile, keys, limits, words
from support.vectors import FOLDER, from_json, load

SPEC = FOLDER.parent
ENCODING = (SPEC / "01-encoding.md").read_text("utf-8")
IDENTITY = (SPEC / "02-identity.md").read_text("utf-8")


def example(text: str, name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found, f"no example {name}"
    return found[1]


def hexadecimal(text: str, name: str) -> bytes:
    """Return the bytes of an example: of each line, what stands before two spaces and a comment."""
    lines = [line.strip().partition("  ")[0] for line in example(text, name).splitlines()]
    return bytes.fromhex(" ".join(lines))


def lines_of(text: str, name: str) -> list[bytes]:
    return [bytes.fromhex(line.split()[0]) for line in example(text, name).splitlines()]


def test_the_example_of_the_encoding_is_what_the_code_writes() -> None:
    value = from_json(json.loads(example(ENCODING, "value")))
    data = hexadecimal(ENCODING, "bytes")
    assert encoding.encode(value) == data
    assert encoding.decode(data, bytes_max=len(data)) == value
    assert f"these {len(data)} bytes" in ENCODING


def test_the_limits_in_the_specification_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+_MAX)` \| (\d+) \|", ENCODING, re.MULTILINE))
    assert len(rows) == 12
    assert {name: getattr(limits, name) for name in rows} == {
        name: int(number) for name, number in rows.items()
    }


def test_the_rules_and_codes_in_the_specification_are_those_of_the_vectors() -> None:
    stated: dict[str, str] = {}
    for code, rules in re.findall(r"^\|[^|]*\| `(\w+)` \| (`.*`) \|$", ENCODING, re.MULTILINE):
        stated |= {rule: code for rule in re.findall(r"`(\w+)`", rules)}
    vectors: list[dict[str, Any]] = load("encoding.json")["vectors"]
    assert stated == {vector["rule"]: vector["expect"] for vector in vectors if "rule" in vector}


def test_the_example_of_a_signature_is_what_the_code_makes() -> None:
    key = keys.SigningKey.from_seed(bytes(range(32)))
    assert hexadecimal(IDENTITY, "root") == key.public
    assert hexadecimal(IDENTITY, "coop") == keys.coop_id(key.public)
    assert hexadecimal(IDENTITY, "signed") == keys.signing_bytes("record", b"hello")
    assert hexadecimal(IDENTITY, "signature") == key.sign("record", b"hello")


def test_the_encodings_of_small_order_are_those_of_the_code() -> None:
    listed = lines_of(IDENTITY, "small order")
    with_sign = {encoded[:31] + bytes([encoded[31] | 0x80]) for encoded in listed}
    assert {*listed, *with_sign} == keys.SMALL_ORDER_ENCODINGS


def test_the_conditions_of_verification_are_the_rules_of_the_vectors() -> None:
    rows = re.findall(r"^\| \d \|.*\| `(bad_\w+)` \| (`.*`) \|$", IDENTITY, re.MULTILINE)
    stated = {(rule, code) for code, rules in rows for rule in re.findall(r"`(\w+)`", rules)}
    vectors: list[dict[str, Any]] = load("verification.json")["vectors"]
    assert len(rows) == 8
    assert stated == {(v["rule"], v["expect"]) for v in vectors if v["expect"] != "ok"}


@pytest.mark.parametrize(("line", "lang"), [(0, "fr"), (1, "en")])
def test_the_example_of_words_is_what_the_code_writes(line: int, lang: words.Language) -> None:
    entropy = bytes(range(16))
    written = example(IDENTITY, "words").splitlines()[line]
    assert written == " ".join(words.to_words(entropy, lang))
    signing, sealing = words.derive(entropy)
    assert lines_of(IDENTITY, "derived") == [
        signing.secret_bytes(),
        signing.public,
        sealing.secret_bytes(),
        sealing.public,
    ]


def test_the_example_of_a_key_file_is_what_the_code_seals() -> None:
    password = keyfile.password_bytes("mot de passe")
    data = keyfile.seal_key(
        bytes(range(32)), password, salt=bytes(range(16)), nonce=bytes(range(12))
    )
    assert hexadecimal(IDENTITY, "key file") == data


def test_the_bounds_of_a_key_file_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| int \|.*?\| ([\d,]+ to [\d,]+) \|", IDENTITY, re.M))
    assert rows == {
        "memory_kib": f"{limits.KEYFILE_MEMORY_KIB_MIN:,} to {limits.KEYFILE_MEMORY_KIB_MAX:,}",
        "passes": f"1 to {limits.KEYFILE_ITERATIONS_MAX}",
        "lanes": f"1 to {limits.KEYFILE_LANES_MAX}",
    }
    assert f"longer than {limits.KEYFILE_BYTES_MAX} bytes" in IDENTITY
    assert f"1 to {limits.PASSWORD_BYTES_MAX} bytes" in IDENTITY
    assert f"secret of 1 to {limits.KEYFILE_SECRET_BYTES_MAX} bytes" in IDENTITY
