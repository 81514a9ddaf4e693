"""Claims about maillon.protocol.words, held against the package that BIP 39 refers to."""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from importlib import resources
from pathlib import Path
from typing import get_args

import mnemonic
import pytest

from maillon.protocol import words
from maillon.protocol.errors import BadSecret, WordsError

RANDOM_SEED = 20_240_608
NAMES: dict[words.Language, str] = {"fr": "french", "en": "english"}
LANGUAGES: tuple[words.Language, ...] = get_args(words.Language)


def folded(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).lower()


def list_of(lang: words.Language) -> list[str]:
    return mnemonic.Mnemonic(NAMES[lang]).wordlist


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_word_list_is_the_published_one_to_the_byte(lang: words.Language) -> None:
    ours = resources.files("maillon.protocol") / "wordlists" / f"{NAMES[lang]}.txt"
    theirs = Path(mnemonic.__file__).parent / "wordlist" / f"{NAMES[lang]}.txt"
    assert ours.read_bytes() == theirs.read_bytes()
    # The hashes that the specification names.
    spec = Path(__file__).parents[2] / "spec" / "02-identity.md"
    assert hashlib.sha256(ours.read_bytes()).hexdigest() in spec.read_text("utf-8")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_four_letters_without_accents_tell_all_2048_words_apart(lang: words.Language) -> None:
    beginnings = {folded(word)[:4] for word in list_of(lang)}
    assert len(beginnings) == 2_048


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_written_is_what_the_reference_writes_and_reads(lang: words.Language) -> None:
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    reference = mnemonic.Mnemonic(NAMES[lang])
    for length in (16, 32) * 25:
        entropy = rng.randbytes(length)
        written = words.to_words(entropy, lang)
        theirs = unicodedata.normalize("NFC", reference.to_mnemonic(entropy)).split()
        assert written == theirs
        assert bytes(reference.to_entropy(_nfd(theirs))) == entropy
        assert words.from_words(" ".join(written)) == entropy
        assert words.from_words(" ".join(folded(word)[:4] for word in written), lang) == entropy


def _nfd(typed: list[str]) -> list[str]:
    return [unicodedata.normalize("NFKD", word) for word in typed]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_beginning_of_four_letters_or_more_stands_for_its_word(lang: words.Language) -> None:
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    for _ in range(20):
        entropy = rng.randbytes(16)
        cut = [
            word[: rng.randint(min(4, len(word)), len(word))]
            for word in words.to_words(entropy, lang)
        ]
        assert words.from_words(" ".join(cut), lang) == entropy


def test_a_word_with_a_wrong_end_is_not_taken_for_its_beginning() -> None:
    typed = words.to_words(bytes(16), "en")
    typed[4] = typed[4] + "x"
    with pytest.raises(WordsError) as caught:
        words.from_words(" ".join(typed))
    assert caught.value.position == 5
    assert caught.value.suggestions[0] == "abandon"


def test_a_mistyped_word_is_named_by_its_place_with_words_that_are_close() -> None:
    typed = words.to_words(bytes(range(16)), "fr")
    assert typed[4] == "éligible"
    typed[4] = "eligble"
    with pytest.raises(WordsError) as caught:
        words.from_words(" ".join(typed))
    assert caught.value.position == 5
    assert "éligible" in caught.value.suggestions
    # What was typed and what was meant are close to the secret: logs show facts and messages.
    assert not re.search("[ée]lig", repr(caught.value) + str(caught.value))


def test_words_of_both_languages_mixed_are_refused() -> None:
    french, english = (words.to_words(b"\xff" * 16, lang) for lang in LANGUAGES)
    mixed = french[:6] + english[6:]
    with pytest.raises(WordsError) as caught:
        words.from_words(" ".join(mixed))
    assert caught.value.position == 7


def test_words_that_both_languages_know_are_read_in_the_one_whose_checksum_is_right() -> None:
    common = sorted({word for word in list_of("fr")} & set(list_of("en")))
    assert len(common) > 50
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    outcomes = {"fr": 0, "en": 0, "neither": 0, "both": 0}
    for _ in range(600):
        text = " ".join(rng.choices(common, k=12))
        read: dict[str, bytes] = {}
        for lang in LANGUAGES:
            try:
                read[lang] = words.from_words(text, lang)
            except WordsError:
                continue
        if len(read) == 1:
            [(lang_read, entropy)] = read.items()
            outcomes[lang_read] += 1
            assert words.from_words(text) == entropy
        else:
            outcomes["both" if read else "neither"] += 1
            with pytest.raises(WordsError) as caught:
                words.from_words(text)
            assert caught.value.position is None
            assert ("in which language" in (caught.value.hint or "")) == bool(read)
    assert all(outcomes.values()), outcomes


def test_one_changed_word_is_noticed_nearly_always() -> None:
    # 24 words carry 8 bits of checksum: 1 change in 256 goes unnoticed.
    rng = random.Random(RANDOM_SEED)
    print(f"seed {RANDOM_SEED}")
    entropy = rng.randbytes(32)
    unnoticed = 0
    for _ in range(500):
        typed = words.to_words(entropy, "fr")
        typed[rng.randrange(24)] = rng.choice(words.to_words(rng.randbytes(32), "fr"))
        try:
            unnoticed += words.from_words(" ".join(typed), "fr") != entropy
        except WordsError:
            continue
    assert unnoticed < 12


@pytest.mark.parametrize("length", [0, 15, 17, 20, 24, 28, 33])
def test_entropy_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(BadSecret):
        words.to_words(bytes(length), "fr")
    with pytest.raises(BadSecret):
        words.derive(bytes(length))


def test_signing_and_sealing_keys_share_nothing() -> None:
    signing, sealing = words.derive(bytes(16))
    assert signing.secret_bytes() != sealing.secret_bytes()
    assert signing != words.derive(bytes(32))[0]


def test_a_text_far_too_long_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(WordsError) as caught:
        words.from_words("abandon " * 100_000)
    assert caught.value.position is None


@pytest.mark.parametrize(
    "invisible",
    ["\u00ad", "\u200b", "\ufeff"],
    ids=["soft hyphen", "zero-width space", "byte order mark"],
)
def test_characters_that_nobody_sees_do_not_matter(invisible: str) -> None:
    text = " ".join(words.to_words(bytes(16), "en"))
    assert words.from_words(invisible + text.replace("aban", f"aban{invisible}")) == bytes(16)
