"""Read the test vectors of spec/vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from maillon.protocol import encoding

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "vectors"


def load(file: str) -> Any:
    """Return the content of a vector file."""
    return json.loads((FOLDER / file).read_text("utf-8"))


def cases(file: str, group: str = "vectors") -> list[Any]:
    """Return the pytest parameters of one list in a vector file, each under its own name."""
    import pytest

    return [pytest.param(vector, id=vector["name"]) for vector in load(file)[group]]


def from_json(shown: Any) -> encoding.Value:
    """Return the value that a vector shows: {"$bin": hex} is binary, all else stands for itself."""
    if isinstance(shown, dict):
        fields = cast(Any, shown)
        if set(fields) == {"$bin"}:
            return bytes.fromhex(fields["$bin"])
        return {key: from_json(value) for key, value in fields.items()}
    if isinstance(shown, list):
        items = cast(Any, shown)
        return [from_json(item) for item in items]
    assert isinstance(shown, bool | int | str)
    return shown
