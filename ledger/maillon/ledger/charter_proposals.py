"""Propose changes of the charter and gather the coops' approvals (spec/06, "Approvals").

    proposal  = [k - 1, [entry bytes, ...], title]
    P         = SHA-256("maillon/1/proposal" 0x00 encode([k - 1, [entry bytes, ...]]))
    approval  = [coop, signature over P, purpose "approve", by the coop's writer or root key]

A proposal is about one charter, by its height: when another block is certified first, it has to be
proposed again. The title is a note for people and is not signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from maillon.ledger import _read as read
from maillon.ledger import signing
from maillon.ledger.block import Approval, approvals_from
from maillon.ledger.charter_entries import (
    CHARTER_ENTRY_BYTES_MAX,
    CharterEntry,
    decode_charter_entry,
    encode_charter_entry,
)
from maillon.ledger.charter_rules import next_state, refuse
from maillon.ledger.charter_state import CharterState
from maillon.ledger.errors import CharterUnknown, NotApproved
from maillon.ledger.limits import (
    APPROVALS_MAX,
    ENTRIES_MAX,
    HEIGHT_MAX,
    PROPOSAL_BYTES_MAX,
    TITLE_BYTES_MAX,
)
from maillon.ledger.signing import Verify
from maillon.ledger.steps import Write
from maillon.protocol.encoding import Encodable, encode
from maillon.protocol.errors import BadSignature
from maillon.protocol.keys import SigningKey

PROPOSALS_MAX: Final = 64
"""Proposals kept open at once: each is about the present charter, and only one can come next."""

PROPOSALS_PER_COOP_MAX: Final = 8
"""Proposals that one coop's approval may keep open, so that no coop fills the place of others."""

KEPT_BYTES_MAX: Final = PROPOSAL_BYTES_MAX + APPROVALS_MAX * 102 + 16
"""A proposal with an approval of every coop, as it is kept."""

SPACE: Final = "proposal"

ENDED_MAX: Final = 32
"""Proposals of which it is remembered how they ended: those of the last assembly, and more."""

ENDED_SPACE: Final = "proposal ended"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Entries that are to become charter block `base` + 1. `hash` is P."""

    base: int
    entries: tuple[bytes, ...]
    title: str = ""
    hash: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", proposal_hash(self.base, self.entries))

    def encode(self) -> bytes:
        """Return the proposal's bytes."""
        return encode([self.base, self.entries, self.title], bytes_max=PROPOSAL_BYTES_MAX)

    def read(self) -> list[CharterEntry]:
        """Return its entries. Raises: as `decode_charter_entry`."""
        return [decode_charter_entry(entry) for entry in self.entries]


def make_proposal(base: int, entries: Sequence[CharterEntry], title: str = "") -> Proposal:
    """Make a proposal of entries. Raises: what reading it back would, EncodingError."""
    made = Proposal(base, tuple(encode_charter_entry(entry) for entry in entries), title)
    return decode_proposal(made.encode())


def decode_proposal(data: bytes) -> Proposal:
    """Read a proposal and its entries. Raises: Malformed and its kinds, SchemaError, BadKey."""
    parts = read.array(data, PROPOSAL_BYTES_MAX, "proposal")
    if len(parts) != 3:
        read.refuse("proposal")
    proposal = Proposal(
        read.number(parts[0], "proposal", 0, HEIGHT_MAX),
        tuple(
            read.bounded(entry, CHARTER_ENTRY_BYTES_MAX, "proposal", 1)
            for entry in read.items(parts[1], "proposal", 1, ENTRIES_MAX)
        ),
        read.text(parts[2], TITLE_BYTES_MAX, "proposal_title"),
    )
    proposal.read()
    return proposal


def proposal_hash(base: int, entries: Iterable[bytes]) -> bytes:
    """Return P, which a coop's approval signs: 32 bytes."""
    data = encode([base, list(entries)], bytes_max=PROPOSAL_BYTES_MAX)
    return hashlib.sha256(b"maillon/1/proposal\0" + data).digest()


