"""Run commands in this process: fast, and the exit code and both outputs at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from maillon.node.cli.app import run
from support.commands import Run, Told


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function that runs one command on a home of its own."""
    for name in ("MAILLON_HOME", "MAILLON_PASSWORD_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str, at: Path | None = None) -> Told:
        code = run(["--home", str(at or home), *arguments])
        out, err = capfd.readouterr()
        return Told(code, out, err)

    return command


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home that `init` made once: opening and sealing keys is slow on purpose."""
    path = tmp_path_factory.mktemp("made") / "home"
    assert run(["--home", str(path), "init", "--name", "Coop", "--generate-password"]) == 0
    return path


@pytest.fixture
def ready(cli: Run, made: Path, home: Path) -> Run:
    """Give the same for a copy of a home that `init` has made."""
    shutil.copytree(made, home)
    return cli
