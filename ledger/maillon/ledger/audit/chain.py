"""Replay one chain from its blocks, or from where an earlier audit left off (spec/07, "A chain").

An audit of a chain needs its own blocks and the charters, and nothing of other chains: what it took
from them stands proven in its blocks. What it sent and took is handed on, for `federation` to
compare.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from maillon.ledger.audit.findings import Finding, finding
from maillon.ledger.audit.statistics import Statistics
from maillon.ledger.block import Block, Erased, Header, certifies, decode_block
from maillon.ledger.charter import CharterChain
from maillon.ledger.check import Checked, Head, check_block, governing
from maillon.ledger.entries import Entry, In, Intra, Out, Return, message_of
from maillon.ledger.errors import (
    BadBlock,
    BadCertificate,
    CharterUnknown,
    NeedBlocks,
    NoQuorum,
    NotCertified,
)
from maillon.ledger.fastblock import Tally
from maillon.ledger.merkle import Frontier
from maillon.ledger.orders import PayAction
from maillon.ledger.signing import COMMIT, Check, Verify
from maillon.ledger.state import ChainState
from maillon.protocol.errors import MaillonError
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import signing_bytes

_COMMIT: Final = signing_bytes(COMMIT, b"")

REF_BYTES: Final = 34
"""What names a message where it was sent: the hash of its block (32) and its index (2)."""

BATCH: Final = 512
"""Signatures that are verified together, across blocks."""

KNOWN_MAX: Final = 200_000
"""Signatures of witnesses that are remembered as good (about 80 MB): a block's certificate is met
again in every chain that takes a payment from it."""

UNKNOWN_UNIT: Final = 255
"""The unit of a message whose entry was erased before the other coop took it."""


@dataclass(slots=True)
class Outgoing:
    """What a chain sent to one coop, message by message: place, unit, amount, height, and whether
    it sends back what that coop had sent."""

    refs: bytearray = field(default_factory=bytearray)
    units: bytearray = field(default_factory=bytearray)
    returns: bytearray = field(default_factory=bytearray)
    amounts: array[int] = field(default_factory=lambda: array("q"))
    heights: array[int] = field(default_factory=lambda: array("q"))

    @property
    def count(self) -> int:
        """Return how many messages were sent."""
        return len(self.heights)

    def add(self, ref: bytes, unit: int, amount: int, height: int, returned: bool = False) -> None:
        """Note the next message."""
        self.refs += ref
        self.units.append(unit)
        self.returns.append(returned)
        self.amounts.append(amount)
        self.heights.append(height)


@dataclass(slots=True)
class Incoming:
    """What a chain took from one coop, message by message: place there, height here, and whether
    it was credited (or sent back)."""

    refs: bytearray = field(default_factory=bytearray)
    credited: bytearray = field(default_factory=bytearray)
    heights: array[int] = field(default_factory=lambda: array("q"))

    @property
    def count(self) -> int:
        """Return how many messages were taken."""
        return len(self.heights)

    def add(self, ref: bytes, height: int, credited: bool = True) -> None:
        """Note the next message."""
        self.refs += ref
        self.credited.append(credited)
        self.heights.append(height)


class ChainAudit:
    """Feed it a chain's blocks in order; it says what is wrong, and what the chain leads to.

    After a finding that is an error it takes no more blocks: what follows rests on what is wrong.
    Signatures are put off and verified in batches; `finish` settles them. When `bad_from` is set by
    then, replay the blocks below it and feed that one with `strict` (unless it is `broken`): it
    says which entry it is.
    """

    def __init__(
        self,
        chain: bytes,
        charters: CharterChain,
        verify: Verify,
        known: set[Check] | None = None,
        quick: bool = False,
    ) -> None:
        """Begin at height 0. `known` holds witnesses' signatures found good before, and is added
        to; audits of one federation may share it. A `quick` one does not say what is wrong with a
        block: it sets `bad_from`, for another that is not quick to say it."""
        self.chain = chain
        self.charters = charters
        self.fed = charters.fed
        coop = charters.latest.coops.get(CoopId(chain))
        self.name = coop.name if coop is not None else chain.hex()[:8]
        self.head = Head.genesis(self.fed, chain, coop.entered if coop is not None else 0)
        self.state = ChainState(chain)
        self.findings: list[Finding] = []
        self.hashes = bytearray(self.head.hash)
        self.epochs: list[tuple[int, int]] = []
        self.outgoing: dict[bytes, Outgoing] = {}
        self.incoming: dict[bytes, Incoming] = {}
        self.statistics = Statistics()
        self.erased = 0
        self.bad_from: int | None = None
        # Whether that block breaks a rule; otherwise a signature of it is bad.
        self.broken = False
        self.strict = False
        self._verify = verify
        self._quick = quick
        self._known = set[Check]() if known is None else known
        self._pending: list[Check] = []
        self._places: list[int] = []

    @property
    def stopped(self) -> bool:
        """Say whether an error ended the replay."""
        return self.bad_from is not None or any(one.is_error for one in self.findings)

    def hash_at(self, height: int) -> bytes:
        """Return the hash of the block of a height that was replayed, genesis included."""
        return bytes(self.hashes[32 * height : 32 * height + 32])

    # --- feeding ----------------------------------------------------------------------------

    def feed(self, data: bytes) -> bool:
        """Take the next block's bytes; return whether the replay goes on."""
        if self.stopped:
            return False
        height = self.head.h + 1
        try:
            block = decode_block(data)
        except MaillonError as error:
            self._wrong(
                "block_unreadable", height, self.head.time, rule=error.facts.get("rule", error.code)
            )
            return False
        header = block.header
        try:
            # Of a hold whose entry was erased only the state before the block knows what it was.
            tally = Tally() if self._quick and not self.erased else None
            c = governing(self.charters.state, self.charters.height, self.chain, self.head)
            checked = check_block(
                block,
                self.head,
                self.state,
                self.charters.state,
                self._put_off,
                fed=self.fed,
                c=c,
                certified=True,
                tally=tally,
            )
            self._certificate(block, c)
        except MaillonError as error:
            # What this block put off is not asked about: the block is refused anyway.
            self._drop(height)
            if self._quick:
                self.bad_from, self.broken = height, True
            else:
                self._explain(error, header, height)
            return False
        if self._quick and not self._may_count(header):
            self._drop(height)
            self.bad_from, self.broken = height, True
            return False
        if not self._counts(header):
            return False
        self._take(checked, tally)
        if len(self._pending) >= BATCH:
            self._settle()
        return not self.stopped

    def finish(self) -> None:
        """Verify what was put off: now `bad_from` is the first block with a bad signature."""
        self._settle()

    def _put_off(self, checks: Sequence[Check]) -> list[bool]:
        if self.strict:
            self.statistics.signatures += len(checks)
            return self._verify(checks)
        known = self._known
        new = [check for check in checks if check[1][:17] != _COMMIT or check not in known]
        self._pending += new
        self._places += [self.head.h + 1] * len(new)
        return [True] * len(checks)

    def _drop(self, height: int) -> None:
        while self._places and self._places[-1] == height:
            self._places.pop()
            self._pending.pop()

    def _settle(self) -> None:
        if not self._pending:
            return
        verdicts = self._verify(self._pending)
        self.statistics.signatures += len(verdicts)
        if not all(verdicts):
            place = self._places[verdicts.index(False)]
            if self.bad_from is None or place < self.bad_from:
                self.bad_from, self.broken = place, False
        for check, good in zip(self._pending, verdicts, strict=True):
            if good and check[1].startswith(_COMMIT) and len(self._known) < KNOWN_MAX:
                self._known.add(check)
        self._pending = []
        self._places = []

    def _certificate(self, block: Block, c: int) -> None:
        if not block.certificate:
            raise NotCertified(chain=self.chain, h=block.h)
        certificate = block.certified_by()
        if not certifies(certificate, block.header):
            raise BadCertificate(rule="block")
        if not all(self._put_off(certificate.items(self.charters.state(c).committee(), self.fed))):
            raise BadCertificate(rule="signature")

    def _may_count(self, header: Header) -> bool:
        charters = self.charters
        return not charters.void(self.chain, header.c, header.h) and charters.latest.may_count(
            self.chain, header.c, header.h, header.hash
        )

    def _counts(self, header: Header) -> bool:
        charters = self.charters
        if charters.void(self.chain, header.c, header.h):
            self._wrong("block_void", header.h, header.time, c=header.c)
            return False
        if not charters.latest.may_count(self.chain, header.c, header.h, header.hash):
            self._wrong(
                "block_retired", header.h, header.time, c=header.c,
                below=charters.latest.retired_below,
            )  # fmt: skip
            return False
        return True

    def _take(self, checked: Checked, tally: Tally | None) -> None:
        header = checked.block.header
        head = self.head = checked.head
        self.hashes += header.hash
        if not self.epochs or self.epochs[-1][1] != header.c:
            self.epochs.append((header.h, header.c))
        body = checked.block.body
        erased = body.erased
        before = self.state
        for index, entry in enumerate(checked.entries):
            if entry is None and tally is not None and index in tally.sent:
                out = self._out(tally.sent[index][0])
                ref = header.hash + index.to_bytes(2, "big")
                out.add(ref, *tally.sent[index][1:], header.h)
            if entry is None or (erased and type(body.entries[index]) is Erased):
                continue
            if type(entry) is not Intra:
                self._crossing(entry, body.entries[index].leaf, index, header)
            self.statistics.add(entry, header, before)
        if erased:
            self.erased += erased
            self._fill(checked, head.h)
        if tally is not None:
            self.statistics.add_paid(tally.paid, header.time)
        self.statistics.blocks += 1
        self.statistics.entries += header.count
        if checked.state is not self.state:
            self.state.absorb(checked.state)

    def _crossing(
        self, entry: Entry, leaf: Callable[[], bytes], index: int, header: Header
    ) -> None:
        kind = type(entry)
        if kind is In or kind is Return:
            assert isinstance(entry, In | Return)
            incoming = self.incoming.get(entry.source)
            if incoming is None:
                incoming = self.incoming[entry.source] = Incoming()
            ref = entry.block + entry.index.to_bytes(2, "big")
            incoming.add(ref, header.h, kind is In)
            if kind is In:
                return
        if kind is Out:
            # The usual case, without working out an id that nobody asks for.
            assert isinstance(entry, Out)
            action = entry.order.action
            assert isinstance(action, PayAction)
            target, unit, amount, returned = action.to_coop, action.unit, action.amount, False
        else:
            message = message_of(entry, leaf(), self.fed)
            if message is None:
                return
            target, unit, amount = message.to_coop, message.unit, message.amount
            returned = message.returned
        out = self._out(target)
        ref = header.hash + index.to_bytes(2, "big")
        out.add(ref, unit, amount, header.h, returned)

    def _out(self, target: bytes) -> Outgoing:
        out = self.outgoing.get(target)
        if out is None:
            out = self.outgoing[target] = Outgoing()
        return out

    def _fill(self, checked: Checked, height: int) -> None:
        # Which messages the erased entries were is not known; how many, the certified state says.
        for channel in checked.state.channels():
            out = self.outgoing.setdefault(channel.coop, Outgoing())
            while out.count < channel.sent:
                out.add(bytes(REF_BYTES), UNKNOWN_UNIT, 0, height)
            taken = self.incoming.setdefault(channel.coop, Incoming())
            while taken.count < channel.received:
                taken.add(bytes(REF_BYTES), height)

    # --- what is wrong ----------------------------------------------------------------------

    def _wrong(self, code: str, height: int, time: int, entry: int = -1, **facts: Any) -> None:
        self.findings.append(finding(code, self.chain, height, time, entry, **facts))

    def _explain(self, error: MaillonError, header: Header, height: int) -> None:
        facts = error.facts
        match error:
            case NotCertified():
                self._wrong("block_uncertified", height, header.time)
            case NoQuorum():
                self._wrong(
                    "block_few", height, header.time, got=facts["got"], needed=facts["needed"]
                )
            case BadCertificate():
                self._wrong("block_forged", height, header.time, rule=facts.get("rule", ""))
            case NeedBlocks():
                self._wrong(
                    "block_missing", height, self.head.time, until=header.h - 1, next=header.h
                )
            case CharterUnknown():
                self._wrong(
                    "charter_ahead", height, header.time, needed=facts.get("needed", -1),
                    known=self.charters.height,
                )  # fmt: skip
            case BadBlock() if facts.get("reason") in ("height", "prev", "chain"):
                self._wrong(
                    "block_order", height, header.time, reason=facts["reason"], found=header.h
                )
            case BadBlock() if facts.get("entry_code") == "bad_signature":
                self._wrong("block_signature", height, header.time, facts.get("index", -1))
            case BadBlock() if facts.get("reason") in ("entry", "evidence"):
                self._wrong(
                    "block_entry", height, header.time, facts.get("index", -1),
                    what=facts["reason"],
                    why=facts.get("entry_code", ""),
                    about=dict(facts.get("entry_facts") or {}),
                )  # fmt: skip
            case BadBlock():
                self._wrong("block_invalid", height, header.time, reason=facts.get("reason", ""))
            case _:
                self._wrong("block_invalid", height, header.time, reason=error.code)


