"""Read what the node holds: lists, single records, searches, exports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import trio

from maillon.node import cursors
from maillon.node.api import shapes
from maillon.node.api.plain import payload_to_json
from maillon.node.api.service import ListOptions
from maillon.node.i18n import _
from maillon.node.run.register import Ambiguous, NotFound
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import MaillonError
from maillon.protocol.reconcile import Bound
from maillon.protocol.records import WITHDRAWAL, thing_id

if TYPE_CHECKING:
    from maillon.node.run.node import Node

PREFIX_CHARACTERS_MIN = 8
# Records looked at for one list: a filter that fits few must not hold up the node.
LIST_LOOKED_AT_MAX = 20_000
EXPORT_PAGE = 256
# Records that are gone and whose ids begin alike; with 8 characters a handful at most.
GONE_LOOKED_AT_MAX = 64


class Catalogue:
    """What can be read of a node's records."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._names: dict[bytes, tuple[bytes, str]] = {}

    # --- one ------------------------------------------------------------------------------------

    def find(self, prefix: str) -> bytes:
        """Return the id that begins so, of a live record before others.

        Raises: NotFound, Ambiguous.
        """
        try:
            wanted = bytes.fromhex(prefix if len(prefix) % 2 == 0 else prefix[:-1])
        except ValueError:
            raise NotFound(_("{id} is no id.").format(id=prefix[:80])) from None
        if len(prefix) < PREFIX_CHARACTERS_MIN or len(prefix) > 64:
            raise NotFound(
                _("An id has 64 characters, of which the first 8 or more are enough."),
            )
        if len(wanted) == 32:
            if self._node.store.known(wanted):
                return wanted
            raise self._unknown(prefix)
        items = self._node.engine.items
        found = [
            id
            for id in items.ids(0, len(items))
            if id.startswith(wanted) and id.hex().startswith(prefix)
        ]
        if not found:
            gone = self._node.store.beginning(wanted, GONE_LOOKED_AT_MAX)
            found = [id for id in gone if id.hex().startswith(prefix)]
        if not found:
            raise self._unknown(prefix)
        if len(found) > 1:
            raise Ambiguous(
                _("Several records' ids begin with {id}.").format(id=prefix),
                hint=_("Give more characters of it."),
            )
        return found[0]

    def _unknown(self, id: str) -> NotFound:
        return NotFound(
            _("There is no record {id} here.").format(id=id[:16]),
            hint=_("It may have been withdrawn, have expired, or not have arrived yet."),
        )

    def get(self, id: bytes) -> Signed:
        """Return a known record. Raises: NotFound."""
        signed = self._node.store.get(id)
        if signed is None:
            raise self._unknown(id.hex())
        return signed

    def state(self, signed: Signed) -> tuple[str, bytes]:
        """Say whether a record is live, withdrawn, replaced (and by which), or ended."""
        store = self._node.store
        if store.live(signed.id):
            return "live", b""
        try:
            author = self._node.engine.view.author_of(signed.header, signed.id)
        except MaillonError:
            author = None
        head = None if author is None else store.head(author, signed.header.series)
        if head is None or head.rev <= signed.header.rev:
            return "ended", b""
        return ("withdrawn", b"") if head.kind == WITHDRAWAL else ("replaced", head.id)

    def one(self, prefix: str, *, raw: bool) -> shapes.RecordOut:
        """Return a single record with what has become of it. Raises: NotFound, Ambiguous."""
        signed = self.get(self.find(prefix))
        record = self.out(signed, raw=raw)
        record.state, by = self.state(signed)
        if by:
            record.replaced_by = by.hex()
        return record

    def coop_name(self, coop: bytes) -> str:
        """Return the name a coop gives itself, else the founders', else its short id."""
        profile = self._node.engine.view.profile(coop)
        if profile is not None and profile.signed.payload is not None:
            return str(profile.signed.payload["name"])
        founder = self._node.founding.founder(coop)
        return coop.hex()[:8] if founder is None else founder.name

    def out(self, signed: Signed, *, raw: bool = False) -> shapes.RecordOut:
        """Return a record as a program reads it."""
        header = signed.header
        try:
            author = self._node.engine.view.author_of(header, signed.id)
        except MaillonError:
            author = None
        record = shapes.RecordOut(
            id=signed.id.hex(),
            kind=header.kind,
            coop=header.coop.hex(),
            coop_name=self.coop_name(header.coop),
            by=header.by.hex(),
            at=header.at,
            until=header.until,
            series=header.series.hex(),
            thing="" if author is None else thing_id(author, header.series).hex(),
            rev=header.rev,
            mandate=header.as_.hex(),
            refs=[ref.hex() for ref in header.refs],
            payload=payload_to_json(signed.payload),
        )
        if raw:
            record.raw = signed.encode().hex()
        return record

    # --- many -----------------------------------------------------------------------------------

    def _matches(self, signed: Signed, options: ListOptions) -> bool:
        header = signed.header
        if options.kinds and header.kind not in options.kinds:
            return False
        return not options.mine or header.coop == self._node.coop

    def records(self, options: ListOptions) -> shapes.Records:
        """Return live records, the newest first, and a cursor for the rest."""
        items = self._node.engine.items
        index = len(items)
        if options.after:
            at, id = cursors.read("records", options.after, int, bytes)
            index = items.lower_bound(_bound(at, id))
        found: list[shapes.RecordOut] = []
        looked_at = 0
        last: tuple[int, bytes] | None = None
        while index > 0 and len(found) < options.limit and looked_at < LIST_LOOKED_AT_MAX:
            index -= 1
            looked_at += 1
            last = items.item(index)
            signed = self._node.store.get(last[1])
            if signed is not None and self._matches(signed, options):
                found.append(self.out(signed, raw=options.raw))
        more = index > 0 and last is not None
        return shapes.Records(found, cursors.written("records", *last) if more and last else None)

    async def export(self, options: ListOptions) -> AsyncIterator[shapes.RecordOut]:
        """Yield live records, the oldest first; what arrives meanwhile may or may not be in it."""
        for page in self._pages():
            for id in page:
                signed = self._node.store.get(id)
                if signed is not None and self._matches(signed, options):
                    yield self.out(signed, raw=options.raw)
            # Others have their turn: an export of a million records takes a minute.
            await trio.sleep(0)

    def _pages(self) -> Iterator[list[bytes]]:
        low = Bound(0)
        items = self._node.engine.items
        infinity = Bound(2**64 - 1)
        while True:
            page = items.page(low, infinity, EXPORT_PAGE)
            if not page:
                return
            yield [id for _at, id in page]
            at, id = page[-1]
            following = (int.from_bytes(id, "big") + 1).to_bytes(33, "big")
            low = Bound(at + 1) if following[0] else Bound(at, following[1:].rstrip(b"\0"))


def _bound(at: int, id: bytes) -> Bound:
    if len(id) != 32:
        raise cursors.bad_cursor()
    return Bound(at, id.rstrip(b"\0"))


def counted(numbers: dict[str, Any]) -> dict[str, int]:
    """Return the counters that are not zero."""
    return {name: int(number) for name, number in numbers.items() if number}
