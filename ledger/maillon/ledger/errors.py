"""Name everything that an account, a chain or a witness refuses (spec/registry.md, "Error codes").

What is refused of an order carries facts that say what is possible instead: `balance`, `held`,
`limit`, `available`, `last`. Amounts among the facts are minor units of unit `unit` (an index).
The sentence names the fact; a node shows amounts in the unit's own way beside it.
"""

from __future__ import annotations

from maillon.protocol.errors import LocalError, RemoteError


class LedgerError(RemoteError):
    """An order, an entry, a block or a message breaks a rule of the ledger."""

    code = "ledger"
    sentence = "The ledger does not allow it."


# --- Orders and entries against the state of accounts -------------------------------------------


class OverLimit(LedgerError):
    """The account cannot pay that much. Facts: unit, amount, balance, held, limit, available."""

    code = "over_limit"
    sentence = (
        "The amount is more than the account can spend: its balance and its credit limit, less "
        "what is reserved."
    )
    # Another payment may have been certified in between: an honest sender could not know.
    excusable = True


class CoopLimit(LedgerError):
    """The coop as a whole cannot pay that much to others. Facts as OverLimit, for the coop."""

    code = "coop_limit"
    sentence = (
        "The coop as a whole has reached what it may owe the other coops in this unit. Payments "
        "inside the coop are still possible."
    )
    excusable = True


class OverMaximum(LedgerError):
    """The receiver would go over its maximum. Facts: unit, amount, balance, expected, max, room."""

    code = "over_maximum"
    sentence = (
        "The receiving account would go over its maximum balance. It can receive `room` at most "
        "until it spends."
    )
    excusable = True


class BadAmount(LedgerError):
    """The amount is zero, negative, or beyond any sense. Facts: got, lowest, highest."""

    code = "amount"
    sentence = "An amount is a whole number of minor units, at least 1 and at most `highest`."


class AccountUnknown(LedgerError):
    """There is no such account on this chain. Facts: account."""

    code = "account_unknown"
    sentence = "There is no such account at this coop. It has to be opened first."
    excusable = True


class AccountClosed(LedgerError):
    """The account was closed. Facts: account."""

    code = "account_closed"
    sentence = "The account is closed. What was paid to it goes back to the payer."
    excusable = True


class AccountExists(LedgerError):
    """An account of this id was opened before. Facts: account, open."""

    code = "account_exists"
    sentence = "There is an account of this id already; a closed one is not opened again."
    excusable = True


class AccountInUse(LedgerError):
    """The account cannot be closed. Facts: balances, holds, expected, recovery."""

    code = "account_in_use"
    sentence = (
        "The account can be closed once every balance is zero, nothing is reserved on it or for "
        "it, and no new key of it waits for its day."
    )
    excusable = True


class AccountsFull(LedgerError):
    """The coop has as many accounts as the charter allows. Facts: limit."""

    code = "accounts_full"
    sentence = "The coop has as many accounts as the charter allows it."
    excusable = True


class StaleSequence(LedgerError):
    """The order's number is not above the last one. Facts: seq, last."""

    code = "stale_sequence"
    sentence = (
        "The order's number was used already. The next order of this account takes a number above "
        "`last`."
    )
    excusable = True


class SequenceGap(LedgerError):
    """The order's number is too far above the last one. Facts: seq, last, most."""

    code = "sequence_gap"
    sentence = (
        "The order's number is too far above the account's last one, `last`. The next order takes "
        "a number up to `most`."
    )
    # Numbers that others used in between bring it within reach.
    excusable = True


class OrderExpired(LedgerError):
    """The order's last second has passed. Facts: until, time."""

    code = "order_expired"
    sentence = "The order was to be carried out before now. It has to be signed anew."
    excusable = True


class NotAuthorised(LedgerError):
    """The key is not one of the account's, nor of a mandate on it. Facts: account, key."""

    code = "not_authorised"
    sentence = "The key that signed may not act for this account."
    # A key may have been dropped, or not yet added, in between.
    excusable = True


class UnitUnknown(LedgerError):
    """The charter has no unit of this index. Facts: unit."""

    code = "unit_unknown"
    sentence = "The charter names no such unit."
    excusable = True


class WrongUnit(LedgerError):
    """The account has no position in the unit, or the unit cannot do that. Facts: unit, account."""

    code = "wrong_unit"
    sentence = "The account is not kept in this unit. Its coop can add the unit to it."
    excusable = True


class WrongAccount(LedgerError):
    """The entry is not for such an account: payer and payee the same, or not the commons."""

    code = "wrong_account"
    sentence = "Payer and receiver are the same, or the account is not one for such an entry."


class CoopUnknown(LedgerError):
    """The governing charter has no such coop. Facts: coop."""

    code = "ledger_coop_unknown"
    sentence = "The charter names no such coop."
    excusable = True


class MandateUnknown(LedgerError):
    """There is no such mandate on the account. Facts: mandate."""

    code = "mandate_unknown"
    sentence = "There is no such mandate on the account; it was never given, or was revoked."
    excusable = True


