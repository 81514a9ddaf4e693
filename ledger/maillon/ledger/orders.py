"""What a person signs to move units or to say who may (spec/06-blocks.md, "Orders").

    order = [body bytes, key, mandate | b"", signature]
    body  = [account, seq, chain, until, action]

An order is signed for one chain, one account and one number: it is carried out once, there, before
`until`, or never. Its id names the transfer or the hold that comes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from maillon.ledger import _read as read
from maillon.ledger import signing
from maillon.ledger.limits import (
    ACCOUNT_BYTES,
    CATEGORY_BYTES_MAX,
    HASH_BYTES,
    ORDER_BODY_BYTES_MAX,
    ORDER_BYTES_MAX,
    PERIOD_S_MAX,
    PERIOD_S_MIN,
    SEQ_MAX,
    UNITS_MAX,
)
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable
from maillon.protocol.errors import BadKey
from maillon.protocol.ids import KEY_BYTES, SIGNATURE_BYTES
from maillon.protocol.keys import key_ok

COMMONS: Final = bytes(ACCOUNT_BYTES)
"""The id of each coop's own account, which exists from the start."""

NO_REF: Final = bytes(HASH_BYTES)
"""What stands for "no memo"."""

MANDATE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PayAction:
    """Pay `amount` minor units of `unit` to an account of a coop, now.

    `ref` is SHA-256(salt || memo) or `NO_REF`; `category` an optional public code (`[a-z0-9]`, with
    `_` and `-` inside, at most 64).
    """

    KIND: ClassVar[int] = 1
    to_coop: bytes
    to_account: bytes
    unit: int
    amount: int
    ref: bytes = NO_REF
    category: str = ""

    def array(self) -> list[Encodable]:
        """Return the action as it is encoded."""
        return [
            self.KIND,
            self.to_coop,
            self.to_account,
            self.unit,
            self.amount,
            self.ref,
            self.category,
        ]


@dataclass(frozen=True, slots=True)
class HoldAction:
    """Reserve `amount` for an account of a coop until `expiry` (Unix seconds).

    `payee_key` may release it; a key of the payer's account, or `arbiter` when it is not empty,
    confirms it; who knows the preimage of `hashlock`, when that is not empty, as well.
    """

    KIND: ClassVar[int] = 2
    to_coop: bytes
    to_account: bytes
    unit: int
    amount: int
    ref: bytes
    category: str
    expiry: int
    payee_key: bytes
    arbiter: bytes = b""
    hashlock: bytes = b""

    def array(self) -> list[Encodable]:
        """Return the action as it is encoded."""
        return [
            self.KIND,
            self.to_coop,
            self.to_account,
            self.unit,
            self.amount,
            self.ref,
            self.category,
            self.expiry,
            self.payee_key,
            self.arbiter,
            self.hashlock,
        ]


@dataclass(frozen=True, slots=True)
class MandateAction:
    """Let `key` pay and reserve from this account: `limits` are (unit, amount a period), by unit.

    In force from `start` until before `end`; periods of `period_s` seconds are counted from
    `start`.
    """

    KIND: ClassVar[int] = 3
    mandate: bytes
    key: bytes
    limits: tuple[tuple[int, int], ...]
    period_s: int
    start: int
    end: int

    def array(self) -> list[Encodable]:
        """Return the action as it is encoded."""
        return [
            self.KIND,
            self.mandate,
            self.key,
            self.limits,
            self.period_s,
            self.start,
            self.end,
        ]


@dataclass(frozen=True, slots=True)
class RevokeAction:
    """End a mandate on this account."""

    KIND: ClassVar[int] = 4
    mandate: bytes

    def array(self) -> list[Encodable]:
        """Return the action as it is encoded."""
        return [self.KIND, self.mandate]


@dataclass(frozen=True, slots=True)
class KeysAction:
    """Add a key to this account, drop one, or both; neither cancels a pending recovery."""

    KIND: ClassVar[int] = 5
    add: bytes = b""
    drop: bytes = b""

    def array(self) -> list[Encodable]:
        """Return the action as it is encoded."""
        return [self.KIND, self.add, self.drop]


