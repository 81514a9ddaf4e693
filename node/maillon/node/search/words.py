"""Read words the way people mean them: without accents, case, elisions, endings.

    "L'électricité, j'en ai besoin !"  ->  electr besoin

A word is folded first and stemmed after, so that "santé" and "sante" become the same. The stems are
Snowball's. A text is stemmed in its own language; a query in French, in English and in whatever
language it is asked for, because people look in one language for what was offered in the other.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable
from typing import Any, Final, cast

import snowballstemmer  # type: ignore[import-untyped]  # ships no types

from maillon.node import bounds

_stemmer: Callable[[str], Any] = cast(Any, snowballstemmer).stemmer

LANGUAGES: Final = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "en": "english",
    "es": "spanish", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish",
    "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
"""Languages whose endings are known; words of others are taken as they are."""

QUERY_LANGUAGES: Final = ("fr", "en")

# Words that say nothing about a service. Elided forms ("l'", "qu'") come out as parts of words.
STOP: Final = frozenset(
    """
    a au aux avec c ce ces cet cette d dans de des du elle elles en est et etre eux il ils j je
    jusqu l la le les leur leurs lorsqu lui m ma mais me meme mes mon n ne nos notre nous on ou par
    pas pour puisqu qu que qui quoiqu s sa se ses si son sont sur t ta te tes toi ton tu un une vos
    votre vous y ai ont suis sommes etes cherche recherche voudrais souhaite besoin propose offre
    aujourd hui tres plus chez
    an and are as at be but by for from has have he her his i in is it its my need not of offer our
    she that the their them they this to us want was we were will with you your looking
    """.split()
)

_WORD: Final = re.compile(r"[^\W_]+")
_MARKS: Final = re.compile(r"[\u0300-\u036f]+")
_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d"})


def fold(text: str) -> str:
    """Return the text in lower case, without accents and ligatures."""
    text = text.lower()
    if text.isascii():
        return text
    text = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    return text if text.isascii() else text.translate(_LIGATURES)


_BYTES: Final = "cp1252"


def _tables_of_bytes() -> tuple[bytes, bytes]:
    """Return the bytes whose letter folds to one or none, and what all 256 become in words."""
    simple = bytearray()
    folded = bytearray(b" " * 256)
    for byte in range(256):
        try:
            letter = bytes((byte,)).decode(_BYTES)
        except UnicodeDecodeError:
            continue
        word = "".join(_WORD.findall(fold(letter)))
        # What becomes several letters (œ) or parts two words inside (½) goes the long way.
        if fold(letter) == word and len(word) == 1 and word.isascii():
            simple.append(byte)
            folded[byte] = ord(word)
        elif not word and len(fold(letter)) == 1:
            simple.append(byte)
    return bytes(simple), bytes(folded)


_SIMPLE, _FOLDED = _tables_of_bytes()


def written(text: str) -> list[tuple[str, str]]:
    """Return the words of a text, each folded and as it was written (in lower case)."""
    words = _WORD.findall(unicodedata.normalize("NFC", text.lower()))
    return [(folded, word) for word in words for folded in _WORD.findall(fold(word))]


def split(text: str) -> list[str]:
    """Return the folded words of a text, in order, stop words and all."""
    text = text.lower()
    # Nearly every text of Western Europe has one byte a letter: two table look-ups over all of it
    # are then six times as fast as Unicode's normal form and a regular expression.
    try:
        data = text.encode(_BYTES)
    except UnicodeEncodeError:
        return _WORD.findall(fold(text))
    if data.translate(None, _SIMPLE):
        return _WORD.findall(fold(text))
    return data.translate(_FOLDED).decode("ascii").split()


class Stems(dict[str, str]):
    """Remember the stem of each word of one language; "" for what says nothing.

    Bounded: emptied when full, which the frequent words survive by coming back.
    """

    def __init__(self, stem: Callable[[str], str]) -> None:
        super().__init__()
        self._stem = stem

    def __missing__(self, word: str) -> str:
        if len(self) >= bounds.SEARCH_STEMS_MAX:
            self.clear()
        if word in STOP or (len(word) == 1 and not word.isdigit()):
            stem = ""
        elif not word.isascii():
            # The index knows ASCII only; other scripts are written as the numbers of their letters.
            stem = "x" + word[: bounds.SEARCH_WORD_CHARS_MAX // 4].encode("utf-8").hex()
        elif len(word) > bounds.SEARCH_WORD_CHARS_MAX:
            stem = word[: bounds.SEARCH_WORD_CHARS_MAX]
        else:
            stem = self._stem(word) or word
            # French stems keep the s of "velos" (it may belong to the word, as in "repas"); without
            # it singular and plural meet, and nothing else is lost.
            if len(stem) > 4 and stem[-1] == "s" and stem[-2] in "aiou":
                stem = stem[:-1]
        self[word] = stem
        return stem


class _Tables(threading.local):
    """The stems of each language, for each thread its own: a stemmer has state."""

    def __init__(self) -> None:
        self.by_language: dict[str, Stems] = {}


_tables = _Tables()


def stems_of(language: str) -> Stems:
    """Return the stems of a language tag ("fr", "fr-CA"), for use by this thread."""
    base = language[:2]
    tables = _tables.by_language
    table = tables.get(base)
    if table is None:
        # One table for all languages without endings: tags come from strangers.
        base = base if base in LANGUAGES else ""
        table = tables.get(base)
        if table is None:
            algorithm = LANGUAGES.get(base)
            # PyStemmer's, in C, when it is there.
            table = Stems(str if algorithm is None else _stemmer(algorithm).stemWord)
            tables[base] = table
    return table


def stems(text: str, language: str) -> list[str]:
    """Return the stems of a text, in order, without what says nothing."""
    table = stems_of(language)
    return [stem for word in split(text) if (stem := table[word])]
