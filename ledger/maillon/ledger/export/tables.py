"""Write the ledger as tables: the same ones for CSV, SQLite and Parquet (spec/07, "Books")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from maillon.ledger.export.view import (
    INTRA,
    OUT,
    LedgerView,
    Movement,
    Names,
    amount_text,
    bookings,
)

Cell = str | int | None
"""Integers are minor units, Unix seconds or counts; texts are UTF-8; None is unknown or none."""

INTEGER: Final = "integer"
TEXT: Final = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its columns with their types, its key, what refers where, its rows."""

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    rows: Callable[[], Iterator[tuple[Cell, ...]]]
    references: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()


def tables(view: LedgerView) -> tuple[Table, ...]:
    """Return the tables of a ledger, those that others refer to first."""
    names = Names(view)
    account_key = ("coop", "account")
    return (
        Table(
            "federation",
            (("fed", TEXT), ("name", TEXT), ("founded", INTEGER), ("until", INTEGER)),
            ("fed",),
            lambda: iter([(view.fed.hex(), view.name, view.founded, view.at)]),
        ),
        Table(
            "units",
            (
                ("unit", INTEGER),
                ("code", TEXT),
                ("kind", TEXT),
                ("decimals", INTEGER),
                ("label", TEXT),
            ),
            ("unit",),
            lambda: ((u.index, u.code, u.kind, u.decimals, u.label) for u in view.units),
        ),
        Table(
            "coops",
            (
                ("coop", TEXT),
                ("name", TEXT),
                ("height", INTEGER),
                ("head", TEXT),
                ("time", INTEGER),
            ),
            ("coop",),
            lambda: (
                (c.id.hex(), c.name, c.height, c.head.hex(), c.time) for c in view.coops.values()
            ),
        ),
        Table(
            "coop_limits",
            (("coop", TEXT), ("unit", INTEGER), ("limit", INTEGER)),
            ("coop", "unit"),
            lambda: (
                (coop.id.hex(), unit, limit)
                for coop in view.coops.values()
                for unit, limit in sorted(coop.limits.items())
            ),
            ((("coop",), "coops", ("coop",)), (("unit",), "units", ("unit",))),
        ),
        Table(
            "accounts",
            (
                ("coop", TEXT),
                ("account", TEXT),
                ("kind", TEXT),
                ("open", INTEGER),
                ("name", TEXT),
                ("book_name", TEXT),
            ),
            account_key,
            lambda: (
                (
                    a.coop.hex(),
                    a.id.hex(),
                    a.kind,
                    int(a.open),
                    a.name,
                    names.account(a.coop, a.id),
                )
                for a in view.accounts
            ),
            ((("coop",), "coops", ("coop",)),),
        ),
        Table(
            "positions",
            (
                ("coop", TEXT),
                ("account", TEXT),
                ("unit", INTEGER),
                ("balance", INTEGER),
                ("held", INTEGER),
                ("limit", INTEGER),
                ("maximum", INTEGER),
                ("available", INTEGER),
                ("balance_text", TEXT),
            ),
            (*account_key, "unit"),
            lambda: _positions(view),
            ((account_key, "accounts", account_key), (("unit",), "units", ("unit",))),
        ),
        Table(
            "channels",
            (("source", TEXT), ("target", TEXT), ("sent", INTEGER), ("taken", INTEGER)),
            ("source", "target"),
            lambda: ((c.source.hex(), c.target.hex(), c.sent, c.taken) for c in view.channels),
            ((("source",), "coops", ("coop",)), (("target",), "coops", ("coop",))),
        ),
        Table(
            "in_flight",
            (("source", TEXT), ("target", TEXT), ("unit", INTEGER), ("amount", INTEGER)),
            ("source", "target", "unit"),
            lambda: (
                (channel.source.hex(), channel.target.hex(), unit, amount)
                for channel in view.channels
                for unit, amount in sorted(channel.in_flight.items())
            ),
            (
                (("source", "target"), "channels", ("source", "target")),
                (("unit",), "units", ("unit",)),
            ),
        ),
        Table(
            "movements",
            (
                ("coop", TEXT),
                ("height", INTEGER),
                ("entry", INTEGER),
                ("time", INTEGER),
                ("kind", TEXT),
                ("transfer", TEXT),
                ("unit", INTEGER),
                ("amount", INTEGER),
                ("amount_text", TEXT),
                ("from_coop", TEXT),
                ("from_account", TEXT),
                ("to_coop", TEXT),
                ("to_account", TEXT),
                ("category", TEXT),
                ("ref", TEXT),
            ),
            ("coop", "height", "entry"),
            lambda: (_movement(view, movement) for movement in view.movements()),
            ((("coop",), "coops", ("coop",)), (("unit",), "units", ("unit",))),
        ),
        Table(
            "postings",
            (
                ("coop", TEXT),
                ("height", INTEGER),
                ("entry", INTEGER),
                ("leg", INTEGER),
                ("time", INTEGER),
                ("book_name", TEXT),
                ("unit", INTEGER),
                ("amount", INTEGER),
            ),
            ("coop", "height", "entry", "leg"),
            lambda: _postings(view, names),
            (
                (("coop", "height", "entry"), "movements", ("coop", "height", "entry")),
                (("unit",), "units", ("unit",)),
            ),
        ),
    )


def _positions(view: LedgerView) -> Iterator[tuple[Cell, ...]]:
    for account in view.accounts:
        for unit, position in sorted(account.positions.items()):
            yield (
                account.coop.hex(),
                account.id.hex(),
                unit,
                position.balance,
                position.held,
                position.limit,
                position.maximum,
                position.available,
                amount_text(position.balance, view.unit(unit).decimals),
            )


def _movement(view: LedgerView, m: Movement) -> tuple[Cell, ...]:
    return (
        m.coop.hex(),
        m.height,
        m.index,
        m.time,
        m.kind,
        m.id.hex(),
        m.unit,
        m.amount,
        amount_text(m.amount, view.unit(m.unit).decimals),
        m.from_coop.hex(),
        m.from_account.hex(),
        m.to_coop.hex(),
        m.to_account.hex(),
        m.category,
        m.ref.hex() if any(m.ref) else None,
    )


def _postings(view: LedgerView, names: Names) -> Iterator[tuple[Cell, ...]]:
    for booking in bookings(view, names):
        m = booking.movement
        for leg, line in enumerate(booking.lines):
            yield (
                m.coop.hex(),
                m.height,
                m.index,
                leg,
                m.time,
                line.account,
                m.unit,
                line.amount,
            )


TRANSFERS: Final = frozenset({INTRA, OUT})
"""The movements that are payments made; the others are what becomes of them."""
