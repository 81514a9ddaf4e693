"""Keep what was asked of this coop's chain until it is certain, over restarts and power cuts.

A row of the space `order` of ledger.db is durable before the asking is acknowledged, and goes when
the entry stands on a certified block, where it can be found for ever. What was refused stays for a
while, with its reason.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from maillon.ledger.entries import Entry, decode_entry
from maillon.ledger.limits import SEQ_GAP_MAX
from maillon.ledger.orders import Order, decode_order
from maillon.ledger.state import Account
from maillon.ledger.steps import Write
from maillon.node.i18n import _
from maillon.node.ledger import bounds
from maillon.node.ledger.staging import StagedDisk
from maillon.protocol.encoding import Value, decode, encode, pack
from maillon.protocol.errors import LocalError, MaillonError

log = logging.getLogger("maillon.ledger")

ROW_BYTES_MAX: Final = 16_384

WAITING: Final = "waiting"
PLACED: Final = "placed"
CERTIFIED: Final = "certified"
REFUSED: Final = "refused"
_STATES: Final[tuple[str, ...]] = (WAITING, PLACED, REFUSED)


class QueueFull(LocalError):
    """Too much waits already; the network has been away for long, or an account asks too much."""

    code = "queue_full"


@dataclass(slots=True)
class Queued:
    """One thing asked: a member's order, or an entry of the coop's own.

    `number` is the order of asking. `reason`, `detail` and `facts` tell a refusal.
    """

    id: bytes
    wish: Order | Entry
    given_at: int
    number: int
    state: str = WAITING
    h: int = 0
    ended_at: int = 0
    reason: str = ""
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def account(self) -> bytes:
        """Return the account that it is about; 16 zero bytes for the coop's own."""
        return cast("bytes", getattr(self.wish, "account", bytes(16)))

    def encode(self) -> bytes:
        is_order = isinstance(self.wish, Order)
        if is_order and not self.facts and not self.detail:
            # Nearly always, and then nothing is in it that was not bounded before.
            wish = pack(self.wish.array())
            state = _STATES.index(self.state)
            kept = (1, True, wish, self.given_at, self.number, state, self.h, self.ended_at)
            return pack((*kept, self.reason, "", {}))
        return encode(
            [
                1,
                is_order,
                self.wish.encode(),
                self.given_at,
                self.number,
                _STATES.index(self.state),
                self.h,
                self.ended_at,
                self.reason,
                self.detail,
                storable(self.facts),
            ],
            bytes_max=ROW_BYTES_MAX,
        )


def storable(facts: Mapping[str, Any]) -> dict[str, Value]:
    """Return the facts of an error that are numbers, texts or bytes."""
    return {
        name: value[:400] if isinstance(value, str | bytes) else value
        for name, value in facts.items()
        if isinstance(value, int | str | bytes)
    }


def _decoded(id: bytes, data: bytes) -> Queued:
    parts = cast("list[Any]", decode(data, bytes_max=ROW_BYTES_MAX))
    _version, is_order, wish, given_at, number, state, *rest = parts
    found: Order | Entry = decode_order(wish) if is_order else decode_entry(wish)
    item = Queued(id, found, given_at, number)
    item.state = _STATES[int(state)]
    item.h, item.ended_at, item.reason, item.detail, item.facts = rest
    return item


