"""Compute the state of an exchange between two people from its signed steps (spec/08)."""

from __future__ import annotations

from maillon.protocol.errors import StepRefused
from maillon.protocol.exchange.fold import check_next, fold
from maillon.protocol.exchange.steps import (
    NO_FACTS,
    Facts,
    KnownTransfers,
    Step,
    TransferFact,
    payment_ref,
    step_from,
)
from maillon.protocol.exchange.view import (
    PHASES,
    Acknowledgement,
    Agreement,
    Change,
    Deadline,
    Due,
    Evaluation,
    Exchange,
    Funding,
    Guarantee,
    Handover,
    Hold,
    Payment,
    Possible,
    Quote,
    Slot,
    Task,
    Void,
)

__all__ = [
    "NO_FACTS",
    "PHASES",
    "Acknowledgement",
    "Agreement",
    "Change",
    "Deadline",
    "Due",
    "Evaluation",
    "Exchange",
    "Facts",
    "Funding",
    "Guarantee",
    "Handover",
    "Hold",
    "KnownTransfers",
    "Payment",
    "Possible",
    "Quote",
    "Slot",
    "Step",
    "StepRefused",
    "Task",
    "TransferFact",
    "Void",
    "check_next",
    "fold",
    "payment_ref",
    "step_from",
]
