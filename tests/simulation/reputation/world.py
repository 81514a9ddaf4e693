"""A federation whose people deal with each other and say truly how it was, out of one seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from random import Random

from maillon.node.engine.reputation import MARK_MAX, Opinion, Reputations
from maillon.protocol.view import person_author

START_S = 1_800_000_000
YEAR_S = 365 * 86_400


def name(*words: object) -> bytes:
    """Return 32 bytes that stand for something."""
    return hashlib.sha256(" ".join(map(str, words)).encode()).digest()


@dataclass
class Federation:
    """Coops with members, some of whom provide; the quality of each provider is known here only."""

    rng: Random
    coops: int = 8
    members: int = 40
    providers: int = 6
    exchanges: int = 30
    """Of each provider, over a year."""
    abroad: float = 0.2
    """Share of exchanges with people of other coops."""
    said: list[Opinion] = field(default_factory=list[Opinion])
    quality: dict[bytes, float] = field(default_factory=dict[bytes, float])

    def __post_init__(self) -> None:
        for coop in range(self.coops):
            for place in range(self.providers):
                self.quality[self.person(coop, place)] = self.rng.betavariate(4, 2)
        for provider, quality in list(self.quality.items()):
            home = next(c for c in range(self.coops) if self.coop(c) == provider[1:33])
            for _ in range(self.exchanges):
                coop = home
                if self.rng.random() < self.abroad:
                    coop = self.rng.randrange(self.coops)
                customer = self.person(coop, self.rng.randrange(self.providers, self.members))
                self.deal(customer, provider, quality)

    def coop(self, number: object) -> bytes:
        """Return the id of a coop."""
        return name("coop", number)

    def person(self, coop: object, number: object) -> bytes:
        """Return the author of a person."""
        return person_author(self.coop(coop), name("person", coop, number)[:16])

    def deal(self, customer: bytes, provider: bytes, quality: float) -> None:
        """Let two people deal: the customer says truly, give or take, how it was."""
        mark = round(MARK_MAX * min(1.0, max(0.0, self.rng.gauss(quality, 0.12))))
        self.say(customer, provider, mark)
        self.say(provider, customer, self.rng.choice((4, 5, 5)))

    def say(self, author: bytes, subject: bytes, mark: int, at: int | None = None) -> None:
        """Let somebody mark another."""
        when = START_S + self.rng.randrange(YEAR_S) if at is None else at
        id = name("said", len(self.said))
        self.said.append(Opinion(id, author, subject, {"quality": mark}, when))

    def seen_from(self, coop: object) -> Reputations:
        """Return what a coop's node makes of it."""
        made = Reputations(self.coop(coop))
        for opinion in self.said:
            made.add(opinion)
        return made

    def naive(self, subject: bytes) -> float:
        """Return the plain mean of all marks, 0 to 1, as most platforms show it."""
        marks = [t.share for t in self.said if t.subject == subject]
        return sum(marks) / len(marks) if marks else 0.0


def rank(scores: dict[bytes, float], subject: bytes) -> int:
    """Return the place of a subject, the best first, from 1."""
    return 1 + sum(score > scores[subject] for score in scores.values())


def spearman(one: dict[bytes, float], other: dict[bytes, float]) -> float:
    """Return the correlation of two rankings, -1 to 1 (Spearman's, without ties corrected)."""
    n = len(one)
    gaps = sum((rank(one, key) - rank(other, key)) ** 2 for key in one)
    return 1 - 6 * gaps / (n * (n * n - 1))
