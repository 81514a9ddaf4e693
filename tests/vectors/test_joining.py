"""Run the vectors of joining against the code."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.node.run.join import read_frame
from maillon.protocol.errors import MaillonError
from support.vectors import cases


@pytest.mark.parametrize("vector", cases("joining.json"))
def test_reading_a_frame_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] == "ok":
        assert read_frame(data, *vector["allowed"])[0] == vector["type"]
        return
    with pytest.raises(MaillonError) as caught:
        read_frame(data, *vector["allowed"])
    assert caught.value.code == vector["expect"]
