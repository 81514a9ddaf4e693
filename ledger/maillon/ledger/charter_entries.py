"""Write and read the entries of the charter (spec/06, "Entries").

Every entry is a canonical array that begins with its number. Reading is strict: another number of
parts, another type, a value out of bounds or a list in another order is refused, so that what is
approved has one way to be written. Whether an entry may stand in a given charter is decided in
`charter_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.ledger.limits import UNITS_MAX
from maillon.protocol.encoding import Value, decode, encode
from maillon.protocol.errors import BadKey, Malformed
from maillon.protocol.founding import Unit
from maillon.protocol.keys import key_ok
from maillon.protocol.limits import (
    ACCOUNTS_MAX,
    COOPS_MAX,
    INT_MAX,
    RECOVERY_S_MAX,
    WITNESSES_MAX,
)
from maillon.protocol.records.fields import UNIT
from maillon.protocol.records.kind import schema_error
from maillon.protocol.records.schema import Broken, Bytes, Int, OneOf, Text, compile_type

CHARTER_ENTRY_BYTES_MAX: Final = 96_256
"""One entry, so that a proposal of it alone fits: a re-founding of 600 chains and 300 coops takes
78 kB."""

COOPS_EVER_MAX: Final = 2 * COOPS_MAX
"""Coops a charter ever admits, those that left included: each chain stands in every retirement, and
600 of them fit an entry."""

WRITER: Final = "writer"
WITNESS: Final = "witness"
RULES: Final = {
    "approvals": (1, COOPS_MAX),
    "recovery_s": (0, RECOVERY_S_MAX),
    "accounts_max": (1, ACCOUNTS_MAX),
}
"""The numbers that entry 10 sets, with their bounds."""

Limits = tuple[tuple[int, int], ...]
"""Pairs of a unit's index and a limit in minor units, by ascending index."""

PinnedHead = tuple[bytes, int, bytes]
"""A chain, the height of one of its blocks, and that block's hash."""


@dataclass(frozen=True, slots=True)
class Admit:
    """A coop enters, with a chain of its own; with `accounts_max` 0 it only witnesses."""

    root: bytes
    node_key: bytes
    writer: bytes
    witness: bytes
    name: str
    limits: Limits
    accounts_max: int


@dataclass(frozen=True, slots=True)
class Remove:
    """A coop leaves; `trustee` closes its chain."""

    coop: bytes
    trustee: bytes


@dataclass(frozen=True, slots=True)
class SetKey:
    """A coop's writer or witness key is replaced, or taken away when `key` is empty."""

    coop: bytes
    role: str
    key: bytes


@dataclass(frozen=True, slots=True)
class SetLimit:
    """What a coop may owe the others together in a unit, in minor units."""

    coop: bytes
    unit: int
    limit: int


@dataclass(frozen=True, slots=True)
class SetTrustee:
    """Another coop's writer may continue an absent coop's chain; empty ends that."""

    coop: bytes
    trustee: bytes | None


@dataclass(frozen=True, slots=True)
class SetQuorum:
    """How many witnesses certify a block."""

    quorum: int


@dataclass(frozen=True, slots=True)
class AddUnit:
    """One more unit of account, behind the others."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class Retire:
    """Certificates of epochs before `below` count only for these heads and what they rest on."""

    below: int
    root: bytes
    heads: tuple[PinnedHead, ...]


@dataclass(frozen=True, slots=True)
class Clear:
    """A chain that a fraud proof froze goes on, under another writer."""

    chain: bytes
    fraud: bytes


@dataclass(frozen=True, slots=True)
class SetRule:
    """One of the numbers in `RULES`."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Refound:
    """The federation goes on from fixed heads with new keys, when too many witnesses are lost."""

    heads: tuple[PinnedHead, ...]
    coops: tuple[tuple[bytes, bytes, bytes], ...]
    quorum: int


CharterEntry = (
    Admit
    | Remove
    | SetKey
    | SetLimit
    | SetTrustee
    | SetQuorum
    | AddUnit
    | Retire
    | Clear
    | SetRule
    | Refound
)

