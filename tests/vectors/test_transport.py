"""Run the vectors of spec/04 below the batch, and hold its tables to the code."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio

from maillon.node import bounds
from maillon.node.net.errors import FrameTooLarge, FrameTruncated
from maillon.node.net.frames import Frames
from maillon.node.net.identity import key_of, peer_id, peer_id_bytes
from maillon.protocol import limits
from maillon.protocol.errors import RemoteError
from support.vectors import FOLDER, cases, load

SPEC = (FOLDER.parent / "04-gossip.md").read_text("utf-8")


@pytest.mark.parametrize("shown", load("transport.json")["nodes"], ids=lambda n: n["peer_id"])
def test_a_node_id_is_that_of_the_vector(shown: dict[str, str]) -> None:
    key = bytes.fromhex(shown["key"])
    assert peer_id(key) == shown["peer_id"]
    assert peer_id_bytes(key).hex() == shown["bytes"]
    assert key_of(shown["peer_id"]) == key


@pytest.mark.parametrize("vector", cases("transport.json", "messages"))
def test_a_message_is_judged_as_the_vector_expects(vector: dict[str, Any]) -> None:
    from libp2p.pubsub.pb import rpc_pb2

    from maillon.node.net.messages import message_id, shape_fault, signature_holds

    data = bytes.fromhex(vector.get("bytes", ""))
    if "times" in vector:
        start, part, end = (bytes.fromhex(vector[name]) for name in ("start", "repeat", "end"))
        data = start + part * vector["times"] + end
    message = rpc_pb2.Message()
    try:
        message.ParseFromString(data)
    except Exception:  # protobuf's DecodeError, whatever module it comes from
        assert vector["expect"] == "rpc_unreadable"
        return
    fault = shape_fault(message, load("transport.json")["topic"])
    if fault is None and not signature_holds(message):
        fault = "message_signature"
    assert (fault or "ok") == vector["expect"]
    if fault is None:
        assert message_id(message).hex() == vector["id"]


class _Bytes:
    """A stream that gives these bytes, a few at a time, and then ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, count: int) -> bytes:
        await trio.lowlevel.checkpoint()
        part, self._data = self._data[:3], self._data[3:]
        return part

    async def reset(self) -> None:
        self._data = b""


@pytest.mark.parametrize("vector", cases("transport.json", "frames"))
async def test_frames_are_read_as_the_vector_expects(vector: dict[str, Any]) -> None:
    stream = _Bytes(bytes.fromhex(vector["bytes"]))
    frames = Frames(
        stream, bytes(32), "/test", offend=lambda points, code: None, moved=lambda i, o: None
    )
    read: list[str] = []
    ended = "ok"
    try:
        while (frame := await frames.receive()) is not None:
            read.append(frame.hex())
    except (FrameTooLarge, FrameTruncated) as error:
        assert isinstance(error, RemoteError)
        ended = error.code
    assert (ended, read) == (vector["expect"], vector["frames"])


def test_the_bounds_in_the_specification_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| ([\d,]+) ", SPEC, re.MULTILINE)
    assert len(rows) >= 12
    for name, number in rows:
        actual = getattr(limits, name, None)
        if actual is None:
            actual = getattr(bounds, name)
        assert actual == int(number.replace(",", "")), name


def test_the_examples_in_the_specification_are_what_the_code_makes() -> None:
    shown = load("transport.json")["nodes"][1]
    assert shown["peer_id"] in SPEC and shown["key"] in SPEC
