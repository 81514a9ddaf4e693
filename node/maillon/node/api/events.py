"""Tell those who listen what happened, each only what concerns them (spec/09, "Events").

One ring of the last events serves all: a listener is a place in it and costs no memory, so a slow
one harms nobody. Who has fallen behind what the ring holds is told so, and reads the lists again.
"""

from __future__ import annotations

import json
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from maillon.node.api.bounds import (
    EVENT_BYTES_MAX,
    EVENT_HEARTBEAT_S,
    EVENTS_KEPT_MAX,
    LISTENERS_MAX,
    LISTENERS_PER_CALLER_MAX,
)
from maillon.node.api.caller import Caller
from maillon.node.api.plain import to_json
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError

EVERYBODY: Final = b""
"""As the author of an event: everybody who may read is told."""

Facts = Mapping[str, Any]
_BLOCK: Final = 16  # of AES, in bytes


class TooManyListeners(LocalError):
    """Somebody listens too often at once, or everybody together does."""

    code = "quota"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `author` is whom it concerns, None for the coop's desk alone."""

    number: int
    topic: str
    author: bytes | None
    kind: str
    at: int
    facts: str


def may_see(caller: Caller, event: Event) -> bool:
    """Tell whether an event is a caller's affair.

    The operator and the desk see all; a person their own and, while a mandate lasts, those of
    whoever gave it; every caller what is everybody's.
    """
    if event.author == EVERYBODY:
        return caller.may("read")
    if event.author is None:
        return caller.may("desk")
    return caller.may("read") and caller.may_act_for(event.author)


class Events:
    """The broadcaster of one node. `key` is 16 random bytes, others at each start.

    The id of an event is its number, enciphered: who sees only their own events does not learn from
    gaps how much others do. An id of before a restart does not decipher to a number.
    """

    def __init__(self, key: bytes, now: Callable[[], int]) -> None:
        self._cipher = Cipher(AES(key), ECB())
        self._now = now
        self._kept: deque[Event] = deque(maxlen=EVENTS_KEPT_MAX)
        self._last = 0
        self._news = trio.Event()
        self._listening: dict[str, int] = {}
        self._closed = False

    @property
    def listeners(self) -> int:
        """Return how many listen."""
        return sum(self._listening.values())

    def publish(self, topic: str, author: bytes | None, kind: str, facts: Facts) -> None:
        """Tell an event to those whom it concerns; returns at once, and no listener makes it fail.

        `topic` and `kind` are words such as `exchange` and `step`; `author` is the person (49
        bytes) or coop (33) whom it concerns, None for the coop's desk, EVERYBODY for all. `facts`
        are ids, codes and numbers (bytes become hexadecimal), never texts of people: at most
        EVENT_BYTES_MAX as JSON. An affair of two people is published once for each. Raises:
        ValueError.
        """
        told = json.dumps(to_json(dict(facts)), ensure_ascii=False, separators=(",", ":"))
        if len(told.encode()) > EVENT_BYTES_MAX:
            raise ValueError("the facts of an event are ids and numbers, not contents")
        self._last += 1
        self._kept.append(Event(self._last, topic, author, kind, self._now(), told))
        self._wake()

    def close(self) -> None:
        """End every listener, so that the server can stop."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # --- listening ------------------------------------------------------------------------------

    def listen(
        self, caller: Caller, *, topics: frozenset[str], last: str, still: Callable[[], Caller]
    ) -> AsyncIterator[bytes]:
        """Return the events of a caller as server-sent events (WHATWG HTML, 9.2).

        `last` is the Last-Event-ID, empty to begin now; `topics` those wanted, empty for all;
        `still` returns the caller as it is now: an ended session hears no more. Raises:
        TooManyListeners.
        """
        name = caller.id or caller.kind
        if self.listeners >= LISTENERS_MAX or (
            self._listening.get(name, 0) >= LISTENERS_PER_CALLER_MAX
        ):
            raise TooManyListeners(_("Too many are listening for events; end one first."))
        self._listening[name] = self._listening.get(name, 0) + 1
        listening = Listening(self, topics, self._place(last), still)
        # However a connection ends, nobody holds its listener any more then.
        listening.leave = weakref.finalize(listening, self._left, name)
        return listening

    def _left(self, name: str) -> None:
        left = self._listening[name] - 1
        if left:
            self._listening[name] = left
        else:
            del self._listening[name]

    def _place(self, last: str) -> int | None:
        """Return the number to go on after; None when what followed it is not kept any more."""
        if not last:
            return self._last
        try:
            block = bytes.fromhex(last)
        except ValueError:
            return None
        if len(block) != _BLOCK:
            return None
        reader = self._cipher.decryptor()
        place = int.from_bytes(reader.update(block) + reader.finalize(), "big")
        return place if self._first() - 1 <= place <= self._last else None

    def _first(self) -> int:
        return self._kept[0].number if self._kept else self._last + 1

    async def news(self) -> bool:
        """Wait for the next event; False when none came for EVENT_HEARTBEAT_S."""
        with trio.move_on_after(EVENT_HEARTBEAT_S):
            await self._news.wait()
            return True
        return False

    @property
    def last(self) -> int:
        """Return the number of the last event."""
        return self._last

    @property
    def closed(self) -> bool:
        """Tell whether no more will come."""
        return self._closed

    def after(self, at: int) -> Event | None:
        """Return the event after a number; None when it is not kept any more."""
        return self._kept[at - self._last] if at >= self._first() - 1 else None

    def written(self, number: int, kind: str, data: str) -> bytes:
        """Return an event as it goes over the line."""
        writer = self._cipher.encryptor()
        id = (writer.update(number.to_bytes(_BLOCK, "big")) + writer.finalize()).hex()
        return f"id: {id}\nevent: {kind}\ndata: {data}\n\n".encode()


class Listening:
    """One listener: a place among the events, and who asks."""

    def __init__(
        self,
        events: Events,
        topics: frozenset[str],
        place: int | None,
        still: Callable[[], Caller],
    ) -> None:
        self._events = events
        self._topics = topics
        self._still = still
        self._at = events.last if place is None else place
        # The first bytes go out at once: the client knows that it listens, and from where.
        self._first: str | None = "missed" if place is None else "ready"
        self.leave: Callable[[], object] = lambda: None

    def __aiter__(self) -> Listening:
        return self

    async def __anext__(self) -> bytes:
        """Return the next lines. Raises: StopAsyncIteration when the session or the node ends."""
        events = self._events
        if self._first is not None:
            said, self._first = self._first, None
            return events.written(self._at, said, "{}")
        while True:
            caller = self._still()
            if not caller.may("read"):
                self.leave()
                raise StopAsyncIteration
            if self._at < events.last:
                event = events.after(self._at)
                if event is None:
                    self._at = events.last
                    return events.written(self._at, "missed", "{}")
                self._at = event.number
                if self._wanted(caller, event):
                    return events.written(self._at, f"{event.topic}.{event.kind}", _data(event))
            elif events.closed:
                self.leave()
                raise StopAsyncIteration
            elif not await events.news():
                # A comment: keeps proxies from closing, and tells when nobody is there.
                return b":\n\n"

    def _wanted(self, caller: Caller, event: Event) -> bool:
        return (not self._topics or event.topic in self._topics) and may_see(caller, event)


def _data(event: Event) -> str:
    who = "null" if event.author is None else f'"{event.author.hex()}"'
    return f'{{"at":{event.at},"author":{who},"facts":{event.facts}}}'
