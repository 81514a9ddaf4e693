"""Coops in one process that match offers and demands: engines, stores and desks, and a wire.

Records spread when `spread` is called, letters when `deliver` is; nothing waits and nothing runs by
itself, so that every order of events can be tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from maillon.node.api import shapes
from maillon.node.api.caller import THE_OPERATOR, Caller
from maillon.node.api.plain import payload_from_json
from maillon.node.api.service import SearchOptions
from maillon.node.engine import Engine
from maillon.node.engine.view import IdentityView
from maillon.node.events import Effect, Gone, Stored
from maillon.node.matching.desk import Desk
from maillon.node.post.ports import Sending
from maillon.node.run.matching import Letters
from maillon.node.run.register import Register
from maillon.node.run.searching import hits_of, query_of
from maillon.node.search.query import Query
from maillon.node.search.reader import SearchReader
from maillon.node.search.vocabulary import SHIPPED, Vocabulary, load_synonyms
from maillon.node.store.sqlite import SqliteStore
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import Founding
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.letters import Item
from maillon.protocol.records import build
from maillon.protocol.view import TransferInfo
from support.engines import Counting
from support.world import Member, World


@dataclass(frozen=True)
class Told:
    """An event."""

    author: bytes | None
    kind: str
    facts: Mapping[str, Any]


class Rest:
    """Who reads the letters that are not about relays."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.ended: list[tuple[bytes, str]] = []

    def letter_opened(self, to_key: bytes, from_coop: bytes, items: Sequence[Item]) -> None:
        self.items += items

    def letter_ended(self, id: bytes, ticket: bytes, to_key: bytes, code: str) -> None:
        self.ended.append((ticket, code))


