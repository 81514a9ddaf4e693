"""Decide which names people, groups and coops may have here, and whom a name means.

A name is shown in lists and typed into commands: one that nobody can see, that turns the text
around it, or that means something else to a command helps only who wants to be taken for another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any, Final

from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

NAME_CHARACTERS_MAX: Final = 80
"""The longest full names in use stay below; a line of a list holds no more."""

COMMONS_WORDS: Final = ("commons", "commun", "communs", "le commun", "the commons")
"""What the coop's own account is called; it needs no name in the register."""

# Joiners shape letters in Persian and in the scripts of India; all other signs of format are
# invisible, or turn the direction of what follows.
_JOINERS: Final = "\u200c\u200d"


class NoSuchCoop(LocalError):
    """No coop is called so."""

    code = "not_found"


class AmbiguousCoop(LocalError):
    """Several coops could be meant."""

    code = "ambiguous"


def why_not(name: str, *, of_account: bool = True, longest: int = NAME_CHARACTERS_MAX) -> str:
    """Return why something cannot be called so, empty when it can.

    With `of_account` it is the name of somebody who can have an account, which commands read.
    """
    if len(name) > longest:
        return _("A name has at most {n} characters; this one has {m}.").format(
            n=longest, m=len(name)
        )
    for sign in name:
        kind = unicodedata.category(sign)
        if kind in ("Cc", "Zl", "Zp"):
            return _("A name is one line without control characters; here is U+{code}.").format(
                code=f"{ord(sign):04X}"
            )
        if kind[0] == "C" and sign not in _JOINERS:
            return _(
                "A name has no invisible characters, nor such that turn the direction of the text; "
                "here is U+{code}."
            ).format(code=f"{ord(sign):04X}")
    if not any(unicodedata.category(sign)[0] in "LN" for sign in name):
        return _("A name has a letter or a digit at least.")
    if of_account and ":" in name:
        return _("A name has no colon: in commands it stands between a coop and an account.")
    if of_account and " ".join(name.casefold().split()) in COMMONS_WORDS:
        return _("This word means your coop's own account.")
    return ""


def key_of(name: str) -> str:
    """Return a name without what people leave out: accents, capitals, signs between words."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(letters.split())


def same_name(wanted: str, entries: Iterable[tuple[str, Any]]) -> list[Any]:
    """Return the entries of that name; where none has it whole, those whose name begins with it.

    A beginning counts in whole words: "Ana" is Ana Silva, never Anatole.
    """
    wanted = key_of(wanted)
    if not wanted:
        return []
    named = [(key_of(name), entry) for name, entry in entries]
    whole = [entry for name, entry in named if name == wanted]
    return whole or [entry for name, entry in named if name.startswith(wanted + " ")]


PREFIX_CHARACTERS_MIN: Final = 6
CANDIDATES_MAX: Final = 6


def find_coop(text: str, coops: Iterable[tuple[bytes, str]], hint: str = "") -> bytes:
    """Return the id of the coop that a text means: its name, its id, or the beginning of it.

    `coops` are ids with names; `hint` says where they are listed, the charter unless told.
    Raises: NoSuchCoop; AmbiguousCoop naming those that it could be.
    """
    known = dict(coops)
    wanted = text.strip().rstrip("…")
    beginning = wanted.lower()
    if len(beginning) == 64 and (whole := [id for id in known if id.hex() == beginning]):
        return whole[0]
    found: set[bytes] = set(same_name(wanted, [(name, id) for id, name in known.items()]))
    if len(beginning) >= PREFIX_CHARACTERS_MIN:
        found |= {id for id in known if id.hex().startswith(beginning)}
    if not found:
        raise NoSuchCoop(
            _("No coop here is called {name}, and no coop's id begins so.").format(name=text[:80]),
            hint=hint or _("See them with: maillon charter show"),
        )
    if len(found) > 1:
        listed = [f"{known[id]} ({id.hex()[:16]})" for id in sorted(found)[:CANDIDATES_MAX]]
        raise AmbiguousCoop(
            _("{text} could be several: {names}.").format(text=text[:80], names=", ".join(listed)),
            hint=_("Give the id, or the whole name."),
            candidates=[id.hex() for id in sorted(found)[:CANDIDATES_MAX]],
        )
    return found.pop()
