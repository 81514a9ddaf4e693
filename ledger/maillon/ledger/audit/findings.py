"""Say one thing that an audit found: where it stands, and what the facts are (spec/07, "Findings").

A finding is data; `words` makes a sentence of it in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"
"""What a finding means: the ledger or its copy is wrong; somebody should look; nothing is wrong."""

SEVERITIES: Final = {
    # The copy
    "file_missing": ERROR,
    "file_changed": ERROR,
    "file_damaged": ERROR,
    "file_unlisted": NOTE,
    "chain_stranger": WARNING,
    "chain_absent": ERROR,
    # One chain
    "block_unreadable": ERROR,
    "block_missing": ERROR,
    "block_order": ERROR,
    "block_invalid": ERROR,
    "block_entry": ERROR,
    "block_signature": ERROR,
    "block_uncertified": ERROR,
    "block_forged": ERROR,
    "block_few": ERROR,
    "block_retired": ERROR,
    "block_void": ERROR,
    "pin_missing": ERROR,
    "charter_ahead": ERROR,
    "time_ahead": WARNING,
    "erased": NOTE,
    "history_changed": ERROR,
    "rewritten": NOTE,
    "older": NOTE,
    "shorter": WARNING,
    # The charter
    "charter_invalid": ERROR,
    # Between chains
    "message_unknown": ERROR,
    "message_other": ERROR,
    "not_closed": ERROR,
    "sum_not_zero": ERROR,
    "trade_differs": ERROR,
    "sum_unknown": WARNING,
    # Between nodes
    "fork": ERROR,
    "head_unreadable": WARNING,
    "head_forged": WARNING,
    "head_ahead": WARNING,
    "head_hidden": ERROR,
    # Evidence and checkpoints
    "fraud_writer": WARNING,
    "fraud_witness": WARNING,
    "fraud_unproven": WARNING,
    "checkpoint_unreadable": WARNING,
    "checkpoint_untrusted": WARNING,
    "checkpoint_differs": ERROR,
    "checkpoint_few": NOTE,
}
"""Every code of a finding, with what it means. `spec/07-audit.md` says the same in a table."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `chain` is b"" when it is of no chain, `height` -1 of no block, `entry` -1
    of no entry, `time` (Unix seconds) -1 when unknown.

    `facts` hold numbers, text and bytes, never a secret.
    """

    code: str
    chain: bytes = b""
    height: int = -1
    time: int = -1
    entry: int = -1
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def severity(self) -> str:
        """Return ERROR, WARNING or NOTE."""
        return SEVERITIES[self.code]

    @property
    def is_error(self) -> bool:
        """Say whether the ledger, or the copy of it, is wrong."""
        return self.severity == ERROR


def finding(
    code: str,
    chain: bytes = b"",
    height: int = -1,
    time: int = -1,
    entry: int = -1,
    **facts: Any,
) -> Finding:
    """Make a finding."""
    return Finding(code, chain, height, time, entry, facts)
