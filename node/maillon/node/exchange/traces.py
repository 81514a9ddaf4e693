"""Export, erase and forget what exchange.db holds about a person (spec/08-persons, "Privacy")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from maillon.node.api.plain import payload_to_json, to_json
from maillon.node.engine.exchange import notes
from maillon.node.engine.exchange.core import ExchangeCore
from maillon.node.engine.exchange.ports import ExchangeRow, Query
from maillon.node.engine.exchange.projecting import binding
from maillon.protocol.envelope import decode_record

PAGE: Final = 256
SAYS_NOTHING: Final = frozenset({"message", "contact"})
"""Kinds of steps without which the state of an exchange is the same."""


class Traces:
    """What persons can have exported and erased. `scrub_file` leaves no old byte in the file."""

    def __init__(self, core: ExchangeCore, scrub_file: Callable[[], bool]) -> None:
        self._core = core
        self._scrub = scrub_file

    def _of(self, author: bytes) -> Iterator[ExchangeRow]:
        before: tuple[int, bytes] | None = None
        while True:
            rows = self._core.store.find(Query(authors=(author,), before=before, limit=PAGE))
            yield from rows
            if len(rows) < PAGE:
                return
            before = (rows[-1].changed_at, rows[-1].id)

    def bound(self, author: bytes) -> int:
        """Return how many exchanges somebody has agreed to that are not over."""
        return binding(self._core.store, author)

    def export_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes]
    ) -> dict[str, object]:
        """Return all exchanges that somebody has a part in, with their signed steps."""
        exchanges = [
            {
                "id": row.id.hex(),
                "title": row.title,
                "phase": row.phase,
                "roles": [part.role for part in row.parts if part.author == author],
                "opened_at": row.opened_at,
                "changed_at": row.changed_at,
                "steps": [
                    {
                        "id": step.id.hex(),
                        "kind": signed.header.kind,
                        "at": signed.header.at,
                        "author": step.author.hex(),
                        "fields": payload_to_json(signed.payload),
                        "record": signed.encode().hex(),
                    }
                    for step, signed in self._core.transcripts.records(row.id)
                ],
            }
            for row in self._of(author)
        ]
        kept = [notes.kept_attestation(note) for note in self._core.store.notes(notes.KEPT)]
        fundings = [notes.funding_note(note) for note in self._core.store.notes(notes.FUNDING)]
        return {
            "exchanges": exchanges,
            "evaluations_not_published": [
                one.record.hex() for one in kept if one.author == author and one.status == "kept"
            ],
            "fundings": [
                to_json({"id": one.id, "amount": one.amount, "unit": one.unit, "at": one.at})
                for one in fundings
                if one.payer == author
            ],
        }

    def erase_person(self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes]) -> int:
        """Erase what is kept of somebody; return how many rows went.

        An exchange goes as a whole, unless somebody else here has an unfinished part in it: then
        what they wrote freely goes now, and the rest when it is finished and its time is over.
        """
        store = self._core.store
        rows = list(self._of(author))
        gone = 0
        with store.batch():
            for row in rows:
                others = any(
                    part.author != author and self._core.addressing.is_here(part.author)
                    for part in row.parts
                )
                if others and not row.finished:
                    gone += self._erase_words(row.id, author)
                else:
                    gone += store.count_steps(row.id)
                    store.forget(row.id)
            for note in store.notes(notes.FUNDING, limit=100_000):
                if notes.funding_note(note).payer == author:
                    store.drop_note(notes.FUNDING, note.key)
                    gone += 1
            for note in store.notes(notes.WAITING):
                header = decode_record(notes.waiting_step(note).record).header
                if header.by in keys:
                    store.drop_note(notes.WAITING, note.key)
                    gone += 1
            for note in store.notes(notes.OUT, limit=100_000):
                letter = notes.out_letter(note)
                if letter.owner == author or letter.to_key in sealing:
                    store.drop_note(notes.OUT, note.key)
                    gone += 1
        self._core.transcripts.changed()
        return gone

    def _erase_words(self, exchange: bytes, author: bytes) -> int:
        gone = 0
        for step, signed in self._core.transcripts.records(exchange):
            if (
                step.author == author
                and signed.payload is not None
                and signed.header.kind in SAYS_NOTHING
            ):
                self._core.store.set_record(exchange, step.id, signed.without_payload().encode())
                gone += 1
        return gone

    def forget_before(self, at: int) -> int:
        """Delete exchanges that were finished before a time; return how many."""
        total = 0
        while gone := self._core.forget_finished(at):
            total += gone
        return total

    def scrub(self) -> object:
        """Leave no byte of what was erased in any file."""
        return self._scrub()

    def acts_of(self, author: bytes) -> list[dict[str, Any]]:
        """Return the steps that somebody took for a person, under a mandate."""
        return [
            {
                "at": signed.header.at,
                "what": signed.header.kind,
                "id": step.id,
                "mandate": signed.header.as_,
                "key": signed.header.by,
                "coop": signed.header.coop,
                "title": row.title,
            }
            for row in self._of(author)
            for step, signed in self._core.transcripts.records(row.id)
            if step.author == author and signed.header.as_
        ]
