"""Seal the steps of an exchange in letters, and read the frames that carry them (spec/08-letters).

    letter = [header bytes, sealed bytes]
    header = [1, fed, from coop, to coop, to key, thread, n, at, until, size]
    id     = SHA-256("maillon/1/letter" 0x00 header bytes sealed bytes)
    sealed = HPKE(to key, info = "maillon/1/letter" 0x00 header bytes, plaintext)

A letter is not signed: the connection proves the coop it comes from, and what is in it is signed.
Nodes on the way see who writes to which key of which coop, when, and a length in steps of 512.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable, Value
from maillon.protocol.errors import EncodingError, LifetimeTooLong, Malformed, WrongVersion
from maillon.protocol.ids import ID_BYTES, KEY_BYTES
from maillon.protocol.keys import SEALING_BYTES, SealingKey, seal_to
from maillon.protocol.limits import (
    INT_MAX,
    LETTER_BYTES_MAX,
    LETTER_HEADER_BYTES_MAX,
    LETTER_ITEMS_MAX,
    LETTER_LIFETIME_S_MAX,
    LETTER_PADDING_BYTES,
    LETTER_PLAIN_BYTES_MAX,
    RECORD_BYTES_MAX,
    THREAD_BYTES,
)

VERSION: Final = 1

ITEM_STEP: Final = 1
"""A record of a private kind: a step of an exchange."""

ITEM_VOUCHER: Final = 2
"""A record that says who may sign: a membership, a mandate, a move."""

ITEM_ATTESTATION: Final = 3
"""An attestation kept back so far, with the time from which it may be published."""

ITEM_APP: Final = 4
"""Bytes that two programs agreed on; others pass them over."""

Sealer = Callable[[bytes, bytes, bytes], bytes]
"""`sealer(public, info, plaintext)` returns the sealed bytes."""

_LETTER: Final = b"maillon/1/letter\0"
_THREAD: Final = b"maillon/1/thread\0"

# The array around a plaintext: [1, items, padding] begins with one byte for itself and one for the
# version. The padding's own length takes 2 bytes up to 255 of it, and 3 beyond.
_SHORT_BIN_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a letter; `release` (Unix seconds) only for ITEM_ATTESTATION."""

    kind: int
    data: bytes
    release: int = 0


