"""Carry out a block's ordinary payments one after the other, for who replays whole chains.

No part of the format. `rules_pay.intra` says what a payment does and what is amiss with it; this
does the same to the same state when nothing is amiss, without making the objects that a node keeps.
Whatever is not ordinary in an entry is left to the rules, which ask everything again: a mistake
here that refuses costs time, and the tests compare the two so that none accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.ledger import _read as read
from maillon.ledger.block import Erased, Placed
from maillon.ledger.context import Context
from maillon.ledger.entries import Entry
from maillon.ledger.limits import AMOUNT_MAX, CATEGORY_BYTES_MAX, SEQ_GAP_MAX, SEQ_MAX
from maillon.ledger.rules_debit import CREDIT_MAX
from maillon.ledger.signing import ORDER
from maillon.ledger.state import ChainState, Position
from maillon.protocol.errors import MaillonError
from maillon.protocol.limits import INT_MAX

Paid = dict[tuple[int, str], tuple[int, int]]
"""Payments by unit and category: how many, and how much together."""

_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_pack = cast(
    "Callable[[Any], bytes]",
    msgpack.Packer(use_bin_type=True, strict_types=True).pack,  # pyright: ignore[reportUnknownMemberType]
)

# The layout of a payment inside a coop is that of `fastpay`.
_INTRA: Final = b"\x92\x06\x94\xc4"
_KEY: Final = b"\xc4\x20"
_SIGNATURE: Final = b"\xc4\x00\xc4\x40"

# Categories found to be codes. A memory of a pure answer, forgotten when a stranger's fill it.
_CODES_MAX: Final = 4_096
_codes: set[str] = {""}


def _is_code(category: Any) -> bool:
    if type(category) is not str:
        return False
    try:
        read.code(category, CATEGORY_BYTES_MAX, "category")
    except MaillonError:
        return False
    if len(_codes) >= _CODES_MAX:
        _codes.clear()
        _codes.add("")
    _codes.add(category)
    return True


def replay(
    entries: Sequence[Placed | Erased],
    state: ChainState,
    context: Context,
    paid: Paid,
    carry_out: Callable[[int, bytes], Entry],
) -> tuple[Entry | None, ...]:
    """Carry out all entries, none of them erased; return those that were no ordinary payments.

    Of an ordinary one it returns None, and adds it to `paid`. `state` is no fork: it is changed.
    The signatures are noted in the context. Raises: what `carry_out` (index, entry bytes) raises.
    """
    accounts, touched = state.opened()
    note, place = context.checks.append, context.places.append
    prefix, chain, time = context.prefixes[ORDER], context.chain, context.time
    unpack, pack, codes, new = _unpack, _pack, _codes, tuple.__new__
    others: list[Entry | None] = []
    for index, placed in enumerate(entries):
        data = placed.data  # type: ignore[union-attr]  # none is erased
        end = 5 + data[4] if data[:4] == _INTRA and len(data) > 4 else 0
        if (
            end
            and len(data) == end + 102
            and data[end : end + 2] == _KEY
            and data[end + 34 : end + 38] == _SIGNATURE
        ):
            body, key = data[5:end], data[end + 2 : end + 34]
            try:
                parts = unpack(body)
                account, seq, home, until, action = parts
                kind, to_coop, to_account, unit, amount, ref, category = action
                payer, payee = accounts.get(account), accounts.get(to_account)
                if (
                    payer is not None
                    and payee is not None
                    and payer is not payee
                    and type(parts) is type(action) is list
                    and type(kind) is type(seq) is type(until) is type(unit) is type(amount) is int
                    and kind == 1
                    and home == to_coop == chain
                    and type(ref) is bytes
                    and len(ref) == 32
                    and (category in codes or _is_code(category))
                    and pack(parts) == body
                    and payer.open
                    and payee.open
                    and not payer.pending
                    and payer.seq < seq <= payer.seq + SEQ_GAP_MAX
                    and seq <= SEQ_MAX
                    and time <= until <= INT_MAX
                    and key in payer.keys
                    and 1 <= amount <= AMOUNT_MAX
                ):
                    # No account has a position in a unit that only counts, or that the charter
                    # does not name.
                    _, had, limit, top = payer.positions[unit]
                    _, got, low, most = payee.positions[unit]
                    had -= amount
                    got += amount
                    held = payer.held(unit) if payer.holds else 0
                    more = got + payee.expected.get(unit, 0) if payee.expected else got
                    if had - held >= -limit and more <= most and more <= CREDIT_MAX:
                        note((key, prefix + body, data[end + 38 :]))
                        place(index)
                        payer.seq = seq
                        payer.positions[unit] = new(Position, (unit, had, limit, top))
                        payee.positions[unit] = new(Position, (unit, got, low, most))
                        touched[payer.slot] = payer
                        touched[payee.slot] = payee
                        sort = (unit, category)
                        sums = paid.get(sort)
                        paid[sort] = (sums[0] + 1, sums[1] + amount) if sums else (1, amount)
                        others.append(None)
                        continue
            except (ValueError, OverflowError, TypeError, KeyError):
                # No msgpack, no array, of another length, or no position: the rules say what.
                pass
        others.append(carry_out(index, data))
    return tuple(others)
