"""Put matching together with the rest of a node: records, register, exchanges, post, events."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from maillon.node.api.plain import payload_from_json
from maillon.node.api.service import SearchOptions
from maillon.node.engine.exchange.ports import Query as ExchangeQuery
from maillon.node.i18n import ngettext
from maillon.node.matching import bounds
from maillon.node.matching.desk import Desk as MatchingDesk
from maillon.node.matching.openings import OLD_FILE
from maillon.node.matching.storage import ASKED, IN, MISSED, OUT, REFUSED, TAKEN
from maillon.node.post.ports import Desk, Sending
from maillon.node.run.accounts import LedgerHost
from maillon.node.run.authoring import check_unit
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import MaillonError
from maillon.protocol.letters import Item
from maillon.protocol.records import build

if TYPE_CHECKING:
    from maillon.node.api import shapes
    from maillon.node.engine.view import IdentityView
    from maillon.node.ports import Store
    from maillon.node.run.node import Node
    from maillon.node.search.query import Query
    from maillon.node.search.vocabulary import Vocabulary
    from maillon.protocol.keys import SigningKey

COUNTED = ("evaluated", "paid", "settled")
"""Phases of exchanges that came to a good end."""


class MatchingHost(LedgerHost):
    """Implements matching.host.Host for a running node."""

    @property
    def node_key(self) -> SigningKey:
        return self._node.node_key

    @property
    def home(self) -> Path:
        return self._node.home.path

    @property
    def records(self) -> Path:
        return self._node.home.database

    @property
    def view(self) -> IdentityView:
        return self._node.engine.view

    @property
    def store(self) -> Store:
        return self._node.store

    @property
    def language(self) -> str:
        languages = self._node.config.coop.languages
        return languages[0][:2] if languages else "fr"

    def vocabulary(self) -> tuple[Vocabulary, int]:
        return self._node.searching.vocabulary()

    def unindexed(self) -> bool:
        return bool(self._node.store.unindexed)

    def index(self) -> None:
        if self._node.store.unindexed:
            self._node.store.index_now()

    def query(self, options: SearchOptions) -> Query:
        return self._node.searching.query(options)

    def search(self, options: SearchOptions) -> shapes.Hits:
        return self._node.searching.search(options)

    def find_record(self, prefix: str) -> Signed:
        return self._node.catalogue.get(self._node.catalogue.find(prefix))

    def author_of(self, record: Signed) -> bytes | None:
        try:
            return self._node.engine.view.author_of(record.header, record.id)
        except MaillonError:
            return None

    def fields_of(self, kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        fields = payload_from_json(kind, payload)
        fields.pop("salt", None)
        check_unit(self._node.founding, fields)
        return build(kind, salt=os.urandom(16), **fields)

    def dealings(self, author: bytes) -> Mapping[bytes, int]:
        query = ExchangeQuery(
            authors=(author,), phases=COUNTED, limit=bounds.DEALINGS_READ_MAX
        )
        found: Counter[bytes] = Counter()
        for row in self._node.exchanges.core.store.find(query):
            other = row.provider if row.requester == author else row.requester
            if other != author:
                found[other] += 1
        return found

    def guarantees(self, author: bytes) -> int:
        query = ExchangeQuery(authors=(author,), guarantees=True, limit=bounds.DEALINGS_READ_MAX)
        rows = self._node.exchanges.core.store.find(query)
        return sum(row.guarantees for row in rows if row.provider == author)

    def send(self, letters: Sequence[Sending]) -> list[bytes]:
        return self._node.post.send(letters)

    def happened(self, author: bytes | None, kind: str, facts: Mapping[str, Any]) -> None:
        self._node.events.publish("match", author, kind, facts)

    def fault(self, where: str, what: str) -> None:
        self._node.faults.note(where, what)


class Letters:
    """Implements post.ports.Desk: what is about relays goes to one desk, the rest to another."""

    def __init__(self, desk: MatchingDesk, rest: Desk) -> None:
        self._relaying = desk.relaying
        self._rest = rest

    def letter_opened(self, to_key: bytes, from_coop: bytes, items: Sequence[Item]) -> None:
        """Take in what a letter holds, durably."""
        rest = self._relaying.take_out(from_coop, items)
        if rest or not items:
            self._rest.letter_opened(to_key, from_coop, rest)

    def letter_ended(self, id: bytes, ticket: bytes, to_key: bytes, code: str) -> None:
        """Be told that a letter of ours was given up, and why."""
        if not self._relaying.ended(ticket, code):
            self._rest.letter_ended(id, ticket, to_key, code)


class Matching:
    """Matching on a running node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.desk = MatchingDesk(MatchingHost(node))
        self._news = trio.Event()

    def letters(self, rest: Desk) -> Letters:
        """Return who reads letters: this about relays, `rest` everything else."""
        return Letters(self.desk, rest)

    def stored(self, ids: Sequence[bytes]) -> None:
        """Be told of records that came."""
        store = self._node.store
        kinds = {header.kind for id in ids if (header := store.header(id)) is not None}
        self.desk.marks.noticed(kinds)
        if kinds & {"offer", "demand", "attestation"}:
            self._news.set()

    def gone(self, ids: Sequence[bytes]) -> None:
        """Be told of records that are no longer live."""
        self.desk.marks.gone(ids)
        with self._node.faults.contained("matching"):
            for id in ids:
                self.desk.disk.drop_notice(id)

    def opened(self, exchange: bytes) -> None:
        """Be told of an exchange that was opened: its provider's desk may be closed."""
        core = self._node.exchanges.core
        row = core.store.row(exchange)
        if row is None or not core.addressing.is_here(row.provider):
            return
        opener = [s.author for s in core.store.transcript(exchange) if s.id == exchange]
        if opener == [row.provider]:
            # Whoever offers their help is there.
            return
        with self._node.faults.contained("matching"):
            self.desk.relaying.opened(
                exchange, row.provider, row.opened_at, row.title, row.requester[1:33]
            )

    async def run(self) -> None:
        """Look at what arrives, and at deadlines, until cancelled."""
        desk, faults = self.desk, self._node.faults
        with faults.contained("matching"):
            desk.noticing.begin()
        with faults.contained(OLD_FILE):
            desk.opening.take_over(self._node.home.path)
        cleaned = 0
        while True:
            self._news = trio.Event()
            with faults.contained("matching"):
                while desk.marks.catch_up():
                    await trio.sleep(0)
                for more in desk.noticing.look():
                    if not more:
                        break
                    # Others have their turn after every record, however many arrived.
                    await trio.sleep(0)
                desk.relaying.tick()
                now = desk.now()
                if not 0 <= now - cleaned < bounds.CLEAN_S:
                    cleaned = now
                    desk.disk.end_notices(now)
            with trio.move_on_after(bounds.RELAY_TICK_S):
                await self._news.wait()
                await trio.sleep(bounds.LOOK_S)

    def metrics(self) -> dict[str, float]:
        """Return gauges by name."""
        disk = self.desk.disk
        relays: dict[str, float] = {}
        for way in (IN, OUT):
            counts = disk.count_by_status(way)
            for status in (ASKED, TAKEN, REFUSED, MISSED):
                relays[f"relay_{way}_{status}"] = float(counts.get(status, 0))
        return {
            "marks": float(len(self.desk.marks)),
            "saved_searches": float(disk.count_searches()),
            "openings": float(disk.count_openings()),
            "relay_letters_refused": float(self.desk.relaying.letters_refused),
            **relays,
        }

    def notices(self) -> list[str]:
        """Return what the operator should know, in sentences."""
        found: list[str] = []
        asked = self.desk.disk.count_by_status(IN).get(ASKED, 0)
        if asked:
            found.append(
                ngettext(
                    "{n} request of a coop whose relay you are waits for your answer.",
                    "{n} requests of coops whose relay you are wait for your answer.",
                    asked,
                ).format(n=asked)
            )
        missed = self.desk.disk.count_by_status(OUT).get(MISSED, 0)
        if missed:
            found.append(
                ngettext(
                    "{n} demand that was handed to a relay was not answered in time.",
                    "{n} demands that were handed to a relay were not answered in time.",
                    missed,
                ).format(n=missed)
            )
        return found

    def close(self) -> None:
        """Close the databases."""
        self.desk.close()

    # --- the affairs of persons -----------------------------------------------------------------

    def erase_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> int:
        """Erase what is kept of somebody; return how many rows went."""
        gone = self.desk.disk.forget_author(author)
        self.desk.saving.forgotten()
        return gone

    def export_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> object:
        """Return all that is kept of somebody."""
        return self.desk.kept_of(author)

    def forget_before(self, at: int, what: str = "relays", /) -> int:
        """Delete requests to relays, notices, or what opens bids, that are older than a time."""
        disk = self.desk.disk
        forget = {
            "relays": disk.forget_relays_before,
            "notices": disk.forget_notices_before,
            "auctions": disk.forget_openings_before,
        }
        return forget[what](at)

    def scrub(self) -> object:
        """Leave no byte of what was erased in any file."""
        self.desk.disk.scrub()
        return None


__all__ = ["Matching"]
