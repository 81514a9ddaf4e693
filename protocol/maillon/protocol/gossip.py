"""Put records together in gossip messages and take them out again (spec/04, "The batch").

A message costs a node milliseconds, a record in it microseconds: so a message carries many. What
it carries is opaque here; each record is read and judged on its own (spec/03).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from maillon.protocol import encoding
from maillon.protocol.errors import EncodingError, Malformed, TooLarge, WrongVersion
from maillon.protocol.limits import ARRAY_ITEMS_MAX, BATCH_BYTES_MAX, RECORD_BYTES_MAX

VERSION: Final = 1

# [1, [record …]] begins with one byte for the outer array, one for the version, and one or three
# for the inner array; three are always counted. A record has a header of two or three bytes.
_FRAMING_BYTES: Final = 5
_TOPIC_FED_CHARACTERS: Final = 32


def topic(fed: bytes) -> str:
    """Return the name of the topic on which a federation's records travel.

    Half of the federation's id: no other federation is met by chance, and whoever makes one of the
    same name on purpose is told apart by the whole id in every record.
    """
    return f"maillon/1/{fed.hex()[:_TOPIC_FED_CHARACTERS]}/records"


def encode_batches(records: Iterable[bytes]) -> list[bytes]:
    """Pack encoded records, in their order, into as few messages of at most 64 KiB as that takes.

    Raises: EncodingError when a record is empty or longer than any reader accepts.
    """
    messages: list[bytes] = []
    batch: list[bytes] = []
    size = _FRAMING_BYTES
    for record in records:
        if not 0 < len(record) <= RECORD_BYTES_MAX:
            raise EncodingError(
                "A record is empty or too long for a message.",
                rule="record_length",
                got=len(record),
                limit=RECORD_BYTES_MAX,
            )
        cost = len(record) + (2 if len(record) < 0x100 else 3)
        if batch and (size + cost > BATCH_BYTES_MAX or len(batch) == ARRAY_ITEMS_MAX):
            messages.append(_message(batch))
            batch, size = [], _FRAMING_BYTES
        batch.append(record)
        size += cost
    if batch:
        messages.append(_message(batch))
    return messages


def _message(batch: list[bytes]) -> bytes:
    return encoding.encode([VERSION, batch], bytes_max=BATCH_BYTES_MAX)


def decode_batch(data: bytes) -> list[bytes]:
    """Return the encoded records of a message, each of plausible length and not looked into.

    Raises: WrongVersion, Malformed (rule `batch`), TooLarge, NotCanonical.
    """
    message = encoding.decode(data, bytes_max=BATCH_BYTES_MAX)
    if type(message) is not list or not message or type(message[0]) is not int:
        raise Malformed("The message is not a versioned array.", rule="batch")
    if message[0] != VERSION:
        raise WrongVersion(got=message[0], known=VERSION)
    if len(message) != 2 or type(message[1]) is not list or not message[1]:
        raise Malformed("The message holds no list of records.", rule="batch")
    for record in message[1]:
        if type(record) is not bytes or not record:
            raise Malformed("A record in the message is not bytes.", rule="batch")
        if len(record) > RECORD_BYTES_MAX:
            raise TooLarge(rule="record_length", got=len(record), limit=RECORD_BYTES_MAX)
    return cast("list[bytes]", message[1])