Action = PayAction | HoldAction | MandateAction | RevokeAction | KeysAction
Payment = PayAction | HoldAction
"""The actions that move or reserve units; the only ones a mandate covers."""


@dataclass(frozen=True, slots=True)
class Order:
    """A signed order: `body` as it was signed, `key` that signed, `mandate` (16) or b"".

    What the body says (`account`, `seq`, `chain`, `until`, `action`) is read out of it, so the two
    never differ. Making one checks its form, not its signature.

    Raises: Malformed and its kinds, BadAmount, BadKey.
    """

    body: bytes
    key: bytes
    mandate: bytes
    signature: bytes
    account: bytes = field(init=False, compare=False)
    seq: int = field(init=False, compare=False)
    chain: bytes = field(init=False, compare=False)
    until: int = field(init=False, compare=False)
    action: Action = field(init=False, compare=False)

    def __post_init__(self) -> None:
        read.fixed(self.key, KEY_BYTES, "order_key")
        read.optional(self.mandate, MANDATE_BYTES, "order_mandate")
        read.fixed(self.signature, SIGNATURE_BYTES, "order_signature")
        account, seq, chain, until, action = read_body(self.body)
        if self.mandate and not isinstance(action, PayAction | HoldAction):
            # A mandate over keys or mandates would be a way to take the account over.
            read.refuse("order_mandate")
        put = object.__setattr__
        put(self, "account", account)
        put(self, "seq", seq)
        put(self, "chain", chain)
        put(self, "until", until)
        put(self, "action", action)

    def array(self) -> list[Encodable]:
        """Return the order as it stands in an entry."""
        return [self.body, self.key, self.mandate, self.signature]

    def encode(self) -> bytes:
        """Return the order's bytes."""
        return encoding.encode(self.array(), bytes_max=ORDER_BYTES_MAX)

    def id(self, fed: bytes) -> bytes:
        """Return the order's id in a federation: also that of its transfer, or of its hold."""
        return order_id(fed, self.body)

    def check(self, fed: bytes) -> signing.Check:
        """Return what has to be verified: key, signed message, signature."""
        return self.key, signing.signed_bytes(signing.ORDER, fed, self.body), self.signature


def order_id(fed: bytes, body: bytes) -> bytes:
    """Return SHA-256("maillon/1/order" 0x00 F body)."""
    return hashlib.sha256(b"maillon/1/order\0" + fed + body).digest()


def order_body(account: bytes, seq: int, chain: bytes, until: int, action: Action) -> bytes:
    """Return the bytes that a person signs.

    `account` 16 bytes, `chain` its coop's id, `until` Unix seconds. Raises: EncodingError.
    """
    return encoding.encode(
        [account, seq, chain, until, action.array()], bytes_max=ORDER_BODY_BYTES_MAX
    )


def sign_order(
    key: signing.Signer,
    fed: bytes,
    account: bytes,
    seq: int,
    chain: bytes,
    until: int,
    action: Action,
    *,
    mandate: bytes = b"",
) -> Order:
    """Make an order. Raises: Malformed or BadAmount when no reader would accept its form."""
    body = order_body(account, seq, chain, until, action)
    return Order(body, key.public, mandate, signing.sign(key, signing.ORDER, fed, body))


def decode_order(data: bytes) -> Order:
    """Read an order. Raises: Malformed and its kinds, BadAmount, BadKey."""
    return order_from(read.array(data, ORDER_BYTES_MAX, "order"))


def order_from(value: Any) -> Order:
    """Read an order out of a decoded array."""
    body, key, mandate, signature = read.items(value, "order", 4, 4)
    return Order(read.bounded(body, ORDER_BODY_BYTES_MAX, "order_body"), key, mandate, signature)


