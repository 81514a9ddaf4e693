"""Tell those who listen what happened, each only what concerns them (spec/09, "Events").

One ring of the last events serves all: a listener is a place in it and costs no memory, so a slow
one harms nobody. Who has fallen behind what the ring holds is told so, and reads the lists again.
"""

from __future__ import annotations

import json
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
        return self._listen(name, topics, self._place(last), still)

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

    async def _listen(
        self,
        name: str,
        topics: frozenset[str],
        place: int | None,
        still: Callable[[], Caller],
    ) -> AsyncIterator[bytes]:
        self._listening[name] = self._listening.get(name, 0) + 1
        try:
            at = self._last if place is None else place
            # The first bytes go out at once: the client knows that it listens, and from where.
            yield self._written(at, "missed" if place is None else "ready", "{}")
            while not self._closed:
                caller = still()
                if not caller.may("read"):
                    return
                if at < self._first() - 1:
                    at = self._last
                    yield self._written(at, "missed", "{}")
                if at < self._last:
                    event = self._kept[at - self._last]
                    at = event.number
                    if (not topics or event.topic in topics) and may_see(caller, event):
                        yield self._written(at, f"{event.topic}.{event.kind}", _data(event))
                    continue
                with trio.move_on_after(EVENT_HEARTBEAT_S) as waited:
                    await self._news.wait()
                if waited.cancelled_caught:
                    # A comment: keeps proxies from closing, and tells when nobody is there.
                    yield b":\n\n"
        finally:
            left = self._listening[name] - 1
            if left:
                self._listening[name] = left
            else:
                del self._listening[name]

    def _written(self, number: int, kind: str, data: str) -> bytes:
        writer = self._cipher.encryptor()
        id = (writer.update(number.to_bytes(_BLOCK, "big")) + writer.finalize()).hex()
        return f"id: {id}\nevent: {kind}\ndata: {data}\n\n".encode()


def _data(event: Event) -> str:
    who = "null" if event.author is None else f'"{event.author.hex()}"'
    return f'{{"at":{event.at},"author":{who},"facts":{event.facts}}}'
