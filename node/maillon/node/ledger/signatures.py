"""Verify the signatures of the ledger once, however often they come by.

A member's order is verified when it is given, when its block is built, when this node's witness
looks at the block, and when the certified block is taken in; a commit when it is gathered and
when the certificate comes back by gossip. Only what was found good is remembered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from maillon.ledger.signing import Check, Verify
from maillon.node.ledger import bounds


class CachedVerify:
    """A Verify that remembers what was found good."""

    def __init__(self, verify: Verify, limit: int = bounds.SIGNATURES_REMEMBERED) -> None:
        self._verify = verify
        self._limit = limit
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self.asked = 0
        self.found = 0

    def __call__(self, checks: Sequence[Check]) -> list[bool]:
        """Return for each (public, message, signature) whether it is good."""
        self.asked += len(checks)
        names = [_name(check) for check in checks]
        unknown = [place for place, name in enumerate(names) if name not in self._good]
        answers = [True] * len(checks)
        self.found += len(checks) - len(unknown)
        if unknown:
            told = self._verify([checks[place] for place in unknown])
            for place, good in zip(unknown, told, strict=True):
                answers[place] = good
                if good:
                    self._remember(names[place])
        return answers

    def add(self, check: Check) -> None:
        """Remember a signature that this node made itself."""
        self._remember(_name(check))

    def _remember(self, name: bytes) -> None:
        self._good[name] = None
        if len(self._good) > self._limit:
            self._good.popitem(last=False)


def _name(check: Check) -> bytes:
    public, message, signature = check
    # A key or signature of another length is never good, but must not pass for one that is.
    head = bytes((len(public) & 0xFF, len(signature) & 0xFF))
    return hashlib.sha256(head + public + signature + message).digest()
