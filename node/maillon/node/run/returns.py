"""Refuse an offer that asks for what its provider may not be given (spec/08, "Statuses")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from maillon.ledger.units import UnitTable
from maillon.node.i18n import _
from maillon.node.persons.errors import StatusRefused
from maillon.node.persons.ruled import status_of
from maillon.node.persons.statuses import rules_with
from maillon.protocol.statuses import RETURNS, given
from maillon.protocol.view import person_author

if TYPE_CHECKING:
    from maillon.node.run.node import Node


def require_allowed_offer(node: Node, kind: str, fields: Mapping[str, Any], author: bytes) -> None:
    """Return when the author of an offer may be given what it asks for, in every tariff.

    Others refuse nothing: an offer is words, and the terms of an exchange are looked at again.
    Raises: StatusRefused.
    """
    coop, person = author[1:33], author[33:]
    if kind != "offer" or author != person_author(coop, person):
        return
    rules = rules_with(node.config.persons.forbidden)
    # What the coop vouches for, and what the offer says of its provider itself.
    said = (status_of(node.engine.view, node.store, coop, person), fields.get("provider_status"))
    statuses = [status for status in said if isinstance(status, str) and rules.get(status)]
    if not statuses:
        return
    kinds = {unit.code: unit.kind for unit in node.founding.units}
    if node.ledger.runner is not None:
        # The charter may have added some since.
        table = UnitTable(node.ledger.runner.machine.book.charter.latest.units)
        kinds |= {unit.code: unit.kind for unit in table}
    tariffs = cast("Sequence[Mapping[str, Any]]", fields.get("tariffs") or ())
    asked: list[Any] = [fields.get("reciprocity")]
    asked += [tariff.get("reciprocity") for tariff in tariffs]
    for terms in asked:
        if isinstance(terms, Mapping) and "kind" in terms:
            returns = given(cast("Mapping[str, Any]", terms), kinds)
            for status in statuses:
                if returns in rules[status]:
                    raise _refused(status, returns, rules[status])


def _refused(status: str, returns: str, forbidden: frozenset[str]) -> StatusRefused:
    allowed = [name for name in RETURNS if name not in forbidden]
    return StatusRefused(
        _("Somebody with the status {status} may not ask for this in return: {returns}.").format(
            status=status, returns=returns
        ),
        hint=_("Possible are: {kinds}.").format(kinds=", ".join(allowed)),
        status=status,
        kind=returns,
        allowed=allowed,
        field="reciprocity",
    )
