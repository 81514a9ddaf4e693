"""What a person's marks are worth, seen from one coop (docs/reputation.md).

There is no global score. A node weighs marks by how its own coop stands to the coop of whoever gave
them, and that standing is earned in certified exchanges only:

    standing of the own coop            every member counts
    direct(X)   members of the own coop who had an exchange with X and spoke well of it
    through(X)  for each third coop Y the lesser of direct(Y) and the members of Y who spoke
                well of X
    standing(X) = the square root of direct(X) + THROUGH x the sum of through(X)

`through` is the greatest flow from the own coop to X over paths of two steps. All members of X
together weigh on one person at most standing(X), however many they are: what a ring of made-up
members weighs is bounded by the number of other people who truly dealt with it. The root, because
those people spoke of some members of X, and not of whoever X praises or slanders later.

Sources: trust as a bounded flow, R. Levien, "Attack-resistant trust metrics" (2009), and A. Post,
V. Shah, A. Mislove, "Bazaar" (NSDI 2011); marks as pseudo-counts of a Beta distribution, A. Jøsang,
R. Ismail, "The Beta Reputation System" (2002); the cautious value, E. B. Wilson (1927).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MARK_MAX: Final = 5
GOOD_SHARE: Final = 0.6
"""Of the greatest mark: from here on somebody spoke well of another."""

THROUGH: Final = 0.5
"""What a recommendation by a third coop counts, against an exchange of our own."""

HALF_LIFE_S: Final = 2 * 365 * 86_400
"""After so long a mark weighs half: people change, and so do their services."""

PRIOR_WEIGHT: Final = 2.0
PRIOR_SHARE: Final = 0.6
"""What is believed of somebody nobody spoke of: as two careful marks of 3 of 5."""

CAUTION: Final = 1.0
"""Standard deviations by which the cautious value lies below the mean."""

AUTHOR_COOP: Final = slice(1, 33)


class Relation(StrEnum):
    """How the coop of whoever marks stands to ours."""

    OWN = "own"
    DEALT_WITH = "dealt_with"
    RECOMMENDED = "recommended"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Opinion:
    """A live attestation: `author` on `subject` (33 or 49 bytes), criterion to mark 0 to 5.

    `at` in Unix seconds. Its transfer was certified between the two, else it would not be live.
    """

    id: bytes
    author: bytes
    subject: bytes
    criteria: Mapping[str, int]
    at: int

    @property
    def share(self) -> float:
        """Return the mean of the marks, 0 to 1."""
        return sum(self.criteria.values()) / (MARK_MAX * len(self.criteria))


@dataclass(frozen=True, slots=True)
class Mark:
    """What is said under one criterion: `mean` and `cautious` from 0 to 5, and the weight of it."""

    mean: float
    cautious: float
    weight: float
    count: int


@dataclass(frozen=True, slots=True)
class Reputation:
    """What the marks on a person come to, from here.

    `score` is from 0 to 1, for ranking: the cautious value over all criteria. `given` counts people
    who marked, `weight` what they count together; `by_relation` the people by Relation. With
    `given` 0 nobody dealt with the person yet, and `score` is what is believed of a newcomer.
    """

    score: float
    criteria: Mapping[str, Mark] = field(default_factory=dict[str, Mark])
    given: int = 0
    weight: float = 0.0
    by_relation: Mapping[Relation, int] = field(default_factory=dict[Relation, int])
    cut: int = 0
    """People whose marks weigh less because their coop's standing is used up."""

    @property
    def newcomer(self) -> bool:
        """Tell whether nobody has spoken of the person."""
        return self.given == 0


