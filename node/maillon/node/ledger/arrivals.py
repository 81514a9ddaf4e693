"""What becomes of a transfer at the coop that it goes to: taken, or sent back and why.

A transfer to another coop is final on the payer's chain, and still may come back: an account can
close, or fill up, while it is on its way (spec/06-accounts.md, "Returns"). What this node knows of
the other chain says beforehand whether that would happen, and afterwards why it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from maillon.ledger.charter_state import CharterState
from maillon.ledger.entries import ChannelMessage
from maillon.ledger.errors import (
    AccountClosed,
    AccountUnknown,
    LedgerError,
    OverMaximum,
    WrongUnit,
)
from maillon.ledger.rules_debit import CREDIT_MAX, open_account, receivable
from maillon.ledger.state import Account, ChainState
from maillon.protocol.encoding import Value, decode, encode

ROW_BYTES_MAX: Final = 1_024

ON_ITS_WAY: Final = "on_its_way"
ARRIVED: Final = "arrived"
RETURNED: Final = "returned"

WHY_RETURNED: Final[tuple[type[LedgerError], ...]] = (
    AccountUnknown,
    AccountClosed,
    WrongUnit,
    OverMaximum,
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a coop took what another sent, or sent it back; `why` is a code, "" when not known."""

    place: tuple[bytes, int, int, int]
    returned: bool
    why: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def encode(self) -> bytes:
        return encode([list(self.place), self.returned, self.why, dict(self.facts)])


def decode_arrival(data: bytes) -> Arrival:
    """Read a row that `Arrival.encode` wrote; earlier versions wrote no reason."""
    place, returned, *why = cast("list[Any]", decode(data, bytes_max=ROW_BYTES_MAX))
    return Arrival(tuple(place), returned, *why)


def why_returned(
    message: ChannelMessage, account: Account | None, *, closed: bool, balance: int
) -> tuple[str, dict[str, Value]]:
    """Return code and facts of why a coop could not credit a message.

    `account` is the receiver as it stands now, `closed` and `balance` as they were at that place
    of the chain. Nothing ever takes an account or a unit of it away, so what is missing now was
    missing then.
    """
    facts: dict[str, Value] = {
        "account": message.to_account,
        "unit": message.unit,
        "amount": message.amount,
        "receiver": True,
    }
    if account is None:
        return AccountUnknown.code, facts
    if closed:
        return AccountClosed.code, facts
    position = account.positions.get(message.unit)
    if position is None:
        return WrongUnit.code, facts
    most = min(position.max, CREDIT_MAX)
    room = max(0, most - balance - account.expected.get(message.unit, 0))
    if room >= message.amount:
        return "", facts  # the coop has decided something else since
    return OverMaximum.code, {**facts, "max": most, "room": room}


def sentence_of(code: str) -> str:
    """Return the ledger's own sentence for a reason, "" for an unknown one."""
    return next((str(kind.sentence) for kind in WHY_RETURNED if kind.code == code), "")


def require_welcome(
    state: ChainState, charter: CharterState, account: bytes, unit: int, amount: int, *, now: bool
) -> None:
    """Return when another coop, as far as is known here, can credit an amount.

    What is only reserved is credited later (`now` false): a balance that is too high may be lower
    then. Raises: AccountUnknown, AccountClosed, WrongUnit, OverMaximum.
    """
    payee = open_account(state, account)
    if not 0 <= unit < len(charter.units) or charter.units[unit].kind == "count":
        return
    if now:
        receivable(payee, unit, amount)
    elif unit not in payee.positions:
        raise WrongUnit(account=account, unit=unit)