NUMBERS: Final[dict[type[CharterEntry], int]] = {
    Admit: 1,
    Remove: 2,
    SetKey: 3,
    SetLimit: 4,
    SetTrustee: 5,
    SetQuorum: 6,
    AddUnit: 7,
    Retire: 8,
    Clear: 9,
    SetRule: 10,
    Refound: 11,
}
NAMES: Final[dict[type[CharterEntry], str]] = {
    Admit: "admit",
    Remove: "remove",
    SetKey: "key",
    SetLimit: "limit",
    SetTrustee: "trustee",
    SetQuorum: "quorum",
    AddUnit: "unit",
    Retire: "retire",
    Clear: "clear",
    SetRule: "rule",
    Refound: "refound",
}
"""The words by which the interface and the specification call the entries."""


def encode_charter_entry(entry: CharterEntry) -> bytes:
    """Return an entry's bytes; reading them back gives the entry, or says what is wrong with it."""
    parts: list[Value] = [NUMBERS[type(entry)], *_parts(entry)]
    return encode(parts, bytes_max=CHARTER_ENTRY_BYTES_MAX)


def _parts(entry: CharterEntry) -> list[Value]:
    match entry:
        case Admit():
            limits = [list[Value](pair) for pair in entry.limits]
            return [
                entry.root, entry.node_key, entry.writer, entry.witness, entry.name,
                list[Value](limits), entry.accounts_max,
            ]  # fmt: skip
        case Remove(coop, trustee):
            return [coop, trustee]
        case SetKey(coop, role, key):
            return [coop, role, key]
        case SetLimit(coop, unit, limit):
            return [coop, unit, limit]
        case SetTrustee(coop, trustee):
            return [coop, trustee or b""]
        case SetQuorum(quorum):
            return [quorum]
        case AddUnit(unit):
            return [unit.code, unit.kind, unit.decimals, unit.label]
        case Retire(below, root, heads):
            return [below, root, _lists(heads)]
        case Clear(chain, fraud):
            return [chain, fraud]
        case SetRule(name, value):
            return [name, value]
        case Refound(heads, coops, quorum):
            return [_lists(heads), _lists(coops), quorum]


def _lists(rows: Sequence[tuple[Any, ...]]) -> list[Value]:
    return [list[Value](row) for row in rows]


def decode_charter_entry(data: bytes) -> CharterEntry:
    """Read one entry.

    Raises: Malformed and its kinds for another shape, SchemaError naming the field, BadKey.
    """
    value = decode(data, bytes_max=CHARTER_ENTRY_BYTES_MAX)
    if type(value) is not list or not value or type(value[0]) is not int:
        raise Malformed(rule="charter_entry")
    layout = _LAYOUTS.get(value[0])
    if layout is None:
        raise Malformed(rule="charter_entry_unknown", number=value[0])
    name, fields, make = layout
    if len(value) != len(fields) + 1:
        raise Malformed(rule="charter_entry_parts", number=value[0])
    for (field, check), part in zip(fields, value[1:], strict=True):
        try:
            check(part)
        except Broken as broken:
            inside = "." + broken.field if broken.field else ""
            raise schema_error(name, field + inside, broken.rule, broken.limit) from None
    entry = make(*value[1:])
    for key in _keys(entry):
        if key and not key_ok(key):
            raise BadKey(key=key)
    return entry


def _keys(entry: CharterEntry) -> tuple[bytes, ...]:
    match entry:
        case Admit():
            return entry.root, entry.node_key, entry.writer, entry.witness
        case SetKey():
            return (entry.key,)
        case Refound():
            return tuple(key for _coop, *pair in entry.coops for key in pair)
        case _:
            return ()


Check = Callable[[object], None]


def _rows(*columns: Check, high: int, low: int = 0) -> Check:
    """Check an array of arrays, ascending by what stands first in each."""

    def check(value: object) -> None:
        if type(value) is not list:
            raise Broken("type", "array")
        rows = cast("list[object]", value)
        if not low <= len(rows) <= high:
            raise Broken("too_many" if len(rows) > high else "too_few", high)
        before: Any = None
        for place, row in enumerate(rows):
            try:
                if type(row) is not list:
                    raise Broken("type", "array")
                cells: list[Any] = row  # pyright: ignore[reportUnknownVariableType]
                if len(cells) != len(columns):
                    raise Broken("parts", len(columns))
                for column, cell in zip(columns, cells, strict=True):
                    column(cell)
                if before is not None and not before < cells[0]:
                    raise Broken("order")
                before = cells[0]
            except Broken as broken:
                broken.path.append(f"[{place}]")
                raise

    return check


