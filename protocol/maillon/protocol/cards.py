"""Introduce a coop, invite one: short texts for mails and paper (spec/02, "Cards").

    card       = [card bytes, signature]       signed by the coop's root, purpose "card"
    invitation = [1, fed, node key, addresses, token, expires]
    text       = scheme, then base64url of the bytes and 4 bytes of checksum

The checksum finds a letter lost on the way before anything is dialled.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.errors import BadKey, LocalError, Malformed, RemoteError, WrongVersion
from maillon.protocol.ids import CoopId, FedId, Key
from maillon.protocol.keys import (
    Backend,
    SigningKey,
    coop_id,
    cryptography_backend,
    key_ok,
    verify,
)
from maillon.protocol.limits import CARD_BYTES_MAX, INT_MAX
from maillon.protocol.records.fields import ADDRESSES, KEY
from maillon.protocol.records.kind import schema_error
from maillon.protocol.records.schema import (
    Broken,
    Check,
    Field,
    Int,
    ListOf,
    Struct,
    Text,
    compile_type,
)

VERSION: Final = 1
CARD_PURPOSE: Final = "card"
CARD_SCHEME: Final = "maillon-card:"
INVITE_SCHEME: Final = "maillon-invite:"

TOKEN_BYTES: Final = 16
_CHECKSUM_BYTES: Final = 4

CARD: Final = Struct(
    (
        Field("v", Int(1, 1), True),
        Field("root", KEY, True),
        Field("node_key", KEY, True),
        Field("name", Text(120), True),
        Field("addresses", ADDRESSES),
        Field("writer", KEY, False, "signs the blocks of its accounts (06)"),
        Field("witness", KEY, False, "votes on the blocks of all coops (06)"),
    )
)

_check_card = compile_type(CARD)
_check_addresses = compile_type(ListOf(ADDRESSES.item, ADDRESSES.high, low=0))


def checked_map(data: bytes, bytes_max: int, what: str, check: Check) -> dict[str, Value]:
    """Read a versioned map and check its fields. Raises: Malformed, WrongVersion, SchemaError."""
    value = decode(data, bytes_max=bytes_max)
    if type(value) is dict and type(value.get("v")) is int and value["v"] != VERSION:
        raise WrongVersion(got=value["v"], supported=VERSION)
    try:
        check(value)
    except Broken as broken:
        raise schema_error(what, broken.field, broken.rule, broken.limit) from None
    return cast("dict[str, Value]", value)


@dataclass(frozen=True, slots=True)
class FoundingCoop:
    """A founding coop: `root` for ever, `node_key` and `addresses` until its profile is known.

    `writer` and `witness` are its keys in charter 0 of the ledger; empty when it has none.
    """

    root: Key
    node_key: Key
    name: str
    addresses: tuple[str, ...] = ()
    writer: bytes = b""
    witness: bytes = b""

    @property
    def id(self) -> CoopId:
        """Return the coop's permanent id."""
        return coop_id(self.root)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Return all its keys, the root first."""
        given = (self.root, self.node_key, self.writer, self.witness)
        return tuple(key for key in given if key)


class TextDamaged(LocalError):
    """A card or invitation that somebody typed or pasted is not whole."""

    code = "text_damaged"
    sentence = "This text is not whole: a part of it is missing or was changed on the way."


def _to_text(scheme: str, data: bytes) -> str:
    checksum = hashlib.sha256(scheme.encode() + data).digest()[:_CHECKSUM_BYTES]
    return scheme + base64.urlsafe_b64encode(data + checksum).rstrip(b"=").decode()


def _from_text(scheme: str, text: str, what: str) -> bytes:
    # Mail programs break long lines: white space inside is nobody's intention.
    packed = "".join(text.split())
    if not packed.startswith(scheme):
        raise TextDamaged(
            f"This is not {what}: it should begin with {scheme}", rule="scheme", scheme=scheme
        )
    body = packed.removeprefix(scheme)
    if len(body) > 2 * CARD_BYTES_MAX:
        raise TextDamaged(f"This text is too long for {what}.", rule="length")
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TextDamaged(rule="base64") from None
    content, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if hashlib.sha256(scheme.encode() + content).digest()[:_CHECKSUM_BYTES] != checksum:
        raise TextDamaged(rule="checksum")
    if _to_text(scheme, content) != packed:
        # Base64's last letter has spare bits: only one way to write them counts.
        raise TextDamaged(rule="base64")
    return content


@dataclass(frozen=True, slots=True)
class CoopCard:
    """How a coop introduces itself: its keys, name and addresses, signed by its root."""

    root: Key
    node_key: Key
    name: str
    addresses: tuple[str, ...]
    signature: bytes
    writer: bytes = b""
    witness: bytes = b""

    @property
    def id(self) -> CoopId:
        """Return the coop's permanent id."""
        return coop_id(self.root)

    def body(self) -> bytes:
        """Return the bytes that the root signs."""
        return _card_body(self.founding_coop())

    def encode(self) -> bytes:
        """Return the card's bytes."""
        return encode([self.body(), self.signature], bytes_max=CARD_BYTES_MAX)

    def to_text(self) -> str:
        """Return the card as one line to paste into a mail."""
        return _to_text(CARD_SCHEME, self.encode())

    def founding_coop(self) -> FoundingCoop:
        """Return the entry of this coop in a founding document."""
        return FoundingCoop(
            self.root, self.node_key, self.name, self.addresses, self.writer, self.witness
        )


