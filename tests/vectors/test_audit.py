"""Answer the vectors of exports, checkpoints, proofs and whole audits (spec/07)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maillon.ledger.block import history_leaf
from maillon.ledger.checkpoint import (
    COSIGNATURE_TYPE,
    NOTE_TYPE,
    Checkpoint,
    cosigned_bytes,
    decode_note,
    key_id,
    open_checkpoint,
    origin,
    verifier_key,
    witness_name,
)
from maillon.ledger.export.container import decode_head, decode_manifest, frame, frames
from maillon.ledger.merkle import root
from maillon.ledger.proofs import check_grown, decode_proof
from maillon.ledger.quorum import Committee
from maillon.ledger.signing import inline_verify
from maillon.ledger.tool.auditing import audit_export
from maillon.protocol.errors import MaillonError
from support.vectors import load

EXPORT = load("export.json")
CHECKPOINTS = load("checkpoints.json")
AUDITS = load("audits.json")


def answer(act: Callable[[], object]) -> tuple[str, Any, Any]:
    """Return code, rule and offset of what is raised, or ok."""
    try:
        act()
    except MaillonError as error:
        return error.code, error.facts.get("rule"), error.facts.get("offset")
    return "ok", None, None


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


@pytest.mark.parametrize("case", named(EXPORT["manifests"]))
def test_a_manifest_is_read_or_refused_as_the_vectors_say(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    code, rule, _ = answer(lambda: decode_manifest(data))
    assert code == case["expect"]
    if "rule" in case:
        assert rule == case["rule"]
    if code == "ok":
        manifest = decode_manifest(data)
        assert sorted(manifest.files) == case["files"]
        assert manifest.encode() == data


@pytest.mark.parametrize("case", named(EXPORT["streams"]))
def test_a_file_of_frames_is_read_or_refused_as_the_vectors_say(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    code, rule, offset = answer(lambda: list(frames([data], file="x")))
    assert (code, rule, offset) == (case["expect"], case.get("rule"), case.get("offset"))
    if code == "ok":
        assert [found.hex() for _, found in frames([data], file="x")] == case["frames"]
        assert b"".join(frame(bytes.fromhex(one)) for one in case["frames"]) == data


@pytest.mark.parametrize("case", named(EXPORT["heads"]))
def test_a_head_is_read_or_refused_as_the_vectors_say(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["bytes"])
    assert answer(lambda: decode_head(data))[0] == case["expect"]
    if case["expect"] == "ok":
        assert [one.hex() for one in decode_head(data)] == [case["header"], case["certificate"]]


def test_names_and_keys_of_notes_are_those_of_the_vectors() -> None:
    fed, chain = bytes.fromhex(CHECKPOINTS["fed"]), bytes.fromhex(CHECKPOINTS["chain"])
    name = origin(fed, chain)
    assert name == CHECKPOINTS["origin"]
    log = CHECKPOINTS["log"]
    assert verifier_key(name, NOTE_TYPE, bytes.fromhex(log["key"])) == log["vkey"]
    for witness in CHECKPOINTS["witnesses"]:
        key = bytes.fromhex(witness["key"])
        assert witness_name(key) == witness["name"]
        assert key_id(witness["name"], COSIGNATURE_TYPE, key).hex() == witness["key_id"]
        assert verifier_key(witness["name"], COSIGNATURE_TYPE, key) == witness["vkey"]
    cosigned = CHECKPOINTS["cosigned"]
    assert cosigned_bytes(cosigned["text"], cosigned["at"]).hex() == cosigned["bytes"]


@pytest.mark.parametrize("case", named(CHECKPOINTS["notes"]))
def test_a_checkpoint_counts_or_not_as_the_vectors_say(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["note"])

    def read() -> None:
        note = decode_note(data)
        open_checkpoint(
            note,
            CHECKPOINTS["origin"],
            logs=[bytes.fromhex(CHECKPOINTS["log"]["key"])],
            witnesses=[bytes.fromhex(one["key"]) for one in CHECKPOINTS["witnesses"]],
            quorum=CHECKPOINTS["quorum"],
        )
        assert note.encode() == data

    code, rule, _ = answer(read)
    assert (code, rule) == (case["expect"], case.get("rule"))


def test_the_histories_of_the_vectors_are_consistent() -> None:
    shown = CHECKPOINTS["consistency"]
    leaves = [history_leaf(bytes.fromhex(block)) for block in shown["blocks"]]
    made = {
        part: Checkpoint("x", shown[part]["size"], bytes.fromhex(shown[part]["root"]))
        for part in ("old", "new")
    }
    for checkpoint in made.values():
        assert root(leaves[: checkpoint.size]) == checkpoint.root
    path = tuple(bytes.fromhex(one) for one in shown["path"])
    check_grown(made["old"], made["new"], path)


@pytest.mark.parametrize("case", named(CHECKPOINTS["proofs"]["cases"]))
def test_a_proof_counts_or_not_as_the_vectors_say(case: dict[str, Any]) -> None:
    about = CHECKPOINTS["proofs"]
    keys = tuple(bytes.fromhex(key) for key in about["committee"])

    def read() -> None:
        proof = decode_proof(bytes.fromhex(case["bytes"]))
        if proof.note:
            opened = open_checkpoint(
                decode_note(proof.note),
                origin(bytes.fromhex(about["fed"]), bytes.fromhex(about["chain"])),
                logs=[bytes.fromhex(about["writer"])],
                witnesses=keys,
                quorum=about["quorum"],
            )
            proof.verify_in(opened.checkpoint)
        else:
            proof.verify_certified(Committee(keys, about["quorum"]), inline_verify)

    assert answer(read)[0] == case["expect"]


@pytest.mark.parametrize("case", named(AUDITS["cases"]))
def test_an_audit_finds_what_the_vectors_say(case: dict[str, Any], tmp_path: Path) -> None:
    files = {**AUDITS["exports"][case["export"]], **case["files"]}
    for name, data in files.items():
        if data is not None:
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(bytes.fromhex(data))
    report = audit_export(tmp_path, at=1_800_000_000, jobs=1)
    found = sorted([one.code, one.chain.hex(), one.height, one.entry] for one in report.findings)
    expect = case["expect"]
    assert found == expect["findings"]
    assert (report.verdict, report.judged) == (expect["verdict"], expect["judged"])
    assert [total.total for total in report.sums] == expect["sums"]
