"""Keep the French words up to date with what the code and the templates say.

    python -m support.catalogue                   # take in what is new, compile, list what lacks
    python -m support.catalogue --fill mine.po    # the same, with the translations of a file
    python -m support.catalogue --keep            # drop nothing: others change words as well

Several people may do so at the same time: the catalogue is locked meanwhile.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from maillon.node.i18n import LOCALES

NODE = Path(__file__).parents[2] / "node" / "maillon" / "node"
FOLDER = LOCALES / "fr" / "LC_MESSAGES"
Text = str | tuple[str, ...]


def extracted() -> Iterator[Text]:
    """Yield every message of the code and of the templates; a plural as (one, many)."""
    for _file, _line, message, _comments, _context in extract_from_dir(
        str(NODE),
        method_map=[("**.py", "python"), ("web/templates/**.html", "jinja2")],
        options_map={
            "web/templates/**.html": {
                "silent": "false",
                "trimmed": "true",
                "newstyle_gettext": "true",
                "extensions": "jinja2.ext.loopcontrols",
            }
        },
        keywords={"_": None, "gettext": None, "ngettext": (1, 2)},
    ):
        yield message


def _key(message: Message) -> Text:
    found: Any = message.id
    return found if isinstance(found, str) else tuple(found)


def _translated(message: Message) -> bool:
    said: Any = message.string
    return bool(said) and (isinstance(said, str) or all(said))


def bring_up_to_date(fill: list[Path], *, keep: bool = False) -> list[Text]:
    """Write maillon.po and maillon.mo; return what has no translation.

    What nobody says any more goes, unless others are at work and it is to `keep`.
    """
    po = FOLDER / "maillon.po"
    with po.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        catalogue = _read(po)
        known: dict[Text, Any] = {}
        for path in [*fill, po]:
            known |= {_key(m): m.string for m in _read(path) if m.id and _translated(m)}
        said = list(dict.fromkeys(extracted()))
        there = {_key(message): message for message in catalogue if message.id}
        for key, message in there.items():
            if not _translated(message) or (key not in said and not keep):
                catalogue.delete(cast("Any", message.id))
        for key in said:
            if key in known and not (key in there and _translated(there[key])):
                catalogue.add(cast("Any", key), known[key])
        _write(catalogue, po)
        return [key for key in said if key not in known]


def _read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale="fr")


def _write(catalogue: Catalog, po: Path) -> None:
    text, compiled = io.BytesIO(), io.BytesIO()
    write_po(text, catalogue, width=0, no_location=True, sort_output=False)
    write_mo(compiled, catalogue)
    po.write_bytes(text.getvalue())
    po.with_suffix(".mo").write_bytes(compiled.getvalue())


def main() -> int:
    """Bring the catalogue up to date; 1 when something has no translation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fill", type=Path, action="append", default=[], metavar="FILE.po")
    parser.add_argument("--keep", action="store_true", help="keep what nobody says any more")
    asked = parser.parse_args()
    missing = bring_up_to_date(asked.fill, keep=asked.keep)
    for message in missing:
        print("missing:", repr(message))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
