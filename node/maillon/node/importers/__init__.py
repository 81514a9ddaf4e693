"""Turn lists that exist already into offers and demands, a row at a time, telling what is wrong.

An importer is a pure function from the bytes of a file to `Item`s and `Fault`s; it writes nothing.
`FORMATS` names them for `maillon import --format`.
"""

from __future__ import annotations

from maillon.node.importers.base import (
    Fault,
    Filter,
    ImportError_,
    Item,
    Reading,
    Source,
    parse_filter,
    series_of,
)
from maillon.node.importers.formats import FORMATS, guess_format, read, source_ids

__all__ = [
    "FORMATS",
    "Fault",
    "Filter",
    "ImportError_",
    "Item",
    "Reading",
    "Source",
    "guess_format",
    "parse_filter",
    "read",
    "series_of",
    "source_ids",
]
