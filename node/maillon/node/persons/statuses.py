"""Apply the rules about providers' statuses to accounts: a volunteer is not paid in money.

The rules are those of the protocol (maillon.protocol.statuses), raised by what the coop adds in
config.toml ([persons.forbidden]).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from maillon.node.i18n import _
from maillon.node.persons.errors import StatusRefused
from maillon.protocol.statuses import RULES, StatusRules, joined

UNIT_KINDS: Final = ("hours", "credit", "count")


def rules_with(forbidden: Mapping[str, Sequence[str]]) -> StatusRules:
    """Return the protocol's rules, raised by what a coop forbids."""
    return joined(RULES, {status: frozenset(kinds) for status, kinds in forbidden.items()})


def payable_kinds(status: str, rules: StatusRules = RULES) -> tuple[str, ...]:
    """Return the kinds of units in which somebody of a status may be paid; all without a rule."""
    return tuple(kind for kind in UNIT_KINDS if kind not in rules.get(status, frozenset()))


def require_payable(status: str, unit_kind: str, rules: StatusRules = RULES) -> None:
    """Return when somebody of a provider's status may be paid in a kind of unit.

    Raises: StatusRefused.
    """
    allowed = payable_kinds(status, rules)
    if unit_kind not in allowed:
        raise StatusRefused(
            _("Somebody with the status {status} is not paid in units of the kind {kind}.").format(
                status=status, kind=unit_kind
            ),
            hint=_("Possible are: {kinds}.").format(kinds=", ".join(allowed) or "–"),
            status=status,
            kind=unit_kind,
            allowed=list(allowed),
        )
