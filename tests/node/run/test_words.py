"""The words of a node while its files are exchanged for those of a new version."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from maillon.node import i18n
from maillon.node.i18n import _, speaking


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a copy of the French words that this process reads anew."""
    shutil.copytree(i18n.LOCALES, tmp_path / "locale")
    monkeypatch.setattr(i18n, "LOCALES", tmp_path / "locale")
    read = i18n._catalogue_of  # pyright: ignore[reportPrivateUsage]
    read.cache_clear()
    yield tmp_path / "locale" / "fr" / "LC_MESSAGES" / "maillon.mo"
    read.cache_clear()


def said() -> str:
    with speaking("fr"):
        return _("Sign in first.")


def test_what_a_node_read_at_its_start_it_speaks_while_the_file_is_written_anew(
    catalogue: Path,
) -> None:
    i18n.load()
    whole = catalogue.read_bytes()
    catalogue.write_bytes(whole[: len(whole) // 2])
    assert said() != "Sign in first."


@pytest.mark.parametrize("length", [0, 3, 10, 20_000, -5])
def test_words_that_cannot_be_read_are_said_in_english(catalogue: Path, length: int) -> None:
    catalogue.write_bytes(catalogue.read_bytes()[:length])
    assert said() == "Sign in first."
    with speaking("fr"):
        assert i18n.ngettext("{n} letter", "{n} letters", 2) == "{n} letters"


def test_words_that_are_no_catalogue_at_all_are_said_in_english(catalogue: Path) -> None:
    catalogue.write_bytes(b"\xff" * 5_000)
    assert said() == "Sign in first."
