"""Run the vectors of spec/02 (federation) and spec/03 against the code."""

from __future__ import annotations

import random
from typing import Any

import pytest

from maillon.protocol.encoding import decode
from maillon.protocol.envelope import Checked, decode_header, decode_record, draft
from maillon.protocol.errors import MaillonError, RemoteError, SchemaError
from maillon.protocol.founding import (
    card_from_text,
    decode_founding,
    invitation_from_text,
    open_founding,
)
from maillon.protocol.limits import PAYLOAD_BYTES_MAX
from maillon.protocol.records import KINDS, PRIVATE_KINDS, check_payload
from maillon.protocol.records._fast import compile_fits
from maillon.protocol.validation import check_context, check_stateless, check_step
from maillon.protocol.view import TransferInfo
from support.model_view import ModelNode, ModelView, live_set
from support.vectors import cases, load

ALONE = load("records.json")
CONTEXT = load("records-context.json")
FITS = {name: compile_fits(kind.schema) for name, kind in KINDS.items()}


@pytest.mark.parametrize("vector", cases("records.json"))
def test_a_record_alone_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["record"])

    def read() -> None:
        signed, step = decode_record(data), vector.get("step", False)
        check_stateless(
            signed, fed=bytes.fromhex(ALONE["fed"]), now=ALONE["now"], private=step
        )

    if vector["expect"] == "ok":
        read()
        signed = decode_record(data)
        assert signed.encode() == data
        assert signed.header.encode() == signed.header_bytes
        assert decode_header(signed.header_bytes) == signed.header
        if "id" in vector:
            assert signed.id.hex() == vector["id"]
            shown = vector["header"]
            h = signed.header
            assert (h.kind, h.at, h.until, h.rev, h.size) == tuple(
                shown[name] for name in ("kind", "at", "until", "rev", "size")
            )
            assert [h.coop, h.by, h.series, h.body, h.as_, *h.refs] == [
                bytes.fromhex(shown[name]) for name in ("coop", "by", "series", "body", "as")
            ] + [bytes.fromhex(ref) for ref in shown["refs"]]
    else:
        with pytest.raises(RemoteError) as caught:
            read()
        assert caught.value.code == vector["expect"]
        if "rule" in vector:
            facts = caught.value.facts
            assert vector["rule"] in (facts.get("rule"), facts.get("what"))


@pytest.mark.parametrize("vector", cases("records-schema.json"))
def test_a_payload_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    payload: Any = decode(bytes.fromhex(vector["payload"]), bytes_max=4 * PAYLOAD_BYTES_MAX)
    kind = KINDS[vector["kind"]]
    assert FITS[kind.name](payload) == (vector["expect"] == "ok")
    if vector["expect"] == "ok":
        check_payload(kind, payload)
    else:
        with pytest.raises(SchemaError) as caught:
            check_payload(kind, payload)
        facts = caught.value.facts
        assert (facts["field"], facts["rule"]) == (vector["field"], vector["rule"])


FOUNDING = decode_founding(bytes.fromhex(CONTEXT["founding"]))
RECORDS = {label: decode_record(bytes.fromhex(hex)) for label, hex in CONTEXT["records"].items()}
TRANSFERS = {
    bytes.fromhex(t["id"]): TransferInfo(bytes.fromhex(t["payer"]), bytes.fromhex(t["payee"]))
    for t in CONTEXT["transfers"]
}
NOW: int = CONTEXT["now"]


def test_every_record_of_the_context_vectors_passes_alone() -> None:
    late = {label for label, signed in RECORDS.items() if signed.header.until < NOW}
    for label in RECORDS.keys() - late:
        signed = RECORDS[label]
        private = KINDS[signed.header.kind].private if signed.header.kind in KINDS else False
        check_stateless(signed, fed=FOUNDING.fed, now=NOW, private=private)
    assert late == {"alice, expired"}


