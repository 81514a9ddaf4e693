"""Draw payloads and records from the description of their kinds (Hypothesis).

    from support.strategies import payloads, records_strategy
    @given(records_strategy())
"""

from __future__ import annotations

import string
from functools import cache
from typing import Any

from hypothesis import strategies as st

from maillon.protocol._unicode import is_nfc, nfc
from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Signed
from maillon.protocol.limits import REV_MAX
from maillon.protocol.records import DAY_S, KINDS
from maillon.protocol.records.schema import (
    Always,
    AnyOf,
    Bool,
    Broken,
    Bytes,
    Int,
    ListOf,
    MapOf,
    OneOf,
    PairOf,
    Pattern,
    Struct,
    Text,
    Type,
    compile_type,
)
from support.schema_cases import sample
from support.world import Member, World

# Letters of the languages written here, and some of everywhere else.
_LETTERS = string.ascii_letters + "éèêàçùïœÉ’ -ß中あ🙂\u00a0ñøłбع"


def texts(high: int, low: int, lines: bool) -> st.SearchStrategy[str]:
    """Draw texts that fit."""
    alphabet = _LETTERS + ("\n" if lines else "")
    found = st.text(alphabet, min_size=low, max_size=min(high, 60)).map(nfc).map(str.strip)
    return found.filter(lambda text: low <= len(text) <= high and is_nfc(text))


def values(kind: Type) -> st.SearchStrategy[Any]:
    """Draw values that fit a type."""
    match kind:
        case Text(high, low, lines):
            return texts(high, low, lines)
        case Pattern(regex=regex, max_chars=high, example=example):
            if kind.name == "H3 cell":
                return st.just(example)
            drawn = st.from_regex(regex, fullmatch=True)
            return st.just(example) | drawn.filter(lambda text: len(text) <= high and is_nfc(text))
        case OneOf(options):
            return st.sampled_from(options)
        case Int(low, high):
            return st.integers(low, high)
        case Bool():
            return st.booleans()
        case Always(value):
            return st.just(value)
        case Bytes(sizes):
            return st.one_of(*(st.binary(min_size=size, max_size=size) for size in sizes))
        case ListOf(item, high, low, distinct):
            return st.lists(
                values(item), min_size=low, max_size=min(high, low + 3),
                unique_by=repr if distinct else None,
            )  # fmt: skip
        case PairOf(item):
            pairs = st.lists(values(item), min_size=2, max_size=2, unique=True)
            return pairs.map(lambda pair: sorted(pair))
        case MapOf(item, high, low, keys):
            names = st.sampled_from(keys) if keys else st.from_regex(r"[a-z]{2,8}", fullmatch=True)
            return st.dictionaries(
                names, values(item), min_size=low, max_size=min(high, low + 3, len(keys) or high)
            )
        case AnyOf(options):
            return st.one_of(*(values(option) for option in options))
        case Struct():
            return _structs(kind)


def _structs(kind: Struct) -> st.SearchStrategy[dict[str, Any]]:
    required = {part.name: values(part.type) for part in kind.fields if part.required}
    optional = {part.name: values(part.type) for part in kind.fields if not part.required}
    check = compile_type(kind)
    good = sample(kind)

    def settled(drawn: dict[str, Any]) -> dict[str, Any]:
        # Where fields have to agree with one another the drawn ones are taken in one by one, from a
        # good start, and only those that agree are kept.
        try:
            check(drawn)
            return drawn
        except Broken:
            kept = dict(good)
        for name, value in drawn.items():
            try:
                check({**kept, name: value})
            except Broken:
                continue
            kept[name] = value
        return kept

    return st.fixed_dictionaries(required, optional=optional).map(settled)


@cache
def payloads(kind: str) -> st.SearchStrategy[dict[str, Value]]:
    """Draw payloads of a kind."""
    return values(KINDS[kind].schema)


WORLD = World(seed="strategies")
ALICE = WORLD.make_member(0, "alice")


@st.composite
def records_strategy(
    draw: st.DrawFn, kinds: tuple[str, ...] = ("offer", "demand"), *,
    world: World = WORLD, member: Member = ALICE,
) -> Signed:  # fmt: skip
    """Draw signed records by a member of a world: of kinds that a member signs without more ado."""
    kind = draw(st.sampled_from(kinds))
    age = draw(st.integers(0, 20 * DAY_S))
    return world.record(
        kind,
        draw(payloads(kind)),
        coop=member.coop,
        by=member.key,
        at=world.now - age,
        until=world.now + draw(st.integers(1, 90 * DAY_S)),
        series=draw(st.binary(min_size=16, max_size=16)),
        rev=draw(st.integers(0, 3) | st.integers(0, REV_MAX)),
        refs=draw(st.lists(st.binary(min_size=32, max_size=32), max_size=3, unique=True)),
    )


__all__ = ["ALICE", "WORLD", "payloads", "records_strategy", "texts", "values"]
