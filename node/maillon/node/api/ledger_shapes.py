"""What goes over the local interface about accounts: requests and answers.

Ids and keys are hexadecimal text, times Unix seconds. Amounts are integers in minor units of a
unit; a request may give text instead ("1h30", "12.50"), and every answer carries both. Fields are
only ever added.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from maillon.node.api.shapes import Directory, Hex32, Request

Hex16 = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Amount = Annotated[int, Meta(ge=0, le=10**12)] | Annotated[str, Meta(min_length=1, max_length=40)]
UnitCode = Annotated[str, Meta(min_length=1, max_length=32)]
"""Code of a unit; where a request may leave it out, the federation's first unit is meant."""
Who = Annotated[str, Meta(min_length=1, max_length=200)]
"""An account here: a person's id or the beginning of it, an account's id, or a name that only one
person of the register has."""
AskedKey = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
Wait = Annotated[float, Meta(ge=0, le=120)]
"""How long an answer may wait for the quorum, in seconds; what is not certified by then goes on."""

STATUSES = ("waiting", "placed", "certified", "refused", "held")
"""Of an order: `waiting` in the queue, `placed` in a block that is not final yet, `certified`;
`held` is a certified hold that is neither posted nor void; `refused` with a reason."""

ARRIVALS = ("", "on_its_way", "arrived", "returned")
"""Of a certified transfer to another coop, what that coop did: nothing yet, took it, or sent it
back with a `reason`. Empty for a transfer inside a coop, and before it is certified."""


# --- accounts -----------------------------------------------------------------------------------


class Position(Struct):
    """What an account has in one unit. `max` is null when there is none."""

    unit: int
    code: str
    balance: int
    held: int
    available: int
    """What may be spent now, by this account's own limit: balance − held + limit."""
    limit: int
    max: int | None
    text: str
    held_text: str
    available_text: str
    limit_text: str
    max_text: str
    """Empty when there is no maximum."""


class Account(Struct):
    """`name` comes from the private register and leaves the node nowhere."""

    account: str
    coop: str
    coop_name: str
    kind: str
    name: str
    open: bool
    keys: list[str]
    seq: int
    positions: list[Position]
    pending_keys: list[dict[str, Any]] = []
    mandates: list[dict[str, Any]] = []


class Accounts(Struct):
    accounts: list[Account]
    at: int
    """Time of the last block of this coop's chain, 0 before the first."""
    next: str | None = None


class PositionRequest(Request):
    unit: UnitCode | None = None
    limit: Amount = 0
    max: Amount | None = None


class AccountRequest(Request):
    """Open an account for a member, or one of another kind with a key of its own.

    Without `key` and `person` the node makes and holds a key, as it does for members. Without
    `positions` the account is kept in every unit that has balances, with no credit.
    """

    person: Who | None = None
    kind: Annotated[str, Meta(pattern="^(person|organisation|group)$")] = "person"
    name: Annotated[str, Meta(max_length=200)] = ""
    key: Hex32 | None = None
    positions: Annotated[list[PositionRequest], Meta(max_length=16)] = []
    wait_s: Wait = 10.0


class LimitRequest(Request):
    limit: Amount
    unit: UnitCode | None = None
    max: Amount | None = None
    wait_s: Wait = 10.0


class CloseRequest(Request):
    wait_s: Wait = 10.0


class RecoverRequest(Request):
    """Vouch for a new key; without one, the node makes and holds it."""

    key: Hex32 | None = None
    wait_s: Wait = 10.0


class KeysRequest(Request):
    """Change the keys of an account, signed by one of them that the node holds."""

    add: Hex32 | None = None
    drop: Hex32 | None = None
    cancel: bool = False
    """Cancel a recovery that is under way."""
    wait_s: Wait = 10.0


class Allowance(Request):
    amount: Amount
    unit: UnitCode | None = None


class SpendingMandateRequest(Request):
    """Let another key pay from an account, up to an amount a period in each unit."""

    allowances: Annotated[list[Allowance], Meta(min_length=1, max_length=16)]
    key: Hex32 | None = None
    delegate: Who | None = None
    period_s: Annotated[int, Meta(ge=60, le=366 * 86_400)] = 30 * 86_400
    start: Annotated[int, Meta(ge=0, le=1 << 40)] | None = None
    end: Annotated[int, Meta(ge=0, le=1 << 40)] | None = None
    wait_s: Wait = 10.0


