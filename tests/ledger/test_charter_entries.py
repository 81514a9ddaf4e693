"""An entry of the charter has one way to be written, and anything else is refused (06)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maillon.ledger.charter_entries import (
    NUMBERS,
    AddUnit,
    Admit,
    CharterEntry,
    Clear,
    Refound,
    Remove,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    SetTrustee,
    decode_charter_entry,
    encode_charter_entry,
)
from maillon.ledger.limits import UNITS_MAX
from maillon.protocol.encoding import encode
from maillon.protocol.errors import BadKey, Malformed, RemoteError, SchemaError
from maillon.protocol.founding import Unit
from maillon.protocol.keys import SMALL_ORDER_ENCODINGS
from maillon.protocol.limits import RECOVERY_S_MAX
from support.charters import LedgerFederation

F = LedgerFederation(seed="charter entries")
A, B = sorted(coop.id for coop in F.coops[:2])
K1, K2 = F.key("k1").public, F.key("k2").public
HEADS = ((A, 7, b"a" * 32), (B, 0, b"b" * 32))
WEAK = min(SMALL_ORDER_ENCODINGS)

ENTRIES: list[CharterEntry] = [
    F.admit(F.make_coop("new")),
    F.admit(F.make_coop("neutral"), limits=(), accounts_max=0),
    F.admit(F.make_coop("no witness"), witness=b""),
    Remove(A, B),
    SetKey(A, "writer", K1),
    SetKey(A, "witness", b""),
    SetLimit(A, 1, 2**53 - 1),
    SetTrustee(A, B),
    SetTrustee(A, None),
    SetQuorum(5),
    AddUnit(Unit("tomate", "credit", 2, "Tomate")),
    Retire(3, b"r" * 32, HEADS),
    Clear(A, b"f" * 32),
    SetRule("recovery_s", 0),
    SetRule("approvals", 300),
    SetRule("accounts_max", 1_000_000),
    Refound(HEADS, ((A, K1, b""), (B, K2, F.key("k3").public)), 1),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_reads_back(entry: CharterEntry) -> None:
    assert decode_charter_entry(encode_charter_entry(entry)) == entry


def test_every_kind_of_entry_is_among_those_that_are_tried() -> None:
    assert {type(entry) for entry in ENTRIES} == set(NUMBERS)


ADMIT: list[Any] = [1, K1, K2, F.key("k4").public, b"", "New", [[0, 5]], 10]


def admit(place: int, value: Any) -> list[Any]:
    return [*ADMIT[:place], value, *ADMIT[place + 1 :]]


BROKEN: list[tuple[str, Any, type[Exception], str]] = [
    ("no array", {"a": 1}, Malformed, "charter_entry"),
    ("nothing", [], Malformed, "charter_entry"),
    ("a number that is true", [True, 5], Malformed, "charter_entry"),
    ("a later number", [12, 5], Malformed, "charter_entry_unknown"),
    ("number 0", [0, 5], Malformed, "charter_entry_unknown"),
    ("a part too many", [6, 2, 2], Malformed, "charter_entry_parts"),
    ("a part too few", [4, A, 1], Malformed, "charter_entry_parts"),
    ("half a coop id", [2, A[:16], B], SchemaError, "size"),
    ("a coop id as text", [2, "a" * 32, B], SchemaError, "type"),
    ("another role", [3, A, "node", K1], SchemaError, "one_of"),
    ("a key of 31 bytes", [3, A, "writer", K1[:31]], SchemaError, "size"),
    ("a key of small order", [3, A, "writer", WEAK], BadKey, ""),
    ("a negative limit", [4, A, 0, -1], SchemaError, "range"),
    ("a unit beyond", [4, A, UNITS_MAX, 5], SchemaError, "range"),
    ("a limit that is true", [4, A, 0, True], SchemaError, "type"),
    ("quorum 0", [6, 0], SchemaError, "range"),
    ("quorum 65", [6, 65], SchemaError, "range"),
    ("a unit in capitals", [7, "Heure", "hours", 0, "Heure"], SchemaError, "form"),
    ("a unit of no kind", [7, "heure", "days", 0, "Heure"], SchemaError, "one_of"),
    ("seven decimals", [7, "heure", "hours", 7, "Heure"], SchemaError, "range"),
    ("a label without letters", [7, "heure", "hours", 0, ""], SchemaError, "too_short"),
    ("retiring epoch 0", [8, 0, b"r" * 32, [[A, 1, B]]], SchemaError, "range"),
    ("no heads", [8, 1, b"r" * 32, []], SchemaError, "too_few"),
    ("heads in another order", [8, 1, b"r" * 32, [[B, 1, A], [A, 1, A]]], SchemaError, "order"),
    ("a head twice", [8, 1, b"r" * 32, [[A, 1, A], [A, 1, A]]], SchemaError, "order"),
    ("heads that are a map", [8, 1, b"r" * 32, {"a": 1}], SchemaError, "type"),
    ("heads that are bytes", [8, 1, b"r" * 32, b"heads"], SchemaError, "type"),
    ("a head of two parts", [8, 1, b"r" * 32, [[A, 1]]], SchemaError, "parts"),
    ("a head that is a map", [8, 1, b"r" * 32, [{"a": 1}]], SchemaError, "type"),
    ("a head below genesis", [8, 1, b"r" * 32, [[A, -1, A]]], SchemaError, "range"),
    ("half a fraud hash", [9, A, b"f" * 16], SchemaError, "size"),
    ("a rule of no name", [10, "quorum", 2], SchemaError, "one_of"),
    ("no approvals", [10, "approvals", 0], SchemaError, "range"),
    ("too long a wait", [10, "recovery_s", RECOVERY_S_MAX + 1], SchemaError, "range"),
    ("no accounts", [10, "accounts_max", 0], SchemaError, "range"),
    ("half a root of heads", [8, 1, b"r" * 16, [[A, 1, A]]], SchemaError, "size"),
    ("nobody re-founds", [11, [[A, 1, A]], [], 1], SchemaError, "too_few"),
    ("a weak witness re-founds", [11, [[A, 1, A]], [[A, K1, WEAK]], 1], BadKey, ""),
    ("coops in another order", [11, [[A, 1, A]], [[B, K1, b""], [A, K2, b""]], 1], SchemaError,
     "order"),
    ("a newcomer without a writer", admit(3, b""), SchemaError, "size"),
    ("a newcomer with one key twice", admit(4, K1), SchemaError, "key_twice"),
    ("a newcomer with a weak node key", admit(2, WEAK), BadKey, ""),
    ("a newcomer without a name", admit(5, ""), SchemaError, "too_short"),
    ("limits in another order", admit(6, [[1, 5], [0, 5]]), SchemaError, "order"),
    ("a limit twice", admit(6, [[1, 5], [1, 6]]), SchemaError, "order"),
    ("a limit of a unit beyond", admit(6, [[UNITS_MAX, 5]]), SchemaError, "range"),
    ("accounts beyond a million", admit(7, 1_000_001), SchemaError, "range"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "error", "rule"),
    [pytest.param(*case[1:], id=case[0]) for case in BROKEN],
)
def test_an_entry_of_another_form_is_refused_by_name(
    value: Any, error: type[Exception], rule: str
) -> None:
    with pytest.raises(error) as caught:
        decode_charter_entry(encode(value))
    if rule:
        assert getattr(caught.value, "rule", None) == rule


@given(st.data())
def test_bytes_with_one_changed_are_refused_or_read_as_what_they_say(data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(ENTRIES))
    encoded = bytearray(encode_charter_entry(entry))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = decode_charter_entry(bytes(encoded))
    except RemoteError:
        return
    assert encode_charter_entry(read) == bytes(encoded) and read != entry


def test_a_root_of_heads_is_no_key_and_may_be_any_bytes() -> None:
    entry = Retire(1, WEAK, HEADS)
    assert decode_charter_entry(encode_charter_entry(entry)) == entry


def test_an_admission_without_limits_or_accounts_is_a_witness_only() -> None:
    neutral = ENTRIES[1]
    assert isinstance(neutral, Admit) and neutral.accounts_max == 0 and neutral.witness
