"""Turn a type into one flat function that says yes quickly (no part of the format).

`schema.compile_type` says what is wrong and where; this says only whether anything is, in about a
third of the time, because a whole map becomes one function without a call for each field. Whenever
the answer is no, the other one is asked, and only it refuses: a mistake here could cost time, and
the tests compare the two on every kind.
"""

# The source is put together from descriptions in this package only, never from anything received.

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from maillon.protocol.limits import UNKNOWN_FIELDS_MAX
from maillon.protocol.records import schema

Fits = Callable[[Any], bool]


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {}
        self.names = 0

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def given(self, prefix: str, value: object) -> str:
        """Put a value within the function's reach and return its name."""
        name = self.name(prefix)
        self.scope[name] = value
        return name

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)


def compile_fits(kind: schema.Type) -> Fits:
    """Return a function that tells whether a decoded value fits a type."""
    writer = _Writer()
    writer.line(0, "def fits(v):")
    _write(writer, kind, "v", 1)
    writer.line(1, "return True")
    exec("\n".join(writer.lines), writer.scope)
    fits: Fits = writer.scope["fits"]
    return fits


def _write(w: _Writer, kind: schema.Type, v: str, depth: int) -> None:
    """Write statements that return False unless the variable `v` fits."""

    def refuse(condition: str, at: int = depth) -> None:
        w.line(at, f"if {condition}: return False")

    match kind:
        case schema.Text(high, low, lines):
            refuse(f"type({v}) is not str or not {low} <= len({v}) <= {high}")
            # What is printable holds no control character, and its only white space is U+0020.
            bad = w.given("bad", schema.LINES_BAD.search if lines else schema.LINE_BAD.search)
            w.line(depth, f"if {v} and not ({v}.isprintable() and {v}[0] != ' ' != {v}[-1]):")
            refuse(f"{bad}({v}) is not None or {v}[0].isspace() or {v}[-1].isspace()", depth + 1)
        case schema.Pattern(_, regex, high):
            fullmatch = w.given("match", re.compile(regex).fullmatch)
            refuse(f"type({v}) is not str or len({v}) > {high} or {fullmatch}({v}) is None")
        case schema.OneOf(values):
            # Hashing an unhashable value raises, so the type is looked at first.
            refuse(f"type({v}) is not str or {v} not in {w.given('of', frozenset(values))}")
        case schema.Int(low, high):
            refuse(f"type({v}) is not int or not {low} <= {v} <= {high}")
        case schema.Bool():
            refuse(f"type({v}) is not bool")
        case schema.Always(value):
            refuse(f"{v} is not {value}")
        case schema.Bytes(sizes):
            condition = " and ".join(f"len({v}) != {size}" for size in sizes)
            refuse(f"type({v}) is not bytes or {condition}")
        case schema.ListOf(item, high, low, distinct):
            refuse(f"type({v}) is not list or not {low} <= len({v}) <= {high}")
            each = w.name("i")
            w.line(depth, f"for {each} in {v}:")
            _write(w, item, each, depth + 1)
            if distinct and schema.hashable(item):
                refuse(f"len({v}) > 1 and len(set({v})) != len({v})")
            elif distinct:
                refuse(f"any(a in {v}[:n] for n, a in enumerate({v}))")
        case schema.PairOf(item):
            refuse(f"type({v}) is not list or len({v}) != 2")
            for place in (0, 1):
                each = w.name("i")
                w.line(depth, f"{each} = {v}[{place}]")
                _write(w, item, each, depth)
            refuse(f"not {v}[0] < {v}[1]")
        case schema.MapOf(item, high, low, keys):
            refuse(f"type({v}) is not dict or not {low} <= len({v}) <= {high}")
            if keys:
                refuse(f"not {v}.keys() <= {w.given('keys', frozenset(keys))}")
            each = w.name("i")
            w.line(depth, f"for {each} in {v}.values():")
            _write(w, item, each, depth + 1)
        case schema.AnyOf(options):
            for option in options:
                # Each option refuses other types by itself: the first of the right type decides.
                name = schema.python_type(option).__name__
                w.line(depth, f"{'if' if option is options[0] else 'elif'} type({v}) is {name}:")
                _write(w, option, v, depth + 1)
            w.line(depth, "else: return False")
        case schema.Struct(fields, rules):
            _write_struct(w, fields, rules, v, depth)


def _write_struct(
    w: _Writer,
    fields: tuple[schema.Field, ...],
    rules: tuple[schema.Rule, ...],
    v: str,
    depth: int,
) -> None:
    w.line(depth, f"if type({v}) is not dict: return False")
    get, known = w.name("get"), w.name("n")
    w.line(depth, f"{get} = {v}.get")
    required = [part for part in fields if part.required]
    w.line(depth, f"{known} = len({v}) - {len(required)}")
    for part in required:
        # A missing field gives None, which is of no type.
        each = w.name("x")
        w.line(depth, f"{each} = {get}({part.name!r})")
        _write(w, part.type, each, depth)
    # Most optional fields are absent: when the required ones are all there is, none is looked for.
    w.line(depth, f"if {known}:")
    for part in fields:
        if not part.required:
            each = w.name("x")
            w.line(depth + 1, f"{each} = {get}({part.name!r})")
            w.line(depth + 1, f"if {each} is not None:")
            w.line(depth + 2, f"{known} -= 1")
            _write(w, part.type, each, depth + 2)
    w.line(depth + 1, f"if {known} > {UNKNOWN_FIELDS_MAX}: return False")
    for rule in rules:
        w.line(depth, f"if not {w.given('rule', rule.holds)}({v}): return False")
