"""The names of categories: those of the open reference list, and what coops call theirs."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from maillon.node.api.service import ListOptions, Service

CATEGORIES_MAX = 1_000
"""Categories of coops that pages know by name; the command line shows all of them."""


@cache
def shipped() -> dict[str, str]:
    """Return code to label of the reference list of data·inclusion (in French)."""
    data = files("maillon.node.data").joinpath("data-inclusion-thematiques.json").read_bytes()
    found: Any = json.loads(data)
    return {str(row["value"]): str(row["label"]) for row in found}


def labels(service: Service, language: str) -> dict[str, str]:
    """Return code to label of every category known here, in a language where there is one."""
    named = dict(shipped())
    for record in service.records(ListOptions(kinds=("category",), limit=CATEGORIES_MAX)).records:
        payload = record.payload or {}
        said: dict[str, str] = payload.get("labels", {})
        label = said.get(language) or said.get("fr") or next(iter(said.values()), "")
        if label:
            named[str(payload["code"])] = label
    return named