def coop_fields(coop: FoundingCoop) -> dict[str, Value]:
    """Return a coop's entry as a map; what it has not is left out."""
    fields: dict[str, Value] = {"root": coop.root, "node_key": coop.node_key, "name": coop.name}
    if coop.addresses:
        fields["addresses"] = list(coop.addresses)
    if coop.writer:
        fields["writer"] = coop.writer
    if coop.witness:
        fields["witness"] = coop.witness
    return fields


def _card_body(coop: FoundingCoop) -> bytes:
    return encode({"v": VERSION, **coop_fields(coop)}, bytes_max=CARD_BYTES_MAX)


def make_card(
    root: SigningKey,
    node_key: bytes,
    name: str,
    addresses: Sequence[str] = (),
    *,
    writer: bytes = b"",
    witness: bytes = b"",
) -> CoopCard:
    """Make a coop's card. Raises: SchemaError naming the field that does not fit."""
    coop = FoundingCoop(root.public, Key(node_key), name, tuple(addresses), writer, witness)
    signature = root.sign(CARD_PURPOSE, _card_body(coop))
    card = CoopCard(coop.root, coop.node_key, name, coop.addresses, signature, writer, witness)
    return decode_card(card.encode())


def decode_card(data: bytes, *, backend: Backend = cryptography_backend) -> CoopCard:
    """Read a card and check its signature. Raises: Malformed, SchemaError, BadKey, BadSignature."""
    value = decode(data, bytes_max=CARD_BYTES_MAX)
    if type(value) is not list or len(value) != 2:
        raise Malformed(rule="card_parts")
    body, signature = value
    if type(body) is not bytes or type(signature) is not bytes:
        raise Malformed(rule="card_parts")
    fields = cast("dict[str, Any]", checked_map(body, CARD_BYTES_MAX, "card", _check_card))
    if set(fields) - _CARD_FIELDS:
        raise schema_error("card", "", "unknown_field")
    seen = {fields["root"]}
    for name in ("node_key", "writer", "witness"):
        if name in fields:
            if fields[name] in seen:
                raise schema_error("card", name, "key_twice")
            seen.add(fields[name])
    for key in seen:
        if not key_ok(key):
            raise BadKey(key=key)
    verify(fields["root"], CARD_PURPOSE, body, signature, backend=backend)
    return CoopCard(
        fields["root"],
        fields["node_key"],
        fields["name"],
        tuple(fields.get("addresses", ())),
        signature,
        fields.get("writer", b""),
        fields.get("witness", b""),
    )


_CARD_FIELDS: Final = frozenset(part.name for part in CARD.fields)


def card_from_text(text: str, *, backend: Backend = cryptography_backend) -> CoopCard:
    """Read a card that was pasted. Raises: TextDamaged, in words for people."""
    data = _from_text(CARD_SCHEME, text, "a coop's card")
    try:
        return decode_card(data, backend=backend)
    except RemoteError as error:
        raise TextDamaged(f"This card cannot be used: {error}", rule=error.code) from error


@dataclass(frozen=True, slots=True)
class Invitation:
    """Whom to dial to join a federation; `token` shows the inviter which invitation it was.

    `fed` 32 bytes, `node_key` 32 bytes (the inviter's), `token` 16 random bytes, `expires` Unix
    seconds.
    """

    fed: FedId
    node_key: Key
    addresses: tuple[str, ...]
    token: bytes
    expires: int

    def encode(self) -> bytes:
        """Return the invitation's bytes."""
        addresses: list[Value] = list(self.addresses)
        return encode(
            [VERSION, self.fed, self.node_key, addresses, self.token, self.expires],
            bytes_max=CARD_BYTES_MAX,
        )

    def to_text(self) -> str:
        """Return the invitation as one line to paste into a mail."""
        return _to_text(INVITE_SCHEME, self.encode())


def decode_invitation(data: bytes) -> Invitation:
    """Read an invitation. Raises: Malformed and its kinds, WrongVersion, SchemaError, BadKey."""
    value = decode(data, bytes_max=CARD_BYTES_MAX)
    if type(value) is not list or not value:
        raise Malformed(rule="invitation_parts")
    if type(value[0]) is int and value[0] != VERSION:
        raise WrongVersion(got=value[0], supported=VERSION)
    if len(value) != 6:
        raise Malformed(rule="invitation_parts")
    _, fed, node_key, addresses, token, expires = cast("list[Any]", value)
    for name, item, size in (("fed", fed, 32), ("node_key", node_key, 32), ("token", token, 16)):
        if type(item) is not bytes or len(item) != size:
            raise schema_error("invitation", name, "size", size)
    if type(expires) is not int or not 0 <= expires <= INT_MAX:
        raise schema_error("invitation", "expires", "range")
    if type(value[0]) is not int:
        raise schema_error("invitation", "v", "type")
    try:
        _check_addresses(addresses)
    except Broken as broken:
        raise schema_error("invitation", "addresses" + broken.field, broken.rule) from None
    if not key_ok(node_key):
        raise BadKey(key=node_key)
    return Invitation(FedId(fed), Key(node_key), tuple(addresses), token, expires)


def invitation_from_text(text: str, *, now: int) -> Invitation:
    """Read an invitation that was pasted.

    Raises: TextDamaged when it is not whole, LocalError when it has expired.
    """
    data = _from_text(INVITE_SCHEME, text, "an invitation")
    try:
        invitation = decode_invitation(data)
    except RemoteError as error:
        raise TextDamaged(f"This invitation cannot be used: {error}", rule=error.code) from error
    if invitation.expires < now:
        raise LocalError(
            "This invitation has expired.",
            hint="Ask the coop that invited you for a new one.",
            expires=invitation.expires,
        )
    return invitation
