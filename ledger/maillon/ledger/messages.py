"""All messages between writers, witnesses and nodes (spec/06-blocks.md, "Messages").

On a stream each is one frame; hints travel by gossip as ``[2, [hint, ...]]`` on the topic of the
records. `decode_message` refuses everything that is not exactly one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from typing import Final as Constant

from maillon.ledger import _read as read
from maillon.ledger.block import (
    Approval,
    Header,
    approvals_from,
    block_from,
    decode_header,
)
from maillon.ledger.entries import Confirmation, Release, confirmation_from
from maillon.ledger.limits import (
    APPROVALS_MAX,
    BLOCKS_MAX,
    FRAUD_BYTES_MAX,
    HASH_BYTES,
    HEADER_BYTES_MAX,
    HEADS_MAX,
    HINTS_MAX,
    ORDER_BYTES_MAX,
    PROOF_BYTES_MAX,
    PROPOSAL_BYTES_MAX,
    REASON_FACTS_BYTES_MAX,
)
from maillon.ledger.orders import decode_order, good_key
from maillon.ledger.queries import (
    Ack,
    AskHeads,
    Blocks,
    Confirm,
    Failure,
    FraudReport,
    Get,
    GiveBack,
    Heads,
    Need,
    Ok,
    Proposal,
    Receipt,
    Submit,
    ack_body,
    proposal_array,
)
from maillon.ledger.rounds import (
    REASONS,
    Commit,
    Done,
    Echo,
    Final,
    Frame,
    Lock,
    LockAt,
    Opening,
    Prepare,
    Promise,
    Propose,
    Refuse,
    Vote,
    decode_proposed,
    encode_proposed,
    evidence_hash,
)
from maillon.ledger.rounds_reading import (
    read_commit,
    read_done,
    read_final,
    read_lock,
    read_opening,
    read_prepare,
    read_promise,
    read_propose,
    read_refuse,
    read_vote,
)
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable, Value
from maillon.protocol.errors import Malformed, WrongVersion
from maillon.protocol.ids import KEY_BYTES, SIGNATURE_BYTES
from maillon.protocol.limits import BATCH_BYTES_MAX, FRAME_BYTES_MAX

STATUS_BYTES_MAX: Constant = 32
CODE_BYTES_MAX: Constant = 64
TEXT_BYTES_MAX: Constant = 500


Message = (
    Prepare
    | Promise
    | Refuse
    | Opening
    | Propose
    | Vote
    | Lock
    | Commit
    | Final
    | Done
    | Need
    | Get
    | Blocks
    | AskHeads
    | Heads
    | Confirm
    | Ack
    | Proposal
    | Ok
    | Submit
    | Receipt
    | FraudReport
    | Failure
    | GiveBack
)


def encode_message(message: Message) -> bytes:
    """Return a message's bytes. Raises: EncodingError beyond a frame."""
    return message.encode()


def decode_message(data: bytes) -> Message:
    """Read a message; no signature is verified. Raises: Malformed and its kinds, BadAmount,
    BadKey, WrongVersion."""
    parts = read.array(data, FRAME_BYTES_MAX, "message")
    reader = _READERS.get(parts[0]) if parts and type(parts[0]) is int else None
    if reader is None:
        read.refuse("message_type")
    return reader(parts)


# --- Reading -------------------------------------------------------------------------------------


def _need(parts: list[Any]) -> Need:
    _, chain, from_h = read.exactly(parts, 3)
    return Need(read.chain(chain), read.height(from_h))


def _get(parts: list[Any]) -> Get:
    _, chain, from_h, to_h = read.exactly(parts, 4)
    get = Get(read.chain(chain), read.height(from_h), read.height(to_h))
    if get.to_h < get.from_h:
        read.refuse("height")
    return get


def _blocks(parts: list[Any]) -> Blocks:
    _, chain, blocks = read.exactly(parts, 3)
    found = [
        block_from(read.items(block, "block", 4, 4))
        for block in read.items(blocks, "blocks", 0, BLOCKS_MAX)
    ]
    message = Blocks(read.chain(chain), tuple(found))
    for place, block in enumerate(found):
        if block.chain != message.chain or block.h != found[0].h + place:
            read.refuse("blocks")
    return message


def _ask_heads(parts: list[Any]) -> AskHeads:
    found: list[tuple[bytes, int]] = []
    for item in read.items(read.exactly(parts, 2)[1], "heads", 0, HEADS_MAX):
        chain, h = read.items(item, "heads", 2, 2)
        found.append((read.chain(chain), read.height(h, 0)))
    _ascending([chain for chain, _ in found])
    return AskHeads(tuple(found))


