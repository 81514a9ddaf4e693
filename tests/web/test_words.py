"""Amounts, times, places and addresses are said as people say them, in both languages."""

from __future__ import annotations

import re

import pytest

from maillon.node.i18n import speaking
from maillon.node.web.words import Words, local_path, minutes, plain, safe_url

# Thursday 26 November 2026, 14:30 in Paris.
AT = 1_795_699_800
UNITS = (
    {"code": "heure", "kind": "hours", "decimals": 0, "label": "Heure"},
    {"code": "grain", "kind": "credit", "decimals": 2, "label": "Grain"},
    {"code": "savoir", "kind": "count", "decimals": 0, "label": "Savoirs"},
)
SAY = Words(zone="Europe/Paris", now=AT - 3 * 86_400, units=UNITS, categories={"velo": "Vélo"})


def spaced(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 min"), (45, "45 min"), (60, "1 h"), (90, "1 h 30"), (-75, "−1 h 15"), (605, "10 h 05")],
)
def test_a_span_of_time_is_hours_and_minutes(count: int, said: str) -> None:
    assert spaced(minutes(count)) == said


def test_an_amount_is_said_in_the_way_of_its_unit() -> None:
    with speaking("fr"):
        assert spaced(SAY.amount(90, "heure")) == "1 h 30"
        assert spaced(SAY.amount(-1250, "grain")) == "−12,50 Grain"
        assert spaced(SAY.amount(3, "unknown")) == "3 unknown"
        assert spaced(SAY.asked({"kind": "amount", "unit": "heure", "amount": 60})) == "contre 1 h"
        assert SAY.asked({"kind": "something new"}) == "gratuit"


@pytest.mark.parametrize(
    ("language", "said"),
    [("fr", "jeudi 26 novembre à 14 h 30"), ("en", "Thursday 26 November at 14:30")],
)
def test_a_time_is_said_by_the_clock_of_the_coop(language: str, said: str) -> None:
    with speaking(language):
        assert SAY.when(AT) == said


def test_days_that_are_near_have_names_of_their_own() -> None:
    with speaking("en"):
        near = [SAY.day(SAY.now + days * 86_400) for days in (-1, 0, 1)]
        assert near == ["yesterday", "today", "tomorrow"]
        assert SAY.day(SAY.now - 400 * 86_400).endswith(" 2025")
        assert SAY.ago(SAY.now - 7_200) == "2 hours ago" and SAY.ago(SAY.now + 60) == "just now"


def test_hours_of_neighbouring_days_stand_together() -> None:
    with speaking("fr"):
        hours = {"mo": [[540, 720]], "tu": [[540, 720]], "th": [[540, 720], [840, 1050]]}
        assert SAY.hours({"hours": hours}) == [
            ("lundi – mardi", "9 h – 12 h"),
            ("jeudi", "9 h – 12 h, 14 h – 17 h 30"),
        ]


def test_a_category_without_a_name_is_readable_all_the_same() -> None:
    assert SAY.category("velo") == "Vélo"
    assert SAY.category("numerique--acceder-a-des-services") == "Acceder a des services"


@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\u200b", "\ufeff", "\x00", "\x1b", "\x9b"])
def test_what_turns_or_hides_text_is_taken_out(hidden: str) -> None:
    assert plain(f"exe{hidden}.gpj") == "exe.gpj"


def test_marks_that_scripts_from_right_to_left_need_stay() -> None:
    assert plain("\u200fמה\u200e") == "\u200fמה\u200e"


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\nb", "/\t/evil",
     "javascript:alert(1)", "/é", "/v1/auth/logout", "/" + "a" * 500, "\\\\evil"],
)  # fmt: skip
def test_nobody_is_led_to_another_site(path: str) -> None:
    assert local_path(path, 400) == "/"


def test_a_path_of_this_site_is_kept() -> None:
    assert local_path("/search?q=a%20b&kind=offer", 400) == "/search?q=a%20b&kind=offer"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//x", "https://a b", 7]
)
def test_an_address_that_could_run_something_is_no_link(url: object) -> None:
    assert safe_url(url) == ""
    assert safe_url("https://example.org/a?b=c") and not re.search("[<>\"']", safe_url(url))
