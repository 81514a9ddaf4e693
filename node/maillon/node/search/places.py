"""Turn places into cells of the H3 grid, and measure how far they are.

A home is never published as a point: its record names a cell (resolution 5 to 7, some 9 to 1.4 km
across an edge), and distances to it are to the cell's middle and said to be about. A public place
has its point. Both are indexed under the cells that contain them, so that "near here" becomes a
few words more in the query.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import h3.api.basic_int as _h3  # type: ignore[import-untyped]  # h3 ships no types

from maillon.node import bounds

h3: Any = _h3

FINEST: Final = 7
COARSEST: Final = 3
# Cells that a travelling provider reaches are coarser: a thousand kilometres must fit in few.
REACH_RESOLUTIONS: Final = (4, 3, 2, 1)
REACH_RINGS_MAX: Final = 3
COVER_RINGS_MAX: Final = 3
EARTH_KM: Final = 6371.0088

# Mean edge by resolution, km (H3 documentation, "Cell statistics"). The middles of a cell's
# neighbours are edge x sqrt(3) away on average; cells vary by about a fifth, which the factors
# below allow for.
EDGE_KM: Final = (1281.26, 483.06, 182.51, 68.98, 26.07, 9.85, 3.72, 1.41)

Point = tuple[float, float]


def distance_km(one: Point, other: Point) -> float:
    """Return the great-circle distance of two (latitude, longitude), in degrees (haversine)."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*one, *other))
    a = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(a)))


# An H3 index has its resolution in bits 52 to 55 and three bits for each finer digit, all ones
# where unused (H3 documentation, "Index bit layout"): a parent is two bit operations.
_RESOLUTION_BITS: Final = 0xF << 52


def _parent(cell: int, resolution: int) -> int:
    return (
        (cell & ~_RESOLUTION_BITS) | (resolution << 52) | ((1 << (3 * (15 - resolution))) - 1)
    )


def cell_word(cell: int) -> str:
    """Return the index word of a cell: short, and different for each resolution."""
    return "h:" + f"{cell:x}".rstrip("f")


@lru_cache(maxsize=bounds.SEARCH_CELLS_MAX)
def _read_cell(text: str) -> tuple[int, int] | None:
    try:
        cell: int = h3.str_to_int(text)
    except ValueError:
        return None
    if not h3.is_valid_cell(cell):
        return None
    resolution = h3.get_resolution(cell)
    if resolution > FINEST:
        return _parent(cell, FINEST), FINEST
    return cell, resolution


def _cell_of(place: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the finest indexed cell of a place and its resolution."""
    if "cell" in place:
        return _read_cell(place["cell"])
    if "lat" in place and "lon" in place:
        return h3.latlng_to_cell(place["lat"] / 1e6, place["lon"] / 1e6, FINEST), FINEST
    return None


def point_of(place: Mapping[str, Any]) -> tuple[Point, bool] | None:
    """Return where a place is and whether that is exact; None when it does not say."""
    if "lat" in place and "lon" in place:
        return (place["lat"] / 1e6, place["lon"] / 1e6), True
    found = _cell_of(place)
    if found is None:
        return None
    lat, lon = h3.cell_to_latlng(found[0])
    return (lat, lon), False


def place_words(place: Mapping[str, Any], radius_km: int | None) -> list[str]:
    """Return the index words of a place: its cells, and those that a radius around it reaches."""
    found = _cell_of(place)
    if found is None:
        return []
    cell, resolution = found
    words = list(_cell_words(cell, resolution))
    if radius_km:
        lat, lon = h3.cell_to_latlng(cell)
        words.extend(_reach_words((lat, lon), float(radius_km)))
    return words


@lru_cache(maxsize=bounds.SEARCH_CELLS_MAX)
def _cell_words(cell: int, resolution: int) -> tuple[str, ...]:
    """Return the words of a cell and of those that contain it. People live in the same few."""
    words = [cell_word(cell)]
    for coarser in range(resolution - 1, COARSEST - 1, -1):
        words.append(cell_word(_parent(cell, coarser)))
    return tuple(words)


def _rings(radius_km: float, resolution: int) -> int:
    """Return how many rings around a point's cell certainly cover a radius."""
    edge = EDGE_KM[resolution]
    # k rings reach k x 0.87 of the spacing in a regular grid, from the middle. Cells are up to a
    # third smaller where the grid is bent, a point may lie at its cell's edge, and a fine cell may
    # stick out of the coarse one it counts to.
    return math.ceil(radius_km / (edge * math.sqrt(3) * 0.55) + 0.1)


def _reach_words(point: Point, radius_km: float) -> list[str]:
    for resolution in REACH_RESOLUTIONS:
        rings = _rings(radius_km, resolution)
        if rings <= REACH_RINGS_MAX or resolution == REACH_RESOLUTIONS[-1]:
            cell = h3.latlng_to_cell(*point, resolution)
            rings = min(rings, REACH_RINGS_MAX)
            return ["r" + cell_word(near)[1:] for near in h3.grid_disk(cell, rings)]
    raise AssertionError("the last resolution returns")


def cover_words(point: Point, radius_km: float) -> list[str]:
    """Return the words of cells that together cover a disk: 10 to 50, at most about 100."""
    for resolution in range(FINEST, COARSEST - 1, -1):
        rings = max(1, _rings(radius_km, resolution))
        if rings <= COVER_RINGS_MAX or resolution == COARSEST:
            cell = h3.latlng_to_cell(*point, resolution)
            rings = min(rings, COVER_COARSE_RINGS_MAX if resolution == COARSEST else rings)
            # Corners are left out: a cell reaches its edge's length from its middle, and more where
            # the grid is stretched.
            reach = radius_km + 1.5 * EDGE_KM[resolution]
            return [
                cell_word(near)
                for near in h3.grid_disk(cell, rings)
                if distance_km(point, h3.cell_to_latlng(near)) <= reach
            ]
    raise AssertionError("the coarsest resolution returns")


COVER_COARSE_RINGS_MAX: Final = 7
"""At the coarsest resolution; about 90 cells are left of them for COVER_KM_MAX."""

COVER_KM_MAX: Final = 440.0
"""Beyond this a search is not bound to cells: it is exact on what it finds."""


def reached_words(point: Point) -> list[str]:
    """Return the words under which travelling providers who reach a point are indexed."""
    return [
        "r" + cell_word(h3.latlng_to_cell(*point, resolution))[1:]
        for resolution in REACH_RESOLUTIONS
    ]
