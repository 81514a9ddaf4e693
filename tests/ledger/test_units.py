"""Claims about how people's amounts are read and written."""

from __future__ import annotations

import random

import pytest

from maillon.ledger.errors import AmountText, UnitUnknown
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.units import UnitTable
from maillon.protocol.founding import Unit

TABLE = UnitTable(
    [
        Unit("heure", "hours", 0, "Heures"),
        Unit("grain", "credit", 2, "Grains"),
        Unit("fois", "count", 0, "Échanges"),
        Unit("minute-fine", "hours", 1, "Heures à six secondes"),
        Unit("sou", "credit", 0, "Sous"),
    ]
)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("1h30", 90),
        ("1 h 30", 90),
        ("1h30min", 90),
        ("1 h 30 min", 90),
        ("1H30", 90),
        ("1:30", 90),
        ("0h05", 5),
        ("2h", 120),
        ("2 heures", 120),
        ("1 heure 30 minutes", 90),
        ("1,5 h", 90),
        ("1.25h", 75),
        ("90 min", 90),
        ("90min", 90),
        ("90 minutes", 90),
        ("45m", 45),
        ("1 250 h", 75_000),
        ("1\u202f250\u00a0h", 75_000),
        ("  1h30  ", 90),
        ("0 min", 0),
        ("0", 0),
    ],
)
def test_hours_are_read_as_people_write_them(text: str, minutes: int) -> None:
    assert TABLE.parse(0, text) == minutes
    assert TABLE.parse(3, text) == minutes * 10


@pytest.mark.parametrize(
    ("text", "hundredths"),
    [
        ("12", 1_200),
        ("12,50", 1_250),
        ("12.50", 1_250),
        ("12,5", 1_250),
        ("0,01", 1),
        ("12,500", 1_250),
        ("1 250,00", 125_000),
        ("1\u00a0250", 125_000),
        ("007", 700),
        ("12\n", 1_200),
    ],
)
def test_credits_are_read_exactly(text: str, hundredths: int) -> None:
    assert TABLE.parse(1, text) == hundredths


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (0, "90"),
        (0, "1h5"),
        (0, "1h60"),
        (0, "1h30,5"),
        (0, "0,01 h"),
        (0, "12,50"),
        (0, "h"),
        (0, "une heure"),
        (0, "-1h30"),
        (1, "12,505"),
        (1, "1,234.50"),
        (1, "1.234,50"),
        (1, "12 50"),
        (1, "1 2345"),
        (1, "1e3"),
        (1, "+3"),
        (1, "-3"),
        (1, "\u0661\u0662"),
        (1, "\uff11\uff12"),
        (1, "12€"),
        (2, "1,5"),
        (2, "1h"),
        (4, "1,5"),
        (1, ""),
        (1, "   "),
        (1, "9" * 41),
        (1, "9" * 40),
        (1, "1" + "\n" + "2"),
    ],
)
def test_what_is_doubtful_or_finer_than_the_unit_is_refused_with_a_hint(
    unit: int, text: str
) -> None:
    with pytest.raises(AmountText) as caught:
        TABLE.parse(unit, text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("unit", "amount", "text"),
    [
        (0, 0, "0 min"),
        (0, 45, "45 min"),
        (0, 60, "1h00"),
        (0, 90, "1h30"),
        (0, -135, "-2h15"),
        (0, 75_000, "1250h00"),
        (1, 0, "0.00"),
        (1, 5, "0.05"),
        (1, -1_250, "-12.50"),
        (2, 3, "3"),
        (3, 905, "90.5 min"),
        (4, 7, "7"),
    ],
)
def test_amounts_are_written_so(unit: int, amount: int, text: str) -> None:
    assert TABLE.format(unit, amount) == text


def test_the_decimal_sign_is_that_of_the_language() -> None:
    assert TABLE.format(1, -1_250, decimal=",") == "-12,50"
    assert TABLE.format(3, 905, decimal=",") == "90,5 min"


def test_what_is_written_is_read_as_the_same_amount() -> None:
    rng = random.Random(3)
    for unit in range(len(TABLE)):
        for _ in range(200):
            amount = rng.randrange(10 ** rng.randrange(1, 15))
            for sign in ".,":
                assert TABLE.parse(unit, TABLE.format(unit, amount, decimal=sign)) == amount
        largest = TABLE.format(unit, BALANCE_MAX)
        assert TABLE.parse(unit, largest) == BALANCE_MAX


def test_a_unit_is_found_by_its_code_and_its_place_and_others_are_named() -> None:
    assert TABLE.index("grain") == 1 and TABLE.unit(1).code == "grain"
    assert [unit.code for unit in TABLE][2] == "fois" and TABLE.is_count(2)
    assert not TABLE.is_count(0)
    with pytest.raises(UnitUnknown, match="heure, grain"):
        TABLE.index("euro")
    for index in (-1, 5):
        with pytest.raises(UnitUnknown):
            TABLE.unit(index)
