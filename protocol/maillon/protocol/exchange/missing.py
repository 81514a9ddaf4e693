"""Ask for steps of an exchange that are missing, and find what an asker lacks (spec/08-exchange).

A question is the content of an item of type 4 of a letter:

    encode(["missing", exchange, [head, ...]])      no heads: all that there is
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import RemoteError
from maillon.protocol.limits import MISSING_BYTES_MAX

WORD: Final = "missing"
ID_BYTES: Final = 32


class Question(NamedTuple):
    """Which exchange (32 bytes) somebody lacks steps of, and the heads (32 bytes) they have."""

    exchange: bytes
    heads: tuple[bytes, ...]


def question(exchange: bytes, heads: Iterable[bytes]) -> bytes:
    """Encode a question. Raises: TooLarge beyond MISSING_BYTES_MAX."""
    return encode([WORD, exchange, list(heads)], bytes_max=MISSING_BYTES_MAX)


def read_question(data: bytes) -> Question | None:
    """Return the question that an item of type 4 asks, or None: something else was agreed upon."""
    try:
        found: Any = decode(data, bytes_max=MISSING_BYTES_MAX)
    except RemoteError:
        return None
    if type(found) is not list:
        return None
    parts = cast("list[Any]", found)
    if len(parts) != 3 or parts[0] != WORD or not _is_id(parts[1]) or type(parts[2]) is not list:
        return None
    heads = cast("list[Any]", parts[2])
    return Question(parts[1], tuple(heads)) if all(_is_id(head) for head in heads) else None


def _is_id(value: object) -> bool:
    return type(value) is bytes and len(value) == ID_BYTES


def lacking(heads: Iterable[bytes], refs: Mapping[bytes, Sequence[bytes]]) -> list[bytes]:
    """Return the steps that somebody with some heads lacks, in the order of `refs`.

    `refs` gives for each step here what it refers to. Heads that are not here say nothing.
    """
    seen: set[bytes] = set()
    following = [head for head in heads if head in refs]
    while following:
        step = following.pop()
        if step not in seen:
            seen.add(step)
            following += [ref for ref in refs[step] if ref in refs]
    return [step for step in refs if step not in seen]
