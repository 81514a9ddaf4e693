"""Help is fast, complete and teaches by example."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from maillon.node.cli.app import cli
from maillon.node.config import Config, Contact, Place

HEAVY = ("libp2p", "litestar", "hypercorn", "trio", "httpx", "h3", "pysqlite3", "sqlite_utils")


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


ALL = dict(commands(cli))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["offer", "publish", "-h"], ["transfer", "send", "-h"]],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from maillon.node.cli.app import run\n"
        f"code = run({arguments!r})\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
        "raise SystemExit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    assert "Usage: maillon" in done.stdout


@pytest.mark.parametrize("path", ALL)
def test_every_command_says_what_it_does(path: str) -> None:
    command = ALL[path]
    assert (
        command.help
        and command.help.strip().endswith((".", "…", "csv", "-20"))
        or "\b" in str(command.help)
    )


@pytest.mark.parametrize("path", ALL)
def test_every_command_takes_home_and_json(path: str) -> None:
    options = {name for parameter in ALL[path].params for name in parameter.opts}
    assert {"--home", "--json"} <= options


@pytest.mark.parametrize("path", ALL)
def test_the_examples_in_the_help_name_real_commands_and_options(path: str) -> None:
    for line in str(ALL[path].help).splitlines():
        words = line.split("#")[0].split()
        if words[:1] != ["maillon"]:
            continue
        rest = [w for w in words[1:] if not w.startswith(("--home", "DIRECTORY", "/srv"))]
        command: click.Command = cli
        while rest and isinstance(command, click.Group) and rest[0] in command.commands:
            command = command.commands[rest.pop(0)]
        assert command is not cli, f"no such command in: {line}"
        known = {name for parameter in command.params for name in parameter.opts}
        known |= {name for parameter in command.params for name in parameter.secondary_opts}
        used = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert used <= known, f"unknown options in: {line}"


def test_completion_scripts_name_the_program() -> None:
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [sys.executable, "-m", "maillon.node.cli", "completion", shell],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0
        assert "_MAILLON_COMPLETE" in done.stdout


def test_the_operators_page_lists_every_setting() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operator.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    listed: set[str] = set()
    for row in rows:
        first, *others = re.findall(r"`([a-z_.]+)`", row) or [""]
        listed |= {first, *(f"{first.rpartition('.')[0]}.{other}" for other in others)}

    def settings(kind: type[msgspec.Struct], above: str = "") -> Iterator[str]:
        for field in msgspec.structs.fields(kind):
            inner: Any = {"place": Place, "contact": Contact}.get(field.name, field.type)
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from settings(inner, f"{above}{field.name}.")
            else:
                yield above + field.name

    assert sorted(set(settings(Config)) - listed) == []


def test_the_everyday_transfer_needs_no_word_more_than_who_to_whom_and_how_much() -> None:
    group = ALL["transfer"]
    assert isinstance(group, click.Group)
    context = click.Context(group)
    name, command, rest = group.resolve_command(context, ["Ana", "Bruno", "1h30"])
    assert (name, rest) == ("send", ["Ana", "Bruno", "1h30"]) and command is ALL["transfer send"]
    assert group.resolve_command(context, ["list", "--limit", "3"])[0] == "list"
    with pytest.raises(click.UsageError):
        group.resolve_command(context, ["lsit"])


def test_the_page_of_the_command_line_lists_every_command() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    table = page.partition("## Commands")[2].partition("\nEvery command")[0]
    listed: set[str] = set()
    for row in (line.split("|")[1] for line in table.splitlines() if line.startswith("| `")):
        groups: list[str] = []
        for words in re.findall(r"`([^`]+)`", row):
            # `account open`, or `offer` before the commands that it shares with `demand`.
            parts = words.split()
            depth = 0
            while depth < len(parts) and isinstance(
                ALL.get(" ".join(parts[: depth + 1])), click.Group
            ):
                depth += 1
            group, rest = " ".join(parts[:depth]), parts[depth:]
            if group:
                groups = [group] if rest else [*groups, group]
                listed.add(f"{group} {rest[0]}" if rest else group)
            else:
                listed |= {f"{above} {rest[0]}" for above in groups} if groups else {rest[0]}
    leaves = {path for path, command in ALL.items() if not isinstance(command, click.Group)}
    assert sorted(leaves - listed) == []
    assert sorted(name for name in listed - set(ALL) if " " not in name) == []
