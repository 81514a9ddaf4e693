"""Seal a secret under a password, and open it again (spec/02, "Key files").

Argon2id (RFC 9106) makes guessing the password expensive, ChaCha20-Poly1305 (RFC 8439) seals. The
bytes are one canonical map. Whoever calls reads and writes files, and draws salt and nonce.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from maillon.protocol import encoding
from maillon.protocol.errors import (
    BadSecret,
    DamagedKeyFile,
    LocalError,
    Malformed,
    WrongPassword,
)
from maillon.protocol.limits import (
    KEYFILE_BYTES_MAX,
    KEYFILE_ITERATIONS_MAX,
    KEYFILE_LANES_MAX,
    KEYFILE_MEMORY_KIB_MAX,
    KEYFILE_MEMORY_KIB_MIN,
    KEYFILE_SECRET_BYTES_MAX,
    PASSWORD_BYTES_MAX,
)

VERSION: Final = 1
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_CHECK_BYTES: Final = 8
_KIND: Final = "maillon_key"
_FIELDS: Final = frozenset(
    ("check", "kind", "lanes", "memory_kib", "nonce", "passes", "salt", "sealed", "v")
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Say what one guess at the password costs: Argon2id's memory, passes and lanes."""

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4

    def within_bounds(self) -> bool:
        """Say whether a reader is ready to pay: a file from elsewhere must not exhaust it."""
        return (
            KEYFILE_MEMORY_KIB_MIN <= self.memory_kib <= KEYFILE_MEMORY_KIB_MAX
            and 1 <= self.passes <= KEYFILE_ITERATIONS_MAX
            and 1 <= self.lanes <= KEYFILE_LANES_MAX
        )


DEFAULT_COST: Final = Cost()
"""64 MiB, 3 passes, 4 lanes: RFC 9106's second recommendation, about a tenth of a second."""


def password_bytes(password: str) -> bytes:
    """Return the bytes of a password as typed, the same from every keyboard.

    An é may be typed as one character or as two, and spaces come in several kinds: the text is put
    in NFC and every space made U+0020 (RFC 8265, OpaqueString). Raises: LocalError when it is empty
    or too long.
    """
    if len(password) > PASSWORD_BYTES_MAX:
        raise _password_length()
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in password)
    try:
        encoded = unicodedata.normalize("NFC", spaced).encode()
    except UnicodeEncodeError:
        raise LocalError("The password holds half a character.") from None
    _check_password(encoded)
    return encoded


def seal_key(
    secret: bytes,
    password: bytes,
    *,
    salt: bytes,
    nonce: bytes,
    cost: Cost = DEFAULT_COST,
) -> bytes:
    """Return the contents of a key file.

    `salt` (16 bytes) and `nonce` (12 bytes) are random, and never used twice.
    Raises: BadSecret, LocalError when password or cost are out of bounds.
    """
    if not 0 < len(secret) <= KEYFILE_SECRET_BYTES_MAX:
        raise BadSecret(length=len(secret), limit=KEYFILE_SECRET_BYTES_MAX)
    if len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise LocalError("A key file takes a salt of 16 bytes and a nonce of 12.")
    if not cost.within_bounds():
        raise LocalError("No reader would pay this cost to open the key file.", cost=cost)
    _check_password(password)
    public = _public_part(cost, salt, nonce)
    # The cost parameters are authenticated with the secret: nobody makes guessing cheaper unseen.
    sealed = ChaCha20Poly1305(_key(password, salt, cost)).encrypt(
        nonce, secret, encoding.encode(public)
    )
    contents: dict[str, encoding.Value] = {**public, "sealed": sealed}
    return encoding.encode({**contents, "check": _check(contents)})


def open_key(data: bytes, password: bytes) -> bytes:
    """Return the secret in a key file.

    Raises: DamagedKeyFile when the bytes are not a whole key file or ask for more than a reader
    pays, found out before anything is spent; WrongPassword when they are and the password fails.
    """
    _check_password(password)
    contents, cost = _read(data)
    salt, nonce, sealed = contents["salt"], contents["nonce"], contents["sealed"]
    assert isinstance(salt, bytes) and isinstance(nonce, bytes) and isinstance(sealed, bytes)
    try:
        return ChaCha20Poly1305(_key(password, salt, cost)).decrypt(
            nonce, sealed, encoding.encode(_public_part(cost, salt, nonce))
        )
    except InvalidTag:
        raise WrongPassword(hint="Check the keyboard layout and try again.") from None


def _read(data: bytes) -> tuple[dict[str, encoding.Value], Cost]:
    try:
        contents = encoding.decode(data, bytes_max=KEYFILE_BYTES_MAX)
    except Malformed as error:
        raise DamagedKeyFile(rule=error.rule) from None
    if not isinstance(contents, dict) or contents.get("kind") != _KIND:
        raise DamagedKeyFile("This is not a key file.", rule="kind")
    if contents.get("v") != VERSION or contents["v"] is True:
        raise DamagedKeyFile(
            "This key file is of another version.", rule="version", hint="Update the program."
        )
    if contents.keys() != _FIELDS:
        raise DamagedKeyFile(rule="fields")
    check = contents.pop("check")
    if check != _check(contents):
        # An error of the disk or of copying, told apart from a wrong password. It is no defence:
        # whoever changes a file on purpose computes it anew, and meets the seal.
        raise DamagedKeyFile(rule="check", hint="Take the copy you made of it.")
    memory, passes, lanes = contents["memory_kib"], contents["passes"], contents["lanes"]
    if type(memory) is not int or type(passes) is not int or type(lanes) is not int:
        raise DamagedKeyFile(rule="cost")
    cost = Cost(memory, passes, lanes)
    if not cost.within_bounds():
        raise DamagedKeyFile("Opening this key file would cost too much.", rule="cost")
    for field, least, most in (
        ("salt", SALT_BYTES, SALT_BYTES),
        ("nonce", NONCE_BYTES, NONCE_BYTES),
        ("sealed", _TAG_BYTES + 1, _TAG_BYTES + KEYFILE_SECRET_BYTES_MAX),
    ):
        part = contents[field]
        if type(part) is not bytes or not least <= len(part) <= most:
            raise DamagedKeyFile(rule=field)
    return contents, cost


def _public_part(cost: Cost, salt: bytes, nonce: bytes) -> dict[str, encoding.Value]:
    return {
        "kind": _KIND,
        "lanes": cost.lanes,
        "memory_kib": cost.memory_kib,
        "nonce": nonce,
        "passes": cost.passes,
        "salt": salt,
        "v": VERSION,
    }


def _check(contents: dict[str, encoding.Value]) -> bytes:
    return hashlib.sha256(encoding.encode(contents)).digest()[:_CHECK_BYTES]


def _key(password: bytes, salt: bytes, cost: Cost) -> bytes:
    return Argon2id(
        salt=salt,
        length=32,
        iterations=cost.passes,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    ).derive(password)


def _check_password(password: bytes) -> None:
    if not 0 < len(password) <= PASSWORD_BYTES_MAX:
        raise _password_length()


def _password_length() -> LocalError:
    return LocalError(
        "The password is empty or too long.", hint=f"Between 1 and {PASSWORD_BYTES_MAX} bytes."
    )
