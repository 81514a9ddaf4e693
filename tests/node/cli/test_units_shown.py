"""Balances say of which unit they are, where they could be of several."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.node.cli.accounts import show_accounts
from maillon.node.cli.standing import with_unit


def account(*codes: str) -> dict[str, Any]:
    position = {
        "text": "0.00", "held": 0, "held_text": "", "available_text": "50.00", "limit": 5_000,
        "limit_text": "50.00", "max": None, "max_text": "",
    }  # fmt: skip
    return {
        "account": "ab" * 16, "kind": "person", "name": "Ana Exemple", "open": True,
        "positions": [{**position, "code": code} for code in codes],
    }  # fmt: skip


def test_a_list_of_accounts_names_the_unit_of_each_balance(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_accounts([account("grain", "heure")])
    head, first, second = capsys.readouterr().out.splitlines()
    assert "unit" in head and "grain" in first and "heure" in second


def test_one_unit_goes_without_saying(capsys: pytest.CaptureFixture[str]) -> None:
    show_accounts([account("heure"), account("heure")])
    out = capsys.readouterr().out
    assert "heure" not in out and "unit" not in out
    assert with_unit("12.50", "grain", several=False) == "12.50"
    assert with_unit("1h00", "heure", several=True) == "1h00"
    assert with_unit("12.50", "grain", several=True) == "12.50 grain"
