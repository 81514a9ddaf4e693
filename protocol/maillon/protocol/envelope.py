"""Wrap a payload into a signed record, and take a record apart again (spec/03, "A record").

    record = [header bytes, signature, payload bytes]     payload left out once erased
    header = [v, kind, fed, coop, by, at, until, series, rev, body, size, as, refs]
    id     = SHA-256(header bytes)

The stages of a record are types, and one function makes each step:

    Draft --sign--> Signed --check_stateless--> Checked --check_context--> Valid
                    Signed <--decode_record-- bytes

`Signed` says that the bytes are canonical and that header and payload belong together; nothing is
said yet about the signature. The later steps are in `validation`.
"""

# Reading is on the path of every record of a federation, so the two arrays are read by hand instead
# of walking generic values: their layout is fixed, and each byte has only one right value.

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.errors import (
    BodyMismatch,
    LocalError,
    Malformed,
    NotCanonical,
    TooLarge,
    WrongVersion,
)
from maillon.protocol.ids import CoopId, FedId, Key, RecordId, SeriesId
from maillon.protocol.keys import SigningKey, signing_bytes
from maillon.protocol.limits import (
    HEADER_BYTES_MAX,
    INT_MAX,
    PAYLOAD_BYTES_MAX,
    RECORD_BYTES_MAX,
    REFS_MAX,
    REV_MAX,
)
from maillon.protocol.records import KINDS, WITHDRAWAL, derived_series, random_series

VERSION: Final = 1
PURPOSE: Final = "record"
_PREFIX: Final = signing_bytes(PURPOSE, b"")
_KIND_FORM: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")

_ID: Final = 32
_SIGNATURE: Final = 64
_SERIES: Final = 16
_BIN8: Final = 0xC4
_BIN16: Final = 0xC5
_SIGNATURE_HEAD: Final = bytes([_BIN8, _SIGNATURE])

