"""Templates show text and nothing else, and miss nothing in silence."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jinja2 import DictLoader, UndefinedError

from maillon.node.api.ledger_shapes import Position
from maillon.node.web.pages.carnet import bars, gauge
from maillon.node.web.rendering import make_environment
from maillon.node.web.static import PREFIX, TYPES, Assets

ASSETS = Assets()
TEMPLATES = Path(str(files("maillon.node.web"))) / "templates"
NAMES = sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))


def show(source: str, **context: Any) -> str:
    environment = make_environment(ASSETS)
    environment.loader = DictLoader({"t": source})
    return environment.get_template("t").render(context)


def test_markup_in_a_value_is_text() -> None:
    hostile = "<script>alert('x')</script>\" onload=\"x"
    assert show('<p title="{{ x }}">{{ x }}</p>', x=hostile).count("<") == 2
    said = show(
        '{% trans name=x %}Hello {{ name }}{% endtrans %}{{ _("Hi %(n)s", n=x) }}', x=hostile
    )
    assert "<script" not in said and '"' not in said


def test_characters_that_turn_text_around_do_not_reach_a_page() -> None:
    assert show("{{ x }}", x="a\u202eb\u2066c\u200bd") == "abcd"


@pytest.mark.parametrize(
    "source", ["{{ nobody }}", "{{ x.nothing }}", "{% if nobody %}{% endif %}"]
)
def test_a_name_that_nobody_gave_is_an_error(source: str) -> None:
    with pytest.raises(UndefinedError):
        show(source, x=object())


def test_nothing_is_never_shown_as_a_word() -> None:
    with pytest.raises(TypeError):
        show("{{ x }}", x=None)


def test_a_field_that_a_record_has_not_is_empty() -> None:
    source = "{% set p = fields(x) %}{{ p.title }}{% if p.place.city %}!{% endif %}{{ p.when }}"
    assert show(source, x={"title": "T", "place": {}}) == "T"


@pytest.mark.parametrize("name", NAMES)
def test_a_template_has_no_script_or_style_of_its_own(name: str) -> None:
    make_environment(ASSETS).get_template(name)
    text = (TEMPLATES / name).read_text()
    assert not re.search(
        r"<style|\sstyle=|\son(?!ce=)[a-z]+=|javascript:|<script(?![^>]* src=)", text
    )
    assert not re.search(r"\|\s*safe\b|Markup|autoescape", text), "nothing is trusted to be markup"
    assert not re.search(r"""(?:src|href)=["']https?:""", text)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_a_template_names_is_there(name: str) -> None:
    for named in re.findall(r'asset\("([^"]+)"\)', (TEMPLATES / name).read_text()):
        assert ASSETS.file(named).body
    icons = ASSETS.file("img/icons.svg").body.decode()
    for icon in re.findall(r'(?:icon|icon_name=)\(?"([a-z]+)"', (TEMPLATES / name).read_text()):
        assert f'id="{icon}"' in icons, icon


# --- files --------------------------------------------------------------------------------------


def test_a_file_is_kept_for_a_year_under_an_address_that_names_its_version() -> None:
    answer = ASSETS.answer(ASSETS.url("css/app.css").removeprefix(PREFIX), "gzip, br")
    assert answer is not None and "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = ASSETS.answer(f"{ASSETS.digest}/css/app.css", "")
    assert plain is not None and "Content-Encoding" not in plain.headers


@pytest.mark.parametrize(
    "path",
    ["css/app.css", "0000000000000000/css/app.css", "{d}/../house.py", "{d}/css/../css/app.css",
     "{d}//css/app.css", "{d}/static.py", "{d}/", ""],
)  # fmt: skip
def test_nothing_but_the_files_is_served(path: str) -> None:
    assert ASSETS.answer(path.format(d=ASSETS.digest), "") is None


def test_every_file_has_a_type_and_the_first_page_is_light() -> None:
    assert {name[name.rfind(".") :] for name in ASSETS.names()} <= set(TYPES)
    first = ["css/tokens.css", "css/app.css", "js/app.js", "img/mark.svg", "img/icons.svg",
             "fonts/hyperlegible.woff2", "vendor/htmx.js"]  # fmt: skip
    sent = sum(len(ASSETS.file(name).packed or ASSETS.file(name).body) for name in first)
    assert sent < 100_000


def test_scripts_and_styles_name_no_other_site() -> None:
    for name in ASSETS.names():
        if name.startswith(("css/", "js/")):
            assert not re.search(rb"https?://", ASSETS.file(name).body), name


# --- the carnet ---------------------------------------------------------------------------------


def position(balance: int, limit: int, most: int | None) -> Position:
    return Position(0, "heure", balance, 0, balance + limit, limit, most, "", "", "", "", "")


@pytest.mark.parametrize(
    ("balance", "limit", "most", "zero", "here"),
    [(0, 1200, None, 500, 500), (-1200, 1200, 1200, 500, 0), (600, 1200, 600, 667, 1000),
     (2400, 1200, None, 333, 1000), (0, 0, None, 0, 0), (-1500, 1200, None, 500, 0)],
)  # fmt: skip
def test_a_balance_stands_within_its_range(
    balance: int, limit: int, most: int | None, zero: int, here: int
) -> None:
    shown = gauge(position(balance, limit, most))
    assert (shown.zero, shown.here) == (zero, here)


def test_a_year_is_drawn_from_its_zero_line() -> None:
    up, down, none = bars([(1, 100), (2, -50), (3, 0)], 1)
    assert (up.y, up.height) == (0, 667) and (down.y, down.height) == (667, 333)
    assert none.height == 0
