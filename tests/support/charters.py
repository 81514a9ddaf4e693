"""Found federations with accounts, and let their charters grow, with every key at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from maillon.ledger import signing
from maillon.ledger.block import Block
from maillon.ledger.charter import CharterChain, approve, refounding_body
from maillon.ledger.charter_entries import Admit, CharterEntry
from maillon.ledger.charter_proposals import make_proposal
from maillon.ledger.quorum import (
    Certificate,
    Term,
    commit_body,
    default_quorum,
    encode_refounding,
    make_bitmap,
)
from maillon.ledger.signing import inline_verify
from maillon.ledger.steps import Disk, Write
from maillon.protocol.founding import Founding, FoundingCoop, LedgerTerms, Unit, found
from maillon.protocol.keys import SigningKey, coop_id
from support.world import NOW, World

RECOVERY_S = 7 * 86_400


@dataclass(frozen=True)
class LedgerCoop:
    """A coop with all its keys."""

    name: str
    root: SigningKey
    node: SigningKey
    writer: SigningKey
    witness: SigningKey

    @property
    def id(self) -> bytes:
        return coop_id(self.root.public)

    @property
    def keys(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Return root, node, writer and witness key."""
        return self.root.public, self.node.public, self.writer.public, self.witness.public


class MemoryDisk:
    """A disk of dictionaries; what was committed is there."""

    def __init__(self) -> None:
        self.spaces: dict[str, dict[bytes, bytes]] = {}

    def commit(self, writes: Sequence[Write]) -> None:
        for write in writes:
            rows = self.spaces.setdefault(write.space, {})
            if write.value is None:
                rows.pop(write.key, None)
            else:
                rows[write.key] = write.value

    def get(self, space: str, key: bytes) -> bytes | None:
        return self.spaces.get(space, {}).get(key)

    def scan(self, space: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        rows = self.spaces.get(space, {})
        return iter([(key, rows[key]) for key in sorted(rows) if key.startswith(prefix)])


@dataclass
class LedgerFederation:
    """A federation of `n` founding coops that each witness, with charters as they are certified."""

    n: int = 4
    seed: str = "charter"
    quorum: int = 0
    approvals: int = 2
    units: tuple[Unit, ...] = (
        Unit("heure", "hours", 0, "Heure"),
        Unit("sel", "credit", 2, "Grain de sel"),
        Unit("visite", "count", 0, "Visite"),
    )
    limits: tuple[tuple[int, int], ...] = ((0, 6_000), (1, 100_000))
    world: World = field(init=False)
    coops: list[LedgerCoop] = field(init=False)
    founding: Founding = field(init=False)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    chain: CharterChain = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(coops_count=1, seed=self.seed)
        self.coops = [self.make_coop(f"coop {place}") for place in range(self.n)]
        base = self.world.founding
        self.founding = found(
            dataclasses.replace(
                base,
                coops=tuple(
                    FoundingCoop(
                        coop.root.public, coop.node.public, coop.name, (), coop.writer.public,
                        coop.witness.public,
                    )
                    for coop in self.coops
                ),
                admission_quorum=1,
                units=self.units,
                ledger=LedgerTerms(
                    self.quorum or default_quorum(self.n), min(self.approvals, self.n), RECOVERY_S,
                    1_000, self.limits,
                ),
            )
        )  # fmt: skip
        self.chain = self.fresh(self.disk)

    @property
    def fed(self) -> bytes:
        return self.founding.fed

    def key(self, label: str) -> SigningKey:
        return self.world.key(label)

    def make_coop(self, name: str) -> LedgerCoop:
        """Make the keys of a coop, which is not in the charter until it is admitted."""
        keys = [self.key(f"{name} {role}") for role in ("root", "node", "writer", "witness")]
        return LedgerCoop(name, *keys)

    def admit(self, coop: LedgerCoop, **change: object) -> Admit:
        """Make the entry that admits a coop."""
        entry = Admit(*coop.keys, coop.name, ((0, 600),), 100)
        return dataclasses.replace(entry, **change)  # type: ignore[arg-type]

    def fresh(self, disk: Disk | None = None) -> CharterChain:
        """Return the charter's chain as a node finds it that starts on a disk."""
        return CharterChain(self.founding, disk, inline_verify)

    def block(
        self, *entries: CharterEntry, by: Sequence[LedgerCoop] | None = None, time: int = NOW
    ) -> Block:
        """Make the next block, approved by coops (as many of the first as are needed)."""
        chain = self.chain
        approvers = self.coops[: chain.latest.approvals] if by is None else by
        proposal = make_proposal(chain.height, entries)
        given = [approve(self.fed, proposal.hash, coop.id, coop.writer) for coop in approvers]
        return chain.build(proposal.entries, given, time=time)

    def certify(self, block: Block, signers: Sequence[SigningKey] | None = None) -> bytes:
        """Return a certificate of a block by all witnesses of its committee, or by some."""
        committee = self.chain.state(block.header.c).committee()
        term = Term(1, bytes(16), self.coops[0].writer.public)
        body = commit_body(block.header.c, block.chain, block.h, term, block.hash)
        held: dict[bytes, SigningKey] = {coop.witness.public: coop.witness for coop in self.coops}
        if signers is not None:
            held = {key.public: key for key in signers}
        commits = {
            committee.keys.index(key): signing.sign(held[key], signing.COMMIT, self.fed, body)
            for key in committee.keys
            if key in held
        }
        return Certificate(
            block.header.c,
            block.chain,
            block.h,
            term,
            block.hash,
            make_bitmap(list(commits), committee.n),
            tuple(commits.values()),
        ).encode()

    def grow(self, *entries: CharterEntry, by: Sequence[LedgerCoop] | None = None) -> Block:
        """Let the next block be certified and applied, and commit it."""
        block = self.block(*entries, by=by)
        self.disk.commit(self.chain.apply(block, self.certify(block)))
        return self.chain.block(self.chain.height)

    def refound(self, block: Block, by: Sequence[LedgerCoop]) -> bytes:
        """Return the roots' signatures on a re-founding block."""
        body = refounding_body(block)
        return encode_refounding(
            {coop.id: signing.sign(coop.root, signing.REFOUND, self.fed, body) for coop in by}
        )
