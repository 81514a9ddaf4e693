"""What a person had erased stays proven, and is told of; fraud proofs are judged."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from maillon.ledger.audit.report import FINE, WRONG
from maillon.ledger.block import DeltaRow, decode_block
from maillon.ledger.book import Book
from maillon.ledger.entries import Close, Entry, Intra
from maillon.ledger.erasure import erase
from maillon.ledger.fraud import two_proposals
from maillon.ledger.orders import PayAction, sign_order
from maillon.ledger.quorum import Term
from maillon.ledger.rounds import Propose
from maillon.ledger.signing import inline_verify
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.cli import main
from maillon.ledger.tool.files import ExportWriter
from support.charters import MemoryDisk
from support.ledger_corpus import Plan, account_of, key_of, make_corpus
from support.real_tools import real_tool
from support.tampering import Export, Forger

PLAN = Plan(90, coops=3, members=5, per_block=10, cross=0.3, variety=0.0, seed=31)
AT = 1_800_000_000
LEAVER = 0


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "export"
    make_corpus(folder, PLAN, drain=True)
    return folder


def settled(forger: Forger) -> list[Entry]:
    """Return what brings the leaver's account to 0 in every unit, and closes it."""
    account, key = forger.member(LEAVER)
    other, other_key = forger.member(1)
    state = forger.audit.state.account(account)
    partner = forger.audit.state.account(other)
    assert state is not None and partner is not None
    entries: list[Entry] = []
    numbers = {account: state.seq, other: partner.seq}
    for unit, position in sorted(state.positions.items()):
        if not position.balance:
            continue
        debtor = position.balance > 0
        payer, payer_key, payee = (account, key, other) if debtor else (other, other_key, account)
        numbers[payer] += 1
        action = PayAction(forger.chain, payee, unit, abs(position.balance))
        fed, until = forger.export.fed, forger.time + 10
        order = sign_order(payer_key, fed, payer, numbers[payer], forger.chain, until, action)
        entries.append(Intra(order))
    return [*entries, Close(account)]


@pytest.fixture
def erased(original: Path, tmp_path: Path) -> Export:
    """An export in which everything about somebody who left is erased."""
    export = Export(original, tmp_path / "export")
    chain = export.chains[0]
    forger = Forger(export, PLAN, chain, len(export.blocks(chain)))
    forger.put(forger.block(settled(forger)))
    disk = MemoryDisk()
    book = Book(export.founding, disk, inline_verify)
    for coop in export.chains:
        for data in export.blocks(coop):
            block = decode_block(data)
            disk.commit(book.apply(block, block.certified_by()))
    disk.commit(erase(book, chain, account_of(PLAN, 0, LEAVER)))
    writer = ExportWriter(export.folder, export.fed)
    for coop in export.chains:
        top = book.head(coop).h
        writer.rewrite(coop, (block.encode() for block in book.blocks(coop, 1, top)))
        writer.heads(key_of(PLAN.seed, "node", 0).public, [])
    writer.commit(export.at)
    return export


def test_erased_entries_leave_every_proof_and_the_sum(erased: Export) -> None:
    report = audit_export(erased.folder, at=AT, jobs=1)
    assert report.verdict == FINE, [report.say(one, "en") for one in report.findings]
    told = [one for one in report.findings if one.code == "erased"]
    assert erased.chains[0] in {one.chain for one in told}
    assert report.counts()["erased"] == sum(one.facts["count"] for one in told) > 3
    assert str(told[0].facts["count"]) in report.say(told[0], "fr")
    assert account_of(PLAN, 0, LEAVER) not in b"".join(
        data for chain in erased.chains for data in erased.blocks(chain)
    )


def test_an_audit_goes_on_over_erased_entries(erased: Export, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    audit_export(erased.folder, cache=cache, at=AT, jobs=1)
    again = audit_export(erased.folder, cache=cache, at=AT, jobs=1)
    assert again.counts()["resumed"] == 3
    assert again.verdict == FINE
    assert again.counts()["erased"] > 3


def test_erasing_since_the_last_audit_is_told_from_changing(
    original: Path, erased: Export, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    audit_export(original, cache=cache, at=AT, jobs=1)
    report = audit_export(erased.folder, cache=cache, at=AT, jobs=1)
    codes = {one.code for one in report.findings if one.chain == erased.chains[0]}
    assert codes == {"rewritten", "erased"}
    assert report.verdict == FINE


def test_a_changed_row_of_an_erased_block_is_found(erased: Export) -> None:
    chain = erased.chains[0]
    height = next(h for h, data in enumerate(erased.blocks(chain), 1) if decode_block(data).delta)

    def richer(row: DeltaRow) -> DeltaRow:
        return replace(row, row=row.row[:-1] + bytes([row.row[-1] ^ 1])) if row.row else row

    erased.change(
        chain,
        height,
        lambda block: replace(block, delta=tuple(richer(row) for row in block.delta)),
    )
    report = audit_export(erased.folder, at=AT, jobs=1)
    assert report.verdict == WRONG
    assert report.since()[chain] == height


def test_books_of_an_erased_ledger_balance_in_hledger(erased: Export, tmp_path: Path) -> None:
    book = tmp_path / "book.journal"
    words = ["export", str(erased.folder), "--format", "hledger", "-o", str(book), "-q"]
    assert main(words) == 0
    assert "Erased-Entries" in book.read_text()
    ran = subprocess.run([real_tool("hledger"), "-f", str(book), "check"], capture_output=True)
    assert ran.returncode == 0, ran.stderr


def test_a_writer_who_proposed_two_blocks_is_named_and_the_accounts_are_still_right(
    original: Path, tmp_path: Path
) -> None:
    export = Export(original, tmp_path / "export")
    chain = export.chains[1]
    height = len(export.blocks(chain))
    writer_key = key_of(PLAN.seed, "writer", 1)
    term = Term(1, bytes(16), writer_key.public)
    forger = Forger(export, PLAN, chain, height)
    proposals = [
        Propose.sign(writer_key, export.fed, term, decode_block(forger.block(entries)))
        for entries in ([], [forger.payment(0, 1, 5)])
    ]
    proof = two_proposals(*proposals)
    stranger = key_of("stranger")
    term2 = Term(1, bytes(16), stranger.public)
    others = [Propose.sign(stranger, export.fed, term2, one.block) for one in proposals]
    writer = ExportWriter(export.folder, export.fed)
    spoilt = replace(proof, signature_a=bytes(64))
    writer.evidence([proof.encode(), two_proposals(*others).encode(), spoilt.encode(), b"\xc0"])
    writer.commit(export.at)
    report = audit_export(export.folder, at=AT, jobs=1)
    assert [one.code for one in report.findings] == ["fraud_writer", *["fraud_unproven"] * 3]
    assert report.convicted == 1
    assert report.verdict == FINE
    text = report.say(report.findings[0], "en")
    assert "Coop de la Dombes proposed two different blocks" in text
    assert f"height {height + 1}" in text
    assert "has not dealt with it" in text
