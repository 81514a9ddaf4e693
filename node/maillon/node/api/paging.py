"""Give long lists a page at a time, where the node has them whole at hand (spec/09, "Lists").

A cursor names the last row that was given by what rows are sorted by, so that rows which come and
go in between neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar, cast

from maillon.node import bounds
from maillon.node.api.caller import Caller
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

T = TypeVar("T")
Place = tuple[str, ...]


class BadCursor(LocalError):
    """A cursor is none that a list gave."""

    code: ClassVar[str] = "cursor"


def page(
    rows: Sequence[T],
    place: Callable[[T], Place],
    *,
    limit: int | None,
    after: str,
    caller: Caller,
) -> tuple[list[T], str | None]:
    """Return rows by their place, which is different for each, and how to go on.

    Without a limit the operator gets all rows, others API_ROWS_MAX. Raises: BadCursor.
    """
    if limit is None and not after and caller.kind == "operator":
        return list(rows), None
    ordered = sorted(rows, key=place)
    start = bisect_right(ordered, _read(after), key=place) if after else 0
    end = start + (bounds.API_ROWS_MAX if limit is None else limit)
    return ordered[start:end], _written(place(ordered[end - 1])) if end < len(ordered) else None


def _written(place: Place) -> str:
    text = json.dumps(place, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode("ascii")


def _read(cursor: str) -> Place:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = json.loads(text)
    except (binascii.Error, ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or not all(
        isinstance(part, str) for part in cast("list[object]", parts)
    ):
        raise BadCursor(_("This is no place in the list; begin at its start."))
    return tuple(cast("list[str]", parts))