class MatchNode:
    """Implements matching.host.Host: one coop of the net."""

    def __init__(self, net: MatchNet, place: int, folder: Path) -> None:
        folder.mkdir()
        self.net = net
        self.where = net.world.coops[place]
        self.folder = folder
        self.sealing = SealingKey.from_seed(net.world.derive(f"coop sealing {place}", 32))
        self.register = Register(folder / "private.db", self.sealing)
        self.store = SqliteStore(folder / "node.db")
        self.engine = Engine(
            self.store, net.world.founding, node_key=self.where.node.public,
            rng=Random(f"{net.world.seed} {place}"),
        )  # fmt: skip
        self.engine.view.transfers = net.transfers.get
        self.verify = Counting()
        self._vocabulary = Vocabulary(load_synonyms(SHIPPED))
        self.reader = SearchReader(self.records, self._vocabulary)
        self.told: list[Told] = []
        self.faults: list[tuple[str, str]] = []
        self.sent: list[Sending] = []
        self.met: dict[bytes, dict[bytes, int]] = {}
        self.post_open = True
        self.do(self.engine.start(float(net.now)))
        self.desk = Desk(self)
        self.rest = Rest()
        self.letters = Letters(self.desk, self.rest)
        self.desk.noticing.begin()

    def close(self) -> None:
        self.desk.close()
        self.reader.close()
        self.store.close()
        self.register.close()

    def restart(self) -> None:
        """Begin anew with what is on the disk."""
        self.desk.close()
        self.desk = Desk(self)
        self.letters = Letters(self.desk, self.rest)
        self.desk.noticing.begin()

    # --- the host -------------------------------------------------------------------------------

    @property
    def coop(self) -> bytes:
        return self.where.id

    @property
    def founding(self) -> Founding:
        return self.net.world.founding

    @property
    def node_key(self) -> SigningKey:
        return self.where.node

    @property
    def home(self) -> Path:
        return self.folder

    @property
    def records(self) -> Path:
        return self.folder / "node.db"

    @property
    def view(self) -> IdentityView:
        return self.engine.view

    @property
    def language(self) -> str:
        return "fr"

    def time(self) -> int:
        return self.net.now

    def random(self, size: int) -> bytes:
        return self.net.world.fresh(size)

    def coop_name(self, coop: bytes) -> str:
        return next((c.name for c in self.net.world.coops if c.id == coop), coop.hex()[:8])

    def vocabulary(self) -> tuple[Vocabulary, int]:
        return self._vocabulary, 0

    def unindexed(self) -> bool:
        return bool(self.store.unindexed)

    def index(self) -> None:
        self.store.index_now()

    def query(self, options: SearchOptions) -> Query:
        return query_of(options, [bytes.fromhex(coop) for coop in options.coops])

    def search(self, options: SearchOptions) -> shapes.Hits:
        self.store.index_now()
        return hits_of(self.reader.search(self.query(options), self.net.now), self.coop_name)

    def find_record(self, prefix: str) -> Signed:
        found = self.store.get(bytes.fromhex(prefix))
        assert found is not None
        return found

    def author_of(self, record: Signed) -> bytes | None:
        return self.engine.view.author_of(record.header, record.id)

    def fields_of(self, kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return build(kind, salt=bytes(16), **payload_from_json(kind, payload))

    def dealings(self, author: bytes) -> Mapping[bytes, int]:
        return self.met.get(author, {})

    def guarantees(self, author: bytes) -> int:
        return 0

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        if not self.post_open:
            from maillon.node.store.database import StoreFull

            raise StoreFull("There is no room for letters.")
        self.sent += letters
        return [letter.ticket for letter in letters]

    def happened(self, author: bytes | None, kind: str, facts: Mapping[str, Any]) -> None:
        self.told.append(Told(author, kind, facts))

    def fault(self, where: str, what: str) -> None:
        self.faults.append((where, what))

    # --- what happens ---------------------------------------------------------------------------

    def do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Stored(ids) if hasattr(self, "desk"):
                    kinds = {h.kind for id in ids if (h := self.store.header(id)) is not None}
                    self.desk.marks.noticed(kinds)
                case Gone(ids) if hasattr(self, "desk"):
                    self.desk.marks.gone(ids)
                    for id in ids:
                        self.desk.disk.drop_notice(id)
                case _:
                    pass

    def take(self, *records: Signed) -> None:
        """Take records in."""
        for signed in records:
            try:
                self.do(self.engine.submit(signed.encode(), float(self.net.now), self.verify))
            except MaillonError as fault:
                if not getattr(fault, "benign", False):
                    raise

    def look(self) -> None:
        """Do what the loop of a node does."""
        while self.desk.marks.catch_up():
            pass
        for _more in self.desk.noticing.look():
            pass
        self.desk.relaying.tick()

    def register_person(self, member: Member) -> None:
        """Make somebody known to the register."""
        self.register.add_person(member.person, member.name, "", self.net.now)


class MatchNet:
    """Coops with members, as many as the world has."""

    def __init__(self, folder: Path, coops: int = 2, seed: str = "match") -> None:
        self.world = World(coops_count=coops, seed=seed)
        self.now = self.world.now
        self.transfers: dict[bytes, TransferInfo] = {}
        self.nodes = [MatchNode(self, place, folder / f"n{place}") for place in range(coops)]
        for place, node in enumerate(self.nodes):
            profile = self.world.profile(place, sealing=node.sealing.public)
            self.spread(profile)

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def member(self, place: int, name: str, **fields: Any) -> Member:
        """Make somebody a member of a coop, known everywhere."""
        member = self.world.make_member(place, name)
        self.nodes[place].register_person(member)
        self.spread(self.world.membership(member, **fields))
        return member

    def spread(self, *records: Signed) -> None:
        """Let every node take records in."""
        self.world.now = self.now
        for node in self.nodes:
            node.take(*records)

    def look(self) -> None:
        """Let every node look at what arrived."""
        for node in self.nodes:
            node.look()

    def deal(self, one: Member, other: Member, label: str) -> bytes:
        """Let two have a certified exchange; return its transfer."""
        transfer = self.world.derive(f"transfer {label}", 32)
        self.transfers[transfer] = TransferInfo(one.author, other.author)
        return transfer

    def deliver(self) -> int:
        """Carry all letters; return how many it were."""
        count = 0
        for node in self.nodes:
            letters, node.sent = node.sent, []
            for letter in letters:
                target = next(n for n in self.nodes if n.coop == letter.to_coop)
                assert target.sealing.public == letter.to_key
                target.letters.letter_opened(letter.to_key, node.coop, letter.items)
                count += 1
        return count


def caller_of(member: Member, *more: bytes, scopes: Sequence[str] = ("read",)) -> Caller:
    """Return a signed-in person; `more` are the authors who let them act."""
    return Caller(
        "member", member.author, member.key.public, frozenset(scopes), id=member.name,
        mandated=lambda: frozenset(more),
    )  # fmt: skip


__all__ = ["THE_OPERATOR", "MatchNet", "MatchNode", "caller_of"]
