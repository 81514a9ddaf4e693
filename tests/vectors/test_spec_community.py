"""Hold the examples and tables of spec/08-community against the code."""

from __future__ import annotations

import re

from maillon.protocol.auctions import commitment, lot, lot_of
from maillon.protocol.records import KINDS
from maillon.protocol.records.exchange import EXCHANGE
from maillon.protocol.resting import RESTS
from maillon.protocol.splitting import shares
from maillon.protocol.statuses import RETURNS, RULES
from support.vectors import FOLDER, load

TEXT = (FOLDER.parent / "08-community.md").read_text("utf-8")
NONCE, SECRET = bytes(range(32)), bytes(range(32, 64))
THING = bytes.fromhex("d1fd34054353f2ef1a95fa2ac7abf9788a9a04d7bf8c26726267dbf7e5847257")


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"no example {name}"
    return found[1]


def test_the_example_of_a_sealed_bid_is_what_the_code_makes() -> None:
    lines = [line.partition("    ")[0] for line in example("commitment").splitlines()]
    hashed = bytes.fromhex(" ".join(lines))
    assert hashed.startswith(b"maillon/1/bid\0" + NONCE) and THING in hashed
    assert commitment(THING, 60, NONCE).hex() == example("commit").strip()
    assert hashed.endswith(b"\x3c")


def test_the_example_of_a_lot_is_what_the_code_draws() -> None:
    assert lot(SECRET).hex() == example("lot").strip()
    draws = [lot_of(SECRET, bytes([at]) * 32).hex() for at in (1, 2)]
    assert draws == example("draws").split()
    assert draws[0] < draws[1], "the text says that the first wins"


def test_the_example_of_a_split_is_what_the_code_splits() -> None:
    for line in example("split").splitlines():
        asked, _, units = line.partition("    ")
        amount, _, parts = asked.partition(" by ")
        members = [(bytes([at]), int(share)) for at, share in enumerate(parts.split(", "))]
        split = [str(got) for _, got in shares(int(amount), members)]
        assert split == units.strip().split(", ")


def test_the_table_of_what_rests_on_what_is_the_code() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| an? ([\w-]+) \| `(\w+)`", TEXT, re.MULTILINE)
    said = {
        kind: ({"micro-organisation": "organisation"}.get(base, base), field)
        for kinds, base, field in rows
        for kind in re.findall(r"`(\w+)`", kinds)
    }
    assert said.keys() == RESTS.keys()
    for kind, (base, field) in said.items():
        assert RESTS[kind].on == base
        assert any(part.name == field for part in KINDS[kind].schema.fields)


def test_every_rule_that_the_chapter_names_is_broken_by_a_vector_and_the_other_way_round() -> None:
    section = TEXT.partition("### What a cheat can do")[0]
    section += TEXT.partition("## Micro-organisations")[2]
    named = set(re.findall(r"\| `(\w+)` \|$", section, re.MULTILINE))
    named |= set(re.findall(r"\(`(?:ref_invalid`, `)?(\w+)`\)", section))
    context = {case["rule"] for case in load("records-context.json")["cases"] if "rule" in case}
    assert context <= named
    codes = {"ref_missing", "membership_missing", "membership_expired", "membership_revoked"}
    words = {"at", "open", "sealed", "bid_reveal", "relay_request", "group_approval"}
    assert named - codes - words == context


def test_what_terms_give_and_who_may_not_be_given_it_is_named() -> None:
    section = TEXT.partition("## Statuses")[2].partition("\n## ")[0]
    assert all(f"`{name}`" in section for name in RETURNS)
    for status, forbidden in RULES.items():
        assert f"`{status}`" in section and all(f"`{name}`" in section for name in forbidden)


def test_all_but_the_named_steps_say_which_exchange_they_belong_to() -> None:
    without = {
        name for name, kind in KINDS.items() if kind.private and EXCHANGE not in kind.schema.fields
    }
    assert without == {
        "opening", "bundle_decision", "group_approval", "voucher_deposit", "relay_request",
        "relay_ack",
    }  # fmt: skip
