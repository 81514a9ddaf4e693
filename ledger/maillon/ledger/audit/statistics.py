"""Count what a chain's payments were for, by unit, month and category, for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from maillon.ledger.block import Header
from maillon.ledger.entries import (
    Entry,
    Hold,
    In,
    Intra,
    Out,
    Post,
    Return,
    Settle,
    Void,
    decode_entry,
)
from maillon.ledger.orders import HoldAction, PayAction, read_body
from maillon.ledger.state import ChainState

CATEGORIES_MAX = 4_096
"""Categories told apart: their codes are chosen by whoever pays, so there may be any number."""

OTHER = "\N{HORIZONTAL ELLIPSIS}"
"""Where the categories beyond that are counted."""

# The number of a return, behind the one byte of its array: seen without reading the entry.
_RETURN = bytes([Return.KIND])

Tally = tuple[int, int]
"""How many, and how much together (minor units)."""


@dataclass(slots=True)
class Statistics:
    """What one chain paid out: payments count where the payer's account is, unless they came back.

    `months` by (unit, "2026-01"), `categories` by (unit, code). `reserved` are the open holds:
    unit, amount, category.
    """

    blocks: int = 0
    entries: int = 0
    signatures: int = 0
    transfers: int = 0
    holds: int = 0
    voids: int = 0
    months: dict[tuple[int, str], Tally] = field(default_factory=dict[tuple[int, str], Tally])
    categories: dict[tuple[int, str], Tally] = field(default_factory=dict[tuple[int, str], Tally])
    reserved: dict[bytes, tuple[int, int, str]] = field(
        default_factory=dict[bytes, tuple[int, int, str]]
    )
    _month: tuple[int, int, str] = (0, 0, "")

    def add(self, entry: Entry, header: Header, before: ChainState) -> None:
        """Count an entry of a block. `before` is the state that the block begins with."""
        kind = type(entry)
        if kind is Intra or kind is Out:
            assert isinstance(entry, Intra | Out)
            action = entry.order.action
            assert isinstance(action, PayAction)
            self._paid(action.unit, action.amount, action.category, header.time)
        elif isinstance(entry, Settle):
            self._paid(entry.unit, entry.amount, "", header.time)
        elif isinstance(entry, Post):
            found = self.reserved.pop(entry.hold, None)
            if found is None:
                # The entry that reserved it was erased; the certified state knows the hold.
                payer = before.account(entry.account)
                held = payer.holds.get(entry.hold) if payer is not None else None
                if held is None:
                    return
                found = (held.unit, held.amount, held.category)
            self._paid(*found, header.time)
        elif isinstance(entry, Hold):
            self.holds += 1
            reserve = entry.order.action
            assert isinstance(reserve, HoldAction)
            self.reserved[entry.order.id(header.fed)] = (
                reserve.unit,
                reserve.amount,
                reserve.category,
            )
        elif isinstance(entry, Void):
            self.voids += 1
            self.reserved.pop(entry.hold, None)
        elif isinstance(entry, In) and entry.data[1:2] == _RETURN:
            # What came back was paid to nobody: it is taken out of what was counted when it left.
            first = decode_entry(entry.data)
            assert isinstance(first, Return)
            unit, amount, category = _said(decode_entry(first.data))
            self._paid(unit, -amount, category, header.time, -1)

    def add_paid(self, paid: Mapping[tuple[int, str], Tally], time: int) -> None:
        """Count payments of a block that were added up by unit and category."""
        for (unit, category), (count, amount) in paid.items():
            self._paid(unit, amount, category, time, count)

    def _paid(self, unit: int, amount: int, category: str, time: int, more: int = 1) -> None:
        self.transfers += more
        low, high, month = self._month
        if not low <= time < high:
            month = self._turn(time)
        months, categories = self.months, self.categories
        count, total = months.get((unit, month), (0, 0))
        months[unit, month] = (count + more, total + amount)
        key = (unit, category)
        if key not in categories and len(categories) >= CATEGORIES_MAX:
            key = (unit, OTHER)
        count, total = categories.get(key, (0, 0))
        categories[key] = (count + more, total + amount)
        if not count + more:
            categories.pop(key)

    def _turn(self, time: int) -> str:
        """Remember the month a time is in: blocks come in order, so it changes seldom."""
        try:
            day = datetime.fromtimestamp(time, UTC)
        except (ValueError, OverflowError, OSError):
            return "9999-12"
        start = datetime(day.year, day.month, 1, tzinfo=UTC)
        year, month = (day.year, day.month + 1) if day.month < 12 else (day.year + 1, 1)
        end = datetime(year, month, 1, tzinfo=UTC) if year < 10_000 else start
        name = f"{day:%Y-%m}"
        self._month = (int(start.timestamp()), int(end.timestamp()), name)
        return name


def _said(entry: Entry) -> tuple[int, int, str]:
    """Return unit, amount and category of a payment that left over a channel."""
    if isinstance(entry, Settle):
        return entry.unit, entry.amount, ""
    if isinstance(entry, Out):
        action = entry.order.action
    else:
        assert isinstance(entry, Post)
        action = read_body(entry.order_body)[4]
    assert isinstance(action, PayAction | HoldAction)
    return action.unit, action.amount, action.category
