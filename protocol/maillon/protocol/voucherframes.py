"""Read and write what two nodes say about a cheque (spec/08-persons, "Depositing").

    ask     [1, voucher_deposit record]
    answer  [2, status, code, sentence, facts, ref, transfer]      ref, transfer: 32 bytes or b""
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.errors import Malformed
from maillon.protocol.ids import ID_BYTES
from maillon.protocol.limits import RECORD_BYTES_MAX

PROTOCOL: Final = "/maillon/1/vouchers"
ASK_BYTES_MAX: Final = RECORD_BYTES_MAX + 64
ANSWER_BYTES_MAX: Final = 8_192
STATUSES: Final = ("waiting", "placed", "certified", "refused")
SENTENCE_CHARACTERS_MAX: Final = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a cheque. `ref` and `transfer` are empty while they are not known."""

    status: str
    code: str = ""
    sentence: str = ""
    facts: Mapping[str, Value] | None = None
    ref: bytes = b""
    transfer: bytes = b""

    def encode(self) -> bytes:
        """Return the frame."""
        sentence = self.sentence[:SENTENCE_CHARACTERS_MAX]
        parts: list[Value] = [
            2, self.status, self.code, sentence, dict(self.facts or {}), self.ref, self.transfer,
        ]  # fmt: skip
        return encode(parts, bytes_max=ANSWER_BYTES_MAX)


def encode_ask(record: bytes) -> bytes:
    """Return the frame that brings a record."""
    return encode([1, record], bytes_max=ASK_BYTES_MAX)


def decode_ask(frame: bytes) -> bytes:
    """Return the record that a frame brings. Raises: Malformed and its kinds."""
    match decode(frame, bytes_max=ASK_BYTES_MAX):
        case [int(kind), bytes(record)] if kind == 1 and type(kind) is int:
            return record
        case _:
            raise Malformed(rule="voucher_ask")


_TYPES: Final = (int, str, str, str, dict, bytes, bytes)


def decode_answer(frame: bytes) -> Answer:
    """Read an answer. Raises: Malformed and its kinds."""
    value = decode(frame, bytes_max=ANSWER_BYTES_MAX)
    if type(value) is not list or len(value) != len(_TYPES):
        raise Malformed(rule="voucher_answer")
    parts = cast("list[Any]", value)
    fits = all(type(part) is kind for part, kind in zip(parts, _TYPES, strict=True))
    if not fits or parts[0] != 2 or parts[1] not in STATUSES:
        raise Malformed(rule="voucher_answer")
    if any(len(part) not in (0, ID_BYTES) for part in parts[5:]):
        raise Malformed(rule="voucher_answer")
    _type, status, code, sentence, facts, ref, transfer = parts
    return Answer(status, code, sentence, facts, ref, transfer)
