"""Run the vectors of letters against the code."""

from __future__ import annotations

import random
from typing import Any

import pytest

from maillon.node.engine.post import PostOffice
from maillon.node.engine.post.memory import MemoryLetters
from maillon.protocol import letters
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SealingKey
from maillon.protocol.letterframes import Ack, Again, Ask, Put, Range, decode_frame, encode_frame
from support.vectors import cases, load


@pytest.mark.parametrize("vector", cases("letters.json", "threads"))
def test_a_thread_has_the_name_of_the_vector(vector: dict[str, Any]) -> None:
    exchange, to_key, era = (bytes.fromhex(vector[part]) for part in ("exchange", "to_key", "era"))
    assert letters.thread_id(exchange, to_key, era).hex() == vector["thread"]


@pytest.mark.parametrize("vector", cases("letters.json", "letters"))
def test_reading_and_opening_a_letter_gives_what_the_vector_says(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    key = SealingKey.from_seed(bytes.fromhex(vector["key"]))
    if vector["expect"] == "ok":
        letter = letters.decode_letter(data)
        assert letter.encode() == data
        header = letter.header
        assert letter.id.hex() == vector["id"] and header.thread.hex() == vector["thread"]
        assert (header.n, header.at, header.until) == (vector["n"], vector["at"], vector["until"])
        items = [
            {"type": item.kind, "data": item.data.hex()}
            | ({"release": item.release} if item.kind == letters.ITEM_ATTESTATION else {})
            for item in letters.open_letter(letter, key)
        ]
        assert items == vector["items"]
        return
    with pytest.raises(MaillonError) as caught:
        letters.open_letter(letters.decode_letter(data), key)
    assert caught.value.code == vector["expect"]
    if "rule" in vector:
        assert caught.value.rule == vector["rule"]


def _rows(ranges: tuple[Range, ...]) -> list[list[object]]:
    return [[part.thread.hex(), part.first, part.last] for part in ranges]


def _shown(frame: Put | Ack | Ask | Again) -> dict[str, object]:
    match frame:
        case Put(found, gone):
            return {"letters": [one.hex() for one in found], "gone": _rows(gone)}
        case Ack(outcomes, wants, noted):
            told = [[id.hex(), code] for id, code in outcomes]
            return {"outcomes": told, "wants": _rows(wants), "noted": _rows(noted)}
        case Ask(since, wants):
            return {"since": since, "wants": _rows(wants)}
        case Again(count):
            return {"count": count}


@pytest.mark.parametrize("vector", cases("letters.json", "frames"))
def test_reading_a_frame_gives_what_the_vector_says(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    if vector["expect"] == "ok":
        frame = decode_frame(data)
        assert encode_frame(frame) == data
        assert _shown(frame) == {
            name: part for name, part in vector.items() if name not in ("name", "bytes", "expect")
        }
        return
    with pytest.raises(MaillonError) as caught:
        decode_frame(data)
    assert caught.value.code == vector["expect"]
    assert caught.value.rule == vector["rule"]


class Everybody:
    """The federation of the vectors' receiver."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self._coops = {bytes.fromhex(coop) for coop in shown["coops"]}
        self._keys = {bytes.fromhex(key) for key in shown["keys"]}

    def belongs(self, coop: bytes) -> bool:
        return coop in self._coops

    def addressee(self, key: bytes) -> bool:
        return key in self._keys


@pytest.mark.parametrize("vector", cases("letters.json", "office"))
def test_a_receiver_answers_what_the_vector_says_and_delivers_in_its_order(
    vector: dict[str, Any],
) -> None:
    shown = load("letters.json")["receiver"]
    rng = random.Random(1)
    office = PostOffice(
        MemoryLetters(), fed=bytes.fromhex(shown["fed"]), coop=bytes.fromhex(shown["to_coop"]),
        federation=Everybody(shown), random=rng.randbytes, rng=rng,
    )  # fmt: skip
    office.start(vector["steps"][0]["now"])
    (key,) = (bytes.fromhex(key) for key in shown["keys"])
    serial = 0
    for step in vector["steps"]:
        put = decode_frame(bytes.fromhex(step["put"]))
        assert isinstance(put, Put)
        ack, _ = office.received(bytes.fromhex(step["from"]), put, step["now"])
        assert encode_frame(ack).hex() == step["ack"]
        ready = office.inbox(key, serial, 1_000)
        serial = ready[-1].serial if ready else serial
        assert [row.id.hex() for row in ready] == step["ready"]
