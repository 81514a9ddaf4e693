"""Verify signatures with libsodium: inline for a few, on two threads for many.

PyNaCl verifies twice as fast as OpenSSL and releases the interpreter's lock while it does. The
strict byte rules of spec/02 come first, so that both libraries answer the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio
from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from maillon.node.ports import SignatureItem
from maillon.protocol.keys import strict_encodings_ok

# Handing work to a thread costs about as much as verifying one signature.
POOL_ITEMS_MIN = 16
# Large enough to hide that cost, small enough that both threads are busy to the end.
SLICE_ITEMS_MIN = 64
SLICE_ITEMS_MAX = 256


def nacl_backend(public: bytes, message: bytes, signature: bytes) -> bool:
    """Check the equation with libsodium; the byte rules are the caller's."""
    try:
        bindings.crypto_sign_open(signature + message, public)
    except (BadSignatureError, CryptoError, ValueError):
        return False
    return True


def verify_inline(items: Sequence[SignatureItem]) -> list[bool]:
    """Verify signatures one after the other, here."""
    return [
        strict_encodings_ok(public, signature) and nacl_backend(public, message, signature)
        for public, message, signature in items
    ]


class Pool:
    """Verify batches on a bounded number of threads, and count what was verified."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.checked = 0
        self.bad = 0
        self._limiter = trio.CapacityLimiter(max(1, threads))

    def verify_now(self, items: Sequence[SignatureItem]) -> list[bool]:
        """Verify inline: for gossip, whose verdict cannot wait."""
        return self._count(verify_inline(items))

    async def verify(self, items: Sequence[SignatureItem]) -> list[bool]:
        """Verify a batch, off the main thread when it is worth it."""
        if self.threads == 0 or len(items) < POOL_ITEMS_MIN:
            return self._count(verify_inline(items))
        share = -(-len(items) // self.threads)
        size = min(SLICE_ITEMS_MAX, max(SLICE_ITEMS_MIN, share))
        slices = [items[i : i + size] for i in range(0, len(items), size)]
        answers: list[list[bool]] = [[] for _ in slices]

        async def check(place: int) -> None:
            answers[place] = await trio.to_thread.run_sync(
                partial(verify_inline, slices[place]), limiter=self._limiter
            )

        async with trio.open_nursery() as nursery:
            for place in range(len(slices)):
                nursery.start_soon(check, place)
        return self._count([ok for answer in answers for ok in answer])

    def _count(self, verdicts: list[bool]) -> list[bool]:
        self.checked += len(verdicts)
        self.bad += verdicts.count(False)
        return verdicts
