"""Keep records in dictionaries: for the simulator, where a hundred nodes live in one process."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from maillon.node.ports import StoredHead
from maillon.node.store.database import StoreError
from maillon.protocol.envelope import Header, Signed, Valid
from maillon.protocol.records import priority


@dataclass(frozen=True, slots=True)
class _Row:
    signed: Signed
    author: bytes
    thing: bytes
    role: str
    live: bool


def _head(signed: Signed) -> StoredHead:
    header = signed.header
    return StoredHead(signed.id, header.rev, header.at, header.until, header.kind)


class MemoryStore:
    """Implement `ports.Store` without a file."""

    def __init__(self) -> None:
        self._rows: dict[bytes, _Row] = {}
        self._heads: dict[tuple[bytes, bytes], bytes] = {}
        self._order: list[tuple[int, bytes]] = []
        self._due: list[tuple[int, int, bytes]] = []
        self._by: dict[bytes, dict[bytes, None]] = {}
        self._under: dict[bytes, dict[bytes, None]] = {}
        self._refs: dict[bytes, dict[bytes, None]] = {}
        self._undo: list[tuple[bytes, _Row | None]] = []
        self._depth = 0
        self._doomed = False

    # --- Transactions: the rows that changed, as they were ---------------------------------------

    @contextmanager
    def batch(self) -> Generator[None]:
        """Undo everything written inside when an exception leaves it. Nests as one."""
        self._depth += 1
        try:
            yield
        except BaseException:
            self._doomed = True
            raise
        finally:
            self._depth -= 1
            if self._depth == 0:
                doomed, self._doomed = self._doomed, False
                if doomed:
                    self._roll_back()
                self._undo.clear()
                failed_inside = doomed
            else:
                failed_inside = False
        if failed_inside:
            raise StoreError("A transaction was left half done; all of it was undone.")

    def _roll_back(self) -> None:
        for id, row in reversed(self._undo):
            self._set(id, row)

    def _note(self, id: bytes) -> None:
        if self._depth:
            row = self._rows.get(id)
            self._undo.append((id, row))

    def _set(self, id: bytes, row: _Row | None) -> None:
        old = self._rows.pop(id, None)
        if old is not None:
            self._unlink(id, old)
            if row is None:
                header = old.signed.header
                del self._due[bisect_left(self._due, (header.until, header.at, id))]
        if row is not None:
            if old is None:
                header = row.signed.header
                insort(self._due, (header.until, header.at, id))
            self._rows[id] = row
            self._link(id, row)

    # --- Indexes of what is live -----------------------------------------------------------------

    def _link(self, id: bytes, row: _Row) -> None:
        if not row.live:
            return
        header = row.signed.header
        self._heads[(row.author, header.series)] = id
        insort(self._order, (header.at, id))
        self._by.setdefault(header.by, {})[id] = None
        if header.as_:
            self._under.setdefault(header.as_, {})[id] = None
        for ref in header.refs:
            self._refs.setdefault(ref, {})[id] = None

    def _unlink(self, id: bytes, row: _Row) -> None:
        if not row.live:
            return
        header = row.signed.header
        if self._heads.get((row.author, header.series)) == id:
            del self._heads[(row.author, header.series)]
        at = bisect_left(self._order, (header.at, id))
        del self._order[at]
        _drop(self._by, header.by, id)
        if header.as_:
            _drop(self._under, header.as_, id)
        for ref in header.refs:
            _drop(self._refs, ref, id)

    # --- The port --------------------------------------------------------------------------------

    def expect(self, ids: Sequence[bytes]) -> None:
        pass

    def known(self, id: bytes) -> bool:
        return id in self._rows

    def live(self, id: bytes) -> bool:
        row = self._rows.get(id)
        return row is not None and row.live

    def head(self, author: bytes, series: bytes) -> StoredHead | None:
        id = self._heads.get((author, series))
        return None if id is None else _head(self._rows[id].signed)

    def put(self, valid: Valid) -> None:
        id = valid.signed.id
        old = self._rows.get(id)
        assert old is None or not old.live, "a live record is put once"
        assert (valid.author, valid.signed.header.series) not in self._heads, "retire it first"
        assert valid.signed.payload_bytes is not None
        self._note(id)
        self._set(id, _Row(valid.signed, valid.author, valid.thing, valid.role, True))

    def retire(self, id: bytes, *, reason: str) -> None:
        row = self._rows[id]
        assert row.live, "only a live record is retired"
        self._note(id)
        erased = row.signed.without_payload()
        self._set(id, _Row(erased, row.author, row.thing, row.role, False))

    def forget_expired(self, now: int, limit: int) -> list[tuple[int, bytes]]:
        gone: list[tuple[int, bytes]] = []
        due = self._due[: min(limit, bisect_left(self._due, (now, 0, b"")))]
        for _until, at, id in due:
            self._note(id)
            if self._rows[id].live:
                gone.append((at, id))
            self._set(id, None)
        return gone

    def header(self, id: bytes) -> Header | None:
        row = self._rows.get(id)
        return None if row is None else row.signed.header

    def get(self, id: bytes) -> Signed | None:
        row = self._rows.get(id)
        return None if row is None else row.signed

    def encoded(self, ids: Sequence[bytes]) -> list[bytes]:
        found: list[tuple[int, int, bytes, bytes]] = []
        for id in dict.fromkeys(ids):
            row = self._rows.get(id)
            if row is not None and row.live:
                header = row.signed.header
                found.append((priority(header.kind), header.at, id, row.signed.encode()))
        return [data for _place, _at, _id, data in sorted(found)]

    def encoded_range(
        self, low: tuple[int, bytes], high: tuple[int, bytes], limit: int
    ) -> list[tuple[int, bytes, bytes]]:
        start = bisect_left(self._order, low)
        end = min(bisect_left(self._order, high), start + limit)
        return [
            (at, id, self._rows[id].signed.encode()) for at, id in self._order[start:end]
        ]

    def iterate_live(self) -> Iterator[tuple[int, bytes]]:
        yield from list(self._order)

    def by_kinds(self, kinds: Iterable[str]) -> Iterator[Valid]:
        wanted = frozenset(kinds)
        for _at, id in list(self._order):
            row = self._rows[id]
            if row.signed.header.kind in wanted:
                yield Valid(row.signed, row.author, row.thing, row.role)

    def signed_by(self, key: bytes) -> list[tuple[bytes, Header]]:
        return self._headers(self._by.get(key, ()))

    def under_mandate(self, mandate: bytes) -> list[tuple[bytes, Header]]:
        return self._headers(self._under.get(mandate, ()))

    def referring(self, id: bytes) -> list[tuple[bytes, Header]]:
        return self._headers(self._refs.get(id, ()))

    def count_live(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for _at, id in self._order:
            kind = self._rows[id].signed.header.kind
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def _headers(self, ids: Iterable[bytes]) -> list[tuple[bytes, Header]]:
        return sorted((id, self._rows[id].signed.header) for id in ids) if ids else []


def _drop(index: dict[bytes, dict[bytes, None]], key: bytes, id: bytes) -> None:
    ids = index[key]
    del ids[id]
    if not ids:
        del index[key]
