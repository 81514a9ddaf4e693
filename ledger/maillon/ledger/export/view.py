"""Show an audited ledger as an accountant sees it: accounts, movements, what is on its way.

The writers of books (`journals`, `tables`, and the tool's for databases) read a `LedgerView` and
nothing else. A view holds ids and amounts; names of persons are in it only when its maker was given
them, because no chain carries any.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from maillon.ledger.orders import COMMONS

INTRA: Final = "intra"
OUT: Final = "out"
IN: Final = "in"
BOUNCE: Final = "return"
BACK: Final = "returned"
HOLD: Final = "hold"
VOID: Final = "void"
"""What a movement is: a payment inside a coop; one sent, one that arrived, one that could not be
credited and was sent back, one that came back; an amount reserved, a reservation given back."""

KINDS: Final = ("person", "organisation", "group", "commons")
"""The kinds of accounts, by number."""


@dataclass(frozen=True, slots=True)
class UnitView:
    """A unit of account. `kind` is "hours" (minor units are minutes), "credit" or "count"."""

    index: int
    code: str
    kind: str
    decimals: int
    label: str


@dataclass(frozen=True, slots=True)
class PositionView:
    """An account in one unit, in minor units. `maximum` is None when there is none."""

    balance: int
    held: int
    limit: int
    maximum: int | None

    @property
    def available(self) -> int:
        """Return what the account can still give before it meets its limit."""
        return self.balance - self.held + self.limit


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as it stands at its coop's head. `name` is "" unless the view was given names."""

    coop: bytes
    id: bytes
    kind: str
    open: bool
    positions: Mapping[int, PositionView]
    name: str = ""


@dataclass(frozen=True, slots=True)
class CoopView:
    """A coop and how far its chain was read: head height, hash and time (Unix seconds)."""

    id: bytes
    name: str
    height: int
    head: bytes
    time: int
    limits: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True, slots=True)
class ChannelView:
    """What one coop sent another: messages sent and taken, and per unit the amount on its way."""

    source: bytes
    target: bytes
    sent: int
    taken: int
    in_flight: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Movement:
    """What one entry did with an amount (minor units, above 0), and where it stands.

    `coop`, `height`, `index` name the entry. `from_*` and `to_*` are the payment's own ends, the
    same on both coops' chains; `id` is the payment's. `ref` is 32 bytes, zero when there is none.
    """

    coop: bytes
    height: int
    index: int
    time: int
    kind: str
    id: bytes
    unit: int
    amount: int
    from_coop: bytes
    from_account: bytes
    to_coop: bytes
    to_account: bytes
    category: str
    ref: bytes


@dataclass(frozen=True, slots=True)
class LedgerView:
    """Everything that a book of accounts is written from.

    `movements` yields them in the order of time, then coop, height and index; each call begins
    anew. `at` is the latest time among the heads.
    """

    fed: bytes
    name: str
    founded: int
    at: int
    units: tuple[UnitView, ...]
    coops: Mapping[bytes, CoopView]
    accounts: tuple[AccountView, ...]
    channels: tuple[ChannelView, ...]
    movements: Callable[[], Iterator[Movement]]

    def unit(self, index: int) -> UnitView:
        """Return the unit of this index."""
        return self.units[index]

    @property
    def money(self) -> tuple[UnitView, ...]:
        """Return the units in which something is owed: all but those that only count."""
        return tuple(unit for unit in self.units if unit.kind != "count")


@dataclass(frozen=True, slots=True)
class Line:
    """One leg of a booking: the account's name in a book, and what it gains (minor units)."""

    account: str
    amount: int


@dataclass(frozen=True, slots=True)
class Booking:
    """A movement whose legs add up to nothing. Without legs it is only told, never booked."""

    movement: Movement
    unit: UnitView
    lines: tuple[Line, ...]


_NOT_PLAIN: Final = re.compile("[^A-Za-z0-9]+")
_SLUG_CHARACTERS_MAX: Final = 24
_ID_CHARACTERS: Final = 12


