"""Run the vectors of spec/01 against the code, on both of its paths."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.protocol import _strict, encoding
from maillon.protocol.errors import Malformed
from maillon.protocol.limits import FRAME_BYTES_MAX
from support.vectors import cases, from_json, load

BYTES_MAX: int = load("encoding.json")["bytes_max"]

# Every rule of spec/01 that a reader can find broken.
RULES = {
    *("empty", "truncated", "trailing_bytes", "reserved_byte", "nil", "float", "ext", "int_range"),
    *("int_form", "string_form", "bin_form", "array_form", "map_form", "utf8", "nfc"),
    *("key_type", "key_form", "key_order", "key_duplicate"),
    *("depth", "string_length", "bin_length", "array_length", "map_length", "total_length"),
}


@pytest.mark.parametrize("vector", cases("encoding.json"))
def test_reading_the_bytes_answers_what_the_vector_expects(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] == "ok":
        value = from_json(vector["value"])
        assert encoding.decode(data, bytes_max=BYTES_MAX) == value
        assert _strict.decode(data) == value
        assert encoding.encode(value) == data
    else:
        with pytest.raises(Malformed) as caught:
            encoding.decode(data, bytes_max=BYTES_MAX)
        assert (caught.value.code, caught.value.rule) == (vector["expect"], vector["rule"])


def test_every_rule_is_broken_by_a_vector() -> None:
    broken = {vector["rule"] for vector in load("encoding.json")["vectors"] if "rule" in vector}
    assert broken == RULES


def test_every_vector_has_its_own_name() -> None:
    names = [vector["name"] for vector in load("encoding.json")["vectors"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("vector", cases("unicode14-unassigned.json", "nfc"))
def test_what_unicode_added_after_14_is_inert(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] == "ok":
        assert encoding.encode(encoding.decode(data, bytes_max=FRAME_BYTES_MAX)) == data
    else:
        with pytest.raises(Malformed) as caught:
            encoding.decode(data, bytes_max=FRAME_BYTES_MAX)
        assert caught.value.rule == vector["rule"]
