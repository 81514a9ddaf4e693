"""Hold the example and the tables of spec/06-ledger against the code."""

from __future__ import annotations

import re

import pytest

from maillon.ledger import bounds
from maillon.ledger.quorum import Committee, decode_certificate, decode_vote_qc, default_quorum
from maillon.ledger.rounds import REASONS
from maillon.ledger.voterow import VOIDS_MAX
from support.vectors import FOLDER, load

TEXT = (FOLDER.parent / "06-ledger.md").read_text("utf-8")
SCRIPT = next(
    script
    for script in load("ledger-rules.json")["scripts"]
    if script["name"] == "a block is certified"
)


def example(name: str) -> bytes:
    """Return the bytes of an example: of each line, what stands before two spaces and a comment."""
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"no example {name}"
    lines = [line.strip().partition("  ")[0] for line in found[1].splitlines()]
    return bytes.fromhex(" ".join(lines))


def told(name: str) -> bytes:
    """Return the bytes of a message of the script, asked or answered."""
    for step in SCRIPT["steps"]:
        for message in (step, *step["answers"]):
            if message["message"] == name:
                return bytes.fromhex(message["bytes"])
    raise AssertionError(name)


@pytest.mark.parametrize(
    "name", ["prepare", "promise", "open", "propose", "vote", "commit", "done"]
)
def test_the_worked_example_is_what_the_vectors_say(name: str) -> None:
    assert example(name) == told(name.upper())


def test_the_votes_and_the_certificate_of_the_example_read() -> None:
    # Of these two what is inside the one binary value is shown, under its header.
    lock, final = example("lock"), example("final")
    assert lock == told("LOCK") and final == told("FINAL")
    assert decode_vote_qc(lock[5:]).block == decode_certificate(final[5:]).block


def test_every_reason_to_refuse_is_explained_twice_and_no_other() -> None:
    refused = set(re.findall(r"REFUSE `(\w+)`", TEXT))
    refused |= {r for line in re.findall(r"REFUSE (`\w+`(?:, `\w+`)+)", TEXT)
                for r in re.findall(r"`(\w+)`", line)}  # fmt: skip
    section = TEXT.partition("### W6")[2].partition("### W7")[0]
    refused |= set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert refused >= set(REASONS) - {"unknown_chain"}
    section = TEXT.partition("### What a writer makes of a refusal")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE)
    assert sorted(r for row in rows for r in re.findall(r"`(\w+)`", row)) == sorted(REASONS)


def test_the_quorums_in_the_table_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 7
    for n, q, liars, silent in (map(int, row) for row in rows):
        committee = Committee.of([bytes([k]) for k in range(n)], q)
        assert (committee.liars_max, committee.silent_max) == (liars, silent)
        assert q == default_quorum(n) or (n, q) == (3, 3)


def test_the_bounds_in_the_table_are_those_of_the_code() -> None:
    section = TEXT.partition("\n## Bounds")[2].partition("\n## ")[0]
    stated: dict[str, int] = {}
    for names, values in re.findall(r"^\| (`.*?`) \| ([\d, s]+) \|", section, re.MULTILINE):
        numbers = [int(number) for number in re.findall(r"\d+", values)]
        stated |= dict(zip(re.findall(r"`(\w+)`", names), numbers, strict=True))
    assert len(stated) == 19
    assert stated == {name: getattr(bounds, name) for name in stated}
    assert f"{VOIDS_MAX:,}" in TEXT
