"""Fuzz what reads keys, signatures, words and key files (spec/02)."""

from __future__ import annotations

from collections.abc import Callable

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from maillon.protocol import keyfile, keys, words
from maillon.protocol.errors import DamagedKeyFile, WordsError, WrongPassword
from support.vectors import load


def _libsodium(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(public).verify(message, signature)
    except (CryptoError, ValueError):
        return False
    return True


def verifiers_agree(data: bytes) -> None:
    """Under the rule, two libraries give one answer (32 bytes of key, 64 of signature, a text)."""
    public, signature, message = data[:32], data[32:96], data[96:]
    answers = {
        keys.signature_ok(public, message, signature, backend)
        for backend in (keys.cryptography_backend, _libsodium)
    }
    assert len(answers) == 1


def typed_words(data: bytes) -> None:
    """Text is refused with a position within it, or stands for what its words stand for."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        entropy = words.from_words(text)
    except WordsError as error:
        assert error.position is None or 1 <= error.position <= 24
        return
    assert words.from_words(" ".join(words.to_words(entropy, "fr"))) == entropy


def key_file(data: bytes) -> None:
    """A file is refused as damaged, or a password is tried on it. No other outcome is likely."""
    try:
        # Bytes that nobody sealed pass the checks seldom enough for Argon2id not to be in the way.
        keyfile.open_key(data, b"password")
    except (DamagedKeyFile, WrongPassword):
        return
    raise AssertionError("a password that nobody chose has opened a file")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "verifiers_agree": verifiers_agree,
    "typed_words": typed_words,
    "key_file": key_file,
}
SEEDS: dict[str, list[bytes]] = {
    "verifiers_agree": [
        b"".join(bytes.fromhex(vector[part]) for part in ("public", "signature", "message"))
        for vector in load("verification.json")["vectors"]
        if vector["rule"] != "length"
    ],
    "typed_words": [vector["text"].encode() for vector in load("words.json")["typed"]],
    # Whole files are left out: each try would cost a key derivation.
    "key_file": [
        bytes.fromhex(vector["bytes"])
        for vector in load("keyfile.json")["vectors"]
        if vector["expect"] == "damaged_key_file"
    ],
}