class OrderQueue:
    """What waits for this coop's writer, in the order of asking."""

    def __init__(self, disk: StagedDisk) -> None:
        self._disk = disk
        self._items: dict[bytes, Queued] = {}
        self._refused: OrderedDict[bytes, None] = OrderedDict()
        """Ids of what was refused, the first refused first."""
        self._by_account: dict[bytes, int] = {}
        self._seqs: dict[bytes, int] = {}
        self._signed: dict[bytes, int] = {}
        found: list[Queued] = []
        for id, data in list(disk.scan("order")):
            try:
                found.append(_decoded(id, data))
            except MaillonError as fault:
                # An earlier version queued what no reader accepts: it could never be carried out.
                log.warning("something asked cannot be read and is given up: %s", fault.code)
                disk.commit((Write("order", id, None),))
        for item in sorted(found, key=lambda item: item.number):
            self._remember(item)
        for item in sorted(found, key=lambda item: item.ended_at):
            if item.state == REFUSED:
                self._refused[item.id] = None
        self._next = 1 + max((item.number for item in found), default=0)

    def __len__(self) -> int:
        return len(self._items) - len(self._refused)

    def __iter__(self) -> Iterator[Queued]:
        return iter(list(self._items.values()))

    def get(self, id: bytes) -> Queued | None:
        """Return what is known of something asked and not certified."""
        return self._items.get(id)

    def waiting(self) -> list[Queued]:
        """Return what is neither certified nor refused, in the order of asking."""
        return [item for item in self._items.values() if item.state != REFUSED]

    def counts(self) -> dict[str, int]:
        """Return how many are in each state."""
        counts: dict[str, int] = dict.fromkeys(_STATES, 0)
        for item in self._items.values():
            counts[item.state] += 1
        return counts

    def last_seq(self, account: bytes) -> int:
        """Return the highest number among an account's waiting orders, 0 for none."""
        return self._seqs.get(account, 0)

    def next_seq(self, account: Account, *, after: int = 0) -> int:
        """Return the number for the next order of an account of this coop.

        It is above what the chain has, what waits, what was signed here and is not placed yet, and
        `after`: orders come from several parts of a node, and each number counts once.
        """
        last = max(
            account.seq, after, self._seqs.get(account.id, 0), self._signed.get(account.id, 0)
        )
        # One so high would be refused, or leave no room above it.
        return (account.seq if last >= account.seq + SEQ_GAP_MAX else last) + 1

    def signed(self, account: bytes, seq: int) -> None:
        """Note a number that was given to an order which is placed later.

        Only remembered: whoever signs keeps the order and places it again after a start. The last
        signed is kept, not the highest: after a number that led nowhere they begin anew.
        """
        self._signed.pop(account, None)
        self._signed[account] = seq
        if len(self._signed) > bounds.SIGNED_NUMBERS_MAX:
            del self._signed[next(iter(self._signed))]

    def add(self, id: bytes, wish: Order | Entry, now: int, *, later: bool = False) -> Queued:
        """Take something in; the caller acknowledges after the next flush of the disk.

        With `later` after the next flush of everything: what is certified by then was never
        written and need not be deleted. What is here already is returned as it is: asking twice is
        asking once. Raises: QueueFull.
        """
        known = self._items.get(id)
        if known is not None and known.state != REFUSED:
            return known
        account = cast("bytes", getattr(wish, "account", bytes(16)))
        if len(self) >= bounds.ORDERS_WAITING_MAX:
            raise QueueFull(
                _("{n} orders wait for the network already.").format(n=len(self)),
                hint=_("See what is wrong with: maillon ledger status"),
            )
        if account != bytes(16) and (self._by_account.get(account, 0) >= bounds.ORDERS_ACCOUNT_MAX):
            raise QueueFull(
                _("{n} orders of this account wait already.").format(n=self._by_account[account]),
                hint=_("Wait until they are through."),
            )
        if known is not None:
            self.forget(id)
        item = Queued(id, wish, now, self._next)
        self._next += 1
        self._remember(item)
        write = Write("order", item.id, item.encode())
        if later and known is None:
            self._disk.commit_later(write)
        else:
            self._disk.commit((write,))
        return item

    def placed(self, id: bytes, h: int) -> None:
        """Note that something stands in a block that is proposed."""
        item = self._items.get(id)
        if item is not None and item.state == WAITING:
            # Not written: after a restart the block tells, or it waits again.
            item.state, item.h = PLACED, h

    def waits_again(self, id: bytes) -> None:
        """Note that the block it stood in is not certified after all."""
        item = self._items.get(id)
        if item is not None and item.state == PLACED:
            item.state, item.h = WAITING, 0

    def refused(self, id: bytes, fault: MaillonError, now: int) -> bool:
        """Note that something will never be carried out, and why; False when it is not here."""
        item = self._items.get(id)
        if item is None or item.state == REFUSED:
            return False
        self._uncount(item)
        item.state = REFUSED
        item.ended_at = now
        item.reason, item.detail = fault.code, str(fault)
        item.facts = dict(storable(fault.facts))
        self._write(item)
        self._refused[id] = None
        if len(self._refused) > bounds.REFUSED_KEPT_MAX:
            self.forget(next(iter(self._refused)))
        return True

    def certified(self, id: bytes) -> Queued | None:
        """Let go of what stands on a certified block now; return it."""
        return self.forget(id)

    def forget(self, id: bytes) -> Queued | None:
        """Let go of something; return it if it was here."""
        item = self._items.pop(id, None)
        self._refused.pop(id, None)
        if item is not None:
            if item.state != REFUSED:
                self._uncount(item)
            if not self._disk.forget_later("order", id):
                self._disk.commit((Write("order", id, None),))
        return item

    def _remember(self, item: Queued) -> None:
        if item.state == PLACED:
            item.state, item.h = WAITING, 0
        self._items[item.id] = item
        if item.state != REFUSED:
            account = item.account
            self._by_account[account] = self._by_account.get(account, 0) + 1
            if isinstance(item.wish, Order):
                self._seqs[account] = max(self._seqs.get(account, 0), item.wish.seq)

    def _uncount(self, item: Queued) -> None:
        account = item.account
        left = self._by_account[account] - 1
        if left:
            self._by_account[account] = left
        else:
            del self._by_account[account]
            # What is certified meanwhile is counted by the account itself.
            self._seqs.pop(account, None)

    def _write(self, item: Queued) -> None:
        self._disk.commit((Write("order", item.id, item.encode()),))
