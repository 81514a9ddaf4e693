"""Say under which words a record is indexed.

A word of the text stands as its stem. What is not text has a letter and a colon in front, so that
nobody's text can pass for it: `t:` word of the title, `k:offer`, `c:menage`, `m:remote`, `l:fr`,
`g:` coop, `a:` audience, `s:` provider's status, `v:` verification, `u:` urgency, `x:` condition of
access, `h:` cell, `r:` cell reached by a travelling provider. A word stands once, however often it
was written: ranking reads the record itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

from maillon.node import bounds
from maillon.node.search.places import place_words
from maillon.node.search.words import split, stems_of
from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Header

INDEX_VERSION: Final = 1
"""Raise it when records would get other words than before: nodes then read all of theirs again."""

SEARCHED_KINDS: Final = frozenset({"offer", "demand"})

_NOT_CODE: Final = re.compile(r"[^a-z0-9_]+")


@lru_cache(maxsize=bounds.SEARCH_CODE_WORDS_MAX)
def code_word(prefix: str, code: str) -> str:
    """Return the index word of a code: lower case, other signs as one underscore."""
    return f"{prefix}:{_NOT_CODE.sub('_', code.lower())}"


def searched_text(payload: Mapping[str, Any]) -> str:
    """Return the text of an offer or demand that words are looked for in, its title apart."""
    place: Mapping[str, Any] = payload.get("place", {})
    return " ".join(
        part
        for part in (payload.get("text"), place.get("name"), place.get("city"))
        if part
    )


def tokens_of(header: Header, payload: Mapping[str, Value]) -> str:
    """Return the index words of a record, each once, separated by spaces; "" for other kinds."""
    if header.kind not in SEARCHED_KINDS:
        return ""
    # Checked by the kind's schema when it came in.
    fields = cast("Mapping[str, Any]", payload)
    table = stems_of(fields["lang"])
    stem = table.__getitem__
    title = set(map(stem, split(fields["title"])))
    title.discard("")
    found = set(map(stem, split(searched_text(fields))[: bounds.SEARCH_WORDS_MAX]))
    found.discard("")
    found |= title
    found.update(["t:" + stem for stem in title])
    found.add("k:" + header.kind)
    found.add(code_word("l", fields["lang"][:2]))
    found.add("g:" + header.coop[:6].hex())
    for code in fields["categories"]:
        found.add(code_word("c", code))
    for mode in fields["mode"]:
        found.add("m:" + mode)
    for code in fields.get("audience", ()):
        found.add(code_word("a", code))
    for name in fields.get("access", ()):
        found.add(code_word("x", name))
    if header.kind == "demand":
        found.add("u:" + fields.get("urgency", "planned"))
    else:
        if "provider_status" in fields:
            found.add(code_word("s", fields["provider_status"]))
        found.add("v:" + (fields["verified"]["kind"] if "verified" in fields else "none"))
    place = fields.get("place")
    if place:
        found.update(place_words(place, fields.get("radius_km")))
    return " ".join(found)
