"""Claims about maillon.protocol.encoding that single vectors cannot make."""

from __future__ import annotations

import enum
import json
import random
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maillon.protocol import _strict, _unicode, encoding
from maillon.protocol.errors import EncodingError, Malformed, NotCanonical, TooLarge
from maillon.protocol.limits import (
    ARRAY_ITEMS_MAX,
    BIN_BYTES_MAX,
    DEPTH_MAX,
    FRAME_BYTES_MAX,
    INT_MAX,
    MAP_ITEMS_MAX,
    STRING_BYTES_MAX,
)

# Derandomised: the examples follow from the test's own source, so a failure repeats everywhere.
PROPERTY = settings(derandomize=True, max_examples=120, deadline=None)

texts = st.text(max_size=40).map(encoding.nfc)
keys = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
leaves = st.one_of(
    st.booleans(),
    st.integers(-INT_MAX, INT_MAX),
    st.integers(-300, 300),
    texts,
    st.binary(max_size=300),
)
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
    max_leaves=40,
).filter(lambda value: depth(value) <= DEPTH_MAX)


def depth(value: encoding.Value) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


pack = cast("Callable[[Any], bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType]


def answer(read: Any, data: bytes) -> tuple[str, object]:
    try:
        return "ok", read(data)
    except Malformed as error:
        return error.code, error.rule


def fast(data: bytes) -> encoding.Value:
    return encoding.decode(data, bytes_max=FRAME_BYTES_MAX)


@given(values)
@PROPERTY
def test_what_is_written_is_read_back_by_both_readers(value: Any) -> None:
    data = encoding.encode(value)
    assert fast(data) == value
    assert _strict.decode(data) == value


@given(values)
@PROPERTY
def test_the_order_in_which_a_map_was_filled_does_not_show(value: Any) -> None:
    def backwards(inner: encoding.Value) -> encoding.Value:
        if isinstance(inner, dict):
            return {key: backwards(inner[key]) for key in reversed(list(inner))}
        return [backwards(item) for item in inner] if isinstance(inner, list) else inner

    assert encoding.encode(backwards(value)) == encoding.encode(value)


@given(values)
@PROPERTY
def test_bytes_of_other_types_never_pass_for_one_another(value: Any) -> None:
    # 1 == True and 0 == False in Python: compare what JSON shows instead.
    shown = json.dumps(fast(encoding.encode(value)), default=repr, sort_keys=True)
    assert shown == json.dumps(value, default=repr, sort_keys=True)


@given(values, st.randoms(use_true_random=False))
@PROPERTY
def test_both_readers_agree_on_damaged_bytes(value: Any, rng: random.Random) -> None:
    data = bytearray(encoding.encode(value))
    for _ in range(rng.randint(1, 3)):
        kind = rng.randrange(4)
        place = rng.randrange(len(data) + 1)
        if kind == 0:
            data.insert(place, rng.choice((0x80, 0x91, 0xC0, 0xC4, 0xCC, 0xD0, 0xD9, 0xDC, 0xA1)))
        elif kind == 1 and data:
            del data[min(place, len(data) - 1)]
        elif data:
            data[min(place, len(data) - 1)] = rng.randrange(256)
    damaged = bytes(data)
    if damaged:
        assert answer(fast, damaged) == answer(_strict.decode, damaged)


@given(st.recursive(
    st.none() | st.floats() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.text(max_size=3) | st.binary(max_size=2), inner, max_size=5),
    max_leaves=12,
))  # fmt: skip
@PROPERTY
def test_both_readers_agree_on_whatever_msgpack_writes(value: Any) -> None:
    try:
        data = pack(value)
    except UnicodeEncodeError:
        return
    assert answer(fast, data) == answer(_strict.decode, data)


@given(st.binary(max_size=60))
@PROPERTY
def test_bytes_that_are_read_are_the_only_encoding_of_their_value(data: bytes) -> None:
    outcome, value = answer(fast, data)
    assert (outcome, value) == answer(_strict.decode, data)
    if outcome == "ok":
        assert encoding.encode(value) == data  # type: ignore[arg-type]  # a Value when ok


def test_every_message_of_one_and_two_bytes_is_judged_alike_by_both_readers() -> None:
    accepted = 0
    for length in (1, 2):
        for number in range(256**length):
            data = number.to_bytes(length, "big")
            outcome = answer(fast, data)
            assert outcome == answer(_strict.decode, data), data.hex()
            accepted += outcome[0] == "ok"
    # One byte: 128 + 32 integers, 2 bools, 3 empty containers. Two bytes: 128 uint 8, 96 int 8,
    # 128 one-letter strings, the empty bin, and 165 arrays of one of the former.
    assert accepted == 165 + 128 + 96 + 128 + 1 + 165


class Word(enum.StrEnum):
    KEY = "key"


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (None, "nil"),
        ({"a": None}, "nil"),
        (1.0, "float"),
        ([float("nan")], "float"),
        (2**53, "int_range"),
        (-(2**53), "int_range"),
        ({"é": 1}, "key_form"),
        ({"": 1}, "key_form"),
        ({"A": 1}, "key_form"),
        ({"a\n": 1}, "key_form"),
        ({"a" * 33: 1}, "key_form"),
        ({1: 1}, "key_type"),
        ({b"a": 1}, "key_type"),
        ({Word.KEY: 1}, "key_type"),
        ("e\u0301", "nfc"),
        ("\ud800", "utf8"),
        ("é" * (STRING_BYTES_MAX // 2 + 1), "string_length"),
        ("a" * (STRING_BYTES_MAX + 1), "string_length"),
        (b"a" * (BIN_BYTES_MAX + 1), "bin_length"),
        ([0] * (ARRAY_ITEMS_MAX + 1), "array_length"),
        ({f"k{i}": 0 for i in range(MAP_ITEMS_MAX + 1)}, "map_length"),
        ([b"a" * (FRAME_BYTES_MAX - 3)], "total_length"),
        (bytearray(b"a"), "type"),
        ({1, 2}, "type"),
        (Word.KEY, "type"),
    ],
)
def test_what_has_no_encoding_is_refused_by_the_name_of_its_rule(value: Any, rule: str) -> None:
    # Once before the key was ever seen in order, and once after.
    for _ in range(2):
        with pytest.raises(EncodingError) as caught:
            encoding.encode(value)
        assert caught.value.rule == rule
        encoding.encode({"key": 1})


