"""Bring an own key: the code on paper, and what keys sign for it (spec/08-persons).

    code    = 20 characters: 24 bits that name it, 64 that open it, 12 that check both
    claim   = [1, fed, coop, code hash, key, sealing]            by the new key, purpose "claim"
    device  = [1, fed, coop, person, key, sealing, until]        by an older key, purpose "device"
    ticket  = [1, fed, author, coop to, key, sealing, at, until] by the moving key, purpose "ticket"
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.protocol.cards import TextDamaged
from maillon.protocol.encoding import decode, encode
from maillon.protocol.errors import Malformed, WrongVersion
from maillon.protocol.ids import ID_BYTES, KEY_BYTES, SIGNATURE_BYTES
from maillon.protocol.keys import verify
from maillon.protocol.limits import INT_MAX, TICKET_BYTES_MAX, TICKET_PACK_BYTES_MAX

VERSION: Final = 1
CLAIM_PURPOSE: Final = "claim"
DEVICE_PURPOSE: Final = "device"
TICKET_PURPOSE: Final = "ticket"

NAME_BYTES: Final = 3
SECRET_BYTES: Final = 8
_CHECK_BITS: Final = 12
_CHARACTERS: Final = 20
_GROUP: Final = 5
TICKET_SCHEME: Final = "MAILLON:M1:"
_CHECKSUM_BYTES: Final = 4
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V"})
AUTHOR_BYTES: Final = 49


@dataclass(frozen=True, slots=True)
class ClaimCode:
    """A code with which a person brings a key of their own: its name (3 bytes) and secret (8)."""

    name: bytes
    secret: bytes

    def text(self) -> str:
        """Return the code as it is printed, in groups of five."""
        value = int.from_bytes(self.name + self.secret, "big") << _CHECK_BITS | self._check()
        letters = [_ALPHABET[value >> 5 * place & 31] for place in reversed(range(_CHARACTERS))]
        return "-".join(
            "".join(letters[start : start + _GROUP]) for start in range(0, _CHARACTERS, _GROUP)
        )

    def _check(self) -> int:
        digest = hashlib.sha256(b"maillon/1/claim-code\0" + self.name + self.secret).digest()
        return int.from_bytes(digest[:2], "big") >> 16 - _CHECK_BITS

    @property
    def hash(self) -> bytes:
        """Return what stands for the code in a signature, and where it is kept."""
        return hashlib.sha256(b"maillon/1/claim\0" + self.name + self.secret).digest()


def claim_code(text: str) -> ClaimCode:
    """Read a code that somebody typed; I, L, O and U are forgiven. Raises: TextDamaged."""
    packed = "".join(c for c in text.upper() if c not in " -").translate(_READ_AS)
    if len(packed) != _CHARACTERS or set(packed) - set(_ALPHABET):
        raise TextDamaged()
    value = 0
    for letter in packed:
        value = value << 5 | _ALPHABET.index(letter)
    data = (value >> _CHECK_BITS).to_bytes(NAME_BYTES + SECRET_BYTES, "big")
    code = ClaimCode(data[:NAME_BYTES], data[NAME_BYTES:])
    if code.text().replace("-", "") != packed:
        raise TextDamaged()
    return code


def claim_body(fed: bytes, coop: bytes, code_hash: bytes, key: bytes, sealing: bytes) -> bytes:
    """Return what the new key signs to claim: that who has the code has the key as well."""
    return encode([VERSION, fed, coop, code_hash, key, sealing])


def device_body(
    fed: bytes, coop: bytes, person: bytes, key: bytes, sealing: bytes, until: int
) -> bytes:
    """Return what an older key of a person (16 bytes) signs to let another one in, once."""
    return encode([VERSION, fed, coop, person, key, sealing, until])


@dataclass(frozen=True, slots=True)
class Ticket:
    """A person's word, signed with the key they keep, that they move to another coop.

    `author` is who they were (49 bytes), `to_coop` where they go, `signature` by `key`.
    """

    fed: bytes
    author: bytes
    to_coop: bytes
    key: bytes
    sealing: bytes
    at: int
    until: int
    signature: bytes = b""

    def body(self) -> bytes:
        """Return what is signed."""
        return encode(
            [
                VERSION,
                self.fed,
                self.author,
                self.to_coop,
                self.key,
                self.sealing,
                self.at,
                self.until,
            ],
            bytes_max=TICKET_BYTES_MAX,
        )

    def encode(self) -> bytes:
        """Return the ticket's bytes."""
        return encode([self.body(), self.signature], bytes_max=TICKET_BYTES_MAX)

    def verify(self) -> None:
        """Return when the key signed it. Raises: BadKey, BadSignature."""
        verify(self.key, TICKET_PURPOSE, self.body(), self.signature)


def decode_ticket(data: bytes) -> Ticket:
    """Read a ticket; its signature is not looked at. Raises: Malformed and its kinds."""
    frame = decode(data, bytes_max=TICKET_BYTES_MAX)
    if type(frame) is not list or len(frame) != 2 or type(frame[0]) is not bytes:
        raise Malformed(rule="ticket")
    body = frame[0]
    signature: Any = frame[1]
    value = decode(body, bytes_max=TICKET_BYTES_MAX)
    if type(value) is not list or len(value) != 8:
        raise Malformed(rule="ticket")
    parts = cast("list[Any]", value)
    if parts[0] != VERSION:
        raise WrongVersion(got=parts[0], supported=VERSION)
    sizes = (ID_BYTES, AUTHOR_BYTES, ID_BYTES, KEY_BYTES, KEY_BYTES)
    for part, size in zip((*parts[1:6], signature), (*sizes, SIGNATURE_BYTES), strict=True):
        if type(part) is not bytes or len(part) != size:
            raise Malformed(rule="ticket")
    for time in parts[6:]:
        if type(time) is not int or not 0 <= time <= INT_MAX:
            raise Malformed(rule="ticket")
    fed, author, to_coop, key, sealing, at, until = parts[1:]
    return Ticket(fed, author, to_coop, key, sealing, at, until, signature)


def ticket_text(ticket: bytes, sealed: bytes) -> str:
    """Return a ticket, with a sealed key or b"" beside it, as text for paper."""
    data = encode([ticket, sealed], bytes_max=TICKET_PACK_BYTES_MAX)
    checked = data + hashlib.sha256(TICKET_SCHEME.encode() + data).digest()[:_CHECKSUM_BYTES]
    return TICKET_SCHEME + base64.b32encode(checked).rstrip(b"=").decode("ascii")


def ticket_from_text(text: str) -> tuple[bytes, bytes]:
    """Read such a text. Raises: TextDamaged."""
    packed = "".join(text.split()).upper()
    if not packed.startswith(TICKET_SCHEME):
        raise TextDamaged()
    packed = packed[len(TICKET_SCHEME) :]
    try:
        data = base64.b32decode(packed + "=" * (-len(packed) % 8))
    except ValueError:
        raise TextDamaged() from None
    data, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if checksum != hashlib.sha256(TICKET_SCHEME.encode() + data).digest()[:_CHECKSUM_BYTES]:
        raise TextDamaged()
    match decode(data, bytes_max=TICKET_PACK_BYTES_MAX):
        case [bytes(ticket), bytes(sealed)]:
            return ticket, sealed
        case _:
            raise TextDamaged()
