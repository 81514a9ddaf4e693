"""Run the vectors of cheques, claims, devices and tickets against the code and the text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from maillon.protocol.claims import (
    ClaimCode,
    claim_body,
    claim_code,
    decode_ticket,
    device_body,
    ticket_from_text,
)
from maillon.protocol.errors import MaillonError, Malformed
from maillon.protocol.keys import verify
from maillon.protocol.refs import debt_ref, split_ref
from maillon.protocol.voucherframes import decode_answer, decode_ask, encode_ask
from maillon.protocol.vouchers import (
    Voucher,
    decode_voucher,
    secret_from_code,
    voucher_from_text,
)
from support.vectors import cases, load

SPEC = Path(__file__).parents[2] / "spec" / "08-persons.md"


def raw(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


@pytest.mark.parametrize("vector", cases("persons.json", "vouchers"))
def test_a_cheque_has_the_bytes_and_texts_of_the_vector(vector: dict[str, Any]) -> None:
    fed, coop, account, book, secret = raw(vector, "fed", "coop", "account", "book", "secret")
    one = Voucher(fed, coop, account, book, vector["number"], secret)
    assert one.encode().hex() == vector["bytes"] and decode_voucher(one.encode()) == one
    assert (one.id.hex(), one.ref.hex()) == (vector["id"], vector["ref"])
    assert (one.text(), one.code()) == (vector["text"], vector["code"])


@pytest.mark.parametrize("vector", cases("persons.json", "texts"))
def test_a_printed_text_is_read_or_refused_as_the_vector_says(vector: dict[str, Any]) -> None:
    if vector["expect"] == "ok":
        assert voucher_from_text(vector["text"]).number == 17
        return
    with pytest.raises(MaillonError) as caught:
        voucher_from_text(vector["text"])
    assert caught.value.code == vector["expect"]


@pytest.mark.parametrize("vector", cases("persons.json", "codes"))
def test_a_typed_code_is_read_or_refused_as_the_vector_says(vector: dict[str, Any]) -> None:
    if vector["expect"] == "ok":
        secret = secret_from_code(vector["number"], vector["code"])
        assert secret.hex() == vector["secret"]
        return
    with pytest.raises(MaillonError) as caught:
        secret_from_code(vector["number"], vector["code"])
    assert caught.value.code == vector["expect"]


@pytest.mark.parametrize("vector", cases("persons.json", "claims"))
def test_a_claim_is_what_the_vector_says(vector: dict[str, Any]) -> None:
    name, secret, fed, coop, key, sealing = raw(
        vector, "code_name", "secret", "fed", "coop", "key", "sealing"
    )
    code = ClaimCode(name, secret)
    assert (code.text(), code.hash.hex()) == (vector["code"], vector["hash"])
    assert claim_code(vector["code"].lower()) == code
    body = claim_body(fed, coop, code.hash, key, sealing)
    assert body.hex() == vector["body"]
    verify(key, "claim", body, bytes.fromhex(vector["signature"]))


@pytest.mark.parametrize("vector", cases("persons.json", "devices"))
def test_an_approval_is_what_the_vector_says(vector: dict[str, Any]) -> None:
    fed, coop, person, key, sealing, by, signature = raw(
        vector, "fed", "coop", "person", "key", "sealing", "by", "signature"
    )
    body = device_body(fed, coop, person, key, sealing, vector["until"])
    assert body.hex() == vector["body"]
    verify(by, "device", body, signature)


@pytest.mark.parametrize("vector", cases("persons.json", "tickets"))
def test_a_ticket_is_taken_or_refused_as_the_vector_says(vector: dict[str, Any]) -> None:
    data, sealed = ticket_from_text(vector["text"])
    assert (data.hex(), sealed) == (vector["ticket"], b"")
    if vector["expect"] == "ok":
        ticket = decode_ticket(data)
        ticket.verify()
        assert ticket.encode() == data
        return
    with pytest.raises(MaillonError) as caught:
        decode_ticket(data).verify()
    assert caught.value.code == vector["expect"]


@pytest.mark.parametrize("vector", cases("persons.json", "asks"))
def test_a_question_is_read_or_refused_as_the_vector_says(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])
    if vector["expect"] == "ok":
        assert decode_ask(frame).hex() == vector["record"]
        assert encode_ask(bytes.fromhex(vector["record"])) == frame
        return
    with pytest.raises(Malformed) as caught:
        decode_ask(frame)
    assert (caught.value.code, caught.value.rule) == (vector["expect"], vector["rule"])


@pytest.mark.parametrize("vector", cases("persons.json", "answers"))
def test_an_answer_is_read_or_refused_as_the_vector_says(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])
    if vector["expect"] == "ok":
        assert decode_answer(frame).encode() == frame
        return
    with pytest.raises(MaillonError) as caught:
        decode_answer(frame)
    assert caught.value.code == vector["expect"]


def test_refs_are_those_of_the_vectors() -> None:
    refs = load("persons.json")["refs"]
    transfer, member, ref = raw(refs["split"], "transfer", "member", "ref")
    assert split_ref(transfer, member) == ref
    old, new, ref = raw(refs["debt"], "old", "new", "ref")
    assert debt_ref(old, new, refs["debt"]["unit"]) == ref


@pytest.mark.parametrize("name", ["text", "code", "ref"])
def test_the_example_of_the_chapter_is_the_first_vector(name: str) -> None:
    text = SPEC.read_text("utf-8")
    shown = re.search(rf"<!-- example: {name} -->\n```text\n(\S+)\n```", text)
    assert shown is not None and shown[1] == load("persons.json")["vouchers"][0][name]
