"""Ids as parts of the paths of the local interface."""

from __future__ import annotations

from urllib.parse import quote

from maillon.node.cli import base
from maillon.node.i18n import _


def path_part(text: str) -> str:
    """Return an id as a part of a path. Raises: LocalError for one that names nothing."""
    text = text.strip().rstrip("…")
    if not text:
        raise base.problem(
            "usage", _("The id is empty."), _("Give its first 8 characters or more.")
        )
    return quote(text, safe="")
