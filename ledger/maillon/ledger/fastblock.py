"""Carry out a block's ordinary payments one after the other, for who replays whole chains.

No part of the format. `rules_pay.intra` says what a payment does and what is amiss with it; this
does the same to the same state when nothing is amiss, without making the objects that a node keeps.
Whatever is not ordinary in an entry is left to the rules, which ask everything again: a mistake
here that refuses costs time, and the tests compare the two so that none accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]  # msgpack ships no types

from maillon.ledger import _read as read
from maillon.ledger.block import Placed
from maillon.ledger.context import Context
from maillon.ledger.entries import Entry
from maillon.ledger.limits import AMOUNT_MAX, CATEGORY_BYTES_MAX, CHANNEL_MAX, SEQ_GAP_MAX, SEQ_MAX
from maillon.ledger.rules_debit import CREDIT_MAX, coop_payable
from maillon.ledger.signing import ORDER
from maillon.ledger.state import ChainState, Position
from maillon.protocol.errors import MaillonError
from maillon.protocol.limits import INT_MAX


@dataclass(slots=True)
class Tally:
    """What is left of the ordinary payments of a block.

    `paid` by unit and category: how many, and how much together. `sent` by the entry's place, of
    those that went to another coop: to which, unit, amount.
    """

    paid: dict[tuple[int, str], tuple[int, int]] = field(
        default_factory=dict[tuple[int, str], tuple[int, int]]
    )
    sent: dict[int, tuple[bytes, int, int]] = field(
        default_factory=dict[int, tuple[bytes, int, int]]
    )


_NEW: Any = cast("Any", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]
_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_pack = cast(
    "Callable[[Any], bytes]",
    msgpack.Packer(use_bin_type=True, strict_types=True).pack,  # pyright: ignore[reportUnknownMemberType]
)

# The layout of a payment is that of `fastpay`.
_INTRA: Final = b"\x92\x06\x94\xc4"
_OUT: Final = b"\x93\x07\x94\xc4"
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
    entries: Sequence[Placed],
    state: ChainState,
    context: Context,
    tally: Tally,
    carry_out: Callable[[int, bytes], Entry],
) -> tuple[Entry | None, ...]:
    """Carry out all entries, none of them erased; return those that were no ordinary payments.

    Of an ordinary one it returns None, and adds it to `tally`. `state` is no fork: it is changed.
    The signatures are noted in the context. Raises: what `carry_out` (index, entry bytes) raises.
    """
    accounts, touched = state.opened()
    note, place = context.checks.append, context.places.append
    prefix, chain, time = context.prefixes[ORDER], context.chain, context.time
    paid = tally.paid
    unpack, pack, codes = _unpack, _pack, _codes
    new = cast("Callable[[type[Position], tuple[int, int, int, int]], Position]", _NEW)
    others: list[Entry | None] = []
    for index, placed in enumerate(entries):
        data = placed.data
        head = data[:4]
        end = 5 + data[4] if (head == _INTRA or head == _OUT) and len(data) > 4 else 0
        # Only a payment to another coop has something after the signature: its number.
        number = data[end + 102 :]
        if (
            end
            and len(data) >= end + 102
            and (number != b"") is (head == _OUT)
            and data[end : end + 2] == _KEY
            and data[end + 34 : end + 38] == _SIGNATURE
        ):
            body, key = data[5:end], data[end + 2 : end + 34]
            try:
                parts = unpack(body)
                account, seq, home, until, action = parts
                kind, to_coop, to_account, unit, amount, ref, category = action
                payer = accounts.get(account)
                if (
                    payer is not None
                    and type(parts) is type(action) is list
                    and type(kind) is type(seq) is type(until) is type(unit) is type(amount) is int
                    and kind == 1
                    and home == chain
                    and type(ref) is bytes
                    and len(ref) == 32
                    and (category in codes or _is_code(category))
                    and pack(parts) == body
                    and payer.open
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
                    had -= amount
                    held = payer.held(unit) if payer.holds else 0
                    done = had - held >= -limit
                    if not done:
                        pass
                    elif number:
                        done = _send(state, context, to_coop, to_account, unit, amount, number)
                        if done:
                            tally.sent[index] = (to_coop, unit, amount)
                    elif (
                        (payee := accounts.get(to_account)) is not None
                        and to_coop == chain
                        and payee is not payer
                        and payee.open
                    ):
                        _, got, low, most = payee.positions[unit]
                        got += amount
                        more = got + payee.expected.get(unit, 0) if payee.expected else got
                        done = more <= most and more <= CREDIT_MAX
                        if done:
                            payee.positions[unit] = new(Position, (unit, got, low, most))
                            touched[payee.slot] = payee
                    else:
                        done = False
                    if done:
                        note((key, prefix + body, data[end + 38 : end + 102]))
                        place(index)
                        payer.seq = seq
                        payer.positions[unit] = new(Position, (unit, had, limit, top))
                        touched[payer.slot] = payer
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


def _send(
    state: ChainState,
    context: Context,
    to_coop: Any,
    to_account: Any,
    unit: int,
    amount: int,
    number: bytes,
) -> bool:
    """Note a payment to another coop in its channel and the totals; False changes nothing."""
    if (
        type(to_coop) is not bytes
        or type(to_account) is not bytes
        or len(to_coop) != 32
        or len(to_account) != 16
        or to_coop == context.chain
    ):
        return False
    n = _unpack(number)
    if (
        type(n) is not int
        or not 1 <= n <= CHANNEL_MAX
        or _pack(n) != number
        or n != state.channel(to_coop).sent + 1
    ):
        return False
    try:
        context.destination(to_coop)
        coop_payable(state, unit, amount, context)
    except MaillonError:
        return False
    trade = state.edit_totals().trade
    trade[unit] = trade.get(unit, 0) - amount
    state.edit_channel(to_coop).sent = n
    return True
