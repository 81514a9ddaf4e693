"""The accounting programs read our journals, come to our sums, and notice what was changed."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maillon.ledger.export.journals import beancount, hledger, ledger
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
from support.ledger_views import make_view, tampered
from support.real_tools import real_tool

SEED = 20


@pytest.fixture(scope="module")
def view() -> LedgerView:
    return make_view(SEED)


def write(path: Path, pieces: Iterator[str]) -> Path:
    path.write_text("".join(pieces), encoding="utf-8")
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env={"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    )


def expected(view: LedgerView) -> dict[tuple[str, str], str]:
    """Return the balances that are not 0: (account, commodity) -> decimal text."""
    names, words = Names(view), commodities(view)
    return {
        (account, words[unit]): amount_text(amount, view.unit(unit).decimals)
        for account, _, unit, amount in balances(view, names)
        if amount
    }


def amounts(cell: str) -> Iterator[tuple[str, str]]:
    """Cut "-1.00 ""SEL-01"", 3 MIN" into (commodity, number) pairs."""
    for number, word in re.findall(r'(-?[\d.]+) "?([A-Z0-9-]+)"?', cell):
        yield word, number


def test_the_view_the_tests_use_is_in_balance(view: LedgerView) -> None:
    sums: dict[int, int] = {}
    for _, _, unit, amount in balances(view, Names(view)):
        sums[unit] = sums.get(unit, 0) + amount
    assert set(sums.values()) == {0}
    assert residuals(view, Names(view)) == {}
    assert any(m.kind == "returned" for m in view.movements())
    assert any(channel.in_flight for channel in view.channels)


def test_every_booking_adds_up_to_nothing(view: LedgerView) -> None:
    made: list[Booking] = list(bookings(view, Names(view)))
    assert {sum(line.amount for line in booking.lines) for booking in made} == {0}
    assert any(not booking.lines for booking in made)  # what only counts


def test_hledger_finds_our_balances(view: LedgerView, tmp_path: Path) -> None:
    tool = real_tool("hledger")
    path = write(tmp_path / "book.journal", hledger(view))
    checked = run(tool, "-f", str(path), "check", "--strict", "ordereddates")
    assert checked.returncode == 0, checked.stderr
    ran = run(tool, "-f", str(path), "balance", "--flat", "--no-total", "-O", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    found = {
        (row["account"], word): number for row in rows for word, number in amounts(row["balance"])
    }
    assert found == expected(view)
    total = run(tool, "-f", str(path), "balance", "--depth", "1", "-O", "csv", "--no-total")
    assert list(csv.reader(io.StringIO(total.stdout)))[1:] == []  # nothing is left at the root


def test_ledger_finds_our_balances(view: LedgerView, tmp_path: Path) -> None:
    tool = real_tool("ledger")
    path = write(tmp_path / "book.ledger", ledger(view))
    base = (tool, "--args-only", "-f", str(path))
    ran = run(*base, "--pedantic", "balance", "--flat", "--no-total", "--balance-format",
              "%(account)|%(strip(T))\\n")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: dict[tuple[str, str], str] = {}
    account = ""
    for line in ran.stdout.splitlines():
        name, bar, cell = line.rpartition("|")
        account = name if bar else account
        for word, number in amounts(cell):
            found[account, word] = number
    assert found == expected(view) | {k: v for k, v in found.items() if set(v) <= set("0.")}


def test_beancount_finds_our_balances(view: LedgerView, tmp_path: Path) -> None:
    reason = "beancount is not installed (make dev)"
    loader: Any = pytest.importorskip("beancount.loader", reason=reason)
    realization: Any = pytest.importorskip("beancount.core.realization", reason=reason)
    path = write(tmp_path / "book.beancount", beancount(view))
    checked = run(str(Path(sys.executable).with_name("bean-check")), str(path))
    assert checked.returncode == 0, checked.stderr
    entries, errors, _ = loader.load_file(str(path))
    assert errors == []
    found = {
        (node.account, position.units.currency): str(position.units.number)
        for node in realization.iter_children(realization.realize(entries))
        for position in node.balance
    }
    assert found == expected(view)


@pytest.mark.parametrize(
    ("name", "writer", "command"),
    [
        ("hledger", hledger, ("check",)),
        ("ledger", ledger, ("balance",)),
        ("bean-check", beancount, ()),
    ],
)
def test_each_program_refuses_a_journal_with_one_amount_changed(
    view: LedgerView,
    tmp_path: Path,
    name: str,
    writer: Callable[[LedgerView], Iterator[str]],
    command: tuple[str, ...],
) -> None:
    tool = real_tool(name)
    good = "".join(writer(view))
    # One leg pair changed by one minor unit, as by a hand in the file: still balanced in itself.
    old = next(m for m in tampered(view).movements() if m not in list(view.movements()))
    before = next(m for m in view.movements() if m.id == old.id)
    number = amount_text(before.amount, 2)
    head, mark, tail = good.partition(before.id.hex()[:16])
    changed = head + mark + tail.replace(number, amount_text(old.amount, 2), 2)
    assert changed != good
    for text, verdict in ((good, True), (changed, False)):
        path = write(tmp_path / "book", iter([text]))
        options = () if name == "bean-check" else ("-f",)
        ran = run(tool, *options, str(path), *command)
        assert (ran.returncode == 0) is verdict, ran.stderr


def test_what_was_erased_is_booked_as_such_and_still_balances(
    view: LedgerView, tmp_path: Path
) -> None:
    tool = real_tool("hledger")
    kept = [m for i, m in enumerate(view.movements()) if i % 9]
    partial = replace(view, movements=lambda: iter(kept))
    assert residuals(partial, Names(partial))
    path = write(tmp_path / "book.journal", hledger(partial))
    ran = run(tool, "-f", str(path), "check")
    assert ran.returncode == 0, ran.stderr
    assert "Erased-Entries" in path.read_text()


def test_no_two_accounts_share_a_name_and_each_name_is_plain(view: LedgerView) -> None:
    for named in (view, make_view(SEED, names=True)):
        names = Names(named)
        found = [names.account(account.coop, account.id) for account in named.accounts]
        found += [names.transit(a, b) for a in named.coops for b in named.coops if a != b]
        assert len({name.lower() for name in found}) == len(found)
        for name in found:
            parts = name.split(":")
            assert parts[0] == "Coops"
            assert all(re.fullmatch("[A-Z0-9][A-Za-z0-9-]*", part) for part in parts), name


def test_names_of_persons_stand_in_a_book_only_when_given(view: LedgerView) -> None:
    named = make_view(SEED, names=True)
    assert "Residente" not in "".join(hledger(view))
    assert "Residente-n9" in "".join(hledger(named))


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(0, 0, "0"), (-90, 0, "-90"), (5, 2, "0.05"), (-5, 2, "-0.05"), (1234, 2, "12.34")],
)
def test_amounts_are_written_with_all_their_decimals(amount: int, decimals: int, text: str) -> None:
    assert amount_text(amount, decimals) == text