class Reputations:
    """All marks a node knows, and what they are worth from its coop.

    Holds a few hundred bytes an attestation. Nothing here depends on the order of additions.
    """

    def __init__(self, coop: bytes, same: Callable[[bytes], bytes] = lambda author: author) -> None:
        """Begin without marks. `same` gives the present author of one who moved to another coop."""
        self.coop = coop
        self._same = same
        self._by_subject: dict[bytes, dict[bytes, Opinion]] = {}
        self._by_id: dict[bytes, Opinion] = {}
        # (coop that speaks, coop spoken of) -> member who spoke -> ids of what was said well
        self._spoke_well: dict[tuple[bytes, bytes], dict[bytes, set[bytes]]] = {}
        # coop spoken of -> coops that spoke well of it
        self._friends: dict[bytes, set[bytes]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, opinion: Opinion) -> None:
        """Take up a live attestation; one that is known is passed over."""
        if opinion.id in self._by_id or not opinion.criteria:
            return
        self._by_id[opinion.id] = opinion
        self._by_subject.setdefault(opinion.subject, {})[opinion.id] = opinion
        speaker, spoken = opinion.author[AUTHOR_COOP], opinion.subject[AUTHOR_COOP]
        if speaker != spoken and opinion.share >= GOOD_SHARE:
            members = self._spoke_well.setdefault((speaker, spoken), {})
            members.setdefault(opinion.author, set()).add(opinion.id)
            self._friends.setdefault(spoken, set()).add(speaker)

    def remove(self, id: bytes) -> None:
        """Forget an attestation that is no longer live."""
        opinion = self._by_id.pop(id, None)
        if opinion is None:
            return
        of_subject = self._by_subject[opinion.subject]
        del of_subject[id]
        if not of_subject:
            del self._by_subject[opinion.subject]
        speaker, spoken = opinion.author[AUTHOR_COOP], opinion.subject[AUTHOR_COOP]
        members = self._spoke_well.get((speaker, spoken))
        if members is None or id not in members.get(opinion.author, ()):
            return
        members[opinion.author].discard(id)
        if not members[opinion.author]:
            del members[opinion.author]
        if not members:
            del self._spoke_well[speaker, spoken]
            self._friends[spoken].discard(speaker)

    def standing(self, coop: bytes) -> float:
        """Return how much all members of a coop may weigh on one person; the own has no bound."""
        if coop == self.coop:
            return math.inf
        direct = self._well(self.coop, coop)
        through = sum(
            min(self._well(self.coop, third), self._well(third, coop))
            for third in self._friends.get(coop, ())
            if third not in (self.coop, coop)
        )
        return math.sqrt(direct + THROUGH * through)

    def relation(self, coop: bytes) -> Relation:
        """Tell how a coop stands to ours."""
        if coop == self.coop:
            return Relation.OWN
        if self._well(self.coop, coop):
            return Relation.DEALT_WITH
        return Relation.RECOMMENDED if self.standing(coop) else Relation.STRANGER

    def _well(self, speaker: bytes, spoken: bytes) -> int:
        return len(self._spoke_well.get((speaker, spoken), ()))

    def of(self, subject: bytes, now: int, former: Iterable[bytes] = ()) -> Reputation:
        """Return what the marks on an author come to; `former` are authors they were before."""
        latest = self._latest(subject, former)
        by_coop: dict[bytes, list[tuple[Opinion, float]]] = {}
        for opinion in latest.values():
            age = max(0, now - opinion.at)
            weight = 0.5 ** (age / HALF_LIFE_S)
            by_coop.setdefault(opinion.author[AUTHOR_COOP], []).append((opinion, weight))
        weighed: list[tuple[Opinion, float]] = []
        relations: dict[Relation, int] = {}
        cut = 0
        for coop, given in sorted(by_coop.items()):
            total, most = math.fsum(weight for _, weight in given), self.standing(coop)
            scale = min(1.0, most / total)
            cut += len(given) if scale < 1 else 0
            relation = self.relation(coop)
            relations[relation] = relations.get(relation, 0) + len(given)
            weighed += [(opinion, weight * scale) for opinion, weight in given]
        criteria = {
            name: _mark(
                [(t.criteria[name] / MARK_MAX, w) for t, w in weighed if name in t.criteria]
            )
            for name in sorted({name for opinion, _ in weighed for name in opinion.criteria})
        }
        overall = _mark([(opinion.share, weight) for opinion, weight in weighed])
        return Reputation(
            score=overall.cautious / MARK_MAX,
            criteria=criteria,
            given=len(weighed),
            weight=overall.weight,
            by_relation=relations,
            cut=cut,
        )

    def _latest(self, subject: bytes, former: Iterable[bytes]) -> dict[bytes, Opinion]:
        """Return the newest word of each person: whoever deals often with one weighs no more."""
        latest: dict[bytes, Opinion] = {}
        for known in (subject, *former):
            for opinion in self._by_subject.get(known, {}).values():
                author = self._same(opinion.author)
                if author == self._same(subject):
                    continue
                best = latest.get(author)
                if best is None or (best.at, best.id) < (opinion.at, opinion.id):
                    latest[author] = opinion
        return latest


def _mark(marks: list[tuple[float, float]]) -> Mark:
    """Weigh shares from 0 to 1: the mean with the prior, and that less the caution."""
    weight = math.fsum(weight for _, weight in marks)
    total = weight + PRIOR_WEIGHT
    said = math.fsum(share * weight for share, weight in marks)
    mean = (said + PRIOR_SHARE * PRIOR_WEIGHT) / total
    # The Beta distribution of these pseudo-counts; Wilson's correction keeps it above zero.
    spread = math.sqrt(mean * (1 - mean) / (total + 1))
    return Mark(
        mean=mean * MARK_MAX,
        cautious=max(0.0, mean - CAUTION * spread) * MARK_MAX,
        weight=weight,
        count=len(marks),
    )
