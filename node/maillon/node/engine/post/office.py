"""Decide what becomes of letters, ours and those to people here (spec/08-letters, "The office").

A letter is delivered once and in the order of its thread: the sender keeps it until the receiver
answers for it or its time runs out; the receiver answers when it is on its disk, knows it by its id
if it comes again, and hands out a number when all before it are there or given up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from maillon.node.engine.post.bounds import DAY_S, SERIES_OF_BACKOFFS, THREADS_A_DAY, Bounds
from maillon.node.engine.post.intake import Intake
from maillon.node.engine.post.keeping import Clock, keep_house
from maillon.node.engine.post.ports import (
    Arrived,
    Deliver,
    Effect,
    Ended,
    Erased,
    Federation,
    Incoming,
    LetterStore,
    Out,
    Outgoing,
    SendSoon,
)
from maillon.protocol.errors import LocalError
from maillon.protocol.keys import seal_to
from maillon.protocol.letterframes import (
    FINAL,
    FROM_FUTURE,
    REUSED,
    TAKEN,
    Ack,
    Again,
    Ask,
    Put,
    Range,
)
from maillon.protocol.letters import Item, Sealer, seal, thread_id
from maillon.protocol.limits import (
    LETTER_LIFETIME_S_MAX,
    PUT_LETTERS_MAX,
    PUT_RANGES_MAX,
    SKEW_S_MAX,
)

ERA: Final = "era"
RESTORED: Final = "restored"
_ASK: Final = "ask"
_ERA_BYTES: Final = 16
_WANTED_NUMBERS_MAX: Final = 4_096
"""Numbers looked up for one range that a peer asks for."""


class PostFull(LocalError):
    """Too many letters wait already: of this member, or of the whole coop."""

    code = "post_full"
    sentence = "Too many letters wait to be sent already."


@dataclass(frozen=True, slots=True)
class Wish:
    """A letter that somebody here wants sent.

    `owner` is the author (33 or 49 bytes) who writes it. `ticket` (up to 64 bytes, or empty) names
    it for the writer: the same ticket to the same key is the same letter.
    """

    to_coop: bytes
    to_key: bytes
    exchange: bytes
    items: tuple[Item, ...]
    until: int
    owner: bytes
    ticket: bytes = b""


class PostOffice:
    """The letters of one node. `random` gives secret random bytes; `rng` only jitter."""

    def __init__(
        self,
        store: LetterStore,
        *,
        fed: bytes,
        coop: bytes,
        federation: Federation,
        random: Callable[[int], bytes],
        rng: Random,
        bounds: Bounds | None = None,
        sealer: Sealer = seal_to,
    ) -> None:
        self.bounds = bounds or Bounds()
        self.coop = coop
        self._store = store
        self._fed = fed
        self._federation = federation
        self._random = random
        self._rng = rng
        self._seal = sealer
        self._clock = Clock(store, self.bounds)
        self._intake = Intake(store, fed, coop, federation, self.bounds)
        self._connected: set[bytes] = set()
        self._flight: dict[bytes, dict[bytes, int]] = {}
        self._never: dict[bytes, dict[Range, None]] = {}
        """Numbers that a coop asked for and that will not come, by coop."""
        self._asking: dict[bytes, int] = {}
        """When a coop was asked for what is missing here."""
        self._era = b""
        self._day = 0

    # --- life -----------------------------------------------------------------------------------

    def start(self, now: int) -> list[Effect]:
        """Take up work; a store brought back from a copy begins a new era and asks for letters."""
        effects: list[Effect] = []
        with self._store.batch():
            self._era = self._store.meta(ERA) or b""
            restored = self._store.meta(RESTORED)
            if not self._era or restored:
                self._begin_era()
            if restored:
                # The copy was made at `restored`; what came since is asked for again.
                self._store.set_meta(_ASK, restored + now.to_bytes(8, "big"))
                self._store.set_meta(RESTORED, b"")
            self._clock.start(now)
        effects += self._ended(self._store.untold(self.bounds.slice_rows))
        effects += [Deliver(key) for key in self._store.ready_keys()]
        return effects

    def _begin_era(self) -> None:
        self._era = self._random(_ERA_BYTES)
        self._store.set_meta(ERA, self._era)

    def connected(self, coop: bytes, now: int) -> list[Effect]:
        """Be told that a coop's node can be reached: everything due is sent at once."""
        self._connected.add(coop)
        self._flight.pop(coop, None)
        self._asking.pop(coop, None)
        return [SendSoon(coop)] if self._anything(coop, now) else []

    def disconnected(self, coop: bytes) -> None:
        """Be told that a coop's node cannot be reached."""
        self._connected.discard(coop)
        self._flight.pop(coop, None)
        self._never.pop(coop, None)

    def lost(self, coop: bytes) -> None:
        """Be told that answers from a coop will not come: the stream broke."""
        self._flight.pop(coop, None)
        self._asking.pop(coop, None)

    # --- writing --------------------------------------------------------------------------------

    def write(self, wishes: Sequence[Wish], now: int) -> tuple[list[bytes], list[Effect]]:
        """Seal letters and keep them, all or none; return their ids in order.

        `until` is cut to what a letter may live. Raises: PostFull; EncodingError, BadKey and
        LifetimeTooLong from sealing.
        """
        effects: list[Effect] = []
        with self._store.batch():
            ids = [self._write(wish, now, effects) for wish in wishes]
        return ids, _once(effects)

    def _write(self, wish: Wish, now: int, effects: list[Effect]) -> bytes:
        if wish.ticket:
            before = self._store.out_ticket(wish.ticket, wish.to_key)
            if before is not None and before.state is not Out.GONE:
                return before.id
        thread = thread_id(wish.exchange, wish.to_key, self._era)
        n = self._store.next_out(thread)
        letter = seal(
            fed=self._fed,
            from_coop=self.coop,
            to_coop=wish.to_coop,
            to_key=wish.to_key,
            thread=thread,
            n=n,
            at=now,
            until=min(wish.until, now + LETTER_LIFETIME_S_MAX),
            items=wish.items,
            sealer=self._seal,
        )
        data = letter.encode()
        self._require_room(wish.owner, len(data))
        row = Outgoing(
            letter.id, wish.to_coop, thread, n, wish.to_key, wish.owner, wish.ticket, now,
            letter.header.until, data, len(data),
        )  # fmt: skip
        self._store.set_next_out(thread, n + 1, now)
        if wish.to_coop == self.coop:
            code, ready = self._intake.take(self.coop, letter, data, now)
            if code in TAKEN:
                effects += [Deliver(key) for key in ready]
                # What is left of it answers for its ticket.
                row = replace(row, letter=b"", state=Out.ARRIVED, ended_at=now)
        else:
            effects.append(SendSoon(wish.to_coop))
        self._store.add_out(row)
        return letter.id

    def _require_room(self, owner: bytes, size: int) -> None:
        bounds = self.bounds
        for load, letters_max, bytes_max in (
            (self._store.load_out(owner=owner), bounds.owner_letters_max, bounds.owner_bytes_max),
            (self._store.load_out(), bounds.out_letters_max, bounds.out_bytes_max),
        ):
            if load.letters >= letters_max or load.bytes + size > bytes_max:
                raise PostFull(letters=load.letters, bytes=load.bytes)
        if self._store.bytes_kept() + size > bounds.bytes_max:
            raise PostFull(bytes=self._store.bytes_kept())

    def state_of(self, id: bytes) -> Outgoing | None:
        """Return what is kept of a letter of ours."""
        return self._store.out(id)

    # --- sending --------------------------------------------------------------------------------

    def _anything(self, coop: bytes, now: int) -> bool:
        flight = self._flight.get(coop, {})
        if self._never.get(coop) or self._ask(coop, now) is not None:
            return True
        if any(id not in flight for id, _ in self._due(coop, now, len(flight) + 1)):
            return True
        return any(row.id not in flight for row in self._store.gone(coop, len(flight) + 1))

    def _due(self, coop: bytes, now: int, limit: int) -> list[tuple[bytes, int]]:
        # A clock that was ahead has noted times that are far away now.
        return self._store.due(coop, now, now + 2 * self.bounds.retry_s_max, limit)

    def parcel(self, coop: bytes, now: int) -> Put | Ask | None:
        """Return the next frame for a coop, or None when there is nothing, or enough on its way."""
        ask = self._ask(coop, now)
        if ask is not None:
            self._asking[coop] = now
            return ask
        bounds = self.bounds
        flight = self._flight.setdefault(coop, {})
        letters: list[bytes] = []
        room = bounds.parcel_bytes_max
        deadline = now + bounds.resend_s
        if len(flight) < bounds.flight_letters_max:
            for id, size in self._due(coop, now, len(flight) + PUT_LETTERS_MAX):
                if id in flight:
                    continue
                row = self._store.out(id)
                if row is None or size > room or len(letters) == PUT_LETTERS_MAX:
                    break
                letters.append(row.letter)
                flight[id] = deadline
                room -= size
        gone = self._gone(coop, flight, deadline)
        return Put(tuple(letters), gone) if letters or gone else None

    def _gone(self, coop: bytes, flight: dict[bytes, int], deadline: int) -> tuple[Range, ...]:
        numbers: list[tuple[bytes, int]] = []
        for row in self._store.gone(coop, len(flight) + PUT_RANGES_MAX):
            if row.id not in flight and len(numbers) < PUT_RANGES_MAX // 2:
                flight[row.id] = deadline
                numbers.append((row.thread, row.n))
        ranges = dict.fromkeys(ranges_of(numbers))
        never = self._never.get(coop, {})
        while never and len(ranges) < PUT_RANGES_MAX:
            part = next(iter(never))
            del never[part]
            ranges[part] = None
        return tuple(ranges)

    def _ask(self, coop: bytes, now: int) -> Ask | None:
        """Return what this node misses from a coop, unless it was asked for already."""
        if coop in self._asking and abs(now - self._asking[coop]) < self.bounds.resend_s:
            return None
        since = self._ask_since(coop, now)
        wants = () if coop in self._asking else tuple(self._intake.missing_from(coop))
        return Ask(since, wants) if since or wants else None

    def _ask_since(self, coop: bytes, now: int) -> int:
        kept = self._store.meta(_ASK) or b""
        if not kept or self._store.meta(f"asked {coop.hex()}") == kept or coop == self.coop:
            return 0
        # Everything that the other still has: it noted times by its own clock, which may have been
        # wrong when the copy was made, and what was not lost is only known already.
        started = int.from_bytes(kept[8:], "big")
        return 1 if abs(now - started) < self.bounds.arrived_s else 0

    def acked(self, coop: bytes, answer: Ack | Again, now: int) -> list[Effect]:
        """Take in what a coop's node answered."""
        effects: list[Effect] = []
        if isinstance(answer, Again):
            with self._store.batch():
                kept = self._store.meta(_ASK)
                if kept and self._ask_since(coop, now):
                    self._store.set_meta(f"asked {coop.hex()}", kept)
            return []
        flight = self._flight.get(coop, {})
        with self._store.batch():
            for id, code in answer.outcomes:
                flight.pop(id, None)
                row = self._store.out(id)
                if row is not None and row.coop == coop and row.state is Out.WAITING:
                    effects += self._answered(row, code, now)
            for part in answer.noted:
                for row in self._numbers(coop, part):
                    if row.state is Out.GONE:
                        flight.pop(row.id, None)
                        self._note(replace(row, noted=True))
            self._requeue(coop, answer.wants)
        if self._anything(coop, now):
            effects.append(SendSoon(coop))
        return _once(effects)

    def _answered(self, row: Outgoing, code: str, now: int) -> list[Effect]:
        if code in TAKEN:
            self._store.change_out(replace(row, state=Out.ARRIVED, ended_at=now, code=""))
            return [Arrived(row.id, row.ticket)]
        if code == REUSED:
            # These numbers were given before, in a time that our disk knows nothing of.
            self._begin_era()
        if code in FINAL:
            return self._give_up(row, code, now)
        if code == FROM_FUTURE and row.at > now + SKEW_S_MAX:
            # Our clock was ahead when it was written: it would be taken in after its time.
            return self._give_up(row, code, now)
        tries = row.tries + 1
        wait = min(
            self.bounds.retry_s_max,
            self.bounds.retry_s << min(tries - 1, SERIES_OF_BACKOFFS),
        )
        wait += self._rng.randrange(wait // 4 + 1)
        self._store.change_out(replace(row, tries=tries, retry_at=now + wait, code=code))
        return []

    def _give_up(self, row: Outgoing, code: str, now: int) -> list[Effect]:
        row = replace(row, letter=b"", state=Out.GONE, ended_at=now, code=code)
        self._store.change_out(row)
        return [*self._ended([row]), Erased(1), SendSoon(row.coop)]

    @staticmethod
    def _ended(rows: Iterable[Outgoing]) -> list[Effect]:
        return [Ended(row.id, row.ticket, row.to_key, row.code) for row in rows]

    def told(self, ids: Collection[bytes]) -> list[Effect]:
        """Be told that the writers know of letters that ended; return what is to be said next."""
        with self._store.batch():
            for id in ids:
                row = self._store.out(id)
                if row is not None and row.state is Out.GONE:
                    self._note(replace(row, told=True))
        return self._ended(self._store.untold(self.bounds.slice_rows))

    def _note(self, row: Outgoing) -> None:
        # A letter of the own coop has no other node that would have to know.
        if row.told and (row.noted or row.coop == self.coop):
            self._store.drop_out((row.id,))
        else:
            self._store.change_out(row)

    def _numbers(self, coop: bytes, part: Range) -> list[Outgoing]:
        last = min(part.last, part.first + _WANTED_NUMBERS_MAX - 1)
        rows = self._store.out_numbers(part.thread, part.first, last)
        return [row for row in rows if row.coop == coop]

    def _requeue(self, coop: bytes, wants: Iterable[Range]) -> int:
        """Send numbers again that a coop misses; note those that will not come. Return how many."""
        count = 0
        for part in wants:
            rows = {row.n: row for row in self._numbers(coop, part)}
            for row in rows.values():
                if row.state is Out.ARRIVED and row.letter:
                    count += self._again(row)
                elif row.state is Out.WAITING and row.retry_at:
                    self._store.change_out(replace(row, retry_at=0))
            last = min(part.last, self._store.next_out(part.thread) - 1)
            last = min(last, part.first + _WANTED_NUMBERS_MAX - 1)
            gone = [
                (part.thread, n)
                for n in range(part.first, last + 1)
                if n not in rows or not rows[n].letter
            ]
            never = self._never.setdefault(coop, {})
            for found in ranges_of(gone):
                if len(never) < PUT_RANGES_MAX:
                    never[found] = None
        return count

    def _again(self, row: Outgoing) -> bool:
        self._store.change_out(replace(row, state=Out.WAITING, tries=0, retry_at=0, ended_at=0))
        return True

    # --- receiving ------------------------------------------------------------------------------

    def received(self, coop: bytes | None, put: Put, now: int) -> tuple[Ack, list[Effect]]:
        """Take in a frame of a coop's node, None for one of no coop; durable when this returns.

        Raises: Malformed, NotCanonical, TooLarge for letters that are no letters at all; nothing
        of the frame was kept then.
        """
        self._clock.look(now)
        with self._store.batch():
            ack, ready = self._intake.receive(coop, put, now)
        return ack, [Deliver(key) for key in ready]

    def asked(self, coop: bytes | None, ask: Ask, now: int) -> tuple[Again, list[Effect]]:
        """Send again what a coop's node lost or misses."""
        if coop is None:
            return Again(0), []
        with self._store.batch():
            rows = self._store.arrived(coop, ask.since) if ask.since else []
            count = sum(self._again(row) for row in rows if row.letter)
            count += self._requeue(coop, ask.wants)
        return Again(count), [SendSoon(coop)] if self._anything(coop, now) else []

    # --- people here ----------------------------------------------------------------------------

    def inbox(self, to_key: bytes, after: int, limit: int) -> list[Incoming]:
        """Return letters for a key that were not taken, by serial after `after`."""
        return self._store.ready(to_key, after, limit)

    def taken(self, to_key: bytes, ids: Iterable[bytes], now: int) -> int:
        """Be told that the addressee has letters; return how many were waiting for it."""
        with self._store.batch():
            return self._intake.taken(to_key, ids, now)

    # --- time -----------------------------------------------------------------------------------

    def tick(self, now: int) -> list[Effect]:
        """Do what time asks for: end, erase, pass over, send again."""
        effects: list[Effect] = []
        with self._store.batch():
            if self._clock.look(now):
                ended, ready, erased = keep_house(self._store, self._intake, self.bounds, now)
                for row in ended:
                    effects += self._give_up(row, row.code or "expired", now)
                effects += [Deliver(key) for key in ready]
                effects += [Erased(erased)] if erased else []
                if now // DAY_S != self._day:
                    # All threads are looked at: once a day is often enough.
                    self._day = now // DAY_S
                    self._store.forget_threads(now - self.bounds.thread_s, THREADS_A_DAY)
            effects += self._own(now)
        for flight in self._flight.values():
            late = [
                id for id, at in flight.items() if not now < at <= now + self.bounds.resend_s
            ]
            for id in late:
                del flight[id]
        effects += [
            SendSoon(coop) for coop in sorted(self._connected) if self._anything(coop, now)
        ]
        return _once(effects)

    def _own(self, now: int) -> list[Effect]:
        """Try again what found no room in a box of our own."""
        effects: list[Effect] = []
        for id, _ in self._due(self.coop, now, self.bounds.slice_rows):
            row = self._store.out(id)
            assert row is not None
            ack, ready = self._intake.receive(self.coop, Put((row.letter,)), now)
            effects += [Deliver(key) for key in ready]
            for _, code in ack.outcomes:
                effects += [
                    effect
                    for effect in self._answered(row, code, now)
                    if not isinstance(effect, SendSoon)
                ]
        return effects

    def next_wake(self, now: int) -> int:
        """Return when to look again, in Unix seconds."""
        wake = now + self.bounds.tick_s
        for coop in self._connected:
            retry = self._store.next_retry(coop)
            if retry is not None and not self._flight.get(coop):
                wake = min(wake, max(retry, now + 1))
        return wake

    def figures(self, now: int) -> dict[str, int]:
        """Return counts and ages for people who look after the node."""
        out, inside = self._store.load_out(), self._store.load_in()
        oldest_out, oldest_in = self._store.oldest_out(), self._store.oldest_in()
        return {
            "sending": out.letters,
            "sending_bytes": out.bytes,
            "sending_oldest_s": 0 if oldest_out is None else max(0, now - oldest_out),
            "waiting": inside.letters,
            "waiting_bytes": inside.bytes,
            "waiting_oldest_s": 0 if oldest_in is None else max(0, now - oldest_in),
            "kept_bytes": self._store.bytes_kept(),
        }


def ranges_of(numbers: Iterable[tuple[bytes, int]]) -> list[Range]:
    """Return the ranges that (thread, n) make up."""
    found: list[Range] = []
    for thread, n in sorted(set(numbers)):
        if found and found[-1].thread == thread and found[-1].last == n - 1:
            found[-1] = Range(thread, found[-1].first, n)
        else:
            found.append(Range(thread, n, n))
    return found


def _once(effects: Iterable[Effect]) -> list[Effect]:
    return list(dict.fromkeys(effects))