_zero_or_32 = compile_type(Bytes((0, 32)))
_32 = compile_type(Bytes((32,)))
_name = compile_type(Text(120))
_unit = compile_type(Int(0, UNITS_MAX - 1))
_limit = compile_type(Int(0, INT_MAX))
_height = compile_type(Int(0, INT_MAX))
_count = compile_type(Int(0, ACCOUNTS_MAX))
_quorum = compile_type(Int(1, WITNESSES_MAX))
_heads = _rows(_32, _height, _32, high=COOPS_EVER_MAX, low=1)


def _pinned(rows: Sequence[Sequence[Any]]) -> tuple[PinnedHead, ...]:
    return tuple((row[0], row[1], row[2]) for row in rows)


def _read_admit(*parts: Any) -> Admit:
    root, node_key, writer, witness, name, limits, accounts_max = parts
    keys = [key for key in (root, node_key, writer, witness) if key]
    if len(set(keys)) != len(keys):
        raise schema_error("admit", "", "key_twice")
    pairs = tuple((unit, limit) for unit, limit in limits)
    return Admit(root, node_key, writer, witness, name, pairs, accounts_max)


def _read_trustee(coop: bytes, trustee: bytes) -> SetTrustee:
    return SetTrustee(coop, trustee or None)


def _read_retire(below: int, root: bytes, heads: Sequence[Sequence[Any]]) -> Retire:
    return Retire(below, root, _pinned(heads))


def _read_refound(
    heads: Sequence[Sequence[Any]], coops: Sequence[Sequence[Any]], quorum: int
) -> Refound:
    return Refound(_pinned(heads), tuple((row[0], row[1], row[2]) for row in coops), quorum)


def _read_rule(name: str, value: int) -> SetRule:
    low, high = RULES[name]
    if not low <= value <= high:
        raise schema_error("rule", "value", "range", f"{low} to {high}")
    return SetRule(name, value)


Layout = tuple[str, tuple[tuple[str, Check], ...], Callable[..., CharterEntry]]

_LAYOUTS: Final[dict[int, Layout]] = {
    1: (
        "admit",
        (
            ("root", _32),
            ("node_key", _32),
            ("writer", _32),
            ("witness", _zero_or_32),
            ("name", _name),
            ("limits", _rows(_unit, _limit, high=UNITS_MAX)),
            ("accounts_max", _count),
        ),
        _read_admit,
    ),
    2: ("remove", (("coop", _32), ("trustee", _32)), Remove),
    3: (
        "key",
        (
            ("coop", _32),
            ("role", compile_type(OneOf((WRITER, WITNESS)))),
            ("key", _zero_or_32),
        ),
        SetKey,
    ),
    4: ("limit", (("coop", _32), ("unit", _unit), ("limit", _limit)), SetLimit),
    5: (
        "trustee",
        (("coop", _32), ("trustee", _zero_or_32)),
        _read_trustee,
    ),
    6: ("quorum", (("quorum", _quorum),), SetQuorum),
    7: (
        "unit",
        (
            ("code", compile_type(UNIT)),
            ("kind", compile_type(OneOf(("hours", "credit", "count")))),
            ("decimals", compile_type(Int(0, 6))),
            ("label", _name),
        ),
        lambda *parts: AddUnit(Unit(*parts)),
    ),
    8: (
        "retire",
        (("below", compile_type(Int(1, INT_MAX))), ("root", _32), ("heads", _heads)),
        _read_retire,
    ),
    9: ("clear", (("chain", _32), ("fraud", _32)), Clear),
    10: (
        "rule",
        (("name", compile_type(OneOf(tuple(RULES)))), ("value", _limit)),
        _read_rule,
    ),
    11: (
        "refound",
        (
            ("heads", _heads),
            ("coops", _rows(_32, _zero_or_32, _zero_or_32, high=COOPS_MAX, low=1)),
            ("quorum", _quorum),
        ),
        _read_refound,
    ),
}

__all__ = [
    "CHARTER_ENTRY_BYTES_MAX",
    "COOPS_EVER_MAX",
    "NAMES",
    "NUMBERS",
    "RULES",
    "WITNESS",
    "WRITER",
    "AddUnit",
    "Admit",
    "CharterEntry",
    "Clear",
    "Limits",
    "PinnedHead",
    "Refound",
    "Remove",
    "Retire",
    "SetKey",
    "SetLimit",
    "SetQuorum",
    "SetRule",
    "SetTrustee",
    "decode_charter_entry",
    "encode_charter_entry",
]
