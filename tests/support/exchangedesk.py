"""The desk of one coop in a `Net`: what people ask of exchanges, without sockets and processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

from maillon.node.api.caller import Caller
from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.notes import OrderNote
from maillon.node.exchange.desk import ExchangeDesk
from maillon.node.exchange.runner import ExchangeRunner
from maillon.node.post.ports import Sending
from maillon.node.run.register import NotFound
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.keys import SigningKey
from maillon.protocol.letters import seal, thread_id
from support.exchangenet import CoopNode, Letter, Net
from support.world import Member


@dataclass(frozen=True)
class Person:
    """A row of the register."""

    id: bytes
    name: str


@dataclass
class Names:
    """Who is who in one coop."""

    rows: list[Person] = field(default_factory=list[Person])

    def batch(self) -> Any:
        return nullcontext()

    def find_person(self, prefix: str) -> Person:
        for row in self.rows:
            if row.id.hex().startswith(prefix):
                return row
        raise NotFound("Nobody has this id.")

    def people(self) -> Sequence[Person]:
        return self.rows

    def name_of(self, person: bytes) -> str:
        return next((row.name for row in self.rows if row.id == person), "")


class DeskHost:
    """Implements exchange.ports.Host for a node of a `Net`."""

    def __init__(self, node: CoopNode) -> None:
        self._node = node
        self.coop = bytes(node.coop.id)
        self.founding = node.net.world.founding
        self.node_key = node.coop.node
        self.register = Names()
        self.directory = node.rig.engine.view
        self.events: list[tuple[bytes | None, str, Mapping[str, Any]]] = []
        self.faults: list[str] = []

    def time(self) -> int:
        return self._node.net.now

    def random(self, size: int) -> bytes:
        return self._node.net.world.fresh(size)

    def coop_name(self, coop: bytes) -> str:
        return f"Coop {coop.hex()[:8]}"

    def node_of(self, coop: bytes) -> bytes | None:
        info = self.directory.coop(coop)
        return None if info is None else info.node_key

    def joint(self, payer: bytes, request: bytes) -> None:
        """Nobody signs together here."""
        return None

    def live(self, id: bytes) -> Signed | None:
        return self._node.records.record(id)

    def find_record(self, prefix: str) -> Signed:
        found = self._node.rig.store.get(bytes.fromhex(prefix))
        if found is None:
            raise NotFound("There is no such record.")
        return found

    def author_of(self, record: Signed) -> bytes | None:
        return self.directory.author_of(record.header, record.id)

    def by_kinds(self, kinds: Sequence[str]) -> Iterator[Valid]:
        return self._node.rig.store.by_kinds(kinds)

    def referring(self, id: bytes) -> list[Signed]:
        store = self._node.rig.store
        found = [store.get(other) for other, _ in store.referring(id)]
        return [record for record in found if record is not None]

    def submit(self, record: bytes) -> None:
        self._node.net.gossip(self._node.rig, record)

    def publish(
        self,
        kind: str,
        fields: Mapping[str, Any],
        key: SigningKey,
        *,
        as_: bytes = b"",
        refs: Sequence[bytes] = (),
        days: int | None = None,
    ) -> Signed:
        raise NotImplementedError("Nothing public is written here.")

    def find_mandate(self, prefix: str) -> bytes:
        raise NotFound("There is no such mandate.")

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        net = self._node.net
        for letter in letters:
            sealed = seal(
                fed=net.world.founding.fed, from_coop=self.coop, to_coop=letter.to_coop,
                to_key=letter.to_key, thread=thread_id(letter.exchange, letter.to_key, bytes(16)),
                n=0, at=net.now, until=letter.until, items=letter.items,
            )  # fmt: skip
            net.letters.append(Letter(letter.to_coop, letter.to_key, self.coop, sealed))
        return [letter.ticket for letter in letters]

    def happened(self, author: bytes | None, kind: str, facts: Mapping[str, Any]) -> None:
        self.events.append((author, kind, facts))

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")


class ModelAccounts:
    """Hands orders to the model of all coops' accounts."""

    def __init__(self, net: Net) -> None:
        self._net = net

    async def carry_out(self, note: OrderNote, wait_s: float) -> tuple[str, str, str]:
        self._net.chains.place(note.data)
        return "waiting", "", ""


class CoopDesk:
    """The desk of one coop; `net.run` moves what it set off."""

    def __init__(self, net: Net, place: int) -> None:
        self.net = net
        self.node = net.nodes[place]
        self.host = DeskHost(self.node)
        self.runner = ExchangeRunner(
            self.node.core,
            cast(Any, self.host),
            ModelAccounts(net),
            lambda key: net.reader(self.node, key),
        )
        self.desk = ExchangeDesk(cast(Any, self.host), self.runner, lambda: None)
        # What the core wants done is done at once, as a running node does it soon.
        self.runner.do = self._do  # type: ignore[method-assign]

    def _do(self, effects: Sequence[Any]) -> None:
        self.node.do(effects)

    def knows(self, *members: Member) -> None:
        """Enter people into the register."""
        self.host.register.rows += [Person(bytes(m.person), m.name) for m in members]

    @staticmethod
    def caller(member: Member, *principals: Member) -> Caller:
        """Return somebody who signed in, with those who let them act for them."""
        authors = frozenset(principal.author for principal in principals)
        scopes = frozenset({"read", "exchange", "pay", "publish"})
        return Caller("member", member.author, member.key.public, scopes, mandated=lambda: authors)

    def orders(self, exchange: bytes) -> list[OrderNote]:
        return notes.orders_of(self.node.store, exchange)
