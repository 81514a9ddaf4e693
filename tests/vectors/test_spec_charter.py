"""Hold the examples and tables of spec/06-charter against the code."""

from __future__ import annotations

import re
from typing import get_args

from maillon.ledger import bounds, charter_entries, limits
from maillon.ledger.charter import approve, decode_proposal
from maillon.ledger.charter_entries import (
    NUMBERS,
    CharterEntry,
    SetLimit,
    decode_charter_entry,
)
from maillon.ledger.charter_proposals import (
    PROPOSALS_MAX,
    PROPOSALS_PER_COOP_MAX,
    make_proposal,
)
from maillon.ledger.charter_rules import REASONS, explain_quorum
from maillon.ledger.charter_state import CLEARED_MAX, SPENT_KEYS_MAX, STATE_BYTES_MAX
from maillon.ledger.quorum import default_quorum
from maillon.protocol.encoding import decode, encode
from maillon.protocol.limits import ACCOUNTS_MAX, COOPS_MAX, RECOVERY_S_MAX, WITNESSES_MAX
from support.charters import LedgerFederation
from support.vectors import FOLDER

TEXT = (FOLDER.parent / "06-charter.md").read_text("utf-8")
FLAT = " ".join(TEXT.split())
F = LedgerFederation(4, seed="charter vectors")


def example(name: str) -> bytes:
    """Return the bytes of an example: of each line, what stands before two spaces and a comment."""
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"no example {name}"
    lines = [line.strip().partition("  ")[0] for line in found[1].splitlines()]
    return bytes.fromhex(" ".join(lines))


def test_the_example_is_what_the_code_writes() -> None:
    a = F.coops[0]
    proposal = make_proposal(0, [SetLimit(a.id, 0, 9_000)], "Une limite plus haute")
    assert example("entry") == proposal.entries[0]
    assert decode_charter_entry(example("entry")) == SetLimit(a.id, 0, 9_000)
    assert example("proposal") == proposal.encode()
    assert decode_proposal(example("proposal")) == proposal
    assert example("hash") == proposal.hash
    assert example("approval") == approve(F.fed, proposal.hash, a.id, a.writer).signature
    untitled = encode([0, list(proposal.entries)]).hex()
    start, end = re.findall(r"`([0-9a-f]+)…([0-9a-f]+)`", TEXT)[0]
    assert untitled.startswith(start) and untitled.endswith(end)


def test_every_reason_stands_in_the_text_and_no_other() -> None:
    tables = re.findall(r"^\|.*\| ((?:`\w+`(?:, )?)+) \|$", TEXT, re.MULTILINE)
    stated = {reason for cell in tables for reason in re.findall(r"`(\w+)`", cell)}
    words = set(re.findall(r"`(\w+)`", TEXT))
    assert set(REASONS) <= words
    # The tables of rules name reasons, the one of blocks names codes.
    codes = {"not_approved", "not_certified", "no_quorum", "certificate"}
    assert stated - codes <= set(REASONS)


def test_the_entries_of_the_table_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| \[(\d+),", TEXT, re.MULTILINE)
    assert {int(number) for number, _ in rows} == set(NUMBERS.values()) == set(range(1, 12))
    assert all(number == first for number, first in rows)
    assert set(NUMBERS) == set(get_args(CharterEntry))


def test_the_quorums_of_the_table_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 8
    for n, q, liars, silent in (map(int, row) for row in rows):
        facts = explain_quorum(n, q)
        assert (facts.liars, facts.silent, facts.possible) == (liars, silent, True)
        assert q in (default_quorum(n), n)


def test_the_bounds_in_the_text_are_those_of_the_code() -> None:
    for sentence in (
        f"| entry | {charter_entries.CHARTER_ENTRY_BYTES_MAX:,} bytes |",
        f"witnesses | {COOPS_MAX}; {charter_entries.COOPS_EVER_MAX}; {WITNESSES_MAX} |",
        f"| units, limits of a coop | {limits.UNITS_MAX} |",
        f"| 0 to {ACCOUNTS_MAX:,}; 1 to {ACCOUNTS_MAX:,} |",
        f"| 1 to {COOPS_MAX}; 0 to {RECOVERY_S_MAX:,} |",
        f"at most {limits.PROPOSAL_BYTES_MAX:,} bytes, 1 to {limits.ENTRIES_MAX} entries, "
        f"title of at most {limits.TITLE_BYTES_MAX} bytes",
        f"Keeps at most {PROPOSALS_MAX} at once, and {PROPOSALS_PER_COOP_MAX} that one coop",
        f"the last {CLEARED_MAX:,} in the order",
        f"the last {SPENT_KEYS_MAX:,} in the order",
        f"to one opener for {bounds.LEASE_S} s",
        f"waits {bounds.OPENER_TURN_S} s times its place",
        f"at most {bounds.OPENER_TURN_S * bounds.OPENER_TURNS_MAX} s",
    ):
        assert sentence in FLAT, sentence


def test_the_fields_of_the_state_are_those_of_the_text() -> None:
    state = decode(F.chain.latest.encode(), bytes_max=STATE_BYTES_MAX)
    assert isinstance(state, dict)
    section = TEXT.split("## The state")[1].split("## Entries")[0]
    cells = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE)
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(state)
    coops = state["coops"]
    assert isinstance(coops, list) and isinstance(coops[0], list)
    assert len(coops[0]) == len("root node writer witness name limits accounts entered t l".split())
