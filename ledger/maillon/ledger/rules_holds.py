"""Reserve an amount, then pay it or give it back, once (spec/06-accounts.md, "Holds")."""

from __future__ import annotations

from maillon.ledger.context import Context
from maillon.ledger.entries import (
    Confirmation,
    KeyConfirmation,
    Post,
    PreimageConfirmation,
    Void,
    hold_body,
)
from maillon.ledger.entries import Hold as HoldEntry
from maillon.ledger.errors import (
    BadConfirmation,
    BadEvidence,
    ChannelGap,
    HoldExists,
    HoldOpen,
    HoldUnknown,
    OrderExpired,
    TooMany,
    WrongAccount,
    WrongUnit,
)
from maillon.ledger.limits import HOLDS_MAX
from maillon.ledger.orders import HoldAction, order_id
from maillon.ledger.rules_debit import (
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
from maillon.ledger.rules_pay import debit_out, number
from maillon.ledger.state import Account, ChainState, Hold, plus


def hold(state: ChainState, entry: HoldEntry, context: Context) -> None:
    """Reserve an amount on the payer's account.

    Raises: what `signer` raises; WrongAccount, CoopUnknown, AccountUnknown, AccountClosed,
    UnitUnknown, WrongUnit (a count-only unit), BadAmount, OrderExpired (it would expire at once),
    MandateScope, MandateExhausted, HoldExists, TooMany, OverLimit, OverMaximum, CoopLimit.
    """
    order = entry.order
    payer = signer(state, order, context)
    action = order.action
    assert type(action) is HoldAction
    here = action.to_coop == context.chain
    if here and action.to_account == payer.id:
        raise WrongAccount(account=action.to_account, coop=action.to_coop)
    payee: Account | None = None
    if here:
        payee = open_account(state, action.to_account)
    else:
        context.destination(action.to_coop)
    unit, amount = action.unit, action.amount
    if counted(unit, amount, context):
        raise WrongUnit(account=payer.id, unit=unit)
    if action.expiry <= context.time:
        raise OrderExpired(until=action.expiry, time=context.time)
    mandate = used(payer, order, unit, amount, context.time) if order.mandate else None
    name = order_id(context.fed, order.body)
    if name in payer.holds:
        raise HoldExists(hold=name)
    if len(payer.holds) >= HOLDS_MAX:
        raise TooMany(account=payer.id, what="holds", limit=HOLDS_MAX)
    payable(payer, unit, amount)
    if payee is None:
        coop_payable(state, unit, amount, context)
    else:
        receivable(payee, unit, amount)
    payer = state.edit(payer.id)
    sent(payer, order, mandate, context.time)
    payer.holds = {
        **payer.holds,
        name: Hold(
            name,
            unit,
            amount,
            action.to_coop,
            action.to_account,
            action.payee_key,
            action.arbiter,
            action.hashlock,
            action.expiry,
            action.ref,
            action.category,
            order.key,
        ),
    }
    state.note_hold(name, payer.id)
    _reserve(state, payer.holds[name], amount, context.chain)


def _reserve(state: ChainState, held: Hold, amount: int, chain: bytes) -> None:
    """Note, or with the amount below zero forget, what a hold keeps for its payee."""
    if held.to_coop == chain:
        payee = state.edit(held.to_account)
        payee.expected = plus(payee.expected, held.unit, amount)
    else:
        totals = state.edit_totals()
        totals.held_out = plus(totals.held_out, held.unit, amount)


def _held(state: ChainState, account: bytes, name: bytes) -> Hold:
    found = open_account(state, account).holds.get(name)
    if found is None:
        raise HoldUnknown(account=account, hold=name)
    return found


def _drop(state: ChainState, account: bytes, held: Hold, context: Context) -> Account:
    payer = state.edit(account)
    payer.holds = {name: kept for name, kept in payer.holds.items() if name != held.id}
    state.note_hold(held.id, b"")
    _reserve(state, held, -held.amount, context.chain)
    return payer


def confirming(payer: Account, held: Hold, confirmation: Confirmation, time: int) -> bool:
    """Say whether the confirmation is of a key or secret that may post the hold.

    A key's signature is not looked at here. `time` is that of the block, or now.
    """
    if isinstance(confirmation, PreimageConfirmation):
        return confirmation.opens(held.hashlock)
    key = confirmation.key
    return key in (held.arbiter, held.signer) or key in payer.keys_at(time)


def post(state: ChainState, entry: Post, context: Context) -> None:
    """Pay a hold. Raises: AccountUnknown, AccountClosed, HoldUnknown, BadConfirmation,
    CoopUnknown, ChannelGap, BadEvidence (another order's body)."""
    held = _held(state, entry.account, entry.hold)
    payer = state.account(entry.account)
    assert payer is not None
    if not confirming(payer, held, entry.confirmation, context.time):
        raise BadConfirmation(hold=held.id)
    here = held.to_coop == context.chain
    if here:
        if entry.n:
            raise ChannelGap(destination=held.to_coop, expected=0, got=entry.n)
    else:
        context.destination(held.to_coop)
        number(state, held.to_coop, entry.n)
        if order_id(context.fed, entry.order_body) != held.id:
            raise BadEvidence(rule="posted_order", hold=held.id)
    if isinstance(entry.confirmation, KeyConfirmation):
        confirmation = entry.confirmation
        body = hold_body(context.chain, held.id)
        context.check("confirm", confirmation.key, body, confirmation.signature)
    payer = _drop(state, entry.account, held, context)
    if here:
        # The payee's room was reserved with the hold, whatever its maximum is now.
        move(payer, held.unit, -held.amount)
        move(state.edit(held.to_account), held.unit, held.amount)
    else:
        debit_out(state, entry.account, held.unit, held.amount)
        state.edit_channel(held.to_coop).sent = entry.n


def void(state: ChainState, entry: Void, context: Context) -> None:
    """Give a hold back. Raises: AccountUnknown, AccountClosed, HoldUnknown, HoldOpen,
    BadConfirmation."""
    held = _held(state, entry.account, entry.hold)
    release = entry.release
    if release is None:
        if context.time < held.expiry:
            raise HoldOpen(hold=held.id, expiry=held.expiry, time=context.time)
    else:
        if release.key != held.payee_key:
            raise BadConfirmation(hold=held.id)
        body = hold_body(context.chain, held.id)
        context.check("release", release.key, body, release.signature)
    _drop(state, entry.account, held, context)
