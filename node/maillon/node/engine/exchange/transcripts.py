"""Read the transcript of an exchange, and compute its state (spec/08, "The state")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, cast

from maillon.node.engine.exchange.ports import Directory, ExchangeStore, Ledger, StepRow
from maillon.protocol.envelope import Signed, decode_record
from maillon.protocol.errors import LocalError
from maillon.protocol.exchange import Exchange, Step, TransferFact, fold

CACHED_MAX: Final = 512
"""Exchanges kept folded; each takes some 20 KiB."""

# A reservation that was paid is as certain as a payment; what was sent back was never paid.
_FACTS: Final = {
    "certified": "certified",
    "posted": "certified",
    "held": "held",
    "void": "void",
    "returned": "void",
}


class NoSuchExchange(LocalError):
    """No exchange here has this id."""

    code = "not_found"


class LedgerFacts:
    """Answer what a fold asks of the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def counts(self, unit: str, /) -> bool:
        """Tell whether a unit is one of the charter's that only count."""
        return unit in self._ledger.counting()

    def transfer(self, order: bytes, /) -> TransferFact | None:
        """Return what the chains say of an order; None while they say nothing."""
        found = self._ledger.transfer(order)
        status = _FACTS.get(found.status) if found is not None else None
        if found is None or status is None:
            return None
        return TransferFact(found.payer, found.payee, found.unit, found.amount, status, found.ref)


def said(signed: Signed | None) -> Mapping[str, Any]:
    """Return what a record says; nothing when its content was erased, or there is no record."""
    payload = None if signed is None else signed.payload
    return cast("Mapping[str, Any]", payload or {})


def step_from_row(row: StepRow, signed: Signed) -> Step:
    """Return a step as the state machine takes it."""
    header = signed.header
    return Step(
        row.id, header.kind, header.by, row.author, row.role, header.at, header.refs, signed.payload
    )


class Transcripts:
    """The transcripts of a store, read and folded."""

    def __init__(self, store: ExchangeStore, directory: Directory, ledger: Ledger) -> None:
        self._store = store
        self._directory = directory
        self.facts = LedgerFacts(ledger)
        self._folded: OrderedDict[bytes, tuple[int, Exchange]] = OrderedDict()

    def records(self, exchange: bytes) -> list[tuple[StepRow, Signed]]:
        """Return the steps as they were taken in, with their records."""
        return [(row, decode_record(row.record)) for row in self._store.transcript(exchange)]

    def counts(self, signed: Signed) -> bool:
        """Tell whether a step still counts: its key, or the mandate it was signed under, may have
        been ended since, as of a time before it."""
        header = signed.header
        member = self._directory.membership(header.coop, header.by)
        ended = None if member is None else member.end
        if ended is not None and not ended.counts(signed.id, header.at):
            return False
        mandate = self._directory.mandate(header.as_) if header.as_ else None
        ended = None if mandate is None else mandate.ended
        return ended is None or ended.counts(signed.id, header.at)

    def fold(self, exchange: bytes, now: int) -> Exchange:
        """Return the state of an exchange. Raises: NoSuchExchange."""
        known = self._folded.get(exchange)
        if known is not None:
            self._folded.move_to_end(exchange)
            at, state = known
            return state if at == now else state.at(now)
        steps = [
            step_from_row(row, signed)
            for row, signed in self.records(exchange)
            if self.counts(signed)
        ]
        if not any(step.kind == "opening" for step in steps):
            # It was never here, or whoever opened it had lost the key by then.
            raise NoSuchExchange("There is no such exchange here.")
        state = fold(steps, self.facts, now)
        self._folded[exchange] = (now, state)
        if len(self._folded) > CACHED_MAX:
            self._folded.popitem(last=False)
        return state

    def changed(self, exchange: bytes | None = None) -> None:
        """Forget what was computed: of one exchange, or of all when keys or mandates changed."""
        if exchange is None:
            self._folded.clear()
        else:
            self._folded.pop(exchange, None)
