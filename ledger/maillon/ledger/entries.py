"""What a coop's chain is made of (spec/06-blocks.md, "Entries").

An entry is an array that begins with its kind. Its leaf in the block's tree is SHA-256(0x00 ||
salt || entry bytes), so that entry and salt can be erased and the tree stays.

Here only the form of entries is judged; whether an entry is allowed depends on the accounts
(spec/06-accounts.md) and is decided by `rules`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from maillon.ledger import _read as read
from maillon.ledger.confirmation import (
    Confirmation,
    KeyConfirmation,
    PreimageConfirmation,
    Release,
    confirmation_from,
    confirmation_hash,
    hold_body,
    sign_confirmation,
    sign_release,
)
from maillon.ledger.errors import BadEvidence
from maillon.ledger.limits import (
    ACCOUNT_BYTES,
    CHANNEL_MAX,
    ENTRIES_MAX,
    ENTRY_BYTES_MAX,
    ENTRY_PATH_MAX,
    ENTRY_SALT_BYTES,
    HASH_BYTES,
    ORDER_BODY_BYTES_MAX,
    UNITS_MAX,
)
from maillon.ledger.orders import (
    COMMONS,
    HoldAction,
    KeysAction,
    MandateAction,
    Order,
    PayAction,
    RevokeAction,
    good_key,
    order_from,
    order_id,
    read_body,
)
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.ids import KEY_BYTES, SIGNATURE_BYTES

PERSON: Final = 0
ORGANISATION: Final = 1
GROUP: Final = 2
COMMONS_KIND: Final = 3
"""Kinds of accounts. No entry opens a commons account: each coop has one from the start."""


def entry_leaf(salt: bytes, data: bytes) -> bytes:
    """Return the leaf of an entry: SHA-256(0x00 || salt (32) || entry bytes)."""
    return hashlib.sha256(b"\0" + salt + data).digest()


# --- Entries -------------------------------------------------------------------------------------


def _written(value: Any) -> Encodable:
    if value is None:
        return []
    written: Encodable = value.array() if hasattr(value, "array") else value
    return written


@dataclass(frozen=True, slots=True)
class _Entry:
    KIND: ClassVar[int] = 0

    def array(self) -> list[Encodable]:
        """Return the entry as it is encoded: its kind, then its fields in their order."""
        names: tuple[str, ...] = self.__match_args__
        return [self.KIND, *(_written(getattr(self, name)) for name in names)]

    def encode(self) -> bytes:
        """Return the entry's bytes. Raises: EncodingError when they are too many."""
        return encoding.encode(self.array(), bytes_max=ENTRY_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Open(_Entry):
    """Open an account: `positions` are (unit, credit limit, maximum balance), by unit."""

    KIND: ClassVar[int] = 1
    account: bytes
    kind: int
    key: bytes
    positions: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Close(_Entry):
    """Close an account whose balances are all zero."""

    KIND: ClassVar[int] = 2
    account: bytes


@dataclass(frozen=True, slots=True)
class Limit(_Entry):
    """Set an account's credit limit and maximum in a unit; an account gets a unit by it, too."""

    KIND: ClassVar[int] = 3
    account: bytes
    unit: int
    limit: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Recover(_Entry):
    """Announce a new key for an account whose member lost theirs."""

    KIND: ClassVar[int] = 4
    account: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class _OrderEntry(_Entry):
    order: Order


@dataclass(frozen=True, slots=True)
class Member(_OrderEntry):
    """Carry out a member's order about mandates or keys."""

    KIND: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class Intra(_OrderEntry):
    """Carry out a payment between two accounts of this coop."""

    KIND: ClassVar[int] = 6


@dataclass(frozen=True, slots=True)
class Out(_OrderEntry):
    """Carry out a payment to another coop, as message `n` of the channel to it."""

    KIND: ClassVar[int] = 7
    n: int


@dataclass(frozen=True, slots=True)
class _Foreign(_Entry):
    source: bytes
    block: bytes
    index: int
    salt: bytes
    data: bytes
    path: tuple[bytes, ...]

    def leaf(self) -> bytes:
        """Return the leaf of the carried entry in its own block."""
        return entry_leaf(self.salt, self.data)

    def carried(self, fed: bytes) -> ChannelMessage:
        """Return the message taken. Raises: Malformed, BadEvidence."""
        return carried(self.data, self.leaf(), self.KIND, fed)


@dataclass(frozen=True, slots=True)
class In(_Foreign):
    """Take the next message of another coop's channel and credit it.

    `data` is the entry of `source` that carries it, at `index` of the block with hash `block`,
    under `salt` and `path`.
    """

    KIND: ClassVar[int] = 8


@dataclass(frozen=True, slots=True)
class Return(_Foreign):
    """Take the next message of another coop's channel, and send it back as message `n`."""

    KIND: ClassVar[int] = 9
    n: int


@dataclass(frozen=True, slots=True)
class Hold(_OrderEntry):
    """Carry out an order that reserves an amount."""

    KIND: ClassVar[int] = 10


@dataclass(frozen=True, slots=True)
class Post(_Entry):
    """Pay what is reserved. `n` is 0 when the payee is of this coop, else a channel's number.

    `order_body` is the hold's when the message crosses to another coop, which cannot know amount
    and payee otherwise; b"" when `n` is 0.
    """

    KIND: ClassVar[int] = 11
    account: bytes
    hold: bytes
    confirmation: Confirmation
    n: int
    order_body: bytes = b""


@dataclass(frozen=True, slots=True)
class Void(_Entry):
    """Give back what is reserved: released by the payee, or (None) because it expired."""

    KIND: ClassVar[int] = 12
    account: bytes
    hold: bytes
    release: Release | None


@dataclass(frozen=True, slots=True)
class Settle(_Entry):
    """Pay from the coop's own account, as the coop decided. `n` is 0 inside the coop."""

    KIND: ClassVar[int] = 13
    account: bytes
    unit: int
    amount: int
    to_coop: bytes
    to_account: bytes
    ref: bytes
    n: int


Entry = (
    Open
    | Close
    | Limit
    | Recover
    | Member
    | Intra
    | Out
    | In
    | Return
    | Hold
    | Post
    | Void
    | Settle
)


def decode_entry(data: bytes) -> Entry:
    """Read an entry. Raises: Malformed and its kinds, BadAmount, BadKey."""
    parts = read.array(data, ENTRY_BYTES_MAX, "entry")
    kind = parts[0] if parts else None
    reader = _READERS.get(kind) if type(kind) is int else None
    if reader is None:
        read.refuse("entry_kind")
    return reader(parts)


def _count(parts: list[Any], count: int) -> list[Any]:
    if len(parts) != count:
        read.refuse("entry_parts")
    return parts


def _account(value: Any) -> bytes:
    return read.fixed(value, ACCOUNT_BYTES, "account")


def _unit(value: Any) -> int:
    return read.number(value, "unit", 0, UNITS_MAX - 1)


def _open(parts: list[Any]) -> Open:
    _, account, kind, key, positions = _count(parts, 5)
    found: list[tuple[int, int, int]] = []
    for item in read.items(positions, "positions", 0, UNITS_MAX):
        unit, limit, maximum = read.items(item, "positions", 3, 3)
        if found and type(unit) is int and unit <= found[-1][0]:
            read.refuse("positions")
        found.append((_unit(unit), read.allowance(limit), read.allowance(maximum)))
    return Open(
        _account(account),
        read.number(kind, "account_kind", PERSON, GROUP),
        good_key(key, "account_key"),
        tuple(found),
    )


def _close(parts: list[Any]) -> Close:
    return Close(_account(_count(parts, 2)[1]))


def _limit(parts: list[Any]) -> Limit:
    _, account, unit, limit, maximum = _count(parts, 5)
    return Limit(_account(account), _unit(unit), read.allowance(limit), read.allowance(maximum))


def _recover(parts: list[Any]) -> Recover:
    _, account, key = _count(parts, 3)
    return Recover(_account(account), good_key(key, "account_key"))


def _order_of(value: Any, *actions: type) -> Order:
    order = order_from(value)
    if not isinstance(order.action, actions):
        # Each action has one kind of entry that carries it out.
        read.refuse("entry_action")
    return order


def _member(parts: list[Any]) -> Member:
    order = _order_of(_count(parts, 2)[1], MandateAction, RevokeAction, KeysAction)
    return Member(order)


def _intra(parts: list[Any]) -> Intra:
    return Intra(_order_of(_count(parts, 2)[1], PayAction))


def _out(parts: list[Any]) -> Out:
    _, order, n = _count(parts, 3)
    return Out(_order_of(order, PayAction), read.number(n, "channel_number", 1, CHANNEL_MAX))


def _foreign(
    parts: list[Any], kinds: frozenset[int]
) -> tuple[bytes, bytes, int, bytes, bytes, tuple[bytes, ...]]:
    _, source, block, index, salt, data, path = parts[:7]
    data = read.bounded(data, ENTRY_BYTES_MAX, "carried")
    if entry_kind(data) not in kinds:
        read.refuse("carried")
    return (
        read.fixed(source, HASH_BYTES, "source"),
        read.fixed(block, HASH_BYTES, "block_hash"),
        read.number(index, "entry_index", 0, ENTRIES_MAX - 1),
        read.fixed(salt, ENTRY_SALT_BYTES, "salt"),
        data,
        read.hashes(path, ENTRY_PATH_MAX, "entry_path"),
    )


def _in(parts: list[Any]) -> In:
    return In(*_foreign(_count(parts, 7), _CARRIED[In.KIND]))


def _return(parts: list[Any]) -> Return:
    return Return(
        *_foreign(_count(parts, 8), _CARRIED[Return.KIND]),
        read.number(parts[7], "channel_number", 1, CHANNEL_MAX),
    )


def _hold(parts: list[Any]) -> Hold:
    return Hold(_order_of(_count(parts, 2)[1], HoldAction))


def _post(parts: list[Any]) -> Post:
    _, account, hold, confirmation, n, body = _count(parts, 6)
    post = Post(
        _account(account),
        read.fixed(hold, HASH_BYTES, "hold"),
        confirmation_from(confirmation),
        read.number(n, "channel_number", 0, CHANNEL_MAX),
        read.bounded(body, ORDER_BODY_BYTES_MAX, "order_body"),
    )
    if (post.n == 0) != (post.order_body == b""):
        read.refuse("order_body")
    return post


def _void(parts: list[Any]) -> Void:
    _, account, hold, release = _count(parts, 4)
    given = read.items(release, "release", 0, 2)
    if len(given) == 1:
        read.refuse("release")
    return Void(
        _account(account),
        read.fixed(hold, HASH_BYTES, "hold"),
        Release(
            read.fixed(given[0], KEY_BYTES, "release"),
            read.fixed(given[1], SIGNATURE_BYTES, "release"),
        )
        if given
        else None,
    )


def _settle(parts: list[Any]) -> Settle:
    _, account, unit, amount, to_coop, to_account, ref, n = _count(parts, 8)
    if account != COMMONS:
        read.refuse("account")
    return Settle(
        COMMONS,
        _unit(unit),
        read.amount(amount),
        read.fixed(to_coop, HASH_BYTES, "to_coop"),
        read.fixed(to_account, ACCOUNT_BYTES, "to_account"),
        read.fixed(ref, HASH_BYTES, "ref"),
        read.number(n, "channel_number", 0, CHANNEL_MAX),
    )


_READERS: Final[dict[int, Callable[[list[Any]], Entry]]] = {
    Open.KIND: _open,
    Close.KIND: _close,
    Limit.KIND: _limit,
    Recover.KIND: _recover,
    Member.KIND: _member,
    Intra.KIND: _intra,
    Out.KIND: _out,
    In.KIND: _in,
    Return.KIND: _return,
    Hold.KIND: _hold,
    Post.KIND: _post,
    Void.KIND: _void,
    Settle.KIND: _settle,
}

# What a channel's message may stand in. A return is never returned: it can always be credited.
_CARRIED: Final = {
    In.KIND: frozenset((Out.KIND, Return.KIND, Post.KIND, Settle.KIND)),
    Return.KIND: frozenset((Out.KIND, Post.KIND, Settle.KIND)),
}


def entry_kind(data: bytes) -> int:
    """Return the kind that some entry's bytes begin with, or 0 when they begin no entry.

    An entry is an array of 2 to 8 items, so its header is one byte, and its kind the second.
    """
    if len(data) < 2 or not 0x92 <= data[0] <= 0x98 or data[1] not in _READERS:
        return 0
    return data[1]


# --- Messages of channels ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """What one coop sends another: message `n` of the channel to `to_coop`.

    `from_account` is of the coop that sends, `to_account` of the one that receives. `id` is the
    transfer's: the order's id, a settlement's leaf; a return keeps the id of what it returns.
    `returned` tells that it comes back: it is credited whatever the maximum.
    """

    to_coop: bytes
    n: int
    from_account: bytes
    to_account: bytes
    unit: int
    amount: int
    id: bytes
    returned: bool = False


def message_of(entry: Entry, leaf: bytes, fed: bytes) -> ChannelMessage | None:
    """Return the message that an entry with this leaf sends over a channel, if it sends one.

    Raises: Malformed, BadEvidence when what it carries cannot be read.
    """
    if isinstance(entry, Out):
        action = entry.order.action
        assert isinstance(action, PayAction)
        return ChannelMessage(
            action.to_coop,
            entry.n,
            entry.order.account,
            action.to_account,
            action.unit,
            action.amount,
            entry.order.id(fed),
        )
    if isinstance(entry, Post) and entry.n:
        return _posted(entry, fed)
    if isinstance(entry, Settle) and entry.n:
        return ChannelMessage(
            entry.to_coop,
            entry.n,
            entry.account,
            entry.to_account,
            entry.unit,
            entry.amount,
            leaf,
        )
    if isinstance(entry, Return):
        first = entry.carried(fed)
        return ChannelMessage(
            entry.source,
            entry.n,
            first.to_account,
            first.from_account,
            first.unit,
            first.amount,
            first.id,
            returned=True,
        )
    return None


def _posted(entry: Post, fed: bytes) -> ChannelMessage:
    account, _, _, _, action = read_body(entry.order_body)
    if (
        not isinstance(action, HoldAction)
        or account != entry.account
        or order_id(fed, entry.order_body) != entry.hold
    ):
        raise BadEvidence(rule="posted_order", hold=entry.hold)
    return ChannelMessage(
        action.to_coop,
        entry.n,
        account,
        action.to_account,
        action.unit,
        action.amount,
        entry.hold,
    )


def carried(data: bytes, leaf: bytes, kind: int, fed: bytes) -> ChannelMessage:
    """Return the message that an `in` (8) or `return` (9) takes out of another chain's entry.

    Raises: Malformed when the entry cannot be read, BadEvidence when it sends nothing.
    """
    entry = decode_entry(data)
    message = message_of(entry, leaf, fed) if entry.KIND in _CARRIED[kind] else None
    if message is None:
        raise BadEvidence(rule="carried", kind=entry.KIND)
    return message


__all__ = [
    "COMMONS_KIND",
    "GROUP",
    "ORGANISATION",
    "PERSON",
    "ChannelMessage",
    "Close",
    "Confirmation",
    "Entry",
    "Hold",
    "In",
    "Intra",
    "KeyConfirmation",
    "Limit",
    "Member",
    "Open",
    "Out",
    "Post",
    "PreimageConfirmation",
    "Recover",
    "Release",
    "Return",
    "Settle",
    "Void",
    "carried",
    "confirmation_from",
    "confirmation_hash",
    "decode_entry",
    "entry_kind",
    "entry_leaf",
    "hold_body",
    "message_of",
    "sign_confirmation",
    "sign_release",
]
