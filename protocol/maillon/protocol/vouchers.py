"""Numbered paper cheques: their bytes, their id, what is printed and typed (spec/08-persons).

    voucher = [1, fed, coop, account, book, number, secret]
    id      = SHA-256("maillon/1/voucher" 0x00 [1, fed, coop, account, book, number])
    ref     = SHA-256("maillon/1/voucher-ref" 0x00 id)          of the one payment that it makes

The paper carries the voucher as a QR code, and number and code for typing. Whoever has the secret
has the paper; the issuing coop's node keeps a hash of it alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.protocol.cards import TextDamaged
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import Malformed, WrongVersion
from maillon.protocol.ids import ID_BYTES, PERSON_BYTES
from maillon.protocol.limits import VOUCHER_BYTES_MAX, VOUCHER_NUMBER_MAX

VERSION: Final = 1
SECRET_BYTES: Final = 16
BOOK_BYTES: Final = 16
TEXT_SCHEME: Final = "MAILLON:V1:"
"""Before the voucher in base 32: capitals and digits make a QR code smaller."""
_CHECKSUM_BYTES: Final = 4
_CODE_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U, which are read as other characters."""
_CODE_CHARACTERS: Final = 30
_CODE_GROUP: Final = 5
_CHECK_BITS: Final = _CODE_CHARACTERS * 5 - SECRET_BYTES * 8
_READ_AS: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V"})


@dataclass(frozen=True, slots=True)
class Voucher:
    """A cheque of an account (16 bytes) of a coop; `number` from 1 is unique in its account.

    Raises: Malformed for parts of another size.
    """

    fed: bytes
    coop: bytes
    account: bytes
    book: bytes
    number: int
    secret: bytes

    def __post_init__(self) -> None:
        sizes = (
            (self.fed, ID_BYTES),
            (self.coop, ID_BYTES),
            (self.account, PERSON_BYTES),
            (self.book, BOOK_BYTES),
            (self.secret, SECRET_BYTES),
        )
        for part, size in sizes:
            if type(part) is not bytes or len(part) != size:
                raise Malformed(rule="voucher")
        if type(self.number) is not int or not 1 <= self.number <= VOUCHER_NUMBER_MAX:
            raise Malformed(rule="voucher_number")

    @property
    def id(self) -> bytes:
        """Return what names the cheque without telling its secret."""
        return voucher_id(self.fed, self.coop, self.account, self.book, self.number)

    @property
    def ref(self) -> bytes:
        """Return the ref of the one payment that the cheque can make."""
        return voucher_ref(self.id)

    def encode(self) -> bytes:
        """Return the voucher's bytes."""
        return encode(
            [VERSION, self.fed, self.coop, self.account, self.book, self.number, self.secret],
            bytes_max=VOUCHER_BYTES_MAX,
        )

    def text(self) -> str:
        """Return what the QR code says."""
        data = self.encode()
        checked = data + _checksum(data)
        return TEXT_SCHEME + base64.b32encode(checked).rstrip(b"=").decode("ascii")

    def code(self) -> str:
        """Return what is typed together with the number: thirty characters, in fives."""
        return secret_code(self.number, self.secret)


def voucher_id(fed: bytes, coop: bytes, account: bytes, book: bytes, number: int) -> bytes:
    """Return SHA-256("maillon/1/voucher" 0x00 [1, fed, coop, account, book, number])."""
    body = encode([VERSION, fed, coop, account, book, number], bytes_max=VOUCHER_BYTES_MAX)
    return hashlib.sha256(b"maillon/1/voucher\0" + body).digest()


def voucher_ref(id: bytes) -> bytes:
    """Return SHA-256("maillon/1/voucher-ref" 0x00 id): the ref of the payment."""
    return hashlib.sha256(b"maillon/1/voucher-ref\0" + id).digest()


def secret_hash(secret: bytes) -> bytes:
    """Return what the issuing node keeps: SHA-256("maillon/1/voucher-secret" 0x00 secret)."""
    return hashlib.sha256(b"maillon/1/voucher-secret\0" + secret).digest()


def secret_fits(secret: bytes, kept: bytes) -> bool:
    """Tell whether a secret is the one that was kept, in a time that says nothing."""
    return hmac.compare_digest(secret_hash(secret), kept)


def decode_voucher(data: bytes) -> Voucher:
    """Read a voucher's bytes. Raises: Malformed and its kinds, WrongVersion."""
    value = decode(data, bytes_max=VOUCHER_BYTES_MAX)
    if type(value) is not list or not value:
        raise Malformed(rule="voucher")
    parts = cast("list[Any]", value)
    if type(parts[0]) is int and parts[0] != VERSION:
        raise WrongVersion(got=parts[0], supported=VERSION)
    if len(parts) != 7 or type(parts[0]) is not int:
        raise Malformed(rule="voucher")
    return Voucher(*parts[1:])


def voucher_from_text(text: str) -> Voucher:
    """Read what a QR code says. Raises: TextDamaged, Malformed, WrongVersion."""
    packed = "".join(text.split()).upper()
    if not packed.startswith(TEXT_SCHEME):
        raise TextDamaged()
    packed = packed[len(TEXT_SCHEME) :]
    try:
        data = base64.b32decode(packed + "=" * (-len(packed) % 8))
    except ValueError:
        raise TextDamaged() from None
    whole = base64.b32encode(data).rstrip(b"=").decode("ascii") == packed
    data, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if not whole or checksum != _checksum(data):
        raise TextDamaged()
    return decode_voucher(data)


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(TEXT_SCHEME.encode() + data).digest()[:_CHECKSUM_BYTES]


def secret_code(number: int, secret: bytes) -> str:
    """Return the code that is printed beside the number: the secret and 22 bits that check both."""
    value = int.from_bytes(secret, "big") << _CHECK_BITS | _check(number, secret)
    letters = [
        _CODE_ALPHABET[value >> 5 * place & 31] for place in reversed(range(_CODE_CHARACTERS))
    ]
    return "-".join(
        "".join(letters[start : start + _CODE_GROUP])
        for start in range(0, _CODE_CHARACTERS, _CODE_GROUP)
    )


def secret_from_code(number: int, code: str) -> bytes:
    """Return the secret that somebody typed with its number; I, L, O and U are forgiven.

    Raises: TextDamaged when a character, or the number, is another than what was printed.
    """
    packed = "".join(c for c in code.upper() if c not in " -").translate(_READ_AS)
    if len(packed) != _CODE_CHARACTERS or set(packed) - set(_CODE_ALPHABET):
        raise TextDamaged()
    value = 0
    for letter in packed:
        value = value << 5 | _CODE_ALPHABET.index(letter)
    secret = (value >> _CHECK_BITS).to_bytes(SECRET_BYTES, "big")
    if not 1 <= number <= VOUCHER_NUMBER_MAX or value & ((1 << _CHECK_BITS) - 1) != _check(
        number, secret
    ):
        raise TextDamaged()
    return secret


def _check(number: int, secret: bytes) -> int:
    digest = hashlib.sha256(b"maillon/1/voucher-code\0" + number.to_bytes(8, "big") + secret)
    return int.from_bytes(digest.digest()[:4], "big") >> 32 - _CHECK_BITS
