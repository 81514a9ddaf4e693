"""Tables fit a terminal and say each thing once."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.node.cli import base
from maillon.node.cli import node as commands

PEER: dict[str, Any] = {
    "name": "Coopérative des services de proximité du Bugey et du Valromey",
    "key": "ab" * 32,
    "connected": True,
    "score": -0.2,
    "bytes_in": 1_234_567,
    "bytes_out": 890,
    "addresses": ["/ip4/192.0.2.1/tcp/4710/p2p/" + "x" * 52],
    "last_error": "the connection was closed",
}


def test_a_peer_takes_one_line_of_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands._show_peers([PEER, PEER], addresses=False)  # pyright: ignore[reportPrivateUsage]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert "1.2 MB" in lines[1] and "890 B" in lines[1]
    assert "-0" not in lines[1] and "192.0.2.1" not in lines[1]


def test_addresses_and_errors_are_shown_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    commands._show_peers([PEER], addresses=True)  # pyright: ignore[reportPrivateUsage]
    out = capsys.readouterr().out
    assert PEER["addresses"][0] in out and PEER["last_error"] in out


def test_a_table_without_headings_begins_with_its_first_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    base.print_table(("", ""), [("coop", "Bugey")], empty="")
    assert capsys.readouterr().out.split("\n")[0].split() == ["coop", "Bugey"]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_what_is_copied_is_never_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    key, address = "ab" * 32, f"{'cd' * 32}:{'ef' * 16}"
    sentence = "a sentence of many words " * 8
    base.print_table(
        ("", ""), [("key", key), ("for payers", address), ("told", sentence)], empty=""
    )
    base.print_table(("coop", "key", "with"), [("Bugey", key, address)], empty="")
    lines = capsys.readouterr().out.splitlines()
    assert sum(key in line for line in lines) == 2
    assert sum(address in line for line in lines) == 2
    assert all(line == line.rstrip() for line in lines)


def test_a_word_without_end_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    base.print_table(("name", "id"), [("x" * 5_000, "ab")], empty="")
    lines = capsys.readouterr().out.splitlines()
    assert "".join(lines).count("x") == 5_000
    assert max(map(len, lines)) <= base.WORD_CHARACTERS_MAX + 20
