"""The books of an audited ledger open in the programs they are for, and agree with the audit."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maillon.ledger.audit.report import Report
from maillon.ledger.entries import Intra
from maillon.ledger.export.tables import INTEGER, tables
from maillon.ledger.export.view import LedgerView, Names, amount_text, balances, commodities
from maillon.ledger.tool import books
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.books import FORMATS, write_book
from maillon.ledger.tool.cli import main
from maillon.ledger.tool.sqlite import VIEWS
from maillon.ledger.tool.viewing import make_view, read_names
from maillon.protocol.errors import LocalError
from support.ledger_corpus import Plan, account_of, make_corpus
from support.real_tools import real_tool
from support.tampering import Export, with_amount

PLAN = Plan(240, 3, 8, 12, cross=0.3, variety=0.4, seed=21, pace=60, mistyped=0.2)
AT = 1_800_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("corpus") / "export"
    make_corpus(made, PLAN)
    return made


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return audit_export(folder, at=AT, jobs=1)


@pytest.fixture(scope="module")
def view(report: Report, folder: Path) -> LedgerView:
    return make_view(report, folder)


@pytest.fixture(scope="module")
def database(report: Report, view: LedgerView, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("books") / "ledger.db"
    write_book("sqlite", view, report, path, "fr")
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_the_corpus_has_every_kind_of_movement(view: LedgerView) -> None:
    kinds = {movement.kind for movement in view.movements()}
    assert kinds == {"intra", "out", "in", "return", "returned", "hold", "void"}


# --- Plain-text accounting, of the real ledger ----------------------------------------------------


@pytest.mark.parametrize(
    ("form", "tool", "arguments"),
    [
        ("hledger", "hledger", ("-f", "{}", "check", "--strict")),
        ("ledger", "ledger", ("--args-only", "--pedantic", "-f", "{}", "balance")),
        ("beancount", "bean-check", ("{}",)),
    ],
)
def test_accounting_programs_accept_what_the_audit_accepts(
    folder: Path, tmp_path: Path, form: str, tool: str, arguments: tuple[str, ...]
) -> None:
    program = real_tool(tool)
    book = tmp_path / "book"
    assert main(["export", str(folder), "--format", form, "-o", str(book), "-q"]) == 0
    ran = run(program, *(argument.format(book) for argument in arguments))
    assert ran.returncode == 0, ran.stderr
    # And they do look: one balance more or less is refused.
    text = book.read_text()
    place = text.rindex("\n", 0, -1)
    last = text[place:]
    number = re.findall(r"-?\d+(?:\.\d+)?", last)[-1 if form != "beancount" else -2]
    head, _, tail = last.rpartition(number)
    book.write_text(text[:place] + head + number + "1" + tail)
    assert run(program, *(argument.format(book) for argument in arguments)).returncode != 0


def test_hledger_comes_to_the_balances_of_the_audit(
    view: LedgerView, report: Report, tmp_path: Path
) -> None:
    book = tmp_path / "book.journal"
    write_book("hledger", view, report, book)
    ran = run(real_tool("hledger"), "-f", str(book), "balance", "--flat", "-N", "-O", "csv")
    names, words = Names(view), commodities(view)
    wanted = {
        (name, words[unit]): amount_text(amount, view.unit(unit).decimals)
        for name, _, unit, amount in balances(view, names)
        if amount
    }
    found = {
        (row["account"], word): number
        for row in csv.DictReader(io.StringIO(ran.stdout))
        for number, word in re.findall(r'(-?[\d.]+) "?([A-Z0-9-]+)"?', row["balance"])
    }
    assert found == wanted


# --- SQLite and datasette -------------------------------------------------------------------------


def test_the_view_of_the_sum_says_zero(database: Path, report: Report) -> None:
    found = rows(database, "SELECT code, balances, in_flight, sum FROM zero_sum")
    money = [total for total in report.sums if total.unit not in report.counted]
    assert found == [
        (report.units.unit(total.unit).code, total.balances, total.in_flight, 0) for total in money
    ]
    assert any(in_flight for _, _, in_flight, _ in found)


def test_balances_by_coop_are_the_trade_balances(database: Path, report: Report) -> None:
    found = rows(database, "SELECT coop_id, unit, balance FROM balances_by_coop")
    codes = {code: report.units.index(code) for _, code, _ in found}
    for coop, code, balance in found:
        assert balance == report.results[bytes.fromhex(coop)].trade.get(codes[code], 0)


def test_the_clearing_table_is_that_of_the_report_and_its_nets_cancel(
    database: Path, report: Report
) -> None:
    names = report.coop_names()
    wanted = {
        (names[a], names[b], report.units.unit(unit).code): amount
        for (a, b, unit), amount in report.clearing().items()
    }
    found = rows(database, "SELECT from_coop, to_coop, unit, paid, net FROM clearing")
    paid = {(a, b, unit): amount for a, b, unit, amount, _ in found if unit != "fois"}
    assert paid == wanted
    assert sum(row[4] for row in found if (row[1], row[0], row[2]) in paid) == 0


def test_postings_add_up_to_the_positions(database: Path) -> None:
    wrong = rows(
        database,
        """
        SELECT accounts.book_name, positions.unit, balance, coalesce(sum(amount), 0)
        FROM positions JOIN accounts USING (coop, account)
        LEFT JOIN postings ON postings.book_name = accounts.book_name
                          AND postings.unit = positions.unit
        GROUP BY 1, 2, 3 HAVING balance <> coalesce(sum(amount), 0)
        """,
    )
    assert wrong == []
    assert rows(database, "SELECT sum(amount) FROM postings GROUP BY coop, height, entry") != []
    sums = rows(database, "SELECT DISTINCT sum(amount) FROM postings GROUP BY coop, height, entry")
    assert sums == [(0,)]


def test_foreign_keys_hold_and_every_view_answers(database: Path) -> None:
    assert rows(database, "PRAGMA foreign_key_check") == []
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]
    for name in VIEWS:
        assert rows(database, f"SELECT count(*) FROM {name}")[0][0] >= (name != "limits_near")


def test_categories_and_months_are_those_of_the_report(database: Path, report: Report) -> None:
    found = rows(database, "SELECT unit, category, payments, amount FROM transfers_by_category")
    assert {(report.units.index(u), c): (n, t) for u, c, n, t in found} == report.categories()
    found = rows(database, "SELECT unit, month, payments, amount FROM transfers_by_month")
    assert {(report.units.index(u), m): (n, t) for u, m, n, t in found} == report.months()
    assert sum(n for n, _ in report.months().values()) == report.counts()["transfers"]


def test_datasette_serves_the_database_with_its_views(database: Path) -> None:
    pytest.importorskip("datasette", reason="datasette is not installed (make dev)")
    metadata = f"{database}.metadata.json"

    def get(path: str) -> Any:
        command = [sys.executable, "-m", "datasette", str(database), "--metadata", metadata]
        ran = subprocess.run([*command, "--get", path], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    opened = get("/ledger.json")
    assert {view["name"] for view in opened["views"]} == set(VIEWS)
    answer = get("/ledger/zero_sum.json?_shape=objects")
    assert {row["sum"] for row in answer["rows"]} == {0}
    assert "fed" in json.loads(Path(metadata).read_text())["description"]


# --- CSV and Parquet ------------------------------------------------------------------------------


def test_csv_files_hold_every_row_and_run_nothing(
    view: LedgerView, report: Report, tmp_path: Path
) -> None:
    write_book("csv", view, report, tmp_path)
    for table in tables(view):
        with open(tmp_path / f"{table.name}.csv", encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        wanted = list(table.rows())
        assert len(found) == len(wanted)
        names = [name for name, _ in table.columns]
        for row, cells in zip(found, wanted, strict=True):
            assert [row[name] for name in names] == [
                "" if cell is None else str(cell) for cell in cells
            ]


@pytest.mark.parametrize("text", ["=1+1", "@cmd", "+A1", "-A1", "\tx"])
def test_a_category_that_a_spreadsheet_would_run_is_made_plain(text: str) -> None:
    assert books._cell(text) == "'" + text  # pyright: ignore[reportPrivateUsage]
    assert books._cell("-12.50") == "-12.50"  # pyright: ignore[reportPrivateUsage]
    assert books._cell(-5) == "-5"  # pyright: ignore[reportPrivateUsage]


def test_parquet_files_hold_the_same_rows(view: LedgerView, report: Report, tmp_path: Path) -> None:
    parquet: Any = pytest.importorskip(
        "pyarrow.parquet", reason="pyarrow is not installed (make dev)"
    )
    write_book("parquet", view, report, tmp_path)
    for table in tables(view):
        found = parquet.read_table(tmp_path / f"{table.name}.parquet")
        kinds = {name: str(found.schema.field(name).type) for name, _ in table.columns}
        assert kinds == {
            name: "int64" if kind == INTEGER else "string" for name, kind in table.columns
        }
        wanted = list(table.rows())
        columns = [found.column(name).to_pylist() for name, _ in table.columns]
        assert list(zip(*columns, strict=True)) == wanted


# --- Names, refusals ------------------------------------------------------------------------------


def test_a_coop_may_add_its_own_names(folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.csv"
    account = account_of(PLAN, 0, 0)
    names.write_text(f"account,name\n{account.hex()},Résidente Une\n", encoding="utf-8-sig")
    book = tmp_path / "book.journal"
    words = ["export", str(folder), "--format", "hledger", "-o", str(book), "-q"]
    assert main([*words, "--names", str(names)]) == 0
    assert "Residente-Une-" in book.read_text()
    names.write_text("number,name\n1,x\n")
    with pytest.raises(LocalError):
        read_names(names)


@pytest.mark.parametrize("form", FORMATS)
def test_no_form_is_written_from_a_tampered_export(folder: Path, tmp_path: Path, form: str) -> None:
    export = Export(folder, tmp_path / "export")
    chain = export.chains[0]
    height, index, _, _ = export.find(chain, Intra)
    export.change(chain, height, lambda block: with_amount(block, index, 3))
    book = tmp_path / "book"
    words = ["export", str(export.folder), "--format", form, "-o", str(book), "-q"]
    assert main(words) == 1
    assert not book.exists()


def test_a_book_is_replaced_whole_or_not_at_all(
    view: LedgerView, report: Report, tmp_path: Path
) -> None:
    book = tmp_path / "book.journal"
    write_book("hledger", view, report, book)
    before = book.read_bytes()

    def failing() -> Any:
        yield next(view.movements())
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_book("hledger", replace(view, movements=failing), report, book)
    assert book.read_bytes() == before
