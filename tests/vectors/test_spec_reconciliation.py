"""Hold the examples, tables and figures of spec/05 against the code."""

from __future__ import annotations

import re
from typing import Any

from maillon.protocol import encoding, limits
from maillon.protocol.reconcile import INFINITY, Bound, Initiator, ItemSet, Range, Responder
from maillon.protocol.reconcile.itemset import EMPTY_FINGERPRINT
from support.vectors import FOLDER, load

TEXT = (FOLDER.parent / "05-reconciliation.md").read_text("utf-8")
A, B, C = (100, b"\xaa" * 32), (200, b"\xbb" * 32), (200, b"\xbc" * 32)


def example(name: str) -> bytes:
    """Return the bytes of an example: of each line, what stands before two spaces."""
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"no example {name}"
    lines = [line.strip().partition("  ")[0] for line in found[1].splitlines()]
    return bytes.fromhex(" ".join(lines))


def test_the_example_is_what_two_sides_say_to_one_another() -> None:
    initiator = Initiator(ItemSet([A, B]), ranges=True)
    assert initiator.initiate() == example("question")
    assert Responder(ItemSet([A, B, C]), ranges=True).reply(example("question")) == (
        example("answer")
    )
    step = initiator.reconcile(example("answer"))
    assert step.complete and step.need == [C[1]] and not step.have


def test_the_example_of_a_range_request_is_what_the_code_writes() -> None:
    range_ = Range(Bound(200, b"\xbc"), INFINITY)
    assert encoding.encode([3, *range_.fields()]) == example("want range")


def test_the_fingerprint_of_nothing_is_the_constant() -> None:
    assert f"`{EMPTY_FINGERPRINT.hex()}`" in TEXT


def test_the_rules_in_the_specification_are_those_of_the_vectors() -> None:
    stated: dict[str, str] = {}
    for code, rules in re.findall(r"^\|[^|]*\| `(\w+)` \| (`.*`) \|$", TEXT, re.MULTILINE):
        stated |= {rule: code for rule in re.findall(r"`(\w+)`", rules)}
    vectors: list[dict[str, Any]] = load("reconciliation.json")["messages"]
    broken = {v["rule"]: v["expect"] for v in vectors if "rule" in v}
    # A message that is too long would make a vector as long.
    assert stated == broken | {"message_bytes": "too_large"}


def test_the_limits_in_the_specification_are_those_of_the_code() -> None:
    assert f"{limits.FRAME_BYTES_MAX:,} bytes and {limits.RECONCILE_RANGES_MAX:,} ranges" in TEXT
    assert f"{limits.RECONCILE_MESSAGE_BYTES:,} bytes by default" in TEXT
    assert f"{limits.RECONCILE_MESSAGE_BYTES_MIN:,} at least" in TEXT
