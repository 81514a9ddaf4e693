"""Hold the example and the tables of spec/08-letters against the code."""

from __future__ import annotations

import re

from maillon.protocol import letterframes, limits
from maillon.protocol.letters import decode_letter
from support.vectors import FOLDER, load

TEXT = (FOLDER.parent / "08-letters.md").read_text("utf-8")


def test_the_header_of_the_example_is_that_of_the_first_vector() -> None:
    found = re.search(r"<!-- example: header -->\n```text\n(.*?)```", TEXT, re.DOTALL)
    assert found
    data = decode_letter(bytes.fromhex(load("letters.json")["letters"][0]["bytes"])).header_bytes
    for line in found[1].splitlines():
        shown = re.split(r" {4,}", line.strip())[0]
        first, dots, last = shown.partition("…")
        begin = bytes.fromhex(first)
        assert data.startswith(begin), line
        if dots:
            assert begin[0] == 0xC4
            part, data = data[: 2 + begin[1]], data[2 + begin[1] :]
            assert part.endswith(bytes.fromhex(last)), line
        else:
            data = data[len(begin) :]
    assert data == b""


def test_every_outcome_is_in_the_table() -> None:
    told = {
        value
        for name, value in vars(letterframes).items()
        if name.isupper() and isinstance(value, str)
    }
    rows = set(re.findall(r"^\| `([a-z_]+)` \| [a-z ]", TEXT, re.MULTILINE))
    assert told == rows
    final = set(re.findall(r"^\| `([a-z_]+)` \|[^|]*\| gives it up(?:, and| \|)", TEXT, re.M))
    assert final == letterframes.FINAL


def test_the_limits_of_the_chapter_are_those_of_the_code() -> None:
    days = limits.LETTER_LIFETIME_S_MAX // 86_400
    for name, shown in re.findall(r"^\| `(LETTER_[A-Z_]+)` \| ([\d,]+)", TEXT, re.MULTILINE):
        value = int(shown.replace(",", ""))
        assert value == (days if "LIFETIME" in name else getattr(limits, name)), name
