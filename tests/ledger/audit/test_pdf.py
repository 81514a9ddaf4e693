"""The report for an assembly is a document that everybody can read, a blind person too."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.ledger.audit.report import Report
from maillon.ledger.charter_entries import Remove
from maillon.ledger.entries import Intra
from maillon.ledger.export.container import chain_path
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.files import ExportWriter
from maillon.ledger.tool.pdf import render_pdf, write_pdf
from support.ledger_corpus import Plan, make_corpus
from support.ledger_people import charter_block
from support.real_tools import real_tool
from support.tampering import Export, with_amount

pikepdf: Any = pytest.importorskip("pikepdf", reason="pikepdf is not installed (make dev)")
pytest.importorskip("typst", reason="typst is not installed (make dev)")

PLAN = Plan(120, coops=3, members=6, per_block=6, pace=200, seed=4)
AT = 1_800_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("corpus") / "export"
    make_corpus(made, PLAN)
    return made


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return audit_export(folder, at=AT, jobs=1)


@pytest.fixture(scope="module", params=["en", "fr"])
def document(
    request: pytest.FixtureRequest, report: Report, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, Any]]:
    path = tmp_path_factory.mktemp("pdf") / "report.pdf"
    write_pdf(report, path, request.param)
    with pikepdf.open(path) as opened:
        yield request.param, path, opened


def elements(node: Any) -> Iterator[Any]:
    """Walk the tree of tags in reading order."""
    if isinstance(node, pikepdf.Array):
        for child in node:
            yield from elements(child)
    elif isinstance(node, pikepdf.Dictionary):
        if "/S" in node:
            yield node
        if "/K" in node:
            yield from elements(node.K)


def test_the_document_says_that_it_keeps_to_pdf_ua(document: tuple[str, Path, Any]) -> None:
    _, _, pdf = document
    with pdf.open_metadata() as metadata:
        assert metadata["pdfuaid:part"] == "1"
        assert metadata["dc:title"]


def test_tags_title_and_language_are_there(document: tuple[str, Path, Any]) -> None:
    language, _, pdf = document
    root = pdf.Root
    assert bool(root.MarkInfo.Marked)
    assert str(root.Lang).startswith(language)
    assert bool(root.ViewerPreferences.DisplayDocTitle)
    assert "Services de l" in str(pdf.docinfo["/Title"])
    assert "/StructTreeRoot" in root


def test_headings_come_in_order_and_the_title_is_one(document: tuple[str, Path, Any]) -> None:
    _, _, pdf = document
    kinds = [str(node.S) for node in elements(pdf.Root.StructTreeRoot.K)]
    levels = [int(kind[2:]) for kind in kinds if kind[:2] == "/H" and kind[2:].isdigit()]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert len(levels) > 8


def test_every_chart_says_in_words_what_it_shows(document: tuple[str, Path, Any]) -> None:
    _, _, pdf = document
    figures = [node for node in elements(pdf.Root.StructTreeRoot.K) if str(node.S) == "/Figure"]
    assert len(figures) >= 4
    for figure in figures:
        assert "/Alt" in figure
    assert any("Coop du Bugey" in str(figure.Alt) for figure in figures)


def test_every_table_has_header_cells(document: tuple[str, Path, Any]) -> None:
    _, _, pdf = document
    tables = [node for node in elements(pdf.Root.StructTreeRoot.K) if str(node.S) == "/Table"]
    assert len(tables) >= 5
    for table in tables:
        kinds = Counter(str(node.S) for node in elements(table.K))
        assert kinds["/TH"] >= 2
        assert kinds["/TD"] >= 2


def test_every_font_is_embedded_and_maps_to_text(document: tuple[str, Path, Any]) -> None:
    _, _, pdf = document
    fonts = [
        font for page in pdf.pages for font in page.get("/Resources", {}).get("/Font", {}).values()
    ]
    assert fonts
    for font in fonts:
        assert "/ToUnicode" in font
        descriptor = font.DescendantFonts[0].FontDescriptor
        assert {"/FontFile2", "/FontFile3"} & set(descriptor.keys())


def test_qpdf_finds_nothing_wrong(document: tuple[str, Path, Any]) -> None:
    _, path, _ = document
    ran = subprocess.run([real_tool("qpdf"), "--check", str(path)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "No syntax or stream encoding errors" in ran.stdout


def test_the_words_can_be_read_out(document: tuple[str, Path, Any]) -> None:
    language, path, _ = document
    ran = subprocess.run([real_tool("pdftotext"), str(path), "-"], capture_output=True, text=True)
    words = " ".join(ran.stdout.split())
    assert {"en": "The accounts are right.", "fr": "Les comptes sont justes."}[language] in words
    assert {"en": "the sum is 0", "fr": "la somme est 0"}[language] in words
    assert "Coop de la Dombes" in words


def test_the_same_audit_gives_the_same_document(report: Report) -> None:
    assert render_pdf(report, "fr") == render_pdf(report, "fr")


def test_a_copy_that_cannot_be_read_whole_claims_no_more_than_was_read(
    folder: Path, tmp_path: Path
) -> None:
    export = Export(folder, tmp_path / "export")
    export.damage(chain_path(export.chains[0]), lambda data: b"\xff" + data[1:])
    report = audit_export(export.folder, at=AT, jobs=1)
    for language, claim in (("en", "Every block of every coop"), ("fr", "Chaque bloc de chaque")):
        assert claim not in words_of(report, language, tmp_path)
        assert claim in words_of(audit_export(folder, at=AT, jobs=1), language, tmp_path)


def test_a_coop_that_left_is_told_as_such_and_goes_on_counting(
    folder: Path, report: Report, tmp_path: Path
) -> None:
    export = Export(folder, tmp_path / "export")
    gone, trustee = export.chains[2], export.chains[0]
    block = charter_block(PLAN, export.charters(), [Remove(gone, trustee)], export.at)
    writer = ExportWriter(export.folder, export.fed)
    writer.append(None, [block])
    writer.commit(export.at)
    later = audit_export(export.folder, at=AT, jobs=1)
    assert later.verdict == report.verdict and later.charters.latest.coops[gone].removed
    assert [one.total for one in later.sums] == [0] * len(later.sums)
    # In place of the limit, which it has no more; not of what its members hold.
    name = report.charters.latest.coops[gone].name
    for language, said in (("en", "has left"), ("fr", "est partie")):
        before, after = (words_of(one, language, tmp_path) for one in (report, later))
        assert said not in before
        units = sum(one.unit not in later.counted for one in later.sums)
        assert len(re.findall(rf"{name} \d+ {said} ", after)) == units, after


def words_of(report: Report, language: str, folder: Path) -> str:
    path = folder / "words.pdf"
    write_pdf(report, path, language)
    ran = subprocess.run([real_tool("pdftotext"), str(path), "-"], capture_output=True, text=True)
    return " ".join(ran.stdout.split())


def test_what_is_wrong_stands_on_the_first_page(folder: Path, tmp_path: Path) -> None:
    export = Export(folder, tmp_path / "export")
    chain = export.chains[1]
    height, index, _, _ = export.find(chain, Intra)
    export.change(chain, height, lambda block: with_amount(block, index, 77))
    path = tmp_path / "report.pdf"
    write_pdf(audit_export(export.folder, at=AT, jobs=1), path, "fr")
    command = [real_tool("pdftotext"), "-l", "1", str(path), "-"]
    words = " ".join(subprocess.run(command, capture_output=True, text=True).stdout.split())
    assert "Les comptes sont faux." in words
    assert f"le bloc {height} du" in words
    assert "justes" not in words
