"""Decide which names people, groups and coops may have here.

A name is shown in lists and typed into commands: one that nobody can see, that turns the text
around it, or that means something else to a command helps only who wants to be taken for another.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from maillon.node.i18n import _

NAME_CHARACTERS_MAX: Final = 80
"""The longest full names in use stay below; a line of a list holds no more."""

COMMONS_WORDS: Final = ("commons", "commun", "communs", "le commun", "the commons")
"""What the coop's own account is called; it needs no name in the register."""

# Joiners shape letters in Persian and in the scripts of India; all other signs of format are
# invisible, or turn the direction of what follows.
_JOINERS: Final = "\u200c\u200d"


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
