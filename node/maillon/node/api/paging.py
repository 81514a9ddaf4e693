"""Give long lists a page at a time, where the node has them whole at hand (spec/09, "Lists").

A cursor names the last row that was given by what rows are sorted by, so that rows which come and
go in between neither repeat nor hide others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

from maillon.node import bounds, cursors

T = TypeVar("T")
Place = tuple[cursors.Part, ...]


def page(
    name: str,
    rows: Sequence[T],
    place: Callable[[T], Place],
    *,
    limit: int | None,
    after: str,
    falling: bool = False,
) -> tuple[list[T], str | None]:
    """Return rows by their place, which is different for each, and how to go on.

    `name` is the list's, in its cursors; with `falling` the last place comes first. Without a limit
    there are API_ROWS_MAX rows. Raises: BadCursor.
    """
    ordered = sorted(rows, key=place)
    low, high = 0, len(ordered)
    if after:
        try:
            last = cursors.read(name, after)
            if falling:
                high = bisect_left(ordered, last, key=place)
            else:
                low = bisect_right(ordered, last, key=place)
        except TypeError:
            # A text where the list has a number: no list gave that.
            raise cursors.bad_cursor() from None
    wanted = bounds.API_ROWS_MAX if limit is None else limit
    more = high - low > wanted
    if falling:
        found = ordered[max(low, high - wanted) : high][::-1]
    else:
        found = ordered[low : min(high, low + wanted)]
    return found, cursors.written(name, *place(found[-1])) if more else None
