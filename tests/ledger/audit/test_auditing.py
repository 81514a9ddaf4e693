"""An audit costs the difference, uses all cores, and answers in words, JSON and exit codes."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from maillon.ledger.audit.findings import SEVERITIES, finding
from maillon.ledger.audit.report import FINE, WRONG, Report
from maillon.ledger.audit.words import ENTRY_REASONS, REASONS, SENTENCES, sentence
from maillon.ledger.block import Block, decode_block
from maillon.ledger.export.container import chain_path
from maillon.ledger.tool import replaying
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.cli import main
from maillon.ledger.tool.files import ExportReader, ExportWriter
from support.ledger_corpus import Plan, certify, make_corpus
from support.tampering import Export, Forger, flipped

PLAN = Plan(150, coops=3, members=8, per_block=10, cross=0.3, variety=0.3, seed=3)
AT = 1_800_000_000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "export"
    make_corpus(folder, PLAN)
    return folder


@pytest.fixture
def export(original: Path, tmp_path: Path) -> Export:
    return Export(original, tmp_path / "export")


def same(one: Report, other: Report) -> bool:
    """Compare two reports but for how they came about."""
    left, right = one.as_json(), other.as_json()
    for report in (left, right):
        report["seconds"] = 0
        report["export_sha256"] = ""
        report["counts"]["resumed"] = 0
        report["counts"]["signatures"] = 0
        for coop in report["coops"]:
            coop["resumed_from"] = None
    return bool(left == right)


# --- Again, and only what is new ------------------------------------------------------------------


def test_a_second_audit_replays_nothing_and_finds_the_same(export: Export, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = audit_export(export.folder, cache=cache, at=AT, jobs=1)
    second = audit_export(export.folder, cache=cache, at=AT, jobs=1)
    assert first.counts()["resumed"] == 0
    assert second.counts()["resumed"] == 3
    assert same(first, second)
    assert same(first, audit_export(export.folder, at=AT, jobs=1))


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_an_audit_that_goes_on_finds_what_one_from_the_start_finds(
    original: Path, tmp_path: Path, cut: int
) -> None:
    cache = tmp_path / "cache"
    short = Export(original, tmp_path / "short")
    whole = {chain: short.blocks(chain) for chain in short.chains}
    for chain in short.chains:
        short.put(chain, whole[chain][:-cut])
    # An older export: its checkpoints and heads are those of later blocks, so it is not fine; the
    # chains themselves are.
    audit_export(short.folder, cache=cache, at=AT, jobs=1)
    assert len(list(cache.iterdir())) == 3
    for chain in short.chains:
        writer = ExportWriter(short.folder, short.fed)
        assert writer.append(chain, whole[chain][-cut:]) == cut
        writer.commit(short.at)
    again = audit_export(short.folder, cache=cache, at=AT, jobs=1)
    assert {result.resumed for result in again.results.values()} == {
        result.height - cut for result in again.results.values()
    }
    assert again.verdict == FINE
    assert same(again, audit_export(original, at=AT, jobs=1))


def test_a_past_that_was_changed_since_the_last_audit_is_found(
    export: Export, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    audit_export(export.folder, cache=cache, at=AT, jobs=1)
    chain = export.chains[1]
    height = len(export.blocks(chain)) - 2
    # Writer and witnesses together write another end: every rule holds in it.
    forger = Forger(export, PLAN, chain, height - 1)
    made: list[bytes] = []
    for _ in range(4):
        made.append(forger.block([forger.payment(0, 1, 5)]))
        assert forger.audit.feed(made[-1])
    forger.put(*made)
    report = audit_export(export.folder, cache=cache, at=AT, jobs=1)
    (found,) = [one for one in report.findings if one.code == "history_changed"]
    assert (found.chain, found.height) == (chain, height)
    assert str(height) in report.say(found, "fr")
    # Nothing of it is remembered as right.
    later = audit_export(export.folder, cache=cache, at=AT, jobs=1)
    assert "history_changed" in {one.code for one in later.findings}


def test_an_older_copy_is_not_accused_of_changing_what_it_does_not_hold_yet(
    original: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    newer = audit_export(original, cache=cache, at=AT, jobs=1)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    older = Export(original, tmp_path / "older")
    chain = older.chains[0]
    blocks = older.blocks(chain)
    older.put(chain, blocks[:-1])
    made = decode_block(blocks[-1]).header.time
    for at, code in ((made - 1, "older"), (made, "shorter")):
        ExportWriter(older.folder, older.fed).commit(at)
        report = audit_export(older.folder, cache=cache, at=AT, jobs=1)
        (found,) = [one for one in report.findings if one.code in ("older", "shorter")]
        assert (found.code, found.chain, found.height) == (code, chain, len(blocks))
        assert "history_changed" not in {one.code for one in report.findings}
        assert not found.is_error and str(len(blocks) - 1) in report.say(found, "fr")
    # What the newer copy proved is still known, and an end that differs is still found.
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    again = audit_export(original, cache=cache, at=AT, jobs=1)
    assert again.counts()["resumed"] == len(older.chains) and same(newer, again)


def test_the_same_blocks_in_a_file_written_anew_are_no_change(
    export: Export, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    audit_export(export.folder, cache=cache, at=AT, jobs=1)
    chain = export.chains[0]
    committee = export.charters().latest.committee()

    def again(block: Block) -> Block:
        more = certify(PLAN, block.header, committee, 0, committee.n)
        return replace(block, certificate=more.encode())

    # Another certificate of the same block is as good: it stands outside the block's hash.
    export.change(chain, 4, again)
    report = audit_export(export.folder, cache=cache, at=AT, jobs=1)
    assert [one.code for one in report.findings] == ["rewritten"]
    assert report.verdict == FINE


def test_a_flipped_bit_in_what_was_audited_before_is_found(export: Export, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    audit_export(export.folder, cache=cache, at=AT, jobs=1)
    path = chain_path(export.chains[0])
    length = (export.folder / path).stat().st_size
    for at in (10, length // 2, length - 2):
        export.damage(path, partial(flipped, at=at))
        report = audit_export(export.folder, cache=cache, at=AT, jobs=1)
        assert report.verdict == WRONG
        export.damage(path, partial(flipped, at=at))


@pytest.mark.parametrize("kept", [0, -1, 40])
def test_a_damaged_memory_is_not_believed(export: Export, tmp_path: Path, kept: int) -> None:
    cache = tmp_path / "cache"
    audit_export(export.folder, cache=cache, at=AT, jobs=1)
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:kept])
    report = audit_export(export.folder, cache=cache, at=AT, jobs=1)
    assert report.counts()["resumed"] == 0
    assert report.verdict == FINE


def test_the_memory_of_another_federation_is_not_used(export: Export, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    audit_export(export.folder, cache=cache, at=AT, jobs=1)
    other = tmp_path / "other"
    make_corpus(other, replace(PLAN, seed=99, transfers=20))
    for path, chain in zip(cache.iterdir(), ExportReader(other).manifest.chains, strict=True):
        path.rename(cache / f"{chain.hex()}.snapshot")
    report = audit_export(other, cache=cache, at=AT, jobs=1)
    assert report.counts()["resumed"] == 0
    assert report.verdict == FINE


def test_processes_find_what_one_finds(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = audit_export(export.folder, at=AT, jobs=1)
    monkeypatch.setattr(replaying, "SMALL_BYTES", 0)
    assert same(alone, audit_export(export.folder, at=AT, jobs=2))
    chain = export.chains[2]
    export.put(chain, export.blocks(chain)[1:])
    assert same(
        audit_export(export.folder, at=AT, jobs=1), audit_export(export.folder, at=AT, jobs=2)
    )


def test_files_that_nobody_listed_are_told_of_and_not_read(export: Export) -> None:
    (export.folder / "notes.txt").write_text("see you at the assembly")
    report = audit_export(export.folder, at=AT, jobs=1)
    assert [one.code for one in report.findings] == ["file_unlisted"]
    assert report.verdict == FINE


def test_a_chain_dated_after_the_export_is_told_of(export: Export) -> None:
    writer = ExportWriter(export.folder, export.fed)
    writer.commit(1_700_000_000)
    report = audit_export(export.folder, at=AT, jobs=1)
    assert [one.code for one in report.findings] == ["time_ahead"] * 3


# --- Words, JSON, exit codes ----------------------------------------------------------------------


def test_every_code_has_a_sentence_in_both_languages_and_each_sentence_a_code() -> None:
    assert SENTENCES.keys() == SEVERITIES.keys()
    for table in (SENTENCES, REASONS, ENTRY_REASONS):
        for english, french in table.values():
            assert english
            assert french
            assert english != french
    for code, (english, french) in SENTENCES.items():
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name}
            for text in (english, french)
        ]
        assert fields[0] == fields[1], code


def test_a_name_chosen_to_confuse_a_terminal_is_printed_harmless() -> None:
    one = finding("block_uncertified", b"c" * 32, 3, 1_767_225_600)
    text = sentence(one, "en", {b"c" * 32: "Coop\x1b[2J\u202eX\n"}, {}, "{}{}".format)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\n" not in text


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "maillon.ledger", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": os.environ.get("PATH", ""), **(env or {})},
    )


def test_the_command_says_sum_0_and_leaves_with_0(export: Export) -> None:
    ran = run("audit", str(export.folder), env={"LANG": "fr_FR.UTF-8"})
    assert ran.returncode == 0, ran.stderr
    assert "somme 0" in ran.stdout
    assert "Les comptes sont justes." in ran.stdout
    assert ran.stderr == ""  # no bar where nobody looks


def test_the_command_says_what_is_wrong_and_leaves_with_1(export: Export) -> None:
    chain = export.chains[0]
    blocks = export.blocks(chain)
    export.put(chain, [*blocks[:2], *blocks[3:]])
    ran = run("audit", str(export.folder), "--lang", "en")
    assert ran.returncode == 1
    assert "Coop du Bugey: block 3 is missing" in ran.stdout
    assert "WRONG since block 3" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_what_is_no_export_leaves_with_2_and_a_sentence(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        ran = run("audit", str(folder))
        assert ran.returncode == 2
        assert "no federation export" in ran.stderr
        assert "Traceback" not in ran.stderr
    (tmp_path / "manifest").write_bytes(b"\xff\xff")
    assert run("audit", str(tmp_path)).returncode == 2


def test_the_report_for_programs_says_everything(
    export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = export.chains[0]
    height = len(export.blocks(chain))
    forger = Forger(export, PLAN, chain, height)
    forger.put(forger.block([forger.payment(0, 1, 5, seq=1)], apply=False))
    assert main(["audit", str(export.folder), "--json", "-", "--jobs", "1"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["format"] == "maillon-audit-1"
    assert report["verdict"] == "wrong"
    assert report["judged"] is False
    (found,) = [one for one in report["findings"] if one["severity"] == "error"]
    assert found["code"] == "block_entry"
    assert (found["height"], found["entry"]) == (height + 1, 0)
    assert found["facts"]["why"] == "stale_sequence"
    assert found["text"]["fr"].startswith("Coop du Bugey")
    coop = next(one for one in report["coops"] if one["coop"] == chain.hex())
    assert coop["wrong_since"] == height + 1
    assert coop["height"] == height
    assert decode_block(export.blocks(chain)[-1]).h == height + 1


def test_nothing_is_written_from_wrong_accounts_unless_asked(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = export.chains[0]
    export.put(chain, export.blocks(chain)[:-1] + [b"\x94"])
    book = tmp_path / "book.journal"
    words = ["export", str(export.folder), "--format", "hledger", "-o", str(book), "-q"]
    assert main(words) == 1
    assert not book.exists()
    assert "--anyway" in capsys.readouterr().err
    assert main([*words, "--anyway"]) == 1
    assert book.exists()


def test_the_audit_works_with_the_base_install_alone(export: Export) -> None:
    """Run it where nothing but cryptography and msgpack can be imported."""
    probe = f"""
import sys
for name in ("nacl", "rich", "pyarrow", "typst", "click", "trio", "libp2p", "sqlite_utils"):
    sys.modules[name] = None
from maillon.ledger.tool.cli import main
raise SystemExit(main(["audit", {str(export.folder)!r}, "--lang", "en"]))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", probe], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "The accounts are right." in ran.stdout