@pytest.mark.parametrize("container", ["list", "dict"])
def test_a_value_one_too_deep_is_refused_and_one_level_less_is_not(container: str) -> None:
    value: Any = 0
    for _ in range(DEPTH_MAX):
        value = [value] if container == "list" else {"d": value}
    assert fast(encoding.encode(value)) == value
    with pytest.raises(EncodingError) as caught:
        encoding.encode([value] if container == "list" else {"d": value})
    assert caught.value.rule == "depth"


def test_a_tuple_is_written_as_an_array() -> None:
    assert encoding.encode((1, ("a",))) == encoding.encode([1, ["a"]])


def test_bytes_max_is_the_last_length_that_is_read() -> None:
    data = encoding.encode(b"x" * 100)
    assert encoding.decode(data, bytes_max=len(data)) == b"x" * 100
    with pytest.raises(TooLarge) as caught:
        encoding.decode(data, bytes_max=len(data) - 1)
    assert (caught.value.rule, caught.value.got) == ("total_length", len(data))


def test_keys_met_before_are_still_held_to_their_order() -> None:
    encoding.encode({"a": 1, "b": 2})
    fast(bytes.fromhex("82a16101a16202"))
    with pytest.raises(NotCanonical) as caught:
        fast(bytes.fromhex("82a16202a16101"))
    assert caught.value.rule == "key_order"


def test_a_stream_of_new_keys_fills_no_memory() -> None:
    seen: set[str] = encoding._seen_keys  # pyright: ignore[reportPrivateUsage]
    for first in range(0, 12_000, 60):
        value = {f"k{number:05}": 0 for number in range(first, first + 60)}
        assert fast(encoding.encode(value)) == value
        assert len(seen) <= 4_096 + MAP_ITEMS_MAX


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdc\x04\x00" * 5_000,  # arrays of 1,024 arrays of 1,024 …
        b"\xdd\x7f\xff\xff\xff" * 3_000,
        b"\xdf\x7f\xff\xff\xff" * 3_000,
        b"\xc6\x7f\xff\xff\xff",
        b"\xdb\x7f\xff\xff\xff",
        b"\xc9\x7f\xff\xff\xff\x00",
        b"\x91" * 16_000,
    ],
    ids=["arrays", "array 32", "map 32", "bin 32", "str 32", "ext 32", "nesting"],
)
def test_bytes_that_claim_much_allocate_little(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            fast(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


def test_threads_that_read_and_write_at_once_do_not_disturb_one_another() -> None:
    values: list[encoding.Encodable] = [
        {"n": number, "t": "é" * number, "b": bytes(number * 37)} for number in range(1, 9)
    ]
    wanted = [encoding.encode(value) for value in values]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work(place: int) -> bool:
        return all(
            encoding.encode(values[place]) == wanted[place]
            and fast(wanted[place]) == values[place]
            for _ in range(300)
        )

    try:
        with ThreadPoolExecutor(len(values)) as pool:
            assert all(pool.map(work, range(len(values))))
    finally:
        sys.setswitchinterval(interval)


@given(st.lists(st.sampled_from("aé\u0300\u0301\u0316\u0327\u1100\u1161"), max_size=12))
@PROPERTY
def test_combining_marks_are_accepted_in_their_one_order_and_composition(parts: list[str]) -> None:
    text = "".join(parts)
    raw = text.encode()
    data = (b"\xd9" if len(raw) > 31 else b"") + bytes([len(raw) | 0xA0 * (len(raw) <= 31)]) + raw
    expected = "ok" if unicodedata.normalize("NFC", text) == text else "not_canonical"
    assert answer(fast, data)[0] == expected


# --- NFC by the tables of Unicode 14.0 ----------------------------------------------------------


@given(st.text(max_size=30))
@PROPERTY
def test_text_put_in_nfc_has_an_encoding_and_stays_as_it_is(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    normalised = encoding.nfc(text)
    assert encoding.nfc(normalised) == normalised
    assert fast(encoding.encode(normalised)) == normalised
    assert _unicode.is_nfc(text) == (normalised == text)


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="needs the tables of 14.0")
@given(st.text(max_size=30))
@PROPERTY
def test_cutting_at_unassigned_code_points_changes_no_answer_of_the_tables_of_14(text: str) -> None:
    # This is the path of interpreters with newer tables, held against the tables themselves.
    pieces = _unicode._pieces(text)  # pyright: ignore[reportPrivateUsage]
    assert "".join(pieces) == text
    assert "".join(unicodedata.normalize("NFC", piece) for piece in pieces) == (
        unicodedata.normalize("NFC", text)
    )


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="needs the tables of 14.0")
def test_the_list_of_unassigned_code_points_is_that_of_unicode_14() -> None:
    from maillon.protocol._unicode14 import UNASSIGNED

    listed = {point for first, last in UNASSIGNED for point in range(first, last + 1)}
    by_tables = {point for point in range(0x110000) if unicodedata.category(chr(point)) == "Cn"}
    assert listed == by_tables