def _heads(parts: list[Any]) -> Heads:
    found: list[tuple[Header, bytes]] = []
    for item in read.items(read.exactly(parts, 2)[1], "heads", 0, HEADS_MAX):
        found.append(_head(item))
    _ascending([header.chain for header, _ in found])
    return Heads(tuple(found))


def _head(value: Any) -> tuple[Header, bytes]:
    header, certificate = read.items(value, "heads", 2, 2)
    return (
        decode_header(read.bounded(header, HEADER_BYTES_MAX, "heads")),
        read.bounded(certificate, PROOF_BYTES_MAX, "heads", 1),
    )


def _ascending(chains: Sequence[bytes]) -> None:
    for before, after in zip(chains, chains[1:], strict=False):
        if before >= after:
            read.refuse("heads")


def _confirm(parts: list[Any]) -> Confirm:
    _, chain, hold, confirmation = read.exactly(parts, 4)
    return Confirm(
        read.chain(chain), read.fixed(hold, HASH_BYTES, "hold"), confirmation_from(confirmation)
    )


def _ack(parts: list[Any]) -> Ack:
    _, chain, hold, named, c, witness, signature = read.exactly(parts, 7)
    return Ack(
        read.chain(chain),
        read.fixed(hold, HASH_BYTES, "hold"),
        read.fixed(named, HASH_BYTES, "confirmation"),
        read.number(c, "charter"),
        good_key(witness, "witness"),
        read.fixed(signature, SIGNATURE_BYTES, "signature"),
    )


def _proposal_parts(proposal: Any, approvals: Any) -> tuple[bytes, tuple[Approval, ...]]:
    return (
        read.bounded(proposal, PROPOSAL_BYTES_MAX, "proposal", 1),
        approvals_from(read.items(approvals, "approvals", 0, APPROVALS_MAX), "approvals"),
    )


def _proposal(parts: list[Any]) -> Proposal:
    _, proposal, approvals = read.exactly(parts, 3)
    return Proposal(*_proposal_parts(proposal, approvals))


def _ok(parts: list[Any]) -> Ok:
    read.exactly(parts, 1)
    return Ok()


def _submit(parts: list[Any]) -> Submit:
    return Submit(decode_order(read.bounded(read.exactly(parts, 2)[1], ORDER_BYTES_MAX, "order")))


def _receipt(parts: list[Any]) -> Receipt:
    id_, status = read.exactly(parts, 4)[1:3]
    facts: Value = parts[3]
    if type(facts) is not dict or len(encoding.encode(facts)) > REASON_FACTS_BYTES_MAX:
        read.refuse("facts")
    return Receipt(
        read.fixed(id_, HASH_BYTES, "order_id"),
        read.code(status, STATUS_BYTES_MAX, "status"),
        facts,
    )


def _give_back(parts: list[Any]) -> GiveBack:
    _, chain, hold, release = read.exactly(parts, 4)
    key, signature = read.items(release, "release", 2, 2)
    return GiveBack(
        read.chain(chain),
        read.fixed(hold, HASH_BYTES, "hold"),
        Release(
            read.fixed(key, KEY_BYTES, "release"),
            read.fixed(signature, SIGNATURE_BYTES, "release"),
        ),
    )


def _fraud(parts: list[Any]) -> FraudReport:
    return FraudReport(read.bounded(read.exactly(parts, 2)[1], FRAUD_BYTES_MAX, "fraud", 1))


def _failure(parts: list[Any]) -> Failure:
    _, code, text = read.exactly(parts, 3)
    return Failure(read.code(code, CODE_BYTES_MAX, "code"), read.text(text, TEXT_BYTES_MAX, "text"))


_READERS: Constant[dict[int, Callable[[list[Any]], Message]]] = {
    Prepare.TYPE: read_prepare,
    Promise.TYPE: read_promise,
    Refuse.TYPE: read_refuse,
    Opening.TYPE: read_opening,
    Propose.TYPE: read_propose,
    Vote.TYPE: read_vote,
    Lock.TYPE: read_lock,
    Commit.TYPE: read_commit,
    Final.TYPE: read_final,
    Done.TYPE: read_done,
    Need.TYPE: _need,
    Get.TYPE: _get,
    Blocks.TYPE: _blocks,
    AskHeads.TYPE: _ask_heads,
    Heads.TYPE: _heads,
    Confirm.TYPE: _confirm,
    Ack.TYPE: _ack,
    Proposal.TYPE: _proposal,
    Ok.TYPE: _ok,
    Submit.TYPE: _submit,
    Receipt.TYPE: _receipt,
    FraudReport.TYPE: _fraud,
    Failure.TYPE: _failure,
    GiveBack.TYPE: _give_back,
}


