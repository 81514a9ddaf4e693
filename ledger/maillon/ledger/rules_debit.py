"""Decide whether an order counts, and an account can pay or receive.

spec/06-accounts.md, "Orders" and "Debits and credits".

Each function only looks. A rule calls all it needs first and changes the state last, so an entry
that is refused has changed nothing.
"""

from __future__ import annotations

from typing import Final

from maillon.ledger.context import Context
from maillon.ledger.errors import (
    AccountClosed,
    AccountUnknown,
    BadAmount,
    CoopLimit,
    MandateExhausted,
    MandateExpired,
    MandateScope,
    MandateUnknown,
    NotAuthorised,
    OrderExpired,
    OverLimit,
    OverMaximum,
    SequenceGap,
    StaleSequence,
    UnitUnknown,
    WrongAccount,
    WrongUnit,
)
from maillon.ledger.limits import AMOUNT_MAX, BALANCE_MAX, SEQ_GAP_MAX
from maillon.ledger.orders import Order
from maillon.ledger.state import Account, ChainState, Mandate, Position

CREDIT_MAX: Final = 2**52
"""How high credits raise a balance, whatever its maximum. What comes back is credited beyond any
maximum; with as much room again above this one, no row ever holds a number that cannot be read."""


def open_account(state: ChainState, account: bytes) -> Account:
    """Return an open account. Raises: AccountUnknown, AccountClosed."""
    found = state.account(account)
    if found is None:
        raise AccountUnknown(account=account)
    if not found.open:
        raise AccountClosed(account=account)
    return found


def signer(state: ChainState, order: Order, context: Context) -> Account:
    """Return the account of an order that may be carried out now; note its signature.

    Raises: WrongAccount (another chain), AccountUnknown, AccountClosed, StaleSequence,
    SequenceGap, OrderExpired, NotAuthorised, MandateUnknown, MandateExpired; in this order.
    """
    if order.chain != context.chain:
        raise WrongAccount(account=order.account, chain=order.chain, here=context.chain)
    account = state.account(order.account)
    if account is None or not account.open:
        account = open_account(state, order.account)
    if order.seq <= account.seq:
        raise StaleSequence(account=account.id, seq=order.seq, last=account.seq)
    most = account.seq + SEQ_GAP_MAX
    if order.seq > most:
        raise SequenceGap(account=account.id, seq=order.seq, last=account.seq, most=most)
    if context.time > order.until:
        raise OrderExpired(until=order.until, time=context.time)
    if order.mandate:
        mandate = account.mandates.get(order.mandate)
        if mandate is None:
            raise MandateUnknown(account=account.id, mandate=order.mandate)
        if mandate.key != order.key:
            raise NotAuthorised(account=account.id, key=order.key, mandate=order.mandate)
        if not mandate.start <= context.time < mandate.end:
            raise MandateExpired(
                mandate=mandate.id, start=mandate.start, end=mandate.end, time=context.time
            )
    elif order.key not in account.keys and order.key not in account.keys_at(context.time):
        raise NotAuthorised(account=account.id, key=order.key)
    context.check("order", order.key, order.body, order.signature)
    return account


def used(account: Account, order: Order, unit: int, amount: int, time: int) -> Mandate | None:
    """Return the order's mandate with the amount counted, or None for an order without one.

    Raises: MandateScope, MandateExhausted.
    """
    if not order.mandate:
        return None
    mandate = account.mandates[order.mandate]
    allowed = dict(mandate.allowed).get(unit)
    if allowed is None:
        raise MandateScope(mandate=mandate.id, unit=unit)
    period = (time - mandate.start) // mandate.period_s
    spent = dict(mandate.used) if period == mandate.period else {}
    before = spent.get(unit, 0)
    if before + amount > allowed:
        raise MandateExhausted(
            mandate=mandate.id,
            unit=unit,
            allowed=allowed,
            used=before,
            available=allowed - before,
            next=mandate.start + (period + 1) * mandate.period_s,
        )
    spent[unit] = before + amount
    return mandate._replace(period=period, used=tuple(sorted(spent.items())))


def counted(unit: int, amount: int, context: Context) -> bool:
    """Say whether a transfer is only counted. Raises: UnitUnknown, BadAmount."""
    if not 0 <= unit < context.units:
        raise UnitUnknown(unit=unit, units=context.units)
    if unit in context.counted:
        if amount != 1:
            raise BadAmount(unit=unit, got=amount, lowest=1, highest=1)
        return True
    if not 1 <= amount <= AMOUNT_MAX:
        raise BadAmount(unit=unit, got=amount, lowest=1, highest=AMOUNT_MAX)
    return False


def payable(account: Account, unit: int, amount: int) -> Position:
    """Return the position that pays. Raises: WrongUnit, OverLimit."""
    position = account.positions.get(unit)
    if position is None:
        raise WrongUnit(account=account.id, unit=unit)
    held = account.held(unit) if account.holds else 0
    if position.balance - held - amount < -position.limit:
        raise OverLimit(
            account=account.id,
            unit=unit,
            amount=amount,
            balance=position.balance,
            held=held,
            limit=position.limit,
            available=max(0, position.balance - held + position.limit),
        )
    return position


def receivable(account: Account, unit: int, amount: int) -> Position:
    """Return the position that receives. Raises: WrongUnit, OverMaximum."""
    position = account.positions.get(unit)
    if position is None:
        raise WrongUnit(account=account.id, unit=unit)
    expected = account.expected.get(unit, 0) if account.expected else 0
    most = position.max if position.max < CREDIT_MAX else CREDIT_MAX
    if position.balance + expected + amount > most:
        raise OverMaximum(
            account=account.id,
            unit=unit,
            amount=amount,
            balance=position.balance,
            expected=expected,
            max=most,
            room=max(0, most - position.balance - expected),
        )
    return position


def coop_payable(state: ChainState, unit: int, amount: int, context: Context) -> None:
    """Return when the coop as a whole can pay so much to others. Raises: CoopLimit."""
    totals = state.totals
    trade = totals.trade.get(unit, 0)
    held = totals.held_out.get(unit, 0)
    limit = context.limit(unit)
    if trade - held - amount < -limit:
        raise CoopLimit(
            unit=unit,
            amount=amount,
            balance=trade,
            held=held,
            limit=limit,
            available=max(0, trade - held + limit),
        )


def sent(account: Account, order: Order, mandate: Mandate | None, time: int) -> None:
    """Note on an account that its order was carried out, and any recovery that has waited."""
    account.seq = order.seq
    if mandate is not None:
        account.mandates = {**account.mandates, mandate.id: mandate}
    if account.pending:
        mature(account, time)


def mature(account: Account, time: int) -> None:
    """Turn a recovery that has waited long enough into a key."""
    keys = account.keys_at(time)
    account.keys = keys
    account.pending = tuple((key, start) for key, start in account.pending if start > time)


def move(account: Account, unit: int, amount: int) -> None:
    """Add an amount, below zero to take it away, to a position that exists."""
    position = account.positions[unit]
    account.positions[unit] = Position(
        unit, position.balance + amount, position.limit, position.max
    )


def welcome(account: Account, unit: int, amount: int) -> None:
    """Credit what cannot be refused: a return. An account without the unit gets a position."""
    if unit not in account.positions:
        place(account, Position(unit, 0, 0, BALANCE_MAX))
    move(account, unit, amount)


def place(account: Account, position: Position) -> None:
    """Set a position; positions stay in the order of their units."""
    positions = {**account.positions, position.unit: position}
    account.positions = {unit: positions[unit] for unit in sorted(positions)}
