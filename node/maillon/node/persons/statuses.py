"""Rules that depend on a provider's status: a volunteer is not paid in money.

What counts as money is the coop's to say (config.toml, [persons] payable): by default a volunteer
may be given hours and counted exchanges, and nothing of a local credit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from maillon.node.i18n import _
from maillon.node.persons.errors import StatusRefused

UNIT_KINDS: Final = ("hours", "credit", "count")
USUALLY: Final[Mapping[str, Sequence[str]]] = {"volunteer": ("hours", "count")}


def payable_kinds(status: str, rules: Mapping[str, Sequence[str]] = USUALLY) -> tuple[str, ...]:
    """Return the kinds of units in which somebody of a status may be paid; all without a rule."""
    allowed = rules.get(status)
    return UNIT_KINDS if allowed is None else tuple(k for k in UNIT_KINDS if k in allowed)


def require_payable(
    status: str, unit_kind: str, rules: Mapping[str, Sequence[str]] = USUALLY
) -> None:
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
