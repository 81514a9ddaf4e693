"""The cell that stands for a home: never the point itself (spec/03, "Places").

A fixed cell resists averaging; a point drawn anew each time within some distance does not.
"""

from __future__ import annotations

from typing import Any, Final, cast

HOME_CELL_RESOLUTION: Final = 7
"""Of the H3 grid: about 5 km²."""


def home_cell(latitude: float, longitude: float) -> str:
    """Return the cell around a point in degrees, as records write it."""
    import h3  # type: ignore[import-untyped]  # h3 ships no types, and is slow to load

    grid = cast("Any", h3)
    return str(grid.latlng_to_cell(latitude, longitude, HOME_CELL_RESOLUTION))
