"""Put the ledger of a node together with the rest of it: names, keys, network, marks of others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from maillon.ledger.errors import NoLedger
from maillon.ledger.orders import COMMONS
from maillon.node import clock
from maillon.node.ledger.happenings import Setup
from maillon.node.ledger.index import HELD, VOID
from maillon.node.ledger.machine import Machine
from maillon.node.ledger.runner import PROTOCOL, LedgerRunner
from maillon.node.ledger.signatures import CachedVerify
from maillon.node.persons.ruled import RuledDesk, status_of
from maillon.node.run.ledgerkeys import ensure_ledger_keys
from maillon.node.run.nodesk import NoDesk
from maillon.node.store.ledgerdisk import SqliteDisk
from maillon.protocol.view import TransferInfo

if TYPE_CHECKING:
    from maillon.node.api.ledger_service import LedgerService
    from maillon.node.ports import FrameStream
    from maillon.node.run.node import Node
    from maillon.node.run.register import Register
    from maillon.protocol.founding import Founding


class LedgerHost:
    """Implements ledger.host.Host for a running node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def coop(self) -> bytes:
        return self._node.coop

    @property
    def founding(self) -> Founding:
        return self._node.founding

    @property
    def register(self) -> Register:
        return self._node.register

    def coop_name(self, coop: bytes) -> str:
        return self._node.catalogue.coop_name(coop)

    def node_of(self, coop: bytes) -> bytes | None:
        info = self._node.engine.view.coop(coop)
        if info is not None and info.node_key is not None:
            return info.node_key
        founder = self._node.founding.founder(coop)
        return None if founder is None else founder.node_key

    def member_key(self, person: bytes) -> bytes | None:
        """Return a key of a member whom the coop vouches for, one that is held here if any."""
        node = self._node
        found: bytes | None = None
        for row in node.register.keys_of(person):
            membership = node.engine.view.membership(node.coop, row.public)
            if membership is None or membership.status != "active":
                continue
            if row.held:
                return row.public
            found = found or row.public
        return found

    def time(self) -> int:
        return clock.now()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    def transfers_certain(self, ids: Sequence[bytes]) -> None:
        node = self._node
        with node.faults.contained("marks"):
            node.run_effects(node.engine.transfers_certain(ids, node.now()))


class Ledger:
    """The accounts of a node, or that its federation has none."""

    def __init__(self, node: Node, password: bytes) -> None:
        self._node = node
        self.runner: LedgerRunner | None = None
        self.desk: LedgerService = NoDesk(node)
        self._disk: SqliteDisk | None = None
        if node.founding.ledger is None:
            return
        keys = ensure_ledger_keys(node.home, password)
        self._disk = SqliteDisk(node.home.path)
        try:
            verify = CachedVerify(node.pool.verify_now)
            setup = Setup(
                founding=node.founding,
                coop=node.coop,
                writer=keys.writer,
                witness=keys.witness,
                verify=verify,
                random=os.urandom,
                signed=verify.add,
            )
            machine = Machine(setup, self._disk, clock.now())
        except NoLedger:
            self.close()
            return
        except BaseException:
            self.close()
            raise
        host = LedgerHost(node)
        self.runner = LedgerRunner(machine, host, node.network, node.node_key.public)
        self.desk = RuledDesk(
            host,
            self.runner,
            node.home.founding.read_bytes,
            partial(status_of, node.engine.view, node.store),
            node.config.persons.forbidden,
        )
        node.engine.view.transfers = self._transfer

    @property
    def disk(self) -> SqliteDisk | None:
        """Return the files of the accounts, None without accounts."""
        return self._disk

    def _transfer(self, id: bytes) -> TransferInfo | None:
        """Return the parties of a certified transfer; a reservation is none before it is paid."""
        assert self.runner is not None
        row = self.runner.machine.index.transfer(id)
        if row is None or row.status in (HELD, VOID):
            return None
        return TransferInfo(_author(row.coop, row.account), _author(row.to_coop, row.to_account))

    async def run(self) -> None:
        """Run until cancelled; without accounts there is nothing to do."""
        if self.runner is not None:
            await self.runner.run()

    async def serve(self, stream: FrameStream) -> None:
        """Answer a stream of PROTOCOL."""
        if self.runner is None:
            await stream.reset()
        else:
            await self.runner.serve(stream)

    def gossip(self, peer: bytes, data: bytes) -> bool:
        """Judge a gossip message of hints."""
        return False if self.runner is None else self.runner.gossip(peer, data)

    def connected(self, peer: bytes) -> None:
        """Be told of a connection."""
        if self.runner is not None:
            self.runner.connected(peer)

    def notices(self) -> list[str]:
        """Return what the operator should know, in sentences."""
        return [] if self.runner is None else list(self.desk.status().notices)

    def metrics(self) -> dict[str, float]:
        """Return counters and gauges by name; none without accounts."""
        if self.runner is None:
            return {}
        book = self.runner.machine.book
        sizes = self.disk_bytes()
        return {
            **self.runner.metrics(),
            "charter_height": book.charter.height,
            "chains": len(book.chains()),
            "database_bytes": sum(sizes.values()),
            "commits": 0 if self._disk is None else self._disk.commits,
            "frozen": sum(
                self.runner.machine.witness.frauds.frozen(chain) is not None
                for chain in book.chains()
            ),
            "witness_stopped": int(self.runner.machine.witness.stopped is not None),
        }

    def disk_bytes(self) -> dict[str, int]:
        """Return the size of each database, by name."""
        return {} if self._disk is None else self._disk.bytes_used()

    def close(self) -> None:
        """Close the databases."""
        if self._disk is not None:
            self._disk.close()
            self._disk = None


def _author(coop: bytes, account: bytes) -> bytes:
    return b"c" + coop if account == COMMONS else b"p" + coop + account


__all__ = ["PROTOCOL", "Ledger", "LedgerHost"]
