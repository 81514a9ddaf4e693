"""Describe the fields of a kind once; validators, tables, test data and vectors come from it.

A `Type` is a plain description. `compile_type` turns it into a function that returns when a value
fits and raises `Broken` when it does not; the path of the field is put together only on the way
out of a failure, so that a good record pays nothing for it. Unknown fields are let through, as many
as UNKNOWN_FIELDS_MAX in a map: a later minor version may have added them (spec/03, "Later
versions").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from maillon.protocol.limits import UNKNOWN_FIELDS_MAX

Check = Callable[[object], None]

# Control characters say nothing to a reader of a page and can rewrite a terminal; U+2028 and
# U+2029 end a line where no line end is expected.
LINE_BAD: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LINES_BAD: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Broken(Exception):
    """A value does not fit its type: `rule` names what is wrong, `path` where, inside out."""

    def __init__(self, rule: str, limit: int | str | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.limit = limit
        self.path: list[str] = []

    @property
    def field(self) -> str:
        """Return the path from the payload down, such as `place.lat` or `categories[3]`."""
        return "".join(reversed(self.path)).removeprefix(".")


@dataclass(frozen=True)
class Text:
    """Text in NFC of `min_chars` to `max_chars` code points without control characters.

    With `lines`, U+000A may stand in it. White space at either end is refused, so that two texts
    that look alike are alike.
    """

    max_chars: int
    min_chars: int = 1
    lines: bool = False


@dataclass(frozen=True)
class Pattern:
    """Text that a regular expression matches as a whole; `name` is what the tables call it."""

    name: str
    regex: str
    max_chars: int
    example: str


@dataclass(frozen=True)
class OneOf:
    """Text out of a fixed list."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Int:
    """An integer within bounds, both included."""

    low: int
    high: int


@dataclass(frozen=True)
class Bool:
    """true or false."""


@dataclass(frozen=True)
class Always:
    """The one boolean that makes the field's presence a statement."""

    value: bool


@dataclass(frozen=True)
class Bytes:
    """Exactly `size` bytes, or one of several sizes."""

    sizes: tuple[int, ...]


@dataclass(frozen=True)
class ListOf:
    """An array of `low` to `high` items of one type; with `distinct`, no two alike."""

    item: Type
    high: int
    low: int = 1
    distinct: bool = True


@dataclass(frozen=True)
class PairOf:
    """An array of two integers, the first below the second."""

    item: Int


@dataclass(frozen=True)
class MapOf:
    """A map with free keys of the form of spec/01 (or out of `keys`) and values of one type."""

    item: Type
    high: int
    low: int = 1
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnyOf:
    """A value of one of several types that differ in MessagePack's own type."""

    options: tuple[Type, ...]


