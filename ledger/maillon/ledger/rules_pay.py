"""Pay inside a coop, to another coop, and from the commons (spec/06-accounts.md, "Payments")."""

from __future__ import annotations

from maillon.ledger.context import Context
from maillon.ledger.entries import Intra, Out, Settle
from maillon.ledger.errors import ChannelGap, WrongAccount
from maillon.ledger.limits import AMOUNT_MAX, SEQ_GAP_MAX
from maillon.ledger.orders import COMMONS, Order, PayAction
from maillon.ledger.rules_debit import (
    CREDIT_MAX,
    coop_payable,
    counted,
    move,
    open_account,
    payable,
    receivable,
    sent,
    signer,
    used,
)
from maillon.ledger.signing import ORDER
from maillon.ledger.state import ChainState, Position


def intra(state: ChainState, entry: Intra, context: Context) -> None:
    """Pay an account of the same coop.

    Raises: what `signer` raises for the payer; AccountUnknown, AccountClosed for the payee;
    WrongAccount, UnitUnknown, BadAmount, MandateScope, MandateExhausted, WrongUnit, OverLimit,
    OverMaximum.
    """
    if _plain(state, entry.order, context):
        return
    order = entry.order
    payer = signer(state, order, context)
    action = order.action
    assert type(action) is PayAction
    if action.to_coop != context.chain or action.to_account == payer.id:
        raise WrongAccount(account=action.to_account, coop=action.to_coop)
    payee = open_account(state, action.to_account)
    unit, amount = action.unit, action.amount
    only_counted = counted(unit, amount, context)
    mandate = used(payer, order, unit, amount, context.time) if order.mandate else None
    if only_counted:
        sent(state.own(payer), order, mandate, context.time)
        return
    payable(payer, unit, amount)
    receivable(payee, unit, amount)
    payer = state.own(payer)
    sent(payer, order, mandate, context.time)
    move(payer, unit, -amount)
    move(state.own(payee), unit, amount)


def _plain(state: ChainState, order: Order, context: Context) -> bool:
    """Carry out a payment at which everything is as usual, or change nothing and return False.

    Nearly every entry of a chain is one: to ask all its questions at one place, without a call for
    each, halves what it costs a reader. Whatever is not plain is asked again by `intra`, which
    says what is amiss.
    """
    action = order.action
    payer = state.account(order.account)
    if type(action) is not PayAction or payer is None or order.mandate:
        return False
    payee = state.account(action.to_account)
    if payee is None or payee is payer:
        return False
    unit, amount = action.unit, action.amount
    paid, got = payer.positions.get(unit), payee.positions.get(unit)
    # No account has a position in a unit that only counts, or that the charter does not name.
    if paid is None or got is None:
        return False
    chain = context.chain
    if (
        payer.holds
        or payer.pending
        or payee.expected
        or not payer.open
        or not payee.open
        or order.chain != chain
        or action.to_coop != chain
        or not payer.seq < order.seq <= payer.seq + SEQ_GAP_MAX
        or order.until < context.time
        or order.key not in payer.keys
        or not 1 <= amount <= AMOUNT_MAX
    ):
        return False
    rest, raised = paid.balance - amount, got.balance + amount
    if rest < -paid.limit or raised > got.max or raised > CREDIT_MAX:
        return False
    context.checks.append((order.key, context.prefixes[ORDER] + order.body, order.signature))
    context.places.append(context.index)
    payer = state.own(payer)
    payer.seq = order.seq
    payer.positions[unit] = Position(unit, rest, paid.limit, paid.max)
    state.own(payee).positions[unit] = Position(unit, raised, got.limit, got.max)
    return True


def number(state: ChainState, coop: bytes, n: int) -> None:
    """Return when n is the next number of the channel to a coop. Raises: ChannelGap."""
    expected = state.channel(coop).sent + 1
    if n != expected:
        raise ChannelGap(destination=coop, expected=expected, got=n)


def debit_out(state: ChainState, account: bytes, unit: int, amount: int) -> None:
    """Take an amount that leaves the coop off an account and off the coop's trade balance."""
    move(state.edit(account), unit, -amount)
    trade = state.edit_totals().trade
    trade[unit] = trade.get(unit, 0) - amount


def out(state: ChainState, entry: Out, context: Context) -> None:
    """Pay an account of another coop, as the next message of the channel to it.

    Raises: what `signer` raises; WrongAccount, CoopUnknown, UnitUnknown, BadAmount, MandateScope,
    MandateExhausted, WrongUnit, OverLimit, CoopLimit, ChannelGap.
    """
    order = entry.order
    payer = signer(state, order, context)
    action = order.action
    assert type(action) is PayAction
    if action.to_coop == context.chain:
        raise WrongAccount(account=action.to_account, coop=action.to_coop)
    context.destination(action.to_coop)
    unit, amount = action.unit, action.amount
    only_counted = counted(unit, amount, context)
    mandate = used(payer, order, unit, amount, context.time) if order.mandate else None
    if not only_counted:
        payable(payer, unit, amount)
        coop_payable(state, unit, amount, context)
    number(state, action.to_coop, entry.n)
    sent(state.edit(payer.id), order, mandate, context.time)
    if not only_counted:
        debit_out(state, payer.id, unit, amount)
    state.edit_channel(action.to_coop).sent = entry.n


def settle(state: ChainState, entry: Settle, context: Context) -> None:
    """Pay from the commons, as the coop decided.

    Raises: WrongAccount, AccountUnknown, AccountClosed, CoopUnknown, UnitUnknown, BadAmount,
    WrongUnit, OverLimit, OverMaximum, CoopLimit, ChannelGap.
    """
    here = entry.to_coop == context.chain
    if entry.account != COMMONS or (here and entry.to_account == COMMONS):
        raise WrongAccount(account=entry.account, to_account=entry.to_account)
    commons = open_account(state, COMMONS)
    unit, amount = entry.unit, entry.amount
    if not here:
        context.destination(entry.to_coop)
        only_counted = counted(unit, amount, context)
        if not only_counted:
            payable(commons, unit, amount)
            coop_payable(state, unit, amount, context)
        number(state, entry.to_coop, entry.n)
        if not only_counted:
            debit_out(state, COMMONS, unit, amount)
        state.edit_channel(entry.to_coop).sent = entry.n
        return
    payee = open_account(state, entry.to_account)
    if entry.n:
        raise ChannelGap(destination=entry.to_coop, expected=0, got=entry.n)
    if counted(unit, amount, context):
        return
    payable(commons, unit, amount)
    receivable(payee, unit, amount)
    move(state.edit(COMMONS), unit, -amount)
    move(state.edit(payee.id), unit, amount)
