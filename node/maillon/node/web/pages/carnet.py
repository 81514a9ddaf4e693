"""My carnet: the balance within its range, what moved it month by month, a year at a glance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from litestar.handlers import HTTPRouteHandler

from maillon.node.api import ledger_shapes
from maillon.node.api.ledger_service import StatementOptions
from maillon.node.web import bounds
from maillon.node.web.routes import Framed, Page, page
from maillon.protocol.errors import MaillonError

MONTHS: Final = 12
LINES_MAX: Final = 1_000
"""Lines of one month on one page: thirty exchanges a day."""
_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
NO_ACCOUNT: Final = frozenset({"no_ledger", "account", "not_found", "account_unknown"})


@dataclass(frozen=True, slots=True)
class Gauge:
    """Where a balance stands in its range, in thousandths from the left; `zero` is where 0 is.

    `low` and `high` are the ends in minor units; without a maximum the range ends as far above 0
    as it begins below it, or at the balance.
    """

    low: int
    high: int
    zero: int
    here: int
    open: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """The balance at the end of a month; `y` and `height` in thousandths of the chart."""

    at: int
    balance: int
    y: int
    height: int


def gauge(position: ledger_shapes.Position) -> Gauge:
    """Return where a balance stands."""
    low = -position.limit
    high = max(position.max if position.max is not None else position.limit, position.balance, 1)
    width = high - low

    def place(value: int) -> int:
        return round(1000 * (min(max(value, low), high) - low) / width)

    return Gauge(low, high, place(0), place(position.balance), position.max is None)


def bars(ends: list[tuple[int, int]], least: int) -> list[Bar]:
    """Return a chart of (time, balance), the axis where 0 is.

    It reaches `least` up and down at least: a quarter of an hour shall not look like a cliff.
    """
    top = max([least, *(balance for _at, balance in ends)])
    bottom = min([-least, *(balance for _at, balance in ends)])
    span = max(1, top - bottom)
    zero = round(1000 * top / span)
    found: list[Bar] = []
    for at, balance in ends:
        height = round(1000 * abs(balance) / span)
        found.append(Bar(at, balance, zero - height if balance >= 0 else zero, height))
    return found


def _months(frame: Framed) -> list[tuple[int, int]]:
    """Return beginning and end of the last twelve months, the oldest first."""
    zone = ZoneInfo(frame.house.zone)
    now = datetime.fromtimestamp(frame.now, UTC).astimezone(zone)
    found: list[tuple[int, int]] = []
    for back in range(MONTHS - 1, -1, -1):
        count = now.year * 12 + now.month - 1 - back
        first, after = (
            datetime(place // 12, place % 12 + 1, 1, tzinfo=zone) for place in (count, count + 1)
        )
        found.append((int(first.timestamp()), int(after.timestamp())))
    return found


def account_of(frame: Framed) -> ledger_shapes.Account | None:
    """Return the account of whose affairs are shown; None when there is none."""
    try:
        return frame.service.ledger.account(frame.person)
    except MaillonError as fault:
        if fault.code in NO_ACCOUNT:
            return None
        raise


@page("/carnet", "read")
def carnet(frame: Framed) -> Page:
    """Show balances, and what moved them in one month."""
    return _carnet(frame, "carnet/show.html")


@page("/carnet/print", "read")
def statement(frame: Framed) -> Page:
    """Show the same month as a sheet to print, in large type."""
    return _carnet(frame, "carnet/print.html")


def _carnet(frame: Framed, template: str) -> Page:
    account = account_of(frame)
    if account is None:
        return frame.render("carnet/none.html")
    months = _months(frame)
    asked = frame.query.value("month")
    places = {_name(frame, start): place for place, (start, _end) in enumerate(months)}
    place = places.get(asked, MONTHS - 1) if _MONTH.fullmatch(asked) else MONTHS - 1
    kept = [p for p in account.positions if not frame.say.counts_only(p.code)]
    unit = frame.query.choice("unit", [p.code for p in account.positions])
    code = unit or (kept or account.positions)[0].code if account.positions else ""
    start, end = months[place]
    shown = frame.service.ledger.statement(
        frame.person, StatementOptions(start=start, end=end, limit=LINES_MAX, unit=code)
    )
    names = list(places)
    return frame.render(
        template,
        account=account,
        positions=[(position, gauge(position)) for position in kept],
        counted=[p for p in account.positions if frame.say.counts_only(p.code)],
        code=code,
        statement=shown,
        lines=shown.lines[::-1][: bounds.LINES_PER_PAGE * 20],
        start=start,
        end=end,
        month=names[place],
        before=names[place - 1] if place else "",
        after=names[place + 1] if place < MONTHS - 1 else "",
        chart=bars(
            _year(frame, months, code),
            max([1, *(position.limit // 4 for position in kept if position.code == code)]),
        ),
    )


def _name(frame: Framed, start: int) -> str:
    zone = ZoneInfo(frame.house.zone)
    return f"{datetime.fromtimestamp(start, UTC).astimezone(zone):%Y-%m}"


def _year(frame: Framed, months: list[tuple[int, int]], code: str) -> list[tuple[int, int]]:
    """Return the balance at the end of each of the last months."""
    if not code or frame.say.counts_only(code):
        return []
    ends: list[tuple[int, int]] = []
    for start, end in months:
        told = frame.service.ledger.statement(
            frame.person, StatementOptions(start=end, limit=1, unit=code)
        )
        # What stood there before the first line after the month.
        before = [row.balance for row in told.opening if row.code == code]
        ends.append((start, before[0] if before else 0))
    return ends


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (carnet, statement)
