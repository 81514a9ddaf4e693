"""Change federation exports in every way that somebody with a motive, or bad luck, would.

`Export` edits the files and writes the manifest anew, as a forger does who knows the format.
`Forger` also holds the witnesses' keys: what it makes is certified, so only replaying the rules
finds it.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from maillon.ledger.audit.chain import ChainAudit
from maillon.ledger.block import Block, Body, Evidence, Header, Placed, decode_block, entries_size
from maillon.ledger.charter import CharterChain
from maillon.ledger.context import Context
from maillon.ledger.entries import Entry, Intra, decode_entry
from maillon.ledger.export.container import CHARTER, chain_path
from maillon.ledger.orders import PayAction, order_body, sign_order
from maillon.ledger.rules import apply_entry
from maillon.ledger.signing import Check, inline_verify
from maillon.ledger.tool.files import ExportReader, ExportWriter
from maillon.protocol.founding import open_founding
from support.ledger_corpus import FastKey, Plan, account_of, certify, key_of


def trusting(checks: Sequence[Check]) -> list[bool]:
    """Find every signature good: for replaying what was verified elsewhere."""
    return [True] * len(checks)


class Export:
    """A copy of an export that can be changed."""

    def __init__(self, original: Path, folder: Path) -> None:
        shutil.copytree(original, folder)
        self.folder = folder
        reader = ExportReader(folder)
        self.fed = reader.fed
        self.at = reader.manifest.at
        self.founding = open_founding(reader.founding())
        self.chains = [bytes(coop.id) for coop in self.founding.coops]

    def blocks(self, chain: bytes) -> list[bytes]:
        """Return a chain's blocks as bytes; block h is at place h - 1."""
        reader = ExportReader(self.folder)
        return [data for _, data in reader.frames(chain_path(chain))]

    def put(self, chain: bytes, blocks: Sequence[bytes]) -> None:
        """Replace a chain's blocks, and the manifest with them."""
        writer = ExportWriter(self.folder, self.fed)
        writer.rewrite(chain, blocks)
        writer.commit(self.at)

    def change(self, chain: bytes, height: int, how: Callable[[Block], Block]) -> None:
        """Replace one block by what `how` makes of it."""
        blocks = self.blocks(chain)
        blocks[height - 1] = how(decode_block(blocks[height - 1])).encode()
        self.put(chain, blocks)

    def damage(self, path: str, how: Callable[[bytes], bytes]) -> None:
        """Change a file's bytes and leave the manifest as it is, as a bad disk does."""
        file = self.folder / path
        file.write_bytes(how(file.read_bytes()))

    def charters(self) -> CharterChain:
        """Return the charters."""
        charters = CharterChain(self.founding, None, inline_verify)
        reader = ExportReader(self.folder)
        if CHARTER in reader.manifest.files:
            for _, data in reader.frames(CHARTER):
                block = decode_block(data)
                charters.apply(block, block.certificate)
        return charters

    def find(
        self, chain: bytes, wanted: type[Entry], least: int = 2
    ) -> tuple[int, int, Entry, Placed]:
        """Return height, index, entry and its place of the first entry of a kind."""
        for height, data in enumerate(self.blocks(chain), 1):
            for index, placed in enumerate(decode_block(data).body.entries):
                if height < least or not isinstance(placed, Placed):
                    continue
                entry = decode_entry(placed.data)
                if isinstance(entry, wanted):
                    return height, index, entry, placed
        raise AssertionError(f"the corpus has no {wanted.__name__}")


class Forger:
    """Write and certify any block after height `height` of a chain, with all witnesses' keys."""

    def __init__(self, export: Export, plan: Plan, chain: bytes, height: int) -> None:
        self.export = export
        self.plan = plan
        self.chain = chain
        self.kept = export.blocks(chain)[:height]
        self.audit = ChainAudit(chain, export.charters(), trusting)
        for data in self.kept:
            assert self.audit.feed(data)
        self.rng = random.Random(9)

    @property
    def time(self) -> int:
        """Return the time of the head."""
        return self.audit.head.time

    def block(
        self,
        entries: Sequence[Entry],
        evidence: Sequence[Evidence] = (),
        *,
        apply: bool = True,
        change: Callable[[Header], Header] | None = None,
        count: int = 0,
        epoch: int | None = None,
    ) -> bytes:
        """Return a certified block. With `apply` false the rules are not asked (state unchanged).

        `count`: how many witnesses sign (0: as many as needed). `epoch`: whose keys sign.
        """
        head = self.audit.head
        charter = self.audit.charters.state(head.adopted)
        fork = self.audit.state.fork()
        if apply:
            facts = {(e.header.chain, e.header.hash): e.header for e in evidence}
            context = Context(self.export.fed, self.chain, charter, self.time, facts)
            for entry in entries:
                apply_entry(fork, entry, context)
        placed = tuple(Placed(self.rng.randbytes(32), entry.encode()) for entry in entries)
        body = Body(placed, tuple(evidence))
        header = Header(
            self.export.fed,
            self.chain,
            head.h + 1,
            head.hash,
            head.adopted,
            head.adopted,
            self.time,
            body.root(),
            len(placed),
            fork.root(),
            head.history.root(),
            entries_size([len(one.data) for one in placed]),
        )
        if change is not None:
            header = change(header)
        signers = head.adopted if epoch is None else epoch
        certificate = certify(self.plan, header, charter.committee(), signers, count)
        return Block(header, body, certificate.encode()).encode()

    def put(self, *blocks: bytes) -> None:
        """Let the chain end with these blocks."""
        self.export.put(self.chain, [*self.kept, *blocks])

    def member(self, number: int) -> tuple[bytes, FastKey]:
        """Return account and key of a member."""
        place = self.export.chains.index(self.chain)
        return account_of(self.plan, place, number), key_of(self.plan.seed, "member", place, number)

    def payment(
        self, payer: int, payee: int, amount: int, *, key: FastKey | None = None, seq: int = 0
    ) -> Intra:
        """Return a payment inside the coop, signed by its payer or by `key`."""
        account, own = self.member(payer)
        known = self.audit.state.account(account)
        assert known is not None
        order = sign_order(
            key or own,
            self.export.fed,
            account,
            seq or known.seq + 1,
            self.chain,
            self.time + 10,
            PayAction(self.chain, self.member(payee)[0], 0, amount),
        )
        return Intra(order)


def flipped(data: bytes, at: int) -> bytes:
    """Return the bytes with one bit of one of them changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def with_amount(block: Block, index: int, amount: int) -> Block:
    """Return the block with another amount in a payment; nothing else fits it any more."""
    placed = block.body.entries[index]
    assert isinstance(placed, Placed)
    entry = decode_entry(placed.data)
    assert isinstance(entry, Intra)
    action = entry.order.action
    assert isinstance(action, PayAction)
    order = entry.order
    body = order_body(
        order.account, order.seq, order.chain, order.until, replace(action, amount=amount)
    )
    changed = Placed(placed.salt, Intra(replace(order, body=body)).encode())
    entries = (*block.body.entries[:index], changed, *block.body.entries[index + 1 :])
    return replace(block, body=replace(block.body, entries=entries))
