"""Write a secret as words that a person can copy by hand, and read them back (spec/02).

The words are those of BIP 39, French or English, 12 (16 bytes) or 24 (32 bytes), with its
checksum. What BIP 39 derives from them is not used: the keys come from the entropy itself, so the
same secret may be written in French and read in English.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import re
import unicodedata
from importlib import resources
from typing import Final, Literal, NamedTuple, get_args

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from maillon.protocol.errors import BadSecret, WordsError
from maillon.protocol.keys import SealingKey, SigningKey

Language = Literal["fr", "en"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
ENTROPY_BYTES: Final = (16, 32)
WORD_COUNTS: Final = (12, 24)

_FILES: Final[dict[Language, str]] = {"fr": "french.txt", "en": "english.txt"}
_LIST_LENGTH: Final = 2_048
_BITS_A_WORD: Final = 11
# In both lists the first four letters tell the words apart (in French once accents are dropped).
_LETTERS_ENOUGH: Final = 4
_SUGGESTIONS_MAX: Final = 3
# Longest text worth looking at: 24 words with numbers, commas and new lines take some 400.
_TEXT_CHARACTERS_MAX: Final = 4_096

_SEPARATORS: Final = re.compile(r"[\W\d_]+")


class _Words(NamedTuple):
    words: tuple[str, ...]
    # Folded word, and folded beginning of four letters or more → place in the list.
    places: dict[str, int]


def to_words(entropy: bytes, lang: Language) -> list[str]:
    """Return the 12 or 24 words, in NFC, that stand for 16 or 32 bytes.

    Raises: BadSecret for another length.
    """
    if len(entropy) not in ENTROPY_BYTES:
        raise BadSecret(
            "Recovery words stand for 16 or 32 bytes.", length=len(entropy), expected=ENTROPY_BYTES
        )
    bits = int.from_bytes(entropy + _checksum_byte(entropy), "big")
    # BIP 39: one bit of checksum for every four bytes; of the byte appended, the rest is dropped.
    bits >>= 8 - len(entropy) // 4
    count = len(entropy) * 8 // 32 * 3
    mask = _LIST_LENGTH - 1
    words = _load(lang).words
    return [words[bits >> _BITS_A_WORD * (count - 1 - i) & mask] for i in range(count)]


def from_words(text: str, lang: Language | None = None) -> bytes:
    """Return the 16 or 32 bytes that the words stand for.

    Case, accents, numbers and punctuation do not matter, and four letters of a word are enough.
    Without `lang`, the language is the one in which all words are found and the checksum is right.

    Raises: WordsError, with the position of the first word that is not in the list.
    """
    if len(text) > _TEXT_CHARACTERS_MAX:
        raise WordsError("That is far more than 24 words.", hint=_HINT_COUNT)
    typed = [token for token in _SEPARATORS.split(_fold(text)) if token]
    if len(typed) not in WORD_COUNTS:
        raise WordsError(
            f"There are {len(typed)} words, not 12 or 24.", hint=_HINT_COUNT, count=len(typed)
        )
    readings: dict[Language, list[int | None]] = {
        language: [_load(language).places.get(word) for word in typed]
        for language in (LANGUAGES if lang is None else (lang,))
    }
    found: set[bytes] = set()
    complete = False
    for places in readings.values():
        indices = [place for place in places if place is not None]
        if len(indices) == len(typed):
            complete = True
            entropy = _entropy(indices)
            if entropy is not None:
                found.add(entropy)
    if len(found) == 1:
        return found.pop()
    if found:
        raise WordsError(
            "The words can be read in French and in English.",
            hint="Say in which language they are.",
        )
    if complete:
        raise WordsError(
            "The words do not belong together.",
            hint="All are in the list: one stands for another, or two have changed places.",
        )
    # The language of which the fewest words are missing is the one that was meant.
    language = min(readings.items(), key=lambda reading: reading[1].count(None))[0]
    position = readings[language].index(None)
    raise WordsError(
        f"Word {position + 1} is not in the list.",
        position=position + 1,
        suggestions=_close(typed[position], language),
        hint="Compare it with your paper.",
    )


_HINT_COUNT: Final = "Type the 12 or 24 words of your paper, in their order."


def derive(entropy: bytes) -> tuple[SigningKey, SealingKey]:
    """Return the signing and the sealing key that belong to 16 or 32 secret bytes.

    HKDF-SHA256 (RFC 5869) without salt; infos `maillon/1/sign` and `maillon/1/seal`.
    Raises: BadSecret for another length.
    """
    if len(entropy) not in ENTROPY_BYTES:
        raise BadSecret(length=len(entropy), expected=ENTROPY_BYTES)
    return (
        SigningKey.from_seed(_hkdf(entropy, b"maillon/1/sign")),
        SealingKey.from_seed(_hkdf(entropy, b"maillon/1/seal")),
    )


def _hkdf(entropy: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(entropy)


def _checksum_byte(entropy: bytes) -> bytes:
    return hashlib.sha256(entropy).digest()[:1]


def _entropy(indices: list[int]) -> bytes | None:
    bits = 0
    for index in indices:
        bits = bits << _BITS_A_WORD | index
    checksum_bits = len(indices) // 3
    entropy = (bits >> checksum_bits).to_bytes(len(indices) * 4 // 3, "big")
    right = _checksum_byte(entropy)[0] >> 8 - checksum_bits
    return entropy if bits & (1 << checksum_bits) - 1 == right else None


def _fold(text: str) -> str:
    # NFKD takes the accents off as marks of their own (and makes full-width letters plain); marks
    # and invisible characters (soft hyphen, zero-width space) are then dropped.
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = (c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf"))
    return "".join(kept).replace("œ", "oe").replace("æ", "ae")


@functools.cache
def _load(lang: Language) -> _Words:
    file = resources.files("maillon.protocol") / "wordlists" / _FILES[lang]
    # The French list is kept as published, in NFD; people and printers are given NFC.
    words = tuple(unicodedata.normalize("NFC", file.read_text("utf-8")).split())
    assert len(words) == _LIST_LENGTH
    places: dict[str, int] = {}
    for place, word in enumerate(words):
        folded = _fold(word)
        for end in range(_LETTERS_ENOUGH, len(folded)):
            assert folded[:end] not in places
            places[folded[:end]] = place
        places[folded] = place
    return _Words(words, places)


def _close(typed: str, lang: Language) -> tuple[str, ...]:
    by_folded = {_fold(word): word for word in _load(lang).words}
    close = difflib.get_close_matches(typed[:32], by_folded, n=_SUGGESTIONS_MAX)
    return tuple(by_folded[word] for word in close)
