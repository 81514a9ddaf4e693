"""Write the index's rows of a block's payments, of which chains mostly consist (`index`)."""

from __future__ import annotations

from collections.abc import Callable

from maillon.ledger.entries import Intra, Out
from maillon.ledger.orders import PayAction
from maillon.ledger.steps import Write
from maillon.protocol.encoding import encode, pack


class Payments:
    """The rows of a block's payments, of which chains mostly consist, in a fifth of the time.

    They are those that `TransferRow` and `Line` would encode. `balance` (coop, account, unit) is
    asked once for each that the payments change; `status` is the transfers'.
    """

    def __init__(
        self,
        chain: bytes,
        h: int,
        time: int,
        balance: Callable[[bytes, bytes, int], int],
        status: int,
    ) -> None:
        self._chain = chain
        self._h = h
        self._at = h.to_bytes(8, "big")
        self._time = time
        self._balance = balance
        self._status = status
        self._balances: dict[tuple[bytes, int], int] = {}
        self._writes: list[Write] = []

    def add(self, index: int, entry: Intra | Out, id: bytes) -> None:
        """Note a payment; `id` is its order's."""
        order, chain = entry.order, self._chain
        action = order.action
        assert isinstance(action, PayAction)
        account, to_coop, to_account = order.account, action.to_coop, action.to_account
        unit, amount, ref, category = action.unit, action.amount, action.ref, action.category
        place = (chain, self._h, index, self._time)
        at = self._at + index.to_bytes(2, "big")
        parts = (place, entry.KIND, account, to_coop, to_account, unit, amount, ref, category)
        write = self._writes.append
        write(Write("transfer", id, pack((*parts, self._status, (), 0, b"", b"", b""))))
        write(Write("recent", chain + at, id))
        said = (id, ref, category)
        rest = self._moved(account, unit, -amount)
        line = (place, "pay", to_coop, to_account, unit, -amount, 0, rest, *said)
        write(Write("line", chain + account + at + b"\0", pack(line)))
        if to_coop == chain:
            rest = self._moved(to_account, unit, amount)
            line = (place, "pay", chain, account, unit, amount, 0, rest, *said)
            write(Write("line", chain + to_account + at + b"\1", pack(line)))

    def _moved(self, account: bytes, unit: int, amount: int) -> int:
        known = self._balances.get((account, unit))
        if known is None:
            known = self._balance(self._chain, account, unit)
        self._balances[account, unit] = known = known + amount
        return known

    def taken(self) -> list[Write]:
        """Return the rows of what was noted since the last call, to be committed at once."""
        writes, self._writes = self._writes, []
        for (account, unit), balance in self._balances.items():
            writes.append(
                Write("balance", self._chain + account + bytes((unit,)), encode(balance))
            )
        self._balances.clear()
        return writes
