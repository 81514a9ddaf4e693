"""Tell another process with this coop's key from what this node itself began before a restart.

A witness that promised a higher term answers with that term's signed prepare. After a restart that
can be the own one of before: its nonce is kept, so it is known again.
"""

from __future__ import annotations

from typing import Any, cast

from maillon.ledger.messages import decode_message
from maillon.ledger.rounds import Prepare
from maillon.ledger.steps import Write
from maillon.node.ledger import bounds
from maillon.node.ledger.staging import StagedDisk
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import MaillonError

SPACE = "own terms"
NONCE_BYTES = 16


class Rivals:
    """Processes other than this node that wrote its chains with its key."""

    def __init__(self, disk: StagedDisk) -> None:
        self._disk = disk
        self._seen: dict[bytes, int] = {}

    def started(self, chain: bytes, nonce: bytes) -> None:
        """Note the nonce of a term of office of this node, before anything is said in it."""
        kept = [*self.own(chain), nonce][-bounds.OWN_TERMS_MAX :]
        self._disk.commit((Write(SPACE, chain, encode([*kept])),))

    def own(self, chain: bytes) -> list[bytes]:
        """Return the nonces of this node's terms of office on a chain, the oldest first."""
        known = self._disk.get(SPACE, chain)
        if known is None:
            return []
        size = bounds.OWN_TERMS_MAX * (NONCE_BYTES + 8)
        return cast("list[bytes]", cast("Any", decode(known, bytes_max=size)))

    def met(self, chain: bytes, evidence: bytes, now: int) -> bool:
        """Take a signed prepare of a term with the own key; True when another process made it."""
        try:
            prepare = decode_message(evidence)
        except MaillonError:
            return False
        if not isinstance(prepare, Prepare) or prepare.term.nonce in self.own(chain):
            return False
        self._seen[chain] = now
        return True

    def active(self, chain: bytes, now: int) -> bool:
        """Tell whether another process showed itself within the last hour."""
        seen = self._seen.get(chain)
        return seen is not None and now - seen < bounds.RIVAL_QUIET_S
