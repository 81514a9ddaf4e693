"""Run the vectors of certificates, messages and fraud proofs against the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from maillon.ledger import fraud, messages, quorum, signing
from maillon.protocol.encoding import decode
from maillon.protocol.errors import MaillonError
from support.vectors import cases, load

CERTIFICATES = load("ledger-certificates.json")
FED = bytes.fromhex(CERTIFICATES["fed"])
COMMITTEE = quorum.Committee.of([bytes.fromhex(key) for key in CERTIFICATES["witnesses"]])


def refused(vector: dict[str, Any], read: Callable[[], object]) -> None:
    """Hold a refusal against the vector's code and rule."""
    with pytest.raises(MaillonError) as caught:
        read()
    assert caught.value.code == vector["expect"]
    if "rule" in vector:
        assert caught.value.facts["rule"] == vector["rule"]


def test_the_usual_quorums_are_those_of_the_vectors() -> None:
    assert COMMITTEE.quorum == CERTIFICATES["quorum"]
    for shown in CERTIFICATES["quorums"]:
        assert quorum.faults(shown["n"]) == shown["f"]
        assert quorum.default_quorum(shown["n"]) == shown["quorum"]


@pytest.mark.parametrize("vector", cases("ledger-certificates.json", "committees"))
def test_a_committee_stands_what_the_vector_says(vector: dict[str, Any]) -> None:
    keys = tuple(bytes([i]) * 32 for i in range(vector["n"]))
    if vector["expect"] != "ok":
        refused(vector, lambda: quorum.Committee(keys, vector["quorum"]))
        return
    committee = quorum.Committee(keys, vector["quorum"])
    assert (committee.liars_max, committee.silent_max) == (vector["liars"], vector["silent"])


def test_terms_are_ordered_as_the_vectors_are() -> None:
    shown = [decode(bytes.fromhex(term), bytes_max=200) for term in CERTIFICATES["terms"]]
    terms = [quorum.term_from(term) for term in shown]
    assert terms == sorted(terms)
    assert len(set(terms)) == len(terms)
    assert all(quorum.ZERO_TERM < term for term in terms)


@pytest.mark.parametrize("vector", cases("ledger-certificates.json", "certificates"))
def test_a_certificate_counts_as_the_vector_says(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] != "ok":
        refused(
            vector,
            lambda: quorum.decode_certificate(data).verify(COMMITTEE, FED, signing.inline_verify),
        )
        return
    found = quorum.decode_certificate(data)
    found.verify(COMMITTEE, FED, signing.inline_verify)
    assert found.encode() == data
    assert found.block.hex() == vector["hash"]
    assert len(found.signers(COMMITTEE)) == vector["signers"]


@pytest.mark.parametrize("vector", cases("ledger-certificates.json", "votes"))
def test_a_quorum_of_votes_counts_as_the_vector_says(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] != "ok":
        refused(
            vector,
            lambda: quorum.decode_vote_qc(data).verify(COMMITTEE, FED, signing.inline_verify),
        )
        return
    found = quorum.decode_vote_qc(data)
    found.verify(COMMITTEE, FED, signing.inline_verify)
    assert found.encode() == data
    assert list(found.counters) == vector["counters"]


@pytest.mark.parametrize("vector", cases("ledger-messages.json"))
def test_reading_a_message_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] != "ok":
        refused(vector, lambda: messages.decode_message(data))
        return
    message = messages.decode_message(data)
    assert message.TYPE == vector["type"]
    assert messages.encode_message(message) == data


@pytest.mark.parametrize("vector", cases("ledger-messages.json", "signed"))
def test_the_signature_of_a_message_counts_as_the_vector_says(vector: dict[str, Any]) -> None:
    fed = bytes.fromhex(load("ledger-messages.json")["fed"])
    message: Any = messages.decode_message(bytes.fromhex(vector["bytes"]))
    [good] = signing.inline_verify([message.check(fed)])
    assert good == (vector["expect"] == "ok")


@pytest.mark.parametrize("vector", cases("ledger-messages.json", "hints"))
def test_reading_hints_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] != "ok":
        refused(vector, lambda: messages.decode_hints(data))
        return
    hints = messages.decode_hints(data)
    assert [hint.KIND for hint in hints] == vector["kinds"]
    assert messages.encode_hints(hints) == data


@pytest.mark.parametrize("vector", cases("ledger-fraud.json"))
def test_a_fraud_proof_convicts_as_the_vector_says(vector: dict[str, Any]) -> None:
    fed = bytes.fromhex(load("ledger-fraud.json")["fed"])
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] != "ok":
        refused(
            vector,
            lambda: fraud.verify_fraud(fraud.decode_fraud(data), fed, signing.inline_verify),
        )
        return
    proof = fraud.decode_fraud(data)
    fraud.verify_fraud(proof, fed, signing.inline_verify)
    assert proof.encode() == data
    assert (proof.accused.hex(), proof.chain.hex()) == (vector["accused"], vector["chain"])
    assert (proof.h, fraud.fraud_hash(proof).hex()) == (vector["h"], vector["hash"])