@dataclass(frozen=True, slots=True)
class ChainResult:
    """What the audit of one chain leads to, in a form that crosses between processes.

    `accounts` are (account, kind, open, seq, {unit: (balance, held, limit, maximum)}, holds);
    `hashes` the hashes of all blocks from genesis, 32 bytes each; `length` how many bytes of its
    file were replayed.
    """

    chain: bytes
    name: str
    height: int
    head: bytes
    time: int
    adopted: int
    findings: tuple[Finding, ...]
    accounts: tuple[AccountRow, ...]
    opaque: int
    trade: Mapping[int, int]
    outgoing: Mapping[bytes, Outgoing]
    incoming: Mapping[bytes, Incoming]
    statistics: Statistics
    hashes: bytes
    history: Frontier
    epochs: tuple[tuple[int, int], ...]
    erased: int
    unread: int = 0
    resumed: int = 0

    def hash_at(self, height: int) -> bytes:
        """Return the hash of the block at a height up to the head's."""
        return self.hashes[32 * height : 32 * height + 32]


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account at the head: `positions` are (unit, balance, held, limit, maximum)."""

    id: bytes
    kind: int
    open: bool
    seq: int
    positions: tuple[tuple[int, int, int, int, int], ...]
    holds: int
    mandates: int


def result_of(audit: ChainAudit, *, unread: int = 0, resumed: int = 0) -> ChainResult:
    """Return what a finished audit led to."""
    state = audit.state
    rows: list[AccountRow] = []
    for account in state.accounts():
        positions = tuple(
            (unit, p.balance, account.held(unit), p.limit, p.max)
            for unit, p in sorted(account.positions.items())
        )
        rows.append(
            AccountRow(
                account.id,
                account.kind,
                bool(account.open),
                account.seq,
                positions,
                len(account.holds),
                len(account.mandates),
            )
        )
    known = len(rows) + sum(1 for _ in state.channels()) + 1
    findings = list(audit.findings)
    if audit.erased:
        findings.append(
            finding("erased", audit.chain, audit.head.h, audit.head.time, count=audit.erased)
        )
    trade = {unit: amount for unit, amount in state.totals.trade.items() if amount}
    return ChainResult(
        audit.chain,
        audit.name,
        audit.head.h,
        audit.head.hash,
        audit.head.time,
        audit.head.adopted,
        tuple(findings),
        tuple(rows),
        state.size - known,
        trade,
        audit.outgoing,
        audit.incoming,
        audit.statistics,
        bytes(audit.hashes),
        audit.head.history,
        tuple(audit.epochs),
        audit.erased,
        unread,
        resumed,
    )
