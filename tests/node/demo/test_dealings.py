"""What the demonstration's residents exchange, and how it is judged."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from maillon.node.demo.dealing import refused
from maillon.node.demo.display import Screen
from maillon.node.demo.helping import HELPED_KINDS, act_in_words, located, payloads
from maillon.node.demo.nodes import DemoFailed
from maillon.node.demo.orders import UNIT
from maillon.node.demo.people import AREAS
from maillon.node.demo.scenario import Scenario
from maillon.node.demo.together import BIDS, PARTS
from maillon.node.search.matching import ways
from maillon.node.search.places import distance_km, point_of
from maillon.protocol.errors import LocalError
from maillon.protocol.records import build

PAIRS = [(one.code, other.code) for one, other in pairwise(AREAS)]


def test_every_chapter_has_its_number_once_and_in_order(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path, Screen(Console(), quiet=True), 1, everywhere=False)
    sources = [inspect.getsource(part) for part in scenario.parts]
    numbers = [int(n) for text in sources for n in re.findall(r"\.chapter\(\s*(\d+)", text)]
    assert numbers == list(range(1, 22))


def test_the_auditor_comes_after_all_that_moves_hours_and_after_the_evaluations(
    tmp_path: Path,
) -> None:
    scenario = Scenario(tmp_path, Screen(Console(), quiet=True), 1, everywhere=False)
    names = [part.__name__ for part in scenario.parts]
    assert names[-3:] == ["evaluate", "audit", "summarise"]


@pytest.mark.parametrize(("asking", "giving"), PAIRS)
def test_what_is_asked_and_offered_is_valid_and_gives_homes_only_as_cells(
    asking: str, giving: str
) -> None:
    wish, offer = payloads(asking, giving)
    for kind, payload in (("demand", wish), ("offer", offer)):
        assert not {"lat", "lon"} & set(payload["place"])
        build(kind, **payload, salt=bytes(16))


def test_the_offer_that_the_demonstration_waits_for_can_reach_who_asks() -> None:
    wish, offer = payloads(AREAS[0].code, AREAS[2].code)
    assert "at_home" in ways(wish, offer)
    one, other = point_of(wish["place"]), point_of(offer["place"])
    assert one is not None and other is not None
    assert distance_km(one[0], other[0]) < offer["radius_km"]
    assert wish["reciprocity"] == offer["reciprocity"]


def test_places_without_a_position_are_left_out() -> None:
    assert all(lat and lon and city for lat, lon, city in located(AREAS[0].code))


def test_every_act_that_the_mandate_allows_has_words() -> None:
    assert len({act_in_words(kind) for kind in HELPED_KINDS}) == len(HELPED_KINDS)


def test_prices_are_the_same_as_text_and_as_minutes() -> None:
    for text, minutes in (*BIDS, *((text, minutes) for _title, text, minutes in PARTS)):
        found = re.fullmatch(r"(?:(\d+)h)?(\d+)?(?:min)?", text)
        assert found is not None
        assert int(found[1] or 0) * 60 + int(found[2] or 0) == minutes, text
    assert len({minutes for _text, minutes in BIDS}) == len(BIDS)  # nobody wins by lot
    assert UNIT == "heure"


def test_what_had_to_be_refused_and_was_not_fails_the_demonstration() -> None:
    with pytest.raises(DemoFailed, match="had to be refused"):
        refused(lambda: None)


def test_a_node_that_does_not_answer_has_refused_nothing() -> None:
    def silent() -> None:
        raise LocalError("no answer")

    with pytest.raises(LocalError, match="no answer"):
        refused(silent)


def test_a_refusal_is_given_back_with_its_reason() -> None:
    fault = LocalError("It cannot be.", problem={"code": "step"})

    def refuse() -> None:
        raise fault

    assert refused(refuse) is fault
