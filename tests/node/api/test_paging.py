"""Lists a page at a time: every row once, whatever comes and goes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.node import bounds
from maillon.node.api.paging import page
from maillon.node.cursors import CURSOR_CHARACTERS_MAX, BadCursor, Part, read, written
from maillon.protocol.encoding import Encodable, encode
from maillon.protocol.limits import INT_MAX

ROWS = [f"n{n:02}" for n in (3, 1, 4, 0, 2, 5)]


def pages(rows: list[str], limit: int, *, falling: bool = False) -> list[list[str]]:
    """Return all pages of a list, to its end."""
    found: list[list[str]] = []
    after: str | None = ""
    while after is not None:
        got, after = page(
            "rows", rows, lambda row: (row,), limit=limit, after=after, falling=falling
        )
        found.append(got)
    return found


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("limit", range(1, 8))
def test_every_row_comes_once_in_order(limit: int, falling: bool) -> None:
    found = pages(ROWS, limit, falling=falling)
    assert [row for rows in found for row in rows] == sorted(ROWS, reverse=falling)
    assert all(len(rows) == limit for rows in found[:-1]) and found[-1]


def test_what_comes_and_goes_in_between_hides_and_repeats_nothing() -> None:
    for falling in (False, True):
        first, after = page("rows", ROWS, lambda row: (row,), limit=2, after="", falling=falling)
        order = sorted(ROWS, reverse=falling)
        assert first == order[:2] and after
        # The row that the cursor names is gone, and another came before it.
        changed = [*(row for row in ROWS if row != order[1]), order[0] + "b"]
        rest, end = page("rows", changed, lambda row: (row,), limit=9, after=after, falling=falling)
        assert rest == order[2:] and end is None
        # A list of which nothing is left ends.
        nothing = list[str]()
        assert page("rows", nothing, lambda row: (row,), limit=9, after=after) == ([], None)


def test_without_a_limit_there_is_one() -> None:
    many = [f"{n:05}" for n in range(bounds.API_ROWS_MAX + 1)]
    got, after = page("rows", many, lambda row: (row,), limit=None, after="")
    assert got == many[:-1] and after


PARTS = st.one_of(st.integers(0, INT_MAX), st.text(max_size=40), st.binary(max_size=64))


@given(st.lists(PARTS, min_size=1, max_size=4))
def test_a_cursor_gives_back_the_place(place: list[Part]) -> None:
    cursor = written("rows", *place)
    assert read("rows", cursor) == read("rows", cursor, *map(type, place)) == tuple(place)
    assert len(cursor) <= CURSOR_CHARACTERS_MAX and cursor.isascii()
    for wrong in ((*map(type, place), int), [bool for _part in place]):
        with pytest.raises(BadCursor):
            read("rows", cursor, *wrong)
    with pytest.raises(BadCursor):
        read("others", cursor)


@given(st.one_of(st.text(), st.text("abcdefgABCDEFG0123456789-_", max_size=60)))
def test_whatever_text_stands_for_a_cursor_it_is_a_place_or_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        read("rows", cursor)


@pytest.mark.parametrize(
    "cursor",
    ["x", "AAAA", "bnVsbA", "é", "W1tbW1tb" * 20, "==", written("rows", 7), written("rows", b"7")],
)
def test_a_cursor_that_no_list_gave_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        page("rows", ROWS, lambda row: (row,), limit=2, after=cursor)


@pytest.mark.parametrize("part", [[], [b"a", b"b"], ["a"], [b"\xff"], True, -1, "a", {}])
def test_a_part_that_is_none_is_refused(part: Encodable) -> None:
    data = base64.urlsafe_b64encode(encode(["rows", part])).rstrip(b"=").decode()
    with pytest.raises(BadCursor):
        read("rows", data)
