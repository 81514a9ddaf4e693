"""Say what a provider of some status may be given in return (spec/08-community, "Statuses").

A volunteer is not paid in money. What else a community forbids is its own to say: the rules are an
argument, the ones here a floor that a charter can only raise (`joined`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from maillon.protocol.errors import NotAllowed

RETURNS: Final = ("hours", "credit", "count", "count_only", "gift", "free", "outside")
"""What terms give in return: an amount of a unit, by the unit's kind in the founding document
(hours, credit, count), or one of the other kinds of return; `outside` is money."""

StatusRules = Mapping[str, frozenset[str]]
"""Status of a provider -> what it must not be given."""

RULES: Final[StatusRules] = {
    "volunteer": frozenset({"credit", "outside"}),
}
"""A volunteer is not paid in money, and a local credit buys what money buys."""


def joined(*rules: StatusRules) -> dict[str, frozenset[str]]:
    """Return rules that forbid whatever one of several forbids."""
    whole: dict[str, frozenset[str]] = {}
    for each in rules:
        for status, forbidden in each.items():
            whole[status] = whole.get(status, frozenset()) | forbidden
    return whole


def given(terms: Mapping[str, Any], unit_kinds: Mapping[str, str]) -> str:
    """Return what terms (or a reciprocity) give, as one of `RETURNS`.

    `unit_kinds` says the kind of each unit of the founding document. An auction gives its unit. A
    unit that is not known counts as credit, which more rules forbid than hours.
    """
    kind: str = terms["kind"]
    if kind in ("amount", "auction"):
        return unit_kinds.get(terms.get("unit", ""), "credit")
    return kind


def require_allowed(
    terms: Mapping[str, Any],
    status: str | None,
    unit_kinds: Mapping[str, str],
    rules: StatusRules = RULES,
) -> None:
    """Refuse terms that a provider of this status may not be given; None: of no status.

    Raises: NotAllowed with rule `status`, `status` and `returns`.
    """
    returns = given(terms, unit_kinds)
    if status is not None and returns in rules.get(status, frozenset()):
        raise NotAllowed(
            f"A provider with the status {status} is not given that in return: {returns}.",
            rule="status",
            status=status,
            returns=returns,
        )
