"""A running node is audited, exported and its books written by the commands that people type."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from maillon.ledger.export.container import CHARTER, chain_path
from maillon.ledger.tool.cli import main as auditor
from maillon.ledger.tool.files import ExportReader
from support.exchanges import Exchanges, federation
from support.real_tools import real_tool


@pytest.fixture(scope="module")
def coops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchanges]:
    with federation(tmp_path_factory.mktemp("audit"), "a", "b") as made:
        for name in ("Ana Exemple", "Bruno Exemple"):
            made.enrol(0, name, "--unit", "heure", "--limit", "10h")
        chloe = made.enrol(1, "Chloé Exemple", "--unit", "heure", "--limit", "10h")
        made.do(0, "transfer", "Ana Exemple", "Bruno Exemple", "1h30", "--unit", "heure")
        other = made.address(1, chloe)
        made.do(0, "transfer", "Bruno Exemple", other, "45min", "--unit", "heure")
        made.arrives(1, "Chloé Exemple", "heure", 45)
        made.settled()
        yield made


def test_the_audit_of_a_running_node_says_sum_0(coops: Exchanges) -> None:
    told = coops.tell(0, "audit", as_json=False)
    assert told.code == 0, told.err
    assert "sum 0" in told.out
    assert "The accounts are right." in told.out
    report = coops.do(0, "audit")
    assert report["verdict"] == "fine"
    assert report["judged"] is True
    assert report["counts"]["transfers"] == 2
    # The second one replayed nothing that the first had seen.
    assert report["counts"]["resumed"] == 2


def test_what_a_node_exports_is_audited_without_it(coops: Exchanges, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    told = coops.do(1, "export", "--format", "federation", "-o", str(folder))
    assert told["chains"] == 3
    assert auditor(["audit", str(folder), "-q"]) == 0
    reader = ExportReader(folder)
    assert CHARTER in reader.manifest.files
    told2 = coops.tell(0, "audit", str(folder), as_json=False)
    assert told2.code == 0
    # Somebody changes one bit on the way.
    path = folder / chain_path(reader.manifest.chains[0])
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    wrong = coops.tell(0, "audit", str(folder), as_json=False)
    assert wrong.code == 1
    assert "WRONG" in wrong.out


def test_books_are_written_and_accepted(coops: Exchanges, tmp_path: Path) -> None:
    book = tmp_path / "accounts.journal"
    told = coops.do(0, "export", "--format", "hledger", "--names", "-o", str(book))
    assert told["transfers"] == 2
    assert "Bruno-Exemple-" in book.read_text()
    assert "Chloe" not in book.read_text()  # another coop's member
    ran = subprocess.run([real_tool("hledger"), "-f", str(book), "check"], capture_output=True)
    assert ran.returncode == 0, ran.stderr
    folder = tmp_path / "tables"
    coops.do(0, "export", "--format", "csv", "--accounts", "-o", str(folder))
    assert (folder / "movements.csv").read_text().count("\n") == 4  # a heading, 2, and 1 arrival


def test_a_report_for_an_assembly_is_written(coops: Exchanges, tmp_path: Path) -> None:
    pytest.importorskip("typst", reason="typst is not installed (make dev)")
    path = tmp_path / "report.pdf"
    told = coops.tell(0, "audit", "--pdf", str(path), as_json=False)
    assert told.code == 0
    assert path.read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("export", "--format", "hledger"), "usage"),
        (("export", "--format", "sqlite", "-o", "/nonexistent/x"), "not_found_file"),
        (("export", "--format", "hledger", "-o", "{there}"), "already_exists"),
        (("export", "--format", "federation", "-o", "{there}"), "already_exists"),
        (("export", "--format", "parquet", "--mine", "-o", "x"), "usage"),
        (("audit", "{there}/.."), "export_unusable"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    coops: Exchanges, tmp_path: Path, arguments: tuple[str, ...], code: str
) -> None:
    there = tmp_path / "there"
    there.write_text("mine")
    error = coops.refused(0, *(argument.format(there=there) for argument in arguments))
    assert error["code"] == code
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert there.read_text() == "mine"


def test_an_audit_of_nothing_leaves_with_2(coops: Exchanges, tmp_path: Path) -> None:
    told = coops.tell(0, "audit", str(tmp_path), as_json=False)
    assert told.code == 2
    assert told.out == ""
    error = coops.refused(0, "audit", str(tmp_path))
    assert (error["code"], error["exit"]) == ("export_unusable", 2)