def slug(text: str) -> str:
    """Return letters and digits of a name as one word that any accounting program takes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    word = _NOT_PLAIN.sub("-", plain).strip("-")[:_SLUG_CHARACTERS_MAX].strip("-")
    return word[:1].upper() + word[1:]


class Names:
    """Give every account of a view one name that is good in hledger, ledger and beancount.

    `Coops:<coop>:<kind>-<id>`: parts begin with a capital or a digit and hold letters, digits and
    hyphens. Two accounts never share a name, whatever strangers called their coops.
    """

    ROOT: Final = "Coops"

    def __init__(self, view: LedgerView) -> None:
        self._coops = _apart({coop.id: slug(coop.name) or "Coop" for coop in view.coops.values()})
        short = _short_ids([account.id for account in view.accounts])
        self._accounts: dict[tuple[bytes, bytes], str] = {}
        for account in view.accounts:
            if account.id == COMMONS:
                word = "Commons"
            else:
                word = f"{slug(account.name) or account.kind.title()}-{short[account.id]}"
            self._accounts[account.coop, account.id] = f"{self._coop(account.coop)}:{word}"

    def account(self, coop: bytes, account: bytes) -> str:
        """Return the name of an account; of one the view does not hold, made from its id."""
        known = self._accounts.get((coop, account))
        if known is None:
            known = f"{self._coop(coop)}:Unknown-{account.hex().upper()}"
            self._accounts[coop, account] = known
        return known

    def transit(self, source: bytes, target: bytes) -> str:
        """Return the name of the account of what is on its way from one coop to another."""
        return f"{self.ROOT}:In-Flight:{self._word(source)}-To-{self._word(target)}"

    def erased(self, coop: bytes) -> str:
        """Return the name of the account that stands for entries that were erased."""
        return f"{self._coop(coop)}:Erased-Entries"

    def _coop(self, coop: bytes) -> str:
        return f"{self.ROOT}:{self._word(coop)}"

    def _word(self, coop: bytes) -> str:
        return self._coops.get(coop) or f"Coop-{coop.hex().upper()}"


def _apart(words: dict[bytes, str]) -> dict[bytes, str]:
    """Add a piece of the id to words that are not alone, in any case of letters, or reserved."""
    count: dict[str, int] = {"in-flight": 1}
    for word in words.values():
        count[word.lower()] = count.get(word.lower(), 0) + 1
    made = {
        key: word if count[word.lower()] == 1 else f"{word}-{key.hex()[:_ID_CHARACTERS].upper()}"
        for key, word in words.items()
    }
    if len({word.lower() for word in made.values()}) < len(made):
        return {key: f"Coop-{key.hex().upper()}" for key in made}
    return made


def _short_ids(ids: Iterable[bytes]) -> dict[bytes, str]:
    """Return the beginning of each id where it is unmistakable, else the whole of it."""
    everything = set(ids)
    seen: dict[bytes, int] = {}
    for one in everything:
        key = one[: _ID_CHARACTERS // 2]
        seen[key] = seen.get(key, 0) + 1
    return {
        one: (one[: _ID_CHARACTERS // 2] if seen[one[: _ID_CHARACTERS // 2]] == 1 else one)
        .hex()
        .upper()
        for one in everything
    }


def bookings(view: LedgerView, names: Names) -> Iterator[Booking]:
    """Yield every movement as a booking.

    What crosses between coops passes through an account of what is on its way, so that each chain
    balances by itself, and that account's balance is what was sent and not yet taken.
    """
    for movement in view.movements():
        unit = view.unit(movement.unit)
        legs: tuple[Line, ...] = ()
        ends = None if unit.kind == "count" else _ends(movement, names)
        if ends is not None:
            giver, taker = ends
            legs = (Line(giver, -movement.amount), Line(taker, movement.amount))
        yield Booking(movement, unit, legs)


def _ends(m: Movement, names: Names) -> tuple[str, str] | None:
    payer = names.account(m.from_coop, m.from_account)
    there = names.transit(m.from_coop, m.to_coop)
    back = names.transit(m.to_coop, m.from_coop)
    if m.kind == INTRA:
        return payer, names.account(m.to_coop, m.to_account)
    if m.kind == OUT:
        return payer, there
    if m.kind == IN:
        return there, names.account(m.to_coop, m.to_account)
    if m.kind == BOUNCE:
        return there, back
    if m.kind == BACK:
        return back, payer
    return None


def amount_text(amount: int, decimals: int) -> str:
    """Return minor units as a decimal number with a point and all its decimals."""
    digits = str(abs(amount)).rjust(decimals + 1, "0")
    sign = "-" if amount < 0 else ""
    if decimals == 0:
        return sign + digits
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def commodities(view: LedgerView) -> dict[int, str]:
    """Return what each unit is called in books: capitals, digits and hyphens, each once.

    Hours are booked in minutes, which are whole numbers: one third of an hour has no decimals.
    """
    hours = [unit for unit in view.units if unit.kind == "hours"]
    made: dict[int, str] = {}
    for unit in view.units:
        word = _NOT_PLAIN.sub("-", unit.code).upper()
        if unit.kind == "hours":
            word = "MIN" if len(hours) == 1 else f"{word}-MIN"
        if len(word) < 2:
            word = f"U-{word}"
        if word in made.values():
            word = f"{word[:16]}-{unit.index}"
        made[unit.index] = word[:24].strip("-")
    return made


def residuals(view: LedgerView, names: Names) -> dict[tuple[str, str, int], int]:
    """Return what accounts hold beyond their movements: {(account, erased account, unit): amount}.

    Empty unless entries were erased: then the certified state says what they led to.
    """
    sums: dict[tuple[str, int], int] = {}
    for booking in bookings(view, names):
        for line in booking.lines:
            key = (line.account, booking.unit.index)
            sums[key] = sums.get(key, 0) + line.amount
    found: dict[tuple[str, str, int], int] = {}
    for account, coop, unit, amount in balances(view, names):
        difference = amount - sums.get((account, unit), 0)
        if difference:
            found[account, names.erased(coop), unit] = difference
    return found


def balances(view: LedgerView, names: Names) -> Iterator[tuple[str, bytes, int, int]]:
    """Yield (account, coop, unit, minor units) as the audit found them, those on their way too."""
    counted = {unit.index for unit in view.money}
    for account in view.accounts:
        name = names.account(account.coop, account.id)
        for unit, position in sorted(account.positions.items()):
            if unit in counted:
                yield name, account.coop, unit, position.balance
    for channel in view.channels:
        name = names.transit(channel.source, channel.target)
        for unit, amount in sorted(channel.in_flight.items()):
            if unit in counted:
                yield name, channel.source, unit, amount
