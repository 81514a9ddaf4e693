"""Answer the vectors of the charter (spec/06-charter)."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.ledger.block import Approval, decode_block
from maillon.ledger.charter import CharterChain
from maillon.ledger.charter_entries import (
    NAMES,
    NUMBERS,
    decode_charter_entry,
    encode_charter_entry,
)
from maillon.ledger.charter_proposals import check_approvals, decode_proposal, proposal_hash
from maillon.ledger.charter_rules import REASONS, explain_quorum, next_state
from maillon.ledger.charter_state import CharterState, founding_state
from maillon.ledger.quorum import default_quorum
from maillon.ledger.signing import inline_verify
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import decode_founding
from support.vectors import cases, load

FILE = "charter.json"
ALL = load(FILE)
FOUNDING = decode_founding(bytes.fromhex(ALL["founding"]))
STATE = founding_state(FOUNDING)


def entries(shown: list[str]) -> list[Any]:
    return [decode_charter_entry(bytes.fromhex(entry)) for entry in shown]


def answer(act: Any) -> tuple[str, str | None, str | None]:
    """Return code, reason and rule of what is raised, or ok."""
    try:
        act()
    except MaillonError as error:
        return error.code, error.facts.get("reason"), error.facts.get("rule")
    return "ok", None, None


def test_charter_0_is_that_of_the_vectors() -> None:
    assert FOUNDING.fed.hex() == ALL["fed"]
    assert STATE.encode().hex() == ALL["state"] and STATE.root().hex() == ALL["root"]
    assert [coop.hex() for coop in STATE.coops] == ALL["coops"]


def test_the_proposal_reads_and_hashes_as_the_vectors_say() -> None:
    shown = ALL["proposal"]
    proposal = decode_proposal(bytes.fromhex(shown["bytes"]))
    assert proposal.hash.hex() == shown["hash"]
    assert (proposal.base, proposal.title) == (shown["base"], shown["title"])
    data = [bytes.fromhex(entry) for entry in shown["entries"]]
    assert list(proposal.entries) == data
    assert proposal_hash(shown["base"], data) == proposal.hash


@pytest.mark.parametrize("vector", cases(FILE, "entries"))
def test_an_entry_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["entry"])
    code, _reason, rule = answer(lambda: decode_charter_entry(data))
    assert code == vector["expect"]
    if code == "ok":
        entry = decode_charter_entry(data)
        assert NAMES[type(entry)] == vector["kind"]
        assert encode_charter_entry(entry) == data
    elif "rule" in vector:
        assert rule == vector["rule"]


@pytest.mark.parametrize("vector", cases(FILE, "changes"))
def test_a_change_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    state: CharterState = STATE
    for block in vector["before"]:
        state = next_state(state, entries(block))
    code, reason, _rule = answer(lambda: next_state(state, entries(vector["entries"])))
    assert (code, reason) == (vector["expect"], vector.get("reason"))
    if code == "ok":
        made = next_state(state, entries(vector["entries"]))
        assert made.encode().hex() == vector["state"] and made.root().hex() == vector["root"]
        assert [key.hex() for key in made.committee().keys] == vector["witnesses"]
        writers = {
            coop.hex(): sorted(key.hex() for key in made.writers(coop)) for coop in made.coops
        }
        assert writers == vector["writers"]


@pytest.mark.parametrize("vector", cases(FILE, "approvals"))
def test_an_approval_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    given = Approval(bytes.fromhex(vector["coop"]), bytes.fromhex(vector["signature"]))
    proposal = bytes.fromhex(vector["proposal"])
    code, *_ = answer(lambda: check_approvals(STATE, proposal, [given], inline_verify))
    assert code == vector["expect"]


@pytest.mark.parametrize("vector", cases(FILE, "blocks"))
def test_a_block_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    chain = CharterChain(FOUNDING, None, inline_verify)
    for data in vector["after"]:
        before = decode_block(bytes.fromhex(data))
        chain.apply(before, before.certificate)
    height, latest = chain.height, chain.latest
    block = decode_block(bytes.fromhex(vector["block"]))
    code, reason, _rule = answer(lambda: chain.apply(block, block.certificate))
    assert code == vector["expect"]
    if "reason" in vector:
        assert reason == vector["reason"]
    if code == "ok":
        assert chain.head.hash.hex() == vector["hash"] and chain.height == height + 1
    else:
        assert (chain.height, chain.latest) == (height, latest)


def test_a_quorum_is_what_the_vectors_say() -> None:
    for shown in ALL["quorums"]:
        facts = explain_quorum(shown["witnesses"], shown["quorum"])
        assert (facts.possible, facts.liars, facts.silent) == (
            shown["possible"], shown["liars"], shown["silent"],
        )  # fmt: skip
        assert shown["usual"] == (shown["quorum"] == default_quorum(shown["witnesses"]))


def test_every_kind_of_entry_and_every_reason_of_entries_has_a_vector() -> None:
    kinds = {vector.get("kind") for vector in ALL["entries"]} - {None}
    assert kinds == set(NAMES.values()) and len(kinds) == len(NUMBERS)
    given = {vector.get("reason") for vector in ALL["changes"]} - {None}
    # What stands in these needs hundreds of coops, other chains, or is about proposals.
    elsewhere = {
        "coops_full", "witnesses_full", "not_adopted", "stale", "proposal_unknown",
        "approval_missing", "proposals_full", "last_witness",
    }  # fmt: skip
    assert given == set(REASONS) - elsewhere
