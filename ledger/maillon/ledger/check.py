"""Decide whether a block may be the next of its chain (spec/06-accounts.md, "Validity of a block").

A function of the block, the head it follows, that head's state, the charters and the signatures;
`Book` keeps these for a node, an auditor brings its own. Nothing is changed: what the block leads
to is a fork of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, cast

from maillon.ledger.block import Block, Erased, Header, Placed, genesis_hash, history_leaf
from maillon.ledger.charter_state import CharterState
from maillon.ledger.context import Context
from maillon.ledger.entries import Entry, In, Return, Void, decode_entry
from maillon.ledger.errors import BadBlock, BadEvidence, NeedBlocks
from maillon.ledger.fastblock import Tally, replay
from maillon.ledger.fastpay import read_entry
from maillon.ledger.merkle import Frontier
from maillon.ledger.quorum import Certificate
from maillon.ledger.rules import apply_entry
from maillon.ledger.signing import Check, Verify
from maillon.ledger.state import ChainState
from maillon.protocol.errors import MaillonError
from maillon.protocol.ids import CoopId

Charters = Callable[[int], CharterState]
"""Return the charter of a height. Raises: CharterUnknown."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last block of a chain: height, hash H, time, the charter height it adopted.

    `history` is the tree over the hashes of all blocks up to this one, genesis included: what the
    next block's header names. `header` and `certificate` are None at genesis.
    """

    h: int
    hash: bytes
    time: int
    adopted: int
    history: Frontier
    header: Header | None = None
    certificate: Certificate | None = None

    @classmethod
    def genesis(cls, fed: bytes, chain: bytes, entered: int) -> Head:
        """Return height 0 of a chain whose coop entered the charter at height `entered`."""
        start = genesis_hash(fed, chain)
        return cls(0, start, 0, entered, Frontier().append(history_leaf(start)))

    def after(self, header: Header, certificate: Certificate | None = None) -> Head:
        """Return the head once the next block stands."""
        return Head(
            header.h,
            header.hash,
            header.time,
            header.c2,
            self.history.append(history_leaf(header.hash)),
            header,
            certificate,
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """A valid next block, and what it leads to: `state` is a fork of the head's state.

    `entries` are None where they were erased, or only counted (`check_block`). `head` has no
    certificate yet.
    """

    block: Block
    state: ChainState = field(repr=False)
    head: Head = field(repr=False)
    entries: tuple[Entry | None, ...] = field(repr=False)

    @property
    def voids(self) -> tuple[bytes, ...]:
        """Return the ids of the holds that the block voids."""
        return tuple(entry.hold for entry in self.entries if isinstance(entry, Void))


def governing(charters: Charters, known: int, chain: bytes, head: Head) -> int:
    """Return the height of the charter that governs the block after a head.

    It is the one that the head adopted (E2); after a re-founding that pinned this very head the
    charter that re-founded (E5), since nobody is left who could certify a block that adopts it.
    `known` is the height of the last charter known.
    """
    height = charters(known).refounded
    while height > head.adopted:
        if charters(height).retired_heads.get(CoopId(chain)) == (head.h, head.hash):
            return height
        height = charters(height - 1).refounded
    return head.adopted


def check_block(
    block: Block,
    head: Head,
    state: ChainState,
    charters: Charters,
    verify: Verify,
    *,
    fed: bytes,
    c: int,
    certified: bool = False,
    tally: Tally | None = None,
) -> Checked:
    """Return what a block leads to, when it is a valid next block after `head`.

    `c` is the height of the charter that governs it (`governing`).
    Erased entries count only when `certified`: the caller verifies the certificate as well.
    With `tally` it is quicker: `state` itself is changed, also when this raises, unless entries are
    erased; ordinary payments are only added up in `tally`, and None stands among the entries.

    Raises: BadBlock with `reason`, and for an entry `index`, `entry_code` and `entry_facts`;
    NeedBlocks and CharterUnknown when something before it is not known yet.
    """
    header = block.header
    _follows(header, head, state.chain, fed, c)
    charter = charters(c)
    if header.c2 != c:
        charters(header.c2)
    block.check_form()
    erased = any(type(entry) is Erased for entry in block.body.entries)
    if erased and not certified:
        raise BadBlock(reason="erased")
    if block.delta and not erased:
        raise BadBlock(reason="delta")
    checks: list[Check] = []
    places: list[int] = []
    facts = _facts(block, charter, charters, fed, checks)
    places += [-1] * len(checks)
    try:
        context = Context(fed, header.chain, charter, header.time, facts)
    except MaillonError as error:
        raise BadBlock(reason="coop", chain=header.chain) from error
    context.checks, context.places = checks, places
    fork = state.fork() if erased or tally is None else state
    entries: tuple[Entry | None, ...]
    if erased:
        entries = _taken(block, fork)
        _signed(entries, context)
    else:
        entries = _applied(block, fork, context, tally)
        _needed(entries, facts)
    _verified(context, verify)
    root = fork.root()
    if root != header.state_root:
        raise BadBlock(reason="state_root", named=header.state_root, got=root)
    return Checked(block, fork, head.after(header), entries)


def _follows(header: Header, head: Head, chain: bytes, fed: bytes, c: int) -> None:
    if header.fed != fed or header.chain != chain:
        raise BadBlock(reason="chain", chain=header.chain)
    if header.h > head.h + 1:
        raise NeedBlocks(chain=chain, from_h=head.h + 1)
    if header.h <= head.h:
        raise BadBlock(reason="height", h=header.h, head=head.h)
    if header.prev != head.hash:
        raise BadBlock(reason="prev", named=header.prev, head=head.hash)
    if header.c != c:
        raise BadBlock(reason="charter", named=header.c, governing=c)
    if header.time < head.time:
        raise BadBlock(reason="time", time=header.time, head=head.time)
    if header.history_root != head.history.root():
        raise BadBlock(reason="history_root")


def _facts(
    block: Block, charter: CharterState, charters: Charters, fed: bytes, checks: list[Check]
) -> dict[tuple[bytes, bytes], Header]:
    """Return the headers that the evidence proves, once `checks` are verified."""
    found: dict[tuple[bytes, bytes], Header] = {}
    for index, evidence in enumerate(block.body.evidence):
        header, carrier = evidence.header, evidence.carrier
        key = (header.chain, header.hash)
        try:
            if key in found or header.chain == block.chain or header.of_charter:
                raise BadEvidence(rule="twice" if key in found else "chain")
            if CoopId(header.chain) not in charter.coops:
                raise BadEvidence(rule="chain")
            committee = charters(carrier.c).committee()
            if not charter.counts(carrier.chain, carrier.c, carrier.h, carrier.hash):
                # E4: whoever stole the keys of a retired epoch could certify anything with them.
                raise BadEvidence(rule="retired", c=carrier.c, below=charter.retired_below)
            checks += evidence.items(committee, fed)
        except MaillonError as error:
            _refuse("evidence", index, error)
        found[key] = header
    return found


def _refuse(reason: str, index: int, error: MaillonError) -> NoReturn:
    if error.pending:
        raise error
    what = "Entry" if reason == "entry" else "Evidence"
    raise BadBlock(
        f"{what} {index}: {error.message}",
        reason=reason,
        index=index,
        entry_code=error.code,
        entry_facts=error.facts,
    ) from error


def _applied(
    block: Block, state: ChainState, context: Context, tally: Tally | None
) -> tuple[Entry | None, ...]:
    def carry_out(index: int, data: bytes) -> Entry:
        context.index = index
        try:
            entry = read_entry(data)
            apply_entry(state, entry, context)
        except MaillonError as error:
            _refuse("entry", index, error)
        return entry

    if tally is not None:
        # Nobody gives a tally for a block with erased entries.
        kept = cast("tuple[Placed, ...]", block.body.entries)
        return replay(kept, state, context, tally, carry_out)
    entries: list[Entry] = []
    for index, placed in enumerate(block.body.entries):
        assert type(placed) is Placed
        entries.append(carry_out(index, placed.data))
    return tuple(entries)


def _taken(block: Block, fork: ChainState) -> tuple[Entry | None, ...]:
    # What an erased entry did is not known, so neither is what the next one met: the whole
    # block's effect is taken from the state that its quorum certified.
    try:
        fork.overwrite(block.delta)
        return tuple(
            decode_entry(placed.data) if type(placed) is Placed else None
            for placed in block.body.entries
        )
    except MaillonError as error:
        raise BadBlock(reason="delta") from error


def _signed(entries: tuple[Entry | None, ...], context: Context) -> None:
    for index, entry in enumerate(entries):
        order = getattr(entry, "order", None)
        if order is not None:
            context.index = index
            context.check("order", order.key, order.body, order.signature)


def _needed(entries: tuple[Entry | None, ...], facts: dict[tuple[bytes, bytes], Header]) -> None:
    used = {
        (entry.source, entry.block)
        for entry in entries
        if entry is not None and isinstance(entry, In | Return)
    }
    # Evidence stands outside the block's hash: what nobody needs would be a free ride.
    if len(used) != len(facts):
        raise BadBlock(reason="evidence_unused")


def _verified(context: Context, verify: Verify) -> None:
    checks = context.checks
    if not checks:
        return
    for place, good in zip(context.places, verify(checks), strict=True):
        if good:
            continue
        if place < 0:
            raise BadBlock(reason="evidence", entry_code="bad_signature")
        raise BadBlock(
            f"Entry {place}: a signature is not valid.",
            reason="entry",
            index=place,
            entry_code="bad_signature",
            entry_facts={},
        )
