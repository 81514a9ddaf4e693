"""Give one order for one thing once, whatever breaks in between.

It is named by a `ref`, which of a payment stands in the order and on the chain. The signed order is
durable in persons.db before the ledger is asked, and whoever asks for the same thing again asks for
the very same order: its id is that of its bytes, so asking twice is asking once.

The order of a ref is replaced by another one only when both can never be carried out: either the
new one has the same number of the same account, of which the chain carries out one, or the chain
shows that the old one is dead (a number that has passed, or a last second that has). So it does not
matter who else has seen the old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from maillon.ledger.orders import Action, Order, PayAction, decode_order, sign_order
from maillon.node.api import ledger_shapes
from maillon.node.ledger import bounds as ledger_bounds
from maillon.node.persons import bounds
from maillon.node.persons.accounts import Accounts
from maillon.node.persons.errors import NotPossible, PaidOtherwise
from maillon.node.persons.host import PersonsHost
from maillon.node.persons.storage import PersonsDisk, Row
from maillon.protocol.errors import MaillonError
from maillon.protocol.keys import SigningKey

ASKED: Final = "asked"
CERTIFIED: Final = "certified"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a ref is to order: of which account, signed by which key, under which mandate.

    The ref of a payment stands in it; that of another order is a name for it here alone.
    """

    what: str
    account: bytes
    action: Action
    key: SigningKey
    mandate: bytes = b""