# msgpack ships no types: it is given them here.
_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_pack = cast(
    "Callable[[object], bytes]",
    msgpack.Packer(use_bin_type=True, strict_types=True).pack,  # pyright: ignore[reportUnknownMemberType]
)
_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True)
class Header:
    """Say who says what kind of thing, until when, and commit to the payload.

    `fed`, `coop`, `by`, `body` are 32 bytes, `series` 16; `at` and `until` Unix seconds; `as_` is
    empty or the 32-byte thing id of a mandate; `size` is the payload's length in bytes.
    """

    v: int
    kind: str
    fed: FedId
    coop: CoopId
    by: Key
    at: int
    until: int
    series: SeriesId
    rev: int
    body: bytes
    size: int
    as_: bytes
    refs: tuple[RecordId, ...]

    def encode(self) -> bytes:
        """Return the canonical bytes that are hashed and signed."""
        return encode(
            [
                self.v, self.kind, self.fed, self.coop, self.by, self.at, self.until,
                self.series, self.rev, self.body, self.size, self.as_, list(self.refs),
            ],
            bytes_max=HEADER_BYTES_MAX,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A record as its author means it, not signed yet."""

    header: Header
    payload: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Signed:
    """A record whose bytes are canonical and whose parts belong together.

    Nothing is said yet about the signature. `payload` is None when it was erased (the record is
    header-only then). Values inside `payload` are shared, not copied: treat them as read-only.
    """

    header: Header
    header_bytes: bytes
    id: RecordId
    signature: bytes
    payload_bytes: bytes | None
    payload: dict[str, Value] | None

    def encode(self) -> bytes:
        """Return the record's bytes, with two parts when the payload was erased."""
        return _frame(self.header_bytes, self.signature, self.payload_bytes)

    def without_payload(self) -> Signed:
        """Return the header-only record: what stays after erasure."""
        return Signed(self.header, self.header_bytes, self.id, self.signature, None, None)


@dataclass(frozen=True, slots=True)
class Checked:
    """A record of this federation, rightly signed, in time, and of its kind's form."""

    signed: Signed


@dataclass(frozen=True, slots=True)
class Valid:
    """A record that passes against the view: the only stage that can be stored.

    `author` is the entity whose series it is (see `validation.author`), `thing` the 32-byte name
    of the thing through all its revisions, `role` the part the signing key played: "root", "node"
    or "member".
    """

    signed: Signed
    author: bytes
    thing: bytes
    role: str


def draft(
    kind: str,
    payload: dict[str, Value],
    *,
    fed: bytes,
    coop: bytes,
    by: bytes,
    at: int,
    until: int,
    series: bytes = bytes(_SERIES),
    rev: int = 0,
    as_: bytes = b"",
    refs: Iterable[bytes] = (),
) -> Draft:
    """Put a header before a payload (which carries `salt` already; see `records.build`).

    `series` is 16 random bytes for a new thing, `header.series` of the thing for a revision or a
    withdrawal. Its first two bytes become the kind's tag; a one-of-a-kind thing's series is derived
    and the argument is not used. Read the outcome from `draft.header.series`.

    Raises: EncodingError when the payload cannot be encoded. Whether it fits its kind is not looked
    at: everything passes the same checks as strangers' records do, after it is signed.
    """
    payload_bytes = encode(payload, bytes_max=PAYLOAD_BYTES_MAX)
    tagged = kind
    if kind == WITHDRAWAL and type(payload.get("kind")) is str:
        tagged = cast(str, payload["kind"])
    header = Header(
        VERSION,
        kind,
        FedId(fed),
        CoopId(coop),
        Key(by),
        at,
        until,
        random_series(tagged, series),
        rev,
        _sha256(payload_bytes).digest(),
        len(payload_bytes),
        as_,
        tuple(RecordId(ref) for ref in refs),
    )
    known = KINDS.get(kind)
    if known is not None and known.subject is not None:
        try:
            derived = derived_series(kind, known.subject(header, payload))
        except (KeyError, TypeError, AttributeError):
            # The field it is derived from is missing or of another type; the check of the payload
            # will say so by name.
            return Draft(header, payload)
        header = replace(header, series=derived)
    return Draft(header, payload)


def sign(draft: Draft, key: SigningKey) -> Signed:
    """Sign a draft with the key its header names.

    Raises: LocalError when the key is another one than `header.by`.
    """
    header = draft.header
    if key.public != header.by:
        raise LocalError(
            "The record names another key than the one that signs it.",
            expected=header.by,
            got=key.public,
        )
    payload_bytes = encode(draft.payload, bytes_max=PAYLOAD_BYTES_MAX)
    if _sha256(payload_bytes).digest() != header.body or len(payload_bytes) != header.size:
        raise LocalError("The payload was changed after the record was drafted.")
    header_bytes = header.encode()
    return Signed(
        header,
        header_bytes,
        RecordId(_sha256(header_bytes).digest()),
        key.sign(PURPOSE, header_bytes),
        payload_bytes,
        draft.payload,
    )


def signed_message(signed: Signed) -> bytes:
    """Return the bytes that the signature is over."""
    return _PREFIX + signed.header_bytes


def _bin(data: bytes) -> bytes:
    if len(data) < 256:
        return bytes((_BIN8, len(data))) + data
    return bytes((_BIN16, len(data) >> 8, len(data) & 0xFF)) + data


def _frame(header_bytes: bytes, signature: bytes, payload_bytes: bytes | None) -> bytes:
    if payload_bytes is None:
        return b"\x92" + _bin(header_bytes) + _SIGNATURE_HEAD + signature
    return b"\x93" + _bin(header_bytes) + _SIGNATURE_HEAD + signature + _bin(payload_bytes)


def _read_bin(data: bytes, at: int, what: str, bytes_max: int) -> tuple[bytes, int]:
    """Return one binary value that starts at `at`, and where it ends."""
    try:
        head = data[at]
        if head == _BIN8:
            length = data[at + 1]
            start = at + 2
        elif head == _BIN16:
            length = data[at + 1] << 8 | data[at + 2]
            start = at + 3
            if length < 256:
                raise NotCanonical(rule="bin_shortest", part=what)
        elif head == 0xC6:
            # Four bytes of length are for 65,536 and more: too long for any part of a record, or
            # not the shortest form.
            if int.from_bytes(data[at + 1 : at + 5], "big") > 0xFFFF:
                raise TooLarge(rule=f"{what}_length", part=what, limit=bytes_max)
            raise NotCanonical(rule="bin_shortest", part=what)
        else:
            raise Malformed(rule="record_parts", part=what)
    except IndexError:
        raise Malformed(rule="truncated", part=what) from None
    if length > bytes_max:
        raise TooLarge(rule=f"{what}_length", part=what, got=length, limit=bytes_max)
    end = start + length
    if end > len(data):
        raise Malformed(rule="truncated", part=what)
    return data[start:end], end


def decode_record(data: bytes) -> Signed:
    """Read a record, with or without its payload, and prove that its parts belong together.

    Raises: TooLarge, NotCanonical, Malformed (with `rule`), WrongVersion, BodyMismatch.
    """
    if len(data) > RECORD_BYTES_MAX:
        raise TooLarge(rule="record_length", got=len(data), limit=RECORD_BYTES_MAX)
    parts = data[:1]
    if parts != b"\x93" and parts != b"\x92":
        raise Malformed(rule="record_parts")
    header_bytes, end = _read_bin(data, 1, "header", HEADER_BYTES_MAX)
    signature = data[end + 2 : end + 2 + _SIGNATURE]
    if data[end : end + 2] != _SIGNATURE_HEAD or len(signature) != _SIGNATURE:
        raise _bad_signature_part(data, end)
    end += 2 + _SIGNATURE
    payload_bytes: bytes | None = None
    if parts == b"\x93":
        payload_bytes, end = _read_bin(data, end, "payload", PAYLOAD_BYTES_MAX)
    if end != len(data):
        raise Malformed(rule="trailing_bytes")
    header = decode_header(header_bytes)
    payload: dict[str, Value] | None = None
    if payload_bytes is not None:
        if len(payload_bytes) != header.size:
            raise BodyMismatch(what="size", expected=header.size, got=len(payload_bytes))
        if _sha256(payload_bytes).digest() != header.body:
            raise BodyMismatch(what="hash", expected=header.body)
        value = decode(payload_bytes, bytes_max=PAYLOAD_BYTES_MAX)
        if type(value) is not dict:
            raise Malformed(rule="payload_map")
        payload = value
    return Signed(
        header,
        header_bytes,
        RecordId(_sha256(header_bytes).digest()),
        signature,
        payload_bytes,
        payload,
    )


def _bad_signature_part(data: bytes, at: int) -> Malformed:
    try:
        signature, _ = _read_bin(data, at, "signature", _SIGNATURE)
    except Malformed as error:
        return error
    return Malformed(rule="signature_length", got=len(signature))


def record_id(data: bytes) -> RecordId:
    """Return the id a record's bytes claim, reading no more than the frame around the header.

    For deduplication before any other work. Raises: Malformed and its kinds.
    """
    header_bytes, _ = _read_bin(data, 1, "header", HEADER_BYTES_MAX)
    return RecordId(_sha256(header_bytes).digest())


def _bad_header(header_bytes: bytes, rule: str) -> Malformed:
    # The strict reader names what is wrong with the encoding, if that is what is wrong; it costs
    # more, and only refused headers pay it.
    value = decode(header_bytes, bytes_max=HEADER_BYTES_MAX)
    if type(value) is list and value and type(value[0]) is int and value[0] != VERSION:
        raise WrongVersion(got=value[0], supported=VERSION)
    return Malformed(rule=rule)


def decode_header(header_bytes: bytes) -> Header:
    """Read a header: thirteen parts of fixed type, in their one encoding.

    Raises: TooLarge, NotCanonical, Malformed (with `rule`), WrongVersion when the first part is
    another integer than 1, whatever follows it.
    """
    if len(header_bytes) > HEADER_BYTES_MAX:
        raise TooLarge(rule="header_length", got=len(header_bytes), limit=HEADER_BYTES_MAX)
    # 0x9d: an array of thirteen; 0x01: version 1.
    if header_bytes[:2] != b"\x9d\x01":
        raise _bad_header(header_bytes, "header_parts")
    try:
        value = _unpack(header_bytes, max_ext_len=0)
        # Only the one encoding packs back to the same bytes.
        if _pack(value) != header_bytes:
            raise _bad_header(header_bytes, "header_encoding")
    # msgpack's own errors are ValueErrors, as is UnicodeDecodeError; packing half a surrogate or a
    # nil map key raises ValueError or TypeError.
    except (ValueError, TypeError, OverflowError):
        raise _bad_header(header_bytes, "header_encoding") from None
    v, kind, fed, coop, by, at, until, series, rev, body, size, as_, refs = cast(
        "tuple[object, ...]", tuple(value)
    )
    if type(kind) is not str or _KIND_FORM.fullmatch(kind) is None:
        raise _bad_header(header_bytes, "header_kind")
    if not (
        type(fed) is bytes
        and len(fed) == _ID
        and type(coop) is bytes
        and len(coop) == _ID
        and type(by) is bytes
        and len(by) == _ID
        and type(body) is bytes
        and len(body) == _ID
        and type(series) is bytes
        and len(series) == _SERIES
        and type(as_) is bytes
        and (not as_ or len(as_) == _ID)
    ):
        raise _bad_header(header_bytes, "header_bytes_form")
    # type() and not isinstance(): True is an int to Python and not to MessagePack.
    if not (
        type(at) is int
        and type(until) is int
        and type(rev) is int
        and type(size) is int
        and 0 <= at <= INT_MAX
        and 0 <= until <= INT_MAX
        and 0 <= rev <= REV_MAX
        and 0 <= size <= PAYLOAD_BYTES_MAX
    ):
        raise _bad_header(header_bytes, "header_int_range")
    if type(refs) is not list:
        raise _bad_header(header_bytes, "header_refs")
    if refs:
        items = cast("list[object]", refs)
        if len(items) > REFS_MAX:
            raise TooLarge(rule="header_refs", got=len(items), limit=REFS_MAX)
        if not all(type(item) is bytes and len(item) == _ID for item in items):
            raise _bad_header(header_bytes, "header_refs")
        if len(set(items)) != len(items):
            raise Malformed(rule="header_refs_twice")
    return Header(
        cast(int, v),
        kind,
        FedId(fed),
        CoopId(coop),
        Key(by),
        at,
        until,
        SeriesId(series),
        rev,
        body,
        size,
        as_,
        cast("tuple[RecordId, ...]", tuple(cast("list[bytes]", refs))),
    )
