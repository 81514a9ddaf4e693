"""Make ledger views out of a seed, for tests of the books that are written from them."""

from __future__ import annotations

import random
from dataclasses import replace

from maillon.ledger.export.view import (
    BACK,
    BOUNCE,
    HOLD,
    IN,
    INTRA,
    OUT,
    AccountView,
    ChannelView,
    CoopView,
    LedgerView,
    Movement,
    PositionView,
    UnitView,
)
from maillon.ledger.orders import COMMONS

UNITS = (
    UnitView(0, "h", "hours", 0, "Heures"),
    UnitView(1, "sel_01", "credit", 2, 'Grains de "sel"; fin'),
    UnitView(2, "fois", "count", 0, "Exchanges"),
    UnitView(3, "micro", "credit", 6, "Micro"),
)
# Names that strangers may choose: alike in small letters, reserved, unprintable, not Latin.
NAMES = ("Coop du Bugey", "coop du bugey", "In-Flight", "Ligne\u2028coupée; 1|2", "協同組合", '"')
CATEGORIES = ("", "jardin", "aide à domicile", "a;b|c\u2028d", '= "x"')
START = 1_767_225_600


def make_view(seed: int, movements: int = 300, names: bool = False) -> LedgerView:
    """Return a ledger of `movements` payments whose balances are the sums of its movements."""
    rng = random.Random(seed)
    coops = [rng.randbytes(32) for _ in NAMES]
    accounts: list[tuple[bytes, bytes]] = [(coop, COMMONS) for coop in coops]
    accounts += [(coop, rng.randbytes(16)) for coop in coops for _ in range(5)]
    # Two accounts whose ids begin alike.
    first = accounts[-1][1]
    accounts.append((coops[0], first[:6] + rng.randbytes(10)))
    balances: dict[tuple[bytes, bytes, int], int] = {}
    flying: dict[tuple[bytes, bytes], list[Movement]] = {}
    counts: dict[tuple[bytes, bytes], list[int]] = {}
    heights = dict.fromkeys(coops, 0)
    made: list[Movement] = []
    at = START

    def add(coop: bytes, kind: str, base: Movement) -> None:
        nonlocal at
        heights[coop] += 1
        at += rng.randrange(40_000)
        made.append(replace(base, coop=coop, height=heights[coop], index=0, time=at, kind=kind))

    def change(coop: bytes, account: bytes, unit: int, amount: int) -> None:
        if UNITS[unit].kind != "count":
            key = (coop, account, unit)
            balances[key] = balances.get(key, 0) + amount

    for _ in range(movements):
        (a, x), (b, y) = rng.sample(accounts, 2)
        unit = rng.randrange(4)
        amount = 1 if unit == 2 else rng.choice((1, 59, rng.randrange(1, 10**6), 10**12))
        base = Movement(
            a, 0, 0, 0, "", rng.randbytes(32), unit, amount, a, x, b, y, rng.choice(CATEGORIES),
            rng.choice((bytes(32), rng.randbytes(32))),
        )  # fmt: skip
        if a == b:
            add(a, INTRA, base)
            change(a, x, unit, -amount)
            change(b, y, unit, amount)
            continue
        if rng.random() < 0.1:
            add(a, HOLD, base)
            continue
        add(a, OUT, base)
        change(a, x, unit, -amount)
        counts.setdefault((a, b), [0, 0])[0] += 1
        if rng.random() < 0.2:
            flying.setdefault((a, b), []).append(base)
            continue
        counts[a, b][1] += 1
        if rng.random() < 0.8:
            add(b, IN, base)
            change(b, y, unit, amount)
            continue
        add(b, BOUNCE, base)
        counts.setdefault((b, a), [0, 0])[0] += 1
        if rng.random() < 0.5:
            flying.setdefault((b, a), []).append(base)
            continue
        add(a, BACK, base)
        counts[b, a][1] += 1
        change(a, x, unit, amount)

    def in_flight(pair: tuple[bytes, bytes]) -> dict[int, int]:
        sums: dict[int, int] = {}
        for movement in flying.get(pair, ()):
            if UNITS[movement.unit].kind != "count":
                sums[movement.unit] = sums.get(movement.unit, 0) + movement.amount
        return sums

    return LedgerView(
        b"\xfe" * 32,
        'Services de "l\'Ain"; essai',
        START - 86_400,
        at,
        UNITS,
        {
            coop: CoopView(coop, name, heights[coop], rng.randbytes(32), at, {0: 6_000})
            for coop, name in zip(coops, NAMES, strict=True)
        },
        tuple(
            AccountView(
                coop,
                account,
                "commons" if account == COMMONS else "person",
                True,
                {
                    unit: PositionView(balances.get((coop, account, unit), 0), 0, 600, None)
                    for unit in (0, 1, 3)
                },
                f"Résidente n°{number}" if names and account != COMMONS else "",
            )
            for number, (coop, account) in enumerate(accounts)
        ),
        tuple(
            ChannelView(a, b, sent, taken, in_flight((a, b)))
            for (a, b), (sent, taken) in sorted(counts.items())
        ),
        lambda: iter(made),
    )


def tampered(view: LedgerView) -> LedgerView:
    """Return the view with one movement a single minor unit greater, its balances unchanged."""
    made = list(view.movements())
    place = next(i for i, m in enumerate(made) if m.kind == INTRA and m.unit == 1)
    made[place] = replace(made[place], amount=made[place].amount + 1)
    return replace(view, movements=lambda: iter(made))
