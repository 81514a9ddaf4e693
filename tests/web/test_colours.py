"""Every pair of colours that stand on one another has the contrast that WCAG 2.2 asks for."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

TOKENS = files("maillon.node.web").joinpath("static/css/tokens.css").read_text()
TEXT = 4.5  # 1.4.3
PART = 3.0  # 1.4.11

GROUNDS = ("paper", "card")
INKS = ("ink", "soft", "brick", "alarm", "leaf", "sky")
EDGES = ("edge", "focus", "brick", "leaf")
PAIRS = [
    *((ink, ground, TEXT) for ink in INKS for ground in GROUNDS),
    *((edge, ground, PART) for edge in EDGES for ground in GROUNDS),
    *(
        (ink, f"{wash}-wash", TEXT)
        for ink, wash in (
            ("brick-deep", "brick"), ("leaf-deep", "leaf"), ("sun-ink", "sun"), ("sky", "sky"),
            ("alarm", "alarm"), ("brick", "alarm"), ("ink", "sky"), ("ink", "leaf"),
            ("ink", "sun"), ("ink", "alarm"), ("ink", "brick"),
        )
    ),
    ("on-brick", "brick", TEXT), ("on-brick", "brick-deep", TEXT),
    ("on-leaf", "leaf", TEXT), ("on-leaf", "leaf-deep", TEXT),
]  # fmt: skip


def themes() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for selector, body in re.findall(r"(:root[^{]*)\{([^}]*)\}", TOKENS):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6});", body))
        if "paper" in colours:
            found[f"{selector.strip()} {len(found)}"] = colours
    return found


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_twenty_one() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)


def test_there_are_five_themes() -> None:
    assert len(themes()) == 5


@pytest.mark.parametrize("theme", themes())
def test_what_is_written_can_be_read(theme: str) -> None:
    colours = themes()[theme]
    low = {
        (ink, ground): round(contrast(colours[ink], colours[ground]), 2)
        for ink, ground, least in PAIRS
        if contrast(colours[ink], colours[ground]) < least
    }
    assert low == {}
