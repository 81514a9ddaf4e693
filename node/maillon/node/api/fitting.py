"""Make a text that fits a pattern, for examples in the description of the interface.

It knows what our own patterns use: characters, classes, groups with choices, and counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_ESCAPED: Final = {"d": "1", "w": "a", "s": " ", "x": ""}


@dataclass(slots=True)
class _Reader:
    pattern: str
    at: int = 0
    parts: list[str] = field(default_factory=list[str])

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1]

    def choices(self) -> str:
        """Return what fits the first of the choices up to the end of a group."""
        first = self.sequence()
        while self.peek() == "|":
            self.take()
            other = self.sequence()
            # An empty choice says nothing to a reader.
            first = first or other
        return first

    def sequence(self) -> str:
        made = ""
        while self.peek() not in ("", "|", ")"):
            one = self.atom()
            made += one * self.count()
        return made

    def atom(self) -> str:
        match self.take():
            case "^" | "$":
                return ""
            case "(":
                if self.pattern.startswith("?:", self.at):
                    self.at += 2
                made = self.choices()
                self.take()
                return made
            case "[":
                return self.klass()
            case "\\":
                return self.escaped()
            case ".":
                return "a"
            case literal:
                return literal

    def escaped(self) -> str:
        letter = self.take()
        if letter == "x":
            self.at += 2
            return chr(int(self.pattern[self.at - 2 : self.at], 16))
        return _ESCAPED.get(letter, letter)

    def klass(self) -> str:
        """Return a character of a class: a digit or letter where there is one."""
        if self.peek() == "^":
            self.at = self.pattern.index("]", self.at + 1) + 1
            return "a"
        found: list[str] = []
        while self.peek() != "]":
            low = self.escaped() if (letter := self.take()) == "\\" else letter
            if self.peek() == "-" and self.pattern[self.at + 1] != "]":
                self.take()
                high = self.escaped() if (letter := self.take()) == "\\" else letter
                found += ["a"] if low <= "a" <= high else [low]
            else:
                found.append(low)
        self.take()
        return next((one for one in found if one.isalnum()), found[0])

    def count(self) -> int:
        match self.peek():
            case "+":
                self.take()
                return 1
            case "*" | "?":
                self.take()
                return 0
            case "{":
                end = self.pattern.index("}", self.at)
                low = self.pattern[self.at + 1 : end].partition(",")[0]
                self.at = end + 1
                return int(low or 0)
            case _:
                return 1


def fitting(pattern: str) -> str:
    """Return a text that fits a pattern."""
    return _Reader(pattern).choices()
