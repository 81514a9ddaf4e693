"""Search for a request of the local interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maillon.node.api import shapes
from maillon.node.api.service import SearchOptions

if TYPE_CHECKING:
    from maillon.node.run.node import Node


def search(node: Node, options: SearchOptions) -> shapes.Hits:
    """Return what fits, best first."""
    raise NotImplementedError
