"""Keep letters in memory: for simulated post offices, and for tests. Passes the disk's tests."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import attrgetter

from maillon.node.engine.post.ports import In, Incoming, Load, Out, Outgoing

_OPEN = (In.BEHIND, In.READY)


@dataclass
class Rows:
    """All that is kept."""

    meta: dict[str, bytes] = field(default_factory=dict[str, bytes])
    out: dict[bytes, Outgoing] = field(default_factory=dict[bytes, Outgoing])
    inside: dict[bytes, Incoming] = field(default_factory=dict[bytes, Incoming])
    numbers: dict[tuple[bytes, bytes, int], bytes] = field(
        default_factory=dict[tuple[bytes, bytes, int], bytes]
    )
    next_out: dict[bytes, tuple[int, int]] = field(default_factory=dict[bytes, tuple[int, int]])
    next_in: dict[tuple[bytes, bytes], tuple[int, int]] = field(
        default_factory=dict[tuple[bytes, bytes], tuple[int, int]]
    )
    serial: int = 0

    def copy(self) -> Rows:
        """Return a copy; what it holds is never changed in place."""
        return Rows(
            dict(self.meta), dict(self.out), dict(self.inside), dict(self.numbers),
            dict(self.next_out), dict(self.next_in), self.serial,
        )  # fmt: skip


class MemoryLetters:
    """Implements LetterStore in memory."""

    def __init__(self, rows: Rows | None = None) -> None:
        self.rows = rows if rows is not None else Rows()
        self._depth = 0
        self.commits = 0

    @contextmanager
    def batch(self) -> Generator[None]:
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        before = self.rows.copy()
        self._depth = 1
        try:
            yield
            self.committing()
        except BaseException:
            self.rows = before
            raise
        finally:
            self._depth = 0
        self.commits += 1
        self.committed()

    def committing(self) -> None:
        """Be called before a batch counts; what is raised here undoes it."""

    def committed(self) -> None:
        """Be called when a batch counts; what is raised here undoes nothing."""

    def meta(self, name: str) -> bytes | None:
        return self.rows.meta.get(name)

    def set_meta(self, name: str, value: bytes) -> None:
        self.rows.meta[name] = value

    # --- ours -----------------------------------------------------------------------------------

    def next_out(self, thread: bytes) -> int:
        return self.rows.next_out.get(thread, (0, 0))[0]

    def set_next_out(self, thread: bytes, n: int, now: int) -> None:
        self.rows.next_out[thread] = (n, now)

    def add_out(self, row: Outgoing) -> None:
        self.rows.out[row.id] = replace(row, serial=self.next_serial())

    def change_out(self, row: Outgoing) -> None:
        self.rows.out[row.id] = row

    def drop_out(self, ids: Collection[bytes]) -> None:
        for id in ids:
            self.rows.out.pop(id, None)

    def out(self, id: bytes) -> Outgoing | None:
        return self.rows.out.get(id)

    def _outs(self, state: Out, coop: bytes | None = None) -> list[Outgoing]:
        return sorted(
            (
                row
                for row in self.rows.out.values()
                if row.state is state and coop in (None, row.coop)
            ),
            key=attrgetter("serial"),
        )

    def out_numbers(self, thread: bytes, first: int, last: int) -> list[Outgoing]:
        rows = (row for row in self.rows.out.values() if row.thread == thread)
        return sorted((row for row in rows if first <= row.n <= last), key=attrgetter("n"))

    def out_ticket(self, ticket: bytes, to_key: bytes) -> Outgoing | None:
        rows = (r for r in self.rows.out.values() if (r.ticket, r.to_key) == (ticket, to_key))
        return max(rows, key=attrgetter("serial"), default=None)

    def due(self, coop: bytes, now: int, latest: int, limit: int) -> list[tuple[bytes, int]]:
        rows = (
            row for row in self._outs(Out.WAITING, coop) if not now < row.retry_at <= latest
        )
        return [(row.id, row.size) for row in rows][:limit]

    def gone(self, coop: bytes, limit: int) -> list[Outgoing]:
        return [row for row in self._outs(Out.GONE, coop) if not row.noted][:limit]

    def untold(self, limit: int) -> list[Outgoing]:
        return [row for row in self._outs(Out.GONE) if not row.told][:limit]

    def next_retry(self, coop: bytes) -> int | None:
        return min((row.retry_at for row in self._outs(Out.WAITING, coop)), default=None)

    def out_ending(self, state: Out, before: int, limit: int) -> list[Outgoing]:
        rows = [row for row in self._outs(state) if row.until < before]
        return sorted(rows, key=attrgetter("until"))[:limit]

    def arrived(self, coop: bytes, since: int) -> list[Outgoing]:
        return [row for row in self._outs(Out.ARRIVED, coop) if row.ended_at >= since]

    def arrived_before(self, before: int, limit: int) -> list[Outgoing]:
        return [row for row in self.oldest_arrived(-1) if row.ended_at < before][:limit]

    def oldest_arrived(self, limit: int) -> list[Outgoing]:
        rows = sorted(self._outs(Out.ARRIVED), key=attrgetter("ended_at"))
        return rows if limit < 0 else rows[:limit]

    def load_out(self, *, coop: bytes | None = None, owner: bytes | None = None) -> Load:
        rows = [row for row in self._outs(Out.WAITING, coop) if owner in (None, row.owner)]
        return Load(len(rows), sum(row.size for row in rows))

    def load_arrived(self) -> Load:
        rows = [row for row in self._outs(Out.ARRIVED) if row.letter]
        return Load(len(rows), sum(row.size for row in rows))

    def oldest_out(self) -> int | None:
        return min((row.at for row in self._outs(Out.WAITING)), default=None)

    # --- others' --------------------------------------------------------------------------------

    def next_in(self, coop: bytes, thread: bytes) -> int:
        return self.rows.next_in.get((coop, thread), (0, 0))[0]

    def set_next_in(self, coop: bytes, thread: bytes, n: int, now: int) -> None:
        self.rows.next_in[(coop, thread)] = (n, now)

    def add_in(self, row: Incoming) -> None:
        key = (row.coop, row.thread, row.n)
        assert key not in self.rows.numbers and row.id not in self.rows.inside
        self.rows.inside[row.id] = row
        self.rows.numbers[key] = row.id

    def change_in(self, row: Incoming) -> None:
        self.rows.inside[row.id] = row

    def letter(self, id: bytes) -> Incoming | None:
        return self.rows.inside.get(id)

    def in_number(self, coop: bytes, thread: bytes, n: int) -> Incoming | None:
        id = self.rows.numbers.get((coop, thread, n))
        return None if id is None else self.rows.inside[id]

    def _ins(self, *states: In) -> Iterable[Incoming]:
        return (row for row in self.rows.inside.values() if row.state in states)

    def behind(self, coop: bytes, thread: bytes) -> list[Incoming]:
        rows = (row for row in self._ins(In.BEHIND) if (row.coop, row.thread) == (coop, thread))
        return sorted(rows, key=attrgetter("n"))

    def _behind_by_time(self) -> list[Incoming]:
        return sorted(self._ins(In.BEHIND), key=lambda row: (row.received_at, row.n, row.id))

    def behind_since(self, before: int, limit: int) -> list[Incoming]:
        return [row for row in self._behind_by_time() if row.received_at < before][:limit]

    def behind_of(self, coop: bytes, limit: int) -> list[Incoming]:
        return [row for row in self._behind_by_time() if row.coop == coop][:limit]

    def behind_ending(self, before: int, limit: int) -> list[Incoming]:
        rows = (row for row in self._ins(In.BEHIND) if row.until < before)
        return sorted(rows, key=lambda row: (row.until, row.n, row.id))[:limit]

    def ready(self, to_key: bytes, after: int, limit: int) -> list[Incoming]:
        rows = (row for row in self._ins(In.READY) if row.to_key == to_key and row.serial > after)
        return sorted(rows, key=attrgetter("serial"))[:limit]

    def ready_keys(self) -> list[bytes]:
        return sorted({row.to_key for row in self._ins(In.READY)})

    def next_serial(self) -> int:
        self.rows.serial += 1
        return self.rows.serial

    def taken_before(self, before: int, limit: int) -> list[Incoming]:
        rows = (row for row in self._ins(In.TAKEN) if row.taken_at < before)
        return sorted(rows, key=lambda row: (row.taken_at, row.serial))[:limit]

    def in_ending(self, before: int, limit: int) -> list[Incoming]:
        rows = (row for row in self._ins(*_OPEN, In.TAKEN) if row.until < before)
        return sorted(rows, key=lambda row: (row.until, row.n, row.id))[:limit]

    def erased_ending(self, before: int, limit: int) -> list[bytes]:
        rows = sorted((row.until, row.id) for row in self._ins(In.ERASED) if row.until < before)
        return [id for _, id in rows][:limit]

    def drop_in(self, ids: Collection[bytes]) -> None:
        for id in ids:
            row = self.rows.inside.pop(id, None)
            if row is not None:
                del self.rows.numbers[(row.coop, row.thread, row.n)]

    def load_in(self, *, coop: bytes | None = None, to_key: bytes | None = None) -> Load:
        rows = [
            row
            for row in self._ins(*_OPEN)
            if coop in (None, row.coop) and to_key in (None, row.to_key)
        ]
        return Load(len(rows), sum(row.size for row in rows))

    def oldest_in(self) -> int | None:
        return min((row.received_at for row in self._ins(In.READY)), default=None)

    def bytes_kept(self) -> int:
        kept: Sequence[bytes] = [
            *(row.letter for row in self.rows.out.values()),
            *(row.letter for row in self.rows.inside.values()),
        ]
        return sum(map(len, kept))

    def forget_threads(self, before: int, limit: int) -> int:
        busy_out = {row.thread for row in self.rows.out.values()}
        busy_in = {(row.coop, row.thread) for row in self.rows.inside.values()}
        old_out = [
            thread
            for thread, (_, used) in sorted(self.rows.next_out.items())
            if used < before and thread not in busy_out
        ][:limit]
        old_in = [
            key
            for key, (_, used) in sorted(self.rows.next_in.items())
            if used < before and key not in busy_in
        ][:limit]
        for thread in old_out:
            del self.rows.next_out[thread]
        for key in old_in:
            del self.rows.next_in[key]
        return len(old_out) + len(old_in)