# --- Hints ---------------------------------------------------------------------------------------

HINTS_VERSION: Constant = 2
"""What a gossip message of hints begins with; one of records begins with 1 (spec/04)."""


@dataclass(frozen=True, slots=True)
class HeadHint:
    """There is a new certified block: its header and its certificate's bytes."""

    KIND: ClassVar[int] = 1
    header: Header
    certificate: bytes

    def array(self) -> list[Encodable]:
        """Return the hint as it is encoded."""
        return [self.KIND, self.header.encoded, self.certificate]


@dataclass(frozen=True, slots=True)
class FraudHint:
    """There is a fraud proof: its bytes."""

    KIND: ClassVar[int] = 2
    proof: bytes

    def array(self) -> list[Encodable]:
        """Return the hint as it is encoded."""
        return [self.KIND, self.proof]


@dataclass(frozen=True, slots=True)
class ConfirmHint:
    """A hold of this chain is confirmed."""

    KIND: ClassVar[int] = 3
    chain: bytes
    hold: bytes
    confirmation: Confirmation

    def array(self) -> list[Encodable]:
        """Return the hint as it is encoded."""
        return [self.KIND, self.chain, self.hold, self.confirmation.array()]


@dataclass(frozen=True, slots=True)
class ProposalHint:
    """A proposal for the charter, and the approvals gathered so far."""

    KIND: ClassVar[int] = 4
    proposal: bytes
    approvals: tuple[Approval, ...]

    def array(self) -> list[Encodable]:
        """Return the hint as it is encoded."""
        return [self.KIND, *proposal_array(self.proposal, self.approvals)]


Hint = HeadHint | FraudHint | ConfirmHint | ProposalHint


def encode_hints(hints: Sequence[Hint]) -> bytes:
    """Return one gossip message. Raises: EncodingError beyond 64 KiB."""
    return encoding.encode(
        [HINTS_VERSION, [hint.array() for hint in hints]], bytes_max=BATCH_BYTES_MAX
    )


def is_hints(data: bytes) -> bool:
    """Tell whether a gossip message carries hints rather than records, by its first bytes."""
    return data[:2] == b"\x92\x02"


def decode_hints(data: bytes) -> list[Hint]:
    """Read a gossip message of hints. Raises: WrongVersion, Malformed and its kinds, BadKey."""
    parts = read.array(data, BATCH_BYTES_MAX, "hints")
    if not parts or type(parts[0]) is not int:
        read.refuse("hints")
    if parts[0] != HINTS_VERSION:
        raise WrongVersion(got=parts[0], known=HINTS_VERSION)
    if len(parts) != 2:
        read.refuse("hints")
    return [_hint(item) for item in read.items(parts[1], "hints", 1, HINTS_MAX)]


def _hint(value: Any) -> Hint:
    parts = read.items(value, "hint", 2, 4)
    kind = parts[0] if type(parts[0]) is int else 0
    if kind == HeadHint.KIND and len(parts) == 3:
        return HeadHint(*_head(parts[1:]))
    if kind == FraudHint.KIND and len(parts) == 2:
        return FraudHint(read.bounded(parts[1], FRAUD_BYTES_MAX, "fraud", 1))
    if kind == ConfirmHint.KIND and len(parts) == 4:
        confirm = _confirm(parts)
        return ConfirmHint(confirm.chain, confirm.hold, confirm.confirmation)
    if kind == ProposalHint.KIND and len(parts) == 3:
        return ProposalHint(*_proposal_parts(parts[1], parts[2]))
    raise Malformed("The hint is of no known kind.", rule="hint")


__all__ = [
    "HINTS_VERSION",
    "REASONS",
    "Ack",
    "AskHeads",
    "Blocks",
    "Commit",
    "Confirm",
    "ConfirmHint",
    "Done",
    "Echo",
    "Failure",
    "Final",
    "Frame",
    "FraudHint",
    "FraudReport",
    "Get",
    "GiveBack",
    "HeadHint",
    "Heads",
    "Hint",
    "Lock",
    "LockAt",
    "Message",
    "Need",
    "Ok",
    "Opening",
    "Prepare",
    "Promise",
    "Proposal",
    "ProposalHint",
    "Propose",
    "Receipt",
    "Refuse",
    "Submit",
    "Vote",
    "ack_body",
    "decode_hints",
    "decode_message",
    "decode_proposed",
    "encode_hints",
    "encode_message",
    "encode_proposed",
    "evidence_hash",
    "is_hints",
]
