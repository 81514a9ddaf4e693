"""Open, close and limit accounts, recover and change keys (spec/06-accounts.md, "Accounts")."""

from __future__ import annotations

from maillon.ledger.context import Context
from maillon.ledger.entries import Close, Limit, Member, Open, Recover
from maillon.ledger.errors import (
    AccountExists,
    AccountInUse,
    AccountsFull,
    KeyChange,
    MandateUnknown,
    TooMany,
    UnitUnknown,
    WrongAccount,
    WrongUnit,
)
from maillon.ledger.limits import KEYS_MAX, MANDATES_MAX
from maillon.ledger.orders import COMMONS, KeysAction, MandateAction, RevokeAction
from maillon.ledger.rules_debit import mature, open_account, place, sent, signer
from maillon.ledger.state import Account, ChainState, Mandate, Position


def _kept(unit: int, account: bytes, context: Context) -> None:
    """Return when accounts are kept in the unit. Raises: UnitUnknown, WrongUnit."""
    if not 0 <= unit < context.units:
        raise UnitUnknown(unit=unit, units=context.units)
    if unit in context.counted:
        # Nothing is owed in it: an account needs no position, and a limit would say nothing.
        raise WrongUnit(account=account, unit=unit)


def open_(state: ChainState, entry: Open, context: Context) -> None:
    """Open an account. Raises: AccountExists, AccountsFull, UnitUnknown, WrongUnit."""
    known = state.account(entry.account)
    if known is not None:
        raise AccountExists(account=entry.account, open=bool(known.open))
    limit = context.charter.accounts_cap(context.chain)
    if state.totals.accounts >= limit:
        raise AccountsFull(limit=limit)
    for unit, _, _ in entry.positions:
        _kept(unit, entry.account, context)
    account = state.add(entry.account, entry.kind, (entry.key,))
    for unit, credit, maximum in entry.positions:
        account.positions[unit] = Position(unit, 0, credit, maximum)
    state.edit_totals().accounts += 1


def close(state: ChainState, entry: Close, context: Context) -> None:
    """Close an account at rest.

    Raises: AccountUnknown, AccountClosed, WrongAccount, AccountInUse.
    """
    if entry.account == COMMONS:
        # What comes back and finds its account closed needs a place to go.
        raise WrongAccount(account=entry.account)
    account = open_account(state, entry.account)
    balances = {p.unit: p.balance for p in account.positions.values() if p.balance}
    expected = {unit: amount for unit, amount in account.expected.items() if amount}
    # A recovery that has waited is a key by now, and pending no more.
    pending = [key for key, start in account.pending if start > context.time]
    if balances or account.holds or expected or pending:
        raise AccountInUse(
            account=account.id,
            balances=balances,
            holds=len(account.holds),
            expected=expected,
            recovery=len(pending),
        )
    changed = state.edit(entry.account)
    mature(changed, context.time)
    changed.open = 0
    changed.mandates = {}
    state.edit_totals().accounts -= 1


def limit(state: ChainState, entry: Limit, context: Context) -> None:
    """Set limit and maximum in a unit. Raises: AccountUnknown, AccountClosed, UnitUnknown,
    WrongUnit."""
    open_account(state, entry.account)
    _kept(entry.unit, entry.account, context)
    account = state.edit(entry.account)
    position = account.positions.get(entry.unit)
    balance = 0 if position is None else position.balance
    # A balance beyond the new bounds stays: a lowered limit blocks new debits only.
    place(account, Position(entry.unit, balance, entry.limit, entry.maximum))


def recover(state: ChainState, entry: Recover, context: Context) -> None:
    """Announce a new key; it counts after the charter's wait unless the member cancels it.

    Raises: AccountUnknown, AccountClosed, WrongAccount, KeyChange.
    """
    if entry.account == COMMONS:
        raise WrongAccount(account=entry.account)
    account = open_account(state, entry.account)
    if entry.key in account.keys_at(context.time):
        raise KeyChange(account=account.id, key=entry.key, reason="known")
    account = state.edit(entry.account)
    mature(account, context.time)
    # A coop that mistyped a key replaces the recovery; the wait begins anew.
    account.pending = ((entry.key, context.time + context.charter.recovery_s),)


def member(state: ChainState, entry: Member, context: Context) -> None:
    """Carry out an order about mandates or keys.

    Raises: what `signer` raises, TooMany, KeyChange, MandateUnknown, UnitUnknown.
    """
    order = entry.order
    account = signer(state, order, context)
    action = order.action
    if isinstance(action, MandateAction):
        mandates = _given(account, action, context)
        changed = state.edit(account.id)
        changed.mandates = mandates
    elif isinstance(action, RevokeAction):
        if action.mandate not in account.mandates:
            raise MandateUnknown(account=account.id, mandate=action.mandate)
        changed = state.edit(account.id)
        changed.mandates = {
            name: mandate for name, mandate in account.mandates.items() if name != action.mandate
        }
    else:
        assert isinstance(action, KeysAction)
        keys = _keys(account, action, context)
        changed = state.edit(account.id)
        mature(changed, context.time)
        if keys is None:
            changed.pending = ()
        else:
            changed.keys = keys
    sent(changed, order, None, context.time)


def _given(account: Account, action: MandateAction, context: Context) -> dict[bytes, Mandate]:
    for unit, _ in action.limits:
        if not 0 <= unit < context.units:
            raise UnitUnknown(unit=unit, units=context.units)
    # What has ended makes room; a mandate in force is revoked before its id is used again.
    kept = {name: known for name, known in account.mandates.items() if known.end > context.time}
    if action.mandate in kept:
        raise KeyChange(account=account.id, mandate=action.mandate, reason="mandate_known")
    if len(kept) >= MANDATES_MAX:
        raise TooMany(account=account.id, what="mandates", limit=MANDATES_MAX)
    kept[action.mandate] = Mandate(
        action.mandate,
        action.key,
        tuple(action.limits),
        action.period_s,
        action.start,
        action.end,
        0,
        (),
    )
    return kept


def _keys(account: Account, action: KeysAction, context: Context) -> tuple[bytes, ...] | None:
    """Return the keys after the change, or None when it cancels a recovery."""
    keys = account.keys_at(context.time)
    if not action.add and not action.drop:
        if all(start <= context.time for _, start in account.pending):
            raise KeyChange(account=account.id, reason="nothing_pending")
        return None
    if action.drop:
        if action.drop not in keys:
            raise KeyChange(account=account.id, key=action.drop, reason="unknown")
        keys = tuple(key for key in keys if key != action.drop)
    if action.add:
        if action.add in keys:
            raise KeyChange(account=account.id, key=action.add, reason="known")
        keys = (*keys, action.add)
    if not keys:
        raise KeyChange(account=account.id, key=action.drop, reason="last")
    if len(keys) > KEYS_MAX:
        raise TooMany(account=account.id, what="keys", limit=KEYS_MAX)
    return keys