@pytest.mark.parametrize("vector", cases("records-context.json", "cases"))
def test_a_record_among_others_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    view = ModelView(FOUNDING, TRANSFERS)
    given = [RECORDS[label] for label in vector["given"]]
    for valid in live_set(given, FOUNDING, NOW, TRANSFERS).values():
        view.add(valid)
    checked = Checked(RECORDS[vector["record"]])

    def judged() -> bytes:
        if checked.signed.header.kind in PRIVATE_KINDS:
            return check_step(checked, view).author
        return check_context(checked, view, NOW).author

    if vector["expect"] == "ok":
        assert judged().hex() == vector["author"]
    else:
        with pytest.raises(RemoteError) as caught:
            judged()
        assert caught.value.code == vector["expect"]
        if "rule" in vector:
            assert caught.value.facts["rule"] == vector["rule"]


@pytest.mark.parametrize("vector", cases("records-context.json", "sets"))
def test_a_set_of_records_has_the_live_ones_the_vector_names(vector: dict[str, Any]) -> None:
    given = [RECORDS[label] for label in vector["records"]]
    expected = {RECORDS[label].id for label in vector["live"]}
    assert set(live_set(given, FOUNDING, NOW, TRANSFERS)) == expected
    order = random.Random(vector["name"])
    for _ in range(5):
        order.shuffle(given)
        node = ModelNode(FOUNDING, NOW, TRANSFERS)
        for signed in given:
            node.receive(signed)
        assert set(node.live) == expected


@pytest.mark.parametrize("vector", cases("founding.json", "files"))
def test_a_founding_file_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["file"])
    if vector["expect"] == "ok":
        founding = open_founding(data)
        assert founding.fed.hex() == vector["fed"]
        assert [coop.id.hex() for coop in founding.coops] == vector["coops"]
    else:
        with pytest.raises(MaillonError) as caught:
            open_founding(data)
        assert caught.value.code == vector["expect"]
        if "rule" in vector:
            assert caught.value.facts["rule"] == vector["rule"]


@pytest.mark.parametrize("vector", cases("founding.json", "texts"))
def test_a_pasted_text_is_answered_as_the_vector_expects(vector: dict[str, Any]) -> None:
    now: int = load("founding.json")["now"]
    invitation = vector["text"].startswith("maillon-invite:")

    def read() -> str:
        if invitation:
            return invitation_from_text(vector["text"], now=now).fed.hex()
        return card_from_text(vector["text"]).root.hex()

    if vector["expect"] == "ok":
        assert read() == vector["fed" if invitation else "root"]
    else:
        with pytest.raises(MaillonError) as caught:
            read()
        assert caught.value.code == vector["expect"]


@pytest.mark.parametrize(
    ("file", "group"),
    [
        ("records.json", "vectors"),
        ("records-schema.json", "vectors"),
        ("records-context.json", "cases"),
        ("records-context.json", "sets"),
        ("founding.json", "files"),
        ("founding.json", "texts"),
    ],
)
def test_every_vector_has_its_own_name(file: str, group: str) -> None:
    names = [vector["name"] for vector in load(file)[group]]
    assert len(names) == len(set(names))


def test_every_kind_has_a_good_record_and_a_broken_payload() -> None:
    good = {
        vector["header"]["kind"] for vector in ALONE["vectors"] if vector["expect"] == "ok"
        and "header" in vector
    }  # fmt: skip
    broken = {
        vector["kind"]
        for vector in load("records-schema.json")["vectors"]
        if vector["expect"] != "ok"
    }
    assert good >= set(KINDS)
    assert broken == set(KINDS)


def test_drafting_the_shown_header_again_gives_the_same_record() -> None:
    signed = decode_record(bytes.fromhex(ALONE["vectors"][0]["record"]))
    h = signed.header
    assert signed.payload is not None
    again = draft(
        h.kind, signed.payload, fed=h.fed, coop=h.coop, by=h.by, at=h.at, until=h.until,
        series=h.series, rev=h.rev, as_=h.as_, refs=h.refs,
    )  # fmt: skip
    assert again.header == h
