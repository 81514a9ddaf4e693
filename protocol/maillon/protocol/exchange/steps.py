"""Say what one step of an exchange is, and what the state machine asks of the ledger (spec/08).

A step is a signed record of a private kind. Its signature, its form and who may sign it were judged
before (spec/03); here only what it says, who says it, and what its author had seen is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from maillon.protocol.envelope import Signed
from maillon.protocol.records.exchange import STEP_KINDS
from maillon.protocol.validation import Standing

__all__ = [
    "NO_FACTS",
    "STEP_KINDS",
    "Facts",
    "KnownTransfers",
    "Step",
    "TransferFact",
    "payment_ref",
    "step_from",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `id`, `by` and `refs` are 32 bytes each, `author` 49 (a person) or 33 (a coop).

    `signer_role` is "node" or "member", `at` Unix seconds; `payload` is None once erased.
    """

    id: bytes
    kind: str
    by: bytes
    author: bytes
    signer_role: str
    at: int
    refs: tuple[bytes, ...]
    payload: Mapping[str, Any] | None


def step_from(signed: Signed, standing: Standing) -> Step:
    """Return the step that a record is; `standing` is what `validation.check_step` said of it."""
    header = signed.header
    return Step(
        signed.id,
        header.kind,
        header.by,
        standing.author,
        standing.role,
        header.at,
        tuple(header.refs),
        cast("Mapping[str, Any] | None", signed.payload),
    )


def content(step: Step) -> Mapping[str, Any]:
    """Return a step's payload; `fold` judges none without it."""
    assert step.payload is not None
    return step.payload


@dataclass(frozen=True, slots=True)
class TransferFact:
    """What the ledger says of an order: between whom, how much, and how far it is.

    `payer` and `payee` are authors (of an account's holder), `unit` the unit's code, `amount` in
    minor units, `ref` the order's 32 bytes. `status` is "held", "posted", "void" or "certified".
    """

    payer: bytes
    payee: bytes
    unit: str
    amount: int
    status: str
    ref: bytes


class Facts(Protocol):
    """What is known outside of the transcript: transfers of the ledger, by their order's id."""

    def counts(self, unit: str, /) -> bool:
        """Tell whether a unit of the federation has the kind `count` (spec/04)."""
        ...

    def transfer(self, order: bytes, /) -> TransferFact | None:
        """Return what the ledger says of an order (32-byte id), or None when it is not known."""
        ...


class KnownTransfers:
    """Facts out of a mapping from order ids to transfers, and the units that only count."""

    def __init__(
        self, transfers: Mapping[bytes, TransferFact], counted: Collection[str] = ()
    ) -> None:
        self._transfers = transfers
        self._counted = frozenset(counted)

    def counts(self, unit: str, /) -> bool:
        """Tell whether a unit is one of those that only count."""
        return unit in self._counted

    def transfer(self, order: bytes, /) -> TransferFact | None:
        """Return the transfer of this order, or None."""
        return self._transfers.get(order)


NO_FACTS: Final = KnownTransfers({})
"""Facts of a reader that knows no ledger: payments stay announced."""


def payment_ref(salt: bytes, agreement: bytes) -> bytes:
    """Return the `ref` that the orders of an exchange carry: a salted hash of its agreement.

    `salt` is the 16 bytes in the agreement's payload, `agreement` its 32-byte id. Whoever does not
    hold the transcript learns nothing from it.
    """
    return hashlib.sha256(b"maillon/1/exchange-ref\0" + salt + agreement).digest()
