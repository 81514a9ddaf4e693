"""The seams of the post office: what it keeps, whom it asks, and what it wants done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Out(IntEnum):
    """What became of a letter of ours."""

    WAITING = 0
    """It is to be sent."""
    ARRIVED = 1
    """The other node answers for it; kept a while in case that node is brought back from a copy."""
    GONE = 2
    """It was given up: its bytes are erased, its number is still to be told to the other node."""


class In(IntEnum):
    """What became of a letter to somebody here."""

    BEHIND = 0
    """One before it in its thread is missing."""
    READY = 1
    """The addressee may have it."""
    TAKEN = 2
    """The addressee has it; it is kept a while."""
    ERASED = 3
    """Only its id is remembered, so that it is not delivered twice."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A letter to be sent. `letter` is empty once erased; `serial` is the order of writing.

    `owner` is the author (33 or 49 bytes) whose share it is counted in, `ticket` what the writer
    knows it by. `told`: who wrote it knows that it was given up; `noted`: the other node knows.
    """

    id: bytes
    coop: bytes
    thread: bytes
    n: int
    to_key: bytes
    owner: bytes
    ticket: bytes
    at: int
    until: int
    letter: bytes
    size: int
    state: Out = Out.WAITING
    tries: int = 0
    retry_at: int = 0
    ended_at: int = 0
    code: str = ""
    told: bool = False
    noted: bool = False
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Incoming:
    """A letter to somebody here. `serial` is its place among those that may be had, from 1."""

    id: bytes
    coop: bytes
    thread: bytes
    n: int
    to_key: bytes
    until: int
    letter: bytes
    size: int
    state: In
    received_at: int
    serial: int = 0
    taken_at: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """How much is kept: letters with their bytes, and the bytes."""

    letters: int = 0
    bytes: int = 0


class LetterStore(Protocol):
    """Durable letters of one node. Every method is synchronous; writes are grouped by `batch`."""

    def batch(self) -> AbstractContextManager[None]:
        """Open a transaction: leaving it commits durably, an exception undoes all. Nests as one."""
        ...

    def meta(self, name: str) -> bytes | None:
        """Return a value by name."""
        ...

    def set_meta(self, name: str, value: bytes) -> None: ...

    # --- ours -----------------------------------------------------------------------------------

    def next_out(self, thread: bytes) -> int:
        """Return the next number of a thread of ours, from 0."""
        ...

    def set_next_out(self, thread: bytes, n: int, now: int) -> None: ...

    def add_out(self, row: Outgoing) -> None:
        """Keep a letter of ours; the store gives it its serial."""
        ...

    def change_out(self, row: Outgoing) -> None:
        """Replace a letter of ours by its id: bytes, state, tries, times, code, flags."""
        ...

    def drop_out(self, ids: Collection[bytes]) -> None: ...

    def out(self, id: bytes) -> Outgoing | None: ...

    def out_numbers(self, thread: bytes, first: int, last: int) -> list[Outgoing]:
        """Return what is kept of these numbers, by number."""
        ...

    def out_ticket(self, ticket: bytes, to_key: bytes) -> Outgoing | None:
        """Return the latest letter that a ticket stands for."""
        ...

    def due(self, coop: bytes, now: int, latest: int, limit: int) -> list[tuple[bytes, int]]:
        """Return (id, size) of letters WAITING for a coop, by serial: those with `retry_at` up to
        `now` and, since clocks are set back, beyond `latest`."""
        ...

    def gone(self, coop: bytes, limit: int) -> list[Outgoing]:
        """Return letters GONE whose number the coop was not told of, by serial."""
        ...

    def untold(self, limit: int) -> list[Outgoing]:
        """Return letters GONE that who wrote them was not told of, by serial."""
        ...

    def next_retry(self, coop: bytes) -> int | None:
        """Return the least `retry_at` of what is WAITING for a coop."""
        ...

    def out_ending(self, state: Out, before: int, limit: int) -> list[Outgoing]:
        """Return letters in a state whose `until` is before a time, the earliest first."""
        ...

    def arrived(self, coop: bytes, since: int) -> list[Outgoing]:
        """Return letters ARRIVED at a coop from a time on, by serial."""
        ...

    def arrived_before(self, before: int, limit: int) -> list[Outgoing]:
        """Return letters ARRIVED before a time, the earliest first."""
        ...

    def oldest_arrived(self, limit: int) -> list[Outgoing]:
        """Return letters ARRIVED, the earliest first."""
        ...

    def load_out(self, *, coop: bytes | None = None, owner: bytes | None = None) -> Load:
        """Return how much is WAITING, in all, for a coop or by an author."""
        ...

    def load_arrived(self) -> Load: ...

    def oldest_out(self) -> int | None:
        """Return the least `at` of what is WAITING."""
        ...

    # --- others' --------------------------------------------------------------------------------

    def next_in(self, coop: bytes, thread: bytes) -> int:
        """Return the number that is to be delivered next, from 0."""
        ...

    def set_next_in(self, coop: bytes, thread: bytes, n: int, now: int) -> None: ...

    def add_in(self, row: Incoming) -> None: ...

    def change_in(self, row: Incoming) -> None:
        """Replace a letter by its id: bytes, state, serial, taken_at."""
        ...

    def letter(self, id: bytes) -> Incoming | None:
        """Return a letter to somebody here."""
        ...

    def in_number(self, coop: bytes, thread: bytes, n: int) -> Incoming | None: ...

    def behind(self, coop: bytes, thread: bytes) -> list[Incoming]:
        """Return the letters BEHIND in a thread, by number."""
        ...

    def behind_since(self, before: int, limit: int) -> list[Incoming]:
        """Return letters BEHIND received before a time, the earliest first."""
        ...

    def behind_of(self, coop: bytes, limit: int) -> list[Incoming]:
        """Return letters BEHIND from a coop, the earliest received first."""
        ...

    def behind_ending(self, before: int, limit: int) -> list[Incoming]:
        """Return letters BEHIND whose `until` is before a time, the earliest first."""
        ...

    def ready(self, to_key: bytes, after: int, limit: int) -> list[Incoming]:
        """Return letters READY for a key, by serial after `after`."""
        ...

    def ready_keys(self) -> list[bytes]:
        """Return the keys for which letters are READY."""
        ...

    def next_serial(self) -> int:
        """Return a serial greater than any given before, and never give it again."""
        ...

    def taken_before(self, before: int, limit: int) -> list[Incoming]:
        """Return letters TAKEN before a time, the earliest first."""
        ...

    def in_ending(self, before: int, limit: int) -> list[Incoming]:
        """Return letters not ERASED whose `until` is before a time, by it."""
        ...

    def erased_ending(self, before: int, limit: int) -> list[bytes]:
        """Return ids of letters ERASED whose `until` is before a time."""
        ...

    def drop_in(self, ids: Collection[bytes]) -> None: ...

    def load_in(self, *, coop: bytes | None = None, to_key: bytes | None = None) -> Load:
        """Return how much is BEHIND or READY: in all, from a coop, to a key, or both."""
        ...

    def oldest_in(self) -> int | None:
        """Return the least `received_at` of what is READY."""
        ...

    def bytes_kept(self) -> int:
        """Return the bytes of all letters that are kept, in whatever state."""
        ...

    def forget_threads(self, before: int, limit: int) -> int:
        """Forget threads not used since a time in which nothing is kept; return how many."""
        ...


class Federation(Protocol):
    """Whom letters may come from and go to, by the records live here now."""

    def belongs(self, coop: bytes) -> bool:
        """Tell whether a coop is in the federation."""
        ...

    def addressee(self, key: bytes) -> bool:
        """Tell whether a sealing key is one of this coop's members, or the coop's own."""
        ...


# --- effects ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendSoon:
    """There is something for a coop: ask `parcel` for it when a connection is there."""

    coop: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """Letters for a key may be had."""

    to_key: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """A letter of ours was given up; `code` says why ("expired", or what the other node answered).

    Said again at each start until `told`.
    """

    id: bytes
    ticket: bytes
    to_key: bytes
    code: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """The other node answers for a letter of ours; said once, not kept."""

    id: bytes
    ticket: bytes


@dataclass(frozen=True, slots=True)
class Erased:
    """Bytes were erased: the write-ahead log still has them until it is cut."""

    letters: int


Effect = SendSoon | Deliver | Ended | Arrived | Erased
Effects = Sequence[Effect]
