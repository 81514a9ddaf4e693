"""Write an audited ledger as an SQLite database that opens in datasette with its views ready."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maillon.ledger.audit.report import NEAR_PERCENT, Report
from maillon.ledger.export.tables import INTEGER, Table, tables
from maillon.ledger.export.view import LedgerView

_ROWS = 10_000

VIEWS = {
    "zero_sum": (
        "The sum of all balances and of what is on its way, for each unit. It must be 0.",
        """
        SELECT units.code, units.kind,
               coalesce(held.balances, 0) AS balances,
               coalesce(flying.amount, 0) AS in_flight,
               coalesce(held.balances, 0) + coalesce(flying.amount, 0) AS sum
        FROM units
        LEFT JOIN (SELECT unit, sum(balance) AS balances FROM positions GROUP BY unit) AS held
               ON held.unit = units.unit
        LEFT JOIN (SELECT unit, sum(amount) AS amount FROM in_flight GROUP BY unit) AS flying
               ON flying.unit = units.unit
        WHERE units.kind <> 'count'
        """,
    ),
    "balances_by_coop": (
        "What each coop's accounts add up to: its trade balance towards the other coops.",
        """
        SELECT coops.name AS coop, units.code AS unit,
               sum(positions.balance) AS balance,
               sum(max(positions.balance, 0)) AS owed_to_accounts,
               sum(min(positions.balance, 0)) AS owed_by_accounts,
               count(*) AS accounts,
               coop_limits."limit" AS coop_limit,
               positions.coop AS coop_id
        FROM positions
        JOIN coops ON coops.coop = positions.coop
        JOIN units ON units.unit = positions.unit
        LEFT JOIN coop_limits
               ON coop_limits.coop = positions.coop AND coop_limits.unit = positions.unit
        GROUP BY positions.coop, positions.unit
        ORDER BY units.unit, coops.name
        """,
    ),
    "clearing": (
        "What each coop paid each other one, and the difference between the two ways.",
        """
        SELECT payer.name AS from_coop, payee.name AS to_coop, units.code AS unit,
               paid.amount AS paid, coalesce(back.amount, 0) AS paid_back,
               paid.amount - coalesce(back.amount, 0) AS net, paid.count AS payments
        FROM (SELECT from_coop, to_coop, unit, sum(amount) AS amount, count(*) AS count
              FROM movements WHERE kind = 'in' GROUP BY from_coop, to_coop, unit) AS paid
        LEFT JOIN (SELECT from_coop, to_coop, unit, sum(amount) AS amount
                   FROM movements WHERE kind = 'in' GROUP BY from_coop, to_coop, unit) AS back
               ON back.from_coop = paid.to_coop AND back.to_coop = paid.from_coop
              AND back.unit = paid.unit
        JOIN coops AS payer ON payer.coop = paid.from_coop
        JOIN coops AS payee ON payee.coop = paid.to_coop
        JOIN units ON units.unit = paid.unit
        ORDER BY units.unit, payer.name, payee.name
        """,
    ),
    "limits_near": (
        f"Accounts that have used {NEAR_PERCENT} % of their credit limit or more.",
        f"""
        SELECT coops.name AS coop, accounts.kind, accounts.name, units.code AS unit,
               positions.balance, positions.held, positions."limit", positions.available,
               100 * (positions.held - positions.balance) / positions."limit" AS percent,
               positions.account
        FROM positions
        JOIN accounts ON accounts.coop = positions.coop AND accounts.account = positions.account
        JOIN coops ON coops.coop = positions.coop
        JOIN units ON units.unit = positions.unit
        WHERE positions."limit" > 0
          AND 100 * (positions.held - positions.balance) >= {NEAR_PERCENT} * positions."limit"
        ORDER BY percent DESC
        """,
    ),
    "transfers_by_category": (
        "How many payments were made, and how much, by category, without what came back.",
        """
        SELECT units.code AS unit, movements.category,
               sum(CASE movements.kind WHEN 'returned' THEN -1 ELSE 1 END) AS payments,
               sum(CASE movements.kind WHEN 'returned' THEN -1 ELSE 1 END * movements.amount)
                   AS amount
        FROM movements JOIN units ON units.unit = movements.unit
        WHERE movements.kind IN ('intra', 'out', 'returned')
        GROUP BY movements.unit, movements.category
        HAVING payments <> 0
        ORDER BY units.unit, payments DESC
        """,
    ),
    "transfers_by_month": (
        "How many payments were made, and how much, by month (UTC), without what came back.",
        """
        SELECT strftime('%Y-%m', movements.time, 'unixepoch') AS month, units.code AS unit,
               sum(CASE movements.kind WHEN 'returned' THEN -1 ELSE 1 END) AS payments,
               sum(CASE movements.kind WHEN 'returned' THEN -1 ELSE 1 END * movements.amount)
                   AS amount
        FROM movements JOIN units ON units.unit = movements.unit
        WHERE movements.kind IN ('intra', 'out', 'returned')
        GROUP BY month, movements.unit
        HAVING payments <> 0
        ORDER BY month, units.unit
        """,
    ),
}
"""The views: what each is, and its query."""

INDEXES = (
    "CREATE INDEX movements_transfer ON movements (transfer)",
    "CREATE INDEX movements_from ON movements (from_coop, from_account)",
    "CREATE INDEX movements_to ON movements (to_coop, to_account)",
    "CREATE INDEX postings_book_name ON postings (book_name)",
)


def write_sqlite(view: LedgerView, report: Report, path: Path, language: str = "en") -> None:
    """Write the database at `path`, and beside it `<path>.metadata.json` for datasette.

    Whole or not at all: it is written under another name and moved. Raises: OSError, and
    sqlite3.IntegrityError when the view contradicts itself.
    """
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for table in tables(view):
            connection.execute(_create(table))
            _fill(connection, table)
        _findings(connection, report, language)
        for index in INDEXES:
            connection.execute(index)
        for name, (_, query) in VIEWS.items():
            connection.execute(f"CREATE VIEW {name} AS {query}")
        broken: list[Any] = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise sqlite3.IntegrityError(f"{len(broken)} rows refer to nothing: {broken[0]}")
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
    finally:
        connection.close()
    with open(new, "rb") as file:
        os.fsync(file.fileno())
    os.replace(new, path)
    metadata = path.with_name(path.name + ".metadata.json")
    metadata.write_text(json.dumps(_metadata(view, path.stem), ensure_ascii=False, indent=2) + "\n")


def _create(table: Table) -> str:
    columns = [
        f'"{name}" {"INTEGER" if kind == INTEGER else "TEXT"}' for name, kind in table.columns
    ]
    columns.append(f"PRIMARY KEY ({', '.join(table.key)})")
    for ours, other, theirs in table.references:
        columns.append(f"FOREIGN KEY ({', '.join(ours)}) REFERENCES {other} ({', '.join(theirs)})")
    without = "" if len(table.key) == 1 else " WITHOUT ROWID"
    return f"CREATE TABLE {table.name} ({', '.join(columns)}){without}"


def _fill(connection: sqlite3.Connection, table: Table) -> None:
    marks = ", ".join("?" * len(table.columns))
    connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", table.rows())


def _findings(connection: sqlite3.Connection, report: Report, language: str) -> None:
    connection.execute(
        "CREATE TABLE findings (number INTEGER PRIMARY KEY, severity TEXT, code TEXT, coop TEXT, "
        "height INTEGER, entry INTEGER, text TEXT)"
    )

    def rows() -> Iterator[tuple[Any, ...]]:
        for number, one in enumerate(report.findings, 1):
            yield (
                number,
                one.severity,
                one.code,
                one.chain.hex() or None,
                one.height if one.height >= 0 else None,
                one.entry if one.entry >= 0 else None,
                report.say(one, language),
            )

    connection.executemany("INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?)", rows())


def _metadata(view: LedgerView, database: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "zero_sum": VIEWS["zero_sum"][0],
        **{name: about for name, (about, _) in VIEWS.items()},
        "movements": "What every entry of every chain moved.",
        "postings": "The legs of the movements: each movement's add up to 0.",
        "positions": "Every account in every unit, as the audit found it. Amounts are minor units: "
        "hours are counted in minutes.",
        "findings": "What the audit found.",
    }
    return {
        "title": view.name,
        "description": f"The audited ledger of federation {view.fed.hex()}",
        "databases": {
            database: {
                "tables": {name: {"description": about} for name, about in described.items()}
            }
        },
    }
