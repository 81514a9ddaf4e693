"""Make federations full of signed offers, the same ones from the same seed, for all the jobs.

The offers are synthetic and shaped like real ones: a title, a few sentences, a category, a place
given as a cell, opening hours, a price in hours; about 700 bytes encoded. They are signed by many
members of several coops, so that nothing is fast because one key comes again and again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S, build
from support.world import NOW, Member, World

THINGS = (
    "jardinage", "ménage", "courses", "repassage", "plomberie", "couture", "informatique",
    "déménagement", "bricolage", "cuisine", "lecture", "conversation", "covoiturage", "tonte",
    "peinture", "traduction", "comptabilité", "guitare", "anglais", "garde d'enfants",
)  # fmt: skip
WORDS = (
    "à", "domicile", "avec", "soin", "le", "matin", "pour", "personnes", "âgées", "et", "familles",
    "petits", "travaux", "aide", "aux", "démarches", "en", "ligne", "visite", "régulière",
    "matériel", "fourni", "sur", "rendez-vous", "sans", "engagement", "débutants", "bienvenus",
    "depuis", "dix", "ans", "quartier", "village", "voisins", "entraide", "outils", "partagés",
    "vélo", "légumes",
    "compost", "taille", "haies", "accompagnement", "papier", "administratif", "ordinateur",
    "tablette", "première", "séance", "gratuite", "respect", "confiance", "proximité", "écoute",
)  # fmt: skip
CELLS = ("871f93759ffffff", "871f93604ffffff", "871fb4662ffffff", "871fb0c2effffff")
CITIES = (("Die", "26113"), ("Crest", "26108"), ("Paris", "75056"), ("Nantes", "44109"))


@dataclass
class Corpus:
    """A federation of four coops: its world, its members, and encoded records."""

    world: World
    members: list[Member]
    identity: list[bytes]
    """Profiles and memberships, encoded, in an order in which each can be taken at once."""
    offers: list[bytes] = field(default_factory=list[bytes])

    @property
    def envelope_bytes(self) -> float:
        """Return the mean length of an encoded offer."""
        return sum(map(len, self.offers)) / len(self.offers)


def federation(seed: int, *, coops: int = 4, members: int = 64, now: int = NOW) -> Corpus:
    """Make a federation whose members can publish at `now`."""
    world = World(coops_count=coops, seed=f"bench {seed}", now=now)
    people = [world.make_member(n % coops, f"member {n}") for n in range(members)]
    identity = [signed.encode() for signed in world.profiles()]
    identity += [world.membership(member).encode() for member in people]
    return Corpus(world, people, identity)


def offer_fields(rng: random.Random) -> dict[str, Any]:
    """Draw what one offer says."""
    thing = rng.choice(THINGS)
    city = rng.randrange(len(CITIES))
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(12, 40)))
    fields: dict[str, Any] = {
        "title": f"{thing.capitalize()} {rng.choice(WORDS)} {rng.choice(WORDS)}",
        "text": f"{words.capitalize()}.",
        "lang": "fr",
        "categories": [f"service_{THINGS.index(thing)}"],
        "mode": [rng.choice(["at_home", "on_site", "remote"])],
        "place": {"cell": CELLS[city], "city": CITIES[city][0], "insee": CITIES[city][1]},
        "reciprocity": {"kind": "amount", "unit": "heure", "amount": rng.choice((30, 60, 90))},
    }
    if rng.random() < 0.5:
        fields["when"] = {"hours": {"mo": [[540, 720]], "th": [[840, 1080]]}}
    if rng.random() < 0.3:
        fields["audience"] = ["seniors"]
    return fields


def offers(corpus: Corpus, count: int, rng: random.Random, *, end: int = 0) -> Iterator[Signed]:
    """Make offers one second apart, the newest at `end` (now when it is 0)."""
    last = end or corpus.world.now
    for place in range(count):
        member = corpus.members[rng.randrange(len(corpus.members))]
        payload: dict[str, Value] = build(
            "offer", salt=rng.randbytes(16), **offer_fields(rng)
        )
        at = last - (count - place) // 4
        yield corpus.world.record(
            "offer", payload, coop=member.coop, by=member.key, at=at,
            until=corpus.world.now + 60 * DAY_S, series=rng.randbytes(16),
        )  # fmt: skip


def fill(corpus: Corpus, count: int, seed: int) -> Corpus:
    """Sign `count` offers, on both cores when there are many."""
    if count < 10_000:
        corpus.offers = _fill(corpus, count, f"{seed}")
        return corpus
    world = corpus.world
    of = (len(world.coops), len(corpus.members), world.now, world.seed)
    halves = [(*of, count // 2, f"{seed} 0"), (*of, count - count // 2, f"{seed} 1")]
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(_fill_apart, halves))
    # The halves overlap in time: put them together as they were dated.
    corpus.offers = [record for pair in zip(*parts, strict=False) for record in pair]
    corpus.offers += parts[1][len(parts[0]) :]
    return corpus


def _fill(corpus: Corpus, count: int, label: str) -> list[bytes]:
    return [signed.encode() for signed in offers(corpus, count, random.Random(label))]


def _fill_apart(spec: tuple[int, int, int, str, int, str]) -> list[bytes]:
    coops, members, now, seed, count, label = spec
    corpus = federation(int(seed.split()[1]), coops=coops, members=members, now=now)
    return _fill(corpus, count, label)


def batches(records: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    """Yield slices of at most `size` records."""
    for start in range(0, len(records), size):
        yield records[start : start + size]