class BlockRef(Struct):
    """Where something stands on a chain."""

    chain: str
    h: int
    hash: str
    time: int
    index: int = -1
    """Of the entry in the block; -1 when the whole block is meant."""


class Placed(Struct):
    """What became of something that was asked of the ledger.

    `facts` are those of a refusal: balance, limit, available, held, seq, … as far as they apply,
    amounts also as text under `<name>_text`.
    """

    id: str
    status: str
    account: str = ""
    block: BlockRef | None = None
    reason: str = ""
    """Code of a refusal, of why it waits (no_quorum, network_down, frozen, …), or came back."""
    detail: str = ""
    facts: dict[str, Any] = {}
    mandate: str = ""
    notices: list[str] = []
    arrival: str = ""
    """One of ARRIVALS."""
    repeated: bool = False
    """It was asked before under the same `key`: this tells what became of that, nothing is new."""


class PlacedMany(Struct):
    """What became of each of several orders, in the order they were given."""

    transfers: list[Placed]


class StatementLine(Struct):
    at: int
    block: BlockRef
    id: str
    direction: str
    """`in` or `out`, seen from the account."""
    kind: str
    """pay, hold, post, void, return, settle."""
    counterpart_coop: str
    counterpart_coop_name: str
    counterpart: str
    counterpart_name: str
    unit: int
    code: str
    amount: int
    text: str
    balance: int | None
    """The account's balance after it; none, and no text, in a unit that only counts."""
    balance_text: str
    status: str
    memo: str
    category: str


class Balance(Struct):
    unit: int
    code: str
    balance: int
    text: str


class Statement(Struct):
    """Lines of one account, the oldest first; `next` continues a list as `after`."""

    account: Account
    lines: list[StatementLine]
    opening: list[Balance]
    closing: list[Balance]
    next: str | None


# --- transfers ----------------------------------------------------------------------------------


class HoldTerms(Request):
    """Reserve now, pay when confirmed: `arbiter` may confirm beside the payer's own keys."""

    expiry: Annotated[int, Meta(ge=0, le=1 << 40)]
    arbiter: Hex32 | None = None
    hashlock: Hex32 | None = None
    payee_key: Hex32 | None = None
    """Whose signature releases the hold; found by itself for an account of this node's chains."""


class TransferRequest(Request):
    to: Who
    """`coop:account`, both hexadecimal (the coop's beginning suffices), or an account here."""
    amount: Amount
    unit: UnitCode | None = None
    from_: Who | None = msgspec.field(default=None, name="from")
    """Whose account pays; the coop's commons account when left out."""
    memo: Annotated[str, Meta(max_length=1_000)] = ""
    category: Annotated[str, Meta(max_length=64)] = ""
    hold: HoldTerms | None = None
    mandate: Hex16 | None = None
    """Pay under this mandate of the account, signed with the delegate's key."""
    key_of: Who | None = None
    """Whose key signs, when it is not the account's own: the delegate of `mandate`."""
    key: AskedKey | None = None
    """A name of your own for this very transfer: however often it is asked under it, it is given
    once. Only after a refusal it may be asked again."""
    wait_s: Wait = 10.0
    arrival: bool = False
    """Wait within `wait_s` for the other coop to take it too, or to send it back."""


class SignedRequest(Request):
    """An order that was signed on a device; `memo` and `salt` have to fit its ref.

    Or `orders`, at most 256, in the order of their numbers; the answer is PlacedMany then.
    """

    # A pattern that counts pairs takes eight times as long, which is felt with 256 orders. What
    # has half a byte is refused where it is read.
    order: Annotated[str, Meta(pattern="^[0-9a-f]{0,4096}$")] = ""
    orders: Annotated[
        list[Annotated[str, Meta(pattern="^[0-9a-f]{2,4096}$")]], Meta(max_length=256)
    ] = []
    memo: Annotated[str, Meta(max_length=1_000)] = ""
    salt: Hex32 | None = None
    wait_s: Wait = 10.0


class ConfirmRequest(Request):
    preimage: Hex32 | None = None
    wait_s: Wait = 10.0
    arrival: bool = False


class ReleaseRequest(Request):
    wait_s: Wait = 10.0


class ReverseRequest(Request):
    """Send a transfer back, all of it or a part: a new transfer, signed by who received."""

    amount: Amount | None = None
    memo: Annotated[str, Meta(max_length=1_000)] = ""
    again: bool = False
    """Do it although something of the transfer was sent back already."""
    wait_s: Wait = 10.0
    arrival: bool = False


