"""Post offices of two coops in memory, and how their frames are carried."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

from maillon.node.engine.post import PostOffice, Wish
from maillon.node.engine.post.bounds import DAY_S, Bounds
from maillon.node.engine.post.memory import MemoryLetters
from maillon.node.engine.post.ports import Effect
from maillon.protocol.keys import SealingKey
from maillon.protocol.letterframes import Ack, Again, Put
from maillon.protocol.letters import ITEM_APP, Item, decode_letter, open_letter

AT = 1_800_000_000
FED, HERE, THERE = b"f" * 32, b"h" * 32, b"t" * 32
KEY = SealingKey.from_seed(b"k" * 32)
HOUR = 3_600
STARTS = itertools.count()


class World:
    """Who belongs and who lives here, as a test wants it."""

    def __init__(self) -> None:
        self.coops = {HERE, THERE}
        self.keys = {KEY.public}

    def belongs(self, coop: bytes) -> bool:
        return coop in self.coops

    def addressee(self, key: bytes) -> bool:
        return key in self.keys


class Office(PostOffice):
    """An office with a store in memory, in a federation of two."""

    def __init__(
        self, coop: bytes, store: MemoryLetters | None = None, now: int = AT, **bounds: Any
    ) -> None:
        self.store = store or MemoryLetters()
        self.world = World()
        self.draws = Random(f"office {next(STARTS)}")
        super().__init__(
            self.store, fed=FED, coop=coop, federation=self.world, random=self.draws.randbytes,
            rng=self.draws, bounds=Bounds(**bounds),
        )  # fmt: skip
        self.first = self.start(now)

    def post(self, *words: str, now: int = AT, **changes: Any) -> list[bytes]:
        """Write a letter for each word, to the other coop unless said otherwise."""
        wish = Wish(
            THERE if self.coop == HERE else HERE, KEY.public, b"x" * 32, (), AT + 30 * DAY_S,
            b"o" * 49,
        )  # fmt: skip
        wishes = [
            replace(wish, items=(Item(ITEM_APP, word.encode()),), **changes) for word in words
        ]
        return self.write(wishes, now)[0]

    def read(self) -> list[str]:
        """Return what waits for KEY, opened."""
        return [
            open_letter(decode_letter(row.letter), KEY)[0].data.decode()
            for row in self.inbox(KEY.public, 0, 1_000)
        ]


def carry(one: Office, other: Office, now: int = AT) -> list[Effect]:
    """Carry all frames from one office to another and the answers back; return the effects."""
    effects = one.connected(other.coop, now)
    while (frame := one.parcel(other.coop, now)) is not None:
        answer: Ack | Again
        if isinstance(frame, Put):
            answer, found = other.received(one.coop, frame, now)
        else:
            answer, found = other.asked(one.coop, frame, now)
        effects += found
        effects += one.acked(other.coop, answer, now)
    return effects


def of(effects: Iterable[Effect], kind: type[Effect]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def only_put(office: Office, coop: bytes, now: int = AT) -> Put:
    frame = office.parcel(coop, now)
    assert isinstance(frame, Put)
    return frame
