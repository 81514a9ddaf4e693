"""The messages by which nodes ask one another and tell (spec/06-blocks.md, "Messages", 11 to 24).

`messages` reads them; it has all names of this module as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from maillon.ledger import signing
from maillon.ledger.block import Approval, Block, Header
from maillon.ledger.entries import Confirmation, Release
from maillon.ledger.orders import Order
from maillon.ledger.rounds import Frame
from maillon.ledger.signing import Check, Signer
from maillon.protocol import encoding
from maillon.protocol.encoding import Encodable, Value


def proposal_array(proposal: bytes, approvals: Sequence[Approval]) -> list[Encodable]:
    """Return [proposal bytes, [[coop, signature], ...]] as messages and hints carry them."""
    return [proposal, [[approval.coop, approval.signature] for approval in approvals]]


@dataclass(frozen=True, slots=True)
class Need(Frame):
    """W7: "I am at `from_h` - 1 of this chain"; the answer to what stands above it."""

    TYPE: ClassVar[int] = 11
    chain: bytes
    from_h: int

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.chain, self.from_h]


@dataclass(frozen=True, slots=True)
class Get(Frame):
    """Ask for the certified blocks `from_h` to `to_h`, both included."""

    TYPE: ClassVar[int] = 12
    chain: bytes
    from_h: int
    to_h: int

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.chain, self.from_h, self.to_h]


@dataclass(frozen=True, slots=True)
class Blocks(Frame):
    """The answer to GET: the first of them, in order; none when there are none."""

    TYPE: ClassVar[int] = 13
    chain: bytes
    blocks: tuple[Block, ...]

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.chain, [block.array() for block in self.blocks]]


@dataclass(frozen=True, slots=True)
class AskHeads(Frame):
    """Say (chain, height) of the own heads, by chain, and ask for higher ones."""

    TYPE: ClassVar[int] = 14
    heads: tuple[tuple[bytes, int], ...]

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.heads]


@dataclass(frozen=True, slots=True)
class Heads(Frame):
    """The answer: heads above those named, each a header and its certificate's bytes, by chain."""

    TYPE: ClassVar[int] = 15
    heads: tuple[tuple[Header, bytes], ...]

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, [[header.encoded, proof] for header, proof in self.heads]]


@dataclass(frozen=True, slots=True)
class Confirm(Frame):
    """Show a witness the confirmation of a hold, so that it refuses to void it."""

    TYPE: ClassVar[int] = 16
    chain: bytes
    hold: bytes
    confirmation: Confirmation

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.chain, self.hold, self.confirmation.array()]


def ack_body(chain: bytes, hold: bytes, confirmation_hash: bytes, c: int) -> bytes:
    """Return what an ACK signs: [chain, hold id, confirmation hash, c]."""
    return encoding.encode([chain, hold, confirmation_hash, c])


@dataclass(frozen=True, slots=True)
class Ack(Frame):
    """A witness of charter `c` holds a confirmation, and will vote for no void of that hold."""

    TYPE: ClassVar[int] = 17
    chain: bytes
    hold: bytes
    confirmation_hash: bytes
    c: int
    witness: bytes
    signature: bytes

    @classmethod
    def sign(
        cls,
        key: Signer,
        fed: bytes,
        chain: bytes,
        hold: bytes,
        confirmation_hash: bytes,
        c: int,
    ) -> Ack:
        """Make one."""
        body = ack_body(chain, hold, confirmation_hash, c)
        signature = signing.sign(key, signing.ACK, fed, body)
        return cls(chain, hold, confirmation_hash, c, key.public, signature)

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [
            self.TYPE,
            self.chain,
            self.hold,
            self.confirmation_hash,
            self.c,
            self.witness,
            self.signature,
        ]

    def check(self, fed: bytes) -> Check:
        """Return what has to be verified: the witness's signature."""
        body = ack_body(self.chain, self.hold, self.confirmation_hash, self.c)
        return self.witness, signing.signed_bytes(signing.ACK, fed, body), self.signature


@dataclass(frozen=True, slots=True)
class Proposal(Frame):
    """A proposal for the charter's next block, and the approvals gathered so far."""

    TYPE: ClassVar[int] = 18
    proposal: bytes
    approvals: tuple[Approval, ...]

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, *proposal_array(self.proposal, self.approvals)]


@dataclass(frozen=True, slots=True)
class Ok(Frame):
    """The answer to what needs none."""

    TYPE: ClassVar[int] = 19

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE]


@dataclass(frozen=True, slots=True)
class Submit(Frame):
    """ORDER: hand an order to the node of its chain."""

    TYPE: ClassVar[int] = 20
    order: Order

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.order.encode()]


@dataclass(frozen=True, slots=True)
class GiveBack(Frame):
    """RELEASE: hand a payee's release of a hold to the node of the payer's chain."""

    TYPE: ClassVar[int] = 24
    chain: bytes
    hold: bytes
    release: Release

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.chain, self.hold, self.release.array()]


@dataclass(frozen=True, slots=True)
class Receipt(Frame):
    """What became of an order or a release: waiting, certified, held or refused, and facts."""

    TYPE: ClassVar[int] = 21
    id: bytes
    status: str
    facts: dict[str, Value]

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.id, self.status, self.facts]


@dataclass(frozen=True, slots=True)
class FraudReport(Frame):
    """FRAUD: the bytes of a fraud proof (`fraud`)."""

    TYPE: ClassVar[int] = 22
    proof: bytes

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.proof]


@dataclass(frozen=True, slots=True)
class Failure(Frame):
    """ERROR: a code of the registry, and a sentence."""

    TYPE: ClassVar[int] = 23
    code: str
    text: str

    def array(self) -> list[Encodable]:
        """Return the message as it is encoded."""
        return [self.TYPE, self.code, self.text]
