"""Open data that ships with the node; README.md names source, date and licence of each file."""

from __future__ import annotations

import gzip
from importlib.resources import files


def france_services() -> bytes:
    """Return the published list of France services places of 2024-08-01, a CSV file."""
    name = "france-services-2024-08-01.csv.gz"
    return gzip.decompress((files("maillon.node.data") / name).read_bytes())
