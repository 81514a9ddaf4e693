"""Find the point of a commune by name, postcode or INSEE code, without a network.

The points are those of the France services list that ships (2,845 places in some 2,500 communes;
source and licence in `maillon/node/data/README.md`): the middle of a commune's places stands for
it. A commune without one is not found; people can give coordinates, or a neighbour's name.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from maillon.node import bounds
from maillon.node.data import france_services
from maillon.node.search.places import Point
from maillon.node.search.words import split


@dataclass(frozen=True, slots=True)
class Commune:
    name: str
    insee: str
    postcode: str
    point: Point


class Communes:
    """Look communes up."""

    def __init__(self, communes: Iterable[Commune]) -> None:
        self._by_name: dict[str, list[Commune]] = {}
        self._by_code: dict[str, list[Commune]] = {}
        for commune in communes:
            self._by_name.setdefault(_plain(commune.name), []).append(commune)
            for code in {commune.insee, commune.postcode}:
                self._by_code.setdefault(code, []).append(commune)

    def locate(self, text: str) -> list[Commune]:
        """Return the communes that are called so, several when the name is not enough.

        "Guise", "saint etienne", "02120", "Saint-Denis 974": a number beside the name is the
        beginning of a postcode or INSEE code. Without an exact name, those that begin so.
        """
        words = split(text[: bounds.SEARCH_TEXT_CHARS_MAX])
        codes = [word for word in words if word[0].isdigit()]
        name = _plain(" ".join(word for word in words if not word[0].isdigit()))
        if not name:
            found = [c for code in codes for c in self._by_code.get(code, ())]
        else:
            found = self._by_name.get(name, [])
            if not found and len(name) >= 3:
                found = [
                    commune
                    for known, communes in self._by_name.items()
                    if known.startswith(name)
                    for commune in communes
                ]
            found = [
                c for c in found
                if all(c.postcode.startswith(code) or c.insee.startswith(code) for code in codes)
            ]  # fmt: skip
        return sorted(found, key=_name)[: bounds.SEARCH_COMMUNES_MAX]


def _name(commune: Commune) -> tuple[str, str]:
    return commune.name, commune.insee


def _plain(name: str) -> str:
    words = split(name)
    # Both are written: "St-Étienne", "Ste-Marie".
    return " ".join({"st": "saint", "ste": "sainte"}.get(word, word) for word in words)


@cache
def communes() -> Communes:
    """Return the communes of the list that ships; read once, 30 ms."""
    rows = csv.DictReader(io.StringIO(france_services().decode("utf-8-sig")))
    return Communes(_of_places(rows))


def _of_places(rows: Iterable[Mapping[str, str]]) -> list[Commune]:
    found: dict[str, list[tuple[str, str, float, float]]] = {}
    for row in rows:
        try:
            lat, lon = float(row["latitude"]), float(row["longitude"])
        except ValueError:
            continue
        if row["insee_com"] and row["lib_com"] and -90 <= lat <= 90 and -180 <= lon <= 180:
            found.setdefault(row["insee_com"], []).append(
                (row["lib_com"], row["code_postal"], lat, lon)
            )
    return [
        Commune(
            places[0][0],
            insee,
            places[0][1],
            (
                sum(place[2] for place in places) / len(places),
                sum(place[3] for place in places) / len(places),
            ),
        )
        for insee, places in found.items()
    ]
