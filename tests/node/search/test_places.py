"""Communes are found offline, and a circle of cells covers the circle it stands for."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import h3.api.basic_int as _h3  # type: ignore[import-untyped]  # h3 ships no types
import pytest

from maillon.node.search.communes import communes
from maillon.node.search.places import (
    FINEST,
    cell_word,
    cover_words,
    distance_km,
    place_words,
    point_of,
    reached_words,
)
from maillon.node.search.words import fold, stems, written


@pytest.mark.parametrize("text", ["Guise", "guise", "GUISE 02", "02120 Guise"])
def test_a_commune_is_found_by_name_and_code(text: str) -> None:
    found = communes().locate(text)
    assert [commune.name for commune in found] == ["Guise"]
    assert distance_km(found[0].point, (49.9003, 3.6253)) < 3
    assert communes().locate(found[0].insee) == found


def test_saint_is_found_shortened_and_a_name_by_its_beginning() -> None:
    assert communes().locate("St Trivier de Courtes")[0].insee == "01388"
    assert any(c.insee == "01388" for c in communes().locate("saint-trivier"))
    assert communes().locate("") == communes().locate("zzzz") == communes().locate("99999") == []


@pytest.mark.parametrize("radius", [0.5, 2, 5, 15, 40, 100, 250, 440])
def test_the_cells_of_a_circle_hold_every_point_in_it(radius: float) -> None:
    rng = random.Random(radius)
    for _ in range(20):
        centre = (rng.uniform(-60, 70), rng.uniform(-180, 180))
        words = set(cover_words(centre, radius))
        assert len(words) <= 120
        for _ in range(40):
            place = (
                centre[0] + rng.uniform(-1, 1) * radius / 111,
                centre[1] + rng.uniform(-1, 1) * radius / 40,
            )
            if abs(place[1]) > 180 or distance_km(centre, place) > radius:
                continue
            lat, lon = round(place[0] * 1e6), round(place[1] * 1e6)
            assert words & set(place_words({"lat": lat, "lon": lon}, None))


@pytest.mark.parametrize("radius", [1, 10, 40, 90, 300, 1_000])
def test_who_travels_is_indexed_wherever_they_come(radius: int) -> None:
    rng = random.Random(radius)
    for _ in range(60):
        home = (rng.uniform(42, 51), rng.uniform(-5, 9))
        place = (home[0] + rng.uniform(-9, 9), home[1] + rng.uniform(-13, 13))
        at = {"lat": round(home[0] * 1e6), "lon": round(home[1] * 1e6)}
        words = set(place_words(at, radius))
        assert len(words) <= 5 + 37
        if distance_km(home, place) <= radius:
            assert words & set(reached_words(place))


def test_each_cell_has_a_word_of_its_own() -> None:
    rng = random.Random(1)
    h3: Any = _h3
    cells: set[int] = {
        h3.latlng_to_cell(rng.uniform(-90, 90), rng.uniform(-180, 180), resolution)
        for resolution in range(FINEST + 1)
        for _ in range(300)
    }
    assert len({cell_word(cell) for cell in cells}) == len(cells)


def test_a_home_is_the_middle_of_its_cell_and_a_broken_cell_is_nowhere() -> None:
    found = point_of({"cell": "871f93759ffffff"})
    assert found is not None and found[1] is False
    assert point_of({"cell": "ffffffffffffff"}) is None
    assert point_of({"cell": "nonsense"}) is None
    assert point_of({"city": "Die"}) is None
    assert place_words({"cell": "nonsense"}, 5) == []


def test_distances_are_those_of_the_globe() -> None:
    assert distance_km((48.8566, 2.3522), (45.7640, 4.8357)) == pytest.approx(391.5, abs=1)
    assert distance_km((0, 179.9), (0, -179.9)) == pytest.approx(22.2, abs=0.1)
    assert distance_km((5, 5), (5, 5)) == 0
    line = [distance_km((45, 3), (45, 3 + step)) for step in range(5)]
    assert all(a < b for a, b in pairwise(line))


def test_words_are_folded_before_they_are_stemmed() -> None:
    assert fold("L'ÉTÉ, Œuvre ǅ") == "l'ete, oeuvre dz"
    assert stems("L’électricité, j'en ai besoin !", "fr") == stems("electricite", "fr")
    assert stems("vélos", "fr") == stems("velo", "fr") == ["velo"]
    assert written("Vélo-Cargo") == [("velo", "vélo"), ("cargo", "cargo")]
    # A tag nobody knows: words as they are.
    assert stems("vélos", "zz") == ["velo"] or stems("vélos", "zz") == ["velos"]