class Payments:
    """The payments that must happen once."""

    def __init__(self, host: PersonsHost, disk: PersonsDisk, accounts: Accounts) -> None:
        self._host = host
        self._disk = disk
        self._accounts = accounts

    def row(self, ref: bytes) -> Row | None:
        """Return what is kept of a ref."""
        return self._disk.row("SELECT * FROM payment WHERE ref = ?", ref)

    def known(self, ref: bytes, account: bytes) -> Order | None:
        """Return the order of a ref that was asked or is certified, from here or from the chain.

        What the chain shows counts even when this file knows nothing, because it was restored from
        an older copy.
        """
        row = self.row(ref)
        if row is not None:
            return decode_order(row["bytes"])
        for item in self._accounts.machine.queue:
            wish = item.wish
            if isinstance(wish, Order) and _ref(wish) == ref and item.state != "refused":
                self._keep(ref, "", wish, ASKED)
                return wish
        return None

    def on_chain(self, ref: bytes, account: bytes) -> bytes | None:
        """Return the id of the certified payment with a ref out of an account, or None."""
        row = self.row(ref)
        if row is not None and self._accounts.transfer(row["id"]) is not None:
            return cast("bytes", row["id"])
        for line in self._accounts.lines(account, limit=bounds.LINES_SEARCHED_MAX):
            if line.ref == ref and line.amount < 0:
                return line.id
        return None

    def prepare(self, ref: bytes, wanted: Wanted) -> Order:
        """Return the order that pays a ref, durable; the one there is when it fits.

        Raises: NotPossible when another order of this ref may still be carried out.
        """
        known = self.known(ref, wanted.account)
        if known is not None and _same(known, wanted) and not self._dead(known):
            if self.refused(ref) is not None:
                # Asked again it would only wait to be refused again: that is told now.
                self._accounts.try_order(known)
            return known
        account = self._accounts.asking.account(wanted.account.hex())
        seq = self._accounts.next_seq(account)
        if known is not None and not self._dead(known):
            item = self._accounts.machine.queue.get(known.id(self._accounts.machine.fed))
            if item is not None and item.state != "refused":
                raise NotPossible("Another payment of the same is under way.", ref=ref)
            # The old one may be in somebody's hands: with its number only one of the two counts.
            seq = known.seq
        order = self._sign(wanted, seq)
        # Before anything is durable: what would be refused now is told now.
        self._accounts.try_order(order)
        self._keep(ref, wanted.what, order, ASKED)
        return order

    def _sign(self, wanted: Wanted, seq: int) -> Order:
        return sign_order(
            wanted.key,
            self._accounts.machine.fed,
            wanted.account,
            seq,
            self._host.coop,
            self._host.time() + ledger_bounds.ORDER_LIFETIME_S,
            wanted.action,
            mandate=wanted.mandate,
        )

    def _keep(self, ref: bytes, what: str, order: Order, status: str) -> None:
        self._disk.run(
            "INSERT OR REPLACE INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ref,
            what,
            order.account,
            order.encode(),
            order.id(self._accounts.machine.fed),
            order.seq,
            status,
            self._host.time(),
        )

    def _dead(self, order: Order) -> bool:
        """Tell whether the chain will never carry an order out, and has not."""
        machine = self._accounts.machine
        if self._certain(order):
            return False
        if machine.reading.behind(order.chain):
            return False  # it may stand in what was not read yet
        account = machine.book.state(order.chain).account(order.account)
        if account is None or not account.open or account.seq >= order.seq:
            return True
        return machine.book.head(order.chain).time > order.until

    def _certain(self, order: Order) -> bool:
        """Tell whether the chain has carried an order out."""
        machine = self._accounts.machine
        if isinstance(order.action, PayAction):
            return machine.index.transfer(order.id(machine.fed)) is not None
        row = self._disk.row("SELECT status FROM payment WHERE id = ?", order.id(machine.fed))
        return row is not None and row["status"] == CERTIFIED

    async def pay(self, ref: bytes, wanted: Wanted, wait_s: float) -> ledger_shapes.Placed:
        """Pay a ref once; tell what became of it.

        Raises: what refuses the order before it is asked, nothing is kept then; PaidOtherwise when
        an earlier order of this ref was carried out instead.
        """
        row = self.row(ref)
        if row is not None and row["status"] == CERTIFIED:
            placed = self._told(row["id"], decode_order(row["bytes"]))
            placed.repeated = True
            return placed
        if row is None and isinstance(wanted.action, PayAction):
            paid = self.on_chain(ref, wanted.account)
            if paid is not None:
                # This file is older than the payment: it is not made a second time.
                return self._paid(paid, wanted.account)
        tries = 0
        while True:
            order = self.prepare(ref, wanted)
            placed = await self._accounts.order(order, wait_s)
            tries += 1
            dead = placed.status == "refused" and self._dead(order)
            if not dead or tries >= bounds.PAYMENT_TRIES_MAX:
                break
            if isinstance(wanted.action, PayAction) and self.on_chain(ref, wanted.account):
                # The number went to an earlier order of this very ref, which somebody still had.
                raise PaidOtherwise("Another payment of the same was carried out.", ref=ref)
        if placed.status == "certified":
            self._certified(ref)
        return placed

    async def again(self, ref: bytes, wait_s: float) -> ledger_shapes.Placed | None:
        """Ask the order of a ref again as it is; None when there is none."""
        row = self.row(ref)
        if row is None:
            return None
        order = decode_order(row["bytes"])
        id = order.id(self._accounts.machine.fed)
        if self._certain(order):
            self._certified(ref)
            placed = self._told(id, order)
        else:
            placed = await self._accounts.order(order, wait_s)
            if placed.status == "certified":
                self._certified(ref)
        placed.repeated = True
        return placed

    def _told(self, id: bytes, order: Order) -> ledger_shapes.Placed:
        return self._paid(id, order.account, repeated=False)

    def _paid(
        self, id: bytes, account: bytes, *, repeated: bool = True
    ) -> ledger_shapes.Placed:
        row = self._accounts.transfer(id)
        block = None if row is None else self._accounts.showing.block(row.place)
        placed = ledger_shapes.Placed(id.hex(), "certified", account.hex(), block)
        placed.repeated = repeated
        return placed

    def _certified(self, ref: bytes) -> None:
        self._disk.run("UPDATE payment SET status = ? WHERE ref = ?", CERTIFIED, ref)

    def refused(self, ref: bytes) -> MaillonError | None:
        """Return why the order of a ref was refused for good, or None while it may still count."""
        row = self.row(ref)
        if row is None:
            return None
        item = self._accounts.machine.queue.get(row["id"])
        if item is not None and item.state == "refused":
            return NotPossible(item.detail, reason=item.reason, **item.facts)
        return None

    def waiting(self) -> list[Row]:
        """Return the payments that were asked and are not certain yet."""
        return self._disk.rows("SELECT * FROM payment WHERE status = ?", ASKED)


def _ref(order: Order) -> bytes:
    return order.action.ref if isinstance(order.action, PayAction) else b""


def _same(order: Order, wanted: Wanted) -> bool:
    return (
        order.account == wanted.account
        and order.action == wanted.action
        and order.key == wanted.key.public
        and order.mandate == wanted.mandate
    )