@dataclass(frozen=True, slots=True)
class LetterHeader:
    """What everybody on the way sees of a letter.

    `thread` (16 bytes) names the letters that are to arrive in the order of `n`; `at` and `until`
    are Unix seconds by the sending node's clock; `size` is the length of the sealed bytes.
    """

    fed: bytes
    from_coop: bytes
    to_coop: bytes
    to_key: bytes
    thread: bytes
    n: int
    at: int
    until: int
    size: int

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return encoding.encode(
            [
                VERSION, self.fed, self.from_coop, self.to_coop, self.to_key, self.thread, self.n,
                self.at, self.until, self.size,
            ],
            bytes_max=LETTER_HEADER_BYTES_MAX,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Letter:
    """A sealed letter."""

    id: bytes
    header: LetterHeader
    header_bytes: bytes
    sealed: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return encoding.encode([self.header_bytes, self.sealed], bytes_max=LETTER_BYTES_MAX)


def letter_id(header_bytes: bytes, sealed: bytes) -> bytes:
    """Return the id of a letter, 32 bytes."""
    return hashlib.sha256(_LETTER + header_bytes + sealed).digest()


def thread_id(exchange: bytes, to_key: bytes, era: bytes) -> bytes:
    """Return the name of the thread that carries an exchange to one key, 16 bytes.

    `era` is 16 random bytes that the sending node drew when it began to count, and draws anew when
    it was brought back from a copy: the numbers it gave since the copy was made are not given
    twice.
    """
    return hashlib.sha256(_THREAD + exchange + to_key + era).digest()[:THREAD_BYTES]


# --- sealing ------------------------------------------------------------------------------------


def plaintext(items: Sequence[Item]) -> bytes:
    """Return the padded bytes that are sealed.

    Raises: EncodingError for no items, too many, one that is too long, or all of them (rules
    `items`, `item`, `letter_length`).
    """
    if not 1 <= len(items) <= LETTER_ITEMS_MAX:
        raise EncodingError("A letter holds 1 to 64 items.", rule="items", got=len(items))
    rows: list[Encodable] = []
    for item in items:
        if not _item_ok(item):
            raise EncodingError("An item of the letter is empty or too long.", rule="item")
        row: list[Encodable] = [item.kind, item.data]
        if item.kind == ITEM_ATTESTATION:
            row.append(item.release)
        rows.append(row)
    try:
        bare = len(encoding.encode([VERSION, rows])) + 2
    except EncodingError:
        raise EncodingError("The letter is too long.", rule="letter_length") from None
    total = -(-bare // LETTER_PADDING_BYTES) * LETTER_PADDING_BYTES
    if total - bare == _SHORT_BIN_MAX + 1:
        # 256 bytes are missing, and no padding takes exactly so many more: with 255 it is one
        # short, with 256 its own length has grown.
        total += LETTER_PADDING_BYTES
    if total > LETTER_PLAIN_BYTES_MAX:
        raise EncodingError(
            "The letter is too long.", rule="letter_length", got=bare, limit=LETTER_PLAIN_BYTES_MAX
        )
    padding = total - bare if total - bare <= _SHORT_BIN_MAX else total - bare - 1
    return encoding.encode([VERSION, rows, bytes(padding)], bytes_max=LETTER_PLAIN_BYTES_MAX)


def _item_ok(item: Item) -> bool:
    if item.kind < 1 or not item.data or (item.release and item.kind != ITEM_ATTESTATION):
        return False
    if item.kind in (ITEM_STEP, ITEM_VOUCHER, ITEM_ATTESTATION):
        return len(item.data) <= RECORD_BYTES_MAX and 0 <= item.release <= INT_MAX
    return True


def seal(
    *,
    fed: bytes,
    from_coop: bytes,
    to_coop: bytes,
    to_key: bytes,
    thread: bytes,
    n: int,
    at: int,
    until: int,
    items: Sequence[Item],
    sealer: Sealer = seal_to,
) -> Letter:
    """Seal items to a key; another `sealer` than the library's is for vectors and simulations.

    Raises: EncodingError for items that do not fit; LifetimeTooLong; BadKey when `to_key` cannot be
    a sealing key.
    """
    plain = plaintext(items)
    size = len(plain) + SEALING_BYTES
    header = LetterHeader(fed, from_coop, to_coop, to_key, thread, n, at, until, size)
    _require_life(header)
    header_bytes = header.encode()
    sealed = sealer(to_key, _LETTER + header_bytes, plain)
    return Letter(letter_id(header_bytes, sealed), header, header_bytes, sealed)


# --- reading ------------------------------------------------------------------------------------


def decode_letter(data: bytes) -> Letter:
    """Read a letter, without opening it.

    Raises: Malformed (rules `letter`, `letter_header`, `letter_size`), NotCanonical, TooLarge,
    WrongVersion, LifetimeTooLong.
    """
    header_bytes, sealed = letter_parts(data)
    header = _decode_header(header_bytes)
    if header.size != len(sealed):
        raise Malformed("The letter is not as long as it says.", rule="letter_size")
    plain = len(sealed) - SEALING_BYTES
    if plain <= 0 or plain > LETTER_PLAIN_BYTES_MAX or plain % LETTER_PADDING_BYTES:
        raise Malformed("The letter has a length that none has.", rule="letter_size")
    return Letter(letter_id(header_bytes, sealed), header, header_bytes, sealed)


def letter_parts(data: bytes) -> tuple[bytes, bytes]:
    """Return the header's bytes and the sealed bytes: enough for the id, whatever the version.

    Raises: Malformed (rule `letter`), NotCanonical, TooLarge.
    """
    found = encoding.decode(data, bytes_max=LETTER_BYTES_MAX)
    if type(found) is not list or len(found) != 2:
        raise Malformed("The letter is no pair.", rule="letter")
    header_bytes, sealed = found
    if type(header_bytes) is not bytes or type(sealed) is not bytes:
        raise Malformed("The letter is no pair of bytes.", rule="letter")
    return header_bytes, sealed


def _decode_header(data: bytes) -> LetterHeader:
    found = encoding.decode(data, bytes_max=LETTER_HEADER_BYTES_MAX)
    if type(found) is not list or not found or type(found[0]) is not int:
        raise Malformed("The letter's header is no versioned array.", rule="letter_header")
    if found[0] != VERSION:
        raise WrongVersion(got=found[0], known=VERSION)
    if len(found) != 10:
        raise Malformed("The letter's header has another length.", rule="letter_header")
    fed, from_coop, to_coop, to_key, thread = (
        _bytes(part, size)
        for part, size in zip(
            found[1:6], (ID_BYTES, ID_BYTES, ID_BYTES, KEY_BYTES, THREAD_BYTES), strict=True
        )
    )
    n, at, until, size = (_natural(part) for part in found[6:])
    header = LetterHeader(fed, from_coop, to_coop, to_key, thread, n, at, until, size)
    _require_life(header)
    return header


def _require_life(header: LetterHeader) -> None:
    if not 0 < header.until - header.at <= LETTER_LIFETIME_S_MAX:
        raise LifetimeTooLong(at=header.at, until=header.until, limit=LETTER_LIFETIME_S_MAX)


def _bytes(value: Value, size: int) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise Malformed("A part of the letter's header is wrong.", rule="letter_header")
    return value


def _natural(value: Value) -> int:
    if type(value) is not int or value < 0:
        raise Malformed("A number of the letter's header is wrong.", rule="letter_header")
    return value


def open_letter(letter: Letter, key: SealingKey) -> tuple[Item, ...]:
    """Open a letter with the key it was sealed to; items of kinds not known here are left out.

    Raises: CannotOpen; Malformed (rules `plaintext`, `item`, `padding`), NotCanonical, TooLarge,
    WrongVersion when whoever sealed it did not keep to the form.
    """
    plain = key.open(letter.sealed, _LETTER + letter.header_bytes)
    found = encoding.decode(plain, bytes_max=LETTER_PLAIN_BYTES_MAX)
    if type(found) is not list or not found or type(found[0]) is not int:
        raise Malformed("The letter holds no versioned array.", rule="plaintext")
    if found[0] != VERSION:
        raise WrongVersion(got=found[0], known=VERSION)
    if len(found) != 3 or type(found[1]) is not list or type(found[2]) is not bytes:
        raise Malformed("The letter holds no items and padding.", rule="plaintext")
    if any(found[2]):
        raise Malformed("The padding is not of zeros.", rule="padding")
    if not 1 <= len(found[1]) <= LETTER_ITEMS_MAX:
        raise Malformed("The letter holds no items, or too many.", rule="plaintext")
    items = [_item(row) for row in found[1]]
    return tuple(item for item in items if item is not None)


def _item(row: Value) -> Item | None:
    if type(row) is not list or len(row) < 2 or type(row[0]) is not int:
        raise Malformed("An item of the letter is no list.", rule="item")
    if not ITEM_STEP <= row[0] <= ITEM_APP:
        return None
    data = row[1]
    with_release = row[0] == ITEM_ATTESTATION
    if type(data) is not bytes or len(row) != (3 if with_release else 2):
        raise Malformed("An item of the letter has another form.", rule="item")
    release = row[2] if with_release else 0
    if type(release) is not int or release < 0:
        raise Malformed("An item of the letter has another form.", rule="item")
    item = Item(row[0], data, release)
    if not _item_ok(item):
        raise Malformed("An item of the letter is empty or too long.", rule="item")
    return item
