"""Ask for steps of an exchange that are missing, and find what an asker lacks (spec/08-exchange).

A question is the content of an item of type 4 of a letter:

    encode(["missing", exchange, [head, ...]])      no heads: all that there is
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeGuard, cast

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
    parts = cast("list[object]", found)
    if len(parts) != 3:
        return None
    word, exchange, heads = parts
    if word != WORD or not _is_id(exchange) or type(heads) is not list:
        return None
    given = cast("list[object]", heads)
    known = tuple(head for head in given if _is_id(head))
    return Question(exchange, known) if len(known) == len(given) else None


def _is_id(value: object) -> TypeGuard[bytes]:
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