def approve(fed: bytes, proposal: bytes, coop: bytes, key: SigningKey) -> Approval:
    """Sign for a coop that `proposal` (P) may become a block; `key` is its writer or its root."""
    return Approval(coop, signing.sign(key, signing.APPROVE, fed, proposal))


def check_approvals(
    state: CharterState, proposal: bytes, approvals: Sequence[Approval], verify: Verify
) -> None:
    """Return when each approval is a coop's of this charter, and its signature counts.

    How many there are is not looked at. Raises: CharterRefused (`coop_unknown`), BadSignature
    naming the coop.
    """
    keys = state.approvers()
    message = signing.signed_bytes(signing.APPROVE, state.fed, proposal)
    checks: list[signing.Check] = []
    for approval in approvals:
        if approval.coop not in keys:
            refuse("coop_unknown", coop=approval.coop)
        checks += [(key, message, approval.signature) for key in keys[approval.coop]]
    good = iter(verify(checks))
    for approval in approvals:
        # The whole list, not the first that fits: the iterator stands at the next coop then.
        if not any([next(good) for _key in keys[approval.coop]]):
            raise BadSignature(
                "The approval of a coop is not signed by its writer or its root.",
                coop=approval.coop,
            )


def require_approvals(state: CharterState, approvals: Sequence[Approval]) -> None:
    """Return when they are as many as the charter asks for. Raises: NotApproved."""
    if len({approval.coop for approval in approvals}) < state.approvals:
        raise NotApproved(got=len(approvals), needed=state.approvals)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A proposal with the approvals gathered so far, by coop id; `needed` to be certified."""

    proposal: Proposal
    approvals: tuple[Approval, ...]
    needed: int

    @property
    def ready(self) -> bool:
        """Tell whether a block can be made of it."""
        return len(self.approvals) >= self.needed

    def encode(self) -> bytes:
        """Return what is kept on disk."""
        return encode([self.proposal.encode(), self.pairs()], bytes_max=KEPT_BYTES_MAX)

    def pairs(self) -> list[Encodable]:
        """Return [[coop, signature], ...] as a message or a body carries them."""
        return [[approval.coop, approval.signature] for approval in self.approvals]


@dataclass(frozen=True, slots=True)
class EndedProposal:
    """A proposal that charter block `h` ended: by being made of it, or by coming before it.

    `by` is the proposal (P) that the block was made of. This is a node's own memory: it is neither
    part of the charter nor told to other nodes.
    """

    gathered: Gathered
    h: int
    by: bytes

    @property
    def made(self) -> bool:
        """Tell whether it came into force."""
        return self.gathered.proposal.hash == self.by

    def encode(self) -> bytes:
        """Return what is kept on disk."""
        return encode(
            [self.h, self.by, self.gathered.needed, self.gathered.encode()],
            bytes_max=KEPT_BYTES_MAX + 64,
        )


def _decode_ended(value: bytes) -> EndedProposal:
    parts = read.array(value, KEPT_BYTES_MAX + 64, "proposal")
    if len(parts) != 4:
        read.refuse("proposal")
    kept = read.array(read.bounded(parts[3], KEPT_BYTES_MAX, "proposal", 1), KEPT_BYTES_MAX, "")
    gathered = Gathered(
        decode_proposal(read.bounded(kept[0], PROPOSAL_BYTES_MAX, "proposal", 1)),
        approvals_from(kept[1], "proposal"),
        read.number(parts[2], "proposal", 0, APPROVALS_MAX),
    )
    return EndedProposal(
        gathered,
        read.number(parts[0], "proposal", 1, HEIGHT_MAX),
        read.bounded(parts[1], 32, "proposal", 32),
    )


class Proposals:
    """The open proposals about one charter. What a call returns, the caller commits."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self._open: dict[bytes, Gathered] = {}
        self._ended: dict[bytes, EndedProposal] = {}

    def load_ended(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what is on disk of those that ended."""
        self._ended = {key: _decode_ended(value) for key, value in rows}

    def load(self, state: CharterState, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over what is on disk and is about this charter; it was checked when it came."""
        for key, value in rows:
            parts = read.array(value, KEPT_BYTES_MAX, "proposal")
            proposal = decode_proposal(parts[0])
            if proposal.base == state.height and proposal.hash == key:
                approvals = approvals_from(parts[1], "proposal")
                self._open[key] = Gathered(proposal, approvals, state.approvals)

    def add(
        self, state: CharterState, proposal: Proposal, approvals: Sequence[Approval]
    ) -> tuple[Write, ...]:
        """Keep a proposal, or what approvals are new of one that is kept.

        Nothing is kept of what is refused. Raises: CharterUnknown when it is about a later
        charter, CharterRefused (`stale`, `approval_missing`, `proposals_full`, and what
        `next_state` refuses), BadSignature.
        """
        if proposal.base > state.height:
            raise CharterUnknown(needed=proposal.base, known=state.height)
        if proposal.base < state.height:
            refuse("stale", base=proposal.base, known=state.height)
        known = self._open.get(proposal.hash)
        have = {approval.coop: approval for approval in known.approvals} if known else {}
        fresh = [approval for approval in approvals if approval.coop not in have]
        if not fresh:
            if known is None:
                # Without a coop behind it, it would be anybody's way to fill our disk.
                refuse("approval_missing")
            return ()
        if known is None:
            if len(self._open) >= PROPOSALS_MAX:
                refuse("proposals_full", limit=PROPOSALS_MAX)
            next_state(state, proposal.read())
        check_approvals(state, proposal.hash, fresh, self._verify)
        self._check_room(proposal.hash, fresh)
        joined = have | {approval.coop: approval for approval in fresh}
        kept = known.proposal if known else proposal
        gathered = Gathered(kept, tuple(joined[coop] for coop in sorted(joined)), state.approvals)
        self._open[kept.hash] = gathered
        return (Write(SPACE, kept.hash, gathered.encode()),)

    def _check_room(self, proposal: bytes, fresh: Sequence[Approval]) -> None:
        for approval in fresh:
            others = sum(
                any(approval.coop == given.coop for given in gathered.approvals)
                for key, gathered in self._open.items()
                if key != proposal
            )
            if others >= PROPOSALS_PER_COOP_MAX:
                refuse("proposals_full", coop=approval.coop, limit=PROPOSALS_PER_COOP_MAX)

    def end(self, h: int, by: bytes) -> tuple[Write, ...]:
        """Close all of them, for charter block `h` of proposal `by` stands: they were about the
        charter before it. How the newest ENDED_MAX ended is remembered."""
        writes = [Write(SPACE, key, None) for key in self._open]
        for key, gathered in self._open.items():
            ended = EndedProposal(gathered, h, by)
            self._ended[key] = ended
            writes.append(Write(ENDED_SPACE, key, ended.encode()))
        self._open.clear()
        for ended in self.ended()[ENDED_MAX:]:
            gone = ended.gathered.proposal.hash
            del self._ended[gone]
            writes.append(Write(ENDED_SPACE, gone, None))
        return tuple(writes)

    def ended(self) -> list[EndedProposal]:
        """Return those that ended, the last first; of one block, what it was made of first."""
        return sorted(
            self._ended.values(), key=lambda e: (-e.h, not e.made, e.gathered.proposal.hash)
        )

    def get(self, proposal: bytes) -> Gathered | None:
        """Return an open proposal by its hash P, or None."""
        return self._open.get(proposal)

    def all(self) -> list[Gathered]:
        """Return the open proposals, by hash."""
        return [self._open[key] for key in sorted(self._open)]

    def ready(self) -> list[Gathered]:
        """Return those that a block can be made of, by hash: any opener begins with the same."""
        return [gathered for gathered in self.all() if gathered.ready]
