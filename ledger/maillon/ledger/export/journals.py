"""Write the ledger as journals of plain-text accounting: hledger, ledger, beancount.

Each journal ends by asserting every balance that the audit found, so that the program that reads it
does the sums again and says so when they differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from maillon.ledger.export.view import (
    Booking,
    LedgerView,
    Names,
    amount_text,
    balances,
    bookings,
    commodities,
    residuals,
)

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LETTERS: Final = re.compile("[A-Z]+")


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _text(words: str) -> str:
    """Return words without what could end a line, a comment or a string in a journal."""
    return _UNPRINTABLE.sub(" ", words).replace('"', "'").replace(";", ",").replace("|", "/")


def _what(booking: Booking) -> str:
    m = booking.movement
    about = _text(m.category) or m.kind
    return f"{m.kind}: {about}" if about != m.kind else m.kind


def _tags(booking: Booking) -> str:
    m = booking.movement
    return f"block:{m.height}, entry:{m.index}, time:{_clock(m.time)}, chain:{m.coop.hex()[:12]}"


def _counted(booking: Booking) -> str:
    """Return the comment for what is counted and owed by nobody."""
    m = booking.movement
    return f"; {_date(m.time)} {m.id.hex()[:16]} {_what(booking)}: {booking.unit.code}\n"


def _postings(
    lines: Iterable[tuple[str, int]], decimals: int, unit: str, indent: str
) -> Iterator[str]:
    for account, amount in lines:
        yield f"{indent}{account}  {amount_text(amount, decimals)} {unit}\n"


def _heading(view: LedgerView, mark: str) -> Iterator[str]:
    yield f"{mark} {_text(view.name)}: the audited ledger, until {_date(view.at)}\n"
    yield f"{mark} federation {view.fed.hex()}\n"
    for coop in view.coops.values():
        yield f"{mark} {_text(coop.name)}: block {coop.height}, {coop.head.hex()}\n"


def hledger(view: LedgerView) -> Iterator[str]:
    """Yield the journal for hledger, in pieces of text."""

    def commodity(word: str, decimals: int) -> str:
        return f"commodity {amount_text(10**decimals, decimals)}{'' if decimals else '.'} {word}\n"

    yield "decimal-mark .\n"
    yield from _journal(view, commodity)


def ledger(view: LedgerView) -> Iterator[str]:
    """Yield the journal for ledger (ledger-cli), in pieces of text."""

    def commodity(word: str, decimals: int) -> str:
        return f"commodity {word}\n    format {amount_text(10**decimals, decimals)} {word}\n"

    yield from _journal(view, commodity)


def _journal(view: LedgerView, commodity: Callable[[str, int], str]) -> Iterator[str]:
    yield from _heading(view, ";")
    yield "\n"
    names = Names(view)
    # Both programs want names that are not only letters between quotation marks.
    units = {
        index: word if _LETTERS.fullmatch(word) else f'"{word}"'
        for index, word in commodities(view).items()
    }
    for money in view.money:
        yield commodity(units[money.index], money.decimals)
    yield "\n"
    for account in _accounts(view, names):
        yield f"account {account}\n"
    yield "\n"
    for booking in bookings(view, names):
        m = booking.movement
        if not booking.lines:
            yield _counted(booking)
            continue
        yield f"{_date(m.time)} * ({m.id.hex()[:16]}) {_what(booking)}  ; {_tags(booking)}\n"
        lines = [(line.account, line.amount) for line in booking.lines]
        yield from _postings(lines, booking.unit.decimals, units[m.unit], "    ")
        yield "\n"
    for (account, other, index), gap in residuals(view, names).items():
        decimals = view.unit(index).decimals
        yield f"{_date(view.at)} * entries that were erased, from the certified state\n"
        yield from _postings([(account, gap), (other, -gap)], decimals, units[index], "    ")
        yield "\n"
    yield f"{_date(view.at)} * balances found by the audit\n"
    for account, _, unit, total in balances(view, names):
        decimals = view.unit(unit).decimals
        nothing, expected = amount_text(0, decimals), amount_text(total, decimals)
        yield f"    {account}  {nothing} {units[unit]} = {expected} {units[unit]}\n"


def _accounts(view: LedgerView, names: Names) -> list[str]:
    everything = {account for account, _, _, _ in balances(view, names)}
    everything.update(line.account for booking in bookings(view, names) for line in booking.lines)
    everything.update(other for _, other, _ in residuals(view, names))
    return sorted(everything)


def beancount(view: LedgerView) -> Iterator[str]:
    """Yield the journal for beancount, in pieces of text."""
    names = Names(view)
    units = commodities(view)
    yield from _heading(view, ";")
    yield f'\noption "title" "{_text(view.name)}"\n'
    # Accounts of mutual credit are neither assets nor debts for good: one tree for all of them.
    yield f'option "name_assets" "{names.ROOT}"\n\n'
    began = _date(min([view.founded, *(m.time for m in view.movements())]))
    for money in view.money:
        yield f"{began} commodity {units[money.index]}\n"
        yield f'  name: "{_text(money.label)}"\n'
    yield "\n"
    for account in _accounts(view, names):
        yield f"{began} open {account}\n"
    yield "\n"
    for booking in bookings(view, names):
        m = booking.movement
        if not booking.lines:
            yield _counted(booking)
            continue
        yield f'{_date(m.time)} * "{_what(booking)}"\n'
        yield f'  id: "{m.id.hex()}"\n'
        yield f'  chain: "{m.coop.hex()}"\n'
        yield f"  block: {m.height}\n  entry: {m.index}\n"
        yield f'  time: "{_clock(m.time)}"\n'
        lines = [(line.account, line.amount) for line in booking.lines]
        yield from _postings(lines, booking.unit.decimals, units[m.unit], "  ")
        yield "\n"
    for (account, other, index), gap in residuals(view, names).items():
        decimals = view.unit(index).decimals
        yield f'{_date(view.at)} * "entries that were erased, from the certified state"\n'
        yield from _postings([(account, gap), (other, -gap)], decimals, units[index], "  ")
        yield "\n"
    # A balance holds at the beginning of its day: the day after the last movement.
    end = datetime.fromtimestamp(view.at, UTC) + timedelta(days=1)
    for account, _, unit, total in balances(view, names):
        decimals = view.unit(unit).decimals
        # Without the tolerance of 0, beancount lets a balance differ by one minor unit.
        yield (
            f"{end:%Y-%m-%d} balance {account}  {amount_text(total, decimals)} ~ "
            f"{amount_text(0, decimals)} {units[unit]}\n"
        )
