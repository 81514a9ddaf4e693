"""A node is made once, its keys are encrypted, and twelve words bring them back."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from maillon.node import keyring
from maillon.node.config import load_config
from maillon.node.home import Home
from maillon.protocol.words import derive, from_words
from support.commands import Run


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_init_makes_a_home_that_is_ours_alone(cli: Run, home: Path) -> None:
    told = cli("init", "--name", "Coop d'été", "--territory", "01", "--generate-password", "--json")
    assert told.code == 0
    assert set(contents(home)) == {
        "config.toml",
        "password",
        "keys/root.key",
        "keys/sealing.key",
        "keys/node.key",
        "keys/writer.key",
    }
    assert mode(home) == 0o700 and mode(home / "keys") == 0o700
    assert {mode(home / "keys" / f"{k}.key") for k in ("root", "node", "sealing", "writer")} == {
        0o600
    }
    assert mode(home / "password") == 0o600
    config = load_config(Home(home))
    assert config.coop.name == "Coop d'été" and config.coop.territory == ["01"]


def test_the_words_that_init_shows_are_the_root_key(cli: Run, home: Path) -> None:
    told = cli("init", "--name", "Coop", "--generate-password", "--words", "--json")
    root, sealing = derive(from_words(told.data["words"]))
    password = (home / "password").read_bytes().strip()
    assert keyring.open_root(Home(home), password) == root
    assert keyring.open_sealing(Home(home), password) == sealing
    assert cli("key", "words", "--json").data["words"] == told.data["words"]
    english = cli("key", "words", "--lang", "en", "--json").data["words"]
    assert from_words(english) == from_words(told.data["words"])


def test_init_overwrites_nothing(ready: Run, home: Path) -> None:
    before = contents(home)
    told = ready("init", "--name", "Autre", "--generate-password", "--json")
    assert (told.code, told.error["code"]) == (7, "already_exists")
    assert contents(home) == before


def test_init_that_fails_half_way_leaves_nothing(
    cli: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keyring, "seal", full)
    told = cli("init", "--name", "Coop", "--generate-password", "--json")
    assert (told.code, told.error["code"]) == (7, "disk_full")
    assert contents(home) == {}
    monkeypatch.undo()
    assert cli("init", "--name", "Coop", "--generate-password").code == 0


def test_without_a_keyboard_and_a_password_file_init_says_what_to_do(cli: Run, home: Path) -> None:
    told = cli("init", "--name", "Coop", "--json")
    assert (told.code, told.error["code"]) == (5, "password_missing")
    assert "--password-file" in told.error["hint"]
    assert not home.exists()


def test_a_password_file_that_others_can_read_is_not_used(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("a password of tests\n")
    path.chmod(0o644)
    told = cli("init", "--name", "Coop", "--password-file", str(path), "--json")
    assert (told.code, told.error["code"]) == (5, "password_missing")
    assert "chmod 600" in told.error["hint"]
    path.chmod(0o600)
    assert cli("init", "--name", "Coop", "--password-file", str(path)).code == 0


def test_a_wrong_password_is_told_in_a_sentence(ready: Run, tmp_path: Path) -> None:
    path = tmp_path / "wrong"
    path.write_text("another password\n")
    path.chmod(0o600)
    told = ready("key", "words", "--password-file", str(path))
    assert told.code == 5
    assert told.out == ""
    assert "password" in told.err and "Traceback" not in told.err


def test_a_damaged_key_file_is_told_in_a_sentence(ready: Run, home: Path) -> None:
    path = home / "keys" / "root.key"
    path.write_bytes(path.read_bytes()[:-3])
    told = ready("key", "words", "--json")
    assert (told.code, told.error["code"]) == (5, "damaged_key_file")
    assert str(path) in told.error["message"] and "key restore" in told.error["hint"]


def test_a_password_file_that_is_none_is_told(ready: Run, home: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, home / "config.toml" / "below"):
        told = ready("key", "words", "--password-file", str(path), "--json")
        assert (told.code, told.error["code"]) == (5, "password_missing"), told.err
        assert str(path) in told.error["message"] and "password" in told.error["message"]


def test_words_bring_the_coop_back_in_a_new_directory(
    ready: Run, home: Path, tmp_path: Path
) -> None:
    words = ready("key", "words", "--json").data["words"]
    paper = tmp_path / "paper"
    # As somebody types them: no accents, capitals, numbers, four letters.
    typed = " ".join(f"{i}. {word[:4].upper()}" for i, word in enumerate(words.split(), 1))
    paper.write_text(typed)
    other = tmp_path / "other"
    arguments = ("key", "restore", "--words-file", str(paper), "--name", "Coop")
    secret = home / "password"
    told = ready(*arguments, "--password-file", str(secret), "--json", at=other)
    assert told.code == 0, told.err
    password = secret.read_bytes().strip()
    assert keyring.open_root(Home(other), password) == keyring.open_root(Home(home), password)
    assert keyring.open_node(Home(other), password) != keyring.open_node(Home(home), password)
    assert told.data["new_node_key"] is True


def test_words_with_a_mistake_change_nothing_and_name_the_word(
    ready: Run, home: Path, tmp_path: Path
) -> None:
    words = ready("key", "words", "--json").data["words"].split()
    paper = tmp_path / "paper"
    paper.write_text(" ".join([*words[:4], "zzzzzz", *words[5:]]))
    before = contents(home)
    told = ready("key", "restore", "--words-file", str(paper), "--json")
    assert (told.code, told.error["code"]) == (5, "recovery_words")
    assert "5" in told.error["message"]
    assert contents(home) == before


def test_the_paper_key_is_written_once_and_holds_the_words(ready: Run, tmp_path: Path) -> None:
    page = tmp_path / "paper.svg"
    assert ready("key", "paper", "--output", str(page)).code == 0
    assert mode(page) == 0o600
    words = ready("key", "words", "--json").data["words"].split()
    text = page.read_text()
    assert all(word in text for word in words)
    assert text.count("<svg") == text.count("</svg>") >= 2
    assert ready("key", "paper", "--output", str(page), "--json").error["code"] == "already_exists"
    shown = ready("key", "paper")
    assert words[0] in shown.out


def test_lost_settings_are_written_again_beside_the_keys(ready: Run, home: Path) -> None:
    before = contents(home)
    (home / "config.toml").unlink()
    told = ready("run", "--json")
    assert told.error["code"] == "not_initialised" and "keys" in told.error["message"]
    assert "init --name" in told.error["hint"]

    refused = ready("init", "--name", "Coop", "--generate-password", "--json")
    assert refused.code == 2 and not (home / "config.toml").exists()
    # No password is asked for: no key is made.
    (home / "password").rename(home / "elsewhere")
    told = ready("init", "--name", "Coop", "--json")
    assert told.code == 0 and told.data["kept_keys"] is True
    (home / "elsewhere").rename(home / "password")
    assert contents(home) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--name", ""),
        ("--name", "a\x1b[31mb"),
        ("--name", "x" * 121),
        ("--listen", "127.0.0.1:5711"),
        ("--listen", "/ip4/127.0.0.1/tcp/99999"),
        ("--announce", "foo"),
        ("--territory", "Ain!"),
        ("--language", "français"),
    ],
)
def test_a_setting_that_cannot_work_is_a_usage_error_and_makes_nothing(
    cli: Run, home: Path, option: str, value: str
) -> None:
    name = () if option == "--name" else ("--name", "Coop")
    told = cli("init", *name, "--generate-password", option, value, "--json")
    assert (told.code, told.error["code"]) == (2, "usage")
    assert option in told.error["message"]
    assert not home.exists()


def test_init_below_a_file_says_so(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        told = cli("init", "--name", "C", "--generate-password", "--json", at=place)
        assert (told.code, told.error["code"]) == (7, "home")
        assert str(place) in told.error["message"]


def test_what_to_do_next_names_the_directory_that_was_given(cli: Run, home: Path) -> None:
    told = cli("init", "--name", "Coop", "--generate-password")
    assert f"maillon --home {home} key words" in told.out
    assert str(home / "password") in told.out
    told = cli("federation", "found", "--name", "F")
    assert f"maillon --home {home} run" in told.out
    assert f"maillon --home {home} run" in cli("status").err
