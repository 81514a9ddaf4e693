"""Words for people, in French and English, through gettext.

A process speaks the language of $MAILLON_LANG, else of the locale of the environment; English is
what stands in the code. A node answers many people: what it does for one request is said in the
language that the request asks for (Accept-Language), when there is a catalogue of it.

A node reads all catalogues when it starts (`load`) and none later: a new version may be installed
while it runs, and half a file must not be what somebody is answered with.
"""

from __future__ import annotations

import contextlib
import functools
import gettext as _gettext
import os
import struct
from collections.abc import Generator
from contextvars import ContextVar
from pathlib import Path

LOCALES = Path(__file__).parent / "locale"
SOURCE = "en"

# Nobody reads more languages than this; the rest of a longer list is not looked at.
RANGES_MAX = 16
HEADER_CHARACTERS_MAX = 400


def _languages() -> list[str]:
    for name in ("MAILLON_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return [value.split(".")[0], value[:2]]
    return [SOURCE]


@functools.cache
def known_languages() -> frozenset[str]:
    """Return the languages there are words in, as the first part of their tags."""
    return frozenset({SOURCE, *(path.name for path in LOCALES.iterdir() if path.is_dir())})


@functools.cache
def _catalogue_of(language: str) -> _gettext.NullTranslations:
    try:
        return _gettext.translation(
            "maillon", localedir=LOCALES, languages=[language], fallback=True
        )
    except (OSError, ValueError, LookupError, struct.error):
        # Half a file, or none of ours: people are answered in English rather than not at all.
        return _gettext.NullTranslations()


def load() -> None:
    """Read the catalogues of all known languages, once for the life of the process."""
    for name in known_languages():
        _catalogue_of(name)


def _own_language() -> str:
    short = _languages()[-1].lower()
    return short if short in known_languages() else SOURCE


_own = _own_language()
_asked: ContextVar[str | None] = ContextVar("language", default=None)


def language() -> str:
    """Return the language that is spoken now: of the request being answered, else the process's."""
    return _asked.get() or _own


def choose(accept_language: str) -> str | None:
    """Return the known language that a client prefers, None when it names none of them.

    By RFC 9110 section 12.5.4 and the lookup of RFC 4647, on the first part of each tag: fr-CA is
    answered in fr. A range that cannot be read is passed over.
    """
    wished: list[tuple[float, int, str]] = []
    ranges = accept_language[:HEADER_CHARACTERS_MAX].split(",")[:RANGES_MAX]
    for place, text in enumerate(ranges):
        tag, *parameters = (part.strip().lower() for part in text.split(";"))
        try:
            weights = [float(p[2:]) for p in parameters if p.startswith("q=")]
        except ValueError:
            continue
        weight = weights[0] if weights else 1.0
        short = tag.partition("-")[0]
        if 0 < weight <= 1 and short in known_languages():
            wished.append((-weight, place, short))
    return min(wished)[2] if wished else None


@contextlib.contextmanager
def speaking(wanted: str | None) -> Generator[None]:
    """Speak a known language for as long as this lasts, in this task only; None changes nothing."""
    token = _asked.set(wanted or _asked.get())
    try:
        yield
    finally:
        _asked.reset(token)


def _(message: str) -> str:
    """Return the message in the language that is spoken now."""
    return _catalogue_of(language()).gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """Return the form of a message that fits the number `n`."""
    return _catalogue_of(language()).ngettext(singular, plural, n)


def speak_for_click() -> None:
    """Let click's own words be French where ours are; call it before the first command is made.

    click asks the process-wide gettext with its default domain, which is bound to nothing, and
    gettext chooses by the standard variables, which do not know $MAILLON_LANG. So both are set
    for this process; its children see the same language.
    """
    _gettext.bindtextdomain("click", str(LOCALES))
    _gettext.textdomain("click")
    os.environ["LANGUAGE"] = _languages()[-1]


def decimal(value: float, digits: int = 1) -> str:
    """Return a number with the decimal mark of the language."""
    # Translators: the decimal mark.
    return f"{value:.{digits}f}".replace(".", _("."))


def size(count: float) -> str:
    """Return a number of bytes as people read it, in powers of a thousand."""
    value = float(count)
    if value < 1000:
        return f"{value:.0f} " + _("B")
    for unit in (_("kB"), _("MB")):
        value /= 1000
        if value < 1000:
            return f"{decimal(value)} {unit}"
    return f"{decimal(value / 1000)} " + _("GB")