class MandateScope(LedgerError):
    """The mandate does not cover such an order. Facts: mandate, unit."""

    code = "order_mandate_scope"
    sentence = "The mandate allows paying and reserving, in the units it names, and nothing else."


class MandateExpired(LedgerError):
    """The mandate is not in force. Facts: mandate, start, end, time."""

    code = "order_mandate_expired"
    sentence = "The mandate is in force from `start` until before `end`."
    excusable = True


class MandateExhausted(LedgerError):
    """The mandate's amount for this period is spent. Facts: unit, allowed, used, available,
    next."""

    code = "mandate_exhausted"
    sentence = (
        "What the mandate allows in this period does not suffice. `available` is left; the next "
        "period begins at `next`."
    )
    excusable = True


class TooMany(LedgerError):
    """The account has as many of these as it may. Facts: what, limit."""

    code = "too_many"
    sentence = "The account has as many keys, mandates or reservations as it may have."
    excusable = True


class KeyChange(LedgerError):
    """The keys cannot be changed so. Facts: reason."""

    code = "key_change"
    sentence = "An account keeps at least one key, and a key stands on it once."
    excusable = True


class HoldUnknown(LedgerError):
    """There is no such hold on the account. Facts: hold."""

    code = "hold_unknown"
    sentence = "Nothing is reserved under this number; it was paid, given back, or never was."
    excusable = True


class HoldOpen(LedgerError):
    """The hold can be neither posted nor voided by this. Facts: hold, expiry, time."""

    code = "hold_open"
    sentence = (
        "The reserved amount is paid when the payer or the arbiter confirms, and given back when "
        "the payee releases it or it expires."
    )
    excusable = True


class BadConfirmation(LedgerError):
    """The confirmation or release is not one by a key that may give it. Facts: hold."""

    code = "confirmation"
    sentence = "The confirmation is not signed by who may confirm, or is not the right secret."


class HoldExists(LedgerError):
    """A hold with this id is open already. Facts: hold."""

    code = "hold_exists"
    sentence = "This amount is reserved already."
    benign = True
    excusable = True


# --- Between coops ------------------------------------------------------------------------------


class ChannelGap(LedgerError):
    """The message is not the next of its channel. Facts: source, expected, got."""

    code = "channel_gap"
    sentence = "Messages of one coop to another are taken in their order, and one is missing."
    excusable = True


class AlreadyConsumed(LedgerError):
    """The message was consumed before. Facts: source, expected, got."""

    code = "already_consumed"
    sentence = "The payment was received already."
    benign = True
    excusable = True


class BadEvidence(LedgerError):
    """What is told of another chain is not proven. Facts: rule."""

    code = "evidence"
    sentence = "The proof of what stands on another chain does not hold."


# --- Blocks and certificates --------------------------------------------------------------------


class BadBlock(LedgerError):
    """The block is not a valid next block of its chain. Facts: reason, and what belongs to it."""

    code = "bad_block"
    sentence = "The block is not valid."


class NotCertified(LedgerError):
    """The block has no certificate, or one for another block. Facts: chain, h."""

    code = "not_certified"
    sentence = "The block is not certified."
    excusable = True


class BadCertificate(LedgerError):
    """A signature in it is not valid, or it is not of this committee. Facts: rule, witness."""

    code = "certificate"
    sentence = "The certificate is not valid."


class NoQuorum(LedgerError):
    """Fewer witnesses have signed than it takes. Facts: got, needed."""

    code = "no_quorum"
    sentence = "Fewer witnesses have signed than the charter asks for."


class NeedBlocks(LedgerError):
    """Blocks before it are not known here yet. Facts: chain, from_h."""

    code = "need_blocks"
    sentence = "Earlier blocks of the chain are not known here yet."
    pending = True
    excusable = True


class CharterUnknown(LedgerError):
    """The charter it is governed by is not known here yet. Facts: needed, known."""

    code = "charter_unknown"
    sentence = "A later charter than the ones known here governs it."
    pending = True
    excusable = True


class ChainUnknown(LedgerError):
    """There is no chain of this id in the federation. Facts: chain."""

    code = "chain_unknown"
    sentence = "The federation has no such chain."
    excusable = True


class NotEvidence(LedgerError):
    """What is said to prove fraud proves none. Facts: rule."""

    code = "fraud_proof"
    sentence = "This proves no fraud."


# --- The charter --------------------------------------------------------------------------------


class CharterRefused(LedgerError):
    """The charter cannot be changed so. Facts: reason."""

    code = "charter"
    sentence = "The charter cannot be changed in this way."


class NotApproved(LedgerError):
    """Fewer coops have approved than it takes. Facts: got, needed."""

    code = "not_approved"
    sentence = "Fewer coops have approved than the charter asks for."
    excusable = True


class NoLedger(LocalError):
    """The federation was founded without accounts."""

    code = "no_ledger"
    sentence = "This federation was founded without accounts."


class BadCommittee(LocalError):
    """No such set of witnesses can be. Facts: n, quorum."""

    code = "committee"
    sentence = "A quorum is more than half of the witnesses, and at most all of them."


class AmountText(LocalError):
    """What was typed is no amount of the unit. `hint` says what would be."""

    code = "amount_text"
    sentence = "This is not an amount."
