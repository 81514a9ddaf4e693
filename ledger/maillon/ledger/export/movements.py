"""Tell what each entry of a chain moved: the lines that statements and books are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from maillon.ledger.block import Block, Placed
from maillon.ledger.entries import (
    ChannelMessage,
    Entry,
    Hold,
    In,
    Intra,
    Out,
    Post,
    Return,
    Settle,
    Void,
    decode_entry,
)
from maillon.ledger.export.view import BACK, BOUNCE, HOLD, IN, INTRA, OUT, VOID, Movement
from maillon.ledger.orders import NO_REF, HoldAction, PayAction, read_body


class Movements:
    """Read one chain's blocks in order, of which each was found valid.

    Keeps the open holds, because a post and a void name them only. What was erased moves nothing
    that could be told; a post whose hold was erased is told when it carries the order.
    """

    def __init__(self, fed: bytes, chain: bytes) -> None:
        self._fed = fed
        self._chain = chain
        self._holds: dict[bytes, Movement] = {}

    def of(self, block: Block) -> Iterator[Movement]:
        """Yield the movements of the next block, in the order of its entries."""
        for index, placed in enumerate(block.body.entries):
            if isinstance(placed, Placed):
                found = self.entry(decode_entry(placed.data), placed, block, index)
                if found is not None:
                    yield found

    def entry(self, entry: Entry, placed: Placed, block: Block, index: int) -> Movement | None:
        """Return what one entry of a block moved, or None."""
        blank = Movement(
            self._chain, block.h, index, block.header.time,
            "", b"", 0, 0, self._chain, b"", b"", b"", "", NO_REF,
        )  # fmt: skip
        match entry:
            case Intra() | Out() | Hold():
                return self._ordered(entry, blank)
            case Settle():
                return replace(
                    blank,
                    kind=OUT if entry.n else INTRA,
                    id=placed.leaf(),
                    unit=entry.unit,
                    amount=entry.amount,
                    from_account=entry.account,
                    to_coop=entry.to_coop,
                    to_account=entry.to_account,
                    ref=entry.ref,
                )
            case Post():
                return self._posted(entry, blank)
            case Void():
                held = self._holds.pop(entry.hold, None)
                return held and replace(
                    held, height=blank.height, index=index, time=blank.time, kind=VOID
                )
            case In() | Return():
                return self._taken(entry, blank)
            case _:
                return None

    def _ordered(self, entry: Intra | Out | Hold, blank: Movement) -> Movement:
        order = entry.order
        action = order.action
        assert isinstance(action, PayAction | HoldAction)
        kind = {Intra: INTRA, Out: OUT, Hold: HOLD}[type(entry)]
        made = replace(
            blank,
            kind=kind,
            id=order.id(self._fed),
            unit=action.unit,
            amount=action.amount,
            from_account=order.account,
            to_coop=action.to_coop,
            to_account=action.to_account,
            category=action.category,
            ref=action.ref,
        )
        if kind == HOLD:
            self._holds[made.id] = made
        return made

    def _posted(self, entry: Post, blank: Movement) -> Movement | None:
        held = self._holds.pop(entry.hold, None)
        if held is None and entry.order_body:
            held = self._of_body(entry.order_body, blank)
        if held is None:
            return None
        return replace(
            held,
            height=blank.height,
            index=blank.index,
            time=blank.time,
            kind=OUT if entry.n else INTRA,
            id=entry.hold,
        )

    def _of_body(self, body: bytes, blank: Movement) -> Movement:
        account, _, chain, _, action = read_body(body)
        assert isinstance(action, HoldAction)
        return replace(
            blank,
            unit=action.unit,
            amount=action.amount,
            from_coop=chain,
            from_account=account,
            to_coop=action.to_coop,
            to_account=action.to_account,
            category=action.category,
            ref=action.ref,
        )

    def _taken(self, entry: In | Return, blank: Movement) -> Movement:
        message = entry.carried(self._fed)
        category, ref = _details(decode_entry(entry.data))
        if message.returned:
            # Ours, that came back: the message names it from there to here.
            ends = (self._chain, message.to_account, entry.source, message.from_account)
        else:
            ends = (entry.source, message.from_account, self._chain, message.to_account)
        kind = BACK if message.returned else BOUNCE if isinstance(entry, Return) else IN
        return replace(_named(blank, message, ends), kind=kind, category=category, ref=ref)


def _named(
    blank: Movement, message: ChannelMessage, ends: tuple[bytes, bytes, bytes, bytes]
) -> Movement:
    return replace(
        blank,
        id=message.id,
        unit=message.unit,
        amount=message.amount,
        from_coop=ends[0],
        from_account=ends[1],
        to_coop=ends[2],
        to_account=ends[3],
    )


def _details(entry: Entry) -> tuple[str, bytes]:
    """Return category and ref of the payment that an entry of another chain made."""
    match entry:
        case Out():
            action = entry.order.action
            assert isinstance(action, PayAction)
            return action.category, action.ref
        case Post():
            action = read_body(entry.order_body)[4]
            assert isinstance(action, HoldAction)
            return action.category, action.ref
        case Settle():
            return "", entry.ref
        case Return():
            return _details(decode_entry(entry.data))
        case _:
            return "", NO_REF
