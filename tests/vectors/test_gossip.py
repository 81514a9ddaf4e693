"""Run the vectors of the gossip batch against the code."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.protocol import gossip
from maillon.protocol.errors import MaillonError
from support.vectors import cases, load


def test_the_topic_is_that_of_the_vector() -> None:
    shown = load("gossip.json")["topic"]
    assert gossip.topic(bytes.fromhex(shown["fed"])) == shown["topic"]


@pytest.mark.parametrize("vector", cases("gossip.json"))
def test_taking_a_batch_apart_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] == "ok":
        records = [bytes.fromhex(record) for record in vector["records"]]
        assert gossip.decode_batch(data) == records
        assert gossip.encode_batches(records) == [data]
        return
    with pytest.raises(MaillonError) as caught:
        gossip.decode_batch(data)
    assert caught.value.code == vector["expect"]
    if "rule" in vector:
        assert caught.value.rule == vector["rule"]
