"""What goes over the interface about groups: founding, consent, joint orders, splits.

Ids and keys are hexadecimal text, times Unix seconds; amounts as in `ledger_shapes`. Fields are
only ever added.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from maillon.node.api.ledger_shapes import Amount, UnitCode, Wait, Who
from maillon.node.api.shapes import Hex32, Request

AuthorId = Annotated[str, Meta(pattern="^70[0-9a-f]{96}$")]
"""A person as records name them: `p`, coop, person."""
Record = Annotated[str, Meta(pattern="^([0-9a-f]{2}){1,18432}$")]
"""A signed record, as hexadecimal text."""


class GroupMember(Request):
    author: AuthorId
    share: Annotated[int, Meta(ge=1, le=10_000)] = 1


class GroupRequest(Request):
    """Found a micro-organisation; `founder` signs the record with a key held here."""

    name: Annotated[str, Meta(min_length=1, max_length=120)]
    founder: Who
    members: Annotated[list[GroupMember], Meta(min_length=2, max_length=32)]
    signatures: Annotated[int, Meta(ge=1, le=32)] = 1
    split: Annotated[str, Meta(pattern="^(shares|equal|performer)$")] = "shares"
    days: Annotated[int, Meta(ge=1, le=400)] = 365
    units: Annotated[list[UnitCode], Meta(max_length=16)] = []
    wait_s: Wait = 10.0


class GroupPart(Struct):
    author: str
    name: str
    share: int
    consents: bool


class Group(Struct):
    """`counts` once every member has consented; payments are split from then on."""

    group: str
    organisation: str
    name: str
    account: str
    status: str
    split: str
    signatures: int
    members: list[GroupPart]
    counts: bool


class Groups(Struct):
    groups: list[Group]


class ConsentRequest(Request):
    """A member consents: by a key held here, or with a signed `organisation_part` record."""

    member: AuthorId
    signed: Record | None = None


class GroupOrderRequest(Request):
    """Propose a payment: `to` whom and which `amount`, or the `exchange` that asks for it.

    With `exchange` (its id, the id of the request, or the beginning of one) payee, amount, unit and
    `ref` are those that it asks for, and what is ordered counts there.
    """

    to: Who | None = None
    amount: Amount | None = None
    unit: UnitCode | None = None
    exchange: Annotated[str, Meta(pattern="^[0-9a-f]{8,64}$")] | None = None
    memo: Annotated[str, Meta(max_length=400)] = ""
    by: AuthorId | None = None
    """A member whose key is held here and who approves at once."""
    wait_s: Wait = 10.0


class ApproveRequest(Request):
    """Approve: by a key held here, or with a signed `group_approval` record."""

    member: AuthorId
    signed: Record | None = None
    wait_s: Wait = 10.0


class GroupOrder(Struct):
    """`status`: open, waiting, placed, certified, refused, expired.

    Open is what approvals are missing for; and what has them and could not be paid, which is tried
    again until its time is over: `reason` is the code then, and `detail` says it in words.
    """

    order: str
    group: str
    hash: str
    to_coop: str
    to_account: str
    to_name: str
    unit: int
    code: str
    amount: int
    text: str
    memo: str
    at: int
    until: int
    needed: int
    approvals: list[str]
    status: str
    transfer: str = ""
    reason: str = ""
    detail: str = ""
    exchange: str = ""
    """The exchange that it pays for, as its third-party payer: it is reserved for that first."""
    request: str = ""


class GroupWanted(Struct):
    """An exchange asks the group to pay; `order` is what was proposed for it, if anything."""

    exchange: str
    request: str
    to_coop: str
    to_account: str
    to_name: str
    unit: int
    code: str
    amount: int
    text: str
    at: int
    until: int
    order: str = ""


class GroupOrders(Struct):
    orders: list[GroupOrder]
    wanted: list[GroupWanted] = []
    """What exchanges ask of the group now."""


class PerformedRequest(Request):
    """Say which member did the work that a payment to the group was for; they get all of it.

    For groups that split by `performer`. The desk says it, or a member where one signature pays.
    """

    transfer: Hex32
    performer: AuthorId


class SplitPart(Struct):
    author: str
    amount: int
    text: str
    status: str
    transfer: str = ""
    reason: str = ""


class Split(Struct):
    """An incoming payment and its parts, whose sum is the payment, exactly."""

    transfer: str
    unit: int
    code: str
    amount: int
    text: str
    at: int
    parts: list[SplitPart]


class Splits(Struct):
    splits: list[Split]