@dataclass(frozen=True)
class Rule:
    """A condition between fields: `holds(map)` is false when it is broken.

    `text` is the sentence of the specification, `broken` a change to a good map that breaks the
    rule, for vectors and tests.
    """

    name: str
    text: str
    holds: Callable[[dict[str, Any]], bool]
    broken: dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One field of a map."""

    name: str
    type: Type
    required: bool = False
    note: str = ""


@dataclass(frozen=True)
class Struct:
    """A map with known fields, unknown ones let through, and conditions between fields."""

    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = field(default=())


Type = (
    Text | Pattern | OneOf | Int | Bool | Always | Bytes | ListOf | PairOf | MapOf | AnyOf | Struct
)


def compile_type(kind: Type) -> Check:
    """Return the function that checks a decoded value against a type."""
    match kind:
        case Text():
            return _text(kind)
        case Pattern():
            return _pattern(kind)
        case OneOf():
            return _one_of(kind)
        case Int():
            return _int(kind)
        case Bool():
            return _bool
        case Always():
            return _always(kind)
        case Bytes():
            return _bytes(kind)
        case ListOf():
            return _list(kind)
        case PairOf():
            return _pair(kind)
        case MapOf():
            return _map(kind)
        case AnyOf():
            return _any(kind)
        case Struct():
            return _struct(kind)


def _text(kind: Text) -> Check:
    low, high = kind.min_chars, kind.max_chars
    bad = (LINES_BAD if kind.lines else LINE_BAD).search

    def check(value: object) -> None:
        if type(value) is not str:
            raise Broken("type", "text")
        if not low <= len(value) <= high:
            raise Broken("too_long" if len(value) > high else "too_short", high)
        if bad(value) is not None:
            raise Broken("control_character")
        if value and (value[0].isspace() or value[-1].isspace()):
            raise Broken("outer_space")

    return check


def _pattern(kind: Pattern) -> Check:
    high = kind.max_chars
    fits = re.compile(kind.regex).fullmatch

    def check(value: object) -> None:
        if type(value) is not str:
            raise Broken("type", "text")
        if len(value) > high:
            raise Broken("too_long", high)
        if fits(value) is None:
            raise Broken("form", kind.name)

    return check


def _one_of(kind: OneOf) -> Check:
    allowed = frozenset(kind.values)

    def check(value: object) -> None:
        if type(value) is not str:
            raise Broken("type", "text")
        if value not in allowed:
            raise Broken("one_of", ", ".join(kind.values))

    return check


def _int(kind: Int) -> Check:
    low, high = kind.low, kind.high

    def check(value: object) -> None:
        if type(value) is not int:
            raise Broken("type", "integer")
        if not low <= value <= high:
            raise Broken("range", f"{low} to {high}")

    return check


def _bool(value: object) -> None:
    if type(value) is not bool:
        raise Broken("type", "boolean")


def _always(kind: Always) -> Check:
    def check(value: object) -> None:
        if value is not kind.value:
            raise Broken("one_of" if type(value) is bool else "type", str(kind.value).lower())

    return check


def _bytes(kind: Bytes) -> Check:
    sizes = frozenset(kind.sizes)

    def check(value: object) -> None:
        if type(value) is not bytes:
            raise Broken("type", "bytes")
        if len(value) not in sizes:
            raise Broken("size", " or ".join(map(str, kind.sizes)))

    return check


def _list(kind: ListOf) -> Check:
    low, high, distinct = kind.low, kind.high, kind.distinct
    check_item = compile_type(kind.item)
    # Only what has a hash can be compared through a set; maps and arrays are compared in pairs.
    by_set = hashable(kind.item)

    def check(value: object) -> None:
        if type(value) is not list:
            raise Broken("type", "array")
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        if not low <= len(items) <= high:
            raise Broken("too_many" if len(items) > high else "too_few", high)
        index = 0
        try:
            for item in items:
                check_item(item)
                index += 1
        except Broken as broken:
            broken.path.append(f"[{index}]")
            raise
        if distinct and len(items) > 1:
            if by_set:
                if len(set(items)) != len(items):
                    raise Broken("twice")
            elif any(item in items[:at] for at, item in enumerate(items)):
                raise Broken("twice")

    return check


def _pair(kind: PairOf) -> Check:
    check_item = compile_type(kind.item)

    def check(value: object) -> None:
        if type(value) is not list:
            raise Broken("type", "array")
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        if len(items) != 2:
            raise Broken("too_many" if len(items) > 2 else "too_few", 2)
        check_item(items[0])
        check_item(items[1])
        if not items[0] < items[1]:
            raise Broken("order")

    return check


def _map(kind: MapOf) -> Check:
    low, high = kind.low, kind.high
    keys = frozenset(kind.keys)
    check_item = compile_type(kind.item)

    def check(value: object) -> None:
        if type(value) is not dict:
            raise Broken("type", "map")
        items = cast("dict[str, Any]", value)
        if not low <= len(items) <= high:
            raise Broken("too_many" if len(items) > high else "too_few", high)
        name = ""
        try:
            for name, item in items.items():
                if keys and name not in keys:
                    raise Broken("one_of", ", ".join(kind.keys))
                check_item(item)
        except Broken as broken:
            broken.path.append(f".{name}")
            raise

    return check


def _any(kind: AnyOf) -> Check:
    python: dict[type, Check] = {}
    for option in kind.options:
        python[python_type(option)] = compile_type(option)

    def check(value: object) -> None:
        chosen = python.get(type(value))
        if chosen is None:
            raise Broken("type", " or ".join(sorted(t.__name__ for t in python)))
        chosen(value)

    return check


def hashable(kind: Type) -> bool:
    """Tell whether values of the type can be compared through a set."""
    return isinstance(kind, Text | Pattern | OneOf | Int | Bytes)


def python_type(kind: Type) -> type:
    """Return the Python type that values of a type decode to."""
    match kind:
        case Text() | Pattern() | OneOf():
            return str
        case Int():
            return int
        case Bool() | Always():
            return bool
        case Bytes():
            return bytes
        case ListOf() | PairOf():
            return list
        case _:
            return dict


def _struct(kind: Struct) -> Check:
    checks = {part.name: compile_type(part.type) for part in kind.fields}
    if len(checks) != len(kind.fields):
        raise ValueError("a field is described twice")
    required = frozenset(part.name for part in kind.fields if part.required)
    required_names = tuple(part.name for part in kind.fields if part.required)
    rules = tuple((rule.holds, rule.name) for rule in kind.rules)
    find = checks.get

    def check(value: object) -> None:
        if type(value) is not dict:
            raise Broken("type", "map")
        fields = cast("dict[str, Any]", value)
        unknown = 0
        name = ""
        try:
            for name, item in fields.items():
                check_item = find(name)
                if check_item is None:
                    unknown += 1
                else:
                    check_item(item)
        except Broken as broken:
            broken.path.append(f".{name}")
            raise
        if not required <= fields.keys():
            missing = Broken("required")
            missing.path.append("." + next(n for n in required_names if n not in fields))
            raise missing
        if unknown > UNKNOWN_FIELDS_MAX:
            raise Broken("too_many_unknown", UNKNOWN_FIELDS_MAX)
        for holds, rule_name in rules:
            if not holds(fields):
                raise Broken(rule_name)

    return check


def describe(kind: Type) -> str:
    """Return a type in the words of the registry's tables."""
    match kind:
        case Text(max_chars, min_chars, lines):
            return f"text, {min_chars} to {max_chars} characters" + (", lines" if lines else "")
        case Pattern(name, regex, max_chars):
            return f"{name} `{regex}`, at most {max_chars} characters"
        case OneOf(values):
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case Int(low, high):
            return f"integer {low} to {high}"
        case Bool():
            return "boolean"
        case Always(value):
            return f"`{str(value).lower()}`"
        case Bytes(sizes):
            return " or ".join(map(str, sizes)) + " bytes"
        case ListOf(item, high, low, distinct):
            kind_of = "distinct " if distinct else ""
            return f"array of {low} to {high} {kind_of}items: {describe(item)}"
        case PairOf(item):
            return f"array of two, the first below the second: {describe(item)}"
        case MapOf(item, high, low, keys):
            of = f" with keys out of {', '.join(f'`{key}`' for key in keys)}" if keys else ""
            return f"map of {low} to {high} entries{of}: {describe(item)}"
        case AnyOf(options):
            return "; or ".join(describe(option) for option in options)
        case Struct():
            return "map"
