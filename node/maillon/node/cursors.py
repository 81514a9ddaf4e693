"""Cursors of lists: where a list goes on, in one text that only the node reads (spec/09, "Lists").

A cursor is URL-safe base64 of the canonical encoding (spec/01) of the list's name and of what its
rows are sorted by. Who changes one gets at most another place of the same list: a cursor gives no
right to anything.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar, Final, cast

from maillon.node.i18n import _
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import LocalError, Malformed

Part = int | str | bytes

CURSOR_CHARACTERS_MAX: Final = 1_024
"""The longest cursor: names of some 700 bytes in all, and every other place is shorter."""
_BYTES_MAX: Final = CURSOR_CHARACTERS_MAX * 3 // 4


class BadCursor(LocalError):
    """A cursor is none that this list gave."""

    code: ClassVar[str] = "cursor"


def bad_cursor() -> BadCursor:
    """Return the refusal of a cursor."""
    return BadCursor(_("This is no place in the list; begin at its start."))


def written(name: str, *place: Part) -> str:
    """Return the cursor of a place of the list of that name; numbers are from 0 to 2**53 - 1."""
    # Text goes as a list of its bytes: a name in small letters need not be in NFC.
    parts = [[part.encode()] if isinstance(part, str) else part for part in place]
    data = encode([name, *parts], bytes_max=_BYTES_MAX)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def read(name: str, cursor: str, *kinds: type[int] | type[str] | type[bytes]) -> tuple[Any, ...]:
    """Return the place that `written` was given, of these types where they are named.

    Raises: BadCursor.
    """
    parts = _parts(cursor)
    if not parts or parts[0] != name:
        raise bad_cursor()
    place = tuple(_part(part) for part in parts[1:])
    if kinds and [type(part) for part in place] != list(kinds):
        raise bad_cursor()
    return place


def _parts(cursor: str) -> list[Any]:
    if not cursor.isascii() or len(cursor) > CURSOR_CHARACTERS_MAX:
        raise bad_cursor()
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
        value = decode(data, bytes_max=_BYTES_MAX)
    except (binascii.Error, Malformed):
        raise bad_cursor() from None
    return cast("list[Any]", value) if isinstance(value, list) else []


def _part(part: Any) -> Part:
    match part:
        case bytes():
            return part
        case [bytes() as text]:
            try:
                return text.decode()
            except UnicodeDecodeError:
                raise bad_cursor() from None
        case int() if type(part) is int and part >= 0:
            return part
        case _:
            raise bad_cursor()
