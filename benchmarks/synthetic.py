"""Make offers that nobody made: as many as wanted, the same from the same seed, all over France.

The words come from short French lists with the frequencies of natural language, the places from the
France services list that ships with the node, moved by some kilometres. Signatures are random
bytes: these records are for the store and for search, which do not look at them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import random
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import h3 as _h3  # type: ignore[import-untyped]  # h3 ships no types

from maillon.node.data import france_services
from maillon.protocol.encoding import encode
from maillon.protocol.envelope import Header, Signed, Valid
from maillon.protocol.ids import CoopId, FedId, Key, RecordId, SeriesId
from maillon.protocol.records import thing_id

h3: Any = _h3

NOW = 1_790_000_000
DAY = 86_400
FED = FedId(bytes(range(32)))

SERVICES = [
    line.strip()
    for line in """
réparation vélo
aide informatique
garde d'enfants
soutien scolaire
petit bricolage
tonte de pelouse
ménage à domicile
courses pour personnes âgées
cours de guitare
covoiturage vers la ville
aide aux démarches administratives
traduction anglais français
promenade de chien
couture et retouches
cours de cuisine
transport médical
dépannage plomberie
électricité générale
peinture intérieure
livraison de paniers de légumes
visite de convivialité
écrivain public
atelier de tricot
initiation à internet
taille de haies
ramonage de cheminée
garde de chat
prêt de remorque
coiffure
cours de français
rédaction de CV
jardin partagé
déménagement
montage de meubles
repas partagé
concert de chorale
réparation de petit électroménager
bois de chauffage
cours de yoga
café associatif
""".strip().splitlines()
]

CATEGORIES = [f"secteur-{n // 8}--service-{n}" for n in range(len(SERVICES))]

COMMON = """
aide service besoin proximité village quartier semaine matin soir atelier maison jardin école
personne famille enfant voisin association matériel outil voiture heure jour samedi mercredi
gratuit échange temps partage conseil accompagnement expérience sérieux disponible régulier
ponctuel débutant confirmé groupe individuel extérieur intérieur réparation entretien transport
repas cours langue musique sport santé administratif numérique internet téléphone papier dossier
logement emploi formation retraite
""".split()

SYLLABLES = """
ba be bi bo ca ce co da de di do fa fe fi ga go la le li lo ma me mi mo na ne no pa pe pi po ra re
ri ro sa se si so ta te ti to va ve vi vo
""".split()


class Synthetic:
    """Yield synthetic offers from a seed."""

    def __init__(self, seed: int = 1, *, authors: int = 20_000, coops: int = 200) -> None:
        self._rng = random.Random(seed)
        rng = self._rng
        self._coops = [rng.randbytes(32) for _ in range(coops)]
        self._authors = [
            (rng.choice(self._coops), rng.randbytes(16), rng.randbytes(32))
            for _ in range(authors)
        ]
        # Rare words: the long tail that a year of real offers has.
        tail = ["".join(rng.choices(SYLLABLES, k=rng.randrange(2, 5))) for _ in range(30_000)]
        self._words = COMMON + tail
        self._weights = list(accumulate(1 / (rank + 8) for rank in range(len(self._words))))
        self._places = _places()
        self.towns = [(name, lat, lon) for name, lat, lon in self._places]

    def valids(self, count: int) -> Iterator[Valid]:
        """Yield `count` offers with a few demands among them, about 550 bytes each."""
        rng = self._rng
        for n in range(count):
            yield self._one(rng, n, count)

    def _one(self, rng: random.Random, n: int, count: int) -> Valid:
        coop, person, key = self._authors[rng.randrange(len(self._authors))]
        service = rng.randrange(len(SERVICES))
        words = rng.choices(self._words, cum_weights=self._weights, k=rng.randrange(10, 40))
        city, lat, lon = self._places[rng.randrange(len(self._places))]
        lat, lon = lat + rng.gauss(0, 0.06), lon + rng.gauss(0, 0.08)
        payload: dict[str, Any] = {
            "title": f"{SERVICES[service]} {rng.choice(COMMON)}".capitalize(),
            "text": " ".join(words),
            "lang": "fr",
            "categories": [CATEGORIES[service]],
            "mode": [rng.choice(("at_home", "on_site", "on_site", "remote", "itinerant"))],
            "reciprocity": {"kind": "count_only"},
            "salt": rng.randbytes(16),
        }
        if rng.random() < 0.6:
            payload["place"] = {"cell": h3.latlng_to_cell(lat, lon, 7), "city": city}
        else:
            payload["place"] = {
                "lat": int(lat * 1e6), "lon": int(lon * 1e6), "public": True, "city": city,
            }  # fmt: skip
        if payload["mode"] == ["itinerant"]:
            payload["radius_km"] = rng.randrange(5, 60)
        if rng.random() < 0.5:
            payload["when"] = {
                "hours": {rng.choice(("mo", "tu", "we", "th", "fr")): [[540, 720], [840, 1080]]},
                "tz": "Europe/Paris",
            }
        kind = "demand" if rng.random() < 0.15 else "offer"
        body = encode(payload)
        at = NOW - 300 * DAY + n * (300 * DAY) // count
        header = Header(
            1, kind, FED, CoopId(coop), Key(key), at, at + (400 if kind == "offer" else 120) * DAY,
            SeriesId(rng.randbytes(16)), 0, hashlib.sha256(body).digest(), len(body), b"", (),
        )  # fmt: skip
        header_bytes = header.encode()
        signed = Signed(
            header, header_bytes, RecordId(hashlib.sha256(header_bytes).digest()),
            rng.randbytes(64), body, payload,
        )  # fmt: skip
        author = b"p" + coop + person
        return Valid(signed, author, thing_id(author, header.series), "member")


def _places() -> list[tuple[str, float, float]]:
    rows = csv.DictReader(io.StringIO(france_services().decode("utf-8-sig")))
    found: list[tuple[str, float, float]] = []
    for row in rows:
        try:
            lat, lon = float(row["latitude"]), float(row["longitude"])
        except (KeyError, ValueError):
            continue
        # Metropolitan France, where most people are.
        if 41 < lat < 51.5 and -5.5 < lon < 9.8:
            found.append((row["lib_com"], lat, lon))
    assert len(found) > 1_000, "the list of France services has places"
    return found
