"""Show accounts, transfers and statements as the local interface gives them: amounts in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maillon.ledger.charter_state import CharterState
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.orders import COMMONS, HoldAction, Order, PayAction
from maillon.ledger.state import Account, ChainState
from maillon.ledger.units import UnitTable
from maillon.node.api import ledger_shapes as shapes
from maillon.node.ledger.arrivals import ARRIVED, ON_ITS_WAY, sentence_of
from maillon.node.ledger.arrivals import RETURNED as SENT_BACK
from maillon.node.ledger.host import Host
from maillon.node.ledger.index import (
    HELD,
    RETURNED,
    STATUS_NAMES,
    VOID,
    Index,
    Line,
    Place,
    TransferRow,
)
from maillon.node.ledger.queue import Queued
from maillon.protocol.errors import MaillonError

KINDS = ("person", "organisation", "group", "commons")

# Facts of a refusal that are amounts of the unit `unit`.
AMOUNT_FACTS = frozenset(
    "amount balance held limit available max expected room allowed used got lowest highest".split()
)


class Showing:
    """Turn what the ledger knows into shapes. `hash_at` gives a block's hash by chain, height."""

    def __init__(self, host: Host, index: Index, hash_at: Any) -> None:
        self._host = host
        self._index = index
        self._hash_at = hash_at
        self.charter: CharterState | None = None
        self.units = UnitTable(())

    def use(self, charter: CharterState) -> None:
        """Show by this charter from now on."""
        self.charter = charter
        self.units = UnitTable(charter.units)

    # --- names ----------------------------------------------------------------------------------

    def coop_name(self, coop: bytes) -> str:
        """Return the name of a coop: of its profile, else of the charter."""
        name = self._host.coop_name(coop)
        known = self.charter.coops.get(coop) if self.charter is not None else None
        if known is not None and (not name or name == coop.hex()[: len(name)]):
            return known.name
        return name

    def name(self, coop: bytes, account: bytes) -> str:
        """Return whose account it is, when the private register of this node knows it."""
        if account == COMMONS:
            return self.coop_name(coop)
        return self._host.register.name_of(account) if coop == self._host.coop else ""

    def text(self, unit: int, amount: int) -> str:
        """Return an amount in the way of its unit."""
        try:
            return self.units.format(unit, amount)
        except MaillonError:
            return str(amount)

    def code(self, unit: int) -> str:
        """Return the code of a unit."""
        try:
            return self.units.unit(unit).code
        except MaillonError:
            return str(unit)

    def facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the facts of a refusal as JSON carries them, amounts as text beside the number."""
        shown: dict[str, Any] = {}
        unit = facts.get("unit")
        for name, value in facts.items():
            shown[name] = value.hex() if isinstance(value, bytes) else value
            if name in AMOUNT_FACTS and type(unit) is int and type(value) is int:
                shown[f"{name}_text"] = self.text(unit, value)
        if type(unit) is int:
            shown["code"] = self.code(unit)
        return shown

    # --- accounts -------------------------------------------------------------------------------

    def account(self, coop: bytes, account: Account, unit: int | None = None) -> shapes.Account:
        """Return an account, in one unit or in all it has."""
        return shapes.Account(
            account=account.id.hex(),
            coop=coop.hex(),
            coop_name=self.coop_name(coop),
            kind=KINDS[account.kind],
            name=self.name(coop, account.id),
            open=bool(account.open),
            keys=[key.hex() for key in account.keys],
            seq=account.seq,
            positions=[
                self._position(account, place, position.limit, position.max)
                for place, position in sorted(account.positions.items())
                if unit in (None, place)
            ],
            pending_keys=[{"key": key.hex(), "from": start} for key, start in account.pending],
            mandates=[
                {
                    "mandate": mandate.id.hex(),
                    "key": mandate.key.hex(),
                    "start": mandate.start,
                    "end": mandate.end,
                    "period_s": mandate.period_s,
                    "allowances": [
                        {
                            "unit": self.code(place),
                            "amount": allowed,
                            "text": self.text(place, allowed),
                            "used": dict(mandate.used).get(place, 0),
                            "used_text": self.text(place, dict(mandate.used).get(place, 0)),
                        }
                        for place, allowed in mandate.allowed
                    ],
                }
                for mandate in account.mandates.values()
            ],
        )

    def _position(self, account: Account, unit: int, limit: int, maximum: int) -> shapes.Position:
        balance = account.positions[unit].balance
        held = account.held(unit)
        # What the rows say, below zero too after a limit was lowered.
        available = balance - held + limit
        return shapes.Position(
            unit=unit,
            code=self.code(unit),
            balance=balance,
            held=held,
            available=available,
            limit=limit,
            max=None if maximum >= BALANCE_MAX else maximum,
            text=self.text(unit, balance),
            held_text=self.text(unit, held),
            available_text=self.text(unit, available),
            limit_text=self.text(unit, limit),
            max_text="" if maximum >= BALANCE_MAX else self.text(unit, maximum),
        )

    def trade(self, state: ChainState) -> list[shapes.Balance]:
        """Return a coop's trade balance in every unit that has balances."""
        return [
            self.balance(place, state.totals.trade.get(place, 0))
            for place, unit in enumerate(self.units)
            if unit.kind != "count"
        ]

    def kept(self, unit: int) -> bool:
        """Tell whether accounts have a balance in a unit: not in one that only counts."""
        return unit >= len(self.units) or self.units.unit(unit).kind != "count"

    def balance(self, unit: int, amount: int) -> shapes.Balance:
        """Return an amount with its unit."""
        return shapes.Balance(unit, self.code(unit), amount, self.text(unit, amount))

    # --- places and lines -----------------------------------------------------------------------

    def block(self, place: Place | None) -> shapes.BlockRef | None:
        """Return where something stands."""
        if place is None:
            return None
        found: bytes = self._hash_at(place.chain, place.h) or b""
        return shapes.BlockRef(place.chain.hex(), place.h, found.hex(), place.time, place.index)

    def line(self, coop: bytes, line: Line) -> shapes.StatementLine:
        """Return a line of a statement."""
        amount = line.amount or line.reserved
        block = self.block(line.place)
        assert block is not None
        kind, status = line.kind, "certified"
        known = self._index.transfer(line.id)
        if kind == "hold":
            status = STATUS_NAMES[HELD if known is None else known.status]
        elif kind == "void":
            status = STATUS_NAMES[VOID]
        elif known is not None and kind != "return" and line.amount < 0:
            status = STATUS_NAMES[known.status]
        return shapes.StatementLine(
            at=line.place.time,
            block=block,
            id=line.id.hex(),
            direction="in" if line.amount > 0 or (kind == "void") else "out",
            kind=kind,
            counterpart_coop=line.counterpart_coop.hex(),
            counterpart_coop_name=self.coop_name(line.counterpart_coop),
            counterpart=line.counterpart.hex(),
            counterpart_name=self.name(line.counterpart_coop, line.counterpart),
            unit=line.unit,
            code=self.code(line.unit),
            amount=amount,
            text=self.text(line.unit, amount),
            balance=line.balance if self.kept(line.unit) else None,
            balance_text=self.text(line.unit, line.balance) if self.kept(line.unit) else "",
            status=status,
            memo=self._host.register.memo(line.ref),
            category=line.category,
        )

    # --- transfers ------------------------------------------------------------------------------

    def arrival(self, row: TransferRow) -> str:
        """Return how far a transfer came at the other coop; empty when it goes to none."""
        if row.to_coop == row.coop or row.status in (HELD, VOID):
            return ""
        if row.status == RETURNED:
            return SENT_BACK
        return ON_ITS_WAY if row.arrived is None else ARRIVED

    def transfer(self, row: TransferRow) -> shapes.Transfer:
        """Return a certified transfer."""
        hold: dict[str, Any] | None = None
        if row.expiry:
            hold = {
                "expiry": row.expiry,
                "payee_key": row.payee_key.hex(),
                "arbiter": row.arbiter.hex() or None,
                "hashlock": row.hashlock.hex() or None,
                "ended": None if row.ended is None else row.ended.time,
            }
        return shapes.Transfer(
            id=row.id.hex(),
            status=STATUS_NAMES[row.status],
            coop=row.coop.hex(),
            coop_name=self.coop_name(row.coop),
            account=row.account.hex(),
            name=self.name(row.coop, row.account),
            to_coop=row.to_coop.hex(),
            to_coop_name=self.coop_name(row.to_coop),
            to_account=row.to_account.hex(),
            to_name=self.name(row.to_coop, row.to_account),
            unit=row.unit,
            code=self.code(row.unit),
            amount=row.amount,
            text=self.text(row.unit, row.amount),
            category=row.category,
            memo=self._host.register.memo(row.ref),
            given_at=row.place.time,
            until=0,
            block=self.block(row.place),
            arrived=self.block(row.arrived),
            hold=hold,
            reason=row.why,
            detail=sentence_of(row.why),
            facts=self.facts(row.facts),
            arrival=self.arrival(row),
            back=self.block(row.back),
        )

    def queued(self, item: Queued) -> shapes.Transfer | None:
        """Return an order that is not certified; None for what is no transfer."""
        if not isinstance(item.wish, Order):
            return None
        order, action = item.wish, item.wish.action
        if not isinstance(action, PayAction | HoldAction):
            return None
        hold: dict[str, Any] | None = None
        if isinstance(action, HoldAction):
            hold = {
                "expiry": action.expiry,
                "payee_key": action.payee_key.hex(),
                "arbiter": action.arbiter.hex() or None,
                "hashlock": action.hashlock.hex() or None,
                "ended": None,
            }
        return shapes.Transfer(
            id=item.id.hex(),
            status=item.state,
            coop=order.chain.hex(),
            coop_name=self.coop_name(order.chain),
            account=order.account.hex(),
            name=self.name(order.chain, order.account),
            to_coop=action.to_coop.hex(),
            to_coop_name=self.coop_name(action.to_coop),
            to_account=action.to_account.hex(),
            to_name=self.name(action.to_coop, action.to_account),
            unit=action.unit,
            code=self.code(action.unit),
            amount=action.amount,
            text=self.text(action.unit, action.amount),
            category=action.category,
            memo=self._host.register.memo(action.ref),
            given_at=item.given_at,
            until=order.until,
            block=None,
            arrived=None,
            hold=hold,
            reason=item.reason,
            detail=item.detail,
            facts=self.facts(item.facts),
        )
