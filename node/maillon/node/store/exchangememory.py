"""Keep exchanges in dictionaries: for the simulator, where a hundred nodes live in one process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import replace

from maillon.node.engine.exchange.ports import ExchangeRow, Note, Query, SlotRow, StepRow
from maillon.node.store.database import StoreError


class MemoryExchangeStore:
    """Implements engine.exchange.ports.ExchangeStore without a file."""

    def __init__(self) -> None:
        self._steps: dict[bytes, dict[bytes, StepRow]] = {}
        self._by_id: dict[bytes, dict[bytes, None]] = {}
        self._rows: dict[bytes, ExchangeRow] = {}
        self._notes: dict[tuple[str, bytes], Note] = {}
        self._undo: list[Callable[[], None]] = []
        self._depth = 0
        self._doomed = False
        self.commits = 0

    @contextmanager
    def batch(self) -> Generator[None]:
        """Undo everything written inside when an exception leaves it. Nests as one."""
        if self._depth == 0:
            self._undo, self._doomed = [], False
        self._depth += 1
        try:
            yield
        except BaseException:
            self._doomed = True
            raise
        finally:
            self._depth -= 1
            if self._depth == 0:
                if self._doomed:
                    for undo in reversed(self._undo):
                        undo()
                else:
                    self.commits += 1
                self._undo = []
        if self._depth == 0 and self._doomed:
            raise StoreError("A change inside of this one was undone, and so is all of it.")

    # --- steps ----------------------------------------------------------------------------------

    def has_step(self, id: bytes) -> bool:
        return bool(self._by_id.get(id))

    def exchanges_of(self, step: bytes) -> list[bytes]:
        return list(self._by_id.get(step, ()))

    def transcript(self, exchange: bytes) -> list[StepRow]:
        return list(self._steps.get(exchange, {}).values())

    def count_steps(self, exchange: bytes) -> int:
        return len(self._steps.get(exchange, ()))

    def add_step(self, row: StepRow) -> None:
        steps = self._steps.setdefault(row.exchange, {})
        if row.id in steps:
            return
        steps[row.id] = row
        self._by_id.setdefault(row.id, {})[row.exchange] = None

        def undo() -> None:
            self._drop_step(row)

        self._undo.append(undo)

    def set_record(self, exchange: bytes, id: bytes, record: bytes) -> None:
        steps = self._steps.get(exchange, {})
        before = steps.get(id)
        if before is not None:
            steps[id] = replace(before, record=record)
            self._undo.append(lambda: steps.__setitem__(id, before))

    def _drop_step(self, row: StepRow) -> None:
        steps = self._steps[row.exchange]
        del steps[row.id]
        if not steps:
            del self._steps[row.exchange]
        places = self._by_id[row.id]
        del places[row.exchange]
        if not places:
            del self._by_id[row.id]

    # --- exchanges ------------------------------------------------------------------------------

    def row(self, exchange: bytes) -> ExchangeRow | None:
        return self._rows.get(exchange)

    def put_row(self, row: ExchangeRow) -> None:
        before = self._rows.get(row.id)
        self._rows[row.id] = row

        def undo() -> None:
            if before is None:
                self._rows.pop(row.id, None)
            else:
                self._rows[row.id] = before

        self._undo.append(undo)

    def find(self, query: Query) -> list[ExchangeRow]:
        rows = sorted(
            (row for row in self._rows.values() if _fits(row, query)),
            key=lambda row: (row.changed_at, row.id),
            reverse=True,
        )
        return rows[: query.limit]

    def beginning(self, prefix: str, limit: int) -> list[bytes]:
        return sorted(id for id in self._rows if id.hex().startswith(prefix))[:limit]

    def due(self, now: int, limit: int) -> list[bytes]:
        found = [(r.wake, r.id) for r in self._rows.values() if r.wake is not None]
        return [id for wake, id in sorted(found) if wake <= now][:limit]

    def next_wake(self) -> int | None:
        return min((r.wake for r in self._rows.values() if r.wake is not None), default=None)

    def agenda(
        self,
        authors: Collection[bytes] | None,
        start: int,
        end: int,
        after: tuple[int, bytes] | None,
        limit: int,
    ) -> list[tuple[bytes, SlotRow]]:
        found = [
            (slot.start, slot.slot, row.id, slot)
            for row in self._rows.values()
            if authors is None
            or any(p.author in authors and p.role in ("requester", "provider") for p in row.parts)
            for slot in row.slots
            if slot.end > start and slot.start < end
        ]
        found.sort(key=lambda entry: entry[:3])
        return [
            (id, slot) for begin, name, id, slot in found if after is None or (begin, name) > after
        ][:limit]

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self._rows.values():
            counts[row.phase] = counts.get(row.phase, 0) + 1
        return dict(sorted(counts.items()))

    def finished_before(self, at: int, limit: int) -> list[bytes]:
        found = [
            (r.finished, r.id)
            for r in self._rows.values()
            if 0 < r.finished < at and not r.guarantees
        ]
        return [id for _, id in sorted(found)][:limit]

    def forget(self, exchange: bytes) -> None:
        with self.batch():
            for row in self.transcript(exchange):
                self._drop_step(row)
                self._undo.append(lambda row=row: self.add_step(row))  # type: ignore[misc]
            before = self._rows.pop(exchange, None)
            if before is not None:
                self._undo.append(lambda: self._rows.__setitem__(exchange, before))
            for note in [n for n in self._notes.values() if exchange and n.exchange == exchange]:
                self.drop_note(note.space, note.key)

    # --- notes ----------------------------------------------------------------------------------

    def note(self, space: str, key: bytes) -> Note | None:
        return self._notes.get((space, key))

    def notes(self, space: str, *, exchange: bytes | None = None, limit: int = 1_000) -> list[Note]:
        found = [
            note
            for note in self._notes.values()
            if note.space == space
            and (exchange is None or (bool(exchange) and note.exchange == exchange))
        ]
        return sorted(found, key=lambda note: (note.at, note.key))[:limit]

    def count_notes(self, space: str) -> int:
        return sum(note.space == space for note in self._notes.values())

    def put_note(self, note: Note) -> None:
        self._replace((note.space, note.key), note)

    def drop_note(self, space: str, key: bytes) -> None:
        self._replace((space, key), None)

    def _replace(self, place: tuple[str, bytes], note: Note | None) -> None:
        before = self._notes.pop(place, None)
        if note is not None:
            self._notes[place] = note

        def undo() -> None:
            self._notes.pop(place, None)
            if before is not None:
                self._notes[place] = before

        self._undo.append(undo)


def _fits(row: ExchangeRow, query: Query) -> bool:
    asked = query.role or query.waiting or query.evaluating_after or query.here
    if query.authors is not None or asked:
        if not any(
            (query.authors is None or part.author in query.authors)
            and (not query.here or part.author[1:33] == query.here)
            and (not query.role or part.role == query.role)
            and (not query.waiting or part.waiting)
            and (not query.evaluating_after or part.evaluate_until > query.evaluating_after)
            for part in row.parts
        ):
            return False
    return (
        (not query.phases or row.phase in query.phases)
        and (not query.about or row.about == query.about)
        and (not query.bundle or row.bundle == query.bundle)
        and (not query.guarantees or row.guarantees > 0)
        and (query.finished is None or (row.finished > 0) == query.finished)
        and (query.before is None or (row.changed_at, row.id) < query.before)
    )
