"""Find and erase what the ledger's files say of a person, and leave accounts and audit valid.

Blocks are erased by the ledger's own rule (spec/06-accounts, "Erasure"): leaves stay, so every
certificate stays. What this node has read out of the blocks for statements is erased here; on the
statement of somebody else the line stays, with their balance, and without who it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from maillon.ledger.erasure import erase
from maillon.ledger.orders import NO_REF
from maillon.ledger.steps import Write
from maillon.node.ledger.index import Line, decode_line
from maillon.node.ledger.queue import REFUSED
from maillon.node.persons.accounts import Accounts
from maillon.node.store.database import scrub_wal
from maillon.node.store.ledgerdisk import SqliteDisk

NOBODY: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Traces:
    """What the ledger's index knows of an account: lines, transfers, refs."""

    lines: tuple[Line, ...]
    transfers: tuple[bytes, ...]
    refs: tuple[bytes, ...]


def find(accounts: Accounts, coop: bytes, account: bytes) -> Traces:
    """Return what the index knows of an account of this coop."""
    index = accounts.machine.index
    lines = tuple(index.lines(coop, account))
    transfers = tuple(dict.fromkeys(line.id for line in lines))
    refs = tuple(dict.fromkeys(line.ref for line in lines if line.ref != NO_REF))
    return Traces(lines, transfers, refs)


def erase_account(accounts: Accounts, coop: bytes, account: bytes, found: Traces) -> int:
    """Erase a closed account from the blocks and from what was read out of them.

    Return how many rows were changed; durable after the next commit of the ledger. Raises:
    NotErasable.
    """
    machine = accounts.machine
    writes = list(erase(machine.book, coop, account))
    writes += _lines(accounts, coop, account, found)
    for id in found.transfers:
        for space in ("transfer", "arrival", "back"):
            if machine.disk.get(space, id) is not None:
                writes.append(Write(space, id, None))
    gone = set(found.transfers)
    for chain in machine.book.chains():
        for key, id in machine.disk.scan("recent", chain):
            if id in gone:
                writes.append(Write("recent", key, None))
    for space in ("balance", "closed"):
        writes += [Write(space, key, None) for key, _ in machine.disk.scan(space, coop + account)]
    machine.disk.commit(tuple(writes))
    refused = [
        item.id for item in machine.queue if item.account == account and item.state == REFUSED
    ]
    for id in refused:
        machine.queue.forget(id)
    return len(writes) + len(refused)


def _lines(accounts: Accounts, coop: bytes, account: bytes, found: Traces) -> list[Write]:
    disk = accounts.machine.disk
    writes = [Write("line", key, None) for key, _ in disk.scan("line", coop + account)]
    ids = set(found.transfers)
    others = {(line.counterpart_coop, line.counterpart) for line in found.lines} - {(coop, account)}
    for chain, other in others:
        for key, data in disk.scan("line", chain + other):
            line = decode_line(key, data)
            if line.id in ids or (line.counterpart_coop, line.counterpart) == (coop, account):
                bare = replace(line, counterpart=NOBODY, ref=NO_REF, category="")
                writes.append(Write("line", key, bare.encode()))
    return writes


def scrub(disk: SqliteDisk) -> None:
    """Rewrite ledger.db and votes.db and cut their logs."""
    for connection in disk.connections():
        connection.execute("VACUUM")
        scrub_wal(connection)
