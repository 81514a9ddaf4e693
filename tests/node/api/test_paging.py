"""Lists a page at a time: every row once, whatever comes and goes."""

from __future__ import annotations

import pytest

from maillon.node import bounds
from maillon.node.api.caller import THE_OPERATOR, Caller
from maillon.node.api.paging import BadCursor, page

MEMBER = Caller("member", scopes=frozenset({"desk"}))
ROWS = [f"n{n:02}" for n in (3, 1, 4, 0, 2, 5)]


def pages(rows: list[str], limit: int, caller: Caller = MEMBER) -> list[list[str]]:
    """Return all pages of a list, to its end."""
    found: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        given, after = page(rows, lambda row: (row,), limit=limit, after=after, caller=caller)
        found.append(given)
    return found


@pytest.mark.parametrize("limit", range(1, 8))
def test_every_row_comes_once_in_order(limit: int) -> None:
    found = pages(ROWS, limit)
    assert [row for rows in found for row in rows] == sorted(ROWS)
    assert all(len(rows) == limit for rows in found[:-1]) and found[-1]


def test_what_comes_and_goes_in_between_hides_and_repeats_nothing() -> None:
    first, after = page(ROWS, lambda row: (row,), limit=2, after="", caller=MEMBER)
    assert first == ["n00", "n01"] and after
    # The row that the cursor names is gone, and another came before it.
    changed = [*(row for row in ROWS if row != "n01"), "n00b"]
    rest, end = page(changed, lambda row: (row,), limit=9, after=after, caller=MEMBER)
    assert rest == ["n02", "n03", "n04", "n05"] and end is None


def test_only_the_operator_gets_a_list_without_end() -> None:
    many = [f"{n:05}" for n in range(bounds.API_ROWS_MAX + 1)]
    given, after = page(many, lambda row: (row,), limit=None, after="", caller=MEMBER)
    assert len(given) == bounds.API_ROWS_MAX and after
    assert page(many, lambda row: (row,), limit=None, after="", caller=THE_OPERATOR) == (many, None)


@pytest.mark.parametrize("cursor", ["x", "AAAA", "bnVsbA", "WzFd", "é", "W1tbW1tb" * 20, "=="])
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        page(ROWS, lambda row: (row,), limit=2, after=cursor, caller=MEMBER)
