"""Throw bytes at what an auditor reads: manifests, files of frames, notes, proofs, whole chains."""

from __future__ import annotations

import tempfile
from pathlib import Path

from maillon.ledger.audit.chain import ChainAudit, result_of
from maillon.ledger.audit.federation import compare_heads, judge_checkpoint, judge_evidence
from maillon.ledger.audit.snapshot import decode_snapshot, resume
from maillon.ledger.charter import CharterChain
from maillon.ledger.checkpoint import decode_checkpoint, decode_note
from maillon.ledger.errors import LedgerError
from maillon.ledger.export.container import (
    MANIFEST,
    chain_path,
    decode_manifest,
    frame,
    frames,
    heads_path,
)
from maillon.ledger.proofs import decode_proof
from maillon.ledger.signing import inline_verify
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.files import ExportReader
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import open_founding
from support.ledger_corpus import Plan, make_corpus

_PLAN = Plan(24, coops=3, members=3, per_block=4, cross=0.4, seed=6)
_FOLDER = Path(tempfile.mkdtemp(prefix="maillon-fuzz-audit-"))
make_corpus(_FOLDER / "export", _PLAN)
_READER = ExportReader(_FOLDER / "export")
_CHARTERS = CharterChain(open_founding(_READER.founding()), None, inline_verify)
_CHAIN = _READER.manifest.chains[0]
_BLOCKS = [data for _, data in _READER.frames(chain_path(_CHAIN))]
_CACHE = _FOLDER / "cache"
_REPORT = audit_export(_FOLDER / "export", cache=_CACHE, at=1_800_000_000, jobs=1)
_RESULTS = _REPORT.results
_KEPT = 3


def manifest(data: bytes) -> None:
    """Refuse it, or read it and write the same bytes."""
    try:
        found = decode_manifest(data)
    except MaillonError:
        return
    assert found.encode() == data


def stream(data: bytes) -> None:
    """Cut it into frames up to where it breaks, and lose nothing on the way."""
    found = b""
    try:
        for _, part in frames([data[:7], data[7:]], file="x"):
            found += frame(part)
    except MaillonError:
        pass
    assert data.startswith(found)


def note(data: bytes) -> None:
    """Refuse it, or read it and write the same bytes; then judge it as a checkpoint."""
    try:
        found = decode_note(data)
    except LedgerError:
        pass
    else:
        assert found.encode() == data
        try:
            assert decode_checkpoint(found.text).text() == found.text
        except LedgerError:
            pass
    judge_checkpoint(_CHAIN, data, _RESULTS[_CHAIN], _CHARTERS, inline_verify)


def proof(data: bytes) -> None:
    """Refuse it, or read it and write the same bytes."""
    try:
        found = decode_proof(data)
    except MaillonError:
        return
    assert found.encode() == data


def block(data: bytes) -> None:
    """Feed it to an audit as the next block: taken, or a finding, never anything else."""
    audit = ChainAudit(_CHAIN, _CHARTERS, inline_verify)
    for good in _BLOCKS[:_KEPT]:
        assert audit.feed(good)
    before = audit.state.root()
    if not audit.feed(data):
        assert audit.findings
        assert audit.state.root() == before
    audit.finish()
    result_of(audit)


def heads(data: bytes) -> None:
    """Compare it with the chains, as what a node is said to hold."""
    compare_heads(b"n" * 32, [data], _RESULTS, _CHARTERS, inline_verify)


def evidence(data: bytes) -> None:
    """Judge it as a fraud proof."""
    convicted, found = judge_evidence([data], _CHARTERS, inline_verify)
    assert convicted + sum(one.code == "fraud_unproven" for one in found) == 1


def snapshot(data: bytes) -> None:
    """Take it as an earlier audit's memory, or do without."""
    found = decode_snapshot(data, _CHARTERS.fed, _CHAIN)
    if found is not None:
        resume(found, _CHAIN, _CHARTERS, inline_verify)


TARGETS = {
    "manifest": manifest,
    "stream": stream,
    "note": note,
    "proof": proof,
    "block": block,
    "heads": heads,
    "evidence": evidence,
    "snapshot": snapshot,
}
SEEDS = {
    "manifest": [(_FOLDER / "export" / MANIFEST).read_bytes()],
    "stream": [b"".join(frame(one) for one in (b"", b"abc", b"\0" * 300))],
    "note": [_READER.checkpoint(_CHAIN)],
    "proof": [],
    "block": _BLOCKS[_KEPT : _KEPT + 2],
    "heads": [data for _, data in _READER.frames(heads_path(_READER.manifest.nodes[0]))],
    "evidence": [],
    "snapshot": [(_CACHE / f"{_CHAIN.hex()}.snapshot").read_bytes()],
}
