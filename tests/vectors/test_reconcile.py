"""Run the vectors of reconciliation against the code."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.node.engine import frames
from maillon.protocol.errors import MaillonError
from maillon.protocol.reconcile import (
    INFINITY,
    Bound,
    Initiator,
    ItemSet,
    Range,
    Responder,
    fingerprint,
    parse_message,
)
from maillon.protocol.reconcile.itemset import encode_varint
from support.vectors import cases, load

FILE = "reconciliation.json"
VECTORS = load(FILE)
MODES = ("skip", "fingerprint", "id_list")


def bound(written: list[Any] | None) -> Bound:
    return INFINITY if written is None else Bound(int(written[0]), bytes.fromhex(written[1]))


def items(written: list[list[Any]]) -> ItemSet:
    return ItemSet((at, bytes.fromhex(id_)) for at, id_ in written)


def test_varints_are_written_as_the_vectors_say() -> None:
    assert VECTORS["varints"]
    for vector in VECTORS["varints"]:
        assert encode_varint(int(vector["value"])).hex() == vector["bytes"]


@pytest.mark.parametrize("vector", cases(FILE, "fingerprints"))
def test_the_fingerprint_is_that_of_the_vector_in_any_order(vector: dict[str, Any]) -> None:
    ids = [bytes.fromhex(id_) for id_ in vector["ids"]]
    total = sum(int.from_bytes(id_, "little") for id_ in ids)
    assert fingerprint(total, len(ids)).hex() == vector["fingerprint"]
    if len(set(ids)) == len(ids):
        held = ItemSet((9, id_) for id_ in reversed(ids))
        assert held.range_fingerprint(0, len(held)).hex() == vector["fingerprint"]


@pytest.mark.parametrize("vector", cases(FILE, "bounds"))
def test_the_shortest_bound_is_that_of_the_vector(vector: dict[str, Any]) -> None:
    held = items([vector["before"], vector["after"]])
    assert held.split_bound(1) == bound(vector["bound"])
    assert held.lower_bound(bound(vector["bound"])) == 1


@pytest.mark.parametrize("vector", cases(FILE, "messages"))
def test_reading_a_message_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    if "bytes" in vector:
        data = bytes.fromhex(vector["bytes"])
    else:
        data = bytes.fromhex(vector["start"]) + bytes.fromhex(vector["repeat"]) * vector["times"]
    if vector["expect"] != "ok":
        with pytest.raises(MaillonError) as caught:
            parse_message(data)
        assert caught.value.code == vector["expect"]
        if "rule" in vector:
            assert caught.value.rule == vector["rule"]
        return
    read = parse_message(data)
    assert len(read) == len(vector["ranges"])
    for range_, written in zip(read, vector["ranges"], strict=True):
        assert range_.upper == bound(written["upper"])
        assert MODES[range_.mode] == written["mode"]
        assert range_.fingerprint.hex() == written.get("fingerprint", "")
        assert [id_.hex() for id_ in range_.ids] == written.get("ids", [])


@pytest.mark.parametrize("vector", cases(FILE, "sessions"))
def test_a_session_goes_as_the_vector_says(vector: dict[str, Any]) -> None:
    initiator = Initiator(items(vector["initiator"]), ranges=vector["ranges"])
    responder = Responder(items(vector["responder"]), ranges=vector["ranges"])
    message: bytes | None = initiator.initiate()
    found: dict[str, list[Any]] = {
        "have": [], "need": [], "have_ranges": [], "need_ranges": []
    }
    asked, answers = vector["messages"][::2], vector["messages"][1::2]
    for question, answer in zip(asked, answers, strict=True):
        assert message is not None and message.hex() == question
        assert responder.reply(message).hex() == answer
        step = initiator.reconcile(bytes.fromhex(answer))
        found["have"] += [id_.hex() for id_ in step.have]
        found["need"] += [id_.hex() for id_ in step.need]
        found["have_ranges"] += step.have_ranges
        found["need_ranges"] += step.need_ranges
        message = step.reply
        assert step.complete is (message is None)
    assert message is None
    assert sorted(found["have"]) == vector["have"]
    assert sorted(found["need"]) == vector["need"]
    for part in ("have_ranges", "need_ranges"):
        assert found[part] == [Range(bound(low), bound(high)) for low, high in vector[part]]


@pytest.mark.parametrize("vector", cases(FILE, "range_requests"))
def test_reading_a_range_request_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["frame"])
    if vector["expect"] != "ok":
        with pytest.raises(MaillonError) as caught:
            frames.decode(data)
        assert caught.value.code == vector["expect"]
        assert caught.value.rule == vector["rule"]
        return
    read = frames.decode(data)
    assert isinstance(read, frames.WantRange)
    range_ = read.range
    assert range_ == Range(bound(vector["range"][0]), bound(vector["range"][1]))
    assert frames.want_range(range_) == data
