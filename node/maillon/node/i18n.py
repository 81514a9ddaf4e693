"""Words for people, in French and English, through gettext.

The catalogue is chosen once for a process from $MAILLON_LANG, else from the locale of the
environment; English is what stands in the code.
"""

from __future__ import annotations

import gettext as _gettext
import os
from pathlib import Path

LOCALES = Path(__file__).parent / "locale"


def _languages() -> list[str]:
    for name in ("MAILLON_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return [value.split(".")[0], value[:2]]
    return ["en"]


_catalogue = _gettext.translation(
    "maillon", localedir=LOCALES, languages=_languages(), fallback=True
)


def _(message: str) -> str:
    """Return the message in the language of this process."""
    return _catalogue.gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    """Return the form of a message that fits the number `n`."""
    return _catalogue.ngettext(singular, plural, n)


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
