"""Every refusal of a reader has a vector: a rule without one is read otherwise elsewhere."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, cast

import maillon.ledger
import maillon.protocol
from maillon.protocol.errors import RemoteError
from support.tree import TOP
from support.vectors import FOLDER, load

UNREACHED = {
    "duplicate": "what is here already is no refusal: the sets of records-context.json",
    "superseded": "an older revision is no refusal: the sets of records-context.json",
    "step": "the desk's own refusal before anything is signed: `next` in exchange.json",
    "ledger": "the name of a family of refusals, which nobody answers",
    "unplaceable": "what a coop tells its own people of an entry that no witness accepts",
    "hold_exists": "a hold is named by its order, and an order's number counts once",
}
"""Codes that no vector ends with, and why none can."""

SHOWN_BY_NAME = {
    "card_parts": ("founding.json", "a card of three parts"),
    "delegate": ("records-context.json", "by another than the delegate"),
    "founding_parts": ("founding.json", "a file of three parts"),
    "founding_signatures": ("founding.json", "two signatures for three coops"),
    "invitation_parts": ("founding.json", "an invitation of five parts"),
    "key_taken": ("records-context.json", "a key that is another person's"),
    "root_only": ("records-context.json", "a profile withdrawn by the node key"),
    "ticket": ("persons.json", "an author of 33 bytes"),
    "voucher_answer": ("persons.json", "another status"),
    "voucher_number": ("persons.json", "number 0"),
}
"""Rules that a vector breaks without naming them: what a reader answers is the code alone."""

STATEFUL = {
    "unasked": "an answer in a session of reconciliation that nobody asked: tests/protocol",
}
"""Rules about the course of a conversation, which no vector of single values can break."""


def everything(value: Any) -> Iterator[Any]:
    yield value
    inside: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        inside = list(cast("dict[str, Any]", value).values())
    for one in inside:
        yield from everything(one)


def tables(value: Any) -> Iterator[dict[str, Any]]:
    for one in everything(value):
        if isinstance(one, dict):
            yield cast("dict[str, Any]", one)


ALL = [found for path in FOLDER.glob("*.json") for found in everything(load(path.name))]
TEXTS = {found for found in ALL if isinstance(found, str)}


def remote_errors() -> dict[str, type[RemoteError]]:
    """Return what is answered to others, by the names of the classes."""
    for package in (maillon.protocol, maillon.ledger):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found: dict[str, type[RemoteError]] = {}
    families: list[type[RemoteError]] = [RemoteError]
    while families:
        for kind in families.pop().__subclasses__():
            if kind.__module__.startswith(("maillon.protocol", "maillon.ledger")):
                found[kind.__name__] = kind
                families.append(kind)
    return found


def rules_raised() -> dict[str, str]:
    """Return the rules that the protocol's readers name, each with a place."""
    remote = remote_errors()
    found: dict[str, str] = {}
    for path in sorted((TOP / "protocol").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            for keyword in node.keywords:
                said = keyword.value
                if node.func.id in remote and keyword.arg == "rule":
                    if isinstance(said, ast.Constant) and isinstance(said.value, str):
                        found[said.value] = f"{path.name}:{node.lineno}"
    return found


def test_every_code_that_a_reader_answers_ends_a_vector() -> None:
    codes = {kind.code for kind in remote_errors().values()}
    assert len(codes) > 70
    assert codes - TEXTS == UNREACHED.keys()


def test_every_rule_that_a_reader_names_is_broken_by_a_vector() -> None:
    rules = rules_raised()
    assert len(rules) > 60
    missing = {rule: place for rule, place in rules.items() if rule not in TEXTS}
    assert missing.keys() == SHOWN_BY_NAME.keys() | STATEFUL.keys(), missing


def test_the_vectors_that_break_a_rule_without_naming_it_are_there() -> None:
    for rule, (file, name) in SHOWN_BY_NAME.items():
        answers = [one.get("expect") for one in tables(load(file)) if one.get("name") == name]
        assert answers and "ok" not in answers, (rule, name)