def read_body(data: bytes) -> tuple[bytes, int, bytes, int, Action]:
    """Return account, seq, chain, until and action of an order's body. Raises as `Order`."""
    parts = read.array(data, ORDER_BODY_BYTES_MAX, "order_body")
    if len(parts) != 5:
        read.refuse("order_body")
    account, seq, chain, until, action = parts
    return (
        read.fixed(account, ACCOUNT_BYTES, "order_account"),
        read.number(seq, "order_seq", 1, SEQ_MAX),
        read.fixed(chain, HASH_BYTES, "order_chain"),
        read.number(until, "order_until"),
        _action(action),
    )


def good_key(value: Any, rule: str) -> bytes:
    """Return a public key that can count at all. Raises: Malformed, BadKey (spec/02)."""
    key = read.fixed(value, KEY_BYTES, rule)
    if not key_ok(key):
        raise BadKey(key=key)
    return key


def _payment(parts: list[Any]) -> tuple[bytes, bytes, int, int, bytes, str]:
    _, to_coop, to_account, unit, amount, ref, category = parts[:7]
    return (
        read.fixed(to_coop, HASH_BYTES, "to_coop"),
        read.fixed(to_account, ACCOUNT_BYTES, "to_account"),
        read.number(unit, "unit", 0, UNITS_MAX - 1),
        read.amount(amount),
        read.fixed(ref, HASH_BYTES, "ref"),
        read.code(category, CATEGORY_BYTES_MAX, "category") if category != "" else "",
    )


def _action(value: Any) -> Action:
    parts = read.items(value, "action", 2, 11)
    kind = parts[0]
    if type(kind) is not int or len(parts) != _PARTS.get(kind, 0):
        read.refuse("action")
    if kind == PayAction.KIND:
        return PayAction(*_payment(parts))
    if kind == HoldAction.KIND:
        _, _, _, _, _, _, _, expiry, payee_key, arbiter, hashlock = parts
        return HoldAction(
            *_payment(parts),
            read.number(expiry, "expiry"),
            good_key(payee_key, "payee_key"),
            good_key(arbiter, "arbiter") if arbiter != b"" else b"",
            read.optional(hashlock, HASH_BYTES, "hashlock"),
        )
    if kind == MandateAction.KIND:
        return _mandate(parts)
    if kind == RevokeAction.KIND:
        return RevokeAction(read.fixed(parts[1], MANDATE_BYTES, "mandate"))
    _, add, drop = parts
    if add == drop and add != b"":
        read.refuse("keys")
    return KeysAction(
        good_key(add, "keys") if add != b"" else b"",
        read.optional(drop, KEY_BYTES, "keys"),
    )


_PARTS: Final = {1: 7, 2: 11, 3: 7, 4: 2, 5: 3}


def _mandate(parts: list[Any]) -> MandateAction:
    _, mandate, key, limits, period_s, start, end = parts
    action = MandateAction(
        read.fixed(mandate, MANDATE_BYTES, "mandate"),
        good_key(key, "mandate_key"),
        by_unit(limits, "mandate_limits"),
        read.number(period_s, "mandate_period", PERIOD_S_MIN, PERIOD_S_MAX),
        read.number(start, "mandate_start"),
        read.number(end, "mandate_end"),
    )
    if action.end <= action.start:
        read.refuse("mandate_end")
    return action


def by_unit(value: Any, rule: str) -> tuple[tuple[int, int], ...]:
    """Read [[unit, amount], ...]: at least one, units ascending, amounts as of a transfer."""
    pairs: list[tuple[int, int]] = []
    for item in read.items(value, rule, 1, UNITS_MAX):
        unit, amount = read.items(item, rule, 2, 2)
        pairs.append((read.number(unit, rule, 0, UNITS_MAX - 1), read.amount(amount)))
    _ascending([unit for unit, _ in pairs], rule)
    return tuple(pairs)


def _ascending(units: Sequence[int], rule: str) -> None:
    for before, after in zip(units, units[1:], strict=False):
        if before >= after:
            read.refuse(rule)
