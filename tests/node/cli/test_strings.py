"""Everything that people read is there in French, with the same facts in it."""

from __future__ import annotations

import ast
import io
import os
import re
import string
import subprocess
import sys
from pathlib import Path

import click
import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from maillon.node.i18n import LOCALES
from support.catalogue import NODE, extracted

PO = LOCALES / "fr" / "LC_MESSAGES" / "maillon.po"


def in_the_code() -> set[str]:
    found: set[str] = set()
    for message in extracted():
        found |= {message} if isinstance(message, str) else set(message)
    return found


def test_no_word_is_asked_for_inside_another_string() -> None:
    # What extracts the words to translate does not look there, and nobody would miss them.
    hidden = [
        f"{file.relative_to(NODE)}:{call.lineno}"
        for file in sorted(NODE.rglob("*.py"))
        for string in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(string, ast.JoinedStr)
        for call in ast.walk(string)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("_", "ngettext")
    ]
    assert hidden == []


def french() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="fr")


def messages() -> list[Message]:
    return [message for message in french() if message.id]


def originals(message: Message) -> list[str]:
    """Return what stands in the code: one string, or a singular and a plural."""
    return [message.id] if isinstance(message.id, str) else list(message.id)


def translations(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


def test_every_string_is_translated() -> None:
    known = {
        original
        for message in messages()
        if all(translations(message)) and not message.fuzzy
        for original in originals(message)
    }
    assert sorted(in_the_code() - known) == []


def test_nothing_is_translated_that_the_code_does_not_say() -> None:
    assert sorted({o for message in messages() for o in originals(message)} - in_the_code()) == []


def fields(text: str) -> set[str]:
    return {name for _t, name, _s, _c in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("message", messages(), ids=lambda message: str(message.id)[:40])
def test_a_translation_carries_the_same_facts(message: Message) -> None:
    pairs = list(zip(originals(message), translations(message), strict=True))
    for original, translated in pairs:
        if re.search(r"\{[a-z]", original):
            assert fields(original) == fields(translated)
        # Templates name theirs so.
        named = re.compile(r"%\([a-z_]+\)s")
        assert set(named.findall(original)) == set(named.findall(translated))
        assert original.count("\b") == translated.count("\b")
        # Options are what is typed: they are the same in both.
        options = re.compile(r"--[a-z][a-z-]+")
        assert set(options.findall(original)) == set(options.findall(translated))


@pytest.mark.parametrize(
    ("language", "number", "count"),
    [("en", "1.4 866.1 kB", "1 thing needs"), ("fr", "1,4 866,1 ko", "1 point demande")],
)
def test_numbers_are_written_as_the_language_does(language: str, number: str, count: str) -> None:
    program = (
        "from maillon.node.i18n import decimal, ngettext, size\n"
        "print(decimal(1.4), size(866_123))\n"
        "words = '{n} thing needs your attention.', '{n} things need your attention.'\n"
        "print(ngettext(*words, 1).format(n=1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "MAILLON_LANG": language, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(number) and count in done.stdout


def test_the_compiled_words_are_those_of_the_file() -> None:
    with PO.with_suffix(".mo").open("rb") as file:
        found = [m for m in read_mo(io.BytesIO(file.read())) if m.id]
    compiled = {tuple(originals(m)): translations(m) for m in found}
    assert compiled == {tuple(originals(m)): translations(m) for m in messages()}


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"MAILLON_LANG": "fr"}, "Faire tourner un nœud"),
        ({"MAILLON_LANG": "en"}, "Run a node"),
        ({"LANG": "fr_FR.UTF-8"}, "Faire tourner un nœud"),
        ({"LANG": "pt_BR.UTF-8"}, "Run a node"),
        ({"MAILLON_LANG": "en", "LANG": "fr_FR.UTF-8"}, "Run a node"),
    ],
)
def test_the_language_is_chosen_by_the_environment(variables: dict[str, str], word: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "MAILLON"))}
    done = subprocess.run(
        [sys.executable, "-m", "maillon.node.cli", "--help"],
        env={**kept, "PYTHONUTF8": "1", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert word in done.stdout


def told_in(language: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "maillon.node.cli", *arguments],
        env={**os.environ, "MAILLON_LANG": language, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "french", "english"),
    [
        (["init", "--help"], ["Utilisation :", "[obligatoire]", "cette aide"], ["Usage:"]),
        (["sttaus"], ["Commande inconnue"], ["No such command"]),
        (["init"], ["Il manque l'option"], ["Missing option"]),
        (["search", "--limit", "x"], ["Valeur refusée pour"], ["Invalid value for"]),
    ],
)
def test_what_click_says_itself_follows_the_language(
    arguments: list[str], french: list[str], english: list[str]
) -> None:
    spoken = told_in("fr", *arguments)
    assert all(word in spoken for word in french), spoken
    assert not any(word in spoken for word in english), spoken
    assert all(word in told_in("en", *arguments) for word in english)


def test_what_is_translated_of_click_is_what_this_click_says() -> None:
    said = {
        original
        for _f, _l, message, _c, _x in extract_from_dir(
            str(Path(click.__file__).parent),
            method_map=[("**.py", "python")],
            keywords={"_": None, "ngettext": (1, 2)},
        )
        for original in ([message] if isinstance(message, str) else message)
    }
    path = PO.with_name("click.po")
    with path.open("rb") as file, path.with_suffix(".mo").open("rb") as compiled_file:
        written = [m for m in read_po(file, locale="fr") if m.id]
        compiled = [m for m in read_mo(io.BytesIO(compiled_file.read())) if m.id]
    assert {o for m in written for o in originals(m)} - said == set()
    assert {tuple(originals(m)): translations(m) for m in compiled} == {
        tuple(originals(m)): translations(m) for m in written
    }
    for message in written:
        for original, translated in zip(originals(message), translations(message), strict=True):
            assert fields(original) == fields(translated)
