"""What an export does not hold is never called right: files, their bytes, the last blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maillon.ledger.audit.report import FINE, WRONG, Report
from maillon.ledger.checkpoint import Note, decode_checkpoint, decode_note, sign_checkpoint
from maillon.ledger.export.container import MANIFEST, chain_path
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.files import ExportReader, ExportWriter
from support.ledger_corpus import Plan, key_of, make_corpus
from support.tampering import Export, flipped

PLAN = Plan(120, coops=4, members=6, per_block=12, cross=0.3, variety=0.3, seed=11, epochs=True)
AT = 1_800_000_000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "export"
    make_corpus(folder, PLAN)
    return folder


@pytest.fixture
def export(original: Path, tmp_path: Path) -> Export:
    return Export(original, tmp_path / "export")


def audit(export: Export) -> Report:
    return audit_export(export.folder, at=AT, jobs=1)


def test_a_missing_file_is_named(export: Export) -> None:
    chain = export.chains[0]
    (export.folder / chain_path(chain)).unlink()
    report = audit(export)
    assert "file_missing" in {one.code for one in report.findings}
    text = "\n".join(report.lines("en"))
    assert chain_path(chain) in text and "Nothing from block 1 on is proven" in text
    assert _row(report, chain) == "no block: NOT PROVEN since block 1"
    assert "1970" not in text
    assert report.since()[chain] == 1
    assert report.verdict == WRONG


def _row(report: Report, chain: bytes) -> str:
    """Return what the report's table says of a chain."""
    name = report.coop_names()[chain]
    (row,) = [line for line in report.lines("en") if line.startswith(f"  {name} ")]
    return row.removeprefix(f"  {name}").strip()


def test_a_chain_that_cannot_be_read_from_its_first_byte_is_not_called_right(
    export: Export,
) -> None:
    chain = export.chains[0]
    export.damage(chain_path(chain), lambda data: b"\xff" + data[1:])
    report = audit(export)
    (found,) = [one for one in report.findings if one.code == "file_damaged"]
    assert (found.chain, found.height, found.facts["offset"]) == (chain, 1, 0)
    assert report.say(found, "en").startswith(report.coop_names()[chain])
    assert _row(report, chain) == "no block: NOT PROVEN since block 1"
    assert "1970" not in "\n".join(report.lines("fr"))


