"""Hold the example, tables and codes of spec/06-accounts.md against the code."""

from __future__ import annotations

import re
from typing import Any

from maillon.ledger import errors, limits
from maillon.ledger.block import DeltaRow
from maillon.ledger.state import ChainState
from maillon.protocol.errors import MaillonError
from support.vectors import FOLDER, load

TEXT = (FOLDER.parent / "06-accounts.md").read_text("utf-8")


def example(name: str) -> list[bytes]:
    found = re.search(rf"<!-- example: {name} -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"no example {name}"
    return [bytes.fromhex(line.partition("  ")[0]) for line in found[1].splitlines()]


def test_the_rows_of_the_example_have_the_root_of_the_example() -> None:
    rows = [DeltaRow(slot, row) for slot, row in enumerate(example("rows"))]
    state = ChainState.from_rows(bytes(32), rows)
    assert [state.root()] == example("root")
    assert list(state.rows()) == rows
    _, ana, bob = state.accounts()
    assert (ana.seq, ana.positions[0].balance, ana.available(0)) == (1, -40, 60)
    assert (bob.positions[0].limit, bob.positions[0].max) == (50, 600)
    assert state.totals.accounts == 2


def codes(base: type[MaillonError]) -> set[str]:
    return {base.code} | {code for found in base.__subclasses__() for code in codes(found)}


def test_every_code_in_the_text_is_one_of_the_registry() -> None:
    known = codes(MaillonError)
    for code in re.findall(r"`((?:account|order|mandate|hold|over|wrong|coop)_\w+)`", TEXT):
        assert code in known, code


def test_every_reason_and_code_of_the_vectors_stands_in_the_text() -> None:
    vectors: list[dict[str, Any]] = load("ledger-accounts.json")["vectors"]
    named = {v[part] for v in vectors for part in ("expect", "reason", "entry_code") if part in v}
    missing = {code for code in named - {"ok", "malformed"} if f"`{code}`" not in TEXT}
    assert not missing


def test_the_bounds_in_the_text_are_those_of_the_code() -> None:
    assert f"{limits.HOLDS_MAX} holds, {limits.MANDATES_MAX} mandates" in TEXT
    assert f"{limits.KEYS_MAX} keys an account" in TEXT
    assert limits.AMOUNT_MAX == 10**12 and "at most 10^12" in TEXT
    assert limits.BALANCE_MAX == 2**53 - 1
    assert errors.BadAmount.code == "amount"
