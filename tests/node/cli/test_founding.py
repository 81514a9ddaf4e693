"""Several coops found a federation by passing a file around; none does without the others."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from support.commands import Run


@pytest.fixture
def three(cli: Run, tmp_path: Path) -> list[Path]:
    homes = [tmp_path / name for name in "abc"]
    for i, home in enumerate(homes):
        listen = f"/ip4/127.0.0.1/tcp/{4900 + i}"
        made = cli("init", "--name", home.name, "--listen", listen, "--generate-password", at=home)
        assert made.code == 0
    return homes


def card(cli: Run, home: Path) -> str:
    return str(cli("federation", "card", "--json", at=home).data["card"])


def test_a_lone_founder_needs_one_step(ready: Run, home: Path) -> None:
    told = ready("federation", "found", "--name", "Seule", "--unit", "heure:hours:Heure", "--json")
    assert told.data["installed"] is True and told.data["quorum"] == 1
    shown = ready("federation", "show", "--json").data
    assert shown["fed"] == told.data["fed"] and shown["units"][0]["code"] == "heure"
    again = ready("federation", "found", "--name", "Deux", "--json")
    assert (again.code, again.error["code"]) == (7, "already_exists")


def test_a_federation_says_what_evaluations_mark(ready: Run, home: Path) -> None:
    wrong = ready("federation", "found", "--name", "Seule", "--criterion", "joy", "--json")
    assert wrong.code != 0 and "quality" in wrong.error["hint"]
    assert not (home / "founding.bin").exists()
    told = ready(
        "federation", "found", "--name", "Seule", "--json",
        "--criterion", "joy:Était-ce un plaisir ?", "--criterion", "quality",
    )  # fmt: skip
    assert [one["code"] for one in told.data["criteria"]] == ["joy", "quality"]
    assert told.data["criteria"][0]["labels"] == {"fr": "Était-ce un plaisir ?"}
    shown = ready("federation", "show")
    assert "joy: Était-ce un plaisir ?" in shown.out and "punctuality" not in shown.out


def test_a_federation_that_says_nothing_has_three_plain_questions(ready: Run, home: Path) -> None:
    assert ready("federation", "found", "--name", "Seule").code == 0
    shown = ready("federation", "show", "--json").data
    codes = [one["code"] for one in shown["criteria"]]
    assert codes == ["quality", "punctuality", "respect"]


def test_three_coops_sign_one_after_the_other(cli: Run, three: list[Path], tmp_path: Path) -> None:
    a, b, c = three
    file = str(tmp_path / "fed.maillon")
    cards = [card(cli, b), card(cli, c)]
    told = cli("federation", "found", "--name", "À trois", "-o", file, "--json", *cards, at=a)
    assert told.data["installed"] is False and told.data["quorum"] == 2
    assert [coop["signed"] for coop in told.data["coops"]] == [True, False, False]

    early = cli("federation", "install", file, "--json", at=a)
    assert early.code != 0 and "missing" in early.error["message"]
    assert not (a / "founding.bin").exists()

    assert cli("federation", "sign", "--yes", file, at=b).code == 0
    told = cli("federation", "sign", "--yes", file, "--json", at=c)
    assert all(coop["signed"] for coop in told.data["coops"])
    for home in three:
        assert cli("federation", "install", file, at=home).code == 0
    shown = [cli("federation", "show", "--json", at=home).data for home in three]
    assert shown[0] == shown[1] == shown[2]


def test_copies_that_were_signed_apart_are_joined(
    cli: Run, three: list[Path], tmp_path: Path
) -> None:
    a, b, c = three
    first, second = tmp_path / "1.maillon", tmp_path / "2.maillon"
    cards = [card(cli, b), card(cli, c)]
    assert cli("federation", "found", "--name", "F", "-o", str(first), *cards, at=a).code == 0
    second.write_bytes(first.read_bytes())
    assert cli("federation", "sign", "--yes", str(first), at=b).code == 0
    told = cli("federation", "sign", "--yes", "--json", str(second), str(first), at=c)
    assert all(coop["signed"] for coop in told.data["coops"])


def test_a_stranger_cannot_sign(cli: Run, three: list[Path], tmp_path: Path) -> None:
    a, b, c = three
    file = tmp_path / "fed.maillon"
    assert cli("federation", "found", "--name", "F", "-o", str(file), card(cli, b), at=a).code == 0
    before = file.read_bytes()
    told = cli("federation", "sign", "--yes", "--json", str(file), at=c)
    assert told.code != 0 and told.error["code"] == "founding"
    assert file.read_bytes() == before


def test_a_proposal_that_was_changed_is_refused(
    cli: Run, three: list[Path], tmp_path: Path
) -> None:
    a, b, _ = three
    file = tmp_path / "fed.maillon"
    arguments = ("federation", "found", "--name", "Fidèle", "-o", str(file), card(cli, b))
    assert cli(*arguments, at=a).code == 0
    data = file.read_bytes()
    changed = data.replace("Fidèle".encode(), b"Perfide")
    assert changed != data
    file.write_bytes(changed)
    told = cli("federation", "sign", "--yes", "--json", str(file), at=b)
    assert (told.code, told.error["code"]) == (4, "bad_signature")


@pytest.mark.parametrize("text", ["maillon-card:abc", "maillon-card:", "maillon-invite:AAAA"])
def test_a_card_that_is_not_whole_is_told(ready: Run, home: Path, text: str) -> None:
    told = ready("federation", "found", "--name", "F", text, "--json")
    assert told.code != 0 and told.error["code"] == "text_damaged"
    assert not (home / "founding.bin").exists()


def test_an_expired_or_damaged_invitation_is_told_before_anything_is_dialled(
    ready: Run, home: Path
) -> None:
    from maillon.protocol.cards import Invitation
    from maillon.protocol.ids import FedId, Key
    from maillon.protocol.keys import SigningKey

    key = Key(SigningKey.from_seed(b"k" * 32).public)
    old = Invitation(FedId(b"f" * 32), key, ("/ip4/127.0.0.1/tcp/9",), b"t" * 16, 1_000)
    told = ready("federation", "join", old.to_text(), "--json")
    assert told.code != 0 and "expired" in told.error["message"]
    told = ready("federation", "join", old.to_text()[:-4], "--json")
    assert told.error["code"] == "text_damaged"
    assert not (home / "founding.bin").exists()


def test_a_quorum_beyond_the_founders_is_refused(ready: Run, home: Path) -> None:
    told = ready("federation", "found", "--name", "F", "--quorum", "2", "--json")
    assert told.error["code"] == "founding"
    assert not (home / "founding.bin").exists()


@pytest.mark.parametrize(
    ("typed", "signed"),
    [("oui\n", True), ("o\n", True), ("Y\n", True), ("quoi\nyes\n", True), ("\n", False),
     ("non\n", False)],
)  # fmt: skip
def test_signing_asks_and_understands_both_languages(
    cli: Run,
    three: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    signed: bool,
) -> None:
    a, b, _ = three
    file = tmp_path / "fed.maillon"
    arguments = ("--name", "F", "--unit", "sel:credit:Grain de sel", "-o", str(file), card(cli, b))
    assert cli("federation", "found", *arguments, at=a).code == 0
    before = file.read_bytes()
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    told = cli("federation", "sign", str(file), at=b)
    assert told.code == (0 if signed else 1), told.err
    assert (file.read_bytes() != before) is signed
    # What is signed is shown first.
    assert "Grain de sel (sel, credit)" in told.out
