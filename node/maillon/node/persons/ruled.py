"""Keep the rules about providers' statuses where payments are asked for at this node.

The chain knows no statuses: an order that somebody signs elsewhere is theirs. What this node is
asked to pay or to hand on, it refuses to give to somebody whose status forbids it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from maillon.ledger.orders import HoldAction, Order, PayAction
from maillon.node.api import ledger_shapes as shapes
from maillon.node.engine.view import IdentityView
from maillon.node.ledger.desk import Desk
from maillon.node.ledger.host import Host
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.persons.statuses import require_payable, rules_with
from maillon.node.ports import Store
from maillon.protocol.view import person_author

StatusOf = Callable[[bytes, bytes], str]
"""Return the provider's status that a coop vouches for, of a person; empty for none."""


def status_of(view: IdentityView, store: Store, coop: bytes, person: bytes) -> str:
    """Return the status of a person of any coop as its current membership says, or ""."""
    for info in view.keys_of(person_author(coop, person)):
        signed = store.get(info.record) if info.status == "active" else None
        payload = cast("Mapping[str, Any]", (signed and signed.payload) or {})
        if payload.get("provider_status"):
            return str(payload["provider_status"])
    return ""


class RuledDesk(Desk):
    """The desk of the accounts, which pays nobody what their status forbids."""

    def __init__(
        self,
        host: Host,
        runner: LedgerRunner,
        founding_file: Callable[[], bytes],
        status: StatusOf,
        forbidden: Mapping[str, Sequence[str]],
    ) -> None:
        super().__init__(host, runner, founding_file)
        self._status = status
        self._rules = rules_with(forbidden)

    def _require(self, coop: bytes, account: bytes, unit: int) -> None:
        kind = self.asking.units.unit(unit).kind
        require_payable(self._status(coop, account), kind, self._rules)

    async def transfer(self, request: shapes.TransferRequest) -> shapes.Placed:
        """Pay, or reserve. Raises: StatusRefused, and what the desk raises."""
        wanted = self.asking.wanted(request)
        self._require(wanted.to.coop, wanted.to.account, wanted.unit)
        return await super().transfer(request)

    def look(self, orders: Sequence[Order]) -> None:
        """Look at orders before any is taken in. Raises: StatusRefused."""
        units = len(self.asking.units)
        paid = {
            (action.to_coop, action.to_account, action.unit): None
            for action in (order.action for order in orders)
            if isinstance(action, PayAction | HoldAction) and action.unit < units
        }
        for payee in paid:
            self._require(*payee)
