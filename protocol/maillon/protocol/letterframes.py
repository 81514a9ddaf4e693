"""Read and write the frames that carry letters between two nodes (spec/08-letters, "Frames").

    PUT    [1, [letter …], [[thread, first, last] …]]                letters, and numbers given up
    ACK    [2, [[id, outcome] …], [range …], [range …]]              what became of them; numbers
                                                                     asked for; numbers noted
    ASK    [3, since, [range …]]                                     what I acknowledged since, and
                                                                     these, once more
    AGAIN  [4, count]                                                so many are on their way
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable, Value
from maillon.protocol.errors import Malformed
from maillon.protocol.ids import ID_BYTES
from maillon.protocol.limits import (
    FRAME_BYTES_MAX,
    LETTER_BYTES_MAX,
    PUT_LETTERS_MAX,
    PUT_RANGES_MAX,
    THREAD_BYTES,
)

PUT: Final = 1
ACK: Final = 2
ASK: Final = 3
AGAIN: Final = 4

STORED: Final = "stored"
KNOWN: Final = "known"
EXPIRED: Final = "expired"
FROM_FUTURE: Final = "from_future"
GAP: Final = "gap"
MALFORMED: Final = "malformed"
QUOTA: Final = "quota"
REUSED: Final = "reused"
STRANGER: Final = "stranger"
UNKNOWN_ADDRESSEE: Final = "unknown_addressee"
VERSION_UNSUPPORTED: Final = "version_unsupported"
WRONG_FEDERATION: Final = "wrong_federation"

TAKEN: Final = frozenset({STORED, KNOWN})
"""Outcomes after which the receiver answers for the letter."""

FINAL: Final = frozenset({MALFORMED, REUSED, WRONG_FEDERATION})
"""Outcomes that no waiting changes: the sender gives the letter up and says so to who wrote it."""

_OUTCOME_CHARACTERS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers of a thread, from `first` to `last`, both included."""

    thread: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Put:
    """Letters as bytes, and numbers that will never come."""

    letters: tuple[bytes, ...]
    gone: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """What became of each letter; numbers that are missing; which of the given up were noted."""

    outcomes: tuple[tuple[bytes, str], ...]
    wants: tuple[Range, ...] = ()
    noted: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A node asks again: for what it acknowledged since a time (0 for none), and for numbers."""

    since: int
    wants: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """How many letters an Ask has put on their way again."""

    count: int


Frame = Put | Ack | Ask | Again


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    value: list[Encodable]
    match frame:
        case Put(letters, gone):
            value = [PUT, list(letters), _rows(gone)]
        case Ack(outcomes, wants, noted):
            value = [ACK, [[id, code] for id, code in outcomes], _rows(wants), _rows(noted)]
        case Ask(since, wants):
            value = [ASK, since, _rows(wants)]
        case Again(count):
            value = [AGAIN, count]
    return encoding.encode(value, bytes_max=FRAME_BYTES_MAX)


def _rows(ranges: Sequence[Range]) -> list[Encodable]:
    return [[part.thread, part.first, part.last] for part in ranges]


def decode_frame(data: bytes) -> Frame:
    """Read a frame; the letters in it are not looked into.

    Raises: Malformed (rule `letter_frame`), NotCanonical, TooLarge.
    """
    found = encoding.decode(data, bytes_max=FRAME_BYTES_MAX)
    if type(found) is not list or not found or type(found[0]) is not int:
        raise _broken()
    match found[0], found[1:]:
        case 1, [list(letters), ranges]:
            return Put(_letters(letters), _ranges(ranges))
        case 2, [list(outcomes), wants, noted]:
            return Ack(_outcomes(outcomes), _ranges(wants), _ranges(noted))
        case 3, [since, wants]:
            return Ask(_natural(since), _ranges(wants))
        case 4, [count]:
            return Again(_natural(count))
        case _:
            raise _broken()


def _broken() -> Malformed:
    return Malformed("The frame is none that carries letters.", rule="letter_frame")


def _natural(value: Value) -> int:
    if type(value) is not int or value < 0:
        raise _broken()
    return value


def _letters(values: list[Value]) -> tuple[bytes, ...]:
    if len(values) > PUT_LETTERS_MAX:
        raise _broken()
    found: list[bytes] = []
    for value in values:
        if type(value) is not bytes or not 0 < len(value) <= LETTER_BYTES_MAX:
            raise _broken()
        found.append(value)
    return tuple(found)


def _ranges(value: Value) -> tuple[Range, ...]:
    if type(value) is not list or len(value) > PUT_RANGES_MAX:
        raise _broken()
    found: list[Range] = []
    for row in value:
        if type(row) is not list or len(row) != 3:
            raise _broken()
        thread, first, last = row[0], _natural(row[1]), _natural(row[2])
        if type(thread) is not bytes or len(thread) != THREAD_BYTES or first > last:
            raise _broken()
        found.append(Range(thread, first, last))
    return tuple(found)


def _outcomes(values: list[Value]) -> tuple[tuple[bytes, str], ...]:
    if len(values) > PUT_LETTERS_MAX:
        raise _broken()
    found: list[tuple[bytes, str]] = []
    for row in values:
        if type(row) is not list or len(row) != 2:
            raise _broken()
        id, code = row
        if type(id) is not bytes or len(id) != ID_BYTES:
            raise _broken()
        if type(code) is not str or not 0 < len(code) <= _OUTCOME_CHARACTERS_MAX:
            raise _broken()
        found.append((id, code))
    return tuple(found)
