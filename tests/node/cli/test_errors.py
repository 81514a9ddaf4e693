"""Every failure is one sentence, what to do next, and a documented exit code; never a traceback."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from maillon.node.cli import base
from maillon.node.cli.app import cli as root
from maillon.node.cli.app import explain_database_error, run
from maillon.node.cli.transfer import RECORD_KINDS
from maillon.protocol.errors import LocalError, MaillonError, RemoteError
from maillon.protocol.records import PUBLIC_KINDS
from support.commands import Run


def test_without_a_node_every_command_that_needs_one_says_how_to_make_it(
    cli: Run, home: Path
) -> None:
    for arguments in (["status"], ["search", "x"], ["run"], ["federation", "show"], ["peers"]):
        told = cli(*arguments, "--json")
        assert (told.code, told.error["code"]) == (7, "not_initialised"), arguments
        assert f"maillon --home {home} init" in told.error["hint"]


def test_without_a_running_node_commands_say_how_to_start_it(ready: Run, home: Path) -> None:
    for line in ("status", "search x", "offer list", "export", "member list"):
        arguments = line.split()
        told = ready(*arguments)
        assert told.code == 3, arguments
        assert told.out == ""
        assert f"maillon --home {home} run" in told.err


def test_a_node_without_a_federation_does_not_run(ready: Run) -> None:
    told = ready("run", "--json")
    assert (told.code, told.error["code"]) == (7, "no_federation")
    assert "federation join" in told.error["hint"]


def test_a_misspelt_setting_names_its_place(ready: Run, home: Path) -> None:
    config = home / "config.toml"
    config.write_text(config.read_text().replace("[network]", "[network]\nlissten = 3"))
    told = ready("federation", "card", "--json")
    assert (told.code, told.error["code"]) == (7, "config")
    assert "lissten" in told.error["message"] and "network" in told.error["message"]


def test_settings_that_are_no_toml_name_the_line(ready: Run, home: Path) -> None:
    (home / "config.toml").write_text("[coop]\nname = \n")
    told = ready("federation", "card", "--json")
    assert told.error["code"] == "config" and "line 2" in told.error["message"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("tcp/4710", "tcp/99999", ("network.listen", "/ip4/0.0.0.0/tcp/99999")),
        ('languages = ["fr"]', 'languages = ["français"]', ("coop.languages", "français")),
        ('name = "Coop"', 'name = "a\\u001bb"', ("coop.name",)),
    ],
)
def test_a_setting_that_cannot_work_names_its_place_and_value(
    ready: Run, home: Path, old: str, new: str, named: tuple[str, ...]
) -> None:
    config = home / "config.toml"
    config.write_text(config.read_text().replace(old, new, 1))
    told = ready("federation", "card", "--json")
    assert (told.code, told.error["code"]) == (7, "config")
    assert all(word in told.error["message"] for word in named)


def test_settings_in_another_encoding_name_the_line(ready: Run, home: Path) -> None:
    config = home / "config.toml"
    lines = config.read_text().splitlines()
    lines[2] = "# été"
    config.write_bytes("\n".join(lines).encode("latin-1"))
    told = ready("federation", "card", "--json")
    assert told.error["code"] == "config" and "line 3" in told.error["message"]


def test_unknown_commands_and_options_are_usage_errors(cli: Run) -> None:
    assert cli("sttaus").code == 2
    assert cli("status", "--colour").code == 2
    told = cli("offer", "publish", "--json")
    assert told.code in (2, 7)
    assert json.loads(told.err)["error"]["code"] in ("usage", "not_initialised")


def test_a_damaged_founding_file_is_told(ready: Run, home: Path) -> None:
    assert ready("federation", "found", "--name", "F").code == 0
    path = home / "founding.bin"
    path.write_bytes(path.read_bytes()[:-1])
    told = ready("run", "--json")
    assert told.code == 7 and "founding" in told.error["message"]
    assert "Traceback" not in told.err


def test_a_damaged_database_is_told_with_what_to_do(ready: Run, home: Path) -> None:
    assert ready("federation", "found", "--name", "F").code == 0
    (home / "node.db").write_bytes(b"SQLite format 3\0" + b"x" * 5_000)
    told = ready("run", "--json")
    assert told.code == 7, told.err
    assert "node.db" in told.error["message"]
    assert told.error["hint"]


def test_a_port_in_use_is_told(ready: Run, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = home / "config.toml"
        text = config.read_text().replace("/ip4/0.0.0.0/tcp/4710", f"/ip4/127.0.0.1/tcp/{port}")
        config.write_text(text)
        assert ready("federation", "found", "--name", "F").code == 0
        told = ready("run", "--json")
    assert told.code == 6, told.err
    assert str(port) in told.err
    assert not (home / "api.sock").exists()


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_of_the_system_becomes_a_sentence(number: int) -> None:
    code, message, _hint = base.explain_os_error(OSError(number, os.strerror(number), "/a/file"))
    assert message.endswith(".") and base.exit_code(code) in (base.HOME, base.NETWORK)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("database or disk is full", "disk_full"),
        ("attempt to write a readonly database", "permission"),
        ("unable to open database file", "permission"),
        ("database is locked", "os"),
        ("database disk image is malformed", "damaged_database"),
    ],
)
def test_every_error_of_the_database_becomes_a_sentence(text: str, code: str) -> None:
    found, message, _hint = explain_database_error(Exception(text))
    assert found == code and message.endswith(".")


def _kinds(base_class: type[MaillonError]) -> list[type[MaillonError]]:
    found = [base_class]
    for kind in base_class.__subclasses__():
        found += _kinds(kind)
    return found


def test_every_error_code_has_an_exit_code_between_one_and_eight() -> None:
    # Importing them makes all their errors known.
    for part in (
        "net.errors", "run.founding", "run.join", "run.register", "search.query", "store.database",
    ):  # fmt: skip
        importlib.import_module(f"maillon.node.{part}")

    for kind in _kinds(LocalError):
        assert 1 <= base.exit_code(kind.code) <= 8, kind
    for kind in _kinds(RemoteError):
        assert base.exit_code(kind.code) in (base.REFUSED, base.NETWORK), kind


def test_what_others_wrote_cannot_drive_the_terminal() -> None:
    assert base.printable("a\x1b[2Jb\u202ec\n") == "a\ufffd[2Jb\ufffdc\n"


def test_control_c_ends_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    @root.command("interrupted-by-test", cls=base.Command)
    def interrupted() -> None:
        raise KeyboardInterrupt

    try:
        assert run(["interrupted-by-test"]) == base.INTERRUPTED
    finally:
        del root.commands["interrupted-by-test"]
    assert "Traceback" not in capsys.readouterr().err
    assert isinstance(interrupted, click.Command)


@pytest.fixture
def faulty() -> Iterator[None]:
    @root.command("faulty-by-test", cls=base.Command)
    def faulty() -> None:
        raise KeyError("payload")

    assert isinstance(faulty, click.Command)
    yield
    del root.commands["faulty-by-test"]


@pytest.mark.usefixtures("faulty")
def test_a_fault_of_ours_is_a_sentence_and_its_traceback_a_file(ready: Run, home: Path) -> None:
    told = ready("faulty-by-test")
    assert told.code == 1 and told.out == ""
    assert "Traceback" not in told.err and str(home / "error.txt") in told.err
    assert "KeyError: 'payload'" in (home / "error.txt").read_text()
    assert (home / "error.txt").stat().st_mode & 0o777 == 0o600
    assert ready("faulty-by-test", "--json").error["code"] == "internal"


@pytest.mark.usefixtures("faulty")
def test_a_fault_of_ours_before_there_is_a_home_is_kept_as_well(
    cli: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told = cli("faulty-by-test", "--json")
    assert not home.exists()
    (kept,) = tmp_path.glob("maillon-*.txt")
    assert str(kept) in told.error["hint"] and "KeyError" in kept.read_text()


@pytest.mark.usefixtures("faulty")
def test_whoever_asks_for_it_sees_the_traceback(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILLON_DEBUG", "1")
    with pytest.raises(KeyError):
        ready("faulty-by-test")


@pytest.mark.parametrize("missing", ["click", "httpx"])
def test_without_the_packages_of_the_node_the_command_says_how_to_install_it(missing: str) -> None:
    program = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "sys.argv = ['maillon', 'status']\n"
        "from maillon.node.cli import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "maillon[node]" in done.stderr
    assert missing in done.stderr


def test_a_backup_makes_no_parents_and_says_where_it_cannot_be(ready: Run, tmp_path: Path) -> None:
    told = ready("backup", str(tmp_path / "nope" / "x"), "--json")
    assert (told.code, told.error["code"]) == (7, "not_found_file")
    assert str(tmp_path / "nope") in told.error["hint"]
    assert not (tmp_path / "nope").exists()
    told = ready("backup", "/proc/x", "--json")
    assert told.code == 7 and "/proc/x" in told.error["message"]
    assert ready("backup", str(tmp_path / "x")).code == 0
    assert (tmp_path / "x" / "config.toml").exists()


def test_an_export_overwrites_only_when_told_to(ready: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    told = ready("export", "-o", str(mine), "--json")
    assert (told.code, told.error["code"]) == (7, "already_exists")
    assert mine.read_text() == "mine"
    # With --force it goes on, and finds no running node.
    assert ready("export", "-o", str(mine), "--force").code == 3
    told = ready("export", "-o", str(tmp_path / "nope" / "x"), "--json")
    assert told.error["code"] == "not_found_file"
    assert told.error["message"].startswith(str(tmp_path / "nope") + " ")


def test_an_export_of_an_unknown_kind_is_a_usage_error(ready: Run) -> None:
    assert list(PUBLIC_KINDS) == RECORD_KINDS
    assert ready("export", "--kind", "nope").code == 2


def test_a_distance_from_nowhere_is_a_usage_error(ready: Run) -> None:
    told = ready("search", "x", "--km", "5", "--json")
    assert told.code == 2 and "--near" in told.error["message"]


def test_restoring_without_a_keyboard_and_words_says_what_to_do(
    ready: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    told = ready("key", "restore", "--json")
    assert told.code == 2 and "--words-file" in told.error["hint"]


def test_a_first_offer_is_helped_to_a_category(ready: Run) -> None:
    told = ready("offer", "publish", "--title", "T", "--json")
    assert told.code == 2 and "mobilite" in told.error["hint"]


def test_what_is_no_id_is_said_to_be_none_before_anything_is_asked(ready: Run) -> None:
    told = ready("exchange", "open", "zzzz", "--by", "Ana", "--json")
    assert (told.code, told.error["code"]) == (2, "usage")
    assert "'zzzz' is no id" in told.error["message"] and "offer list" in told.error["hint"]
