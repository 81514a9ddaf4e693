"""Verify signatures with libsodium: inline for a few, on two threads for many.

PyNaCl verifies twice as fast as OpenSSL and releases the interpreter's lock while it does. The
strict byte rules of spec/02 come first, so that both libraries answer the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import trio
from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from maillon.node.ports import SignatureItem
from maillon.protocol.keys import strict_encodings_ok

# Handing work to a thread costs about as much as verifying one signature.
POOL_ITEMS_MIN = 16
# Large enough to hide that cost, small enough that all threads are busy to the end.
SLICE_ITEMS_MIN = 32
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


class Verdicts:
    """The answers to one batch, on their way from the threads that verify it."""

    def __init__(
        self, parts: Sequence[Future[list[bool]]], count: Callable[[list[bool]], list[bool]]
    ) -> None:
        self._parts = parts
        self._count = count
        self._left = len(parts)
        self._ready = trio.Event()
        if all(part.done() for part in parts):
            self._ready.set()
            return
        token = trio.lowlevel.current_trio_token()

        def done(_part: Future[list[bool]]) -> None:
            # In the thread that verified; the loop may have ended meanwhile.
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(self._part_done)

        for part in parts:
            part.add_done_callback(done)

    def _part_done(self) -> None:
        self._left -= 1
        if not self._left:
            self._ready.set()

    @property
    def done(self) -> bool:
        """Say whether `wait` would not have to wait."""
        return self._ready.is_set()

    async def wait(self) -> list[bool]:
        """Return the answers, in the order of what was asked. Call it once."""
        await self._ready.wait()
        return self._count([ok for part in self._parts for ok in part.result()])


class Pool:
    """Verify batches on a bounded number of threads, and count what was verified."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.checked = 0
        self.bad = 0
        # Starts no thread before there is work.
        self._workers = ThreadPoolExecutor(max(1, threads), "verify")

    def verify_now(self, items: Sequence[SignatureItem]) -> list[bool]:
        """Verify inline: for gossip, whose verdict cannot wait."""
        return self._count(verify_inline(items))

    def begin(self, items: Sequence[SignatureItem]) -> Verdicts:
        """Begin to verify a batch, off the main thread when it is worth it."""
        if self.threads == 0 or len(items) < POOL_ITEMS_MIN:
            here: Future[list[bool]] = Future()
            here.set_result(verify_inline(items))
            return Verdicts([here], self._count)
        share = -(-len(items) // self.threads)
        size = min(SLICE_ITEMS_MAX, max(SLICE_ITEMS_MIN, share))
        slices = [items[i : i + size] for i in range(0, len(items), size)]
        return Verdicts([self._workers.submit(verify_inline, part) for part in slices], self._count)

    async def verify(self, items: Sequence[SignatureItem]) -> list[bool]:
        """Verify a batch and wait for it."""
        return await self.begin(items).wait()

    def _count(self, verdicts: list[bool]) -> list[bool]:
        self.checked += len(verdicts)
        self.bad += verdicts.count(False)
        return verdicts
