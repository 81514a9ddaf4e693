"""Say in words what is wrong with a request, where the library that reads it speaks to programmers.

It tells expected types, bounds and regular expressions. What a person is to write is said here, in
their language; what is not foreseen keeps the library's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from maillon.node.i18n import _, ngettext

# A message beyond this length carries somebody's text, and is cut.
CHARACTERS_MAX = 300


def _of_pattern(pattern: str) -> str:
    """Return what a text that has to fit a pattern of the interface is to look like."""
    if match := re.fullmatch(r"\^\[0-9a-f\]\{(\d+)\}\$", pattern):
        return _("{n} characters 0-9 and a-f are expected").format(n=match[1])
    if match := re.fullmatch(r"\^\[0-9a-f\]\{(\d+),(\d+)\}\$", pattern):
        return _("{low} to {high} characters 0-9 and a-f are expected").format(
            low=match[1], high=match[2]
        )
    if pattern == "^70[0-9a-f]{96}$":
        return _("a person as records name them is expected: 70, then 96 characters 0-9 and a-f")
    if re.fullmatch(r"\^\(\[0-9a-f\]\{2\}\)\{\d+,\d+\}\$", pattern):
        return _("bytes in hexadecimal are expected: pairs of characters 0-9 and a-f")
    if match := re.fullmatch(r"\^\(([a-z_|]+)\)\$", pattern):
        return _("one of {names} is expected").format(names=match[1].replace("|", ", "))
    if pattern == r"^[\x21-\x7e]+$":
        return _("letters without accents, digits and signs are expected, without spaces")
    if pattern == "^[a-z][a-z0-9_]{0,31}$":
        return _("small letters a to z, digits and _ are expected, a letter first")
    if pattern == r"^/[^\x00]+$":
        return _("the whole path of a directory is expected, which begins with /")
    return _("it is not written as it has to be")


def _length(kind: str, sign: str, number: str) -> str:
    n = int(number)
    if kind in ("str", "bytes"):
        if sign == ">=":
            return ngettext(
                "at least {n} character is expected", "at least {n} characters are expected", n
            ).format(n=n)
        return ngettext(
            "at most {n} character is allowed", "at most {n} characters are allowed", n
        ).format(n=n)
    if sign == ">=":
        return ngettext(
            "at least {n} item is expected", "at least {n} items are expected", n
        ).format(n=n)
    return ngettext("at most {n} item is allowed", "at most {n} items are allowed", n).format(n=n)


def _number(sign: str, number: str) -> str:
    told = {
        ">=": _("a number from {n} on is expected"),
        ">": _("a number above {n} is expected"),
        "<=": _("a number of at most {n} is expected"),
        "<": _("a number below {n} is expected"),
    }
    return told[sign].format(n=number)


def _type(expected: str, got: str) -> str:
    words = {
        "str": _("a text"),
        "int": _("a whole number"),
        "float": _("a number"),
        "bool": _("true or false"),
        "array": _("a list"),
        "object": _("a map of fields"),
        "null": _("nothing (null)"),
    }
    wanted = [words.get(name.strip(), name.strip()) for name in expected.split("|")]
    return _("{expected} is expected, not {got}").format(
        expected=_(" or ").join(wanted), got=words.get(got, got)
    )


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"Expected `str` matching regex (['\"])(?P<p>.*)\1"),
        lambda m: _of_pattern(m["p"].replace("\\\\", "\\")),
    ),
    (
        re.compile(r"Expected `(\w+)` of length (>=|<=) (\d+)"),
        lambda m: _length(m[1], m[2], m[3]),
    ),
    (re.compile(r"Expected `(?:int|float)` (>=|<=|>|<) ([-\d.]+)"), lambda m: _number(m[1], m[2])),
    (re.compile(r"Expected `([\w| ]+)`, got `(\w+)`"), lambda m: _type(m[1], m[2])),
    (
        re.compile(r"Object missing required field `(.+)`"),
        lambda m: _("the field {name} is missing").format(name=m[1]),
    ),
    (
        re.compile(r"Object contains unknown field `(.+)`"),
        lambda m: _("there is no field {name}").format(name=m[1]),
    ),
    (
        re.compile(r"Invalid enum value (.+?)(?= - at `|$)"),
        lambda m: _("{value} is none of the words that are known here").format(value=m[1]),
    ),
    (re.compile(r"Input data was truncated"), lambda m: _("the JSON ends too early")),
    (
        re.compile(r"JSON is malformed: .*?\(byte (\d+)\)"),
        lambda m: _("this is no JSON, from byte {n} on").format(n=m[1]),
    ),
    (re.compile(r"Integer value out of range"), lambda m: _("the number is too large")),
)


def in_words(message: str) -> str:
    """Return a message of the library that reads requests as a person would say it."""
    message = message[:CHARACTERS_MAX]
    for pattern, say in _READERS:
        match = pattern.match(message)
        if match:
            where = re.search(r" - at `\$\.?(.+)`$", message)
            told = say(match)
            return f"{where[1]}: {told}" if where else told
    return message
