"""Write and read the frames of a reconciliation session (spec/05, "Frames").

Each frame is one canonical value, an array that begins with its type. A reader refuses any other
frame as a whole; nothing of it is acted upon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from maillon.node.bounds import SYNC_WANT_IDS_MAX
from maillon.protocol import encoding
from maillon.protocol.errors import Malformed
from maillon.protocol.limits import (
    ARRAY_ITEMS_MAX,
    BATCH_BYTES_MAX,
    FRAME_BYTES_MAX,
    RECORD_BYTES_MAX,
)
from maillon.protocol.reconcile import Range

HELLO: Final = 0
NEG: Final = 1
WANT: Final = 2
WANT_RANGE: Final = 3
RECORDS: Final = 4
DONE: Final = 5
ERROR: Final = 6

_AGENT_CHARS_MAX: Final = 64
_CODE_CHARS_MAX: Final = 32
_TEXT_CHARS_MAX: Final = 200
# [4, [ … ]] takes a byte for the array, one for the type, three for the list; a record two or
# three.
_RECORDS_FRAMING: Final = 5
_RECORD_FRAMING: Final = 3


@dataclass(frozen=True, slots=True)
class Hello:
    """Open a session: the federation, how many live records the sender has, its software."""

    fed: bytes
    count: int
    agent: str


@dataclass(frozen=True, slots=True)
class Neg:
    """Carry one message of set reconciliation."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Want:
    """Ask for records by id, at most 1,000."""

    ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class WantRange:
    """Ask for all records of a range."""

    range: Range


@dataclass(frozen=True, slots=True)
class Records:
    """Carry encoded records, at most 64 KiB of them."""

    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """End an answer or a push, with the number of records it held."""

    count: int


@dataclass(frozen=True, slots=True)
class Error:
    """Break the session off, and say why."""

    code: str
    text: str


Frame = Hello | Neg | Want | WantRange | Records | Done | Error


def hello(fed: bytes, count: int, agent: str) -> bytes:
    """Encode a HELLO; the agent is cut to 64 characters."""
    return encoding.encode([HELLO, fed, count, agent[:_AGENT_CHARS_MAX]])


def neg(message: bytes) -> bytes:
    """Encode a NEG."""
    return encoding.encode([NEG, message])


def want(ids: Sequence[bytes]) -> bytes:
    """Encode a WANT of at most 1,000 ids."""
    assert 0 < len(ids) <= SYNC_WANT_IDS_MAX
    return encoding.encode([WANT, list(ids)])


def want_range(range_: Range) -> bytes:
    """Encode a WANT_RANGE."""
    return encoding.encode([WANT_RANGE, *range_.fields()])


def done(count: int) -> bytes:
    """Encode a DONE."""
    return encoding.encode([DONE, count])


def error(code: str, text: str = "") -> bytes:
    """Encode an ERROR with a code of the registry."""
    return encoding.encode([ERROR, code[:_CODE_CHARS_MAX], text[:_TEXT_CHARS_MAX]])


def records(encoded: Iterable[bytes]) -> Iterator[bytes]:
    """Encode records into as few RECORDS frames of at most 64 KiB as that takes, one by one."""
    batch: list[bytes] = []
    size = _RECORDS_FRAMING
    for record in encoded:
        cost = len(record) + _RECORD_FRAMING
        if batch and (size + cost > BATCH_BYTES_MAX or len(batch) >= ARRAY_ITEMS_MAX):
            yield encoding.encode([RECORDS, batch])
            batch, size = [], _RECORDS_FRAMING
        batch.append(record)
        size += cost
    if batch:
        yield encoding.encode([RECORDS, batch])


def is_records(data: bytes) -> bool:
    """Say whether a frame claims to be RECORDS, without reading it."""
    return data[1:2] == bytes((RECORDS,))


def decode(data: bytes) -> Frame:
    """Read one frame. Raises: Malformed and its kinds, for anything else a peer may send."""
    value = encoding.decode(data, bytes_max=FRAME_BYTES_MAX)
    if type(value) is not list or not value or type(value[0]) is not int:
        raise Malformed("A frame is an array that begins with its type.", rule="frame")
    fields = cast("list[object]", value[1:])
    frame = _READERS[value[0]](fields) if 0 <= value[0] < len(_READERS) else None
    if frame is None or (isinstance(frame, Records) and len(data) > BATCH_BYTES_MAX):
        raise Malformed("The frame is of no known form.", rule="frame", type=value[0])
    return frame


def _read_hello(fields: list[object]) -> Frame | None:
    match fields:
        case [bytes() as fed, int() as count, str() as agent] if (
            len(fed) == 32
            and type(count) is int
            and count >= 0
            and len(agent) <= _AGENT_CHARS_MAX
        ):
            return Hello(fed, count, agent)
        case _:
            return None


def _read_neg(fields: list[object]) -> Frame | None:
    match fields:
        case [bytes() as message]:
            return Neg(message)
        case _:
            return None


def _read_want(fields: list[object]) -> Frame | None:
    ids = _bytes_list(fields)
    if ids is None or len(ids) > SYNC_WANT_IDS_MAX or any(len(id) != 32 for id in ids):
        return None
    return Want(ids)


def _read_want_range(fields: list[object]) -> Frame | None:
    return WantRange(Range.from_fields(fields))


def _read_records(fields: list[object]) -> Frame | None:
    found = _bytes_list(fields)
    if found is None or not all(0 < len(record) <= RECORD_BYTES_MAX for record in found):
        return None
    return Records(found)


def _read_done(fields: list[object]) -> Frame | None:
    match fields:
        case [int() as count] if type(count) is int and count >= 0:
            return Done(count)
        case _:
            return None


def _read_error(fields: list[object]) -> Frame | None:
    match fields:
        case [str() as code, str() as text] if (
            len(code) <= _CODE_CHARS_MAX and len(text) <= _TEXT_CHARS_MAX
        ):
            return Error(code, text)
        case _:
            return None


def _bytes_list(fields: list[object]) -> tuple[bytes, ...] | None:
    """Return the one list of byte strings that a frame holds, never empty."""
    if len(fields) != 1 or type(fields[0]) is not list or not fields[0]:
        return None
    items = cast("list[object]", fields[0])
    if not all(type(item) is bytes for item in items):
        return None
    return tuple(cast("list[bytes]", items))


# By the frame's type, the first item of its array.
_READERS: Final[tuple[Callable[[list[object]], Frame | None], ...]] = (
    _read_hello,
    _read_neg,
    _read_want,
    _read_want_range,
    _read_records,
    _read_done,
    _read_error,
)
