"""Keep the charter's chain: the states by height, and what the next block may be (spec/06).

The charter is a chain like a coop's, whose id is the federation's own. Any coop may open a term on
it (E1); block k carries the coops' approvals and is certified by the witnesses of charter k - 1, so
that who was competent at any height is a function of what stands below it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from maillon.ledger import signing
from maillon.ledger.block import (
    Approval,
    Block,
    Body,
    Header,
    Placed,
    decode_block,
    entries_size,
    genesis_hash,
    verify_certificate,
)
from maillon.ledger.charter_entries import (
    CharterEntry,
    Refound,
    Retire,
    decode_charter_entry,
)
from maillon.ledger.charter_proposals import (
    ENDED_SPACE,
    SPACE,
    EndedProposal,
    Gathered,
    Proposal,
    Proposals,
    approve,
    check_approvals,
    decode_proposal,
    make_proposal,
    proposal_hash,
    require_approvals,
)
from maillon.ledger.charter_rules import QuorumFacts, explain_quorum, next_state, refuse
from maillon.ledger.charter_state import CharterCoop, CharterState, founding_state
from maillon.ledger.check import Head
from maillon.ledger.errors import (
    BadBlock,
    BadCertificate,
    CharterUnknown,
    NeedBlocks,
    NotApproved,
    NotCertified,
)
from maillon.ledger.quorum import Certificate, decode_certificate, decode_refounding
from maillon.ledger.signing import Verify
from maillon.ledger.steps import Disk, Write
from maillon.protocol.encoding import encode
from maillon.protocol.founding import Founding

HeadLookup = Callable[[bytes, int], tuple[bytes, int]]
"""`lookup(chain, h)` returns the hash of a block held here and the charter height it adopted, or
raises NeedBlocks. Height 0 has the genesis hash, and the height at which the coop entered."""

BLOCKS: Final = "block"
HASHES: Final = "hash"


@dataclass(frozen=True, slots=True)
class CheckedCharter:
    """A valid next block of the charter's chain, and the charter it makes."""

    block: Block
    state: CharterState


def block_key(chain: bytes, h: int) -> bytes:
    """Return the key of a block on disk: the chain's id and the height in 8 bytes."""
    return chain + h.to_bytes(8, "big")