class Transfer(Struct):
    """A transfer as this node knows it."""

    id: str
    status: str
    coop: str
    coop_name: str
    account: str
    name: str
    to_coop: str
    to_coop_name: str
    to_account: str
    to_name: str
    unit: int
    code: str
    amount: int
    text: str
    category: str
    memo: str
    given_at: int
    until: int
    block: BlockRef | None
    arrived: BlockRef | None
    """The destination's block that credited it, or sent it back, once that is certified."""
    hold: dict[str, Any] | None = None
    reason: str = ""
    detail: str = ""
    facts: dict[str, Any] = {}
    arrival: str = ""
    """One of ARRIVALS."""
    back: BlockRef | None = None
    """The payer's coop's block that credited what was sent back."""


class Transfers(Struct):
    """Transfers, the newest first; `next` continues a list as `after`."""

    transfers: list[Transfer]
    next: str | None


class SignatureOut(Struct):
    role: str
    """payer, delegate, witness."""
    who: str
    key: str
    valid: bool


class TransferProof(Struct):
    """A transfer with everything that makes it certain, in sentences and in bytes."""

    transfer: Transfer
    order: str
    """The signed order, hexadecimal canonical bytes."""
    signatures: list[SignatureOut]
    quorum: int
    witnesses: int
    header: str
    certificate: str
    explanation: list[str]


class EntryProof(Struct):
    """What proves one transfer to somebody who has no node (spec/07, "Proofs"); all hexadecimal.

    `proof` is all of it in one, as `python -m maillon.ledger verify` reads it. `witnesses` are the
    keys of the charter at height `charter`, of which `quorum` have to have signed.
    """

    id: str
    coop: str
    coop_name: str
    block: BlockRef | None
    index: int
    header: str
    salt: str
    entry: str
    path: list[str]
    certificate: str
    charter: int
    witnesses: list[str]
    quorum: int
    proof: str


# --- the ledger itself --------------------------------------------------------------------------


class ChainHead(Struct):
    chain: str
    name: str
    h: int
    hash: str
    time: int
    adopted: int
    accounts: int
    frozen: bool


class WitnessState(Struct):
    coop: str
    name: str
    key: str
    node_key: str
    own: bool
    reachable: bool
    heard_at: int
    """Unix seconds of its last answer, 0 when it never answered since the start."""
    behind: int
    """Blocks of this coop's chain that it lacks, by its last answer; -1 when unknown."""


class WriterState(Struct):
    """`state` is idle, opening, working, stuck, stopped, or none (no writer key here)."""

    state: str
    term: int
    waiting: int
    since: int
    reason: str


class LedgerStatus(Struct):
    enabled: bool
    """False when the federation keeps no accounts; all else is empty then."""
    fed: str
    coop: str
    quorum: int
    witnesses_needed: str
    """What the quorum means, in a sentence: how many may be away, how many may lie."""
    charter: int
    writer_key: str
    witness_key: str
    """This node's own, also when the charter names another or none."""
    writer: WriterState
    witness: str
    """What this node's own witness does: working, stopped, none; with a reason after a colon."""
    orders: dict[str, int]
    chains: list[ChainHead]
    witnesses: list[WitnessState]
    trade: list[Balance]
    """This coop's trade balance in each unit: what its members have together."""
    latency_ms: dict[str, float]
    """From an order to its certificate: p50 and p95 of the last hundred."""
    notices: list[str]


class Heads(Struct):
    heads: list[ChainHead]


class VerifyReport(Struct):
    """What replaying every chain from its first block found."""

    good: bool
    chains: int
    blocks: int
    entries: int
    erased: int
    signatures: int
    sums: list[Balance]
    """Of all accounts and of what is under way, in each unit: zero when nothing is wrong."""
    faults: list[str]


class ForkProof(Struct):
    hash: str
    chain: str
    kind: str
    """writer: two blocks proposed at one place; witness: two votes at one place."""
    key: str
    coop: str
    name: str
    term: str
    h: int
    cleared: bool
    proof: str
    sentence: str


class ForkProofs(Struct):
    proofs: list[ForkProof]


class ExportRequest(Request):
    directory: Directory


class LedgerExport(Struct):
    directory: str
    files: list[str]
    bytes: int
    chains: int
    blocks: int
