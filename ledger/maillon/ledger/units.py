"""Read and write amounts the way people do, exactly (spec/06-blocks.md, "Units").

A unit is `hours` (counted in minutes), `credit` (in the smallest part that `decimals` says) or
`count` (exchanges, one each). There is no floating point on the way: "1h30" is 90, "12,50" with two
decimals 1250, and what is not a whole number of minor units is refused, never rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from maillon.ledger.errors import AmountText, UnitUnknown
from maillon.ledger.limits import BALANCE_MAX
from maillon.protocol.founding import Unit

HOURS: Final = "hours"
CREDIT: Final = "credit"
COUNT: Final = "count"

_TEXT_CHARACTERS_MAX: Final = 40

# Groups of three digits may be set apart by a space, of whichever width; never by a comma or a
# full stop, which are decimal signs.
_SPACE: Final = "[ \u00a0\u2009\u202f]"
_WHOLE: Final = rf"(\d+|\d{{1,3}}(?:{_SPACE}\d{{3}})+)"
_NUMBER: Final = re.compile(rf"{_WHOLE}(?:[.,](\d+))?", re.ASCII)
_HOURS: Final = re.compile(
    rf"{_WHOLE}(?:[.,](\d+))?{_SPACE}?(?:h|heures?|hours?)", re.ASCII | re.IGNORECASE
)
_HOURS_MINUTES: Final = re.compile(
    rf"{_WHOLE}(?:{_SPACE}?(?:h|heures?|hours?){_SPACE}?|:)(\d\d)"
    rf"(?:{_SPACE}?(?:m|min|minutes?))?",
    re.ASCII | re.IGNORECASE,
)
_MINUTES: Final = re.compile(
    rf"{_WHOLE}(?:[.,](\d+))?{_SPACE}?(?:m|min|minutes?)", re.ASCII | re.IGNORECASE
)
_SPACES: Final = re.compile(_SPACE)

_HOURS_HINT: Final = 'Write hours and minutes, as "1h30" or "90 min".'
_COUNT_HINT: Final = 'Exchanges are counted one by one: write "1".'


class UnitTable:
    """The units of a charter by their index, and how their amounts are written."""

    __slots__ = ("_by_code", "_units")

    def __init__(self, units: Iterable[Unit]) -> None:
        self._units = tuple(units)
        self._by_code = {unit.code: index for index, unit in enumerate(self._units)}

    def __len__(self) -> int:
        return len(self._units)

    def __iter__(self) -> Iterator[Unit]:
        return iter(self._units)

    def unit(self, index: int) -> Unit:
        """Return a unit. Raises: UnitUnknown."""
        if not 0 <= index < len(self._units):
            raise UnitUnknown(unit=index, known=len(self._units))
        return self._units[index]

    def index(self, code: str) -> int:
        """Return the index of a code. Raises: UnitUnknown naming the codes there are."""
        found = self._by_code.get(code)
        if found is None:
            codes = ", ".join(self._by_code) or "none"
            raise UnitUnknown(
                f"The federation has no unit {code!r}; it has: {codes}.", code=code, codes=codes
            )
        return found

    def is_count(self, index: int) -> bool:
        """Tell whether the unit only counts exchanges: its balances never change."""
        return self.unit(index).kind == COUNT

    def parse(self, index: int, text: str) -> int:
        """Return the minor units of a text without sign, at least 0.

        Hours: "1h30", "1 h 30 min", "1:30", "2h", "1,5 h", "90 min". Credits: "12", "12,50",
        "12.5", "1 250,00". Counts: "1". Raises: AmountText with a hint, UnitUnknown.
        """
        unit = self.unit(index)
        given = text.strip()
        if not given or len(given) > _TEXT_CHARACTERS_MAX:
            raise AmountText("No amount is given, or too long a one.", hint=_hint(unit))
        if unit.kind == HOURS:
            amount = _hours(unit, given)
        else:
            match = _NUMBER.fullmatch(given)
            if match is None:
                raise AmountText(f"{given!r} is not an amount.", hint=_hint(unit))
            amount = _scaled(unit, match[1], match[2] or "", unit.decimals, 1, given)
        if amount > BALANCE_MAX:
            raise AmountText(f"{given!r} is beyond any amount.", hint=_hint(unit))
        return amount

    def format(self, index: int, amount: int, *, decimal: str = ".") -> str:
        """Return an amount as text: "1h30", "45 min", "-2h00", "12.50", "3"; without unit.

        `decimal` is the sign before decimals, as the language has it. What is written is read by
        `parse` (but for the sign). Raises: UnitUnknown.
        """
        unit = self.unit(index)
        sign = "-" if amount < 0 else ""
        size = abs(amount)
        if unit.kind != HOURS:
            return sign + _decimal(size, unit.decimals, decimal)
        minutes, rest = divmod(size, _power(unit.decimals))
        if rest:
            return f"{sign}{_decimal(size, unit.decimals, decimal)} min"
        if minutes < 60:
            return f"{sign}{minutes} min"
        return f"{sign}{minutes // 60}h{minutes % 60:02}"


def _hint(unit: Unit) -> str:
    if unit.kind == HOURS:
        return _HOURS_HINT
    if unit.kind == COUNT or unit.decimals == 0:
        return _COUNT_HINT if unit.kind == COUNT else 'Write a whole number, as "12".'
    return f'Write a number with at most {unit.decimals} decimals, as "12.5" or "12,5".'


def _scaled(unit: Unit, whole: str, part: str, decimals: int, factor: int, given: str) -> int:
    """Return whole.part times factor times 10^decimals when that is a whole number."""
    digits = int(_SPACES.sub("", whole) + part) * factor * _power(decimals)
    amount, rest = divmod(digits, _power(len(part)))
    if rest:
        raise AmountText(f"{given!r} is finer than the unit is counted.", hint=_hint(unit))
    return amount


def _hours(unit: Unit, given: str) -> int:
    match = _HOURS_MINUTES.fullmatch(given)
    if match is not None:
        if int(match[2]) >= 60:
            raise AmountText(f"{given!r} has more than 59 minutes.", hint=_HOURS_HINT)
        minutes = int(_SPACES.sub("", match[1])) * 60 + int(match[2])
        return minutes * _power(unit.decimals)
    match = _HOURS.fullmatch(given)
    if match is not None:
        return _scaled(unit, match[1], match[2] or "", unit.decimals, 60, given)
    match = _MINUTES.fullmatch(given)
    if match is not None:
        return _scaled(unit, match[1], match[2] or "", unit.decimals, 1, given)
    if given == "0":
        return 0  # as many hours as minutes
    # A bare number could be hours or minutes: to guess would be to pay sixty times too much.
    raise AmountText(f"{given!r} does not say hours and minutes.", hint=_HOURS_HINT)


def _power(decimals: int) -> int:
    # 10**n is of type Any, since n could be negative.
    return int(10**decimals)


def _decimal(size: int, decimals: int, sign: str) -> str:
    if decimals == 0:
        return str(size)
    whole, part = divmod(size, _power(decimals))
    return f"{whole}{sign}{part:0{decimals}}"
