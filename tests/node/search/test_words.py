"""Words of a text: the quick way of reading them is the plain one, only quicker."""

from __future__ import annotations

import random
import re
import sys

import pytest

from maillon.node.search.words import fold, split

SEED = 5
WORD = re.compile(r"[^\W_]+")


def plainly(text: str) -> list[str]:
    """Return the words by Unicode's rules alone."""
    return WORD.findall(fold(text))


def test_every_character_parts_and_joins_words_as_unicode_says() -> None:
    for number in range(sys.maxunicode + 1):
        if not 0xD800 <= number < 0xE000:
            text = f"a{chr(number)}b"
            assert split(text) == plainly(text), hex(number)


def test_texts_of_mixed_letters_are_read_the_same_both_ways() -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    letters = "abcXYZ019 _-'’éÀçœŒß½²µªıſΣς日٣\u0301\u00ad\u200d\n\t\x85\xa0«»…€"
    for _ in range(20_000):
        text = "".join(rng.choice(letters) for _ in range(rng.randrange(16)))
        assert split(text) == plainly(text), text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L’électricité, à Die !", ["l", "electricite", "a", "die"]),
        ("Cœur de ville_haute", ["coeur", "de", "ville", "haute"]),
        ("", []),
    ],
)
def test_words_lose_accents_case_and_punctuation(text: str, words: list[str]) -> None:
    assert split(text) == words
