"""Fuzz the readers of spec/01 and what is built directly on them."""

from __future__ import annotations

from collections.abc import Callable

from maillon.protocol import _strict, encoding, gossip
from maillon.protocol.errors import Malformed, WrongVersion
from maillon.protocol.limits import FRAME_BYTES_MAX
from support.vectors import load


def _answer(read: Callable[[bytes], encoding.Value], data: bytes) -> object:
    try:
        return read(data)
    except Malformed as error:
        return type(error), error.rule


def _fast(data: bytes) -> encoding.Value:
    return encoding.decode(data, bytes_max=FRAME_BYTES_MAX)


def decode(data: bytes) -> None:
    """Bytes are refused by a rule's name, or are the one encoding of their value."""
    try:
        value = _fast(data)
    except Malformed:
        return
    assert encoding.encode(value) == data


def readers_agree(data: bytes) -> None:
    """The fast reader and the one that follows the specification give one answer."""
    assert repr(_answer(_fast, data)) == repr(_answer(_strict.decode, data))


def batch(data: bytes) -> None:
    """A gossip message is refused, or its records make the same message again."""
    try:
        records = gossip.decode_batch(data)
    except (Malformed, WrongVersion):
        return
    messages = gossip.encode_batches(records)
    assert [record for message in messages for record in gossip.decode_batch(message)] == records


TARGETS: dict[str, Callable[[bytes], None]] = {
    "decode": decode,
    "readers_agree": readers_agree,
    "batch": batch,
}
# The long ones say nothing new and slow the rest down.
SEEDS: list[bytes] = [
    bytes.fromhex(vector["bytes"])
    for file in ("encoding.json", "gossip.json")
    for vector in load(file)["vectors"]
    if len(vector["bytes"]) <= 2_000
]
