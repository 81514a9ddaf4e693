"""What the accounts can tell and do for persons: names, amounts, tries, orders, entries."""

from __future__ import annotations

from maillon.ledger.context import Context
from maillon.ledger.entries import Close, Intra, Member, Open, Out, Recover
from maillon.ledger.entries import Entry as LedgerEntry
from maillon.ledger.errors import NoLedger
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.orders import KeysAction, Order, PayAction
from maillon.ledger.rules import apply_entry
from maillon.ledger.state import Account
from maillon.node.api import ledger_shapes
from maillon.node.ledger.asking import Asking, KeyElsewhere, Place
from maillon.node.ledger.index import Line, TransferRow
from maillon.node.ledger.machine import Machine
from maillon.node.ledger.outcomes import Outcomes
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.ledger.showing import Showing
from maillon.node.persons.host import PersonsHost
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SigningKey


class Accounts:
    """The ledger of the node, as the parts about persons use it. Raises: NoLedger without one."""

    def __init__(self, host: PersonsHost) -> None:
        self._host = host

    @property
    def kept(self) -> bool:
        """Tell whether the federation keeps accounts."""
        return self._host.runner is not None

    @property
    def runner(self) -> LedgerRunner:
        """Return what runs the ledger."""
        if self._host.runner is None:
            raise NoLedger()
        return self._host.runner

    @property
    def machine(self) -> Machine:
        """Return what decides; it may be made anew, so it is looked up each time."""
        return self.runner.machine

    @property
    def asking(self) -> Asking:
        """Return what resolves names and signs."""
        return Asking(self._host, self.machine)

    @property
    def showing(self) -> Showing:
        """Return what shows amounts by the present charter."""
        machine = self.machine
        showing = Showing(self._host, machine.index, machine.book.hash_at)
        showing.use(machine.book.charter.latest)
        return showing

    @property
    def outcomes(self) -> Outcomes:
        """Return what asks the chain, and waits."""
        return Outcomes(self._host, self.runner, self.showing)

    # --- looking --------------------------------------------------------------------------------

    def account(self, id: bytes) -> Account | None:
        """Return an account of this coop, open or closed, or None."""
        if not self.kept:
            return None
        return self.machine.book.state(self._host.coop).account(id)

    def of(self, coop: bytes, id: bytes) -> Account | None:
        """Return an account of any coop as far as is known here, or None."""
        book = self.machine.book
        return book.state(coop).account(id) if coop in book.chains() else None

    def unit_kind(self, unit: int) -> str:
        """Return hours, credit or count. Raises: UnitUnknown."""
        return self.asking.units.unit(unit).kind

    def transfer(self, id: bytes) -> TransferRow | None:
        """Return a certified transfer."""
        return self.machine.index.transfer(id)

    def lines(self, account: bytes, *, limit: int) -> list[Line]:
        """Return the last lines of an account's statement, the newest first."""
        found: list[Line] = []
        for line in self.machine.index.lines(self._host.coop, account, reverse=True):
            found.append(line)
            if len(found) >= limit:
                break
        return found

    def try_order(self, order: Order) -> None:
        """Return when an order would be carried out as things stand. Raises: what refuses it."""
        book, chain = self.machine.book, self._host.coop
        now = max(self._host.time(), book.head(chain).time)
        charter = book.charter_state(book.governing(chain))
        context = Context(book.fed, chain, charter, now, {})
        state = book.state(chain).fork()
        action = order.action
        entry: LedgerEntry = Intra(order)
        if not isinstance(action, PayAction):
            entry = Member(order)
        elif action.to_coop != chain:
            to = Place(action.to_coop, action.to_account)
            self.asking.require_welcome(to, action.unit, action.amount)
            entry = Out(order, state.channel(action.to_coop).sent + 1)
        try:
            apply_entry(state, entry, context)
        except MaillonError as fault:
            fault.facts = self.showing.facts(fault.facts)
            raise

    # --- asking ---------------------------------------------------------------------------------

    def next_seq(self, account: Account) -> int:
        """Return the next number of an account's orders."""
        return self.machine.queue.next_seq(account)

    def held_key(self, account: Account) -> SigningKey | None:
        """Return a key of an account that the node holds, or None."""
        try:
            return self.asking.key_for(account)
        except KeyElsewhere:
            return None

    async def order(self, order: Order, wait_s: float) -> ledger_shapes.Placed:
        """Ask an order; the very same order asked again is one."""
        return await self.outcomes.order(order, wait_s)

    async def entry(
        self, entry: LedgerEntry, account: bytes, wait_s: float
    ) -> ledger_shapes.Placed:
        """Ask an entry of the coop's own."""
        return await self.outcomes.entry(entry, wait_s, account=account)

    async def open(
        self, account: bytes, kind: int, key: bytes, limits: dict[int, int], wait_s: float
    ) -> ledger_shapes.Placed:
        """Open an account in every unit with balances, with a credit limit by unit."""
        positions = tuple(
            (unit, limits.get(unit, 0), most) for unit, _limit, most in self.asking.positions([])
        )
        return await self.entry(Open(account, kind, key, positions), account, wait_s)

    async def close(self, account: bytes, wait_s: float) -> ledger_shapes.Placed:
        """Close an account."""
        return await self.entry(Close(account), account, wait_s)

    async def recover(self, account: bytes, key: bytes, wait_s: float) -> ledger_shapes.Placed:
        """Vouch for a new key of an account; it counts after the charter's wait."""
        return await self.entry(Recover(account, key), account, wait_s)

    async def change_keys(
        self, account: Account, add: bytes, drop: bytes, wait_s: float
    ) -> ledger_shapes.Placed:
        """Add or drop a key, signed by one that the node holds. Raises: KeyElsewhere."""
        asking = self.asking
        order = asking.sign(account, KeysAction(add, drop), asking.key_for(account))
        return await self.order(order, wait_s)

    def no_maximum(self, maximum: int) -> bool:
        """Tell whether a maximum is none."""
        return maximum >= BALANCE_MAX
