"""Verify signatures with libsodium when it is there, twice as fast, else with OpenSSL."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from maillon.ledger.signing import Check, Verify, inline_verify
from maillon.protocol.keys import strict_encodings_ok

_SLICE = 128


def best_verify() -> tuple[Verify, str]:
    """Return the fastest verification this installation has, and the name of what does it.

    All give the same answers: the byte rules of spec/02 come first.
    """
    opened = _libsodium()
    if opened is None:
        return inline_verify, "OpenSSL"

    def verify(checks: Sequence[Check]) -> list[bool]:
        return [
            strict_encodings_ok(public, signature) and opened(public, message, signature)
            for public, message, signature in checks
        ]

    return verify, "libsodium"


def _libsodium() -> Callable[[bytes, bytes, bytes], bool] | None:
    """Return what checks the equation with libsodium; None when it is not installed.

    Key and signature have their lengths already.
    """
    try:
        from nacl import bindings
        from nacl.exceptions import CryptoError
    except ImportError:
        return None
    try:
        # What PyNaCl's own function calls, without the copies of the message that nobody reads:
        # 2 µs of 50. The module is PyNaCl's own affair, so there is another way when it is gone.
        sodium: Any = importlib.import_module("nacl._sodium")
        check: Callable[[Any, Any, bytes, int, bytes], int] = sodium.lib.crypto_sign_open
        null = sodium.ffi.NULL
    except (ImportError, AttributeError):
        bound: Callable[[bytes, bytes], bytes] = bindings.crypto_sign_open

        def plain(public: bytes, message: bytes, signature: bytes) -> bool:
            try:
                bound(signature + message, public)
            except (CryptoError, ValueError):
                return False
            return True

        return plain

    def straight(public: bytes, message: bytes, signature: bytes) -> bool:
        signed = signature + message
        return check(null, null, signed, len(signed), public) == 0

    return straight


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
