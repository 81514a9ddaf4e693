"""Put an error into a refusal's evidence, and read it there (spec/06-ledger.md, "Refusals").

evidence of "invalid" = [code, facts]       facts as a map of plain values
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from maillon.ledger import _read as read
from maillon.ledger.limits import REASON_FACTS_BYTES_MAX
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.errors import EncodingError, MaillonError

_CODE_BYTES_MAX = 64


def told(error: MaillonError) -> bytes:
    """Return the evidence that says why a block is invalid; facts that do not fit are left out."""
    facts: dict[str, Encodable] = {}
    _copy(error.facts, facts, "")
    try:
        return encoding.encode([error.code, facts], bytes_max=REASON_FACTS_BYTES_MAX)
    except EncodingError:
        return encoding.encode([error.code, {}])


def _copy(given: Mapping[str, object], facts: dict[str, Encodable], prefix: str) -> None:
    for name, value in given.items():
        if isinstance(value, bool | int | str | bytes):
            facts[(prefix + name)[:32]] = value
        elif isinstance(value, dict) and not prefix:
            # An entry's own facts, inside those of its block.
            _copy(cast("dict[str, object]", value), facts, name.split("_")[0] + "_")


def read_told(evidence: bytes) -> tuple[str, dict[str, Any]]:
    """Return code and facts. Raises: Malformed and its kinds."""
    parts = read.items(read.array(evidence, REASON_FACTS_BYTES_MAX, "evidence"), "evidence", 2, 2)
    if type(parts[1]) is not dict:
        read.refuse("evidence")
    return read.text(parts[0], _CODE_BYTES_MAX, "evidence"), cast("dict[str, Any]", parts[1])
