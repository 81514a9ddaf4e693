"""Write an audited ledger in the form that another program reads."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from maillon.ledger.audit.report import Report
from maillon.ledger.export.journals import beancount, hledger, ledger
from maillon.ledger.export.tables import INTEGER, Cell, Table, tables
from maillon.ledger.export.view import LedgerView
from maillon.ledger.tool.sqlite import write_sqlite
from maillon.protocol.errors import LocalError

FORMATS: Final = ("sqlite", "hledger", "ledger", "beancount", "csv", "parquet")
"""The forms there are. CSV and Parquet are one file a table, in a directory."""

FOLDERS: Final = frozenset({"csv", "parquet"})
_ROWS: Final = 50_000


class NotInstalled(LocalError):
    """A library that this form needs is not there."""

    code = "not_installed"


def write_book(
    form: str, view: LedgerView, report: Report, path: Path, language: str = "en"
) -> None:
    """Write a ledger at `path` in one of `FORMATS`; files appear whole or not at all.

    Raises: NotInstalled, OSError, ValueError for another form.
    """
    if form == "sqlite":
        write_sqlite(view, report, path, language)
    elif form in _JOURNALS:
        _write_text(path, _JOURNALS[form](view))
    elif form in FOLDERS:
        path.mkdir(parents=True, exist_ok=True)
        write = _write_csv if form == "csv" else _parquet_writer()
        for table in tables(view):
            write(table, path / f"{table.name}.{form}")
    else:
        raise ValueError(form)


_JOURNALS: Final[dict[str, Callable[[LedgerView], Iterator[str]]]] = {
    "hledger": hledger,
    "ledger": ledger,
    "beancount": beancount,
}


def _write_text(path: Path, pieces: Iterable[str]) -> None:
    new = path.with_name(path.name + ".new")
    with open(new, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _write_csv(table: Table, path: Path) -> None:
    new = path.with_name(path.name + ".new")
    with open(new, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")  # RFC 4180
        writer.writerow([name for name, _ in table.columns])
        for row in table.rows():
            writer.writerow([_cell(cell) for cell in row])
    os.replace(new, path)


def _cell(value: Cell) -> str:
    """Return a cell; what a spreadsheet would run as a formula is made plain text.

    Names of coops and categories come from strangers (OWASP, "CSV injection"). Numbers stay.
    """
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    number = value[1:].replace(".", "", 1).isdigit()
    if value[:1] in ("=", "+", "-", "@", "\t", "\r") and not number:
        return "'" + value
    return value


def _parquet_writer() -> Callable[[Table, Path], None]:
    try:
        # pyarrow ships no types.
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet as parquet_files  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise NotInstalled(
            "Parquet files need pyarrow, which is not installed.",
            hint="pip install 'maillon[parquet]', or take another format.",
        ) from None
    arrow: Any = pyarrow
    parquet: Any = parquet_files

    def write(table: Table, path: Path) -> None:
        schema: Any = arrow.schema(
            [
                arrow.field(name, arrow.int64() if kind == INTEGER else arrow.string())
                for name, kind in table.columns
            ]
        )
        new = path.with_name(path.name + ".new")
        with parquet.ParquetWriter(new, schema, compression="zstd") as writer:
            rows = table.rows()
            while part := list(islice(rows, _ROWS)):
                columns = [list(column) for column in zip(*part, strict=True)]
                writer.write_table(arrow.table(columns, schema=schema))
        os.replace(new, path)

    return write
