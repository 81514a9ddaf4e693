"""Publish the rows of a list: new ones, changed ones, and with `sync` the end of vanished ones."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio

from maillon.node import bounds, clock
from maillon.node.api import shapes
from maillon.node.i18n import _
from maillon.node.importers import (
    Fault,
    ImportError_,
    Item,
    Source,
    parse_filter,
    read,
    series_of,
    source_ids,
)
from maillon.node.importers.base import Reading, matches
from maillon.node.run.authoring import Signer, check_unit
from maillon.protocol.envelope import Draft, Signed, draft
from maillon.protocol.errors import MaillonError
from maillon.protocol.records import DAY_S, WITHDRAWAL, build, random_series
from maillon.protocol.records.fields import DATE

if TYPE_CHECKING:
    from maillon.node.run.node import Node

KINDS = ("offer", "demand")
# An unchanged row whose record ends sooner than this is published anew, so that it goes on.
RENEW_DAYS = 60
# Of the disk or the share of a key, and not of a row.
STOPS = frozenset({"disk_full", "quota", "store_full", "store_read_only", "store_damaged"})


@dataclass(frozen=True, slots=True)
class Wish:
    """One row as a draft, and whether it is a new thing."""

    line: int
    draft: Draft
    created: bool


class Import:
    """One import into one author's series."""

    def __init__(self, node: Node, options: shapes.ImportOptions) -> None:
        self._node = node
        self._options = options
        self._signer: Signer = node.authoring.signer(options.as_member)
        member = node.engine.view.membership(node.coop, self._signer.key.public)
        self._author = b"c" + node.coop if member is None else member.author
        self._faults_told = 0
        self.rows = 0
        self.created = 0
        self.changed = 0
        self.unchanged = 0
        self.withdrawn = 0
        self.refused = 0

    async def run(self, data: bytes) -> AsyncIterator[dict[str, Any]]:
        """Yield what `POST /v1/import` answers. Raises: ImportError_ for the file as a whole."""
        options = self._options
        filters = [parse_filter(text) for text in options.where]
        if options.format == "csv" and not options.source:
            raise ImportError_(
                _("A table needs a name, so that importing it again finds its own rows."),
                hint=_("Give it with --source NAME, the same each time."),
            )
        if options.date and not matches(DATE, options.date):
            raise ImportError_(
                _("{text!r} is no date.").format(text=options.date),
                hint=_("Write it as 2026-03-01."),
            )
        today = datetime.fromtimestamp(clock.now(), UTC).date().isoformat()
        source, reading = read(
            options.format,
            data,
            filters,
            source=options.source,
            date=options.date,
            licence=options.licence,
            url=options.url,
            today=today,
        )
        present: set[str] = set()
        if options.sync:
            present = await trio.to_thread.run_sync(source_ids, options.format, data)
            if not present:
                raise ImportError_(
                    _("The list is empty; with --sync everything would be withdrawn."),
                    hint=_("Look at the file; import without --sync to leave things as they are."),
                )
        # Reading is work for a thread: a list of 60 MB takes seconds.
        found = await trio.to_thread.run_sync(_all, reading)
        items = [entry for entry in found if isinstance(entry, Item)]
        for entry in found:
            if isinstance(entry, Fault):
                self.refused += entry.fatal
                event = self._tell(entry)
                if event is not None:
                    yield event
        self.rows = len(items) + self.refused
        total = len(items)
        yield {"event": "progress", "done": 0, "total": total}
        for start in range(0, total, bounds.IMPORT_BATCH_ROWS):
            part = items[start : start + bounds.IMPORT_BATCH_ROWS]
            for fault in self._publish(self._wishes(part, source)):
                event = self._tell(fault)
                if event is not None:
                    yield event
            yield {"event": "progress", "done": start + len(part), "total": total}
            # Gossip, sessions and other requests have their turn between two transactions.
            await trio.sleep(0)
        if options.sync:
            for fault in self._withdraw_vanished(source, present):
                event = self._tell(fault)
                if event is not None:
                    yield event
                await trio.sleep(0)
        yield {
            "event": "done",
            "rows": self.rows,
            "created": self.created,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "withdrawn": self.withdrawn,
            "refused": self.refused,
            "dry_run": options.dry_run,
        }

    def _tell(self, fault: Fault) -> dict[str, Any] | None:
        self._faults_told += 1
        if self._faults_told > bounds.IMPORT_FAULTS_TOLD_MAX:
            return None
        return {
            "event": "fault",
            "line": fault.line,
            "field": fault.field,
            "message": fault.message,
            "fatal": fault.fatal,
        }

    # --- rows -----------------------------------------------------------------------------------

    def _wishes(self, items: list[Item], source: Source) -> Iterator[Wish | Fault]:
        node, options = self._node, self._options
        now = clock.now()
        for item in items:
            # The kind is part of a series: a row that turns from offer to demand is another thing.
            series = random_series(item.kind, series_of(source.name, item.id))
            head = node.store.head(self._author, series)
            current = None if head is None else node.store.get(head.id)
            until = node.authoring.until(item.kind, self._signer, now, options.days)
            if head is not None and current is not None and head.kind == item.kind:
                lasting = head.until >= min(until, now + RENEW_DAYS * DAY_S)
                if lasting and _same(current, item.payload):
                    self.unchanged += 1
                    continue
            try:
                made = self._draft(item, series, now, until, head)
            except MaillonError as fault:
                self.refused += 1
                field = str(fault.facts.get("field", ""))
                yield Fault(item.line, field, str(fault))
                continue
            yield Wish(item.line, made, head is None or head.kind == WITHDRAWAL)

    def _draft(self, item: Item, series: bytes, now: int, until: int, head: Any) -> Draft:
        node = self._node
        check_unit(node.founding, item.payload)
        return draft(
            item.kind,
            build(item.kind, salt=os.urandom(16), **item.payload),
            fed=node.founding.fed,
            coop=node.coop,
            by=self._signer.key.public,
            at=now if head is None else max(now, head.at),
            until=until if head is None else max(until, head.until),
            series=series,
            rev=0 if head is None else head.rev + 1,
        )

    def _publish(self, wishes: Iterator[Wish | Fault]) -> Iterator[Fault]:
        """Take a batch in as one step; tell the rows that were refused."""
        batch: list[Wish] = []
        for wish in wishes:
            if isinstance(wish, Fault):
                yield wish
            else:
                batch.append(wish)
        if not batch:
            return
        if self._options.dry_run:
            self._count(batch)
            return
        refused = self._node.author_many([wish.draft for wish in batch], self._signer.key)
        for wish, fault in zip(batch, refused, strict=True):
            if fault is None:
                self._count([wish])
            elif fault.code in STOPS:
                # No row after it can be taken either.
                raise fault
            else:
                self.refused += 1
                yield Fault(wish.line, str(fault.facts.get("field", "")), str(fault))

    def _count(self, done: list[Wish]) -> None:
        created = sum(wish.created for wish in done)
        self.created += created
        self.changed += len(done) - created

    # --- what has vanished ----------------------------------------------------------------------

    def _withdraw_vanished(self, source: Source, present: set[str]) -> Iterator[Fault]:
        """Withdraw what this author published from this list and the list does not name any more.

        Rows that a filter or a fault kept out are in the list still, and stay.
        """
        node = self._node
        for id, header in node.store.signed_by(self._signer.key.public):
            if header.kind not in KINDS or header.coop != node.coop or header.as_:
                continue
            signed = node.store.get(id)
            named = (
                None if signed is None or signed.payload is None else signed.payload.get("source")
            )
            if signed is None or not isinstance(named, dict) or not _of_list(named, source.name):
                continue
            if named["id"] in present:
                continue
            if not self._options.dry_run:
                try:
                    made = node.authoring.withdrawal(signed, self._signer, "")
                    node.author(made, self._signer.key)
                except MaillonError as fault:
                    if fault.code in STOPS:
                        raise
                    yield Fault(0, "", str(fault))
                    continue
            self.withdrawn += 1


def _all(reading: Reading) -> list[Item | Fault]:
    return list(reading)


def _of_list(named: Mapping[str, Any], source: str) -> bool:
    name = str(named.get("name", ""))
    return name == source or name.startswith(source + " – ")


def _same(current: Signed, payload: Mapping[str, Any]) -> bool:
    """Tell whether a row says what its record says; the date of the list alone is no change."""
    if current.payload is None:
        return False
    return _compared(current.payload) == _compared(payload)


def _compared(payload: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in payload.items() if name != "salt"}
    if "source" in fields:
        source: dict[str, Any] = fields["source"]
        fields["source"] = {name: value for name, value in source.items() if name != "date"}
    return fields
