"""What goes over the interface about persons: cheques, keys, mandates, groups, moving, privacy.

Ids and keys are hexadecimal text, times Unix seconds; amounts as in `ledger_shapes`. Fields are
only ever added. Where a request needs a signature and the key is not held here, it carries a
`signed` record or order; where one is still missing, the answer carries what is `to_sign`.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from maillon.node.api.groups_shapes import Record
from maillon.node.api.ledger_shapes import Amount, Hex16, UnitCode, Wait, Who
from maillon.node.api.shapes import Hex32, Request

Hex64 = Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]
Order = Annotated[str, Meta(pattern="^([0-9a-f]{2}){1,2048}$")]
Short = Annotated[str, Meta(max_length=200)]
Code = Annotated[str, Meta(min_length=8, max_length=400)]


class ToSign(Struct):
    """Something that only a key elsewhere can sign; send it back signed.

    `what` says of which kind `body` is: `order` (purpose of the ledger's orders, to
    POST /v1/transfers/signed), or `record` (a record's header; purpose `record`, to be sent back
    in `signed` with `payload`).
    """

    what: str
    key: str
    body: str
    payload: str = ""
    order: str = ""


# --- paper cheques ------------------------------------------------------------------------------


class BookRequest(Request):
    """Make a book of numbered cheques for an account of this coop.

    `max` bounds what one cheque may be written for. `mandate` is a spending mandate of the account
    for a key that the node holds; without it the node must hold a key of the account.
    """

    account: Who
    count: Annotated[int, Meta(ge=1, le=100)] = 10
    unit: UnitCode | None = None
    max: Amount | None = None
    days: Annotated[int, Meta(ge=1, le=1_100)] = 365
    mandate: Hex16 | None = None
    lang: Annotated[str, Meta(pattern="^(fr|en)$")] = "fr"
    sheets: Annotated[str, Meta(pattern="^(|html|svg)$")] = "html"


class VoucherSecret(Struct):
    """A cheque as it is printed: `code` for typing, `qr` for reading. Shown this once only."""

    number: int
    code: str
    qr: str


class Book(Struct):
    """`vouchers`, `html` and `svg` are there in the answer that makes the book, and never again."""

    book: str
    account: str
    name: str
    unit: int
    code: str
    first: int
    count: int
    max: int | None
    max_text: str
    issued: int
    expires: int
    revoked: int | None
    reason: str
    open: int
    paid: int
    blocked: int
    vouchers: list[VoucherSecret] = []
    html: str = ""
    svg: list[str] = []


class Books(Struct):
    books: list[Book]


class RevokeBookRequest(Request):
    reason: Short = ""


class BlockRequest(Request):
    """Block lost cheques of an account, by their numbers."""

    account: Who
    numbers: Annotated[
        list[Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]], Meta(min_length=1, max_length=100)
    ]
    reason: Short = ""


class Voucher(Struct):
    """`status`: open, presented (its payment is under way), paid, blocked, expired."""

    number: int
    book: str
    account: str
    name: str
    status: str
    expires: int
    amount: int | None = None
    text: str = ""
    unit: int | None = None
    code: str = ""
    payee: str = ""
    payee_name: str = ""
    written: str = ""
    at: int = 0
    transfer: str = ""
    reason: str = ""


class Vouchers(Struct):
    vouchers: list[Voucher]
    next: str | None = None


class DepositRequest(Request):
    """Deposit a cheque: what was read from its code, and what was written on it by hand.

    `voucher` is the text of the QR, or `number` and `code` are typed; `coop` then names who issued
    it (id or its beginning; this coop when absent). `payee` is an account here. `date` is as
    written on the cheque, YYYY-MM-DD. With `signed` (a `voucher_deposit` record) the payee's own
    device asks, and nothing is signed here.
    """

    amount: Amount
    payee: Who
    voucher: Code | None = None
    number: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    code: Code | None = None
    coop: Annotated[str, Meta(pattern="^[0-9a-f]{6,64}$")] | None = None
    unit: UnitCode | None = None
    date: Annotated[str, Meta(pattern=r"^(|\d{4}-\d{2}-\d{2})$")] = ""
    wait_s: Wait = 10.0
    signed: Record | None = None


class Deposit(Struct):
    """What became of a cheque. `status`: sent (its coop was not reached yet; tried again by
    itself), waiting, placed, certified, refused with `reason`, `detail` and `facts`.
    """

    voucher: str
    ref: str
    number: int
    coop: str
    coop_name: str
    status: str
    amount: int
    unit: int
    code: str
    text: str
    payee: str
    payee_name: str
    date: str
    at: int
    transfer: str = ""
    reason: str = ""
    detail: str = ""
    facts: dict[str, Any] = {}
    repeated: bool = False


class Deposits(Struct):
    deposits: list[Deposit]


# --- a person -----------------------------------------------------------------------------------


class Device(Struct):
    """A key of a person. `account` tells whether it may spend from the account: yes, no, or
    pending."""

    key: str
    sealing: str
    custody: str
    status: str
    at: int
    until: int
    held: bool
    account: str
    pending_from: int = 0


class Person(Struct):
    """What the coop knows and vouches for. `verification`: approved by `verified_by`, or
    self_declared. `payable` are the codes of units in which the status may be paid."""

    person: str
    author: str
    name: str
    note: str
    roles: list[str]
    provider_status: str
    verification: str
    verified_by: str
    verified_by_name: str
    payable: list[str]
    devices: list[Device]
    moved_from: list[str] = []
    moved_to: str = ""


class ClaimCodeRequest(Request):
    days: Annotated[int, Meta(ge=1, le=90)] = 14
    lang: Annotated[str, Meta(pattern="^(fr|en)$")] = "fr"


class ClaimCode(Struct):
    """Shown once. `html` is a sheet to print with a QR of the code."""

    person: str
    code: str
    expires: int
    html: str


class ClaimRequest(Request):
    """Bring an own key. `signature` is by `key`, purpose `claim`, over [fed, coop, code's id,
    key, sealing]. `drop`: the keys that the node or paper had are ended."""

    code: Code
    key: Hex32
    sealing: Hex32
    signature: Hex64
    drop: bool = True
    wait_s: Wait = 10.0


class Claimed(Struct):
    """`account`: certified, waiting, pending (a recovery that waits), none."""

    person: str
    author: str
    coop: str
    key: str
    membership: str
    dropped: list[str]
    account: str
    pending_from: int = 0
    to_sign: list[ToSign] = []


class DeviceRequest(Request):
    """Add a device: by the desk, or with `approved_by`, a key of the person, and its signature,
    purpose `device`, over [fed, coop, person, key, sealing, until]."""

    key: Hex32
    sealing: Hex32
    custody: Annotated[str, Meta(pattern="^(device|paper)$")] = "device"
    approved_by: Hex32 | None = None
    approval: Hex64 | None = None
    until: Annotated[int, Meta(ge=0, le=1 << 40)] = 0
    wait_s: Wait = 10.0


class RemoveDeviceRequest(Request):
    reason: Annotated[str, Meta(pattern="^(lost|stolen|left|rotated)$")]
    until_at: Annotated[int, Meta(ge=0, le=1 << 40)] | None = None
    keep: Annotated[list[Hex32], Meta(max_length=400)] | None = None
    wait_s: Wait = 10.0


class DeviceChange(Struct):
    device: Device
    account: str
    to_sign: list[ToSign] = []
    standing: list[str] = []


class RecoveryRequest(Request):
    """The coop vouches for a new key after its own procedure; it counts after `days` unless an old
    key contests it."""

    old_key: Hex32
    procedure: Annotated[str, Meta(min_length=1, max_length=2_000)]
    key: Hex32 | None = None
    sealing: Hex32 | None = None
    days: Annotated[int, Meta(ge=1, le=90)] | None = None


class Recovery(Struct):
    """`status`: open (it can be contested until `contest_until`), contested, done, cancelled."""

    recovery: str
    person: str
    name: str
    old_key: str
    new_key: str
    procedure: str
    at: int
    contest_until: int
    status: str
    contested_by: str = ""
    account: str = ""
    pending_from: int = 0


class Recoveries(Struct):
    recoveries: list[Recovery]


class ContestRequest(Request):
    """Contest a recovery: with a `contest` record signed by an old key, or by a key held here."""

    signed: Record | None = None


class Act(Struct):
    """Something a delegate did. `what`: a kind of record, of a step, or `pay` and `hold`."""

    at: int
    what: str
    id: str
    mandate: str
    delegate_key: str
    delegate_coop: str
    delegate_name: str
    title: str = ""
    amount: int | None = None
    text: str = ""
    refused: str = ""


class Acts(Struct):
    acts: list[Act]
    next: str | None = None


class GivenMandate(Struct):
    """A mandate that a person gave or received. `kinds` of a spending mandate are pay and hold, and
    `allowances` say how much a period. `acts` counts what was done under it, as far as is known.
    """

    mandate: str
    principal: str
    principal_name: str
    delegate_key: str
    delegate_coop: str
    delegate_coop_name: str
    delegate_name: str
    kinds: list[str]
    forbidden: list[str]
    start: int
    end: int
    revoked: bool
    note: str = ""
    allowances: list[dict[str, Any]] = []
    period_s: int = 0
    acts: int = 0


class PersonMandates(Struct):
    given: list[GivenMandate]
    received: list[GivenMandate]


class Receipt(Struct):
    html: str
    text: str


# --- moving -------------------------------------------------------------------------------------


class MoveRequest(Request):
    """Prepare to leave for another coop. With `with_key`, a key held here goes along, sealed."""

    to_coop: Hex32
    with_key: bool = True


class Move(Struct):
    """`status`: prepared, arrived (the new coop vouches), declared (the move record stands),
    balanced, closed (all done), cancelled. `ticket` and `code` are shown once: give them to the
    new coop, the code on another way."""

    person: str
    name: str
    from_author: str
    to_author: str
    to_coop: str
    to_coop_name: str
    status: str
    at: int
    detail: str = ""
    ticket: str = ""
    code: str = ""
    html: str = ""
    to_sign: list[ToSign] = []


class Moves(Struct):
    moves: list[Move]


class ArrivalRequest(Request):
    """Take in somebody who moves here: their ticket, the code that opens the key in it, a name."""

    ticket: Annotated[str, Meta(min_length=20, max_length=4_000)]
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    code: Code | None = None
    note: Annotated[str, Meta(max_length=1_000)] = ""
    limit: Amount = 0
    """Credit limit in every unit with balances; a text has to be an amount of each."""
    limits: Annotated[dict[str, Amount], Meta(max_length=16)] = {}
    """Credit limits by code of the unit, where they differ."""
    wait_s: Wait = 10.0


class Arrived(Struct):
    person: str
    author: str
    from_author: str
    keys: list[str]
    account: str
    status: str


# --- privacy ------------------------------------------------------------------------------------


class EraseRequest(Request):
    """Erase a person. `confirm` is their whole id. An account must be at rest: with
    `settle_to_commons` a rest is given to the coop's own account first."""

    confirm: Hex16
    settle_to_commons: bool = False
    wait_s: Wait = 30.0


class Erased(Struct):
    """What was erased, by file; `left` says what stays and why (the ledger's leaves, copies that
    other coops hold, backups)."""

    person: str
    done: bool
    erased: dict[str, int]
    left: list[str]


class RetentionRule(Struct):
    what: str
    days: int
    due: int
    last: int


class Retention(Struct):
    rules: list[RetentionRule]
    ran_at: int


class Retained(Struct):
    removed: dict[str, int]
