"""Settings for all tests."""

import functools
import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time: a red test is red for everybody, and no test is judged by the clock.
settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
# New examples each time, more of them; a failure prints what reproduces it.
settings.register_profile("explore", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("MAILLON_EXPLORE") else "house")

# What simulates, or starts real nodes, takes minutes a file; the others take seconds.
_SIMULATES = "simulation"
_STARTS_NODES = ("TestNode", "support.nodes", "support.exchanging", "start_all", "kill_cycles")


@functools.cache
def _rank(path: Path) -> int:
    if _SIMULATES in path.parts:
        return 0
    text = path.read_text(encoding="utf-8")
    return 1 if any(name in text for name in _STARTS_NODES) else 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: the last one of a run leaves the other cores idle."""
    items.sort(key=lambda item: _rank(item.path))
