"""Make good values, and values that break one rule each, from the description of a type.

The vectors, the Hypothesis strategies and the fuzz seeds all come from here, so a field that is
added to a kind is tested without anybody remembering to.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from maillon.protocol.limits import INT_MAX, UNKNOWN_FIELDS_MAX
from maillon.protocol.records import community, exchange, fields, market, terms
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

Case = tuple[str, str, Any]
"""Field, rule, and a value that breaks it."""

# Where the first value of each field does not make a good whole.
_WHOLE: tuple[tuple[Type, Any], ...] = (
    (fields.PLACE, {"cell": "871f93759ffffff", "city": "Die"}),
    (fields.WINDOW, {"start": 1_600_000_000, "end": 1_600_003_600}),
    (market.RECIPROCITY, {"kind": "amount", "unit": "heure", "amount": 60}),
)

# What a map begins with, where the first value of each field does not fit the others.
_FALLBACK: dict[str, Any] = {"name": "Accueil", "phone": "+33 4 75 00 00 00"}
_LEAST: tuple[tuple[Struct, dict[str, Any]], ...] = (
    (market.AUCTION, {"form": "open", "closes": 1_700_003_600}),
    (terms.FALLBACK, _FALLBACK),
    (
        terms.TERMS,
        terms.complete({"kind": "amount", "unit": "heure", "amount": 60, "fallback": _FALLBACK}),
    ),
    (community.ORGANISATION.schema, {"rule": {"signatures": 2}}),
    (community.BID.schema, {"amount": 60}),
    (exchange.APPOINTMENT.schema, {"cancels": [b"\x07" * 16]}),
    (exchange.PAYMENT.schema, {"how": "gift"}),
)


def sample(kind: Type, *, full: bool = False, salt: int = 7) -> Any:
    """Return a value that fits; with `full` a map has every optional field that goes with others.

    `salt` makes two samples of one type differ, where the type allows it.
    """
    for known, value in _WHOLE:
        if kind is known:
            return dict(value)
    match kind:
        case Text(high, low, lines):
            text = f"Été {salt}\nà Die" if lines else f"Été {salt}"
            return text[:high].ljust(low, "x")
        case Pattern(example=example):
            return example
        case OneOf(values):
            return values[salt % len(values)] if salt != 7 else values[0]
        case Int(low, high):
            return max(low, min(high, 1_600_000_000 if high == INT_MAX else low + salt))
        case Bool():
            return True
        case Always(value):
            return value
        case Bytes(sizes):
            return bytes([salt]) * sizes[0]
        case ListOf(item, low=low):
            return [sample(item, full=full, salt=salt + at) for at in range(max(low, 1))]
        case PairOf(item):
            return [item.low, item.high]
        case MapOf(item, keys=keys):
            return {keys[0] if keys else "fr": sample(item, full=full, salt=salt)}
        case AnyOf(options):
            return sample(options[0], full=full, salt=salt)
        case Struct():
            return _struct_sample(kind, full, salt)


def _struct_sample(kind: Struct, full: bool, salt: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for place, part in enumerate(kind.fields):
        if part.required:
            # Keys and ids beside one another differ; a mandate's end comes after its start.
            value[part.name] = sample(part.type, full=full, salt=salt + place)
    for known, least in _LEAST:
        if kind is known:
            value.update(copy.deepcopy(least))
    if "end" in value and "start" in value:
        value["end"] = value["start"] + 3_600
    if full:
        check = compile_type(kind)
        for place, part in enumerate(kind.fields):
            if not part.required:
                wider = {**value, part.name: sample(part.type, full=True, salt=salt + place)}
                try:
                    check(wider)
                except Broken:
                    continue
                value = wider
    return value


def _wrong_type(kind: Type) -> Any:
    return 7 if isinstance(kind, Text | Pattern | OneOf | Bytes | ListOf | PairOf | Bool) else "x"


def breakages(kind: Type) -> Iterator[Case]:
    """Yield (field, rule, value) for each rule of a type, the value good but for that rule."""
    yield from _own(kind)
    match kind:
        case ListOf(item) | PairOf(item):
            good = sample(kind)
            for path, rule, bad in breakages(item):
                where = f"[0]{_joined(path)}" if isinstance(kind, ListOf) else _joined(path)
                yield where, rule, [bad, *good[1:]]
        case MapOf(item, keys=keys):
            name = keys[0] if keys else "fr"
            for path, rule, bad in breakages(item):
                yield f"{name}{_joined(path)}", rule, {name: bad}
        case AnyOf(options):
            for option in options:
                yield from (case for case in breakages(option) if case[1] != "type")
        case Struct():
            good = sample(kind)
            for part in kind.fields:
                for path, rule, bad in breakages(part.type):
                    yield f"{part.name}{_joined(path)}", rule, {**good, part.name: bad}
        case _:
            pass


def _joined(path: str) -> str:
    return path if not path or path.startswith("[") else f".{path}"


def _own(kind: Type) -> Iterator[Case]:
    if isinstance(kind, AnyOf):
        yield "", "type", []
        return
    yield "", "type", _wrong_type(kind)
    match kind:
        case Text(high, low, lines):
            if low:
                yield "", "too_short", "x" * (low - 1)
            yield "", "too_long", "x" * (high + 1)
            yield "", "control_character", "a\tb" if lines else "a\nb"
            yield "", "outer_space", "a\u00a0"
        case Pattern(max_chars=high):
            yield "", "form", "\u00e9 "
            yield "", "too_long", "x" * (high + 1)
        case OneOf(values):
            yield "", "one_of", "nothing" if "nothing" not in values else "something"
        case Int(low, high):
            yield "", "type", True
            if low > -INT_MAX:
                yield "", "range", low - 1
            if high < INT_MAX:
                yield "", "range", high + 1
        case Always(value):
            yield "", "one_of", not value
        case Bytes(sizes):
            yield "", "size", b"\x07" * (max(sizes) + 1)
            yield "", "size", b""
        case ListOf(item, high, low, distinct):
            one = sample(item)
            if low:
                yield "", "too_few", []
            yield "", "too_many", [one] * (high + 1)
            if distinct and high > 1:
                yield "", "twice", [one] * max(low, 2)
        case PairOf():
            low, high = sample(kind)
            yield "", "order", [high, low]
            yield "", "too_few", [low]
            yield "", "too_many", [low, high, high]
        case MapOf(item, high, low, keys):
            one = sample(item)
            if low:
                yield "", "too_few", {}
            yield "", "too_many", {f"k{at}": one for at in range(high + 1)}
            if keys:
                yield "other", "one_of", {"other": one}
        case Struct(parts, rules):
            good = sample(kind)
            for part in parts:
                if part.required:
                    fewer = {name: value for name, value in good.items() if name != part.name}
                    yield part.name, "required", fewer
            many = {f"later_{at}": at for at in range(UNKNOWN_FIELDS_MAX + 1)}
            yield "", "too_many_unknown", {**good, **many}
            for rule in rules:
                if rule.broken:
                    alone = "cell" in rule.broken
                    whole = rule.broken if alone else {**good, **rule.broken}
                    # None stands for a field that is taken away.
                    broken = {name: value for name, value in whole.items() if value is not None}
                    yield "", rule.name, broken
        case _:
            pass


def explained(kind: Type, value: Any) -> tuple[str, str] | None:
    """Return (field, rule) as the code sees it, or None when the value fits."""
    try:
        compile_type(kind)(value)
    except Broken as broken:
        return broken.field, broken.rule
    return None


def good_payloads(name: str, schema: Struct) -> Mapping[str, Any]:
    """Return the smallest and a full payload of a kind, by what they are called."""
    return {f"{name}, least": sample(schema), f"{name}, full": sample(schema, full=True)}
