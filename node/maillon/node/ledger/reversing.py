"""Undo a transfer by one the other way, once: a second time only when that is meant."""

from __future__ import annotations

from collections.abc import Iterator

from maillon.ledger.entries import Settle
from maillon.ledger.orders import COMMONS, Order, PayAction
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger.asking import Asking, AskingError, Place
from maillon.node.ledger.index import HELD, RETURNED, VOID, TransferRow, number
from maillon.node.ledger.machine import Machine
from maillon.node.ledger.showing import Showing


class AlreadyReversed(AskingError):
    """Something of the transfer was sent back before. Facts: first, amount, of the first."""

    code = "already_reversed"


def reversal(
    machine: Machine,
    asking: Asking,
    showing: Showing,
    coop: bytes,
    row: TransferRow,
    request: shapes.ReverseRequest,
) -> Order | Settle:
    """Return what sends a transfer back, signed by who received it at this coop.

    Raises: AlreadyReversed, AskingError; what `Asking.require_welcome` and signing raise.
    """
    if row.status in (HELD, VOID):
        raise AskingError(_("Only what is certain can be sent back."))
    if row.to_coop != coop:
        raise AskingError(
            _("Who received it sends it back: an account of {coop}.").format(
                coop=showing.coop_name(row.to_coop)
            )
        )
    if row.status == RETURNED:
        raise AskingError(_("It came back by itself; there is nothing to undo."))
    if row.coop != coop and row.arrived is None:
        raise AskingError(
            _("It has not arrived yet; only what was received can be sent back."),
            hint=_("Try again in a moment."),
        )
    for first, given in _sent_back(machine, coop, row):
        if request.again:
            break
        raise AlreadyReversed(
            _("{amount} of it was sent back already, by {id}.").format(
                amount=showing.text(row.unit, given), id=first.hex()[:16]
            ),
            hint=_("If more is to go back, say so: maillon transfer reverse {id} --again").format(
                id=row.id.hex()[:16]
            ),
            first=first,
            amount=given,
            amount_text=showing.text(row.unit, given),
        )
    payer = asking.account(row.to_account.hex())
    amount = row.amount
    if request.amount is not None:
        amount = asking.amount(row.unit, request.amount)
        if amount > row.amount:
            raise AskingError(
                _("Only {amount} was given; more cannot be undone.").format(
                    amount=showing.text(row.unit, row.amount)
                ),
                hint=_("What goes beyond it is a transfer of its own: maillon transfer"),
            )
    asking.require_welcome(Place(row.coop, row.account), row.unit, amount)
    if request.memo:
        asking.memo(request.memo)
    # The reference of what is sent back is the first transfer's id: the two belong together.
    if payer.id == COMMONS:
        return Settle(COMMONS, row.unit, amount, row.coop, row.account, row.id, 1)
    action = PayAction(row.coop, row.account, row.unit, amount, row.id)
    return asking.sign(payer, action, asking.key_for(payer))


def _sent_back(machine: Machine, coop: bytes, row: TransferRow) -> Iterator[tuple[bytes, int]]:
    """Yield id and amount of what refers to a transfer and gives it back, or waits to."""
    received = row.arrived or row.ended or row.place
    start = coop + row.to_account + number(received.h)
    for line in machine.index.lines(coop, row.to_account, after=start):
        if line.ref == row.id and line.amount < 0:
            known = machine.index.transfer(line.id)
            if known is None or known.status != RETURNED:
                yield line.id, -line.amount
    for item in machine.queue.waiting():
        wish = item.wish
        if isinstance(wish, Settle):
            if wish.ref == row.id and row.to_account == COMMONS:
                yield item.id, wish.amount
        elif isinstance(wish, Order) and wish.account == row.to_account:
            action = wish.action
            if isinstance(action, PayAction) and action.ref == row.id:
                yield item.id, action.amount
