"""Take letters in for people here: each once, and in the order of its thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from maillon.node.engine.post.bounds import Bounds
from maillon.node.engine.post.ports import Federation, In, Incoming, LetterStore, Load
from maillon.protocol.errors import RemoteError, WrongVersion
from maillon.protocol.letterframes import (
    EXPIRED,
    FROM_FUTURE,
    GAP,
    KNOWN,
    MALFORMED,
    QUOTA,
    REUSED,
    STORED,
    STRANGER,
    UNKNOWN_ADDRESSEE,
    VERSION_UNSUPPORTED,
    WRONG_FEDERATION,
    Ack,
    Put,
    Range,
)
from maillon.protocol.letters import Letter, decode_letter, letter_id, letter_parts
from maillon.protocol.limits import (
    LETTER_LIFETIME_S_MAX,
    LETTER_WINDOW,
    PUT_RANGES_MAX,
    SKEW_S_MAX,
)

_GIVEN_UP: Final = b"maillon/node/given-up\0"


class Intake:
    """What comes to one coop. Every method is called inside a batch of the store."""

    def __init__(
        self,
        store: LetterStore,
        fed: bytes,
        coop: bytes,
        federation: Federation,
        bounds: Bounds,
    ) -> None:
        self._store = store
        self._fed = fed
        self._coop = coop
        self._federation = federation
        self._bounds = bounds

    def receive(self, coop: bytes | None, put: Put, now: int) -> tuple[Ack, list[bytes]]:
        """Return the answer to a frame, and the keys for which letters may be had now.

        Raises: Malformed, NotCanonical, TooLarge for what is no letter.
        """
        outcomes: list[tuple[bytes, str]] = []
        ready: dict[bytes, None] = {}
        threads: dict[bytes, int] = {}
        # What is given up comes first: a letter behind it then need not wait.
        noted: list[Range] = []
        for part in put.gone:
            if coop is not None:
                done = self._pass_over(coop, part, now, ready)
                noted += [] if done is None else [done]
                threads.setdefault(part.thread, -1)
        for data in put.letters:
            id, letter, code = _read(data)
            if letter is not None:
                code, keys = self.take(coop, letter, data, now)
                ready.update(dict.fromkeys(keys))
                if coop is not None and code in (STORED, GAP):
                    highest = threads.get(letter.header.thread, -1)
                    threads[letter.header.thread] = max(highest, letter.header.n)
            outcomes.append((id, code))
        wants: list[Range] = []
        for thread, highest in threads.items():
            if coop is not None:
                wants += self._missing(coop, thread, highest)
        return Ack(tuple(outcomes), tuple(wants[:PUT_RANGES_MAX]), tuple(noted)), list(ready)

    def take(
        self, coop: bytes | None, letter: Letter, data: bytes, now: int
    ) -> tuple[str, list[bytes]]:
        """Return what becomes of a letter, and the keys for which letters may be had now."""
        header = letter.header
        if coop is None or header.from_coop != coop or not self._federation.belongs(coop):
            return STRANGER, []
        if header.fed != self._fed:
            return WRONG_FEDERATION, []
        if self._store.letter(letter.id) is not None:
            return KNOWN, []
        if header.until <= now:
            return EXPIRED, []
        if header.until > now + LETTER_LIFETIME_S_MAX + SKEW_S_MAX:
            return FROM_FUTURE, []
        if header.to_coop != self._coop or not self._federation.addressee(header.to_key):
            return UNKNOWN_ADDRESSEE, []
        there = self._store.in_number(coop, header.thread, header.n)
        if there is not None:
            return (EXPIRED if _is_given_up(there) else REUSED), []
        following = self._store.next_in(coop, header.thread)
        if header.n >= following + LETTER_WINDOW:
            return GAP, []
        if not self._room(coop, header.to_key, len(data)) and not (
            # Letters that wait behind this one take room that only this one can give back.
            header.n == following and self._store.behind(coop, header.thread)
        ):
            return QUOTA, []
        row = Incoming(
            letter.id, coop, header.thread, header.n, header.to_key, header.until, data, len(data),
            In.BEHIND, now,
        )  # fmt: skip
        if header.n < following:
            # One that was thought lost: by this node, brought back from a copy, or by the gap's
            # time. Later is better than never; the steps inside name those before them.
            self._store.add_in(replace(row, state=In.READY, serial=self._store.next_serial()))
            return STORED, [header.to_key]
        self._store.add_in(row)
        if header.n > following:
            return STORED, []
        ready: dict[bytes, None] = {}
        self._advance(coop, header.thread, following, now, ready)
        return STORED, list(ready)

    def _room(self, coop: bytes, to_key: bytes, size: int) -> bool:
        bounds, share = self._bounds, self._bounds.pair_share

        def fits(load: Load, letters_max: int, bytes_max: int) -> bool:
            return load.letters < letters_max and load.bytes + size <= bytes_max

        letters, space = bounds.addressee_letters_max, bounds.addressee_bytes_max
        load = self._store.load_in
        return (
            fits(load(coop=coop), bounds.coop_letters_max, bounds.coop_bytes_max)
            and fits(load(to_key=to_key), letters, space)
            and fits(load(coop=coop, to_key=to_key), letters // share, space // share)
            and self._store.bytes_kept() + size <= bounds.bytes_max
        )

    # --- order ----------------------------------------------------------------------------------

    def _advance(
        self, coop: bytes, thread: bytes, following: int, now: int, ready: dict[bytes, None]
    ) -> None:
        """Hand out what stands in a row from `following` on, and note where the row ends."""
        while (row := self._store.in_number(coop, thread, following)) is not None:
            if row.state is In.BEHIND:
                serial = self._store.next_serial()
                self._store.change_in(replace(row, state=In.READY, serial=serial))
                ready[row.to_key] = None
            following += 1
        self._store.set_next_in(coop, thread, following, now)

    def _pass_over(
        self, coop: bytes, part: Range, now: int, ready: dict[bytes, None]
    ) -> Range | None:
        """Wait no longer for numbers; return those that were noted, None when too far ahead."""
        following = self._store.next_in(coop, part.thread)
        end = part.last
        if part.first > following:
            end = min(end, following + LETTER_WINDOW - 1)
            if part.first > end:
                return None
        # Of a long range the last numbers are remembered: a copy of a letter that is still on its
        # way is not delivered after its writer was told that it never will be.
        for n in range(max(part.first, end - LETTER_WINDOW + 1), end + 1):
            if self._store.in_number(coop, part.thread, n) is None:
                self._store.add_in(_given_up(coop, part.thread, n, now))
        if part.first <= following <= end:
            self._hand_out(coop, part.thread, end, ready)
            following = end + 1
        self._advance(coop, part.thread, following, now, ready)
        return Range(part.thread, part.first, end)

    def _hand_out(self, coop: bytes, thread: bytes, last: int, ready: dict[bytes, None]) -> None:
        """Hand out what waits in a thread, up to a number: it comes before what follows it."""
        for row in self._store.behind(coop, thread):
            if row.n <= last:
                serial = self._store.next_serial()
                self._store.change_in(replace(row, state=In.READY, serial=serial))
                ready[row.to_key] = None

    def release(self, row: Incoming, now: int, ready: dict[bytes, None]) -> None:
        """Hand out a letter that has waited long enough for those before it."""
        here = self._store.letter(row.id)
        if here is not None and here.state is In.BEHIND:
            self._hand_out(row.coop, row.thread, row.n, ready)
            self._advance(row.coop, row.thread, row.n + 1, now, ready)

    def _missing(self, coop: bytes, thread: bytes, highest: int) -> Iterator[Range]:
        """Yield the numbers missing before those that wait, and before `highest`."""
        following = self._store.next_in(coop, thread)
        for row in self._store.behind(coop, thread):
            if following < row.n:
                yield from self._holes(coop, thread, following, row.n - 1)
            following = row.n + 1
        if following < highest:
            yield Range(thread, following, highest - 1)

    def _holes(self, coop: bytes, thread: bytes, first: int, last: int) -> Iterator[Range]:
        start = first
        for n in range(first, last + 1):
            if self._store.in_number(coop, thread, n) is not None:
                if start < n:
                    yield Range(thread, start, n - 1)
                start = n + 1
        if start <= last:
            yield Range(thread, start, last)

    def missing_from(self, coop: bytes) -> list[Range]:
        """Return all numbers that letters of a coop wait for here, as many as one frame holds."""
        found: list[Range] = []
        rows = self._store.behind_of(coop, PUT_RANGES_MAX)
        for thread in dict.fromkeys(row.thread for row in rows):
            found += self._missing(coop, thread, -1)
        return found[:PUT_RANGES_MAX]

    # --- taken ----------------------------------------------------------------------------------

    def taken(self, to_key: bytes, ids: Iterable[bytes], now: int) -> int:
        """Note that the addressee has letters; return how many were waiting for it."""
        count = 0
        for id in ids:
            row = self._store.letter(id)
            if row is not None and row.to_key == to_key and row.state is In.READY:
                self._store.change_in(replace(row, state=In.TAKEN, taken_at=now))
                count += 1
        return count


def _read(data: bytes) -> tuple[bytes, Letter | None, str]:
    header_bytes, sealed = letter_parts(data)
    id = letter_id(header_bytes, sealed)
    try:
        return id, decode_letter(data), ""
    except WrongVersion:
        return id, None, VERSION_UNSUPPORTED
    except RemoteError:
        return id, None, MALFORMED


def _given_up(coop: bytes, thread: bytes, n: int, now: int) -> Incoming:
    """Return what stands in the place of a number that will not come."""
    id = hashlib.sha256(_GIVEN_UP + coop + thread + n.to_bytes(8, "big")).digest()
    until = now + LETTER_LIFETIME_S_MAX
    return Incoming(id, coop, thread, n, b"", until, b"", 0, In.ERASED, now)


def _is_given_up(row: Incoming) -> bool:
    return not row.to_key
