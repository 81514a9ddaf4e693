"""Take what other coops sent: credit it, or send it back (spec/06-accounts.md, "Channels")."""

from __future__ import annotations

from maillon.ledger.context import Context
from maillon.ledger.entries import ChannelMessage, In, Return
from maillon.ledger.errors import (
    AlreadyConsumed,
    BadEvidence,
    ChannelGap,
    LedgerError,
    WrongAccount,
)
from maillon.ledger.fastpay import message as carried_message
from maillon.ledger.merkle import verify_inclusion
from maillon.ledger.orders import COMMONS
from maillon.ledger.rules_debit import counted, move, open_account, receivable, welcome
from maillon.ledger.rules_pay import number
from maillon.ledger.state import ChainState


def _message(state: ChainState, entry: In | Return, context: Context) -> ChannelMessage:
    """Return the message, proven to stand on the source's chain, and next in its channel."""
    header = context.facts.get((entry.source, entry.block))
    if header is None:
        raise BadEvidence(rule="missing", source=entry.source, block=entry.block)
    leaf = entry.leaf()
    verify_inclusion(leaf, entry.index, header.count, entry.path, header.entries_root)
    message = carried_message(entry, leaf, context.fed)
    if message.to_coop != context.chain:
        raise BadEvidence(rule="destination", source=entry.source, to_coop=message.to_coop)
    expected = state.channel(entry.source).received + 1
    if message.n < expected:
        raise AlreadyConsumed(source=entry.source, expected=expected, got=message.n)
    if message.n > expected:
        raise ChannelGap(source=entry.source, expected=expected, got=message.n)
    return message


def creditable(state: ChainState, message: ChannelMessage, context: Context) -> None:
    """Return when a message can be credited.

    A return always can. Raises: AccountUnknown, AccountClosed, UnitUnknown, BadAmount, WrongUnit,
    OverMaximum; one of these is why it goes back.
    """
    if message.returned:
        return
    payee = open_account(state, message.to_account)
    if not counted(message.unit, message.amount, context):
        receivable(payee, message.unit, message.amount)


def in_(state: ChainState, entry: In, context: Context) -> None:
    """Take the next message of another coop and credit it.

    Raises: BadEvidence, AlreadyConsumed, ChannelGap, and what `creditable` raises.
    """
    message = _message(state, entry, context)
    creditable(state, message, context)
    state.edit_channel(entry.source).received = message.n
    if message.unit in context.counted:
        return
    if message.returned:
        payer = state.account(message.to_account)
        # Units that come back to an account that was closed meanwhile are the community's.
        if payer is None or not payer.open:
            payer = state.account(COMMONS)
            assert payer is not None
        welcome(state.edit(payer.id), message.unit, message.amount)
    else:
        move(state.edit(message.to_account), message.unit, message.amount)
    trade = state.edit_totals().trade
    trade[message.unit] = trade.get(message.unit, 0) + message.amount


def return_(state: ChainState, entry: Return, context: Context) -> None:
    """Take the next message of another coop and send it back.

    Raises: BadEvidence, AlreadyConsumed, ChannelGap; WrongAccount when it can be credited: a coop
    does not choose.
    """
    message = _message(state, entry, context)
    try:
        creditable(state, message, context)
    except LedgerError:
        pass
    else:
        raise WrongAccount(
            "The payment can be credited, so it is not sent back.",
            account=message.to_account,
            reason="creditable",
        )
    number(state, entry.source, entry.n)
    channel = state.edit_channel(entry.source)
    channel.received = message.n
    channel.sent = entry.n
