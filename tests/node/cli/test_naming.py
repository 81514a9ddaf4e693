"""People, coops and accounts are named as people name them, and nobody is taken for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.cli.who import COMMONS_WORDS, key_of, looks_like_id, same_name

PEOPLE = ["Ana Exemple", "Anatole Exemple", "Éloïse d'Essai", "Bruno Exemple", "Bruno Autre"]


def found(wanted: str) -> list[str]:
    return same_name(wanted, [(name, name) for name in PEOPLE])


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("Ana Exemple", ["Ana Exemple"]),
        ("ana exemple", ["Ana Exemple"]),
        ("ANA", ["Ana Exemple"]),
        ("eloise d essai", ["Éloïse d'Essai"]),
        ("Éloïse", ["Éloïse d'Essai"]),
        ("Bruno", ["Bruno Exemple", "Bruno Autre"]),
        ("Exemple", []),
        ("An", []),
        ("", []),
        (" ' ", []),
    ],
)
def test_a_name_means_those_who_have_it_whole_or_as_its_first_words(
    wanted: str, meant: list[str]
) -> None:
    assert found(wanted) == meant


def test_a_whole_name_is_never_confused_with_a_longer_one() -> None:
    both = [("Bruno", 1), ("Bruno Exemple", 2)]
    assert same_name("bruno", both) == [1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4f0a12cd", True), ("4F0A12CD…", True), ("4f0a12c", False), ("Adeba Dada", False)],
)
def test_only_eight_hexadecimal_characters_are_an_id(text: str, expected: bool) -> None:
    assert looks_like_id(text) is expected


def test_the_commons_has_a_word_in_both_languages() -> None:
    assert {"commons", "commun"} <= {key_of(word) for word in COMMONS_WORDS}
    assert all(key_of(word) == word for word in COMMONS_WORDS)


@given(st.text(max_size=40), st.text(max_size=40))
def test_names_that_are_the_same_to_people_are_found_by_each_other(first: str, second: str) -> None:
    assert (same_name(first, [(second, second)]) == [second]) >= (
        key_of(first) == key_of(second) != ""
    )
    assert key_of(key_of(first)) == key_of(first)
