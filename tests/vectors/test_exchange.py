"""The code folds the transcripts of spec/vectors/exchange.json as they say (spec/08-exchange)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from maillon.protocol import limits
from maillon.protocol.envelope import decode_record
from maillon.protocol.exchange import (
    PHASES,
    Exchange,
    KnownTransfers,
    Step,
    TransferFact,
    fold,
    gates,
    payment_ref,
    step_from,
)
from maillon.protocol.exchange.fold import RULES
from maillon.protocol.exchange.gates import GATES
from maillon.protocol.exchange.missing import lacking, question, read_question
from maillon.protocol.validation import Standing, check_stateless
from support.vectors import FOLDER, load

FILE = load("exchange.json")
PEOPLE = {name: bytes.fromhex(author) for name, author in FILE["people"].items()}
NAMES = {author: name for name, author in PEOPLE.items()}
CASES: list[dict[str, Any]] = FILE["cases"]


def shown(state: Exchange, names: list[str]) -> dict[str, Any]:
    due = state.due
    return {
        "now": state.now,
        "phase": state.phase,
        "provider": NAMES[state.provider],
        "due": [due.amount, due.unit, NAMES[due.payer], NAMES[due.payee]],
        "owed": state.owed,
        "paid": state.paid,
        "expected": state.expected,
        "void": [[entry.id.hex(), entry.reason] for entry in state.void],
        "waiting": [id.hex() for id in state.waiting],
        "heads": [id.hex() for id in state.heads],
        "deadlines": [[entry.what, entry.at, entry.outcome] for entry in state.deadlines],
        "next": {name: list(state.next(PEOPLE[name], state.now).kinds) for name in names},
        "released": state.released,
    }


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_each_transcript_folds_to_what_the_vector_says(case: dict[str, Any]) -> None:
    steps: list[Step] = []
    for entry in case["steps"]:
        signed = decode_record(bytes.fromhex(entry["record"]))
        if signed.payload is not None:
            now = signed.header.at
            check_stateless(signed, fed=bytes.fromhex(FILE["fed"]), now=now, private=True)
        standing = Standing(PEOPLE[entry["author"]], entry["role"], signed.header.until)
        steps.append(step_from(signed, standing))
    facts = KnownTransfers(
        {
            bytes.fromhex(entry["order"]): TransferFact(
                PEOPLE[entry["payer"]],
                PEOPLE[entry["payee"]],
                entry["unit"],
                entry["amount"],
                entry["status"],
                bytes.fromhex(entry["ref"]),
            )
            for entry in case["transfers"]
        },
        FILE["counted"],
    )
    for wanted in case["after"]:
        state = fold(steps[: wanted["count"]], facts, wanted["now"])
        assert {"count": wanted["count"], **shown(state, list(wanted["next"]))} == wanted
    last = case["after"][-1]
    arrival: list[int] = case["arrival"]
    arrived = fold([steps[place] for place in arrival], facts, last["now"])
    assert {"count": last["count"], **shown(arrived, list(last["next"]))} == last


def test_the_transcripts_meet_every_phase_every_kind_and_every_deadline() -> None:
    states = [state for case in CASES for state in case["after"]]
    assert {state["phase"] for state in states} >= set(PHASES) - {"agreed"}
    kinds = {
        decode_record(bytes.fromhex(step["record"])).header.kind
        for case in CASES
        for step in case["steps"]
    }
    assert kinds == RULES.keys() | {"opening"}
    assert {entry[0] for state in states for entry in state["deadlines"]} == {
        "quote", "bundle", "consent", "handover", "mediate", "check_out", "begin", "accept", "pay",
        "complain", "evaluate",
    }  # fmt: skip


CHAPTER = (FOLDER.parent / "08-exchange.md").read_text("utf-8")


def test_the_example_of_the_chapter_is_what_the_code_makes() -> None:
    found = re.search(r"<!-- example: payment_ref -->\n```text\n([0-9a-f]{64})\n", CHAPTER)
    assert found is not None
    ref = payment_ref(bytes(range(16)), bytes(range(0x40, 0x60)))
    assert ref == bytes.fromhex(found[1])


def test_the_table_of_steps_names_every_kind_in_the_order_of_what_is_possible() -> None:
    table = CHAPTER.partition("## What each step does")[2].partition("Then the rule.")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(GATES)


def test_the_chapter_says_every_reason_and_every_bound() -> None:
    table = CHAPTER.partition("### Why a step is void")[2].partition("## The order")[0]
    said = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    source = "".join(
        path.read_text("utf-8") for path in Path(gates.__file__).parent.glob("*.py")
    )
    given = set(re.findall(r'No\("(\w+)"', source)) | set(
        re.findall(r'return "(role|phase|reserved|decided|late|nothing_due|equivocation|erased'
                   r'|exchange)"', source)
    )  # fmt: skip
    assert given == said
    assert {reason for case in CASES for _, reason in case["after"][-1]["void"]} == said
    for bound in (limits.CHECK_IN_EARLY_S, limits.BUNDLE_GRACE_S, limits.TRANSCRIPT_STEPS_MAX):
        assert f"{bound:,}" in CHAPTER
    assert f"at most {limits.STEP_REFS_MAX}" in CHAPTER


@pytest.mark.parametrize("vector", FILE["questions"], ids=lambda vector: vector["name"])
def test_a_question_for_missing_steps_asks_what_the_vector_says(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    asked = read_question(data)
    if asked is None:
        assert vector["question"] is None
        return
    assert asked.exchange.hex() == vector["question"]["exchange"]
    assert [head.hex() for head in asked.heads] == vector["question"]["heads"]
    assert question(*asked) == data


@pytest.mark.parametrize("vector", FILE["missing"], ids=lambda vector: vector["name"])
def test_who_asks_is_sent_the_steps_that_the_vector_names(vector: dict[str, Any]) -> None:
    steps = next(case["steps"] for case in CASES if case["name"] == vector["case"])
    records = [decode_record(bytes.fromhex(step["record"])) for step in steps]
    refs: dict[bytes, Sequence[bytes]] = {r.id: r.header.refs for r in records}
    heads = [bytes.fromhex(head) for head in vector["heads"]]
    assert [id.hex() for id in lacking(heads, refs)] == vector["sends"]
