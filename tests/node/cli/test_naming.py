"""People, coops and accounts are named as people name them, and nobody is taken for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node.cli.who import looks_like_id
from maillon.node.naming import (
    COMMONS_WORDS,
    NAME_CHARACTERS_MAX,
    AmbiguousCoop,
    NoSuchCoop,
    find_coop,
    key_of,
    same_name,
    why_not,
)

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


@pytest.mark.parametrize(
    "name",
    [
        "Ana Exemple",
        "Éloïse d'Été-Neuve",
        "Association « Les 3 Chênes » & Cie (Die)",
        "أنا مثال",
        "می\u200cخواهم",
        "山田",
        "3",
        "x" * NAME_CHARACTERS_MAX,
    ],
)
def test_names_of_all_scripts_are_taken(name: str) -> None:
    assert why_not(name) == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "letter or a digit"),
        ("   ", "letter or a digit"),
        ("-- !", "letter or a digit"),
        ("\u0301", "letter or a digit"),
        ("a\nb", "U+000A"),
        ("a\x1b[31mb", "U+001B"),
        ("a\u2028b", "U+2028"),
        ("Ana \u202eelpmexE", "U+202E"),
        ("Ana\u2067", "U+2067"),
        ("Ana\u200b", "U+200B"),
        ("Ana\ufeff", "U+FEFF"),
        ("Ana\ue000", "U+E000"),
        ("x" * (NAME_CHARACTERS_MAX + 1), f"at most {NAME_CHARACTERS_MAX}"),
        ("Jean: Paul", "colon"),
        ("Commons", "own account"),
        ("le  commun", "own account"),
    ],
)
def test_a_name_that_hides_or_misleads_is_refused_with_the_reason(name: str, reason: str) -> None:
    assert reason in why_not(name)


def test_a_coop_may_have_a_colon_in_its_name_and_nothing_hidden() -> None:
    assert why_not("SEL: Die", of_account=False) == ""
    assert why_not("SEL\u202eDie", of_account=False)


COOPS = [
    (b"\xab" * 32, "Coop de la Loire"),
    (b"\xab" * 31 + b"\x01", "Coop de la Drôme"),
    (b"\xcd" * 32, "Deux"),
    (b"\xce" * 32, "Deux"),
]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Coop de la Loire", 0),
        ("coop de la drome", 1),
        ((b"\xab" * 32).hex(), 0),
        ("cdcdcd", 2),
        ("CECECECE…", 3),
    ],
)
def test_a_coop_is_found_by_name_or_by_the_beginning_of_its_id(text: str, place: int) -> None:
    assert find_coop(text, COOPS) == COOPS[place][0]


@pytest.mark.parametrize("text", ["", "cd", "Loire", "efefefef", ":", "…"])
def test_what_names_no_coop_is_refused(text: str) -> None:
    with pytest.raises(NoSuchCoop):
        find_coop(text, COOPS)


@pytest.mark.parametrize("text", ["Deux", "Coop de la", "abababab"])
def test_what_could_be_several_coops_is_refused_with_all_of_them(text: str) -> None:
    with pytest.raises(AmbiguousCoop) as caught:
        find_coop(text, COOPS)
    assert len(caught.value.facts["candidates"]) == 2
    assert all(id[:16] in str(caught.value) for id in caught.value.facts["candidates"])
