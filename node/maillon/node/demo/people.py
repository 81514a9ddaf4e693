"""Who takes part: coops of neighbouring départements, and residents who are plainly made up.

The offers of the demonstration are real (the France services places of each département). The
residents and what they ask for are synthetic: numbered, without names, placed at random within a
few kilometres of a real place.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from maillon.node.cells import home_cell


@dataclass(frozen=True, slots=True)
class Area:
    """A coop of the demonstration and the département whose places it publishes."""

    code: str
    name: str

    @property
    def slug(self) -> str:
        """Return a name fit for a directory."""
        return f"coop-{self.code}"


# Neighbours around the upper Rhône; the last one comes late.
AREAS = (
    Area("38", "Coop de l'Isère"),
    Area("26", "Coop de la Drôme"),
    Area("07", "Coop de l'Ardèche"),
    Area("42", "Coop de la Loire"),
    Area("69", "Coop du Rhône"),
)
LATE = Area("01", "Coop de l'Ain")

PAPERWORK = (
    "difficultes-administratives-ou-juridiques--accompagnement-aux-demarches-administratives"
)
RIGHTS = "difficultes-administratives-ou-juridiques--accompagnement-pour-lacces-aux-droits"
ONLINE = "numerique--acceder-a-des-services-en-ligne"

# title, text, categories, modes, urgency, what is given in return
_WISHES: tuple[tuple[str, str, list[str], list[str], str, dict[str, Any]], ...] = (
    (
        "Aide pour une demande de retraite",
        "Je voudrais préparer mon dossier de retraite avec quelqu'un, papier et internet.",
        [PAPERWORK, RIGHTS],
        ["on_site"],
        "planned",
        {"kind": "free"},
    ),
    (
        "Déclarer mes impôts en ligne",
        "Je n'ai pas d'ordinateur et je dois faire ma déclaration avant la fin du mois.",
        [PAPERWORK, ONLINE],
        ["on_site", "remote"],
        "emergency",
        {"kind": "free"},
    ),
    (
        "Apprendre à se servir d'une tablette",
        "Quelques séances pour écrire à mes petits-enfants et les voir à l'écran.",
        [ONLINE],
        ["at_home"],
        "conviviality",
        {"kind": "amount", "unit": "heure", "amount": 60},
    ),
    (
        "Trajet vers un rendez-vous médical",
        "Une place en voiture le mardi matin, retour vers midi.",
        ["mobilite--etre-accompagne-dans-son-parcours-mobilite"],
        ["on_site"],
        "planned",
        {"kind": "amount", "unit": "heure", "amount": 90},
    ),
    (
        "Réparer un vélo",
        "La chaîne saute et les freins sont usés. J'ai quelques outils.",
        ["mobilite--entretenir-son-vehicule"],
        ["at_home", "on_site"],
        "planned",
        {"kind": "count_only"},
    ),
    (
        "Carte grise et permis de conduire",
        "Je ne comprends pas la démarche sur internet pour changer d'adresse.",
        [PAPERWORK, ONLINE],
        ["on_site", "itinerant"],
        "planned",
        {"kind": "free"},
    ),
)
NEAR_DEGREES = 0.05


def places(code: str) -> list[dict[str, str]]:
    """Return the France services places of a département, as the published list has them."""
    packed = files("maillon.node.data").joinpath("france-services-2024-08-01.csv.gz").read_bytes()
    text = gzip.decompress(packed).decode("utf-8-sig")
    return [row for row in csv.DictReader(io.StringIO(text)) if row["insee_dep"] == code]


def demands(area: Area, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Return payloads of synthetic demands near real places of an area."""
    near = [row for row in places(area.code) if row["latitude"] and row["longitude"]]
    made: list[dict[str, Any]] = []
    for number in range(count):
        title, text, categories, modes, urgency, reciprocity = _WISHES[number % len(_WISHES)]
        row = rng.choice(near)
        lat = float(row["latitude"]) + rng.uniform(-NEAR_DEGREES, NEAR_DEGREES)
        lon = float(row["longitude"]) + rng.uniform(-NEAR_DEGREES, NEAR_DEGREES)
        made.append(
            {
                "title": title,
                "text": f"{text} (Demande fictive, pour la démonstration.)",
                "lang": "fr",
                "categories": categories,
                "mode": modes,
                "place": {
                    "cell": home_cell(lat, lon),
                    "city": row["lib_com"],
                },
                "urgency": urgency,
                "reciprocity": reciprocity,
            }
        )
    return made
