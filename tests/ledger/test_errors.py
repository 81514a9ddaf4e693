"""Claims about what the ledger refuses and says (spec/registry.md, "Error codes")."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Iterator

import pytest

import maillon.ledger
import maillon.protocol
from maillon.ledger import errors
from maillon.protocol.errors import LocalError, MaillonError, RemoteError

for _package in (maillon.protocol, maillon.ledger):
    for _module in pkgutil.iter_modules(_package.__path__):
        if not _module.ispkg and not _module.name.startswith("_"):
            importlib.import_module(f"{_package.__name__}.{_module.name}")


def subclasses(cls: type[MaillonError]) -> Iterator[type[MaillonError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from subclasses(child)


ALL = [
    cls
    for cls in subclasses(MaillonError)
    if cls.__module__.startswith(("maillon.protocol.", "maillon.ledger."))
]
CLASSES = [cls for cls in ALL if cls.__module__ == errors.__name__]


def test_no_code_of_the_ledger_is_one_of_another_error() -> None:
    codes = [cls.code for cls in ALL]
    assert {code for code in codes if codes.count(code) > 1} == set()
    assert len(CLASSES) > 40


@pytest.mark.parametrize("cls", CLASSES)
def test_each_says_a_sentence_keeps_its_facts_and_crosses_a_process_border(
    cls: type[MaillonError],
) -> None:
    error = cls(unit=0, available=30)
    assert str(error)[0].isupper() and str(error).endswith(".")
    assert error.available == 30
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls and again.facts == error.facts


def test_what_the_state_of_accounts_refuses_costs_an_honest_sender_nothing() -> None:
    # Between signing and the block somebody else may have paid, closed, revoked or lowered.
    for cls in (
        errors.OverLimit,
        errors.CoopLimit,
        errors.OverMaximum,
        errors.StaleSequence,
        errors.SequenceGap,
        errors.OrderExpired,
        errors.AccountClosed,
        errors.MandateExhausted,
        errors.HoldUnknown,
    ):
        assert cls.excusable and not cls.pending, cls


def test_what_waits_for_other_blocks_is_pending_and_what_cannot_be_true_is_neither() -> None:
    assert errors.NeedBlocks.pending and errors.CharterUnknown.pending
    for cls in (
        errors.BadAmount,
        errors.BadBlock,
        errors.BadCertificate,
        errors.BadEvidence,
        errors.NotEvidence,
    ):
        assert not (cls.benign or cls.pending or cls.excusable), cls


def test_what_was_done_already_is_benign() -> None:
    assert errors.AlreadyConsumed.benign and errors.HoldExists.benign


def test_every_error_is_of_a_peer_or_of_our_own() -> None:
    for cls in CLASSES:
        assert issubclass(cls, RemoteError) != issubclass(cls, LocalError)
        if cls.benign or cls.pending:
            assert cls.excusable
