"""Bounds of the pages, each with its reason."""

from __future__ import annotations

from typing import Final

FIELD_CHARACTERS_MAX: Final = 4_000
"""The longest text that a form takes: that of an offer (spec/03)."""
LINE_CHARACTERS_MAX: Final = 200
"""The longest single line: a title."""
CHOICES_MAX: Final = 64
"""Values of one field that is chosen several times."""
PATH_CHARACTERS_MAX: Final = 400
"""The longest address within this site that a page is asked to return to."""
PROBLEM_BYTES_MAX: Final = 65_536
"""The longest answer of the interface that is turned into a page: errors have some hundred."""
SAID_BYTES_MAX: Final = 1_500
"""The longest sentence that a page gives to the next one: a cookie holds 4,096 bytes."""
SAID_S: Final = 120
"""How long a sentence waits for the next page."""
ONCE_BYTES: Final = 16
SECRET_BYTES: Final = 32
YEAR_S: Final = 365 * 86_400
SETTINGS_S: Final = YEAR_S
"""How long a browser remembers language and theme."""
STATIC_S: Final = YEAR_S
"""How long a file whose address has its digest may be kept."""
HITS_PER_PAGE: Final = 20
LINES_PER_PAGE: Final = 50
"""Of a statement: two sheets of paper in large type."""