def test_a_file_cut_in_the_middle_names_the_coop_and_the_block(export: Export) -> None:
    chain = export.chains[1]
    export.damage(chain_path(chain), lambda data: data[: len(data) // 2])
    report = audit(export)
    (found,) = [one for one in report.findings if one.code == "file_damaged"]
    name = report.coop_names()[chain]
    for language in ("en", "fr"):
        said = report.say(found, language)
        assert said.startswith(name) and str(found.height) in said.split(".blocks")[1]
    assert _row(report, chain).endswith(f"NOT PROVEN since block {found.height}")


@pytest.mark.parametrize("folder", ["heads", "checkpoints"])
def test_a_changed_byte_of_any_listed_file_is_noticed(export: Export, folder: str) -> None:
    for path in sorted((export.folder / folder).iterdir()):
        good = path.read_bytes()
        for at in range(0, len(good), max(1, len(good) // 7)):
            path.write_bytes(flipped(good, at))
            report = audit(export)
            assert report.verdict == WRONG, f"{path.name} byte {at}"
            assert {"file_changed", "file_damaged"} & {one.code for one in report.findings}
        path.write_bytes(good)
    assert audit(export).verdict == FINE


def test_a_missing_checkpoint_or_file_of_heads_is_named(export: Export) -> None:
    for folder in ("heads", "checkpoints"):
        (first, *_) = sorted((export.folder / folder).iterdir())
        first.unlink()
    report = audit(export)
    assert sorted(one.code for one in report.findings) == ["file_missing", "file_missing"]
    assert report.verdict == WRONG


def _hide(export: Export, chain: bytes, count: int, by: bytes) -> None:
    """Leave the last blocks of a chain away, and fit the manifest; drop its checkpoint."""
    writer = ExportWriter(export.folder, export.fed)
    writer.rewrite(chain, export.blocks(chain)[:-count])
    writer.commit(export.at, by)
    reader = ExportReader(export.folder)
    files = {p: e for p, e in reader.manifest.files.items() if not p.startswith("checkpoints/")}
    manifest = replace(reader.manifest, files=files)
    (export.folder / MANIFEST).write_bytes(manifest.encode())


def _last_that_nothing_rests_on(export: Export) -> bytes:
    for chain in export.chains:
        copy = Export(export.folder, export.folder.parent / f"try {chain.hex()[:8]}")
        _hide(copy, chain, 1, b"")
        if not any(one.code == "message_unknown" for one in audit(copy).findings):
            return chain
    raise AssertionError("every last block of the corpus is rested on")


def test_blocks_that_the_exporter_itself_holds_and_leaves_out_make_the_export_wrong(
    export: Export,
) -> None:
    chain = _last_that_nothing_rests_on(export)
    top = len(export.blocks(chain))
    exporter = ExportReader(export.folder).manifest.by
    assert exporter
    _hide(export, chain, 1, exporter)
    report = audit(export)
    (hidden,) = [one for one in report.findings if one.code == "head_hidden"]
    assert (hidden.chain, hidden.height, hidden.facts["held"]) == (chain, top, top)
    assert report.verdict == WRONG and not report.judged
    assert _row(report, chain).endswith(f"NOT PROVEN since block {top}")
    assert not any("same history." in line for line in report.lines("en"))


def test_blocks_that_only_others_hold_are_warned_of_and_nobody_says_all_agree(
    export: Export,
) -> None:
    chain = _last_that_nothing_rests_on(export)
    top = len(export.blocks(chain))
    _hide(export, chain, 1, b"")
    report = audit(export)
    ahead = [one for one in report.findings if one.code == "head_ahead"]
    assert ahead and {one.height for one in ahead} == {top}
    assert {one.severity for one in ahead} == {"warning"}
    assert report.verdict == FINE
    text = "\n".join(report.lines("en"))
    assert "The export ends BEFORE what nodes hold" in text
    assert "hold the same history." not in text


def test_the_exporter_is_not_counted_among_those_who_were_asked(export: Export) -> None:
    exporter = ExportReader(export.folder).manifest.by
    assert audit(export).agreement() == ("heads", PLAN.coops - 1, 0)
    for path in (export.folder / "heads").iterdir():
        if path.stem != exporter.hex():
            path.unlink()
    reader = ExportReader(export.folder)
    files = {
        p: e
        for p, e in reader.manifest.files.items()
        if not p.startswith("heads/") or exporter.hex() in p
    }
    (export.folder / MANIFEST).write_bytes(replace(reader.manifest, files=files).encode())
    report = audit(export)
    assert report.verdict == FINE
    assert "No other node was asked" in "\n".join(report.lines("en"))


def test_a_checkpoint_that_too_few_cosigned_is_only_remarked_when_it_agrees(
    export: Export,
) -> None:
    chain = export.chains[0]
    note = decode_note(ExportReader(export.folder).checkpoint(chain))
    writer = ExportWriter(export.folder, export.fed)
    writer.checkpoint(chain, Note(note.text, note.signatures[:2]).encode())
    writer.commit(export.at)
    report = audit(export)
    (found,) = report.findings
    assert (found.code, found.severity, found.chain) == ("checkpoint_few", "note", chain)
    assert report.verdict == FINE and chain not in report.checkpoints
    (export.folder / chain_path(chain)).rename(export.folder / "away")
    # Of a chain that is not there, a checkpoint cannot be said to agree or to differ.
    codes = {one.code for one in audit(export).findings if one.chain == chain}
    assert not {code for code in codes if code.startswith("checkpoint")}
    (export.folder / "away").rename(export.folder / chain_path(chain))
    other = replace(decode_checkpoint(note.text), root=bytes(32))
    key = key_of(PLAN.seed, "writer", 0)
    writer = ExportWriter(export.folder, export.fed)
    writer.checkpoint(chain, sign_checkpoint(other, key.public, key.raw).encode())
    writer.commit(export.at)
    assert [one.code for one in audit(export).findings] == ["checkpoint_untrusted"]
