"""A proof of one transfer is taken out of an export and verified by somebody who has no node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maillon.ledger.entries import Intra, Out, decode_entry
from maillon.ledger.proofs import decode_proof
from maillon.ledger.tool.cli import OK, UNUSABLE, WRONG, main
from maillon.ledger.tool.proving import prove, verify_proof
from maillon.protocol.errors import MaillonError
from support.ledger_corpus import Plan, make_corpus
from support.tampering import Export, flipped

PLAN = Plan(60, coops=3, members=4, per_block=8, cross=0.4, variety=0.0, seed=31)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "export"
    make_corpus(folder, PLAN)
    return folder


@pytest.fixture
def export(original: Path, tmp_path: Path) -> Export:
    return Export(original, tmp_path / "export")


def order_id(export: Export, kind: type[Intra] | type[Out], chain: int = 1) -> bytes:
    _, _, entry, _ = export.find(export.chains[chain], kind)
    assert isinstance(entry, Intra | Out)
    return entry.order.id(export.fed)


@pytest.mark.parametrize("kind", [Intra, Out])
def test_a_transfer_is_proven_by_its_block_and_the_witnesses_of_its_charter(
    export: Export, kind: type[Intra] | type[Out]
) -> None:
    id = order_id(export, kind)
    proof = prove(export.folder, id)
    proven = verify_proof(proof.encode(), export.folder)
    assert proven.order is not None and proven.order.id(export.fed) == id
    assert isinstance(decode_entry(proof.entry), kind)
    committee = export.charters().state(proof.header.c).committee()
    assert len(proven.signers) >= committee.quorum
    for language in ("en", "fr"):
        text = "\n".join(proven.lines(language))
        assert id.hex() in text and "?" not in text
        assert proven.order.account.hex() in text


def test_no_changed_byte_of_a_proof_still_proves_the_payment(export: Export) -> None:
    data = prove(export.folder, order_id(export, Intra)).encode()
    for at in range(len(data)):
        with pytest.raises(MaillonError):
            verify_proof(flipped(data, at), export.folder)


def test_the_certificate_of_another_block_proves_nothing(export: Export) -> None:
    proof = prove(export.folder, order_id(export, Intra))
    other = prove(export.folder, order_id(export, Out, 0))
    assert other.header != proof.header
    with pytest.raises(MaillonError) as refused:
        verify_proof(replace(proof, certificate=other.certificate).encode(), export.folder)
    assert refused.value.code == "certificate"


def test_the_commands_write_a_proof_and_say_what_it_proves(
    export: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, id = tmp_path / "payment.proof", order_id(export, Out).hex()
    folder = str(export.folder)
    assert main(["prove", id, folder, "-o", str(file), "--lang", "en"]) == OK
    assert decode_proof(file.read_bytes()).certificate
    assert main(["verify", str(file), folder, "--lang", "en"]) == OK
    said = capsys.readouterr().out
    assert "gives" in said and id in said and "certified the block" in said
    file.write_bytes(flipped(file.read_bytes(), 300))
    assert main(["verify", str(file), folder, "--lang", "en"]) == WRONG
    assert "proves nothing" in capsys.readouterr().err
    assert main(["prove", "00" * 32, folder, "-o", str(file)]) == UNUSABLE
    assert main(["prove", "no id", folder, "-o", str(file)]) == UNUSABLE
