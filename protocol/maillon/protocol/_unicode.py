"""Decide Unicode normalisation form C by the tables of one version of Unicode (spec/01).

A character that a later version of Unicode adds may combine or decompose there, so that the same
text is in NFC by one library's tables and not by another's. The format therefore fixes the tables
of Unicode 14.0: a code point not assigned there counts as inert (combining class 0, composing with
nothing). An inert code point cuts a text in pieces that normalise independently, and what was
assigned in 14.0 never changes its normalisation afterwards (Unicode's stability policy); hence the
answer is found with newer tables by cutting at the code points of `_unicode14`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Final

_TABLES: Final = "14.0.0"


def is_nfc(text: str) -> bool:
    """Say whether the text is in NFC by the tables of Unicode 14.0; linear in its length."""
    # Sorting combining marks takes quadratic time in CPython (10 ms for 8 KiB of them), which a
    # stranger could use. Asking is cheap: marks out of order are a no before anything is sorted.
    # Every piece of a text in NFC is in NFC, so a yes by newer tables is a yes by ours.
    return unicodedata.is_normalized("NFC", text) or (
        unicodedata.unidata_version != _TABLES and all(map(_piece_is_nfc, _pieces(text)))
    )


def nfc(text: str) -> str:
    """Return the text in NFC by the tables of Unicode 14.0, as `encode` wants it.

    For text of our own users, of bounded length: thousands of combining marks in a row take
    quadratic time. What strangers send is never normalised, only checked.
    """
    if unicodedata.unidata_version == _TABLES:
        return unicodedata.normalize("NFC", text)
    return "".join(unicodedata.normalize("NFC", piece) for piece in _pieces(text))


_piece_is_nfc: Callable[[str], bool] = functools.partial(unicodedata.is_normalized, "NFC")


@functools.cache
def _cut() -> re.Pattern[str]:
    from maillon.protocol._unicode14 import UNASSIGNED

    ranges = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNASSIGNED)
    return re.compile(f"([{ranges}]+)")


def _pieces(text: str) -> list[str]:
    return _cut().split(text)