class CharterChain:
    """The charter's chain as one node knows it.

    Its memory changes at once when a block is applied or a proposal kept; the caller commits the
    writes it is given before anything that rests on them leaves.
    """

    def __init__(self, founding: Founding, disk: Disk | None, verify: Verify) -> None:
        """Begin with charter 0 and take over what is on disk.

        Raises: NoLedger when the federation was founded without accounts.
        """
        self.founding = founding
        self.fed: bytes = founding.fed
        self._verify = verify
        self._states: list[CharterState] = [founding_state(founding)]
        self._hashes: list[bytes] = [genesis_hash(self.fed, self.fed)]
        self._blocks: list[Block] = []
        self._head = Head.genesis(self.fed, self.fed, 0)
        self._refoundings: dict[int, Mapping[bytes, tuple[int, bytes]]] = {}
        self._proposals = Proposals(verify)
        if disk is not None:
            for _key, value in disk.scan(BLOCKS, self.fed):
                # It was checked and certified when it was written; its form shows disk errors.
                block = decode_block(value)
                self._append(block, self.check_form(block)[1])
            self._proposals.load(self.latest, disk.scan(SPACE))
            self._proposals.load_ended(disk.scan(ENDED_SPACE))

    # --- what is known ---

    @property
    def height(self) -> int:
        """Return the height of the latest charter."""
        return len(self._blocks)

    @property
    def known(self) -> int:
        """Return the height of the latest charter, by the name that `governing` has for it."""
        return len(self._blocks)

    @property
    def head(self) -> Head:
        """Return the last block's head; `adopted` is its height, the charter that it makes."""
        return self._head

    @property
    def latest(self) -> CharterState:
        """Return the latest charter."""
        return self._states[-1]

    def state(self, c: int) -> CharterState:
        """Return the charter of a height. Raises: CharterUnknown when it is not known yet."""
        if not 0 <= c < len(self._states):
            raise CharterUnknown(needed=c, known=self.height)
        return self._states[c]

    def block(self, h: int) -> Block:
        """Return a block with its certificate. Raises: NeedBlocks when it is not known yet."""
        if not 1 <= h <= self.height:
            raise NeedBlocks(chain=self.fed, from_h=self.height + 1)
        return self._blocks[h - 1]

    def header(self, h: int) -> Header:
        """Return a block's header. Raises: NeedBlocks when it is not known yet."""
        return self.block(h).header

    def hash_at(self, h: int) -> bytes:
        """Return H at a height from 0. Raises: NeedBlocks when it is not known yet."""
        if not 0 <= h <= self.height:
            raise NeedBlocks(chain=self.fed, from_h=self.height + 1)
        return self._hashes[h]

    def hashes(self) -> Sequence[bytes]:
        """Return H of every height from 0: the leaves of the history, before they are hashed."""
        return tuple(self._hashes)

    def blocks(self, low: int, high: int) -> Iterator[Block]:
        """Yield the known blocks of heights `low` to `high`, both included."""
        yield from self._blocks[max(low, 1) - 1 : max(high, 0)]

    # --- epochs ---

    def void(self, chain: bytes, c: int, h: int) -> bool:
        """Tell whether a block lies above the head that a later re-founding pinned (E5)."""
        return any(
            c < k and chain in heads and h > heads[chain][0]
            for k, heads in self._refoundings.items()
        )

    def may_count(self, chain: bytes, c: int, h: int, block_hash: bytes) -> bool:
        """Tell whether a block of an epoch may count by what is known now (E4, E5)."""
        if self.void(chain, c, h):
            return False
        return self.latest.may_count(chain, c, h, block_hash)

    # --- blocks ---

    def check(self, block: Block, heads: HeadLookup | None = None) -> CheckedCharter:
        """Return the charter that a block makes as the next one, when it is valid.

        `heads` is what a witness compares a retirement's heads with; without it they are taken as
        they stand, as a reader of a certified block does. The certificate is not looked at.
        Raises: NeedBlocks, BadBlock, CharterRefused, NotApproved, BadSignature, and what reading an
        entry raises.
        """
        entries, state = self.check_form(block)
        if isinstance(entries[0], Refound):
            if block.body.approvals:
                raise BadBlock(reason="approvals")
            return CheckedCharter(block, state)
        data = _entry_bytes(block)
        proposal = proposal_hash(self.height, data)
        require_approvals(self.latest, block.body.approvals)
        check_approvals(self.latest, proposal, block.body.approvals, self._verify)
        if heads is not None:
            for entry in entries:
                if isinstance(entry, Retire):
                    _check_adopted(entry, heads)
        return CheckedCharter(block, state)

    def check_form(self, block: Block) -> tuple[list[CharterEntry], CharterState]:
        """Return a block's entries and the charter they make; no signature is verified.

        Raises: as `check`.
        """
        header = block.header
        k = self.height + 1
        if header.fed != self.fed or header.chain != self.fed:
            raise BadBlock(reason="chain", chain=header.chain)
        if header.h > k:
            raise NeedBlocks(chain=self.fed, from_h=k)
        if header.h < k:
            raise BadBlock(reason="height", got=header.h, expected=k)
        if header.prev != self._head.hash:
            raise BadBlock(reason="prev", h=k)
        if (header.c, header.c2) != (k - 1, k):
            raise BadBlock(reason="charter", c=header.c, c2=header.c2, expected=k - 1)
        if header.time < self._head.time:
            raise BadBlock(reason="time", got=header.time, least=self._head.time)
        if header.history_root != self._head.history.root():
            raise BadBlock(reason="history_root")
        if block.delta or block.body.evidence:
            raise BadBlock(reason="evidence")
        block.check_form()
        entries = [decode_charter_entry(data) for data in _entry_bytes(block)]
        state = next_state(self.latest, entries)
        if state.root() != header.state_root:
            raise BadBlock(reason="state_root")
        return entries, state

    def apply(self, block: Block | CheckedCharter, certificate: bytes) -> tuple[Write, ...]:
        """Take over a certified next block, and return what is to be committed.

        A checked block is not checked again; its certificate always is, by the witnesses of the
        charter before it, or for a re-founding by two thirds of the coops' roots. Nothing changes
        when it is refused. Raises: as `check`; NotCertified, BadCertificate, NoQuorum.
        """
        checked = block if isinstance(block, CheckedCharter) else self.check(block)
        made = checked.block
        if made.h != self.height + 1 or made.header.prev != self._head.hash:
            raise BadBlock(reason="height", got=made.h, expected=self.height + 1)
        if not certificate:
            raise NotCertified(chain=self.fed, h=made.h)
        if checked.state.refounded == made.h:
            self._check_refounding(made, certificate)
        else:
            read = decode_certificate(certificate)
            verify_certificate(made.header, read, self.latest.committee(), self._verify)
        done = made.with_certificate(certificate)
        self._append(done, checked.state)
        key = block_key(self.fed, done.h)
        return (
            Write(BLOCKS, key, done.encode()),
            Write(HASHES, key, done.hash),
            *self._proposals.end(done.h, proposal_hash(done.h - 1, _entry_bytes(done))),
        )

    def _check_refounding(self, block: Block, certificate: bytes) -> None:
        given = decode_refounding(certificate)
        roots: dict[bytes, bytes] = {coop.id: coop.root for coop in self.latest.members()}
        if not given.keys() <= roots.keys():
            raise BadCertificate(rule="refounding_coop")
        # Two thirds of the coops: two sets of them share a third, more than may be bought.
        if 3 * len(given) < 2 * len(roots):
            raise NotApproved(got=len(given), needed=-(-2 * len(roots) // 3))
        message = signing.signed_bytes(signing.REFOUND, self.fed, refounding_body(block))
        checks = [(roots[coop], message, signature) for coop, signature in given.items()]
        for coop, good in zip(given, self._verify(checks), strict=True):
            if not good:
                raise BadCertificate(rule="signature", coop=coop)

    def _append(self, block: Block, state: CharterState) -> None:
        self._blocks.append(block)
        self._states.append(state)
        self._hashes.append(block.hash)
        refounding = state.refounded == block.h
        certificate = None if refounding else block.certified_by()
        self._head = self._head.after(block.header, certificate)
        if refounding:
            self._refoundings[block.h] = state.retired_heads

    def build(self, entries: Sequence[bytes], approvals: Sequence[Approval], *, time: int) -> Block:
        """Make the next block of entries' bytes; it is not certified yet.

        Every opener makes the same body of the same proposal: the salts come from P, since nothing
        in a charter is ever erased. Raises: what `next_state` and reading the entries raise.
        """
        k = self.height + 1
        state = next_state(self.latest, [decode_charter_entry(data) for data in entries])
        base = proposal_hash(k - 1, entries)
        placed = tuple(Placed(_salt(base, at), data) for at, data in enumerate(entries))
        ordered = tuple(sorted(approvals, key=lambda approval: approval.coop))
        body = Body(placed, (), ordered)
        header = Header(
            self.fed,
            self.fed,
            k,
            self._head.hash,
            k - 1,
            k,
            max(time, self._head.time),
            body.root(),
            len(placed),
            state.root(),
            self._head.history.root(),
            entries_size([len(data) for data in entries]),
        )
        return Block(header, body)

    def build_proposal(self, proposal: bytes, *, time: int) -> Block:
        """Make the next block of an open proposal by its hash P. Raises: NotApproved."""
        gathered = self._proposals.get(proposal)
        if gathered is None:
            refuse("proposal_unknown", proposal=proposal)
        require_approvals(self.latest, gathered.approvals)
        return self.build(gathered.proposal.entries, gathered.approvals, time=time)

    # --- proposals ---

    def propose(self, entries: Sequence[CharterEntry], title: str = "") -> Proposal:
        """Make a proposal about the latest charter; it is kept once a coop approves.

        Raises: CharterRefused and what reading it back raises.
        """
        proposal = make_proposal(self.height, entries, title)
        next_state(self.latest, proposal.read())
        return proposal

    def keep(self, proposal: Proposal, approvals: Sequence[Approval]) -> tuple[Write, ...]:
        """Keep a proposal with approvals, ours or others'; nothing to commit when none is new.

        Raises: as `Proposals.add`.
        """
        return self._proposals.add(self.latest, proposal, approvals)

    def proposal(self, proposal: bytes) -> Gathered | None:
        """Return an open proposal by its hash P, or None."""
        return self._proposals.get(proposal)

    def proposals(self) -> list[Gathered]:
        """Return the open proposals, by hash."""
        return self._proposals.all()

    def ended(self) -> list[EndedProposal]:
        """Return the last proposals that ended and how, the last first."""
        return self._proposals.ended()

    def ready(self) -> list[Gathered]:
        """Return the proposals that have all their approvals, by hash."""
        return self._proposals.ready()


def refounding_body(block: Block) -> bytes:
    """Return what a coop's root signs of a re-founding block, for "refound": [h, H]."""
    return encode([block.h, block.hash])


def _entry_bytes(block: Block) -> list[bytes]:
    data: list[bytes] = []
    for entry in block.body.entries:
        if not isinstance(entry, Placed):
            raise BadBlock(reason="erased")
        data.append(entry.data)
    return data


def _check_adopted(entry: Retire, heads: HeadLookup) -> None:
    for chain, h, block_hash in entry.heads:
        held, adopted = heads(chain, h)
        if held != block_hash:
            refuse("heads", chain=chain)
        if adopted < entry.below:
            refuse("not_adopted", chain=chain, adopted=adopted, below=entry.below)


def _salt(proposal: bytes, index: int) -> bytes:
    prefix = b"maillon/1/charter-salt\0"
    return hashlib.sha256(prefix + proposal + index.to_bytes(4, "big")).digest()


__all__ = [
    "Approval",
    "Certificate",
    "CharterChain",
    "CharterCoop",
    "CharterState",
    "CheckedCharter",
    "Gathered",
    "HeadLookup",
    "Proposal",
    "QuorumFacts",
    "approve",
    "block_key",
    "decode_proposal",
    "explain_quorum",
    "founding_state",
    "make_proposal",
    "proposal_hash",
    "refounding_body",
]
