"""Verify signatures with libsodium when it is there, twice as fast, else with OpenSSL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from maillon.ledger.signing import Check, Verify, inline_verify
from maillon.protocol.keys import strict_encodings_ok

_SLICE = 128


def best_verify() -> tuple[Verify, str]:
    """Return the fastest verification this installation has, and the name of what does it.

    Both give the same answers: the byte rules of spec/02 come first.
    """
    try:
        from nacl import bindings
        from nacl.exceptions import CryptoError
    except ImportError:
        return inline_verify, "OpenSSL"
    opened: Callable[[bytes, bytes], bytes] = bindings.crypto_sign_open

    def one(public: bytes, message: bytes, signature: bytes) -> bool:
        if not strict_encodings_ok(public, signature):
            return False
        try:
            opened(signature + message, public)
        except (CryptoError, ValueError):
            return False
        return True

    return lambda checks: [one(*check) for check in checks], "libsodium"


def threaded(verify: Verify, threads: int) -> Verify:
    """Return a verification that shares a batch out over threads; libsodium frees the interpreter.

    With one thread it is `verify` itself.
    """
    if threads < 2:
        return verify
    pool = ThreadPoolExecutor(threads, "audit")

    def together(checks: Sequence[Check]) -> list[bool]:
        parts = [checks[i : i + _SLICE] for i in range(0, len(checks), _SLICE)]
        return [good for part in pool.map(verify, parts) for good in part]

    return together
